package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// small is a job for tests.
var small = job{calls: 12, workers: 4, limit: 6, per: 2 * time.Second, latency: time.Millisecond, timeout: 10 * time.Second}

func clientNamed(t *testing.T, name string) client {
	t.Helper()
	for _, c := range append(clients[:len(clients):len(clients)], extraClients...) {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no client %q", name)
	return client{}
}

func TestEveryRequestOnTheWireIsCounted(t *testing.T) {
	var sent, denied atomic.Int64
	backend := small.backend()
	s, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := sent.Add(1); {
		case n%3 == 0:
			denied.Add(1)
			w.WriteHeader(http.StatusTooManyRequests)
		case n%5 == 0:
			denied.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	r := small.run(t.Context(), clientNamed(t, "each 250 ms"), s.url)
	if r.failed != 0 {
		t.Errorf("%d calls failed (%s), want none", r.failed, r.reason)
	}
	if got, want := len(r.events), int(sent.Load()); got != want {
		t.Errorf("%d requests counted, want %d", got, want)
	}
	if got, want := r.denied(), int(denied.Load()); got != want {
		t.Errorf("%d denied, want %d", got, want)
	}
	if got, want := len(r.events)-r.denied(), small.calls; got != want {
		t.Errorf("%d admitted, want %d", got, want)
	}
}

func TestCallsThatTheServerNeverAdmitsFail(t *testing.T) {
	s, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	j := small
	j.timeout = 400 * time.Millisecond
	r := j.run(t.Context(), clientNamed(t, "each 250 ms"), s.url)
	if r.failed != j.calls || r.reason == "" {
		t.Errorf("%d calls failed for %q, want all %d and a reason", r.failed, r.reason, j.calls)
	}
	if r.took > 2*time.Second {
		t.Errorf("took %v, want little more than the job's timeout %v", r.took, j.timeout)
	}
}

// Each server, set up for the job, takes the job's limit at once and no more.
func TestServersAdmitTheLimitAtOnce(t *testing.T) {
	for i, s := range append(servers[:len(servers):len(servers)], extraServers...) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			site, err := s.start(small)
			if extra := i >= len(servers); errors.Is(err, errMissing) && (extra || os.Getenv("CI") == "") {
				t.Logf("omitted: %v", err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer site.stop()
			var (
				wg       sync.WaitGroup
				admitted atomic.Int64
				other    atomic.Value
				call     = post(http.DefaultClient, site.url)
			)
			began := time.Now()
			for range 2 * small.limit {
				wg.Go(func() {
					switch err := call(t.Context()); {
					case err == nil:
						admitted.Add(1)
					case err.Error() != "status 429" && err.Error() != "status 503":
						other.Store(err)
					}
				})
			}
			wg.Wait()
			if err := other.Load(); err != nil {
				t.Fatal(err)
			}
			least, most := small.limit, small.limit+int(small.rate()*time.Since(began).Seconds())
			if s.burst != 0 {
				least, most = 1, 2*small.limit
			}
			if got := int(admitted.Load()); got < least || got > most {
				t.Errorf("admitted %d of %d at once, want %d to %d", got, 2*small.limit, least, most)
			}
		})
	}
}

func TestPeersDoTheJob(t *testing.T) {
	for _, c := range clients {
		if c.steady {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := serve(small.backend())
			if err != nil {
				t.Fatal(err)
			}
			defer s.stop()
			j := small
			j.limit = j.calls // so that none has a reason to wait
			if r := j.run(t.Context(), c, s.url); r.failed != 0 || len(r.events) != j.calls {
				t.Errorf("%d failed (%s), %d sent; want none and %d", r.failed, r.reason, len(r.events), j.calls)
			}
		})
	}
}

func TestIdealTimeKnowsHowAServerCounts(t *testing.T) {
	for _, tt := range []struct {
		server server
		calls  int
		want   time.Duration
	}{
		{server{kind: bucket}, 175, 12500 * time.Millisecond},
		{server{kind: bucket, burst: 11}, 175, 16400 * time.Millisecond},
		{server{kind: bucket}, 50, 0},
		{server{kind: window}, 175, 15 * time.Second},
		{server{kind: window}, 150, 10 * time.Second},
		{server{kind: window}, 151, 15 * time.Second},
		{server{kind: sliding}, 175, 17500 * time.Millisecond},
	} {
		j := fullJob
		j.calls = tt.calls
		if got := j.ideal(tt.server); got != tt.want {
			t.Errorf("ideal of %d calls at %+v = %v, want %v", tt.calls, tt.server, got, tt.want)
		}
	}
}

