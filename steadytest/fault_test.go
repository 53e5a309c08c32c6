package steadytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// inBothForms runs a test against a provider over a socket and in virtual time.
func inBothForms(t *testing.T, p func() *steadytest.Provider, test func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string)) {
	t.Run("handler", func(t *testing.T) {
		p := p()
		s := httptest.NewServer(p)
		defer s.Close()
		test(t, p, s.Client().Transport, s.URL)
	})
	t.Run("round tripper", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			wallClock()
			p := p()
			test(t, p, p, "http://api.test")
		})
	})
}

func post(t testing.TB, ctx context.Context, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

var stream = strings.Replace(chat, "{", `{"stream":true,"stream_options":{"include_usage":true},`, 1)

func TestConnectionTroublesLookAlikeInBothForms(t *testing.T) {
	for effect, want := range map[steadytest.Effect]func(error) bool{
		steadytest.Reset: func(err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		steadytest.Drop:  func(err error) bool { return errors.Is(err, io.EOF) },
		steadytest.Refuse: func(err error) bool {
			return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
		},
		steadytest.Hang: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
	} {
		t.Run(string(effect), func(t *testing.T) {
			inBothForms(t, func() *steadytest.Provider { return &steadytest.Provider{Faults: []steadytest.Fault{{Do: effect}}} },
				func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string) {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					resp, err := rt.RoundTrip(post(t, ctx, url, chat))
					if resp != nil || !want(err) {
						t.Fatalf("got %v, %v", resp, err)
					}
					if got := p.Counts(); got.Failed != 1 || got.Requests != 1 {
						t.Errorf("counts %+v, want one, failed", got)
					}
				})
		})
	}
}

func TestCutBodyEndsUnexpectedly(t *testing.T) {
	for name, body := range map[string]string{"json": chat, "stream": stream} {
		t.Run(name, func(t *testing.T) {
			inBothForms(t, func() *steadytest.Provider {
				return &steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.Cut}}}
			},
				func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string) {
					resp, err := rt.RoundTrip(post(t, t.Context(), url, body))
					if err != nil || resp.StatusCode != 200 {
						t.Fatal(resp, err)
					}
					defer resp.Body.Close()
					got, err := io.ReadAll(resp.Body)
					if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) == 0 || strings.Contains(string(got), "[DONE]") {
						t.Errorf("read %q, %v", got, err)
					}
				})
		})
	}
}

func TestStreamErrorComesAfterSomeEvents(t *testing.T) {
	faults := []steadytest.Fault{{Do: steadytest.StreamError, Events: 2, As: steadytest.Overloaded}}
	inBothForms(t, func() *steadytest.Provider { return &steadytest.Provider{Faults: faults} },
		func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string) {
			resp, err := rt.RoundTrip(post(t, t.Context(), url, stream))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			events := strings.SplitAfter(bodyOf(t, resp), "\n\n")
			if len(events) != 4 || events[3] != "" || !strings.Contains(events[2], `data: {"error":{"message":"Overloaded","type":"overloaded_error"`) {
				t.Errorf("events %q, want two and an error", events)
			}
			resp, err = rt.RoundTrip(post(t, t.Context(), url, chat))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != 500 {
				t.Errorf("status %s of a request that is no stream, want 500", resp.Status)
			}
		})
}

func TestRetryAfterInEachForm(t *testing.T) {
	for form, want := range map[steadytest.RetryForm]http.Header{
		steadytest.RetrySeconds:  {"Retry-After": {"2"}},
		steadytest.RetryFloat:    {"Retry-After": {"1.5"}},
		steadytest.RetryDate:     {"Retry-After": {"Sat, 01 Jan 2000 00:00:07 GMT"}},
		steadytest.RetryMillis:   {"Retry-After-Ms": {"1500"}},
		steadytest.RetryBoth:     {"Retry-After": {"2"}, "Retry-After-Ms": {"1500"}},
		steadytest.RetryDuration: {"Retry-After": {"1.5s"}},
		steadytest.RetryEpoch:    {"Retry-After": {"946684807"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &steadytest.Provider{
				Clock:         5 * time.Second,
				DeniedLatency: 100 * time.Millisecond,
				Faults:        []steadytest.Fault{{Do: steadytest.Unavailable, RetryAfter: 1500 * time.Millisecond, RetryForm: form}},
			}
			resp := send(t, p, chat)
			for _, name := range []string{"Retry-After", "Retry-After-Ms"} {
				if got, want := resp.Header.Get(name), want.Get(name); got != want {
					t.Errorf("form %d: %s %q, want %q", form, name, got, want)
				}
			}
		})
	}
}

