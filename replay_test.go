package steadyhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bodies hands out request bodies and remembers them all.
type bodies struct {
	text string
	mu   sync.Mutex
	all  []*lentOut
	fail error // of GetBody
	none bool  // GetBody gives nil
}

type lentOut struct {
	*strings.Reader
	closings
}

func (b *bodies) open() *lentOut {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := &lentOut{Reader: strings.NewReader(b.text)}
	b.all = append(b.all, out)
	return out
}

func (l *lentOut) Read(p []byte) (int, error) { return l.Reader.Read(p) }

// request is one whose first body is not from GetBody.
func (b *bodies) request(t *testing.T) *http.Request {
	req := postChat(t, "")
	req.Header.Set("Idempotency-Key", "so that nobody looks for a model in the body")
	req.Body, req.ContentLength = b.open(), int64(len(b.text))
	req.GetBody = func() (io.ReadCloser, error) {
		if b.fail != nil || b.none {
			return nil, b.fail
		}
		return b.open(), nil
	}
	return req
}

// checkClosed wants each body that was handed out closed exactly once.
func (b *bodies) checkClosed(t *testing.T, want int) {
	t.Helper()
	if len(b.all) != want {
		t.Errorf("%d bodies were used, want %d", len(b.all), want)
	}
	for i, body := range b.all {
		if got := body.n.Load(); got != 1 {
			t.Errorf("body %d of %d: closed %d times", i+1, len(b.all), got)
		}
	}
}

func TestEveryBodyIsClosedOnceOnEveryPath(t *testing.T) {
	refused := func(*http.Request) (*http.Response, error) { return nil, &LimitError{Reason: "wait"} }
	for _, tt := range []struct {
		name    string
		replies []reply
		edit    func(*http.Request, *bodies) *http.Request
		want    int // bodies
	}{
		{"success", []reply{replyWith(200)}, nil, 1},
		{"retried", []reply{replyWith(503), replyError(io.ErrUnexpectedEOF), replyWith(200)}, nil, 3},
		{"given up", []reply{replyWith(503)}, nil, 4},
		{"failed", []reply{replyError(io.ErrUnexpectedEOF)}, nil, 4},
		{"refused", []reply{refused}, nil, 1},
		{"not retryable", []reply{replyWith(404)}, nil, 1},
		{"GetBody fails", []reply{replyWith(503)}, func(r *http.Request, b *bodies) *http.Request {
			b.fail = errors.New("no more")
			return r
		}, 1},
		{"GetBody gives nothing", []reply{replyWith(503)}, func(r *http.Request, b *bodies) *http.Request {
			b.none = true
			return r
		}, 1},
		{"given up while waiting", []reply{replyWith(503)}, func(r *http.Request, _ *bodies) *http.Request {
			ctx, cancel := context.WithCancel(r.Context())
			time.AfterFunc(time.Millisecond, cancel)
			return r.WithContext(ctx)
		}, 2},
		{"over before it began", []reply{replyWith(503)}, func(r *http.Request, _ *bodies) *http.Request {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			return r.WithContext(ctx)
		}, 1},
	} {
		for _, lazy := range []bool{false, true} {
			name := tt.name
			if lazy {
				name += ", base does not close"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &bodies{text: chatCall}
					var base http.RoundTripper = &repliesBase{replies: tt.replies}
					if lazy {
						if tt.want == 1 && tt.name != "refused" && tt.name != "over before it began" {
							return // the last attempt's body is the base's to close
						}
						base = unclosing{base}
					}
					req := b.request(t)
					if tt.edit != nil {
						req = tt.edit(req, b)
					}
					resp, _ := (&Retrier{Base: base}).RoundTrip(req)
					if resp != nil {
						readAll(t, resp)
						if lazy { // then too
							b.all = b.all[:len(b.all)-1]
							tt.want--
						}
					}
					b.checkClosed(t, tt.want)
				})
			})
		}
	}
}

