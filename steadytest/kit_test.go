package steadytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

func TestPlainBaseKeepsTheContract(t *testing.T) {
	TestRoundTripper(t, func(base http.RoundTripper) http.RoundTripper { return base })
}

func TestSoundRetrierKeepsTheContract(t *testing.T) {
	TestRoundTripper(t, func(base http.RoundTripper) http.RoundTripper { return &patient{base: base} })
}

// patient is a small retrier that keeps the contract, but for its flaw. It is
// here to prove the kit: without a flaw it is found clean, and with one the rule
// that names it is broken.
type patient struct {
	base http.RoundTripper
	flaw string

	mu      sync.Mutex
	permits chan struct{}
	first   []byte // body of the first response
	cookies []string
}

func (p *patient) has(flaw string) bool { return p.flaw == flaw }

func (p *patient) inner() http.RoundTripper {
	if p.base == nil && !p.has("nil base") {
		return http.DefaultTransport
	}
	return p.base
}

func (p *patient) CloseIdleConnections() {
	if c, ok := p.inner().(interface{ CloseIdleConnections() }); ok && !p.has("CloseIdleConnections is hidden") {
		c.CloseIdleConnections()
	}
}

func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, began := req.Context(), req
	if ctx.Err() != nil {
		if !p.has("refusal leaves the body open") {
			closeBody(req)
		}
		return nil, context.Cause(ctx)
	}
	if p.has("panics without a header") {
		req.Header.Set("X-Nothing", "")
		req.Header.Del("X-Nothing")
	}
	req = p.misuse(req)
	replay := (req.Body == nil || req.Body == http.NoBody || req.GetBody != nil) &&
		(len(req.Trailer) == 0 && req.Header["Upgrade"] == nil && req.Method != "CONNECT" || p.has("repeats trailers")) &&
		(req.Method == "" || req.Method == "GET" || req.Method == "HEAD" || req.Header["Idempotency-Key"] != nil || p.has("repeats a POST"))
	original := &sent{}
	for n := 1; ; n++ {
		out, part, err := p.prepare(req, n, replay, original)
		if err != nil {
			return nil, err
		}
		resp, err := p.inner().RoundTrip(out)
		if resp != nil {
			resp.Request = began
			if p.has("forgets Request") {
				resp.Request = nil
			}
		}
		if !replay || n == 3 || err == nil && resp.StatusCode != 429 && resp.StatusCode < 500 || req.Context().Err() != nil {
			return p.finish(began, resp, err)
		}
		wait := 100 * time.Millisecond
		if resp != nil {
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
				wait = time.Duration(min(s, 1<<20)) * time.Second
			} else if t, err := http.ParseTime(resp.Header.Get("Retry-After")); err == nil {
				wait = time.Until(t)
			}
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait && !p.has("sleeps past the deadline") {
				return p.finish(began, resp, err)
			}
			p.drain(resp)
		}
		part.detach(p)
		if p.has("closes the idle") {
			p.CloseIdleConnections()
		}
		if err := p.wait(req, wait); err != nil {
			part.wait()
			return nil, err
		}
		part.wait()
		if req.GetBody != nil && original.ended && !p.has("replays what is stale") && !p.has("shares the body") {
			probe, err := req.GetBody()
			if err == nil {
				text, _ := io.ReadAll(probe)
				probe.Close()
				if len(text) != original.length {
					return nil, errors.New("patient: the body changed")
				}
			}
		}
	}
}

// misuse is what some do to a request before it is sent.
func (p *patient) misuse(req *http.Request) *http.Request {
	switch p.flaw {
	case "changes the request":
		req.Host = "another.test"
	case "clones the trailer":
		req = req.Clone(req.Context())
	case "loses the host":
		req = req.WithContext(req.Context())
		req.Host = ""
	case "refuses RequestURI":
		if req.RequestURI != "" {
			closeBody(req)
			return req.WithContext(done())
		}
	case "asks for gzip":
		req = req.Clone(req.Context())
		req.Header.Set("Accept-Encoding", "gzip")
	case "drops Expect":
		req = req.WithContext(req.Context())
		req.Header = req.Header.Clone()
		req.Header.Del("Expect")
	case "wraps NoBody":
		if req.Body != nil {
			req = req.WithContext(req.Context())
			req.Body = io.NopCloser(req.Body)
		}
	case "buffers":
		if req.Body != nil && req.Body != http.NoBody {
			text, _ := io.ReadAll(req.Body)
			req.Body.Close()
			req = req.WithContext(req.Context())
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
			req.Body, _ = req.GetBody()
		}
	case "drops GetBody":
		req = req.WithContext(req.Context())
		req.GetBody = nil
	case "loses the trace":
		req = req.WithContext(context.WithoutCancel(context.Background()))
	case "ignores the context":
		req = req.WithContext(context.WithoutCancel(req.Context()))
	case "sends the copy":
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err == nil {
				req.Body.Close()
				req = req.WithContext(req.Context())
				req.Body = body
			}
		}
	}
	return req
}

