package steadytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
)

// request makes a request of the world's server. A body is given by an upload.
func (w *world) request(ctx context.Context, method, path string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func (w *world) get(path string) *http.Request { return w.request(context.Background(), "GET", path) }

// post is a POST that may be repeated by its own word.
func (w *world) post(u *upload) *http.Request {
	req := u.attach(w, w.request(context.Background(), "POST", "/things"))
	req.Header.Set("Idempotency-Key", "one")
	return req
}

// repeatables are requests that may be repeated, with a body and without.
var repeatables = []struct {
	name string
	make func(w *world) *http.Request
}{
	{"GET", func(w *world) *http.Request { return w.get("/things") }},
	{"POST with an Idempotency-Key", func(w *world) *http.Request { return w.post(&upload{data: "hello", replay: true}) }},
}

// basePanic is what a base panics with if a rule wants it to.
var basePanic any = "steadytest: the base panics"

var errPanicked = errors.New("steadytest: it panicked")

// send calls RoundTrip, and holds every call to rule D1.
func (w *world) send(req *http.Request) (resp *http.Response, err error) {
	if !w.c.guard(func() { resp, err = w.rt.RoundTrip(req) }) {
		return nil, errPanicked
	}
	switch {
	case resp != nil && err != nil:
		w.c.reportAs(ruleD1, whyD1, "a response or an error, never both", "status %d together with %v", resp.StatusCode, err)
	case resp == nil && err == nil:
		w.c.reportAs(ruleD1, whyD1, "a response or an error", "neither")
		err = errors.New("steadytest: neither response nor error")
	case resp != nil && resp.Body == nil:
		w.c.reportAs(ruleD1, whyD1, "a response's Body is never nil", "status %d with a nil Body", resp.StatusCode)
		resp.Body = http.NoBody
	}
	return resp, err
}

// fetch sends a request, reads the whole response and closes it.
func (w *world) fetch(req *http.Request) (status int, body string, err error) {
	resp, err := w.send(req)
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return 0, "", err
	}
	var text []byte
	w.c.guard(func() {
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	})
	return resp.StatusCode, string(text), err
}

// must is fetch for a request that has no reason to fail.
func (w *world) must(req *http.Request, want string) {
	status, body, err := w.fetch(req)
	if status != 200 || err != nil || body != want {
		w.c.report("a request that succeeds at once comes back as it was answered", "status %d, %q, error %v", status, brief(body), err)
	}
}

// brief shortens text for a message.
func brief(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// large is n bytes that differ from place to place, so that a shift shows.
func large(n int) string {
	const line = "0123456789abcdefghijklmnopqrstuvwxyz-"
	return strings.Repeat(line, n/len(line)+1)[:n]
}
