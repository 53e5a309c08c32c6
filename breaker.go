package steadyhttp

import (
	"net/http"
	"sync"
	"time"
)

// Breaker stops sending to a server that is down. Each key has a circuit, which
// opens on sustained failures (5xx, timeouts and network errors); while it is
// open a call fails at once with an [*OpenError]. After a pause single requests
// probe the server, and the circuit closes with the first that succeeds, or with
// as many as Probes asks for.
//
// Refusals by the server that say nothing of its health (4xx, 429, a spent
// quota) and the caller's own cancellations never open it, nor does a deadline that
// leaves the server less than 10 ms. A call counts when it
// ends, at the response's headers; one that was under way when the circuit
// opened does not count any more.
//
// Above a [Limiter] a probe claims its place when it leaves the queue, and
// requests that are queued when the circuit opens come back at once, unsent.
//
// The zero value is ready for use. Fields must not change after the first use.
type Breaker struct {
	// Base sends the request. If nil, http.DefaultTransport.
	Base http.RoundTripper

	// Key names the circuit of a request; "" exempts it. If nil, HostKey. A
	// gateway to many models wants JoinKeys(HostKey, ModelKey).
	Key KeyFunc

	// Failures is how many failures in a row open the circuit, however far
	// apart. Zero means 10; negative, any number.
	Failures int

	// Ratio is the share of failures, among the calls that ended within Window,
	// that opens the circuit too, if they are at least MinCalls. Zero means 0.5;
	// negative switches the rule off.
	Ratio float64

	// Window is how long a call counts for Ratio. Zero means 30 s; negative
	// switches the rule off.
	Window time.Duration

	// MinCalls is how many calls a Ratio needs. Zero means 20; negative, one.
	MinCalls int

	// Pause is how long the circuit stays open at first; each probe that fails
	// doubles it, plus a quarter at most at random, up to MaxPause. A RetryAt of
	// the failure that opens the circuit lengthens it, up to MaxPause as well.
	// Zero means 1 s; negative, next to none: a millisecond.
	Pause time.Duration

	// MaxPause bounds the pause. Zero means 10 s; negative, an hour. It is never
	// less than Pause.
	MaxPause time.Duration

	// Probes is how many successes in a row close a half-open circuit, and how
	// many requests may be out at once to that end. Zero and below mean 1.
	Probes int

	// ProbeTimeout is how long a probe may be unanswered before another is let
	// through beside it. Zero means 30 s; negative, for ever.
	ProbeTimeout time.Duration

	once     sync.Once
	circuits lru[*circuit]
}

// State is that of a circuit.
type State uint8

const (
	StateClosed   State = iota // requests pass
	StateHalfOpen              // the pause is over: probes pass
	StateOpen                  // nothing passes
)

// String is the state in words.
func (s State) String() string {
	switch s {
	case StateClosed:
		return "closed"
	case StateHalfOpen:
		return "half-open"
	case StateOpen:
		return "open"
	}
	return "unknown"
}

// State is that of the circuit which req belongs to. A key that was never used
// is closed, as is an exempt one.
func (b *Breaker) State(req *http.Request) State {
	var buf [keyBuf]byte
	if c, ok := b.circuits.peek(b.appendKey(buf[:0], req)); ok {
		return c.stateAt(time.Now())
	}
	return StateClosed
}

// RoundTrip sends req unless its circuit is open: then it returns an
// [*OpenError] at once.
func (b *Breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	return b.roundTrip(req, time.Now())
}

func (b *Breaker) roundTrip(req *http.Request, now time.Time) (*http.Response, error) {
	c := crossing{hop: hop{req: req}}
	defer c.end()
	var buf [keyBuf]byte
	key := b.appendKey(buf[:0], req)
	if len(key) == 0 {
		c.handed = true
		return forward(b.Base, req, now)
	}
	b.once.Do(b.init)
	c.circuits, c.entry = &b.circuits, b.circuits.acquire(key)

	out, a, owned := joinAttempt(req, roleBreaker, now)
	a.key.CompareAndSwap(nil, &c.entry.key)
	p := &a.pass
	p.circuit, p.attempt, p.req = c.entry.value, a, out
	a.gate.Store(p)
	c.pass = p
	// A Limiter below asks when it has admitted the request; one whose context is
	// over will not be sent.
	queues := limiterBelow(b.Base) && a.taken.Load()&uint32(roleLimiter) == 0 || req.Context().Err() != nil
	if err := p.arrive(now, !queues); err != nil {
		if req.Context().Err() != nil { // whoever has given up is not told to come back
			err = ended(req.Context())
		}
		return nil, err
	}
	c.handed = true
	resp, err := forward(b.Base, out, now)
	c.resp = resp
	v := settle(a, out, resp, err)
	now = v.now()
	if sent, ok := p.leave(now, v); ok && v.Class != ClassRefused {
		report(a, req, v, sent, now)
	}
	if owned {
		a.finish(out, resp, v)
	}
	c.resp = nil
	return resp, err
}

// crossing is the hop through a Breaker.
type crossing struct {
	hop
	circuits *lru[*circuit]
	entry    *lruEntry[*circuit] // nil until it is known
	pass     *pass               // nil until it is made
}

// end is deferred.
func (c *crossing) end() {
	if c.pass != nil {
		c.pass.abandon()
	}
	if c.entry != nil {
		c.circuits.release(c.entry)
	}
	c.hop.end()
}

// CloseIdleConnections forwards to Base.
func (b *Breaker) CloseIdleConnections() { closeIdle(b.Base) }

// appendKey appends the key of req to to.
func (b *Breaker) appendKey(to []byte, req *http.Request) []byte {
	if b.Key == nil {
		return appendHostKey(to, req)
	}
	return append(to, b.Key(req)...)
}

func (b *Breaker) init() {
	policy := b.policy()
	b.circuits.make = func(key string) *circuit { return newCircuit(key, policy) }
	b.circuits.busy = (*circuit).notClosed
}

// limiterBelow tells whether the attempt that a Breaker over base makes will be
// joined by a Limiter. Other layers start attempts of their own, and what stands
// behind a foreign RoundTripper cannot be seen.
func limiterBelow(base http.RoundTripper) bool {
	for {
		switch layer := base.(type) {
		case *Limiter:
			return true
		case *Classifier:
			base = layer.Base
		case *traced:
			base = layer.base
		default:
			return false
		}
	}
}

// tally is how a circuit counts a call that ended.
type tally uint8

const (
	tallySuccess tally = iota
	tallyFailure
	tallyIgnored
)

// tally is how a circuit counts the call that v speaks of. One that cannot be sent
// as it is says nothing of the server, nor does one that never came to it.
func (v *verdict) tally() tally {
	if v.err != nil && malformed(v.err) || v.unasked {
		return tallyIgnored
	}
	return tallyOf(v.Class)
}

// tallyOf is the Breaker's column of the table in the package documentation.
func tallyOf(c Class) tally {
	switch c {
	case ClassOverloaded, ClassServerError, ClassTimeout, ClassNetwork:
		return tallyFailure
	case ClassQuotaExhausted, ClassRateLimited, ClassCanceled, ClassRefused, classUnset:
		return tallyIgnored
	}
	return tallySuccess
}
