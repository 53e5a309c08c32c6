package steadyhttp

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// oneAtATime is a queue whose requests go one a second.
func oneAtATime() *queue {
	return (&Limiter{Requests: []Rate{{N: 1, Per: time.Second, Burst: 1}}}).newQueue("k")
}

// joins admits an interactive request of a call that began then, or panics.
func joins(q *queue, began time.Time, batch bool) *waiter {
	w := new(waiter)
	_, err := q.admit(time.Now(), "k", w, &request{
		cost: cost{requests: 1}, began: began, batch: batch, maxWait: time.Hour, maxQueue: 100,
	})
	if err != nil {
		panic(err)
	}
	return w
}

// order returns the order in which waiters have their turn.
func order(q *queue, waiters ...*waiter) (got []int) {
	for len(got) < len(waiters) {
		time.Sleep(time.Second)
		synctest.Wait()
		for i, w := range waiters {
			select {
			case <-w.turn:
				got = append(got, i)
			default:
			}
		}
	}
	return got
}

func TestQueueIsInTheOrderInWhichCallsBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, now := oneAtATime(), time.Now()
		joins(q, now, false)
		at := func(s int) *waiter { return joins(q, now.Add(time.Duration(s)*time.Millisecond), false) }
		// The fourth is a retry of a call that began first.
		if got := order(q, at(20), at(30), at(30), at(10), at(40)); !slices.Equal(got, []int{3, 0, 1, 2, 4}) {
			t.Errorf("served in the order %v", got)
		}
	})
}

func TestBatchWaitsBehindInteractiveUntilItHasAged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, now := oneAtATime(), time.Now()
		joins(q, now, false)
		batch := joins(q, now, true)
		soon, late := joins(q, now.Add(29*time.Second), false), joins(q, now.Add(31*time.Second), false)
		if got := order(q, batch, soon, late); !slices.Equal(got, []int{1, 0, 2}) {
			t.Errorf("a batch call, one 29 s and one 31 s later are served in the order %v", got)
		}
	})
}

func TestQueueThatIsEmptyHasNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, now := oneAtATime(), time.Now()
		want := func(running bool, when string) {
			q.mu.Lock()
			defer q.mu.Unlock()
			if (q.timer != nil) != running || q.due.IsZero() == running || (q.waiting > 0) != running || (len(q.lines) > 0) != running {
				t.Errorf("%s: a timer %v, %d waiting in %d lines", when, q.timer != nil, q.waiting, len(q.lines))
			}
		}
		joins(q, now, false)
		want(false, "nothing waits")
		w := joins(q, now, false)
		want(true, "one waits")
		order(q, w)
		want(false, "it had its turn")
		w = joins(q, now, false)
		want(true, "one waits again")
		q.leave(time.Now(), "k", w)
		want(false, "it gave up")
	})
}

// serve is a Limiter before a server that answers at once, unless base is given.
func serve(l *Limiter, base http.RoundTripper) *Limiter {
	if l.Base = base; base == nil {
		l.Base = canned(200, nil, "")
	}
	return l
}

// listModels is a request that a Provider answers.
func listModels(t *testing.T, ctx context.Context) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://api.test/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestCancelledCallersLeaveNothingBehind has 50 callers a second, each of which
// gives up after 2 s, at a server of 10 a second.
func TestCancelledCallersLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Requests: []Rate{{N: 10, Per: time.Second, Burst: 1}}}, nil)
		var served atomic.Int32
		var wg sync.WaitGroup
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				defer time.AfterFunc(2*time.Second, cancel).Stop()
				if _, err := l.RoundTrip(edgeRequest(t, ctx)); err == nil {
					served.Add(1)
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("a caller that waits for 2 s gets %v", err)
				}
			})
		}
		if n := served.Load(); n < 600 {
			t.Errorf("%d were served in a minute, want 600", n)
		}
		wg.Wait()
		start := time.Now()
		if _, err := l.RoundTrip(edgeRequest(t, t.Context())); err != nil {
			t.Fatal(err)
		}
		if wait := time.Since(start); wait > 200*time.Millisecond {
			t.Errorf("an idle request afterwards waits for %v", wait)
		}
		if left := Leftovers(l); left != nil {
			t.Error(left)
		}
		t.Logf("%d served, then one after %v", served.Load(), time.Since(start))
	})
}

