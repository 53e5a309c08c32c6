package steadytest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

const expectContinue = time.Second

// requestRules are section A of the contract: the request.
var requestRules = []rule{{
	name: "A1_request_is_not_changed",
	why: "net/http reads a request until its response's body is closed, and callers use requests again: " +
		"a change is a data race and sends the wrong thing later",
	over: everywhere, run: checkRequestUnchanged,
}, {
	name: "A2_trailers_set_at_the_end_of_the_body_are_sent",
	why:  "a deep copy of the request has its own Trailer map, in which the values that are set while the body streams are missing",
	over: everywhere, run: checkRequestTrailer,
}, {
	name: "A3_fields_reach_the_base",
	why:  "a field that is lost on the way is a request that the caller did not make",
	over: virtual, run: checkFieldsForwarded,
}, {
	name: "A4_odd_callers_are_tolerated",
	why:  "http.Client is not the only caller: ReverseProxy sets RequestURI and has no GetBody, others leave maps nil",
	over: virtual, run: checkOddCallers,
}, {
	name: "A5_no_redirects_cookies_or_encodings",
	why:  "redirects, cookies and credentials are the http.Client's; an Accept-Encoding turns transparent decompression off",
	over: virtual, run: checkNothingHighLevel,
}, {
	name: "A6_expect_continue_is_kept",
	why:  "a server that refuses early saves the caller its upload, if the body is not touched before",
	over: []via{http1, http2, loopback1}, run: checkExpectContinue,
}, {
	name: "A7_httptrace_sees_every_attempt_once",
	why:  "the caller's hooks count connections and tell of informational responses",
	over: wires, run: checkHTTPTrace,
}}

// echo answers with what it was sent.
func echo(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		rw.WriteHeader(400)
		fmt.Fprintf(rw, "reading the body: %v", err)
		return
	}
	rw.Write(body)
}

func checkRequestUnchanged(c *check) {
	try := func(name string, w *world, req *http.Request) {
		// As net/http's own goroutines may.
		stop, reading := make(chan struct{}), sync.WaitGroup{}
		before := snapshotRequest(req)
		compare := func() {
			if field := before.difference(req); field != "" {
				c.report("the caller's request is as it was, all the time", "%s: %s was changed", name, field)
			}
		}
		w.rec.mu.Lock()
		w.rec.onTrip = compare
		w.rec.mu.Unlock()
		reading.Go(func() {
			for pause := 10 * time.Millisecond; ; pause *= 2 {
				select {
				case <-stop:
					return
				case <-time.After(pause):
					_ = req.Header.Get("X-Own")
				}
			}
		})
		defer reading.Wait()
		defer close(stop)
		w.fetch(req)
		compare()
	}
	full := func(w *world) *http.Request {
		req := w.post(&upload{data: `{"say":"hello"}`, replay: true})
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Authorization": "Bearer mine", "Cookie": "session=1", "User-Agent": "caller/1",
			"Accept": "application/json", "X-Api-Key": "mine", "X-Stainless-Retry-Count": "0",
			"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		} {
			req.Header.Set(name, value)
		}
		req.Header["X-Own"] = []string{"a", "b"}
		return req
	}
	for _, kind := range []struct {
		name string
		make func(w *world) *http.Request
	}{
		{"GET", func(w *world) *http.Request { return w.get("/things?a=b") }},
		{"POST", full},
		{"POST without GetBody", func(w *world) *http.Request {
			return (&upload{data: "hello"}).attach(w, w.request(context.Background(), "POST", "/"))
		}},
	} {
		w := c.serve(echo)
		try(kind.name, w, kind.make(w))
		w.close()
		if !c.via.real() {
			c.provoke(echo, func(p provocation, w *world) { try(kind.name+", "+p.name, w, kind.make(w)) })
		}
	}
}

// trailing is a body that sets a trailer of its request when it ends.
type trailing struct {
	io.Reader
	req *http.Request
}

func (t *trailing) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err == io.EOF {
		t.req.Trailer.Set("X-Sum", "42")
	}
	return n, err
}

func (t *trailing) Close() error { return nil }

func checkRequestTrailer(c *check) {
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(rw, "sum %s", r.Trailer.Get("X-Sum"))
	})
	req := w.request(context.Background(), "POST", "/")
	req.Body, req.ContentLength = &trailing{strings.NewReader("hello"), req}, -1
	req.Trailer = http.Header{"X-Sum": nil}
	if _, body, err := w.fetch(req); err != nil || body != "sum 42" {
		c.report("the server is sent the trailer that was set when the body ended", "the server answered %q, error %v", body, err)
	}
}

type contextKey struct{}

