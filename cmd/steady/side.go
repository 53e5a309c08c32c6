package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// job is what each side has to do.
type job struct {
	calls, workers int
	model          string
	ideal          time.Duration // of a client that knows everything; zero if unknown
}

// meter counts the requests that reach an API.
type meter interface {
	Counts() steadytest.Counts
	Timeline(width time.Duration) []steadytest.Bucket
}

// side is one way of doing the job, and how far it is.
type side struct {
	name     string
	meter    meter
	options  []option.RequestOption
	priority steadyhttp.Priority

	succeeded, failed atomic.Int64
	took              time.Duration

	mu       sync.Mutex
	failures map[string]int
}

// run does the job.
func (s *side) run(ctx context.Context, job job) {
	begin := time.Now()
	client := openai.NewClient(s.options...)
	ctx = steadyhttp.WithPriority(ctx, s.priority)
	calls := make(chan struct{}, job.calls)
	for range job.calls {
		calls <- struct{}{}
	}
	close(calls)
	var wg sync.WaitGroup
	for range job.workers {
		wg.Go(func() {
			for range calls {
				s.count(complete(ctx, client, job.model))
			}
		})
	}
	wg.Wait()
	s.took = time.Since(begin)
}

// count takes the end of one call.
func (s *side) count(err error) {
	if err == nil {
		s.succeeded.Add(1)
		return
	}
	s.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures == nil {
		s.failures = map[string]int{}
	}
	s.failures[reason(err)]++
}

// reason is why a call failed, in words that hold no secret.
func reason(err error) string {
	var refused *openai.Error
	var o steadyhttp.Outcome
	if errors.As(err, &refused) {
		o = steadyhttp.OutcomeOf(refused.Response, nil)
	} else {
		o = steadyhttp.OutcomeOf(nil, err)
	}
	if o.Code == "" {
		return o.Class.String()
	}
	return fmt.Sprintf("%s (%s)", o.Class, printable(o.Code))
}

// result is what became of the job on one side.
type result struct {
	Name      string         `json:"name"`
	Succeeded int64          `json:"succeeded"`
	Failed    int64          `json:"failed"`
	Failures  map[string]int `json:"failures,omitempty"`
	Requests  int            `json:"requests"`
	Denied    int            `json:"denied"`
	Outage    int            `json:"met_the_outage"`
	Seconds   float64        `json:"seconds"`
	XIdeal    float64        `json:"x_ideal,omitempty"`
}

func (s *side) result(job job) result {
	n := s.meter.Counts()
	r := result{
		Name: s.name, Succeeded: s.succeeded.Load(), Failed: s.failed.Load(), Failures: s.failures,
		Requests: n.Requests, Denied: n.Denied, Outage: n.Failed, Seconds: seconds(s.took),
	}
	if job.ideal > 0 {
		r.XIdeal = float64(int(s.took.Seconds()/job.ideal.Seconds()*100+0.5)) / 100
	}
	return r
}

// deniedShare is the share of requests that were denied.
func (r result) deniedShare() float64 {
	return float64(r.Denied) / float64(max(r.Requests, 1))
}

// failures says why calls failed, the commonest reason first.
func (r result) failures() string {
	reasons := slices.SortedFunc(maps.Keys(r.Failures), func(a, b string) int {
		return cmp.Or(r.Failures[b]-r.Failures[a], strings.Compare(a, b))
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", r.Failures[reason], reason)
	}
	return strings.Join(reasons, ", ")
}

// seconds is d rounded for people.
func seconds(d time.Duration) float64 { return d.Round(10 * time.Millisecond).Seconds() }

// serve answers for h on a free port of loopback.
func serve(h http.Handler) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h}
	go server.Serve(l)
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}

// traceMeter is a meter for an API that does not count itself.
type traceMeter struct {
	mu    sync.Mutex
	began time.Time
	seen  []steadytest.Bucket // each of one request, in no order
}

func (m *traceMeter) trace() *steadyhttp.Trace {
	return &steadyhttp.Trace{Attempted: func(i steadyhttp.AttemptInfo) { m.count(i, time.Now()) }}
}

// count takes an attempt that ended now.
func (m *traceMeter) count(i steadyhttp.AttemptInfo, now time.Time) {
	c := steadytest.Counts{Requests: 1}
	switch i.Outcome.Class {
	case steadyhttp.ClassRateLimited, steadyhttp.ClassQuotaExhausted:
		c.Denied = 1
	case steadyhttp.ClassSuccess:
		c.Admitted = 1
	default:
		c.Failed = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	sent := now.Add(-i.Duration)
	if m.began.IsZero() {
		m.began = sent
	}
	m.seen = append(m.seen, steadytest.Bucket{Start: max(sent.Sub(m.began), 0), Counts: c})
}

func (m *traceMeter) Counts() (total steadytest.Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.seen {
		add(&total, b.Counts)
	}
	return total
}

func (m *traceMeter) Timeline(width time.Duration) []steadytest.Bucket {
	m.mu.Lock()
	defer m.mu.Unlock()
	var line []steadytest.Bucket
	for _, b := range m.seen {
		i := int(b.Start / width)
		for len(line) <= i {
			line = append(line, steadytest.Bucket{Start: time.Duration(len(line)) * width})
		}
		add(&line[i].Counts, b.Counts)
	}
	return line
}

func add(total *steadytest.Counts, c steadytest.Counts) {
	total.Requests += c.Requests
	total.Admitted += c.Admitted
	total.Denied += c.Denied
	total.Failed += c.Failed
}
