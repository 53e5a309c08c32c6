package steadyhttp

import (
	"context"
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

func TestRetryAfterOfNothingIsAPermissionForOnce(t *testing.T) {
	for _, header := range [][2]string{
		{"Retry-After", "0"}, {"Retry-After-Ms", "0"}, {"Retry-After", "Sat, 01 Jan 2000 00:00:00 GMT"},
	} {
		synctest.Test(t, func(t *testing.T) {
			soon()
			base := serverWith(429)
			base.header, base.delay = header[:], time.Millisecond
			rt := &Limiter{Base: base}
			ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
			defer cancel()
			for range 2 {
				if status, err := send(t, rt, get(t, "a.example").WithContext(ctx)); status != 429 {
					t.Errorf("%s: %d, %v", header, status, err)
				}
			}
			if status, err := send(t, rt, get(t, "a.example").WithContext(ctx)); status != 0 {
				t.Errorf("%s, once more: %d, %v, want none at once", header, status, err)
			}
		})
	}
}

func TestServerThatNeverAdmittedAnythingIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := serverWith(429)
		rt := NewTransport(base)
		for n := range 6 {
			began, before := time.Now(), base.hits.Load()
			status, err := send(t, rt, get(t, "a.example"))
			sent, took := base.hits.Load()-before, time.Since(began)
			if status != 429 || sent > 4 || n > 0 && sent > 2 || took > 35*time.Second {
				t.Errorf("call %d: %d, %v after %v and %d requests", n, status, err, took, sent)
			}
		}
		base.status.Store(200) // it is asked all the same
		began := time.Now()
		if status, err := send(t, rt, get(t, "a.example")); status != 200 || time.Since(began) > 35*time.Second {
			t.Errorf("once it admits: %d, %v after %v", status, err, time.Since(began))
		}
	})
}
