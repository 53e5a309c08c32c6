package steadyhttp

import (
	"net/http"
	"time"
)

// Limiter …
type Limiter struct {
	Base             http.RoundTripper
	Key              KeyFunc                    // names the budget of a request, "" exempts it; if nil, RequestKey
	Requests, Tokens []Rate                     // configured ceilings per key, all at once; none: only what headers say
	Cost             func(*http.Request) Tokens // estimates what a request will use; if nil, EstimateTokens
	MaxWait          time.Duration              // longest hold of an interactive call; zero means 90 s, negative never holds
	MaxQueue         int                        // longest queue per key; zero means 10,000, negative none
	InFlight         int                        // ceiling on requests in flight per key; zero means none
	Observe          bool                       // learn and trace, but never hold back
}

// Rate is a ceiling: N per Per, and at most Burst at once.
type Rate struct {
	N     int
	Per   time.Duration
	Burst int // zero means a tenth of N, at least 1
}

// PerSecond is a Rate of n a second.
func PerSecond(n int) Rate { return Rate{N: n, Per: time.Second} }

// PerMinute is a Rate of n a minute.
func PerMinute(n int) Rate { return Rate{N: n, Per: time.Minute} }

func (l *Limiter) RoundTrip(req *http.Request) (*http.Response, error) {
	return baseOf(l.Base).RoundTrip(req)
}

func (l *Limiter) CloseIdleConnections() { closeIdle(l.Base) }
