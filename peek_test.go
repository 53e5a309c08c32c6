package steadyhttp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode/utf16"
)

// watchedBody counts what is done to a body.
type watchedBody struct {
	io.Reader
	read, closes int
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *watchedBody) Close() error { b.closes++; return nil }

func failed(status int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: body, ContentLength: -1}
}

func TestEveryByteOfABodyIsPutBack(t *testing.T) {
	for _, size := range []int{0, 1, 300, 2047, 2048, 2049, maxPeek - 1, maxPeek, maxPeek + 1, 3 * maxPeek} {
		for _, known := range []bool{true, false} {
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(rand.Int())
			}
			body := &watchedBody{Reader: iotest.HalfReader(bytes.NewReader(want))}
			resp := failed(429, body)
			if known {
				resp.ContentLength = int64(size)
			}
			length := resp.ContentLength
			Classify(resp, nil)
			if body.read > maxPeek {
				t.Errorf("size %d: read %d bytes, want at most %d", size, body.read, maxPeek)
			}
			if resp.ContentLength != length {
				t.Errorf("size %d: ContentLength is %d, was %d", size, resp.ContentLength, length)
			}
			if err := iotest.TestReader(resp.Body, want); err != nil {
				t.Errorf("size %d, known %t: %v", size, known, err)
			}
			if resp.Body.Close(); body.closes != 1 {
				t.Errorf("size %d: closed %d times, want 1", size, body.closes)
			}
		}
	}
}

func TestBodyErrorsArePassedOn(t *testing.T) {
	broken := errors.New("broken")
	resp := failed(500, io.NopCloser(io.MultiReader(strings.NewReader(`{"error":`), iotest.ErrReader(broken))))
	if got := Classify(resp, nil).Class; got != ClassServerError {
		t.Errorf("class: got %v, want server_error", got)
	}
	data, err := io.ReadAll(resp.Body)
	if string(data) != `{"error":` || !errors.Is(err, broken) {
		t.Errorf("got %q, %v; want the bytes and the error", data, err)
	}
}

func TestOtherBodiesAreNotTouched(t *testing.T) {
	get, head := &http.Request{Method: "GET"}, &http.Request{Method: "HEAD"}
	for _, tt := range []struct {
		status int
		req    *http.Request
	}{{101, get}, {200, get}, {204, get}, {304, get}, {301, nil}, {404, head}, {500, head}} {
		body := &watchedBody{Reader: strings.NewReader("x")}
		resp := failed(tt.status, body)
		resp.Request = tt.req
		Classify(resp, nil)
		if resp.Body != body || body.read > 0 {
			t.Errorf("status %d: body replaced or read", tt.status)
		}
	}
	resp := failed(429, http.NoBody)
	if Classify(resp, nil); resp.Body != http.NoBody {
		t.Error("http.NoBody was replaced")
	}
	resp = failed(429, nil)
	if Classify(resp, nil); resp.Body != nil {
		t.Error("a nil body was replaced")
	}
}

func TestOutcomeDoesNotWaitForABodyThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, server := io.Pipe()
		resp := failed(503, body)
		began := time.Now()
		if got := Classify(resp, nil).Class; got != ClassOverloaded {
			t.Errorf("class: got %v, want overloaded", got)
		}
		if took := time.Since(began); took != maxPeekTime {
			t.Errorf("took %v, want %v", took, maxPeekTime)
		}
		go func() {
			io.WriteString(server, "here ")
			io.WriteString(server, "at last")
			server.Close()
		}()
		if data, err := io.ReadAll(resp.Body); string(data) != "here at last" || err != nil {
			t.Errorf("got %q, %v; want the late body", data, err)
		}
	})
}

func TestOutcomeIsReachedWithWhatHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, server := io.Pipe()
		defer server.Close()
		resp := failed(429, body)
		go io.WriteString(server, `{"error":{"code":"insufficient_quota","message":"`)
		if got := Classify(resp, nil); got.Class != ClassQuotaExhausted {
			t.Errorf("class: got %v, want quota_exhausted", got.Class)
		}
		first := make([]byte, 8)
		if n, err := resp.Body.Read(first); string(first[:n]) != `{"error"` || err != nil {
			t.Errorf("got %q, %v before the rest of the body came", first[:n], err)
		}
		resp.Body.Close()
	})
}

func TestContextEndsTheWaitForABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		body, server := io.Pipe()
		defer server.Close()
		resp := failed(503, body)
		resp.Request = (&http.Request{Method: "GET"}).WithContext(ctx)
		began := time.Now()
		Classify(resp, nil)
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("took %v, want the context's 50ms", took)
		}
	})
}

func TestCloseEndsReadingAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		body, _ := io.Pipe()
		resp := failed(503, body)
		Classify(resp, nil)
		resp.Body.Close()
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
			t.Error("a closed body can be read")
		}
	})
}

