package steadyhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/steadyhttp/steadyhttp"
)

// What follows takes calls to every trouble that a base can make, through each
// layer alone and through all of them, and cancels each call at every point that
// it passes: before and after each use of the base, of the bodies and of the
// Trace, and around and within each wait. The points are counted in a first run
// and then taken one by one.

// points counts the points that a call passes, and calls stop at one of them.
type points struct {
	began time.Time
	at    int // the point to stop at, from 1; 0 for none
	stop  func()

	mu    sync.Mutex
	names []string
	times []time.Duration
}

func (p *points) pass(name string) {
	p.mu.Lock()
	p.names, p.times = append(p.names, name), append(p.times, time.Since(p.began))
	now := len(p.names) == p.at
	p.mu.Unlock()
	if now {
		p.stop()
	}
}

// reply is what the base does with an attempt.
type reply struct {
	status int
	header http.Header
	body   string
	cut    error         // the body ends in it
	stuck  bool          // the body does not end
	err    error         // instead of a response
	after  time.Duration // until it answers
	hang   bool          // it does not
	early  bool          // it answers without having read the request's body

	class steadyhttp.Class // what that is
}

// ok and its like are the replies in use.
var (
	ok         = reply{status: 200, body: "hello", after: 10 * time.Millisecond, class: steadyhttp.ClassSuccess}
	down       = reply{status: 503, body: "down", after: 10 * time.Millisecond, class: steadyhttp.ClassOverloaded}
	downFor3   = reply{status: 503, body: "down", header: http.Header{"Retry-After": {"3"}}, class: steadyhttp.ClassOverloaded}
	denied     = reply{status: 429, body: "no", after: 10 * time.Millisecond, class: steadyhttp.ClassRateLimited}
	deniedFor2 = reply{status: 429, body: "no", header: http.Header{"Retry-After": {"2"}}, class: steadyhttp.ClassRateLimited}
	refused    = reply{err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, early: true, class: steadyhttp.ClassNetwork}
	reset      = reply{err: &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, after: 10 * time.Millisecond, class: steadyhttp.ClassNetwork}
	resetEarly = reply{err: &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}, early: true, class: steadyhttp.ClassNetwork}
	noName     = reply{err: &net.DNSError{Err: "no such host", Name: "api.test", IsNotFound: true}, early: true, class: steadyhttp.ClassNetwork}
	nameLater  = reply{err: &net.DNSError{Err: "server misbehaving", Name: "api.test", IsTemporary: true}, early: true, class: steadyhttp.ClassNetwork}
	untrusted  = reply{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, early: true, class: steadyhttp.ClassNetwork}
	garbage    = reply{err: errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP status code "garbage"`), class: steadyhttp.ClassNetwork}
	ended      = reply{err: io.EOF, class: steadyhttp.ClassNetwork}
	hang       = reply{hang: true, class: steadyhttp.ClassTimeout}
	slow       = reply{status: 200, body: "hello", after: 3 * time.Second, class: steadyhttp.ClassSuccess}
	early      = reply{status: 200, body: "hello", early: true, class: steadyhttp.ClassSuccess}
	earlyDown  = reply{status: 503, body: "down", early: true, class: steadyhttp.ClassOverloaded}
	cut        = reply{status: 200, body: "hel", cut: io.ErrUnexpectedEOF, class: steadyhttp.ClassSuccess}
	cutDown    = reply{status: 500, body: "do", cut: io.ErrUnexpectedEOF, class: steadyhttp.ClassServerError}
	stuckDown  = reply{status: 500, body: "do", stuck: true, class: steadyhttp.ClassServerError}
)

// stage is a base, and what is seen of a call there.
type stage struct {
	*points
	script []reply // of the call's attempts; the last goes on

	mu        sync.Mutex
	entered   int      // attempts
	late      int      // of these, begun after the context had ended
	requests  []*part  // bodies
	responses []*part  //
	returned  error    // the last error
	attempted []string // classes that the Trace was told of
}

// companionKey marks the requests of other calls, with their reply.
type companionKey struct{}

func (s *stage) RoundTrip(req *http.Request) (*http.Response, error) {
	if r, is := req.Context().Value(companionKey{}).(reply); is {
		return s.play(req, r, func(string) {}, nil)
	}
	s.mu.Lock()
	s.entered++
	r := s.script[min(s.entered, len(s.script))-1]
	if req.Context().Err() != nil {
		s.late++
	}
	s.mu.Unlock()
	s.pass("base entered")
	resp, err := s.play(req, r, s.pass, s)
	s.mu.Lock()
	s.returned = err
	s.mu.Unlock()
	s.pass("base returns")
	return resp, err
}

func (s *stage) play(req *http.Request, r reply, pass func(string), seen *stage) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil {
		defer req.Body.Close()
		if !r.early {
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return nil, err
			}
		}
	}
	pass("request sent")
	timer := time.NewTimer(r.after)
	defer timer.Stop()
	answered := timer.C
	if r.hang {
		answered = nil
	} else if r.after == 0 {
		answered = closedTimer
	}
	select {
	case <-answered:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	pass("answered")
	if r.err != nil {
		return nil, r.err
	}
	body := &part{pass: pass, name: "response body", text: r.body, err: r.cut, ctx: ctx, gone: make(chan struct{})}
	if r.stuck {
		body.err = errStuck
	}
	if seen != nil {
		seen.mu.Lock()
		seen.responses = append(seen.responses, body)
		seen.mu.Unlock()
	}
	return &http.Response{
		StatusCode: r.status, Status: fmt.Sprint(r.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header.Clone(), Body: body, ContentLength: -1, Request: req,
	}, nil
}

var closedTimer = func() chan time.Time { c := make(chan time.Time); close(c); return c }()

// part is a body that is watched.
type part struct {
	pass func(string)
	name string
	text string
	err  error           // at the end; nil means io.EOF
	ctx  context.Context // of a response: reading ends with it
	gone chan struct{}   // closed with the body

	mu     sync.Mutex
	closed int
}

var errStuck = errors.New("the body does not end")

func (b *part) Read(p []byte) (n int, err error) {
	b.pass(b.name + " read")
	defer b.pass(b.name + " was read")
	b.mu.Lock()
	closed := b.closed > 0
	n = copy(p, b.text)
	b.text = b.text[n:]
	b.mu.Unlock()
	switch {
	case closed:
		return 0, http.ErrBodyReadAfterClose
	case b.ctx != nil && b.ctx.Err() != nil:
		return 0, context.Cause(b.ctx)
	case n > 0:
		return n, nil
	case b.err == errStuck:
		select {
		case <-b.gone:
			return 0, http.ErrBodyReadAfterClose
		case <-b.ctx.Done():
			return 0, context.Cause(b.ctx)
		}
	case b.err != nil:
		return 0, b.err
	}
	return 0, io.EOF
}

func (b *part) Close() error {
	b.pass(b.name + " close")
	b.mu.Lock()
	b.closed++
	if b.closed == 1 && b.gone != nil {
		close(b.gone)
	}
	b.mu.Unlock()
	b.pass(b.name + " was closed")
	return nil
}

// knobs are what a situation sets on the layers that there are.
type knobs struct {
	requests []steadyhttp.Rate
	inFlight int
	maxQueue int
	failures int
	timeout  time.Duration // AttemptTimeout
}

// arrangement is a stack.
type arrangement struct {
	name                      string
	limiter, breaker, retrier bool
	build                     func(base http.RoundTripper, k knobs) http.RoundTripper
}

func classifierOf(base http.RoundTripper, _ knobs) http.RoundTripper {
	return &steadyhttp.Classifier{Base: base}
}

func limiterOf(base http.RoundTripper, k knobs) http.RoundTripper {
	return &steadyhttp.Limiter{Base: base, Requests: k.requests, InFlight: k.inFlight, MaxQueue: k.maxQueue}
}

func breakerOf(base http.RoundTripper, k knobs) http.RoundTripper {
	return &steadyhttp.Breaker{Base: base, Failures: k.failures, ProbeTimeout: -1} // a slot that is lost is lost for ever
}

func retrierOf(base http.RoundTripper, k knobs) http.RoundTripper {
	return &steadyhttp.Retrier{Base: base, AttemptTimeout: k.timeout}
}

var arrangements = []arrangement{
	{"Classifier", false, false, false, classifierOf},
	{"Limiter", true, false, false, limiterOf},
	{"Breaker", false, true, false, breakerOf},
	{"Retrier", false, false, true, retrierOf},
	{"stack", true, true, true, func(base http.RoundTripper, k knobs) http.RoundTripper {
		return retrierOf(breakerOf(limiterOf(classifierOf(base, k), k), k), k)
	}},
}

// situation is what a call finds, and meets.
type situation struct {
	name   string
	knobs  knobs
	before []reply       // calls of others, one after the other
	pause  time.Duration // then
	beside []reply       // calls of others that are under way, begun a millisecond apart
	script []reply
	sent   int    // how many attempts the stack makes of it
	needs  string // "limiter", "breaker", "retrier": a layer without which it is none

	retried bool          // the calls before it are, if there is a Retrier
	patient bool          // an interactive call gets the first reply, a batch call waits
	refused bool          // an interactive call is refused, unsent
	spacing time.Duration // requests go so far apart
}

const second = time.Second

var onePerSecond = []steadyhttp.Rate{{N: 1, Per: second, Burst: 1}}

var situations = []situation{
	{name: "it succeeds", script: []reply{ok}, sent: 1},
	{name: "it succeeds, with AttemptTimeout", knobs: knobs{timeout: second}, script: []reply{ok}, sent: 1, needs: "retrier"},
	{name: "it is slow", script: []reply{slow}, sent: 1},
	{name: "it hangs, with AttemptTimeout", knobs: knobs{timeout: second}, script: []reply{hang, ok}, sent: 2, needs: "retrier"},
	{name: "down twice", script: []reply{down, down, ok}, sent: 3},
	{name: "down, with AttemptTimeout", knobs: knobs{timeout: second}, script: []reply{down, ok}, sent: 2, needs: "retrier"},
	{name: "down, and says until when", script: []reply{downFor3, ok}, sent: 2},
	{name: "down for good", script: []reply{down}, sent: 4},
	{name: "denied", script: []reply{denied, ok}, sent: 2},
	{name: "denied, with a time", script: []reply{deniedFor2, ok}, sent: 2},
	{name: "denied, with a time and AttemptTimeout", knobs: knobs{timeout: second}, script: []reply{deniedFor2, ok}, sent: 2, needs: "retrier"},
	{name: "refused", script: []reply{refused, ok}, sent: 2},
	{name: "reset", script: []reply{reset, ok}, sent: 2},
	{name: "reset before the body is read", script: []reply{resetEarly, ok}, sent: 2},
	{name: "closed without an answer", script: []reply{ended, ok}, sent: 2},
	{name: "garbage", script: []reply{garbage, ok}, sent: 2},
	{name: "no such host", script: []reply{noName}, sent: 1},
	{name: "no answer from the name server", script: []reply{nameLater, ok}, sent: 2},
	{name: "a certificate that is not trusted", script: []reply{untrusted}, sent: 1},
	{name: "an early answer", script: []reply{early}, sent: 1},
	{name: "an early error", script: []reply{earlyDown, ok}, sent: 2},
	{name: "the body is cut", script: []reply{cut}, sent: 1},
	{name: "the body of an error is cut", script: []reply{cutDown, ok}, sent: 2},
	{name: "the body of an error does not end", script: []reply{stuckDown, ok}, sent: 2},
	{name: "no share of retries is left", knobs: knobs{failures: 1000}, before: []reply{down, down, down, down}, retried: true, script: []reply{down, ok}, sent: 2, needs: "retrier", patient: true},

	{name: "a queue", knobs: knobs{requests: onePerSecond}, before: []reply{ok}, script: []reply{ok}, sent: 1, needs: "limiter", spacing: second},
	{name: "a queue, with AttemptTimeout", knobs: knobs{requests: onePerSecond, timeout: second / 2}, before: []reply{ok}, script: []reply{ok}, sent: 1, needs: "limiter", spacing: second},
	{name: "a queue with others in it", knobs: knobs{requests: onePerSecond}, before: []reply{ok}, beside: []reply{ok, ok}, script: []reply{ok}, sent: 1, needs: "limiter"},
	{name: "a full queue", knobs: knobs{requests: onePerSecond, maxQueue: 1}, before: []reply{ok}, beside: []reply{ok}, script: []reply{ok}, needs: "limiter", refused: true},
	{name: "all that may be in flight is", knobs: knobs{inFlight: 1}, beside: []reply{slow}, script: []reply{ok}, sent: 1, needs: "limiter"},
	{name: "a key that is held", before: []reply{deniedFor2}, script: []reply{ok}, sent: 1, needs: "limiter"},
	{name: "an open circuit", knobs: knobs{failures: 1}, before: []reply{down}, script: []reply{ok}, sent: 1, needs: "breaker", refused: true},
	{name: "a circuit to be probed", knobs: knobs{failures: 1}, before: []reply{down}, pause: 2 * second, script: []reply{ok}, sent: 1, needs: "breaker"},
	{name: "a probe that fails", knobs: knobs{failures: 1}, before: []reply{down}, pause: 2 * second, script: []reply{down, ok}, sent: 2, needs: "breaker"},
	{name: "a probe that is queued", knobs: knobs{failures: 1, requests: []steadyhttp.Rate{{N: 1, Per: 5 * second, Burst: 1}}}, before: []reply{down}, pause: 2 * second, script: []reply{ok}, sent: 1, needs: "limiter"},
	{name: "a circuit that opens while it is queued", knobs: knobs{failures: 1, requests: []steadyhttp.Rate{{N: 1, Per: 5 * second, Burst: 2}}}, before: []reply{ok}, beside: []reply{{status: 503, after: 3 * second}}, script: []reply{ok}, sent: 1, needs: "limiter"},
}

func (s situation) of(a arrangement) bool {
	return s.needs == "" || s.needs == "limiter" && a.limiter || s.needs == "breaker" && a.breaker || s.needs == "retrier" && a.retrier
}

// cancellation says when a call is cancelled: at a point, or at a time.
type cancellation struct {
	point int // from 1; -1 before the call; 0 not
	after time.Duration
	edge  bool // something else happens at that time
}

func (c cancellation) any() bool { return c != cancellation{} }

var errPressed = errors.New("the user pressed stop")

// enact makes a call in a situation, and cancels it. It returns the points that
// the call has passed.
func enact(t *testing.T, a arrangement, sit situation, p steadyhttp.Priority, c cancellation) (seen *points) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		s := &stage{points: &points{}, script: sit.script}
		rt := a.build(s, sit.knobs)
		complain := func(format string, args ...any) {
			t.Helper()
			where := "not cancelled"
			switch {
			case c.point < 0:
				where = "cancelled before"
			case c.point > 0 && c.point <= len(s.names):
				where = fmt.Sprintf("cancelled at point %d, %q", c.point, s.names[c.point-1])
			case c.after > 0:
				where = fmt.Sprintf("cancelled after %v", c.after)
			}
			t.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
		}
		for _, r := range sit.before {
			companion(t, rt, r, sit.retried)
		}
		last := time.Now()
		time.Sleep(sit.pause)
		var others sync.WaitGroup
		for _, r := range sit.beside {
			others.Go(func() { companion(t, rt, r, false) })
			time.Sleep(time.Millisecond)
		}

		ctx, cancel := context.WithCancelCause(steadyhttp.WithPriority(context.Background(), p))
		var stopped time.Time
		var mu sync.Mutex
		s.stop = func() {
			mu.Lock()
			defer mu.Unlock()
			if stopped.IsZero() {
				stopped = time.Now()
				cancel(errPressed)
			}
		}
		s.at, s.began = c.point, time.Now()
		if c.point < 0 {
			s.stop()
		}
		if c.after > 0 {
			defer time.AfterFunc(c.after, s.stop).Stop()
		}
		resp, err := rt.RoundTrip(s.request(t, ctx))
		mu.Lock()
		gaveUp := stopped
		mu.Unlock()
		over := time.Now()
		s.pass("the call returns")
		status, text, readErr := 0, "", error(nil)
		if resp != nil {
			status = resp.StatusCode
			if !slices.ContainsFunc(s.script, func(r reply) bool { return r.stuck && r.status == status }) {
				b, err := io.ReadAll(resp.Body)
				text, readErr = string(b), err
			}
			resp.Body.Close()
		}
		s.pass("the end")
		cancel(nil)
		s.settled(complain)

		switch {
		case (resp == nil) == (err == nil):
			complain("response %v and error %v", resp, err)
		case !gaveUp.IsZero():
			if took := over.Sub(gaveUp); took > 0 {
				complain("it went on for %v", took)
			}
			if s.late > 1 {
				complain("%d attempts began after the end", s.late)
			}
			own := s.scripted(err) || sit.knobs.timeout > 0 && errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*steadyhttp.LimitError)) || errors.As(err, new(*steadyhttp.OpenError))
			switch {
			case err == nil, err == s.returned, own && (c.point > 0 || c.edge):
			case !errors.Is(err, errPressed) || !errors.Is(err, context.Canceled):
				complain("error %v (%T)", err, err)
			}
			if err != nil && !own && steadyhttp.OutcomeOf(nil, err).Class != steadyhttp.ClassCanceled && !errors.Is(err, errPressed) {
				complain("%v is %v", err, steadyhttp.OutcomeOf(nil, err).Class)
			}
		case !c.any():
			s.asExpected(a, sit, p, status, text, readErr, err, complain)
		}
		others.Wait()
		if left := steadyhttp.Leftovers(rt); left != nil {
			complain("left behind: %v", left)
		}
		s.unaffected(t, rt, a, sit, last, complain)
		seen = s.points
	})
	return seen
}

// request is the call's: one that may be repeated.
func (s *stage) request(t *testing.T, ctx context.Context) *http.Request {
	ctx = steadyhttp.WithTrace(ctx, &steadyhttp.Trace{
		Attempted: func(i steadyhttp.AttemptInfo) {
			s.mu.Lock()
			s.attempted = append(s.attempted, i.Outcome.Class.String())
			s.mu.Unlock()
			s.pass("Attempted")
		},
		Retrying:     func(steadyhttp.RetryInfo) { s.pass("Retrying") },
		Waiting:      func(steadyhttp.WaitInfo) { s.pass("Waiting") },
		Learned:      func(steadyhttp.LearnedInfo) { s.pass("Learned") },
		StateChanged: func(steadyhttp.StateInfo) { s.pass("StateChanged") },
	})
	req, err := http.NewRequestWithContext(ctx, "POST", "http://api.test/v1/things", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "1")
	req.Header.Set("Content-Type", "application/json")
	open := func() *part {
		b := &part{pass: s.pass, name: "request body", text: `{"model":"m","messages":[]}`}
		s.mu.Lock()
		s.requests = append(s.requests, b)
		s.mu.Unlock()
		return b
	}
	req.Body = open()
	req.ContentLength = int64(len(`{"model":"m","messages":[]}`))
	req.GetBody = func() (io.ReadCloser, error) {
		s.pass("GetBody called")
		defer s.pass("GetBody returns")
		return open(), nil
	}
	return req
}

// companion makes another caller's call, which meets r.
func companion(t *testing.T, rt http.RoundTripper, r reply, retried bool) (status int, err error) {
	ctx := context.WithValue(context.Background(), companionKey{}, r)
	if !retried {
		ctx = steadyhttp.WithoutRetry(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "http://api.test/v1/things", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "2")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, nil
}

// settled checks the bodies of a call that is over, and that the Trace was told
// of each attempt.
func (s *stage) settled(complain func(string, ...any)) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range s.requests {
		if b.closed == 0 {
			complain("body %d of %d of the request is open", i+1, len(s.requests))
		}
	}
	for i, b := range s.responses {
		if b.closed != 1 {
			complain("response %d of %d: closed %d times", i+1, len(s.responses), b.closed)
		}
	}
	// What was handed to the base after the end may or may not have been sent.
	if n := len(s.attempted); n > s.entered || n < s.entered-s.late {
		complain("%d attempts, of which the Trace was told of %d: %v", s.entered, len(s.attempted), s.attempted)
	}
}

// scripted tells whether an error is one of the script's.
func (s *stage) scripted(err error) bool {
	return slices.ContainsFunc(s.script, func(r reply) bool { return r.err != nil && errors.Is(err, r.err) })
}

// asExpected checks what became of a call that was not cancelled.
func (s *stage) asExpected(a arrangement, sit situation, p steadyhttp.Priority, status int, text string, readErr, err error, complain func(string, ...any)) {
	sent := min(sit.sent, 1)
	if a.retrier {
		sent = sit.sent
	}
	if sit.refused && (p == steadyhttp.PriorityInteractive || !a.retrier || sit.sent == 0) {
		if steadyhttp.OutcomeOf(nil, err).Class != steadyhttp.ClassRefused || s.entered != 0 {
			complain("%d attempts, status %d, error %v; want a refusal", s.entered, status, err)
		}
		return
	}
	if sit.name == "a circuit that opens while it is queued" && a.breaker && (p == steadyhttp.PriorityInteractive || !a.retrier) {
		if !errors.As(err, new(*steadyhttp.OpenError)) || s.entered != 0 {
			complain("%d attempts, status %d, error %v; want an *OpenError", s.entered, status, err)
		}
		return
	}
	// An interactive call whose probe failed finds the circuit open.
	probing := sit.name == "a probe that fails" && a.retrier && p == steadyhttp.PriorityInteractive
	if probing || sit.patient && p == steadyhttp.PriorityInteractive {
		sent = 1
	}
	var classes []string
	for i := range sent {
		classes = append(classes, s.script[min(i, len(s.script)-1)].class.String())
	}
	if !slices.Equal(s.attempted, classes) {
		complain("attempts ended in %v, want %v", s.attempted, classes)
	}
	if probing {
		return
	}
	switch last := s.script[min(sent, len(s.script))-1]; {
	case last.err != nil:
		if err != last.err {
			complain("error %v, want %v", err, last.err)
		}
	case last.stuck: // read by nobody but the caller, who closes it
	case status != last.status || text != last.body || !errors.Is(readErr, last.cut) && readErr != last.cut:
		complain("status %d, %q, %v, %v; want %d, %q, %v", status, text, readErr, err, last.status, last.body, last.cut)
	}
}

// unaffected checks that a later call goes through in the time that it should
// take, whatever became of this one. last is when the others were answered.
func (s *stage) unaffected(t *testing.T, rt http.RoundTripper, a arrangement, sit situation, last time.Time, complain func(string, ...any)) {
	start := time.Now()
	for {
		status, err := companion(t, rt, ok, false)
		if err == nil && status == 200 {
			break
		}
		if time.Since(start) > 30*second {
			complain("a later call fails: status %d, error %v", status, err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	if sit.spacing > 0 {
		most := later(start, last.Add(time.Duration(s.entered+1)*sit.spacing)).Add(ok.after + 10*time.Millisecond)
		if now := time.Now(); now.After(most) {
			complain("%d requests were sent, and yet a later call came back %v late", s.entered, now.Sub(most))
		}
	}
	if left := steadyhttp.Leftovers(rt); left != nil {
		complain("left behind by a later call: %v", left)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// everyTime is each moment at which a call may be cancelled while time passes:
// at both ends of each wait, just within them, and in the middle.
func everyTime(p *points) (times []cancellation) {
	last := time.Duration(0)
	for _, at := range p.times {
		if at > last+1 {
			times = append(times, cancellation{after: last + 1}, cancellation{after: last + (at-last)/2}, cancellation{after: at - 1})
		}
		if at > last {
			times = append(times, cancellation{after: at, edge: true})
			last = at
		}
	}
	return times
}

func TestFaultsAndCancellationAtEveryPointLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	for _, a := range arrangements {
		t.Run(a.name, func(t *testing.T) {
			calls, most := 0, 0
			for _, sit := range situations {
				if !sit.of(a) {
					continue
				}
				t.Run(sit.name, func(t *testing.T) {
					for _, p := range []steadyhttp.Priority{steadyhttp.PriorityInteractive, steadyhttp.PriorityBatch} {
						seen := enact(t, a, sit, p, cancellation{})
						enact(t, a, sit, p, cancellation{point: -1})
						for i := range seen.names {
							enact(t, a, sit, p, cancellation{point: i + 1})
						}
						times := everyTime(seen)
						for _, at := range times {
							enact(t, a, sit, p, at)
						}
						calls, most = calls+2+len(seen.names)+len(times), max(most, len(seen.names))
						if t.Failed() {
							t.Fatalf("priority %d; uncancelled it passes %q", p, seen.names)
						}
					}
				})
			}
			t.Logf("%d calls, with up to %d points", calls, most)
		})
	}
}

// TestNoTimerIsLeft finds timers by what they keep alive: the context of a call
// that is over, whose response is dropped. Next to no time passes meanwhile.
func TestNoTimerIsLeft(t *testing.T) {
	for _, a := range arrangements {
		for _, sit := range situations {
			if !sit.of(a) || sit.beside != nil || sit.name == "the body of an error does not end" {
				continue
			}
			if sit.knobs.timeout == 0 {
				sit.knobs.timeout = time.Hour
			}
			synctest.Test(t, func(t *testing.T) {
				s := &stage{points: &points{began: time.Now()}, script: sit.script}
				rt := a.build(s, sit.knobs)
				for _, r := range sit.before {
					companion(t, rt, r, sit.retried)
				}
				time.Sleep(sit.pause)
				used := make(chan weak.Pointer[[64]byte])
				go func() {
					value := new([64]byte)
					ctx := context.WithValue(context.Background(), companionKey{}, value)
					if resp, err := rt.RoundTrip(s.request(t, ctx)); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					used <- weak.Make(value)
				}()
				value := <-used
				synctest.Wait()
				s.mu.Lock()
				s.requests, s.responses = nil, nil
				s.mu.Unlock()
				for range 5 {
					time.Sleep(time.Nanosecond) // lets go of timers that were stopped
					if runtime.GC(); value.Value() == nil {
						break
					}
				}
				if value.Value() != nil {
					t.Errorf("%s, %s: something still holds the call's context", a.name, sit.name)
				}
				runtime.KeepAlive(rt)
			})
		}
	}
}