// played is a cell that has been run: of sent requests some were denied.
func played(c client, sent, denied, failed int, took time.Duration) *cell {
	r := result{failed: failed, reason: "status 429", took: took}
	for i := range sent {
		e := event{status: 200}
		if i < denied {
			e.status = 429
		}
		r.events = append(r.events, e)
	}
	return &cell{server: server{name: "s", bound: states}, client: c, ideal: 10 * time.Second, result: r}
}

func TestOnlyASteadyClientThatMissesItsBoundIsAnError(t *testing.T) {
	steady, peer := client{name: "steady", steady: true}, client{name: "peer"}
	for _, tt := range []struct {
		name string
		cell *cell
		want string // in the error; none if empty
	}{
		{"keeps to it", played(steady, 103, 3, 0, 12*time.Second), ""},
		{"a call failed", played(steady, 100, 0, 1, 10*time.Second), "1 calls failed: status 429"},
		{"too many denied", played(steady, 104, 4, 0, 10*time.Second), "3.8 % denied, more than 3 %"},
		{"too slow", played(steady, 100, 0, 0, 12100*time.Millisecond), "took 12.1 s, more than 12.0 s"},
		{"a peer", played(peer, 104, 90, 7, 50*time.Second), ""},
	} {
		err := report(io.Discard, options{}, fullJob, []*cell{tt.cell})
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestServerThatIsNotInstalledIsNamedAndInCIAnError(t *testing.T) {
	_, err := process{program: "no-such-server", install: "apt-get install it"}.start(small)
	if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), "apt-get install it") {
		t.Fatalf("error %v, want one that is errMissing and says how to install it", err)
	}
	cells := []*cell{{server: server{name: "gone"}, err: err}}
	var out strings.Builder
	if err := report(&out, options{}, fullJob, cells); err != nil || !strings.Contains(out.String(), "apt-get install it") {
		t.Errorf("error %v and table %q, want none and a table that says what was omitted", err, out.String())
	}
	if err := report(io.Discard, options{ci: true}, fullJob, cells); !errors.Is(err, errMissing) {
		t.Errorf("in CI: error %v, want errMissing", err)
	}
}

func TestProcessThatFailsToStartLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	p := process{
		program: "false",
		config:  func(job, string, string) string { return "" },
		args:    func(string, string) []string { return nil },
	}
	if _, err := p.start(small); err == nil {
		t.Error("no error, want one")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 0 {
		t.Errorf("left %v, want nothing", left)
	}
}

func TestReportWritesThePlotAndTheWire(t *testing.T) {
	dir := t.TempDir()
	o := options{plot: filepath.Join(dir, "arena.svg"), wire: filepath.Join(dir, "wire"), verbose: true, matrix: true}
	c := played(client{name: "peer"}, 3, 1, 0, time.Second)
	c.result.events[0].header = http.Header{"Retry-After": {"7"}, "X-Ratelimit-Limit": {"50"}, "Server": {"s"}}
	var out strings.Builder
	if err := report(&out, o, fullJob, []*cell{c}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"   0.0 s    2 x..\n", "| server | peer |\n|---|---|\n| s | 33.3 %, 1.0 s |\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report %q, want %q in it", out.String(), want)
		}
	}
	for file, want := range map[string]string{
		o.plot: "</svg>",
		o.wire: "s\tpeer\t0.0\t0.0\t429\tRetry-After: 7 | X-Ratelimit-Limit: 50\n",
	} {
		got, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: error %v, %d bytes without %q", filepath.Base(file), err, len(got), want)
		}
	}
}

func TestShortFormIsSteadyClientsAtEveryServer(t *testing.T) {
	_, cells, err := plan(options{short: true})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]bool{}
	for _, c := range cells {
		if !c.client.steady {
			t.Errorf("%s is in it, want steady clients only", c.client.name)
		}
		at[c.server.name] = true
	}
	if len(at) != len(servers) {
		t.Errorf("it runs at %v, want all of %d servers", at, len(servers))
	}
	if _, _, err := plan(options{servers: "("}); err == nil {
		t.Error("a bad regular expression is no error, want one")
	}
	if _, _, err := plan(options{clients: "nobody"}); err == nil {
		t.Error("nothing to run is no error, want one")
	}
}

func TestInterruptedArenaEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if err := arena(ctx, options{servers: "httprate", parallel: 2}); err == nil {
		t.Error("no error, want one")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
