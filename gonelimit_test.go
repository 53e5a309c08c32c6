package steadyhttp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// A server whose answers name a window has another budget when that changes. The one
// before was kept, charged with every request, and held the key for ever.
func TestLimitThatAnotherHasReplacedHoldsNothingBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow} {
		p := &steadytest.Provider{Dialect: steadytest.IETF, Latency: 200 * time.Millisecond, Limits: perMinute(100, kind),
			Changes: []steadytest.Change{{After: 200 * time.Second, Limits: []steadytest.Limit{{N: 50, Per: 5 * time.Second, Kind: kind}}}}}
		j := job{calls: 5000, workers: 40}
		ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
		if o := simulate(t, j, p, 1); o.took > ideal*3/2 || o.deniedShare() > 0.02 {
			t.Errorf("kind %d: %v, %.1f%% denied, in %.2f x ideal", kind, o.took, 100*o.deniedShare(), o.took.Seconds()/ideal.Seconds())
		}
	}
}

// Nor do two that were replaced at the same time.
func TestLimitsThatOthersHaveReplacedHoldNothingBack(t *testing.T) {
	t.Parallel()
	call := steadytest.Call{Input: 505, MaxOutput: 300}
	limits := func(n int64, per time.Duration) []steadytest.Limit {
		return []steadytest.Limit{{N: n, Per: per}, {Resource: "tokens", N: 805 * n, Per: per}}
	}
	p := &steadytest.Provider{Dialect: steadytest.IETF, Latency: 200 * time.Millisecond, Limits: limits(100, time.Minute),
		Changes: []steadytest.Change{{After: 200 * time.Second, Limits: limits(50, 5*time.Second)}}}
	j := job{calls: 5000, workers: 40, body: func(int) string {
		return `{"model":"m","max_tokens":300,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 400) + `"}]}`
	}}
	ideal := p.Ideal(j.calls, j.workers, call)
	if o := simulate(t, j, p, 1); o.took > ideal*3/2 || o.deniedShare() > 0.02 {
		t.Errorf("%v, %.1f%% denied, in %.2f x ideal", o.took, 100*o.deniedShare(), o.took.Seconds()/ideal.Seconds())
	}
}

// A window that is not spoken of any more was asked for once a minute.
func TestWindowThatServerSpeaksOfNoMoreIsTakenForAFullOneWhenItEnds(t *testing.T) {
	t.Parallel()
	silence := 130 * time.Second
	p := &steadytest.Provider{Latency: 200 * time.Millisecond, Limits: perMinute(600, steadytest.FixedWindow), Changes: []steadytest.Change{{After: silence}}}
	if o := simulate(t, job{calls: 4000, workers: 20}, p, 1); o.failed > 0 || o.took > 5*time.Minute {
		t.Errorf("without the limit: %d failed, 4000 calls took %v", o.failed, o.took)
	}
	for _, kind := range []steadytest.Kind{steadytest.FixedWindow, steadytest.SlidingLog} {
		p := &steadytest.Provider{Latency: 200 * time.Millisecond, Limits: perMinute(600, kind)}
		o := simulate(t, job{calls: 3000, workers: 20, hide: func(resp *http.Response, after time.Duration) bool {
			return resp.StatusCode == http.StatusOK && after > silence
		}}, p, 1)
		if o.failed > 0 || o.deniedShare() > 0.003 || o.took > 7*time.Minute {
			t.Errorf("kind %d, with the limit: %d of 3000 calls failed, %d were denied, in %v", kind, o.failed, o.denied, o.took)
		}
	}
}
