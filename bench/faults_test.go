package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// server is one that is scripted connection by connection, so that it can do on
// the wire what no http.Server does.
type server struct {
	net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// serve makes a server whose n-th connection (from 1) is in the hands of script.
// The connection is closed when it returns.
func serve(t *testing.T, script func(n int, c *net.TCPConn)) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	s.wg.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer c.Close()
				script(n, c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

// accepted is how many connections there were.
func (s *server) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// reset ends a connection as a crashed peer does.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// readRequest reads one HTTP/1.1 request, its body too.
func readRequest(c net.Conn) {
	if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		io.Copy(io.Discard, req.Body)
	}
}

const (
	served  = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved"
	partial = "HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\nserved"
)

// body is a request's body that counts its copies and how often each is closed.
type body struct {
	text string

	mu     sync.Mutex
	closes []int
}

type bodyCopy struct {
	*strings.Reader
	of *body
	n  int
}

func (b *body) open() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closes = append(b.closes, 0)
	return &bodyCopy{strings.NewReader(b.text), b, len(b.closes) - 1}, nil
}

func (c *bodyCopy) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.closes[c.n]++
	return nil
}

// unclosed is how many copies were never closed, and how many more than once.
func (b *body) unclosed() (never, often int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.closes {
		switch {
		case n == 0:
			never++
		case n > 1:
			often++
		}
	}
	return never, often
}

// outcome is what became of a call through the stack.
type outcome struct {
	status  int
	text    string
	err     error // of the call, else of reading the body
	classes []steadyhttp.Class
}

// run sends one call through a stack around base, whose waits are short, and
// looks after its bodies and its goroutines.
func run(t *testing.T, base *http.Transport, ctx context.Context, method, url, text string, key bool) outcome {
	t.Helper()
	var mu sync.Mutex
	var o outcome
	rt := steadyhttp.Traced(&steadyhttp.Retrier{
		MinDelay: time.Millisecond, MaxDelay: 50 * time.Millisecond,
		Base: &steadyhttp.Breaker{Base: &steadyhttp.Limiter{Base: &steadyhttp.Classifier{Base: base}}},
	}, &steadyhttp.Trace{Attempted: func(i steadyhttp.AttemptInfo) {
		mu.Lock()
		defer mu.Unlock()
		o.classes = append(o.classes, i.Outcome.Class)
	}})
	b := &body{text: text}
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text != "" {
		req.Body, _ = b.open()
		req.GetBody, req.ContentLength = b.open, int64(len(text))
	}
	if key {
		req.Header.Set("Idempotency-Key", "one")
	}
	resp, err := rt.RoundTrip(req)
	if (resp == nil) == (err == nil) {
		t.Fatalf("response %v together with error %v", resp, err)
	}
	o.err = err
	if resp != nil {
		var read []byte
		read, o.err = io.ReadAll(resp.Body)
		resp.Body.Close()
		o.status, o.text = resp.StatusCode, string(read)
	}
	base.CloseIdleConnections()
	for wait := time.Millisecond; ; wait *= 2 {
		never, often := b.unclosed()
		if never == 0 && often == 0 {
			break
		}
		if wait > time.Second {
			t.Errorf("%d bodies were never closed, %d more than once", never, often)
			break
		}
		time.Sleep(wait)
	}
	mu.Lock()
	defer mu.Unlock()
	return o
}

