package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// newOpenAI is openai-go with the stack on base and its own retries as they are.
func newOpenAI(base http.RoundTripper, more ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL("http://api.openai.test/v1/"), option.WithAPIKey("sk-test"),
		option.WithHTTPClient(steady(base)),
	}, more...)...)
}

var question = openai.ChatCompletionNewParams{
	Model:    openai.ChatModelGPT5_5,
	Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Are you steady?")},
}

func Example_openai() {
	provider := &steadytest.Provider{ // in the place of a http.Transport
		Faults: []steadytest.Fault{{First: 1, Count: 1, Do: steadytest.RateLimited, RetryAfter: time.Millisecond, RetryForm: steadytest.RetryMillis}},
	}
	client := openai.NewClient(
		option.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(provider)}),
		option.WithMaxRetries(0), // the stack retries
		option.WithAPIKey("sk-example"),
	)
	completion, err := client.Chat.Completions.New(context.Background(), question)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(completion.Choices[0].Message.Content)
	fmt.Println(provider.Counts().Requests, "requests")
	// Output:
	// Steady as she goes.
	// 2 requests
}

func TestOpenAIAnswers(t *testing.T) {
	url, base := serve(t, "HTTP/2", &steadytest.Provider{})
	client := newOpenAI(base, option.WithBaseURL(url+"/v1/"))
	ctx := t.Context()

	chat, err := client.Chat.Completions.New(ctx, question)
	if err != nil || chat.Choices[0].Message.Content != "Steady as she goes." {
		t.Errorf("chat: got %v, %v", chat, err)
	}
	response, err := client.Responses.New(ctx, responses.ResponseNewParams{
		Model: openai.ChatModelGPT5_5, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Are you steady?")}})
	if err != nil || response.OutputText() != "Steady as she goes." {
		t.Errorf("responses: got %v, %v", response, err)
	}
	embedding, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: openai.EmbeddingModelTextEmbedding3Small, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("steady")}})
	if err != nil || len(embedding.Data) != 1 || len(embedding.Data[0].Embedding) == 0 {
		t.Errorf("embeddings: got %v, %v", embedding, err)
	}
	models, err := client.Models.List(ctx)
	if err != nil || len(models.Data) == 0 {
		t.Errorf("models: got %v, %v", models, err)
	}
}

// TestOpenAIStreamsEventByEvent: each event is written only when the client has
// read the one before, so anything that buffers never ends.
func TestOpenAIStreamsEventByEvent(t *testing.T) {
	read := make(chan struct{})
	url, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d\"}}]}\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-read:
			case <-r.Context().Done():
				return
			}
		}
		io.WriteString(w, "data: [DONE]\n\n")
	}))
	client := newOpenAI(base, option.WithBaseURL(url+"/v1/"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream := client.Chat.Completions.NewStreaming(ctx, question)
	defer stream.Close()
	var got strings.Builder
	for stream.Next() {
		got.WriteString(stream.Current().Choices[0].Delta.Content)
		select {
		case read <- struct{}{}:
		case <-ctx.Done():
			t.Fatal("the server waits for nobody")
		}
	}
	if err := stream.Err(); err != nil || got.String() != "01234" {
		t.Errorf("got %q, %v, want the five events", got.String(), err)
	}
}

// TestOpenAIStreamThatIsCutIsNotRepeated: what has been handed over cannot be
// taken back.
func TestOpenAIStreamThatIsCutIsNotRepeated(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := &steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.Cut, Events: 1}}}
		client := newOpenAI(p)
		stream := client.Chat.Completions.NewStreaming(t.Context(), question)
		defer stream.Close()
		events := 0
		for stream.Next() {
			events++
		}
		if err := stream.Err(); events == 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %d events and %v, want some and an unexpected EOF", events, err)
		}
		sent(t, p, 1, 1)
	})
}

func TestOpenAICallsTools(t *testing.T) {
	const reply = `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,` +
		`"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}}]}}]}`
	var asked atomic.Value
	url, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked.Store(string(b))
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, reply)
	}))
	client := newOpenAI(base, option.WithBaseURL(url+"/v1/"))
	params := question
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name: "weather", Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}})}
	completion, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	calls := completion.Choices[0].Message.ToolCalls
	if len(calls) != 1 || calls[0].Function.Name != "weather" || calls[0].Function.Arguments != `{"city":"Oslo"}` {
		t.Errorf("tool calls: got %v", calls)
	}
	var sent struct {
		Tools []struct{ Function struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(asked.Load().(string)), &sent); err != nil || len(sent.Tools) != 1 || sent.Tools[0].Function.Name != "weather" {
		t.Errorf("the server was asked %s", asked.Load())
	}
}

// TestOpenAIErrorsKeepTheirTypes: the SDK builds its error from the response that
// the stack gave up on, and that response still carries its verdict.
func TestOpenAIErrorsKeepTheirTypes(t *testing.T) {
	for _, tt := range []struct {
		do     steadytest.Effect
		status int
		code   string
		class  steadyhttp.Class
		atMost int
	}{
		{steadytest.SpentQuota, 429, "insufficient_quota", steadyhttp.ClassQuotaExhausted, 1},
		{steadytest.Unauthorized, 401, "invalid_api_key", steadyhttp.ClassAuth, 1},
		{steadytest.ContextLength, 400, "context_length_exceeded", steadyhttp.ClassContextLength, 1},
		{steadytest.ServerError, 500, "", steadyhttp.ClassServerError, 4},
		{steadytest.Unavailable, 503, "", steadyhttp.ClassOverloaded, 4},
	} {
		t.Run(string(tt.do), func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				p := always(tt.do)
				client := newOpenAI(p)
				_, err := client.Chat.Completions.New(t.Context(), question)
				var apierr *openai.Error
				if !errors.As(err, &apierr) {
					t.Fatalf("got %T %v, want an *openai.Error", err, err)
				}
				if apierr.StatusCode != tt.status || tt.code != "" && apierr.Code != tt.code || apierr.Message == "" {
					t.Errorf("got %d %q %q, want %d %q", apierr.StatusCode, apierr.Code, apierr.Message, tt.status, tt.code)
				}
				if got := steadyhttp.OutcomeOf(apierr.Response, nil).Class; got != tt.class {
					t.Errorf("outcome: got %v, want %v", got, tt.class)
				}
				sent(t, p, 1, tt.atMost)
			})
		})
	}
}

