package steadyhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// slowBody takes its time, as a file on a network does, but for the copy that is sent.
type slowBody struct {
	from  io.Reader
	takes time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(b.takes)
	b.takes = 0
	return b.from.Read(p)
}

func (*slowBody) Close() error { return nil }

// slowCall is a call whose body is slow as often as a copy of it is asked for.
func slowCall(t *testing.T, slow int32, takes time.Duration) *http.Request {
	req := postChat(t, chatCall)
	req.Body = &slowBody{from: strings.NewReader(chatCall)}
	var copies atomic.Int32
	req.GetBody = func() (io.ReadCloser, error) {
		b := &slowBody{from: strings.NewReader(chatCall)}
		if copies.Add(1) <= slow {
			b.takes = takes
		}
		return b, nil
	}
	return req
}

// TestAttemptThatTimedOutIsRepeatedThoughItsBodyIsSlow: the model that makes it one for
// inference is looked for when the attempt is over, and its context too.
func TestAttemptThatTimedOutIsRepeatedThoughItsBodyIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{hang(hangs["cause"]), replyWith(200)}}
		resp, err := (&Retrier{Base: base, AttemptTimeout: 3 * time.Second}).RoundTrip(slowCall(t, 1, time.Second))
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
		}
		time.Sleep(time.Minute)
	})
}

func TestCallGivenUpWhileItsModelIsLookedForIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		base := &repliesBase{replies: []reply{replyError(syscall.ECONNRESET), replyWith(200)}}
		_, err := (&Retrier{Base: base}).RoundTrip(slowCall(t, 1, time.Hour).WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestBodyThatIsSlowHasItsKey: not "", which would exempt the call from its budget.
func TestBodyThatIsSlowHasItsKey(t *testing.T) {
	impatient := func(base http.RoundTripper) http.RoundTripper { // a layer of another's
		return roundTripFunc(func(req *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithTimeout(req.Context(), time.Second)
			defer cancel()
			resp, err := base.RoundTrip(req.WithContext(ctx))
			if ctx.Err() != nil && err == nil {
				resp.Body.Close()
				return nil, ctx.Err()
			}
			return resp, err
		})
	}
	for name, stack := range map[string]func(http.RoundTripper) http.RoundTripper{
		"AttemptTimeout":    func(l http.RoundTripper) http.RoundTripper { return &Retrier{Base: l, AttemptTimeout: time.Second} },
		"another's timeout": func(l http.RoundTripper) http.RoundTripper { return &Retrier{Base: impatient(l)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var keys []string
				trace := &Trace{Attempted: func(i AttemptInfo) { keys = append(keys, i.Key) }}
				base := &repliesBase{replies: []reply{replyWith(200)}}
				rt := stack(&Limiter{Base: base, Key: ModelKey})
				req := slowCall(t, 1, 1500*time.Millisecond)
				req.Header.Set("Idempotency-Key", "x")
				resp, err := Traced(rt, trace).RoundTrip(req)
				if err != nil || resp.StatusCode != 200 || keys[len(keys)-1] != "m" {
					t.Errorf("got %v, %v with keys %q", resp, err, keys)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
