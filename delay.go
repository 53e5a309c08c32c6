package steadyhttp

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// A response may ask for a delay in several places. In order of precedence: a
// header in milliseconds, which is not rounded; Retry-After, which by RFC 9110
// and the RateLimit drafts wins over all that follows; a field of the body; its
// text; and the resets of the quotas that are used up, which come last because
// for many APIs they are the time to a full refill.

// delayOf is how long a response asks to wait, and whether it says so itself: if
// not, it follows from the quotas, which throttled says may be the reason.
func delayOf(h *headerFacts, b *errorBody, throttled bool) (d time.Duration, stated, ok bool) {
	millis, zero := parseMillis(h.delayMillis.value)
	if millis > 0 {
		return millis, true, true
	}
	if h.delay.ok {
		if d, ok := parseDelay(h.delay.value, h.clock); ok {
			return d, true, true
		}
	}
	if b.hasDelay {
		return b.delay, true, true
	}
	if b.hasProse {
		return b.prose, true, true
	}
	if throttled {
		if d, ok := resetOf(h.quotas, h.clock.now); ok {
			return d, false, true
		}
	}
	return 0, zero, zero
}

// resetOf is when the last of the exhausted quotas is renewed. If none is, the resets
// of those that do not say what is left are all there is to go by.
func resetOf(quotas []Quota, now time.Time) (d time.Duration, ok bool) {
	told := false
	for _, q := range quotas {
		told = told || q.Remaining == 0
	}
	for _, q := range quotas {
		if !told && q.Window > 0 && summed(quotas, q.Resource) {
			continue
		}
		if !q.Reset.IsZero() && (q.Remaining == 0 || q.Remaining < 0 && !told) {
			d, ok = max(d, q.Reset.Sub(now)), true
		}
	}
	return d, ok
}

// summed tells whether a reset of a resource is told without a window. Of several it is
// then the one that counts, as Anthropic's "unified" is that of the 5 hours or of the week.
func summed(quotas []Quota, resource string) bool {
	for _, q := range quotas {
		if q.Resource == resource && q.Window == 0 && !q.Reset.IsZero() {
			return true
		}
	}
	return false
}

// parseMillis reads a delay in milliseconds. One of zero says no more than that
// there is no delay in this form: Azure sends it beside a Retry-After of 1.
func parseMillis(s string) (d time.Duration, zero bool) {
	v, _, ok := number(s)
	if !ok || v < 0 {
		return 0, false
	}
	return seconds(v / 1000), v == 0
}

// parseDelay reads the value of Retry-After: a delay in seconds or a date, or
// one of the forms that are tolerated beside them.
func parseDelay(s string, c clock) (time.Duration, bool) {
	s = trim(s)
	if v, decimals, ok := number(s); ok {
		return numericDelay(v, decimals, c)
	}
	if m, ok := parseMoment(s); ok {
		return m.wait(c), true
	}
	var longest time.Duration
	found := false
	list := commas(s) // a proxy has joined two fields
	for item, more := list.next(); more; item, more = list.next() {
		v, decimals, ok := number(item)
		if !ok {
			return 0, false
		}
		d, ok := numericDelay(v, decimals, c)
		longest, found = max(longest, d), found || ok
	}
	return longest, found
}

// numericDelay tells seconds from an epoch of this time; a longer delay is only
// absurd, and saturates.
func numericDelay(v float64, decimals int, c clock) (time.Duration, bool) {
	switch {
	case !(v >= 0):
		return 0, false
	case 1e9 <= v && v < 5e9, 1e12 <= v && v < 5e12:
		m, ok := momentOf(v, decimals)
		return m.wait(c), ok
	}
	return seconds(v), true
}

// delayKey is a field of a body that tells a delay.
type delayKey struct {
	key  string
	unit time.Duration // of a number
}

// delayKeys are in order of precedence.
var delayKeys = []delayKey{
	{"retryDelay", time.Second}, // google.rpc.RetryInfo
	{"retry_after_ms", time.Millisecond},
	{"retryAfterMs", time.Millisecond},
	{"retry_after", time.Second}, // Discord, Telegram, and many others
	{"retryAfter", time.Second},
	{"retry-after", time.Second},
	{"Retry-After", time.Second},
	{"retry_after_seconds", time.Second}, // OpenRouter
	{"retryAfterSeconds", time.Second},
	{"retry_in", time.Second},
	{"retry_in_seconds", time.Second},  // Monday
	{"backoff_seconds", time.Second},   // Infura
	{"quotaResetDelay", time.Second},   // Gemini Code Assist
	{"resets_in_seconds", time.Second}, // OpenAI, of a plan's limit
	{"estimated_time", time.Second},    // Hugging Face, while it loads a model
}

