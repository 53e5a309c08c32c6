package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/steadyhttp/steadyhttp"
)

// proxy serves a ReverseProxy to target, with the stack on base as its Transport.
func proxy(t testing.TB, target string, base http.RoundTripper) *httptest.Server {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport: steadyhttp.NewTransport(base),
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	t.Cleanup(s.Close)
	return s
}

func Example_reverseProxy() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Steady as she goes.") }))
	defer backend.Close()
	target, _ := url.Parse(backend.URL)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: steadyhttp.NewTransport(nil),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var open *steadyhttp.OpenError
			if errors.As(err, &open) {
				w.Header().Set("Retry-After", fmt.Sprint(int(time.Until(open.RetryAt).Seconds())+1))
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	defer proxy.Close()
	resp, err := http.Get(proxy.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Println(string(answer))
	// Output: Steady as she goes.
}

func TestProxyUpgrades(t *testing.T) {
	target, base := serve(t, "HTTP/1.1", http.HandlerFunc(parrot))
	s := proxy(t, target, base)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("steady")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(ctx); err != nil || string(got) != "steady" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

// TestProxyFlushesEvents: the backend writes the second event when the first has
// been read on the other side of the proxy.
func TestProxyFlushesEvents(t *testing.T) {
	read := make(chan struct{}, 1)
	target, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-read:
			case <-r.Context().Done():
				return
			}
		}
	}))
	s := proxy(t, target, base)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got strings.Builder
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			got.WriteString(data)
			read <- struct{}{}
		}
	}
	if got.String() != "012" {
		t.Errorf("got %q, want 012", got.String())
	}
}

// TestProxyPassesOnThatTheClientLeft, to a backend that would answer for ever.
func TestProxyPassesOnThatTheClientLeft(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	target, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	}))
	s := proxy(t, target, base)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := s.Client().Do(req); done <- err }()
	<-arrived
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the backend never hears that the client left")
	}
}

// TestProxyBodiesAreSentOnce: what a server received cannot be replayed, and ends
// with the handler.
func TestProxyBodiesAreSentOnce(t *testing.T) {
	n := 0
	target, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	s := proxy(t, target, base)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body(t, resp)
	if resp.StatusCode != http.StatusServiceUnavailable || n != 1 {
		t.Errorf("got %d after %d requests, want one 503", resp.StatusCode, n)
	}
}
