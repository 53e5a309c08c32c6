package clients

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

func newRetryable(base http.RoundTripper) *retryablehttp.Client {
	client := retryablehttp.NewClient()
	client.HTTPClient = &http.Client{Transport: base}
	client.Logger = nil
	return client
}

func Example_retryablehttp() {
	provider := &steadytest.Provider{} // in the place of a http.Transport
	client := retryablehttp.NewClient()
	client.HTTPClient = &http.Client{Transport: steadyhttp.NewTransport(provider)}
	client.RetryMax = 0                                         // the stack retries
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler // and the last response is handed over
	client.Logger = nil
	resp, err := client.Get("http://api.test/v1/models")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// TestRetryableHTTPMultiplies unless it is told to leave retries to the stack.
func TestRetryableHTTPMultiplies(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := always(steadytest.ServerError)
		client := newRetryable(&steadyhttp.Retrier{RetryShare: -1, Base: p})
		client.RetryMax = 2
		if _, err := client.Get("http://api.test/v1/models"); err == nil {
			t.Error("got no error")
		}
		sent(t, p, 12, 12)
	})
	virtually(t, func(t *testing.T) {
		p := always(steadytest.ServerError)
		client := newRetryable(steadyhttp.NewTransport(p))
		client.RetryMax, client.ErrorHandler = 0, retryablehttp.PassthroughErrorHandler
		resp, err := client.Get("http://api.test/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(body(t, resp), "error") || resp.StatusCode != 500 {
			t.Errorf("got %s, want the last response", resp.Status)
		}
		sent(t, p, 4, 4)
	})
}

// TestRetryableHTTPSeesOurErrors: with RetryMax 0 they come at once.
func TestRetryableHTTPSeesOurErrors(t *testing.T) {
	virtually(t, func(t *testing.T) {
		client := newRetryable(opened(t, "http://api.test/"))
		client.RetryMax = 0
		_, err := client.Post("http://api.test/v1/models", "text/plain", io.Reader(strings.NewReader("a body")))
		var open *steadyhttp.OpenError
		if !errors.As(err, &open) {
			t.Errorf("got %v, want an *OpenError", err)
		}
	})
}
