package steadyhttp_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// job is a closed-loop workload: so many workers make so many calls.
type job struct {
	calls, workers int
	burst          int           // with every: so many calls begin at a time, whoever may still be under way
	every          time.Duration // from one burst to the next
	deadline       time.Duration // of the whole job; none if zero
	body           func(i int) string
	during         func(p *steadytest.Provider)                        // runs beside it
	hide           func(resp *http.Response, after time.Duration) bool // whether its rate limit headers get lost
}

// outcome is what a simulated job came to.
type outcome struct {
	took         time.Duration
	sent, denied int
	failed       int
	p50, p99     time.Duration
	server       steadytest.Counts
}

func (o outcome) deniedShare() float64 { return float64(o.denied) / float64(max(o.sent, 1)) }

// simulate runs a job through the whole stack against a provider, in virtual
// time. The seed makes latencies and the order of arrival vary.
func simulate(t *testing.T, j job, p *steadytest.Provider, seed uint64) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, int(seed)*123456789%1e9, time.UTC)))
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(seed, 1))
		if base := p.Latency; p.LatencyFunc == nil {
			p.LatencyFunc = func(*http.Request) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return base/2 + time.Duration(rng.Int64N(int64(base)+1))
			}
		}
		if p.Transit == nil {
			p.Transit = func(*http.Request) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return 5*time.Millisecond + time.Duration(rng.Int64N(int64(20*time.Millisecond)))
			}
		}
		begin := time.Now()
		client := &http.Client{Transport: steadyhttp.NewTransport(roundTrip(func(req *http.Request) (*http.Response, error) {
			resp, err := p.RoundTrip(req)
			if err == nil && j.hide != nil && j.hide(resp, time.Since(begin)) {
				maps.DeleteFunc(resp.Header, func(name string, _ []string) bool { return strings.Contains(name, "Ratelimit") })
			}
			return resp, err
		}))}
		ctx := t.Context()
		if j.deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, j.deadline)
			defer cancel()
		}
		next := make(chan int)
		go func() {
			for i := range j.calls {
				if j.burst > 0 && i > 0 && i%j.burst == 0 {
					time.Sleep(j.every)
				}
				next <- i
			}
			close(next)
		}()
		if j.during != nil {
			go j.during(p)
		}
		var wg sync.WaitGroup
		var took []time.Duration
		for range j.workers {
			wg.Go(func() {
				for i := range next {
					start := time.Now()
					ok := call(ctx, t, client, j, i)
					mu.Lock()
					took = append(took, time.Since(start))
					if !ok {
						o.failed++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		o.took = time.Since(begin)
		slices.Sort(took)
		o.p50, o.p99 = took[len(took)/2], took[len(took)*99/100]
		o.server = p.Counts()
		o.sent, o.denied = o.server.Requests, o.server.Denied
	})
	return o
}

func call(ctx context.Context, t *testing.T, client *http.Client, j job, i int) bool {
	body := `{"model":"m","messages":[{"role":"user","content":"hello"}]}`
	if j.body != nil {
		body = j.body(i)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "http://api.test/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// scenario is one row of the table that the simulation prints.
type scenario struct {
	name      string
	job       job
	each      steadytest.Call // what a call costs, for the ideal
	provider  *steadytest.Provider
	maxTime   float64 // in multiples of the ideal
	maxDenied float64 // share of all requests
}

// plain is what most middleware writes: three headers, the reset in whole
// seconds since the epoch.
func plain(r steadytest.Rounding) *steadytest.Dialect {
	return &steadytest.Dialect{Name: "plain", Fields: []steadytest.Field{
		{Name: "X-RateLimit-Limit", Value: steadytest.LimitN},
		{Name: "X-RateLimit-Remaining", Value: steadytest.RemainingN},
		{Name: "X-RateLimit-Reset", Value: steadytest.ResetEpoch(r)},
	}}
}

// delta is plain with the reset in seconds from now.
func delta(r steadytest.Rounding) *steadytest.Dialect {
	return &steadytest.Dialect{Name: "delta", Fields: []steadytest.Field{
		{Name: "X-RateLimit-Limit", Value: steadytest.LimitN},
		{Name: "X-RateLimit-Remaining", Value: steadytest.RemainingN},
		{Name: "X-RateLimit-Reset", Value: steadytest.ResetSeconds(r)},
	}}
}

func perMinute(n int64, kind steadytest.Kind) []steadytest.Limit {
	return []steadytest.Limit{{N: n, Per: time.Minute, Kind: kind}}
}

func scenarios() []scenario {
	const s, m = time.Second, time.Minute
	type P = steadytest.Provider
	batch := job{calls: 10_000, workers: 64}
	bucket, window, aligned := perMinute(600, steadytest.ContinuousBucket), perMinute(600, steadytest.FixedWindow), perMinute(600, steadytest.FixedWindow)
	aligned[0].Aligned = true
	sliding := perMinute(600, steadytest.SlidingWindow)
	silent := perMinute(600, steadytest.ContinuousBucket)
	silent[0].Silent = true
	prompts := job{calls: 10_000, workers: 64, body: func(i int) string {
		return fmt.Sprintf(`{"model":"m","max_tokens":%d,"messages":[{"role":"user","content":%q}]}`, 200+i%5*50, strings.Repeat("word ", 100+i%7*100))
	}}
	return []scenario{
		{"continuous bucket", batch, steadytest.Call{}, &P{Limits: bucket, Latency: 2 * s}, 1.01, 0.001},
		{"bucket, denials charged", batch, steadytest.Call{}, &P{Limits: bucket, ChargeDenied: true, Latency: 2 * s}, 1.01, 0.001},
		{"bucket, whole seconds up", batch, steadytest.Call{}, &P{Dialect: delta(steadytest.RoundUp), Limits: bucket, Latency: 2 * s}, 1.02, 0.005},
		{"bucket, whole seconds cut", batch, steadytest.Call{}, &P{Dialect: delta(steadytest.Truncate), Limits: bucket, Latency: 2 * s}, 1.02, 0.005},
		{"bucket, Anthropic", batch, steadytest.Call{}, &P{Dialect: steadytest.Anthropic, Limits: bucket, Latency: 2 * s}, 1.02, 0.005},
		{"bucket, 8 s out of order", job{calls: 10_000, workers: 120}, steadytest.Call{}, &P{Limits: bucket, Latency: 8 * s}, 1.02, 0.005},
		{"fixed window", batch, steadytest.Call{}, &P{Limits: window, Latency: 200 * time.Millisecond}, 1.02, 0.003},
		{"window, epoch cut", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: window, Latency: 200 * time.Millisecond}, 1.02, 0.003},
		{"window, epoch up", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.RoundUp), Limits: window, Latency: 200 * time.Millisecond}, 1.02, 0.003},
		{"window, aligned", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: aligned, Latency: 200 * time.Millisecond}, 1.02, 0.003},
		{"window, seconds up", batch, steadytest.Call{}, &P{Dialect: delta(steadytest.RoundUp), Limits: window, Latency: 200 * time.Millisecond}, 1.02, 0.003},
		{"window, seconds cut", batch, steadytest.Call{}, &P{Dialect: delta(steadytest.Truncate), Limits: window, Latency: 200 * time.Millisecond}, 1.02, 0.003},
		{"window, 2 s calls", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: window, Latency: 2 * s}, 1.02, 0.003},
		{"window, clock 5 s behind", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: window, Clock: -5 * s, Latency: 200 * time.Millisecond}, 1.02, 0.005},
		{"window, clock 30 s ahead", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: window, Clock: 30 * s, Latency: 2 * s}, 1.02, 0.005},
		{"window, 8 s out of order", job{calls: 10_000, workers: 120}, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: window, Latency: 8 * s}, 1.03, 0.005},
		{"window, GitHub", batch, steadytest.Call{}, &P{Dialect: steadytest.GitHub, Limits: window, Latency: 200 * time.Millisecond}, 1.02, 0.005},
		{"sliding window", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: sliding, Latency: 200 * time.Millisecond}, 1.05, 0.01},
		{"sliding log", batch, steadytest.Call{}, &P{Dialect: plain(steadytest.Truncate), Limits: perMinute(600, steadytest.SlidingLog), Latency: 200 * time.Millisecond}, 1.05, 0.01},
		{"enforced per second", batch, steadytest.Call{}, &P{Limits: perMinute(600, steadytest.PerSecond), Latency: 2 * s}, 1.05, 0.015},
		{"limit lowered and raised", batch, steadytest.Call{}, &P{Limits: bucket, Latency: 2 * s, Changes: []steadytest.Change{
			{After: 3 * m, Limits: perMinute(300, steadytest.ContinuousBucket)}, {After: 8 * m, Limits: perMinute(900, steadytest.ContinuousBucket)}}}, 1.02, 0.003},
		{"another tenant", batch, steadytest.Call{}, &P{Limits: bucket, Latency: 2 * s, Tenant: steadytest.Tenant{Share: 0.6}}, 1.25, 0.05},
		{"tokens", prompts, steadytest.Call{Input: 505, MaxOutput: 300}, &P{Limits: append([]steadytest.Limit{{Resource: "tokens", N: 200_000}}, bucket...), Latency: 2 * s}, 1.01, 0.002},
		{"open-loop bursts", job{calls: 10_000, workers: 1000, burst: 100, every: 10 * s}, steadytest.Call{}, &P{Limits: bucket, Latency: 2 * s}, 1.02, 0.002},
		{"no headers", batch, steadytest.Call{}, &P{Dialect: steadytest.Silent, Limits: bucket, Latency: 2 * s}, 1.05, 0.025},
		{"no headers, window", batch, steadytest.Call{}, &P{Dialect: steadytest.Silent, Limits: window, Latency: 200 * time.Millisecond}, 1.2, 0.025},
		{"no headers, charged", batch, steadytest.Call{}, &P{Dialect: steadytest.Silent, Limits: bucket, ChargeDenied: true, Latency: 2 * s}, 1.05, 0.025},
	}
}