func TestBodyOfARefusedRequestIsClosedThoughTheSDKGetsAResponse(t *testing.T) {
	b := &bodies{text: chatCall}
	req := b.request(t)
	req.Header.Set("X-Stainless-Retry-Count", "0")
	base := unclosing{&repliesBase{replies: []reply{replyError(&LimitError{Reason: "wait"})}}}
	resp, err := (&Retrier{Base: base}).RoundTrip(req)
	if err != nil || resp.StatusCode != 429 {
		t.Fatalf("got %v, %v", resp, err)
	}
	b.checkClosed(t, 1)
}

// unclosing is a base that leaves request bodies open.
type unclosing struct{ base http.RoundTripper }

func (u unclosing) RoundTrip(req *http.Request) (*http.Response, error) {
	out := *req
	if req.Body != nil {
		out.Body = io.NopCloser(req.Body)
	}
	return u.base.RoundTrip(&out)
}

func TestFirstAttemptSendsTheBodyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503), replyWith(200)}}
		req := postChat(t, chatCall)
		req.Body = io.NopCloser(strings.NewReader(chatCall[:10] + "M" + chatCall[11:]))
		if _, err := (&Retrier{Base: base}).RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		if base.bodies[0] != chatCall[:10]+"M"+chatCall[11:] || base.bodies[1] != chatCall {
			t.Errorf("sent %q", base.bodies)
		}
	})
}

func TestReplayOfAnotherLengthIsRefused(t *testing.T) {
	for _, first := range []string{chatCall + " ", chatCall[1:]} {
		synctest.Test(t, func(t *testing.T) {
			base := &repliesBase{replies: []reply{replyWith(503)}}
			failing := roundTripFunc(func(req *http.Request) (*http.Response, error) {
				body := req.Body
				var err error
				req = req.WithContext(req.Context())
				req.Body = readerFunc(func(p []byte) (n int, e error) {
					n, e = body.Read(p)
					if e != nil && e != io.EOF {
						err = e
					}
					return n, e
				})
				resp, _ := base.RoundTrip(req)
				body.Close()
				if err != nil {
					return nil, err
				}
				return resp, nil
			})
			req := postChat(t, chatCall)
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader(first)), -1
			resp, err := (&Retrier{Base: failing}).RoundTrip(req)
			if resp != nil || !errors.Is(err, errReplayDiffers) || base.sent() != 2 {
				t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
			}
		})
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
func (f readerFunc) Close() error               { return nil }

func TestNoBodyStaysNoBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, body := range []io.ReadCloser{nil, http.NoBody} {
			base := &repliesBase{replies: []reply{replyWith(503), replyWith(200)}}
			req := postChat(t, "")
			req.Header.Set("Idempotency-Key", "k")
			req.Body = body
			req.GetBody = func() (io.ReadCloser, error) { t.Error("GetBody was called"); return nil, nil }
			if _, err := (&Retrier{Base: base}).RoundTrip(req); err != nil || base.sent() != 2 {
				t.Fatal(err, base.sent())
			}
			for i, sent := range base.reqs {
				if sent.Body != body {
					t.Errorf("attempt %d: body %v, want %v", i+1, sent.Body, body)
				}
			}
		}
	})
}

