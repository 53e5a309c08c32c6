package steadyhttp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// learnFrom sends requests to a server with one limit, as many as it admits, in
// virtual time, and returns what the Limiter then knows of it.
func learnFrom(t *testing.T, p *steadytest.Provider, requests int, apart time.Duration) *budget {
	t.Helper()
	l := &Limiter{Base: &Classifier{Base: p}, Key: func(*http.Request) string { return "k" }}
	ctx := WithPriority(t.Context(), PriorityBatch)
	for range requests {
		resp, err := l.RoundTrip(edgeRequest(t, ctx))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		time.Sleep(apart)
	}
	entries := entriesOf(&l.keys)
	if len(entries) != 1 || len(entries[0].value.ledger.budgets) != 1 {
		t.Fatalf("%d keys, want one with one budget", len(entries))
	}
	return entries[0].value.ledger.budgets[0]
}

// written is a dialect of three headers, the reset in seconds, from now or since
// the epoch.
func written(reset steadytest.Value) *steadytest.Dialect {
	return &steadytest.Dialect{Name: "test", Fields: []steadytest.Field{
		{Name: "X-RateLimit-Limit", Value: steadytest.LimitN},
		{Name: "X-RateLimit-Remaining", Value: steadytest.RemainingN},
		{Name: "X-RateLimit-Reset", Value: reset},
	}}
}

func TestKindsOfRefillAreToldApart(t *testing.T) {
	t.Parallel()
	nearest := func(v steadytest.Value) steadytest.Value {
		return func(q steadytest.Quota, all []steadytest.Quota) string {
			q.Reset += time.Second / 2
			return v(q, all)
		}
	}
	resets := map[string]steadytest.Value{
		"delta cut": steadytest.ResetSeconds(steadytest.Truncate), "delta up": steadytest.ResetSeconds(steadytest.RoundUp),
		"delta nearest": nearest(steadytest.ResetSeconds(steadytest.Truncate)),
		"epoch cut":     steadytest.ResetEpoch(steadytest.Truncate), "epoch up": steadytest.ResetEpoch(steadytest.RoundUp),
		"epoch nearest": nearest(steadytest.ResetEpoch(steadytest.Truncate)),
	}
	for _, c := range []struct {
		kind     steadytest.Kind
		n        int64
		per      time.Duration
		requests int
		apart    time.Duration
		want     refill
		slides   bool
	}{
		{steadytest.ContinuousBucket, 60, time.Minute, 70, 100 * time.Millisecond, refillGradual, false},
		{steadytest.FixedWindow, 20, 10 * time.Second, 70, 100 * time.Millisecond, refillWindow, false},
		{steadytest.SlidingWindow, 100, 20 * time.Second, 330, 100 * time.Millisecond, refillWindow, true},
		{steadytest.SlidingLog, 10, 30 * time.Second, 60, 250 * time.Millisecond, refillLog, false},
	} {
		for form, reset := range resets {
			t.Run(fmt.Sprintf("%d/%s", c.kind, form), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 370e6, time.UTC)))
					p := &steadytest.Provider{
						Dialect: written(reset), Latency: 20 * time.Millisecond,
						Limits: []steadytest.Limit{{N: c.n, Per: c.per, Kind: c.kind}},
					}
					b := learnFrom(t, p, c.requests, c.apart)
					kind := b.kind
					if kind == refillUnknown {
						kind = refillWindow // is what it is taken for
					}
					slides := b.slide > 0 || b.slides > 0
					if kind != c.want || kind == refillWindow && slides != c.slides {
						t.Errorf("kind %d, slides %v (%d votes, %d creeps, %d slides, %.2f a second)", b.kind, b.slide > 0, b.votes, b.creeps, b.slides, b.slide)
					}
					if got := p.Counts(); got.Denied > 3 {
						t.Errorf("%d denied of %d", got.Denied, got.Requests)
					}
					if l := b.length(); c.kind == steadytest.FixedWindow && l != c.per.Seconds() {
						t.Errorf("windows of %v s, want %v", l, c.per)
					}
				})
			})
		}
	}
}

