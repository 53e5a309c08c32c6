package steadyhttp

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestAllBudgetsMustAdmit(t *testing.T) {
	quota := func(resource string, window time.Duration, limit, left int64) Quota {
		return Quota{Resource: resource, Window: window, Limit: limit, Remaining: left}
	}
	for _, c := range []struct {
		name   string
		quotas []Quota
		cost   cost
		admits bool
	}{
		{"both have room", []Quota{quota("requests", time.Minute, 600, 500), quota("tokens", time.Minute, 9000, 5000)}, cost{1, Tokens{100, 100}}, true},
		{"no tokens", []Quota{quota("requests", time.Minute, 600, 500), quota("tokens", time.Minute, 9000, 150)}, cost{1, Tokens{100, 100}}, false},
		{"no tokens, and none asked for", []Quota{quota("requests", time.Minute, 600, 500), quota("tokens", time.Minute, 9000, 150)}, cost{1, Tokens{}}, true},
		{"no input tokens", []Quota{quota("input_tokens", time.Minute, 9000, 150), quota("output_tokens", time.Minute, 9000, 5000)}, cost{1, Tokens{100, 100}}, false},
		{"no output tokens", []Quota{quota("input_tokens", time.Minute, 9000, 5000), quota("output_tokens", time.Minute, 9000, 150)}, cost{1, Tokens{100, 100}}, false},
		{"input alone", []Quota{quota("input_tokens", time.Minute, 9000, 5000), quota("output_tokens", time.Minute, 9000, 150)}, cost{1, Tokens{100, 0}}, true},
		{"no requests", []Quota{quota("requests", time.Minute, 600, 2), quota("tokens", time.Minute, 9000, 5000)}, cost{1, Tokens{}}, false},
		{"nothing this day", []Quota{quota("requests", time.Minute, 60, 50), quota("requests", 24*time.Hour, 1000, 3)}, cost{1, Tokens{}}, false},
		{"nothing this minute", []Quota{quota("requests", time.Minute, 60, 0), quota("requests", 24*time.Hour, 1000, 500)}, cost{1, Tokens{}}, false},
		{"another kind of thing", []Quota{quota("requests", time.Minute, 600, 500), quota("images", 0, 10, 5)}, cost{1, Tokens{100, 0}}, true},
		{"another kind of thing, and it is spent", []Quota{quota("requests", time.Minute, 600, 500), quota("images", 0, 10, 0)}, cost{1, Tokens{100, 0}}, false},
	} {
		s := newStory(t)
		s.answer(0.1, s.send(0), c.quotas...)
		_, _, ok := s.l.take(s.time(0.2), &claim{cost: c.cost, route: s.route})
		if ok != c.admits {
			t.Errorf("%s: admitted %v", c.name, ok)
		}
	}
}

func TestLatestBudgetDecides(t *testing.T) {
	s := newStory(t)
	minute, day := s.left(0.1, 60, 0, 30), s.left(0.1, 1000, 0, 900)
	minute.Window, day.Window = time.Minute, 24*time.Hour
	s.answer(0.1, s.send(0), minute, day)
	s.wantWait(0.1, 899.9)
}

func TestTokensAreCorrectedByHeadersBothWays(t *testing.T) {
	s := newStory(t)
	tokens := func(left int64) Quota { return Quota{Resource: "tokens", Limit: 100_000, Remaining: left} }
	send := func(sec float64) *claim {
		c := &claim{cost: cost{1, Tokens{Input: 3000, Output: 2000}}, route: s.route}
		s.l.charge(s.time(sec), c)
		return c
	}
	s.answer(0.1, send(0), tokens(80_000))
	a := send(1)
	s.wantLevel(1, 75_000)
	s.answer(1.1, a, tokens(79_000)) // it used less
	s.wantLevel(1.2, 79_000)
	b := send(2)
	s.answer(2.1, b, tokens(40_000)) // it used more
	s.wantLevel(2.2, 40_000)
	s.answer(3.1, send(3)) // nothing is said of it
	s.wantLevel(3.2, 35_000)
}

