package steadytest_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

const chat = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say that you are steady, please."}],"max_tokens":100}`

// wallClock brings a bubble to a time at which an epoch reads as one.
func wallClock() {
	time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 250e6, time.UTC)))
}

func request(t testing.TB, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://api.test/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func send(t testing.TB, rt http.RoundTripper, body string) *http.Response {
	t.Helper()
	resp, err := rt.RoundTrip(request(t, body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(b)))
	return resp
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOpenAITellsRemainingAndTimeToFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 5000}, {Resource: "tokens", N: 150_000}}, Latency: 2 * time.Second}
		begin := time.Now()
		resp := send(t, p, chat)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
		for name, want := range map[string]string{
			"X-Ratelimit-Limit-Requests": "5000", "X-Ratelimit-Remaining-Requests": "4999", "X-Ratelimit-Reset-Requests": "12ms",
			"X-Ratelimit-Limit-Tokens": "150000", "X-Ratelimit-Remaining-Tokens": "149892", "X-Ratelimit-Reset-Tokens": "43ms",
			"Date": "Sat, 01 Jan 2000 00:00:02 GMT",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

func TestDenialSaysWhenTheRequestWouldBeAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 2, Per: 3 * time.Second}}}
		send(t, p, chat)
		send(t, p, chat)
		resp := send(t, p, chat)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After-Ms") != "1500" || resp.Header.Get("Retry-After") != "2" {
			t.Fatalf("got %s %v", resp.Status, resp.Header)
		}
		if got, want := bodyOf(t, resp), `{"error":{"message":"Rate limit reached on requests: Limit 2, Used 2, Requested 1. Please try again in 1.5s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`; got != want {
			t.Errorf("body %s", got)
		}
		time.Sleep(1500*time.Millisecond - 1)
		if resp := send(t, p, chat); resp.StatusCode != 429 {
			t.Errorf("admitted 1 ns early")
		}
		time.Sleep(time.Nanosecond)
		if resp := send(t, p, chat); resp.StatusCode != 200 {
			t.Errorf("not admitted when it said")
		}
		if got, want := p.Counts(), (steadytest.Counts{Requests: 5, Admitted: 3, Denied: 2}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	})
}

func TestDeniedRequestsAreChargedIfSo(t *testing.T) {
	for kind, want := range map[steadytest.Kind]int{ // admitted of 4 a second for 10 s, at 2 a second
		steadytest.ContinuousBucket: 3, // the first burst, and then it is emptied each time
		steadytest.SlidingLog:       2,
		steadytest.FixedWindow:      20,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &steadytest.Provider{ChargeDenied: true, Limits: []steadytest.Limit{{N: 2, Per: time.Second, Kind: kind}}}
			for range 40 {
				send(t, p, chat)
				time.Sleep(250 * time.Millisecond)
			}
			if got := p.Counts().Admitted; got != want {
				t.Errorf("kind %d: admitted %d, want %d", kind, got, want)
			}
		})
	}
}

func TestTokensAreChargedOnAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{
			{Resource: "tokens", N: 250}, {Resource: "input_tokens", N: 100}, {Resource: "output_tokens", N: 1000},
			{N: 300, Scope: "max", Silent: true, Resource: "tokens", Cost: func(c steadytest.Call) int64 { return max(c.MaxOutput, c.Input) }},
		}}
		h := send(t, p, chat).Header // 8 of input, 100 of output
		for name, want := range map[string]string{"Tokens": "142", "Input-Tokens": "92", "Output-Tokens": "900"} {
			if got := h.Get("X-Ratelimit-Remaining-" + name); got != want {
				t.Errorf("%s: %s remain, want %s", name, got, want)
			}
		}
		send(t, p, chat)
		if got := send(t, p, chat); got.StatusCode != 429 || !strings.Contains(bodyOf(t, got), "on tokens: Limit 250, Used 216, Requested 108.") {
			t.Errorf("got %s", got.Status)
		}
		large := strings.Replace(chat, "100}", "1000}", 1)
		if got := send(t, p, large); got.StatusCode != 429 || got.Header.Get("Retry-After") != "" || !strings.Contains(bodyOf(t, got), "Request too large") {
			t.Errorf("too large: got %s %v", got.Status, got.Header)
		}
	})
}