// TestDeadlinesUseTheWholeCapacity offers 15 a second, each with 30 s, to a
// server that admits 10 a second and takes its time.
func TestDeadlinesUseTheWholeCapacity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{
			Limits:  []steadytest.Limit{{N: 600, Per: time.Minute}},
			Latency: 2 * time.Second,
		}
		l := &Limiter{Base: &Classifier{Base: p}}
		var served, refused, vain, slow atomic.Int32
		var wg sync.WaitGroup
		const minutes = 10
		for start, i := time.Now(), 0; time.Since(start) < minutes*time.Minute; i++ {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				resp, err := l.RoundTrip(listModels(t, ctx))
				var limit *LimitError
				switch {
				case err == nil && resp.StatusCode == 200:
					served.Add(1)
				case errors.As(err, &limit) && limit.Reason == "deadline" && errors.Is(err, context.DeadlineExceeded):
					refused.Add(1)
					if time.Since(began) > 0 {
						slow.Add(1)
					}
				default:
					vain.Add(1)
				}
			})
			time.Sleep(time.Second / 15)
		}
		wg.Wait()
		capacity := 600 + 600*minutes + 10*28.0 // full at first; the last calls are sent within 28 s
		share := float64(served.Load()) / capacity
		if share < 0.97 || vain.Load() > 0 {
			t.Errorf("%.1f %% of the capacity is used, and %d were sent or denied in vain", 100*share, vain.Load())
		}
		if n := refused.Load(); slow.Load() > n/100 || n == 0 {
			t.Errorf("of %d refusals %d came late", n, slow.Load())
		}
		t.Logf("%.1f %% used, %d refused, %d of them late, %d in vain", 100*share, refused.Load(), slow.Load(), vain.Load())
	})
}

func TestOneSlowMinuteDoesNotRefuseForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		latency := 20 * time.Second
		l := serve(&Limiter{Requests: []Rate{{N: 1, Per: time.Second, Burst: 1}}}, tracedBase(func(req *http.Request) (*http.Response, error) {
			time.Sleep(latency)
			return canned(200, nil, "")(req)
		}))
		call := func() error { // one that has to wait, with 10 s to live
			l.RoundTrip(edgeRequest(t, WithPriority(t.Context(), PriorityBatch)))
			go l.RoundTrip(edgeRequest(t, t.Context()))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := l.RoundTrip(edgeRequest(t, ctx))
			return err
		}
		var limit *LimitError
		if err := call(); !errors.As(err, &limit) || limit.Reason != "deadline" {
			t.Errorf("a wait of 1 s before a call of 20 s, with 10 s to live: %v", err)
		}
		time.Sleep(82 * time.Second)
		latency = 0
		l.RoundTrip(edgeRequest(t, t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := l.RoundTrip(edgeRequest(t, ctx)); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func TestCallThatNeedNotWaitIsSentWhateverItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{}, tracedBase(func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return canned(200, nil, "")(req)
		}))
		l.RoundTrip(edgeRequest(t, t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := l.RoundTrip(edgeRequest(t, ctx)); err != nil {
			t.Error(err)
		}
	})
}

