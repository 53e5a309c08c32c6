package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// breakerBase is a scripted server below a Breaker.
type breakerBase func(*http.Request) (*http.Response, error)

func (f breakerBase) RoundTrip(req *http.Request) (*http.Response, error) {
	closeBody(req)
	return f(req)
}

// answer is a response as a server gives it.
func answer(req *http.Request, status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader("")), ContentLength: 0, Request: req,
	}
}

// fakeServer answers with a status that the test sets, after a delay.
type fakeServer struct {
	status atomic.Int64
	delay  time.Duration
	header []string
	hits   atomic.Int64
}

func serverWith(status int) *fakeServer {
	s := &fakeServer{}
	s.status.Store(int64(status))
	return s
}

func (s *fakeServer) RoundTrip(req *http.Request) (*http.Response, error) {
	closeBody(req)
	s.hits.Add(1)
	select {
	case <-time.After(s.delay):
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	return answer(req, int(s.status.Load()), s.header...), nil
}

// soon begins a test in virtual time at a usual date.
func soon() {
	time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
}

func get(t testing.TB, host string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+host+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// send makes one call and returns its status, or 0 and its error.
func send(t testing.TB, rt http.RoundTripper, req *http.Request) (int, error) {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	if (resp == nil) == (err == nil) {
		t.Fatalf("got response %v and error %v", resp, err)
	}
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// trip opens the circuit of host by failures.
func trip(t testing.TB, b *Breaker, host string) {
	t.Helper()
	for range 100 {
		if b.State(get(t, host)) == StateOpen {
			return
		}
		send(t, b, get(t, host))
	}
	t.Fatalf("the circuit of %s does not open", host)
}

// refusal is the OpenError of a call that must be refused.
func refusal(t testing.TB, rt http.RoundTripper, req *http.Request) *OpenError {
	t.Helper()
	_, err := send(t, rt, req)
	var open *OpenError
	if !errors.As(err, &open) {
		t.Fatalf("got %v, want an OpenError", err)
	}
	return open
}

func TestConsecutiveFailuresOpenTheCircuit(t *testing.T) {
	cases := []struct {
		name    string
		breaker *Breaker
		answers string // s success, f failure, n neither
		gap     time.Duration
		want    State
	}{
		{"nine", &Breaker{}, "fffffffff", 0, StateClosed},
		{"ten", &Breaker{}, "ffffffffff", 0, StateOpen},
		{"a success between", &Breaker{}, "fffffffffsf", 0, StateClosed},
		{"nothing said between", &Breaker{}, "fffffffffnf", 0, StateOpen},
		{"ten over many windows", &Breaker{}, "ffffffffff", time.Hour, StateOpen},
		{"two are enough", &Breaker{Failures: 2}, "sff", 0, StateOpen},
		{"switched off", &Breaker{Failures: -1, Ratio: -1}, strings.Repeat("f", 99), 0, StateClosed},
		{"a ratio alone", &Breaker{Failures: -1}, strings.Repeat("f", 20), 0, StateOpen},
		{"a ratio needs its calls", &Breaker{Failures: -1}, strings.Repeat("f", 19), 0, StateClosed},
		{"a ratio of any calls", &Breaker{Failures: -1, MinCalls: -1}, "f", 0, StateOpen},
		{"half of twenty", &Breaker{}, strings.Repeat("sf", 10), 0, StateOpen},
		{"less than half", &Breaker{}, "s" + strings.Repeat("sf", 40), 0, StateClosed},
		{"half of what says anything", &Breaker{}, strings.Repeat("nnsf", 10), 0, StateOpen},
		{"what says nothing does not make up the calls", &Breaker{}, strings.Repeat("nnsf", 9), 0, StateClosed},
		{"a higher ratio", &Breaker{Ratio: 0.9}, strings.Repeat("sf", 50), 0, StateClosed},
		{"half, but in too many windows", &Breaker{}, strings.Repeat("sf", 50), 10 * time.Second, StateClosed},
		{"half in a wider window", &Breaker{Window: time.Hour}, strings.Repeat("sf", 10), 10 * time.Second, StateOpen},
		{"window switched off", &Breaker{Window: -1}, strings.Repeat("sf", 500), 0, StateClosed},
		{"window switched off, ten in a row", &Breaker{Window: -1}, "ffffffffff", 0, StateOpen},
		{"the longest window", &Breaker{Window: math.MaxInt64}, strings.Repeat("sf", 10), time.Hour, StateOpen},
		{"the shortest window", &Breaker{Window: 1}, strings.Repeat("sf", 50), 1, StateClosed},
		{"a ratio beyond one", &Breaker{Ratio: 1.5, Failures: -1}, strings.Repeat("f", 99), 0, StateClosed},
		{"a ratio that is no number", &Breaker{Ratio: math.NaN(), Failures: -1}, strings.Repeat("f", 99), 0, StateClosed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				soon()
				server := serverWith(200)
				b := tc.breaker
				b.Base = server
				for i, r := range tc.answers {
					if i > 0 {
						time.Sleep(tc.gap)
					}
					if b.State(get(t, "a.example")) != StateClosed {
						t.Fatalf("it is not closed any more before call %d of %d", i+1, len(tc.answers))
					}
					server.status.Store(map[rune]int64{'s': 200, 'f': 500, 'n': 429}[r])
					send(t, b, get(t, "a.example"))
				}
				if got := b.State(get(t, "a.example")); got != tc.want {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			})
		})
	}
}

func TestCircuitCountsWhatTellsOfTheServersHealth(t *testing.T) {
	netErr := errors.New("connection refused")
	cases := []struct {
		outcome Class
		want    tally
	}{
		{ClassSuccess, tallySuccess}, {ClassInvalidRequest, tallySuccess}, {ClassAuth, tallySuccess},
		{ClassPermission, tallySuccess}, {ClassNotFound, tallySuccess}, {ClassContextLength, tallySuccess},
		{ClassContentPolicy, tallySuccess}, {ClassConflict, tallySuccess}, {ClassClientError, tallySuccess},
		{ClassQuotaExhausted, tallyIgnored}, {ClassRateLimited, tallyIgnored},
		{ClassCanceled, tallyIgnored}, {ClassRefused, tallyIgnored},
		{ClassOverloaded, tallyFailure}, {ClassServerError, tallyFailure}, {ClassTimeout, tallyFailure}, {ClassNetwork, tallyFailure},
	}
	for _, tc := range cases {
		class := tc.outcome
		base := breakerBase(func(*http.Request) (*http.Response, error) { return nil, netErr })
		classes := &Classifier{Base: base, Classify: func(*http.Response, error) Outcome { return Outcome{Class: class} }}
		b := &Breaker{Base: classes, Failures: 3, Ratio: -1}
		calls := []Class{ClassServerError, ClassServerError, tc.outcome, ClassServerError}
		for _, class = range calls {
			send(t, b, get(t, "a.example"))
		}
		// Two failures, then the call in question: a third opens the circuit, so
		// does one after a call that is ignored, but not after a success.
		want := StateOpen
		if tc.want == tallySuccess {
			want = StateClosed
		}
		if got := b.State(get(t, "a.example")); got != want {
			t.Errorf("%v after two failures and before one: got %v, want %v", tc.outcome, got, want)
		}
		if got := tallyOf(tc.outcome); got != tc.want {
			t.Errorf("%v: got tally %d, want %d", tc.outcome, got, tc.want)
		}
	}
}

// A Classify of one's own does not see the request's context, whose cause can be
// any error.
func TestCallersOwnCancellationsNeverCountWhateverClassifySays(t *testing.T) {
	for name, classify := range map[string]func(*http.Response, error) Outcome{
		"none":              nil,
		"asks Classify":     Classify,
		"has its own words": func(*http.Response, error) Outcome { return Outcome{Class: ClassOverloaded} },
	} {
		var escape func()
		b := &Breaker{Failures: 3, Base: &Classifier{Classify: classify, Base: breakerBase(func(req *http.Request) (*http.Response, error) {
			escape()
			return nil, context.Cause(req.Context())
		})}}
		for range 5 {
			ctx, cancel := context.WithCancelCause(t.Context())
			escape = func() { cancel(errors.New("the user pressed escape")) }
			if resp, err := b.RoundTrip(get(t, "a.example").WithContext(ctx)); err == nil {
				t.Fatal(resp.Status)
			}
		}
		if got := b.State(get(t, "a.example")); got != StateClosed {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Such as one whose credential was read from a file, with the line's end.
func TestRequestThatCannotBeSentSaysNothingOfTheServer(t *testing.T) {
	b := &Breaker{Base: new(http.Transport)}
	for range 30 {
		req := get(t, "a.example")
		req.Header.Set("Authorization", "Bearer of\nnothing")
		resp, err := b.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "invalid header") {
			t.Fatalf("got %v, want the transport's own word", err)
		}
	}
	if got := b.State(get(t, "a.example")); got != StateClosed {
		t.Errorf("the circuit is %v", got)
	}
}

func TestOpenCircuitFailsAtOnceAndSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server}
		trip(t, b, "a.example")
		hits, opened := server.hits.Load(), time.Now()
		open := refusal(t, b, get(t, "a.example"))
		if got := time.Since(opened); got != 0 {
			t.Errorf("refused after %v", got)
		}
		if server.hits.Load() != hits {
			t.Error("the refused call was sent")
		}
		if open.Key != "https://a.example" || !open.RetryAt.Equal(opened.Add(time.Second)) {
			t.Errorf("got key %q, retry in %v", open.Key, open.RetryAt.Sub(opened))
		}
		if o := OutcomeOf(nil, open); o.Class != ClassRefused || !o.RetryAt.Equal(open.RetryAt) {
			t.Errorf("got outcome %v at %v", o.Class, o.RetryAt)
		}
		time.Sleep(time.Until(open.RetryAt) - 1)
		if got := b.State(get(t, "a.example")); got != StateOpen {
			t.Errorf("just before RetryAt: %v", got)
		}
		refusal(t, b, get(t, "a.example"))
		time.Sleep(time.Nanosecond)
		if got := b.State(get(t, "a.example")); got != StateHalfOpen {
			t.Errorf("at RetryAt: %v", got)
		}
		server.status.Store(200)
		if status, err := send(t, b, get(t, "a.example")); status != 200 {
			t.Errorf("the probe got %d, %v", status, err)
		}
		if got := b.State(get(t, "a.example")); got != StateClosed {
			t.Errorf("after a probe that succeeded: %v", got)
		}
	})
}