// full runs the whole simulation: what make sim prints. Without it a job is a
// quarter as long, so that what its beginning costs weighs four times as much.
var full = flag.Bool("sim.full", false, "simulate 10,000 calls with three seeds, and print the table")

func TestSimulation(t *testing.T) {
	seeds := []uint64{1}
	if *full {
		seeds = []uint64{1, 2, 3}
	}
	printf := func(format string, args ...any) {
		if *full {
			fmt.Printf(format, args...)
		}
	}
	printf("%-26s %8s %9s %7s %8s %8s\n", "server", "x ideal", "denied", "failed", "p50 s", "p99 s")
	each := func(name string, run func(t *testing.T)) {
		if *full { // a table, in its order
			run(t)
			return
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t)
		})
	}
	for i, s := range scenarios() {
		each(s.name, func(t *testing.T) {
			for _, seed := range seeds {
				p := scenarios()[i].provider
				if !*full {
					of := scenarios()[i]
					s.job.calls, s.maxDenied, s.maxTime = 2_500, 4*of.maxDenied, 1+4*(of.maxTime-1)
				}
				ideal := p.Ideal(s.job.calls, s.job.workers, s.each)
				if s.job.burst > 0 { // the last call begins no earlier
					ideal = max(ideal, time.Duration(s.job.calls/s.job.burst-1)*s.job.every+p.Latency)
				}
				o := simulate(t, s.job, p, seed)
				x := o.took.Seconds() / ideal.Seconds()
				printf("%-26s %8.4f %8.3f%% %7d %8.2f %8.2f\n", s.name, x, 100*o.deniedShare(), o.failed, o.p50.Seconds(), o.p99.Seconds())
				if o.failed > 0 || x > s.maxTime || o.deniedShare() > s.maxDenied {
					t.Errorf("%s, seed %d: %d failed, %.3f x ideal (at most %.3f), %.3f%% denied (at most %.3f%%)",
						s.name, seed, o.failed, x, s.maxTime, 100*o.deniedShare(), 100*s.maxDenied)
				}
			}
		})
	}
}
