package steadyhttp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is a server that counts its connections, and a Retrier with a transport of
// its own that talks to it.
type wire struct {
	*httptest.Server
	conns   atomic.Int32
	calls   atomic.Int32
	retrier *Retrier
	base    *http.Transport
}

func newWire(t *testing.T, h http.HandlerFunc) *wire {
	w := &wire{}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.calls.Add(1)
		h(rw, req)
	}))
	w.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			w.conns.Add(1)
		}
	}
	w.Start()
	w.use(t, &http.Transport{})
	return w
}

func (w *wire) use(t *testing.T, base *http.Transport) {
	w.base = base
	w.retrier = &Retrier{Base: base, MinDelay: time.Millisecond, RetryShare: -1}
	t.Cleanup(func() {
		base.CloseIdleConnections()
		w.Close()
	})
}

func (w *wire) request(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/path?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "k")
	return req
}

func (w *wire) send(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := w.retrier.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, readAll(t, resp)
}

func TestWireConnectionIsReusedAfterRetries(t *testing.T) {
	page := strings.Repeat("x", 20_000)
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		if n.Add(1)%3 != 0 {
			rw.WriteHeader(503)
		}
		io.WriteString(rw, page)
	})
	for range 50 {
		if resp, body := w.send(t, w.request(t, "GET", nil)); resp.StatusCode != 200 || body != page {
			t.Fatalf("got %d with %d bytes", resp.StatusCode, len(body))
		}
	}
	if got := w.conns.Load(); got != 1 || w.calls.Load() != 150 {
		t.Errorf("%d connections for %d requests", got, w.calls.Load())
	}
}

func TestWireTricklingResponseDoesNotHoldTheRetry(t *testing.T) {
	var n atomic.Int32
	released := make(chan struct{})
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		if n.Add(1) > 1 {
			return
		}
		defer close(released)
		rw.WriteHeader(503)
		for {
			if _, err := rw.Write([]byte("x")); err != nil {
				return
			}
			rw.(http.Flusher).Flush()
			select {
			case <-req.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	start := time.Now()
	if resp, _ := w.send(t, w.request(t, "GET", nil)); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
	if got := time.Since(start); got < drainTime || got > drainTime+2*time.Second {
		t.Errorf("took %v", got)
	}
	<-released // the connection is closed, not left to trickle
}

// rewoundReader is a body as openai-go makes it: GetBody rewinds the one reader.
func rewoundReader(req *http.Request, data []byte) {
	r := bytes.NewReader(data)
	req.Body, req.ContentLength = io.NopCloser(r), int64(len(data))
	req.GetBody = func() (io.ReadCloser, error) {
		_, err := r.Seek(0, io.SeekStart)
		return io.NopCloser(r), err
	}
}

func TestWireReplayIsWholeThoughTheServerAnsweredEarly(t *testing.T) {
	data := make([]byte, 4<<20)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	want := sha256.Sum256(data)
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %t", shared), func(t *testing.T) {
			for range 5 {
				var n atomic.Int32
				w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
					if n.Add(1) < 3 {
						rw.WriteHeader(503)
						return
					}
					h := sha256.New()
					size, err := io.Copy(h, req.Body)
					if err != nil || req.ContentLength != int64(len(data)) || len(req.TransferEncoding) != 0 {
						t.Errorf("read %d bytes of %d, %v, %v", size, req.ContentLength, req.TransferEncoding, err)
					}
					rw.Write(h.Sum(nil))
				})
				req := w.request(t, "POST", bytes.NewReader(data))
				if shared {
					rewoundReader(req, data)
				}
				if resp, sum := w.send(t, req); resp.StatusCode != 200 || sum != string(want[:]) {
					t.Errorf("got %d, sum %x, want %x", resp.StatusCode, sum, want)
				}
			}
		})
	}
}

func TestWireBodyKeepsItsFraming(t *testing.T) {
	type framing struct {
		length   int64
		encoding string
		body     string
	}
	for _, tt := range []struct {
		name   string
		length int64
		body   io.Reader
		want   framing
	}{
		{"known", 5, strings.NewReader("hello"), framing{5, "", "hello"}},
		{"unknown", -1, strings.NewReader("hello"), framing{-1, "chunked", "hello"}},
		{"zero, with a body", 0, strings.NewReader("hello"), framing{-1, "chunked", "hello"}},
		{"NoBody", 0, http.NoBody, framing{0, "", ""}},
		{"nil", 0, nil, framing{0, "", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var got []framing
			w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
				b, _ := io.ReadAll(req.Body)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, framing{req.ContentLength, strings.Join(req.TransferEncoding, ","), string(b)})
				if len(got) == 1 {
					rw.WriteHeader(503)
				}
			})
			req := w.request(t, "POST", tt.body)
			req.ContentLength = tt.length
			w.send(t, req)
			if len(got) != 2 || got[0] != tt.want || got[1] != tt.want {
				t.Errorf("got %+v, want %+v twice", got, tt.want)
			}
		})
	}
}