func TestPauseDoublesWithEachProbeThatFails(t *testing.T) {
	cases := []struct {
		name    string
		breaker *Breaker
		least   []time.Duration // before jitter
		most    time.Duration
	}{
		{"defaults", &Breaker{}, []time.Duration{1e9, 2e9, 4e9, 8e9, 10e9, 10e9}, 10e9},
		{"set", &Breaker{Pause: 3e9, MaxPause: 60e9}, []time.Duration{3e9, 6e9, 12e9, 24e9, 48e9, 60e9}, 60e9},
		{"a pause beyond the default maximum", &Breaker{Pause: 30e9}, []time.Duration{30e9, 30e9}, 30e9},
		{"a pause beyond the maximum", &Breaker{Pause: 30e9, MaxPause: 1e9}, []time.Duration{30e9, 30e9}, 30e9},
		{"no maximum", &Breaker{Pause: time.Minute, MaxPause: -1}, []time.Duration{60e9, 120e9, 240e9, 480e9, 960e9, 1920e9, 3600e9, 3600e9}, time.Hour},
		{"no pause", &Breaker{Pause: -1, MaxPause: 4e6}, []time.Duration{1e6, 2e6, 4e6}, 4e6},
		{"absurd", &Breaker{Pause: math.MaxInt64, MaxPause: math.MaxInt64}, []time.Duration{forever}, forever},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				soon()
				server := serverWith(503)
				b := tc.breaker
				b.Base = server
				trip(t, b, "a.example")
				for i, least := range tc.least {
					pause := time.Until(refusal(t, b, get(t, "a.example")).RetryAt)
					most := least
					if i > 0 {
						most = min(least+least/4, tc.most)
					}
					if pause < least || pause > most {
						t.Errorf("pause %d: got %v, want %v to %v", i, pause, least, most)
					}
					if pause < forever {
						time.Sleep(pause)
						send(t, b, get(t, "a.example"))
					}
				}
				if tc.most == forever {
					return
				}
				server.status.Store(200)
				time.Sleep(time.Until(refusal(t, b, get(t, "a.example")).RetryAt))
				send(t, b, get(t, "a.example"))
				server.status.Store(503)
				trip(t, b, "a.example")
				if got := time.Until(refusal(t, b, get(t, "a.example")).RetryAt); got != tc.least[0] {
					t.Errorf("the pause after it had been closed: got %v, want %v", got, tc.least[0])
				}
			})
		})
	}
}

func TestJitterSpreadsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		seen := map[time.Duration]bool{}
		for range 20 {
			b := &Breaker{Base: serverWith(503)}
			trip(t, b, "a.example")
			time.Sleep(time.Second)
			send(t, b, get(t, "a.example"))
			seen[time.Until(refusal(t, b, get(t, "a.example")).RetryAt)] = true
		}
		if len(seen) < 15 {
			t.Errorf("20 clients come back at %d different times", len(seen))
		}
	})
}

func TestRetryAfterLengthensThePause(t *testing.T) {
	cases := []struct {
		asked, want time.Duration
	}{
		{0, time.Second},
		{-time.Hour, time.Second},
		{500 * time.Millisecond, time.Second},
		{4 * time.Second, 4 * time.Second},
		{time.Hour, 10 * time.Second},
		{200 * 365 * 24 * time.Hour, 10 * time.Second},
	}
	for _, tc := range cases {
		synctest.Test(t, func(t *testing.T) {
			soon()
			at := time.Time{}
			if tc.asked != 0 {
				at = time.Now().Round(0).Add(tc.asked)
			}
			b := &Breaker{Base: &Classifier{
				Base:     serverWith(503),
				Classify: func(*http.Response, error) Outcome { return Outcome{Class: ClassOverloaded, RetryAt: at} },
			}}
			trip(t, b, "a.example")
			if got := time.Until(refusal(t, b, get(t, "a.example")).RetryAt); got != tc.want {
				t.Errorf("Retry-After %v: got a pause of %v, want %v", tc.asked, got, tc.want)
			}
		})
	}
}

func TestOnlyOneProbeIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server}
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		server.delay = 5 * time.Second
		server.status.Store(200)
		hits := server.hits.Load()
		var wg sync.WaitGroup
		wg.Go(func() {
			if status, err := send(t, b, get(t, "a.example")); status != 200 {
				t.Errorf("the probe got %d, %v", status, err)
			}
		})
		synctest.Wait()
		for range 3 {
			open := refusal(t, b, get(t, "a.example"))
			if got := time.Until(open.RetryAt); got != time.Second {
				t.Errorf("with a probe out: retry in %v, want Pause", got)
			}
			time.Sleep(time.Second)
		}
		if got := server.hits.Load() - hits; got != 1 {
			t.Errorf("%d probes were sent, want 1", got)
		}
		open := refusal(t, b, get(t, "a.example"))
		select {
		case <-open.changed:
			t.Error("changed is closed while the probe is out")
		default:
		}
		wg.Wait()
		select {
		case <-open.changed:
		default:
			t.Error("changed is not closed by the close")
		}
		if status, err := send(t, b, get(t, "a.example")); status != 200 {
			t.Errorf("after the close: %d, %v", status, err)
		}
	})
}

func TestProbesSuccessesCloseTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server, Probes: 3}
		trip(t, b, "a.example")
		server.status.Store(200)
		time.Sleep(time.Second)
		for i, want := range []State{StateHalfOpen, StateHalfOpen, StateClosed} {
			send(t, b, get(t, "a.example"))
			if got := b.State(get(t, "a.example")); got != want {
				t.Errorf("after %d successes: got %v, want %v", i+1, got, want)
			}
		}
		server.status.Store(503)
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		server.status.Store(200)
		send(t, b, get(t, "a.example"))
		server.status.Store(503)
		send(t, b, get(t, "a.example"))
		if got := b.State(get(t, "a.example")); got != StateOpen {
			t.Errorf("after a success and a failure: got %v, want open", got)
		}
	})
}

// A probe that is cancelled, or denied by a rate limit, says nothing of the
// server's health: the next request is the next probe.
func TestNeutralProbeFreesItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server}
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		server.delay = time.Minute
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := send(t, b, get(t, "a.example").WithContext(ctx)); err != context.Canceled {
				t.Errorf("got %v, want the base's own context.Canceled", err)
			}
			if got := b.State(get(t, "a.example")); got != StateHalfOpen {
				t.Errorf("after a cancelled probe: %v", got)
			}
		}
		server.delay = 0
		server.status.Store(429)
		for range 5 {
			if status, err := send(t, b, get(t, "a.example")); status != 429 {
				t.Errorf("got %d, %v", status, err)
			}
		}
		server.status.Store(200)
		if status, err := send(t, b, get(t, "a.example")); status != 200 || b.State(get(t, "a.example")) != StateClosed {
			t.Errorf("got %d, %v, %v", status, err, b.State(get(t, "a.example")))
		}
	})
}

func TestHungProbeFreesItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server}
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		server.delay = 1000 * time.Hour
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { send(t, b, get(t, "a.example").WithContext(ctx)) })
		synctest.Wait()
		time.Sleep(30*time.Second - 1)
		refusal(t, b, get(t, "a.example"))
		time.Sleep(time.Nanosecond)
		server.delay = 0
		server.status.Store(200)
		if status, err := send(t, b, get(t, "a.example")); status != 200 {
			t.Errorf("after ProbeTimeout: %d, %v", status, err)
		}
		if got := b.State(get(t, "a.example")); got != StateClosed {
			t.Errorf("got %v, want closed", got)
		}
		cancel()
		wg.Wait()
	})
}

// An answer that takes longer than ProbeTimeout is an answer: where every call
// takes 45 s, a circuit that ignored it could never close.
func TestProbeThatAnswersLateStillCounts(t *testing.T) {
	for _, tc := range []struct {
		status int
		want   State
	}{{200, StateClosed}, {503, StateOpen}, {429, StateHalfOpen}} {
		synctest.Test(t, func(t *testing.T) {
			soon()
			server := serverWith(503)
			b := &Breaker{Base: server}
			trip(t, b, "a.example")
			time.Sleep(time.Second)
			server.delay = 45 * time.Second
			server.status.Store(int64(tc.status))
			var wg sync.WaitGroup
			wg.Go(func() { send(t, b, get(t, "a.example")) })
			synctest.Wait()
			time.Sleep(40 * time.Second)
			wg.Go(func() { send(t, b, get(t, "a.example")) }) // takes the slot of the first
			synctest.Wait()
			refusal(t, b, get(t, "a.example"))
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if got := b.State(get(t, "a.example")); got != tc.want {
				t.Errorf("%d after 45 s: got %v, want %v", tc.status, got, tc.want)
			}
			if tc.want == StateHalfOpen {
				refusal(t, b, get(t, "a.example")) // its slot was given back once, not twice
			}
			wg.Wait()
		})
	}
}

func TestProbeTimeoutCanBeSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server, ProbeTimeout: -1}
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		server.delay = 100 * time.Hour
		var wg sync.WaitGroup
		wg.Go(func() { send(t, b, get(t, "a.example")) })
		time.Sleep(99 * time.Hour)
		refusal(t, b, get(t, "a.example"))
		wg.Wait()
	})
}

// The results of a slow call are recorded as it ends, however short the window.
func TestSlowCallsThatFailOpenTheCircuit(t *testing.T) {
	for _, d := range []time.Duration{15 * time.Second, 45 * time.Second, 2 * time.Minute} {
		for _, b := range []*Breaker{{Ratio: -1}, {Failures: -1, Window: 10 * time.Second}} {
			synctest.Test(t, func(t *testing.T) {
				soon()
				server := serverWith(503)
				server.delay = d
				b.Base = server
				var wg sync.WaitGroup
				for range 200 {
					wg.Go(func() { send(t, b, get(t, "a.example")) })
					time.Sleep(10 * time.Millisecond)
				}
				wg.Wait()
				if got := b.State(get(t, "a.example")); got == StateClosed {
					t.Errorf("calls of %v: the circuit is closed", d)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // one at a time: a window holds none or one
		soon()
		server := serverWith(503)
		server.delay = 2 * time.Minute
		b := &Breaker{Base: server}
		for range 10 {
			send(t, b, get(t, "a.example"))
		}
		if got := b.State(get(t, "a.example")); got != StateOpen {
			t.Errorf("ten calls of 2 m in a row: %v", got)
		}
	})
}

func TestTimeoutsOpenTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(200)
		server.delay = time.Hour
		b := &Breaker{Base: server}
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if _, err := send(t, b, get(t, "a.example").WithContext(ctx)); err != context.DeadlineExceeded {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		if got := b.State(get(t, "a.example")); got != StateOpen {
			t.Errorf("after ten timeouts: %v", got)
		}
	})
}

// A context that was over beforehand says nothing of the server.
func TestExpiredContextCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		b := &Breaker{Base: serverWith(200)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(2 * time.Second)
		base := b.Base.(*fakeServer)
		base.delay = time.Second
		for range 50 {
			if _, err := send(t, b, get(t, "a.example").WithContext(ctx)); err != context.DeadlineExceeded {
				t.Errorf("got %v", err)
			}
		}
		if got := b.State(get(t, "a.example")); got != StateClosed {
			t.Errorf("got %v, want closed", got)
		}
	})
}

