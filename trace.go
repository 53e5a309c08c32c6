package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Trace is a set of hooks that are called as a request passes the layers. Any
// may be nil. They are called with no lock held, by many goroutines at once, and
// must not block: the request waits for them.
//
// No hook is given a URL, a header or a body, nor the credentials of the request
// where the API repeats them. What it sees may be logged but for the API's own
// sentences, Outcome.Message and a Code with spaces in it, and for Err, whose text
// is the base's: LogTrace leaves these out.
type Trace struct {
	Attempted    func(AttemptInfo) // an attempt that was sent ended: with a response's headers or an error
	Retrying     func(RetryInfo)   // a call is about to be repeated
	Waiting      func(WaitInfo)    // a request is held back, by the Limiter or by an open circuit
	Learned      func(LearnedInfo) // a key's quotas changed in kind: one appeared, has another limit, or refills otherwise
	StateChanged func(StateInfo)   // a circuit opened, half-opened or closed
}

// AttemptInfo tells of an attempt that ended.
type AttemptInfo struct {
	Key      string // of the Limiter, else of the Breaker; "" without either
	Method   string
	Host     string
	Attempt  int // from 1
	Outcome  Outcome
	Err      error         // nil if there was a response
	Duration time.Duration // from sending to the response's headers or the error
}

// RetryInfo tells of an attempt that will be followed by another.
type RetryInfo struct {
	AttemptInfo
	Delay time.Duration // until the next attempt; zero if the Limiter's queue decides
}

// WaitInfo tells of a request that is held back.
type WaitInfo struct {
	Key      string // of the Limiter, or of the circuit that is waited for
	Method   string
	Host     string
	Expected time.Duration // how long, as far as is known now
	Queued   int           // how many requests of the key wait, this one among them
}

// LearnedInfo tells what a Limiter has learned from the server's headers.
type LearnedInfo struct {
	Key    string
	Quotas []Quota
}

// StateInfo tells of a circuit that changed.
type StateInfo struct {
	Key      string
	From, To State
	RetryAt  time.Time // when an open circuit lets a probe through; zero otherwise
}

type traceKey struct{}

// WithTrace returns a context whose requests call the hooks of t, and then those
// of the Trace that ctx carries already, if any.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	if t == nil {
		return ctx
	}
	if outer := traceOf(ctx); outer != nil {
		t = &Trace{
			Attempted:    both(t.Attempted, outer.Attempted),
			Retrying:     both(t.Retrying, outer.Retrying),
			Waiting:      both(t.Waiting, outer.Waiting),
			Learned:      both(t.Learned, outer.Learned),
			StateChanged: both(t.StateChanged, outer.StateChanged),
		}
	}
	return context.WithValue(ctx, traceKey{}, t)
}

