package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/steadyhttp/steadyhttp"
	"google.golang.org/genai"
)

// gemini answers generateContent as Gemini does, after it has failed fails times.
type gemini struct {
	fails  int32
	status int
	text   string // of the failures

	n atomic.Int32
}

const geminiChunk = `{"candidates":[{"content":{"role":"model","parts":[{"text":%q}]}}]}`

func (g *gemini) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case g.n.Add(1) <= g.fails:
		w.WriteHeader(g.status)
		io.WriteString(w, g.text)
	case strings.HasSuffix(r.URL.Path, ":streamGenerateContent"):
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range []string{"Steady ", "as she goes."} {
			fmt.Fprintf(w, "data: "+geminiChunk+"\r\n\r\n", word)
			w.(http.Flusher).Flush()
		}
	default:
		fmt.Fprintf(w, geminiChunk, "Steady as she goes.")
	}
}

const (
	geminiDenied = `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota. Please retry in 0.02s.",` +
		`"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.02s"}]}}`
	geminiInvalid = `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid.",` +
		`"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}`
)

func newGemini(ctx context.Context, hc *http.Client, url string) (*genai.Client, error) {
	return genai.NewClient(ctx, &genai.ClientConfig{
		Backend: genai.BackendGeminiAPI, APIKey: "test", HTTPClient: hc,
		HTTPOptions: genai.HTTPOptions{BaseURL: url},
	})
}

func Example_genai() {
	ctx := context.Background()
	api := &gemini{fails: 1, status: http.StatusTooManyRequests, text: geminiDenied}
	client, err := genai.NewClient(ctx, &genai.ClientConfig{
		Backend:    genai.BackendGeminiAPI,
		APIKey:     "example",
		HTTPClient: &http.Client{Transport: steadyhttp.NewTransport(inMemory(api))},
		// HTTPOptions.RetryOptions stays nil: the stack retries.
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := client.Models.GenerateContent(ctx, "gemini-2.5-flash", genai.Text("Are you steady?"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Text())
	fmt.Println(api.n.Load(), "requests")
	// Output:
	// Steady as she goes.
	// 2 requests
}

func TestGenAIStreams(t *testing.T) {
	url, base := serve(t, "HTTP/1.1", new(gemini))
	client, err := newGemini(t.Context(), steady(base), url)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for chunk, err := range client.Models.GenerateContentStream(t.Context(), "gemini-2.5-flash", genai.Text("Are you steady?"), nil) {
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(chunk.Text())
	}
	if got.String() != "Steady as she goes." {
		t.Errorf("got %q", got.String())
	}
}

func TestGenAIErrorsKeepTheirTypes(t *testing.T) {
	api := &gemini{fails: 1 << 30, status: http.StatusBadRequest, text: geminiInvalid}
	var last steadyhttp.Outcome
	traced := steadyhttp.Traced(steadyhttp.NewTransport(inMemory(api)), &steadyhttp.Trace{
		Attempted: func(a steadyhttp.AttemptInfo) { last = a.Outcome },
	})
	client, err := newGemini(t.Context(), &http.Client{Transport: traced}, "http://gemini.test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Models.GenerateContent(t.Context(), "gemini-2.5-flash", genai.Text("Are you steady?"), nil)
	var apierr genai.APIError
	if !errors.As(err, &apierr) || apierr.Code != 400 || apierr.Status != "INVALID_ARGUMENT" {
		t.Errorf("got %T %v, want an APIError of an invalid argument", err, err)
	}
	if last.Class != steadyhttp.ClassAuth || api.n.Load() != 1 {
		t.Errorf("got %v after %d requests, want auth after one", last.Class, api.n.Load())
	}
}
