package steadytest

import (
	"math"
	"net/http"
	"time"
)

// Kind is the way in which a [Limit] is enforced.
type Kind uint8

const (
	// ContinuousBucket holds Burst units and is refilled evenly, N per Per: the
	// token bucket of OpenAI, Anthropic and GCRA servers. Its reset is the time
	// until it is full.
	ContinuousBucket Kind = iota
	// FixedWindow admits N in each window; all of it comes back at the reset.
	// A window begins with its first request, or, if Aligned, at a multiple of
	// Per on the server's clock.
	FixedWindow
	// SlidingWindow weighs the window before by its share of the last Per: the
	// estimate of two counters of go-chi/httprate, Cloudflare and HAProxy. Its
	// windows are aligned to the server's clock, its reset is the end of the
	// present one, at which less than N comes back.
	SlidingWindow
	// SlidingLog admits N in any interval of length Per. Its reset is the time
	// until the oldest request leaves that interval.
	SlidingLog
	// PerSecond says N per Per in the headers, as a ContinuousBucket would, but
	// is enforced as N/Per with a small Burst: denials come with much remaining.
	PerSecond
	// InFlight admits N at a time, whatever Per; a request leaves when its answer
	// is begun, a stream's too. It is never told in the headers, and a denial
	// says nothing of when to come back but Per.
	InFlight
)

// Limit is one limit of a [Provider]. A request is admitted if every limit that
// applies to it has room, and then charged to each.
type Limit struct {
	Resource string        // "requests" (also if empty), "tokens", "input_tokens" or "output_tokens"
	N        int64         // how many per Per; zero or less admits nothing
	Per      time.Duration // zero means a minute
	Kind     Kind

	// Burst is the capacity of a ContinuousBucket, zero meaning N, and of the
	// enforcing bucket of PerSecond, zero meaning a second's worth, at least 1.
	Burst int64
	// Aligned makes a FixedWindow begin at multiples of Per since the epoch.
	Aligned bool

	Scope  string                     // X-RateLimit-Resource, or the name of the policy; "" for the dialect's own
	Match  func(*http.Request) bool   // which requests it applies to; if nil, all
	By     func(*http.Request) string // counts apart for each value it returns; if nil, all together
	Cost   func(Call) int64           // what a request costs; if nil, as Resource says
	Silent bool                       // told in no header
	Settle bool                       // a ContinuousBucket of "output_tokens" gets back, with the answer, what that did not use
	Deny   Effect                     // how it denies; zero means RateLimited
}

func (l Limit) per() int64 {
	if l.Per <= 0 {
		return int64(time.Minute)
	}
	return int64(l.Per)
}

// unset fills in what zero means.
func (l Limit) unset() Limit {
	if l.Resource == "" {
		l.Resource = "requests"
	}
	l.Per = time.Duration(l.per())
	l.N = max(l.N, 0)
	if l.Burst <= 0 {
		switch l.Kind {
		case PerSecond:
			l.Burst = max(1, int64(float64(l.N)*float64(time.Second)/float64(l.Per)))
		default:
			l.Burst = l.N
		}
	}
	if l.Deny == "" {
		l.Deny = RateLimited
	}
	return l
}

// cost is what a call is charged. A tokens limit takes input and the most output
// that the request permits, as OpenAI and Azure charge on admission.
func (l Limit) cost(c Call) int64 {
	switch {
	case l.Cost != nil:
		return max(0, l.Cost(c))
	case l.Resource == "tokens":
		return c.Input + c.MaxOutput
	case l.Resource == "input_tokens":
		return c.Input
	case l.Resource == "output_tokens":
		return c.MaxOutput
	}
	return 1
}

// Quota is the state of a Limit as a [Dialect] tells it, taken when the request
// was admitted or denied and after it was charged.
type Quota struct {
	Limit
	Remaining int64         // whole units left
	Reset     time.Duration // until a bucket is full, a window ends, the oldest request leaves a log
	Wait      time.Duration // until the request that was denied would be admitted; zero if this limit had room
	Requested int64         // what the request costs
	Now       time.Time     // on the server's clock
}

// never is the wait for what a limit can never admit.
const never = math.MaxInt64

// meter is the state of one limit. Times are nanoseconds since the epoch and do
// not decrease.
type meter interface {
	// wait is how long it takes, if nothing else comes, until cost is admitted:
	// 0 if now.
	wait(now, cost int64) int64
	// charge takes cost, of an admitted request or of a denied one.
	charge(now, cost int64)
	// quota is what is left, in whole units, and the time until the reset.
	quota(now int64) (remaining, reset int64)
	// resize gives it another N and Burst; what was used stays used.
	resize(now int64, l Limit)
}

// newMeter makes the meter of a limit whose server's clock is ahead by clock.
func newMeter(l Limit, now, clock int64) meter {
	switch l.Kind {
	case FixedWindow:
		return &window{n: l.N, per: l.per(), aligned: l.Aligned, clock: clock}
	case SlidingWindow:
		return &sliding{n: l.N, per: l.per(), clock: clock}
	case SlidingLog:
		return &slidingLog{n: l.N, per: l.per()}
	case PerSecond:
		return &perSecond{stated: newBucket(l.N, l.per(), l.N, now), enforced: newBucket(l.N, l.per(), l.Burst, now)}
	case InFlight:
		return &inFlight{n: l.N, per: l.per()}
	}
	return newBucket(l.N, l.per(), l.Burst, now)
}

// add is a + b, or never if that overflows. Both are at least 0.
func add(a, b int64) int64 {
	if a > never-b {
		return never
	}
	return a + b
}
