package steadyhttp

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	shareSlot = time.Minute / rollingSlots

	defaultShare = 0.2
	shareFloor   = 10 // retries a minute that are always allowed

	// shareRecheck is how long a patient call waits for a share that is spent
	// before it asks again: each new call may have made room for it.
	shareRecheck = 250 * time.Millisecond

	// wellAfter is how many successes in a row show that a server is well, so that
	// patient calls need not wait for a share that an outage has spent.
	wellAfter = 10
)

// retryShare counts the calls to one host in the last minute and the retries of
// failures among them, so that a server in trouble is not hit much harder than
// it would be without retries.
type retryShare struct {
	literal bool // the host's key says just what a URL to it does

	waiting   atomic.Int32 // calls that wait for a circuit to close
	successes atomic.Int32 // in a row, as far as wellAfter

	mu    sync.Mutex
	calls rolling // the retries are marked, and are no calls
}

// call counts a call that begins.
func (s *retryShare) call(now time.Time) {
	s.mu.Lock()
	s.calls.forget(now, shareSlot)
	s.calls.add(1, 0)
	s.mu.Unlock()
}

// ended notes how an attempt ended.
func (s *retryShare) ended(t tally) {
	switch {
	case t == tallyFailure:
		s.successes.Store(0)
	case t == tallySuccess && s.successes.Load() < wellAfter:
		s.successes.Add(1)
	}
}

// well tells whether the server has recovered from whatever had spent the share.
func (s *retryShare) well() bool { return s.successes.Load() >= wellAfter }

// take counts a retry if share of the calls allows one more. If not, it says when
// to ask again.
func (s *retryShare) take(share float64, now time.Time) (ok bool, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.forget(now, shareSlot)
	if limit := max(shareFloor, share*float64(s.calls.all)); float64(s.calls.marked+1) > limit {
		return false, now.Add(shareRecheck)
	}
	s.calls.add(0, 1)
	return true, time.Time{}
}
