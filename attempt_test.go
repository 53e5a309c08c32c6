package steadyhttp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hedging sends two copies of each request at once, and returns what comes back
// first. Nobody waits for the other.
type hedging struct {
	bases [2]http.RoundTripper
	under sync.WaitGroup
}

func (h *hedging) RoundTrip(req *http.Request) (*http.Response, error) {
	type answer struct {
		resp *http.Response
		err  error
	}
	first := make(chan answer, 2)
	for _, base := range h.bases {
		h.under.Go(func() {
			resp, err := base.RoundTrip(req.Clone(req.Context()))
			first <- answer{resp, err}
		})
	}
	a := <-first
	return a.resp, a.err
}

// However the ways of the copies differ and join, the layers do not race for what
// they know of the attempt.
func TestCopiesOfARequestMayPassTheLayersAtOnce(t *testing.T) {
	for name, stack := range map[string]func(h *hedging, c *Classifier) http.RoundTripper{
		"above the Classifier": func(h *hedging, c *Classifier) http.RoundTripper {
			h.bases = [2]http.RoundTripper{c, c}
			return &Retrier{MinDelay: -1, Base: &Breaker{Failures: 2, Pause: time.Millisecond, Base: &Limiter{Base: h}}}
		},
		"above the Limiter": func(h *hedging, c *Classifier) http.RoundTripper {
			l := &Limiter{Base: c}
			h.bases = [2]http.RoundTripper{l, l}
			return &Retrier{MinDelay: -1, Base: &Breaker{Failures: 2, Pause: time.Millisecond, Base: h}}
		},
		"above the Breaker": func(h *hedging, c *Classifier) http.RoundTripper {
			b := &Breaker{Failures: 2, Pause: time.Millisecond, Base: &Limiter{Base: c}}
			h.bases = [2]http.RoundTripper{b, b}
			return &Retrier{MinDelay: -1, Base: h}
		},
		"above two Breakers": func(h *hedging, c *Classifier) http.RoundTripper {
			for i := range h.bases {
				h.bases[i] = &Breaker{Failures: 2, Pause: time.Millisecond, Base: &Limiter{Base: c}}
			}
			return &Retrier{MinDelay: -1, Base: h}
		},
		"above a Retrier": func(h *hedging, c *Classifier) http.RoundTripper {
			r := &Retrier{MinDelay: -1, Base: &Limiter{Base: c}}
			h.bases = [2]http.RoundTripper{r, r}
			return &Breaker{Failures: 2, Pause: time.Millisecond, Base: h}
		},
		"above unlike layers": func(h *hedging, c *Classifier) http.RoundTripper {
			h.bases = [2]http.RoundTripper{&Breaker{Failures: 2, Pause: time.Millisecond, Base: &Limiter{Base: c}}, &Limiter{Base: &Retrier{Base: c}}}
			return &Retrier{MinDelay: -1, Base: h}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := new(hedging)
			rt := Traced(stack(h, &Classifier{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
				return answer(req, [...]int{200, 200, 503}[rand.IntN(3)]), nil
			})}), &Trace{
				Attempted: func(AttemptInfo) {}, Retrying: func(RetryInfo) {}, Waiting: func(WaitInfo) {},
				Learned: func(LearnedInfo) {}, StateChanged: func(StateInfo) {},
			})
			var calls sync.WaitGroup
			for range 4 {
				calls.Go(func() {
					for range 25 {
						ctx := WithPriority(t.Context(), Priority(rand.IntN(2)))
						ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
						resp, err := rt.RoundTrip(get(t, "a.example").WithContext(ctx))
						OutcomeOf(resp, err)
						cancel()
					}
				})
			}
			calls.Wait()
			h.under.Wait()
		})
	}
}

// The copy that joined the attempt may come back after the other was returned.
func TestVerdictOutlivesThoseOnLateCopies(t *testing.T) {
	joined, release := make(chan struct{}), make(chan struct{})
	var late sync.WaitGroup
	c := &Classifier{
		Classify: func(*http.Response, error) Outcome { return Outcome{Class: ClassNotFound, Code: "of the house"} },
		Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("Late") != "" {
				close(joined)
				<-release
			}
			return answer(req, 200), nil
		}),
	}
	rt := NewTransport(nil).(*Retrier)
	rt.Base.(*Breaker).Base.(*Limiter).Base = roundTripFunc(func(req *http.Request) (*http.Response, error) {
		late.Go(func() {
			first := req.Clone(req.Context())
			first.Header.Set("Late", "1")
			c.RoundTrip(first)
		})
		<-joined
		return c.RoundTrip(req)
	})
	resp, err := rt.RoundTrip(get(t, "a.example"))
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	late.Wait()
	if got := OutcomeOf(resp, nil).Code; got != "of the house" {
		t.Errorf("the verdict is lost: code %q", got)
	}
}

// Nor do the contexts: each is that of the request before, as it came back.
func TestRequestsInTheContextOfTheLastOneDoNotAddUp(t *testing.T) {
	depth := func(ctx context.Context) (n int) {
		for {
			switch c := ctx.(type) {
			case *attempt:
				ctx = c.Context
			case judged:
				ctx = c.Context
			default:
				return n
			}
			n++
		}
	}
	for name, rt := range map[string]http.RoundTripper{
		"stack":      NewTransport(serverWith(200)),
		"traced":     Traced(NewTransport(serverWith(200)), &Trace{}),
		"retried":    &Retrier{MinDelay: -1, Base: &Classifier{Base: serverWith(503)}},
		"timed":      &Retrier{AttemptTimeout: time.Hour, Base: serverWith(200)},
		"Limiter":    &Limiter{Base: serverWith(200)},
		"Classifier": &Classifier{Base: serverWith(200)},
	} {
		req := get(t, "a.example")
		for range 10 {
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := OutcomeOf(resp, nil).Class; got != Classify(resp, nil).Class {
				t.Errorf("%s: %v", name, got)
			}
			req = resp.Request
		}
		if n := depth(req.Context()); n != 1 {
			t.Errorf("%s: the context holds %d attempts", name, n)
		}
	}
}

// Copies that are held at once are held once.
func TestCopiesShareMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		l := &Limiter{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			switch n.Add(1) {
			case 1:
				return answer(req, 429, "Retry-After", "50"), nil
			case 2, 3:
				return answer(req, 429, "Retry-After", "20"), nil
			}
			return answer(req, 200), nil
		})}
		l.RoundTrip(getModels(t))
		inner := &Retrier{MinDelay: -1, Base: l}
		h := &hedging{bases: [2]http.RoundTripper{inner, inner}}
		resp, err := (&Classifier{Base: h}).RoundTrip(getModels(t))
		if err != nil || resp.StatusCode != 200 { // after 70 s
			t.Errorf("%v, %v", resp, err)
		}
		h.under.Wait()
	})
}

// A foreign layer may return before what it has called does.
func TestStragglersMayLookAtTheVerdict(t *testing.T) {
	var stragglers sync.WaitGroup
	inner := &Breaker{Base: &Classifier{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	})}}
	rt := &Limiter{Base: &Retrier{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		stragglers.Go(func() { inner.RoundTrip(req) })
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	})}}
	for range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		rt.RoundTrip(get(t, "a.example").WithContext(ctx))
		cancel()
	}
	stragglers.Wait()
}
