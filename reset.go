package steadyhttp

import "time"

// timeSpan is a time that is known only to lie between two others.
type timeSpan struct{ lo, hi instant }

func (s timeSpan) known() bool { return !s.hi.IsZero() }

// widened is s with d added at both ends.
func (s timeSpan) widened(d time.Duration) timeSpan { return timeSpan{s.lo.Add(-d), s.hi.Add(d)} }

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

func (s timeSpan) mid() instant { return s.lo.Add(s.width() / 2) }

// serverClock bounds how far the server's clock is ahead of this machine's. A
// Date header is written at some moment between sending and arrival, and cuts
// the fraction of its second off, so each response gives an interval; what all
// responses have in common is narrow after a few.
type serverClock struct {
	lo, hi time.Duration
	known  bool
}

func (c *serverClock) learn(date, sent, arrived instant) {
	lo, hi := date.Sub(arrived), date.Add(time.Second).Sub(sent)
	if c.known && lo <= c.hi && c.lo <= hi {
		c.lo, c.hi = max(c.lo, lo), min(c.hi, hi)
		return
	}
	c.lo, c.hi, c.known = lo, hi, true // the first one, or somebody set a clock
}

// local is when the server's clock shows t.
func (c *serverClock) local(t instant) timeSpan { return timeSpan{t.Add(-c.hi), t.Add(-c.lo)} }

// turn is the end of a window as far as it is known, and what earlier windows
// have taught about where within the stated span the true end lies. Servers
// round whole seconds up, down or to the nearest, and say so nowhere.
type turn struct {
	at         timeSpan      // as the headers state it
	by         instant       // the end is not later, by the length of the window and its beginning; zero if that is unknown
	resolution time.Duration // of the statements
	stated     instant       // when the first of them was asked for; zero: long ago

	lo, hi float64 // the true end lies between these shares of the span; hi zero means nothing is known
	agreed int16   // windows in a row that ended there
	row    uint8   // how many windows up to this one each followed the one before closely
	opened bool    // windows begin with a request: they end a length after it, and keep no share
	took   float32 // seconds from the end of the first of those to the end of this one
	tried  instant // when a probe was turned down in this window
}

const (
	turnGuard = 100 * time.Millisecond // after the end of a window, before it is believed without having asked
	turnTrust = 3                      // windows that must have agreed with what was learned
)

// set is called for a new window.
func (t *turn) set(at timeSpan, resolution time.Duration) {
	t.at, t.resolution, t.stated, t.by, t.tried = at, resolution, 0, 0, 0
	if t.hi == 0 {
		t.hi = 1
	}
}

// meet narrows the span by another statement of the same end.
func (t *turn) meet(at timeSpan) {
	if m, ok := t.at.meet(at); ok {
		t.took += float32(m.mid().Sub(t.at.mid()).Seconds())
		t.at = m
	}
}

// point is the time at a share of the span.
func (t *turn) point(share float64) instant {
	p := t.at.lo.Add(time.Duration(share * float64(t.at.width())))
	if !t.by.IsZero() && t.by.Before(p) && !t.by.Before(t.at.lo) {
		return t.by
	}
	return p
}

// narrow tells whether the end is stated so exactly that what is left is the
// chance of the network.
func (t *turn) narrow() bool { return t.at.width() <= turnGuard }

// settled tells whether asking earlier would gain too little to risk a denial.
func (t *turn) settled() bool {
	return t.opened && !t.by.IsZero() || t.point(t.hi).Sub(t.point(t.lo)) <= turnGuard
}

// ask is when one request may try whether the window has ended: as early as
// rounding allows at first, then half way between what was too early and what
// was not, and after a refusal in this window not before its latest end.
func (t *turn) ask() instant {
	switch {
	case !t.tried.IsZero():
		return max(t.point(t.hi), t.tried.Add(max(turnGuard, t.resolution/4)))
	case t.settled():
		return t.point(t.hi)
	case t.lo == 0:
		// Of a window that has just begun half passes before anybody asks.
		if t.stated.IsZero() {
			return t.point(0)
		}
		return max(t.point(0), t.stated.Add(t.at.mid().Sub(t.stated)/2))
	}
	return t.point((t.lo + t.hi) / 2)
}

// over is when the window has surely ended.
func (t *turn) over() instant {
	end := t.point(t.hi)
	if t.narrow() || end == t.by || t.settled() && t.agreed >= turnTrust {
		return end.Add(turnGuard)
	}
	return end.Add(max(turnGuard, t.resolution))
}

// refused learns that a request sent then was still in the old window.
func (t *turn) refused(sent instant) {
	if sent.Before(t.at.lo) {
		return
	}
	t.tried = sent
	if t.narrow() {
		return
	}
	t.opened = t.opened || sent.Before(t.by)
	if s := t.share(sent); s >= t.hi {
		t.lo, t.hi, t.agreed = 0, 1, 0 // this window ends later than any before it did
	} else {
		t.lo = max(t.lo, s, 1e-9)
	}
}

// turned learns that a request sent then was already in the new window.
func (t *turn) turned(sent instant) {
	if t.narrow() {
		return
	}
	if !t.by.IsZero() {
		if late := t.by.Sub(sent); late < 2*jitter {
			return // that fits windows that begin with a request
		}
		t.opened = false
	}
	switch s := t.share(sent); {
	case s <= t.lo:
		t.lo, t.hi, t.agreed = 0, 1, 0
	default:
		t.hi = min(t.hi, s)
		t.agreed++
	}
}

func (t *turn) share(at instant) float64 {
	return float64(at.Sub(t.at.lo)) / float64(max(t.at.width(), 1))
}