func TestWireExpectContinueIsKept(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Expect") != "100-continue" {
			t.Errorf("Expect: %q", req.Header.Get("Expect"))
		}
		if n.Add(1) == 1 {
			rw.WriteHeader(429) // and does not read
			return
		}
		io.Copy(rw, req.Body)
	})
	w.base.ExpectContinueTimeout = 10 * time.Second
	b := &bodies{text: "hello"}
	req := w.request(t, "POST", nil)
	req.Header.Set("Expect", "100-continue")
	req.Body, req.ContentLength = b.open(), 5
	req.GetBody = func() (io.ReadCloser, error) { return b.open(), nil }
	if resp, body := w.send(t, req); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if b.all[0].Len() != 5 {
		t.Error("the denied attempt's body was read")
	}
	b.checkClosed(t, 2)
}

func TestWireResponsesWithoutBodies(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
	}{{"HEAD", 200}, {"GET", 204}, {"GET", 304}} {
		var n atomic.Int32
		w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
			if n.Add(1) < 3 {
				rw.Header().Set("Content-Length", "7")
				rw.WriteHeader(503)
				return
			}
			rw.WriteHeader(tt.status)
		})
		if resp, body := w.send(t, w.request(t, tt.method, nil)); resp.StatusCode != tt.status || body != "" {
			t.Errorf("%s: got %d %q, want %d", tt.method, resp.StatusCode, body, tt.status)
		}
	}
}

func TestWireTrailersArrive(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		if n.Add(1) == 1 {
			rw.WriteHeader(503)
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(rw, "x")
		rw.(http.Flusher).Flush()
		rw.Header().Set(http.TrailerPrefix+"X-Unannounced", "yes")
		rw.Header().Set(http.TrailerPrefix+"X-Sum", req.Trailer.Get("X-Sum"))
	})
	if resp, _ := w.send(t, w.request(t, "GET", nil)); resp.Trailer.Get("X-Unannounced") != "yes" {
		t.Errorf("trailer: %v", resp.Trailer)
	}
	// A request's trailer is set as its body ends.
	req := w.request(t, "POST", nil)
	req.Trailer = http.Header{"X-Sum": nil}
	text := strings.NewReader("hello")
	req.Body = readerFunc(func(p []byte) (int, error) {
		n, err := text.Read(p)
		if err == io.EOF {
			req.Trailer.Set("X-Sum", "42")
		}
		return n, err
	})
	req.ContentLength = -1
	if resp, _ := w.send(t, req); resp.Trailer.Get("X-Sum") != "42" {
		t.Errorf("request trailer: %v", resp.Trailer)
	}
}

func TestWireRedirectsAndCookiesAreTheClients(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		http.SetCookie(rw, &http.Cookie{Name: fmt.Sprint("c", n.Load()), Value: "v"})
		switch n.Add(1) {
		case 1:
			rw.WriteHeader(503)
		case 2:
			http.Redirect(rw, req, "/next", http.StatusTemporaryRedirect)
		default:
			io.WriteString(rw, req.URL.Path+" "+req.Header.Get("Cookie"))
		}
	})
	resp, body := w.send(t, w.request(t, "GET", nil))
	if resp.StatusCode != 307 || resp.Header.Get("Location") != "/next" || len(resp.Cookies()) != 1 {
		t.Errorf("got %d %v %q", resp.StatusCode, resp.Header, body)
	}
	n.Store(0)
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Transport: w.retrier, Jar: jar}
	resp, err := c.Post(w.URL, "text/plain", strings.NewReader("x"))
	if err != nil || resp.StatusCode != 503 {
		t.Fatalf("a POST that may not be repeated: %v, %v", resp, err)
	}
	resp.Body.Close()
	n.Store(0)
	resp, err = c.Get(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	// The cookie of the response that was retried is gone: the caller never saw it.
	if got := readAll(t, resp); !strings.HasPrefix(got, "/next ") || !strings.Contains(got, "c1=v") {
		t.Errorf("got %q", got)
	}
}

