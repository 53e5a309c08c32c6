package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/google/go-github/v88/github"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// One option plugs the stack into openai-go. The API fails twice in what follows;
// the SDK sees neither.
func Example_openai() {
	api := &steadytest.Provider{
		Faults: []steadytest.Fault{{Count: 2, Do: steadytest.Unavailable}},
		Text:   "Steady as she goes.",
	}
	server := httptest.NewServer(api)
	defer server.Close()

	client := openai.NewClient(
		openaioption.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(nil)}),
		openaioption.WithBaseURL(server.URL+"/v1"), openaioption.WithAPIKey("key"), // of the example's server
	)
	answer, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
		Model:    openai.ChatModelGPT5_5,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("How is it going?")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Choices[0].Message.Content)
	fmt.Println(api.Counts().Requests, "requests")
	// Output:
	// Steady as she goes.
	// 3 requests
}

// An error of openai-go carries the response, and the response its verdict. A
// quota that is spent is asked for once, and not three times as by the SDK alone.
func Example_openaiOutcome() {
	api := &steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.SpentQuota}}}
	server := httptest.NewServer(api)
	defer server.Close()

	client := openai.NewClient(
		openaioption.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(nil)}),
		openaioption.WithBaseURL(server.URL+"/v1"), openaioption.WithAPIKey("key"),
	)
	_, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{
		Model:    openai.ChatModelGPT5_5,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("How is it going?")},
	})
	var failure *openai.Error
	if !errors.As(err, &failure) {
		fmt.Println(err) // no response: a network error, or a context that ended
		return
	}
	outcome := steadyhttp.OutcomeOf(failure.Response, nil)
	fmt.Println(outcome.Class, outcome.Code)
	fmt.Println(api.Counts().Requests, "request")
	// Output:
	// quota_exhausted insufficient_quota
	// 1 request
}

// One option plugs the stack into anthropic-sdk-go. Its errors carry the response
// too.
func Example_anthropic() {
	api := &steadytest.Provider{
		Dialect: steadytest.Anthropic,
		Faults:  []steadytest.Fault{{Count: 1, Do: steadytest.Overloaded}, {First: 3, Do: steadytest.Invalid}},
	}
	server := httptest.NewServer(api)
	defer server.Close()

	client := anthropic.NewClient(
		anthropicoption.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(nil)}),
		anthropicoption.WithBaseURL(server.URL), anthropicoption.WithAPIKey("key"),
	)
	for range 2 {
		answer, err := client.Messages.New(context.Background(), anthropic.MessageNewParams{
			Model: "claude-sonnet-4-5", MaxTokens: 64,
			Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("How is it going?"))},
		})
		var failure *anthropic.Error
		switch {
		case err == nil:
			fmt.Println(answer.Content[0].Text)
		case errors.As(err, &failure):
			outcome := steadyhttp.OutcomeOf(failure.Response, nil)
			fmt.Println(outcome.Class, outcome.Type)
		default:
			fmt.Println(err)
		}
	}
	fmt.Println(api.Counts().Requests, "requests")
	// Output:
	// Steady as she goes.
	// invalid_request invalid_request_error
	// 3 requests
}

// One option plugs the stack into go-github. Its errors carry the response, or
// wrap what the stack itself says: the Limiter knows of each of GitHub's limits,
// so that go-github need not check its own.
func Example_github() {
	api := &steadytest.Provider{
		Dialect: steadytest.GitHub,
		Limits:  []steadytest.Limit{{N: 1, Per: time.Hour, Kind: steadytest.FixedWindow, Scope: "core"}},
	}
	server := httptest.NewServer(api)
	defer server.Close()

	// Somebody else has used what there was.
	if _, err := http.Get(server.URL + "/user"); err != nil {
		fmt.Println(err)
		return
	}

	base := server.URL + "/"
	client, err := github.NewClient(
		github.WithTransport(steadyhttp.NewTransport(nil)),
		github.WithDisableRateLimitCheck(),
		github.WithURLs(&base, nil), github.WithAuthToken("token"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		_, _, err := client.Repositories.Get(context.Background(), "golang", "go")
		var spent *github.RateLimitError
		switch {
		case err == nil:
			fmt.Println("found")
		case errors.As(err, &spent):
			outcome := steadyhttp.OutcomeOf(spent.Response, nil)
			fmt.Println(outcome.Class, "by the API, come back in", time.Until(outcome.RetryAt).Round(time.Hour))
		default:
			outcome := steadyhttp.OutcomeOf(nil, err)
			fmt.Println(outcome.Class, "by the Limiter, come back in", time.Until(outcome.RetryAt).Round(time.Hour))
		}
	}
	fmt.Println(api.Counts().Requests-1, "request")
	// Output:
	// rate_limited by the API, come back in 1h0m0s
	// refused by the Limiter, come back in 1h0m0s
	// 1 request
}
