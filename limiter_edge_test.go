package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// settleAs ends c as a success that says so much of a scope.
func settleAs(l *ledger, now time.Time, c *claim, scope string, limit, remaining int64) {
	l.settle(now, c, &ending{Outcome: Outcome{Class: ClassSuccess, Quotas: []Quota{
		{Resource: "requests", Scope: scope, Limit: limit, Remaining: remaining},
	}}})
}

func TestAnswerOfAnotherScopeLeavesPendingClaimsAlone(t *testing.T) {
	begin := time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	var l ledger
	core, search := &route{}, &route{}
	send := func(ms int, r *route) *claim {
		c := &claim{cost: cost{requests: 1}, route: r}
		l.charge(at(ms), c)
		return c
	}
	settleAs(&l, at(10), send(0, core), "core", 100, 99)
	settleAs(&l, at(30), send(20, search), "search", 100, 99)

	send(1000, core)
	between := send(1200, search)
	settleAs(&l, at(1410), send(1400, core), "core", 100, 97)
	send(1600, core) // never answered
	settleAs(&l, at(1650), between, "search", 100, 98)
	settleAs(&l, at(1710), send(1700, core), "core", 100, 96)

	b := l.budgets[0]
	if got, want := b.level(l.epoch.instant(at(1720))), 95.0; got != want {
		t.Errorf("%v left of the first scope, want %v: 96 less the one that is not answered", got, want)
	}
}

func TestNewcomerOfAnotherScopeDoesNotOvertake(t *testing.T) {
	now := time.Now()
	q := (&Limiter{Requests: []Rate{{N: 1, Per: time.Hour, Burst: 1}}}).newQueue("k")
	q.routeLocked(1).answered([]Quota{{Scope: "core"}})
	q.routeLocked(2).answered([]Quota{{Scope: "search"}})
	arrive := func(after time.Duration, route uint64) *waiter {
		w := new(waiter)
		_, err := q.admit(now.Add(after), "k", w, &request{
			cost: cost{requests: 1}, route: route, began: now.Add(after), maxWait: 10 * time.Hour, maxQueue: 10,
		})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	arrive(0, 1)
	early := arrive(time.Second, 1)
	late := arrive(time.Hour+time.Second, 2) // the timer has not rung yet
	if !early.admitted || late.admitted {
		t.Errorf("who waits first is admitted: %t; who comes later: %t", early.admitted, late.admitted)
	}
	q.leave(now.Add(time.Hour), "k", late)
}

func TestPanicOfAHookKeepsNoProbesSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := 503
		b := &Breaker{Failures: 1, ProbeTimeout: -1, Base: tracedBase(func(req *http.Request) (*http.Response, error) {
			return canned(answer, nil, "")(req)
		})}
		b.RoundTrip(edgeRequest(t, t.Context()))
		time.Sleep(2 * time.Second)
		answer = 200
		body := &edgeBody{}
		req := edgeRequest(t, WithTrace(t.Context(), &Trace{StateChanged: func(StateInfo) { panic("hook") }}))
		req.Body = body
		func() {
			defer func() { recover() }()
			b.RoundTrip(req)
		}()
		if body.closed.Load() == 0 {
			t.Error("the request's body is open")
		}
		if resp, err := b.RoundTrip(edgeRequest(t, t.Context())); err != nil || resp.StatusCode != 200 {
			t.Errorf("the slot is lost: %v", err)
		}
	})
}

func TestConfiguredCeilingsHoldForLongerThanAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &Limiter{
			Base:     canned(200, nil, ""),
			Requests: []Rate{{N: 1, Per: 24 * time.Hour}},
		}
		ctx := WithPriority(t.Context(), PriorityBatch)
		start := time.Now()
		for range 2 {
			resp, err := l.RoundTrip(edgeRequest(t, ctx))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		if took := time.Since(start); took < 24*time.Hour {
			t.Errorf("one a day: the second went after %v", took)
		}
	})
}

func TestInFlightHoldsForLongerThanAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		l := &Limiter{InFlight: 1, Base: tracedBase(func(req *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(3 * time.Hour)
			return canned(200, nil, "")(req)
		})}
		ctx := WithPriority(t.Context(), PriorityBatch)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { l.RoundTrip(edgeRequest(t, ctx)) })
		}
		wg.Wait()
		if most.Load() != 1 {
			t.Errorf("%d in flight at a time, want 1", most.Load())
		}
	})
}

func TestNothingLeftOfAnUnknownLimitWaitsForTheReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := &Limiter{Base: tracedBase(func(req *http.Request) (*http.Response, error) {
			left := max(0, 30*time.Second-time.Since(start))
			return canned(200, http.Header{
				"Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {strconv.Itoa(int(left.Seconds()))},
			}, "")(req)
		})}
		for range 2 {
			resp, err := l.RoundTrip(edgeRequest(t, t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		if took := time.Since(start); took < 29*time.Second || took > 32*time.Second {
			t.Errorf("nothing left for 30 s: the second request went after %v", took)
		}
	})
}

func TestPanicOfAHookKeepsNoClaim(t *testing.T) {
	fire := func() { panic("hook") }
	for name, trace := range map[string]*Trace{
		"Waiting":   {Waiting: func(WaitInfo) { fire() }},
		"Attempted": {Attempted: func(AttemptInfo) { fire() }},
		"Learned":   {Learned: func(LearnedInfo) { fire() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &Limiter{
					InFlight: 1, Requests: []Rate{{N: 1, Per: time.Second}},
					Base: canned(200, http.Header{"Ratelimit-Limit": {"100"}, "Ratelimit-Remaining": {"50"}}, ""),
				}
				if name == "Waiting" { // then there must be something to wait for
					l.RoundTrip(edgeRequest(t, t.Context()))
				}
				body := &edgeBody{}
				req := edgeRequest(t, WithTrace(t.Context(), trace))
				req.Body = body
				func() {
					defer func() {
						if recover() == nil {
							t.Error("the panic is lost")
						}
					}()
					l.RoundTrip(req)
				}()
				if body.closed.Load() == 0 {
					t.Error("the request's body is open")
				}
				resp, err := l.RoundTrip(edgeRequest(t, t.Context()))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if left := Leftovers(l); left != nil {
					t.Error(left)
				}
			})
		})
	}
}

func TestPanicOfBaseKeepsNoClaim(t *testing.T) {
	fail := true
	l := &Limiter{InFlight: 1, Base: tracedBase(func(req *http.Request) (*http.Response, error) {
		if fail {
			panic("base")
		}
		return canned(200, nil, "")(req)
	})}
	body := &edgeBody{}
	req := edgeRequest(t, t.Context())
	req.Body = body
	func() {
		defer func() { recover() }()
		l.RoundTrip(req)
	}()
	if body.closed.Load() == 0 {
		t.Error("the request's body is open")
	}
	fail = false
	if _, err := l.RoundTrip(edgeRequest(t, t.Context())); err != nil {
		t.Error(err)
	}
	if left := Leftovers(l); left != nil {
		t.Error(left)
	}
}

// A hook may keep a waiter so long that it finds both its turn and the end of its
// context, and select takes either.
func TestEndedContextIsNotSentOnItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 30 {
			sent := 0
			l := &Limiter{
				Requests: []Rate{{N: 1, Per: 10 * time.Second}},
				Base: tracedBase(func(req *http.Request) (*http.Response, error) {
					sent++
					return canned(200, nil, "")(req)
				}),
			}
			l.RoundTrip(edgeRequest(t, t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			slow := WithTrace(ctx, &Trace{Waiting: func(WaitInfo) { time.Sleep(12 * time.Second); cancel() }})
			if _, err := l.RoundTrip(edgeRequest(t, slow)); !errors.Is(err, context.Canceled) || sent != 1 {
				t.Errorf("sent %d times, error %v", sent, err)
			}
			start := time.Now()
			l.RoundTrip(edgeRequest(t, t.Context()))
			if took := time.Since(start); took > time.Millisecond {
				t.Errorf("the unsent request was charged: the next waited for %v", took)
			}
			if left := Leftovers(l); left != nil {
				t.Error(left)
			}
		}
	})
}

func TestAbsurdEstimatesAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Limiter{
			Base:   canned(200, http.Header{"X-Ratelimit-Limit-Tokens": {"1000"}, "X-Ratelimit-Remaining-Tokens": {"1000"}}, ""),
			Tokens: []Rate{{N: math.MaxInt, Per: time.Nanosecond}},
		}
		for i, estimate := range []Tokens{{math.MaxInt64, math.MaxInt64}, {math.MinInt64, -1}, {math.MaxInt64, 0}} {
			l.Cost = func(*http.Request) Tokens { return estimate }
			for range 10 {
				if _, err := l.RoundTrip(edgeRequest(t, t.Context())); err != nil {
					t.Fatalf("estimate %d: %v", i, err)
				}
			}
		}
		for _, e := range entriesOf(&l.keys) {
			if total := e.value.ledger.total.tokens; total.Input < 0 || total.Output < 0 {
				t.Errorf("the total has overflowed: %v", total)
			}
		}
	})
}

// TestAbsurdQuotasAreNoDeadEnd sends requests to servers that admit everything
// and say all kinds of things about it. None of that may hold a request back for
// longer than an hour, or make one spin, or make a number of what is none.
func TestAbsurdQuotasAreNoDeadEnd(t *testing.T) {
	t.Parallel()
	limits := []string{"", "0", "1", "-1", "600", "9007199254740992", "1e300", "NaN", "5,000"}
	remainings := []string{"", "0", "1", "-5", "600", "9007199254740992", "1e-300", "Inf"}
	resets := []string{
		"", "0", "1", "-5", "60", "1e300", "9999999999", "99999999999999", "946684800", "0.000000001",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "9223372036854775807", "1h1e9s",
	}
	dates := []string{"", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		for i, limit := range limits {
			for j, remaining := range remainings {
				for k, reset := range resets {
					if (i+j+k)%4 != 0 && !*Soak {
						continue
					}
					h := http.Header{}
					for name, value := range map[string]string{
						"Ratelimit-Limit": limit, "Ratelimit-Remaining": remaining, "Ratelimit-Reset": reset,
						"Date": dates[(i+j+k)/4%len(dates)],
					} {
						if value != "" {
							h.Set(name, value)
						}
					}
					holdsNoLongerThanAnHour(t, h)
				}
			}
		}
		for _, policy := range []string{
			"0;w=0", "1;w=0.000000001", "1;w=1e18", "9007199254740992;w=1e-9", `"a";q=1;w=86400`, `"a";q=0;w=1`, "1;w=-1",
		} {
			for _, remaining := range remainings {
				h := http.Header{"Ratelimit-Policy": {policy}, "Ratelimit-Remaining": {remaining}, "Ratelimit": {`"a";r=0;t=1e12`}}
				holdsNoLongerThanAnHour(t, h)
			}
		}
	})
}