func TestWireReverseProxyRepeatsAndUpgrades(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") != "" {
			conn, brw, _ := rw.(http.Hijacker).Hijack()
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			line, _ := brw.ReadString('\n')
			io.WriteString(conn, "echo "+line)
			return
		}
		if n.Add(1)%2 == 1 {
			rw.WriteHeader(503)
			return
		}
		io.Copy(rw, req.Body)
	})
	target, _ := url.Parse(w.URL)
	for _, timeout := range []time.Duration{0, time.Minute} {
		w.retrier.AttemptTimeout = timeout
		proxy := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: w.retrier,
		})
		defer proxy.Close()
		resp, err := http.Get(proxy.URL)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("GET: %v, %v", resp, err)
		}
		resp.Body.Close()
		resp, err = http.Post(proxy.URL, "text/plain", strings.NewReader("hello"))
		if err != nil || resp.StatusCode != 503 {
			t.Errorf("POST, whose body cannot be replayed: %v, %v", resp, err)
		}
		resp.Body.Close()
		n.Add(1)

		conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		r := bufio.NewReader(conn)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
			t.Fatalf("upgrade: %v, %v", resp, err)
		}
		io.WriteString(conn, "hello\n")
		if line, err := r.ReadString('\n'); line != "echo hello\n" {
			t.Errorf("upgraded: %q, %v", line, err)
		}
	}
}

func TestWireStreamArrivesEventByEvent(t *testing.T) {
	var n atomic.Int32
	next := make(chan struct{})
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		if n.Add(1) == 1 {
			rw.WriteHeader(503)
			return
		}
		for i := range 5 {
			fmt.Fprintf(rw, "data: %d\n", i)
			rw.(http.Flusher).Flush()
			<-next
		}
	})
	w.retrier.AttemptTimeout = 300 * time.Millisecond
	resp, err := w.retrier.RoundTrip(w.request(t, "GET", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 5 {
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); line != want || err != nil {
			t.Fatalf("got %q, %v, want %q", line, err, want)
		}
		time.Sleep(100 * time.Millisecond) // half a second in all: longer than the attempt may take
		next <- struct{}{}
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestWireHTTP2RequestsAreRepeatedAndTheLastResponseIsIntact(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(http.ResponseWriter, *http.Request) {})
	w.Close()
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			t.Errorf("proto %s", req.Proto)
		}
		if n.Add(1)%3 != 0 {
			rw.WriteHeader(503)
			io.WriteString(rw, "body of 503")
			return
		}
		io.Copy(rw, req.Body)
	}))
	w.EnableHTTP2 = true
	w.StartTLS()
	w.use(t, w.Client().Transport.(*http.Transport))
	for range 5 {
		if resp, body := w.send(t, w.request(t, "POST", strings.NewReader("hello"))); resp.StatusCode != 200 || body != "hello" {
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
	}
	w.retrier.MaxAttempts = 2
	if resp, body := w.send(t, w.request(t, "POST", strings.NewReader("hello"))); resp.StatusCode != 503 || body != "body of 503" {
		t.Errorf("the last response: %d %q", resp.StatusCode, body)
	}
}

func TestWireClientTimeoutSpansAttempts(t *testing.T) {
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) { rw.WriteHeader(503) })
	w.retrier.MinDelay, w.retrier.MaxDelay = 400*time.Millisecond, 400*time.Millisecond
	w.retrier.MaxAttempts = 100
	c := &http.Client{Transport: w.retrier, Timeout: 700 * time.Millisecond}
	start := time.Now()
	resp, err := c.Get(w.URL)
	if err != nil || resp.StatusCode != 503 || time.Since(start) >= c.Timeout {
		t.Fatalf("the retry that would come too late: %v, %v after %v", resp, err, time.Since(start))
	}
	resp.Body.Close()

	hung := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		<-req.Context().Done()
	})
	c = &http.Client{Transport: hung.retrier, Timeout: 300 * time.Millisecond}
	_, err = c.Get(hung.URL)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || hung.calls.Load() != 1 {
		t.Errorf("got %v after %d requests", err, hung.calls.Load())
	}
}

// idleClosings counts CloseIdleConnections.
type idleClosings struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *idleClosings) CloseIdleConnections() { c.n.Add(1) }

