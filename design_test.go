package steadyhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// server is a base that answers the nth request, from 0, and remembers when it
// was asked.
type server struct {
	answer  func(n int, req *http.Request) (*http.Response, error)
	latency time.Duration

	mu   sync.Mutex
	at   []time.Time
	idle int
}

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	n := len(s.at)
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	if s.latency > 0 {
		select {
		case <-time.After(s.latency):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	resp, err := s.answer(n, req)
	if resp != nil && resp.Request == nil {
		resp.Request = req
	}
	return resp, err
}

func (s *server) CloseIdleConnections() { s.idle++ }

func (s *server) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// says is a response of a status, with headers given as "Name: value" and, after
// an empty one, the body.
func says(status int, lines ...string) *http.Response {
	h, body := http.Header{}, ""
	for i, line := range lines {
		if line == "" {
			body = strings.Join(lines[i+1:], "\n")
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return &http.Response{
		Status: fmt.Sprint(status, " ", http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// always answers each request alike.
func always(status int, lines ...string) *server {
	return &server{answer: func(int, *http.Request) (*http.Response, error) { return says(status, lines...), nil }}
}

// inTurn answers with each status in turn, and with the last again and again.
func inTurn(statuses ...int) *server {
	return &server{answer: func(n int, _ *http.Request) (*http.Response, error) {
		return says(statuses[min(n, len(statuses)-1)]), nil
	}}
}

func getting(ctx context.Context, url string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func posting(ctx context.Context, url, body string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

const api = "https://api.example.com/v1/things"

// call sends req and drops the response, if any.
func trip(rt http.RoundTripper, req *http.Request) (status int, err error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		f(t)
	})
}

// classTable is the table of the package documentation.
var classTable = []struct {
	class    steadyhttp.Class
	name     string
	resp     func() (*http.Response, error)
	attempts int  // of a GET by a Retrier with 3
	fails    bool // for a Breaker
}{
	{steadyhttp.ClassSuccess, "success", answer(200), 1, false},
	{steadyhttp.ClassInvalidRequest, "invalid_request", answer(400), 1, false},
	{steadyhttp.ClassAuth, "auth", answer(401), 1, false},
	{steadyhttp.ClassPermission, "permission", answer(403), 1, false},
	{steadyhttp.ClassNotFound, "not_found", answer(404), 1, false},
	{steadyhttp.ClassContextLength, "context_length", answer(400, "", `{"error":{"code":"context_length_exceeded"}}`), 1, false},
	{steadyhttp.ClassContentPolicy, "content_policy", answer(400, "", `{"error":{"code":"content_filter"}}`), 1, false},
	{steadyhttp.ClassQuotaExhausted, "quota_exhausted", answer(429, "", `{"error":{"code":"insufficient_quota"}}`), 1, false},
	{steadyhttp.ClassRateLimited, "rate_limited", answer(429), 3, false},
	{steadyhttp.ClassOverloaded, "overloaded", answer(503), 3, true},
	{steadyhttp.ClassServerError, "server_error", answer(500), 3, true},
	{steadyhttp.ClassTimeout, "timeout", answer(504), 3, true},
	{steadyhttp.ClassConflict, "conflict", answer(409), 1, false},
	{steadyhttp.ClassClientError, "client_error", answer(418), 1, false},
	{steadyhttp.ClassNetwork, "network", func() (*http.Response, error) { return nil, syscall.ECONNRESET }, 3, true},
	{steadyhttp.ClassTimeout, "timeout", func() (*http.Response, error) { return nil, context.DeadlineExceeded }, 3, true},
	{steadyhttp.ClassCanceled, "canceled", func() (*http.Response, error) { return nil, context.Canceled }, 1, false},
	{steadyhttp.ClassRefused, "refused", func() (*http.Response, error) { return nil, &steadyhttp.OpenError{} }, 1, false},
	{steadyhttp.ClassRefused, "refused", func() (*http.Response, error) { return nil, &steadyhttp.LimitError{Reason: "wait"} }, 1, false},
}

func answer(status int, lines ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) { return says(status, lines...), nil }
}

func TestEachLayerActsOnAClassAsTheTableSays(t *testing.T) {
	for _, row := range classTable {
		base := func() *server {
			return &server{answer: func(int, *http.Request) (*http.Response, error) { return row.resp() }}
		}
		t.Run(row.name, func(t *testing.T) {
			if got := row.class.String(); got != row.name {
				t.Errorf("String: got %q", got)
			}
			bubble(t, func(t *testing.T) {
				b := base()
				r := &steadyhttp.Retrier{Base: b, MaxAttempts: 3}
				resp, err := r.RoundTrip(getting(t.Context(), api))
				if got := steadyhttp.OutcomeOf(resp, err).Class; got != row.class {
					t.Errorf("class: got %v", got)
				}
				if b.sent() != row.attempts {
					t.Errorf("Retrier: %d attempts, want %d", b.sent(), row.attempts)
				}
			})
			bubble(t, func(t *testing.T) {
				b := &steadyhttp.Breaker{Base: base(), Failures: 3}
				for range 3 {
					b.RoundTrip(getting(t.Context(), api))
				}
				if got := b.State(getting(t.Context(), api)) == steadyhttp.StateOpen; got != row.fails {
					t.Errorf("Breaker: open is %v", got)
				}
			})
		})
	}
}

func TestOneDenialWithATimeHoldsEveryRequestOfItsKey(t *testing.T) {
	const quotas = "X-Ratelimit-Limit: 100\nX-Ratelimit-Remaining: 99\nX-Ratelimit-Reset: 30"
	const spent = "X-Ratelimit-Limit: 100\nX-Ratelimit-Remaining: 0\nX-Ratelimit-Reset: 30"
	cases := []struct {
		name   string
		status int
		lines  string
		least  time.Duration // the next request of the key is held
		most   time.Duration
	}{
		{"429, Retry-After", 429, "Retry-After: 30", 30 * time.Second, 31 * time.Second},
		{"429, Retry-After-Ms", 429, "Retry-After-Ms: 2500", 2500 * time.Millisecond, 3 * time.Second},
		{"429, body", 429, "\n{\"error\":{\"message\":\"slow\",\"retry_after\":12}}", 12 * time.Second, 13 * time.Second},
		{"429, Retry-After beside quotas", 429, "Retry-After: 30\n" + quotas, 30 * time.Second, 31 * time.Second},
		{"429, Retry-After that is the reset", 429, "Retry-After: 30\n" + spent, 30 * time.Second, 32 * time.Second},
		{"503, Retry-After", 503, "Retry-After: 20", 20 * time.Second, 21 * time.Second},
		{"503, no time", 503, "", 0, 0},
		{"500, Retry-After", 500, "Retry-After: 20", 0, 0},
		{"402, no time", 402, "", 0, 0},
		{"spent quota, no time", 429, "\n{\"error\":{\"code\":\"insufficient_quota\"}}", 0, 0},
		{"spent quota, Retry-After", 429, "Retry-After: 40\n\n{\"error\":{\"code\":\"insufficient_quota\"}}", 40 * time.Second, 41 * time.Second},
		{"200, Retry-After", 200, "Retry-After: 20", 0, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				base := &server{answer: func(n int, _ *http.Request) (*http.Response, error) {
					if n == 0 {
						return says(tc.status, strings.Split(tc.lines, "\n")...), nil
					}
					return says(200), nil
				}}
				l := &steadyhttp.Limiter{Base: base}
				trip(l, getting(t.Context(), api))
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 3 { // other paths and methods included
					wg.Go(func() { trip(l, getting(t.Context(), api+strings.Repeat("/x", i))) })
				}
				wg.Wait()
				if got := base.at[1].Sub(began); got < tc.least || got > tc.most {
					t.Errorf("the next request was held for %v, want %v to %v", got, tc.least, tc.most)
				}
				// Another key is not.
				began = time.Now()
				trip(l, getting(t.Context(), "https://other.example.com/"))
				if got := time.Since(began); got > 0 {
					t.Errorf("a request of another key was held for %v", got)
				}
			})
		})
	}
}

func TestRefusalsSayWhyAndUntilWhen(t *testing.T) {
	deadline := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	cases := []struct {
		name    string
		limiter *steadyhttp.Limiter
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		reason  string
		timeout bool
	}{
		{"MaxWait", &steadyhttp.Limiter{MaxWait: 10 * time.Second}, deadline(time.Hour), "wait", false},
		{"default MaxWait", &steadyhttp.Limiter{}, deadline(time.Hour), "wait", false},
		{"negative MaxWait", &steadyhttp.Limiter{MaxWait: -1}, deadline(time.Hour), "wait", false},
		{"deadline", &steadyhttp.Limiter{}, deadline(5 * time.Second), "deadline", true},
		{"deadline of a batch call", &steadyhttp.Limiter{}, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(steadyhttp.WithPriority(ctx, steadyhttp.PriorityBatch), time.Minute)
		}, "deadline", true},
		{"negative MaxQueue", &steadyhttp.Limiter{MaxQueue: -1}, deadline(time.Hour), "queue", false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				base := always(429, "Retry-After: 120")
				l := tc.limiter
				l.Base = base
				trip(l, getting(t.Context(), api))
				until := time.Now().Add(2 * time.Minute)
				ctx, cancel := tc.ctx(t.Context())
				defer cancel()
				_, err := trip(l, getting(ctx, api))
				var limit *steadyhttp.LimitError
				if !errors.As(err, &limit) {
					t.Fatalf("got %v", err)
				}
				if time.Now() != until.Add(-2*time.Minute) {
					t.Error("not at once")
				}
				if limit.Reason != tc.reason || !limit.RetryAt.Equal(until) || limit.Key == "" {
					t.Errorf("got %+v, want reason %q, at %v", limit, tc.reason, until)
				}
				if got := errors.Is(err, context.DeadlineExceeded); got != tc.timeout {
					t.Errorf("is DeadlineExceeded: %v", got)
				}
				if limit.Timeout() != tc.timeout || limit.RetryableError() || !strings.HasPrefix(err.Error(), "steadyhttp: ") {
					t.Errorf("Timeout %v, RetryableError %v, %q", limit.Timeout(), limit.RetryableError(), err)
				}
				o := steadyhttp.OutcomeOf(nil, fmt.Errorf("wrapped: %w", err))
				if o.Class != steadyhttp.ClassRefused || !o.RetryAt.Equal(until) {
					t.Errorf("Outcome %+v", o)
				}
				if base.sent() != 1 {
					t.Errorf("%d requests were sent", base.sent())
				}
			})
		})
	}
}

