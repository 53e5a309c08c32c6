package steadyhttp

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// series is the attempts of one call.
type series struct {
	*Retrier
	req   *http.Request // the caller's, which is never changed
	outer *attempt      // that a layer above made; nil if none did
	host  *retryShare   // of the call's host
	trace *Trace        // nil if nobody listens

	hostKey string

	sent   int32 // attempts that a layer below did not refuse
	spent  int32 // those that count
	denied int32 // those denied with a Limiter's knowledge

	batch    bool
	alone    bool // there can be no further attempt
	given    bool // the body needs no loan
	handed   bool // it is for the base to close
	other    bool // the last attempt was sent with another body than the caller's
	gaveUp   bool // the caller did, before the next attempt
	returned bool // to the caller

	call *call // of the first attempt, which the others belong to

	// What the last attempt left behind.
	attempt *attempt
	out     *http.Request // as it was sent
	loan    *loan         // of the request's body; nil if it has none, or needs none
	resp    *http.Response
	err     error
	verdict *verdict
	took    time.Duration // measured for the Trace
	heard   *verdict      // on the last attempt that was sent; nil if none was

	// What is planned for the next one.
	plan plan
	body io.ReadCloser // obtained from GetBody and not yet sent

	length int64 // of the body, if an attempt read it to its end; else -1
}

// begin begins the series of a call.
func (s *series) begin(r *Retrier, req *http.Request, now time.Time) {
	s.Retrier, s.req, s.length = r, req, -1
	s.alone, s.given = !canReplay(req), snapshots(req)
	s.outer = attemptOf(req.Context())
	s.batch = priorityOf(req.Context()) == PriorityBatch
	s.trace = traceOf(req.Context())
	s.host, s.hostKey = r.hostOf(req)
	s.host.call(now)
}

// try makes an attempt.
func (s *series) try(now time.Time) {
	s.attempt = s.newAttempt(now)
	s.out, s.other = s.req.WithContext(s.attempt), false
	if hasBody(s.req) && !s.alone {
		s.lend(s.out)
	}
	s.handed = true
	resp, err := forward(s.Base, s.out, now)
	if s.trace != nil {
		s.took = time.Since(now)
	}

	if t := s.attempt.timeout; t != nil && !t.stop() {
		resp, err = nil, timedOutError(resp, err)
	}
	if err != nil && s.loan != nil {
		s.loan.end()
	}
	s.resp, s.err = resp, err
	s.verdict = settle(s.attempt, s.out, resp, err)
	if s.verdict.Class == ClassRefused {
		return
	}
	if s.heldBack() {
		s.gaveUp = s.heard != nil
		return
	}
	s.heard = s.verdict
	s.sent++
	s.host.ended(s.verdict.tally())
	if s.attempt.taken.Load()&uint32(roleBreaker|roleLimiter|roleClassifier) == 0 {
		report(s.attempt, s.req, s.verdict, now, now.Add(s.took))
	}
}

// heldBack tells whether the caller gave up while a layer below held the attempt
// back: it takes part in what it sends, and tells of that.
func (s *series) heldBack() bool {
	taken := role(s.attempt.taken.Load())
	return s.err != nil && taken&(roleBreaker|roleLimiter) != 0 && taken&roleReported == 0 && s.over()
}

// newAttempt makes what the layers below know the next attempt by. It belongs to
// the call of the layer above if there is one: unless that has a Limiter of its
// own, and with it a queue, in which the place of this call means nothing.
func (s *series) newAttempt(now time.Time) *attempt {
	a := &attempt{Context: plain(s.req.Context()), number: int(s.sent) + 1}
	if s.attempt == nil {
		a.own.began = now
		if isHost(s.hostKey, s.req.URL) {
			a.own.host = s.hostKey
		}
		s.call = &a.own
	}
	a.call = s.call
	if o := s.outer; o != nil && o.taken.Load()&uint32(roleLimiter) == 0 {
		a.call = o.call
		a.gate.Store(o.gate.Load())
	}
	if s.outer != nil {
		a.key.Store(s.outer.key.Load())
	}
	if s.AttemptTimeout > 0 {
		a.Context, a.timeout = startTimeout(a.Context, s.AttemptTimeout)
	}
	return a
}

// lend gives out the body of the next attempt: the caller's own for the first,
// which may differ from what GetBody gives, and is what was asked to be sent.
func (s *series) lend(out *http.Request) {
	if s.given {
		if s.body != nil {
			out.Body, s.body, s.other = s.body, nil, true
		}
		return
	}
	body := s.req.Body
	if s.loan == nil {
		if usedUp(s.req) {
			if again, err := getBody(s.req); err == nil && again != nil {
				body.Close()
				body, s.length = again, s.req.ContentLength
			}
		}
		s.loan = new(loan)
	} else {
		s.loan, body, s.body = new(loan), s.body, nil
	}
	s.other = true
	out.Body = s.loan.lend(body, s.length, s.req.GetBody)
	out.GetBody = s.loan.GetBody
}

