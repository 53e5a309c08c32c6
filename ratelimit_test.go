package steadyhttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// spentAfter is a server that says of each request that so many are left, fewer
// each time, and of a minute until the reset.
func spentAfter(n int) tracedBase {
	return func(req *http.Request) (*http.Response, error) {
		n--
		return canned(200, http.Header{
			"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {strconv.Itoa(max(0, n))}, "X-Ratelimit-Reset": {"60"},
		}, "")(req)
	}
}

// took is how long a request takes through rt.
func took(t *testing.T, rt http.RoundTripper, req *http.Request) time.Duration {
	t.Helper()
	start := time.Now()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return time.Since(start)
}

func TestLimiterAloneUnderstandsHeadersAndDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{}, spentAfter(2))
		took(t, l, edgeRequest(t, t.Context()))
		took(t, l, edgeRequest(t, t.Context()))
		if got := took(t, l, edgeRequest(t, t.Context())); got < 58*time.Second || got > 61*time.Second {
			t.Errorf("when nothing is left for a minute a request takes %v", got)
		}
		l = serve(&Limiter{}, canned(429, http.Header{"Retry-After": {"7"}}, ""))
		took(t, l, edgeRequest(t, t.Context()))
		if got := took(t, l, edgeRequest(t, t.Context())); got < 7*time.Second || got > 7100*time.Millisecond {
			t.Errorf("after a denial for 7 s a request takes %v", got)
		}
	})
}

func TestEmptyKeyIsExempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Key: func(*http.Request) string { return "" }, Requests: []Rate{PerMinute(1)}}, nil)
		for range 5 {
			if got := took(t, l, edgeRequest(t, t.Context())); got > 0 {
				t.Errorf("a request takes %v", got)
			}
		}
		if len(entriesOf(&l.keys)) != 0 || l.Quotas(edgeRequest(t, t.Context())) != nil {
			t.Error("something is kept of it")
		}
	})
}

func TestScopesOfContextsHaveBudgetsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Requests: []Rate{PerMinute(1)}}, nil)
		a, b := WithScope(t.Context(), "a"), WithScope(t.Context(), "b")
		took(t, l, edgeRequest(t, a))
		if got := took(t, l, edgeRequest(t, b)); got > 0 {
			t.Errorf("the first request of another scope takes %v", got)
		}
		if got := took(t, l, edgeRequest(t, a)); got < time.Minute {
			t.Errorf("the second of the same scope takes %v", got)
		}
	})
}

func TestStackedLimitersBothHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &Limiter{Base: canned(200, nil, ""), Requests: []Rate{{N: 1, Per: 10 * time.Second, Burst: 1}}}
		outer := &Limiter{Base: inner, Requests: []Rate{{N: 1, Per: time.Second, Burst: 1}}}
		took(t, outer, edgeRequest(t, t.Context()))
		if got := took(t, outer, edgeRequest(t, t.Context())); got < 10*time.Second || got > 11*time.Second {
			t.Errorf("the second request takes %v, want 10 s", got)
		}
		inner.MaxWait = -1
		_, err := outer.RoundTrip(edgeRequest(t, t.Context()))
		var limit *LimitError
		if !errors.As(err, &limit) || limit.Reason != "wait" {
			t.Errorf("what the inner one refuses: %v", err)
		}
		time.Sleep(10 * time.Second)
		if got := took(t, outer, edgeRequest(t, t.Context())); got > 0 {
			t.Errorf("the refused request was charged: the next takes %v", got)
		}
		for _, l := range []*Limiter{outer, inner} {
			if left := Leftovers(l); left != nil {
				t.Error(left)
			}
		}
	})
}

func TestHooksMayAskTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{}, spentAfter(2))
		calls := map[string]int{}
		ask := func(ctx context.Context, name string) {
			calls[name]++
			if q := l.Quotas(edgeRequest(t, ctx)); len(q) == 0 {
				t.Errorf("%s: no quotas", name)
			}
		}
		var waited WaitInfo
		ctx := WithTrace(t.Context(), &Trace{
			Waiting:   func(i WaitInfo) { waited = i; ask(context.Background(), "Waiting") },
			Attempted: func(AttemptInfo) { ask(context.Background(), "Attempted") },
			Learned: func(i LearnedInfo) {
				ask(context.Background(), "Learned")
				if len(i.Quotas) != 1 || i.Quotas[0].Limit != 5 || i.Key == "" {
					t.Errorf("learned %+v", i)
				}
			},
		})
		for range 3 {
			took(t, l, edgeRequest(t, ctx))
		}
		for name, want := range map[string]int{"Waiting": 1, "Attempted": 3} {
			if calls[name] != want {
				t.Errorf("%s was called %d times, want %d", name, calls[name], want)
			}
		}
		if calls["Learned"] == 0 {
			t.Error("nothing was learned")
		}
		if waited.Queued != 1 || waited.Expected < 58*time.Second || waited.Method != "POST" || waited.Host != "api.test" || waited.Key == "" {
			t.Errorf("waiting: %+v", waited)
		}
	})
}

func TestQuotasAreOfTheRequestsKey(t *testing.T) {
	l := serve(&Limiter{}, canned(200, http.Header{"X-Ratelimit-Limit": {"500"}, "X-Ratelimit-Remaining": {"400"}}, ""))
	req := edgeRequest(t, t.Context())
	if got := l.Quotas(req); got != nil {
		t.Errorf("of a key that was never used: %+v", got)
	}
	took(t, l, req)
	if got := l.Quotas(req); len(got) != 1 || got[0].Limit != 500 || got[0].Remaining != 400 || got[0].Resource != "requests" {
		t.Errorf("got %+v", got)
	}
	other := edgeRequest(t, t.Context())
	other.Header.Set("Authorization", "Bearer other")
	if got := l.Quotas(other); got != nil {
		t.Errorf("of another key: %+v", got)
	}
}

func TestConfiguredTokensAreSpentByCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{
			Tokens: []Rate{{N: 1000, Per: time.Second, Burst: 1000}},
			Cost:   func(*http.Request) Tokens { return Tokens{Input: 600, Output: 400} },
		}, nil)
		took(t, l, edgeRequest(t, t.Context()))
		if got := took(t, l, edgeRequest(t, t.Context())); got < time.Second || got > 1001*time.Millisecond {
			t.Errorf("1000 tokens at 1000 a second take %v", got)
		}
		l.Cost = func(*http.Request) Tokens { return Tokens{Input: 1e9} }
		if got := took(t, l, edgeRequest(t, t.Context())); got > 1001*time.Millisecond {
			t.Errorf("more tokens than the bucket holds take %v, want as long as it takes to fill", got)
		}
		l.Cost = func(*http.Request) Tokens { return Tokens{Input: -5, Output: -5} }
		took(t, l, edgeRequest(t, t.Context()))
	})
}

func TestRequestThatFailsBeforeItIsSentIsNotCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		l := serve(&Limiter{Requests: []Rate{PerMinute(1)}}, tracedBase(func(req *http.Request) (*http.Response, error) {
			if refuse {
				return nil, &OpenError{Key: "k"}
			}
			return canned(200, nil, "")(req)
		}))
		for range 3 {
			l.RoundTrip(edgeRequest(t, t.Context()))
		}
		refuse = false
		if got := took(t, l, edgeRequest(t, t.Context())); got > 0 {
			t.Errorf("the first that is sent waits for %v", got)
		}
	})
}

func TestEndedCallIsNotQueued(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	l := serve(&Limiter{}, tracedBase(func(*http.Request) (*http.Response, error) {
		t.Error("it was sent")
		return nil, nil
	}))
	body := &edgeBody{}
	req := edgeRequest(t, ctx)
	req.Body = body
	if _, err := l.RoundTrip(req); !errors.Is(err, why) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if body.closed.Load() == 0 {
		t.Error("its body is open")
	}
}

func TestCloseOfTheCancelChannelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Requests: []Rate{PerMinute(1)}}, nil)
		took(t, l, edgeRequest(t, t.Context()))
		cancel := make(chan struct{})
		req := edgeRequest(t, t.Context())
		//lint:ignore SA1019 http.Client closes it at its Timeout
		req.Cancel = cancel
		time.AfterFunc(time.Second, func() { close(cancel) })
		start := time.Now()
		if _, err := l.RoundTrip(req); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if left := Leftovers(l); left != nil {
			t.Error(left)
		}
	})
}

