package steadyhttp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// TestNobodyIsRefusedForAWaitThatIsOnlyGuessed is about servers whose windows the
// Limiter is slow to understand: 64 callers, of which none would have to wait for
// longer than MaxWait.
func TestNobodyIsRefusedForAWaitThatIsOnlyGuessed(t *testing.T) {
	for _, c := range []struct {
		dialect *steadytest.Dialect
		kind    steadytest.Kind
		n       int64
		per     time.Duration
	}{
		{steadytest.IETF, steadytest.SlidingLog, 600, time.Minute},
		{steadytest.IETF, steadytest.SlidingLog, 10, time.Second},
		{steadytest.IETF, steadytest.SlidingWindow, 10, time.Second},
		{steadytest.OpenAI, steadytest.SlidingLog, 100, 10 * time.Second},
		{steadytest.GitHub, steadytest.SlidingWindow, 600, time.Minute},
		{steadytest.GitHub, steadytest.FixedWindow, 10, time.Second},
		{steadytest.GitHub, steadytest.SlidingLog, 10, time.Second},
		{steadytest.Anthropic, steadytest.FixedWindow, 10, time.Second},
		{steadytest.AltLLM, steadytest.SlidingWindow, 600, time.Minute},
		{steadytest.OpenAI, steadytest.PerSecond, 60, time.Minute},
		{steadytest.Silent, steadytest.FixedWindow, 600, time.Minute},
	} {
		t.Run(fmt.Sprintf("%s, kind %d, %d per %v", c.dialect.Name, c.kind, c.n, c.per), func(t *testing.T) {
			p := &steadytest.Provider{
				Dialect: c.dialect, Latency: 500 * time.Millisecond,
				Limits: []steadytest.Limit{{N: c.n, Per: c.per, Kind: c.kind}},
			}
			if o := simulate(t, job{calls: 1500, workers: 64}, p, 1); o.failed > 0 {
				t.Errorf("%d of 1500 calls failed", o.failed)
			}
		})
	}
}