func TestSDKHearsOfARefusalAsAResponseWithTheSameOutcome(t *testing.T) {
	open := &steadyhttp.OpenError{Key: "k", RetryAt: time.Date(2026, 11, 20, 12, 0, 9, 500e6, time.UTC)}
	limit := &steadyhttp.LimitError{Key: "k", RetryAt: open.RetryAt, Reason: "wait"}
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{{open, 503, "steadyhttp_open"}, {limit, 429, "steadyhttp_limit"}} {
		bubble(t, func(t *testing.T) {
			base := &server{answer: func(int, *http.Request) (*http.Response, error) { return nil, tc.err }}
			client := &http.Client{Transport: &steadyhttp.Retrier{Base: base}}
			req := posting(t.Context(), api, `{"model":"m"}`)
			req.Header.Set("X-Stainless-Retry-Count", "0")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			h := resp.Header
			if resp.StatusCode != tc.status || h.Get("Retry-After") != "3" || h.Get("Retry-After-Ms") != "2500" ||
				h.Get("X-Should-Retry") != "false" || !bytes.Contains(body, []byte(`"code":"`+tc.code+`"`)) {
				t.Errorf("got %d, %v, %s", resp.StatusCode, h, body)
			}
			got, want := steadyhttp.OutcomeOf(resp, nil), steadyhttp.OutcomeOf(nil, tc.err)
			if fmt.Sprint(got) != fmt.Sprint(want) || got.Class != steadyhttp.ClassRefused {
				t.Errorf("Outcome %+v, want %+v", got, want)
			}
			// The same body from a server is a denial or an outage like any other.
			if got := steadyhttp.Classify(says(tc.status, "", string(body)), nil).Class; got == steadyhttp.ClassRefused {
				t.Errorf("%s from a server is %v", tc.code, got)
			}
		})
	}
}

