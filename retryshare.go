package steadyhttp

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	shareSlot  = 5 * time.Second
	shareSlots = int64(time.Minute / shareSlot)

	defaultShare = 0.2
	shareFloor   = 10 // retries a minute that are always allowed

	// shareRecheck is how long a patient call waits for a share that is spent
	// before it asks again: each new call may have made room for it.
	shareRecheck = 250 * time.Millisecond
)

// retryShare counts the calls to one host in the last minute and the retries of
// failures among them, so that a server in trouble is not hit much harder than
// it would be without retries. It forgets in steps of five seconds: a ring of
// counters is small enough to keep one for each of many hosts, and cannot err
// upwards.
type retryShare struct {
	waiting atomic.Int32 // calls that wait for a circuit to close

	mu             sync.Mutex
	slot           int64 // number of the current slot, since 1970
	slots          [shareSlots]struct{ calls, retries uint32 }
	calls, retries int // sums of the slots
}

// call counts a call that begins.
func (s *retryShare) call(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(now)
	s.slots[s.slot%shareSlots].calls++
	s.calls++
}

// take counts a retry if share of the calls allows one more. If not, it says when
// to ask again.
func (s *retryShare) take(share float64, now time.Time) (ok bool, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(now)
	if limit := max(shareFloor, share*float64(s.calls)); float64(s.retries+1) > limit {
		return false, now.Add(shareRecheck)
	}
	s.slots[s.slot%shareSlots].retries++
	s.retries++
	return true, time.Time{}
}

// forgetLocked drops what is older than a minute. A clock that steps back counts
// as one that stands still.
func (s *retryShare) forgetLocked(now time.Time) {
	slot := now.UnixNano() / int64(shareSlot)
	for range min(slot-s.slot, shareSlots) {
		s.slot++
		old := &s.slots[s.slot%shareSlots]
		s.calls -= int(old.calls)
		s.retries -= int(old.retries)
		old.calls, old.retries = 0, 0
	}
	s.slot = max(s.slot, slot)
}
