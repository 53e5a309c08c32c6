package steadytest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

const chat = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say that you are steady, please."}],"max_tokens":100}`

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
		time.Sleep(1)
		if resp := send(t, p, chat); resp.StatusCode != 200 {
			t.Errorf("not admitted when it said")
		}
		if got, want := p.Counts(), (steadytest.Counts{Requests: 5, Admitted: 3, Denied: 2}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	})
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
