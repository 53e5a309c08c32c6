package steadyhttp

import (
	"math"
	"testing"
	"time"
)

// story tells what happens to a ledger, in seconds after a beginning. Its
// requests are of one route.
type story struct {
	t     *testing.T
	begin time.Time
	l     ledger
	route *route
}

func newStory(t *testing.T) *story {
	return &story{t: t, begin: time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC), route: &route{}}
}

func (s *story) time(sec float64) time.Time {
	return s.begin.Add(time.Duration(math.Round(sec * 1e9)))
}

func (s *story) instant(sec float64) instant { return s.l.epoch.instant(s.time(sec)) }

// send sends a request, whether it may be sent or not.
func (s *story) send(sec float64) *claim {
	c := &claim{cost: cost{requests: 1}, route: s.route}
	s.l.charge(s.time(sec), c)
	return c
}

// try sends a request if it may be sent; else it is nil, and the wait in seconds.
func (s *story) try(sec float64) (c *claim, wait float64) {
	c = &claim{cost: cost{requests: 1}, route: s.route}
	at, retry, ok := s.l.take(s.time(sec), c)
	if !ok {
		if retry.Before(at) {
			s.t.Errorf("%v s: to be tried again at %v, before its turn at %v", sec, retry, at)
		}
		return nil, at.Sub(s.time(sec)).Seconds()
	}
	return c, 0
}

// all sends as many requests as may be sent.
func (s *story) all(sec float64) (sent []*claim) {
	for range 10_000 {
		c, _ := s.try(sec)
		if c == nil {
			return sent
		}
		sent = append(sent, c)
	}
	s.t.Fatalf("%v s: there is no end to it", sec)
	return nil
}

// answer is a success with these quotas.
func (s *story) answer(sec float64, c *claim, quotas ...Quota) (learned bool) {
	return s.l.settle(s.time(sec), c, &ending{Outcome: Outcome{Class: ClassSuccess, Quotas: quotas}})
}

// deny is an answer that says to come back after so many seconds; below zero it
// does not say.
func (s *story) deny(sec float64, c *claim, after float64, quotas ...Quota) {
	o := Outcome{Class: ClassRateLimited, Quotas: quotas}
	if after >= 0 {
		o.RetryAt = s.time(sec + after)
	}
	s.l.settle(s.time(sec), c, &ending{Outcome: o})
}

// fail ends a request without an answer.
func (s *story) fail(sec float64, c *claim) {
	s.l.settle(s.time(sec), c, &ending{Outcome: Outcome{Class: ClassNetwork}})
}

// left is a quota of requests without a reset.
func left(limit, remaining int64) Quota {
	return Quota{Resource: "requests", Limit: limit, Remaining: remaining}
}

// left is a quota of requests that resets so many seconds after the answer, as
// exactly as in milliseconds.
func (s *story) left(sec float64, limit, remaining int64, in float64) Quota {
	q := left(limit, remaining)
	q.Reset, q.resolution = s.time(sec+in), time.Millisecond
	return q
}

// level is what the first budget is believed to hold.
func (s *story) level(sec float64) float64 {
	if len(s.l.budgets) == 0 {
		s.t.Fatalf("%v s: there is no budget", sec)
	}
	return s.l.budgets[0].level(s.instant(sec))
}

func (s *story) wantLevel(sec, want float64) {
	s.t.Helper()
	if got := s.level(sec); math.Abs(got-want) > 1e-6 {
		s.t.Errorf("%v s: %v left, want %v", sec, got, want)
	}
}

// wantWait is how long a request would wait, give or take what the network may.
func (s *story) wantWait(sec, want float64) {
	s.t.Helper()
	got := s.l.when(s.time(sec), cost{}, &claim{cost: cost{requests: 1}, route: s.route}).Sub(s.time(sec)).Seconds()
	if math.Abs(got-want) > jitter.Seconds() {
		s.t.Errorf("%v s: a request waits for %v s, want %v", sec, got, want)
	}
}