func TestOnlyAnSDKIsToldToStop(t *testing.T) {
	for _, tc := range []struct {
		count  string
		status int
		want   string
		sent   int
	}{{"", 500, "", 4}, {"0", 500, "false", 4}, {"1", 500, "false", 1}, {"0", 200, "", 1}, {"0", 400, "false", 1}} {
		bubble(t, func(t *testing.T) {
			shared := http.Header{"X-Test": {"1"}}
			base := &server{answer: func(int, *http.Request) (*http.Response, error) {
				resp := says(tc.status)
				resp.Header = shared
				return resp, nil
			}}
			req := posting(t.Context(), "https://api.example.com/v1/chat/completions", `{"model":"m"}`)
			if tc.count != "" {
				req.Header.Set("X-Stainless-Retry-Count", tc.count)
			}
			resp, err := (&steadyhttp.Retrier{Base: base, RetryShare: -1}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("X-Should-Retry"); got != tc.want || base.sent() != tc.sent {
				t.Errorf("%+v: got %q after %d requests", tc, got, base.sent())
			}
			if len(shared) != 1 {
				t.Error("the base's own header was changed")
			}
		})
	}
}

func TestNegativeNumbersSwitchOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		base := always(500)
		b := &steadyhttp.Breaker{Base: base, Failures: -1, Ratio: -1}
		r := &steadyhttp.Retrier{Base: b, MaxAttempts: -1}
		for range 50 {
			trip(r, getting(t.Context(), api))
		}
		if base.sent() != 50 || b.State(getting(t.Context(), api)) != steadyhttp.StateClosed {
			t.Errorf("%d requests sent, circuit %v", base.sent(), b.State(getting(t.Context(), api)))
		}
		base = always(500, "Retry-After: 500")
		r = &steadyhttp.Retrier{Base: base, MaxAttempts: 20, MinDelay: -1, MaxDelay: -1, RetryShare: -1}
		began := time.Now()
		trip(r, getting(t.Context(), api))
		if base.sent() != 20 || time.Since(began) < 19*500*time.Second {
			t.Errorf("%d attempts in %v", base.sent(), time.Since(began))
		}
		base = always(200)
		l := &steadyhttp.Limiter{Base: base, InFlight: -1, Requests: []steadyhttp.Rate{{N: -1, Per: time.Second}, {N: 1}}}
		began = time.Now()
		for range 50 {
			trip(l, getting(t.Context(), api))
		}
		if time.Since(began) > 0 {
			t.Errorf("50 requests took %v", time.Since(began))
		}
	})
}

