package steadyhttp

import (
	"cmp"
	"errors"
	"math"
	"time"
)

const (
	defaultAttempts = 4
	defaultMinDelay = 500 * time.Millisecond
	defaultMaxDelay = 90 * time.Second

	freeDenials = 10                    // paced denials that cost no attempt
	leastPause  = 10 * time.Millisecond // before a circuit is asked again
	maxJitter   = time.Second           // beyond a time that the server stated
)

// standing is what the decision about a further attempt rests on.
type standing struct {
	*verdict // on the attempt that just ended

	spent  int  // attempts that count, with the one that just ended
	denied int  // paced denials, with the one that just ended
	batch  bool // of PriorityBatch
	probe  bool // the attempt probed a half-open circuit
	once   bool // an SDK repeats the request itself

	began    time.Time // when the call did
	deadline time.Time // the context's; zero if it has none
	random   float64   // in [0, 1)
}

// plan is such a decision.
type plan struct {
	at       time.Time  // when there is to be a further attempt
	open     *OpenError // the circuit that it waits for; nil if it waits for none
	again    bool       // there is to be a further attempt
	free     bool       // the attempt that just ended does not count
	doubtful bool       // the server may have acted on it: may the request be repeated?
	charged  bool       // to the host's share of retries
}

// next decides whether a call gets a further attempt, and when.
func (r *Retrier) next(s standing, now time.Time) plan {
	switch {
	case s.Class == ClassRefused:
		return r.nextOpen(s, now)
	case !s.Retryable, r.attempts() == 1:
		return plan{}
	case s.Class == ClassSuccess, s.Class == ClassCanceled, s.Class == ClassQuotaExhausted:
		return plan{}
	case s.Class == ClassRateLimited && s.paced != nil:
		return r.nextPaced(s, now)
	}
	// A circuit sees to it that its probes are few: they count for nothing else.
	p := plan{again: true, free: s.probe && s.batch}
	if !p.free && (s.once || s.spent >= r.attempts()) {
		return plan{}
	}
	p.charged = !p.free
	p.doubtful = s.Class != ClassRateLimited && (s.err == nil || !unsent(s.err))

	wait := s.RetryAt.Sub(now)
	switch {
	case wait <= 0: // none stated, or one that has come: a permission, not a schedule
		p.at = now.Add(r.backoff(s.spent, s.random))
	case wait > r.maxDelay():
		return plan{}
	default:
		p.at = s.RetryAt
		late := p.at.Add(time.Duration(s.random * float64(min(wait/10, maxJitter, r.maxDelay()-wait))))
		if s.inTime(late) {
			p.at = late
		}
	}
	if !s.inTime(p.at) {
		return plan{}
	}
	return p
}

// nextOpen is next for a request that was not sent: a batch call waits for the
// circuit that refused it.
func (r *Retrier) nextOpen(s standing, now time.Time) plan {
	var open *OpenError
	if !s.batch || !errors.As(s.err, &open) {
		return plan{}
	}
	at := open.RetryAt
	if at.IsZero() {
		at = now.Add(r.backoff(1, s.random))
	}
	if soon := now.Add(leastPause); at.Before(soon) {
		at = soon
	}
	return plan{again: s.inTime(at), at: at, open: open, free: true}
}

// nextPaced is next for a denial that a Limiter knows of: its queue does the
// waiting, if it admits the call in time. A call that is denied while others are
// admitted is repeated like any other that fails.
func (r *Retrier) nextPaced(s standing, now time.Time) plan {
	p := plan{again: true, at: now, free: s.denied <= freeDenials && (s.batch || !s.paced.hopeless)}
	if s.paced.apart {
		p.at = now.Add(r.backoff(max(s.spent, 1), s.random))
	}
	switch {
	case !p.free && (s.once || s.spent >= r.attempts()):
		return plan{}
	case !s.inTime(s.paced.readmit) || !s.inTime(p.at):
		return plan{}
	case !s.batch && s.paced.never && s.paced.readmit.Sub(now) > r.backoff(max(s.spent, 1), 1):
		return plan{} // not waited for longer than after any other failure
	case !s.batch && (s.paced.readmit.Sub(s.began) > s.paced.patience || s.paced.readmit.Sub(now) > r.maxDelay()):
		return plan{}
	}
	return p
}

// inTime tells whether t comes before the context's deadline.
func (s standing) inTime(t time.Time) bool {
	return s.deadline.IsZero() || t.Before(s.deadline)
}

// backoff is the delay after the nth attempt that counts: random between
// MinDelay and its double, its fourfold, … MaxDelay.
func (r *Retrier) backoff(n int, random float64) time.Duration {
	most := r.maxDelay()
	low := r.MinDelay
	switch {
	case low == 0:
		low = defaultMinDelay
	case low < 0:
		return 0
	}
	low = min(low, most)
	high := low
	for range n {
		if high > most/2 {
			high = most
			break
		}
		high *= 2
	}
	return low + time.Duration(random*float64(high-low))
}

func (r *Retrier) attempts() int {
	return max(cmp.Or(r.MaxAttempts, defaultAttempts), 1)
}

func (r *Retrier) maxDelay() time.Duration {
	return option(r.MaxDelay, defaultMaxDelay, math.MaxInt64)
}
