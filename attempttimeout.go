package steadyhttp

import (
	"context"
	"errors"
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
	end    atomic.Uint32 // what came first: the headers or its end
}

const (
	timeoutStopped uint32 = 1 + iota
	timeoutPassed
)

// startTimeout returns ctx with a timeout that runs from now. It must be stopped,
// and its cancel called once nothing of the attempt is used any more.
func startTimeout(ctx context.Context, after time.Duration) (context.Context, *attemptTimeout) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &attemptTimeout{after: after, cancel: cancel}
	t.timer = time.AfterFunc(after, func() {
		if t.end.CompareAndSwap(0, timeoutPassed) {
			cancel(errAttemptTimeout)
		}
	})
	return timedContext{ctx}, t
}

// stop ends the timeout, and tells whether it had not passed.
func (t *attemptTimeout) stop() bool {
	t.timer.Stop()
	t.end.CompareAndSwap(0, timeoutStopped)
	return t.end.Load() == timeoutStopped
}

// answered stops the AttemptTimeout of the Retrier, if there is one, when there are
// response headers: what is read of an error's body to classify it comes after.
func (a *attempt) answered(resp *http.Response) {
	if resp != nil && a.timeout != nil {
		a.timeout.stop()
	}
}

// queued stops the AttemptTimeout for a while: the Limiter calls it when it begins
// to hold the attempt back.
func (a *attempt) queued() {
	if a.timeout != nil {
		a.timeout.timer.Stop()
	}
}

// sending starts the AttemptTimeout anew: the Limiter calls it when it lets go of
// an attempt that was queued.
func (a *attempt) sending() {
	if a.timeout != nil {
		a.timeout.timer.Reset(a.timeout.after)
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
