package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pasted are responses as curl -i prints them, and what explain makes of them at
// noon, UTC, of 20 November 2026.
var pasted = []struct{ name, raw, text string }{
	{"rate limit", "HTTP/2 429 \r\n" +
		"date: Fri, 20 Nov 2026 12:00:00 GMT\r\n" +
		"content-type: application/json\r\n" +
		"x-ratelimit-limit-requests: 60\r\n" +
		"x-ratelimit-remaining-requests: 0\r\n" +
		"x-ratelimit-reset-requests: 8.64s\r\n" +
		"retry-after-ms: 1500\r\n" +
		"x-request-id: req_123\r\n\r\n" +
		`{"error":{"message":"Rate limit reached for requests","type":"requests","param":null,"code":"rate_limit_exceeded"}}`,
		`status      429 Too Many Requests
class       rate_limited
retryable   yes: the same request may succeed later
retry at    in 1.5s (2026-11-20 12:00:01 UTC)
quotas      requests: 0 of 60 left, resets in 8.64s (2026-11-20 12:00:08 UTC)
code        rate_limit_exceeded
type        requests
message     Rate limit reached for requests
request id  req_123
`},
	{"spent quota behind a proxy", "HTTP/1.1 200 Connection established\n\n" +
		"HTTP/1.1 429 Too Many Requests\nContent-Type: application/json\n\n" +
		`{"error":{"message":"You exceeded your current quota.\u001b[2J","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}` + "\n",
		"status      429 Too Many Requests\n" +
			"class       quota_exhausted\n" +
			"retryable   no: the same request would fail again\n" +
			"code        insufficient_quota\n" +
			"type        insufficient_quota\n" +
			"message     You exceeded your current quota.\uFFFD[2J\n"},
	{"overloaded", "HTTP/2 529\nrequest-id: req_9\n\n" + `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
		`status      529
class       overloaded
retryable   yes: the same request may succeed later
type        overloaded_error
message     Overloaded
request id  req_9
`},
	{"success", "HTTP/1.1 200 OK\nX-RateLimit-Limit: 5000\nX-RateLimit-Remaining: 4999\nX-RateLimit-Reset: 1795179600\nX-RateLimit-Resource: core\n\n{}",
		`status      200 OK
class       success
retryable   no need
quotas      requests (core): 4999 of 5000 left, resets in 1h (2026-11-20 13:00:00 UTC)
`},
}

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// atNoon runs test in a bubble where it is noon of 20 November 2026.
func atNoon(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)))
		test(t)
	})
}

func TestExplainSaysWhatAResponseMeans(t *testing.T) {
	for _, c := range pasted {
		t.Run(c.name, func(t *testing.T) {
			atNoon(t, func(t *testing.T) {
				out, _, err := steady(t, c.raw, "explain")
				if err != nil || out != c.text {
					t.Errorf("got %v\n%s\nwant\n%s", err, out, c.text)
				}
			})
		})
	}
}

func TestExplainReadsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "response")
	if err := os.WriteFile(file, []byte(pasted[2].raw), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{file, "-"} {
		if out, _, err := steady(t, pasted[2].raw, "explain", arg); err != nil || out != pasted[2].text {
			t.Errorf("%s: got %v\n%s", arg, err, out)
		}
	}
}

func TestExplainPrintsJSON(t *testing.T) {
	atNoon(t, func(t *testing.T) {
		out, _, err := steady(t, pasted[0].raw, "explain", "--json")
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		want := `{"class":"rate_limited","code":"rate_limit_exceeded","message":"Rate limit reached for requests","quotas":[` +
			`{"limit":60,"remaining":0,"reset_ms":8640,"resource":"requests","window_ms":null}],"request_id":"req_123",` +
			`"retry_after_ms":1500,"retry_at":"2026-11-20T12:00:01.5Z","retryable":true,"status":429,"type":"requests"}`
		if compact, _ := json.Marshal(got); string(compact) != want {
			t.Errorf("got  %s\nwant %s", compact, want)
		}
	})
}

func TestExplainRefusesWhatIsNoResponse(t *testing.T) {
	if out, _, err := steady(t, "hello", "explain"); !errors.Is(err, errNoResponse) || out != "" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, _, err := steady(t, "", "explain", strings.Repeat("x", 300)); err == nil {
		t.Error("no such file, and no error")
	}
}
