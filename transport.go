// Package steadyhttp keeps an HTTP client steady against an API that throttles,
// fails or goes away. It is a stack of four [http.RoundTripper]s, each a struct
// with a Base field and a useful zero value:
//
//	&Retrier{Base: &Breaker{Base: &Limiter{Base: &Classifier{Base: base}}}}
//
// which is what [NewTransport] returns. A request travels the literal from left
// to right. The Retrier is outermost, so that every attempt is admitted and
// counted anew; the Breaker stands before the Limiter, so that an open circuit
// fails at once and spends no budget; the Classifier is at the wire, the only
// layer that knows status codes and header dialects. Each layer also works
// alone, in any order, around any RoundTripper.
//
// The Classifier says what happened, as an [Outcome]; the other layers act on
// its class:
//
//	class                         Retrier                    Breaker   Limiter
//	success                       returns it                 success   learns quotas
//	any other 4xx                 returns it, unless         success   learns quotas
//	                              Retryable
//	quota_exhausted               returns it                 ignores   learns; holds the key only if
//	                                                                   the server names a time
//	rate_limited                  retries                    ignores   learns; holds the whole key to
//	                                                                   RetryAt if the server stated it
//	overloaded                    retries at RetryAt, if     failure   learns; holds the key to RetryAt
//	                              it may be repeated
//	server_error, timeout,        retries, if it may         failure   learns quotas
//	network                       be repeated
//	canceled, refused             returns it (a batch call   ignores   gives the claim back if nothing
//	                              waits out an open circuit)           was sent
//
// For every number among the fields of a layer zero means the default and a
// negative value switches the thing off. Fields must not change after the first
// use. Every layer serves any number of goroutines at once.
package steadyhttp

import (
	"errors"
	"net/http"
	"time"
)

// NewTransport returns the whole stack around base, every field at its default.
// A nil base means [http.DefaultTransport]. It bounds no attempt in time: that is
// for the request's context, or for AttemptTimeout of a [Retrier] of one's own.
func NewTransport(base http.RoundTripper) http.RoundTripper {
	return &Retrier{Base: &Breaker{Base: &Limiter{Base: &Classifier{Base: base}}}}
}

// baseOf is the RoundTripper that a layer forwards to. The default is read at
// call time, so that a program that replaces http.DefaultTransport is obeyed.
func baseOf(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		return http.DefaultTransport
	}
	return base
}

// option is a configured number: zero stands for its default, and a negative one
// for the value at which it does nothing.
func option[N int | float64 | time.Duration](n, zero, negative N) N {
	switch {
	case n == 0:
		return zero
	case n < 0:
		return negative
	}
	return n
}

// forward passes req on to base at a time, which need not be read again by a layer
// that stands right below.
func forward(base http.RoundTripper, req *http.Request, now time.Time) (*http.Response, error) {
	switch layer := base.(type) {
	case *Breaker:
		return layer.roundTrip(req, now)
	case *Limiter:
		return layer.roundTrip(req, now)
	case *Classifier:
		return layer.roundTrip(req, now)
	}
	return ask(base, req)
}

var errNoResponse = errors.New("steadyhttp: the base returned neither a response nor an error")

// ask sends req to base, and makes of what comes back what it should be: either a
// response, with a body and a request, or an error.
func ask(base http.RoundTripper, req *http.Request) (*http.Response, error) {
	t := hop{req: req}
	defer t.end() // should it panic
	resp, err := baseOf(base).RoundTrip(req)
	t.handed = true
	switch {
	case resp == nil && err == nil:
		return nil, errNoResponse
	case resp == nil:
		return nil, err
	case err != nil:
		if resp.Body != nil {
			resp.Body.Close()
		}
		return nil, err
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Request == nil {
		resp.Request = req
	}
	return resp, nil
}

// closeIdle forwards CloseIdleConnections to a base that has it.
func closeIdle(base http.RoundTripper) {
	if c, ok := baseOf(base).(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// hop is a request's way through a layer, which has to close the body of the request
// until it is handed on, as the RoundTripper contract demands of every path, and that
// of the response until it is returned: nobody else does should a function of the
// caller's panic.
type hop struct {
	req    *http.Request
	resp   *http.Response // not yet returned
	handed bool
}

// end is deferred.
func (t *hop) end() {
	if !t.handed {
		closeBody(t.req)
	}
	if t.resp != nil && t.resp.Body != nil {
		t.resp.Body.Close()
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