func TestOutputTokensAreSettledWithTheAnswer(t *testing.T) {
	for settle, want := range map[bool]string{false: "900", true: "995"} {
		synctest.Test(t, func(t *testing.T) {
			p := &steadytest.Provider{Limits: []steadytest.Limit{{Resource: "output_tokens", N: 1000, Per: 1000 * time.Hour, Settle: settle}}, Latency: time.Second}
			none := strings.Replace(chat, "100}", "0}", 1)
			if got := send(t, p, chat).Header.Get("X-Ratelimit-Remaining-Output-Tokens"); got != "900" {
				t.Errorf("admitted with %s left, want 900", got)
			}
			if got := send(t, p, none).Header.Get("X-Ratelimit-Remaining-Output-Tokens"); got != want {
				t.Errorf("settle %v: %s left, want %s", settle, got, want)
			}
		})
	}
}

func TestPerSecondDeniesWithMuchRemaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 600, Kind: steadytest.PerSecond}}}
		for range 10 {
			if resp := send(t, p, chat); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
		}
		resp := send(t, p, chat)
		if resp.StatusCode != 429 || resp.Header.Get("X-Ratelimit-Remaining-Requests") != "590" || resp.Header.Get("Retry-After-Ms") != "100" {
			t.Errorf("got %s %v", resp.Status, resp.Header)
		}
	})
}

func TestInFlightCountsRequestsBeforeTheirAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 2, Kind: steadytest.InFlight}}, Latency: time.Second}
		for range 2 {
			go p.RoundTrip(request(t, chat))
		}
		synctest.Wait()
		if got := send(t, p, chat).StatusCode; got != 429 {
			t.Errorf("third at once: %d, want 429", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := send(t, p, chat).StatusCode; got != 200 {
			t.Errorf("after the others: %d, want 200", got)
		}
	})
}

func TestLimitCountsApartByWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1, By: func(r *http.Request) string { return r.Header.Get("Authorization") }}}}
		for _, c := range []struct {
			key  string
			want int
		}{{"a", 200}, {"b", 200}, {"a", 429}, {"b", 429}, {"c", 200}} {
			req := request(t, chat)
			req.Header.Set("Authorization", c.key)
			resp, err := p.RoundTrip(req)
			if err != nil || resp.StatusCode != c.want {
				t.Errorf("%s: %v %v, want %d", c.key, resp.Status, err, c.want)
			}
		}
	})
}

func TestLimitsChangeWhileRunning(t *testing.T) {
	limits := func(n int64) []steadytest.Limit { return []steadytest.Limit{{N: n, Per: 10 * time.Second}} }
	for name, p := range map[string]*steadytest.Provider{
		"scripted": {Limits: limits(10), Changes: []steadytest.Change{{After: 5 * time.Second, Limits: limits(20)}, {After: 10 * time.Second, Limits: limits(1)}}},
		"set":      {Limits: limits(10)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said := func() string {
					h := send(t, p, chat).Header
					return h.Get("X-Ratelimit-Remaining-Requests") + "/" + h.Get("X-Ratelimit-Limit-Requests")
				}
				expect := func(want string) {
					t.Helper()
					if got := said(); got != want {
						t.Errorf("at %v: %s, want %s", time.Now(), got, want)
					}
				}
				for range 9 {
					send(t, p, chat)
				}
				expect("0/10")
				time.Sleep(5 * time.Second) // and 5 are back, and stay
				if name == "set" {
					p.SetLimits(limits(20)...)
				}
				expect("4/20")
				time.Sleep(5 * time.Second) // 14 are there, of which 1 is kept
				if name == "set" {
					p.SetLimits(limits(1)...)
				}
				expect("0/1")
				time.Sleep(10*time.Second - 1)
				if resp := send(t, p, chat); resp.StatusCode != 429 {
					t.Errorf("admitted beyond the lowered limit")
				}
			})
		})
	}
}

func TestTenantTakesItsShareInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{
			Limits: []steadytest.Limit{{N: 100, Per: 10 * time.Second}},
			Tenant: steadytest.Tenant{Share: 0.6, Every: 5 * time.Second},
		}
		for at, want := range []string{ // 30 at 0, 5, 10 s, …; one of ours each second, 10 back
			"69", "78", "87", "96", "99", "69", "78",
		} {
			if got := send(t, p, chat).Header.Get("X-Ratelimit-Remaining-Requests"); got != want {
				t.Errorf("at %d s: %s remain, want %s", at, got, want)
			}
			time.Sleep(time.Second)
		}
		if got := p.Counts().Requests; got != 7 {
			t.Errorf("%d requests counted, want our 7", got)
		}
	})
}

func TestServerClockIsInDateAndResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wallClock()
		p := &steadytest.Provider{
			Dialect: steadytest.GitHub, Clock: -5 * time.Second, Latency: 8 * time.Second,
			Limits: []steadytest.Limit{{N: 10, Per: time.Minute, Kind: steadytest.FixedWindow, Aligned: true}},
		}
		h := send(t, p, chat).Header
		// It arrived at 12:00:02.25 by the server, and was answered at 12:00:10.25.
		if got, want := h.Get("Date"), "Fri, 20 Nov 2026 12:00:10 GMT"; got != want {
			t.Errorf("Date %s, want %s", got, want)
		}
		if got, want := h.Get("X-Ratelimit-Reset"), "1795176060"; got != want {
			t.Errorf("reset %s, want %s: 12:01:00", got, want)
		}
	})
}

func TestTimelineCountsEachStretch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 2, Per: time.Hour}}, Faults: []steadytest.Fault{{First: 4, Do: steadytest.Unavailable}}}
		if got := p.Timeline(0); got != nil {
			t.Errorf("before the first request: %v", got)
		}
		for range 3 {
			send(t, p, chat)
		}
		time.Sleep(250 * time.Millisecond)
		send(t, p, chat)
		got := p.Timeline(100 * time.Millisecond)
		want := []steadytest.Bucket{
			{Start: 0, Counts: steadytest.Counts{Requests: 3, Admitted: 2, Denied: 1}},
			{Start: 100 * time.Millisecond},
			{Start: 200 * time.Millisecond, Counts: steadytest.Counts{Requests: 1, Failed: 1}},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if r := p.Requests(); r[0].Model != "gpt-4o-mini" || r[0].MaxOutput != 100 || r[3].Effect != steadytest.Unavailable || !r[2].Denied {
			t.Errorf("requests %+v", r)
		}
	})
}

func TestTightestLimitIsToldUnderASharedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1000, Per: 24 * time.Hour}, {N: 10}}}
		if got := send(t, p, chat).Header.Get("X-Ratelimit-Limit-Requests"); got != "10" {
			t.Errorf("limit %s, want 10", got)
		}
	})
}

func TestGitHubTellsTheResourceThatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wallClock()
		p := &steadytest.Provider{Dialect: steadytest.GitHub, Limits: steadytest.GitHubLimits()}
		for path, want := range map[string][3]string{
			"/user":                         {"core", "5000", "200 OK"},
			"/repos/octocat/hello":          {"core", "5000", "200 OK"},
			"/search/repositories?q=steady": {"search", "30", "200 OK"},
			"/nothing":                      {"core", "5000", "404 Not Found"},
		} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://api.github.test"+path, nil)
			resp, err := p.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got := [3]string{resp.Header.Get("X-Ratelimit-Resource"), resp.Header.Get("X-Ratelimit-Limit"), resp.Status}
			if got != want {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
	})
}

func TestRequestsTellWhatBecameOfEach(t *testing.T) {
	p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 3, Match: steadytest.PathHas("/chat/")}}, Faults: []steadytest.Fault{{First: 2, Count: 1, Do: steadytest.Reset}}}
	send(t, p, chat)
	p.RoundTrip(request(t, chat))
	send(t, p, "{}") // no model
	send(t, p, chat)
	send(t, p, chat)
	var got []string
	for _, r := range p.Requests() {
		got = append(got, fmt.Sprintf("%s %s %q %v %v", r.Method, r.Path, r.Effect, r.Denied, r.Failed))
	}
	want := []string{
		`POST /v1/chat/completions "" false false`,
		`POST /v1/chat/completions "reset" false true`,
		`POST /v1/chat/completions "invalid" false false`,
		`POST /v1/chat/completions "" false false`,
		`POST /v1/chat/completions "rate_limited" true false`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1 << 40}, {Resource: "tokens", N: 1 << 40}}}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := p.RoundTrip(request(b, chat))
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
		resp.Body.Close()
	}
}
