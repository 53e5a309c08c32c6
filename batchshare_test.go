package steadyhttp

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A tenth of a budget is kept for interactive calls where there are any.
func TestBatchCallsHaveTheWholeBudgetUnlessInteractiveOnesWereSeen(t *testing.T) {
	for _, tt := range []struct {
		interactive int
		want        int // requests in the first window, with a margin of one
	}{{0, 49}, {1, 44}} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
			begin := time.Now()
			var mu sync.Mutex
			n := 0
			l := &Limiter{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				n++
				h := http.Header{}
				h.Set("X-RateLimit-Limit", "50")
				h.Set("X-RateLimit-Remaining", fmt.Sprint(50-n))
				h.Set("X-RateLimit-Reset", fmt.Sprint(begin.Add(time.Hour).Unix()))
				return &http.Response{StatusCode: 200, Header: h, Body: http.NoBody, Request: req}, nil
			})}
			ctx, cancel := context.WithCancel(t.Context())
			send := func(ctx context.Context) {
				req, err := http.NewRequestWithContext(ctx, "GET", "http://api.test/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				if resp, err := l.RoundTrip(req); err == nil {
					resp.Body.Close()
				}
			}
			for range tt.interactive {
				send(ctx)
			}
			var wg sync.WaitGroup
			for range 60 {
				wg.Go(func() { send(WithPriority(ctx, PriorityBatch)) })
			}
			time.Sleep(5 * time.Second)
			mu.Lock()
			got := n
			mu.Unlock()
			if got != tt.want {
				t.Errorf("after %d interactive calls: %d requests of 50, want %d", tt.interactive, got, tt.want)
			}
			cancel()
			wg.Wait()
		})
	}
}
