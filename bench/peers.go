package main

import (
	"io"
	"log"
	"net/http"
	"time"

	"github.com/PuerkitoBio/rehttp"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/steadyhttp/steadyhttp"
)

// contender is a middleware that is measured.
type contender struct {
	name string
	wrap func(base http.RoundTripper) http.RoundTripper
}

// quiet keeps servers from logging connections that are broken on purpose.
var quiet = log.New(io.Discard, "", 0)

const bare, stack, failsafeThree = "bare", "steadyhttp", "failsafehttp"

// contenders are the bare base, the stack and its layers, and the peers, each as
// its documentation sets it up.
var contenders = []contender{
	{bare, func(base http.RoundTripper) http.RoundTripper { return base }},
	{stack, steadyhttp.NewTransport},
	{"Classifier", func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Classifier{Base: base} }},
	{"Limiter", func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Limiter{Base: base} }},
	{"Breaker", func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Breaker{Base: base} }},
	{"Retrier", func(base http.RoundTripper) http.RoundTripper { return &steadyhttp.Retrier{Base: base} }},
	{failsafeThree, failsafeStack},
	{"retryablehttp", retryable},
	{"rehttp", rehttpTransport},
}

// failsafeStack is failsafehttp with the same three policies: retries, a breaker
// and a limiter, which is set far above what a benchmark can reach.
func failsafeStack(base http.RoundTripper) http.RoundTripper {
	return failsafehttp.NewRoundTripper(base,
		failsafehttp.NewRetryPolicyBuilder().WithBackoff(500*time.Millisecond, 30*time.Second).Build(),
		circuitbreaker.NewBuilder[*http.Response]().
			HandleIf(func(r *http.Response, err error) bool { return err != nil || r != nil && r.StatusCode >= 500 }).
			WithFailureRateThreshold(0.5, 20, 30*time.Second).WithDelay(time.Second).Build(),
		ratelimiter.NewBursty[*http.Response](1<<30, time.Second),
	)
}

// retryable is go-retryablehttp's own RoundTripper, silenced.
func retryable(base http.RoundTripper) http.RoundTripper {
	client := retryablehttp.NewClient()
	client.HTTPClient = &http.Client{Transport: base}
	client.Logger = quiet
	return &retryablehttp.RoundTripper{Client: client}
}

// rehttpTransport is rehttp with the retries that its documentation shows.
func rehttpTransport(base http.RoundTripper) http.RoundTripper {
	return rehttp.NewTransport(base,
		rehttp.RetryAll(rehttp.RetryMaxRetries(3), rehttp.RetryAny(rehttp.RetryTemporaryErr(), rehttp.RetryStatuses(429, 500, 502, 503))),
		rehttp.ExpJitterDelay(500*time.Millisecond, 30*time.Second))
}
