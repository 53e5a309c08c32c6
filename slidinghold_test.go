package steadyhttp

import (
	"testing"
	"time"
)

// spentWindow is a budget of 50 in windows of which one is spent: its end is said
// to be in 4 to 5 s.
func spentWindow(now instant) *budget {
	b := &budget{budgetID: budgetID{resource: "requests"}}
	for i := range 5 {
		sent := now.Add(time.Duration(i) * time.Millisecond)
		b.observe(&reading{
			limit: 50, remaining: float64(4 - i), sent: sent, arrived: sent.Add(20 * time.Millisecond),
			reset: timeSpan{now.Add(4 * time.Second), now.Add(5 * time.Second)}, resolution: time.Second,
		})
	}
	return b
}

// A hold may last beyond the end of a window. If nobody has seen yet what comes
// back there, it is one request that sees it.
func TestUnknownWindowThatEndedUnseenIsAskedByOneRequest(t *testing.T) {
	const now = instant(time.Hour)
	b := spentWindow(now)
	if r := b.ready(now.Add(10*time.Second), 0, 1, 1); !r.probe || r.at.After(now.Add(10*time.Second)) {
		t.Errorf("long after the end: %+v, want a probe at once", r)
	}
	if have := b.level(now.Add(10 * time.Second)); have > 1 {
		t.Errorf("%.0f are left, want none before the probe is answered", have)
	}
	b.whole = true // as other windows have shown
	if r := b.ready(now.Add(10*time.Second), 40, 1, 1); r.probe || r.at.After(now.Add(10*time.Second)) {
		t.Errorf("long after the end of a window as known: %+v, want all at once", r)
	}
}

// What slid out of the last window before this one ended counts in the next.
func TestWhatSlidInIsNotCarriedOverTheEndOfTheWindow(t *testing.T) {
	const now = instant(time.Hour)
	for _, tt := range []struct {
		after time.Duration
		want  bool // 30 at once
	}{
		{3900 * time.Millisecond, true},
		{4100 * time.Millisecond, false},
		{10 * time.Second, false},
	} {
		b := spentWindow(now)
		b.slide = 10
		at := now.Add(tt.after)
		if got := !b.ready(at, 29, 1, 1).at.After(at); got != tt.want {
			t.Errorf("30 at once %v later: %v, want %v", tt.after, got, tt.want)
		}
		if !tt.want && b.ready(at, 0, 1, 1).at.After(at) {
			t.Errorf("one request %v later has to wait, want it to ask", tt.after)
		}
	}
}

// Of a server whose answers take longer than its windows most of what is sent is
// unanswered when one ends.
func TestWindowOfWhichLittleWasUsedHoldsNobodyAtItsEnd(t *testing.T) {
	const now = instant(time.Hour)
	b := &budget{budgetID: budgetID{resource: "requests"}}
	b.observe(&reading{
		limit: 3000, remaining: 2900, sent: now, arrived: now.Add(12 * time.Second),
		reset: timeSpan{now.Add(2 * time.Second), now.Add(2 * time.Second)}, resolution: time.Millisecond,
	})
	b.slide, b.pending = 0.7, 60
	for _, after := range []time.Duration{time.Second, 12 * time.Second} {
		if at := now.Add(after); b.ready(at, 0, 1, b.margin()).at.After(at) {
			t.Errorf("%v after 2900 of 3000 were left one has to wait", after)
		}
	}
}

// What came back of a sliding window is a guess until it is seen. Three denials in a row
// prove it wrong, but those of what was sent together are one, and a request that was
// served is the end of the row, whether its answer says what is left or not.
func TestSlideIsGivenUpAfterDenialsInARow(t *testing.T) {
	const second = instant(time.Second)
	for _, tt := range []struct {
		name   string
		denied []instant // when what was denied was sent
		served instant   // and what was served meanwhile; zero if nothing was
		want   bool      // whether the slide is still believed in
	}{
		{"three in a row", []instant{second, 2 * second, 3 * second}, 0, false},
		{"three of one round trip", []instant{second, second + 1, second + 2}, 0, true},
		{"one of them served", []instant{second, 2 * second, 4 * second}, 3 * second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const now, length = instant(time.Hour), 60 * time.Second
			end := now.Add(length)
			b := &budget{budgetID: budgetID{resource: "requests"}, limit: 600, kind: refillWindow, slide: 10}
			b.turn.set(timeSpan{end, end}, time.Millisecond)
			b.opening.sent, b.mark, b.sized = now, now, now
			for _, at := range tt.denied {
				if tt.served > 0 && tt.served < at {
					b.granted(&claim{sent: now + tt.served})
				}
				b.observe(&reading{
					limit: 600, sent: now + at, arrived: (now + at).Add(20 * time.Millisecond),
					reset: timeSpan{end, end}, resolution: time.Millisecond, denied: true,
				})
			}
			if got := b.slide > 0; got != tt.want {
				t.Errorf("slide believed in: %v, want %v", got, tt.want)
			}
		})
	}
}
