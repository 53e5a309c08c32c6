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

// A Retrier alone: three attempts at most, a little apart.
func ExampleRetrier() {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n < 3 {
			http.Error(w, "try again", http.StatusInternalServerError)
			return
		}
		io.Copy(w, r.Body)
	}))
	defer server.Close()

	client := &http.Client{Transport: &steadyhttp.Retrier{
		MaxAttempts: 3,
		MinDelay:    time.Millisecond,
		MaxDelay:    20 * time.Millisecond,
		// A PUT may be repeated anyway; this API promises the same of its POSTs.
		Replayable: func(r *http.Request) bool { return r.Method == "POST" },
	}}
	resp, err := client.Post(server.URL, "text/plain", strings.NewReader("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s after %d attempts: %s\n", resp.Status, n, body)
	// Output: 200 OK after 3 attempts: hello
}

// A request that must not be repeated, whatever becomes of it.
func ExampleWithoutRetry() {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()

	client := &http.Client{Transport: steadyhttp.NewTransport(nil)}
	req, err := http.NewRequest("GET", server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req.WithContext(steadyhttp.WithoutRetry(req.Context())))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status, "after", n, "attempt")
	// Output: 503 Service Unavailable after 1 attempt
}
