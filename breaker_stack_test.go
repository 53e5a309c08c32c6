package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What stands between a Breaker and its Limiter decides who claims the probe's
// slot, and when; failures open the circuit in any case.
func TestFailuresOpenTheCircuitInAnyStack(t *testing.T) {
	none := func(*http.Request) string { return "" }
	stacks := map[string]func(base http.RoundTripper) (http.RoundTripper, *Breaker){
		"alone": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: base}
			return b, b
		},
		"above a Limiter": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Limiter{Base: base}}
			return b, b
		},
		"above a Limiter that exempts": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Limiter{Base: base, Key: none}}
			return b, b
		},
		"above a Limiter that observes": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Limiter{Base: base, Observe: true}}
			return b, b
		},
		"above layers and a Limiter": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: Traced(&Classifier{Base: &Limiter{Base: base}}, &Trace{})}
			return b, b
		},
		"above a hidden Limiter": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			l := &Limiter{Base: base}
			b := &Breaker{Base: roundTrip(l.RoundTrip)}
			return b, b
		},
		"above two Limiters": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Limiter{Base: &Limiter{Base: base}}}
			return b, b
		},
		"below a Limiter": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: base}
			return &Limiter{Base: b}, b
		},
		"above a Retrier": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Retrier{Base: &Limiter{Base: base}, MaxAttempts: 1}}
			return b, b
		},
		"above a Breaker": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Breaker{Base: &Limiter{Base: base}, Failures: -1, Ratio: -1}}
			return b, b
		},
		"above a Breaker that exempts": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			b := &Breaker{Base: &Breaker{Base: &Limiter{Base: base}, Key: none}}
			return b, b
		},
		"the whole": func(base http.RoundTripper) (http.RoundTripper, *Breaker) {
			rt := NewTransport(base).(*Retrier)
			return rt, rt.Base.(*Breaker)
		},
	}
	for name, stack := range stacks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				soon()
				server := serverWith(503)
				rt, b := stack(server)
				for range 40 {
					ctx := WithoutRetry(t.Context())
					send(t, rt, get(t, "a.example").WithContext(ctx))
					time.Sleep(20 * time.Millisecond)
				}
				if got := b.State(get(t, "a.example")); got != StateOpen {
					t.Fatalf("after 40 failures: %v", got)
				}
				if got := server.hits.Load(); got != 10 {
					t.Errorf("%d requests were sent, want 10", got)
				}
				time.Sleep(10 * time.Second)
				server.status.Store(200)
				for range 3 {
					if status, err := send(t, rt, get(t, "a.example")); status != 200 {
						t.Errorf("after the pause: %d, %v", status, err)
					}
				}
				if got := b.State(get(t, "a.example")); got != StateClosed {
					t.Errorf("after a success: %v", got)
				}
			})
		})
	}
}

func TestQueuedCallsComeBackWhenTheCircuitOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		server.delay = 5 * time.Second
		l := &Limiter{Base: &Classifier{Base: server}, Requests: []Rate{{N: 60, Per: time.Minute, Burst: 10}}}
		b := &Breaker{Base: l}
		var attempted atomic.Int64
		var opened time.Time
		rt := Traced(b, &Trace{
			Attempted:    func(AttemptInfo) { attempted.Add(1) },
			StateChanged: func(StateInfo) { opened = time.Now() },
		})
		var wg sync.WaitGroup
		var released atomic.Int64
		at := make([]time.Time, 60) // when each was released
		for i := range 60 {
			wg.Go(func() {
				body := &closeCounter{Reader: strings.NewReader("{}")}
				req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://a.example/v1/x", body)
				_, err := send(t, rt, req)
				var open *OpenError
				if errors.As(err, &open) {
					released.Add(1)
					at[i] = time.Now()
					if body.closed.Load() != 1 {
						t.Errorf("call %d: the body was closed %d times", i, body.closed.Load())
					}
				}
			})
		}
		wg.Wait()
		if released.Load() < 40 {
			t.Errorf("%d of 60 calls came back with an OpenError", released.Load())
		}
		for i, at := range at {
			if !at.IsZero() && !at.Equal(opened) {
				t.Errorf("call %d was released %v after the circuit opened", i, at.Sub(opened))
			}
		}
		if sent := server.hits.Load(); sent+released.Load() != 60 || attempted.Load() != sent {
			t.Errorf("%d sent, %d told of, %d released, of 60", sent, attempted.Load(), released.Load())
		}
		// What never went out has spent nothing.
		server.status.Store(200)
		server.delay = 0
		time.Sleep(10 * time.Second)
		before := server.hits.Load()
		for range 8 {
			if status, err := send(t, rt, get(t, "a.example")); status != 200 {
				t.Errorf("afterwards: %d, %v", status, err)
			}
		}
		if got := server.hits.Load() - before; got != 8 {
			t.Errorf("%d hits, want 8", got)
		}
	})
}

func TestOpenCircuitSpendsNoBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: &Limiter{Base: server, Requests: []Rate{{N: 1, Per: time.Hour, Burst: 11}}}}
		trip(t, b, "a.example")
		began := time.Now()
		for range 100 {
			refusal(t, b, get(t, "a.example"))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("100 refusals took %v", took)
		}
		time.Sleep(time.Second)
		server.status.Store(200)
		if status, err := send(t, b, get(t, "a.example")); status != 200 {
			t.Errorf("the eleventh of the budget: %d, %v", status, err)
		}
	})
}

// A call that is cancelled, or refused, while it queues says nothing of the server,
// and holds no probe's slot.
func TestQueuedCallThatNeverGoesOutCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: &Limiter{Base: server, Requests: []Rate{{N: 1, Per: time.Hour, Burst: 10}}, MaxWait: 3 * time.Hour}}
		trip(t, b, "a.example") // which spends the burst
		time.Sleep(2 * time.Second)
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if i%2 == 0 {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
			}
			if _, err := send(t, b, get(t, "a.example").WithContext(ctx)); err == nil {
				t.Error("it was sent")
			}
			cancel()
			if got := b.State(get(t, "a.example")); got != StateHalfOpen {
				t.Fatalf("call %d: %v", i, got)
			}
		}
		server.status.Store(200)
		if status, err := send(t, b, get(t, "a.example")); status != 200 {
			t.Errorf("the probe, an hour later: %d, %v", status, err)
		}
	})
}

func TestOutageUnderTheWholeStackEndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		from := time.Now().Add(40 * time.Second)
		o := &outage{from: from, to: from.Add(time.Minute), fails: func(req *http.Request, _ int) (*http.Response, error) {
			return answer(req, 503), nil
		}}
		var opened time.Time
		rt := Traced(NewTransport(o), &Trace{StateChanged: func(i StateInfo) {
			if i.To == StateOpen && opened.IsZero() {
				opened = time.Now()
			}
		}})
		calls := 0
		var back time.Time
		steadyLoad(t, rt, 2*time.Minute, func(began time.Time, took time.Duration, status int, err error) {
			if began.After(from) && began.Before(o.to) {
				calls++
			}
			if began.After(o.to) && status != 200 && began.After(back) {
				back = began
			}
		})
		perCall := float64(o.hits) / float64(calls)
		t.Logf("opened after %v, %.3f requests a call, back after %v", opened.Sub(from), perCall, max(0, back.Sub(o.to)))
		if opened.IsZero() || opened.Sub(from) > 2*time.Second {
			t.Errorf("opened after %v", opened.Sub(from))
		}
		if perCall > 0.3 {
			t.Errorf("%.3f requests a call", perCall)
		}
		if back.Sub(o.to) > 10*time.Second {
			t.Errorf("calls were still refused %v after the server was back", back.Sub(o.to))
		}
	})
}

// Batch calls outwait an outage, and none of them fails.
func TestBatchCallsWaitForAnOpenCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		from := time.Now().Add(2 * time.Second)
		o := &outage{from: from, to: from.Add(time.Minute), fails: func(req *http.Request, _ int) (*http.Response, error) {
			return answer(req, 503), nil
		}}
		rt := NewTransport(o)
		failed := map[string]int{}
		var last time.Time
		steadyLoad(t, rt, 1*time.Second, func(time.Time, time.Duration, int, error) {})
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 400 {
			time.Sleep(20 * time.Millisecond)
			wg.Go(func() {
				req := get(t, "a.example")
				status, err := send(t, rt, req.WithContext(WithPriority(req.Context(), PriorityBatch)))
				mu.Lock()
				defer mu.Unlock()
				last = time.Now()
				if status != 200 {
					failed[fmt.Sprint(status, err)]++
				}
			})
		}
		wg.Wait()
		t.Logf("%d requests during the outage; all done %v after it", o.hits, last.Sub(o.to))
		if len(failed) > 0 {
			t.Errorf("failed: %v", failed)
		}
		if o.hits > 60 {
			t.Errorf("%d requests during the outage", o.hits)
		}
		if late := last.Sub(o.to); late > 15*time.Second {
			t.Errorf("done %v after the outage", late)
		}
	})
}