func TestScopesShareNothingButWhatHasNone(t *testing.T) {
	s := newStory(t)
	core, search, other := &route{}, &route{}, &route{}
	scoped := func(scope string, left int64) Quota {
		return Quota{Resource: "requests", Scope: scope, Limit: 100, Remaining: left, Reset: s.time(3000)}
	}
	ask := func(sec float64, r *route) bool {
		c := &claim{cost: cost{requests: 1}, route: r}
		_, _, ok := s.l.take(s.time(sec), c)
		if ok {
			s.l.settle(s.time(sec), c, &ending{Outcome: Outcome{Class: ClassSuccess}})
		}
		return ok
	}
	say := func(sec float64, r *route, q ...Quota) {
		c := &claim{cost: cost{requests: 1}, route: r}
		s.l.charge(s.time(sec), c)
		s.answer(sec+0.1, c, q...)
	}
	say(0, core, scoped("core", 50))
	say(1, search, scoped("search", 0))
	for name, c := range map[string]struct {
		r    *route
		want bool
	}{"core": {core, true}, "search": {search, false}, "a route never seen": {other, true}, "no route": {nil, true}} {
		if got := ask(2, c.r); got != c.want {
			t.Errorf("search is spent: %s is admitted %v", name, got)
		}
	}
	if got := s.l.quotas(s.time(2), core); len(got) != 1 || got[0].Scope != "core" {
		t.Errorf("of core is believed %+v", got)
	}
	say(3, core, scoped("", 0))
	for name, r := range map[string]*route{"core": core, "search": search, "a route never seen": other} {
		if ask(4, r) {
			t.Errorf("what all share is spent, and %s is admitted", name)
		}
	}
}

func TestDenialThatNamesATimeHoldsTheWholeKey(t *testing.T) {
	s := newStory(t)
	s.deny(0.1, s.send(0), 20)
	s.wantWait(0.1, 20)
	at := s.l.when(s.time(1), cost{}, &claim{cost: cost{requests: 1}, route: &route{}})
	if got := at.Sub(s.time(1)).Seconds(); math.Abs(got-19.1) > 0.01 {
		t.Errorf("a request of another route waits for %v s, want 19.1", got)
	}
	s.deny(2.1, s.send(2), 5) // does not end the longer one
	s.wantWait(2.1, 18)
	if c, wait := s.try(20.2); c == nil {
		t.Errorf("after it a request waits for another %v s", wait)
	}
}

func TestOverloadThatNamesATimeHoldsTheWholeKey(t *testing.T) {
	for _, class := range []Class{ClassOverloaded, ClassQuotaExhausted} {
		s := newStory(t)
		s.l.settle(s.time(0.1), s.send(0), &ending{Outcome: Outcome{Class: class, RetryAt: s.time(20)}})
		s.wantWait(0.1, 19.9)
		s = newStory(t)
		s.l.settle(s.time(0.1), s.send(0), &ending{Outcome: Outcome{Class: class}})
		s.wantWait(0.1, 0)
		if s.l.pace != nil {
			t.Errorf("%v: it has begun to look for a rate", class)
		}
	}
	s := newStory(t)
	s.l.settle(s.time(0.1), s.send(0), &ending{Outcome: Outcome{Class: ClassServerError, RetryAt: s.time(20)}})
	s.wantWait(0.1, 0)
}

// A time that is only the reset of a quota is left to its budget: other routes,
// and what is cheaper, need not wait.
func TestDenialWithoutATimeOfItsOwnHoldsOnlyItsBudget(t *testing.T) {
	s := newStory(t)
	reset := s.time(30)
	o := Outcome{Class: ClassRateLimited, RetryAt: reset, Quotas: []Quota{{Resource: "requests", Scope: "search", Limit: 30, Remaining: 0, Reset: reset}}}
	s.l.settle(s.time(0.1), s.send(0), &ending{Outcome: o})
	s.wantWait(0.1, 29.8)
	if at := s.l.when(s.time(1), cost{}, &claim{cost: cost{requests: 1}, route: &route{}}); !at.Equal(s.time(1)) {
		t.Errorf("a request of another scope waits for %v", at.Sub(s.time(1)))
	}
}

func TestHoldOfADayLetsOneThroughEachHour(t *testing.T) {
	s := newStory(t)
	s.deny(0, s.send(0), 86400)
	now := 0.0
	for hour := range 5 {
		before := now
		var c *claim
		for c == nil {
			var wait float64
			if c, wait = s.try(now); c == nil {
				now += max(wait, 0.001)
			}
		}
		if math.Abs(now-before-3600) > 1 {
			t.Errorf("question %d comes after %v s, want an hour", hour+1, now-before)
		}
		if again, _ := s.try(now); again != nil {
			t.Error("two ask at once")
		}
		s.deny(now, c, 86400)
	}
	s.answer(now, s.send(now))
	s.wantWait(now+1, 3599)
}