// Calls that were under way when the circuit opened belong to the past: they
// neither lengthen the pause, nor decide for a probe, nor count once it closed.
func TestCallsFromBeforeTheOpeningCountNoMore(t *testing.T) {
	for _, late := range []int{200, 503} {
		synctest.Test(t, func(t *testing.T) {
			soon()
			var slow atomic.Bool
			var status atomic.Int64
			slow.Store(true)
			status.Store(503)
			b := &Breaker{Base: breakerBase(func(req *http.Request) (*http.Response, error) {
				if req.Header.Get("Late") != "" {
					d, _ := time.ParseDuration(req.Header.Get("Late"))
					time.Sleep(d)
					return answer(req, late), nil
				}
				return answer(req, int(status.Load())), nil
			})}
			var wg sync.WaitGroup
			for i := range 60 { // they end while open, half-open and closed again
				req := get(t, "a.example")
				req.Header = http.Header{"Late": {(time.Duration(i+1) * 100 * time.Millisecond).String()}}
				wg.Go(func() { send(t, b, req) })
			}
			synctest.Wait()
			trip(t, b, "a.example")
			retryAt := refusal(t, b, get(t, "a.example")).RetryAt
			time.Sleep(900 * time.Millisecond)
			if got := refusal(t, b, get(t, "a.example")).RetryAt; !got.Equal(retryAt) {
				t.Errorf("late %d: RetryAt moved by %v", late, got.Sub(retryAt))
			}
			time.Sleep(1200 * time.Millisecond)
			if got := b.State(get(t, "a.example")); got != StateHalfOpen {
				t.Errorf("late %d: got %v after the pause, want half-open", late, got)
			}
			status.Store(200)
			send(t, b, get(t, "a.example"))
			time.Sleep(3 * time.Second) // some 30 late answers more
			if got := b.State(get(t, "a.example")); got != StateClosed {
				t.Errorf("late %d: got %v after the probe, want closed", late, got)
			}
			wg.Wait()
		})
	}
}

func TestClosedCircuitStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server}
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		server.status.Store(200)
		send(t, b, get(t, "a.example"))
		server.status.Store(503)
		for i := range 9 {
			send(t, b, get(t, "a.example"))
			if got := b.State(get(t, "a.example")); got != StateClosed {
				t.Fatalf("%v after %d failures", got, i+1)
			}
		}
	})
}

func TestCircuitsAreIndependent(t *testing.T) {
	b := &Breaker{Base: breakerBase(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "hostile.example" {
			return answer(req, 503), nil
		}
		return answer(req, 200), nil
	})}
	trip(t, b, "hostile.example")
	if status, err := send(t, b, get(t, "good.example")); status != 200 {
		t.Errorf("another host got %d, %v", status, err)
	}
	if got := b.State(get(t, "good.example")); got != StateClosed {
		t.Errorf("another host's circuit is %v", got)
	}
}

func TestKeyNamesTheCircuit(t *testing.T) {
	server := serverWith(503)
	b := &Breaker{Base: server, Key: func(req *http.Request) string { return req.Header.Get("Model") }}
	with := func(model string) *http.Request {
		req := get(t, "a.example")
		req.Header.Set("Model", model)
		return req
	}
	for range 10 {
		send(t, b, with("big"))
	}
	if open := refusal(t, b, with("big")); open.Key != "big" {
		t.Errorf("got key %q", open.Key)
	}
	if got := b.State(with("small")); got != StateClosed {
		t.Errorf("the circuit of another key is %v", got)
	}
	for range 50 {
		if status, _ := send(t, b, with("")); status != 503 {
			t.Fatal("an exempt request was held back")
		}
	}
}