func TestPeriodOfABucketIsKnown(t *testing.T) {
	for _, c := range []struct {
		limit int64
		per   time.Duration
	}{{5000, time.Minute}, {200, 24 * time.Hour}, {60, time.Minute}, {50, 5 * time.Second}, {90, 45 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			p := &steadytest.Provider{Limits: []steadytest.Limit{{N: c.limit, Per: c.per}}, Latency: time.Millisecond}
			b := learnFrom(t, p, 20, 0)
			want := float64(c.limit) / c.per.Seconds()
			if got := b.perSecond(); got > want*1.001 || got < want*0.94 {
				t.Errorf("%d per %v: %v a second, want %v (period between %v and %v s)", c.limit, c.per, got, want, b.period.lo, b.period.hi)
			}
		})
	}
}

func TestIntervalsAreRefinedUntilTheyContradict(t *testing.T) {
	var s interval
	for _, c := range []struct{ o, want interval }{
		{interval{10, math.Inf(1)}, interval{10, math.Inf(1)}},
		{interval{5, 90}, interval{10, 90}},
		{interval{58, 61}, interval{58, 61}},
		{interval{60, 70}, interval{60, 61}},
		{interval{0, 0}, interval{60, 61}},
		{interval{3, 2}, interval{60, 61}},
		{interval{9, 11}, interval{9, 11}},
	} {
		if s.refine(c.o); s != c.want {
			t.Fatalf("with %v: %v, want %v", c.o, s, c.want)
		}
	}
}

func TestLimitThatChangesIsTakenOver(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 60, 60))
	old := s.send(1)
	if changed := s.answer(2.1, s.send(2), s.left(2.1, 50, 10, 58)); !changed {
		t.Error("a lower limit is no news")
	}
	s.wantLevel(2.2, 10) // what is not answered was sent long before
	s.answer(3, old, s.left(3, 100, 59, 57))
	if b := s.l.budgets[0]; b.limit != 50 {
		t.Errorf("an older answer has undone it: %v", b.limit)
	}
	s.wantLevel(3, 10)
	s.answer(4.1, s.send(4), s.left(4.1, 500, 400, 56))
	s.wantLevel(4.2, 400)
	if got := len(s.all(4.3)); got != 395 {
		t.Errorf("%d are sent of 400 that are left of 500, want 395", got)
	}
}

func TestRaisedLimitCountsAtOnce(t *testing.T) {
	s := newStory(t)
	a := s.send(0)
	s.answer(0.1, a, s.left(0.1, 100, 10, 60))
	s.answer(0.3, s.send(0.15), s.left(0.3, 200, 110, 59.8)) // sent only just later
	s.wantLevel(0.3, 110)
}

func TestAnswersOfAnOlderWindowAreIgnored(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 50, 10))
	late := s.send(9)
	s.answer(11.1, s.send(11), s.left(11.1, 100, 99, 9))
	s.answer(11.5, late, Quota{Resource: "requests", Limit: 100, Remaining: 3, Reset: s.time(10.1), absolute: s.time(10.1)})
	s.wantLevel(12, 99)
}

func TestNewWindowBeginsAnew(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 3, 10))
	s.answer(10.3, s.send(10.2), s.left(10.3, 100, 99, 9.8))
	s.wantLevel(10.4, 99)
	if l := s.l.budgets[0].length(); l != 10 {
		t.Errorf("windows of %v s, want 10", l)
	}
}

