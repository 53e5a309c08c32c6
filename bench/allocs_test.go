//go:build !race

package main

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/steadyhttp/steadyhttp"
)

// perCall is what a call through rt allocates: bytes and objects.
func perCall(t *testing.T, rt http.RoundTripper, body string) (bytes, objects float64) {
	const calls = 500
	url := "http://api.test" + endpoint
	for range 50 {
		exchange(t, rt, url, body)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		exchange(t, rt, url, body)
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / calls, float64(after.Mallocs-before.Mallocs) / calls
}

// TestStackAllocatesLittleWhateverTheBodysSize holds what the race detector
// would distort: a call that succeeds at once costs at most 6 allocations
// and 2 KiB more than with the bare base, also if its body has 1 MiB.
func TestStackAllocatesLittleWhateverTheBodysSize(t *testing.T) {
	for _, size := range []int{4 << 10, 1 << 20} {
		body := chat(size)
		bareBytes, bareObjects := perCall(t, instant{}, body)
		bytes, objects := perCall(t, steadyhttp.NewTransport(instant{}), body)
		if more := objects - bareObjects; more > 6.5 {
			t.Errorf("%d bytes: %.1f allocations on top of the bare base, want at most 6", size, more)
		}
		if more := bytes - bareBytes; more > 2<<10 {
			t.Errorf("%d bytes: %.0f bytes allocated on top of the bare base, want at most 2 KiB", size, more)
		}
	}
}