func TestStateMakesNoCircuit(t *testing.T) {
	b := &Breaker{Base: serverWith(200)}
	if got := b.State(get(t, "a.example")); got != StateClosed {
		t.Errorf("got %v", got)
	}
	send(t, b, get(t, "b.example"))
	b.State(get(t, "a.example"))
	if got := keysOf(t, &b.circuits); len(got) != 1 || got[0] != "https://b.example" {
		t.Errorf("got circuits of %q", got)
	}
}

func TestPanicOfBaseFreesTheSlotAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		panics := false
		b := &Breaker{}
		b.Base = breakerBase(func(req *http.Request) (*http.Response, error) {
			if panics {
				panic(http.ErrAbortHandler)
			}
			return server.RoundTrip(req)
		})
		attempt := func() (got any) {
			defer func() { got = recover() }()
			send(t, b, get(t, "a.example"))
			return nil
		}
		panics = true
		for range 50 {
			if got := attempt(); got != http.ErrAbortHandler {
				t.Fatalf("recovered %v, want http.ErrAbortHandler", got)
			}
		}
		if got := b.State(get(t, "a.example")); got != StateClosed {
			t.Errorf("after 50 panics: %v", got)
		}
		panics = false
		trip(t, b, "a.example")
		time.Sleep(time.Second)
		panics = true
		for range 5 {
			if got := attempt(); got != http.ErrAbortHandler {
				t.Fatalf("the probe: recovered %v, want http.ErrAbortHandler", got)
			}
		}
		panics = false
		server.status.Store(200)
		if status, err := send(t, b, get(t, "a.example")); status != 200 {
			t.Errorf("after probes that panicked: %d, %v", status, err)
		}
		if e := b.circuits.entries["https://a.example"]; e.pins.Load() != 0 {
			t.Errorf("%d pins are left", e.pins.Load())
		}
	})
}

func TestStateChangedIsToldWithoutLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		b := &Breaker{Base: server}
		var log []string
		var at time.Time
		rt := Traced(b, &Trace{StateChanged: func(i StateInfo) {
			state := b.State(get(t, "a.example")) // deadlocks if the circuit is locked
			send(t, b, get(t, "b.example"))       // so would this
			log = append(log, fmt.Sprintf("%s %v->%v %v", i.Key, i.From, i.To, state == i.To))
			at = i.RetryAt
		}})
		for range 10 {
			send(t, rt, get(t, "a.example"))
		}
		if got := time.Until(at); got != time.Second {
			t.Errorf("RetryAt of the opening is in %v", got)
		}
		time.Sleep(time.Second)
		send(t, rt, get(t, "a.example"))
		time.Sleep(time.Minute)
		server.status.Store(200)
		send(t, rt, get(t, "a.example"))
		if !at.IsZero() {
			t.Errorf("RetryAt of the close is %v, want none", at)
		}
		want := []string{
			"https://a.example closed->open true",
			"https://a.example open->half-open true",
			"https://a.example half-open->open true",
			"https://a.example open->half-open true",
			"https://a.example half-open->closed true",
		}
		if got := strings.Join(log, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}

func TestBreakerAloneTellsTheTraceOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		server := serverWith(503)
		server.delay = 2 * time.Second
		b := &Breaker{Base: server, Failures: 2}
		var got []AttemptInfo
		rt := Traced(b, &Trace{Attempted: func(i AttemptInfo) { got = append(got, i) }})
		for range 3 {
			send(t, rt, get(t, "a.example"))
		}
		if len(got) != 2 {
			t.Fatalf("told of %d attempts, want the 2 that were sent", len(got))
		}
		i := got[0]
		if i.Key != "https://a.example" || i.Method != "GET" || i.Host != "a.example" || i.Attempt != 1 ||
			i.Outcome.Class != ClassOverloaded || i.Err != nil || i.Duration != 2*time.Second {
			t.Errorf("got %+v", i)
		}
	})
}

func TestStatesHaveTheirNames(t *testing.T) {
	for s, want := range map[State]string{StateClosed: "closed", StateHalfOpen: "half-open", StateOpen: "open", 9: "unknown"} {
		if got := s.String(); got != want {
			t.Errorf("State(%d): got %q, want %q", s, got, want)
		}
	}
}

