package main

import (
	"context"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/steadyhttp/steadyhttp"
	"golang.org/x/time/rate"
)

// client is a way to call an API.
type client struct {
	name   string
	steady bool // held to the server's bound
	// dial returns the function that makes one call, over base.
	dial func(j job, url string, base http.RoundTripper) func(context.Context) error
}

// clients: the two steady ones do the same job as an interactive program with an
// SDK would, and as a batch program without one.
var clients = []client{
	{"steadyhttp, openai-go", true, openAI(steadyhttp.NewTransport)},
	{"steadyhttp, batch", true, steadyBatch},
	{"openai-go", false, openAI(bare)},
	{"openai-go, 10 retries", false, openAI(bare, option.WithMaxRetries(10))},
	{"retryablehttp, 10", false, retryable},
	{"failsafe, 10", false, failsafed},
	{"x/time/rate", false, knowing},
}

// extraClients are added by -extra.
var extraClients = []client{
	{"each 250 ms", false, stubborn},
}

func bare(base http.RoundTripper) http.RoundTripper { return base }

// openAI makes chat completions through the SDK over layers.
func openAI(layers func(http.RoundTripper) http.RoundTripper, more ...option.RequestOption) func(job, string, http.RoundTripper) func(context.Context) error {
	return func(_ job, url string, base http.RoundTripper) func(context.Context) error {
		opts := append([]option.RequestOption{
			option.WithBaseURL(url + "/v1/"),
			option.WithAPIKey("arena"),
			option.WithHTTPClient(&http.Client{Transport: layers(base)}),
		}, more...)
		c := openai.NewClient(opts...)
		params := openai.ChatCompletionNewParams{
			Model:    "gpt-5",
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say this is a test")},
		}
		return func(ctx context.Context) error {
			_, err := c.Chat.Completions.New(ctx, params)
			return err
		}
	}
}

// steadyBatch is the stack with its defaults under a plain http.Client.
func steadyBatch(_ job, url string, base http.RoundTripper) func(context.Context) error {
	call := post(&http.Client{Transport: steadyhttp.NewTransport(base)}, url)
	return func(ctx context.Context) error {
		return call(steadyhttp.WithPriority(ctx, steadyhttp.PriorityBatch))
	}
}

// retryable is go-retryablehttp with its own waits.
func retryable(_ job, url string, base http.RoundTripper) func(context.Context) error {
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: base}
	c.RetryMax = 10
	c.Logger = nil
	return post(c.StandardClient(), url)
}

// failsafed is failsafe-go's HTTP policy with the backoff of its documentation.
func failsafed(_ job, url string, base http.RoundTripper) func(context.Context) error {
	policy := failsafehttp.NewRetryPolicyBuilder().WithBackoff(time.Second, 30*time.Second).WithMaxRetries(10).Build()
	return post(&http.Client{Transport: failsafehttp.NewRoundTripper(base, policy)}, url)
}

// knowing is what one writes by hand with x/time/rate if the limit is known:
// wait for the bucket, send, and begin again if denied.
func knowing(j job, url string, base http.RoundTripper) func(context.Context) error {
	l := rate.NewLimiter(rate.Limit(j.rate()), j.limit)
	call := post(&http.Client{Transport: base}, url)
	return func(ctx context.Context) error {
		var err error
		for range 10 {
			if err = l.Wait(ctx); err != nil {
				return err
			}
			if err = call(ctx); err == nil {
				return nil
			}
		}
		return err
	}
}

// stubborn asks again every quarter of a second: what one writes without a
// thought, and a way to see what a server says while it denies.
func stubborn(_ job, url string, base http.RoundTripper) func(context.Context) error {
	call := post(&http.Client{Transport: base}, url)
	return func(ctx context.Context) error {
		for {
			err := call(ctx)
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(250 * time.Millisecond):
			}
		}
	}
}
