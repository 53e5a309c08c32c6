package steadyhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hang answers nothing until the request's context ends, and then with what
// each kind of base says.
func hang(say func(context.Context) error) reply {
	return func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, say(req.Context())
	}
}

var hangs = map[string]func(context.Context) error{
	"cause":    context.Cause,
	"error":    context.Context.Err,
	"canceled": func(context.Context) error { return context.Canceled },
	"both":     func(ctx context.Context) error { return errors.Join(context.Canceled, context.Cause(ctx)) },
}

func TestAttemptTimeoutIsATimeoutAndRetried(t *testing.T) {
	for name, say := range hangs {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{hang(say), replyWith(200)}}
				r := &Retrier{Base: &Classifier{Base: base}, AttemptTimeout: 3 * time.Second}
				resp, err := r.RoundTrip(postChat(t, chatCall))
				if err != nil || resp.StatusCode != 200 || readAll(t, resp) != "body of 200" {
					t.Fatalf("got %v, %v", resp, err)
				}
				if got := base.at[1]; got < 3500*time.Millisecond || got > 4*time.Second {
					t.Errorf("retried after %v", got)
				}

				base = &repliesBase{replies: []reply{hang(say)}}
				r = &Retrier{Base: &Classifier{Base: base}, AttemptTimeout: 3 * time.Second}
				_, err = r.RoundTrip(postChat(t, chatCall))
				var timeout interface{ Timeout() bool }
				if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() || base.sent() != 4 {
					t.Errorf("got %v after %d requests", err, base.sent())
				}
				if o := OutcomeOf(nil, err); o.Class != ClassTimeout {
					t.Errorf("class: got %v", o.Class)
				}
			})
		})
	}
}

func TestAttemptTimeoutEndsWithTheCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{hang(context.Cause)}}
		r := &Retrier{Base: base, AttemptTimeout: 3 * time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.RoundTrip(postChat(t, chatCall).WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errAttemptTimeout) || time.Since(start) != 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestAttemptTimeoutIsNotThatOfTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctx context.Context
		r, w := io.Pipe()
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			ctx = req.Context()
			resp, _ := replyWith(200)(req)
			resp.Body = r
			return resp, nil
		})
		resp, err := (&Retrier{Base: base, AttemptTimeout: time.Second}).RoundTrip(postChat(t, chatCall))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatalf("the stream's context: %v", ctx.Err())
		}
		go w.Write([]byte("event"))
		if n, err := resp.Body.Read(make([]byte, 10)); n != 5 || err != nil {
			t.Errorf("Read: %d, %v", n, err)
		}
		if ctx.Err() != nil {
			t.Errorf("the stream's context after a Read: %v", ctx.Err())
		}
		w.Close()
		if _, err := resp.Body.Read(make([]byte, 10)); err != io.EOF || ctx.Err() == nil {
			t.Errorf("at the end: %v; the context: %v", err, ctx.Err())
		}
	})
}

func TestAttemptTimeoutReleasesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctxs []context.Context
		replies := []reply{replyWith(503), replyError(io.ErrUnexpectedEOF), replyWith(200)}
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			ctxs = append(ctxs, req.Context())
			return replies[len(ctxs)-1](req)
		})
		resp, err := (&Retrier{Base: base, AttemptTimeout: time.Hour}).RoundTrip(postChat(t, chatCall))
		if err != nil {
			t.Fatal(err)
		}
		if ctxs[0].Err() == nil || ctxs[1].Err() == nil || ctxs[2].Err() != nil {
			t.Errorf("contexts of the attempts: %v, %v, %v", ctxs[0].Err(), ctxs[1].Err(), ctxs[2].Err())
		}
		resp.Body.Close()
		if ctxs[2].Err() == nil {
			t.Error("Close left the context")
		}

		base = func(req *http.Request) (*http.Response, error) {
			ctxs = append(ctxs, req.Context())
			return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
		}
		resp, err = (&Retrier{Base: base, AttemptTimeout: time.Hour}).RoundTrip(postChat(t, chatCall))
		if err != nil || resp.Body != http.NoBody || ctxs[3].Err() == nil {
			t.Errorf("no body: %v, %v, context: %v", resp, err, ctxs[3].Err())
		}
	})
}

func TestResponseThatComesWithTheAttemptTimeoutIsNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &closings{Reader: strings.NewReader("x")}
		late := func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			resp, _ := replyWith(200)(req)
			resp.Body = body
			return resp, nil
		}
		n := 0
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return late(req)
			}
			return replyWith(200)(req)
		})
		resp, err := (&Retrier{Base: base, AttemptTimeout: time.Second}).RoundTrip(getModels(t))
		if err != nil || readAll(t, resp) != "body of 200" || body.n.Load() != 1 {
			t.Errorf("got %v, %v; the late one was closed %d times", resp, err, body.n.Load())
		}
	})
}

func TestSwitchedConnectionStaysWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &pipeConn{}
		base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 101, Header: http.Header{}, Body: conn}, nil
		})
		req := getModels(t)
		req.Header.Set("Upgrade", "websocket")
		for _, timeout := range []time.Duration{0, time.Second} {
			resp, err := (&Retrier{Base: base, AttemptTimeout: timeout}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			rwc, ok := resp.Body.(io.ReadWriteCloser)
			if !ok {
				t.Fatalf("the body is a %T", resp.Body)
			}
			io.WriteString(rwc, "hello")
		}
		if got := conn.String(); got != "hellohello" {
			t.Errorf("wrote %q", got)
		}
	})
}

type pipeConn struct {
	closings
	strings.Builder
}

func (*pipeConn) Read([]byte) (int, error) { return 0, io.EOF }

func TestTimeInALimitersQueueIsNotTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return replyWith(200)(req)
			case <-req.Context().Done():
				return nil, context.Cause(req.Context())
			}
		}}}
		r := &Retrier{
			Base:           &Limiter{Base: &Classifier{Base: base}, Requests: []Rate{{N: 1, Per: 10 * time.Second, Burst: 1}}},
			AttemptTimeout: 2 * time.Second,
			MaxAttempts:    1,
		}
		for i := range 3 {
			if resp, err := r.RoundTrip(postChat(t, chatCall)); err != nil || resp.StatusCode != 200 || base.sent() != i+1 {
				t.Fatalf("call %d: got %v, %v after %d requests", i+1, resp, err, base.sent())
			}
		}
		if got := base.at[2]; got < 20*time.Second {
			t.Errorf("the third call was sent after %v: nothing was queued", got)
		}
	})
}

// A body that comes late is not a response that does.
func TestAttemptTimeoutIsNotThatOfAnErrorsBody(t *testing.T) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"Retrier":                 func(base http.RoundTripper) http.RoundTripper { return base },
		"Retrier over Classifier": func(base http.RoundTripper) http.RoundTripper { return &Classifier{Base: base} },
		"Retrier over Limiter":    func(base http.RoundTripper) http.RoundTripper { return &Limiter{Base: base} },
		"the stack": func(base http.RoundTripper) http.RoundTripper {
			return &Breaker{Base: &Limiter{Base: &Classifier{Base: base}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
					resp, _ := replyWith(400)(req)
					r, w := io.Pipe()
					context.AfterFunc(req.Context(), func() { w.CloseWithError(context.Cause(req.Context())) })
					time.AfterFunc(400*time.Millisecond, func() { io.WriteString(w, "late"); w.Close() })
					resp.Body, resp.ContentLength = r, -1
					return resp, nil
				}}}
				r := &Retrier{Base: wrap(base), AttemptTimeout: 200 * time.Millisecond}
				resp, err := r.RoundTrip(postChat(t, chatCall))
				if err != nil || resp.StatusCode != 400 || readAll(t, resp) != "late" || base.sent() != 1 {
					t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
				}
			})
		})
	}
}

// A layer that is not ours may send again what a Classifier has seen an answer to.
func TestAttemptTimeoutIsThatOfRepetitionsBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503), hang(context.Cause)}}
		classes := &Classifier{Base: base}
		twice := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := classes.RoundTrip(req)
			if err == nil && resp.StatusCode == 503 {
				resp.Body.Close()
				return classes.RoundTrip(req)
			}
			return resp, err
		})
		start := time.Now()
		_, err := (&Retrier{Base: twice, AttemptTimeout: 3 * time.Second, MaxAttempts: 1}).RoundTrip(getModels(t))
		if took := time.Since(start); !errors.Is(err, errAttemptTimeout) || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A layer that is not ours may wait out a refusal by itself.
func TestAttemptTimeoutRunsOnAfterARefusalInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		l := &Limiter{InFlight: 1, MaxWait: 30 * time.Second, Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			if n.Add(1) == 1 {
				time.Sleep(5 * time.Second)
				return answer(req, 429, "Retry-After", "100"), nil
			}
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})}
		go l.RoundTrip(edgeRequest(t, t.Context()))
		synctest.Wait()
		patient := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := l.RoundTrip(req)
			var limit *LimitError
			if errors.As(err, &limit) {
				time.Sleep(time.Until(limit.RetryAt))
				return l.RoundTrip(req)
			}
			return resp, err
		})
		start := time.Now()
		_, err := (&Retrier{MaxAttempts: 1, AttemptTimeout: 200 * time.Second, Base: patient}).RoundTrip(edgeRequest(t, t.Context()))
		if took := time.Since(start); !errors.Is(err, errAttemptTimeout) || took > 310*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}
