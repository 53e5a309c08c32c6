package steadyhttp

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// policy is a Breaker's configuration with every default filled in.
type policy struct {
	failures        int     // math.MaxInt if the rule is off
	ratio           float64 // +Inf if the rule is off
	window          time.Duration
	minCalls        int
	pause, maxPause time.Duration
	maxProbes       int
	probeTimeout    time.Duration
	probeRetry      time.Duration // when to come back after finding a probe out
}

// forever is a time that no process lives through; unlike the largest Duration
// it can be added to.
const forever = 100 * 365 * 24 * time.Hour

func (b *Breaker) policy() policy {
	p := policy{
		failures:     option(b.Failures, 10, math.MaxInt),
		ratio:        option(b.Ratio, 0.5, math.Inf(1)),
		window:       min(option(b.Window, 30*time.Second, 0), forever),
		minCalls:     option(b.MinCalls, 20, 1),
		pause:        min(option(b.Pause, time.Second, time.Millisecond), forever),
		maxPause:     min(option(b.MaxPause, 10*time.Second, time.Hour), forever),
		maxProbes:    min(option(b.Probes, 1, 1), math.MaxInt32),
		probeTimeout: option(b.ProbeTimeout, 30*time.Second, math.MaxInt64),
		probeRetry:   min(option(b.Pause, time.Second, time.Second), forever),
	}
	p.pause = max(p.pause, time.Millisecond)
	p.maxPause = max(p.maxPause, p.pause)
	if p.window == 0 {
		p.ratio, p.window = math.Inf(1), time.Second
	}
	return p
}

// circuit is the state of one key. The engine switches, and counts probes; what it
// does not do is done here. Its window drops the results of calls that outlast it,
// and with each step forgets the failures in a row: so while closed calls are
// counted here, as they end, and the engine is told of failures alone. Its pause is
// one for all openings, so it is set to nothing and notBefore rules. A probe that
// never ends would hold its slot for ever, so it is excluded after a while. And it
// calls hooks under its lock, so it is given one that only notes the new state.
type circuit struct {
	policy
	key string

	mu        sync.Mutex // held whenever the engine is called
	engine    *gobreaker.TwoStepCircuitBreaker[struct{}]
	state     State
	epoch     uint64        // counts the openings: a call that entered in an earlier one is void
	streak    int           // failures in a row, while closed
	recent    rolling       // calls within the window, while closed; failures are marked
	paused    time.Duration // the last pause, before jitter
	notBefore time.Time     // when an open circuit lets a probe through
	probes    []*pass       // half-open: those that hold a slot

	// Made when first asked for, closed and forgotten when it happens.
	nextOpening, nextChange chan struct{}
}

var (
	errFailure = errors.New("failure")
	errIgnored = errors.New("ignored")
)

// engineError is how the engine is told what became of a probe.
var engineError = [...]error{tallySuccess: nil, tallyFailure: errFailure}

func newCircuit(key string, p policy) *circuit {
	c := &circuit{key: key, policy: p}
	c.engine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   uint32(p.maxProbes),
		Timeout:       1, // zero would be a minute
		ReadyToTrip:   func(gobreaker.Counts) bool { return c.tripsLocked() },
		OnStateChange: func(_ string, _, to gobreaker.State) { c.state = State(to) },
		IsExcluded:    func(err error) bool { return err == errIgnored },
	})
	return c
}

// tripsLocked is the rule by which a closed circuit opens, asked at each failure.
func (c *circuit) tripsLocked() bool {
	n := &c.recent
	return c.streak >= c.failures || n.all >= c.minCalls && float64(n.marked) >= c.ratio*float64(n.all)
}

func (c *circuit) notClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state != StateClosed
}

// stateAt is the state as a request at now would find it.
func (c *circuit) stateAt(now time.Time) State {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == StateOpen && !now.Before(c.notBefore) {
		return StateHalfOpen
	}
	return c.state
}

// refusalLocked is why a request may not be sent now, or nil.
func (c *circuit) refusalLocked(now time.Time) error {
	switch {
	case c.state == StateOpen && now.Before(c.notBefore):
		return c.refuseLocked(c.notBefore)
	case c.state == StateHalfOpen && !c.slotLocked(now):
		return c.refuseLocked(now.Add(c.probeRetry))
	}
	return nil
}

func (c *circuit) refuseLocked(retryAt time.Time) *OpenError {
	return &OpenError{Key: c.key, RetryAt: retryAt, changed: signalLocked(&c.nextChange)}
}

