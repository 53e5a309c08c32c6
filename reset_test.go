package steadyhttp

import (
	"math"
	"testing"
	"time"
)

// testStart is a moment at which a key has been in use for a while.
const testStart = instant(1000 * time.Second)

func sec(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

func at(s float64) instant { return testStart.Add(sec(s)) }

func from(lo, hi float64) timeSpan { return timeSpan{at(lo), at(hi)} }

func TestSpansMeetInWhatTheyHaveInCommon(t *testing.T) {
	for _, c := range []struct {
		a, b, want timeSpan
		ok         bool
	}{
		{from(0, 10), from(5, 15), from(5, 10), true},
		{from(5, 15), from(0, 10), from(5, 10), true},
		{from(0, 10), from(2, 3), from(2, 3), true},
		{from(0, 10), from(10, 20), from(10, 10), true},
		{from(0, 10), from(11, 20), timeSpan{}, false},
		{from(11, 20), from(0, 10), timeSpan{}, false},
	} {
		got, ok := c.a.meet(c.b)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%v and %v: %v, %v; want %v, %v", c.a, c.b, got, ok, c.want, c.ok)
		}
	}
	if (timeSpan{}).known() || !from(0, 0).known() {
		t.Error("the zero span is not known, any other is")
	}
	if got := from(1, 3).mid(); got != at(2) {
		t.Errorf("the middle of 1 to 3 is %v", got.Sub(testStart))
	}
}

// A Date is written when the answer is, without its fraction of a second.
func TestServersClockIsKnownAfterAFewDates(t *testing.T) {
	for _, c := range []struct {
		name                 string
		ahead, there, inside float64 // seconds
		back                 float64
	}{
		{"equal", 0, 0.01, 0.2, 0.01},
		{"5 s behind", -5.3, 0.01, 0.2, 0.01},
		{"30 s ahead", 30.7, 0.02, 0, 0.02},
		{"slow answers, stamped at their end", 2.25, 0.01, 8, 0.01},
		{"slow answers, stamped at their beginning", 2.25, 0.01, 0, 8},
	} {
		var clock serverClock
		for i := range 40 {
			sent := at(float64(i) * 1.37)
			stamped := sent.Add(sec(c.there + c.inside))
			date := instant(time.Duration(stamped.Add(sec(c.ahead))).Truncate(time.Second))
			clock.learn(date, sent, stamped.Add(sec(c.back)))
			if ahead := sec(c.ahead); clock.lo > ahead || ahead > clock.hi {
				t.Fatalf("%s, after %d answers: ahead by %v to %v", c.name, i+1, clock.lo, clock.hi)
			}
		}
		if width, took := clock.hi-clock.lo, sec(c.there+c.inside+c.back); width > took+100*time.Millisecond {
			t.Errorf("%s: known to %v by answers that took %v", c.name, width, took)
		}
		shown := at(500).Add(sec(c.ahead))
		if local := clock.local(shown); local.lo.After(at(500)) || local.hi.Before(at(500)) {
			t.Errorf("%s: what the server shows 500 s on is here at %v to %v", c.name, local.lo.Sub(testStart), local.hi.Sub(testStart))
		}
	}
}

func TestClockThatIsSetIsBelievedAtOnce(t *testing.T) {
	var clock serverClock
	learn := func(s, ahead float64) {
		clock.learn(instant(time.Duration(at(s+ahead)).Truncate(time.Second)), at(s), at(s+0.02))
	}
	for i := range 10 {
		learn(float64(i)*1.1, 0)
	}
	learn(20, -30)
	if clock.lo > -30*time.Second || clock.hi < -30*time.Second || clock.hi-clock.lo > 1100*time.Millisecond {
		t.Errorf("set back by 30 s: ahead by %v to %v", clock.lo, clock.hi)
	}
}

