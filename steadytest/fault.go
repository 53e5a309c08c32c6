package steadytest

import (
	"net/http"
	"strconv"
	"time"
)

// Effect is what becomes of a request that is not simply answered.
type Effect string

// Refusals: an answer with an error in the dialect's words.
const (
	RateLimited    Effect = "rate_limited"    // what a Limit says
	SecondaryLimit Effect = "secondary_limit" // GitHub's, against bursts: with quota left
	TooLarge       Effect = "too_large"       // costs more than the limit ever holds
	SpentQuota     Effect = "spent_quota"     // 429 insufficient_quota and its kin
	Unpaid         Effect = "unpaid"          // 402
	Unauthorized   Effect = "unauthorized"    // 401
	Forbidden      Effect = "forbidden"       // 403
	NotFound       Effect = "not_found"       // 404
	BadMethod      Effect = "bad_method"      // 405
	Conflict       Effect = "conflict"        // 409
	Invalid        Effect = "invalid"         // 400
	ContextLength  Effect = "context_length"  // 400
	ContentFilter  Effect = "content_filter"  // 400
	ServerError    Effect = "server_error"    // 500
	BadGateway     Effect = "bad_gateway"     // 502
	Unavailable    Effect = "unavailable"     // 503
	SlowDown       Effect = "slow_down"       // 429 slow_down: load rose too fast
	GatewayTimeout Effect = "gateway_timeout" // 504
	Overloaded     Effect = "overloaded"      // 529
)

// Troubles of the connection. A Handler that hangs holds up the Close of its
// httptest.Server until the client has gone away.
const (
	Reset  Effect = "reset"  // a TCP reset instead of an answer
	Refuse Effect = "refuse" // the connection is refused; a Handler, which already has one, resets it unread
	Drop   Effect = "drop"   // the connection is closed without an answer
	Hang   Effect = "hang"   // no answer until the client goes away
)

// Effects on an answer that is otherwise as usual: the request goes through the
// limits, and is charged.
const (
	Answer      Effect = ""             // with the Fault's Delay, Header and RetryAfter
	Cut         Effect = "cut"          // the connection ends in the middle of the body
	StreamError Effect = "stream_error" // a stream ends in an error event; another request gets a ServerError
)

// Fault is what goes wrong, and when. A request meets the first Fault that
// applies to it. Faults spend none of a limit, unless they say so.
type Fault struct {
	// After and For bound it in time, from the arrival of the first request:
	// [After, After+For). Zero For means for ever.
	After, For time.Duration
	// First and Count bound it by the number of the request, from 1: Count
	// requests from First on. Zero Count means any number.
	First, Count int
	// Every picks one request of so many, from First on. Zero means each.
	Every int
	Match func(*http.Request) bool // which requests; if nil, all

	Do      Effect
	As      Effect        // the words of a StreamError's event; zero means ServerError
	Events  int           // so many events come before a stream is Cut or fails; zero means half
	Charged bool          // goes through the limits first, and may be denied there
	Delay   time.Duration // longer than usual until the headers
	// Header is set on the answer, over the dialect's own: garbage, for instance.
	Header http.Header
	// RetryAfter is written in the form that RetryForm says, unless it is zero.
	RetryAfter time.Duration
	RetryForm  RetryForm
}

// RetryForm is a way to write when to come back.
type RetryForm uint8

const (
	RetrySeconds  RetryForm = iota // Retry-After: 2, rounded up
	RetryFloat                     // Retry-After: 1.5
	RetryDate                      // Retry-After: Fri, 20 Nov 2026 12:00:09 GMT, on the server's clock, rounded up
	RetryMillis                    // Retry-After-Ms: 1500
	RetryBoth                      // Retry-After in seconds, rounded up, and Retry-After-Ms
	RetryDuration                  // Retry-After: 1.5s
	RetryEpoch                     // Retry-After: 1795176009, on the server's clock, rounded up
)

// write sets the headers; now is the server's clock when they are written.
func (f RetryForm) write(h http.Header, d time.Duration, now time.Time) {
	millis := WaitMillis(Quota{Wait: d}, nil)
	switch f {
	case RetrySeconds:
		h.Set("Retry-After", itoa(RoundUp.seconds(d)))
	case RetryFloat:
		h.Set("Retry-After", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	case RetryDate:
		h.Set("Retry-After", roundUp(now.Add(d)).UTC().Format(http.TimeFormat))
	case RetryMillis:
		h.Set("Retry-After-Ms", millis)
	case RetryBoth:
		h.Set("Retry-After", itoa(RoundUp.seconds(d)))
		h.Set("Retry-After-Ms", millis)
	case RetryDuration:
		h.Set("Retry-After", d.String())
	case RetryEpoch:
		h.Set("Retry-After", itoa(roundUp(now.Add(d)).Unix()))
	}
}

func roundUp(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

// applies reports whether the fault is on for the number-th request, which arrived
// so long after the first.
func (f *Fault) applies(number int, since time.Duration) bool {
	first := max(1, f.First)
	switch {
	case since < f.After, f.For > 0 && since >= f.After+f.For:
		return false
	case number < first, f.Count > 0 && number >= first+f.Count*max(1, f.Every):
		return false
	case f.Every > 1 && (number-first)%f.Every != 0:
		return false
	}
	return true
}

// refuses reports whether the effect takes the place of an answer.
func (e Effect) refuses() bool { return e != Answer && e != Cut && e != StreamError }

// events is how many of a stream's events come before the fault.
func (f *Fault) events(of int) int {
	if f.Events > 0 {
		return min(f.Events, of)
	}
	return (of + 1) / 2
}
