package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

func newAnthropic(base http.RoundTripper, more ...option.RequestOption) anthropic.Client {
	return anthropic.NewClient(append([]option.RequestOption{
		option.WithBaseURL("http://api.anthropic.test/"), option.WithAPIKey("sk-ant-test"),
		option.WithHTTPClient(steady(base)),
	}, more...)...)
}

var message = anthropic.MessageNewParams{
	Model: "claude-sonnet-4-5", MaxTokens: 64,
	Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Are you steady?"))},
}

func Example_anthropic() {
	provider := &steadytest.Provider{ // in the place of a http.Transport
		Dialect: steadytest.Anthropic,
		Faults:  []steadytest.Fault{{First: 1, Count: 1, Do: steadytest.RateLimited, RetryAfter: time.Millisecond, RetryForm: steadytest.RetryMillis}},
	}
	client := anthropic.NewClient(
		option.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(provider)}),
		option.WithMaxRetries(0), // the stack retries
		option.WithAPIKey("sk-ant-example"),
	)
	answer, err := client.Messages.New(context.Background(), message)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Content[0].Text)
	fmt.Println(provider.Counts().Requests, "requests")
	// Output:
	// Steady as she goes.
	// 2 requests
}

func TestAnthropicStreams(t *testing.T) {
	url, base := serve(t, "HTTP/2", &steadytest.Provider{Dialect: steadytest.Anthropic, EventDelay: time.Millisecond})
	client := newAnthropic(base, option.WithBaseURL(url))
	stream := client.Messages.NewStreaming(t.Context(), message)
	defer stream.Close()
	var got strings.Builder
	events := 0
	for stream.Next() {
		events++
		if delta, ok := stream.Current().AsAny().(anthropic.ContentBlockDeltaEvent); ok {
			got.WriteString(delta.Delta.Text)
		}
	}
	if err := stream.Err(); err != nil || got.String() != "Steady as she goes." || events < 5 {
		t.Errorf("got %q in %d events, %v", got.String(), events, err)
	}
}

func TestAnthropicErrorsKeepTheirTypes(t *testing.T) {
	for _, tt := range []struct {
		do              steadytest.Effect
		options         []option.RequestOption
		status          int
		class           steadyhttp.Class
		atLeast, atMost int
	}{
		{steadytest.SpentQuota, nil, 429, steadyhttp.ClassQuotaExhausted, 1, 1},
		{steadytest.Unpaid, nil, 400, steadyhttp.ClassQuotaExhausted, 1, 1},
		{steadytest.Unauthorized, nil, 401, steadyhttp.ClassAuth, 1, 1},
		{steadytest.ServerError, nil, 500, steadyhttp.ClassServerError, 4, 4},
		{steadytest.ServerError, []option.RequestOption{option.WithMaxRetries(0)}, 500, steadyhttp.ClassServerError, 4, 4},
		{steadytest.Overloaded, nil, 529, steadyhttp.ClassOverloaded, 4, 4},
	} {
		t.Run(string(tt.do), func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				p := always(tt.do)
				p.Dialect = steadytest.Anthropic
				client := newAnthropic(p, tt.options...)
				_, err := client.Messages.New(t.Context(), message)
				var apierr *anthropic.Error
				if !errors.As(err, &apierr) {
					t.Fatalf("got %T %v, want an *anthropic.Error", err, err)
				}
				if got := steadyhttp.OutcomeOf(apierr.Response, nil).Class; apierr.StatusCode != tt.status || got != tt.class {
					t.Errorf("got %d %v, want %d %v", apierr.StatusCode, got, tt.status, tt.class)
				}
				sent(t, p, tt.atLeast, tt.atMost)
			})
		})
	}
}

func TestAnthropicRetriesDoNotMultiply(t *testing.T) {
	for _, do := range []steadytest.Effect{steadytest.Refuse, steadytest.Reset} {
		t.Run(string(do), func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				p := always(do)
				client := newAnthropic(p)
				if _, err := client.Messages.New(t.Context(), message); err == nil {
					t.Error("got no error")
				}
				sent(t, p, 4, 6)
			})
		})
	}
}

func TestAnthropicIsToldOfAnOpenCircuit(t *testing.T) {
	virtually(t, func(t *testing.T) {
		asked := &recorder{Base: opened(t, "http://api.anthropic.test/")}
		client := newAnthropic(nil, option.WithHTTPClient(&http.Client{Transport: asked}))
		_, err := client.Messages.New(t.Context(), message)
		var apierr *anthropic.Error
		if !errors.As(err, &apierr) || apierr.StatusCode != 503 {
			t.Fatalf("got %T %v, want an *anthropic.Error with 503", err, err)
		}
		if got := steadyhttp.OutcomeOf(apierr.Response, nil).Class; got != steadyhttp.ClassRefused {
			t.Errorf("outcome: got %v", got)
		}
		if n := len(asked.requests()); n != 1 {
			t.Errorf("got %d tries, want one", n)
		}
	})
}
