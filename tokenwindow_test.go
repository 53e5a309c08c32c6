package steadyhttp

import (
	"testing"
	"time"
)

// What an API counts differs from what was estimated. Where the estimate is too high
// it looks as if tokens had come back before the reset.
func TestWindowOfTokensIsNotTakenForSlidingByEstimatesThatAreTooHigh(t *testing.T) {
	const start = instant(time.Hour)
	b := &budget{budgetID: budgetID{resource: "tokens"}}
	reset := start.Add(time.Minute)
	for i := range 20 {
		sent, estimated := start.Add(time.Duration(i)*time.Second), float64(i+1)*1200
		b.observe(&reading{
			limit: 200_000, remaining: 200_000 - float64(i+1)*1000,
			sent: sent, arrived: sent.Add(500 * time.Millisecond),
			reset: timeSpan{reset, reset}, resolution: time.Millisecond,
			spent: estimated, settled: estimated - 1200, after: estimated,
		})
	}
	if b.slide != 0 {
		t.Errorf("%.1f tokens a second are expected back before the reset, want none", b.slide)
	}
}

func TestSlidingWindowOfTokensLetsOneRequestAskWhenItTurns(t *testing.T) {
	const start = instant(time.Hour)
	b := &budget{budgetID: budgetID{resource: "tokens"}, kind: refillWindow, limit: 200_000, best: 150_000, at: start, slide: 20, stretch: 60}
	b.turn.set(timeSpan{start.Add(time.Minute), start.Add(time.Minute)}, time.Millisecond)
	now := start.Add(61 * time.Second)
	if r := b.ready(now, 0, 5000, b.margin()); r.at.After(now) {
		t.Errorf("a request of 5,000 tokens waits for %v, want it to go: of the window before 150,000 were left", r.at.Sub(now))
	}
	c := &claim{cost: cost{1, Tokens{Input: 5000}}, sent: now}
	b.take(now, c, false)
	if r := b.ready(now, 0, 5000, b.margin()); !r.at.After(now) {
		t.Error("a second one goes before the first is answered")
	}
}
