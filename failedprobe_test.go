package steadyhttp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// A server that fails before it looks at its limits admits nothing by that, also when
// it is the request that asks whether a spent window has ended.
func TestFailureOfTheServerIsNoSignThatItAdmitsAgain(t *testing.T) {
	t.Parallel()
	for _, every := range []int{12, 20, 33} {
		t.Run(fmt.Sprintf("one of %d fails", every), func(t *testing.T) {
			p := &steadytest.Provider{
				Dialect: steadytest.Silent, Latency: time.Second, Limits: perMinute(600, steadytest.FixedWindow),
				Faults: []steadytest.Fault{{Every: every, Do: steadytest.ServerError}},
			}
			j := job{calls: 2400, workers: 40}
			ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
			o := simulate(t, j, p, 1)
			if o.failed > 24 || o.took > 2*ideal { // a few fail four times
				t.Errorf("%d of %d calls failed, in %.2f x ideal", o.failed, j.calls, o.took.Seconds()/ideal.Seconds())
			}
		})
	}
}
