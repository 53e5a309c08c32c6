package steadyhttp

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// named is a limit of so many requests a minute, told under the names that most
// servers use.
func named(n int64, kind steadytest.Kind) *steadytest.Provider {
	return &steadytest.Provider{
		Latency: 100 * time.Millisecond, Limits: []steadytest.Limit{{N: n, Per: time.Minute, Kind: kind}},
		Dialect: &steadytest.Dialect{Name: "plain", Fields: []steadytest.Field{
			{Name: "X-RateLimit-Limit", Value: steadytest.LimitN},
			{Name: "X-RateLimit-Remaining", Value: steadytest.RemainingN},
			{Name: "X-RateLimit-Reset", Value: steadytest.ResetSeconds(steadytest.RoundUp)},
		}},
	}
}

// keepBusy calls each path with so many workers for five minutes.
func keepBusy(t *testing.T, limiter *Limiter, workers map[string]int) {
	rt := &Retrier{Base: limiter}
	end := time.Now().Add(5 * time.Minute)
	var wg sync.WaitGroup
	for path, n := range workers {
		for range n {
			wg.Go(func() {
				for time.Now().Before(end) {
					if status, err := send(t, rt, getPath(t, path)); err != nil || status == 429 {
						t.Errorf("%s: %d, %v", path, status, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestLimitsOfSeveralRoutesUnderOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow} {
		synctest.Test(t, func(t *testing.T) {
			limits := map[string]int64{"/wide": 600, "/third": 100, "/narrow": 30}
			server := byPath{}
			for path, n := range limits {
				server[path] = named(n, kind)
			}
			keepBusy(t, &Limiter{Base: &Classifier{Base: server}}, map[string]int{"/wide": 16, "/third": 4, "/narrow": 4})
			for path, n := range limits {
				got := server[path].(*steadytest.Provider).Counts()
				if admitted := int64(got.Requests - got.Denied); admitted < 4*n || got.Denied > got.Requests/50 {
					t.Errorf("kind %d: of %d a minute %s was admitted %d times in five minutes, and denied %d times", kind, n, path, admitted, got.Denied)
				}
			}
		})
	}
}

func TestLimitThatRoutesShareIsNotTakenForLimitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := named(600, steadytest.ContinuousBucket)
		shared.Changes = []steadytest.Change{
			{After: time.Minute, Limits: []steadytest.Limit{{N: 300, Per: time.Minute}}},
			{After: 2 * time.Minute, Limits: []steadytest.Limit{{N: 900, Per: time.Minute}}},
		}
		limiter := &Limiter{Base: &Classifier{Base: shared}}
		keepBusy(t, limiter, map[string]int{"/a": 16, "/b": 4, "/c": 4})
		q, _ := limiter.keys.peek([]byte("https://a.example"))
		for _, r := range q.routes {
			if r.apart {
				t.Error("a route is told apart")
			}
		}
	})
}

func TestRouteIsToldApartByWhatItStatesAgainAndAgain(t *testing.T) {
	a, b := &route{id: 1}, &route{id: 2}
	type answer struct {
		r     *route
		limit int64
		sent  instant
	}
	for _, c := range []struct {
		name    string
		answers []answer
		apart   bool
	}{
		{"another limit each time", []answer{{b, 30, 2}, {a, 600, 3}, {b, 30, 4}, {a, 600, 5}, {b, 30, 6}, {a, 600, 7}, {b, 30, 8}, {a, 600, 9}, {b, 30, 10}}, true},
		{"too few", []answer{{b, 30, 2}, {a, 600, 3}, {b, 30, 4}, {a, 600, 5}, {b, 30, 6}}, false},
		{"they agree in between", []answer{{b, 30, 2}, {a, 600, 3}, {b, 30, 4}, {a, 600, 5}, {b, 600, 6}, {a, 600, 7}, {b, 30, 8}, {a, 600, 9}, {b, 30, 10}}, false},
		{"its own changes", []answer{{b, 30, 2}, {a, 600, 3}, {b, 31, 4}, {a, 600, 5}, {b, 32, 6}, {a, 600, 7}, {b, 33, 8}, {b, 34, 9}, {b, 35, 10}}, false},
		{"old answers", []answer{{b, 30, 2}, {a, 600, 9}, {b, 30, 3}, {b, 30, 4}, {b, 30, 5}, {b, 30, 6}, {b, 30, 7}}, false},
	} {
		*a, *b = route{id: 1}, route{id: 2}
		var l ledger
		for _, s := range append([]answer{{a, 600, 1}}, c.answers...) {
			quotas := []Quota{{Resource: "requests", Limit: s.limit}}
			got := l.tellApart(&claim{route: s.r, sent: s.sent}, quotas)
			if apart := got[0].Scope != ""; apart != s.r.apart || quotas[0].Scope != "" {
				t.Fatalf("%s: quotas %+v of %+v", c.name, got, quotas)
			}
		}
		if b.apart != c.apart {
			t.Errorf("%s: told apart %v", c.name, b.apart)
		}
	}
}