func done() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// sent is what became of the first attempt's body.
type sent struct {
	length int
	ended  bool
}

// part is one attempt's body, which can be cut off.
type part struct {
	io.ReadCloser
	first *sent
	mu    sync.Mutex
	cut   bool
	busy  sync.WaitGroup
}

func (b *part) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.cut {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.busy.Add(1)
	b.mu.Unlock()
	defer b.busy.Done()
	n, err := b.ReadCloser.Read(p)
	if b.first != nil {
		b.mu.Lock()
		b.first.length += n
		b.first.ended = err == io.EOF
		b.mu.Unlock()
	}
	return n, err
}

func (b *part) detach(p *patient) {
	if b == nil || p.has("shares the body") {
		return
	}
	b.mu.Lock()
	b.cut = true
	b.mu.Unlock()
}

func (b *part) wait() {
	if b == nil {
		return
	}
	b.mu.Lock()
	cut := b.cut
	b.mu.Unlock()
	if cut {
		b.busy.Wait()
		b.ReadCloser.Close()
	}
}

// prepare is the request of the n-th attempt.
func (p *patient) prepare(req *http.Request, n int, replay bool, original *sent) (*http.Request, *part, error) {
	if !replay || req.Body == nil || req.Body == http.NoBody || p.has("hands on used bodies") {
		if p.has("times the body out") {
			ctx, cancel := context.WithTimeout(req.Context(), 10*time.Second)
			_ = cancel
			return req.WithContext(ctx), nil, nil
		}
		return req, nil, nil
	}
	body := req.Body
	if n > 1 {
		var err error
		if body, err = req.GetBody(); err != nil {
			return nil, nil, err
		}
		if p.has("leaves copies open") {
			body = io.NopCloser(body)
		}
		if p.has("tears the replay") {
			body = io.NopCloser(io.LimitReader(body, 3))
		}
		original = nil
	}
	b := &part{ReadCloser: body, first: original}
	out := req.WithContext(req.Context())
	out.Body = b
	return out, b, nil
}

func (p *patient) drain(resp *http.Response) {
	switch p.flaw {
	case "leaves retried responses open":
		return
	case "drains without a bound":
		io.Copy(io.Discard, resp.Body)
	case "merges cookies":
		p.cookies = resp.Header["Set-Cookie"]
		fallthrough
	default:
		stop := time.AfterFunc(time.Second, func() { resp.Body.Close() })
		io.CopyN(io.Discard, resp.Body, 1<<20)
		stop.Stop()
	}
	resp.Body.Close()
}

func (p *patient) wait(req *http.Request, d time.Duration) error {
	switch p.flaw {
	case "sleeps through a cancel":
		time.Sleep(d)
		return nil
	case "leaves a goroutine":
		go func() { <-make(chan int) }()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-req.Context().Done():
		if p.has("hides the cause") {
			return req.Context().Err()
		}
		return context.Cause(req.Context())
	case <-req.Cancel:
		return errGivenUp
	}
}

