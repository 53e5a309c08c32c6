package steadyhttp

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// quotasIn are the quotas that headers, given as pairs, tell at noon.
func quotasIn(pairs ...string) []Quota {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return readHeaders(h, noon).quotas
}

func TestResetsKeepTheirForm(t *testing.T) {
	ms, sec := time.Millisecond, time.Second
	tests := []struct {
		reset      string
		absolute   time.Time // noon plus; zero if relative
		in         time.Duration
		resolution time.Duration
	}{
		{"30", time.Time{}, 30 * sec, sec},
		{"64.57", time.Time{}, 64570 * ms, 10 * ms},
		{"33011.382867", time.Time{}, 33011382867 * time.Microsecond, time.Microsecond},
		{"12ms", time.Time{}, 12 * ms, ms},
		{"6m0s", time.Time{}, 360 * sec, sec},
		{"20m52.666s", time.Time{}, 1252666 * ms, ms},
		{"1d", time.Time{}, 24 * time.Hour, sec},
		{"1795176030", noon.Add(30 * sec), 30 * sec, sec},
		{"1795176030.5", noon.Add(30500 * ms), 30500 * ms, 100 * ms},
		{"1795176030000", noon.Add(30 * sec), 30 * sec, ms},
		{"1795176030000000", noon.Add(30 * sec), 30 * sec, time.Microsecond},
		{"1795176030000000000", noon.Add(30 * sec), 30 * sec, 1},
		{"2026-11-20T12:00:30Z", noon.Add(30 * sec), 30 * sec, sec},
		{"2026-11-20T12:00:30.250Z", noon.Add(30250 * ms), 30250 * ms, ms},
		{"2026-11-20T12:30Z", noon.Add(30 * time.Minute), 30 * time.Minute, time.Minute},
		{"2026-11-20 12:00:30", noon.Add(30 * sec), 30 * sec, sec},
		{"Fri, 20 Nov 2026 12:00:30 GMT", noon.Add(30 * sec), 30 * sec, sec},
		{"Fri Nov 20 2026 13:00:30 GMT+0100 (CET)", noon.Add(30 * sec), 30 * sec, sec},
		{"2026-11-20T11:59:30Z", noon.Add(-30 * sec), 0, sec},
	}
	for _, tt := range tests {
		quotas := quotasIn("X-RateLimit-Remaining", "1", "X-RateLimit-Reset", tt.reset)
		if len(quotas) != 1 {
			t.Errorf("%s: got %d quotas, want 1", tt.reset, len(quotas))
			continue
		}
		q := quotas[0]
		if !q.absolute.Equal(tt.absolute) || q.absolute.IsZero() != tt.absolute.IsZero() || q.resolution != tt.resolution {
			t.Errorf("%s: got absolute %v, resolution %v; want %v, %v", tt.reset, q.absolute, q.resolution, tt.absolute, tt.resolution)
		}
		if got := q.Reset.Sub(noon); got != tt.in {
			t.Errorf("%s: got reset in %v, want %v", tt.reset, got, tt.in)
		}
	}
}

func TestAbsoluteTimesAreOnTheServersClock(t *testing.T) {
	q := quotasIn("Date", "Fri, 20 Nov 2026 12:05:00 GMT", "X-RateLimit-Remaining", "1", "X-RateLimit-Reset", "2026-11-20T12:05:30Z")[0]
	if got := q.Reset.Sub(noon); got != 30*time.Second {
		t.Errorf("reset: got %v, want 30s by the Date header", got)
	}
	if want := noon.Add(330 * time.Second); !q.absolute.Equal(want) {
		t.Errorf("absolute: got %v, want %v, as written", q.absolute, want)
	}
}

func TestAbsurdValuesMakeNoQuota(t *testing.T) {
	for _, v := range []string{
		"", " ", "-", "NaN", "Inf", "+Inf", "1e309", "0x10", "unlimited", "5,000", "5.000", "5 000", "5'000", "1_000", "１２",
		"99999999999999999999", "9223372036854775808", "9007199254740994", "-99999999999999999999",
		strings.Repeat("9", 1<<20), strings.Repeat(",", 1<<20), strings.Repeat(`"`, 1<<20),
	} {
		if got := quotasIn("X-RateLimit-Limit", v, "X-RateLimit-Remaining", v, "X-RateLimit-Reset-Requests", "x"+v); got != nil {
			t.Errorf("%.30q: got %+v, want none", v, got)
		}
	}
}

