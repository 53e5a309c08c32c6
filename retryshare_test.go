package steadyhttp

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetriesAreAShareOfTheCallsAboveAFloor(t *testing.T) {
	s := &retryShare{}
	now := time.Unix(1_800_000_000, 0)
	granted := func(n int) (ok int) {
		for range n {
			if yes, _ := s.take(0.2, now); yes {
				ok++
			}
		}
		return ok
	}
	if got := granted(20); got != 10 {
		t.Errorf("without calls: %d retries, want the floor of 10", got)
	}
	for range 100 {
		s.call(now)
	}
	if got := granted(20); got != 10 {
		t.Errorf("after 100 calls: %d more retries, want 20 in all", got)
	}
	now = now.Add(30 * time.Second)
	for range 100 {
		s.call(now)
	}
	if got := granted(100); got != 20 {
		t.Errorf("after 100 more calls: %d more retries, want 40 in all", got)
	}
	now = now.Add(35 * time.Second) // the first are forgotten
	if got := granted(100); got != 0 {
		t.Errorf("20 of 100 calls were retried in the last minute: %d more", got)
	}
	now = now.Add(30 * time.Second)
	if got := granted(100); got != 10 {
		t.Errorf("after a quiet minute: %d retries", got)
	}
	now = now.Add(-time.Hour)
	if got := granted(1); got != 0 {
		t.Error("a clock that steps back gives retries")
	}
	now = now.Add(1000 * time.Hour)
	if got := granted(100); got != 10 {
		t.Errorf("after a long time: %d retries", got)
	}
	if _, again := s.take(0.2, now); !again.After(now) || again.Sub(now) > shareSlot {
		t.Errorf("ask again after %v", again.Sub(now))
	}
}

// Calls arrive at a steady rate and all fail.
func TestDeadServerIsHitAtMost1point2TimesPerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(500)}}
		r := &Retrier{Base: base}
		const calls = 6000
		for range calls {
			go func() {
				if resp, err := r.RoundTrip(getModels(t)); err != nil || resp.StatusCode != 500 {
					t.Errorf("got %v, %v", resp, err)
				}
			}()
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if got := float64(base.sent()) / calls; got > 1.2 || got < 1.15 {
			t.Errorf("%.3f requests per call", got)
		}
	})
}

func TestShareIsPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(500)}}
		r := &Retrier{Base: base}
		for range 100 {
			r.RoundTrip(getModels(t))
		}
		before := base.sent()
		req, _ := http.NewRequest("GET", "http://other.example/", nil)
		r.RoundTrip(req)
		if got := base.sent() - before; got != 4 {
			t.Errorf("another host got %d requests", got)
		}
	})
}

func TestSpentShareFailsInteractiveCallsAndHoldsBatchCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(3 * time.Minute)
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			if time.Now().Before(up) {
				return replyWith(500)(req)
			}
			return replyWith(200)(req)
		})
		start := time.Now()
		spend := &Retrier{Base: base, MaxAttempts: 100, MinDelay: -1}
		resp, err := spend.RoundTrip(getModels(t))
		if err != nil || resp.StatusCode != 500 || time.Since(start) > 100*noWait || readAll(t, resp) != "body of 500" {
			t.Errorf("interactive: got %v, %v after %v", resp, err, time.Since(start))
		}

		batch := WithPriority(t.Context(), PriorityBatch)
		ctx, cancel := context.WithTimeout(batch, 30*time.Second)
		defer cancel()
		resp, err = spend.RoundTrip(getModels(t).WithContext(ctx))
		if err != nil || resp.StatusCode != 500 || readAll(t, resp) != "body of 500" {
			t.Errorf("deadline: got %v, %v", resp, err)
		}
		ctx, cancel = context.WithCancel(batch)
		time.AfterFunc(time.Second, cancel)
		if resp, err := spend.RoundTrip(getModels(t).WithContext(ctx)); resp != nil || err == nil {
			t.Errorf("canceled: got %v, %v", resp, err)
		}
		resp, err = spend.RoundTrip(getModels(t).WithContext(batch))
		if err != nil || resp.StatusCode != 200 || time.Now().Before(up) {
			t.Errorf("batch: got %v, %v after %v", resp, err, time.Since(start))
		}
	})
}

func TestNegativeShareIsNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(500)}}
		r := &Retrier{Base: base, RetryShare: -1}
		for range 50 {
			r.RoundTrip(getModels(t))
		}
		if got := base.sent(); got != 200 {
			t.Errorf("%d requests, want 200", got)
		}
	})
}

func TestPacedDenialsAreNotChargedToTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(429)}}
		r := &Retrier{Base: &pacing{base: base, patience: time.Minute}}
		for range 20 {
			r.RoundTrip(getModels(t))
		}
		if got := base.sent(); got != 20*14 {
			t.Errorf("%d requests, want %d", got, 20*14)
		}
	})
}

func TestManyHostsDoNotGrowMemory(t *testing.T) {
	r := &Retrier{Base: &repliesBase{replies: []reply{replyWith(200)}}, MaxAttempts: 1}
	for i := range maxKeys + 100 {
		req := getModels(t)
		req.URL.Host = time.Duration(i).String()
		r.hostOf(req)
	}
	if got := len(r.hosts.entries); got != maxKeys {
		t.Errorf("%d hosts are remembered, want %d", got, maxKeys)
	}
}

func TestWhatCannotBeRepeatedTakesNoShareAndDoesNotWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Retrier{MinDelay: -1, Base: serverWith(500)}
		call := func(ctx context.Context) *http.Request {
			req, err := http.NewRequestWithContext(ctx, "POST", "https://a.example/2010/messages", strings.NewReader(`{"text":"of no model"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			r.RoundTrip(req)
			return req
		}
		for range shareFloor {
			call(t.Context())
		}
		share, _ := r.hostOf(call(t.Context()))
		if ok, _ := share.take(defaultShare, time.Now()); !ok {
			t.Error("the share is spent, and nothing was repeated")
		}
		for ok := true; ok; {
			ok, _ = share.take(defaultShare, time.Now())
		}
		start := time.Now()
		call(WithPriority(t.Context(), PriorityBatch))
		if took := time.Since(start); took > 0 {
			t.Errorf("a batch call came back after %v", took)
		}
	})
}