func TestExemptResponseCarriesItsVerdictAndTheCallersRequest(t *testing.T) {
	l := serve(&Limiter{Key: func(*http.Request) string { return "" }}, canned(429, nil, ""))
	req := edgeRequest(t, t.Context())
	resp, err := l.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, inside := resp.Request.Context().Value(attemptKey{}).(*attempt); inside || resp.Request.URL != req.URL {
		t.Error("the response's request is not the caller's")
	}
	if got := OutcomeOf(resp, nil).Class; got != ClassRateLimited {
		t.Errorf("class %v", got)
	}
}

func TestDateOfAnAnswerIsItsDateHeader(t *testing.T) {
	want := time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)
	for date, want := range map[string]time.Time{"Fri, 20 Nov 2026 12:00:07 GMT": want, "": {}, "yesterday": {}} {
		if got := dateOf(&http.Response{Header: http.Header{"Date": {date}}}); !got.Equal(want) {
			t.Errorf("%q: %v", date, got)
		}
	}
	if !dateOf(nil).IsZero() {
		t.Error("no answer has a date")
	}
}

func TestRequestThatMayHaveBeenSentStaysCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(&Limiter{Requests: []Rate{PerMinute(1)}}, tracedBase(func(req *http.Request) (*http.Response, error) {
			return nil, errors.New("connection reset")
		}))
		l.RoundTrip(edgeRequest(t, t.Context()))
		start := time.Now()
		l.RoundTrip(edgeRequest(t, t.Context()))
		if got := time.Since(start); got < time.Minute {
			t.Errorf("after one that may have arrived the next goes after %v", got)
		}
	})
}

func TestServersClockIsReadOffTheAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		const ahead = 90 * time.Second
		l := serve(&Limiter{}, tracedBase(func(req *http.Request) (*http.Response, error) {
			now := time.Now().Add(ahead)
			return canned(200, http.Header{
				"Date":              {now.UTC().Format(http.TimeFormat)},
				"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"50"}, "X-Ratelimit-Reset": {strconv.FormatInt(now.Unix()+60, 10)},
			}, "")(req)
		}))
		took(t, l, edgeRequest(t, t.Context()))
		clock := entriesOf(&l.keys)[0].value.ledger.clock
		if !clock.known || clock.lo > ahead || clock.hi < ahead {
			t.Errorf("ahead by %v to %v, want %v", clock.lo, clock.hi, ahead)
		}
	})
}

func TestKeyThatIsHeldIsEvictedLast(t *testing.T) {
	l := serve(&Limiter{}, canned(429, http.Header{"Retry-After": {"60"}}, ""))
	took(t, l, edgeRequest(t, t.Context()))
	held, idle := entriesOf(&l.keys)[0].value, l.newQueue("idle")
	if !l.keys.busy(held) || l.keys.busy(idle) {
		t.Errorf("held: busy %v; idle: busy %v", l.keys.busy(held), l.keys.busy(idle))
	}
}

// A body is estimated for as long as it may matter: until the server has done what
// it was asked to without a word about tokens.
func TestTokensAreEstimatedOnlyIfABudgetCountsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = `{"model":"m","max_tokens":50}`
		var quotas []string
		rt := func(configured ...Rate) *Limiter {
			return &Limiter{Tokens: configured, Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				closeBody(req)
				h := http.Header{}
				for _, name := range quotas {
					h.Set("X-Ratelimit-Limit-"+name, "1000")
					h.Set("X-Ratelimit-Remaining-"+name, "900")
					h.Set("X-Ratelimit-Reset-"+name, "60")
				}
				return &http.Response{StatusCode: 200, Header: h, Body: http.NoBody, Request: req}, nil
			})}
		}
		estimated := func(l *Limiter) int64 {
			req := post(t, "https://h/v1", "application/json", strings.NewReader(body))
			resp, err := l.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			q, _ := l.keys.peek([]byte(RequestKey(req)))
			return q.ledger.total.tokens.Output
		}
		l := rt()
		for i, c := range []struct {
			quotas []string // of the answer
			want   int64    // estimated so far
		}{
			{[]string{"Requests"}, 50},
			{[]string{"Requests"}, 50},
			{[]string{"Requests", "Tokens"}, 50},
			{[]string{"Requests"}, 100},
			{nil, 150},
		} {
			quotas = c.quotas
			if got := estimated(l); got != c.want {
				t.Errorf("after call %d: %d tokens, want %d", i+1, got, c.want)
			}
		}
		quotas = nil
		l = rt(PerMinute(1000))
		for i := range int64(3) {
			if got := estimated(l); got != 50*(i+1) {
				t.Errorf("with a Rate, after call %d: %d tokens", i+1, got)
			}
		}
	})
}