// A base may answer while it still reads the body, and read on: what it reads
// must not be what the next attempt sends.
func TestBodyIsTakenBackBeforeItIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &slowReader{text: []byte(chatCall)}
		req := postChat(t, "")
		req.ContentLength = int64(len(chatCall))
		req.Body = io.NopCloser(shared)
		req.GetBody = func() (io.ReadCloser, error) {
			shared.rewind(t)
			return io.NopCloser(shared), nil
		}
		var late sync.WaitGroup
		attempts := 0
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			attempts++
			if attempts == 1 {
				late.Go(func() {
					io.ReadAll(req.Body)
					time.Sleep(time.Minute)
					if n, err := req.Body.Read(make([]byte, 1)); n != 0 || err == nil {
						t.Errorf("a late Read: %d, %v", n, err)
					}
					if _, err := req.GetBody(); err == nil {
						t.Error("a late GetBody succeeded")
					}
				})
				time.Sleep(10 * time.Millisecond) // a Read is in flight
				return replyWith(503)(req)
			}
			sent, err := io.ReadAll(req.Body)
			if err != nil || !bytes.Equal(sent, []byte(chatCall)) {
				t.Errorf("second attempt sent %q, %v", sent, err)
			}
			return replyWith(200)(req)
		})
		resp, err := (&Retrier{Base: base}).RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		late.Wait()
	})
}

// slowReader takes a second for each Read. Its fields are guarded by nothing, as
// those of a bytes.Reader: the race detector sees who shares it.
type slowReader struct {
	text    []byte
	at      int
	reading bool
}

func (s *slowReader) Read(p []byte) (int, error) {
	s.reading = true
	time.Sleep(time.Second)
	s.reading = false
	if s.at == len(s.text) {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 7)], s.text[s.at:])
	s.at += n
	return n, nil
}

func (s *slowReader) rewind(t *testing.T) {
	if s.reading {
		t.Error("GetBody was called during a Read")
	}
	s.at = 0
}

func TestReadThatNeverEndsDoesNotOutlastTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, release := io.Pipe()
		req := postChat(t, "")
		req.Body = stuck
		req.GetBody = func() (io.ReadCloser, error) { t.Error("GetBody was called"); return nil, nil }
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			go io.ReadAll(req.Body)
			time.Sleep(time.Second)
			return replyWith(503)(req)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		resp, err := (&Retrier{Base: base}).RoundTrip(req.WithContext(ctx))
		if resp != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v, %v after %v", resp, err, time.Since(start))
		}
		release.Close() // and with the last Read the body is closed
		synctest.Wait()
		if _, err := release.Write([]byte("x")); err == nil {
			t.Error("the body is still open")
		}
	})
}

// net/http repeats some requests by itself: those bodies are on loan too.
func TestBodyThatTheBaseObtainedIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bodies{text: chatCall}
		var copies []io.ReadCloser
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			c, err := req.GetBody()
			if err != nil {
				t.Error(err)
			}
			copies = append(copies, c)
			return nil, io.ErrUnexpectedEOF
		})
		if _, err := (&Retrier{Base: base}).RoundTrip(b.request(t)); err != io.ErrUnexpectedEOF {
			t.Error(err)
		}
		b.checkClosed(t, 8)
		for _, c := range copies {
			if _, err := c.Read(make([]byte, 1)); err != errAttemptOver {
				t.Errorf("Read of a copy: %v", err)
			}
		}
	})
}

func TestCopiesThatTheBaseForgetsAreClosedAndThoseThatItSendsAreNot(t *testing.T) {
	b := &bodies{text: chatCall}
	var open int
	hedging := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.Body.Close()
		var copies []io.ReadCloser // all of them before one is sent
		for range 3 {
			c, _ := req.GetBody()
			copies = append(copies, c)
		}
		sent, hedge := copies[1], copies[2]
		for _, c := range []io.Reader{sent, hedge} {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}
		for range 100 { // as net/http does after each GOAWAY
			req.GetBody()
		}
		for _, c := range b.all {
			if c.n.Load() == 0 {
				open++
			}
		}
		sent.Close()
		hedge.Close()
		last, _ := req.GetBody()
		t.Cleanup(func() {
			if _, err := last.Read(make([]byte, 1)); err != nil {
				t.Errorf("a copy that is sent after the response: %v", err)
			}
			last.Close()
			b.checkClosed(t, 105)
		})
		return replyWith(200)(req)
	})
	if _, err := (&Retrier{Base: hedging}).RoundTrip(b.request(t)); err != nil {
		t.Fatal(err)
	}
	if open != 2+maxUnread {
		t.Errorf("%d copies are open at a time", open)
	}
}

