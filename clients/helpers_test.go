package clients

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// steady is a client with the whole stack on base.
func steady(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: steadyhttp.NewTransport(base)}
}

// virtually runs f in a bubble that begins on a date of our time: the headers of
// providers speak of nothing earlier.
func virtually(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		f(t)
	})
}

// always is a provider that does the same to every request.
func always(do steadytest.Effect) *steadytest.Provider {
	return &steadytest.Provider{Faults: []steadytest.Fault{{Do: do}}}
}

// sent checks how many requests reached p.
func sent(t *testing.T, p *steadytest.Provider, atLeast, atMost int) {
	t.Helper()
	if got := p.Counts().Requests; got < atLeast || got > atMost {
		t.Errorf("requests on the wire: got %d, want %d to %d", got, atLeast, atMost)
	}
}

// serve serves h over loopback, with HTTP/2 if over says so, and returns the
// server's URL and a transport of its own that reaches it.
func serve(t testing.TB, over string, h http.Handler) (url string, base *http.Transport) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if over == "HTTP/2" {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	base = s.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(s.Close)
	t.Cleanup(base.CloseIdleConnections)
	return s.URL, base
}

// recorder notes what passes it on the way to Base.
type recorder struct {
	Base http.RoundTripper

	mu     sync.Mutex
	seen   []*http.Request
	closed int // calls of CloseIdleConnections
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.seen = append(r.seen, req)
	r.mu.Unlock()
	return r.Base.RoundTrip(req)
}

func (r *recorder) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
}

func (r *recorder) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// answer is a RoundTripper that answers by a function.
type answer func(*http.Request) (*http.Response, error)

func (a answer) RoundTrip(req *http.Request) (*http.Response, error) { return a(req) }

// opened is a stack whose circuit to every host is open: ten refused connections
// have seen to that.
func opened(t testing.TB, url string) http.RoundTripper {
	t.Helper()
	stack := steadyhttp.NewTransport(always(steadytest.Refuse))
	for range 10 {
		req, err := http.NewRequestWithContext(steadyhttp.WithoutRetry(t.Context()), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stack.RoundTrip(req); err == nil {
			t.Fatal("got an answer, want a refused connection")
		}
	}
	return stack
}

// body reads what is left of resp and closes it.
func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inMemory is a base that hands requests to h without a connection.
func inMemory(h http.Handler) http.RoundTripper {
	return answer(func(req *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		in := req.Clone(req.Context())
		in.RequestURI = req.URL.RequestURI()
		if in.Body == nil {
			in.Body = http.NoBody
		}
		h.ServeHTTP(w, in)
		in.Body.Close()
		resp := w.Result()
		resp.Request = req
		return resp, nil
	})
}