// Of a new key nothing is known until its first answer, which may take a minute.
// That holds a call back for as long as it is patient, but refuses none.
func TestIgnoranceRefusesNobody(t *testing.T) {
	const calls = 32
	for _, c := range []struct {
		name    string
		limiter *Limiter
		took    time.Duration // until all are sent
		refused int
	}{
		{"patient", &Limiter{}, (calls - coldStart) * time.Second, 0},
		{"hardly patient", &Limiter{MaxWait: 2 * time.Second}, 2 * time.Second, 0},
		{"not patient at all", &Limiter{MaxWait: -1}, 0, 0},
		{"hardly patient, and a ceiling", &Limiter{MaxWait: 2 * time.Second, Requests: []Rate{{N: 20, Per: time.Hour, Burst: 20}}}, 2 * time.Second, calls - 20},
		{"not patient at all, and so many in flight", &Limiter{MaxWait: -1, InFlight: 20}, 0, calls - 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var last, refused atomic.Int64
				l := serve(c.limiter, roundTripFunc(func(req *http.Request) (*http.Response, error) {
					last.Store(max(last.Load(), int64(time.Since(start))))
					time.Sleep(time.Minute)
					return answer(req, 200), nil
				}))
				var wg sync.WaitGroup
				for range calls {
					wg.Go(func() {
						if _, err := l.RoundTrip(edgeRequest(t, t.Context())); err != nil {
							refused.Add(1)
						}
					})
				}
				wg.Wait()
				if got := time.Duration(last.Load()); got != c.took || int(refused.Load()) != c.refused {
					t.Errorf("the last was sent after %v, and %d refused; want %v and %d", got, refused.Load(), c.took, c.refused)
				}
			})
		})
	}
}

func TestRefusalsAreAtOnceAndSayWhen(t *testing.T) {
	for _, c := range []struct {
		name     string
		limiter  *Limiter
		deadline time.Duration
		batch    bool
		reason   string // "" if it waits
	}{
		{"a short wait", &Limiter{}, 0, false, ""},
		{"beyond MaxWait", &Limiter{MaxWait: 9 * time.Second}, 0, false, "wait"},
		{"within MaxWait", &Limiter{MaxWait: 11 * time.Second}, 0, false, ""},
		{"no waiting at all", &Limiter{MaxWait: -1}, 0, false, "wait"},
		{"batch is patient", &Limiter{MaxWait: -1}, 0, true, ""},
		{"beyond the deadline", &Limiter{}, 9 * time.Second, false, "deadline"},
		{"within the deadline", &Limiter{}, 11 * time.Second, false, ""},
		{"batch beyond the deadline", &Limiter{}, 9 * time.Second, true, "deadline"},
		{"beyond both", &Limiter{MaxWait: 5 * time.Second}, 9 * time.Second, false, "deadline"},
		{"MaxWait is shorter, the deadline is met", &Limiter{MaxWait: 9 * time.Second}, 20 * time.Second, false, "wait"},
		{"no queue", &Limiter{MaxQueue: -1}, 0, false, "queue"},
		{"no queue for batch either", &Limiter{MaxQueue: -1}, 0, true, "queue"},
		{"a queue of one", &Limiter{MaxQueue: 1}, 0, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.limiter.Requests = []Rate{{N: 1, Per: 10 * time.Second, Burst: 1}}
				c.limiter.Key = func(*http.Request) string { return "the key" }
				l := serve(c.limiter, nil)
				l.RoundTrip(edgeRequest(t, t.Context()))
				ctx := t.Context()
				if c.batch {
					ctx = WithPriority(ctx, PriorityBatch)
				}
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				start := time.Now()
				resp, err := l.RoundTrip(edgeRequest(t, ctx))
				took := time.Since(start)
				if c.reason == "" {
					if err != nil || took < 9900*time.Millisecond || took > 10100*time.Millisecond {
						t.Errorf("after %v: %v", took, err)
					}
					return
				}
				var limit *LimitError
				if !errors.As(err, &limit) || resp != nil {
					t.Fatalf("after %v: %v, %v", took, resp, err)
				}
				in := limit.RetryAt.Sub(start)
				if took != 0 || limit.Reason != c.reason || limit.Key != "the key" || in < 9900*time.Millisecond || in > 10100*time.Millisecond {
					t.Errorf("after %v: %+v, in %v", took, limit, in)
				}
				late := c.reason == "deadline"
				if errors.Is(err, context.DeadlineExceeded) != late || limit.Timeout() != late || !limit.Temporary() || limit.RetryableError() {
					t.Errorf("%v: is DeadlineExceeded %v, timeout %v, temporary %v, retryable %v",
						err, errors.Is(err, context.DeadlineExceeded), limit.Timeout(), limit.Temporary(), limit.RetryableError())
				}
				if got := OutcomeOf(nil, err).Class; got != ClassRefused {
					t.Errorf("class %v", got)
				}
				if left := Leftovers(l); left != nil {
					t.Error(left)
				}
			})
		})
	}
}

