package steadytest

import (
	"context"
	"io"
	"net/http"
	"time"
)

func checkRepeatable(c *check) {
	for _, method := range []string{"POST", "PATCH"} {
		for _, fault := range []struct {
			name   string
			status int
			err    error
			silent time.Duration
		}{
			{name: "500", status: 500}, {name: "502", status: 502}, {name: "504", status: 504},
			{name: "a connection that broke after sending", err: io.ErrUnexpectedEOF},
			{name: "a connection that was reset", err: errReset},
			{name: "a timeout", err: errTimeout},
			{name: "an hour of silence", silent: time.Hour},
		} {
			w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
				doze(r.Context(), fault.silent)
				rw.WriteHeader(max(fault.status, 200))
			})
			w.rec.script = func(int, *http.Request) (*http.Response, error) { return nil, fault.err }
			req := (&upload{data: "hello", replay: true}).attach(w, w.request(context.Background(), method, "/orders"))
			w.fetch(req)
			if n := w.rec.count(); n > 1 {
				c.report("what the server may have acted on is not repeated, without a word from the caller that it may be", "%s after %s: %d attempts", method, fault.name, n)
			}
			w.close()
		}
	}
	// A key without values says: idempotent, but send no such header.
	w := c.serve(echo)
	req := w.get("/")
	req.Header["Idempotency-Key"] = nil
	w.fetch(req)
	for _, t := range w.rec.trips() {
		if v, ok := t.header["Idempotency-Key"]; !ok || len(v) > 0 {
			c.report("an Idempotency-Key that is present but has no value stays so", "present %v, %q", ok, v)
		}
	}
}

func checkSingleAttempt(c *check) {
	for _, special := range []struct {
		name string
		make func(w *world) *http.Request
	}{
		{"a request with a trailer", func(w *world) *http.Request {
			req := w.post(&upload{data: "hello", replay: true, unsure: true})
			req.Trailer = http.Header{"X-Sum": nil}
			return req
		}},
		{"an upgrade", func(w *world) *http.Request {
			req := w.get("/")
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			return req
		}},
		{"CONNECT", func(w *world) *http.Request { return w.request(context.Background(), "CONNECT", "/") }},
	} {
		c.provoke(echo, func(p provocation, w *world) {
			if p.err == errRefused {
				return // nothing was sent
			}
			w.rec.script = func(_ int, req *http.Request) (*http.Response, error) {
				if p.silent {
					return nil, nil
				}
				return p.canned(req, "not now")
			}
			w.fetch(special.make(w))
			if n := w.rec.count(); n > 1 {
				c.report("one attempt", "%s, %s: %d attempts", special.name, p.name, n)
			}
		})
	}
}