func TestWhatIsNotStatedIsMinusOne(t *testing.T) {
	for _, tt := range []struct {
		name, value      string
		limit, remaining int64
	}{
		{"X-RateLimit-Limit", "0", 0, -1},
		{"X-RateLimit-Remaining", "0.0", -1, 0},
		{"X-RateLimit-Remaining", "-3", -1, 0},
		{"X-RateLimit-Reset", "30", -1, -1},
		{"X-RateLimit-Limit", "10.00", 10, -1},
		{"X-RateLimit-Limit", "9007199254740992", 1 << 53, -1},
	} {
		quotas := quotasIn(tt.name, tt.value)
		if len(quotas) != 1 || quotas[0].Limit != tt.limit || quotas[0].Remaining != tt.remaining {
			t.Errorf("%s: %s: got %+v, want %d of %d", tt.name, tt.value, quotas, tt.remaining, tt.limit)
		}
	}
}

func TestManyHeadersAreBounded(t *testing.T) {
	h := make(http.Header)
	long := strings.Repeat("x", 1000)
	for i := range 5000 {
		h[fmt.Sprintf("X-Ratelimit-Limit-Thing%d", i)] = []string{"1"}
		h["Ratelimit-Policy"] = append(h["Ratelimit-Policy"], fmt.Sprintf(`"p%d";q=%d;w=60`, i, i))
		h["Ratelimit"] = append(h["Ratelimit"], fmt.Sprintf(`"p%d";r=%d;t=60`, i, i))
	}
	h["X-Ratelimit-Limit-"+long] = []string{"1"}
	h["X-Ratelimit-Resource"] = []string{long}
	began := time.Now()
	quotas := readHeaders(h, noon).quotas
	if len(quotas) == 0 || len(quotas) > maxQuotas {
		t.Errorf("got %d quotas, want some, at most %d", len(quotas), maxQuotas)
	}
	for _, q := range quotas {
		if len(q.Resource) > maxWordName || len(q.Scope) > maxWordName {
			t.Errorf("a name of %d bytes, a scope of %d", len(q.Resource), len(q.Scope))
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestHeaderNamesMayBeInAnyCase(t *testing.T) {
	for _, name := range []string{"x-ratelimit-remaining-tokens", "X-Ratelimit-Remaining-Tokens", "X-RATELIMIT-REMAINING-TOKENS", "X-RateLimit-Remaining-Tokens"} {
		quotas := readHeaders(http.Header{name: {"5"}}, noon).quotas
		if len(quotas) != 1 || quotas[0].Resource != "tokens" || quotas[0].Remaining != 5 {
			t.Errorf("%s: got %+v", name, quotas)
		}
	}
}

func TestQuotasComeInTheSameOrder(t *testing.T) {
	first := ""
	for range 50 {
		h := quotaHeader()
		h.Set("X-RateLimit-Limit-Minute", "5")
		h.Set("X-RateLimit-Limit-Hour", "50")
		h.Set("RateLimit-Limit", "5")
		got := fmt.Sprint(readHeaders(h, noon).quotas)
		if first == "" {
			first = got
		}
		if got != first {
			t.Fatalf("got %s\nbefore %s", got, first)
		}
	}
}

func TestEveryRowCanBeFound(t *testing.T) {
	for i := range headerRows {
		name := http.CanonicalHeaderKey(headerRows[i].name)
		if row, rest := rowOf(name); row != &headerRows[i] || rest != "" {
			t.Errorf("%s: found the row %q, rest %q", name, row.name, rest)
		}
	}
}

func TestUsualHeadersAreFoundAsOthersAre(t *testing.T) {
	n, longest := 0, 0
	for _, slot := range usualHeaders {
		longest = max(longest, len(slot))
		for _, u := range slot {
			n++
			row, rest, says := findHeader(u.name)
			slow, slowRest, slowSays := findHeader(strings.ToLower(u.name))
			if row != u.row || row != slow || !strings.EqualFold(rest, slowRest) || fmt.Sprint(says) != fmt.Sprint(slowSays) {
				t.Errorf("%s: found %q %q %v, in lower case %q %q %v", u.name, row.name, rest, says, slow.name, slowRest, slowSays)
			}
		}
	}
	if n < 100 || longest > 8 {
		t.Errorf("%d usual headers, up to %d in a slot", n, longest)
	}
}