// A long hold arrives while others wait: who cannot wait for its end is told so
// at once.
func TestLongHoldRefusesThoseWhoWaitAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		l := serve(&Limiter{InFlight: 1}, tracedBase(func(req *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				time.Sleep(5 * time.Second)
				return canned(429, http.Header{"Retry-After": {"600"}}, "")(req)
			}
			return canned(200, nil, "")(req)
		}))
		start := time.Now()
		type result struct {
			reason string
			after  time.Duration
		}
		var wg sync.WaitGroup
		send := func(ctx context.Context) *result {
			r := &result{}
			wg.Go(func() {
				_, err := l.RoundTrip(edgeRequest(t, ctx))
				var limit *LimitError
				if r.after = time.Since(start); errors.As(err, &limit) {
					r.reason = limit.Reason
					if in := limit.RetryAt.Sub(start); in < 604*time.Second || in > 606*time.Second {
						t.Errorf("%s: come back after %v, want 605 s", limit.Reason, in)
					}
				} else if err != nil {
					r.reason = err.Error()
				}
			})
			synctest.Wait()
			return r
		}
		send(t.Context())
		interactive := send(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		dated := send(WithPriority(ctx, PriorityBatch))
		batch := send(WithPriority(t.Context(), PriorityBatch))
		wg.Wait()
		if *interactive != (result{"wait", 5 * time.Second}) {
			t.Errorf("an interactive call: %+v", *interactive)
		}
		if *dated != (result{"deadline", 5 * time.Second}) {
			t.Errorf("a call with a deadline: %+v", *dated)
		}
		if batch.reason != "" || batch.after < 605*time.Second || batch.after > 607*time.Second {
			t.Errorf("a batch call: %+v", *batch)
		}
	})
}

func TestNewHeaderRetimesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		answers := []struct {
			takes            time.Duration
			limit, remaining string
		}{{0, "5", "1"}, {5 * time.Second, "50", "40"}, {0, "50", "39"}}
		l := serve(&Limiter{}, tracedBase(func(req *http.Request) (*http.Response, error) {
			a := answers[n]
			n++
			time.Sleep(a.takes)
			return canned(200, http.Header{
				"X-Ratelimit-Limit": {a.limit}, "X-Ratelimit-Remaining": {a.remaining}, "X-Ratelimit-Reset": {"60"},
			}, "")(req)
		}))
		start := time.Now()
		l.RoundTrip(edgeRequest(t, t.Context()))
		time.Sleep(time.Second / 2)
		go l.RoundTrip(edgeRequest(t, t.Context()))
		synctest.Wait()
		time.Sleep(time.Second / 2)
		if _, err := l.RoundTrip(edgeRequest(t, t.Context())); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 5500*time.Millisecond {
			t.Errorf("the waiting call went after %v, want when the raised limit was told, 5.5 s", took)
		}
	})
}

func TestBurstOfCallsIsServedInTurnAndNoneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 20, Per: 2 * time.Second}}, Latency: 300 * time.Millisecond}
		l := &Limiter{Base: &Classifier{Base: p}}
		var wg sync.WaitGroup
		start := time.Now()
		for burst := range 3 {
			time.Sleep(time.Until(start.Add(time.Duration(burst) * 10 * time.Second)))
			for range 100 {
				wg.Go(func() {
					resp, err := l.RoundTrip(listModels(t, t.Context()))
					if err != nil {
						t.Error(err)
					} else if resp.Body.Close(); resp.StatusCode != 200 {
						t.Errorf("status %d", resp.StatusCode)
					}
				})
			}
		}
		wg.Wait()
		if took := time.Since(start); took > 32*time.Second {
			t.Errorf("300 calls at 10 a second took %v", took)
		}
		if c := p.Counts(); c.Denied > 0 {
			t.Errorf("%d denied", c.Denied)
		}
	})
}

