package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// job is the work that every client does at every server.
type job struct {
	calls   int
	workers int
	limit   int           // calls that the server admits …
	per     time.Duration // … in so long
	latency time.Duration // of one admitted call
	timeout time.Duration // after which the calls that are left have failed
}

var (
	fullJob  = job{calls: 175, workers: 32, limit: 50, per: 5 * time.Second, latency: 20 * time.Millisecond, timeout: 50 * time.Second}
	shortJob = job{calls: 140, workers: 32, limit: 50, per: 5 * time.Second, latency: 20 * time.Millisecond, timeout: 25 * time.Second}
)

// rate is what the server admits in the long run, in calls per second.
func (j job) rate() float64 { return float64(j.limit) / j.per.Seconds() }

// kind is how a server counts.
type kind uint8

const (
	bucket  kind = iota // refills gradually, up to the limit
	window              // all at once, at a moment that the first call or the clock decides
	sliding             // the last window counts, less and less, in the current one
)

// ideal is how long a client needs that knows everything, at worst: at a wall
// clock window it may be luckier.
func (j job) ideal(s server) time.Duration {
	burst := s.burst
	if burst == 0 {
		burst = j.limit
	}
	gradual := time.Duration(max(0, j.calls-burst)) * j.per / time.Duration(j.limit)
	switch s.kind {
	case window:
		return time.Duration((j.calls-1)/j.limit) * j.per
	case sliding:
		return j.per + gradual
	}
	return gradual
}

// result is what became of a job.
type result struct {
	failed int
	reason string // of one of the failures
	took   time.Duration
	events []event // on the wire, in the order of their ends
}

// denied is the number of requests that the server refused for their rate.
func (r result) denied() int {
	n := 0
	for _, e := range r.events {
		if e.denied() {
			n++
		}
	}
	return n
}

// deniedShare is denied over all requests that were sent.
func (r result) deniedShare() float64 {
	if len(r.events) == 0 {
		return 0
	}
	return float64(r.denied()) / float64(len(r.events))
}

// run does the job with c at the server of that URL.
func (j job) run(ctx context.Context, c client, url string) result {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()

	// Like a program's own: two idle connections to a host, so that many calls
	// open a new one, which is how calls overtake each other.
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	w := &wire{base: base, start: time.Now()}
	call := c.dial(j, url, w)

	var (
		next, failed atomic.Int64
		reason       atomic.Value
		wg           sync.WaitGroup
	)
	for range j.workers {
		wg.Go(func() {
			for next.Add(1) <= int64(j.calls) {
				if err := call(ctx); err != nil {
					failed.Add(1)
					reason.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	wg.Wait()
	r := result{failed: int(failed.Load()), took: time.Since(w.start), events: w.taken()}
	r.reason, _ = reason.Load().(string)
	return r
}

// event is one request on the wire.
type event struct {
	sent, answered time.Duration // since the start
	status         int           // zero if there was an error
	header         http.Header
}

func (e event) denied() bool {
	return e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable
}

// wire is what the clients send through: it sees what the server sees.
type wire struct {
	base  http.RoundTripper
	start time.Time

	mu     sync.Mutex
	events []event
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	e := event{sent: time.Since(w.start)}
	resp, err := w.base.RoundTrip(req)
	e.answered = time.Since(w.start)
	if err == nil {
		e.status, e.header = resp.StatusCode, resp.Header
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return resp, err
}

func (w *wire) CloseIdleConnections() {
	if c, ok := w.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (w *wire) taken() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

// chatPath is where the backend answers chat completions.
const chatPath = "/v1/chat/completions"

// chatBody is the request of the clients that have no SDK.
const chatBody = `{"model":"gpt-5","messages":[{"role":"user","content":"Say this is a test"}]}`

// chatAnswer is what the backends answer.
const chatAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":1780000000,"model":"gpt-5",` +
	`"choices":[{"index":0,"message":{"role":"assistant","content":"This is a test.","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}`

// backend answers every admitted call as a chat API does, after the latency.
func (j job) backend() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(j.latency)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, chatAnswer)
	})
}

// post is a call without an SDK. It fails unless it is answered by the backend.
func post(c *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+chatPath, strings.NewReader(chatBody))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer arena")
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		return read(resp)
	}
}

// read takes the answer off a response.
func read(resp *http.Response) error {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		io.Copy(io.Discard, resp.Body)
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var answer struct{ Object string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Object != "chat.completion" {
		return errors.New("not an answer of the backend")
	}
	return nil
}
