package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func Example_oauth2() {
	provider := &steadytest.Provider{} // in the place of a http.Transport
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "example"})
	client := &http.Client{Transport: &oauth2.Transport{
		Source: source,
		Base:   steadyhttp.NewTransport(provider), // below: it sees whose budget a request spends
	}}
	resp, err := client.Get("http://api.test/v1/models")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// expiring counts the tokens that it hands out; none lasts.
type expiring struct{ n atomic.Int32 }

func (e *expiring) Token() (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: fmt.Sprint("token-", e.n.Add(1)), Expiry: time.Now().Add(time.Minute)}, nil
}

// TestOAuth2AboveAsksForATokenPerCall, below for one per attempt: above the stack
// its repetitions carry the same token.
func TestOAuth2AboveAsksForATokenPerCall(t *testing.T) {
	fails := []steadytest.Fault{{First: 1, Count: 2, Do: steadytest.BadGateway}}
	for _, tt := range []struct {
		name   string
		wrap   func(base http.RoundTripper, source oauth2.TokenSource) http.RoundTripper
		tokens int32
		auth   string // of the last attempt
	}{
		{"above", func(base http.RoundTripper, source oauth2.TokenSource) http.RoundTripper {
			return &oauth2.Transport{Source: source, Base: steadyhttp.NewTransport(base)}
		}, 1, "Bearer token-1"},
		{"below", func(base http.RoundTripper, source oauth2.TokenSource) http.RoundTripper {
			return steadyhttp.NewTransport(&oauth2.Transport{Source: source, Base: base})
		}, 3, "Bearer token-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				p := &recorder{Base: &steadytest.Provider{Faults: fails}}
				source := new(expiring)
				client := &http.Client{Transport: tt.wrap(p, source)}
				resp, err := client.Get("http://api.test/v1/models")
				if err != nil {
					t.Fatal(err)
				}
				body(t, resp)
				seen := p.requests()
				if resp.StatusCode != 200 || len(seen) != 3 || source.n.Load() != tt.tokens {
					t.Fatalf("got %s, %d requests and %d tokens, want 200 OK, 3 and %d", resp.Status, len(seen), source.n.Load(), tt.tokens)
				}
				if got := seen[2].Header.Get("Authorization"); got != tt.auth {
					t.Errorf("got %q, want %q", got, tt.auth)
				}
			})
		})
	}
}

// TestOAuth2AboveKeepsBudgetsApart: the Limiter sees the credential only if it
// stands below what sets it.
func TestOAuth2AboveKeepsBudgetsApart(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1, Per: time.Hour, Kind: steadytest.FixedWindow,
			By: func(r *http.Request) string { return r.Header.Get("Authorization") }}}}
		stack := steadyhttp.NewTransport(p)
		for _, token := range []string{"one", "two", "three"} {
			client := &http.Client{Transport: &oauth2.Transport{Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}), Base: stack}}
			resp, err := client.Get("http://api.test/v1/models")
			if err != nil {
				t.Fatalf("%s: %v", token, err)
			}
			body(t, resp)
			_, err = client.Get("http://api.test/v1/models")
			var limit *steadyhttp.LimitError
			if !errors.As(err, &limit) {
				t.Errorf("%s: got %v, want a *LimitError", token, err)
			}
		}
		sent(t, p, 3, 3)
	})
}

// TestOAuth2TokensComeThroughTheStack: the context's client fetches them, and a
// token endpoint that is out of order for a moment is asked again only if that is
// safe, which a POST is when it was denied.
func TestOAuth2TokensComeThroughTheStack(t *testing.T) {
	virtually(t, func(t *testing.T) {
		var asked int
		base := answer(func(req *http.Request) (*http.Response, error) {
			form, _ := io.ReadAll(req.Body)
			req.Body.Close()
			asked++
			resp := &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"2"}}, Body: http.NoBody, Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
			if asked > 1 && strings.Contains(string(form), "grant_type=client_credentials") {
				token, _ := json.Marshal(map[string]any{"access_token": "fresh", "token_type": "Bearer", "expires_in": 3600})
				resp.StatusCode, resp.Header = 200, http.Header{"Content-Type": {"application/json"}}
				resp.Body = io.NopCloser(strings.NewReader(string(token)))
			}
			return resp, nil
		})
		config := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: "http://auth.test/token", AuthStyle: oauth2.AuthStyleInHeader}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, steady(base))
		token, err := config.Token(ctx)
		if err != nil || token.AccessToken != "fresh" || asked != 2 {
			t.Errorf("got %v, %v after %d requests", token, err, asked)
		}
	})
}
