package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

// repliesBase is a base that replies each attempt in turn, the last reply again and
// again, and remembers when it was asked what.
type repliesBase struct {
	replies []reply

	mu     sync.Mutex
	at     []time.Duration // since the first
	bodies []string
	reqs   []*http.Request
	began  time.Time
}

type reply func(*http.Request) (*http.Response, error)

func (s *repliesBase) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	now := time.Now()
	if len(s.at) == 0 {
		s.began = now
	}
	n := len(s.at)
	s.at = append(s.at, now.Sub(s.began))
	s.reqs = append(s.reqs, req)
	s.mu.Unlock()
	text := ""
	if req.Body != nil {
		b, _ := io.ReadAll(req.Body)
		req.Body.Close()
		text = string(b)
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, text)
	s.mu.Unlock()
	if err := context.Cause(req.Context()); err != nil {
		return nil, err
	}
	resp, err := s.replies[min(n, len(s.replies)-1)](req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func (s *repliesBase) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// status replies with a status and headers, given as name, value, ….
func replyWith(code int, headers ...string) reply {
	return func(req *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		body := fmt.Sprintf("body of %d", code)
		return &http.Response{
			StatusCode: code, Status: fmt.Sprint(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}, nil
	}
}

func replyError(err error) reply {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func getModels(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", "http://example.com/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func postChat(t *testing.T, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("POST", "http://example.com/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

const chatCall = `{"model":"m","messages":[]}`

// readAll reads and closes the body of resp.
func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	if resp == nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("body: %v", err)
	}
	return string(b)
}

func TestServerErrorIsRetriedWithGrowingDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(500), replyWith(500), replyWith(500), replyWith(200)}}
		r := &Retrier{Base: base}
		resp, err := r.RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		if got := readAll(t, resp); got != "body of 200" {
			t.Errorf("body: got %q", got)
		}
		for i, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			if got := base.at[i+1] - base.at[i]; got < 500*time.Millisecond || got > most {
				t.Errorf("delay %d: got %v, want 0.5 s to %v", i+1, got, most)
			}
		}
		for i, body := range base.bodies {
			if body != chatCall {
				t.Errorf("attempt %d sent %q", i+1, body)
			}
		}
	})
}

func TestLastResponseIsReturnedIntact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503)}}
		r := &Retrier{Base: base}
		resp, err := r.RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 503 || base.sent() != 4 {
			t.Fatalf("got %v, %v after %d attempts", resp, err, base.sent())
		}
		if got := readAll(t, resp); got != "body of 503" {
			t.Errorf("body: got %q", got)
		}
	})
}

// retryAt is a Classifier whose responses ask to come back after so long.
func retryAt(base http.RoundTripper, class Class, after time.Duration) *Classifier {
	return &Classifier{Base: base, Classify: func(resp *http.Response, err error) Outcome {
		if err != nil || resp.StatusCode < 400 {
			return Outcome{}
		}
		return Outcome{Class: class, Retryable: true, RetryAt: time.Now().Add(after)}
	}}
}

func TestServersTimeIsKeptAndNeverUndercut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503), replyWith(200)}}
		r := &Retrier{Base: retryAt(base, ClassOverloaded, 7*time.Second)}
		resp, err := r.RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		if got := base.at[1]; got < 7*time.Second || got > 7700*time.Millisecond {
			t.Errorf("retried after %v, want 7 s and at most a tenth more", got)
		}
	})
}

func TestDelayThatIsTooLongReturnsTheResponseAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		after   time.Duration
	}{
		{"over MaxDelay", time.Hour, 2 * time.Minute},
		{"past the deadline", 3 * time.Second, 4 * time.Second},
		{"backoff past the deadline", 400 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{replyWith(503), replyWith(200)}}
				r := &Retrier{Base: retryAt(base, ClassOverloaded, tt.after)}
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				start := time.Now()
				resp, err := r.RoundTrip(postChat(t, chatCall).WithContext(ctx))
				if err != nil || resp.StatusCode != 503 {
					t.Fatalf("got %v, %v", resp, err)
				}
				if got := time.Since(start); got != 0 {
					t.Errorf("took %v", got)
				}
				if got := readAll(t, resp); got != "body of 503" {
					t.Errorf("body: got %q", got)
				}
			})
		})
	}
}

func TestWhatCannotSucceedIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
	}{
		{"spent quota", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`},
		{"no money", 402, `{"error":{"message":"insufficient funds","code":"insufficient_funds"}}`},
		{"bad key", 401, `{"error":{"message":"bad key","code":"invalid_api_key"}}`},
		{"content filter", 400, `{"error":{"message":"filtered","code":"content_filter"}}`},
		{"not found", 404, `{}`},
		{"success", 200, `{}`},
		{"redirect", 302, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
					resp, _ := replyWith(tt.status, "Content-Type", "application/json", "Location", "/elsewhere")(req)
					resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(tt.body)), int64(len(tt.body))
					return resp, nil
				}}}
				resp, err := NewTransport(base).RoundTrip(postChat(t, chatCall))
				if err != nil || resp.StatusCode != tt.status || base.sent() != 1 {
					t.Fatalf("got %v, %v after %d requests", resp, err, base.sent())
				}
				if got := readAll(t, resp); got != tt.body {
					t.Errorf("body: got %q, want %q", got, tt.body)
				}
			})
		})
	}
}

func TestOnlyWhatMayBeRepeatedIsRepeated(t *testing.T) {
	refused, reset := replyError(syscall.ECONNREFUSED), replyError(syscall.ECONNRESET)
	for _, tt := range []struct {
		name   string
		method string
		path   string
		header string
		body   string
		reply  reply
		want   bool
	}{
		{"GET", "GET", "/", "", "", replyWith(500), true},
		{"no method", "", "/", "", "", replyWith(500), true},
		{"HEAD", "HEAD", "/", "", "", reset, true},
		{"PUT", "PUT", "/", "", "x", replyWith(502), true},
		{"DELETE", "DELETE", "/", "", "", replyWith(502), true},
		{"PATCH", "PATCH", "/", "", "x", replyWith(502), false},
		{"POST", "POST", "/orders", "", "x", replyWith(500), false},
		{"POST that was reset", "POST", "/orders", "", "x", reset, false},
		{"POST that was denied", "POST", "/orders", "", "x", replyWith(429), true},
		{"POST that was not sent", "POST", "/orders", "", "x", refused, true},
		{"POST with a key", "POST", "/orders", "Idempotency-Key", "x", replyWith(500), true},
		{"PATCH with a key", "PATCH", "/orders", "X-Idempotency-Key", "x", replyWith(500), true},
		{"POST of an SDK", "POST", "/orders", "X-Stainless-Retry-Count", "x", replyWith(500), true},
		{"chat", "POST", "/v1/chat/completions", "", chatCall, replyWith(500), true},
		{"chat that was reset", "POST", "/v1/chat/completions", "", chatCall, reset, true},
		{"messages", "POST", "/v1/messages/", "", chatCall, replyWith(500), true},
		{"messages to people", "POST", "/channels/7/messages", "", `{"content":"hi"}`, replyWith(500), false},
		{"embeddings", "POST", "/v1/embeddings", "", chatCall, replyWith(500), true},
		{"Gemini", "POST", "/v1beta/models/gemini-3:generateContent", "", `{"contents":[]}`, replyWith(500), true},
		{"Azure", "POST", "/openai/deployments/d/chat/completions", "", `{"messages":[]}`, replyWith(500), true},
		{"completions of another kind", "POST", "/v1/autocompletions", "", chatCall, replyWith(500), false},
		{"files", "POST", "/v1/files", "", chatCall, replyWith(500), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{tt.reply, replyWith(200)}}
				req, err := http.NewRequest("POST", "http://example.com"+tt.path, strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Method = tt.method
				req.Header.Set("Content-Type", "application/json")
				if tt.header != "" {
					req.Header[tt.header] = nil // present is enough
				}
				if tt.body == "" {
					req.Body, req.GetBody, req.ContentLength = nil, nil, 0
				}
				resp, err := (&Retrier{Base: base}).RoundTrip(req)
				if got := base.sent() > 1; got != tt.want {
					t.Errorf("repeated: got %t, want %t (%v, %v)", got, tt.want, resp, err)
				}
			})
		})
	}
}

func TestReplayableDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []bool{true, false} {
			base := &repliesBase{replies: []reply{replyWith(500), replyWith(200)}}
			asked := 0
			r := &Retrier{Base: base, Replayable: func(*http.Request) bool { asked++; return want }}
			if _, err := r.RoundTrip(getModels(t)); err != nil {
				t.Fatal(err)
			}
			if got := base.sent() == 2; got != want || asked != 1 {
				t.Errorf("repeated: got %t, want %t; asked %d times", got, want, asked)
			}
		}
	})
}

func TestRetrierThatIsOffPassesTheRequestItself(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    *Retrier
		ctx  context.Context
	}{
		{"MaxAttempts", &Retrier{MaxAttempts: -1}, t.Context()},
		{"WithoutRetry", &Retrier{}, WithoutRetry(t.Context())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := &repliesBase{replies: []reply{replyWith(503)}}
			tt.r.Base = base
			req := postChat(t, chatCall).WithContext(tt.ctx)
			if resp, err := tt.r.RoundTrip(req); err != nil || resp.StatusCode != 503 || base.sent() != 1 {
				t.Fatalf("got %v, %v after %d requests", resp, err, base.sent())
			}
			if base.reqs[0] != req {
				t.Error("the base got another request")
			}
		})
	}
}

func TestOneAttemptNeverRetries(t *testing.T) {
	base := &repliesBase{replies: []reply{replyWith(503)}}
	if resp, err := (&Retrier{Base: base, MaxAttempts: 1}).RoundTrip(getModels(t)); err != nil || resp.StatusCode != 503 || base.sent() != 1 {
		t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
	}
}

func TestWhatCannotBeReplayedIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*http.Request)
	}{
		{"no GetBody", func(r *http.Request) { r.GetBody = nil }},
		{"trailer", func(r *http.Request) { r.Trailer = http.Header{"X-Sum": nil} }},
		{"upgrade", func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }},
		{"CONNECT", func(r *http.Request) { r.Method = "CONNECT" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := &repliesBase{replies: []reply{replyWith(429), replyWith(200)}}
			req := postChat(t, chatCall)
			tt.edit(req)
			body := req.Body
			resp, err := (&Retrier{Base: base}).RoundTrip(req)
			if err != nil || resp.StatusCode != 429 || base.sent() != 1 {
				t.Fatalf("got %v, %v after %d requests", resp, err, base.sent())
			}
			if base.reqs[0].Body != body {
				t.Error("the body was replaced")
			}
		})
	}
}

func TestAnswerIsAResponseOrAnError(t *testing.T) {
	closed := &closings{Reader: strings.NewReader("x")}
	broken := errors.New("broken")
	for name, answers := range map[string]reply{
		"both": func(req *http.Request) (*http.Response, error) {
			resp, _ := replyWith(503)(req)
			resp.Body = closed
			return resp, broken
		},
		"neither": func(req *http.Request) (*http.Response, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			base := &repliesBase{replies: []reply{answers}}
			resp, err := (&Retrier{Base: base, MaxAttempts: 1}).RoundTrip(getModels(t))
			if resp != nil || err == nil {
				t.Errorf("got %v, %v", resp, err)
			}
		})
	}
	if closed.n.Load() == 0 {
		t.Error("the response's body was not closed")
	}
}

// closings counts how often it is closed.
type closings struct {
	io.Reader
	n atomic.Int32
}

func (c *closings) Close() error { c.n.Add(1); return nil }

func TestErrorOfTheBaseIsReturnedAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		base := &repliesBase{replies: []reply{replyError(broken)}}
		resp, err := (&Retrier{Base: base}).RoundTrip(getModels(t))
		if resp != nil || err != broken || base.sent() != 4 {
			t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
		}
	})
}

func TestCallGivenUpWhileWaitingTellsWhyAndWhatWasSaid(t *testing.T) {
	why := errors.New("changed my mind")
	broken := &brokenError{}
	for _, tt := range []struct {
		name  string
		reply reply
	}{
		{"after a response", replyWith(503)},
		{"after an error", replyError(broken)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{tt.reply}}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
				start := time.Now()
				resp, err := (&Retrier{Base: base}).RoundTrip(postChat(t, chatCall).WithContext(ctx))
				if resp != nil || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
					t.Fatalf("got %v, %v", resp, err)
				}
				if got := time.Since(start); got != 300*time.Millisecond || base.sent() != 1 {
					t.Errorf("returned after %v and %d requests", got, base.sent())
				}
				var said interface{ Outcome() Outcome }
				if !errors.As(err, &said) || !said.Outcome().Retryable {
					t.Errorf("the last attempt's outcome is not in %v", err)
				}
				if o := OutcomeOf(nil, err); o.Class != ClassCanceled {
					t.Errorf("class: got %v", o.Class)
				}
				var last *brokenError
				if got, want := errors.As(err, &last), tt.name == "after an error"; got != want {
					t.Errorf("the last attempt's error in the chain: got %t, want %t", got, want)
				}
				if timeout, ok := err.(interface{ Timeout() bool }); !ok || timeout.Timeout() {
					t.Errorf("Timeout: got %t, %t", ok, ok && timeout.Timeout())
				}
			})
		})
	}
}

type brokenError struct{}

func (*brokenError) Error() string { return "broken" }

func TestWhatCameBeforeTheCallerGaveUpIsReturned(t *testing.T) {
	broken := errors.New("broken")
	for _, last := range []reply{replyWith(503), replyError(broken)} {
		ctx, cancel := context.WithCancel(t.Context())
		base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
			cancel()
			return last(req)
		}}}
		r := &Retrier{Base: base, Replayable: func(*http.Request) bool { t.Error("a retry was considered"); return true }}
		resp, err := r.RoundTrip(getModels(t).WithContext(ctx))
		if err != broken && (err != nil || readAll(t, resp) != "body of 503") {
			t.Errorf("got %v, %v", resp, err)
		}
	}
}

func TestRequestCancelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503)}}
		req := getModels(t)
		cancel := make(chan struct{})
		req.Cancel = cancel
		time.AfterFunc(time.Millisecond, func() { close(cancel) })
		start := time.Now()
		resp, err := (&Retrier{Base: base}).RoundTrip(req)
		if resp != nil || !errors.Is(err, context.Canceled) || time.Since(start) != time.Millisecond {
			t.Errorf("got %v, %v after %v", resp, err, time.Since(start))
		}
	})
}

func TestPanicOfTheBaseClosesTheBody(t *testing.T) {
	for _, getBody := range []bool{true, false} {
		body := &closings{Reader: strings.NewReader("x")}
		req := postChat(t, "x")
		req.Body = body
		if !getBody {
			req.GetBody = nil
		}
		func() {
			defer func() { recover() }()
			(&Retrier{Base: panics{}}).RoundTrip(req)
		}()
		if got := body.n.Load(); got != 1 {
			t.Errorf("GetBody %t: closed %d times", getBody, got)
		}
	}
}

func TestPanicOfTheCallersFunctionClosesTheResponse(t *testing.T) {
	body := &closings{Reader: strings.NewReader("x")}
	base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
		resp, err := replyWith(500)(req)
		resp.Body = body
		return resp, err
	}}}
	r := &Retrier{Base: base, Replayable: func(*http.Request) bool { panic("replayable") }}
	func() {
		defer func() { recover() }()
		r.RoundTrip(getModels(t))
	}()
	if body.n.Load() == 0 {
		t.Error("the response's body is open")
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("base") }

func TestRequestThatSaysNothingIsTheBasesToRefuse(t *testing.T) {
	for _, req := range []*http.Request{{}, {URL: getModels(t).URL}, {Header: http.Header{}}} {
		base := &repliesBase{replies: []reply{replyError(errors.New("nil"))}}
		if _, err := (&Retrier{Base: base}).RoundTrip(req); err == nil || base.sent() != 1 || base.reqs[0] != req {
			t.Errorf("%+v: %v after %d requests", req, err, base.sent())
		}
	}
}

// Wherever the call waits for its next attempt.
func TestLastAttemptIsKeptWhenTheContextEndsBelow(t *testing.T) {
	for name, wrap := range map[string]func(base http.RoundTripper) http.RoundTripper{
		"in a queue": func(base http.RoundTripper) http.RoundTripper {
			return &Limiter{Requests: []Rate{{N: 1, Per: time.Minute, Burst: 1}}, Base: base}
		},
		"at an open circuit": func(base http.RoundTripper) http.RoundTripper {
			return &Breaker{Failures: 1, Pause: 10 * time.Second, Base: base}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			base := &repliesBase{replies: []reply{replyError(&brokenError{})}}
			ctx, cancel := context.WithCancel(WithPriority(t.Context(), PriorityBatch))
			time.AfterFunc(5*time.Second, cancel)
			resp, err := (&Retrier{MinDelay: -1, Base: wrap(base)}).RoundTrip(getModels(t).WithContext(ctx))
			var last *brokenError
			var said interface{ Outcome() Outcome }
			if resp != nil || !errors.Is(err, context.Canceled) || !errors.As(err, &last) || !errors.As(err, &said) || said.Outcome().Class != ClassNetwork {
				t.Errorf("%s: %v, %v", name, resp, err)
			}
			if got := OutcomeOf(nil, err).Class; got != ClassCanceled || base.sent() != 1 {
				t.Errorf("%s: %v after %d requests", name, got, base.sent())
			}
		})
	}
}

// A server that redirects can make a client ask for hosts of any length.
func TestHostsOfAnyLengthAreForgotten(t *testing.T) {
	rt := NewTransport(serverWith(200))
	before := heapInUse()
	for i := range 30 {
		resp, err := rt.RoundTrip(get(t, "127.0.0.1:"+strings.Repeat("0", 1<<18+i)+"80"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if grown := int64(heapInUse()) - int64(before); grown > 1<<20 {
		t.Errorf("%d KiB after 30 calls", grown>>10)
	}
	runtime.KeepAlive(rt)
}