func holdsNoLongerThanAnHour(t *testing.T, h http.Header) {
	t.Helper()
	l := &Limiter{Base: canned(200, h, "")}
	ctx := WithPriority(t.Context(), PriorityBatch)
	for n := range 6 {
		start := time.Now()
		resp, err := l.RoundTrip(edgeRequest(t, ctx))
		if err != nil {
			t.Fatalf("%v: %v", h, err)
		}
		resp.Body.Close()
		if took := time.Since(start); took > time.Hour+time.Second {
			t.Errorf("%v: request %d waited for %v", h, n+1, took)
		}
	}
	for _, q := range l.Quotas(edgeRequest(t, ctx)) {
		if q.Remaining < 0 && q.Remaining != -1 || q.Limit < -1 || q.Remaining > 1<<53 {
			t.Errorf("%v: believes %+v", h, q)
		}
	}
	for _, e := range entriesOf(&l.keys) {
		for _, b := range e.value.ledger.budgets {
			for name, v := range map[string]float64{
				"best": b.best, "limit": b.limit, "pending": b.pending, "slide": b.slide, "level": b.level(e.value.ledger.epoch.instant(time.Now())),
			} {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%v: %s is %v", h, name, v)
				}
			}
		}
	}
}

func TestChangedLimitOfASlidingLogStaysANumber(t *testing.T) {
	b := budget{kind: refillLog, limit: 100, best: 100}
	if g := b.growth(); math.IsInf(g, 0) || math.IsNaN(g) {
		t.Errorf("grows by %v per second before any reset was seen", g)
	}
}

// TestStormOnOneKeyAddsUp is 100 callers of a key, many of which give up: while
// they wait, on their turn, or in flight.
func TestStormOnOneKeyAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most, sent atomic.Int32
		l := &Limiter{
			InFlight: 3, MaxQueue: 40, MaxWait: 2 * time.Second, Requests: []Rate{{N: 100, Per: time.Second, Burst: 5}},
			Base: tracedBase(func(req *http.Request) (*http.Response, error) {
				n := int(sent.Add(1))
				for i := inFlight.Add(1); ; {
					if m := most.Load(); i <= m || most.CompareAndSwap(m, i) {
						break
					}
				}
				defer inFlight.Add(-1)
				select {
				case <-time.After(time.Duration(n%7) * 5 * time.Millisecond):
				case <-req.Context().Done():
					return nil, context.Cause(req.Context())
				}
				switch {
				case n%11 == 0:
					return nil, io.EOF
				case n%13 == 0:
					return canned(429, http.Header{"Retry-After": {"1"}}, "")(req)
				}
				return canned(200, http.Header{
					"X-Ratelimit-Limit": {"1000"}, "X-Ratelimit-Remaining": {strconv.Itoa(1000 - n%1000)}, "X-Ratelimit-Reset": {"1"},
					"X-Ratelimit-Resource": {[]string{"", "core", "search"}[n%3]},
				}, "")(req)
			}),
		}
		var succeeded, failed, refused, canceled atomic.Int32
		var wg sync.WaitGroup
		const callers, calls = 100, 30
		for i := range callers {
			wg.Go(func() {
				for j := range calls {
					ctx := t.Context()
					if i%4 == 1 {
						ctx = WithPriority(ctx, PriorityBatch)
					}
					ctx, cancel := context.WithTimeout(ctx, time.Duration(1+(i*31+j*17)%4000)*time.Millisecond)
					if i%3 == 0 {
						time.AfterFunc(time.Duration((i*13+j*29)%500)*time.Millisecond, cancel)
					}
					req := edgeRequest(t, ctx)
					req.URL.Path = fmt.Sprintf("/%c", 'a'+(i+j)%5)
					resp, err := l.RoundTrip(req)
					var limit *LimitError
					switch {
					case errors.As(err, &limit):
						refused.Add(1)
					case err != nil && ctx.Err() != nil:
						canceled.Add(1)
					case err != nil || resp.StatusCode != 200:
						failed.Add(1)
					default:
						succeeded.Add(1)
					}
					if resp != nil {
						resp.Body.Close()
					}
					cancel()
				}
			})
		}
		wg.Wait()
		if most.Load() > 3 {
			t.Errorf("%d in flight at a time, want 3 at most", most.Load())
		}
		if got := succeeded.Load() + failed.Load() + refused.Load() + canceled.Load(); got != callers*calls {
			t.Errorf("%d calls came to something, of %d", got, callers*calls)
		}
		for name, n := range map[string]int32{"succeeded": succeeded.Load(), "failed": failed.Load(), "refused": refused.Load(), "canceled": canceled.Load()} {
			if n == 0 {
				t.Errorf("none has %s: the storm is too mild", name)
			}
		}
		if left := Leftovers(l); left != nil {
			t.Error(left)
		}
	})
}

