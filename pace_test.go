package steadyhttp

import (
	"math"
	"testing"
	"time"
)

func TestSmoothingSpreadsRequestsEvenly(t *testing.T) {
	var s smoothing
	if got := s.ready(at(0), 5, 600); got != at(0) {
		t.Errorf("before any denial it holds back for %v", got.Sub(at(0)))
	}
	s.strike(at(0), at(-1), 10)
	for _, ahead := range []float64{0, 4} {
		if got := s.ready(at(0), ahead, 600).Sub(at(0)).Seconds(); math.Abs(got-(ahead+1)/10) > 0.001 {
			t.Errorf("behind %v others a request waits for %v s", ahead, got)
		}
	}
	n := 0
	for now := at(0); now.Before(at(10)); now = now.Add(10 * time.Millisecond) {
		if !s.ready(now, 0, 600).After(now) {
			s.take(now)
			n++
		}
	}
	if n < 98 || n > 101 {
		t.Errorf("%d go in 10 s at 10 a second", n)
	}
	s.refund()
	if got := s.ready(at(10), 0, 600); got != at(10) {
		t.Errorf("what was given back is there in %v", got.Sub(at(10)))
	}
}

func TestSmoothingIsRelaxedStepByStep(t *testing.T) {
	var s smoothing
	s.strike(at(0), at(-1), 10)
	burst := func(now float64) int {
		n := 0
		for ; n < 1000 && !s.ready(at(now), 0, 100).After(at(now)); n++ {
			s.take(at(now))
		}
		return n
	}
	for _, c := range []struct {
		now  float64
		want int
	}{{59, 2}, {119, 4}, {179, 8}, {239, 16}, {299, 32}, {359, 64}, {361, 1000}} {
		if got := burst(c.now); got != c.want {
			t.Errorf("after %v s %d go at once, want %d", c.now, got, c.want)
		}
	}
	s = smoothing{}
	s.strike(at(0), at(-1), 10)
	if got := burst(3600); got != 1000 {
		t.Errorf("after an idle hour %d go at once: it was not forgotten", got)
	}
}

func TestSmoothingIsTightenedByARelapse(t *testing.T) {
	var s smoothing
	s.strike(at(0), at(-1), 10)
	hold := s.hold
	s.strike(at(0.1), at(-0.5), 10) // sent before the first
	if s.hold != hold || s.struck != at(0) {
		t.Error("denials of one burst count twice")
	}
	s.ready(at(100), 0, 100)
	s.strike(at(100), at(99), 10)
	if s.hold != 2*hold || s.bucket.lim.Burst() != smoothBurst {
		t.Errorf("a relapse: steps of %v with bursts of %d, want %v and %d", s.hold, s.bucket.lim.Burst(), 2*hold, smoothBurst)
	}
	for i := range 20 {
		now := 1000 * float64(i+1)
		s.strike(at(now), at(now-1), 10)
	}
	if s.hold != time.Hour {
		t.Errorf("after many relapses steps of %v, want an hour", s.hold)
	}
}

func TestNoRateIsNotSmoothedTo(t *testing.T) {
	var s smoothing
	s.strike(at(0), at(-1), 0)
	if got := s.ready(at(0), 3, 100); got != at(0) {
		t.Errorf("holds back for %v", got.Sub(at(0)))
	}
	var none *smoothing
	none.take(at(0))
	none.refund()
	if got := none.ready(at(0), 3, 100); got != at(0) {
		t.Errorf("none holds back for %v", got.Sub(at(0)))
	}
}

func TestNoPaceHoldsNothingBack(t *testing.T) {
	var p *pace
	p.take(at(0))
	p.refund()
	p.admitted(at(0), at(0))
	if p.over(at(1e6)) || p.ready(at(0), 100) != at(0) {
		t.Error("it does something")
	}
}

func TestPaceIsCutOncePerRoundTrip(t *testing.T) {
	p := newPace(at(0), 100, at(-10), 50)
	if want := 70.0; math.Abs(p.rate-want) > 1e-9 {
		t.Errorf("denied at 100 a second: %v a second, want %v", p.rate, want)
	}
	for range 10 {
		p.denied(at(0.1), at(-0.1), 100) // sent before the cut
	}
	if want := 70.0; math.Abs(p.rate-want) > 1e-9 {
		t.Errorf("after other denials of the same round trip: %v a second, want %v", p.rate, want)
	}
	p.denied(at(1), at(0.5), 70)
	if want := 49.0; math.Abs(p.rate-want) > 1e-9 {
		t.Errorf("after one of the next: %v a second, want %v", p.rate, want)
	}
	p.admitted(at(1.9), at(1.5))
	p.denied(at(2), at(1.5), 10) // so few were sent
	if want := 7.0; math.Abs(p.rate-want) > 1e-9 {
		t.Errorf("denied at 10 a second: %v a second, want %v", p.rate, want)
	}
}

// Before a denial at the end of a spent window few requests were sent, since it was
// known that none would be admitted: that is not the rate which is too high.
func TestDenialAfterAPauseCutsTheRateThatWasAdmittedOnTheWhole(t *testing.T) {
	p := newPace(at(0), 0.5, at(-60), 600)
	if want := 7.0; math.Abs(p.rate-want) > 1e-9 {
		t.Errorf("denied after 600 in a minute: %v a second, want %v", p.rate, want)
	}
	p.denied(at(1), at(0.5), 0.5)
	if want := 4.9; math.Abs(p.rate-want) > 1e-9 {
		t.Errorf("denied again: %v a second, want %v", p.rate, want)
	}
}