func TestAbsurdHoldIsBounded(t *testing.T) {
	s := newStory(t)
	s.deny(0, s.send(0), 200*366*86400)
	if held := s.l.held.Sub(s.instant(0)); held > neverSoon {
		t.Errorf("held for %v", held)
	}
}

func TestDenialDespiteAFullBudgetSmoothsIt(t *testing.T) {
	minute := func(s *story, sec float64, left int64) Quota {
		q := s.left(sec, 600, left, float64(600-left)/10)
		q.Window = time.Minute
		return q
	}
	s := newStory(t)
	s.answer(0.1, s.send(0), minute(s, 0.1, 599))
	s.deny(1.1, s.send(1), 0, minute(s, 1.1, 590))
	b := s.l.budgets[0]
	if b.smooth == nil || b.smooth.bucket == nil {
		t.Fatal("it is not smoothed")
	}
	if s.l.pace != nil {
		t.Error("it looks for another rate, although one is stated")
	}
	n, now := 0, 1.2
	for ; now < 11.2; now += 0.01 {
		if c, _ := s.try(now); c != nil {
			n++
			s.answer(now, c, minute(s, now, 590))
		}
	}
	if n < 98 || n > 102 {
		t.Errorf("%d go in 10 s, want 100: the rate of the whole", n)
	}
	for _, left := range []int64{11, 0} { // at most 2 %: that explains it
		s := newStory(t)
		s.answer(0.1, s.send(0), minute(s, 0.1, 599))
		s.deny(1.1, s.send(1), 0, minute(s, 1.1, left))
		if s.l.budgets[0].smooth != nil && s.l.budgets[0].smooth.bucket != nil {
			t.Errorf("denied with %d left of 600: smoothed", left)
		}
	}
}

func TestDenialWithoutAnyWordFindsARate(t *testing.T) {
	s := newStory(t)
	var flying []*claim
	for i := range 40 {
		flying = append(flying, s.send(float64(i)*0.05)) // 20 a second
	}
	s.deny(2, flying[39], -1)
	if s.l.pace == nil {
		t.Fatal("it does not look for a rate")
	}
	if r := s.l.pace.rate; r < 10 || r > 16 {
		t.Errorf("denied at 20 a second it goes on with %v", r)
	}
	for _, c := range flying[:39] {
		s.answer(2.1, c)
	}
	s.wantWait(2, 0.07)
	s.answer(2+601, s.send(2+601))
	s.wantWait(2+602, 0)
	if s.l.pace != nil {
		t.Error("the rate is not forgotten after ten minutes without a denial")
	}
}

func TestTimeInWhichNothingIsSentIsNotOfARate(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(s *story)
		at     float64
	}{
		{"a hold", func(s *story) {
			var last *claim
			for i := range 500 {
				last = s.send(-1 + float64(i)/500)
			}
			s.deny(0.1, last, 49)
		}, 49.2},
		{"a long silence", func(s *story) { s.answer(0.1, s.send(0)) }, 3600},
	} {
		s := newStory(t)
		c.before(s)
		first := s.send(c.at)
		for range 9 {
			s.send(c.at)
		}
		s.deny(c.at+0.1, first, -1)
		if r := s.l.rate(s.instant(c.at + 0.1)); r < 30 || r > 50 {
			t.Errorf("10 at once after %s are a rate of %v, want 40", c.name, r)
		}
	}
}

func TestFailuresSayNothingOfARate(t *testing.T) {
	for _, class := range []Class{ClassNetwork, ClassTimeout, ClassCanceled} {
		s := newStory(t)
		s.deny(0.1, s.send(0), -1)
		won, streak := s.l.pace.won, s.l.pace.streak
		s.l.settle(s.time(1), s.send(0.9), &ending{Outcome: Outcome{Class: class}})
		if s.l.pace.won != won || s.l.pace.streak != streak {
			t.Errorf("%v counts as admitted", class)
		}
	}
}