// After minutes of outages, hangs, denials and cancellations on three hosts each
// call has ended, each request was told of, and no slot or pin is left.
func TestNothingIsLeftBehindByAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		var hits atomic.Int64
		base := roundTrip(func(req *http.Request) (*http.Response, error) {
			closeBody(req)
			hits.Add(1)
			delay := time.Duration(rand.ExpFloat64() * float64(time.Second))
			if rand.IntN(50) == 0 {
				delay = time.Hour
			}
			select {
			case <-time.After(delay):
			case <-req.Context().Done():
				return nil, context.Cause(req.Context())
			}
			healthy := time.Now().Minute()%2 == 0
			switch n := rand.IntN(10); {
			case healthy && n < 8:
				return answer(req, 200), nil
			case n == 0:
				return answer(req, 429, "Retry-After", "1"), nil
			case n < 4:
				return nil, errors.New("connection reset by peer")
			}
			return answer(req, 503), nil
		})
		limiter := &Limiter{Base: &Classifier{Base: base}, Requests: []Rate{PerSecond(20)}, InFlight: 20}
		breaker := &Breaker{Base: limiter, Probes: 2, ProbeTimeout: 5 * time.Second}
		var told, opened atomic.Int64
		rt := Traced(&Retrier{Base: breaker}, &Trace{
			Attempted:    func(AttemptInfo) { told.Add(1) },
			StateChanged: func(StateInfo) { opened.Add(1) },
		})
		var wg sync.WaitGroup
		var ended atomic.Int64
		const callers, calls = 60, 20
		for i := range callers {
			wg.Go(func() {
				for range calls {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(60))*time.Second)
					if rand.IntN(3) == 0 {
						ctx = WithPriority(ctx, PriorityBatch)
					}
					if rand.IntN(4) == 0 {
						time.AfterFunc(time.Duration(rand.ExpFloat64()*float64(time.Second)), cancel)
					}
					body := &closeCounter{Reader: strings.NewReader("{}")}
					req, _ := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("https://%d.example/v1", i%3), body)
					send(t, rt, req)
					if body.closed.Load() == 0 {
						t.Error("a body was not closed")
					}
					cancel()
					ended.Add(1)
					time.Sleep(time.Duration(rand.IntN(int(5 * time.Second))))
				}
			})
		}
		wg.Wait()
		if ended.Load() != callers*calls || hits.Load() != told.Load() || opened.Load() == 0 {
			t.Errorf("%d of %d calls ended, %d requests were sent and %d told of, circuits changed %d times",
				ended.Load(), callers*calls, hits.Load(), told.Load(), opened.Load())
		}
		for key, e := range breaker.circuits.entries {
			if e.pins.Load() != 0 || len(e.value.probes) != 0 {
				t.Errorf("%s: %d pins and %d probes are left", key, e.pins.Load(), len(e.value.probes))
			}
		}
		for key, e := range limiter.keys.entries {
			if e.pins.Load() != 0 || e.value.queued() != 0 {
				t.Errorf("%s: %d pins and %d waiters are left", key, e.pins.Load(), e.value.queued())
			}
		}
	})
}

// The lower of two Limiters takes no part in the attempt that the upper one has
// joined: nobody below asks for the Breaker between them.
func TestBreakerBetweenTwoLimitersCounts(t *testing.T) {
	b := &Breaker{Failures: 3, Base: &Limiter{Base: &Classifier{Base: serverWith(500)}}}
	rt := &Limiter{Key: HostKey, Base: b}
	for range 5 {
		rt.RoundTrip(get(t, "a.example"))
	}
	if got := b.State(get(t, "a.example")); got != StateOpen {
		t.Errorf("%v after 5 failures", got)
	}
}

func TestAnswerThatOpensTheCircuitIsReturnedWhenNoRetryWouldPassIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			pause time.Duration
			open  bool // the retry finds the circuit open, or half-open
		}{
			{"the circuit is open until after the retry", 10 * time.Second, true},
			{"the circuit lets the retry through as a probe", time.Millisecond, false},
		} {
			base := &repliesBase{replies: []reply{replyWith(500), replyWith(500), replyWith(200)}}
			rt := &Retrier{Base: &Breaker{Failures: 2, Pause: tt.pause, Base: &Limiter{Base: &Classifier{Base: base}}}}
			began := time.Now()
			resp, err := rt.RoundTrip(getModels(t))
			switch {
			case err != nil:
				t.Errorf("%s: %v, want a response", tt.name, err)
			case tt.open && (resp.StatusCode != 500 || time.Since(began) > time.Second):
				t.Errorf("%s: status %d after %v, want 500 without another wait", tt.name, resp.StatusCode, time.Since(began))
			case !tt.open && resp.StatusCode != 200:
				t.Errorf("%s: status %d, want 200", tt.name, resp.StatusCode)
			}

			broken := errors.New("broken")
			base = &repliesBase{replies: []reply{replyError(broken)}}
			rt = &Retrier{Base: &Breaker{Failures: 2, Pause: 10 * time.Second, Base: &Classifier{Base: base}}}
			if _, err := rt.RoundTrip(getModels(t)); err != broken {
				t.Errorf("%s: got %v, want the error of the last attempt", tt.name, err)
			}
		}
	})
}

func TestCircuitThatAnAnswerDidNotComeThroughIsNotAskedAboutItsRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spareAnswers := 0
		first := &Breaker{Failures: 1, Pause: 10 * time.Second, Base: serverWith(503)}
		spare := &Breaker{Pause: 10 * time.Second, Base: breakerBase(func(req *http.Request) (*http.Response, error) {
			if spareAnswers++; spareAnswers == 1 {
				return answer(req, 503), nil
			}
			return answer(req, 200), nil
		})}
		rt := &Retrier{Base: breakerBase(func(req *http.Request) (*http.Response, error) {
			resp, err := first.RoundTrip(req)
			if err == nil && resp.StatusCode < 500 {
				return resp, nil
			}
			if err == nil {
				resp.Body.Close()
			}
			return spare.RoundTrip(req)
		})}
		if status, err := send(t, rt, get(t, "a.example")); status != 200 {
			t.Errorf("%d, %v after %d answers of the spare", status, err, spareAnswers)
		}
	})
}
