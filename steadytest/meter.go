package steadytest

import "math/bits"

// bucket is a token bucket in integers: exact to the nanosecond for any rate.
type bucket struct {
	n, per, size int64
	whole        int64  // units in it
	part         uint64 // and this many per-ths of one
	at           int64  // as of then
}

func newBucket(n, per, size, now int64) *bucket {
	return &bucket{n: n, per: per, size: size, whole: size, at: now}
}

// refill brings the bucket forward to now.
func (b *bucket) refill(now int64) {
	if now <= b.at {
		return
	}
	hi, lo := bits.Mul64(uint64(now-b.at), uint64(b.n))
	lo, carry := bits.Add64(lo, b.part, 0)
	hi += carry
	b.at = now
	if hi >= uint64(b.per) {
		b.whole, b.part = b.size, 0
		return
	}
	units, part := bits.Div64(hi, lo, uint64(b.per))
	if units >= uint64(b.size-b.whole) {
		b.whole, b.part = b.size, 0
		return
	}
	b.whole, b.part = b.whole+int64(units), part
}

// until is how long it takes until the bucket holds target units.
func (b *bucket) until(target int64) int64 {
	if b.whole >= target {
		return 0
	}
	hi, lo := bits.Mul64(uint64(target-b.whole), uint64(b.per))
	lo, borrow := bits.Sub64(lo, b.part, 0)
	hi -= borrow
	if hi >= uint64(b.n) {
		return never
	}
	ns, rest := bits.Div64(hi, lo, uint64(b.n))
	if rest > 0 {
		ns++
	}
	return int64(min(ns, never))
}

func (b *bucket) wait(now, cost int64) int64 {
	if b.refill(now); cost > b.size {
		return never
	}
	return b.until(cost)
}

// charge empties the bucket at most: a denied request cannot bring it into debt.
func (b *bucket) charge(now, cost int64) {
	if b.refill(now); b.whole < cost {
		b.whole, b.part = 0, 0
		return
	}
	b.whole -= cost
}

// settle gives back what a charge took beyond used.
func (b *bucket) settle(now, charged, used int64) {
	b.refill(now)
	if b.whole += max(0, charged-used); b.whole >= b.size {
		b.whole, b.part = b.size, 0
	}
}

func (b *bucket) quota(now int64) (remaining, reset int64) {
	b.refill(now)
	return b.whole, b.until(b.size)
}

func (b *bucket) resize(now int64, l Limit) {
	b.refill(now)
	b.n, b.size = l.N, l.Burst
	if b.whole >= b.size {
		b.whole, b.part = b.size, 0
	}
}

// window is a fixed window.
type window struct {
	n, per  int64
	aligned bool
	clock   int64

	open  bool
	start int64
	count int64
}

// roll leaves a window that is over, and enters the present one if windows are
// aligned: else that waits for a request.
func (w *window) roll(now int64) {
	if w.open && now-w.start < w.per {
		return
	}
	w.open, w.count = w.aligned, 0
	if w.aligned {
		w.start = floor(now+w.clock, w.per) - w.clock
	}
}

// floor is the multiple of per at or before t.
func floor(t, per int64) int64 {
	r := t % per
	if r < 0 {
		r += per
	}
	return t - r
}

func (w *window) wait(now, cost int64) int64 {
	w.roll(now)
	switch {
	case cost > w.n:
		return never
	case w.count+cost <= w.n:
		return 0
	}
	return w.start + w.per - now
}

func (w *window) charge(now, cost int64) {
	w.roll(now)
	if !w.open {
		w.open, w.start = true, now
	}
	w.count = add(w.count, cost)
}

func (w *window) quota(now int64) (remaining, reset int64) {
	w.roll(now)
	if !w.open {
		return w.n, w.per
	}
	return max(0, w.n-w.count), w.start + w.per - now
}

func (w *window) resize(_ int64, l Limit) { w.n = l.N }

// sliding is the window of two counters: the one before counts by the share of
// the last per that lies in it.
type sliding struct {
	n, per, clock int64

	start      int64
	prev, curr int64
}

func (s *sliding) roll(now int64) {
	switch start := floor(now+s.clock, s.per) - s.clock; {
	case start == s.start:
	case start == s.start+s.per:
		s.start, s.prev, s.curr = start, s.curr, 0
	default:
		s.start, s.prev, s.curr = start, 0, 0
	}
}