// What is missing at the beginning of a window, and was not used here, is
// another's, or that of the window before which slides out.
func TestWhatSlidesOutOfAWindowComesBack(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 2, 10))
	c, _ := s.try(10.2)
	if c == nil {
		t.Fatal("nobody asks at the reset")
	}
	s.answer(10.3, c, s.left(10.3, 100, 3, 9.8))
	s.wantWait(10.3, 0) // 3 less the margin, and
	if got := s.level(12.3); got < 15 || got > 30 {
		t.Errorf("two seconds later %v are left, want some 22", got)
	}
	for now := 12.4; now < 19; now += 0.1 {
		if c, _ := s.try(now); c != nil { // so it was another's
			s.deny(now+0.02, c, -1, s.left(now+0.02, 100, 0, 20.1-now-0.02))
		}
	}
	if b := s.l.budgets[0]; b.slide != 0 {
		t.Errorf("nothing came back, and it still counts on %v a second", b.slide)
	}
}

func TestLimitPerResetIsARate(t *testing.T) {
	s := newStory(t)
	s.answer(0.01, s.send(0), Quota{Resource: "requests", Limit: 10, Remaining: 49, Reset: s.time(1.01), resolution: time.Second})
	b := s.l.budgets[0]
	if b.kind != refillGradual || b.limit != 49 || math.Abs(b.perSecond()-10) > 0.1 {
		t.Errorf("kind %d, capacity %v, %v a second; want %d, 49, 10", b.kind, b.limit, b.perSecond(), refillGradual)
	}
	s.answer(10.01, s.send(10), Quota{Resource: "requests", Limit: 10, Remaining: 59, Reset: s.time(11.01), resolution: time.Second})
	if b.limit != 59 {
		t.Errorf("capacity %v, want the most that was seen, 59", b.limit)
	}
}

// A delay counts from the sending: the server reckoned it when it admitted the
// request, and then took its time to answer.
func TestRelativeResetsCountFromTheSending(t *testing.T) {
	s := newStory(t)
	s.answer(8, s.send(0), s.left(8, 100, 1, 10))
	s.wantWait(8.1, 1.9)
}

func TestAbsoluteResetsCountOnTheServersClock(t *testing.T) {
	for _, ahead := range []float64{-5, 0, 30, 3600} {
		s := newStory(t)
		for i := range 12 {
			sec := float64(i) * 0.93
			c := s.send(sec)
			server := s.time(sec + 0.02 + ahead)
			s.l.settle(s.time(sec+0.04), c, &ending{
				date: server.Truncate(time.Second),
				Outcome: Outcome{Class: ClassSuccess, Quotas: []Quota{{
					Resource: "requests", Limit: 100, Remaining: int64(11 - i), resolution: time.Second,
					Reset: s.time(60), absolute: s.time(60 + ahead), // the first as by the Date of the answer, whole seconds
				}}},
			})
		}
		if got := s.l.budgets[0].turn.at; got.lo.Before(s.instant(58.7)) || got.hi.After(s.instant(61.3)) || got.lo.After(s.instant(60)) || got.hi.Before(s.instant(60)) {
			t.Errorf("a clock %v s ahead: the window ends at %v to %v s", ahead, got.lo.Sub(s.instant(0)), got.hi.Sub(s.instant(0)))
		}
	}
}

// What comes back within a window is what the server has more than it had, and
// what was used here since. Here it is asked every second, by two at a time.
func TestWhatIsUsedHereIsNoOthersAndNoRefill(t *testing.T) {
	for _, c := range []struct {
		name          string
		back          float64 // per second, in the server
		slides        bool
		least, atMost float64
	}{
		{"nothing comes back", 0, false, 0, 0},
		{"five a second come back", 5, true, 3.5, 5.5},
	} {
		s := newStory(t)
		// The limit is so much larger that this is no window that refills gradually.
		for i := range 12 {
			sec := float64(i)
			a, b := s.send(sec), s.send(sec)
			remaining := func(n float64) int64 { return int64(500 - 2*sec - n + c.back*sec) }
			s.answer(sec+0.1, a, s.left(sec+0.1, 1000, remaining(1), 60-sec))
			s.answer(sec+0.1, b, s.left(sec+0.1, 1000, remaining(2), 60-sec))
		}
		b := s.l.budgets[0]
		if got := b.slides > 0; got != c.slides || b.slide < c.least || b.slide > c.atMost {
			t.Errorf("%s: %d slides, %.2f a second", c.name, b.slides, b.slide)
		}
	}
}