// TestOpenAIRetriesDoNotMultiply counts what reaches the wire when the SDK, which
// tries three times, stands on a stack that tries four times.
func TestOpenAIRetriesDoNotMultiply(t *testing.T) {
	for _, tt := range []struct {
		name            string
		do              steadytest.Effect
		options         []option.RequestOption
		atLeast, atMost int
	}{
		{"spent quota", steadytest.SpentQuota, nil, 1, 1},
		{"server error", steadytest.ServerError, nil, 4, 4},
		{"overloaded", steadytest.Unavailable, nil, 4, 4},
		{"refused connection", steadytest.Refuse, nil, 4, 6},
		{"reset connection", steadytest.Reset, nil, 4, 6},
		{"server error, SDK passive", steadytest.ServerError, []option.RequestOption{option.WithMaxRetries(0)}, 4, 4},
		{"refused connection, SDK passive", steadytest.Refuse, []option.RequestOption{option.WithMaxRetries(0)}, 4, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				p := always(tt.do)
				client := newOpenAI(p, tt.options...)
				if _, err := client.Chat.Completions.New(t.Context(), question); err == nil {
					t.Error("got no error")
				}
				sent(t, p, tt.atLeast, tt.atMost)
			})
		})
	}
}

// TestOpenAIIsTold: what a layer refuses comes as an *openai.Error at once, and the
// SDK does not ask again.
func TestOpenAIIsTold(t *testing.T) {
	t.Run("of an open circuit", func(t *testing.T) {
		virtually(t, func(t *testing.T) {
			asked := &recorder{Base: opened(t, "http://api.openai.test/")}
			began := time.Now()
			client := newOpenAI(nil, option.WithHTTPClient(&http.Client{Transport: asked}))
			_, err := client.Chat.Completions.New(t.Context(), question)
			wantRefusal(t, err, 503, "steadyhttp_open")
			if n, took := len(asked.requests()), time.Since(began); n != 1 || took != 0 {
				t.Errorf("got %d tries in %v, want one at once", n, took)
			}
		})
	})
	t.Run("of a spent budget", func(t *testing.T) {
		virtually(t, func(t *testing.T) {
			p := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1, Per: time.Hour, Kind: steadytest.FixedWindow}}}
			asked := &recorder{Base: steadyhttp.NewTransport(p)}
			client := newOpenAI(nil, option.WithHTTPClient(&http.Client{Transport: asked}))
			if _, err := client.Chat.Completions.New(t.Context(), question); err != nil {
				t.Fatal(err)
			}
			_, err := client.Chat.Completions.New(t.Context(), question)
			wantRefusal(t, err, 429, "steadyhttp_limit")
			if n := len(asked.requests()); n != 2 {
				t.Errorf("got %d tries for two calls", n)
			}
			sent(t, p, 1, 1)
		})
	})
}

func wantRefusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	var apierr *openai.Error
	if !errors.As(err, &apierr) {
		t.Fatalf("got %T %v, want an *openai.Error", err, err)
	}
	if apierr.StatusCode != status || apierr.Code != code {
		t.Errorf("got %d %q, want %d %q", apierr.StatusCode, apierr.Code, status, code)
	}
	if o := steadyhttp.OutcomeOf(apierr.Response, nil); o.Class != steadyhttp.ClassRefused || !o.RetryAt.After(time.Now()) {
		t.Errorf("outcome: got %v at %v, want refused and a time to come", o.Class, o.RetryAt)
	}
}

// TestOpenAIRequestTimeoutBoundsAllAttempts: WithRequestTimeout is of one of the
// SDK's tries, so all attempts and waits of the stack come under it.
func TestOpenAIRequestTimeoutBoundsAllAttempts(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := always(steadytest.Hang)
		client := newOpenAI(p, option.WithRequestTimeout(3*time.Second))
		began := time.Now()
		_, err := client.Chat.Completions.New(t.Context(), question)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
		sent(t, p, 1, 3)
	})
}

// TestOpenAISharedReaderIsReplayedWhole: GetBody of a *bytes.Reader rewinds the one
// reader that the attempt before may still be reading from.
func TestOpenAISharedReaderIsReplayedWhole(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	want := sha256.Sum256(content)
	var n, wrong, whole atomic.Int32
	url, base := serve(t, "HTTP/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 1 { // answered before the body is read
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil || !bytes.Equal(h.Sum(nil), want[:]) {
			wrong.Add(1)
		}
		whole.Add(1)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	}))
	stack := &steadyhttp.Retrier{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond, RetryShare: -1, Base: base}
	client := openai.NewClient(option.WithBaseURL(url+"/v1/"), option.WithAPIKey("sk-test"),
		option.WithHTTPClient(&http.Client{Transport: stack}), option.WithMaxRetries(1))
	for range 20 {
		var out map[string]any
		if err := client.Put(t.Context(), "files", bytes.NewReader(content), &out); err != nil {
			t.Fatal(err)
		}
	}
	if whole.Load() != 20 || wrong.Load() != 0 {
		t.Errorf("got %d bodies, %d of them not what was sent, want 20 and 0", whole.Load(), wrong.Load())
	}
}
