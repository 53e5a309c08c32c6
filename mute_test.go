package steadyhttp_test

import (
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// Where denials alone tell of a limit, the request that asks for the last of it is
// served, and is no sign that everything has come back.
func TestLimitToldInDenialsAloneIsNotOverrunWhenTheLastOfItIsServed(t *testing.T) {
	t.Parallel()
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow, steadytest.SlidingLog} {
		p := &steadytest.Provider{Dialect: onlyOf(steadytest.OpenAI), Latency: 200 * time.Millisecond,
			Limits: []steadytest.Limit{{N: 100, Per: 10 * time.Second, Kind: kind}}}
		j := job{calls: 1500, workers: 40}
		ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
		o := simulate(t, j, p, 1)
		if x := o.took.Seconds() / ideal.Seconds(); o.failed > 0 || x > 1.3 || o.deniedShare() > 0.05 {
			t.Errorf("kind %d: %d failed, %.1f%% denied, in %.2f x ideal", kind, o.failed, 100*o.deniedShare(), x)
		}
	}
}