// A window may be denied again just after it was found to have ended: at a rate that
// was measured over next to nothing.
func TestPaceThatWasCutToNextToNothingGrowsAsOneThatWasCutOnce(t *testing.T) {
	p := newPace(at(0), 100, at(-1), 0)
	p.denied(at(1), at(0.5), 1)
	if want := 0.7; math.Abs(p.rate-want) > 1e-9 {
		t.Fatalf("denied at one a second: %v a second, want %v", p.rate, want)
	}
	for s := 1.0; s <= 11; s += 0.5 {
		p.ready(at(s), 0)
	}
	if p.rate < 20 {
		t.Errorf("10 s later: %.1f a second, want half of the 49 that two cuts leave of 100", p.rate)
	}
}

// A call that would be refused for waiting too long may go in time if nothing is denied.
func TestForecastOfAPaceGrowsWithIt(t *testing.T) {
	p := newPace(at(0), 1.5, at(-1), 0)
	for ahead := 1.0; ahead <= 1000; ahead *= 10 {
		want, p := p.ready(at(0), ahead), *p
		now, left := at(0), ahead
		for ; left > 0; now = now.Add(10 * time.Millisecond) {
			p.ready(now, 0)
			left -= p.rate / 100
		}
		if d := want.Sub(now).Seconds(); math.Abs(d) > 1.5 {
			t.Errorf("%v that wait are forecast to go in %.1f s, %.1f s from when they do", ahead, want.Sub(at(0)).Seconds(), d)
		}
	}
}

func TestPaceGrowsWhileRequestsWait(t *testing.T) {
	p := newPace(at(0), 100, at(-10), 50)
	for s := 0.0; s <= 10; s += 0.5 {
		p.ready(at(s), 0)
	}
	if want := 70 * 1.5; math.Abs(p.rate-want) > 0.5 {
		t.Errorf("after 10 s: %v a second, want %v", p.rate, want)
	}
	before := p.rate
	p.ready(at(1000), 0)
	if p.rate > before+0.5*70+0.1 {
		t.Errorf("after a pause of which nothing is known: %v a second, was %v", p.rate, before)
	}
	if got, steady := p.ready(at(1000), 1000).Sub(at(1000)).Seconds(), 1000/p.rate; got > steady || got < steady/2 {
		t.Errorf("behind 1000 others: %v s, want somewhat less than the %v s of a rate that stays", got, steady)
	}
}

func TestForecastGoesByWhatWasAdmittedOnTheWhole(t *testing.T) {
	p := newPace(at(0), 10, at(-10), 100)
	p.denied(at(1), at(0.5), 10) // 4.9 a second from now on, after 10
	first := p.ready(at(1), 0)
	if got := p.ready(at(1), 100).Sub(first).Seconds(); got < 10 || got > 11.5 {
		t.Errorf("behind 100 others %v s later, want 100 of some 9 a second", got)
	}
	p.won = 0
	if got := p.ready(at(1), 100).Sub(first).Seconds(); got < 14 || got > 15.5 {
		t.Errorf("where less was admitted: behind 100 others %v s later, want 100 of 4.9 a second that grow", got)
	}
}

func TestStreakOfDenialsIsASpentWindow(t *testing.T) {
	p := newPace(at(0), 100, at(-10), 40)
	now := 0.0
	var waits []float64
	for range 8 {
		wait := p.ready(at(now), 0).Sub(at(now)).Seconds()
		waits = append(waits, wait)
		now += wait
		p.take(at(now))
		p.denied(at(now+0.01), at(now), 2)
		now += 0.01
	}
	for i := 3; i < len(waits); i++ {
		if waits[i] < 1.3*waits[i-1] || waits[i] > 40 {
			t.Errorf("it asks after %.2v s: not less and less", waits)
			break
		}
	}
	p.admitted(at(now+0.02), at(-5)) // sent before
	if p.streak == 0 {
		t.Error("an answer to an old request ends the streak")
	}
	now += 1
	p.admitted(at(now), at(now-0.1))
	if want := 42 / (now + 10); p.rate < want*0.99 || p.rate > want*1.01 {
		t.Errorf("afterwards %v a second, want what was admitted on the whole: %v", p.rate, want)
	}
	if p.streak != 0 || p.won != 0 || p.since != at(now) {
		t.Errorf("the next average is not begun anew: %+v", p)
	}
}

func TestPaceNeverStops(t *testing.T) {
	p := newPace(at(0), 0, at(0), 0)
	for i := range 100 {
		p.denied(at(float64(i+1)), at(float64(i)+0.5), 0)
	}
	if p.rate < paceFloor {
		t.Errorf("%v a second", p.rate)
	}
	if got := p.ready(at(101), 0).Sub(at(101)).Seconds(); got > 31 {
		t.Errorf("asks after %v s", got)
	}
}

func TestPaceIsForgotten(t *testing.T) {
	p := newPace(at(0), 1, at(-10), 1)
	for _, c := range []struct {
		now  float64
		want bool
	}{{1, false}, {600, false}, {601, true}} {
		if got := p.over(at(c.now)); got != c.want {
			t.Errorf("%v s after the last denial: %v", c.now, got)
		}
	}
}
