package steadytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"
)

// A provocation is a first answer that asks to be followed by a second attempt.
type provocation struct {
	name   string
	status int   // of the first response
	err    error // instead of a response
	silent bool  // the first response comes after an hour, and is what the later are
}

var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	errReset   = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	errTimeout = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
)

const silence = "an hour of silence"

var provocations = []provocation{
	{name: "429 with Retry-After: 0", status: 429},
	{name: "503 with Retry-After: 0", status: 503},
	{name: "500", status: 500},
	{name: "401", status: 401},
	{name: "408", status: 408},
	{name: "425", status: 425},
	{name: "502", status: 502},
	{name: "504", status: 504},
	{name: "connection refused", err: errRefused},
	{name: "connection reset", err: errReset},
	{name: "unexpected EOF", err: io.ErrUnexpectedEOF},
	{name: "timeout", err: errTimeout},
	{name: silence, silent: true},
}

// header is that of the provocation's response.
func (p provocation) header() http.Header {
	switch p.status {
	case 429, 503:
		return http.Header{"Retry-After": {"0"}}
	case 401:
		return http.Header{"Www-Authenticate": {`Bearer realm="kit"`}}
	}
	return http.Header{}
}

// answer writes the response of a provocation with body.
func (p provocation) answer(rw http.ResponseWriter, body string) {
	for name, values := range p.header() {
		rw.Header()[name] = values
	}
	rw.WriteHeader(p.status)
	io.WriteString(rw, body)
}

// canned is the response or the error of a provocation without a server behind it.
func (p provocation) canned(req *http.Request, body string) (*http.Response, error) {
	if p.err != nil {
		return nil, p.err
	}
	resp := canned(req, p.status, body)
	resp.Header = p.header()
	return resp, nil
}

// denials are the provocations that are responses.
func denials() []provocation {
	return slices.DeleteFunc(slices.Clone(provocations), func(p provocation) bool { return p.status == 0 })
}

// provoke runs f in a world for each provocation whose first answer is p and
// whose later ones are then's. f looks at how many attempts there were.
func (c *check) provoke(then http.HandlerFunc, f func(p provocation, w *world)) {
	for _, p := range provocations {
		if p.err != nil && c.via.real() || p.silent && c.via != memory {
			continue
		}
		w := c.serveNth(func(n int, rw http.ResponseWriter, r *http.Request) {
			if n == 1 && p.status > 0 {
				p.answer(rw, "not now")
				return
			}
			if n == 1 && p.silent {
				doze(r.Context(), time.Hour)
			}
			then(rw, r)
		})
		w.rec.script = func(n int, _ *http.Request) (*http.Response, error) {
			if n == 1 {
				return nil, p.err
			}
			return nil, nil
		}
		f(p, w)
		if p.silent {
			time.Sleep(2 * time.Hour) // by then the first answer has come as well
		}
		w.close()
	}
}

// doze sleeps for d, or until ctx is done.
func doze(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