func TestDelayOverMaxDelayOrTheDeadlineReturnsTheResponseAtOnce(t *testing.T) {
	for name, rt := range map[string]func(http.RoundTripper) http.RoundTripper{
		"Retrier": func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Retrier{Base: b} },
		"stack":   steadyhttp.NewTransport,
	} {
		for _, status := range []int{429, 503} {
			for _, limit := range []time.Duration{time.Hour, 20 * time.Second} {
				retryAfter := "30"
				if limit == time.Hour {
					retryAfter = "100"
				}
				bubble(t, func(t *testing.T) {
					base := always(status, "Retry-After: "+retryAfter, "", "the answer")
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					began := time.Now()
					resp, err := rt(base).RoundTrip(getting(ctx, api))
					if err != nil {
						t.Fatalf("%s, %d: %v", name, status, err)
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if time.Since(began) > 0 || base.sent() != 1 || string(body) != "the answer" || resp.StatusCode != status {
						t.Errorf("%s, %d, %v: %d requests in %v, %q", name, status, limit, base.sent(), time.Since(began), body)
					}
				})
			}
		}
	}
}

func TestHooksTellOfEveryAttemptWhateverTheStack(t *testing.T) {
	exempt := func(*http.Request) string { return "" }
	stacks := map[string]func(http.RoundTripper) http.RoundTripper{
		"whole":          steadyhttp.NewTransport,
		"Retrier":        func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Retrier{Base: b} },
		"Breaker":        func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Breaker{Base: b} },
		"Limiter":        func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Limiter{Base: b} },
		"Classifier":     func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Classifier{Base: b} },
		"exempt Limiter": func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Limiter{Base: b, Key: exempt} },
		"Retrier, exempt below": func(b http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Retrier{Base: &steadyhttp.Limiter{Base: b, Key: exempt}}
		},
		"upside down": func(b http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Classifier{Base: &steadyhttp.Limiter{Base: &steadyhttp.Breaker{Base: &steadyhttp.Retrier{Base: b}}}}
		},
	}
	for name, stack := range stacks {
		bubble(t, func(t *testing.T) {
			base := inTurn(500, 429, 200, 404, 200)
			var told []steadyhttp.AttemptInfo
			rt := steadyhttp.Traced(stack(base), &steadyhttp.Trace{Attempted: func(i steadyhttp.AttemptInfo) { told = append(told, i) }})
			for range 3 {
				if _, err := trip(rt, getting(t.Context(), api)); err != nil {
					t.Fatal(err)
				}
			}
			if len(told) != base.sent() {
				t.Errorf("%s: %d attempts told, %d requests sent", name, len(told), base.sent())
			}
			for _, i := range told {
				if i.Method != "GET" || i.Host != "api.example.com" || i.Attempt < 1 || i.Outcome.Class == 0 {
					t.Errorf("%s: %+v", name, i)
				}
			}
		})
	}
}