func TestFewAreInFlightUntilThereIsAnAnswer(t *testing.T) {
	s := newStory(t)
	first := s.all(0)
	if len(first) != coldStart {
		t.Errorf("%d go before anything is known, want %d", len(first), coldStart)
	}
	if got := len(s.all(0.9)); got != 0 {
		t.Errorf("%d more within the first second", got)
	}
	if got := len(s.all(3.5)); got != 3 {
		t.Errorf("%d more after 3.5 s without an answer, want 3", got)
	}
	s.fail(3.6, first[0])
	if got := len(s.all(3.6)); got != 1 {
		t.Errorf("after an error %d go, want the one in its place", got)
	}
	s.answer(3.7, first[1])
	for range 100 {
		if c, wait := s.try(3.7); c == nil {
			t.Fatalf("after an answer without headers one waits for %v s", wait)
		}
	}
}

func TestInFlightBoundsTheUnanswered(t *testing.T) {
	s := newStory(t)
	s.l.maximum = 2
	a := s.all(0)
	if len(a) != 2 {
		t.Errorf("%d in flight, want 2", len(a))
	}
	s.answer(1, a[0])
	if got := len(s.all(1)); got != 1 {
		t.Errorf("%d go after one was answered", got)
	}
}

func TestRequestThatWasNotSentLeavesNoDebt(t *testing.T) {
	s := newStory(t)
	s.l.ceilings = appendCeilings(nil, "requests", []Rate{{N: 1, Per: time.Minute, Burst: 3}})
	s.answer(0.1, s.send(0), left(100, 50))
	s.l.pace = newPace(s.instant(1), 1, s.instant(0), 1)
	s.route.own = &ownLimit{pace: newPace(s.instant(1), 1, s.instant(0), 1)}
	s.l.budgets[0].smooth = &smoothing{}
	s.l.budgets[0].smooth.strike(s.instant(1), s.instant(0), 1)
	type state struct{ level, ceiling, pace, own, smooth float64 }
	now := func() state {
		return state{s.level(3), s.l.ceilings[0].bucket.level(s.instant(3)), s.l.pace.bucket.level(s.instant(3)), s.route.own.pace.bucket.level(s.instant(3)), s.l.budgets[0].smooth.bucket.level(s.instant(3))}
	}
	before := now()
	c := s.send(3)
	if now() == before {
		t.Fatal("nothing was charged")
	}
	s.l.settle(s.time(3), c, &ending{unsent: true})
	after := now()
	for name, d := range map[string]float64{
		"budget": after.level - before.level, "ceiling": after.ceiling - before.ceiling, "pace": after.pace - before.pace,
		"the route's own": after.own - before.own, "smoothing": after.smooth - before.smooth,
	} {
		if math.Abs(d) > 1e-9 {
			t.Errorf("%s: %v are missing", name, -d)
		}
	}
	if s.l.inFlight != 0 || s.l.first != nil || s.l.last != nil {
		t.Error("it is still in the list")
	}
}

func TestBatchLeavesATenthToInteractiveCalls(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), left(100, 50))
	batch := func(sec float64) (n int) {
		for {
			c := &claim{cost: cost{requests: 1}, route: s.route, batch: true}
			if _, _, ok := s.l.take(s.time(sec), c); !ok {
				return n
			}
			n++
		}
	}
	s.l.interactive = s.instant(0)
	if got := batch(10); got != 39 {
		t.Errorf("%d batch calls go of 50 that are left of 100, want all but the margin and a tenth: 39", got)
	}
	if got := batch(61); got != 10 {
		t.Errorf("a minute after the last interactive call %d go, want the other 10", got)
	}
}

func TestCeilingsHoldBesidesHeaders(t *testing.T) {
	s := newStory(t)
	s.l.ceilings = appendCeilings(nil, "requests", []Rate{{N: 10, Per: time.Second, Burst: 5}, {N: 0, Per: time.Second}, {N: 5}, {N: 7, Per: time.Hour, Burst: 7}})
	if got := len(s.l.ceilings); got != 2 {
		t.Fatalf("%d ceilings, want 2: the others are none", got)
	}
	s.answer(0.1, s.send(0), left(1000, 900))
	if got := len(s.all(10)); got != 5 {
		t.Errorf("%d go at once, want the burst", got)
	}
	if got := len(s.all(20)); got != 1 {
		t.Errorf("%d more go, want the last of seven an hour", got)
	}
	s = newStory(t)
	s.l.ceilings = appendCeilings(nil, "requests", []Rate{{N: 1000, Per: time.Second, Burst: 500}})
	s.answer(0.1, s.send(0), left(100, 20))
	if got := len(s.all(10)); got != 19 {
		t.Errorf("under a wide ceiling %d go of 20 that the server has left", got)
	}
	for n, want := range map[int]float64{5: 1, 100: 10, 15: 1} {
		c := appendCeilings(nil, "requests", []Rate{PerMinute(n)})
		if got := c[0].bucket.level(at(0)); got != want {
			t.Errorf("%d a minute: %v at once, want %v", n, got, want)
		}
	}
}

