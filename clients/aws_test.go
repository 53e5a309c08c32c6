package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/steadyhttp/steadyhttp"
)

var awsCredentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
})

func newSTS(base http.RoundTripper, more ...func(*sts.Options)) *sts.Client {
	return sts.New(sts.Options{
		Region: "eu-north-1", Credentials: awsCredentials, BaseEndpoint: aws.String("http://sts.test"),
		HTTPClient: &http.Client{Transport: base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, more...)
}

// callerIdentity answers GetCallerIdentity after it has failed fails times.
func callerIdentity(fails int) *recorder {
	n := 0
	return &recorder{Base: answer(func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			io.Copy(io.Discard, req.Body)
			req.Body.Close()
		}
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/xml"}}, Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		text := `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
		if n++; n <= fails {
			resp.StatusCode, text = 503, `<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code><Message>out of order</Message></Error></ErrorResponse>`
		}
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		return resp, nil
	})}
}

func Example_aws() {
	api := callerIdentity(0) // in the place of a http.Transport
	client := sts.New(sts.Options{
		Region:      "eu-north-1",
		Credentials: awsCredentials,
		// The SDK's own retries stay on: what it signs and streams cannot be replayed below it.
		HTTPClient: &http.Client{
			Transport:     steadyhttp.NewTransport(api),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	me, err := client.GetCallerIdentity(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*me.Account)
	// Output: 123456789012
}

// TestAWSRetriesByItself: its bodies have no GetBody, so the stack sends each of
// its attempts once.
func TestAWSRetriesByItself(t *testing.T) {
	virtually(t, func(t *testing.T) {
		api := callerIdentity(2)
		if _, err := newSTS(steadyhttp.NewTransport(api)).GetCallerIdentity(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if n := len(api.requests()); n != 3 {
			t.Errorf("got %d requests, want the SDK's 3", n)
		}
	})
}

// TestAWSDoesNotRetryARefusal: it asks errors for RetryableError, and ours say no.
func TestAWSDoesNotRetryARefusal(t *testing.T) {
	virtually(t, func(t *testing.T) {
		asked := &recorder{Base: opened(t, "http://sts.test/")}
		_, err := newSTS(asked).GetCallerIdentity(t.Context(), nil)
		var open *steadyhttp.OpenError
		if !errors.As(err, &open) {
			t.Errorf("got %v, want an *OpenError", err)
		}
		if n := len(asked.requests()); n != 1 {
			t.Errorf("got %d tries, want 1", n)
		}
	})
}
