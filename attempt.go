package steadyhttp

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"sync/atomic"
	"time"
)

// The layers of one stack talk to each other about a request in two ways: on
// the way down through an attempt in the request's context, on the way up
// through a verdict in the context of the response's Request.

type (
	attemptKey struct{}
	verdictKey struct{}
)

// role names a layer's part in an attempt. A layer that finds its own part
// taken belongs to another stack, nested in the first (or hedges requests), and
// starts an attempt of its own.
type role uint32

const (
	roleBreaker role = 1 << iota
	roleLimiter
	roleClassifier
	roleReported // whoever is first tells the Trace
)

// call is what all attempts of one call share.
type call struct {
	began  time.Time    // its place in the Limiter's queue, kept by its retries
	held   atomic.Int64 // nanoseconds in queues, of its MaxWait
	denied atomic.Int64 // see deny
	facts  bodyFacts    // what one pass over the request's body found

	host string // as keys have it, if its URL has it so too; set when the call is made, or not at all
}

// isTo tells whether a request to u is known to go to the call's host: another layer
// may have sent it elsewhere.
func (c *call) isTo(u *url.URL) bool { return isHost(c.host, u) }

// isHost tells whether host, as keys have it, is just what u says.
func isHost(host string, u *url.URL) bool {
	n := len(u.Scheme)
	return len(host) == n+len("://")+len(u.Host) && host[:n] == u.Scheme && host[n+len("://"):] == u.Host
}

// hold notes for how long in all the call has been held. Copies of its request may
// be held at once.
func (c *call) hold(held time.Duration) {
	for {
		before := c.held.Load()
		if int64(held) <= before || c.held.CompareAndSwap(before, int64(held)) {
			return
		}
	}
}

// deny notes a denial of the call as the time from its beginning: below zero if others
// were admitted since the denial before, or between any two of them.
func (c *call) deny(now time.Time, contrary bool) {
	after := max(1, int64(now.Sub(c.began)))
	if contrary || c.denied.Load() < 0 {
		after = -after
	}
	c.denied.Store(after)
}

// deniedBefore is when the call was denied last, zero if it never was, and whether
// others were admitted between any two of its denials.
func (c *call) deniedBefore() (at time.Time, odd bool) {
	after := c.denied.Load()
	switch {
	case after == 0:
		return time.Time{}, false
	case after < 0:
		after, odd = -after, true
	}
	return c.began.Add(time.Duration(after)), odd
}

// attempt is one trip towards the wire. The outermost layer makes it and passes it
// on as the context of its request, which saves an allocation. A foreign layer may
// send several copies of that request at once, through like layers or others.
type attempt struct {
	context.Context
	*call

	number int                    // from 1
	key    atomic.Pointer[string] // of the Limiter, else of the Breaker: for the Trace
	gate   atomic.Pointer[pass]   // of the Breaker; nil if there is none
	probe  atomic.Bool            // set by the gate when it claims a probe's slot: for the Retrier
	taken  atomic.Uint32

	timeout *attemptTimeout // of the Retrier; nil if there is none

	// latest is the verdict on what came back, until the attempt is over; from then
	// on it is last, if there was a response.
	latest atomic.Pointer[verdict]
	last   *verdict

	// What belongs to it: one allocation instead of four.
	own     call    // of the first attempt
	pass    pass    // of the Breaker
	verdict verdict // of the Classifier
}

// Value finds the attempt itself under its key until it is over, and its verdict.
func (a *attempt) Value(key any) any {
	switch key.(type) {
	case attemptKey:
		if !a.over() {
			return a
		}
	case verdictKey:
		v := a.latest.Load()
		if a.over() {
			v = a.last
		}
		if v != nil {
			return v
		}
	}
	return a.Context.Value(key)
}