func checkFieldsForwarded(c *check) {
	full := func(w *world, method, key string) *http.Request {
		ctx := context.WithValue(context.Background(), contextKey{}, "mine")
		u := &upload{data: "hello", replay: true}
		req := u.attach(w, w.request(ctx, method, "/a%2Fb?q=1#f"))
		req.Host = "virtual.test"
		req.Close = true
		req.TransferEncoding = []string{"identity"}
		req.Pattern = "POST /{x}"
		req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.0", 1, 0
		req.Cancel = make(chan struct{})
		req.Header = http.Header{"X-Two": {"b", "a"}, "x-lower": {"1"}, "Idempotency-Key": nil}
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		return req
	}
	for _, method := range []string{"POST", "Report"} {
		w := c.serve(echo)
		req := full(w, method, "")
		w.fetch(req)
		if w.rec.count() == 0 {
			c.report("the base is asked", "it was not")
			return
		}
		c.forwarded("", w.rec.trips()[0], req)
		w.close()
	}
	c.provoke(echo, func(p provocation, w *world) {
		req := full(w, "POST", "one")
		w.fetch(req)
		for i, t := range w.rec.trips() {
			c.forwarded(fmt.Sprintf("attempt %d, after %s: ", i+1, p.name), t, req)
		}
	})
	w := c.serve(echo)
	noMethod := w.get("/")
	noMethod.Method = ""
	w.must(noMethod, "")
}

// forwarded looks whether an attempt has all that the caller set.
func (c *check) forwarded(name string, t *trip, req *http.Request) {
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"Method", t.req.Method, req.Method},
		{"URL", text(t.req.URL), text(req.URL)},
		{"Host", t.req.Host, req.Host},
		{"Close", t.req.Close, req.Close},
		{"ContentLength", t.req.ContentLength, req.ContentLength},
		{"TransferEncoding", text(t.req.TransferEncoding), text(req.TransferEncoding)},
		{"GetBody", t.req.GetBody != nil, req.GetBody != nil},
		{"Cancel", t.req.Cancel, req.Cancel},
		{"Pattern", t.req.Pattern, req.Pattern},
		{"Proto", t.req.Proto, req.Proto},
		{"the context's values", t.req.Context().Value(contextKey{}), req.Context().Value(contextKey{})},
	} {
		if f.got != f.want {
			c.report("the base gets the caller's "+f.name, "%s%v, the caller's is %v", name, f.got, f.want)
		}
	}
	for field, values := range req.Header {
		if got, ok := t.header[field]; !ok || !slices.Equal(got, values) {
			c.report("the base gets the caller's header", "%s%s: %q became %q (present: %v)", name, field, values, got, ok)
		}
	}
}

func checkOddCallers(c *check) {
	odd := func(name string, change func(*http.Request)) {
		w := c.serve(echo)
		u := &upload{data: "hello"}
		req := u.attach(w, w.request(context.Background(), "POST", "/"))
		change(req)
		resp, err := w.send(req)
		if resp != nil {
			resp.Body.Close()
		}
		settle(c)
		if _, open, _, _ := u.state(); open > 0 {
			c.report("the body is closed, whatever is wrong with the request", "%s: it was not (error %v)", name, err)
		}
	}
	odd("nil Header", func(r *http.Request) { r.Header = nil })
	odd("nil URL", func(r *http.Request) { r.URL = nil })
	odd("empty URL", func(r *http.Request) { r.URL = &url.URL{} })
	odd("opaque URL", func(r *http.Request) { r.URL = &url.URL{Scheme: "mailto", Opaque: "a@b.test"} })
	odd("bad method", func(r *http.Request) { r.Method = "A B" })

	w := c.serve(echo)
	req := w.get("/")
	req.RequestURI = "/as-a-server-has-it"
	w.must(req, "")
	target, _ := url.Parse(w.url)
	proxy := &httputil.ReverseProxy{
		Transport: w.rt, ErrorLog: quiet,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}
	rw := httptest.NewRecorder()
	proxy.ServeHTTP(rw, httptest.NewRequest("POST", "http://front.test/", strings.NewReader("through a proxy")))
	if rw.Code != 200 || rw.Body.String() != "through a proxy" {
		c.report("it serves as the Transport of an httputil.ReverseProxy", "the proxy answered %d %q", rw.Code, rw.Body)
	}
}

