package steadyhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/steadyhttp/steadyhttp"
)

// An API of one's own needs no table: wrap Classify, and let it do the rest. This
// one answers 418 when its queue is full, and says in X-Slot-In how many seconds
// it takes until there is room.
func ExampleClassifier() {
	classify := func(resp *http.Response, err error) steadyhttp.Outcome {
		o := steadyhttp.Classify(resp, err)
		if err == nil && resp.StatusCode == http.StatusTeapot {
			o.Class, o.Retryable = steadyhttp.ClassRateLimited, true
			if wait, err := time.ParseDuration(resp.Header.Get("X-Slot-In") + "s"); err == nil {
				o.RetryAt = time.Now().Add(wait)
			}
		}
		return o
	}
	transport := &steadyhttp.Retrier{Base: &steadyhttp.Classifier{Classify: classify}}

	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			w.Header().Set("X-Slot-In", "0.05")
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	resp, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err == nil {
		resp.Body.Close()
	}
	fmt.Println(steadyhttp.OutcomeOf(resp, err).Class, "after", calls, "calls")
	// Output: success after 2 calls
}

// A 429 is not always a rate limit, and a 400 may be one. What the API says is
// read from its body, which is still there afterwards.
func ExampleClassify() {
	answer := func(status int, body string) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	}
	for _, resp := range []*http.Response{
		answer(429, `{"error":{"type":"insufficient_quota","message":"You exceeded your current quota."}}`),
		answer(429, `{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"Please try again in 6ms."}}`),
		answer(400, `{"__type":"com.amazonaws#ThrottlingException","message":"Rate exceeded"}`),
		answer(403, `{"error":{"message":"Insufficient credits."}}`),
	} {
		o := steadyhttp.Classify(resp, nil)
		fmt.Println(resp.StatusCode, o.Class, o.Retryable, !o.RetryAt.IsZero())
	}
	// Output:
	// 429 quota_exhausted false false
	// 429 rate_limited true true
	// 400 rate_limited true false
	// 403 quota_exhausted false false
}
