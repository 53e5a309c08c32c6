package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/steadyhttp/steadyhttp"
)

// parrot says everything back, until the other side closes.
func parrot(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, msg, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, msg); err != nil {
			return
		}
	}
}

func Example_websocket() {
	server := httptest.NewServer(http.HandlerFunc(parrot))
	defer server.Close()
	ctx := context.Background()
	conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: steadyhttp.NewTransport(nil)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.CloseNow()
	conn.Write(ctx, websocket.MessageText, []byte("Steady as she goes."))
	_, msg, err := conn.Read(ctx)
	fmt.Println(string(msg), err)
	conn.Close(websocket.StatusNormalClosure, "")
	// Output: Steady as she goes. <nil>
}

// wrappings are the layers that may stand in the way of an upgrade: the stack, and
// the stack with a bound on the attempt, which wraps bodies.
var wrappings = map[string]func(base http.RoundTripper) http.RoundTripper{
	"stack": steadyhttp.NewTransport,
	"stack with AttemptTimeout": func(base http.RoundTripper) http.RoundTripper {
		return &steadyhttp.Retrier{AttemptTimeout: 5 * time.Second,
			Base: &steadyhttp.Breaker{Base: &steadyhttp.Limiter{Base: &steadyhttp.Classifier{Base: base}}}}
	},
}

func TestWebSocketTalksBothWaysAndCloses(t *testing.T) {
	for name, wrap := range wrappings {
		t.Run(name, func(t *testing.T) {
			url, base := serve(t, "HTTP/1.1", http.HandlerFunc(parrot))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: wrap(base)}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("got %d, want 101", resp.StatusCode)
			}
			for i := range 50 {
				want := fmt.Sprint("message ", i)
				if err := conn.Write(ctx, websocket.MessageBinary, []byte(want)); err != nil {
					t.Fatal(err)
				}
				if _, got, err := conn.Read(ctx); err != nil || string(got) != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestWebSocketHandshakeIsSentOnce: an Upgrade is never repeated.
func TestWebSocketHandshakeIsSentOnce(t *testing.T) {
	var n atomic.Int32
	url, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	_, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: steady(base)})
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || n.Load() != 1 {
		t.Errorf("got %v, %v after %d requests, want one 503", resp, err, n.Load())
	}
}

func TestWebSocketSeesOurErrors(t *testing.T) {
	virtually(t, func(t *testing.T) {
		_, _, err := websocket.Dial(t.Context(), "ws://api.test/", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: opened(t, "http://api.test/")}})
		var open *steadyhttp.OpenError
		if !errors.As(err, &open) {
			t.Errorf("got %v, want an *OpenError", err)
		}
	})
}
