package steadyhttp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
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
