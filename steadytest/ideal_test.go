package steadytest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

func TestIdealIsTheShortestTime(t *testing.T) {
	for name, c := range map[string]struct {
		provider *steadytest.Provider
		calls    int
		workers  int
		each     steadytest.Call
		want     time.Duration
	}{
		"no limit":  {&steadytest.Provider{Latency: time.Second}, 100, 0, steadytest.Call{}, time.Second},
		"no calls":  {&steadytest.Provider{Latency: time.Second}, 0, 5, steadytest.Call{}, 0},
		"workers":   {&steadytest.Provider{Latency: time.Second}, 100, 30, steadytest.Call{}, 4 * time.Second},
		"in flight": {limited(time.Second, steadytest.Limit{N: 20, Kind: steadytest.InFlight}), 100, 30, steadytest.Call{}, 5 * time.Second},
		// 175 calls at 50 per 5 s.
		"bucket":         {limited(0, steadytest.Limit{N: 50, Per: 5 * time.Second}), 175, 32, steadytest.Call{}, 12500 * time.Millisecond},
		"window":         {limited(0, steadytest.Limit{N: 50, Per: 5 * time.Second, Kind: steadytest.FixedWindow}), 175, 32, steadytest.Call{}, 15 * time.Second},
		"log":            {limited(0, steadytest.Limit{N: 50, Per: 5 * time.Second, Kind: steadytest.SlidingLog}), 175, 32, steadytest.Call{}, 15 * time.Second},
		"sliding window": {limited(0, steadytest.Limit{N: 50, Per: 5 * time.Second, Kind: steadytest.SlidingWindow}), 175, 32, steadytest.Call{}, 17653061225},
		"per second":     {limited(0, steadytest.Limit{N: 600, Kind: steadytest.PerSecond}), 110, 0, steadytest.Call{}, 10 * time.Second},
		"burst of one":   {limited(0, steadytest.Limit{N: 600, Burst: 1}), 101, 0, steadytest.Call{}, 10 * time.Second},
		"tokens": {limited(2*time.Second, steadytest.Limit{N: 600}, steadytest.Limit{Resource: "tokens", N: 60_000}), 80, 0,
			steadytest.Call{Input: 500, MaxOutput: 500}, 22 * time.Second},
		"too large":   {limited(0, steadytest.Limit{Resource: "tokens", N: 10}), 1, 1, steadytest.Call{Input: 11}, 1<<63 - 1},
		"none at all": {limited(0, steadytest.Limit{N: 0}), 1, 1, steadytest.Call{}, 1<<63 - 1},
		"outage": {&steadytest.Provider{
			Limits: []steadytest.Limit{{N: 1, Per: time.Second}},
			Faults: []steadytest.Fault{{After: 4 * time.Second, For: 3 * time.Second, Do: steadytest.Unavailable}},
		}, 10, 0, steadytest.Call{}, 12 * time.Second}, // 0 … 3 s, 7 … 12 s
		"change": {&steadytest.Provider{
			Limits:  []steadytest.Limit{{N: 1, Per: time.Second, Burst: 1}},
			Changes: []steadytest.Change{{After: 4 * time.Second, Limits: []steadytest.Limit{{N: 2, Per: time.Second, Burst: 1}}}},
		}, 11, 0, steadytest.Call{}, 7 * time.Second},
		"tenant": {&steadytest.Provider{
			Limits: []steadytest.Limit{{N: 10, Per: time.Second, Kind: steadytest.FixedWindow}},
			Tenant: steadytest.Tenant{Share: 0.6, Every: time.Second},
		}, 20, 0, steadytest.Call{}, 4 * time.Second},
		"tenant that leaves nothing": {&steadytest.Provider{
			Limits: []steadytest.Limit{{N: 10, Per: time.Second, Kind: steadytest.FixedWindow}},
			Tenant: steadytest.Tenant{Share: 1, Every: time.Second},
		}, 1, 0, steadytest.Call{}, 1<<63 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.provider.Ideal(c.calls, c.workers, c.each); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func limited(latency time.Duration, limits ...steadytest.Limit) *steadytest.Provider {
	return &steadytest.Provider{Latency: latency, Limits: limits}
}

func TestIdealTimesAreAdmittedAndNoneIsBefore(t *testing.T) {
	const calls = 30
	five := 5 * time.Second
	for name, config := range map[string]func() *steadytest.Provider{
		"bucket": func() *steadytest.Provider { return limited(0, steadytest.Limit{N: 7, Per: five, Burst: 3}) },
		"window": func() *steadytest.Provider {
			return limited(0, steadytest.Limit{N: 7, Per: five, Kind: steadytest.FixedWindow})
		},
		"aligned window": func() *steadytest.Provider {
			return limited(0, steadytest.Limit{N: 7, Per: five, Kind: steadytest.FixedWindow, Aligned: true})
		},
		"sliding window": func() *steadytest.Provider {
			return limited(0, steadytest.Limit{N: 7, Per: five, Kind: steadytest.SlidingWindow})
		},
		"log": func() *steadytest.Provider {
			return limited(0, steadytest.Limit{N: 7, Per: five, Kind: steadytest.SlidingLog})
		},
		"per second": func() *steadytest.Provider { return limited(0, steadytest.Limit{N: 120, Kind: steadytest.PerSecond}) },
		"two": func() *steadytest.Provider {
			return limited(0, steadytest.Limit{N: 7, Per: five}, steadytest.Limit{N: 11, Per: 2 * five, Kind: steadytest.SlidingLog}, steadytest.Limit{Resource: "tokens", N: 1000, Per: five})
		},
		"outage, change and tenant": func() *steadytest.Provider {
			return &steadytest.Provider{
				Limits:  []steadytest.Limit{{N: 20, Per: five}},
				Changes: []steadytest.Change{{After: 3 * time.Second, Limits: []steadytest.Limit{{N: 10, Per: five}}}},
				Faults:  []steadytest.Fault{{After: 4 * time.Second, For: 2 * time.Second, Do: steadytest.Unavailable}},
				Tenant:  steadytest.Tenant{Share: 0.6, Every: 1500 * time.Millisecond},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each := steadytest.Call{Input: 8, MaxOutput: 100}
			var at [calls]time.Duration
			for i := range at {
				at[i] = config().Ideal(i+1, 0, each)
			}
			for early := range calls + 1 { // this one comes a nanosecond early; the last run is on time
				if early < calls && early > 0 && at[early] == at[early-1] || early == 0 {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					p := config()
					begin := time.Now()
					for i := range min(early+1, calls) {
						when := at[i]
						if i == early {
							when--
						}
						time.Sleep(time.Until(begin.Add(when)))
						if got := send(t, p, chat).StatusCode; (got == 200) == (i == early) {
							t.Fatalf("call %d at %v: status %d", i+1, when, got)
						}
					}
				})
			}
		})
	}
}