func TestCloseIdleConnectionsReachesTheBaseThroughEverything(t *testing.T) {
	base := always(200)
	rt := steadyhttp.Traced(steadyhttp.NewTransport(base), &steadyhttp.Trace{})
	(&http.Client{Transport: rt}).CloseIdleConnections()
	if base.idle != 1 {
		t.Errorf("called %d times", base.idle)
	}
}

func TestHeldKeysOutliveAnyNumberOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		base := &server{answer: func(_ int, req *http.Request) (*http.Response, error) {
			if strings.HasPrefix(req.URL.Host, "held") {
				return says(429, "Retry-After: 3600"), nil
			}
			return says(200), nil
		}}
		l := &steadyhttp.Limiter{Base: base}
		const held = 50
		for i := range held {
			trip(l, getting(t.Context(), fmt.Sprintf("https://held%d.example.com/", i)))
		}
		for i := range 10_100 {
			trip(l, getting(t.Context(), fmt.Sprintf("https://h%d.example.com/", i)))
		}
		forgotten := 0
		for i := range held {
			if _, err := trip(l, getting(t.Context(), fmt.Sprintf("https://held%d.example.com/", i))); err == nil {
				forgotten++
			}
		}
		if forgotten > 0 {
			t.Errorf("%d of %d held keys were forgotten", forgotten, held)
		}
	})
}

func TestLogTraceSpeaksSlogAndKeepsSecrets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		rt := steadyhttp.Traced(steadyhttp.NewTransport(always(500)), steadyhttp.LogTrace(log))
		req := getting(t.Context(), "https://user:SECRET@api.example.com/v1?key=SECRET&api_key=SECRET")
		req.Header.Set("Authorization", "Bearer SECRET")
		for range 5 {
			trip(rt, req.Clone(t.Context()))
		}
		if text := out.String(); !strings.Contains(text, "server_error") || strings.Contains(text, "SECRET") || !strings.Contains(text, "open") {
			t.Errorf("log:\n%s", text)
		}
	})
}

