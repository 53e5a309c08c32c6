package steadyhttp_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// TestBatchCallThatCannotBeRepeatedWaitsForTheCircuit: nothing was sent, so it is no
// repetition.
func TestBatchCallThatCannotBeRepeatedWaitsForTheCircuit(t *testing.T) {
	for _, kind := range []string{"Upgrade", "CONNECT", "Trailer"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, sent := http.StatusInternalServerError, 0
				rt := &steadyhttp.Retrier{Base: &steadyhttp.Breaker{Failures: 1, Base: roundTrip(func(*http.Request) (*http.Response, error) {
					sent++
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
				})}}
				ctx, cancel := context.WithTimeout(steadyhttp.WithPriority(t.Context(), steadyhttp.PriorityBatch), time.Minute)
				defer cancel()
				first, _ := http.NewRequest("POST", "http://a.test/", nil)
				rt.RoundTrip(first)
				for _, status = range []int{http.StatusInternalServerError, http.StatusOK} {
					sent = 0
					req, _ := http.NewRequestWithContext(ctx, "GET", "http://a.test/", nil)
					switch kind {
					case "Upgrade":
						req.Header.Set("Upgrade", "x")
					case "CONNECT":
						req.Method = http.MethodConnect
					case "Trailer":
						req.Trailer = http.Header{"X": {"y"}}
					}
					resp, err := rt.RoundTrip(req)
					if err != nil || resp.StatusCode != status || sent != 1 {
						t.Errorf("status %d: %v, %v, sent %d times", status, resp, err, sent)
					}
				}
			})
		})
	}
}
