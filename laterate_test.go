package steadyhttp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// A limit on requests in flight is told in no header. Its denials, of which the
// headers say that much is left, come before it is known how fast that comes back.
func TestDenialsAtTheVeryFirstAreNotPacedByARateThatNobodyKnowsYet(t *testing.T) {
	t.Parallel()
	for _, d := range []*steadytest.Dialect{steadytest.OpenAI, steadytest.GitHub, steadytest.IETF} {
		for _, workers := range []int{10, 40} {
			t.Run(fmt.Sprintf("%s, %d workers", d.Name, workers), func(t *testing.T) {
				p := &steadytest.Provider{Dialect: d, Latency: time.Second, Limits: []steadytest.Limit{
					{N: int64(workers / 2), Per: time.Second, Kind: steadytest.InFlight},
					{N: int64(workers/2) * 45, Per: time.Minute, Kind: steadytest.FixedWindow},
				}}
				j := job{calls: 50 * workers, workers: workers}
				ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
				o := simulate(t, j, p, 1)
				if o.failed > 0 || o.took > 2*ideal {
					t.Errorf("%d of %d calls failed, in %.2f x ideal", o.failed, j.calls, o.took.Seconds()/ideal.Seconds())
				}
			})
		}
	}
}
