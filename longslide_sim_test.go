package steadyhttp_test

import (
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

func TestSlidingLogOfAMinuteRefusesNobodyWhoCouldBeServed(t *testing.T) {
	t.Parallel()
	p := &steadytest.Provider{Dialect: delta(steadytest.Truncate), Limits: perMinute(600, steadytest.SlidingLog), Latency: 200 * time.Millisecond}
	if o := simulate(t, job{calls: 3000, workers: 1000, burst: 1000, every: 200 * time.Second}, p, 1); o.failed > 0 {
		t.Errorf("%d of 3000 calls failed, %d were denied", o.failed, o.denied)
	}
}
