package steadytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// closing counts how often a body is closed.
type closing struct {
	io.Reader
	closed atomic.Int32
}

func (c *closing) Close() error { c.closed.Add(1); return nil }

func TestRoundTripClosesTheBodyOnEveryPath(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		ctx   context.Context
		fault steadytest.Effect
		body  io.Reader
		spoil func(*http.Request)
		err   error // nil: any
		fails bool
	}{
		"answered":       {},
		"denied":         {fault: steadytest.RateLimited},
		"reset":          {fault: steadytest.Reset},
		"canceled":       {ctx: canceled, err: context.Canceled},
		"broken body":    {body: io.MultiReader(strings.NewReader("{"), errReader{broken}), err: broken},
		"no URL":         {spoil: func(r *http.Request) { r.URL = nil }, fails: true},
		"no header":      {spoil: func(r *http.Request) { r.Header = nil }, fails: true},
		"shorter body":   {spoil: func(r *http.Request) { r.ContentLength = 1 << 20 }, fails: true},
		"another method": {spoil: func(r *http.Request) { r.Method = "PATCH" }},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, body := c.ctx, &closing{Reader: strings.NewReader(chat)}
			if ctx == nil {
				ctx = t.Context()
			}
			if c.body != nil {
				body.Reader = c.body
			}
			req := post(t, ctx, "http://api.test", "")
			req.Body, req.ContentLength = body, -1
			if c.spoil != nil {
				c.spoil(req)
			}
			p := &steadytest.Provider{Faults: []steadytest.Fault{{Do: c.fault}}}
			resp, err := p.RoundTrip(req)
			if (resp == nil) == (err == nil) {
				t.Fatalf("response %v and error %v", resp, err)
			}
			if c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if c.fails && err == nil {
				t.Errorf("got %s, want an error", resp.Status)
			}
			if body.closed.Load() == 0 {
				t.Errorf("body was not closed")
			}
		})
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestCancelEndsEveryWait(t *testing.T) {
	reason := errors.New("enough")
	for name, c := range map[string]struct {
		provider *steadytest.Provider
		piped    bool
	}{
		"reading the body": {provider: &steadytest.Provider{}, piped: true},
		"in transit":       {provider: &steadytest.Provider{Transit: func(*http.Request) time.Duration { return time.Hour }}},
		"latency":          {provider: &steadytest.Provider{Latency: time.Hour}},
		"hanging":          {provider: &steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.Hang}}}},
		"slow headers":     {provider: &steadytest.Provider{Faults: []steadytest.Fault{{Delay: time.Hour}}}},
		"between events":   {provider: &steadytest.Provider{EventDelay: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				req := post(t, ctx, "http://api.test", stream)
				if c.piped {
					r, w := io.Pipe()
					defer w.Close()
					req.Body, req.ContentLength = r, -1
				}
				begin := time.Now()
				time.AfterFunc(time.Second, func() { cancel(reason) })
				resp, err := c.provider.RoundTrip(req)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				if !errors.Is(err, reason) {
					t.Errorf("got %v, want the context's cause", err)
				}
				if took := time.Since(begin); took != time.Second {
					t.Errorf("took %v, want 1s", took)
				}
			})
		})
	}
}

func TestClosedStreamEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{EventDelay: time.Hour}
		resp, err := p.RoundTrip(post(t, t.Context(), "http://api.test", stream))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { resp.Body.Close() })
		begin := time.Now()
		_, err = io.ReadAll(resp.Body)
		if took := time.Since(begin); err != http.ErrBodyReadAfterClose || took != time.Second {
			t.Errorf("%v after %v, want it closed after 1s", err, took)
		}
	})
}

