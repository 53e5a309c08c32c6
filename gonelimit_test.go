package steadyhttp_test

import (
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// A server whose answers name a window has another budget when that changes. The one
// before was kept, charged with every request, and held the key for ever.
func TestLimitThatAnotherHasReplacedHoldsNothingBack(t *testing.T) {
	t.Parallel()
	for _, d := range []*steadytest.Dialect{steadytest.IETF, steadytest.IETF03} {
		for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow, steadytest.SlidingWindow, steadytest.SlidingLog} {
			p := &steadytest.Provider{Dialect: d, Latency: 200 * time.Millisecond, Limits: perMinute(100, kind),
				Changes: []steadytest.Change{{After: 200 * time.Second, Limits: []steadytest.Limit{{N: 50, Per: 5 * time.Second, Kind: kind}}}}}
			j := job{calls: 5000, workers: 40}
			ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
			if o := simulate(t, j, p, 1); o.took > ideal*3/2 || o.deniedShare() > 0.02 {
				t.Errorf("%s, kind %d: %v, %.1f%% denied, in %.2f x ideal", d.Name, kind, o.took, 100*o.deniedShare(), o.took.Seconds()/ideal.Seconds())
			}
		}
	}
}

// One that has no limit any more, and sends no headers, was asked once a minute.
func TestLimitThatServerSpeaksOfNoMoreHoldsNothingBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow, steadytest.SlidingLog} {
		p := &steadytest.Provider{Latency: 200 * time.Millisecond, Limits: perMinute(600, kind), Changes: []steadytest.Change{{After: 130 * time.Second}}}
		if o := simulate(t, job{calls: 8000, workers: 20}, p, 1); o.failed > 0 || o.took > 6*time.Minute {
			t.Errorf("kind %d: %d failed, 8000 calls took %v", kind, o.failed, o.took)
		}
	}
}
