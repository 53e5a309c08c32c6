package steadyhttp_test

import (
	"fmt"
	"io"
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
	think          time.Duration
	body           func(i int) string
	during         func(p *steadytest.Provider) // runs beside it
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
		client := &http.Client{Transport: steadyhttp.NewTransport(p)}
		begin := time.Now()
		next := make(chan int)
		go func() {
			for i := range j.calls {
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
					ok := call(t, client, j, i)
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
		o.sent, o.denied = o.server.Admitted+o.server.Denied+o.server.Failed, o.server.Denied
	})
	return o
}

func call(t *testing.T, client *http.Client, j job, i int) bool {
	body := `{"model":"m","messages":[{"role":"user","content":"hello"}]}`
	if j.body != nil {
		body = j.body(i)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://api.test/v1/chat/completions", strings.NewReader(body))
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
	provider  func() *steadytest.Provider
	ideal     time.Duration
	maxTime   float64 // in multiples of the ideal
	maxDenied float64 // share of all requests
}

func perMinute(kind steadytest.Kind) []steadytest.Limit {
	return []steadytest.Limit{{N: 600, Per: time.Minute, Kind: kind, Aligned: true}}
}

const simCalls = 10_000

func scenarios() []scenario {
	batch := job{calls: simCalls, workers: 64}
	bucketIdeal := time.Duration(simCalls-600)*time.Minute/600 + 2*time.Second
	return []scenario{
		{
			name: "continuous bucket", job: batch, ideal: bucketIdeal, maxTime: 1.01, maxDenied: 0.001,
			provider: func() *steadytest.Provider {
				return &steadytest.Provider{Limits: perMinute(steadytest.ContinuousBucket), Latency: 2 * time.Second}
			},
		},
		{
			name: "bucket, denials charged", job: batch, ideal: bucketIdeal, maxTime: 1.01, maxDenied: 0.001,
			provider: func() *steadytest.Provider {
				return &steadytest.Provider{Limits: perMinute(steadytest.ContinuousBucket), ChargeDenied: true, Latency: 2 * time.Second}
			},
		},
		{
			name: "fixed window", job: batch, ideal: 16 * time.Minute, maxTime: 1.02, maxDenied: 0.003,
			provider: func() *steadytest.Provider {
				return &steadytest.Provider{Limits: perMinute(steadytest.FixedWindow), Latency: 200 * time.Millisecond}
			},
		},
		{
			name: "sliding window", job: batch, ideal: bucketIdeal, maxTime: 1.05, maxDenied: 0.01,
			provider: func() *steadytest.Provider {
				return &steadytest.Provider{Limits: perMinute(steadytest.SlidingWindow), Latency: 200 * time.Millisecond}
			},
		},
		{
			name: "enforced per second", job: batch, ideal: bucketIdeal, maxTime: 1.05, maxDenied: 0.015,
			provider: func() *steadytest.Provider {
				return &steadytest.Provider{Limits: perMinute(steadytest.PerSecond), Latency: 2 * time.Second}
			},
		},
		{
			name: "no headers", job: batch, ideal: bucketIdeal, maxTime: 1.05, maxDenied: 0.025,
			provider: func() *steadytest.Provider {
				return &steadytest.Provider{Limits: []steadytest.Limit{{N: 600, Per: time.Minute, Silent: true}}, Latency: 2 * time.Second}
			},
		},
	}
}

func TestSimulation(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	fmt.Printf("%-26s %8s %9s %7s %8s %8s\n", "server", "x ideal", "denied", "failed", "p50", "p99")
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			for _, seed := range seeds {
				o := simulate(t, s.job, s.provider(), seed)
				x := o.took.Seconds() / s.ideal.Seconds()
				fmt.Printf("%-26s %8.4f %8.3f%% %7d %8.2f %8.2f\n", s.name, x, 100*o.deniedShare(), o.failed, o.p50.Seconds(), o.p99.Seconds())
				if o.failed > 0 || x > s.maxTime || o.deniedShare() > s.maxDenied {
					t.Errorf("seed %d: %d failed, %.3f x ideal (at most %.3f), %.3f%% denied (at most %.3f%%)",
						seed, o.failed, x, s.maxTime, 100*o.deniedShare(), 100*s.maxDenied)
				}
			}
		})
	}
}
