package steadyhttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// closeCounter counts how often it is closed.
type closeCounter struct {
	io.Reader
	closed atomic.Int64
}

func (b *closeCounter) Close() error {
	b.closed.Add(1)
	return nil
}

func TestBreakerClosesARefusedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		panics := false
		b := &Breaker{}
		b.Base = roundTrip(func(req *http.Request) (*http.Response, error) {
			if panics {
				panic("a bug")
			}
			return server.RoundTrip(req)
		})
		closed := func() int64 {
			body := &closeCounter{Reader: strings.NewReader("x")}
			req, err := http.NewRequest("POST", "https://a.example/", body)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { recover() }()
			b.RoundTrip(req)
			return body.closed.Load()
		}
		if got := closed(); got != 1 {
			t.Errorf("sent: closed %d times, want once, by the base", got)
		}
		trip(t, b, "a.example")
		if got := closed(); got != 1 {
			t.Errorf("circuit open: closed %d times", got)
		}
		time.Sleep(time.Second)
		server.delay = time.Second
		var wg sync.WaitGroup
		wg.Go(func() { send(t, b, get(t, "a.example")) })
		synctest.Wait()
		if got := closed(); got != 1 {
			t.Errorf("a probe is out: closed %d times", got)
		}
		wg.Wait()
		time.Sleep(time.Minute)
		panics = true
		body := &closeCounter{Reader: strings.NewReader("x")}
		req, _ := http.NewRequest("POST", "https://a.example/", body)
		func() {
			defer func() { recover() }()
			b.RoundTrip(req)
		}()
		if got := body.closed.Load(); got != 1 {
			t.Errorf("the base panicked: closed %d times", got)
		}
	})
}

// roundTrip is a base that leaves the body to its function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestBreakerReleasesThePipeOfARefusedUpload(t *testing.T) {
	b := &Breaker{Base: serverWith(503)}
	trip(t, b, "a.example")
	r, w := io.Pipe()
	wrote := make(chan error)
	go func() {
		_, err := w.Write([]byte("x"))
		wrote <- err
	}()
	req, err := http.NewRequest("PUT", "https://a.example/", r)
	if err != nil {
		t.Fatal(err)
	}
	refusal(t, b, req)
	if err := <-wrote; err != io.ErrClosedPipe {
		t.Errorf("the writer got %v", err)
	}
}

func TestBreakerLeavesTheRequestAlone(t *testing.T) {
	body := &closeCounter{Reader: strings.NewReader("hello")}
	req, err := http.NewRequest("POST", "https://a.example/v1?x=1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "1")
	req.Trailer = http.Header{"Sum": nil}
	req.TransferEncoding = []string{"chunked"}
	req.Host, req.Close, req.Pattern, req.ContentLength = "other.example", true, "/v1", 5
	req.GetBody = func() (io.ReadCloser, error) { t.Error("GetBody was called"); return nil, nil }
	before, header, trailer, link := *req, req.Header.Clone(), req.Trailer.Clone(), *req.URL
	var seen *http.Request
	b := &Breaker{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
		seen = req
		closeBody(req)
		return answer(req, 200), nil
	})}
	send(t, b, req)
	if !reflect.DeepEqual(before.Header, header) || !reflect.DeepEqual(before.Trailer, trailer) || *req.URL != link ||
		req.Body != before.Body || req.Context() != before.Context() {
		t.Error("the request was changed")
	}
	if seen.Body != req.Body || seen.GetBody == nil || seen.URL != req.URL || seen.Host != req.Host || !seen.Close || seen.Method != "POST" ||
		seen.Pattern != req.Pattern || seen.ContentLength != 5 || len(seen.TransferEncoding) != 1 ||
		reflect.ValueOf(seen.Header).Pointer() != reflect.ValueOf(req.Header).Pointer() ||
		reflect.ValueOf(seen.Trailer).Pointer() != reflect.ValueOf(req.Trailer).Pointer() {
		t.Error("the base saw another request")
	}
}

func TestBreakerHandsOverTheResponseItself(t *testing.T) {
	type mark struct{}
	var made *http.Response
	b := &Breaker{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
		made = answer(req, 503)
		return made, nil
	})}
	for _, rt := range []http.RoundTripper{b, &Breaker{Base: &Classifier{Base: b.Base}}, Traced(b, &Trace{}), &Breaker{Base: &Breaker{Base: b.Base}}} {
		req := get(t, "a.example")
		body := made
		resp, err := rt.RoundTrip(req)
		if err != nil || resp != made || resp == body {
			t.Fatalf("got %p, %v, want the base's own %p", resp, err, made)
		}
		if resp.Request.URL != req.URL || resp.Request.Method != req.Method ||
			reflect.ValueOf(resp.Request.Header).Pointer() != reflect.ValueOf(req.Header).Pointer() {
			t.Error("resp.Request is not the caller's")
		}
		if a := resp.Request.Context().Value(attemptKey{}); a != nil {
			t.Error("an attempt is left in the context of resp.Request")
		}
		if o := OutcomeOf(resp, nil); o.Class != ClassOverloaded {
			t.Errorf("outcome %v", o.Class)
		}
		if resp.Request.Context().Value(mark{}) != nil || resp.Request.Context().Err() != nil {
			t.Error("the context is not the caller's")
		}
	}
}

