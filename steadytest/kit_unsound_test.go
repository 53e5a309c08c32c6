package steadytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

// repeatable tells whether a retrier may send req again.
func repeatable(req *http.Request) bool {
	return (req.Method == "GET" || req.Header["Idempotency-Key"] != nil) && (req.Body == nil || req.GetBody != nil) &&
		len(req.Trailer) == 0 && req.Header["Upgrade"] == nil
}

// twice makes retriers that send what may be repeated a second time if the first
// answer asks for it, as again has it.
func twice(asks func(*http.Response, error) bool, again func(req *http.Request) *http.Request) func(http.RoundTripper) http.RoundTripper {
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if !asks(resp, err) || !repeatable(req) {
			return resp, err
		}
		second := req.WithContext(req.Context())
		if req.GetBody != nil {
			if second.Body, err = req.GetBody(); err != nil {
				return resp, nil
			}
		}
		if resp != nil {
			resp.Body.Close()
		}
		return next.RoundTrip(again(second))
	})
}

// status makes a twice ask after a status.
func status(codes ...int) func(*http.Response, error) bool {
	return func(resp *http.Response, err error) bool {
		return err == nil && strings.Contains(text(codes), text(resp.StatusCode))
	}
}

// gate makes layers that refuse when shut, which they learn from what comes back,
// and that leave the body open then.
func gate(shut func(n int64, resp *http.Response, err error) bool) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		var n atomic.Int64
		var closed atomic.Bool
		return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if closed.Load() {
				return nil, errFull
			}
			resp, err := next.RoundTrip(req)
			closed.Store(shut(n.Add(1), resp, err))
			return resp, err
		}}
	}
}

// permits makes semaphores that hold a call's permit until its response is
// closed, or as long as kept says.
func permits(places int, kept func(resp *http.Response, err error, panicked bool) bool) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		places := make(chan struct{}, places)
		return &layer{base, func(next http.RoundTripper, req *http.Request) (resp *http.Response, err error) {
			if err := enter(places, req); err != nil {
				return nil, err
			}
			panicked := true
			defer func() {
				if !kept(resp, err, panicked) {
					<-places
				}
			}()
			resp, err = next.RoundTrip(req)
			panicked = false
			return resp, err
		}}
	}
}

// locked is a body whose Close waits for a Read.
type locked struct {
	io.ReadCloser
	mu sync.Mutex
}

func (l *locked) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ReadCloser.Read(p)
}

func (l *locked) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ReadCloser.Close()
}

const held = "a call that came to its end holds nothing"