func TestUnansweredRequestsAreNotInTheServersLastWord(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), left(100, 90))
	s.wantLevel(0.1, 90)
	a, b := s.send(1), s.send(1)
	s.wantLevel(1, 88)
	s.answer(2, a, left(100, 50)) // another client has taken forty
	s.wantLevel(2, 49)            // b was sent with a, and may not be counted
	s.answer(2, b, left(100, 51)) // it was admitted before a
	s.wantLevel(2, 50)
}

func TestRequestsSentLongBeforeAreInTheServersLastWord(t *testing.T) {
	for _, c := range []struct{ apart, want float64 }{{0.240, 49}, {0.251, 50}, {5, 50}} {
		s := newStory(t)
		s.answer(0.1, s.send(0), left(100, 90))
		s.send(1) // never answered
		s.answer(10, s.send(1+c.apart), left(100, 50))
		if got := s.level(10); got != c.want {
			t.Errorf("sent %v s apart: %v left, want %v", c.apart, got, c.want)
		}
	}
}

func TestOldAnswerDoesNotUndoANewerOne(t *testing.T) {
	for _, c := range []struct{ apart, want float64 }{
		{0.240, 40}, // at the same time, as far as order goes: the lower counts
		{0.251, 80}, // clearly later: another has given back
	} {
		s := newStory(t)
		s.answer(0.1, s.send(0), left(100, 40))
		s.answer(2, s.send(c.apart), left(100, 80))
		if got := s.level(2); got != c.want {
			t.Errorf("80 after 40, sent %v s apart: %v left, want %v", c.apart, got, c.want)
		}
		s = newStory(t)
		early, late := s.send(0), s.send(c.apart)
		s.answer(1, late, left(100, 40))
		s.answer(2, early, left(100, 80))
		if got := s.level(2); got != 40 {
			t.Errorf("80 of a request sent %v s before 40: %v left, want 40", c.apart, got)
		}
	}
}

func TestOtherUsersAreFollowedDownwardsAtOnce(t *testing.T) {
	s := newStory(t)
	early, late := s.send(0), s.send(5)
	s.answer(5.1, late, left(100, 90))
	s.answer(6, early, left(100, 12)) // however old: it may have been admitted last
	s.wantLevel(6, 12)
}

func TestAnswerWithoutHeadersStaysCharged(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), left(100, 90))
	a, b, c := s.send(1), s.send(1), s.send(1)
	s.answer(1.1, a)
	s.fail(1.1, b)
	s.wantLevel(2, 87)
	s.l.settle(s.time(2), c, &ending{unsent: true})
	s.wantLevel(2, 88)
	s.answer(5, s.send(4), left(100, 86))
	s.wantLevel(5, 86)
}

func TestMissingRemainingIsNotZero(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), left(100, 90))
	s.answer(1.1, s.send(1), left(100, -1))
	s.wantLevel(1.1, 89) // it stays charged
}

func TestLimitAloneHoldsNothingBack(t *testing.T) {
	s := newStory(t)
	for i := range 300 {
		c, wait := s.try(float64(i))
		if c == nil {
			t.Fatalf("request %d waits for %v s", i+1, wait)
		}
		s.answer(float64(i)+0.1, c, left(100, -1))
	}
}

// A policy without the rest: what was used since counts.
func TestLimitOfAStatedWindowIsRefilledEvenly(t *testing.T) {
	s := newStory(t)
	policy := Quota{Resource: "requests", Limit: 60, Remaining: -1, Window: time.Minute}
	s.answer(0.1, s.send(0), policy)
	if got := len(s.all(0.1)); got != 58 {
		t.Errorf("%d go at once after the first of 60 a minute, want 58", got)
	}
	if _, wait := s.try(0.2); wait < 0.5 || wait > 2 {
		t.Errorf("then one waits for %v s, want about one", wait)
	}
}

