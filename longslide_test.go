package steadyhttp

import (
	"testing"
	"time"
)

// Of a window in which each request comes back a minute after it came little has slid out
// when most is about to. Those who wait were refused for what that little came to.
func TestWhatSlidOutIsNoForecastBeyondTheEndOfTheWindow(t *testing.T) {
	const start = instant(time.Hour)
	end := start.Add(time.Minute)
	b := &budget{budgetID: budgetID{resource: "requests", window: time.Minute}, limit: 600, kind: refillWindow, best: 5, at: end, slide: 0.017, stretch: 60}
	b.turn.set(timeSpan{end, end.Add(time.Second)}, time.Second)
	now := end.Add(300 * time.Millisecond)
	for _, ahead := range []float64{0, 200} {
		if r := b.ready(now, ahead, 1, b.margin()); r.at.Sub(now) > 5*time.Second {
			t.Errorf("one behind %.0f others waits for %v after the end, want it to be known sooner", ahead, r.at.Sub(now))
		}
	}
	if r := b.ready(now.Add(3*time.Second), 0, 1, b.margin()); !r.probe || r.at.After(now.Add(3*time.Second)) {
		t.Errorf("after the end: %+v, want one to ask", r)
	}
}
