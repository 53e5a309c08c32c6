package steadyhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// A circuit that opened refuses calls at once, and says when to come back.
func ExampleBreaker() {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer down.Close()

	breaker := &steadyhttp.Breaker{Failures: 3, Pause: time.Minute, MaxPause: time.Hour}
	client := &http.Client{Transport: breaker}
	trace := &steadyhttp.Trace{StateChanged: func(i steadyhttp.StateInfo) {
		fmt.Printf("circuit: %v to %v\n", i.From, i.To)
	}}
	ctx := steadyhttp.WithTrace(context.Background(), trace)
	req, err := http.NewRequestWithContext(ctx, "GET", down.URL, nil)
	if err != nil {
		panic(err)
	}
	for range 4 {
		resp, err := client.Do(req)
		var open *steadyhttp.OpenError
		switch {
		case errors.As(err, &open):
			fmt.Println("refused, come back in", time.Until(open.RetryAt).Round(time.Minute))
		case err != nil:
			panic(err)
		default:
			resp.Body.Close()
			fmt.Println(resp.Status)
		}
	}
	fmt.Println("a request would find it", breaker.State(req))
	// Output:
	// 502 Bad Gateway
	// 502 Bad Gateway
	// circuit: closed to open
	// 502 Bad Gateway
	// refused, come back in 1m0s
	// a request would find it open
}
