package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	goopenai "github.com/sashabaranov/go-openai"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

func newGoOpenAI(base http.RoundTripper) *goopenai.Client {
	config := goopenai.DefaultConfig("sk-test")
	config.HTTPClient = steady(base)
	return goopenai.NewClientWithConfig(config)
}

var goQuestion = goopenai.ChatCompletionRequest{
	Model:    goopenai.GPT4oMini,
	Messages: []goopenai.ChatCompletionMessage{{Role: goopenai.ChatMessageRoleUser, Content: "Are you steady?"}},
}

func Example_goopenai() {
	provider := &steadytest.Provider{ // in the place of a http.Transport
		Faults: []steadytest.Fault{{First: 1, Count: 1, Do: steadytest.RateLimited, RetryAfter: time.Millisecond, RetryForm: steadytest.RetryMillis}},
	}
	config := goopenai.DefaultConfig("sk-example")
	config.HTTPClient = &http.Client{Transport: steadyhttp.NewTransport(provider)}
	client := goopenai.NewClientWithConfig(config)

	answer, err := client.CreateChatCompletion(context.Background(), goQuestion)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Choices[0].Message.Content)
	fmt.Println(provider.Counts().Requests, "requests")
	// Output:
	// Steady as she goes.
	// 2 requests
}

func TestGoOpenAIStreams(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{EventDelay: time.Second}
		stream, err := newGoOpenAI(p).CreateChatCompletionStream(t.Context(), goQuestion)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		var got strings.Builder
		for {
			event, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(event.Choices) > 0 {
				got.WriteString(event.Choices[0].Delta.Content)
			}
		}
		if got.String() != "Steady as she goes." {
			t.Errorf("got %q", got.String())
		}
	})
}

func TestGoOpenAIErrorsKeepTheirTypes(t *testing.T) {
	for _, tt := range []struct {
		do            steadytest.Effect
		status, calls int
	}{
		{steadytest.SpentQuota, 429, 1},
		{steadytest.Unauthorized, 401, 1},
		{steadytest.ServerError, 500, 4},
	} {
		t.Run(string(tt.do), func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				p := always(tt.do)
				_, err := newGoOpenAI(p).CreateChatCompletion(t.Context(), goQuestion)
				var apierr *goopenai.APIError
				if !errors.As(err, &apierr) || apierr.HTTPStatusCode != tt.status {
					t.Errorf("got %T %v, want an *APIError with %d", err, err, tt.status)
				}
				sent(t, p, tt.calls, tt.calls)
			})
		})
	}
}

// TestGoOpenAISeesOurErrors: an SDK that does not retry by itself gets them as they
// are, in the *url.Error of its http.Client.
func TestGoOpenAISeesOurErrors(t *testing.T) {
	virtually(t, func(t *testing.T) {
		config := goopenai.DefaultConfig("sk-test")
		config.HTTPClient = &http.Client{Transport: opened(t, config.BaseURL)}
		_, err := goopenai.NewClientWithConfig(config).CreateChatCompletion(t.Context(), goQuestion)
		var open *steadyhttp.OpenError
		if !errors.As(err, &open) || !open.RetryAt.After(time.Now()) {
			t.Errorf("got %T %v, want an *OpenError that says when", err, err)
		}
		if got := steadyhttp.OutcomeOf(nil, err).Class; got != steadyhttp.ClassRefused {
			t.Errorf("outcome: got %v", got)
		}
	})
}

// TestGoOpenAIUnclosedErrorBodiesLeaveNothing: it leaves the body of a refused
// stream open; the bubble would not end with a goroutine or a timer left.
func TestGoOpenAIUnclosedErrorBodiesLeaveNothing(t *testing.T) {
	virtually(t, func(t *testing.T) {
		client := newGoOpenAI(always(steadytest.ServerError))
		for range 20 {
			if _, err := client.CreateChatCompletionStream(t.Context(), goQuestion); err == nil {
				t.Fatal("got no error")
			}
		}
	})
}
