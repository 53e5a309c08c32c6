package steadyhttp

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// wordless is a server of so many requests a minute that says nothing of it.
func wordless(n int64, kind steadytest.Kind) http.RoundTripper {
	return &steadytest.Provider{
		Dialect: steadytest.Silent, Latency: 50 * time.Millisecond,
		Limits: []steadytest.Limit{{N: n, Per: time.Minute, Kind: kind}},
	}
}

// denying denies everything, without a word.
var denying = roundTripFunc(func(req *http.Request) (*http.Response, error) {
	time.Sleep(50 * time.Millisecond)
	return answer(req, 429), nil
})

// byPath is a server whose paths have limits of their own.
type byPath map[string]http.RoundTripper

func (b byPath) RoundTrip(req *http.Request) (*http.Response, error) {
	return b[req.URL.Path].RoundTrip(req)
}

// ends are how the calls of a path ended.
type ends struct {
	mu               sync.Mutex
	admitted, failed int
	slow             int           // that took longer than a second
	held             time.Duration // the longest call that began after two minutes
}

// visit calls each path at a rate per second, for three minutes.
func visit(t *testing.T, rt http.RoundTripper, rates map[string]float64) map[string]*ends {
	var wg sync.WaitGroup
	all, start := map[string]*ends{}, time.Now()
	for path, rate := range rates {
		e := &ends{}
		all[path] = e
		call := func() {
			began := time.Now()
			status, err := send(t, rt, getPath(t, path))
			e.mu.Lock()
			defer e.mu.Unlock()
			if err != nil || status == 429 {
				e.failed++
			} else {
				e.admitted++
			}
			if time.Since(began) > time.Second {
				e.slow++
			}
			if began.Sub(start) > 2*time.Minute {
				e.held = max(e.held, time.Since(began))
			}
		}
		wg.Go(func() {
			for range int(180 * rate) {
				wg.Go(call)
				time.Sleep(time.Duration(float64(time.Second) / rate))
			}
		})
	}
	wg.Wait()
	return all
}

func getPath(t *testing.T, path string) *http.Request {
	req := get(t, "a.example")
	req.URL.Path = path
	return req
}

func TestEndpointThatDeniesEverythingHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := byPath{"/good": wordless(1e6, steadytest.ContinuousBucket), "/bad": denying, "/worse": denying}
		got := visit(t, NewTransport(server), map[string]float64{"/good": 20, "/bad": 1, "/worse": 3})
		if good := got["/good"]; good.failed > 0 || good.held > 50*time.Millisecond {
			t.Errorf("%d of 3600 calls failed, and later ones took up to %v", good.failed, good.held)
		}
		if bad := got["/bad"]; bad.failed != 180 || bad.slow > 60 {
			t.Errorf("of what is always denied %d of 180 calls failed, %d of them slowly", bad.failed, bad.slow)
		}
	})
}

func TestEndpointWithALimitOfItsOwnHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, kind := range []steadytest.Kind{steadytest.ContinuousBucket, steadytest.FixedWindow} {
		synctest.Test(t, func(t *testing.T) {
			server := byPath{"/free": wordless(1e6, steadytest.ContinuousBucket), "/narrow": wordless(60, kind)}
			got := visit(t, NewTransport(server), map[string]float64{"/free": 20, "/narrow": 2})
			if free := got["/free"]; free.failed > 0 || free.held > 50*time.Millisecond {
				t.Errorf("kind %d: %d of 3600 calls failed, and later ones took up to %v", kind, free.failed, free.held)
			}
			if narrow := got["/narrow"]; narrow.admitted < 220 { // 60 at once, one a second, and those that wait in the end
				t.Errorf("kind %d: of one a second %d were admitted in 3 minutes", kind, narrow.admitted)
			}
		})
	}
}