// TestBatchIsNotStarved offers twice as many interactive calls as the server
// admits.
func TestBatchIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Requests: []Rate{{N: 10, Per: time.Second, Burst: 1}}, MaxWait: 20 * time.Second}, nil)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				wg.Go(func() { l.RoundTrip(edgeRequest(t, ctx)) })
				time.Sleep(50 * time.Millisecond)
			}
		})
		time.Sleep(30 * time.Second)
		start := time.Now()
		if _, err := l.RoundTrip(edgeRequest(t, WithPriority(t.Context(), PriorityBatch))); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 15*time.Second || took > aging+21*time.Second {
			t.Errorf("the batch call waited for %v", took)
		}
		stop()
		wg.Wait()
	})
}

func TestObserverHoldsNothingBackAndTellsWhatItWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Observe: true, MaxQueue: -1, MaxWait: -1, Requests: []Rate{{N: 1, Per: 10 * time.Second, Burst: 1}}}, nil)
		var waits []time.Duration
		ctx := WithTrace(t.Context(), &Trace{Waiting: func(i WaitInfo) { waits = append(waits, i.Expected.Round(time.Second)) }})
		start := time.Now()
		for range 3 {
			if _, err := l.RoundTrip(edgeRequest(t, ctx)); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it has held back for %v", took)
		}
		if want := []time.Duration{10 * time.Second, 10 * time.Second}; !slices.Equal(waits, want) {
			t.Errorf("it would have waited %v, want %v", waits, want)
		}
	})
}

// A batch call that began long ago, of which this is a retry, has aged on arrival.
func TestAgedBatchCallIsNotHeldFromTheLastTenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		q, now := (&Limiter{}).newQueue("k"), time.Now()
		w := joins(q, now, false)
		q.settle(now, "k", w, &ending{Outcome: Outcome{Class: ClassSuccess, Quotas: []Quota{
			{Resource: "requests", Limit: 100, Remaining: 8, Reset: now.Add(time.Hour)},
		}}})
		if w := joins(q, now, true); w.admitted {
			t.Error("a new batch call takes of what is kept for interactive ones")
		}
		if w := joins(q, now.Add(-aging), true); !w.admitted {
			t.Error("a batch call that has aged is held back")
		}
	})
}

func TestForecastCountsTheTokensOfThoseAhead(t *testing.T) {
	l := &line{all: make([]*waiter, 4), cost: cost{4, Tokens{Input: 400, Output: 80}}}
	for place, want := range map[int]cost{
		0: {}, 1: {1, Tokens{100, 20}}, 2: {2, Tokens{200, 40}}, 4: {4, Tokens{400, 80}},
	} {
		if got := l.ahead(place); got != want {
			t.Errorf("ahead of place %d: %v, want %v", place, got, want)
		}
	}
	var none *line
	if got := none.ahead(0); got != (cost{}) {
		t.Errorf("in no line: %v", got)
	}
}

// Batch calls that have waited for long stand before it, and learn as little.
func TestIgnoranceRefusesNobodyBehindBatchCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{MaxWait: -1}, roundTripFunc(func(req *http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Minute)
			return answer(req, 200), nil
		}))
		for range 100 {
			go l.RoundTrip(edgeRequest(t, WithPriority(t.Context(), PriorityBatch)))
		}
		time.Sleep(40*time.Second + 500*time.Millisecond)
		if _, err := l.RoundTrip(edgeRequest(t, t.Context())); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
	})
}