func TestOneRequestAsksAsEarlyAsRoundingAllows(t *testing.T) {
	var turn turn
	turn.set(from(10, 12), time.Second)
	if got, want := turn.ask(), at(10); got != want {
		t.Errorf("asks at %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
	if got, want := turn.over(), at(13); got != want {
		t.Errorf("surely over at %v, want its latest end and a resolution: %v", got.Sub(testStart), want.Sub(testStart))
	}
	turn.refused(at(10))
	if got, want := turn.ask(), at(12); got != want {
		t.Errorf("once refused it asks again at %v, want not before the latest end, %v", got.Sub(testStart), want.Sub(testStart))
	}
	turn.refused(at(12))
	if got := turn.ask(); got.Before(at(12.1)) || got.After(at(13)) {
		t.Errorf("refused at the latest end it asks again at %v, want a moment later", got.Sub(testStart))
	}
}

func TestEarlyRequestOfTheOldWindowIsNoRefusedQuestion(t *testing.T) {
	var turn turn
	turn.set(from(10, 12), time.Second)
	turn.refused(at(9.9))
	if got, want := turn.ask(), at(10); got != want {
		t.Errorf("asks at %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
}

// A server says in whole seconds when its window of a minute ends, rounded
// somehow: after a few windows the client asks within a tenth of a second of the
// end, and then it need not ask.
func TestServersRoundingIsLearned(t *testing.T) {
	for _, end := range []float64{10.01, 10.2, 10.5, 10.97, 11, 11.4, 11.99} {
		var turn turn
		refused := 0
		var asked, over float64
		for window := range 14 {
			shift := 60 * float64(window)
			turn.set(from(shift+10, shift+12), time.Second)
			if width := turn.point(turn.hi).Sub(turn.point(turn.lo)); width < 0 {
				t.Fatalf("end at %v: between %v and %v", end, turn.lo, turn.hi)
			}
			over = turn.over().Sub(at(shift + end)).Seconds()
			for {
				ask := turn.ask()
				if ask.Before(at(shift + end)) {
					refused++
					turn.refused(ask)
					continue
				}
				asked = ask.Sub(at(shift + end)).Seconds()
				turn.turned(ask)
				break
			}
		}
		if asked > 0.2 || asked < 0 || refused > 7 {
			t.Errorf("end at %v: in the end it asked %.3f s late, and was refused %d times", end, asked, refused)
		}
		if over < 0.1 || over > 0.3 {
			t.Errorf("end at %v: in the end it is sure %.3f s late, want the guard of 0.1 s", end, over)
		}
	}
}

func TestRoundingThatChangesIsLearnedAnew(t *testing.T) {
	var turn turn
	for window := range 8 {
		shift := 60 * float64(window)
		turn.set(from(shift+10, shift+12), time.Second)
		ask := turn.ask()
		if ask.Before(at(shift + 10.5)) {
			turn.refused(ask)
			ask = turn.ask()
		}
		turn.turned(ask)
	}
	turn.set(from(1010, 1012), time.Second)
	if ask := turn.ask(); ask.After(at(1011)) {
		t.Fatalf("has learned nothing: asks at %v", ask.Sub(at(1000)))
	}
	turn.refused(at(1011.5))
	if turn.lo != 0 || turn.hi != 1 || turn.agreed != 0 {
		t.Errorf("a window that ends later than any before: knows %v to %v", turn.lo, turn.hi)
	}
	turn.set(from(1070, 1072), time.Second)
	turn.lo, turn.hi = 0.5, 1
	turn.turned(at(1070.4))
	if turn.lo != 0 || turn.hi != 1 {
		t.Errorf("a window that ends earlier than any before: knows %v to %v", turn.lo, turn.hi)
	}
}

func TestResetStatedExactlyIsBelieved(t *testing.T) {
	var turn turn
	turn.set(from(10, 10.01), time.Millisecond)
	turn.refused(at(10.005))
	if turn.lo != 0 || turn.hi != 1 {
		t.Errorf("a refusal by the chance of the network has taught %v to %v", turn.lo, turn.hi)
	}
	turn.set(from(70, 70.01), time.Millisecond)
	if got, want := turn.ask(), at(70.01); got != want {
		t.Errorf("asks at %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
	if got, want := turn.over(), at(70.11); got != want {
		t.Errorf("over at %v, want %v: the guard", got.Sub(testStart), want.Sub(testStart))
	}
}

func TestWindowThatBeganWithARequestEndsALengthAfterIt(t *testing.T) {
	var turn turn
	turn.set(from(59, 61), time.Second)
	turn.by = at(60.3)
	if got, want := turn.point(1), at(60.3); got != want {
		t.Errorf("ends by %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
	if got, want := turn.over(), at(60.4); got != want {
		t.Errorf("over at %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
	if got, want := turn.ask(), at(59); got != want {
		t.Errorf("asks at %v, want %v: it may have begun before", got.Sub(testStart), want.Sub(testStart))
	}
	turn.refused(at(59)) // so it did not
	turn.set(from(119, 121), time.Second)
	turn.by = at(120.3)
	if got, want := turn.ask(), at(120.3); got != want {
		t.Errorf("once refused it asks at %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
	turn.turned(at(120.25))
	if !turn.opened {
		t.Error("a turn at that moment is taken for another rule")
	}
	turn.set(from(179, 181), time.Second)
	turn.by = at(180.3)
	turn.turned(at(179.2))
	if turn.opened {
		t.Error("a window that ended a second before is taken to have begun with the request")
	}
	turn.set(from(239, 241), time.Second)
	turn.by = at(238)
	if got, want := turn.point(1), at(241); got != want {
		t.Errorf("a length that contradicts the header is believed: %v, want %v", got.Sub(testStart), want.Sub(testStart))
	}
}

func TestFurtherStatementsNarrowTheSameEnd(t *testing.T) {
	var turn turn
	turn.set(from(10, 12), time.Second)
	turn.meet(from(11, 13))
	turn.meet(from(20, 21)) // of another window
	if turn.at != from(11, 12) {
		t.Errorf("from %v to %v", turn.at.lo.Sub(testStart), turn.at.hi.Sub(testStart))
	}
}

func TestRefusedQuestionIsRepeatedAfterAQuarterOfTheResolution(t *testing.T) {
	for _, c := range []struct {
		resolution time.Duration
		want       float64
	}{{time.Second, 0.25}, {time.Millisecond, 0.1}, {time.Minute, 15}} {
		var turn turn
		turn.set(from(10, 12), c.resolution)
		turn.refused(at(13))
		if got := turn.ask(); got != at(13+c.want) {
			t.Errorf("with a resolution of %v: %v later, want %v s", c.resolution, got.Sub(at(13)), c.want)
		}
	}
}

func TestRoundingIsTrustedAfterThreeWindows(t *testing.T) {
	var turn turn
	turn.lo, turn.hi = 0.5, 0.52
	for window := range 5 {
		shift := 60 * float64(window)
		turn.set(from(shift+10, shift+12), time.Second)
		late := turn.over().Sub(turn.point(turn.hi))
		if want := map[bool]time.Duration{false: time.Second, true: turnGuard}[window >= turnTrust]; late != want {
			t.Errorf("after %d windows it is sure %v after the end, want %v", window, late, want)
		}
		turn.turned(turn.ask())
	}
}
