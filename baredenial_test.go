package steadyhttp

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// As Fiber has it: a denial says when to come back, and nothing of the limit
// that all other answers tell of.
func TestDenialWithoutHeadersThatTheLastOnesExplainFindsNoNewRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		var mu sync.Mutex
		var begin, denied time.Time
		n := 0 // requests of this window
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			h := http.Header{"Content-Type": {"text/plain"}}
			resp := &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: http.NoBody, Request: req}
			if begin.IsZero() {
				begin = now
			}
			if age := now.Sub(begin); n == 50 && age < 7*time.Second {
				resp.StatusCode, resp.Header = 429, http.Header{"Retry-After": {fmt.Sprint(int(7 - age.Seconds()))}}
				denied = now
				return resp, nil
			} else if n == 50 {
				begin, n = now, 0
			}
			n++
			h.Set("X-RateLimit-Limit", "50")
			h.Set("X-RateLimit-Remaining", fmt.Sprint(50-n))
			h.Set("X-RateLimit-Reset", fmt.Sprint(5-int(now.Sub(begin).Seconds()))) // the window lasts 7 s
			return resp, nil
		})
		client := &http.Client{Transport: NewTransport(base)}
		var wg sync.WaitGroup
		for range 90 {
			wg.Go(func() {
				req, err := http.NewRequest("POST", "http://api.test/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			})
		}
		wg.Wait()
		if denied.IsZero() {
			t.Fatal("nothing was denied, want the request that asks too early to be")
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the second window's calls took %v, want them to go as soon as it is known", took)
		}
	})
}
