package steadyhttp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// onlyOf is a dialect whose headers of limits come with denials alone.
func onlyOf(d *steadytest.Dialect) *steadytest.Dialect {
	told := *d
	told.Fields, told.Denied = nil, append(append([]steadytest.Field{}, d.Denied...), fieldsOf(d)...)
	return &told
}

// fieldsOf is d's fields under the names that they have for requests.
func fieldsOf(d *steadytest.Dialect) (of []steadytest.Field) {
	for _, f := range d.Fields {
		f.Name = http.CanonicalHeaderKey(strings.ReplaceAll(f.Name, "{resource}", "requests"))
		of = append(of, f)
	}
	return of
}

func TestServerThatTellsOfItsLimitInDenialsAloneIsNotAskedOneByOne(t *testing.T) {
	t.Parallel()
	for _, d := range []*steadytest.Dialect{steadytest.OpenAI, steadytest.Anthropic, steadytest.GitHub, plain(steadytest.RoundUp)} {
		for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow, steadytest.SlidingWindow, steadytest.PerSecond} {
			t.Run(fmt.Sprintf("%s, kind %d", d.Name, kind), func(t *testing.T) {
				p := &steadytest.Provider{Dialect: onlyOf(d), Latency: time.Second, Limits: perMinute(600, kind)}
				j := job{calls: 1600, workers: 40}
				ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
				o := simulate(t, j, p, 1)
				if x := o.took.Seconds() / ideal.Seconds(); o.failed > 0 || x > 1.5 || o.deniedShare() > 0.05 {
					t.Errorf("%d of %d calls failed, %.1f%% denied, in %.2f x ideal", o.failed, j.calls, 100*o.deniedShare(), x)
				}
			})
		}
	}
}

// Some do not even say how large it is.
func TestServerThatTellsInDenialsThatNothingIsLeftIsNotAskedOneByOne(t *testing.T) {
	t.Parallel()
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow} {
		p := &steadytest.Provider{Latency: time.Second, Limits: perMinute(600, kind), Dialect: &steadytest.Dialect{Denied: []steadytest.Field{
			{Name: "X-RateLimit-Remaining", Value: steadytest.RemainingN},
			{Name: "X-RateLimit-Reset", Value: steadytest.ResetEpoch(steadytest.RoundUp)},
		}}}
		j := job{calls: 1800, workers: 40}
		ideal := p.Ideal(j.calls, j.workers, steadytest.Call{})
		o := simulate(t, j, p, 1)
		if x := o.took.Seconds() / ideal.Seconds(); o.failed > 0 || x > 1.5 {
			t.Errorf("kind %d: %d of %d calls failed, in %.2f x ideal", kind, o.failed, j.calls, x)
		}
	}
}
