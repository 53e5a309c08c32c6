package steadyhttp

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// clock is what is known of the time when a response arrived: here, and on the
// server, whose clock an absolute time in a header refers to.
type clock struct {
	now  time.Time
	date string // the Date header
}

// until is the time from now to at, an instant on the server's clock, or on this
// one's if the server does not tell the time. It is not negative, and saturates.
func (c clock) until(at time.Time) time.Duration {
	if server, err := http.ParseTime(c.date); err == nil {
		return max(at.Sub(server), 0)
	}
	return max(at.Sub(c.now), 0)
}

// moment is a time as a server wrote it: absolute on its own clock, or relative.
type moment struct {
	at         time.Time     // zero if it is relative
	in         time.Duration // from now; meaningless if it is absolute
	resolution time.Duration // of what was written: a second for whole seconds
	bare       bool          // a relative number without a unit, taken for seconds
}

// wait is how long to wait from now until m.
func (m moment) wait(c clock) time.Duration {
	if m.at.IsZero() {
		return m.in
	}
	return c.until(m.at)
}

// after tells whether m is later than o, as far as they compare: a delay comes
// after any absolute time.
func (m moment) after(o moment) bool {
	if m.at.IsZero() != o.at.IsZero() {
		return m.at.IsZero()
	}
	return m.in > o.in || m.at.After(o.at)
}

// inMillis is m, whose number was one of milliseconds after all.
func (m moment) inMillis() moment {
	return moment{in: m.in / 1000, resolution: max(m.resolution/1000, 1)}
}

// number reads a decimal number, and tells how many decimals it was written
// with. Unlike strconv.ParseFloat it refuses hexadecimal, NaN and infinity.
func number(s string) (v float64, decimals int, ok bool) {
	if n, ok := digits(s); ok {
		return float64(n), 0, true
	}
	if s == "" || s == "." {
		return 0, 0, false
	}
	point := -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
		case c == '.' && point < 0:
			point = i
		case c == 'e', c == 'E', c == '-', c == '+':
		default:
			return 0, 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, 0, false
	}
	if point >= 0 {
		decimals = len(s) - point - 1
	}
	return v, decimals, true
}

// digits reads a short number that has nothing else in it.
func digits(s string) (n int64, ok bool) {
	if len(s) == 0 || len(s) > 15 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = 10*n + int64(c)
	}
	return n, true
}

// maxCount bounds every limit and remaining: beyond it float64 loses units, and
// no server means it.
const maxCount = 1 << 53

// count reads a quantity: digits, or a decimal number, of which the whole part
// counts. Grouped digits ("5,000", "5.000"), words and absurd numbers are not
// understood, rather than misunderstood.
func count(s string) (n int64, ok bool) {
	if n, ok := digits(s); ok {
		return n, true
	}
	s = strings.TrimSpace(s)
	v, decimals, ok := number(s)
	if !ok || v > maxCount || v < -maxCount {
		return 0, false
	}
	if decimals == 3 && len(s) <= len("123.456") && v != 0 {
		return 0, false
	}
	return int64(v), true
}

// limitCount is count for a limit. A part of one, as in the Selling Partner API's rate
// of 0.5 requests per second, is a limit in another unit, not one of nothing.
func limitCount(s string) (n int64, ok bool) {
	n, ok = count(s)
	return n, ok && (n != 0 || strings.Trim(s, "0. ") == "")
}

// parseMoment reads a reset time in any of the forms seen in the wild. A number
// is told by its magnitude: no delay is as long as 1e9 seconds, and no clock
// shows less.
func parseMoment(s string) (m moment, ok bool) {
	if m, ok := plainDelay(s); ok { // as most are
		return m, true
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return moment{}, false
	}
	if v, decimals, ok := number(s); ok {
		return momentOf(v, decimals)
	}
	if d, resolution, rest, ok := scanDuration(s); ok && rest == "" {
		return moment{in: d, resolution: resolution}, true
	}
	return parseDate(s)
}

// plainDelay reads the simplest durations: digits, and "ms" or "s".
func plainDelay(s string) (m moment, ok bool) {
	unit := time.Second
	rest, ok := strings.CutSuffix(s, "s")
	if before, millis := strings.CutSuffix(rest, "m"); millis {
		rest, unit = before, time.Millisecond
	}
	n, isNumber := digits(rest)
	if !ok || !isNumber || n > math.MaxInt32 {
		return moment{}, false
	}
	return moment{in: time.Duration(n) * unit, resolution: unit}, true
}

// momentOf tells a delay from an epoch, and the unit of the epoch.
func momentOf(v float64, decimals int) (moment, bool) {
	unit := time.Second
	switch {
	case !(v >= 0):
		return moment{}, false
	case v < 1e9:
		return moment{in: seconds(v), resolution: fraction(unit, decimals), bare: true}, true
	case v < 1e11:
	case v < 1e14:
		unit = time.Millisecond
	case v < 1e17:
		unit = time.Microsecond
	default:
		unit = time.Nanosecond
	}
	perSecond := float64(time.Second / unit)
	whole := math.Floor(v / perSecond)
	if whole > 1e11 {
		return moment{}, false
	}
	nanos := (v - whole*perSecond) * float64(unit)
	resolution := fraction(unit, decimals)
	return moment{at: time.Unix(int64(whole), int64(nanos)).Round(resolution), resolution: resolution}, true
}

