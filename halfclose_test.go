package steadyhttp_test

import (
	"bufio"
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

// TestWireHalfClosedTunnelStaysOpen: ReverseProxy passes the end of what a client sends
// on by the CloseWrite of the body of a 101 response. Without it the tunnel is torn down
// before the answer.
func TestWireHalfClosedTunnelStaysOpen(t *testing.T) {
	for name, rt := range map[string]http.RoundTripper{
		"no layer":       nil,
		"stack":          steadyhttp.NewTransport(nil),
		"AttemptTimeout": &steadyhttp.Retrier{AttemptTimeout: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, buffered, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
				question, _ := io.ReadAll(buffered) // up to the half-close
				time.Sleep(50 * time.Millisecond)
				io.WriteString(conn, "answer to "+string(question))
			}))
			defer backend.Close()
			target, _ := url.Parse(backend.URL)
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.Transport = rt
			front := httptest.NewServer(proxy)
			defer front.Close()
			conn, err := net.Dial("tcp", front.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
			r := bufio.NewReader(conn)
			if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp, err)
			}
			io.WriteString(conn, "question")
			conn.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(r); string(got) != "answer to question" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
