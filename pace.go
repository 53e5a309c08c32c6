package steadyhttp

import (
	"math"
	"time"
)

// smoothing spreads the requests of a budget evenly, for servers that enforce a
// shorter window than they state ("60,000 a minute" as 1,000 a second). It
// always costs a caller who sends in bursts, so it begins with a denial that the
// stated budget does not explain, and is relaxed step by step when none follows.
type smoothing struct {
	bucket *tokenBucket // nil: off
	relax  instant
	hold   time.Duration // from one step to the next; doubled by each relapse
	struck instant
}

const (
	smoothBurst = 2
	smoothHold  = time.Minute
)

// strike begins smoothing to perSecond, or tightens it again. Denials of
// requests sent before the last strike took effect count once. It tells whether
// that may help: it was not as tight as can be.
func (s *smoothing) strike(now, sent instant, perSecond float64) bool {
	if perSecond <= 0 {
		return false
	}
	if !s.struck.IsZero() && !sent.After(s.struck) {
		return true
	}
	loose := s.bucket == nil || s.bucket.lim.Burst() > smoothBurst
	s.hold = min(max(2*s.hold, smoothHold), time.Hour)
	s.struck, s.relax = now, now.Add(s.hold)
	b := newTokenBucket(perSecond, smoothBurst)
	b.take(now, smoothBurst)
	s.bucket = &b
	return loose
}

// ready is when a request can go behind others ahead of it, by a budget of that
// limit. A nil smoothing holds nothing back, as one that is off.
func (s *smoothing) ready(now instant, ahead, limit float64) instant {
	if s == nil {
		return now
	}
	for s.bucket != nil && !now.Before(s.relax) {
		s.step(limit)
	}
	if s.bucket == nil {
		return now
	}
	return s.bucket.ready(now, ahead, 1)
}

// step allows larger bursts after a time without denials, and ends the smoothing
// when they are as large as the limit.
func (s *smoothing) step(limit float64) {
	burst := 2 * s.bucket.lim.Burst()
	if float64(burst) >= limit {
		s.bucket = nil
		return
	}
	s.bucket.lim.SetBurstAt(s.relax.time(), burst)
	s.relax = s.relax.Add(s.hold)
}

func (s *smoothing) take(now instant) {
	if s != nil && s.bucket != nil {
		s.bucket.take(now, 1)
	}
}

func (s *smoothing) refund() {
	if s != nil && s.bucket != nil {
		s.bucket.refund(1)
	}
}

// pace finds the rate that a server admits which says nothing of its limits: it
// begins with a denial that no header explains, is cut at each further one and
// grows while there is none. A nil pace holds nothing back.
type pace struct {
	bucket tokenBucket
	rate   float64 // per second
	gain   float64 // it grows by a share of this: where it stood after the cuts, were each to the same share
	latest instant // when the latest request was sent that was admitted
	grown  instant
	cut    instant
	streak int     // denials in a row
	since  instant // when the last streak ended
	won    float64 // what was admitted since

	before float64 // the rate, after the first denial of the last streak

	// Of a key's.
	asked   instant // the cut after which one went out of turn to ask
	streaks int     // of denials so far
	all     record  // of its requests
}

const (
	paceCut    = 0.7              // of the rate that was denied
	paceStreak = 3                // denials in a row: a window that is spent, not a rate that is too high
	paceAsk    = time.Second / 2  // after such a streak one request asks, and waits twice as long after each further denial
	paceGrowth = 0.05             // of the gain, per second
	paceFloor  = 1.0 / 30         // per second: a server is asked now and then
	paceExpiry = 10 * time.Minute // without a denial
)

// newPace begins with a denial at a rate of so many requests per second, after
// won were admitted since a time.
func newPace(now instant, perSecond float64, since instant, won float64) *pace {
	p := &pace{bucket: newTokenBucket(1, 1), since: since, won: won}
	p.rate = max(perSecond, p.overall(now))
	p.denied(now, now, perSecond)
	return p
}

