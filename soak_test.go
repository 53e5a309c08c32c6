package steadyhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// soak is what is counted while it runs: by the callers, by the base under the
// stack, by the Trace and by the servers.
type soak struct {
	offered, succeeded, failed, refused, cancelled atomic.Int64

	attempts   atomic.Int64 // that the base was asked for; each has a number
	answered   atomic.Int64 // of these, with a response
	attempted  atomic.Int64 // that the Trace was told of
	told       atomic.Int64 // of these, with a response
	waits      atomic.Int64
	openings   atomic.Int64
	unanswered []atomic.Bool // attempts that ended in an error
	seen       []atomic.Int32
	served     atomic.Int64
}

const attemptNumber = "X-Soak-Attempt"

// base numbers the attempts.
func (s *soak) base(next http.RoundTripper) roundTrip {
	return func(req *http.Request) (*http.Response, error) {
		n := s.attempts.Add(1)
		out := *req
		out.Header = req.Header.Clone()
		out.Header.Set(attemptNumber, strconv.FormatInt(n, 10))
		resp, err := next.RoundTrip(&out)
		if err != nil {
			s.unanswered[n].Store(true)
		} else {
			s.answered.Add(1)
		}
		return resp, err
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// server has every kind of trouble, and an outage now and then.
func (s *soak) server(outage time.Duration) http.HandlerFunc {
	began := time.Now()
	return func(rw http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.Header.Get(attemptNumber))
		s.seen[n].Add(1)
		s.served.Add(1)
		body, _ := io.ReadAll(r.Body)
		h := rw.Header()
		h.Set("X-Ratelimit-Limit-Requests", "100000")
		h.Set("X-Ratelimit-Remaining-Requests", strconv.Itoa(100000-n%1000))
		h.Set("X-Ratelimit-Reset-Requests", "1s")
		if outage > 0 && time.Since(began)%(5*outage) > 3*outage {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		switch n % 60 {
		case 1, 2:
			http.Error(rw, strings.Repeat("down ", 5000), http.StatusInternalServerError)
		case 3:
			h.Set("Retry-After-Ms", "20")
			http.Error(rw, `{"error":{"message":"slow down","code":"rate_limit_exceeded"}}`, http.StatusTooManyRequests)
		case 4:
			http.Error(rw, `{"error":{"message":"no","code":"insufficient_quota"}}`, http.StatusTooManyRequests)
		case 5:
			panic(http.ErrAbortHandler)
		case 6:
			h.Set("Content-Length", "10000")
			rw.Write(body)
			panic(http.ErrAbortHandler)
		case 7, 8:
			select {
			case <-time.After(300 * time.Millisecond):
			case <-r.Context().Done():
			}
			rw.Write(body)
		case 9:
			for range 10 {
				rw.Write(body)
				rw.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		case 10:
			http.Error(rw, "no", http.StatusBadRequest)
		default:
			time.Sleep(time.Duration(n%20) * time.Millisecond)
			rw.Write(body)
		}
	}
}

// call makes one call and counts what it comes to.
func (s *soak) call(t *testing.T, rt http.RoundTripper, url string, rng *rand.Rand) {
	s.offered.Add(1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rng.IntN(4) == 0 {
		ctx = steadyhttp.WithPriority(ctx, steadyhttp.PriorityBatch)
	}
	switch rng.IntN(10) {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(1+rng.IntN(40))*time.Millisecond)
		defer cancel()
	case 1:
		defer time.AfterFunc(time.Duration(rng.IntN(30))*time.Millisecond, cancel).Stop()
	default:
		ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
	}
	model := fmt.Sprintf("m%d", rng.IntN(3))
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, strings.Repeat("x", rng.IntN(4000)))
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", fmt.Sprintf("Bearer %d", rng.IntN(5)))
	if rng.IntN(3) == 0 {
		req.Header.Set("X-Stainless-Retry-Count", "0")
	}
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		switch {
		case steadyhttp.OutcomeOf(nil, err).Class == steadyhttp.ClassRefused:
			s.refused.Add(1)
		case ctx.Err() != nil:
			s.cancelled.Add(1)
		default:
			s.failed.Add(1)
		}
		return
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	switch {
	case steadyhttp.OutcomeOf(resp, nil).Class == steadyhttp.ClassRefused:
		s.refused.Add(1)
	case err != nil && ctx.Err() != nil:
		s.cancelled.Add(1)
	case err != nil || resp.StatusCode != http.StatusOK:
		s.failed.Add(1)
	case !strings.HasPrefix(string(text), body):
		t.Errorf("a call got another's answer: %.80q for %.80q", text, body)
		s.failed.Add(1)
	default:
		s.succeeded.Add(1)
	}
}

// usage is what a process holds.
type usage struct{ goroutines, files, heap float64 }

func holds(collect bool) (u usage) {
	if collect {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.goroutines, u.heap = float64(runtime.NumGoroutine()), float64(m.HeapAlloc)
	if names, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.files = float64(len(names))
	}
	return u
}

// meanUsage is the mean of what is held for a while, under load. Of the heap it is
// the least, since what calls in flight hold comes and goes.
func meanUsage(for_ time.Duration) (mean usage) {
	n := 0.0
	for end := time.Now().Add(for_); n == 0 || time.Now().Before(end); n++ {
		u := holds(true)
		mean.goroutines += u.goroutines
		mean.files += u.files
		if n == 0 || u.heap < mean.heap {
			mean.heap = u.heap
		}
		time.Sleep(for_ / 20)
	}
	mean.goroutines /= n
	mean.files /= n
	return mean
}

// TestSoak has 200 callers at work for 4 s, with -soak for a minute, and compares
// the end with the beginning.
func TestSoak(t *testing.T) {
	length := 4 * time.Second
	if *steadyhttp.Soak {
		length = time.Minute
	}
	const callers, most = 200, 4 << 20
	s := &soak{unanswered: make([]atomic.Bool, most), seen: make([]atomic.Int32, most)}
	idle := holds(true)
	steady := httptest.NewUnstartedServer(s.server(0))
	failing := httptest.NewUnstartedServer(s.server(length / 30))
	for _, server := range []*httptest.Server{steady, failing} {
		server.Config.ErrorLog = nil
		server.Start()
	}
	wire := &http.Transport{MaxIdleConnsPerHost: callers}
	trace := &steadyhttp.Trace{
		Attempted: func(i steadyhttp.AttemptInfo) {
			s.attempted.Add(1)
			if i.Err == nil {
				s.told.Add(1)
			}
		},
		Waiting: func(steadyhttp.WaitInfo) { s.waits.Add(1) },
		StateChanged: func(i steadyhttp.StateInfo) {
			if i.To == steadyhttp.StateOpen {
				s.openings.Add(1)
			}
		},
	}
	stack := &steadyhttp.Retrier{MinDelay: 10 * time.Millisecond, AttemptTimeout: 2 * time.Second,
		Base: &steadyhttp.Breaker{Pause: 100 * time.Millisecond, MaxPause: time.Second,
			Base: &steadyhttp.Limiter{InFlight: 10, MaxQueue: 12, MaxWait: time.Second,
				Base: &steadyhttp.Classifier{Base: s.base(wire)}}}}
	rt := steadyhttp.Traced(stack, trace)

	began := time.Now()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			url := steady.URL
			if i%2 == 0 {
				url = failing.URL
			}
			for time.Since(began) < length {
				s.call(t, rt, url, rng)
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			}
		})
	}
	window := length / 6
	time.Sleep(window / 4) // to get under way
	first := meanUsage(window * 3 / 4)
	time.Sleep(length - 2*window)
	last := meanUsage(window * 3 / 4)
	all.Wait()
	wire.CloseIdleConnections()
	steady.Close()
	failing.Close()
	over := holds(true)
	for end := time.Now().Add(5 * time.Second); over.goroutines > idle.goroutines && time.Now().Before(end); over = holds(true) {
		time.Sleep(10 * time.Millisecond)
	}

	figures := map[string]int64{
		"offered": s.offered.Load(), "succeeded": s.succeeded.Load(), "failed": s.failed.Load(),
		"refused": s.refused.Load(), "cancelled": s.cancelled.Load(),
		"attempts": s.attempts.Load(), "answered": s.answered.Load(), "seen by the servers": s.served.Load(),
		"told to the Trace": s.attempted.Load(), "waits": s.waits.Load(), "openings": s.openings.Load(),
	}
	text, _ := json.Marshal(figures)
	t.Logf("%v: %s", length, text)
	t.Logf("before: %.0f goroutines, %.0f files, %.0f KiB", idle.goroutines, idle.files, idle.heap/1024)
	t.Logf("first:  %.0f goroutines, %.0f files, %.0f KiB", first.goroutines, first.files, first.heap/1024)
	t.Logf("last:   %.0f goroutines, %.0f files, %.0f KiB", last.goroutines, last.files, last.heap/1024)
	t.Logf("after:  %.0f goroutines, %.0f files, %.0f KiB", over.goroutines, over.files, over.heap/1024)

	for name, n := range figures {
		if n == 0 {
			t.Errorf("nothing was %s: that is no soak", name)
		}
	}
	if sum := s.succeeded.Load() + s.failed.Load() + s.refused.Load() + s.cancelled.Load(); sum != s.offered.Load() {
		t.Errorf("%d calls came to something, of %d", sum, s.offered.Load())
	}
	if s.attempted.Load() != s.attempts.Load() || s.told.Load() != s.answered.Load() {
		t.Errorf("the Trace was told of %d attempts and %d responses, of %d and %d",
			s.attempted.Load(), s.told.Load(), s.attempts.Load(), s.answered.Load())
	}
	unseen := int64(0)
	for n := int64(1); n <= s.attempts.Load(); n++ {
		switch seen := s.seen[n].Load(); {
		case seen > 1:
			t.Errorf("attempt %d reached a server %d times", n, seen)
		case seen == 0 && !s.unanswered[n].Load():
			t.Errorf("attempt %d was answered by nobody", n)
		case seen == 0:
			unseen++ // cancelled before it was sent
		}
	}
	if s.served.Load() != s.attempted.Load()-unseen {
		t.Errorf("the servers saw %d requests; the Trace %d, of which %d were never sent", s.served.Load(), s.attempted.Load(), unseen)
	}
	if left := steadyhttp.Leftovers(stack); left != nil {
		t.Error(left)
	}
	if over.goroutines > idle.goroutines || over.files > idle.files {
		t.Errorf("%.0f goroutines and %.0f files are left, of %.0f and %.0f before", over.goroutines, over.files, idle.goroutines, idle.files)
	}
	// What calls in flight hold comes and goes by megabytes; a minute evens that out.
	grown := over.heap - idle.heap
	if *steadyhttp.Soak {
		grown = max(grown, last.heap-first.heap)
	}
	if grown > 8<<20 {
		t.Errorf("the heap grew by %.0f KiB", grown/1024)
	}
	if last.goroutines > 1.5*first.goroutines+100 || last.files > 1.5*first.files+100 {
		t.Errorf("%.0f goroutines and %.0f files, after %.0f and %.0f at first", last.goroutines, last.files, first.goroutines, first.files)
	}
}
