package steadyhttp

import "time"

// instant is a time in the memory of a key: in nanoseconds since just before the
// key was first used. Zero is none. It is a third as large as a time.Time, of
// which a budget would keep a dozen.
type instant int64

func (i instant) IsZero() bool                { return i == 0 }
func (i instant) After(o instant) bool        { return i > o }
func (i instant) Before(o instant) bool       { return i < o }
func (i instant) Add(d time.Duration) instant { return i + instant(d) }
func (i instant) Sub(o instant) time.Duration { return time.Duration(i - o) }

// farthest bounds instants, so that adding to one does not overflow.
const farthest = 100 * 366 * 24 * time.Hour

// epoch is the time from which a key's instants count.
type epoch struct{ time.Time }

// instant is t on the key's own clock. The first that is asked for begins it.
func (e *epoch) instant(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	if e.Time.IsZero() {
		e.Time = t.Add(-1)
	}
	return instant(min(max(t.Sub(e.Time), -farthest), farthest))
}

// now is t, the time of what happens now. Of two callers at once the one who read
// the clock first may come second, even to a key that is new: the epoch has begun
// for both.
func (e *epoch) now(t time.Time) instant { return max(e.instant(t), 1) }

// time is i as others know it.
func (e *epoch) time(i instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return e.Add(time.Duration(i))
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sooner is the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