func TestBreakerPassesErrorsUnwrapped(t *testing.T) {
	for _, want := range []error{io.EOF, io.ErrUnexpectedEOF, &url.Error{Op: "Get", Err: io.EOF}, uncomparable{"x"}} {
		b := &Breaker{Base: roundTrip(func(*http.Request) (*http.Response, error) { return nil, want })}
		for range 12 {
			resp, err := b.RoundTrip(get(t, "a.example"))
			if resp != nil {
				t.Errorf("a response beside %v", err)
			}
			var open *OpenError
			if !errors.As(err, &open) && !reflect.DeepEqual(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	}
}

// uncomparable is an error that must not be compared with ==.
type uncomparable []string

func (e uncomparable) Error() string { return strings.Join(e, "") }

func TestOpenErrorIsFoundThroughAClient(t *testing.T) {
	b := &Breaker{Base: serverWith(503)}
	trip(t, b, "a.example")
	_, err := (&http.Client{Transport: b}).Get("https://user:secret@a.example/?key=secret")
	var open *OpenError
	if !errors.As(err, &open) || open.Key != "https://a.example" {
		t.Fatalf("got %v", err)
	}
	var retryable interface{ RetryableError() bool }
	if !errors.As(err, &retryable) || retryable.RetryableError() {
		t.Error("it invites to an immediate repetition")
	}
	if !open.Temporary() || open.Timeout() {
		t.Error("it is not temporary, or a timeout")
	}
	if strings.Contains(open.Error(), "secret") {
		t.Errorf("a secret in %q", open)
	}
}

type idleCloser struct {
	http.RoundTripper
	calls int
}

func (c *idleCloser) CloseIdleConnections() { c.calls++ }

func TestBreakerForwardsCloseIdleConnections(t *testing.T) {
	base := &idleCloser{}
	(&http.Client{Transport: &Breaker{Base: base}}).CloseIdleConnections()
	if base.calls != 1 {
		t.Errorf("got %d calls, want 1", base.calls)
	}
	(&Breaker{Base: serverWith(200)}).CloseIdleConnections() // which has no such method
}

func TestNilBaseIsTheDefaultTransportOfTheMoment(t *testing.T) {
	was := http.DefaultTransport
	defer func() { http.DefaultTransport = was }()
	for _, want := range []int{200, 204} {
		http.DefaultTransport = serverWith(want)
		if got, err := send(t, &Breaker{}, get(t, "a.example")); got != want {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
}

// What lacks a URL or a header is the base's to refuse, whatever it says.
func TestBreakerLetsTheBaseRefuseABrokenRequest(t *testing.T) {
	b := &Breaker{}
	for _, req := range []*http.Request{{}, {URL: &url.URL{}}, {URL: &url.URL{Host: "a.example"}}, {Header: http.Header{}}} {
		body := &closeCounter{Reader: strings.NewReader("x")}
		req.Body = body
		for range 20 {
			if resp, err := b.RoundTrip(req); err == nil || resp != nil {
				t.Errorf("%+v: got %v, %v", req.URL, resp, err)
			}
			b.State(req)
		}
		if body.closed.Load() == 0 {
			t.Errorf("%+v: the body is not closed", req.URL)
		}
	}
}

func TestBreakerUnderAReverseProxyPassesTrailersAndUpgrades(t *testing.T) {
	b := &Breaker{}
	upgraded := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Trailer", "Sum")
			fmt.Fprint(w, "hello")
			w.Header().Set("Sum", "5")
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		fmt.Fprint(conn, line)
	}
	origin := httptest.NewServer(http.HandlerFunc(upgraded))
	defer origin.Close()
	defer b.CloseIdleConnections()
	target, _ := url.Parse(origin.URL)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: b})
	defer proxy.Close()

	resp, err := http.Get(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "hello" || resp.Trailer.Get("Sum") != "5" {
		t.Errorf("got %q with trailer %v", body, resp.Trailer)
	}

	req, _ := http.NewRequest("GET", proxy.URL, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err = http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rw, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != 101 || !ok {
		t.Fatalf("got %d with a body of %T", resp.StatusCode, resp.Body)
	}
	fmt.Fprint(rw, "ping\n")
	if line, err := bufio.NewReader(rw).ReadString('\n'); line != "ping\n" {
		t.Errorf("got %q, %v through the upgraded connection", line, err)
	}
}

func BenchmarkBreaker(b *testing.B) {
	resp := answer(nil, 200)
	base := roundTrip(func(req *http.Request) (*http.Response, error) {
		resp.Request = req
		return resp, nil
	})
	req, err := http.NewRequest("GET", "https://api.example.com/v1/models", nil)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, rt http.RoundTripper) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rt.RoundTrip(req)
			}
		})
	}
	run("bare", base)
	run("alone", &Breaker{Base: base})
	run("classifier", &Classifier{Base: base})
	run("closed+classifier", &Breaker{Base: &Classifier{Base: base}})
	open := &Breaker{Base: serverWith(503), Pause: time.Hour}
	trip(b, open, "api.example.com")
	run("open", open)
	b.Run("parallel", func(b *testing.B) {
		rt := &Breaker{Base: roundTrip(func(req *http.Request) (*http.Response, error) { return answer(req, 200), nil })}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				rt.RoundTrip(req)
			}
		})
	})
}
