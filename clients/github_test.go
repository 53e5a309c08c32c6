package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-github/v88/github"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

func newGitHub(t testing.TB, base http.RoundTripper, more ...github.ClientOptionsFunc) *github.Client {
	t.Helper()
	client, err := github.NewClient(append([]github.ClientOptionsFunc{github.WithHTTPClient(steady(base)), github.WithAuthToken("ghp_test")}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func Example_github() {
	provider := &steadytest.Provider{Dialect: steadytest.GitHub} // in the place of a http.Transport
	client, err := github.NewClient(
		github.WithTransport(steadyhttp.NewTransport(provider)),
		github.WithDisableRateLimitCheck(), // the stack waits where this client refuses
		github.WithAuthToken("ghp_example"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, _, err := client.Users.Get(context.Background(), "octocat"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(provider.Counts().Requests, "request")
	// Output: 1 request
}

// TestGitHubPrimaryLimitIsWaitedFor: forty calls on a limit of ten a minute are
// answered, none is denied.
func TestGitHubPrimaryLimitIsWaitedFor(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Dialect: steadytest.GitHub, Limits: []steadytest.Limit{{N: 10, Per: time.Minute, Kind: steadytest.FixedWindow, Scope: "core"}}}
		client := newGitHub(t, p, github.WithDisableRateLimitCheck())
		began := time.Now()
		for i := range 40 {
			if _, _, err := client.Users.Get(t.Context(), "octocat"); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if c, took := p.Counts(), time.Since(began); c.Denied != 0 || took > 5*time.Minute {
			t.Errorf("got %d denials in %v", c.Denied, took)
		}
	})
}

// TestGitHubClientRefusesByItself: unless it is told not to, go-github answers with
// the last headers it saw and asks nobody, so that there is nothing to wait in.
func TestGitHubClientRefusesByItself(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Dialect: steadytest.GitHub, Limits: []steadytest.Limit{{N: 1, Per: time.Minute, Kind: steadytest.FixedWindow, Scope: "core"}}}
		client := newGitHub(t, p)
		if _, _, err := client.Users.Get(t.Context(), "octocat"); err != nil {
			t.Fatal(err)
		}
		_, _, err := client.Users.Get(t.Context(), "octocat")
		var limit *github.RateLimitError
		if !errors.As(err, &limit) {
			t.Errorf("got %T %v, want a *RateLimitError", err, err)
		}
		sent(t, p, 1, 1)
	})
}

// TestGitHubSecondaryLimitIsWaitedFor: its Retry-After of a minute is kept, once.
func TestGitHubSecondaryLimitIsWaitedFor(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Dialect: steadytest.GitHub, Faults: []steadytest.Fault{{First: 2, Count: 1, Do: steadytest.SecondaryLimit}}}
		client := newGitHub(t, p)
		began := time.Now()
		for range 3 {
			if _, _, err := client.Users.Get(t.Context(), "octocat"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < time.Minute || took > time.Minute+2*time.Second {
			t.Errorf("took %v, want a minute", took)
		}
		sent(t, p, 4, 4)
	})
}

// TestGitHubErrorsKeepTheirTypes: a limit that is too far away comes at once.
func TestGitHubErrorsKeepTheirTypes(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Dialect: steadytest.GitHub, Faults: []steadytest.Fault{{Do: steadytest.SecondaryLimit, RetryAfter: time.Hour}}}
		began := time.Now()
		_, resp, err := newGitHub(t, p).Users.Get(t.Context(), "octocat")
		var abuse *github.AbuseRateLimitError
		if !errors.As(err, &abuse) || abuse.RetryAfter == nil || *abuse.RetryAfter != time.Hour {
			t.Fatalf("got %T %v, want an *AbuseRateLimitError of an hour", err, err)
		}
		if got := steadyhttp.OutcomeOf(resp.Response, nil).Class; got != steadyhttp.ClassRateLimited {
			t.Errorf("outcome: got %v", got)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v, want to be told at once", took)
		}
	})
}

// TestGitHubSeesOurErrors: through the *url.Error, whose URL it cleans.
func TestGitHubSeesOurErrors(t *testing.T) {
	virtually(t, func(t *testing.T) {
		client, err := github.NewClient(github.WithTransport(opened(t, "https://api.github.com/")))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = client.Users.Get(t.Context(), "octocat")
		var open *steadyhttp.OpenError
		if !errors.As(err, &open) {
			t.Errorf("got %T %v, want an *OpenError", err, err)
		}
	})
}