func TestCeilingIsAQuotaToo(t *testing.T) {
	s := newStory(t)
	s.l.ceilings = appendCeilings(nil, "tokens", []Rate{{N: 600, Per: time.Minute, Burst: 60}})
	c := &claim{cost: cost{1, Tokens{Input: 20, Output: 10}}, route: s.route}
	s.l.charge(s.time(0), c)
	q := s.l.quotas(s.time(0), s.route)
	if len(q) != 1 || q[0].Resource != "tokens" || q[0].Limit != 60 || q[0].Remaining != 30 || q[0].Window != 6*time.Second || q[0].Reset.Sub(s.time(3)).Abs() > time.Millisecond {
		t.Errorf("got %+v", q)
	}
}

func TestKeyRemembersABoundedNumberOfBudgets(t *testing.T) {
	s := newStory(t)
	say := func(sec float64, i int) {
		q := left(100, 50)
		q.Scope = fmt.Sprint(i)
		s.answer(sec+0.1, s.send(sec), q)
	}
	for i := range 3 * maxBudgets {
		say(0, i)
	}
	if got := len(s.l.budgets); got != maxBudgets {
		t.Errorf("%d budgets, want %d", got, maxBudgets)
	}
	later := 26 * 3600.0
	say(later, 1000)
	found := false
	for _, b := range s.l.budgets {
		found = found || b.scope == "1000"
	}
	if got := len(s.l.budgets); !found || got != maxBudgets {
		t.Errorf("a day later one that nobody has mentioned since makes no room: %d budgets", got)
	}
}

func TestQuotaThatCanNeverAdmitIsNotABudget(t *testing.T) {
	s := newStory(t)
	for _, q := range []Quota{left(0, 0), left(0, 5), left(-1, -1), left(100, -1)} {
		s.answer(0.1, s.send(0), q)
	}
	if got := len(s.l.budgets); got != 0 {
		t.Errorf("%d budgets: %+v", got, s.l.quotas(s.time(1), s.route))
	}
	s.answer(0.3, s.send(0.2), left(100, 50))
	s.answer(2.3, s.send(2.2), left(0, 0))
	if got := len(s.all(3)); got == 0 {
		t.Error("a limit of 0 stops what had 50 left")
	}
}

func TestFirstAnswersCountWhatIsInFlight(t *testing.T) {
	for _, scope := range []string{"", "core"} {
		s := newStory(t)
		say := func(left int64) Quota {
			return Quota{Resource: "requests", Scope: scope, Limit: 100, Remaining: left}
		}
		flying := s.all(0)
		s.answer(0.2, flying[0], say(99))
		s.wantLevel(0.2, 99-float64(len(flying)-1))
		for i, c := range flying[1:] {
			s.answer(0.3, c, say(int64(98-i)))
		}
		s.wantLevel(0.4, 100-float64(len(flying)))
	}
}

// What becomes of a denial that names no time: a budget that is spent waits for
// its reset; one that is nearly full is enforced in shorter windows; else a rate
// must be found.
func TestDenialIsExplainedByWhatTheHeadersSay(t *testing.T) {
	const held, smoothed, paced = "held", "smoothed", "paced"
	became := func(s *story) string {
		for _, b := range s.l.budgets {
			if b.smooth != nil && b.smooth.bucket != nil {
				return smoothed
			}
		}
		if s.l.pace != nil {
			return paced
		}
		return held
	}
	tokens := func(left int64) Quota { return Quota{Resource: "tokens", Limit: 1000, Remaining: left} }
	for _, c := range []struct {
		name   string
		tokens int64 // that the request is thought to cost
		told   []Quota
		want   string
	}{
		{"no requests left", 0, []Quota{left(600, 0)}, held},
		{"many requests left", 0, []Quota{left(600, 300)}, smoothed},
		{"fewer tokens left than it costs", 900, []Quota{left(600, 300), tokens(700)}, held},
		{"few tokens left, by the server's count", 100, []Quota{left(600, 300), tokens(400)}, paced},
		{"many tokens left", 100, []Quota{left(600, 300), tokens(800)}, smoothed},
		{"no tokens left, and it costs none", 0, []Quota{left(600, 300), tokens(0)}, smoothed},
		{"a remaining that is not stated", 0, []Quota{left(600, -1)}, paced},
		{"nothing said", 0, nil, paced},
	} {
		s := newStory(t)
		request := &claim{cost: cost{1, Tokens{Input: c.tokens}}, route: s.route}
		for i := range c.told {
			c.told[i].Reset = s.time(60)
		}
		s.l.charge(s.time(0), request)
		s.deny(0.1, request, -1, c.told...)
		if got := became(s); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		left int64
		want string
	}{{1, held}, {5, held}, {13, paced}, {300, paced}} {
		s := newStory(t)
		other := &route{}
		s.answer(0.1, s.send(0), s.left(0.1, 600, c.left, 60))
		foreign := s.left(0.1, 600, 0, 60)
		foreign.Scope = "other"
		elsewhere := &claim{cost: cost{requests: 1}, route: other}
		s.l.charge(s.time(0.2), elsewhere)
		s.answer(0.3, elsewhere, foreign)
		s.deny(1.1, s.send(1), -1)
		if got := became(s); got != c.want {
			t.Errorf("denied without a word when %d of 600 were left: %s, want %s", c.left, got, c.want)
		}
	}
}