// TestManyKeysHoldTenThousand sends requests of a million keys with -soak.
func TestManyKeysHoldTenThousand(t *testing.T) {
	var key string
	h := http.Header{"X-Ratelimit-Limit": {"600"}, "X-Ratelimit-Remaining": {"599"}, "X-Ratelimit-Reset": {"60"}}
	l := &Limiter{
		Base: tracedBase(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: h, Body: http.NoBody, Request: req}, nil
		}),
		Key:  func(*http.Request) string { return key },
		Cost: func(*http.Request) Tokens { return Tokens{} },
	}
	use := func(from, to int) {
		req := edgeRequest(t, t.Context())
		for i := from; i < to; i++ {
			key = strconv.Itoa(i)
			if _, err := l.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
		}
	}
	empty := heapInUse()
	total := 100_000
	if *Soak {
		total = 1_000_000
	}
	use(0, 2*maxKeys)
	before := heapInUse()
	use(2*maxKeys, total)
	after := heapInUse()
	if n := len(entriesOf(&l.keys)); n != maxKeys {
		t.Errorf("%d keys are left, want %d", n, maxKeys)
	}
	if grown := int64(after) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	t.Logf("%d bytes per key with one budget", (after-empty)/maxKeys)
	runtime.KeepAlive(l)
}

func TestServerCannotMakeAKeyGrow(t *testing.T) {
	n := 0
	l := &Limiter{Base: tracedBase(func(req *http.Request) (*http.Response, error) {
		n++
		h := http.Header{"X-Ratelimit-Resource": {fmt.Sprintf("scope-%d", n)}, "X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"5"}}
		for i := range 100 {
			h.Set(fmt.Sprintf("X-Ratelimit-Limit-%s%d-%d", strings.Repeat("x", 20), n, i), "100")
			h.Set(fmt.Sprintf("X-Ratelimit-Remaining-%s%d-%d", strings.Repeat("x", 20), n, i), "99")
		}
		return canned(200, h, "")(req)
	})}
	for i := range 300 {
		req := edgeRequest(t, t.Context())
		req.URL.Path = "/" + strings.Repeat("p", 2*i) + "/q"
		resp, err := l.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for _, e := range entriesOf(&l.keys) {
		q := e.value
		if len(q.ledger.budgets) > maxBudgets || len(q.routes) > maxRoutes || len(q.lines) > 0 {
			t.Errorf("%d budgets, %d routes, %d lines", len(q.ledger.budgets), len(q.routes), len(q.lines))
		}
		bits := 0
		for _, b := range q.ledger.budgets {
			bits |= int(b.bit)
			if len(b.scope) > maxWordName || len(b.resource) > maxWordName {
				t.Errorf("names of %d and %d bytes", len(b.scope), len(b.resource))
			}
		}
		if want := 1<<len(q.ledger.budgets) - 1; bits != want {
			t.Errorf("the budgets' bits are %b, want %b", bits, want)
		}
		for _, r := range q.routes {
			if len(r.scopes) > 4 || slices.Contains(r.scopes, "") {
				t.Errorf("route %x has %d scopes", r.id, len(r.scopes))
			}
		}
	}
}

// edgeRequest is a POST with a body that cannot be repeated.
func edgeRequest(t *testing.T, ctx context.Context) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://api.test/v1/things", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

type edgeBody struct{ closed atomic.Int32 }

func (b *edgeBody) Read([]byte) (int, error) { return 0, io.EOF }
func (b *edgeBody) Close() error             { b.closed.Add(1); return nil }