// Of the first two calls of a key, that which read the clock first may come to the
// queue second.
func TestFirstCallsOfAKeyMayComeInAnyOrder(t *testing.T) {
	for name, c := range map[string]struct {
		limiter *Limiter
		batch   bool
	}{
		"interactive": {&Limiter{}, false}, "batch": {&Limiter{}, true}, "impatient": {&Limiter{MaxWait: -1}, false}, "observed": {&Limiter{Observe: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow, ctx := make(chan struct{}), t.Context()
				if c.batch {
					ctx = WithPriority(ctx, PriorityBatch)
				}
				var calls atomic.Int32
				c.limiter.Cost = func(*http.Request) Tokens { // between the clock and the queue
					if calls.Add(1) == 1 {
						<-slow
					}
					return Tokens{}
				}
				l := serve(c.limiter, nil)
				done := make(chan error, 1)
				go func() {
					_, err := l.RoundTrip(edgeRequest(t, ctx))
					done <- err
				}()
				synctest.Wait()
				time.Sleep(time.Millisecond)
				if _, err := l.RoundTrip(edgeRequest(t, ctx)); err != nil {
					t.Error(err)
				}
				start := time.Now()
				close(slow)
				if err := <-done; err != nil || time.Since(start) > 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// joinsRoute is joins for a route, at a time that may be later than the timer's.
func joinsRoute(q *queue, now time.Time, route uint64, began time.Time, tokens int64) *waiter {
	w := new(waiter)
	if _, err := q.admit(now, "k", w, &request{
		cost: cost{1, Tokens{Input: tokens}}, route: route, began: began, maxWait: time.Hour, maxQueue: 100,
	}); err != nil {
		panic(err)
	}
	return w
}

// slowRoute gives a route a pace of its own, of one request in a hundred seconds.
func slowRoute(q *queue, route uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.ledger.epoch.now(time.Now())
	q.routeLocked(route).own = &ownLimit{pace: newPace(now, 0.01, now, 0)}
}

func TestLineThatIsMadeForANewcomerKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, now := oneAtATime(), time.Now()
		at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
		joinsRoute(q, now, 1, now, 0)
		joinsRoute(q, now, 1, at(1), 0)
		for i := range 4 {
			joinsRoute(q, now, 2, at(10+i), 0)
		}
		slowRoute(q, 2)
		last := joinsRoute(q, at(1001), 2, at(1001), 0) // before the timer has the lock
		joinsRoute(q, at(1001), 2, at(5), 0)
		if !slices.IsSortedFunc(last.line.all, func(a, b *waiter) int { return a.order.Compare(b.order) }) {
			t.Error("it stands before older ones")
		}
		q.leave(at(1002), "k", last)
	})
}

func TestOlderWaitersOfARouteOfItsOwnPaceAreNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := (&Limiter{Tokens: []Rate{{N: 1000, Per: time.Minute, Burst: 1000}}}).newQueue("k")
		answered := joinsRoute(q, time.Now(), 2, time.Now(), 10)
		joinsRoute(q, time.Now(), 1, time.Now(), 900)
		joinsRoute(q, time.Now(), 1, time.Now(), 900) // waits for tokens
		time.Sleep(time.Millisecond)
		old := joinsRoute(q, time.Now(), 2, time.Now(), 10)
		time.Sleep(time.Second)
		q.mu.Lock()
		now := q.ledger.epoch.now(time.Now())
		q.ledger.pace = newPace(now, 100, now, 1)
		q.ledger.pace.all = record{oddDenials, 100}
		own := q.routeLocked(2).ownSince(q.ledger.pace)
		own.record.denied = oddDenials
		q.ledger.pace.streaks, q.ledger.pace.streak, q.ledger.pace.cut = 9, 0, now.Add(-time.Minute)
		q.mu.Unlock()
		q.settle(time.Now(), "k", answered, &ending{Outcome: Outcome{Class: ClassRateLimited}})
		q.mu.Lock()
		defer q.mu.Unlock()
		if own.pace == nil {
			t.Fatal("the route has no pace of its own")
		}
		if len(old.line.all) != 1 {
			t.Error("it is left behind those of another route")
		}
	})
}

func TestWhoAsksIsNotOneWhoseOwnPaceForbidsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const denied, slow, good = 1, 2, 3
		q, now := (&Limiter{}).newQueue("k"), time.Now()
		i := q.ledger.epoch.now(now)
		q.ledger.pace = newPace(i, 1, i, 1)
		q.routeLocked(denied).ownSince(q.ledger.pace).record.denied = 1
		slowRoute(q, slow)
		joinsRoute(q, now, denied, now.Add(1), 0)
		joinsRoute(q, now, slow, now.Add(2), 0)
		w := joinsRoute(q, now, good, now.Add(3), 0)
		time.Sleep(2 * time.Second)
		select {
		case <-w.turn:
		default:
			t.Error("the route that was denied goes again before one that was not")
		}
	})
}