func TestRequestIsChargedOnce(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), left(100, 90))
	old := s.send(1)
	s.answer(3.1, s.send(3), left(100, 80)) // old is in it
	s.fail(4, old)
	s.wantLevel(4, 80)
	if got := s.l.budgets[0].first; got != nil {
		t.Error("a claim that has ended is looked at")
	}
}

func TestDelaysInWholeSecondsAreTakenAsWritten(t *testing.T) {
	s := newStory(t)
	q := left(100, 1)
	q.Reset, q.resolution = s.time(0.1+10).Add(-3*time.Nanosecond), time.Second // as computed from another clock reading
	s.answer(0.1, s.send(0), q)
	if lo := s.l.budgets[0].turn.at.lo; lo != s.instant(9) {
		t.Errorf("not before %v, want 9 s", lo.Sub(s.instant(0)))
	}
}

func TestQuestionsAreForgottenWhenTheWindowTurns(t *testing.T) {
	b := budget{limit: 10, asks: 5}
	b.turn.set(from(10, 10.01), time.Millisecond)
	b.roll()
	if b.asks != 0 || b.best != 10 || !b.rolled {
		t.Errorf("%d asks, %v left", b.asks, b.best)
	}
}

func TestOfTwoQuotasOfOneIdentityTheTighterCounts(t *testing.T) {
	q := func(limit, left int64) Quota { return Quota{Resource: "requests", Limit: limit, Remaining: left} }
	s := newStory(t)
	s.answer(0.1, s.send(0), q(20, 0), q(10000, 9999))
	if _, _, ok := s.l.take(s.time(0.2), &claim{cost: cost{1, Tokens{}}, route: s.route}); ok {
		t.Error("admitted by the looser of the two")
	}
}

func TestQuotasOfAGatewayAndOfTheAPIBehindItAreTwoBudgets(t *testing.T) {
	q := func(limit, left int64, dialect uint8) Quota {
		return Quota{Resource: "requests", Limit: limit, Remaining: left, dialect: dialect}
	}
	s := newStory(t)
	s.answer(0.1, s.send(0), q(100, 60, 1), q(5, 4, 0))
	if n := len(s.l.budgets); n != 2 {
		t.Errorf("%d budgets", n)
	}
	s.answer(0.25, s.send(0.15), q(100, 58, 1)) // of the gateway alone
	s.answer(0.3, s.send(0.2), q(100, 59, 1), q(5, 0, 0))
	if n := len(s.l.budgets); n != 2 {
		t.Errorf("%d budgets", n)
	}
	if _, _, ok := s.l.take(s.time(0.4), &claim{cost: cost{1, Tokens{}}, route: s.route}); ok {
		t.Error("admitted by the looser of the two")
	}
}

func TestOneQuotaToldInTwoDialectsInTurnIsOneBudget(t *testing.T) {
	s := newStory(t)
	for i := range 4 {
		s.answer(float64(i)+0.1, s.send(float64(i)), Quota{Resource: "requests", Limit: 100, Remaining: int64(90 - i), dialect: uint8(i % 2)})
	}
	if n := len(s.l.budgets); n != 1 {
		t.Errorf("%d budgets", n)
	}
}