// next tells whether there is to be a further attempt, and prepares it. From then
// on the last response is of no more use.
func (s *series) next() bool {
	if s.alone && !s.unsentWhole() || s.verdict.Class == ClassSuccess || s.over() || s.loan != nil && s.loan.differs() {
		return false
	}
	s.plan = s.Retrier.next(s.standing(), time.Now())
	p, may, unsure := &s.plan, true, false
	if p.doubtful {
		may, unsure = s.replayable()
	}
	switch { // the body is taken away from the last attempt at the end, for it may be the last
	case !p.again,
		!s.batch && s.attempt.shutAt(p.at, s.verdict), // what the server said is worth more than an OpenError
		!may,
		unsure && s.loan == nil && !s.namesModel(),
		p.charged && !s.takeShare(),
		unsure && s.loan != nil && !s.namesModel(),
		!s.rewind():
		p.again = false
		return false
	}
	if !s.plan.free {
		s.spent++
	}
	if t := s.trace; t != nil && t.Retrying != nil && s.plan.open == nil {
		t.Retrying(RetryInfo{AttemptInfo: s.info(), Delay: max(time.Until(s.plan.at), 0)})
	}
	return true
}

// unsentWhole tells whether a circuit refused a request that has no body to lose: what
// was not sent may wait for another time whatever it is.
func (s *series) unsentWhole() bool {
	return s.verdict.Class == ClassRefused && s.sent == 0 && !hasBody(s.req)
}

// info is what a Trace is told of the last attempt.
func (s *series) info() AttemptInfo {
	return attemptInfo(s.attempt, s.req, s.verdict, s.took)
}

func (s *series) standing() standing {
	if s.verdict.paced != nil {
		s.denied++
	}
	deadline, _ := s.req.Context().Deadline()
	return standing{
		verdict: s.verdict, spent: int(s.spent) + 1, denied: int(s.denied),
		batch: s.batch, probe: s.attempt.probe.Load(), once: sdkRetries(s.req) > 0,
		began: s.attempt.began, deadline: deadline, random: rand.Float64(),
	}
}

// replayable tells whether the request may be repeated though the server may have
// acted on it. If unsure, that is for its body to say, which no layer has read yet.
func (s *series) replayable() (may, unsure bool) {
	switch {
	case s.Replayable != nil:
		return s.Replayable(s.req), false
	case repeatable(s.req):
		return true, false
	case !inference(s.req):
		return false, false
	case pathModel(s.req.URL.Path) != "":
		return true, false
	case !hasBody(s.req) || !mayBeJSON(s.req.Header):
		return false, false
	}
	if f, known := s.attempt.facts.known(s.req); known {
		return f.model != "", false
	}
	return true, true
}

// namesModel looks for a model in the body, which must no longer be in use for that.
func (s *series) namesModel() bool {
	if !s.reclaim() {
		return false
	}
	// The context of the last attempt may have ended.
	look := s.req.WithContext(&attempt{Context: plain(s.req.Context()), call: s.attempt.call})
	if s.given { // net/http may still read the one that was sent
		body, err := getBody(s.req)
		if err != nil || body == nil {
			return false
		}
		defer body.Close()
		look.Body = body
	}
	model := ModelKey(look)
	s.gaveUp = s.over()
	return model != ""
}

// takeShare takes a retry out of the host's share. A batch call waits until there
// is one, or the server is well again, with the response in hand: it may be the
// last, if there is a deadline.
func (s *series) takeShare() bool {
	if s.RetryShare < 0 {
		return true
	}
	share := cmp.Or(s.RetryShare, defaultShare)
	for {
		ok, again := s.host.take(share, time.Now())
		if ok || s.batch && s.host.well() {
			return true
		}
		again = again.Add(rand.N(shareSlot / 4)) // the others that wait ask too
		if deadline, has := s.req.Context().Deadline(); !s.batch || has && !again.Before(deadline) {
			return false
		}
		if !s.sleep(again, nil) {
			return false
		}
	}
}

// reclaim takes the body away from the last attempt and waits until it is no
// longer in use.
func (s *series) reclaim() bool {
	if s.loan == nil {
		return true
	}
	s.loan.end()
	s.gaveUp = !s.loan.settled(s.req.Context(), cancelOf(s.req))
	return !s.gaveUp
}

// rewind obtains the body of the next attempt.
func (s *series) rewind() bool {
	if s.loan == nil && !s.given {
		return true
	}
	if !s.reclaim() {
		return false
	}
	if s.loan != nil && s.length < 0 {
		s.length = s.loan.sent()
	}
	body, err := getBody(s.req)
	s.gaveUp = err == errGivenUp
	if err != nil && body != nil {
		body.Close()
	}
	if err != nil || body == nil || s.given && unread(body) != s.req.ContentLength {
		return false
	}
	s.body = body
	return true
}