func TestIdleConnectionsAreClosedOnlyWhenAsked(t *testing.T) {
	base := &idleClosings{RoundTripper: &repliesBase{replies: []reply{replyWith(503)}}}
	r := &Retrier{Base: base, MinDelay: time.Millisecond, MaxDelay: time.Millisecond}
	r.RoundTrip(getModels(t))
	ctx, cancel := context.WithCancel(t.Context())
	slow := &Retrier{Base: base, MinDelay: time.Hour, MaxDelay: time.Hour}
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := slow.RoundTrip(getModels(t).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	base.RoundTripper = &repliesBase{replies: []reply{replyError(io.ErrUnexpectedEOF)}}
	r.RoundTrip(getModels(t))
	if got := base.n.Load(); got != 0 {
		t.Errorf("closed %d times by failures", got)
	}
	(&http.Client{Transport: r}).CloseIdleConnections()
	if got := base.n.Load(); got != 1 {
		t.Errorf("closed %d times when asked", got)
	}
}

func TestWireHooksFireForEachAttempt(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Link", "</a.css>")
		rw.WriteHeader(http.StatusEarlyHints)
		if n.Add(1) < 3 {
			rw.WriteHeader(503)
		}
	})
	var conns, hints atomic.Int32
	req := w.request(t, "GET", nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { conns.Add(1) },
		Got100Continue:       func() {},
		WroteRequest:         func(httptrace.WroteRequestInfo) {},
		Got1xxResponse:       nil,
		PutIdleConn:          nil,
		GotFirstResponseByte: func() { hints.Add(1) },
	}))
	w.send(t, req)
	if conns.Load() != 3 || hints.Load() != 3 {
		t.Errorf("GotConn %d, GotFirstResponseByte %d times for 3 attempts", conns.Load(), hints.Load())
	}
}

func TestWireManyCallersGetTheirOwnAnswers(t *testing.T) {
	var n atomic.Int32
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		switch k := n.Add(1); {
		case k%7 == 0:
			panic(http.ErrAbortHandler)
		case k%3 == 0:
			rw.WriteHeader(503)
		}
		rw.Write(b)
	})
	w.base.MaxIdleConnsPerHost = 100
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() {
			for j := range 10 {
				ctx, cancel := context.WithCancel(t.Context())
				if j == 3 {
					time.AfterFunc(time.Millisecond, cancel)
				}
				want := fmt.Sprint(i, " ", j)
				req := w.request(t, "POST", strings.NewReader(want)).WithContext(ctx)
				resp, err := w.retrier.RoundTrip(req)
				if err == nil {
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err == nil && string(b) != want {
						t.Errorf("got %q, want %q", b, want)
					}
				}
				cancel()
			}
		})
	}
	callers.Wait()
}

type countingConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestWireSmallRequestIsOneWrite(t *testing.T) {
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) { io.Copy(rw, req.Body) })
	var writes atomic.Int32
	w.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return countingConn{c, &writes}, err
	}
	if _, body := w.send(t, w.request(t, http.MethodPost, strings.NewReader("hello"))); body != "hello" || writes.Load() != 1 {
		t.Errorf("%q came back after %d writes", body, writes.Load())
	}
}

// The timer of a Client's Timeout is waited for 10 ms, and may be later than that on a
// busy machine. Without the wait half of the errors are not named.
const clientTimeouts, lateTimeouts = 40, 4

// http.Client adds that it was its Timeout only if its own timer, which is another
// than the context's, has fired by the time of the error. If that one is the first,
// the transport says "request canceled".
func TestWireClientTimeoutIsNamed(t *testing.T) {
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	slow := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	unnamed := 0
	for i := range clientTimeouts {
		base := []http.RoundTripper{w.base, slow}[i%2]
		var class Class
		var asked bool // a busy machine may take longer than the Timeout to get there
		asking := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			asked = true
			return base.RoundTrip(req)
		})
		trace := &Trace{Attempted: func(info AttemptInfo) { class = info.Outcome.Class }}
		c := &http.Client{Transport: Traced(NewTransport(asking), trace), Timeout: 5 * time.Millisecond}
		_, err := c.Get(w.URL)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(err.Error(), "context deadline exceeded (Client.Timeout exceeded while awaiting headers)") {
			unnamed++
		}
		if asked && class != ClassTimeout {
			t.Fatalf("%v was classified as %v", err, class)
		}
	}
	if unnamed > lateTimeouts {
		t.Errorf("%d of %d errors do not name the Client.Timeout", unnamed, clientTimeouts)
	}
}