func checkNothingHighLevel(c *check) {
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Set-Cookie", "session=1")
		switch path, status, _ := strings.Cut(r.URL.Path, "_"); path {
		case "/redirect":
			rw.Header().Set("Location", "/elsewhere")
			code, _ := strconv.Atoi(status)
			rw.WriteHeader(code)
		case "/malformed":
			rw.Header().Set("Location", "http://[::1/%zz")
			rw.WriteHeader(302)
		case "/gzip":
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				rw.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(rw)
				defer z.Close()
				io.WriteString(z, "compressed")
				return
			}
			io.WriteString(rw, "plain")
		}
	})
	for path, want := range map[string]int{
		"/redirect_301": 301, "/redirect_302": 302, "/redirect_303": 303, "/redirect_307": 307, "/redirect_308": 308, "/malformed": 302,
	} {
		resp, err := w.send(w.get(path))
		if err != nil {
			c.report("a redirect is handed to the caller as any response", "%s: error %v", path, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("Location") == "" {
			c.report("a redirect is handed to the caller as any response", "%s: status %d, Location %q", path, resp.StatusCode, resp.Header.Get("Location"))
		}
		if resp.Header.Get("Set-Cookie") != "session=1" {
			c.report("cookies are left to the http.Client", "Set-Cookie became %q", resp.Header["Set-Cookie"])
		}
	}
	req := w.get("/userinfo")
	req.URL.User = url.UserPassword("me", "secret")
	w.fetch(req)
	for _, t := range w.rec.trips() {
		if t.req.URL.Path == "/elsewhere" {
			c.report("no redirect is followed", "a request for %s", t.req.URL)
		}
		for _, name := range []string{"Accept-Encoding", "Cookie", "Authorization", "Referer"} {
			if v, ok := t.header[name]; ok {
				c.report("the request's header gets no "+name, "the base got %s: %q, the caller set %q", name, v, req.Header[name])
			}
		}
	}
	if c.via == memory {
		return
	}
	resp, err := w.send(w.get("/gzip"))
	if err == nil {
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(text) != "compressed" || !resp.Uncompressed {
			c.report("the base decompresses by itself", "body %q, Uncompressed %v", brief(string(text)), resp.Uncompressed)
		}
	}
	req = w.get("/gzip")
	req.Header.Set("Accept-Encoding", "gzip")
	if _, body, _ := w.fetch(req); !bytes.HasPrefix([]byte(body), []byte{0x1f, 0x8b}) {
		c.report("what the caller asked for compressed stays compressed", "body %q", brief(body))
	}
}

func checkExpectContinue(c *check) {
	refuse := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "close")
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	u := &upload{data: "hello", replay: true}
	req := refuse.post(u)
	req.Header.Set("Expect", "100-continue")
	status, _, err := refuse.fetch(req)
	settle(c)
	if status != http.StatusRequestEntityTooLarge {
		c.report("an early refusal reaches the caller", "status %d, error %v", status, err)
	}
	if n := u.reads(0); n > 0 {
		c.report("the body of a request that is refused before 100 Continue is not read", "%d reads", n)
	}
	for _, t := range refuse.rec.trips() {
		if t.header.Get("Expect") == "" {
			c.report("every attempt carries Expect", "one without")
		}
	}
	accept := c.serve(echo)
	req = accept.post(&upload{data: "hello", replay: true})
	req.Header.Set("Expect", "100-continue")
	accept.must(req, "hello")
}

func checkHTTPTrace(c *check) {
	var got, hints atomic.Int64
	trace := &httptrace.ClientTrace{
		GotConn:        func(httptrace.GotConnInfo) { got.Add(1) },
		Got1xxResponse: func(int, textproto.MIMEHeader) error { hints.Add(1); return nil },
	}
	hint := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Link", "</style.css>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.WriteHeader(200)
	}
	see := func(name string, w *world) {
		for _, n := range []*atomic.Int64{&got, &hints} {
			n.Store(0)
		}
		req := w.get("/")
		status, _, _ := w.fetch(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		var sent, hinted int64
		for _, t := range w.rec.trips() {
			if t.err == nil {
				sent++
			}
		}
		if status == 200 {
			hinted = 1
		}
		if got.Load() != sent || hints.Load() != hinted {
			c.report("the caller's httptrace hooks see each attempt once",
				"%s: of %d attempts sent GotConn saw %d, and of %d hints Got1xxResponse saw %d", name, sent, got.Load(), hinted, hints.Load())
		}
	}
	w := c.serve(hint)
	see("one attempt", w)
	w.close()
	if !c.via.real() {
		c.provoke(hint, func(p provocation, w *world) { see(p.name, w) })
	}
}

// settle gives the goroutines of servers and connections time to see what came
// to an end.
func settle(c *check) {
	if c.via.real() {
		time.Sleep(20 * time.Millisecond)
		return
	}
	time.Sleep(time.Second)
}
