package steadyhttp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// TestNobodyIsRefusedForAWaitThatIsOnlyGuessed is about servers whose rules the
// Limiter is slow to understand, and callers of which none would have to wait for
// longer than MaxWait.
func TestNobodyIsRefusedForAWaitThatIsOnlyGuessed(t *testing.T) {
	t.Parallel()
	const window, sliding, log, perSecond = steadytest.FixedWindow, steadytest.SlidingWindow, steadytest.SlidingLog, steadytest.PerSecond
	short := job{calls: 1500, workers: 64}
	slow := job{calls: 1500, workers: 100}
	for _, c := range []struct {
		dialect *steadytest.Dialect
		kind    steadytest.Kind
		n       int64
		per     time.Duration
		latency time.Duration
		job     job
		share   float64 // of another tenant
	}{
		{steadytest.IETF, log, 600, time.Minute, 500 * time.Millisecond, short, 0},
		{steadytest.IETF, log, 10, time.Second, 500 * time.Millisecond, short, 0},
		{steadytest.IETF, log, 300, 30 * time.Second, 30 * time.Millisecond, short, 0},
		{steadytest.IETF, sliding, 10, time.Second, 500 * time.Millisecond, short, 0},
		{steadytest.OpenAI, log, 100, 10 * time.Second, 500 * time.Millisecond, short, 0},
		{steadytest.OpenAI, perSecond, 60, time.Minute, 500 * time.Millisecond, short, 0},
		{steadytest.OpenAI, sliding, 300, 30 * time.Second, 3 * time.Second, short, 0.3},
		{steadytest.GitHub, sliding, 600, time.Minute, 500 * time.Millisecond, short, 0},
		{steadytest.GitHub, window, 10, time.Second, 500 * time.Millisecond, short, 0},
		{steadytest.GitHub, log, 10, time.Second, 500 * time.Millisecond, short, 0},
		{steadytest.Anthropic, window, 10, time.Second, 500 * time.Millisecond, short, 0},
		{steadytest.Anthropic, perSecond, 3000, time.Minute, 12 * time.Second, slow, 0},
		{steadytest.AltLLM, sliding, 600, time.Minute, 500 * time.Millisecond, short, 0},
		{steadytest.Silent, window, 600, time.Minute, 500 * time.Millisecond, short, 0},
	} {
		t.Run(fmt.Sprintf("%s, kind %d, %d per %v, %v", c.dialect.Name, c.kind, c.n, c.per, c.latency), func(t *testing.T) {
			p := &steadytest.Provider{
				Dialect: c.dialect, Latency: c.latency, Tenant: steadytest.Tenant{Share: c.share},
				Limits: []steadytest.Limit{{N: c.n, Per: c.per, Kind: c.kind}},
			}
			ideal := p.Ideal(c.job.calls, c.job.workers, steadytest.Call{})
			o := simulate(t, c.job, p, 1)
			if o.failed > 0 || o.took > 2*ideal {
				t.Errorf("%d of %d calls failed, in %.2f x ideal", o.failed, c.job.calls, o.took.Seconds()/ideal.Seconds())
			}
		})
	}
}

func TestBurstAfterALongSilenceIsNotTakenForItsRate(t *testing.T) {
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow} {
		p := &steadytest.Provider{
			Dialect: steadytest.Silent, Latency: 200 * time.Millisecond,
			Limits: []steadytest.Limit{{N: 60, Per: 10 * time.Second, Kind: kind}},
		}
		if o := simulate(t, job{calls: 200, workers: 100, burst: 100, every: time.Hour}, p, 1); o.failed > 10 {
			t.Errorf("kind %d: %d of 200 calls failed", kind, o.failed)
		}
	}
}