// delay is the delay that a field tells, wherever in the body it is.
func (t *jsonTree) delay(c clock) (d time.Duration, ok bool) {
	best := len(delayKeys)
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.key < 0 {
			continue
		}
		name := t.text[n.key:n.keyEnd]
		for rank := range delayKeys[:best] {
			if string(name) != delayKeys[rank].key {
				continue
			}
			if found, isDelay := (jsonValue{t, int32(i)}).delay(delayKeys[rank].unit, c); isDelay {
				d, ok, best = found, true, rank
			}
			break
		}
	}
	return d, ok
}

// delay reads a value as a number of units, as a protobuf Duration in either
// form, or as a header may have it.
func (j jsonValue) delay(unit time.Duration, c clock) (time.Duration, bool) {
	if j.kind() == jsonObject {
		whole, ok := j.get("seconds").number()
		nanos, _ := j.get("nanos").number()
		return seconds(whole + nanos/1e9), ok && whole >= 0 && nanos >= 0
	}
	if v, ok := j.number(); ok && unit != time.Second {
		return seconds(v * unit.Seconds()), v >= 0
	}
	return parseDelay(j.text(), c)
}

// delayPhrases come before a delay in a text, in lower case.
var delayPhrases = []string{
	"try again in ", "retry in ", "retry after ", "again after ", "available in ", "please wait ",
	"resets in ", "reset in ", "will reset after ", "resets at: ", "retry after: ", "request this after ",
}

// delayIndex finds those that begin with a byte.
var delayIndex = func() (index [256][]string) {
	for _, phrase := range delayPhrases {
		index[phrase[0]] = append(index[phrase[0]], phrase)
	}
	return index
}()

// delayInText finds a delay in a message made for people.
func delayInText(text string, c clock) (time.Duration, bool) {
	for i := 0; i < len(text); i++ {
		for _, phrase := range delayIndex[lower(text[i])] {
			if len(text)-i > len(phrase) && hasPrefixFold(text[i:], phrase) {
				if d, ok := proseDelay(text[i+len(phrase):], c); ok {
					return d, true
				}
			}
		}
	}
	return 0, false
}

// proseDelay reads the delay that s begins with: with units, or a bare number of
// seconds if nothing follows that could be another unit; or a time, to the second and
// with its zone.
func proseDelay(s string, c clock) (time.Duration, bool) {
	s = strings.TrimLeft(s, " ~")
	if d, _, _, ok := scanDuration(s); ok {
		return d, true
	}
	if d, ok := proseTime(s, c); ok {
		return d, true
	}
	end := span(s, func(c byte) bool { return '0' <= c && c <= '9' || c == '.' })
	rest := s[end:]
	v, _, ok := number(strings.TrimSuffix(s[:end], "."))
	if !ok || v >= 1e9 || rest != "" && !strings.ContainsRune(".,;!)\"'\n", rune(rest[0])) {
		return 0, false
	}
	return min(seconds(v), math.MaxInt64), true
}

// proseTime reads the time that s begins with, which must be complete: a zone that is
// not told may be any.
func proseTime(s string, c clock) (time.Duration, bool) {
	word, _, _ := strings.Cut(s, " ")
	for _, text := range []string{
		strings.TrimRight(word, ".,;)"), // RFC 3339, as Gmail has it
		s[:min(len(s), len("2006-01-02 15:04:05 UTC"))],
		s[:min(len(s), len(http.TimeFormat))],
	} {
		n := len(text)
		if n < len(s) && (s[n] == '+' || s[n] == '-') {
			continue // "GMT+8"
		}
		if n > 6 && (text[n-1] == 'Z' || text[n-3] == ':' && text[n-6] != ':' || text[n-3:] == "UTC" || text[n-3:] == "GMT") {
			if m, ok := parseDate(text); ok && !m.at.IsZero() {
				return m.wait(c), true
			}
		}
	}
	return 0, false
}