func TestClosedBodyHasNoBytesLeft(t *testing.T) {
	resp := failed(429, io.NopCloser(strings.NewReader(`{"code":"insufficient_quota"}`)))
	Classify(resp, nil)
	resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 10)); n > 0 || err == nil {
		t.Errorf("read %d bytes, %v, of a closed body", n, err)
	}
	if got := Classify(resp, nil).Class; got != ClassRateLimited {
		t.Errorf("class: got %v, want what the status says", got)
	}
}

func TestClassifyCanBeRepeated(t *testing.T) {
	resp := failed(429, io.NopCloser(strings.NewReader(`{"code":"insufficient_quota"}`)))
	for range 3 {
		if got := Classify(resp, nil).Class; got != ClassQuotaExhausted {
			t.Errorf("class: got %v, want quota_exhausted", got)
		}
	}
	if data, _ := io.ReadAll(resp.Body); string(data) != `{"code":"insufficient_quota"}` {
		t.Errorf("body: got %q", data)
	}
}

// panicReader is a body whose Read panics.
type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("no") }

func TestBrokenBodiesDoNotPanic(t *testing.T) {
	closed := failed(500, io.NopCloser(strings.NewReader("x")))
	Classify(closed, nil)
	closed.Body.Close()
	for _, resp := range []*http.Response{
		closed, failed(500, io.NopCloser(panicReader{})), failed(500, io.NopCloser(silent{})), {StatusCode: 500}, {}, nil,
	} {
		Classify(resp, nil)
		OutcomeOf(resp, nil)
	}
}

func TestBodiesAreDecoded(t *testing.T) {
	plain := `{"error":{"code":"insufficient_quota","message":"é"}}`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, plain)
	z.Close()
	wide := func(big bool, mark bool) string {
		var b []byte
		for i, u := range utf16.Encode([]rune("\ufeff" + plain)) {
			if i == 0 && !mark {
				continue
			}
			if big {
				b = append(b, byte(u>>8), byte(u))
			} else {
				b = append(b, byte(u), byte(u>>8))
			}
		}
		return string(b)
	}
	for name, body := range map[string]string{
		"plain": plain, "gzip": zipped.String(), "BOM": "\ufeff" + plain, "blank lines": "\r\n\n  " + plain,
		"UTF-16BE": wide(true, true), "UTF-16LE": wide(false, true),
		"UTF-16BE without a mark": wide(true, false), "UTF-16LE without a mark": wide(false, false),
		"rubbish after it": plain + "}}<html>",
	} {
		o := Classify(failed(429, io.NopCloser(strings.NewReader(body))), nil)
		if o.Class != ClassQuotaExhausted || o.Message != "é" {
			t.Errorf("%s: got %v, %q; want quota_exhausted, é", name, o.Class, o.Message)
		}
	}
}

func TestHostileBodiesAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.CopyN(z, zeros{}, 50<<20)
	z.Close()
	for name, body := range map[string]string{
		"gzip bomb": bomb.String(), "deep arrays": strings.Repeat("[", 1<<20), "deep objects": strings.Repeat(`{"error":`, 1<<17),
		"many members": "[" + strings.Repeat("1,", 1<<20), "long text": strings.Repeat("x", 1<<20), "quotes": strings.Repeat(`"`, 1<<16),
		"escapes": `{"message":"` + strings.Repeat(`\ud800`, 1<<14), "tags": strings.Repeat("<code>", 1<<16),
	} {
		began := time.Now()
		o := Classify(failed(429, io.NopCloser(strings.NewReader(body))), nil)
		if o.Class != ClassRateLimited || len(o.Message) > maxMessage+3 {
			t.Errorf("%s: got %v, a message of %d bytes", name, o.Class, len(o.Message))
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestLongMessagesAreStillRead(t *testing.T) {
	body := `{"error":{"code":"insufficient_quota","message":"` + strings.Repeat("long ", 1<<15) + `","type":"late"}}`
	o := Classify(failed(429, io.NopCloser(strings.NewReader(body))), nil)
	if o.Class != ClassQuotaExhausted {
		t.Errorf("class: got %v, want quota_exhausted, by the code before the cut", o.Class)
	}
	cut := `{"error":{"code":"insufficient_quota","message":"lo`
	if o := Classify(failed(429, io.NopCloser(strings.NewReader(cut))), nil); o.Class != ClassRateLimited || o.Code != "" {
		t.Errorf("broken off: got %v, %q; want what the status says", o.Class, o.Code)
	}
}

// TestVerdictOutlivesTheBody is what an SDK's error needs: by then the body is
// read and closed.
func TestVerdictOutlivesTheBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(429)
		io.WriteString(w, `{"error":{"code":"insufficient_quota"}}`)
		w.Header().Set("X-Sum", "42")
	}))
	defer server.Close()
	client := &http.Client{Transport: &Classifier{}}
	resp, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if string(data) != `{"error":{"code":"insufficient_quota"}}` || err != nil {
		t.Errorf("body: got %q, %v", data, err)
	}
	resp.Body.Close()
	if got := resp.Trailer.Get("X-Sum"); got != "42" {
		t.Errorf("trailer: got %q, want 42", got)
	}
	if o := OutcomeOf(resp, nil); o.Class != ClassQuotaExhausted || o.Code != "insufficient_quota" {
		t.Errorf("outcome: got %v, %q; want quota_exhausted, insufficient_quota", o.Class, o.Code)
	}
	if got := OutcomeOf(client.Get("http://127.0.0.1:1/")).Class; got != ClassNetwork {
		t.Errorf("refused connection: got %v, want network", got)
	}
}

