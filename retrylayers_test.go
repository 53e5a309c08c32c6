package steadyhttp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pacing is a Limiter as the Retrier sees it: it marks denials as its own.
type pacing struct {
	base     http.RoundTripper
	readmit  time.Duration // after the denial
	patience time.Duration

	began []time.Time
}

func (p *pacing) RoundTrip(req *http.Request) (*http.Response, error) {
	out, a, _ := joinAttempt(req, roleLimiter, time.Now())
	p.began = append(p.began, a.began)
	resp, err := p.base.RoundTrip(out)
	if v := settle(a, req, resp, err); v.Class == ClassRateLimited {
		v.paced = &denial{readmit: time.Now().Add(p.readmit), patience: p.patience}
	}
	return resp, err
}

func TestPacedDenialIsNotSleptOnAndCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denials := make([]reply, 10)
		for i := range denials {
			denials[i] = replyWith(429)
		}
		base := &repliesBase{replies: append(denials, replyWith(503), replyWith(503), replyWith(503), replyWith(200))}
		p := &pacing{base: base, readmit: 30 * time.Second, patience: time.Minute}
		resp, err := (&Retrier{Base: p}).RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 200 || base.sent() != 14 {
			t.Fatalf("got %v, %v after %d requests", resp, err, base.sent())
		}
		if base.at[10] > 10*noWait {
			t.Errorf("the eleventh request was sent after %v", base.at[10])
		}
		for i, began := range p.began {
			if !began.Equal(p.began[0]) {
				t.Errorf("attempt %d belongs to a call that began at %v, not %v", i+1, began, p.began[0])
			}
		}
	})
}

func TestEndlessDenialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(429)}}
		r := &Retrier{Base: &pacing{base: base, patience: time.Minute}}
		resp, err := r.RoundTrip(postChat(t, chatCall).WithContext(WithPriority(t.Context(), PriorityBatch)))
		if err != nil || resp.StatusCode != 429 || base.sent() != 14 {
			t.Errorf("got %v, %v after %d requests", resp, err, base.sent())
		}
	})
}

func TestPacedDenialBeyondTheLimitersPatienceIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(429), replyWith(200)}}
		r := &Retrier{Base: &pacing{base: base, readmit: 61 * time.Second, patience: time.Minute}}
		resp, err := r.RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 429 || readAll(t, resp) != "body of 429" {
			t.Errorf("got %v, %v", resp, err)
		}
		batch := postChat(t, chatCall).WithContext(WithPriority(t.Context(), PriorityBatch))
		if resp, err := r.RoundTrip(batch); err != nil || resp.StatusCode != 200 {
			t.Errorf("batch: got %v, %v", resp, err)
		}
	})
}

// gated is a Breaker as the Retrier sees it: it refuses until the circuit closes.
type gated struct {
	base http.RoundTripper

	mu      sync.Mutex
	open    bool
	pause   time.Duration
	changed chan struct{}
	refused int
	probing int // so many next attempts are probes
}

func (g *gated) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	out, a, _ := joinAttempt(req, roleBreaker, time.Now())
	if g.open {
		defer g.mu.Unlock()
		g.refused++
		closeBody(req)
		return nil, &OpenError{Key: "k", RetryAt: time.Now().Add(g.pause), changed: g.changed}
	}
	if g.probing > 0 {
		g.probing--
		a.probe.Store(true)
	}
	g.mu.Unlock()
	return g.base.RoundTrip(out)
}

func (g *gated) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	close(g.changed)
}

func TestInteractiveCallGetsTheOpenErrorAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{base: &repliesBase{replies: []reply{replyWith(200)}}, open: true, pause: time.Second}
		start := time.Now()
		resp, err := (&Retrier{Base: g}).RoundTrip(postChat(t, chatCall))
		if _, ok := err.(*OpenError); resp != nil || !ok || time.Since(start) != 0 || g.refused != 1 {
			t.Errorf("got %v, %v after %v and %d refusals", resp, err, time.Since(start), g.refused)
		}
	})
}

func TestBatchCallWaitsForTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(200)}}
		g := &gated{base: base, open: true, pause: 4 * time.Second, changed: make(chan struct{})}
		time.AfterFunc(61*time.Second, g.close)
		var waits []WaitInfo
		retries := 0
		ctx := WithTrace(WithPriority(t.Context(), PriorityBatch), &Trace{
			Waiting:  func(i WaitInfo) { waits = append(waits, i) },
			Retrying: func(RetryInfo) { retries++ },
		})
		start := time.Now()
		resp, err := (&Retrier{Base: g, MaxAttempts: 1}).RoundTrip(postChat(t, chatCall).WithContext(ctx))
		if err != nil || resp.StatusCode != 200 || base.bodies[0] != chatCall {
			t.Fatalf("got %v, %v; sent %q", resp, err, base.bodies)
		}
		if got := time.Since(start); got != 61*time.Second {
			t.Errorf("sent after %v, want the moment the circuit closed", got)
		}
		if g.refused != 16 || len(waits) != 16 || retries != 0 {
			t.Errorf("%d refusals, %d waits, %d retries", g.refused, len(waits), retries)
		}
		if got, want := waits[0], (WaitInfo{Key: "k", Method: "POST", Host: "example.com", Expected: 4*time.Second - noWait, Queued: 1}); got != want {
			t.Errorf("told %+v, want %+v", got, want)
		}
	})
}

func TestBatchCallWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{open: true, pause: 4 * time.Second, changed: make(chan struct{})}
		batch := WithPriority(t.Context(), PriorityBatch)

		ctx, cancel := context.WithTimeout(batch, 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := (&Retrier{Base: g}).RoundTrip(postChat(t, chatCall).WithContext(ctx))
		var open *OpenError
		if !errors.As(err, &open) || time.Since(start) != 8*time.Second {
			t.Errorf("deadline: got %v after %v", err, time.Since(start))
		}

		ctx, cancel = context.WithCancel(batch)
		time.AfterFunc(5*time.Second, cancel)
		start = time.Now()
		_, err = (&Retrier{Base: g}).RoundTrip(postChat(t, chatCall).WithContext(ctx))
		if !errors.Is(err, context.Canceled) || !errors.As(err, &open) || time.Since(start) != 5*time.Second {
			t.Errorf("cancel: got %v after %v", err, time.Since(start))
		}
	})
}

func TestFailedProbeOfABatchCallCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503)}}
		g := &gated{base: base, probing: 20}
		ctx := WithPriority(t.Context(), PriorityBatch)
		resp, err := (&Retrier{Base: g}).RoundTrip(postChat(t, chatCall).WithContext(ctx))
		if err != nil || resp.StatusCode != 503 || base.sent() != 24 {
			t.Errorf("batch: got %v, %v after %d requests", resp, err, base.sent())
		}
		base = &repliesBase{replies: []reply{replyWith(503)}}
		g = &gated{base: base, probing: 20}
		if _, err := (&Retrier{Base: g}).RoundTrip(postChat(t, chatCall)); err != nil || base.sent() != 4 {
			t.Errorf("interactive: %v after %d requests", err, base.sent())
		}
	})
}

// outerLayer is a layer above the Retrier, and what it learns.
type outerLayer struct {
	base    http.RoundTripper
	role    role
	gate    *pass
	began   time.Time
	verdict *verdict
	report  bool // it would have reported the attempt
}

func (o *outerLayer) RoundTrip(req *http.Request) (*http.Response, error) {
	out, a, owned := joinAttempt(req, o.role, time.Now())
	a.gate.Store(o.gate)
	a.began = o.began
	resp, err := o.base.RoundTrip(out)
	o.verdict = verdictOn(a, resp, err)
	o.report = a.take(roleReported)
	if owned && o.verdict != nil {
		handBack(req, resp, o.verdict)
	}
	return resp, err
}

func TestVerdictReachesALayerAbove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		named := func(resp *http.Response, err error) Outcome {
			return Outcome{Class: ClassPermission, Code: "mine"}
		}
		for _, last := range []reply{replyWith(503), replyError(broken)} {
			base := &repliesBase{replies: []reply{last}}
			o := &outerLayer{role: roleLimiter, base: &Retrier{Base: &Classifier{Base: base, Classify: named}}}
			req := postChat(t, chatCall)
			resp, err := o.RoundTrip(req)
			if o.verdict == nil || o.verdict.Code != "mine" {
				t.Errorf("%v, %v: verdict %+v", resp, err, o.verdict)
			}
			if o.report {
				t.Error("the layer above would report the attempt again")
			}
			if resp != nil && resp.Request.Body != req.Body {
				t.Error("resp.Request is not the caller's")
			}
		}
	})
}