// attemptOf is the attempt that a request with ctx belongs to; nil if there is none, or
// it is over.
func attemptOf(ctx context.Context) *attempt {
	if a, _ := ctx.(*attempt); a != nil && !a.over() {
		return a
	}
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// shutAt tells whether the circuit that v came through is known to refuse another
// request at t.
func (a *attempt) shutAt(t time.Time, v *verdict) bool {
	p := a.gate.Load()
	return p != nil && p.shutAt(t, v)
}

// roleAll is what is taken of an attempt that is over.
const roleAll = math.MaxUint32

// over tells whether the attempt lives on only in the context of its response's
// Request.
func (a *attempt) over() bool { return a.taken.Load() == roleAll }

// take claims a part in the attempt and tells whether it was free.
func (a *attempt) take(r role) bool {
	return a.taken.Load()&uint32(r) == 0 && a.taken.Or(uint32(r))&uint32(r) == 0
}

// joinAttempt returns the attempt that req belongs to, with r taken in it. If
// there is none, or r is taken, it makes one: the request returned is then a
// shallow copy that carries it, and owned is true.
func joinAttempt(req *http.Request, r role, now time.Time) (out *http.Request, a *attempt, owned bool) {
	if a := attemptOf(req.Context()); a != nil && a.take(r) {
		return req, a, false
	}
	a = &attempt{Context: plain(req.Context()), number: 1, own: call{began: now}}
	a.call = &a.own
	a.take(r)
	return req.WithContext(a), a, true
}

// plain is ctx without the attempts that are over and the verdicts around it. A
// caller may go on and on with the context of the last response's Request.
func plain(ctx context.Context) context.Context {
	for {
		switch c := ctx.(type) {
		case *attempt:
			if !c.over() {
				return c
			}
			ctx = c.Context
		case judged:
			ctx = c.Context
		default:
			return ctx
		}
	}
}

// verdict is what a Classifier said of a response or an error, and what a
// Limiter added to it.
type verdict struct {
	Outcome

	resp    *http.Response // of which it speaks; nil for an error
	err     error
	arrived time.Time // when the base returned it; zero if nobody looked

	paced *denial // if a Limiter knows of this denial and holds the key
}

// denial is what a Limiter knows of a denial.
type denial struct {
	readmit  time.Time     // when it would admit the call again
	patience time.Duration // the Limiter's MaxWait, not positive if it holds nobody

	// If the server said nothing of when.
	hopeless bool // it admits next to nothing, or this call apart from others
	apart    bool // it admits others, and never what it has denied
	never    bool // it never admitted anything
}

// judged is a context that carries a verdict.
type judged struct {
	context.Context
	verdict *verdict
}

// Value finds the verdict under its key.
func (j judged) Value(key any) any {
	if _, ok := key.(verdictKey); ok {
		return j.verdict
	}
	return j.Context.Value(key)
}

// verdictOn returns the verdict that resp or err already carries: a response in
// its Request's context, an error in the attempt. It is nil if there is none.
func verdictOn(a *attempt, resp *http.Response, err error) *verdict {
	if resp != nil {
		if resp.Request == nil {
			return nil
		}
		v, _ := resp.Request.Context().Value(verdictKey{}).(*verdict)
		if v == nil || v.resp != resp {
			return nil // none, or of a response to an earlier use of the request
		}
		return v
	}
	if a == nil {
		return nil
	}
	if v := a.latest.Load(); v != nil && v.resp == nil && sameError(v.err, err) {
		return v
	}
	return nil
}

// sameError is err == other for errors of any dynamic type.
func sameError(err, other error) bool {
	t := reflect.TypeOf(err)
	return t == reflect.TypeOf(other) && (t == nil || t.Comparable()) && err == other
}

// deliver makes v the verdict on resp or err. A response carries it in the context of
// its Request: that is req, whose attempt has the verdict, or else what handBack makes.
func deliver(a *attempt, req *http.Request, resp *http.Response, err error, v *verdict) {
	v.resp, v.err = resp, err
	if a != nil {
		a.latest.Store(v)
	}
	switch {
	case resp == nil:
	case a != nil && req.Context() == context.Context(a) && !instead(req, resp):
		resp.Request = req
	default:
		handBack(req, resp, v)
	}
}

// settle returns the verdict on what the base answered, reaching it now with
// Classify if no Classifier has. Layers call it once their base has returned.
func settle(a *attempt, req *http.Request, resp *http.Response, err error) *verdict {
	if v := a.latest.Load(); v != nil && resp != nil && v.resp == resp && resp.Request == req {
		return v
	}
	v := verdictOn(a, resp, err)
	if v == nil {
		v = new(verdict)
		a.classify(&v.Outcome, req, resp, err, time.Now())
		deliver(a, req, resp, err, v)
	}
	return v
}

// classify makes o, which is zero, what Classify says of what came of an attempt, whose
// AttemptTimeout is not that of an error's body.
func (a *attempt) classify(o *Outcome, req *http.Request, resp *http.Response, err error, now time.Time) {
	if err != nil {
		*o = classifyEnded(req.Context(), err)
		return
	}
	a.pauseTimeout()
	o.classify(req.Context(), now, resp)
	a.restartTimeout()
}

// now is the time for a layer whose base returned with v: that of a success, of
// which nothing had to be read, is known.
func (v *verdict) now() time.Time {
	if v.Class == ClassSuccess && !v.arrived.IsZero() {
		return v.arrived
	}
	return time.Now()
}

// handBack gives resp the caller's own request, or what the base sent instead, in all
// but the context that carries the verdict.
func handBack(req *http.Request, resp *http.Response, v *verdict) {
	if resp == nil {
		return
	}
	sent := req
	if instead(req, resp) {
		sent = resp.Request
	}
	resp.Request = sent.WithContext(judged{plain(req.Context()), v})
}

// instead tells whether the base sent another request in the place of req, one with
// an Authorization of its own for instance, and says so. Copies of ours, and those of
// net/http, have the same header.
func instead(req *http.Request, resp *http.Response) bool {
	r := resp.Request
	return r != nil && r != req && reflect.ValueOf(r.Header).Pointer() != reflect.ValueOf(req.Header).Pointer()
}

// finish ends the attempt, whose maker calls it last. out is the copy of the
// caller's request that it was made with, and goes back with resp, unless the base sent
// another. A copy that comes back later changes nothing.
func (a *attempt) finish(out *http.Request, resp *http.Response, v *verdict) {
	if resp != nil {
		a.last = v
	}
	a.taken.Store(roleAll)
	switch {
	case resp == nil:
	case instead(out, resp):
		handBack(out, resp, v)
	default:
		resp.Request = out
	}
}
