package clients

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func Example_otelhttp() {
	provider := &steadytest.Provider{}                       // in the place of a http.Transport
	client := &http.Client{Transport: otelhttp.NewTransport( // a span for the call,
		steadyhttp.NewTransport(
			otelhttp.NewTransport(provider), // and below it one for each attempt
		),
	)}
	resp, err := client.Get("http://api.test/v1/models")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// TestOTelHasASpanPerCallAndPerAttempt, the latter as children of the former.
func TestOTelHasASpanPerCallAndPerAttempt(t *testing.T) {
	virtually(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		with := otelhttp.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
		p := &steadytest.Provider{Faults: []steadytest.Fault{{First: 1, Count: 2, Do: steadytest.Unavailable}}}
		client := &http.Client{Transport: otelhttp.NewTransport(steadyhttp.NewTransport(otelhttp.NewTransport(p, with)), with)}
		resp, err := client.Get("http://api.test/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		if got := steadyhttp.OutcomeOf(resp, nil).Class; got != steadyhttp.ClassSuccess {
			t.Errorf("outcome: got %v", got)
		}
		body(t, resp)
		ended := spans.Ended()
		if len(ended) != 4 {
			t.Fatalf("got %d spans, want 3 attempts and a call", len(ended))
		}
		call := ended[len(ended)-1].SpanContext().SpanID()
		for _, span := range ended[:3] {
			if span.Parent().SpanID() != call {
				t.Errorf("the span of an attempt has the parent %v, want %v", span.Parent().SpanID(), call)
			}
		}
	})
}

// TestOTelBetweenLayersHidesNothing: what the Classifier said comes up through whatever
// is between the layers.
func TestOTelBetweenLayersHidesNothing(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := always(steadytest.SpentQuota)
		classifier := &steadyhttp.Classifier{Base: p, Classify: func(resp *http.Response, err error) steadyhttp.Outcome {
			o := steadyhttp.Classify(resp, err)
			o.Message = "told by the wire"
			return o
		}}
		client := &http.Client{Transport: &steadyhttp.Retrier{Base: otelhttp.NewTransport(classifier)}}
		resp, err := client.Get("http://api.test/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if o := steadyhttp.OutcomeOf(resp, nil); o.Class != steadyhttp.ClassQuotaExhausted || o.Message != "told by the wire" {
			t.Errorf("got %v %q", o.Class, o.Message)
		}
	})
}