func TestMarginIsAHundredthAndNoneOfSmallLimits(t *testing.T) {
	for limit, want := range map[float64]float64{1: 0, 9: 0, 10: 1, 99: 1, 100: 1, 199: 1, 200: 2, 5000: 50, -1: 0, 0: 0} {
		b := budget{limit: limit}
		if got := b.margin(); got != want {
			t.Errorf("of %v: %v, want %v", limit, got, want)
		}
	}
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 200, 12, 60))
	if got := len(s.all(0.2)); got != 10 {
		t.Errorf("%d are sent of 12 that are left of 200, want 10", got)
	}
}

func TestCostLargerThanTheLimitPassesWhenAllIsThere(t *testing.T) {
	for _, c := range []struct{ limit, cost, spare, want float64 }{
		{100, 5, 1, 5}, {100, 500, 1, 99}, {100, 500, 11, 89}, {3, 4, 5, 0},
	} {
		b := budget{limit: c.limit}
		if got := b.clamp(c.cost, c.spare); got != c.want {
			t.Errorf("%v of a limit of %v with %v spare: %v, want %v", c.cost, c.limit, c.spare, got, c.want)
		}
	}
	s := newStory(t)
	tokens := func(left int64) Quota {
		return Quota{Resource: "tokens", Limit: 30_000, Remaining: left, Window: time.Minute, Reset: s.time(60)}
	}
	s.answer(0.1, s.send(0), tokens(30_000))
	big := &claim{cost: cost{1, Tokens{Input: 40_000}}, route: s.route}
	if at, _, ok := s.l.take(s.time(1), big); !ok {
		t.Errorf("40,000 tokens of a full budget of 30,000 wait until %v", at)
	}
}

func TestUsualPeriodIsTakenOnlyWithinWhatRoundingAllows(t *testing.T) {
	for _, c := range []struct{ lo, hi, want float64 }{
		{58, 61, 60}, {4.9, 5.1, 5}, {61, 70, 70}, {0.5, 61, 60}, {59.999, 60, 60}, {60, 60, 60}, {7, 8, 8},
		{3500, 3601, 3600}, {86399, 86401, 86400},
	} {
		if got := snap(interval{c.lo, c.hi}); got != c.want {
			t.Errorf("between %v and %v s: %v, want %v", c.lo, c.hi, got, c.want)
		}
	}
	b := budget{limit: 100, kind: refillGradual, period: interval{30, math.Inf(1)}}
	if got := b.perSecond(); got != 0 {
		t.Errorf("of no longest period: %v a second", got)
	}
}

func TestNothingRefillsFasterThanTheLimitInTheLongestReset(t *testing.T) {
	b := budget{limit: 100, kind: refillGradual, period: interval{10, 10}, stretch: 50}
	if got := b.growth(); got != 2 {
		t.Errorf("grows by %v a second, want 2", got)
	}
	b.stretch = 5
	if got := b.growth(); got != 10 {
		t.Errorf("grows by %v a second, want 10", got)
	}
}

func TestForecastIsAtMostTheWindowsThatItTakes(t *testing.T) {
	s := newStory(t)
	q := s.left(0.1, 600, 599, 60)
	q.Window = time.Minute
	s.answer(0.1, s.send(0), q)
	b := s.l.budgets[0]
	b.best, b.slide = 5, 0.1 // it seems to slide, slowly
	for ahead, want := range map[float64]float64{0: 20, 50: 60, 700: 120} {
		if got := b.ready(s.instant(1), ahead, 1, b.margin()).at.Sub(s.instant(1)).Seconds(); got < want-1 || got > want+1 {
			t.Errorf("behind %v others of 600 a minute in %v s, want %v", ahead, got, want)
		}
	}
}

func TestCallLargerThanTheLimitLeavesNoDebt(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), Quota{Resource: "tokens", Limit: 1000, Remaining: 1000, Window: time.Minute})
	large := &claim{cost: cost{1, Tokens{Input: 100_000}}, route: s.route}
	s.l.charge(s.time(1), large)
	s.l.settle(s.time(1.1), large, &ending{Outcome: Outcome{Class: ClassContextLength}})
	c := &claim{cost: cost{1, Tokens{Input: 10}}, route: s.route}
	if at := s.l.when(s.time(120), cost{}, c); at.After(s.time(120)) {
		t.Errorf("two minutes after a call of 100,000 tokens on a limit of 1,000 a minute a small one waits")
	}
}

