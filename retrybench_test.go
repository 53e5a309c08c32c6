package steadyhttp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// swallow reads the body and answers at once.
type swallow struct{}

func (swallow) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// BenchmarkRetrier is a call that succeeds at once. What the Retrier costs is the
// difference to bare, whatever the length of the body.
func BenchmarkRetrier(b *testing.B) {
	for _, layer := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"bare", swallow{}},
		{"alone", &Retrier{Base: swallow{}}},
		{"classifier", &Classifier{Base: swallow{}}},
		{"over-classifier", &Retrier{Base: &Classifier{Base: swallow{}}}},
		{"off", &Retrier{Base: swallow{}, MaxAttempts: -1}},
	} {
		for _, size := range []int{0, 1 << 10, 4 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", layer.name, size), func(b *testing.B) {
				body := bytes.Repeat([]byte("x"), size)
				method := "POST"
				if size == 0 {
					method = "GET"
				}
				b.ReportAllocs()
				for b.Loop() {
					req, _ := http.NewRequest(method, "http://example.com/", bytes.NewReader(body))
					resp, err := layer.rt.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					resp.Body.Close()
				}
			})
		}
	}
}

// BenchmarkRetry is a call that succeeds with its second attempt.
func BenchmarkRetry(b *testing.B) {
	failed := false
	base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := swallow{}.RoundTrip(req)
		if failed = !failed; failed {
			resp.StatusCode = 503
		}
		return resp, err
	})
	r := &Retrier{Base: base, MinDelay: -1, RetryShare: -1}
	body := bytes.Repeat([]byte("x"), 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest("PUT", "http://example.com/", bytes.NewReader(body))
		resp, err := r.RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
	}
}