// cohere-go sends the same request again, whose body the first sending has used
// up. Over a bare http.Transport that works if the connection is used again.
func TestRequestThatIsSentTwiceHasItsBodyTwice(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error("the server got a request that is cut short")
		}
		got = append(got, string(b))
		w.WriteHeader(http.StatusNotFound)
	}))
	defer s.Close()
	for _, attempts := range []int{1, 4} {
		got = nil
		client := &http.Client{Transport: &Retrier{MaxAttempts: attempts, Base: s.Client().Transport}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("whole"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			drain(req, resp)
		}
		if strings.Join(got, " ") != "whole whole whole" {
			t.Errorf("at most %d attempts: the server got %q", attempts, got)
		}
	}
}

// A body that is not used up is sent as it is, and GetBody is not asked.
func TestFirstAttemptAsksForNoBodyThatItHas(t *testing.T) {
	for _, body := range []io.Reader{strings.NewReader("whole"), bytes.NewReader([]byte("whole")), bytes.NewBufferString("whole"), io.MultiReader(strings.NewReader("whole"))} {
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(req.Body)
			req.Body.Close()
			return &http.Response{StatusCode: 200, Header: http.Header{"Got": {string(b)}}, Body: http.NoBody, Request: req}, nil
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test/", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 5
		req.GetBody = func() (io.ReadCloser, error) { t.Error("GetBody was called"); return nil, errors.New("never") }
		resp, err := (&Retrier{Base: base}).RoundTrip(req)
		if err != nil || resp.Header.Get("Got") != "whole" {
			t.Errorf("got %v, %v", resp, err)
		}
	}
}

// Nothing is shared between the bodies that http.NewRequest makes, so none is
// taken back: a base finds the very types that it knows, and tests that keep a
// request may read it later.
func TestBodiesThatShareNothingAreSentAsTheyAre(t *testing.T) {
	for _, text := range []func() io.Reader{
		func() io.Reader { return strings.NewReader("a body") },
		func() io.Reader { return bytes.NewReader([]byte("a body")) },
		func() io.Reader { return bytes.NewBufferString("a body") },
	} {
		synctest.Test(t, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodPut, "http://api.example/", text())
			var sent []io.ReadCloser
			base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, req.Body)
				req.Body.Close()
				return nil, io.ErrUnexpectedEOF
			})
			(&Retrier{Base: base, MaxAttempts: 2}).RoundTrip(req)
			if len(sent) != 2 || sent[0] != req.Body {
				t.Fatalf("sent %v, the request's own is %v", sent, req.Body)
			}
			for i, body := range sent {
				if got, err := io.ReadAll(body); string(got) != "a body" || err != nil {
					t.Errorf("attempt %d: %q, %v", i+1, got, err)
				}
			}
		})
	}
}

// A GetBody that was left behind when Body was replaced may not be sent in its place.
func TestStaleGetBodyOfAnotherLengthIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		req, _ := http.NewRequest(http.MethodPut, "http://api.example/", strings.NewReader("before"))
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("after it")), 8
		base := &repliesBase{replies: []reply{replyWith(503), replyWith(200)}}
		resp, err := (&Retrier{Base: base}).RoundTrip(req)
		if err != nil || resp.StatusCode != 503 || base.sent() != 1 {
			t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
		}
	})
}

func TestPanicOfGetBodyIsTheCallers(t *testing.T) {
	req := postChat(t, "hello")
	io.Copy(io.Discard, req.Body)
	req.GetBody = func() (io.ReadCloser, error) { panic("GetBody") }
	defer func() {
		if v := recover(); v != "GetBody" {
			t.Error(v)
		}
	}()
	(&Retrier{Base: serverWith(200)}).RoundTrip(req)
}
