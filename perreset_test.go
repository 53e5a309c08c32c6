package steadyhttp

import (
	"testing"
	"time"
)

// As tollbooth has it: RateLimit-Limit 10, RateLimit-Remaining 49 of a burst that
// it does not state, RateLimit-Reset 1, X-Rate-Limit-Duration 1.
func TestLimitPerResetIsTheRateEvenWhereTheWindowIsStated(t *testing.T) {
	const now = instant(time.Hour)
	for _, window := range []time.Duration{0, time.Second} {
		b := &budget{budgetID: budgetID{resource: "requests", window: window}}
		for i := range 3 {
			sent := now.Add(time.Duration(i) * time.Millisecond)
			b.observe(&reading{
				limit: 10, remaining: float64(49 - i), sent: sent, arrived: sent.Add(20 * time.Millisecond),
				reset: timeSpan{sent, sent.Add(2 * time.Second)}, resolution: time.Second,
			})
		}
		if got, want := b.perSecond(), 10.0; got != want {
			t.Errorf("with a stated window of %v: %v a second, want %v", window, got, want)
		}
		if got, want := b.limit, 49.0; got != want {
			t.Errorf("with a stated window of %v: capacity %v, want %v", window, got, want)
		}
	}
}
