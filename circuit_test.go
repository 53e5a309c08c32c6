package steadyhttp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// arrival is a pass of a request that will queue, or enters at once.
func arrival(c *circuit, enter bool) (*pass, error) {
	p := &pass{circuit: c, attempt: new(attempt), req: new(http.Request)}
	return p, p.arrive(time.Now(), enter)
}

func succeed(p *pass) { p.leave(time.Now(), &verdict{Outcome: Outcome{Class: ClassSuccess}}) }
func fail(p *pass)    { p.leave(time.Now(), &verdict{Outcome: Outcome{Class: ClassServerError}}) }

// openCircuit is one that has just opened.
func openCircuit(b *Breaker) *circuit {
	c := newCircuit("k", b.policy())
	for c.stateAt(time.Now()) != StateOpen {
		p, _ := arrival(c, true)
		fail(p)
	}
	return c
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestQueuedRequestsAreReleasedWhenTheCircuitOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := newCircuit("k", (&Breaker{}).policy())
		queued, err := arrival(c, false)
		if err != nil || isClosed(queued.opened()) {
			t.Fatalf("before: %v", err)
		}
		waiting := queued.opened()
		for range 10 {
			p, _ := arrival(c, true)
			fail(p)
		}
		if !isClosed(waiting) || !isClosed(queued.opened()) {
			t.Error("opened is not closed")
		}
		var open *OpenError
		if err := queued.enter(time.Now()); !errors.As(err, &open) || time.Until(open.RetryAt) != time.Second {
			t.Errorf("enter: got %v", err)
		}
		// A waiter that wakes up late must not slip past the queue as a probe.
		time.Sleep(time.Minute)
		if err := queued.enter(time.Now()); !errors.As(err, &open) || open.RetryAt.After(time.Now()) {
			t.Errorf("enter after the pause: got %v", err)
		}
		fail(queued)
		if c.stateAt(time.Now()) != StateHalfOpen {
			t.Error("a request that was never sent counted")
		}
	})
}

func TestQueuedRequestHoldsNoProbeSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := openCircuit(&Breaker{})
		time.Sleep(time.Second)
		var queue []*pass
		for range 3 {
			p, err := arrival(c, false)
			if err != nil || isClosed(p.opened()) {
				t.Fatalf("half-open with no probe out: %v", err)
			}
			queue = append(queue, p)
		}
		time.Sleep(time.Hour) // far beyond ProbeTimeout
		if err := queue[1].enter(time.Now()); err != nil || !queue[1].attempt.probe.Load() {
			t.Errorf("the first to leave the queue: %v, probe %v", err, queue[1].attempt.probe.Load())
		}
		if err := queue[0].enter(time.Now()); err == nil || queue[0].attempt.probe.Load() {
			t.Errorf("the second: %v, probe %v", err, queue[0].attempt.probe.Load())
		}
		if _, err := arrival(c, false); err == nil {
			t.Error("with a probe out: no refusal at arrival")
		}
		fail(queue[0]) // refused: it counts nothing
		if got := c.stateAt(time.Now()); got != StateHalfOpen {
			t.Errorf("after one that was refused left: %v", got)
		}
		if err := queue[1].enter(time.Now()); err != nil {
			t.Errorf("entering again: %v", err)
		}
		succeed(queue[1])
		if err := queue[2].enter(time.Now()); err != nil || queue[2].attempt.probe.Load() {
			t.Errorf("after the close: %v, probe %v", err, queue[2].attempt.probe.Load())
		}
	})
}

func TestProbeTimeoutRunsFromSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := openCircuit(&Breaker{})
		time.Sleep(time.Second)
		probe, _ := arrival(c, true) // a Limiter that the Breaker cannot see holds it
		time.Sleep(20 * time.Second)
		if err := probe.enter(time.Now()); err != nil {
			t.Errorf("leaving the queue: %v", err)
		}
		time.Sleep(20 * time.Second)
		if _, err := arrival(c, true); err == nil {
			t.Error("a second probe 20 s after the first was sent")
		}
		time.Sleep(10 * time.Second)
		if _, err := arrival(c, true); err != nil {
			t.Errorf("30 s after it was sent: %v", err)
		}
	})
}

