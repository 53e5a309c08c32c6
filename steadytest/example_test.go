package steadytest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
)

// A limit of two an hour, met by a client over a socket.
func Example() {
	p := &steadytest.Provider{
		Limits: []steadytest.Limit{{N: 2, Per: time.Hour, Kind: steadytest.FixedWindow}},
		Text:   "Hello yourself.",
	}
	server := httptest.NewServer(p)
	defer server.Close()
	for range 3 {
		body := strings.NewReader(`{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}`)
		resp, err := http.Post(server.URL+"/v1/chat/completions", "application/json", body)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status, "with", resp.Header.Get("X-Ratelimit-Remaining-Requests"), "left")
	}
	n := p.Counts()
	fmt.Println(n.Admitted, "admitted,", n.Denied, "denied")
	fmt.Println("the third could be answered after", p.Ideal(3, 1, steadytest.Call{}))
	// Output:
	// 200 OK with 1 left
	// 200 OK with 0 left
	// 429 Too Many Requests with 0 left
	// 2 admitted, 1 denied
	// the third could be answered after 1h0m0s
}

// A dialect of one's own is a table.
func ExampleDialect() {
	acme := &steadytest.Dialect{
		Name: "acme",
		Fields: []steadytest.Field{
			{Name: "X-Acme-Left", Value: steadytest.RemainingN},
			{Name: "X-Acme-Back-In", Value: steadytest.ResetSeconds(steadytest.RoundUp)},
		},
		Refusals: map[steadytest.Effect]steadytest.Refusal{
			steadytest.RateLimited: {Status: 420, Code: "calm_down", Message: "Enhance your calm for {seconds} seconds"},
		},
		Body: func(r steadytest.Refusal, _ string) (contentType, body string) {
			return "text/plain", r.Code + ": " + r.Message
		},
	}
	p := &steadytest.Provider{Dialect: acme, Limits: []steadytest.Limit{{N: 1, Kind: steadytest.SlidingLog}}}
	client := &http.Client{Transport: p}
	for range 2 {
		resp, err := client.Get("http://acme.test/v1/models")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Acme-Left"), resp.Header.Get("X-Acme-Back-In"))
		resp.Body.Close()
	}
	// Output:
	// 200 0 60
	// 420 0 60
}
