package steadyhttp

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var retryNow = time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)

func TestNextAttemptIsDueWhenItCanSucceedOrNever(t *testing.T) {
	failed := Outcome{Class: ClassServerError, Retryable: true}
	denied := Outcome{Class: ClassRateLimited, Retryable: true}
	at := func(o Outcome, d time.Duration) Outcome { o.RetryAt = retryNow.Add(d); return o }
	paced := func(readmit, patience time.Duration) *verdict {
		return &verdict{Outcome: denied, paced: &denial{readmit: retryNow.Add(readmit), patience: patience}}
	}
	open := &OpenError{RetryAt: retryNow.Add(3 * time.Second)}
	refused := &verdict{Outcome: Outcome{Class: ClassRefused}, err: fmt.Errorf("wrapped: %w", open)}

	for _, tt := range []struct {
		name    string
		retrier *Retrier
		s       standing
		o       Outcome
		again   bool
		min     time.Duration // of the wait, with no jitter
		max     time.Duration // with the most
		flags   string        // f: free, d: doubtful, c: charged
	}{
		{name: "success", s: standing{spent: 1}, o: Outcome{Class: ClassSuccess, Retryable: true}},
		{name: "not retryable", s: standing{spent: 1}, o: Outcome{Class: ClassServerError}},
		{name: "spent quota, whatever it says", s: standing{spent: 1}, o: Outcome{Class: ClassQuotaExhausted, Retryable: true}},
		{name: "canceled", s: standing{spent: 1}, o: Outcome{Class: ClassCanceled, Retryable: true}},
		{name: "a lock", s: standing{spent: 1}, o: Outcome{Class: ClassConflict, Retryable: true},
			again: true, min: 500 * time.Millisecond, max: time.Second, flags: "dc"},
		{name: "first failure", s: standing{spent: 1}, o: failed,
			again: true, min: 500 * time.Millisecond, max: time.Second, flags: "dc"},
		{name: "third failure", s: standing{spent: 3}, o: failed,
			again: true, min: 500 * time.Millisecond, max: 4 * time.Second, flags: "dc"},
		{name: "attempts spent", s: standing{spent: 4}, o: failed},
		{name: "one attempt", retrier: &Retrier{MaxAttempts: 1}, s: standing{spent: 1}, o: failed},
		{name: "an SDK's own retry", s: standing{spent: 1, once: true}, o: failed},
		{name: "connection refused", s: standing{spent: 1, verdict: &verdict{err: syscall.ECONNREFUSED}},
			o:     Outcome{Class: ClassNetwork, Retryable: true},
			again: true, min: 500 * time.Millisecond, max: time.Second, flags: "c"},
		{name: "connection reset", s: standing{spent: 1, verdict: &verdict{err: syscall.ECONNRESET}},
			o:     Outcome{Class: ClassNetwork, Retryable: true},
			again: true, min: 500 * time.Millisecond, max: time.Second, flags: "dc"},

		{name: "server's time", s: standing{spent: 1}, o: at(failed, 5*time.Second),
			again: true, min: 5 * time.Second, max: 5500 * time.Millisecond, flags: "dc"},
		{name: "server's time, far off", s: standing{spent: 1}, o: at(failed, 60*time.Second),
			again: true, min: 60 * time.Second, max: 61 * time.Second, flags: "dc"},
		{name: "jitter does not pass MaxDelay", retrier: &Retrier{MaxDelay: 10 * time.Second}, s: standing{spent: 1}, o: at(failed, 10*time.Second-1),
			again: true, min: 10*time.Second - 1, max: 10 * time.Second, flags: "dc"},
		{name: "server's time is shorter than MinDelay", s: standing{spent: 1}, o: at(denied, 20*time.Millisecond),
			again: true, min: 20 * time.Millisecond, max: 22 * time.Millisecond, flags: "c"},
		{name: "server's time has come", s: standing{spent: 1}, o: at(failed, 0),
			again: true, min: 500 * time.Millisecond, max: time.Second, flags: "dc"},
		{name: "server's time is over MaxDelay", s: standing{spent: 1}, o: at(failed, 91*time.Second)},
		{name: "server's time is absurd", retrier: &Retrier{MaxDelay: -1}, s: standing{spent: 1, deadline: retryNow.Add(time.Hour)},
			o: Outcome{Class: ClassServerError, Retryable: true, RetryAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}},
		{name: "no MaxDelay", retrier: &Retrier{MaxDelay: -1}, s: standing{spent: 1}, o: at(failed, 24*time.Hour),
			again: true, min: 24 * time.Hour, max: 24*time.Hour + time.Second, flags: "dc"},
		{name: "server's time is past the deadline", s: standing{spent: 1, deadline: retryNow.Add(4 * time.Second)}, o: at(failed, 5*time.Second)},
		{name: "jitter does not pass the deadline", s: standing{spent: 1, deadline: retryNow.Add(5*time.Second + 1)}, o: at(failed, 5*time.Second),
			again: true, min: 5 * time.Second, max: 5 * time.Second, flags: "dc"},
		{name: "backoff past the deadline", s: standing{spent: 1, deadline: retryNow.Add(500 * time.Millisecond)}, o: failed},

		{name: "unpaced denial", s: standing{spent: 1}, o: at(denied, 7*time.Second),
			again: true, min: 7 * time.Second, max: 7700 * time.Millisecond, flags: "c"},
		{name: "paced denial", s: standing{spent: 4, denied: 10, verdict: paced(time.Minute, 90*time.Second)}, again: true, flags: "f"},
		{name: "paced denial of an SDK's own retry", s: standing{spent: 1, denied: 1, once: true, verdict: paced(time.Minute, 90*time.Second)}, again: true, flags: "f"},
		{name: "one attempt, denied", retrier: &Retrier{MaxAttempts: 1}, s: standing{spent: 1, denied: 1, verdict: paced(time.Second, 90*time.Second)}},
		{name: "eleventh paced denial", s: standing{spent: 3, denied: 11, verdict: paced(time.Minute, 90*time.Second)}, again: true},
		{name: "eleventh paced denial, attempts spent", s: standing{spent: 4, denied: 11, verdict: paced(time.Minute, 90*time.Second)}},
		{name: "paced denial beyond MaxWait", s: standing{spent: 1, denied: 1, verdict: paced(61*time.Second, time.Minute)}},
		{name: "paced denial beyond MaxWait since the call began",
			s: standing{spent: 1, denied: 1, began: retryNow.Add(-40 * time.Second), verdict: paced(21*time.Second, time.Minute)}},
		{name: "paced denial beyond MaxDelay", s: standing{spent: 1, denied: 1, verdict: paced(91*time.Second, time.Hour)}},
		{name: "paced denial beyond the deadline", s: standing{spent: 1, denied: 1, batch: true, deadline: retryNow.Add(time.Second), verdict: paced(2*time.Second, time.Hour)}},
		{name: "paced denial of a batch call", s: standing{spent: 1, denied: 1, batch: true, verdict: paced(24*time.Hour, time.Minute)}, again: true, flags: "f"},
		{name: "Limiter that holds nobody", s: standing{spent: 1, denied: 1, verdict: paced(time.Second, -1)}},

		{name: "open circuit", s: standing{spent: 1, verdict: refused}},
		{name: "open circuit, batch", s: standing{spent: 9, batch: true, verdict: refused}, again: true, min: 3 * time.Second, max: 3 * time.Second, flags: "f"},
		{name: "open circuit, batch, one attempt", retrier: &Retrier{MaxAttempts: 1}, s: standing{spent: 1, batch: true, verdict: refused},
			again: true, min: 3 * time.Second, max: 3 * time.Second, flags: "f"},
		{name: "open circuit, batch, deadline", s: standing{spent: 1, batch: true, deadline: retryNow.Add(time.Second), verdict: refused}},
		{name: "open circuit, its time has come", s: standing{spent: 1, batch: true,
			verdict: &verdict{Outcome: refused.Outcome, err: &OpenError{RetryAt: retryNow.Add(-time.Hour)}}},
			again: true, min: leastPause, max: leastPause, flags: "f"},
		{name: "open circuit without a time", s: standing{spent: 1, batch: true,
			verdict: &verdict{Outcome: refused.Outcome, err: &OpenError{}}},
			again: true, min: 500 * time.Millisecond, max: time.Second, flags: "f"},
		{name: "refused by a Limiter, batch", s: standing{spent: 1, batch: true,
			verdict: &verdict{Outcome: refused.Outcome, err: &LimitError{Reason: "queue"}}}},
		{name: "probe of a batch call", s: standing{spent: 9, batch: true, probe: true}, o: at(failed, 2*time.Second),
			again: true, min: 2 * time.Second, max: 2200 * time.Millisecond, flags: "fd"},
		{name: "probe of an interactive call", s: standing{spent: 4, probe: true}, o: failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.retrier == nil {
				tt.retrier = &Retrier{}
			}
			v := tt.s.verdict
			if v == nil {
				v = &verdict{}
			}
			if v.Class == classUnset {
				v.Outcome = tt.o
			}
			tt.s.verdict = v
			if tt.s.began.IsZero() {
				tt.s.began = retryNow
			}
			for _, random := range []float64{0, math.Nextafter(1, 0)} {
				tt.s.random = random
				p := tt.retrier.next(tt.s, retryNow)
				if p.again != tt.again {
					t.Fatalf("again: got %t, want %t", p.again, tt.again)
				}
				if !p.again {
					continue
				}
				if got := p.at.Sub(retryNow); got < tt.min || got > tt.max {
					t.Errorf("wait at random %v: got %v, want %v to %v", random, got, tt.min, tt.max)
				}
				flags := ""
				for _, f := range []struct {
					on   bool
					name string
				}{{p.free, "f"}, {p.doubtful, "d"}, {p.charged, "c"}} {
					if f.on {
						flags += f.name
					}
				}
				if flags != tt.flags {
					t.Errorf("flags: got %q, want %q", flags, tt.flags)
				}
				if (p.open != nil) != errors.As(v.err, new(*OpenError)) {
					t.Errorf("open: got %v", p.open)
				}
			}
		})
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	for _, tt := range []struct {
		r        *Retrier
		n        int
		min, max time.Duration
	}{
		{&Retrier{}, 1, 500 * time.Millisecond, time.Second},
		{&Retrier{}, 2, 500 * time.Millisecond, 2 * time.Second},
		{&Retrier{}, 20, 500 * time.Millisecond, 90 * time.Second},
		{&Retrier{MinDelay: time.Second, MaxDelay: 3 * time.Second}, 5, time.Second, 3 * time.Second},
		{&Retrier{MinDelay: 5 * time.Second, MaxDelay: 3 * time.Second}, 1, 3 * time.Second, 3 * time.Second},
		{&Retrier{MinDelay: -1}, 3, 0, 0},
		{&Retrier{MaxDelay: -1}, 1000, 500 * time.Millisecond, math.MaxInt64},
		{&Retrier{MinDelay: math.MaxInt64, MaxDelay: -1}, 3, math.MaxInt64, math.MaxInt64},
	} {
		low, high := tt.r.backoff(tt.n, 0), tt.r.backoff(tt.n, math.Nextafter(1, 0))
		if low != tt.min || high > tt.max || high < tt.max/2 {
			t.Errorf("%v, %v, n %d: got %v to %v, want %v to %v", tt.r.MinDelay, tt.r.MaxDelay, tt.n, low, high, tt.min, tt.max)
		}
	}
}

func TestCacheThatHasNothingSaysNothingOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(504)}}
		b := &Breaker{Failures: 4, Base: &Limiter{Base: &Classifier{Base: base}}}
		rt := &Retrier{Base: b}
		cached := getModels(t)
		cached.Header.Set("Cache-Control", "max-stale=60, Only-If-Cached")
		for n := 1; n <= 30; n++ {
			resp, err := rt.RoundTrip(cached)
			if err != nil || resp.StatusCode != 504 || base.sent() != n {
				t.Fatalf("call %d: %v, %v, %d requests in all", n, resp, err, base.sent())
			}
			if o := OutcomeOf(resp, nil); o.Class != ClassTimeout || o.Retryable {
				t.Errorf("outcome %+v", o)
			}
			resp.Body.Close()
		}
		if s := b.State(cached); s != StateClosed {
			t.Errorf("after 30 of them: %v", s)
		}
		for range 4 {
			send(t, &Retrier{MaxAttempts: 1, Base: b}, getModels(t))
			send(t, rt, cached)
		}
		if s := b.State(cached); s != StateOpen {
			t.Errorf("after 4 failures, with one of them behind each: %v", s)
		}
		time.Sleep(2 * time.Second)
		send(t, rt, cached)
		if s := b.State(cached); s == StateClosed {
			t.Error("one of them has closed the circuit")
		}
	})
}
