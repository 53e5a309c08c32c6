package steadyhttp

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Retrier repeats a request that may succeed the next time, and only such a
// request. It stands above the other layers, so that each attempt is admitted and
// counted anew.
//
// What is repeated is for the [Outcome] to say: it must be Retryable, and unless
// the server surely did not act on the request (it was denied, the connection was
// refused) the request itself must be one that can do no harm twice: see
// Replayable. A request with a body needs GetBody as well, as http.NewRequest
// sets it for the usual readers; bodies are never buffered. Requests with a
// Trailer, that ask for an Upgrade or that CONNECT are sent once.
//
// When the Retrier gives up it returns the last response as it came, its body
// unread, or the last error. It does so too when that has opened the circuit of a
// [Breaker] below, which would refuse an interactive call's retry. The responses
// before it are gone, their cookies and their informational (1xx) responses, which
// httptrace has seen, included. If the context ends while a call waits to be
// repeated, the error is the context's; the error of the last attempt is in its
// chain too, and so is, for errors.As, an interface{ Outcome() Outcome } that says
// what became of that attempt.
//
// Denials that a [Limiter] below knows of are not slept on: the call goes back to
// the Limiter's queue, where it keeps its place, and such a denial costs no
// attempt, ten times a call; only of an API that neither says when nor has admitted
// anything worth mentioning each costs one, and one that never admitted anything is
// waited for no longer than after any other failure. A call of [PriorityBatch] waits
// for as long as its context allows until an open circuit closes; nothing was sent,
// so that costs no attempt either.
//
// OpenAI's and Anthropic's SDKs retry by themselves, and say so in the header
// X-Stainless-Retry-Count. Their second and third tries are attempted once, the
// response to a call that failed tells them to stop (X-Should-Retry: false), and
// a *LimitError or *OpenError becomes a response that they understand.
type Retrier struct {
	Base http.RoundTripper // if nil, http.DefaultTransport

	// MaxAttempts is how often a request is sent at most, the first time
	// included. Zero means 4, and one never to retry. Negative switches the
	// Retrier off: requests pass as if it were not there.
	MaxAttempts int

	// MinDelay and MaxDelay bound the delay before a retry. It is random,
	// between MinDelay and a bound that doubles with each attempt, from twice
	// MinDelay up to MaxDelay, so that clients that failed together do not come
	// back together.
	//
	// A time that the server states is kept instead, exactly or up to a tenth
	// (at most a second) later. If it is further away than MaxDelay, or the
	// context's deadline comes first, the response is returned at once.
	//
	// Zero means 0.5 s and 90 s. A negative MinDelay means no delay other than
	// the server's, a negative MaxDelay no bound.
	MinDelay, MaxDelay time.Duration

	// RetryShare bounds the retries of failures to a share of the calls to the
	// same host in the last minute, which keeps retries from making an outage
	// worse; ten a minute are always allowed. An interactive call for which
	// nothing is left fails as it stands, a batch call waits, until the last ten
	// attempts have succeeded at the latest. Denials that a
	// Limiter handles do not count. Zero means 0.2; negative, no bound.
	RetryShare float64

	// AttemptTimeout is how long an attempt may take up to its response headers.
	// The time in a Limiter's queue does not count, nor does that of the body.
	// Zero or negative means no bound.
	AttemptTimeout time.Duration

	// Replayable tells whether a request may be repeated after a failure that
	// leaves open whether the server acted on it. It must not use the body.
	//
	// If nil: requests with an idempotent method, with an Idempotency-Key, or of
	// an SDK that repeats them itself; and calls for inference (chat completions,
	// responses, messages, embeddings and the like, by a POST that names a
	// model), which cost tokens but change nothing.
	Replayable func(*http.Request) bool

	once  sync.Once
	hosts lru[*retryShare]
}

type withoutRetryKey struct{}

// WithoutRetry returns a context whose requests pass a Retrier as if it were not
// there.
func WithoutRetry(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutRetryKey{}, true)
}

// RoundTrip sends req, and again for as long as that may help. Its response is
// that of the last attempt; its error is the last attempt's, or the context's if
// that ended before another.
func (r *Retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.MaxAttempts < 0 || req.Context().Value(withoutRetryKey{}) != nil || req.URL == nil || req.Header == nil {
		return ask(r.Base, req)
	}
	now := time.Now()
	var s series
	s.begin(r, req, now)
	defer s.release()
	s.try(now)
	if s.next() {
		s.loop()
	}
	return s.finish()
}

// CloseIdleConnections forwards to Base. The Retrier never calls it by itself,
// whatever fails: others share the connections.
func (r *Retrier) CloseIdleConnections() { closeIdle(r.Base) }

func (r *Retrier) init() {
	r.hosts.make = func(key string) *retryShare { return &retryShare{literal: !strings.ContainsAny(key, "%~")} }
}

// hostOf returns the share of the host that req goes to, and the host's key.
func (r *Retrier) hostOf(req *http.Request) (*retryShare, string) {
	r.once.Do(r.init)
	if e := r.hosts.latest(); e != nil && e.value.literal && isHost(e.key, req.URL) { // most programs use one
		return e.value, e.key
	}
	var buf [keyBuf]byte
	e := r.hosts.get(appendHost(buf[:0], req))
	return e.value, e.key
}
