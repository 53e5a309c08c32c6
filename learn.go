package steadyhttp

import (
	"math"
	"time"
)

// observe takes in what a response said. It returns whether the budget changed
// in kind: it has another limit, or refills otherwise than was thought.
func (b *budget) observe(r *reading) (changed bool) {
	kind, limit := b.kind, b.limit
	isNew := b.updated.IsZero()
	b.updated, b.silent = r.arrived, 0
	b.size(r)
	if isNew && r.remaining < 0 { // a limit in so much time, and no more: what is sent is counted here
		b.kind, b.best, b.at = refillGradual, b.limit, r.sent
	}
	if r.remaining < 0 || r.sent.Before(b.sized) && r.limit > 0 && b.capacity(r) != b.limit && !b.perReset {
		return isNew || b.limit != limit
	}
	if r.reset.known() {
		b.asks = 0
		b.stretch = max(b.stretch, float32(r.reset.mid().Sub(r.sent).Seconds()))
		b.undersized(r)
		b.compare(r)
		b.narrow(r)
	}
	b.kind = b.decide(r)
	switch {
	case b.kind == refillGradual, !r.reset.known():
		b.pull(r)
		b.follow(r)
	case b.kind == refillLog:
		b.turn.at = r.reset
		b.follow(r)
	default:
		b.observeWindow(r)
	}
	return isNew || b.kind != kind || b.limit != limit
}

// size learns the capacity. An answer to an older request does not undo what a
// newer one said.
func (b *budget) size(r *reading) {
	if r.remaining > r.limit && r.limit > 0 {
		b.perReset = true // a rate under the name of a limit, beside a burst that is not stated
	}
	limit := b.capacity(r)
	if limit <= 0 || r.sent.Before(b.sized) {
		return
	}
	if b.limit > 0 && limit != b.limit && !b.perReset {
		b.ref, b.stretch = note{}, 0
		b.mark, b.opening, b.stated = 0, r.snapshot(), 0 // whatever was known was of another limit
	}
	b.limit, b.sized = limit, r.sent
	if b.perReset && r.reset.known() && r.limit > 0 {
		if d := r.reset.hi.Sub(r.sent) - r.resolution; d > 0 {
			p := b.limit / r.limit * d.Seconds()
			b.period = interval{p, p}
		}
	}
}

// capacity is how much the budget can hold, as far as a reading tells.
func (b *budget) capacity(r *reading) float64 {
	switch {
	case b.perReset || r.limit <= 0:
		return max(b.limit, r.remaining)
	case float32(r.limit) == b.stated:
		return b.limit
	}
	return r.limit
}

// undersized finds a bucket that holds less than its limit says: one of 600 a minute, of
// which only 20 can be used at once. Two readings tell how long it takes for one
// to come back, and so what there is when all has come back.
func (b *budget) undersized(r *reading) {
	n := b.ref.remaining - r.remaining
	bucket := b.kind == refillGradual
	if b.kind == refillUnknown {
		bucket = r.sent.Before(b.ref.reset.lo) // the reset of a window would have stood still
	}
	if !bucket || b.perReset || r.limit <= 0 || b.capacity(r) != b.limit || !b.ref.reset.known() || n < 2 {
		return
	}
	left, then := r.reset.mid().Sub(r.sent).Seconds(), b.ref.reset.mid().Sub(b.ref.sent).Seconds()
	slack := (r.reset.width() + b.ref.reset.width()).Seconds() / 2
	each := (left - then - slack) / (n + 1) // at least
	if each <= 0 {
		return
	}
	if burst := math.Floor(r.remaining + 1 + (left+slack)/each); burst < 0.9*r.limit && burst < b.limit {
		b.limit, b.stated = burst, float32(r.limit)
		b.ref, b.stretch, b.period = note{}, 0, interval{}
	}
}

// decide says how the budget refills, by what was seen so far.
func (b *budget) decide(r *reading) refill {
	switch {
	case b.perReset:
		return refillGradual
	case b.votes >= 2:
		return refillGradual
	case b.creeps >= 2:
		return refillLog
	case b.votes <= -2:
		return refillWindow
	case !r.reset.known() && !b.turn.at.known() && b.window > 0:
		return refillGradual // nothing tells when, but how much in how long
	}
	return b.kind
}

// maxVotes is how sure one can be of how a budget refills: so many readings that
// speak against it change that.
const maxVotes = 6

// compare asks which of two rules the reset of this reading obeys, seen from an
// earlier one: that it stands still, or that it is the time until the budget is
// full and so moves as requests are made. Where both or neither fit, it tells
// nothing.
func (b *budget) compare(r *reading) {
	used, usedThen := b.limit-r.remaining, b.limit-b.ref.remaining
	switch {
	case !b.ref.reset.known() || b.ref.reset.lo.Before(r.sent): // its window may be over
		b.ref = r.note()
		return
	case used <= 0 || usedThen <= 0 || !r.sent.After(b.ref.sent):
		return
	}
	slack := jitter.Seconds() + 2*r.resolution.Seconds()
	still := b.ref.reset.mid().Sub(r.sent).Seconds()
	then := b.ref.reset.mid().Sub(b.ref.sent).Seconds()
	width := b.ref.reset.width().Seconds() / 2
	moved := interval{used * max(0, then-width) / usedThen, used * (then + width) / max(usedThen-1, 0.5)}
	got := r.reset.mid().Sub(r.sent).Seconds()
	stands := math.Abs(got-still) <= slack+width
	moves := moved.lo-slack <= got && got <= moved.hi+slack
	switch {
	case moves && !stands:
		b.votes = min(b.votes+1, maxVotes)
	case stands && !moves:
		b.votes = max(b.votes-1, -maxVotes)
	}
	if r.sent.Sub(b.ref.sent) > 5*time.Second && moves && !stands {
		b.ref = r.note()
	}
}

