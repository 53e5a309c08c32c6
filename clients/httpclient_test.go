package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

func Example_httpClient() {
	provider := &steadytest.Provider{} // in the place of a http.Transport
	client := &http.Client{Transport: steadyhttp.NewTransport(provider)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // rather than Client.Timeout
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.test/v1/models", nil)
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// TestCookiesAndRedirectsAreTheClients: the stack passes both on, and the client
// acts on them once each, whatever was repeated below.
func TestCookiesAndRedirectsAreTheClients(t *testing.T) {
	var paths []string
	failed := false
	target, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		switch {
		case r.URL.Path == "/":
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "yes", Path: "/"})
			http.Redirect(w, r, "/next", http.StatusTemporaryRedirect)
		case !failed:
			failed = true
			http.SetCookie(w, &http.Cookie{Name: "failed", Value: "yes", Path: "/"})
			w.WriteHeader(http.StatusBadGateway)
		default:
			fmt.Fprint(w, r.Header.Get("Cookie"))
		}
	}))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: steadyhttp.NewTransport(base), Jar: jar}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target+"/", strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != "seen=yes" {
		t.Errorf("cookies: got %q, want the redirect's, and none of a response that was repeated", got)
	}
	if got := strings.Join(paths, " "); got != "/ /next /next" {
		t.Errorf("got requests %s", got)
	}
	if resp.Request.URL.Path != "/next" {
		t.Errorf("the response is to %s, want /next", resp.Request.URL.Path)
	}
}

// TestClientTimeoutEndsAWait: it counts everything, waits too, and the client then
// puts its own error in the place of ours.
func TestClientTimeoutEndsAWait(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Faults: []steadytest.Fault{{First: 1, Count: 1, Do: steadytest.Hang}}}
		client := steady(p)
		client.Timeout = 5 * time.Second
		began := time.Now()
		_, err := client.Get("http://api.test/v1/models")
		var timeout net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v, want 5s", took)
		}
	})
}

// TestDeadlineIsKnownInAdvance: where a context's deadline cannot be kept, nothing
// is waited for, and the error says both what and when.
func TestDeadlineIsKnownInAdvance(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1, Per: time.Minute, Kind: steadytest.FixedWindow}}}
		client := steady(p)
		resp, err := client.Get("http://api.test/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		body(t, resp)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.test/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = client.Do(req)
		var limit *steadyhttp.LimitError
		if !errors.As(err, &limit) || limit.Reason != "deadline" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a *LimitError by the deadline", err)
		}
		if urlErr := (*url.Error)(nil); !errors.As(err, &urlErr) || !urlErr.Timeout() {
			t.Errorf("got %v, want a *url.Error that is a timeout", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v, want to be told at once", took)
		}
	})
}

// TestIdleConnectionsAreClosedThroughTheStack: http.Client asks its Transport, and
// that must ask on.
func TestIdleConnectionsAreClosedThroughTheStack(t *testing.T) {
	base := new(recorder)
	steady(base).CloseIdleConnections()
	if base.closed != 1 {
		t.Errorf("got %d calls at the base, want 1", base.closed)
	}
}