// both calls inner and then outer, either of which may be nil.
func both[T any](inner, outer func(T)) func(T) {
	switch {
	case inner == nil:
		return outer
	case outer == nil:
		return inner
	}
	return func(info T) { inner(info); outer(info) }
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// Traced returns base with t attached to every request.
func Traced(base http.RoundTripper, t *Trace) http.RoundTripper {
	return &traced{base: base, trace: t}
}

type traced struct {
	base  http.RoundTripper
	trace *Trace
}

func (t *traced) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req
	if t.trace != nil {
		out = req.WithContext(WithTrace(plain(req.Context()), t.trace))
	}
	resp, err := ask(t.base, out)
	if v := verdictOn(nil, resp, nil); v != nil {
		handBack(req, resp, v)
	} else if resp != nil && instead(out, resp) {
		resp.Request = resp.Request.WithContext(plain(req.Context()))
	} else if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func (t *traced) CloseIdleConnections() { closeIdle(t.base) }

// LogTrace logs every hook to l, or to slog.Default() if l is nil: attempts at
// level debug, or warn if they failed; retries and circuits at warn; waits and
// what was learned at debug. Of an error it logs the kind, not the text.
func LogTrace(l *slog.Logger) *Trace {
	if l == nil {
		l = slog.Default()
	}
	ctx := context.Background()
	return &Trace{
		Attempted: func(i AttemptInfo) {
			level := slog.LevelDebug
			if i.Outcome.Class != ClassSuccess && i.Outcome.Class != ClassCanceled {
				level = slog.LevelWarn
			}
			if l.Enabled(ctx, level) {
				l.LogAttrs(ctx, level, "steadyhttp: attempt ended", i.attrs()...)
			}
		},
		Retrying: func(i RetryInfo) {
			l.LogAttrs(ctx, slog.LevelWarn, "steadyhttp: retrying", append(i.attrs(), slog.Duration("delay", i.Delay))...)
		},
		Waiting: func(i WaitInfo) {
			l.LogAttrs(ctx, slog.LevelDebug, "steadyhttp: waiting",
				slog.String("key", i.Key), slog.String("method", i.Method), slog.String("host", i.Host),
				slog.Duration("expected", i.Expected), slog.Int("queued", i.Queued))
		},
		Learned: func(i LearnedInfo) {
			for _, q := range i.Quotas {
				l.LogAttrs(ctx, slog.LevelDebug, "steadyhttp: quota learned",
					slog.String("key", i.Key), slog.String("resource", q.Resource), slog.String("scope", q.Scope),
					slog.Int64("limit", q.Limit), slog.Int64("remaining", q.Remaining),
					slog.Duration("window", q.Window), timeAttr("reset", q.Reset))
			}
		},
		StateChanged: func(i StateInfo) {
			l.LogAttrs(ctx, slog.LevelWarn, "steadyhttp: circuit changed",
				slog.String("key", i.Key), slog.String("from", i.From.String()), slog.String("to", i.To.String()),
				timeAttr("retry_at", i.RetryAt))
		},
	}
}

// attrs are the facts of an attempt as they may be logged. The API's message is
// not among them, nor is the text of the error: both may quote the request.
func (i AttemptInfo) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("key", i.Key), slog.String("method", i.Method), slog.String("host", i.Host),
		slog.Int("attempt", i.Attempt), slog.String("class", i.Outcome.Class.String()),
		slog.Duration("duration", i.Duration),
		stringAttr("error", errorKind(i.Err)), stringAttr("code", wordOrNone(i.Outcome.Code)),
		stringAttr("request_id", i.Outcome.RequestID), timeAttr("retry_at", i.Outcome.RetryAt),
	}
}

// wordOrNone is s if it is one word. Some APIs have a sentence for a code, which may
// quote the request as their messages do.
func wordOrNone(s string) string {
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return ""
	}
	return s
}

// stringAttr is left out of the log if value is empty, as handlers do with the
// zero Attr.
func stringAttr(key, value string) slog.Attr {
	if value == "" {
		return slog.Attr{}
	}
	return slog.String(key, value)
}

// timeAttr is left out of the log if t is zero.
func timeAttr(key string, t time.Time) slog.Attr {
	if t.IsZero() {
		return slog.Attr{}
	}
	return slog.Time(key, t)
}

// errorKind is what the system calls err, or else the type of the innermost
// error: what can be said of it without its text.
func errorKind(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	kind := ""
	for ; err != nil; err = errors.Unwrap(err) {
		kind = fmt.Sprintf("%T", err)
	}
	return kind
}

// report tells the Trace that an attempt which was sent has ended. The innermost
// layer that sees it end is the one that reports.
func report(a *attempt, req *http.Request, v *verdict, sent, ended time.Time) {
	if !a.take(roleReported) {
		return
	}
	if t := traceOf(req.Context()); t != nil && t.Attempted != nil {
		t.Attempted(attemptInfo(a, req, v, ended.Sub(sent)))
	}
}

func attemptInfo(a *attempt, req *http.Request, v *verdict, d time.Duration) AttemptInfo {
	method, host := req.Method, req.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" && req.URL != nil {
		host = req.URL.Host
	}
	i := AttemptInfo{Method: method, Host: host, Attempt: a.number, Outcome: secretsOf(req, v).outcome(v.Outcome), Err: v.err, Duration: d}
	if key := a.key.Load(); key != nil {
		i.Key = *key
	}
	return i
}
