package steadyhttp

import "time"

// smoothing spreads the requests of a budget evenly, for servers that enforce a
// shorter window than they state ("60,000 a minute" as 1,000 a second). It
// always costs a caller who sends in bursts, so it begins with a denial that the
// stated budget does not explain, and is relaxed step by step when none follows.
type smoothing struct {
	bucket *tokenBucket // nil: off
	relax  time.Time
	hold   time.Duration // from one step to the next; doubled by each relapse
	struck time.Time
}

const (
	smoothBurst = 2
	smoothHold  = time.Minute
)

// strike begins smoothing to perSecond, or tightens it again. Denials of
// requests sent before the last strike took effect count once.
func (s *smoothing) strike(now, sent time.Time, perSecond float64) {
	if perSecond <= 0 || !s.struck.IsZero() && sent.Before(s.struck) {
		return
	}
	s.hold = min(max(2*s.hold, smoothHold), time.Hour)
	s.struck, s.relax = now, now.Add(s.hold)
	b := newTokenBucket(perSecond, smoothBurst)
	b.take(now, smoothBurst)
	s.bucket = &b
}

// step allows larger bursts after a time without denials, and ends the smoothing
// when they are as large as the limit.
func (s *smoothing) step(now time.Time, limit float64) {
	for s.bucket != nil && !now.Before(s.relax) {
		burst := 2 * s.bucket.lim.Burst()
		if float64(burst) >= limit {
			*s = smoothing{hold: s.hold, struck: s.struck}
			return
		}
		s.bucket.lim.SetBurstAt(s.relax, burst)
		s.relax = s.relax.Add(s.hold)
	}
}

func (s *smoothing) ready(now time.Time, ahead, n float64) time.Time {
	if s.bucket == nil {
		return now
	}
	return s.bucket.ready(now, ahead, n)
}

// pace finds the rate that a server admits which says nothing of its limits: it
// is cut at a denial and grows while there is none.
type pace struct {
	bucket *tokenBucket // nil until the first denial that no header explains
	rate   float64      // per second
	floor  float64      // where it stood after the last cut: it grows by a share of that
	grown  time.Time
	cut    time.Time
	sent   recent

	streak int       // denials in a row
	since  time.Time // when the last streak ended
	won    float64   // what was admitted since
}

const (
	paceCut    = 0.7              // of the rate that was denied
	paceStreak = 3                // denials in a row: a window that is spent, not a rate that is too high
	paceAsk    = time.Second / 2  // after such a streak one request asks, and waits twice as long after each further denial
	paceGrowth = 0.05             // of the rate after the cut, per second
	paceFloor  = 1.0 / 30         // per second: a server is asked now and then
	paceExpiry = 10 * time.Minute // without a denial
	recentSlot = 250 * time.Millisecond
)

// recent counts what was sent of late, to know at which rate a denial came.
type recent struct {
	slot   int64 // number of the current slot
	counts [8]float64
}

func (t *recent) add(now time.Time, n float64) {
	slot := now.UnixNano() / int64(recentSlot)
	for ; t.slot < slot; t.slot++ {
		if slot-t.slot > int64(len(t.counts)) {
			t.slot = slot - int64(len(t.counts))
		}
		t.counts[(t.slot+1)%int64(len(t.counts))] = 0
	}
	t.counts[t.slot%int64(len(t.counts))] += n // a clock that steps back stands still
}

// perSecond is the rate of what was added in the last two seconds.
func (t *recent) perSecond(now time.Time) float64 {
	t.add(now, 0)
	var sum float64
	for _, n := range t.counts {
		sum += n
	}
	return sum / (float64(len(t.counts)) * recentSlot.Seconds())
}

// denied cuts the rate. The denials of one round trip count once.
func (p *pace) denied(now, sent time.Time) {
	if p.bucket != nil && sent.Before(p.cut) {
		return
	}
	r := p.sent.perSecond(now)
	if p.bucket != nil {
		r = min(r, p.rate)
	} else {
		b := newTokenBucket(1, 1)
		p.bucket = &b
	}
	r *= paceCut
	if p.streak++; p.streak >= paceStreak {
		r = min(r, 1/(paceAsk.Seconds()*float64(int(1)<<min(p.streak-paceStreak, 16))))
	}
	p.set(now, max(r, paceFloor))
	p.cut = now
	p.bucket.take(now, 1)
}

// admitted notes a request that was not denied. After a streak of denials it
// begins anew with the rate that the server admitted on the whole.
func (p *pace) admitted(now, sent time.Time) {
	if p.since.IsZero() {
		p.since = sent
	}
	p.won++
	if p.bucket == nil || sent.Before(p.cut) {
		return
	}
	if p.streak >= paceStreak {
		if d := now.Sub(p.since).Seconds(); d > 0 {
			p.set(now, max(p.rate, p.won/d))
		}
		p.since, p.won = now, 0
	}
	p.streak = 0
}

func (p *pace) set(now time.Time, perSecond float64) {
	p.rate, p.floor, p.grown = perSecond, perSecond, now
	p.bucket.setRate(now, perSecond)
}

// grow raises the rate while requests wait for it.
func (p *pace) grow(now time.Time) {
	switch {
	case p.bucket == nil:
		return
	case now.Sub(p.cut) > paceExpiry:
		p.bucket = nil
		return
	}
	if d := now.Sub(p.grown).Seconds(); d > 0.1 {
		p.rate += paceGrowth * p.floor * min(d, 10)
		p.grown = now
		p.bucket.setRate(now, p.rate)
	}
}

func (p *pace) ready(now time.Time, ahead float64) time.Time {
	if p.bucket == nil {
		return now
	}
	p.grow(now)
	if p.bucket == nil {
		return now
	}
	return p.bucket.ready(now, ahead, 1)
}
