package steadyhttp_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// get asks for url and says what became of it.
func get(client *http.Client, url string) string {
	resp, err := client.Get(url)
	if err == nil {
		resp.Body.Close()
	}
	outcome := steadyhttp.OutcomeOf(resp, err)
	if outcome.Class == steadyhttp.ClassSuccess {
		return "success"
	}
	return fmt.Sprint(outcome.Class, " ", cmp.Or(outcome.Code, "(no code)"))
}

// The whole stack, every field at its default, is one line of an http.Client.
func Example() {
	api := &steadytest.Provider{Faults: []steadytest.Fault{
		{Count: 2, Do: steadytest.Unavailable}, // 503, then all is well
		{First: 4, Do: steadytest.SpentQuota},  // 429, but to wait is in vain
	}}
	server := httptest.NewServer(api)
	defer server.Close()

	client := &http.Client{Transport: steadyhttp.NewTransport(nil)}
	for range 2 {
		before := api.Counts().Requests
		fmt.Print(get(client, server.URL+"/v1/models"))
		fmt.Println(", requests:", api.Counts().Requests-before)
	}
	// Output:
	// success, requests: 3
	// quota_exhausted insufficient_quota, requests: 1
}

// The literal is the configuration: a field that is left out has its default.
// Requests travel it from left to right.
func Example_configured() {
	transport := &steadyhttp.Retrier{
		MaxAttempts:    6,
		AttemptTimeout: 30 * time.Second, // up to the headers: streams may take longer
		Base: &steadyhttp.Breaker{
			Key: steadyhttp.JoinKeys(steadyhttp.HostKey, steadyhttp.ModelKey), // a gateway to many models
			Base: &steadyhttp.Limiter{
				Requests: []steadyhttp.Rate{steadyhttp.PerSecond(50)}, // besides what the headers say
				MaxWait:  time.Minute,
				Base:     &steadyhttp.Classifier{},
			},
		},
	}
	server := httptest.NewServer(&steadytest.Provider{})
	defer server.Close()
	fmt.Println(get(&http.Client{Transport: transport}, server.URL+"/v1/models"))
	// Output: success
}

// The stack goes around a transport that is already there: its proxy, its
// certificates and its middleware stay.
func Example_wrapping() {
	server := httptest.NewTLSServer(&steadytest.Provider{})
	defer server.Close()

	existing := http.DefaultTransport.(*http.Transport).Clone()
	existing.MaxIdleConnsPerHost = 64
	existing.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}

	client := &http.Client{Transport: steadyhttp.NewTransport(existing)}
	fmt.Println(get(client, server.URL+"/v1/models"))
	// Output: success
}

// A Trace sees what the caller does not.
func ExampleTrace() {
	server := httptest.NewServer(&steadytest.Provider{
		Faults: []steadytest.Fault{{Count: 1, Do: steadytest.BadGateway}},
		Limits: []steadytest.Limit{{N: 60}},
	})
	defer server.Close()

	trace := &steadyhttp.Trace{
		Attempted: func(i steadyhttp.AttemptInfo) { fmt.Println("attempt", i.Attempt, i.Outcome.Class) },
		Retrying:  func(i steadyhttp.RetryInfo) { fmt.Println("retrying", i.Method) },
		Learned: func(i steadyhttp.LearnedInfo) {
			for _, q := range i.Quotas {
				fmt.Println("learned of", q.Limit, q.Resource)
			}
		},
	}
	client := &http.Client{Transport: steadyhttp.Traced(steadyhttp.NewTransport(nil), trace)}
	fmt.Println(get(client, server.URL+"/v1/models"))
	// Output:
	// attempt 1 server_error
	// retrying GET
	// attempt 2 success
	// learned of 60 requests
	// success
}

// LogTrace writes the same to a log, with no secret in it.
func ExampleLogTrace() {
	server := httptest.NewServer(&steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.Unauthorized}}})
	defer server.Close()

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case "level", "msg", "class", "code":
				return a
			}
			return slog.Attr{} // differs from run to run
		},
	}))
	client := &http.Client{Transport: steadyhttp.Traced(steadyhttp.NewTransport(nil), steadyhttp.LogTrace(logger))}
	get(client, server.URL+"/v1/models")
	// Output: level=WARN msg="steadyhttp: attempt ended" class=auth code=invalid_api_key
}

// A Limiter that would have to hold a call for too long says so at once, and
// when to come back.
func ExampleLimitError() {
	server := httptest.NewServer(&steadytest.Provider{
		Limits: []steadytest.Limit{{N: 1, Per: time.Hour, Kind: steadytest.FixedWindow}},
	})
	defer server.Close()

	limiter := &steadyhttp.Limiter{}
	client := &http.Client{Transport: limiter}
	for range 2 {
		resp, err := client.Get(server.URL + "/v1/models")
		var limited *steadyhttp.LimitError
		switch {
		case errors.As(err, &limited):
			fmt.Println("unsent, come back in", time.Until(limited.RetryAt).Round(time.Hour))
		case err != nil:
			log.Print(err)
		default:
			resp.Body.Close()
			fmt.Println(resp.Status)
		}
	}
	// Output:
	// 200 OK
	// unsent, come back in 1h0m0s
}

// A batch job waits behind whoever is in a hurry, for as long as its context
// allows, where an interactive call would be refused.
func ExampleWithPriority() {
	client := &http.Client{Transport: &steadyhttp.Limiter{
		Base:     &steadytest.Provider{},
		Requests: []steadyhttp.Rate{{N: 1, Per: time.Second}},
		MaxWait:  time.Millisecond, // interactive calls never wait
	}}
	for _, priority := range []steadyhttp.Priority{steadyhttp.PriorityInteractive, steadyhttp.PriorityInteractive, steadyhttp.PriorityBatch} {
		ctx := steadyhttp.WithPriority(context.Background(), priority)
		req, err := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/v1/models", nil)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		fmt.Println(steadyhttp.OutcomeOf(resp, err).Class)
	}
	// Output:
	// success
	// refused
	// success
}

// A scope keeps apart what the request itself does not show.
func ExampleWithScope() {
	req, err := http.NewRequest("GET", "https://api.example.com/v1/models", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(steadyhttp.RequestKey(req))
	fmt.Println(steadyhttp.RequestKey(req.WithContext(steadyhttp.WithScope(req.Context(), "tenant-7"))))
	// Output:
	// https://api.example.com
	// https://api.example.com@tenant-7
}

// The common mistake: a transport for each call remembers nothing, neither quotas
// nor circuits. Make one, and share it.
func Example_mistake() {
	api := &steadytest.Provider{Limits: []steadytest.Limit{{N: 1, Per: time.Hour, Kind: steadytest.FixedWindow}}}
	server := httptest.NewServer(api)
	defer server.Close()

	for range 3 {
		client := &http.Client{Transport: steadyhttp.NewTransport(nil)} // wrong
		get(client, server.URL+"/v1/models")
	}
	fmt.Println("a transport each:", api.Counts().Denied, "denied")

	before := api.Counts().Denied
	client := &http.Client{Transport: steadyhttp.NewTransport(nil)}
	for range 3 {
		get(client, server.URL+"/v1/models")
	}
	fmt.Println("one for all:", api.Counts().Denied-before, "denied")
	// Output:
	// a transport each: 2 denied
	// one for all: 1 denied
}