// fits is how far into a window, after another of prev, room units are left to
// use: the least e with prev*(per-e)/per <= room.
func (s *sliding) fits(prev, room int64) int64 {
	if prev <= room {
		return 0
	}
	hi, lo := bits.Mul64(uint64(room), uint64(s.per))
	q, _ := bits.Div64(hi, lo, uint64(prev)) // room < prev, so q < per
	return s.per - int64(q)
}

func (s *sliding) wait(now, cost int64) int64 {
	s.roll(now)
	if cost > s.n {
		return never
	}
	if room := s.n - s.curr - cost; room >= 0 {
		return max(0, s.fits(s.prev, room)-(now-s.start))
	}
	return s.start + s.per - now + s.fits(s.curr, s.n-cost)
}

func (s *sliding) charge(now, cost int64) {
	s.roll(now)
	s.curr = add(s.curr, cost)
}

func (s *sliding) quota(now int64) (remaining, reset int64) {
	s.roll(now)
	left := s.per - (now - s.start)
	hi, lo := bits.Mul64(uint64(s.prev), uint64(left))
	weighed := int64(0)
	if hi < uint64(s.per) {
		q, rest := bits.Div64(hi, lo, uint64(s.per))
		if rest > 0 {
			q++
		}
		weighed = int64(min(q, never))
	}
	return max(0, s.n-add(s.curr, weighed)), left
}

func (s *sliding) resize(_ int64, l Limit) { s.n = l.N }

// slidingLog remembers each request of the last per. Denied ones that are charged
// are remembered too, but never more than n units in all, which is enough to
// keep it shut.
type slidingLog struct {
	n, per int64
	used   int64
	log    []logged // oldest first
}

type logged struct{ at, cost int64 }

func (s *slidingLog) expire(now int64) {
	i := 0
	for ; i < len(s.log) && now-s.log[i].at >= s.per; i++ {
		s.used -= s.log[i].cost
	}
	if s.log = s.log[i:]; len(s.log) == 0 {
		s.log = nil
	}
}

func (s *slidingLog) wait(now, cost int64) int64 {
	s.expire(now)
	if cost > s.n {
		return never
	}
	used := s.used
	for i := 0; ; i++ {
		if used+cost <= s.n {
			if i == 0 {
				return 0
			}
			return s.log[i-1].at + s.per - now
		}
		used -= s.log[i].cost
	}
}

func (s *slidingLog) charge(now, cost int64) {
	s.expire(now)
	if cost = min(cost, s.n); cost <= 0 {
		return
	}
	s.log = append(s.log, logged{now, cost})
	s.used += cost
	s.trim()
}

// trim forgets the oldest beyond n units.
func (s *slidingLog) trim() {
	for s.used > s.n && len(s.log) > 0 {
		over := min(s.used-s.n, s.log[0].cost)
		s.used -= over
		if s.log[0].cost -= over; s.log[0].cost == 0 {
			s.log = s.log[1:]
		}
	}
}

func (s *slidingLog) quota(now int64) (remaining, reset int64) {
	s.expire(now)
	if len(s.log) == 0 {
		return s.n, 0
	}
	return max(0, s.n-s.used), s.log[0].at + s.per - now
}

func (s *slidingLog) resize(_ int64, l Limit) { s.n = l.N }

// perSecond states one bucket and enforces another.
type perSecond struct{ stated, enforced *bucket }

func (p *perSecond) wait(now, cost int64) int64 {
	return max(p.stated.wait(now, cost), p.enforced.wait(now, min(cost, p.enforced.size)))
}

func (p *perSecond) charge(now, cost int64) {
	p.stated.charge(now, cost)
	p.enforced.charge(now, cost)
}

func (p *perSecond) quota(now int64) (remaining, reset int64) { return p.stated.quota(now) }

func (p *perSecond) resize(now int64, l Limit) {
	p.enforced.resize(now, l)
	l.Burst = l.N
	p.stated.resize(now, l)
}

// inFlight counts requests that were admitted and have not left.
type inFlight struct{ n, per, count int64 }

func (f *inFlight) wait(_, cost int64) int64 {
	if f.count+cost <= f.n {
		return 0
	}
	return f.per
}

func (f *inFlight) charge(_, cost int64)                 { f.count += cost }
func (f *inFlight) quota(int64) (remaining, reset int64) { return max(0, f.n-f.count), f.per }
func (f *inFlight) resize(_ int64, l Limit)              { f.n = l.N }
