package steadyhttp

import (
	"net/http"
	"time"
)

// Breaker …
type Breaker struct {
	Base            http.RoundTripper
	Key             KeyFunc
	Failures        int
	Ratio           float64
	Window          time.Duration
	MinCalls        int
	Pause, MaxPause time.Duration
	Probes          int
	ProbeTimeout    time.Duration
}

// State is that of a circuit.
type State uint8

const (
	StateClosed State = iota
	StateHalfOpen
	StateOpen
)

func (s State) String() string { return [...]string{"closed", "half-open", "open"}[s] }

// State …
func (b *Breaker) State(req *http.Request) State { return StateClosed }

func (b *Breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	return baseOf(b.Base).RoundTrip(req)
}

func (b *Breaker) CloseIdleConnections() { closeIdle(b.Base) }
