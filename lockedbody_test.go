package steadyhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// lockedBody is safe for many goroutines in the simplest way: a Close waits for the
// Read that is under way, as with the body of a request in net/http's server.
type lockedBody struct {
	lock  chan struct{}
	loose <-chan struct{}
}

func (b lockedBody) Read([]byte) (int, error) {
	b.lock <- struct{}{}
	<-b.loose
	<-b.lock
	return 0, io.EOF
}

func (b lockedBody) Close() error {
	b.lock <- struct{}{}
	<-b.lock
	return nil
}

func TestCloseThatWaitsForAStuckReadDoesNotOutlastTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &steadyhttp.Limiter{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			return nil, context.Cause(req.Context())
		})}
		loose := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(loose) })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://a.test/", io.MultiReader(strings.NewReader("x")))
		req.GetBody = func() (io.ReadCloser, error) { return lockedBody{make(chan struct{}, 1), loose}, nil }
		began := time.Now()
		if _, err := rt.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		<-loose
	})
}

// panickyBody is one whose Close panics.
type panickyBody struct{ io.Reader }

func (panickyBody) Close() error { panic("closed") }

func TestPanicInTheCloseOfALateBodyDoesNotEndTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &steadyhttp.Limiter{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			return nil, context.Cause(req.Context())
		})}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://a.test/", io.MultiReader(strings.NewReader("x")))
		req.GetBody = func() (io.ReadCloser, error) {
			time.Sleep(time.Minute)
			return panickyBody{strings.NewReader("x")}, nil
		}
		if _, err := rt.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Hour)
	})
}
