package steadyhttp_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/steadyhttp/steadyhttp"
)

// TestCredentialThatTheServerRepeatsIsNotTraced: in a message, a code, a type, an id or a scope.
func TestCredentialThatTheServerRepeatsIsNotTraced(t *testing.T) {
	const secret = "sk-SECRET0123456789"
	synctest.Test(t, func(t *testing.T) {
		base := roundTrip(func(*http.Request) (*http.Response, error) {
			body := fmt.Sprintf(`{"error":{"message":%q,"code":%[1]q,"type":%[1]q,"param":%[1]q}}`, secret)
			return &http.Response{StatusCode: http.StatusTooManyRequests, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
				"Content-Type": {"application/json"}, "Retry-After": {"1"}, "X-Request-Id": {"id-" + secret},
				"X-Ratelimit-Resource": {secret}, "X-Ratelimit-Limit": {"10"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1"},
			}}, nil
		})
		var out bytes.Buffer
		hooks := &steadyhttp.Trace{
			Attempted: func(i steadyhttp.AttemptInfo) { fmt.Fprintln(&out, i) },
			Retrying:  func(i steadyhttp.RetryInfo) { fmt.Fprintln(&out, i) },
			Learned:   func(i steadyhttp.LearnedInfo) { fmt.Fprintln(&out, i) },
		}
		log := steadyhttp.LogTrace(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		rt := steadyhttp.Traced(steadyhttp.Traced(steadyhttp.NewTransport(base), hooks), log)
		for _, set := range []func(*http.Request){
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) },
			func(r *http.Request) { r.Header.Set("X-Api-Key", secret) },
			func(r *http.Request) { r.SetBasicAuth("u", secret) },
			func(r *http.Request) { r.URL.RawQuery = "key=" + secret },
		} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
			set(req)
			if resp, err := rt.RoundTrip(req); err == nil {
				if o := steadyhttp.OutcomeOf(resp, nil); o.Code != secret {
					t.Errorf("the caller's own outcome has lost the code: %+v", o)
				}
				resp.Body.Close()
			}
		}
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, secret) {
				t.Error(line)
				return
			}
		}
	})
}

// TestCredentialIsNotTracedWhereverItCameFrom: from the base, as a name without a
// password, encoded, or so long that an outcome has only its beginning.
func TestCredentialIsNotTracedWhereverItCameFrom(t *testing.T) {
	const secret = "sk-SECRET+0123456789/abcdef=="
	long := "eyJSECRET" + strings.Repeat("0123456789", 50)
	for name, c := range map[string]struct {
		set, below func(*http.Request)
		said       string
	}{
		"from the base":     {below: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }},
		"basic, a name":     {set: func(r *http.Request) { r.SetBasicAuth(secret, "") }},
		"userinfo, a name":  {set: func(r *http.Request) { r.URL.User = url.User(secret) }},
		"query, as written": {set: func(r *http.Request) { r.URL.RawQuery = "key=sk-SECRET%2B01234" }, said: "sk-SECRET%2B01234"},
		"cut":               {set: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+long) }, said: long},
	} {
		t.Run(name, func(t *testing.T) {
			said := c.said
			if said == "" {
				said = secret
			}
			base := roundTrip(func(req *http.Request) (*http.Response, error) {
				if c.below != nil {
					req = req.Clone(req.Context())
					c.below(req)
				}
				body := fmt.Sprintf(`{"error":{"message":"no such key: %s","code":%[1]q}}`, said)
				return &http.Response{StatusCode: http.StatusTooManyRequests, Body: io.NopCloser(strings.NewReader(body)), Request: req, Header: http.Header{
					"Content-Type": {"application/json"}, "X-Request-Id": {said},
					"X-Ratelimit-Resource": {said}, "X-Ratelimit-Limit": {"10"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1"},
				}}, nil
			})
			var out bytes.Buffer
			hooks := &steadyhttp.Trace{
				Attempted: func(i steadyhttp.AttemptInfo) { fmt.Fprintln(&out, i) },
				Learned:   func(i steadyhttp.LearnedInfo) { fmt.Fprintln(&out, i) },
			}
			for _, rt := range []http.RoundTripper{
				&steadyhttp.Limiter{Base: &steadyhttp.Classifier{Base: base}}, &steadyhttp.Breaker{Base: base},
				&steadyhttp.Retrier{Base: base, MaxAttempts: 1}, &steadyhttp.Limiter{Base: base},
			} {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
				if c.set != nil {
					c.set(req)
				}
				resp, err := steadyhttp.Traced(rt, hooks).RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, "SECRET") {
					t.Fatal(line)
				}
			}
		})
	}
}