// unsound are middlewares that break a rule, and what that rule finds.
var unsound = []struct {
	rule, name, want string
	wrap             func(http.RoundTripper) http.RoundTripper
}{
	{"C1", "panics when the call was cancelled", "no panic, whatever the caller or the server does",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if req.Context().Err() != nil {
				_ = resp.StatusCode
			}
			return resp, err
		})},
	{"D1", "has no last attempt", "attempts come to an end",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			for {
				resp, err := next.RoundTrip(req)
				if err == nil && resp.StatusCode < 500 {
					return resp, err
				}
				if resp != nil {
					resp.Body.Close()
				}
				if req.Body != nil {
					req = req.WithContext(req.Context())
					req.Body, _ = req.GetBody()
				}
			}
		})},
	{"A1", "blots out credentials for its log", "the caller's request is as it was, all the time",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if v := req.Header["Authorization"]; len(v) > 0 {
				v[0] = "***"
			}
			return next.RoundTrip(req)
		})},
	{"A1", "parses the form", "the caller's request is as it was, all the time",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if req.Method == "GET" {
				req.ParseForm()
			}
			return next.RoundTrip(req)
		})},
	{"A1", "marks a second attempt in place", "the caller's request is as it was, all the time",
		twice(status(502), func(req *http.Request) *http.Request {
			req.Header.Set("X-Attempt", "2")
			return req
		})},
	{"A3", "makes the second attempt anew", "the base gets the caller's Host",
		twice(status(503), func(req *http.Request) *http.Request {
			second, _ := http.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), req.Body)
			second.Header = req.Header
			return second
		})},
	{"A3", "spells the method in capitals", "the base gets the caller's Method",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			req = req.WithContext(req.Context())
			req.Method = strings.ToUpper(req.Method)
			return next.RoundTrip(req)
		})},
	{"A5", "follows a 307", "no redirect is followed",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == 307 {
				resp.Body.Close()
				req = req.WithContext(req.Context())
				req.URL, _ = resp.Location()
				return next.RoundTrip(req)
			}
			return resp, err
		})},
	{"A5", "takes cookies away", "cookies are left to the http.Client",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				resp.Header.Del("Set-Cookie")
			}
			return resp, err
		})},
	{"B1", "refuses after the fifth 500", wantBodyClosed,
		gate(func(n int64, resp *http.Response, err error) bool {
			return n >= 5 && err == nil && resp.StatusCode == 500
		})},
	{"B1", "refuses after a Retry-After", wantBodyClosed,
		gate(func(_ int64, resp *http.Response, err error) bool {
			return err == nil && resp.Header.Get("Retry-After") == "3600"
		})},
	{"B1", "refuses after 200 calls", wantBodyClosed,
		gate(func(n int64, _ *http.Response, _ error) bool { return n >= 200 })},
	{"B1", "leaves the body of a queued call open", wantBodyClosed,
		func(base http.RoundTripper) http.RoundTripper {
			places := make(chan struct{}, 3)
			return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				select {
				case places <- struct{}{}:
				default:
					select {
					case places <- struct{}{}:
					case <-req.Context().Done():
						return nil, context.Cause(req.Context())
					}
				}
				defer func() { <-places }()
				return next.RoundTrip(req)
			}}
		}},
	{"B1", "queues calls by a lock", "a call that waits for its turn ends when the caller gives up",
		func(base http.RoundTripper) http.RoundTripper {
			var mu sync.Mutex
			return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				return next.RoundTrip(req)
			}}
		}},
	{"B6", "drops a body without a length", "every attempt has the same body, length and framing",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if req.ContentLength == 0 && req.Body != nil {
				req.Body.Close()
				req = req.WithContext(req.Context())
				req.Body = http.NoBody
			}
			return next.RoundTrip(req)
		})},
	{"B7", "repeats a POST after a timeout", "what the server may have acted on is not repeated, without a word from the caller that it may be",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() && req.Context().Err() == nil && req.GetBody != nil {
				req = req.WithContext(req.Context())
				req.Body, _ = req.GetBody()
				return next.RoundTrip(req)
			}
			return resp, err
		})},
	{"B8", "repeats trailers after a 429", "one attempt",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == 429 && req.GetBody != nil {
				resp.Body.Close()
				req = req.WithContext(req.Context())
				req.Body, _ = req.GetBody()
				return next.RoundTrip(req)
			}
			return resp, err
		})},
	{"C1", "takes a second attempt away from the caller", "a call in flight ends at once when the caller gives up",
		twice(status(503), func(req *http.Request) *http.Request { return req.WithContext(context.WithoutCancel(req.Context())) })},
	{"C1", "sleeps before a second GET", "a wait ends at once when the caller gives up",
		twice(func(resp *http.Response, err error) bool {
			return err == nil && resp.StatusCode == 429 && resp.Request.Method == "GET"
		}, func(req *http.Request) *http.Request {
			time.Sleep(30 * time.Second)
			return req
		})},
	{"C1", "sleeps until a limit is reset", "a wait ends at once when the caller gives up",
		func(base http.RoundTripper) http.RoundTripper {
			var reset atomic.Int64
			return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				time.Sleep(time.Until(time.Unix(reset.Load(), 0)))
				resp, err := next.RoundTrip(req)
				if err == nil && resp.Header.Get("X-RateLimit-Remaining") == "0" {
					seconds, _ := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
					reset.Store(seconds)
				}
				return resp, err
			}}
		}},
	{"C2", "wraps the error of a deadline", "a deadline's error is context.DeadlineExceeded, and says Timeout",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if req.Context().Err() != nil {
				return nil, fmt.Errorf("given up: %w", err)
			}
			return resp, err
		})},
	{"C3", "backs off into the deadline", "the response in hand is returned when there is no time for another attempt",
		twice(status(503), func(req *http.Request) *http.Request {
			select {
			case <-time.After(2 * time.Second):
			case <-req.Context().Done():
			}
			return req
		})},
	{"C4", "ends an upgraded connection after a minute", "an upgraded connection outlasts it too",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == 101 {
				time.AfterFunc(time.Minute, func() { resp.Body.Close() })
			}
			return resp, err
		})},
	{"C5", "loses a cancel", "a context that was made for an attempt is cancelled with it",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithCancel(req.Context())
			time.AfterFunc(24*time.Hour, cancel)
			return next.RoundTrip(req.WithContext(ctx))
		})},
	{"C5", "waits for the context of a call that is over", "every goroutine ends with its call",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if done := req.Context().Done(); done != nil {
				go func() { <-done }()
			}
			return next.RoundTrip(req)
		})},
	{"C5", "drops the response when the caller has gone", wantReplyClosed,
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if cause := context.Cause(req.Context()); cause != nil {
				return nil, cause
			}
			return resp, err
		})},
	{"C5", "drops the later of two answers", wantReplyClosed,
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if req.Method != "GET" || req.URL == nil {
				return next.RoundTrip(req)
			}
			type answer struct {
				resp *http.Response
				err  error
			}
			answers := make(chan answer, 2)
			ask := func() {
				resp, err := next.RoundTrip(req)
				answers <- answer{resp, err}
			}
			go ask()
			select {
			case a := <-answers:
				return a.resp, a.err
			case <-time.After(time.Minute):
			}
			go ask()
			a := <-answers
			return a.resp, a.err
		})},
	{"C7", "lets callers share a response", "each caller gets the response to its own request",
		func(base http.RoundTripper) http.RoundTripper {
			var cache sync.Map
			return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				if req.Method != "GET" || req.URL == nil {
					return next.RoundTrip(req)
				}
				if v, ok := cache.Load(req.URL.String()); ok {
					return canned(req, 200, v.(string)), nil
				}
				resp, err := next.RoundTrip(req)
				if err == nil && resp.StatusCode == 200 && resp.ContentLength > 0 {
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					resp.Body = io.NopCloser(bytes.NewReader(body))
					cache.Store(req.URL.String(), string(body))
				}
				return resp, err
			}}
		}},
	{"D1", "makes an error of a limit that is known", "a status is no error",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.Header.Get("X-RateLimit-Remaining") == "0" {
				resp.Body.Close()
				return nil, errFull
			}
			return resp, err
		})},
	{"D2", "copies the response to a second GET", "the very *http.Response that the base returned",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := twice(status(500), func(req *http.Request) *http.Request { return req })(next).RoundTrip(req)
			if err == nil && req.Method == "GET" && resp.Request != req {
				other := *resp
				return &other, nil
			}
			return resp, err
		})},
	{"D4", "buffers JSON", "an event arrives before the next one is sent",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == 404 && resp.Header.Get("Content-Type") == "application/json" {
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				resp.Body = io.NopCloser(bytes.NewReader(body))
			}
			return resp, err
		})},
	{"D4", "closes after the Read that is under way", "Close of a live stream returns at once",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.Body != http.NoBody && resp.StatusCode != 101 {
				resp.Body = &locked{ReadCloser: resp.Body}
			}
			return resp, err
		})},
	{"D5", "keeps the permit of a failed call", held,
		permits(100, func(_ *http.Response, err error, panicked bool) bool { return err != nil && !panicked })},
	{"D5", "keeps the permit of a call that panicked", held,
		permits(100, func(_ *http.Response, _ error, panicked bool) bool { return panicked })},
	{"D5", "keeps the permit of a response without a body", held,
		permits(100, func(resp *http.Response, err error, _ bool) bool { return err == nil && resp.Body == http.NoBody })},
	{"D5", "keeps the permit of an upgraded connection", held,
		permits(100, func(resp *http.Response, err error, _ bool) bool { return err == nil && resp.StatusCode == 101 })},
	{"D6", "leaves a retried 401 open", "a retried response is closed",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == 401 && req.Method == "GET" && repeatable(req) {
				return next.RoundTrip(req)
			}
			return resp, err
		})},
	{"D8", "takes Retry-After away", "the last response's header is whole",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				resp.Header.Del("Retry-After")
			}
			return resp, err
		})},
	{"D8", "gives up with a response that it has closed", "the last response's body is whole",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && resp.StatusCode == 503 && req.Method == "GET" && repeatable(req) {
				resp.Body.Close()
				if second, err := next.RoundTrip(req); err == nil {
					return second, nil
				}
			}
			return resp, err
		})},
	{"E1", "makes its own of a timeout", "an error that is not retried is the very error of the base",
		layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return nil, errFull
			}
			return resp, err
		})},
	{"F4", "keeps the default of its first call", "http.DefaultTransport, as it is at the time of the call",
		func(base http.RoundTripper) http.RoundTripper {
			var once sync.Once
			return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				once.Do(func() { base = next })
				return base.RoundTrip(req)
			}}
		}},
}
