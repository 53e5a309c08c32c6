package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// attemptTimeout ends an attempt whose response headers do not come in time. It
// runs while the request is on its way, not while a queue holds it back.
type attemptTimeout struct {
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	over   atomic.Bool // it passed, or the headers came: whichever was first
}

// startTimeout returns ctx with a timeout that runs from now. It must be stopped,
// and its cancel called once nothing of the attempt is used any more.
func startTimeout(ctx context.Context, after time.Duration) (context.Context, *attemptTimeout) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &attemptTimeout{after: after, cancel: cancel}
	t.timer = time.AfterFunc(after, func() {
		if t.over.CompareAndSwap(false, true) {
			cancel(errAttemptTimeout)
		}
	})
	return timedContext{ctx}, t
}

// stop ends the timeout, and tells whether it had not passed.
func (t *attemptTimeout) stop() bool {
	inTime := t.over.CompareAndSwap(false, true)
	t.timer.Stop()
	return inTime
}

// pauseTimeout stops the AttemptTimeout of the Retrier, if there is one, while the
// attempt is not on its way: a queue holds it back, or its body or its response is
// looked at.
func (a *attempt) pauseTimeout() {
	if a.timeout != nil {
		a.timeout.timer.Stop()
	}
}

// restartTimeout begins it anew, for what is sent now, or sent again by a layer
// above that is not ours.
func (a *attempt) restartTimeout() {
	if t := a.timeout; t != nil && !t.over.Load() {
		t.timer.Reset(t.after)
		if t.over.Load() { // meanwhile
			t.timer.Stop()
		}
	}
}

// timedContext says of an AttemptTimeout that passed what a deadline would say.
type timedContext struct{ context.Context }

func (c timedContext) Err() error {
	if attemptTimedOut(c.Context) {
		return context.DeadlineExceeded
	}
	return c.Context.Err()
}

// attemptTimedOut tells whether an AttemptTimeout ended ctx.
func attemptTimedOut(ctx context.Context) bool {
	return context.Cause(ctx) == error(errAttemptTimeout)
}

// errAttemptTimeout is the cause of a context that an AttemptTimeout ended.
var errAttemptTimeout = &attemptTimeoutError{}

type attemptTimeoutError struct{}

func (*attemptTimeoutError) Error() string {
	return "steadyhttp: no response headers within AttemptTimeout"
}
func (*attemptTimeoutError) Timeout() bool   { return true }
func (*attemptTimeoutError) Temporary() bool { return true }

// Is reports whether target is context.DeadlineExceeded: the attempt had one.
func (*attemptTimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// timedOutError is the error of an attempt whose timeout passed, whatever the base
// calls it: nobody canceled anything. A response that came at the same moment is
// lost, because its context is cancelled.
func timedOutError(resp *http.Response, err error) error {
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	if errors.Is(err, errAttemptTimeout) && !errors.Is(err, context.Canceled) {
		return err
	}
	return errAttemptTimeout
}

// releaseAtEnd has the context of resp cancelled when its body has ended or is
// closed, and not before. A body that can be written to still can.
func releaseAtEnd(resp *http.Response, cancel context.CancelCauseFunc) {
	if resp.Body == nil || resp.Body == http.NoBody {
		cancel(nil)
		return
	}
	body := timedBody{resp.Body, cancel}
	if w, ok := resp.Body.(io.Writer); ok {
		resp.Body = &timedConn{body, w}
	} else {
		resp.Body = &body
	}
}

// timedBody releases the context of its attempt once the body is over.
type timedBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.cancel(nil)
	}
	return n, err
}

func (b *timedBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// timedConn is the body of a response that switched protocols.
type timedConn struct {
	timedBody
	io.Writer
}

// CloseWrite closes the connection for writing if the body that it wraps can do that,
// as net/http's can: ReverseProxy passes half-closed connections on by it.
func (c *timedConn) CloseWrite() error {
	if half, ok := c.ReadCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("steadyhttp: CloseWrite: %w", errors.ErrUnsupported)
}