// denied cuts the rate, which was measured as so many per second, or as what was
// admitted on the whole if that is more: then few were sent of late because it was
// known that none would be admitted. The denials of one round trip count once: it
// tells whether this is the first.
func (p *pace) denied(now, sent instant, perSecond float64) bool {
	if !p.cut.IsZero() && !sent.After(p.cut) {
		return false
	}
	r := min(max(perSecond, p.overall(now)), p.rate) * paceCut
	if p.streak == 0 {
		p.streaks++
	}
	if p.streak++; p.streak >= paceStreak {
		r = min(r, 1/(paceAsk.Seconds()*float64(int(1)<<min(p.streak-paceStreak, 16))))
	}
	gain := p.gain * paceCut
	p.set(now, max(r, paceFloor))
	if p.streak == 1 {
		p.before = p.rate
	}
	if !p.asking() {
		p.gain = max(p.gain, gain)
	}
	p.cut = now
	p.bucket.take(now, 1)
	return true
}

// asking tells whether a window is spent of which nobody knows the end, so that one
// request goes now and then to ask.
func (p *pace) asking() bool { return p != nil && p.streak >= paceStreak }

// admitted notes a request that was not denied. After a streak of denials it
// begins anew with the rate that the server admitted on the whole.
func (p *pace) admitted(now, sent instant) {
	if p == nil {
		return
	}
	p.won++
	p.latest = max(p.latest, sent)
	if sent.Before(p.cut) {
		return
	}
	if !p.asking() {
		p.streak = 0
		return
	}
	p.resume(now)
	p.since, p.won = now, 0
}

// resume ends a streak, and goes on with the rate that the server admitted on the whole.
func (p *pace) resume(now instant) {
	p.streak = 0
	p.set(now, max(p.rate, p.overall(now)))
}

// overrule ends a streak of denials that were for what the calls are.
func (p *pace) overrule(now instant) {
	p.streak = 0
	p.set(now, max(p.rate, p.before))
}

// overall is how many requests a second were admitted since the last streak of denials,
// those times included in which none was sent because it was known that none would be.
func (p *pace) overall(now instant) float64 { return p.won / max(now.Sub(p.since).Seconds(), 1) }

func (p *pace) set(now instant, perSecond float64) {
	p.rate, p.gain, p.grown = perSecond, perSecond, now
	p.bucket.setRate(now, perSecond)
}

// over tells whether it is so long ago that anything was denied that the pace
// can be forgotten.
func (p *pace) over(now instant) bool { return p != nil && now.Sub(p.cut) > paceExpiry }

// ready is when a request can go behind others ahead of it. While requests wait
// for it the rate grows.
func (p *pace) ready(now instant, ahead float64) instant {
	if p == nil {
		return now
	}
	if d := now.Sub(p.grown).Seconds(); d > 0.1 {
		p.rate += paceGrowth * p.gain * min(d, 10)
		p.grown = now
		p.bucket.setRate(now, p.rate)
	}
	at := p.bucket.ready(now, 0, 1)
	if ahead == 0 {
		return at
	}
	return at.Add(secondsOf(p.wait(now, ahead)))
}

// wait is in how many seconds so many requests go. The rate grows meanwhile unless any is
// denied, and what was admitted on the whole may be more than it is just after a cut.
func (p *pace) wait(now instant, requests float64) float64 {
	wait := requests / max(p.rate, p.overall(now))
	if growth := paceGrowth * p.gain; !p.asking() {
		wait = min(wait, (math.Sqrt(p.rate*p.rate+2*growth*requests)-p.rate)/growth)
	}
	return wait
}

func (p *pace) take(now instant) {
	if p != nil {
		p.bucket.take(now, 1)
	}
}

func (p *pace) refund() {
	if p != nil {
		p.bucket.refund(1)
	}
}