// An endpoint that denies everything may stand beside a limit that all others share.
func TestEndpointThatDeniesEverythingHidesNoLimitOfTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var denied, fewer atomic.Int64
		shared := wordless(600, steadytest.ContinuousBucket)
		good := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := shared.RoundTrip(req)
			if resp.StatusCode == 429 {
				denied.Add(1)
			}
			return resp, err
		})
		limiter := &Limiter{Base: &Classifier{Base: byPath{"/good": good, "/bad": denying}}, MaxWait: time.Hour}
		rt := &Retrier{Base: limiter, MaxDelay: time.Hour}
		var wg sync.WaitGroup
		for i := range 3000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second / 15) // half as many again as are admitted
				send(t, rt, getPath(t, "/good"))
			})
		}
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(150*time.Second + time.Duration(i)*time.Second)
				if i == 0 {
					fewer.Store(denied.Load())
				}
				send(t, limiter, getPath(t, "/bad"))
			})
		}
		wg.Wait()
		if n := denied.Load() - fewer.Load(); n > 50 {
			t.Errorf("beside what is always denied %d of the others were denied, want no more than %d before it", n, fewer.Load())
		}
	})
}

func TestTimeThatAnEndpointNamesHoldsUpNoOtherOnceItIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		busy := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Millisecond)
			return answer(req, 429, "Retry-After", "5"), nil
		})
		server := byPath{"/good": wordless(1e6, steadytest.ContinuousBucket), "/busy": busy}
		got := visit(t, NewTransport(server), map[string]float64{"/good": 20, "/busy": 1})
		if good := got["/good"]; good.failed > 0 || good.held > 50*time.Millisecond {
			t.Errorf("%d of 3600 calls failed, and later ones took up to %v", good.failed, good.held)
		}
	})
}

func TestTimeIsObeyedByARouteOfItsOwnPace(t *testing.T) {
	s := newStory(t)
	s.answer(0.1, s.send(0))
	s.route.own = &ownLimit{pace: newPace(s.instant(0.2), 100, s.instant(0), 1)}
	s.deny(1.1, s.send(1), 1800)
	s.wantWait(1.2, 1799.9)
	s.wantWait(1000, 801.1) // the pace has been forgotten by now
	if at := s.l.when(s.time(1.2), cost{}, &claim{cost: cost{requests: 1}, route: &route{}}); at.After(s.time(1.2)) {
		t.Errorf("another waits for %v", at.Sub(s.time(1.2)))
	}
}

func TestDenialsForAllAreNotTakenForThoseOfARoute(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0.5, 0.9} {
		for seed := range uint64(3) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				limiter := &Limiter{Base: &Classifier{Base: wordless(600, steadytest.ContinuousBucket)}}
				rt := &Retrier{Base: limiter}
				paths := make(chan string)
				var wg sync.WaitGroup
				for range 32 {
					wg.Go(func() {
						for path := range paths {
							if status, err := send(t, rt, getPath(t, path)); err != nil || status == 429 {
								t.Errorf("%s ended with %d, %v", path, status, err)
							}
						}
					})
				}
				for range 2000 {
					if rng.Float64() < share {
						paths <- "/often"
					} else {
						paths <- "/seldom"
					}
				}
				close(paths)
				wg.Wait()
				q, _ := limiter.keys.peek([]byte("https://a.example"))
				for _, r := range q.routes {
					if r.paceAlone(0) != nil {
						t.Errorf("a route that makes up %v has a pace of its own", share)
					}
				}
			})
		}
	}
}

// A route with a pace of its own says nothing of what the others share.
func TestRouteOfItsOwnPaceIsNoEvidenceAgainstOthers(t *testing.T) {
	s := newStory(t)
	s.l.pace = newPace(s.instant(0), 10, s.instant(-10), 1)
	s.route.own = &ownLimit{pace: newPace(s.instant(0), 10, s.instant(0), 1)}
	for i := range 50 {
		s.answer(float64(i)+0.1, s.send(float64(i)))
	}
	if all := s.l.pace.all; all != (record{}) {
		t.Errorf("what the others are set against: %+v", all)
	}
}