func TestResponsesWithoutHeaderOrBodyAreHarmless(t *testing.T) {
	layers := map[string]func(http.RoundTripper) http.RoundTripper{
		"stack":      steadyhttp.NewTransport,
		"Retrier":    func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Retrier{Base: b} },
		"Breaker":    func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Breaker{Base: b} },
		"Limiter":    func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Limiter{Base: b} },
		"Classifier": func(b http.RoundTripper) http.RoundTripper { return &steadyhttp.Classifier{Base: b} },
		"AttemptTimeout": func(b http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Retrier{Base: b, AttemptTimeout: time.Second}
		},
		"Traced": func(b http.RoundTripper) http.RoundTripper { return steadyhttp.Traced(b, nil) },
	}
	for name, layer := range layers {
		for _, status := range []int{0, 101, 200, 204, 429, 500, 503, 999} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					base := &server{answer: func(int, *http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: status}, nil
					}}
					req := posting(t.Context(), "https://api.example.com/v1/chat/completions", `{"model":"m"}`)
					req.Header.Set("X-Stainless-Retry-Count", "0")
					resp, err := layer(base).RoundTrip(req)
					if err != nil || resp == nil {
						t.Fatalf("got %v, %v", resp, err)
					}
					steadyhttp.OutcomeOf(resp, err)
				})
			})
		}
		t.Run(name+" nothing", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				base := &server{answer: func(int, *http.Request) (*http.Response, error) { return nil, nil }}
				resp, err := layer(base).RoundTrip(getting(t.Context(), api))
				if o := steadyhttp.OutcomeOf(resp, err); o.Class != steadyhttp.ClassNetwork {
					t.Errorf("%v, %v, %v", resp, err, o)
				}
			})
		})
	}
}

func TestCircuitGoesThroughItsStatesAndTellsWithoutLocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		healthy := false
		base := &server{answer: func(int, *http.Request) (*http.Response, error) {
			if healthy {
				return says(200), nil
			}
			return says(500), nil
		}}
		b := &steadyhttp.Breaker{Base: base}
		var told []string
		rt := steadyhttp.Traced(b, &steadyhttp.Trace{StateChanged: func(i steadyhttp.StateInfo) {
			b.State(getting(context.Background(), api))
			told = append(told, fmt.Sprint(i.From, ">", i.To))
		}})
		state := func() steadyhttp.State { return b.State(getting(t.Context(), api)) }
		for i := range 10 {
			if state() != steadyhttp.StateClosed {
				t.Fatalf("%v after %d failures", state(), i)
			}
			trip(rt, getting(t.Context(), api))
		}
		if state() != steadyhttp.StateOpen {
			t.Fatalf("%v after 10 failures", state())
		}
		began := time.Now()
		_, err := trip(rt, getting(t.Context(), api))
		var open *steadyhttp.OpenError
		if !errors.As(err, &open) || !open.RetryAt.Equal(began.Add(time.Second)) || !strings.HasPrefix(err.Error(), "steadyhttp: ") || open.Timeout() || open.RetryableError() {
			t.Fatalf("%v", err)
		}
		time.Sleep(time.Until(open.RetryAt))
		if state() != steadyhttp.StateHalfOpen {
			t.Errorf("%v after the pause", state())
		}
		base.latency = 10 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() { trip(rt, getting(t.Context(), api)) })
		time.Sleep(time.Millisecond)
		now := time.Now()
		_, err = trip(rt, getting(t.Context(), api))
		if !errors.As(err, &open) || !open.RetryAt.Equal(now.Add(time.Second)) {
			t.Errorf("beside a probe: %v at %v", err, now)
		}
		wg.Wait()
		base.latency = 0
		_, err = trip(rt, getting(t.Context(), api))
		if !errors.As(err, &open) || time.Until(open.RetryAt) < 2*time.Second || time.Until(open.RetryAt) > 2500*time.Millisecond {
			t.Errorf("second pause: %v", time.Until(open.RetryAt))
		}
		healthy = true
		time.Sleep(time.Until(open.RetryAt))
		trip(rt, getting(t.Context(), api))
		if state() != steadyhttp.StateClosed {
			t.Errorf("%v after a probe that succeeded", state())
		}
		if got := strings.Join(told, " "); got != "closed>open open>half-open half-open>open open>half-open half-open>closed" {
			t.Errorf("told %s", got)
		}
	})
}

