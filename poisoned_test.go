package steadyhttp

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// picky denies the calls that are marked, for what they are: an account's own limit, a
// prompt that is too long. It says nothing of that, and admits all others.
type picky struct {
	latency time.Duration

	mu    sync.Mutex
	tries int // of marked calls
}

func (p *picky) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(p.latency)
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}
	if req.Header.Get("Marked") != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tries++
		resp.StatusCode = 429
	}
	return resp, nil
}

func TestCallThatIsDeniedForWhatItIsDoesNotHoldUpTheOthers(t *testing.T) {
	for _, tt := range []struct {
		workers int
		every   int // which calls are marked
		latency time.Duration
	}{
		{20, 500, 10 * time.Millisecond},
		{20, 100, time.Second},
		{2, 500, 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			const calls = 1000
			base := &picky{latency: tt.latency}
			rt := NewTransport(base)
			next := make(chan int)
			go func() {
				defer close(next)
				for i := range calls {
					next <- i
				}
			}()
			var wg sync.WaitGroup
			for range tt.workers {
				wg.Go(func() {
					for i := range next {
						req := get(t, "a.example")
						marked := i%tt.every == tt.every/2
						if marked {
							req.Header.Set("Marked", "1")
						}
						began := time.Now()
						status, err := send(t, rt, req)
						took := time.Since(began)
						switch {
						case marked: // its last retries may be alone, and wait for too long
						case err != nil || status != 200:
							t.Errorf("call %d ended with %d, %v", i, status, err)
						case took > 10*time.Second:
							t.Errorf("call %d took %v", i, took)
						}
					}
				})
			}
			wg.Wait()
			if most := 12 * calls / tt.every; base.tries > most {
				t.Errorf("%d attempts of the marked calls, want at most %d", base.tries, most)
			}
		})
	}
}

// With one caller, or two at once, nobody is admitted between the denials of a call.
func TestCallsThatAreDeniedForWhatTheyAreAreKnownWhereNobodyIsBetweenTheirDenials(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			base := &picky{latency: 10 * time.Millisecond}
			rt := NewTransport(base)
			next := make(chan int)
			go func() {
				defer close(next)
				for i := range 400 {
					next <- i
				}
			}()
			began := time.Now()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := range next {
						req := get(t, "a.example")
						marked := i%40 == 20 || i%40 == 21 // two at once
						if marked {
							req.Header.Set("Marked", "1")
						}
						if status, err := send(t, rt, req); !marked && (err != nil || status != 200) {
							t.Errorf("call %d ended with %d, %v", i, status, err)
						}
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); took > 5*time.Minute {
				t.Errorf("%d at a time took %v, 20 of 400 of them denied in %d attempts", workers, took, base.tries)
			}
		})
	}
}
