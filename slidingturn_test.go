package steadyhttp

import (
	"testing"
	"time"
)

// As go-chi/httprate has it: of a window that slides little is ever left, and its
// end, in whole seconds, moves on by a window each.
func TestSlidingWindowIsNotTakenForGradualWhenItTurns(t *testing.T) {
	const start = instant(time.Hour + 370*time.Millisecond)
	const length = 5 * time.Second
	b := &budget{budgetID: budgetID{resource: "requests"}}
	for at := time.Duration(0); at < 4*length; at += 50 * time.Millisecond {
		remaining := 1.0
		if at < 500*time.Millisecond {
			remaining = float64(45 - 5*(at/(50*time.Millisecond)))
		} else if at < length {
			continue // all is spent
		}
		sent := start.Add(at)
		said := instant(time.Duration(start.Add((at/length + 1) * length)).Truncate(time.Second))
		b.observe(&reading{
			limit: 50, remaining: remaining, sent: sent, arrived: sent.Add(20 * time.Millisecond),
			reset:      timeSpan{said.Add(-time.Second), said.Add(time.Second)}, // down or up: who knows
			resolution: time.Second,
		})
		if b.kind == refillGradual {
			t.Fatalf("%v after the start it is taken to refill gradually, %.1f a second", at, b.perSecond())
		}
	}
	if b.kind != refillWindow {
		t.Errorf("kind %d, want %d", b.kind, refillWindow)
	}
}