func TestSpentWindowOfUnknownLengthRefusesNobodyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := NewTransport(wordless(600, steadytest.FixedWindow))
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 50 {
					if status, err := send(t, rt, get(t, "a.example")); err != nil || status == 429 {
						t.Errorf("a call ended with %d, %v", status, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestServerThatDeniesEverythingIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := visit(t, NewTransport(denying), map[string]float64{"/": 1})["/"]
		if got.failed != 180 || got.slow > 45 {
			t.Errorf("%d of 180 calls failed, %d of them slowly", got.failed, got.slow)
		}
	})
}

func TestRouteOnceDeniedIsNotStarvedByOneThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var denied atomic.Bool
		once := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Millisecond)
			if denied.CompareAndSwap(false, true) {
				return answer(req, 429), nil
			}
			return answer(req, 200), nil
		})
		failing := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Millisecond)
			return answer(req, 503), nil
		})
		rt := &Limiter{Base: &Classifier{Base: byPath{"/once": once, "/failing": failing}}}
		end := time.Now().Add(40 * time.Second)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for time.Sleep(time.Duration(i) * 10 * time.Millisecond); time.Now().Before(end); {
					send(t, rt, getPath(t, "/failing"))
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		send(t, rt, getPath(t, "/once"))
		for range 5 {
			wg.Go(func() {
				began := time.Now()
				if _, err := send(t, rt, getPath(t, "/once")); err != nil || time.Since(began) > 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
	})
}

func TestPaceOfARouteIsForgotten(t *testing.T) {
	r := &route{own: &ownLimit{pace: newPace(at(0), 1, at(-10), 1)}}
	if r.paceAlone(at(600)) == nil || r.scope() == "" {
		t.Error("at once")
	}
	if r.paceAlone(at(601)) != nil || r.scope() != "" {
		t.Error("not after ten minutes without a denial")
	}
}

func TestRecordIsOddBesideTheRest(t *testing.T) {
	for _, c := range []struct {
		name      string
		own, rest record
		odd       bool
	}{
		{"nothing known", record{}, record{}, false},
		{"nothing known of others", record{100, 0}, record{}, false},
		{"always denied, others never", record{6, 0}, record{0, 6}, true},
		{"once denied, others never", record{1, 0}, record{0, 500}, false},
		{"two of many denied, others never", record{2, 100}, record{0, 1000}, false},
		{"half denied, others never", record{6, 6}, record{0, 60}, true},
		{"half denied, others too", record{50, 50}, record{60, 50}, false},
		{"always denied, and so is another", record{9, 0}, record{9, 60}, true},
		{"seldom denied, others always", record{1, 60}, record{60, 0}, false},
	} {
		if got := c.own.oddBeside(c.rest); got != c.odd {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestRouteOfItsOwnPaceLeavesTheQueueOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon()
		slow := roundTripFunc(func(req *http.Request) (*http.Response, error) { return answer(req, 200), nil })
		limiter := &Limiter{Base: &Classifier{Base: slow}}
		if _, err := send(t, limiter, getPath(t, "/narrow")); err != nil {
			t.Fatal(err)
		}
		q, _ := limiter.keys.peek([]byte("https://a.example"))
		now := q.ledger.epoch.now(time.Now())
		q.ledger.pace = newPace(now, 0.1, now, 0) // for all, at first
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { send(t, limiter, getPath(t, "/narrow")) })
		}
		synctest.Wait()
		began := time.Now()
		wg.Go(func() {
			if _, err := send(t, limiter, getPath(t, "/free")); err != nil || time.Since(began) > 0 {
				t.Errorf("behind the route with a pace of its own: %v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		q.mu.Lock()
		q.routes[1].own, q.ledger.pace = &ownLimit{pace: q.ledger.pace}, nil
		q.pumpLocked(time.Now(), "k")
		q.mu.Unlock()
		wg.Wait()
		if d := time.Since(began); d < 20*time.Second {
			t.Errorf("the route itself goes on after %v", d)
		}
	})
}
