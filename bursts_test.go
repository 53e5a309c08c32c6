package steadyhttp

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// bursts sends twice what a limit admits at once, lets it lie idle, and does so
// again. It returns the share of the requests that were denied, and how long it took.
func bursts(t *testing.T, limit steadytest.Limit, latency time.Duration, seed uint64) (denied float64, took time.Duration) {
	var random sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	upTo := func(d time.Duration) time.Duration {
		random.Lock()
		defer random.Unlock()
		return time.Duration(r.Int64N(int64(d)))
	}
	p := &steadytest.Provider{
		Limits:      []steadytest.Limit{limit},
		Transit:     func(*http.Request) time.Duration { return 5*time.Millisecond + upTo(40*time.Millisecond) },
		LatencyFunc: func(*http.Request) time.Duration { return latency + upTo(latency) },
	}
	rt := NewTransport(p)
	start := time.Now()
	var wg sync.WaitGroup
	for n := range 2 {
		time.Sleep(time.Until(start.Add(time.Duration(n) * 3 * limit.Per)))
		for range 2 * limit.N {
			wg.Go(func() {
				resp, err := rt.RoundTrip(listModels(t, WithPriority(t.Context(), PriorityBatch)))
				if err != nil {
					t.Error(err)
				} else if resp.Body.Close(); resp.StatusCode != 200 {
					t.Errorf("status %d", resp.StatusCode)
				}
			})
		}
	}
	wg.Wait()
	c := p.Counts()
	return float64(c.Denied) / float64(c.Requests), time.Since(start)
}

// All that wait for a window are there when it ends: what comes back then, and when,
// must be known and not guessed.
func TestBurstsAreHardlyDeniedWhateverTheLimitsKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		kind   steadytest.Kind
		denied float64 // at most
		took   float64 // in windows, at most
	}{
		{"bucket", steadytest.ContinuousBucket, 0.01, 4.2},
		{"fixed window", steadytest.FixedWindow, 0.01, 4.2},
		{"sliding window", steadytest.SlidingWindow, 0.01, 5.6},
		{"sliding log", steadytest.SlidingLog, 0.05, 5.2},
		{"enforced per second", steadytest.PerSecond, 0.45, 5.5},
	} {
		for _, n := range []int64{20, 60} {
			for _, latency := range []time.Duration{50 * time.Millisecond, 400 * time.Millisecond} {
				for seed := range uint64(3) {
					synctest.Test(t, func(t *testing.T) {
						time.Sleep(time.Duration(seed) * 7777 * time.Millisecond)
						limit := steadytest.Limit{N: n, Per: time.Minute, Kind: c.kind}
						denied, took := bursts(t, limit, latency, seed)
						windows := took.Minutes()
						t.Logf("%s of %d, %v, seed %d: %.1f %% denied, %.2f windows", c.name, n, latency, seed, 100*denied, windows)
						if denied > c.denied || windows > c.took {
							t.Errorf("at most %.0f %% and %.1f windows", 100*c.denied, c.took)
						}
					})
				}
			}
		}
	}
}