func TestStreamArrivesEventByEvent(t *testing.T) {
	inBothForms(t, func() *steadytest.Provider {
		return &steadytest.Provider{EventDelay: 20 * time.Millisecond, Text: "one two three"}
	},
		func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string) {
			resp, err := rt.RoundTrip(post(t, t.Context(), url, stream))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			begin, firstAt := time.Now(), time.Duration(0)
			buf, got := make([]byte, 1<<16), ""
			for {
				n, err := resp.Body.Read(buf)
				if got += string(buf[:n]); firstAt == 0 {
					firstAt = time.Since(begin)
				}
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			events := strings.Split(strings.TrimSuffix(got, "\n\n"), "\n\n")
			// The role, three words, the finish, the usage, [DONE].
			if len(events) != 7 || events[6] != "data: [DONE]" || !strings.Contains(events[5], `"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":4,"total_tokens":12`) {
				t.Errorf("events %q", events)
			}
			if total := time.Since(begin); total < 120*time.Millisecond || firstAt > total/2 {
				t.Errorf("first event after %v of %v", firstAt, total)
			}
			if resp.ContentLength != -1 || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
				t.Errorf("length %d, type %s", resp.ContentLength, resp.Header.Get("Content-Type"))
			}
		})
}

func TestAnswersAreTheSameInBothForms(t *testing.T) {
	for name, c := range map[string]struct{ method, path, body string }{
		"chat":       {"POST", "/v1/chat/completions", chat},
		"stream":     {"POST", "/v1/chat/completions", stream},
		"message":    {"POST", "/v1/messages", chat},
		"response":   {"POST", "/v1/responses", `{"model":"m","input":"hello","max_output_tokens":7}`},
		"embeddings": {"POST", "/v1/embeddings", `{"model":"m","input":["a","b"]}`},
		"completion": {"POST", "/v1/completions", `{"model":"m","prompt":"hello"}`},
		"models":     {"GET", "/v1/models", ""},
		"head":       {"HEAD", "/v1/models", ""},
		"not found":  {"GET", "/v1/nothing", ""},
		"bad method": {"DELETE", "/v1/chat/completions", ""},
		"bad json":   {"POST", "/v1/chat/completions", "{"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]string{}
			inBothForms(t, func() *steadytest.Provider { return &steadytest.Provider{Limits: []steadytest.Limit{{N: 100}}} },
				func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string) {
					req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
					if err != nil {
						t.Fatal(err)
					}
					resp, err := rt.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body := bodyOf(t, resp)
					if resp.ContentLength >= 0 && c.method != "HEAD" && resp.ContentLength != int64(len(body)) {
						t.Errorf("length %d of %d", resp.ContentLength, len(body))
					}
					resp.Header.Del("Date")
					var b strings.Builder
					resp.Header.Write(&b)
					got := resp.Status + resp.Proto + b.String() + created(body)
					if first := seen[""]; first == "" {
						seen[""] = got
					} else if first != got {
						t.Errorf("handler and round tripper differ:\n%s\n%s", first, got)
					}
				})
		})
	}
}

// created blanks out the times in a body.
func created(body string) string {
	for _, key := range []string{`"created":`, `"created_at":`} {
		parts := strings.Split(body, key)
		for i := 1; i < len(parts); i++ {
			parts[i] = strings.TrimLeft(parts[i], "0123456789")
		}
		body = strings.Join(parts, key)
	}
	return body
}

func TestProviderServesManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{
			Limits:  []steadytest.Limit{{N: 100, Per: time.Second}, {N: 5, Kind: steadytest.InFlight, Per: time.Second}, {N: 50, Per: time.Second, By: func(r *http.Request) string { return r.Host }}},
			Latency: 10 * time.Millisecond,
			Faults:  []steadytest.Fault{{Every: 7, Do: steadytest.Reset}},
		}
		p.Observer = func(steadytest.Request) { p.Counts() } // no lock is held
		p.Limits[0].Match = func(*http.Request) bool { p.Counts(); return true }
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 20 {
					if resp, err := p.RoundTrip(post(t, t.Context(), "http://api.test", chat)); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Go(func() { p.SetLimits(p.Limits...); p.SetFaults(p.Faults...) })
		wg.Wait()
		n := p.Counts()
		if n.Requests != 400 || n.Admitted+n.Denied+n.Failed != 400 || n.Admitted == 0 || n.Denied == 0 || n.Failed != 58 {
			t.Errorf("counts %+v do not add up to 400, 58 of them failed", n)
		}
		if got := len(p.Requests()); got != 400 {
			t.Errorf("%d requests, want 400", got)
		}
	})
}
