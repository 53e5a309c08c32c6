package steadyhttp

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// outage is a server that is well, fails in some way from one time to another,
// and is well again.
type outage struct {
	from, to time.Time
	fails    func(*http.Request, int) (*http.Response, error) // n counts from 0
	mu       sync.Mutex
	hits     int // during the outage
}

func (o *outage) RoundTrip(req *http.Request) (*http.Response, error) {
	closeBody(req)
	now := time.Now()
	if now.Before(o.from) || !now.Before(o.to) {
		time.Sleep(50 * time.Millisecond)
		return answer(req, 200), nil
	}
	o.mu.Lock()
	n := o.hits
	o.hits++
	o.mu.Unlock()
	return o.fails(req, n)
}

// steadyLoad makes 50 calls a second of rt for d, and tells of each when it began, how
// long it took and how it ended.
func steadyLoad(t *testing.T, rt http.RoundTripper, d time.Duration, told func(began time.Time, took time.Duration, status int, err error)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		wg.Go(func() {
			began := time.Now()
			status, err := send(t, rt, get(t, "a.example"))
			mu.Lock()
			defer mu.Unlock()
			told(began, time.Since(began), status, err)
		})
	}
	wg.Wait()
}

func TestOutageOfAMinuteIsNoticedSoonAndEndsSoon(t *testing.T) {
	t.Parallel()
	fail503 := func(req *http.Request, _ int) (*http.Response, error) { return answer(req, 503), nil }
	cases := []struct {
		name   string
		fails  func(*http.Request, int) (*http.Response, error)
		opens  time.Duration // at the latest, after it began
		share  float64       // requests per call during the outage, at most
		allBad bool
	}{
		{"503", fail503, 2 * time.Second, 0.3, true},
		{"503 with Retry-After", func(req *http.Request, _ int) (*http.Response, error) {
			return answer(req, 503, "Retry-After", "3600"), nil
		}, 2 * time.Second, 0.3, true},
		{"refused", func(*http.Request, int) (*http.Response, error) {
			return nil, errors.New("connection refused")
		}, 2 * time.Second, 0.3, true},
		{"half of them fail", func(req *http.Request, n int) (*http.Response, error) {
			return answer(req, []int{200, 503}[n%2]), nil
		}, 30 * time.Second, 1, false},
		{"three in five fail, at random", func(req *http.Request, n int) (*http.Response, error) {
			return answer(req, []int{200, 200, 503, 503, 503}[rand.IntN(5)]), nil
		}, 30 * time.Second, 1, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				soon()
				from := time.Now().Add(40*time.Second + 777*time.Millisecond)
				o := &outage{from: from, to: from.Add(time.Minute), fails: tc.fails}
				b := &Breaker{Base: o}
				var opened time.Time
				rt := Traced(b, &Trace{StateChanged: func(i StateInfo) {
					if i.To == StateOpen && opened.IsZero() {
						opened = time.Now()
					}
				}})
				var calls, slow int
				var back time.Time
				steadyLoad(t, rt, 2*time.Minute, func(began time.Time, took time.Duration, status int, err error) {
					var open *OpenError
					refused := errors.As(err, &open)
					switch {
					case began.Before(from) && status != 200:
						t.Errorf("%v before the outage: %d, %v", from.Sub(began), status, err)
					case began.After(from) && began.Before(o.to):
						calls++
					case began.After(o.to) && status != 200 && began.After(back):
						back = began
					}
					if refused && took > 0 {
						slow++
					}
				})
				perCall := float64(o.hits) / float64(calls)
				t.Logf("opened after %v, %d requests of %d calls (%.3f each), back after %v",
					opened.Sub(from), o.hits, calls, perCall, max(0, back.Sub(o.to)))
				if opened.IsZero() || opened.Sub(from) > tc.opens {
					t.Errorf("opened after %v, want at most %v", opened.Sub(from), tc.opens)
				}
				if perCall > tc.share {
					t.Errorf("%.3f requests a call, want at most %v", perCall, tc.share)
				}
				if slow > 0 {
					t.Errorf("%d refusals took time", slow)
				}
				if late := back.Sub(o.to); late > 10*time.Second {
					t.Errorf("calls were still refused %v after the server was back", late)
				}
			})
		})
	}
}

// An outage of three seconds costs little more than that: the first pause is short.
func TestShortOutageIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		from := time.Now().Add(5 * time.Second)
		o := &outage{from: from, to: from.Add(3 * time.Second), fails: func(req *http.Request, _ int) (*http.Response, error) {
			return answer(req, 503), nil
		}}
		var back time.Time
		steadyLoad(t, &Breaker{Base: o}, 20*time.Second, func(began time.Time, _ time.Duration, status int, _ error) {
			if began.After(o.to) && status != 200 && began.After(back) {
				back = began
			}
		})
		if late := back.Sub(o.to); late > 1500*time.Millisecond {
			t.Errorf("calls were still refused %v after the server was back", late)
		}
	})
}

// A hundred patient calls meet an outage all at once. They share ten retries a
// minute while it lasts, and no longer.
func TestBatchCallsAreServedSoonAfterTheOutageThatTheyMet(t *testing.T) {
	for _, lasts := range []time.Duration{3 * time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			soon()
			from := time.Now()
			o := &outage{from: from, to: from.Add(lasts), fails: func(req *http.Request, _ int) (*http.Response, error) {
				time.Sleep(50 * time.Millisecond)
				return answer(req, 503), nil
			}}
			rt := NewTransport(o)
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					req := get(t, "a.example")
					if status, err := send(t, rt, req.WithContext(WithPriority(t.Context(), PriorityBatch))); status != 200 {
						t.Errorf("got %d, %v", status, err)
					}
				})
			}
			wg.Wait()
			if late := time.Since(o.to); late > 15*time.Second {
				t.Errorf("%v: the last was served %v after it", lasts, late)
			}
			if o.hits > 120 {
				t.Errorf("%v: %d requests in it", lasts, o.hits)
			}
		})
	}
}