// A probe that succeeded keeps its slot: it is one of the successes that close.
func TestHungProbesAloneLoseTheirSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := openCircuit(&Breaker{Probes: 3})
		time.Sleep(time.Second)
		for i := range 3 {
			p, err := arrival(c, true)
			if err != nil {
				t.Fatalf("probe %d: %v", i, err)
			}
			if i == 0 {
				succeed(p)
			}
		}
		time.Sleep(30 * time.Second)
		for i, want := range []bool{true, true, false} {
			if _, err := arrival(c, true); (err == nil) != want {
				t.Errorf("probe %d after ProbeTimeout: %v", i, err)
			}
		}
	})
}

func TestOpeningVoidsClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := newCircuit("k", (&Breaker{}).policy())
		early, _ := arrival(c, true) // and now a hidden Limiter holds it
		for range 10 {
			p, _ := arrival(c, true)
			fail(p)
		}
		if err := early.enter(time.Now()); err == nil {
			t.Error("a request that entered before the opening may be sent after it")
		}
		if _, sent := early.leave(time.Now(), &verdict{Outcome: Outcome{Class: ClassRefused}}); sent {
			t.Error("it counts as sent")
		}
	})
}

// A Limiter that the Breaker cannot see, behind a foreign layer, shows itself
// when it holds a request back: as if it were seen, nothing is claimed until it
// lets go.
func TestHiddenQueueHoldsNoClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := newCircuit("k", (&Breaker{}).policy())
		for range 50 {
			p, _ := arrival(c, true)
			p.opened()
			if _, sent := p.leave(time.Now(), &verdict{Outcome: Outcome{Class: ClassTimeout}}); sent {
				t.Fatal("a call that timed out in the queue was sent")
			}
		}
		if got := c.stateAt(time.Now()); got != StateClosed {
			t.Errorf("%v after 50 timeouts in the queue", got)
		}

		c = openCircuit(&Breaker{Probes: 2})
		time.Sleep(time.Second)
		queued, _ := arrival(c, true)
		for range 2 {
			if isClosed(queued.opened()) || queued.attempt.probe.Load() {
				t.Error("it is told that the circuit opened, or still is a probe")
			}
		}
		first, err := arrival(c, true)
		if err != nil {
			t.Fatalf("the first slot is taken: %v", err)
		}
		succeed(first)
		first.opened() // a straggler's question
		if err := queued.enter(time.Now()); err != nil || !queued.attempt.probe.Load() {
			t.Errorf("leaving the queue: %v", err)
		}
		if _, err := arrival(c, true); err == nil {
			t.Error("there is a third slot")
		}
		succeed(queued)
		if got := c.stateAt(time.Now()); got != StateClosed {
			t.Errorf("%v after two successes", got)
		}
	})
}

// A layer that hedges may leave attempts behind that nobody waits for.
func TestStragglerClaimsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := openCircuit(&Breaker{})
		time.Sleep(time.Second)
		p, _ := arrival(c, false)
		p.leave(time.Now(), &verdict{Outcome: Outcome{Class: ClassCanceled}})
		if err := p.enter(time.Now()); err != nil {
			t.Error(err)
		}
		if _, err := arrival(c, true); err != nil {
			t.Errorf("the slot is taken: %v", err)
		}
	})
}

// Nor is it woken, again and again, by a circuit that has opened behind its back.
func TestStragglerIsNotWokenByItsCircuit(t *testing.T) {
	c := newCircuit("k", (&Breaker{Failures: 1}).policy())
	queued, _ := arrival(c, false)
	succeed(queued)
	failed, _ := arrival(c, true)
	fail(failed)
	if isClosed(queued.opened()) {
		t.Error("it would ask whether it may go on, and be told so, for ever")
	}
}

func TestChangedWakesAtTheNextChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		c := openCircuit(&Breaker{})
		waits := func() <-chan struct{} {
			_, err := arrival(c, true)
			var open *OpenError
			if !errors.As(err, &open) {
				t.Fatalf("got %v, want an OpenError", err)
			}
			return open.changed
		}
		first := waits()
		if first != waits() {
			t.Error("two refusals of one state have different channels")
		}
		time.Sleep(time.Second)
		if isClosed(first) {
			t.Error("it is closed though nothing has changed")
		}
		probe, _ := arrival(c, true)
		if !isClosed(first) {
			t.Error("half-open does not close it")
		}
		second := waits()
		fail(probe)
		if !isClosed(second) {
			t.Error("opening again does not close it")
		}
		third := waits()
		time.Sleep(5 * time.Second)
		probe, _ = arrival(c, true)
		fourth := waits()
		succeed(probe)
		if !isClosed(third) || !isClosed(fourth) {
			t.Error("closing does not close it")
		}
	})
}