func (r *reading) note() note { return note{r.remaining, r.sent, r.reset} }

func (r *reading) snapshot() snapshot { return snapshot{r.remaining, r.sent, r.settled, r.after} }

// narrow learns the period of a gradual refill from the time until the budget is
// full: what was used, over how long it takes to come back.
func (b *budget) narrow(r *reading) {
	used := b.limit - r.remaining
	if b.perReset || used < 1 {
		return
	}
	lo := max(0, r.reset.lo.Sub(r.sent).Seconds()) / used * b.limit
	hi := math.Inf(1)
	if used > 1 {
		hi = r.reset.hi.Sub(r.sent).Seconds() / (used - 1) * b.limit
	}
	b.period.refine(interval{lo, hi})
}

// refine intersects what is known with o, or begins anew with o where the two
// contradict each other.
func (s *interval) refine(o interval) {
	if o.hi <= 0 || o.lo > o.hi {
		return
	}
	if lo, hi := max(s.lo, o.lo), min(s.hi, o.hi); s.hi > 0 && lo <= hi {
		o = interval{lo, hi}
	}
	*s = o
}

// pull slows the refill down when most requests are denied for want of a single
// unit, and lets it go when more is left than was kept back.
func (b *budget) pull(r *reading) {
	switch {
	case !r.denied:
		b.short = max(b.short-1, 0)
		if b.drag > 0 && r.sent.After(b.mark.Add(reorder)) && r.remaining > 2*b.margin()+b.pending+2 {
			b.drag--
		}
	case r.remaining < 1:
		if b.short++; b.short > shortMost {
			b.short, b.drag = shortMost/2, min(b.drag+1, 16)
		}
	}
}

// shortMost is how many more requests are denied than admitted before the refill
// is thought to be slower than the headers say: other users of the key come in
// bursts.
const shortMost = 24

// follow takes over what a reading says is left: downwards always, upwards only
// if its request was sent clearly later than the one that best is from.
func (b *budget) follow(r *reading) {
	at := r.sent
	grown := func(v float64, since instant) float64 {
		return min(b.limit, v+b.growth()*max(0, r.arrived.Sub(since).Seconds()))
	}
	upwards := r.sent.After(b.mark.Add(reorder))
	if b.mark.IsZero() || upwards || grown(r.remaining, at) < grown(b.best, b.at) {
		b.best, b.at = r.remaining, at
		b.mark = max(b.mark, r.sent)
		b.seen(b.mark)
	}
}

// observeWindow takes in a reading of a budget that comes back at a reset.
func (b *budget) observeWindow(r *reading) {
	old, slack := b.turn.at, b.slack(r)
	switch {
	case !old.known():
		b.open(r)
	case r.reset.lo.After(old.hi.Add(slack)) && r.arrived.Before(old.lo.Add(-slack)):
		// It moved before it came: that is no window.
		b.votes = min(b.votes+2, maxVotes)
		b.kind = b.decide(r)
		b.follow(r)
	case r.reset.hi.Before(old.lo.Add(-slack)):
		if b.replaced(r) { // else it is an answer from an older window
			b.gap, b.turn.row, b.turn.opened = interval{}, 0, false
			b.based, b.slide, b.whole = false, 0, false
			b.ref, b.stretch = r.note(), float32(r.reset.mid().Sub(r.sent).Seconds())
			b.open(r)
		}
	case r.reset.lo.After(old.hi.Add(slack)), r.reset.mid().After(old.mid().Add(slack)) && b.ended(r.sent):
		b.turned(r)
	case !b.rolled:
		b.sameWindow(r)
	case r.sent.After(b.turn.ask()):
		// The window was thought to have ended, and has not.
		b.rolled = false
		b.turn.refused(r.sent)
		b.best, b.at = r.remaining, r.sent
	}
}

// ended tells whether the window had ended when a request was sent then: for sure, or
// as is believed because of its length.
func (b *budget) ended(at instant) bool {
	t := &b.turn
	return at.After(t.at.hi) || b.rolled && t.by.After(t.at.lo) && !at.Before(t.by)
}

// replaced tells whether an answer that states an earlier end than the window's can be
// of no older one, since it was sent well after this one was first seen: the server has
// come to shorter windows. It may have been admitted at any time until it was answered.
func (b *budget) replaced(r *reading) bool {
	late := r.sent.After(b.turn.stated.Add(reorder)) && !r.reset.hi.Before(r.sent)
	return late && r.reset.hi.Add(r.arrived.Sub(r.sent)).Before(b.turn.at.lo.Add(-b.slack(r)))
}