// TestFaultOnTheWireIsRepeatedOnlyWhereThatIsSafe goes through what can happen to a connection. What leaves
// open whether the server has acted is repeated for requests that say they may
// be; what proves that it has not, for all; what cannot succeed, for none.
func TestFaultOnTheWireIsRepeatedOnlyWhereThatIsSafe(t *testing.T) {
	firstThen := func(fault func(c *net.TCPConn)) func(int, *net.TCPConn) {
		return func(n int, c *net.TCPConn) {
			if n == 1 {
				fault(c)
				return
			}
			readRequest(c)
			io.WriteString(c, served)
		}
	}
	const network, success = steadyhttp.ClassNetwork, steadyhttp.ClassSuccess
	for _, fault := range []struct {
		name   string
		script func(n int, c *net.TCPConn)
		class  steadyhttp.Class // of the attempt that meets the fault
		final  bool             // it is the last one even of a call that may be repeated
		text   string           // of a response whose body breaks
	}{
		{name: "reset while the request is read", script: firstThen(func(c *net.TCPConn) { c.Read(make([]byte, 1)); reset(c) }), class: network},
		{name: "reset before the headers", script: firstThen(func(c *net.TCPConn) { readRequest(c); reset(c) }), class: network},
		{name: "closed before the headers", script: firstThen(func(c *net.TCPConn) { readRequest(c) }), class: network},
		{name: "reset within the headers", script: firstThen(func(c *net.TCPConn) {
			readRequest(c)
			io.WriteString(c, served[:30])
			time.Sleep(10 * time.Millisecond)
			reset(c)
		}), class: network},
		{name: "garbage", script: firstThen(func(c *net.TCPConn) {
			readRequest(c)
			io.WriteString(c, "\x00\xff garbage\r\n\r\n")
		}), class: network},
		{name: "headers without an end", script: firstThen(func(c *net.TCPConn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for range 3000 {
				if _, err := io.WriteString(c, "X-Padding: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}), class: network},
		{name: "slow but well", script: firstThen(func(c *net.TCPConn) {
			readRequest(c)
			for _, b := range []byte(served) {
				c.Write([]byte{b})
				time.Sleep(time.Millisecond)
			}
		}), class: success, final: true, text: "served"},
		{name: "closed within the body", script: firstThen(func(c *net.TCPConn) {
			readRequest(c)
			io.WriteString(c, partial)
		}), class: success, final: true, text: "served"},
		{name: "reset within the body", script: firstThen(func(c *net.TCPConn) {
			readRequest(c)
			io.WriteString(c, partial)
			time.Sleep(20 * time.Millisecond)
			reset(c)
		}), class: success, final: true, text: "served"},
	} {
		for _, call := range []struct {
			name, method, body string
			key, repeatable    bool
		}{
			{"GET", "GET", "", false, true},
			{"POST", "POST", "hello", false, false},
			{"POST with an Idempotency-Key", "POST", "hello", true, true},
		} {
			t.Run(fault.name+", "+call.name, func(t *testing.T) {
				s := serve(t, fault.script)
				o := run(t, &http.Transport{}, t.Context(), call.method, "http://"+s.Addr().String(), call.body, call.key)
				if len(o.classes) == 0 || o.classes[0] != fault.class {
					t.Fatalf("classes %v, want %v first", o.classes, fault.class)
				}
				switch {
				case fault.final:
					if len(o.classes) != 1 || o.status != 200 || o.text != fault.text {
						t.Errorf("%d attempts, status %d, %q, want one attempt, its status and what came of its body", len(o.classes), o.status, o.text)
					}
				case call.repeatable:
					if len(o.classes) != 2 || o.status != 200 || o.text != "served" {
						t.Errorf("%d attempts, status %d, %q, error %v, want the second to succeed", len(o.classes), o.status, o.text, o.err)
					}
				default:
					if len(o.classes) != 1 || o.err == nil {
						t.Errorf("%d attempts, status %d, error %v, want one, and its error", len(o.classes), o.status, o.err)
					}
				}
			})
		}
	}
}

func TestBrokenBodyIsTheReadersError(t *testing.T) {
	s := serve(t, func(_ int, c *net.TCPConn) {
		readRequest(c)
		io.WriteString(c, partial)
	})
	o := run(t, &http.Transport{}, t.Context(), "GET", "http://"+s.Addr().String(), "", false)
	if !errors.Is(o.err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want io.ErrUnexpectedEOF", o.err)
	}
}

// What was never sent is repeated whatever it is, and in the end the error is the
// base's own.
func TestRefusedConnectionIsRepeatedAndItsErrorKept(t *testing.T) {
	s := serve(t, func(int, *net.TCPConn) {})
	url := "http://" + s.Addr().String()
	s.Close()
	o := run(t, &http.Transport{}, t.Context(), "POST", url, "hello", false)
	var op *net.OpError
	if len(o.classes) != 4 || o.classes[3] != steadyhttp.ClassNetwork || !errors.As(o.err, &op) || op.Op != "dial" {
		t.Errorf("classes %v, error %v, want four attempts and the dial's error", o.classes, o.err)
	}
}

func TestSilentServerIsATimeout(t *testing.T) {
	s := serve(t, func(_ int, c *net.TCPConn) { io.Copy(io.Discard, c) })
	url := "http://" + s.Addr().String()

	t.Run("the transport's", func(t *testing.T) {
		o := run(t, &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}, t.Context(), "GET", url, "", false)
		if len(o.classes) != 4 || o.classes[0] != steadyhttp.ClassTimeout || o.err == nil {
			t.Errorf("classes %v, error %v, want four timeouts", o.classes, o.err)
		}
	})
	t.Run("the caller's", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		o := run(t, &http.Transport{}, ctx, "GET", url, "", false)
		if len(o.classes) != 1 || o.classes[0] != steadyhttp.ClassTimeout || !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("classes %v, error %v, want one timeout", o.classes, o.err)
		}
	})
	t.Run("nobody's, but the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
		o := run(t, &http.Transport{}, ctx, "GET", url, "", false)
		if len(o.classes) != 1 || o.classes[0] != steadyhttp.ClassCanceled || !errors.Is(o.err, enough) {
			t.Errorf("classes %v, error %v, want one that was cancelled", o.classes, o.err)
		}
	})
}

// A server that answers before it has read the body: the answer counts, whatever
// becomes of the rest.
func TestEarlyAnswerIsTheAnswer(t *testing.T) {
	s := serve(t, func(_ int, c *net.TCPConn) {
		c.Read(make([]byte, 1000))
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
		io.Copy(io.Discard, c)
	})
	o := run(t, &http.Transport{}, t.Context(), "POST", "http://"+s.Addr().String(), strings.Repeat("x", 4<<20), true)
	if len(o.classes) != 1 || o.status != 413 || o.text != "too large" {
		t.Errorf("classes %v, status %d, %q, error %v, want the 413", o.classes, o.status, o.text, o.err)
	}
}

// A handshake that fails will fail again: one attempt, and the error as it is.
func TestHandshakeThatCannotSucceedIsNotRepeated(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = quiet
	untrusted.StartTLS()
	defer untrusted.Close()
	plain := serve(t, func(_ int, c *net.TCPConn) {
		c.Read(make([]byte, 1000))
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	})
	for name, url := range map[string]string{
		"a certificate that nobody signed": untrusted.URL,
		"a server without TLS":             "https://" + plain.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			o := run(t, &http.Transport{}, t.Context(), "POST", url, "hello", true)
			if len(o.classes) != 1 || o.classes[0] != steadyhttp.ClassNetwork || o.err == nil {
				t.Errorf("classes %v, error %v, want one network error", o.classes, o.err)
			}
		})
	}
}