// finish is what the caller gets.
func (p *patient) finish(req *http.Request, resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		switch p.flaw {
		case "flattens errors":
			return nil, fmt.Errorf("patient: %v", err)
		case "wraps as http.Client does":
			return nil, &url.Error{Op: "Get", URL: "http://x.test", Err: err}
		}
		return resp, err
	}
	switch p.flaw {
	case "makes an error of a status":
		if resp.StatusCode >= 500 {
			resp.Body.Close()
			return nil, errors.New("patient: " + resp.Status)
		}
	case "response and error":
		if resp.StatusCode >= 500 {
			return resp, errors.New("patient: " + resp.Status)
		}
	case "copies the response":
		other := *resp
		return &other, nil
	case "hides Write":
		resp.Body = struct{ io.ReadCloser }{resp.Body}
	case "buffers the response":
		if resp.StatusCode != 101 {
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			resp.Body = io.NopCloser(bytes.NewReader(text))
			_ = err
		}
	case "holds a permit until Close":
		p.mu.Lock()
		if p.permits == nil {
			p.permits = make(chan struct{}, 5)
		}
		p.mu.Unlock()
		p.permits <- struct{}{}
		resp.Body = &permitted{ReadCloser: resp.Body, release: sync.OnceFunc(func() { <-p.permits })}
	case "demands a body":
		if resp.Body == http.NoBody && resp.ContentLength != 0 || resp.StatusCode == 204 {
			return nil, io.ErrUnexpectedEOF
		}
	case "keeps the first response":
		p.mu.Lock()
		defer p.mu.Unlock()
		if resp.StatusCode >= 429 {
			io.CopyN(io.Discard, resp.Body, 10)
		}
	case "merges cookies":
		for _, c := range p.cookies {
			resp.Header.Add("Set-Cookie", c)
		}
	case "follows redirects":
		if resp.StatusCode == 302 && resp.Header.Get("Location") == "/elsewhere" {
			resp.Body.Close()
			next := req.Clone(req.Context())
			next.URL = req.URL.JoinPath("/elsewhere")
			next.URL.Path = "/elsewhere"
			return p.inner().RoundTrip(next)
		}
	case "mixes callers up":
		if resp.StatusCode == 101 {
			break
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.first == nil {
			p.first = text
		}
		resp.Body = io.NopCloser(bytes.NewReader(p.first))
	case "cancels when it returns":
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 9))
		if resp.StatusCode != 101 {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(text), &odd{"", context.Canceled}), resp.Body}
		}
	case "times the body out":
	}
	return resp, nil
}

type permitted struct {
	io.ReadCloser
	release func()
}

func (b *permitted) Close() error {
	b.release()
	return b.ReadCloser.Close()
}

// TestEveryRuleIsBrokenBySomeFlaw proves that the kit sees: each flaw is found,
// by the rule that it breaks, and there is a flaw for every rule.
func TestEveryRuleIsBrokenBySomeFlaw(t *testing.T) {
	flaws := []struct{ rule, flaw string }{
		{"A1", "changes the request"},
		{"A2", "clones the trailer"},
		{"A3", "loses the host"},
		{"A4", "panics without a header"},
		{"A4", "refuses RequestURI"},
		{"A5", "asks for gzip"},
		{"A5", "follows redirects"},
		{"A6", "drops Expect"},
		{"A7", "loses the trace"},
		{"B0", "sends the copy"},
		{"B0", "replays what is stale"},
		{"B1", "refusal leaves the body open"},
		{"B2", "wraps NoBody"},
		{"B3", "buffers"},
		{"B4", "leaves copies open"},
		{"B5", "shares the body"},
		{"B6", "tears the replay"},
		{"B6", "hands on used bodies"},
		{"B7", "repeats a POST"},
		{"B8", "repeats trailers"},
		{"C1", "sleeps through a cancel"},
		{"C1", "ignores the context"},
		{"C2", "hides the cause"},
		{"C3", "sleeps past the deadline"},
		{"C4", "times the body out"},
		{"C4", "cancels when it returns"},
		{"C5", "leaves a goroutine"},
		{"C7", "mixes callers up"},
		{"D1", "makes an error of a status"},
		{"D1", "response and error"},
		{"D2", "copies the response"},
		{"D2", "forgets Request"},
		{"D3", "hides Write"},
		{"D4", "buffers the response"},
		{"D5", "holds a permit until Close"},
		{"D6", "leaves retried responses open"},
		{"D6", "drains without a bound"},
		{"D7", "demands a body"},
		{"D8", "makes an error of a status"},
		{"D8", "keeps the first response"},
		{"D9", "merges cookies"},
		{"E1", "flattens errors"},
		{"E1", "wraps as http.Client does"},
		{"E4", "drops GetBody"},
		{"F1", "CloseIdleConnections is hidden"},
		{"F1", "closes the idle"},
		{"F4", "nil base"},
	}
	for _, r := range contract {
		prefix, _, _ := strings.Cut(r.name, "_")
		if !slices.ContainsFunc(flaws, func(f struct{ rule, flaw string }) bool { return f.rule == prefix }) {
			t.Errorf("no flaw breaks rule %s", r.name)
		}
	}
	for _, f := range flaws {
		t.Run(f.rule+"_"+f.flaw, func(t *testing.T) {
			found, ok := breaks(t, f.rule, "", func(base http.RoundTripper) http.RoundTripper {
				return &patient{base: base, flaw: f.flaw}
			})
			if !ok {
				t.Errorf("found %v, want a finding of rule %s", found, f.rule)
			}
		})
	}
}
