package steadyhttp

import (
	"context"
	"fmt"
	"time"
)

// LimitError is returned by a [Limiter] that would have to hold a request back
// for too long. Nothing was sent. Its Outcome is [ClassRefused].
//
// With Reason "deadline", errors.Is(err, context.DeadlineExceeded) holds too.
type LimitError struct {
	Key     string    // of the budget; it holds no secret
	RetryAt time.Time // when the request would be admitted, as far as is known
	Reason  string    // "wait": beyond MaxWait; "deadline": beyond the context's; "queue": MaxQueue are waiting
}

// limitReasons are the texts for LimitError.Reason.
var limitReasons = map[string]string{
	"wait":     "the wait would exceed MaxWait",
	"deadline": "the wait would exceed the context's deadline",
	"queue":    "the queue is full",
}

// Error names the key, the reason and the time to come back.
func (e *LimitError) Error() string {
	return fmt.Sprintf("steadyhttp: rate limit of %q: %s; retry at %s",
		e.Key, limitReasons[e.Reason], e.RetryAt.UTC().Format(time.RFC3339Nano))
}

// Is reports whether target is context.DeadlineExceeded and it was the deadline
// that could not be met.
func (e *LimitError) Is(target error) bool {
	return e.Reason == "deadline" && target == context.DeadlineExceeded
}

// Timeout reports whether the context's deadline was the reason.
func (e *LimitError) Timeout() bool { return e.Reason == "deadline" }

// Temporary is true: the budget refills.
func (e *LimitError) Temporary() bool { return true }

// RetryableError is false: the Limiter already knows that an immediate
// repetition is refused. The AWS SDK asks for it.
func (e *LimitError) RetryableError() bool { return false }

// OpenError is returned by a [Breaker] whose circuit is open. Nothing was sent.
// Its Outcome is [ClassRefused].
type OpenError struct {
	Key     string    // of the circuit; it holds no secret
	RetryAt time.Time // when the circuit next lets a request through; while a probe is out a guess: a Pause from now

	changed <-chan struct{} // closed when the circuit next changes state
}

// Error names the key and the time to come back.
func (e *OpenError) Error() string {
	return fmt.Sprintf("steadyhttp: circuit of %q is open; retry at %s",
		e.Key, e.RetryAt.UTC().Format(time.RFC3339Nano))
}

// Timeout is false: nothing was waited for.
func (e *OpenError) Timeout() bool { return false }

// Temporary is true: the circuit closes again.
func (e *OpenError) Temporary() bool { return true }

// RetryableError is false: the circuit stays open until RetryAt. The AWS SDK
// asks for it.
func (e *OpenError) RetryableError() bool { return false }

// ended is what a layer returns for a request whose context ended while it
// waited: the cause, as net/http does, which also is ctx.Err() to errors.Is. If
// ctx has not ended it was the request's deprecated Cancel channel: the caller, or
// http.Client at its Timeout.
func ended(ctx context.Context) error {
	late := overdue(ctx) // before ctx is asked, for it may notice now
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case err == nil && late:
		return context.DeadlineExceeded
	case err == nil:
		return context.Canceled
	case cause == err:
		return err
	}
	return &contextError{cause: cause, err: err}
}

// contextError is a context's cause together with its error.
type contextError struct{ cause, err error }

func (e *contextError) Error() string   { return e.cause.Error() }
func (e *contextError) Unwrap() []error { return []error{e.cause, e.err} }
func (e *contextError) Timeout() bool   { return e.err == context.DeadlineExceeded }
func (e *contextError) Temporary() bool { return e.Timeout() }