// wait waits until the time that is planned, or until the circuit that it waits
// for changes. It returns false if the call was given up meanwhile.
func (s *series) wait() bool {
	open := s.plan.open
	if open == nil {
		return s.sleep(s.plan.at, nil)
	}
	queued := s.host.waiting.Add(1)
	defer s.host.waiting.Add(-1)
	if t := s.trace; t != nil && t.Waiting != nil {
		info := s.info()
		t.Waiting(WaitInfo{Key: open.Key, Method: info.Method, Host: info.Host,
			Expected: time.Until(s.plan.at), Queued: int(queued)})
	}
	return s.sleep(s.plan.at, open.changed)
}

// sleep waits until t or wake. It returns false if the call was given up.
func (s *series) sleep(t time.Time, wake <-chan struct{}) bool {
	if d := time.Until(t); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-wake:
		case <-s.req.Context().Done():
		case <-cancelOf(s.req):
		}
	}
	s.gaveUp = s.over()
	return !s.gaveUp
}

// over tells whether the caller has given up.
func (s *series) over() bool { return givenUp(s.req) }

// finish returns what the call has come to.
func (s *series) finish() (*http.Response, error) {
	if s.gaveUp || s.plan.again {
		s.interrupt()
	}
	if s.outer != nil {
		s.outer.take(roleReported)
	}
	if s.verdict.Class != ClassSuccess && sdkRetries(s.req) >= 0 {
		s.speakToSDK()
	}
	if s.err != nil {
		s.err = clientTimeout(s.req, s.err)
		if s.outer != nil {
			own := *s.verdict // which those who went on after the call still read
			deliver(s.outer, s.req, nil, s.err, &own)
		}
		return nil, s.err
	}
	if t := s.attempt.timeout; t != nil {
		releaseAtEnd(s.resp, t.cancel)
	}
	if s.loan != nil {
		s.loan.forget(0)
	}
	noticeAtRead(s.req, s.resp)
	if s.other || s.attempt.timeout != nil {
		handBack(s.req, s.resp, s.verdict)
		if r := s.resp.Request; s.loan != nil && s.loan.isOf(r) {
			r.Body, r.GetBody = s.req.Body, s.req.GetBody
		}
	} else {
		s.attempt.finish(s.out, s.resp, s.verdict)
	}
	s.returned = true
	return s.resp, nil
}

// interrupt makes the call one that the caller gave up.
func (s *series) interrupt() {
	ctx := s.req.Context()
	last := s.verdict
	if s.heard != nil {
		last = s.heard
	}
	err := &interruptedError{ended: ended(ctx), last: last.err, outcome: last.Outcome}
	if s.resp != nil && s.resp.Body != nil {
		s.resp.Body.Close()
	}
	s.resp, s.err = nil, err
	s.verdict = &verdict{Outcome: classifyEnded(ctx, err.ended)}
}

// discard drops the response of an attempt that is followed by another.
func (s *series) discard() {
	drain(s.req, s.resp)
	s.resp = nil
	if t := s.attempt.timeout; t != nil {
		t.cancel(nil)
	}
}

// release closes and cancels what is left of a call that returns no response, if
// only because the base or a function of the caller's panicked.
func (s *series) release() {
	if s.returned {
		return
	}
	if s.body != nil {
		s.body.Close()
	}
	if s.resp != nil && s.resp.Body != nil {
		s.resp.Body.Close()
	}
	if t := s.attempt.timeout; t != nil {
		t.stop()
		t.cancel(nil)
	}
	switch {
	case s.loan != nil:
		s.loan.end()
	case !s.handed: // for a panic
		closeBody(s.req)
	}
}

// interruptedError is the error of a call that the caller gave up while it waited
// to be repeated. It tells what the last attempt said as well.
type interruptedError struct {
	ended   error // the context's
	last    error // the last attempt's; nil if there was a response
	outcome Outcome
}

func (e *interruptedError) Error() string {
	said := e.outcome.Class.String()
	if e.last != nil {
		said = e.last.Error()
	}
	return "steadyhttp: " + e.ended.Error() + " while waiting to retry; last attempt: " + said
}

func (e *interruptedError) Unwrap() []error {
	if e.last == nil {
		return []error{e.ended}
	}
	return []error{e.ended, e.last}
}

// Outcome is that of the last attempt.
func (e *interruptedError) Outcome() Outcome { return e.outcome }

// Timeout tells whether it was the context's deadline that passed.
func (e *interruptedError) Timeout() bool { return errors.Is(e.ended, context.DeadlineExceeded) }

// Temporary is Timeout, as for the errors of package context.
func (e *interruptedError) Temporary() bool { return e.Timeout() }
