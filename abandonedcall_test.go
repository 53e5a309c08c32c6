package steadyhttp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// leavingBody is an upload whose sender goes away in the middle, as net/http's server
// has it: the context ends, and the Read fails in its own way.
type leavingBody struct{ leave context.CancelFunc }

func (b leavingBody) Read([]byte) (int, error) {
	b.leave()
	return 0, io.ErrUnexpectedEOF
}

func TestUploadThatItsSenderAbandonsSaysNothingOfTheServer(t *testing.T) {
	base := roundTrip(func(req *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, req.Body)
		req.Body.Close()
		return nil, &net.OpError{Op: "readfrom", Net: "tcp", Err: err}
	})
	for _, stack := range []func(*steadyhttp.Breaker) http.RoundTripper{
		func(b *steadyhttp.Breaker) http.RoundTripper { return b },
		func(b *steadyhttp.Breaker) http.RoundTripper { return &steadyhttp.Retrier{Base: b} },
	} {
		b := &steadyhttp.Breaker{Base: &steadyhttp.Limiter{Base: base}, Failures: 3}
		rt := stack(b)
		var req *http.Request
		for range 5 {
			ctx, leave := context.WithCancel(t.Context())
			req, _ = http.NewRequestWithContext(ctx, "POST", "http://upload.test/", leavingBody{leave})
			if _, err := rt.RoundTrip(req); err == nil {
				t.Fatal("no error")
			}
		}
		if s := b.State(req); s != steadyhttp.StateClosed {
			t.Errorf("the circuit is %v", s)
		}
	}
}

func TestWireClientsOfAProxyCannotOpenItsCircuit(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer backend.Close()
	target, _ := url.Parse(backend.URL)
	b := &steadyhttp.Breaker{Base: &http.Transport{DisableKeepAlives: true}, Failures: 3}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = b
	failed := make(chan error, 1)
	proxy.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) { failed <- err }
	front := httptest.NewServer(proxy)
	defer front.Close()
	for range 5 {
		conn, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789")
		time.Sleep(5 * time.Millisecond)
		conn.Close()
		<-failed
	}
	req, _ := http.NewRequest("GET", backend.URL, nil)
	if s := b.State(req); s != steadyhttp.StateClosed {
		t.Errorf("the circuit of a healthy server is %v", s)
	}
}