func TestNothingLeftAndNoResetIsAskedAbout(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), left(100, 0))
	now, want := 0.1, []float64{0, 2, 4, 8, 16, 32, 60, 60, 60}
	asked := 0.0
	for i, w := range want {
		for range 200 { // look as often as the queue does
			c, wait := s.try(now)
			if c == nil {
				now += max(wait, 0.001)
				continue
			}
			if again, _ := s.try(now); again != nil {
				t.Fatal("two ask at once")
			}
			if i > 0 && math.Abs(now-asked-w) > 0.05 {
				t.Errorf("question %d is asked after %v s, want %v", i+1, now-asked, w)
			}
			asked = now
			s.answer(now+0.01, c, left(100, 0))
			now += 0.01
			break
		}
	}
	s.answer(now+2, s.send(now+1), left(100, 80))
	if got := len(s.all(now + 2.1)); got != 79 {
		t.Errorf("%d are sent of 80 that are left, want 79", got)
	}
}

func TestSpentWindowHoldsUntilItsReset(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 1, 60))
	s.wantWait(0.2, 59.8)
	if c, _ := s.try(59.9); c != nil {
		t.Error("it goes before the reset")
	}
	probe, _ := s.try(60.03)
	if probe == nil {
		t.Fatal("nobody asks at the reset")
	}
	if c, _ := s.try(60.04); c != nil {
		t.Error("a second goes before the first is answered")
	}
	s.answer(60.05, probe, s.left(60.05, 100, 99, 59.98))
	if got := len(s.all(60.06)); got != 98 {
		t.Errorf("%d go in the new window, want 98", got)
	}
}

func TestRefusedQuestionHoldsTheRestBack(t *testing.T) {
	s := newStory(t)
	whole := func(sec float64, remaining int64, reset float64) Quota {
		q := left(100, remaining)
		q.Reset, q.resolution = s.time(sec+reset), time.Second
		return q
	}
	s.answer(0.1, s.send(0), whole(0.1, 1, 60))
	probe, _ := s.try(59.1) // as early as rounding allows
	if probe == nil {
		t.Fatal("nobody asks as early as rounding allows")
	}
	s.deny(59.2, probe, 1, whole(59.2, 0, 1))
	for now := 59.2; now < 60; now += 0.1 {
		if c, _ := s.try(now); c != nil {
			t.Errorf("%v s: another asks early, after a refusal", now)
		}
	}
}

func TestLostQuestionIsAskedAgain(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 1, 60))
	probe, _ := s.try(60.03)
	if probe == nil {
		t.Fatal("nobody asks at the reset")
	}
	s.fail(60.04, probe)
	if c, _ := s.try(61); c == nil {
		t.Error("after a question that was lost nobody asks")
	}
}

// What comes back at the end of a window is believed when it was seen once.
func TestEverythingGoesWhenTheWindowHasSurelyEnded(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 1, 60))
	asking := s.all(65)
	if len(asking) != 1 {
		t.Fatalf("%d ask what the first window leaves to the next, want one", len(asking))
	}
	s.answer(65.1, asking[0], s.left(65.1, 100, 99, 55))
	if got := len(s.all(65.2)); got != 98 {
		t.Errorf("%d go in the second window, want 98", got)
	}
	s.answer(66.1, s.send(66), s.left(66.1, 100, 1, 54))
	if got := len(s.all(130)); got != 99 {
		t.Errorf("after the second window %d go at once, want 99", got)
	}
}

