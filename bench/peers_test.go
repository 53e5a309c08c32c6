//go:build !race

package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/rehttp"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// The race detector ends these tests by itself: some of the peers race with their
// callers. So they run without it.

// TestKitFindsWhatPeersDoToRequests runs the conformance suite on the peers. What
// they are known to do must be among its findings, each listed with the rule and
// a word of what was seen; `go test -v` prints all of them.
func TestKitFindsWhatPeersDoToRequests(t *testing.T) {
	type known struct{ rule, want string }
	for _, peer := range []struct {
		name  string
		wrap  func(http.RoundTripper) http.RoundTripper
		known []known
	}{
		{"failsafehttp", failsafeRetry, []known{
			{"A1", "the caller's request is as it was, all the time"},
			{"B1", "the request's body is closed in the end"},
			{"B3", "a body without GetBody is sent once, not kept"},
			{"B3", "the body reaches the server while the caller still writes it"},
			{"C3", "what would outlast the deadline is not waited for"},
			{"C3", "the response in hand is returned when there is no time for another attempt"},
			{"C5", "every response's body is closed when the call is over"},
			{"D1", "a status is no error"},
			{"D3", "the Body of a 101 is an io.ReadWriteCloser"},
			{"D6", "a retried response is closed"},
			{"D6", "connections are used again after retried responses"},
			{"D8", "when it gives up, the last response"},
			{"F1", "http.Client.CloseIdleConnections reaches the base"},
		}},
		{"failsafehttp, three policies", failsafeStack, []known{
			{"A1", "the caller's request is as it was, all the time"},
			{"B3", "the body reaches the server while the caller still writes it"},
			{"D3", "the Body of a 101 is an io.ReadWriteCloser"},
			{"D6", "a retried response is closed"},
			{"D8", "when it gives up, the last response"},
		}},
		{"retryablehttp", retryable, []known{
			{"A1", "the caller's request is as it was, all the time"},
			{"A4", "it serves as the Transport of an httputil.ReverseProxy"},
			{"A5", "no redirect is followed"},
			{"B1", "the request's body is closed in the end"},
			{"B3", "a body without GetBody is sent once, not kept"},
			{"B3", "the body reaches the server while the caller still writes it"},
			{"B7", "what the server may have acted on is not repeated, without a word from the caller that it may be"},
			{"C1", "a wait ends at once when the caller gives up"}, // by Request.Cancel
			{"C3", "what would outlast the deadline is not waited for"},
			{"C3", "the response in hand is returned when there is no time for another attempt"},
			{"D1", "a status is no error"},
			{"D6", "the body of a usual error is read to its end"},
			{"D6", "a retry does not wait for a body that does not end"},
			{"D8", "when it gives up, the last response"},
			{"E1", "the message of an http.Client's error names the request once"},
			{"F1", "http.Client.CloseIdleConnections reaches the base"},
			{"F1", "nobody else's connections are closed"},
		}},
		{"retryablehttp that passes the last response on", retryablePassthrough, []known{
			{"D1", "a response or an error, never both"},
		}},
		{"rehttp", rehttpTransport, []known{
			{"A1", "the caller's request is as it was, all the time"},
			{"B3", "a body without GetBody is sent once, not kept"},
			{"B3", "the body reaches the server while the caller still writes it"},
			{"B7", "what the server may have acted on is not repeated, without a word from the caller that it may be"},
			{"C3", "what would outlast the deadline is not waited for"},
			{"D3", "the Body of a 101 is an io.ReadWriteCloser"},
			{"D6", "a retry does not wait for a body that does not end"},
			{"D6", "no more than some MiB of a retried response are read"},
		}},
		{"rehttp with a timeout for each attempt", rehttpWithTimeout, []known{
			{"C4", "a stream of an hour arrives whole"},
		}},
	} {
		t.Run(peer.name, func(t *testing.T) {
			found := steadytest.RoundTripperFindings(t, peer.wrap)
			for _, f := range found {
				t.Logf("%s, over %s: %s (want: %s)", f.Rule, f.Over, f.Saw, f.Want)
			}
			for _, k := range peer.known {
				if !slices.ContainsFunc(found, func(f steadytest.Finding) bool {
					return strings.HasPrefix(f.Rule, k.rule+"_") && f.Want == k.want
				}) {
					t.Errorf("no finding of rule %s that wants %q", k.rule, k.want)
				}
			}
		})
	}
}

// failsafeRetry is failsafehttp with its retry policy alone.
func failsafeRetry(base http.RoundTripper) http.RoundTripper {
	return failsafehttp.NewRoundTripper(base, failsafehttp.NewRetryPolicyBuilder().WithBackoff(500*time.Millisecond, 30*time.Second).Build())
}

// retryablePassthrough is the same, set up to return the last response when it
// gives up.
func retryablePassthrough(base http.RoundTripper) http.RoundTripper {
	rt := retryable(base).(*retryablehttp.RoundTripper)
	rt.Client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return rt
}

// rehttpWithTimeout is the same with a generous timeout for each attempt.
func rehttpWithTimeout(base http.RoundTripper) http.RoundTripper {
	rt := rehttpTransport(base).(*rehttp.Transport)
	rt.PerAttemptTimeout = 10 * time.Minute
	return rt
}