func TestNameThatDoesNotExistIsNotRepeatedAndOneThatDoesNotAnswerIs(t *testing.T) {
	for _, c := range []struct {
		err      *net.DNSError
		attempts int
	}{
		{&net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true}, 1},
		{&net.DNSError{Err: "server misbehaving", Name: "nowhere.test", IsTemporary: true}, 4},
		{&net.DNSError{Err: "i/o timeout", Name: "nowhere.test", IsTimeout: true}, 4},
	} {
		base := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: c.err}
		}}
		o := run(t, base, t.Context(), "POST", "http://nowhere.test", "hello", false)
		var dns *net.DNSError
		if len(o.classes) != c.attempts || o.classes[0] != steadyhttp.ClassNetwork || !errors.As(o.err, &dns) {
			t.Errorf("%v: classes %v, error %v, want %d attempts", c.err, o.classes, o.err, c.attempts)
		}
	}
}

// h2 is a server's end of an HTTP/2 connection, frame by frame.
type h2 struct {
	*http2.Framer
	t *testing.T
}

// newH2 does a server's part of the connection's beginning.
func newH2(t *testing.T, c net.Conn) *h2 {
	io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
	h := &h2{http2.NewFramer(c, c), t}
	h.WriteSettings()
	return h
}

// request reads frames up to the next request's headers and returns its stream,
// or 0 when the connection ends.
func (h *h2) request() uint32 {
	for {
		f, err := h.ReadFrame()
		if err != nil {
			return 0
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				h.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			return f.StreamID
		}
	}
}

// answer sends a response of 200 and "served".
func (h *h2) answer(stream uint32) {
	var block strings.Builder
	hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true})
	h.WriteData(stream, true, []byte("served"))
}