func TestQuotaIsWhatAHeaderWouldSay(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 70, 60))
	s.send(1)
	q := s.l.quotas(s.time(2), s.route)[0]
	if q.Limit != 100 || q.Remaining != 69 || q.Reset.Sub(s.time(60)).Abs() > jitter || q.Resource != "requests" {
		t.Errorf("got %+v", q)
	}
	if q := s.l.quotas(s.time(70), s.route)[0]; q.Remaining != 99 || !q.Reset.IsZero() {
		t.Errorf("after the reset, with one unanswered: %+v", q)
	}
	s = newStory(t)
	q = Quota{Resource: "requests", Limit: 60, Remaining: 30, Window: time.Minute}
	s.answer(0, s.send(0), q)
	if q := s.l.quotas(s.time(10), s.route)[0]; q.Remaining != 40 || q.Reset.Sub(s.time(30)).Abs() > 10*time.Millisecond || q.Window != time.Minute {
		t.Errorf("refilled gradually by one a second: %+v", q)
	}
}

// FuzzBudget takes bytes for what requests, their answers and their times are,
// and looks for a budget that is no number or that stops for ever.
func FuzzBudget(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte("send, answer, deny, send, answer, deny, send, answer"))
	f.Add([]byte{1, 200, 10, 7, 2, 200, 10, 0, 5, 250, 3, 4, 2, 255, 255, 255, 2, 1, 1, 1})
	numbers := []float64{-1, 0, 1, 2, 9, 10, 60, 100, 5000, 1 << 53, 1 << 62}
	resets := []time.Duration{0, 1, time.Millisecond, time.Second, 5 * time.Second, time.Minute, time.Hour, 24 * time.Hour, farthest, -time.Minute}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newStory(t)
		sec, used := 0.0, 0
		next := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := int(data[0])
			data = data[1:]
			return b % n
		}
		var flying []*claim
		for len(data) > 0 && used < 400 {
			used++
			sec += []float64{0, 0.001, 0.1, 0.3, 1, 10, 61, 3700}[next(8)]
			op := next(5)
			if len(flying) == 0 || op == 0 {
				if c, _ := s.try(sec); c != nil {
					flying = append(flying, c)
				} else if next(4) == 0 {
					flying = append(flying, s.send(sec))
				}
				continue
			}
			i := next(len(flying))
			c := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			q := Quota{Resource: "requests", Window: []time.Duration{0, 0, 1, time.Minute}[next(4)],
				Limit: int64(numbers[next(len(numbers))]), Remaining: int64(numbers[next(len(numbers))])}
			if r := next(2 * len(resets)); r < len(resets) {
				q.Reset, q.resolution = s.time(sec).Add(resets[r]), []time.Duration{0, time.Millisecond, time.Second, time.Hour}[next(4)]
				if next(3) == 0 {
					q.absolute = q.Reset
				}
			}
			e := &ending{Outcome: Outcome{Class: ClassSuccess, Quotas: []Quota{q}}}
			switch op {
			case 1:
				e.Class = ClassRateLimited
			case 2:
				e.Quotas = nil
			case 3:
				e.unsent = next(2) == 0
				e.date = s.time(sec + float64(next(100)) - 50)
			}
			s.l.settle(s.time(sec), c, e)
			checkBudgets(t, s, sec)
		}
		for _, c := range flying {
			s.fail(sec, c)
		}
		checkBudgets(t, s, sec)
		for range 3 { // what nobody holds back passes within an hour
			until := sec + 3601
			for sec < until {
				c, wait := s.try(sec)
				if c != nil {
					s.answer(sec, c)
					break
				}
				if math.IsNaN(wait) || wait < 0 {
					t.Fatalf("a wait of %v s", wait)
				}
				sec += min(max(wait, 0.001), 1)
			}
			if sec >= until {
				t.Fatalf("nothing passes for an hour: %+v", s.l.quotas(s.time(sec), s.route))
			}
		}
	})
}

func checkBudgets(t *testing.T, s *story, sec float64) {
	t.Helper()
	for _, b := range s.l.budgets {
		for name, v := range map[string]float64{
			"limit": b.limit, "best": b.best, "pending": b.pending, "slide": b.slide, "growth": b.growth(),
			"level": b.level(s.instant(sec)), "rate": b.perSecondOverall(), "length": b.length(),
		} {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 && name != "best" && name != "level" {
				t.Fatalf("%s is %v", name, v)
			}
		}
	}
}