func TestFaultHeadersReplaceTheDialects(t *testing.T) {
	garbage := http.Header{"X-Ratelimit-Remaining-Requests": {"NaN"}, "retry-after": {"-1"}}
	inBothForms(t, func() *steadytest.Provider {
		return &steadytest.Provider{Limits: []steadytest.Limit{{N: 10}}, Faults: []steadytest.Fault{{Header: garbage}}}
	}, func(t *testing.T, p *steadytest.Provider, rt http.RoundTripper, url string) {
		resp, err := rt.RoundTrip(post(t, t.Context(), url, chat))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("X-Ratelimit-Remaining-Requests"); got != "NaN" {
			t.Errorf("remaining %q, want NaN", got)
		}
		if got := resp.Header.Get("Retry-After"); got != "-1" {
			t.Errorf("Retry-After %q, want -1", got)
		}
		if got, want := p.Counts(), (steadytest.Counts{Requests: 1, Admitted: 1}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	})
}

func TestFaultsKeepToTheirTimesAndNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		fault steadytest.Fault
		want  string // of ten requests, one a second: x for those that failed
	}{
		"always":           {steadytest.Fault{}, "xxxxxxxxxx"},
		"for a time":       {steadytest.Fault{After: 2 * time.Second, For: 3 * time.Second}, "..xxx....."},
		"from a time":      {steadytest.Fault{After: 7 * time.Second}, ".......xxx"},
		"by number":        {steadytest.Fault{First: 3, Count: 2}, "..xx......"},
		"first few":        {steadytest.Fault{Count: 2}, "xx........"},
		"every third":      {steadytest.Fault{First: 2, Every: 3}, ".x..x..x.."},
		"two, every third": {steadytest.Fault{First: 2, Every: 3, Count: 2}, ".x..x....."},
		"matched":          {steadytest.Fault{Match: steadytest.PathHas("/nowhere")}, ".........."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.fault.Do = steadytest.Unavailable
				p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 10, Per: time.Hour}}, Faults: []steadytest.Fault{c.fault}}
				got, passed := "", 0
				for range 10 {
					resp := send(t, p, chat)
					if resp.StatusCode == 503 {
						got += "x"
					} else {
						got += "."
						passed++
					}
					time.Sleep(time.Second)
				}
				if got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				if n := p.Counts(); n.Admitted != passed || n.Failed != 10-passed {
					t.Errorf("counts %+v, want %d admitted", n, passed)
				}
			})
		})
	}
}

func TestFaultSpendsNothingUnlessCharged(t *testing.T) {
	for charged, want := range map[bool]int{false: 200, true: 429} {
		synctest.Test(t, func(t *testing.T) {
			p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1}}, Faults: []steadytest.Fault{{Count: 1, Do: steadytest.Unavailable, Charged: charged}}}
			if got := send(t, p, chat).StatusCode; got != 503 {
				t.Fatalf("status %d, want 503", got)
			}
			if got := send(t, p, chat).StatusCode; got != want {
				t.Errorf("charged %v: then status %d, want %d", charged, got, want)
			}
		})
	}
}

func TestRetryAfterMayBeNegativeOrAbsurd(t *testing.T) {
	for after, want := range map[time.Duration]string{-2 * time.Second: "-2", -1: "0", 1<<63 - 1: "9223372036", 100 * 365 * 24 * time.Hour: "3153600000"} {
		p := &steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.RateLimited, RetryAfter: after}}}
		if got := send(t, p, chat).Header.Get("Retry-After"); got != want {
			t.Errorf("%v is written %q, want %q", after, got, want)
		}
	}
}

func TestDenialThatIsAFaultSpeaksOfTheLimit(t *testing.T) {
	for _, c := range []struct {
		dialect *steadytest.Dialect
		after   time.Duration
		want    string
	}{
		{steadytest.OpenAI, 0, `{"error":{"message":"Rate limit reached on tokens: Limit 10, Used 10, Requested 0.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`},
		{steadytest.OpenAI, 90 * time.Second, `{"error":{"message":"Rate limit reached on tokens: Limit 10, Used 10, Requested 0. Please try again in 1m30s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`},
		{steadytest.Assisters, 0, `{"error":{"code":"rate_limit_exceeded","message":"Rate limit exceeded.","type":"rate_limit_error"}}`},
		{steadytest.AIAPI, 3 * time.Second, `{"code":"rate_limit_exceeded","data":{"retry_after":3},"message":"Rate limit exceeded. Please try again later."}`},
	} {
		p := &steadytest.Provider{
			Dialect: c.dialect, Limits: []steadytest.Limit{{Resource: "tokens", N: 10}},
			Faults: []steadytest.Fault{{Do: steadytest.RateLimited, RetryAfter: c.after}},
		}
		if got := bodyOf(t, send(t, p, chat)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.dialect.Name, got, c.want)
		}
	}
}

func TestFaultThatALimitForestallsLeavesNoTrace(t *testing.T) {
	p := &steadytest.Provider{
		Limits: []steadytest.Limit{{N: 0}},
		Faults: []steadytest.Fault{{Do: steadytest.Unavailable, Charged: true, RetryAfter: time.Hour, Header: http.Header{"X-Fault": {"yes"}}}},
	}
	resp := send(t, p, chat)
	if resp.StatusCode != 429 || resp.Header.Get("X-Fault") != "" || resp.Header.Get("Retry-After") == "3600" {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	if got, want := p.Counts(), (steadytest.Counts{Requests: 1, Denied: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestTimeBeginsWithTheFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{}
		p.SetFaults(steadytest.Fault{For: time.Second, Do: steadytest.Unavailable})
		p.SetLimits(steadytest.Limit{N: 1})
		p.Counts()
		time.Sleep(time.Hour)
		for _, want := range []int{503, 200, 429} {
			if got := send(t, p, chat).StatusCode; got != want {
				t.Errorf("status %d, want %d", got, want)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestSilentLimitIsToldInNoHeader(t *testing.T) {
	p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1, Silent: true}}}
	for range 2 {
		for name := range send(t, p, chat).Header {
			if strings.Contains(name, "limit") || strings.Contains(name, "Retry") {
				t.Errorf("tells %s", name)
			}
		}
	}
	if got := p.Counts().Denied; got != 1 {
		t.Errorf("denied %d, want 1", got)
	}
}
