package steadyhttp

import (
	"math"
	"testing"
	"time"
)

// The resets of windows of a second, in whole seconds, overlap from one window to the next.
// That a request was sent when the window had ended by its length tells them apart.
func TestAnswerOfAWindowThatBeganByItsLengthIsNotTakenForTheOldOnes(t *testing.T) {
	const start = instant(time.Hour)
	b := &budget{budgetID: budgetID{resource: "requests", window: time.Second}, whole: true, turn: turn{opened: true}}
	answer := func(sent instant, remaining float64) {
		reset := sent.Add(time.Second)
		b.observe(&reading{limit: 5, remaining: remaining, sent: sent, arrived: sent.Add(100 * time.Millisecond),
			reset: timeSpan{reset, reset}.widened(time.Second), resolution: time.Second})
	}
	for left := 4.0; left >= 0; left-- {
		answer(start, left)
	}
	for range 3 {
		end := b.turn.by
		if r := b.ready(end.Add(turnGuard), 0, 1, 0); r.at.After(end.Add(turnGuard)) {
			t.Fatalf("%v after the end by its length the window is not over", turnGuard)
		}
		for left := 4.0; left >= 0; left-- {
			answer(end, left)
		}
		if after := b.turn.by.Sub(end); after < time.Second || after > time.Second+2*jitter {
			t.Fatalf("the next window ends %v after the one before", after)
		}
		if now := end.Add(2 * turnGuard); !b.ready(now, 0, 1, 0).at.After(now) {
			t.Fatalf("a window that is used up has %v left", b.level(now))
		}
	}
}

// A gap is stated a second too long or too short, but eight of them are not.
func TestLengthOfAWindowIsLearnedFromManyInARow(t *testing.T) {
	b := &budget{}
	for n := range 8 {
		b.measure(5.05+float64(1-n%2*2), 2, jitter)
	}
	if got := b.length(); got != 5 || b.gap.hi-b.gap.lo > 1 {
		t.Errorf("a window lasts %v s, %v, want 5", got, b.gap)
	}
	b.measure(60, 2, time.Minute)
	if b.turn.row != 0 || b.length() != 5 {
		t.Error("a window after a pause counts as one of a row")
	}
}

// Windows of a minute said nothing of those of a second that the server has come to, but
// their mean did for hours, so that callers were refused who would have waited a moment.
func TestLengthOfAWindowIsLearnedAnewWhenTheServerChangesIt(t *testing.T) {
	for _, c := range []struct{ before, after, width float64 }{{60, 1, 0.1}, {60, 1, 2}, {1, 60, 0.1}, {2, 60, 2}} {
		b := &budget{}
		for range 40 {
			b.measure(c.before, c.width, jitter)
		}
		for range 4 {
			b.measure(c.after, c.width, jitter)
		}
		if got := b.length(); math.Abs(got-c.after) > 0.5 {
			t.Errorf("windows of %v s became ones of %v s, stated to within %v s: they are thought to last %v s, %v", c.before, c.after, c.width, got, b.gap)
		}
	}
}