func TestCustomClassifyHasTheFirstWord(t *testing.T) {
	base := roundTrip(func(*http.Request) (*http.Response, error) {
		return failed(404, io.NopCloser(strings.NewReader(`{"code":"insufficient_quota"}`))), nil
	})
	for class, want := range map[Class]Class{ClassConflict: ClassConflict, classUnset: ClassQuotaExhausted} {
		c := &Classifier{Base: base, Classify: func(*http.Response, error) Outcome { return Outcome{Class: class} }}
		req, _ := http.NewRequest("GET", "http://x/", nil)
		resp, _ := c.RoundTrip(req)
		if got := OutcomeOf(resp, nil).Class; got != want {
			t.Errorf("a custom Classify that says %v: got %v, want %v", class, got, want)
		}
	}
}

// A trailer comes with the end of the body. That the Classifier has read that far
// is nobody's business.
func TestTrailerOfAnErrorComesWithTheEndOfItsBody(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, announced := range []bool{false, true} {
			t.Run(fmt.Sprintf("HTTP/2 %t, announced %t", http2, announced), func(t *testing.T) {
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if announced {
						w.Header().Set("Trailer", "X-Announced")
					}
					w.WriteHeader(http.StatusNotFound)
					io.WriteString(w, "gone")
					w.(http.Flusher).Flush()
					if announced {
						w.Header().Set("X-Announced", "one")
					}
					w.Header().Set(http.TrailerPrefix+"X-Unannounced", "two")
				}))
				if s.EnableHTTP2 = http2; http2 {
					s.StartTLS()
				} else {
					s.Start()
				}
				defer s.Close()

				bare, err := s.Client().Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer bare.Body.Close()
				client := &http.Client{Transport: NewTransport(s.Client().Transport)}
				resp, err := client.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got, want := resp.Trailer, bare.Trailer; !reflect.DeepEqual(got, want) {
					t.Errorf("before the body is read: got %v, want %v", got, want)
				}
				for _, r := range []*http.Response{bare, resp} {
					if b, err := io.ReadAll(r.Body); string(b) != "gone" || err != nil {
						t.Errorf("body: got %q, %v", b, err)
					}
				}
				if got, want := resp.Trailer, bare.Trailer; !reflect.DeepEqual(got, want) || len(got) == 0 {
					t.Errorf("after the body is read: got %v, want %v", got, want)
				}
			})
		}
	}
}

// A server may announce whatever net/http can parse.
func TestAbsurdContentLengthIsNoHarm(t *testing.T) {
	for _, length := range []int64{math.MaxInt64, math.MaxInt64 - 1, 1 << 40, maxPeek, maxPeek - 1, -1, math.MinInt64} {
		resp := failed(404, io.NopCloser(strings.NewReader("the body")))
		resp.ContentLength = length
		if o := Classify(resp, nil); o.Class != ClassNotFound {
			t.Errorf("%d: %v", length, o.Class)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "the body" || err != nil || resp.ContentLength != length {
			t.Errorf("%d: %q, %v; ContentLength is %d", length, b, err, resp.ContentLength)
		}
	}
}

func TestCancelEndsTheLookAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, w := io.Pipe()
		defer w.Close()
		c := &Classifier{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) { return failed(503, silent), nil })}
		req, cancel := get(t, "a.example"), make(chan struct{})
		req.Cancel = cancel //lint:ignore SA1019 http.Client closes it at its Timeout
		time.AfterFunc(100*time.Millisecond, func() { close(cancel) })
		start := time.Now()
		resp, err := c.RoundTrip(req)
		if took := time.Since(start); took != 100*time.Millisecond || err != nil {
			t.Errorf("%v after %v", err, took)
		}
		resp.Body.Close()
	})
}

// The goroutine that reads ahead ends, as with t.FailNow in a body's Read.
func TestReadThatEndsItsGoroutineEndsTheLookAhead(t *testing.T) {
	first := true
	resp := failed(503, readerFunc(func([]byte) (int, error) {
		if first {
			first = false
			runtime.Goexit()
		}
		return 0, io.EOF
	}))
	if o := Classify(resp, nil); o.Class != ClassOverloaded {
		t.Error(o.Class)
	}
	if b, err := io.ReadAll(resp.Body); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