func TestDerivedResetHoldsOnlyItsScope(t *testing.T) {
	bubble(t, func(t *testing.T) {
		base := &server{answer: func(n int, req *http.Request) (*http.Response, error) {
			if strings.Contains(req.URL.Path, "search") {
				return says(403, "X-Ratelimit-Limit: 30", "X-Ratelimit-Remaining: 0", fmt.Sprint("X-Ratelimit-Reset: ", time.Now().Add(50*time.Second).Unix()), "X-Ratelimit-Resource: search"), nil
			}
			return says(200, "X-Ratelimit-Limit: 5000", "X-Ratelimit-Remaining: 4000", fmt.Sprint("X-Ratelimit-Reset: ", time.Now().Add(3000*time.Second).Unix()), "X-Ratelimit-Resource: core"), nil
		}}
		l := &steadyhttp.Limiter{Base: base}
		search, core := "https://api.github.com/search/code", "https://api.github.com/user"
		trip(l, getting(t.Context(), core))
		trip(l, getting(t.Context(), search))
		began := time.Now()
		trip(l, getting(t.Context(), core))
		if d := time.Since(began); d > 0 {
			t.Errorf("core held %v", d)
		}
		trip(l, getting(t.Context(), search))
		if d := time.Since(began); d < 49*time.Second || d > 52*time.Second {
			t.Errorf("search held %v", d)
		}
	})
}

func TestClientSeesARefusalForWhatItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &http.Client{Transport: steadyhttp.NewTransport(always(429, "Retry-After: 300"))}
		resp, err := c.Get(api)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if o := steadyhttp.OutcomeOf(resp, err); o.Class != steadyhttp.ClassRateLimited || time.Until(o.RetryAt) != 300*time.Second {
			t.Error(o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err = c.Do(getting(ctx, api))
		var limit *steadyhttp.LimitError
		var u *url.Error
		if !errors.As(err, &limit) || !errors.As(err, &u) || !u.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		began := time.Now()
		c.Timeout = 20 * time.Second
		_, err = c.Get(api)
		if o := steadyhttp.OutcomeOf(nil, err); !errors.As(err, &limit) || limit.Reason != "deadline" || o.Class != steadyhttp.ClassRefused || time.Since(began) > 0 {
			t.Error(err, o)
		}
	})
}

// A delay of zero is a permission, not a schedule: the rate is found as if nothing
// had been said.
func TestRetryAfterZeroIsNoLeaveToHammer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		base := always(429, "Retry-After: 0")
		began := time.Now()
		trip(steadyhttp.NewTransport(base), getting(t.Context(), api))
		if d := time.Since(began); base.sent() > 4 || d < time.Second {
			t.Errorf("%d requests in %v", base.sent(), d)
		}
	})
}

// Ten a second, never two at once, and not a word of it in any header. The base
// answers at once: what is denied in one moment is one denial.
func TestStrictServerWithoutHeadersIsPacedAndNoCallFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var next time.Time
		var mu sync.Mutex
		denied := 0
		base := &server{answer: func(int, *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if time.Now().Before(next) {
				denied++
				return says(429), nil
			}
			next = time.Now().Add(100 * time.Millisecond)
			return says(200), nil
		}}
		rt := steadyhttp.NewTransport(base)
		began := time.Now()
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 30 {
					if status, err := trip(rt, getting(t.Context(), api)); status != 200 {
						t.Errorf("a call failed: %d, %v", status, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); denied > 40 || d > 70*time.Second {
			t.Errorf("480 calls in %v, ideal is 48 s, and %d denied", d, denied)
		}
	})
}
