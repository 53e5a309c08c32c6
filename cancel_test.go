package steadyhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// A moment is one of the points at which a call can be cancelled: each operation
// on its connection and on its body, and each time that a layer waits.
type moments struct {
	at     int64 // the moment to call stop at; 0 for none
	stop   func()
	passed atomic.Int64
}

func (m *moments) pass() {
	if m.passed.Add(1) == m.at {
		m.stop()
	}
}

// watchedConn passes a moment before and after each of its operations.
type watchedConn struct {
	net.Conn
	m *moments
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.m.pass()
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.m.pass()
	n, err := c.Conn.Write(p)
	c.m.pass()
	return n, err
}

// watchedBody passes a moment with each Read, and counts how often it is closed.
type watchedBody struct {
	io.Reader
	m      *moments
	closed *atomic.Int64
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.m.pass()
	return b.Reader.Read(p[:min(len(p), 100)])
}

func (b *watchedBody) Close() error { b.closed.Add(1); return nil }

// pipes is a listener whose connections are in memory, for virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	mu    sync.Mutex
	all   []net.Conn
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipes) dial() net.Conn {
	client, server := net.Pipe()
	l.mu.Lock()
	l.all = append(l.all, client, server)
	l.mu.Unlock()
	l.conns <- server
	return client
}

// callAndCancel sends a POST that is denied once, fails once and then streams,
// through a new stack and real connections, and cancels it at the given moment.
// It returns how many moments there were. Whatever is left makes the bubble fail.
func callAndCancel(t *testing.T, second bool, at int64) (passed int64) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		pressed := errors.New("the user pressed stop")
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		var stopped atomic.Pointer[time.Time]
		m := &moments{at: at, stop: func() {
			now := time.Now()
			stopped.Store(&now)
			cancel(pressed)
		}}

		protocols := new(http.Protocols)
		protocols.SetHTTP1(!second)
		protocols.SetUnencryptedHTTP2(second)
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		var served atomic.Int64
		server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			switch served.Add(1) {
			case 1:
				rw.Header().Set("Retry-After", "2")
				rw.WriteHeader(http.StatusTooManyRequests)
			case 2:
				http.Error(rw, "down", http.StatusServiceUnavailable)
			default:
				for i := range 3 {
					fmt.Fprintf(rw, "data: %d\n\n", i)
					rw.(http.Flusher).Flush()
					time.Sleep(time.Second)
				}
			}
		})}
		go server.Serve(l)
		base := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
			m.pass()
			return &watchedConn{l.dial(), m}, nil
		}}
		rt := steadyhttp.Traced(steadyhttp.NewTransport(base), &steadyhttp.Trace{
			Attempted: func(steadyhttp.AttemptInfo) { m.pass() },
			Retrying:  func(steadyhttp.RetryInfo) { m.pass() },
			Waiting:   func(steadyhttp.WaitInfo) { m.pass() },
		})

		var opened, closed atomic.Int64
		open := func() (io.ReadCloser, error) {
			m.pass()
			opened.Add(1)
			body := strings.NewReader(`{"model":"gpt-5","messages":"` + strings.Repeat("x", 300) + `"}`)
			return &watchedBody{body, m, &closed}, nil
		}
		req, err := http.NewRequestWithContext(ctx, "POST", "http://pipe.test/v1/chat/completions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Body, _ = open()
		req.GetBody, req.ContentLength = open, -1
		// A clock of the caller's own: it ticks while the layers wait.
		ticking, ticks := context.WithCancel(context.Background())
		go func() {
			for ticking.Err() == nil {
				time.Sleep(250 * time.Millisecond)
				m.pass()
			}
		}()

		resp, err := rt.RoundTrip(req)
		if (resp == nil) == (err == nil) {
			t.Errorf("cancelled at moment %d: response %v together with error %v", at, resp, err)
		}
		if resp != nil {
			var text []byte
			text, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && (resp.StatusCode != 200 || len(text) != 27) && at == 0 {
				t.Errorf("status %d, %q", resp.StatusCode, text)
			}
		}
		// HTTP/2 of net/http says context.Canceled where HTTP/1.1 says the cause.
		if err != nil && !errors.Is(err, pressed) && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at moment %d: error %v, want the cause", at, err)
		}
		if since := stopped.Load(); since != nil && time.Since(*since) > 10*time.Millisecond {
			t.Errorf("cancelled at moment %d: it went on for %v", at, time.Since(*since))
		}
		ticks()
		passed = m.passed.Load()
		time.Sleep(5 * time.Second)
		if o, c := opened.Load(), closed.Load(); c < o {
			t.Errorf("cancelled at moment %d: %d of %d bodies were closed", at, c, o)
		}
		server.Close()
		l.mu.Lock()
		for _, c := range l.all {
			c.Close()
		}
		l.mu.Unlock()
		base.CloseIdleConnections()
	})
	return passed
}

// TestCallCanBeCancelledAtEveryMoment cancels one call again and again, each time
// a moment later: while its key waits, its body is read, a frame is on its way,
// a response is drained, a retry is due, an event arrives. Each time it ends, with
// the cause, its bodies are closed and nothing is left.
func TestCallCanBeCancelledAtEveryMoment(t *testing.T) {
	for name, second := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			all := callAndCancel(t, second, 0)
			if all < 50 {
				t.Fatalf("%d moments, want more: something is not watched", all)
			}
			for at := int64(1); at <= all && !t.Failed(); at++ {
				callAndCancel(t, second, at)
			}
			t.Logf("%d moments", all)
		})
	}
}
