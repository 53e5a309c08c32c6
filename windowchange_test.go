package steadyhttp_test

import (
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

func TestNobodyIsRefusedForTheLengthThatWindowsHadBefore(t *testing.T) {
	t.Parallel()
	for _, d := range []*steadytest.Dialect{steadytest.OpenAI, plain(steadytest.Truncate)} {
		p := &steadytest.Provider{Dialect: d, Limits: perMinute(600, steadytest.FixedWindow), Latency: 200 * time.Millisecond,
			Changes: []steadytest.Change{{After: 200 * time.Second, Limits: []steadytest.Limit{{N: 10, Per: time.Second, Kind: steadytest.FixedWindow}}}}}
		if o := simulate(t, job{calls: 3500, workers: 40}, p, 1); o.failed > 0 {
			t.Errorf("%s: %d of 3500 calls failed", d.Name, o.failed)
		}
	}
}