// slotLocked tells whether a half-open circuit takes another probe, having taken
// back the slots of those that have been out for too long. What they answer late
// still counts: a slow server is not a dead one.
func (c *circuit) slotLocked(now time.Time) bool {
	c.probes = slices.DeleteFunc(c.probes, func(p *pass) bool {
		if now.Sub(p.sent) < c.probeTimeout {
			return false
		}
		p.done(errIgnored)
		p.expired = true
		return true
	})
	n := c.engine.Counts()
	return n.Requests-n.TotalExclusions < uint32(c.maxProbes)
}

// recordLocked counts a call on a closed circuit.
func (c *circuit) recordLocked(now time.Time, t tally) {
	c.recent.forget(now, max(c.window/rollingSlots, 1))
	if t != tallyFailure {
		c.streak = 0
		c.recent.add(1, 0)
		return
	}
	c.streak++
	c.recent.add(1, 1)
	if done, err := c.engine.Allow(); err == nil {
		done(errFailure)
	}
}

// movedLocked draws the consequences if the state is no longer what it was, and
// returns what to tell the Trace: From and To differ. A circuit that opened
// stays so until retryAt, within bounds.
func (c *circuit) movedLocked(from State, now, retryAt time.Time) StateInfo {
	if c.state == from {
		return StateInfo{}
	}
	info := StateInfo{Key: c.key, From: from, To: c.state}
	switch c.state {
	case StateOpen:
		c.epoch++
		c.probes = nil
		c.notBefore = now.Add(c.pauseLocked(from, now, retryAt))
		info.RetryAt = c.notBefore
		raiseLocked(&c.nextOpening)
	case StateClosed:
		c.streak, c.recent = 0, rolling{}
		c.probes = nil
	}
	raiseLocked(&c.nextChange)
	return info
}

// pauseLocked is how long the circuit stays open. The jitter keeps the clients
// of one server from probing it in step.
func (c *circuit) pauseLocked(from State, now, retryAt time.Time) time.Duration {
	if from == StateClosed {
		c.paused = c.pause
	} else {
		c.paused = min(2*c.paused, c.maxPause)
	}
	d := c.paused
	if from != StateClosed {
		d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	}
	if !retryAt.IsZero() {
		d = max(d, retryAt.Sub(now))
	}
	return min(d, c.maxPause)
}

// signalLocked is a channel that the next raiseLocked closes.
func signalLocked(ch *chan struct{}) <-chan struct{} {
	if *ch == nil {
		*ch = make(chan struct{})
	}
	return *ch
}

func raiseLocked(ch *chan struct{}) {
	if *ch != nil {
		close(*ch)
		*ch = nil
	}
}

// pass is one request's way through its circuit, and the gate at which a Limiter
// below asks, when the request leaves the queue, whether it is still let through.
// What changes is guarded by the circuit's lock.
type pass struct {
	circuit *circuit
	attempt *attempt
	req     *http.Request // whose Trace hears of the changes that it causes

	epoch   uint64      // in which it arrived: an opening since then refuses it
	sent    time.Time   // when it entered
	done    func(error) // of a probe; nil if it entered a closed circuit
	entered bool        // it was sent, so it counts when it ends
	left    bool        // it ended
	said    *verdict    // with that
	expired bool        // of a probe: its slot was taken back
}

// arrive is the first question, to which an open circuit says no. A request that
// need not queue enters at once.
func (p *pass) arrive(now time.Time, enter bool) error {
	c := p.circuit
	c.mu.Lock()
	p.epoch = c.epoch
	if c.state == StateClosed { // as a rule
		if enter {
			p.entered, p.sent = true, now
		}
		c.mu.Unlock()
		return nil
	}
	moved, err := StateInfo{}, c.refusalLocked(now)
	if enter && err == nil {
		moved, err = p.claimLocked(now)
	}
	c.mu.Unlock()
	p.tell(moved)
	return err
}

// enter is the second question, after admission, just before sending. Half-open, it
// claims the probe's slot. To ask again changes nothing. Its error is an *OpenError.
func (p *pass) enter(now time.Time) error {
	c := p.circuit
	c.mu.Lock()
	if c.state == StateClosed && p.epoch == c.epoch && !p.left { // as a rule
		p.entered, p.sent = true, now
		c.mu.Unlock()
		return nil
	}
	moved, err := p.enterLocked(now)
	c.mu.Unlock()
	p.tell(moved)
	return err
}

