package steadyhttp

import (
	"net/http"
	"time"
)

// Retrier …
type Retrier struct {
	Base               http.RoundTripper
	MaxAttempts        int
	MinDelay, MaxDelay time.Duration
	RetryShare         float64
	AttemptTimeout     time.Duration
	Replayable         func(*http.Request) bool
}

func (r *Retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	return baseOf(r.Base).RoundTrip(req)
}

func (r *Retrier) CloseIdleConnections() { closeIdle(r.Base) }
