package steadyhttp_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// TestContractIsKept runs the conformance suite on each layer alone, on the
// whole stack, and on those configurations that hold something for the length
// of a response.
func TestContractIsKept(t *testing.T) {
	for _, layer := range []struct {
		name string
		wrap func(base http.RoundTripper) http.RoundTripper
	}{
		{"Classifier", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Classifier{Base: base}
		}},
		{"Limiter", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Limiter{Base: base}
		}},
		{"Limiter with ceilings", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Limiter{
				Base: base, InFlight: 4,
				Requests: []steadyhttp.Rate{steadyhttp.PerSecond(100_000)},
			}
		}},
		{"Breaker", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Breaker{Base: base}
		}},
		{"Breaker that opens at once", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Breaker{Base: base, Failures: 1}
		}},
		{"Retrier", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Retrier{Base: base}
		}},
		{"Retrier with AttemptTimeout", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Retrier{Base: base, AttemptTimeout: 10 * time.Minute}
		}},
		{"Traced", func(base http.RoundTripper) http.RoundTripper {
			return steadyhttp.Traced(base, &steadyhttp.Trace{Attempted: func(steadyhttp.AttemptInfo) {}})
		}},
		{"stack", steadyhttp.NewTransport},
		{"stack with everything on", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Retrier{AttemptTimeout: 10 * time.Minute, Base: &steadyhttp.Breaker{
				Base: &steadyhttp.Limiter{InFlight: 4, Base: &steadyhttp.Classifier{Base: base}},
			}}
		}},
		{"stack inside out", func(base http.RoundTripper) http.RoundTripper {
			return &steadyhttp.Classifier{Base: &steadyhttp.Limiter{Base: &steadyhttp.Breaker{Base: &steadyhttp.Retrier{Base: base}}}}
		}},
		{"stack around layers of another", func(base http.RoundTripper) http.RoundTripper {
			return steadyhttp.NewTransport(&steadyhttp.Breaker{Base: &steadyhttp.Limiter{Base: &steadyhttp.Classifier{Base: base}}})
		}},
	} {
		t.Run(layer.name, func(t *testing.T) {
			t.Parallel()
			steadytest.TestRoundTripper(t, layer.wrap)
		})
	}
}