// Whatever layer attached it, and wherever between the caller and the Breaker.
func TestStateChangedIsToldToATraceBelowTheRetrier(t *testing.T) {
	var told []State
	b := &Breaker{Base: serverWith(503), Failures: 1}
	rt := &Retrier{Base: Traced(b, &Trace{StateChanged: func(i StateInfo) { told = append(told, i.To) }}), MaxAttempts: 1}
	send(t, rt, get(t, "a.example"))
	if len(told) != 1 || told[0] != StateOpen {
		t.Errorf("told %v", told)
	}
}

// As errgroup cancels, and net/http returns. What ends a context by its deadline is
// the server's for taking so long.
func TestCausesOfContextsCountAsWhatTheyEnd(t *testing.T) {
	sibling := errors.New("a sibling failed")
	until := breakerBase(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	})
	for name, wrap := range map[string]func(*Breaker) http.RoundTripper{
		"Breaker":              func(b *Breaker) http.RoundTripper { b.Base = until; return b },
		"Breaker over Limiter": func(b *Breaker) http.RoundTripper { b.Base = &Limiter{Base: until}; return b },
		"Limiter over Breaker": func(b *Breaker) http.RoundTripper { b.Base = until; return &Limiter{Base: b} },
		"the stack": func(b *Breaker) http.RoundTripper {
			b.Base = &Limiter{Base: &Classifier{Base: until}}
			return &Retrier{Base: b}
		},
	} {
		for _, late := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := &Breaker{}
				rt := wrap(b)
				for range 10 {
					ctx, cancel := context.WithCancelCause(t.Context())
					if late {
						var stop context.CancelFunc
						ctx, stop = context.WithTimeoutCause(ctx, time.Second, sibling)
						defer stop()
					} else {
						time.AfterFunc(time.Second, func() { cancel(sibling) })
					}
					rt.RoundTrip(get(t, "a.example").WithContext(ctx))
					cancel(nil)
				}
				if got := b.State(get(t, "a.example")); (got == StateOpen) != late {
					t.Errorf("%s, a deadline %t: %v", name, late, got)
				}
			})
		}
	}
}

// A caller may go on with the context of the last response's Request.
func TestContextsOfResponsesDoNotPileUp(t *testing.T) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"Retrier":    func(base http.RoundTripper) http.RoundTripper { return &Retrier{Base: base} },
		"Breaker":    func(base http.RoundTripper) http.RoundTripper { return &Breaker{Base: base} },
		"Limiter":    func(base http.RoundTripper) http.RoundTripper { return &Limiter{Base: base} },
		"Classifier": func(base http.RoundTripper) http.RoundTripper { return &Classifier{Base: base} },
		"Traced":     func(base http.RoundTripper) http.RoundTripper { return Traced(&Classifier{Base: base}, &Trace{}) },
		"the stack":  NewTransport,
	} {
		rt := wrap(serverWith(200))
		ctx := t.Context()
		before := heapInUse()
		for range 1000 {
			resp, err := rt.RoundTrip(get(t, "a.example").WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			ctx = resp.Request.Context()
		}
		if grown := int64(heapInUse()) - int64(before); grown > 200<<10 {
			t.Errorf("%s: %d KiB after 1000 calls", name, grown>>10)
		}
		runtime.KeepAlive(ctx)
	}
}

func TestDeadlineThatLeavesTheServerNoTimeSaysNothingOfIt(t *testing.T) {
	for _, tt := range []struct {
		patience time.Duration
		open     bool
	}{{time.Microsecond, false}, {9 * time.Millisecond, false}, {10 * time.Millisecond, true}, {time.Second, true}} {
		for name, wrap := range map[string]func(base http.RoundTripper) http.RoundTripper{
			"alone":     func(base http.RoundTripper) http.RoundTripper { return base },
			"a Limiter": func(base http.RoundTripper) http.RoundTripper { return &Limiter{Base: &Classifier{Base: base}} },
		} {
			synctest.Test(t, func(t *testing.T) {
				server := serverWith(200)
				server.delay = 2 * time.Second
				b := &Breaker{Base: wrap(server)}
				for range 12 {
					ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
					send(t, b, get(t, "a.example").WithContext(ctx))
					cancel()
				}
				if open := b.State(get(t, "a.example")) == StateOpen; open != tt.open {
					t.Errorf("%v to answer, over %s: open %t, want %t", tt.patience, name, open, tt.open)
				}
			})
		}
	}
}
