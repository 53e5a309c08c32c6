package steadyhttp_test

import (
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// The ends of the shorter windows that a server has come to lie before that of the long one
// which was under way. They were taken for those of older windows, and nothing counted until
// that had ended: for up to an hour all was sent, and most of it denied.
func TestServerThatComesToShorterWindowsIsBelievedAtOnce(t *testing.T) {
	t.Parallel()
	for kind, d := range map[steadytest.Kind]*steadytest.Dialect{
		steadytest.FixedWindow: steadytest.GitHub, steadytest.SlidingWindow: steadytest.OpenAI, steadytest.SlidingLog: steadytest.GitHub,
	} {
		p := &steadytest.Provider{Dialect: d, Latency: 400 * time.Millisecond, Limits: []steadytest.Limit{{N: 5000, Per: time.Hour, Kind: kind}},
			Changes: []steadytest.Change{{After: 2 * time.Minute, Limits: perMinute(100, kind)}}}
		if o := simulate(t, job{calls: 1600, workers: 4}, p, 1); o.failed > 0 || o.deniedShare() > 0.01 {
			t.Errorf("%s, kind %d: %d of 1600 calls failed, %.1f%% of %d requests were denied", d.Name, kind, o.failed, 100*o.deniedShare(), o.sent)
		}
	}
}

func TestSlidingWindowThatBecomesShorterIsBelievedAtOnce(t *testing.T) {
	t.Parallel()
	p := &steadytest.Provider{Latency: 200 * time.Millisecond, Limits: perMinute(100, steadytest.SlidingWindow),
		Changes: []steadytest.Change{{After: 200 * time.Second, Limits: []steadytest.Limit{{N: 100, Per: time.Second, Kind: steadytest.SlidingWindow}}}}}
	if o := simulate(t, job{calls: 1500, workers: 40}, p, 1); o.failed > 0 || o.deniedShare() > 0.01 {
		t.Errorf("%d of 1500 calls failed, %.1f%% of %d requests were denied", o.failed, 100*o.deniedShare(), o.sent)
	}
}
