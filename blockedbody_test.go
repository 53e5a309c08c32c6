package steadyhttp_test

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

	"github.com/steadyhttp/steadyhttp"
)

// stuckBody never ends, until it is closed.
type stuckBody struct {
	closed chan struct{}
	open   *atomic.Int32
}

func newStuckBody(open *atomic.Int32) *stuckBody {
	open.Add(1)
	return &stuckBody{make(chan struct{}), open}
}

func (b *stuckBody) Read([]byte) (int, error) {
	<-b.closed
	return 0, errors.New("closed")
}

func (b *stuckBody) Close() error {
	select {
	case <-b.closed:
	default:
		close(b.closed)
		b.open.Add(-1)
	}
	return nil
}

// TestBodyThatIsStuckDoesNotOutlastTheContext: what keys and estimates read of a body
// takes no longer than the caller waits.
func TestBodyThatIsStuckDoesNotOutlastTheContext(t *testing.T) {
	base := roundTrip(func(req *http.Request) (*http.Response, error) {
		req.Body.Close()
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	})
	for name, rt := range map[string]http.RoundTripper{
		"stack":   steadyhttp.NewTransport(base),
		"Limiter": &steadyhttp.Limiter{Base: base},
		"Breaker": &steadyhttp.Breaker{Base: base, Key: steadyhttp.RequestKey},
	} {
		for _, how := range []string{"context", "Cancel", "before"} {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var open atomic.Int32
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					req, _ := http.NewRequestWithContext(ctx, "POST", "http://a.test/v1/chat/completions", newStuckBody(&open))
					req.Header.Set("Content-Type", "application/json")
					req.GetBody = func() (io.ReadCloser, error) { return newStuckBody(&open), nil }
					began := time.Now()
					want := time.Second
					switch how {
					case "context":
						time.AfterFunc(want, cancel)
					case "Cancel":
						ch := make(chan struct{})
						req.Cancel = ch //lint:ignore SA1019 http.Client sets it
						time.AfterFunc(want, func() { close(ch); cancel() })
					case "before":
						cancel()
						want = 0
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						if resp, err := rt.RoundTrip(req); err == nil {
							t.Error(resp)
						}
					}()
					select {
					case <-done:
					case <-time.After(time.Hour):
						t.Fatal("still waiting an hour later")
					}
					if took := time.Since(began); took > want+50*time.Millisecond {
						t.Errorf("returned after %v", took)
					}
					synctest.Wait()
					if n := open.Load(); n != 0 {
						t.Errorf("%d bodies are not closed", n)
					}
				})
			})
		}
	}
}

// TestGetBodyThatIsStuckDoesNotOutlastTheContext: nor does what a replay asks for.
func TestGetBodyThatIsStuckDoesNotOutlastTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int32
		base := roundTrip(func(req *http.Request) (*http.Response, error) {
			req.Body.Close()
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "PUT", "http://a.test/", strings.NewReader("x"))
		loose := make(chan struct{})
		req.GetBody = func() (io.ReadCloser, error) {
			<-loose
			return newStuckBody(&open), nil
		}
		done := make(chan error, 1)
		go func() {
			_, err := (&steadyhttp.Retrier{Base: base}).RoundTrip(req)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		case <-time.After(time.Hour):
			t.Error("still waiting an hour later")
		}
		close(loose)
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d bodies are not closed", n)
		}
	})
}