func overH2() *http.Transport {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: p}
}

// TestHTTP2FaultIsRepeatedOnlyWhereThatIsSafe goes through what a server can say to a stream or a connection.
// net/http repeats what was certainly not processed by itself; the stack sees
// what is left.
func TestHTTP2FaultIsRepeatedOnlyWhereThatIsSafe(t *testing.T) {
	for _, fault := range []struct {
		name        string
		do          func(h *h2, stream uint32) // to the first request
		unprocessed bool                       // the server said that it did not act
	}{
		{"GOAWAY that leaves the request out", func(h *h2, _ uint32) { h.WriteGoAway(0, http2.ErrCodeNo, nil) }, true},
		{"REFUSED_STREAM", func(h *h2, stream uint32) { h.WriteRSTStream(stream, http2.ErrCodeRefusedStream) }, true},
		{"GOAWAY that counts the request in", func(h *h2, stream uint32) { h.WriteGoAway(stream, http2.ErrCodeInternal, nil) }, false},
		{"INTERNAL_ERROR", func(h *h2, stream uint32) { h.WriteRSTStream(stream, http2.ErrCodeInternal) }, false},
		{"a connection that ends", func(*h2, uint32) {}, false},
	} {
		for _, repeatable := range []bool{true, false} {
			name := fault.name + ", POST"
			if repeatable {
				name += " with an Idempotency-Key"
			}
			t.Run(name, func(t *testing.T) {
				var mu sync.Mutex
				requests := 0
				s := serve(t, func(_ int, c *net.TCPConn) {
					h := newH2(t, c)
					for {
						stream := h.request()
						if stream == 0 {
							return
						}
						mu.Lock()
						requests++
						first := requests == 1
						mu.Unlock()
						if first {
							fault.do(h, stream)
							if strings.HasPrefix(fault.name, "GOAWAY") || strings.HasPrefix(fault.name, "a connection") {
								return
							}
							continue
						}
						h.answer(stream)
					}
				})
				base := overH2()
				o := run(t, base, t.Context(), "POST", "http://"+s.Addr().String(), "hello", repeatable)
				if fault.unprocessed || repeatable {
					if o.status != 200 || o.text != "served" {
						t.Errorf("classes %v, status %d, %q, error %v, want it to be served in the end", o.classes, o.status, o.text, o.err)
					}
					return
				}
				if len(o.classes) != 1 || o.classes[0] != steadyhttp.ClassNetwork || o.err == nil {
					t.Errorf("classes %v, status %d, error %v, want one network error", o.classes, o.status, o.err)
				}
			})
		}
	}
}

// A server that refuses every stream is asked a bounded number of times.
func TestServerThatRefusesEveryStreamEndsInItsError(t *testing.T) {
	s := serve(t, func(_ int, c *net.TCPConn) {
		h := newH2(t, c)
		for stream := h.request(); stream != 0; stream = h.request() {
			h.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}
	})
	// net/http's own repetitions wait for seconds; without GetBody there are none.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+s.Addr().String(), io.NopCloser(strings.NewReader("hello")))
	base := overH2()
	defer base.CloseIdleConnections()
	start := time.Now()
	resp, err := steadyhttp.NewTransport(base).RoundTrip(req)
	if err == nil {
		resp.Body.Close()
		t.Fatalf("status %d, want an error", resp.StatusCode)
	}
	if o := steadyhttp.Classify(nil, err); o.Class != steadyhttp.ClassNetwork && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("class %v of %v, want network", o.Class, err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Connections are used again after every answer that was read to its end, also
// after those that the Retrier has kept to itself.
func TestConnectionsAreUsedAgain(t *testing.T) {
	s := serve(t, func(_ int, c *net.TCPConn) {
		r := bufio.NewReader(c)
		for n := 1; ; n++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if n%2 == 1 {
				io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("x", 20000))
				continue
			}
			io.WriteString(c, served)
		}
	})
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	rt := &steadyhttp.Retrier{Base: base, MinDelay: time.Millisecond, RetryShare: -1}
	for range 20 {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr().String(), nil)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	if n := s.accepted(); n != 1 {
		t.Errorf("%d connections for 40 requests, one after the other, want 1", n)
	}
}