func TestWireClientTimeoutIsNamedWhileTheBodyIsRead(t *testing.T) {
	cut := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		resp, _ := replyWith(200)(req)
		resp.Body = readerFunc(func([]byte) (int, error) {
			<-req.Context().Done()
			return 0, req.Context().Err()
		})
		return resp, nil
	})
	w := newWire(t, func(rw http.ResponseWriter, req *http.Request) {
		rw.(http.Flusher).Flush()
		<-req.Context().Done()
	})
	unnamed := 0
	for i := range clientTimeouts {
		base := []http.RoundTripper{w.base, cut}[i%2]
		c := &http.Client{Transport: NewTransport(base), Timeout: 20 * time.Millisecond}
		resp, err := c.Get(w.URL)
		for err != nil && c.Timeout < time.Minute { // a busy machine is late with the headers
			c.Timeout *= 2
			resp, err = c.Get(w.URL)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(err.Error(), "context deadline exceeded (Client.Timeout or context cancellation while reading body)") {
			unnamed++
		}
	}
	if unnamed > lateTimeouts {
		t.Errorf("%d of %d errors do not name the Client.Timeout", unnamed, clientTimeouts)
	}
}

// net/http may still write the body of an attempt when its response is there. What
// looks for a model in it looks at another.
func TestWireModelIsLookedForInACopy(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(500) }))
	defer s.Close()
	late := `{"messages":["` + strings.Repeat("x", 1<<20) + `"],"model":"m"}`
	var served int
	r := &Retrier{MinDelay: time.Millisecond, MaxAttempts: 2, Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		served++
		return s.Client().Transport.RoundTrip(req)
	})}
	for range 5 {
		req := postChat(t, late)
		req.URL.Host = s.Listener.Addr().String()
		if resp, err := r.RoundTrip(req); err == nil { // or the connection was reset, as the server did not read
			resp.Body.Close()
		}
	}
	if served != 10 {
		t.Errorf("%d attempts of 5 calls", served)
	}
}

// A response that comes while the body is being sent is the last one if the call is
// not repeated, and needs its connection.
func TestWireUploadGoesOnIfTheCallIsNotRepeated(t *testing.T) {
	const errorText = 70_000 // more than is looked at
	received := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.NewResponseController(rw).EnableFullDuplex()
		rw.WriteHeader(500)
		io.WriteString(rw, strings.Repeat("e", errorText))
		rw.(http.Flusher).Flush()
		n, err := io.Copy(io.Discard, r.Body)
		received <- fmt.Sprint(n, " ", err)
		io.WriteString(rw, "the end")
	}))
	defer s.Close()
	text := strings.Repeat("upload", 20_000)
	upload := func() io.ReadCloser {
		left := strings.NewReader(text)
		return readerFunc(func(p []byte) (int, error) { // takes its time, and is of no type that is known
			time.Sleep(time.Millisecond)
			return left.Read(p[:min(len(p), 2000)])
		})
	}
	spent := &Retrier{Base: s.Client().Transport}
	for name, tt := range map[string]struct {
		retrier *Retrier
		path    string
		content string
	}{
		"not for inference":    {&Retrier{Base: s.Client().Transport}, "/things", "application/json"},
		"not in JSON":          {&Retrier{Base: s.Client().Transport}, "/2010/messages", "text/plain"},
		"no model, was read":   {&Retrier{Base: &Limiter{Base: s.Client().Transport}}, "/v1/messages", "application/json"},
		"a model, none left":   {spent, "/v1/models/m:generateContent", "application/json"},
		"its function says so": {&Retrier{Base: s.Client().Transport, Replayable: func(*http.Request) bool { return false }}, "/v1/messages", "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+tt.path, upload())
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength, req.GetBody = int64(len(text)), func() (io.ReadCloser, error) { return upload(), nil }
			req.Header.Set("Content-Type", tt.content)
			for now := time.Now(); tt.retrier == spent; { // the floor of the share
				share, _ := spent.hostOf(req)
				if ok, _ := share.take(defaultShare, now); !ok {
					break
				}
			}
			resp, err := tt.retrier.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got, want := <-received, fmt.Sprint(len(text), " ", nil); got != want || len(b) != errorText+len("the end") || err != nil {
				t.Errorf("the server received %s; the client %d bytes, %v", got, len(b), err)
			}
		})
	}
}