// slack is how far two statements of the same reset can be apart.
func (b *budget) slack(r *reading) time.Duration {
	s := jitter + r.resolution/2 + r.arrived.Sub(r.sent)/2
	if l := b.length(); l > 0 {
		s = min(s, secondsOf(l/4))
	}
	return s
}

// open starts a window from its first reading.
func (b *budget) open(r *reading) {
	b.rolled, b.probe, b.refusals = false, nil, 0
	b.turn.set(r.reset, r.resolution)
	b.turn.stated = r.sent
	b.opener(r)
	b.opening = r.snapshot()
	b.best, b.at, b.mark = r.remaining, r.sent, r.sent
	b.seen(b.mark)
}

// opener notes the request that opened the window, if requests do that.
func (b *budget) opener(r *reading) {
	if l := b.length(); l > 0 && r.remaining >= b.limit-1 {
		b.turn.by = r.sent.Add(secondsOf(l) + jitter)
	}
}

// turned takes in the first reading of a new window. What is missing of it
// already, and was not used by this client, is either another's use or the
// previous window that slides out: as long as nothing speaks against it, the
// latter, since that can be tested at once.
func (b *budget) turned(r *reading) {
	old, gap := b.turn.at, r.reset.mid().Sub(b.turn.at.mid()).Seconds()
	if gap < float64(b.stretch)/2 && r.remaining < b.limit-1 {
		b.creeps++
	} else {
		b.creeps = 0
	}
	if r.sent.Before(old.hi.Add(jitter)) {
		b.turn.turned(r.sent)
	}
	since := r.sent.Sub(b.turn.over()) // the window's end, at the latest
	b.measure(gap, (old.width()+r.reset.width()).Seconds()/2, since)
	own, spent := max(r.spent-b.base, 1), b.nearlySpent(old.hi)
	if !b.based {
		own = 1
	}
	if b.rolled || b.slide > 0 && !b.at.Before(old.lo) {
		spent = b.spent
	}
	b.open(r)
	b.based, b.slide = false, 0
	missing := b.limit - r.remaining - own
	if rest := r.reset.mid().Sub(r.sent).Seconds(); b.slides > -2 && missing > max(2, b.limit/4) && rest > 0 {
		b.slide, b.whole = missing/rest, false
	} else if missing <= b.limit/10 && spent && since < max(reorder, secondsOf(float64(b.stretch)/10)) { // later all has come back, whatever the rule
		b.whole = true
	}
}

// measure learns how long windows last from the next one, which ends a gap later than
// this one did, and began such a pause after that: the more of them follow each other
// closely, the more exactly, however coarsely their ends are stated.
func (b *budget) measure(gap, width float64, pause time.Duration) {
	t := &b.turn
	if pause >= reorder || t.row == math.MaxUint8 {
		t.row = 0
		return
	}
	if rest := width + 2*reorder.Seconds(); b.gap.hi > 0 && (gap+rest < b.gap.lo || gap-rest > b.gap.hi) {
		b.gap, t.row = interval{}, 0 // the server has come to another length
	}
	if t.row++; t.row == 1 {
		t.took = 0
	}
	t.took += float32(gap)
	if n, took := float64(t.row), float64(t.took); took > width {
		b.gap.refine(interval{max(0, (took-width)/n-reorder.Seconds()), (took + width) / n})
	}
}

// sameWindow takes in another reading of the window that is under way, and sees
// how much has come back since its first.
func (b *budget) sameWindow(r *reading) {
	b.turn.meet(r.reset)
	b.opener(r)
	if b.probe != nil && !r.sent.Before(b.probe.sent) {
		b.turn.refused(r.sent)
	}
	if r.denied && r.sent.After(b.refusal) {
		b.refusal = r.arrived
		if b.refusals++; b.refusals >= 3 && b.slide > 0 {
			b.slides, b.slide = max(b.slides-1, -3), 0
		}
	} else if !r.denied && r.sent.After(b.refusal) {
		b.refusals = 0
	}
	switch apart := r.sent.Sub(b.opening.sent); {
	case b.refusal.After(b.opening.sent):
		if r.sent.After(b.refusal) {
			b.opening = r.snapshot() // what was denied is not in the server's count: begin anew
		}
	case apart > reorder:
		// What was sent just before may have been counted or not.
		least := r.remaining - b.opening.remaining + r.settled - b.opening.after
		most := r.remaining - b.opening.remaining + r.after - b.opening.settled
		if countsTokens(b.resource) {
			least = r.remaining - b.opening.remaining // what was used since is only estimated
		}
		lo, hi := (least-1)/apart.Seconds(), (most+1)/apart.Seconds()
		switch predicted := b.slide * apart.Seconds(); {
		case least >= 2:
			b.slides, b.whole = min(b.slides+1, 3), false
			b.slide = min(max(b.slide, lo), hi)
		case predicted > 4 && most < predicted/4:
			b.slides, b.slide = max(b.slides-1, -3), 0
		}
	}
	b.follow(r)
}