// An error may be of something in front of the API, which knows of no quotas. What
// is sent from then on is known by the time that the API tells of its tokens.
func TestErrorDoesNotShowThatNobodyCountsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := func() *http.Request {
			return post(t, "https://h/v1", "application/json", strings.NewReader(`{"model":"m","max_tokens":500}`))
		}
		took := []time.Duration{0, time.Minute, time.Second}
		status := []int{503, 200, 200}
		l := &Limiter{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			d, code := took[0], status[0]
			took, status = took[1:], status[1:]
			time.Sleep(d)
			if code != 200 {
				return answer(req, code), nil
			}
			return answer(req, code, "X-Ratelimit-Limit-Tokens", "1000", "X-Ratelimit-Remaining-Tokens", "999", "X-Ratelimit-Reset-Tokens", "600"), nil
		})}
		send(t, l, chat())
		go l.RoundTrip(chat())
		synctest.Wait()
		send(t, l, chat())
		for _, q := range l.Quotas(chat()) {
			if q.Resource == "tokens" && q.Remaining > 500 {
				t.Errorf("%d tokens are left, beside a call in flight that may use 500", q.Remaining)
			}
		}
		time.Sleep(time.Minute)
	})
}

// As errgroup does when one call is refused: the others were sent.
func TestCauseOfAContextIsNotWhatBecameOfTheRequest(t *testing.T) {
	for name, cause := range map[string]error{
		"a limit": &LimitError{Reason: "wait"}, "an open circuit": &OpenError{}, "a dial": &net.OpError{Op: "dial", Err: errors.New("refused")},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &Limiter{Requests: []Rate{{N: 10, Per: time.Hour, Burst: 10}}, Base: tracedBase(func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, context.Cause(req.Context())
			})}
			var class Class
			rt := Traced(&Retrier{Base: &Breaker{Base: l}}, &Trace{Attempted: func(i AttemptInfo) { class = i.Outcome.Class }})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			req := edgeRequest(t, ctx)
			req.Header.Set(sdkRetryCount, "0")
			if resp, err := rt.RoundTrip(req); resp != nil || err != cause {
				t.Errorf("%s: %v, %v", name, resp, err)
			}
			if left := l.Quotas(edgeRequest(t, t.Context()))[0].Remaining; left != 9 || class != ClassCanceled {
				t.Errorf("%s: %d of 10 left, %v", name, left, class)
			}
		})
	}
}

// An attempt of a minute and a half is nothing that the Limiter has to do with.
func TestMaxWaitIsOfWhatTheLimiterHolds(t *testing.T) {
	for _, c := range []struct{ attempt, period, took time.Duration }{
		{95 * time.Second, 100 * time.Second, 100 * time.Second}, // held for 5 s
		{5 * time.Second, 100 * time.Second, 0},                  // to be held for 95 s
	} {
		synctest.Test(t, func(t *testing.T) {
			broken, n := errors.New("broken"), 0
			r := &Retrier{MinDelay: -1, Base: &Limiter{
				Requests: []Rate{{N: 1, Per: c.period, Burst: 1}},
				Base: tracedBase(func(req *http.Request) (*http.Response, error) {
					if n++; n == 1 {
						time.Sleep(c.attempt)
						return nil, broken
					}
					return answer(req, 200), nil
				}),
			}}
			start := time.Now()
			resp, err := r.RoundTrip(listModels(t, t.Context()))
			var limit *LimitError
			switch {
			case c.took == 0 && (!errors.As(err, &limit) || limit.Reason != "wait"),
				c.took > 0 && (err != nil || resp.StatusCode != 200 || time.Since(start).Round(time.Second) != c.took):
				t.Errorf("attempt of %v: %v, %v after %v", c.attempt, resp, err, time.Since(start))
			}
		})
	}
}