func TestCallOfTheLayerAboveIsContinuedUnlessItHasAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().Add(-time.Hour)
		for _, tt := range []struct {
			role role
			want bool
		}{{roleBreaker, true}, {roleClassifier, true}, {roleLimiter, false}} {
			var gates []*pass
			p := &pacing{base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				a := req.Context().Value(attemptKey{}).(*attempt)
				gates = append(gates, a.gate.Load())
				return replyWith(503)(req)
			})}
			o := &outerLayer{role: tt.role, began: began, gate: &pass{circuit: newCircuit("", new(Breaker).policy())}, base: &Retrier{Base: p}}
			if _, err := o.RoundTrip(postChat(t, chatCall)); err != nil {
				t.Fatal(err)
			}
			for i := range p.began {
				if got := p.began[i].Equal(began); got != tt.want {
					t.Errorf("role %d, attempt %d: the call is continued: %t, want %t", tt.role, i+1, got, tt.want)
				}
				if got := gates[i] != nil; got != tt.want {
					t.Errorf("role %d, attempt %d: the gate is inherited: %t, want %t", tt.role, i+1, got, tt.want)
				}
			}
		}
	})
}

func TestTraceTellsEachAttemptOnceAndEachRetry(t *testing.T) {
	for _, tt := range []struct {
		name string
		wrap func(http.RoundTripper) http.RoundTripper
	}{
		{"alone", func(b http.RoundTripper) http.RoundTripper { return b }},
		{"over a Classifier", func(b http.RoundTripper) http.RoundTripper { return &Classifier{Base: b} }},
		{"in the stack", func(b http.RoundTripper) http.RoundTripper {
			return &Breaker{Base: &Limiter{Base: &Classifier{Base: b}}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := &repliesBase{replies: []reply{replyWith(503), replyError(errors.New("broken")), replyWith(200)}}
				var attempts []AttemptInfo
				var retries []RetryInfo
				ctx := WithTrace(t.Context(), &Trace{
					Attempted: func(i AttemptInfo) { attempts = append(attempts, i) },
					Retrying:  func(i RetryInfo) { retries = append(retries, i) },
				})
				if _, err := (&Retrier{Base: tt.wrap(base)}).RoundTrip(postChat(t, chatCall).WithContext(ctx)); err != nil {
					t.Fatal(err)
				}
				if len(attempts) != 3 || len(retries) != 2 {
					t.Fatalf("told of %d attempts and %d retries", len(attempts), len(retries))
				}
				for i, a := range attempts {
					want := []Class{ClassOverloaded, ClassNetwork, ClassSuccess}[i]
					if a.Attempt != i+1 || a.Outcome.Class != want || (a.Err != nil) != (i == 1) {
						t.Errorf("attempt %d: %+v", i+1, a)
					}
				}
				for i, r := range retries {
					if want := base.at[i+1] - base.at[i]; r.Attempt != i+1 || r.Delay != want {
						t.Errorf("retry after attempt %d: %+v, want a delay of %v", i+1, r, want)
					}
				}
			})
		})
	}
}

func TestOutcomeOfFindsTheVerdictOnTheCallersRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503), replyWith(404)}}
		mine := &Classifier{Base: base, Classify: func(resp *http.Response, err error) Outcome {
			return Outcome{Class: Classify(resp, err).Class, Retryable: resp.StatusCode == 503, Code: "mine"}
		}}
		req := postChat(t, chatCall)
		type key struct{}
		req = req.WithContext(context.WithValue(req.Context(), key{}, "v"))
		resp, err := (&Retrier{Base: mine}).RoundTrip(req)
		if err != nil || OutcomeOf(resp, nil).Code != "mine" {
			t.Fatalf("got %v, %v", OutcomeOf(resp, err), err)
		}
		if resp.Request.Body != req.Body || resp.Request.Context().Value(key{}) != "v" {
			t.Error("resp.Request is not the caller's")
		}
		if a, _ := resp.Request.Context().Value(attemptKey{}).(*attempt); a != nil {
			t.Error("resp.Request still belongs to an attempt: it cannot be used for another call")
		}
	})
}

// A server that says neither why nor until when, and has admitted nothing yet, is
// no rate limit to wait for.
func TestServerThatOnlyEverDeniesIsSoonGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		rt := NewTransport(breakerBase(func(req *http.Request) (*http.Response, error) {
			sent++
			return &http.Response{StatusCode: 429, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		}))
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://api.test/", nil)
		start := time.Now()
		resp, err := rt.RoundTrip(req)
		if err != nil || resp.StatusCode != 429 {
			t.Fatalf("%v, %v", resp, err)
		}
		if took := time.Since(start); sent != defaultAttempts || took > 10*time.Second {
			t.Errorf("%d requests in %v, want %d within 10 s", sent, took, defaultAttempts)
		}
	})
}