func (p *pass) enterLocked(now time.Time) (StateInfo, error) {
	c := p.circuit
	switch {
	case p.left:
		return StateInfo{}, nil // a straggler of a layer that hedges: nobody would give its claim back
	case p.epoch != c.epoch:
		p.entered = false
		if err := c.refusalLocked(now); err != nil {
			return StateInfo{}, err
		}
		return StateInfo{}, c.refuseLocked(now)
	case p.entered:
		p.sent = now
		return StateInfo{}, nil
	}
	if err := c.refusalLocked(now); err != nil {
		return StateInfo{}, err
	}
	return p.claimLocked(now)
}

// claimLocked makes p count, and gives it a slot if the circuit is not closed.
func (p *pass) claimLocked(now time.Time) (StateInfo, error) {
	c, from := p.circuit, p.circuit.state
	if from != StateClosed {
		done, err := c.engine.Allow()
		if err != nil {
			return StateInfo{}, c.refuseLocked(now.Add(c.probeRetry))
		}
		p.done = done
		p.attempt.probe.Store(true)
		c.probes = append(c.probes, p)
	}
	p.entered, p.sent = true, now
	return c.movedLocked(from, now, time.Time{}), nil
}

// closedSignal is a channel that is closed.
var closedSignal = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// opened is closed once the circuit has opened since the request arrived. Who
// asks for it holds the request back: a claim that was made on arrival, because
// a foreign layer hides that Limiter, is given back until it lets go.
func (p *pass) opened() <-chan struct{} {
	c := p.circuit
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.left:
		return nil // a straggler: the circuit is no concern of its any more
	case p.epoch != c.epoch:
		return closedSignal
	}
	p.giveBackLocked()
	return signalLocked(&c.nextOpening)
}

// giveBackLocked takes the claim back, if there is one.
func (p *pass) giveBackLocked() {
	if p.done != nil {
		p.attempt.probe.Store(false)
		p.freeSlotLocked()
		if !p.expired {
			p.done(errIgnored)
		}
	}
	p.entered, p.done, p.expired = false, nil, false
}

func (p *pass) freeSlotLocked() {
	c := p.circuit
	c.probes = slices.DeleteFunc(c.probes, func(other *pass) bool { return other == p })
}

// leave counts the request as it ends, and tells when it was sent, if it was.
func (p *pass) leave(now time.Time, v *verdict) (sent time.Time, ok bool) {
	c, t := p.circuit, v.tally()
	deadline := time.Time{}
	switch {
	case v.err == nil:
	case v.Class == ClassTimeout:
		deadline, _ = p.req.Context().Deadline()
	case v.Class == ClassNetwork && errors.Is(p.req.Context().Err(), context.Canceled) && !unsent(v.err):
		// It broke off once the caller had gone, as an upload does whose own client went
		// away in the middle.
		t = tallyIgnored
	}
	c.mu.Lock()
	sent, ok = p.sent, p.entered
	if !deadline.IsZero() && deadline.Sub(sent) < leastTime {
		t = tallyIgnored
	}
	p.said = v
	moved := p.leaveLocked(now, t, v.RetryAt)
	c.mu.Unlock()
	p.tell(moved)
	return sent, ok
}

// leastTime is how long a caller must wait for an answer before its deadline says
// anything of the server.
const leastTime = 10 * time.Millisecond

// shutAt tells whether it was v that the request ended with, and the circuit is open,
// and will be at t.
func (p *pass) shutAt(t time.Time, v *verdict) bool {
	c := p.circuit
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.said == v && c.state == StateOpen && t.Before(c.notBefore)
}

func (p *pass) leaveLocked(now time.Time, t tally, retryAt time.Time) StateInfo {
	c, from := p.circuit, p.circuit.state
	p.left = true
	if !p.entered || p.epoch != c.epoch {
		return StateInfo{}
	}
	switch {
	case t == tallyIgnored:
		p.giveBackLocked()
	case p.done != nil:
		p.freeSlotLocked()
		p.done(engineError[t])
	default:
		c.recordLocked(now, t)
	}
	return c.movedLocked(from, now, retryAt)
}

// abandon is for a request that was refused, or whose Base or hook panicked, which
// says nothing of the server: the slot is given back.
func (p *pass) abandon() {
	if p.left { // written by this goroutine alone
		return
	}
	p.circuit.mu.Lock()
	p.leaveLocked(time.Time{}, tallyIgnored, time.Time{})
	p.circuit.mu.Unlock()
}

// tell reports a change of state, with no lock held.
func (p *pass) tell(info StateInfo) {
	if info.From == info.To {
		return
	}
	if t := traceOf(p.req.Context()); t != nil && t.StateChanged != nil {
		t.StateChanged(info)
	}
}