// seconds converts to a Duration, saturating.
func seconds(v float64) time.Duration {
	if v >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(v * 1e9))
}

// fraction is the resolution of a number of units written with some decimals.
func fraction(unit time.Duration, decimals int) time.Duration {
	for ; decimals > 0 && unit >= 10; decimals-- {
		unit /= 10
	}
	return unit
}

// units are the names of units of time, in durations and in prose.
var units = map[string]time.Duration{
	"ns": time.Nanosecond,
	"us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond, "msecs": time.Millisecond,
	"millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// scanDuration reads a duration at the beginning of s: "6m0s", "1.5s", "33
// seconds", "1 hour and 5 minutes". Units must descend, so that a list of other
// things is not summed. The rest of s is returned.
func scanDuration(s string) (d, resolution time.Duration, rest string, ok bool) {
	last := time.Duration(math.MaxInt64)
	for rest = s; ; {
		next := rest
		if ok {
			next = strings.TrimLeft(strings.TrimPrefix(next, ","), " ")
			next = strings.TrimLeft(strings.TrimPrefix(next, "and "), " ")
		}
		digits := span(next, func(c byte) bool { return '0' <= c && c <= '9' || c == '.' })
		v, decimals, isNumber := number(next[:digits])
		if !isNumber {
			return d, resolution, rest, ok
		}
		next = strings.TrimLeft(next[digits:], " ")
		letters := span(next, func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80 })
		unit := unitOf(next[:letters])
		if unit == 0 || unit >= last {
			return d, resolution, rest, ok
		}
		part := seconds(v * unit.Seconds())
		if d += part; d < part {
			d = math.MaxInt64
		}
		last, rest, ok = unit, next[letters:], true
		resolution = min(fraction(unit, decimals), time.Second)
	}
}

// span is the length of the beginning of s whose bytes are all in a class.
func span(s string, in func(byte) bool) int {
	for i := 0; i < len(s); i++ {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

// unitOf looks up the name of a unit in any case; zero if there is none.
func unitOf(s string) time.Duration {
	switch s { // as most write it
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m":
		return time.Minute
	}
	if u := units[s]; u != 0 || len(s) > len("milliseconds") {
		return u
	}
	return units[strings.ToLower(s)]
}

// dateLayouts are the forms of ISO 8601 in use, with the resolution of each. Go
// reads a fraction of the second where the layout has none. A date without a
// zone is taken for UTC.
var dateLayouts = []struct {
	layout     string
	resolution time.Duration
}{
	{time.RFC3339, time.Second},
	{"2006-01-02T15:04Z07:00", time.Minute},
	{"2006-01-02T15:04:05", time.Second},
	{"2006-01-02T15:04:05Z0700", time.Second},
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02 15:04:05Z07:00", time.Second},
	{"2006-01-02 15:04:05 MST", time.Second},
	{"2006-01-02 15:04:05 -0700 MST", time.Second},
}

// wordLayouts are the dates with names that http.ParseTime does not read, the
// last being JavaScript's Date.toString without its comment.
var wordLayouts = []string{
	"Mon, 02 Jan 2006 15:04:05 UTC",
	time.RFC1123Z,
	"Mon, 2 Jan 2006 15:04:05 GMT",
	"Mon Jan 02 2006 15:04:05 GMT-0700",
}

// maxDate is longer than any form of a date.
const maxDate = 100

// parseDate reads an absolute time.
func parseDate(s string) (moment, bool) {
	if len(s) < len("2006-01-02T15:04Z") || len(s) > maxDate {
		return moment{}, false
	}
	if '0' <= s[0] && s[0] <= '9' {
		for _, l := range dateLayouts {
			if at, err := time.Parse(l.layout, s); err == nil {
				return moment{at: at, resolution: fractionOf(at, l.resolution)}, true
			}
		}
		return moment{}, false
	}
	if at, err := http.ParseTime(s); err == nil {
		return moment{at: at, resolution: time.Second}, true
	}
	s, _, _ = strings.Cut(s, " (")
	for _, layout := range wordLayouts {
		if at, err := time.Parse(layout, s); err == nil {
			return moment{at: at, resolution: time.Second}, true
		}
	}
	return moment{}, false
}

// fractionOf is the resolution of a date that may have been written with a
// fraction of the second, as its value shows.
func fractionOf(at time.Time, whole time.Duration) time.Duration {
	switch ns := at.Nanosecond(); {
	case ns == 0:
		return whole
	case ns%1e6 == 0:
		return time.Millisecond
	case ns%1e3 == 0:
		return time.Microsecond
	}
	return time.Nanosecond
}
