package steadyhttp

import "time"

// timeSpan is a time that is known only to lie between two others.
type timeSpan struct{ lo, hi time.Time }

func (s timeSpan) known() bool { return !s.hi.IsZero() }

// widened is s with d added at both ends.
func (s timeSpan) widened(d time.Duration) timeSpan { return timeSpan{s.lo.Add(-d), s.hi.Add(d)} }

func (s timeSpan) overlaps(o timeSpan) bool { return !s.lo.After(o.hi) && !o.lo.After(s.hi) }

// meet is what two spans have in common; ok is false if that is nothing.
func (s timeSpan) meet(o timeSpan) (m timeSpan, ok bool) {
	m = s
	if o.lo.After(m.lo) {
		m.lo = o.lo
	}
	if o.hi.Before(m.hi) {
		m.hi = o.hi
	}
	return m, !m.lo.After(m.hi)
}

func (s timeSpan) width() time.Duration { return s.hi.Sub(s.lo) }

// serverClock bounds how far the server's clock is ahead of this machine's. A
// Date header is written at some moment between sending and arrival, and cuts
// the fraction of its second off, so each response gives an interval; what all
// responses have in common is narrow after a few.
type serverClock struct {
	lo, hi time.Duration
	known  bool
}

func (c *serverClock) learn(date, sent, arrived time.Time) {
	lo, hi := date.Sub(arrived), date.Add(time.Second).Sub(sent)
	if c.known && lo <= c.hi && c.lo <= hi {
		c.lo, c.hi = max(c.lo, lo), min(c.hi, hi)
		return
	}
	c.lo, c.hi, c.known = lo, hi, true // the first one, or somebody set a clock
}

// local is when the server's clock shows t.
func (c *serverClock) local(t time.Time) timeSpan { return timeSpan{t.Add(-c.hi), t.Add(-c.lo)} }

// turn is the end of a window as far as it is known, and what earlier windows
// have taught about where within the stated timeSpan the true end lies. Servers
// round whole seconds up, down or to the nearest, and say so nowhere.
type turn struct {
	at         timeSpan
	resolution time.Duration

	lo, hi float64   // the true end lies between these shares of the timeSpan; hi zero means nothing is known
	wrong  int       // how often it did not: the windows of such a server begin with a request, and keep no share
	tried  time.Time // when a probe was turned down in this window
}

// turnGuard is how long after the latest possible end of a window a client may
// believe in it without having asked.
const turnGuard = 100 * time.Millisecond

// set is called for a new window.
func (t *turn) set(at timeSpan, resolution time.Duration) {
	t.at, t.resolution, t.tried = at, resolution, time.Time{}
	if t.hi == 0 || t.wrong >= 2 {
		t.lo, t.hi = 0, 1
	}
}

// point is the time at a share of the timeSpan.
func (t *turn) point(share float64) time.Time {
	return t.at.lo.Add(time.Duration(share * float64(t.at.width())))
}

// narrow tells whether the end is stated so exactly that what is left is the
// chance of the network.
func (t *turn) narrow() bool { return t.at.width() <= turnGuard }

// settled tells whether asking earlier would gain too little to risk a denial.
func (t *turn) settled() bool {
	return time.Duration((t.hi-t.lo)*float64(t.at.width())) <= turnGuard
}

// ask is when one request may try whether the window has ended: as early as
// rounding allows at first, then half way between what was too early and what
// was not, and after a refusal in this window not before its latest end.
func (t *turn) ask() time.Time {
	switch {
	case !t.tried.IsZero():
		return later(t.point(t.hi), t.tried.Add(max(turnGuard, t.resolution/4)))
	case t.settled() || t.wrong >= 2:
		return t.point(t.hi)
	case t.lo == 0:
		return t.point(0)
	}
	return t.point((t.lo + t.hi) / 2)
}

// over is when the window has surely ended.
func (t *turn) over() time.Time {
	guard := turnGuard
	if !t.settled() || t.lo == 0 && t.hi == 1 {
		guard = max(guard, t.resolution)
	}
	return t.point(t.hi).Add(guard)
}

// refused learns that a request sent then was still in the old window.
func (t *turn) refused(sent time.Time) {
	if sent.Before(t.at.lo) {
		return
	}
	if t.tried = sent; t.narrow() {
		return
	}
	if s := t.share(sent); s >= t.hi {
		t.lo, t.hi = 0, 1 // the window ends later than any before it did
		t.wrong++
	} else {
		t.lo = max(t.lo, s, 1e-9)
	}
}

// turned learns that a request sent then was already in the new window.
func (t *turn) turned(sent time.Time) {
	if t.narrow() {
		return
	}
	if s := t.share(sent); s > t.lo {
		t.hi = min(t.hi, s)
	} else {
		t.lo, t.hi = 0, 1
		t.wrong++
	}
}

func (t *turn) share(at time.Time) float64 {
	if w := t.at.width(); w > 0 {
		return float64(at.Sub(t.at.lo)) / float64(w)
	}
	if at.After(t.at.lo) {
		return 1
	}
	return 0
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