func TestRequestsInFlightAreNoRefill(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 1000, 500, 60))
	var flying []*claim
	for i := range 20 { // sent with the last, which was admitted first
		flying = append(flying, s.send(1+float64(i)*0.005))
	}
	last := s.send(1.1)
	s.answer(1.2, last, s.left(1.2, 1000, 499, 59))
	if b := s.l.budgets[0]; b.slide > 0 {
		t.Errorf("20 that the server may not have counted yet look like %v a second", b.slide)
	}
	for i, c := range flying {
		s.answer(2, c, s.left(2, 1000, int64(498-i), 59))
	}
	s.wantLevel(2, 479)
}

func TestSlideThatEndsIsNoticed(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 1000, 2, 10))
	c, _ := s.try(10.2)
	if c == nil {
		t.Fatal("nobody asks at the reset")
	}
	s.answer(10.3, c, s.left(10.3, 1000, 300, 9.9))
	if b := s.l.budgets[0]; b.slide < 50 {
		t.Fatalf("700 are missing: %v a second", b.slide)
	}
	s.answer(12.3, s.send(12.2), s.left(12.3, 1000, 299, 7.9))
	if b := s.l.budgets[0]; b.slide != 0 || b.slides != -1 {
		t.Errorf("two seconds later nothing has come back: %v a second, %d", b.slide, b.slides)
	}
}

func TestResetThatMovesBeforeItCameIsOfABucket(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0), s.left(0.1, 100, 90, 6))
	for i := 1; i <= 2; i++ {
		sec := float64(i) * 0.5
		s.answer(sec+0.1, s.send(sec), s.left(sec+0.1, 100, int64(90-20*i), 6+12*float64(i)))
	}
	if b := s.l.budgets[0]; b.kind != refillGradual {
		t.Errorf("kind %d, %d votes", b.kind, b.votes)
	}
}

func TestWhatIsNewsIsTold(t *testing.T) {
	s := newStory(t)
	for i, c := range []struct {
		limit, left int64
		want        bool
	}{{100, 90, true}, {100, 89, false}, {100, -1, false}, {50, 40, true}, {50, 39, false}, {60, -1, true}} {
		if got := s.answer(float64(i)+0.1, s.send(float64(i)), left(c.limit, c.left)); got != c.want {
			t.Errorf("answer %d, %d of %d: news %v, want %v", i+1, c.left, c.limit, got, c.want)
		}
	}
}

// A window that nobody had used up tells nothing of whether it comes back whole.
func TestOnlyASpentWindowTellsThatItComesBackWhole(t *testing.T) {
	for _, c := range []struct {
		left int64
		want bool
	}{{2, true}, {60, false}} {
		s := newStory(t)
		s.answer(0.1, s.send(0), s.left(0.1, 100, c.left, 10))
		s.answer(10.3, s.send(10.2), s.left(10.3, 100, 99, 9.9))
		if b := s.l.budgets[0]; b.whole != c.want {
			t.Errorf("after %d were left: %v", c.left, b.whole)
		}
	}
}

// A limit of 600 a minute, of which only few can be used at once.
func TestBucketMayHoldLessThanItsLimitSays(t *testing.T) {
	for _, burst := range []int64{20, 100, 300} {
		synctest.Test(t, func(t *testing.T) {
			p := &steadytest.Provider{
				Limits:  []steadytest.Limit{{N: 600, Per: time.Minute, Burst: burst}},
				Latency: 100 * time.Millisecond,
			}
			l := &Limiter{Base: &Classifier{Base: p}, Key: func(*http.Request) string { return "k" }}
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond) // in the order of sending, the same in each run
					for range 60 {
						if resp, err := l.RoundTrip(listModels(t, t.Context())); err == nil {
							resp.Body.Close()
						}
					}
				})
			}
			wg.Wait()
			c := p.Counts()
			if c.Denied > 30 {
				t.Errorf("a bucket of %d: %d of %d denied", burst, c.Denied, c.Requests)
			}
			b := entriesOf(&l.keys)[0].value.ledger.budgets[0]
			if b.limit < float64(burst) || b.limit > float64(burst)*1.3 {
				t.Errorf("a bucket of %d is taken for one of %v", burst, b.limit)
			}
			if got := b.perSecond(); got < 9.5 || got > 13 {
				t.Errorf("a bucket of %d: %v a second, want 10", burst, got)
			}
		})
	}
}