// However requests arrive, queue, hang and end, no slot is lost and no state is
// a dead end: once the server is well, the circuit closes.
func TestCircuitAlwaysRecovers(t *testing.T) {
	classes := []Class{ClassSuccess, ClassServerError, ClassTimeout, ClassRateLimited, ClassCanceled, ClassRefused}
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			soon()
			r := rand.New(rand.NewPCG(seed, 7))
			b := &Breaker{Failures: 1 + r.IntN(4), Probes: r.IntN(4), MinCalls: 1 + r.IntN(10)}
			c := newCircuit("k", b.policy())
			var under []*pass
			for range 300 {
				time.Sleep(time.Duration(r.ExpFloat64() * float64(time.Second)))
				switch r.IntN(4) {
				case 0, 1:
					if p, err := arrival(c, r.IntN(2) == 0); err == nil {
						under = append(under, p)
					}
				case 2:
					if len(under) > 0 {
						under[r.IntN(len(under))].enter(time.Now())
					}
				case 3:
					if len(under) > 0 {
						i := r.IntN(len(under))
						under[i].leave(time.Now(), &verdict{Outcome: Outcome{Class: classes[r.IntN(len(classes))]}})
						under = slices.Delete(under, i, i+1)
					}
				}
				c.mu.Lock()
				if n := len(c.probes); n > c.maxProbes || n > 0 && c.state != StateHalfOpen {
					t.Fatalf("seed %d: %d probes out in state %v", seed, n, c.state)
				}
				c.mu.Unlock()
			}
			time.Sleep(time.Minute) // those under way hang on
			for range 10 {
				if p, err := arrival(c, true); err == nil {
					succeed(p)
				}
			}
			if got := c.stateAt(time.Now()); got != StateClosed {
				t.Fatalf("seed %d: %v after ten successes", seed, got)
			}
		})
	}
}

func TestCircuitServesManyGoroutines(t *testing.T) {
	b := &Breaker{Failures: 3, Pause: time.Millisecond, MaxPause: 2 * time.Millisecond}
	b.Base = &Classifier{
		Base:     serverWith(200),
		Classify: func(*http.Response, error) Outcome { return Outcome{Class: Class(1 + rand.IntN(int(ClassRefused)))} },
	}
	var changes atomic.Int64
	rt := Traced(b, &Trace{StateChanged: func(StateInfo) { changes.Add(1) }})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				host := fmt.Sprintf("%d.example", (i+j)%3)
				send(t, rt, get(t, host))
				b.State(get(t, host))
			}
		})
	}
	wg.Wait()
	if changes.Load() == 0 {
		t.Error("no circuit changed: nothing was tested")
	}
	for _, e := range b.circuits.entries {
		if e.pins.Load() != 0 || len(e.value.probes) != 0 {
			t.Errorf("%s: %d pins, %d probes are left", e.key, e.pins.Load(), len(e.value.probes))
		}
	}
}

func TestManyHostsAreForgotten(t *testing.T) {
	b := &Breaker{Base: roundTrip(func(req *http.Request) (*http.Response, error) { return answer(req, 200), nil })}
	req := get(t, "a.example")
	for i := range 3 * maxKeys {
		req.URL.Host = fmt.Sprintf("%d.example", i)
		send(t, b, req)
	}
	if got := len(keysOf(t, &b.circuits)); got != maxKeys {
		t.Errorf("%d circuits are left, want %d", got, maxKeys)
	}
	before := heapInUse()
	b.circuits = lru[*circuit]{}
	if each := (int64(before) - int64(heapInUse())) / maxKeys; each > 1536 {
		t.Errorf("a circuit takes %d bytes", each)
	} else {
		t.Logf("a circuit takes %d bytes", each)
	}
}

// An open circuit is kept when a flood of other hosts passes by.
func TestOpenCircuitOutlivesClosedOnes(t *testing.T) {
	server := serverWith(503)
	b := &Breaker{Base: server, Pause: time.Hour}
	trip(t, b, "a.example")
	server.status.Store(200)
	req := get(t, "")
	for i := range 2 * maxKeys {
		req.URL.Host = fmt.Sprintf("%d.example", i)
		send(t, b, req)
	}
	if got := b.State(get(t, "a.example")); got != StateOpen {
		t.Errorf("got %v, want open", got)
	}
}