func TestBucketThatIsNotFullHoldsWhatItsLimitSays(t *testing.T) {
	for _, apart := range []float64{0.02, 0.3} {
		s := newStory(t)
		level := 400.0 // others have used 200
		for i := range 40 {
			sec := float64(i) * apart
			level = min(600, level+10*apart) - 3
			c := s.send(sec)
			s.answer(sec+0.1, c, s.left(sec+0.1, 600, int64(level), (600-level)/10))
		}
		if b := s.l.budgets[0]; b.limit != 600 || b.stated != 0 {
			t.Errorf("requests %v s apart: a capacity of %v", apart, b.limit)
		}
	}
}

func TestNewLimitForgetsWhatTheBucketHeld(t *testing.T) {
	b := &budget{budgetID: budgetID{resource: "requests"}, kind: refillGradual, limit: 20, stated: 600}
	for i, c := range []struct{ limit, want float64 }{{600, 20}, {300, 300}, {600, 600}} {
		now := at(float64(i))
		b.observe(&reading{limit: c.limit, remaining: 5, sent: now, arrived: now})
		if b.limit != c.want {
			t.Errorf("a limit of %v: a capacity of %v, want %v", c.limit, b.limit, c.want)
		}
	}
}

// The next answers are all of a bucket that is empty, and tell nothing any more.
func TestSmallBucketIsFoundByItsFirstAnswers(t *testing.T) {
	s := newStory(t)
	var claims []*claim
	for range 8 {
		claims = append(claims, s.send(0))
	}
	for i, left := range []int64{19, 13, 14, 17, 15, 12, 18, 16} {
		s.answer(0.1, claims[i], s.left(0.1, 600, left, float64(20-left)/10))
	}
	if b := s.l.budgets[0]; b.limit < 20 || b.limit > 26 {
		t.Errorf("a bucket of 20 is taken for one of %v", b.limit)
	}
}

// Eight requests are sent at once, and admitted and answered in any order. What the
// server has refilled meanwhile may be used, and no more.
func TestAnswersToAColdStartInAnyOrderAllowNoMoreThanTheServerHas(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newStory(t)
		var sent []*claim
		for range 8 {
			sent = append(sent, s.send(0))
		}
		admitted, more := r.Perm(8), 0
		for _, n := range r.Perm(8) {
			s.answer(0.3, sent[admitted[n]], s.left(0.3, 20, int64(19-n), float64(n+1)/10))
			more += len(s.all(0.3))
		}
		if more > 20-8+3 {
			t.Fatalf("order %d: %d sent", seed, more)
		}
	}
}

func TestOnlyABucketIsThoughtToHoldLessThanItsLimit(t *testing.T) {
	const now = instant(time.Hour)
	for kind, want := range map[refill]float64{refillGradual: 22, refillWindow: 600, refillLog: 600} {
		b := &budget{budgetID: budgetID{resource: "requests"}, kind: kind, limit: 600}
		for i, left := range []float64{15, 5} { // a second for each
			sent := now.Add(time.Duration(i) * 3 * time.Second)
			at := sent.Add(time.Duration(5+10*i) * time.Second)
			b.undersized(&reading{limit: 600, remaining: left, sent: sent, reset: timeSpan{at, at}})
			b.ref = note{left, sent, timeSpan{at, at}}
		}
		if b.limit < want-1 || b.limit > want+1 {
			t.Errorf("kind %d: 600 are taken for %v, want %v", kind, b.limit, want)
		}
	}
}
