package steadytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// RoundTrip answers a request without a network: what a client would see of the
// provider over HTTP/1.1, with no socket and no goroutine, so that a
// testing/synctest bubble is idle while it waits.
func (p *Provider) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	if p.Transit != nil {
		if err := pause(ctx, req, p.Transit(req)); err != nil {
			return nil, err
		}
	}
	c, a := p.handle(req, body)
	defer func() { p.leave(c, a.used) }()
	if a.trouble == Hang {
		return nil, pause(ctx, req, never)
	}
	if err := pause(ctx, req, a.wait); err != nil {
		return nil, err
	}
	switch a.trouble {
	case Reset:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	case Drop:
		return nil, io.EOF
	case Refuse:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	p.stampDate(a)
	resp := &http.Response{
		Status:     statusLine(a.status),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header,
		ContentLength: int64(a.whole),
		Request:       req,
		Body:          http.NoBody,
	}
	if a.stream {
		resp.ContentLength, resp.TransferEncoding = -1, []string{"chunked"}
	}
	if req.Method != http.MethodHead {
		resp.Body = &events{ctx: ctx, req: req, parts: a.parts, pause: a.pause, cut: a.cut, closed: make(chan struct{})}
	}
	return resp, nil
}

// statusLine is the status as it is written: "429 Too Many Requests".
func statusLine(status int) string { return strconv.Itoa(status) + " " + statusText(status) }

// statusText is http.StatusText, which does not know them all.
func statusText(status int) string {
	if status == 529 {
		return "Site is overloaded"
	}
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Unknown"
}

// maxBody is how much of a request's body a provider reads; the rest is read and
// forgotten.
const maxBody = 64 << 20

// readBody reads and closes the request's body, and refuses a request as
// http.Transport does. When the context ends first the body is closed, which ends a
// Read that waits.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	switch err := endOf(req.Context(), req); {
	case req.URL == nil:
		return nil, errors.New("http: nil Request.URL")
	case req.Header == nil:
		return nil, errors.New("http: nil Request.Header")
	case err != nil, req.Body == nil, req.Body == http.NoBody:
		return nil, err
	}
	stop := context.AfterFunc(req.Context(), func() { req.Body.Close() })
	defer stop()
	var buf bytes.Buffer
	if n := req.ContentLength; n > 0 && n <= maxBody {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(req.Body, maxBody))
	if err == nil {
		var more int64
		more, err = io.Copy(io.Discard, req.Body)
		n += more
	}
	switch ended := endOf(req.Context(), req); {
	case ended != nil:
		return nil, ended
	case err == nil && req.ContentLength > 0 && req.ContentLength != n:
		return nil, fmt.Errorf("http: ContentLength=%d with Body length %d", req.ContentLength, n)
	}
	return buf.Bytes(), err
}

// endOf is why a request has ended, or nil.
func endOf(ctx context.Context, req *http.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-req.Cancel: //lint:ignore SA1019 http.Client.Timeout still uses it
		return errCanceled
	default:
		return nil
	}
}

var errCanceled = errors.New("net/http: request canceled")

// pause waits for d, or until the request ends, and says why.
func pause(ctx context.Context, req *http.Request, d time.Duration) error {
	if d <= 0 {
		return endOf(ctx, req)
	}
	var due <-chan time.Time // of never: none, so that virtual time does not run off to meet it
	if d < never {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-req.Cancel: //lint:ignore SA1019 as in endOf
		return errCanceled
	}
}

// events is the body of a response: its parts, each after a pause. The pauses
// happen in Read, so that an abandoned body leaves nothing behind.
type events struct {
	ctx   context.Context
	req   *http.Request
	pause time.Duration
	cut   bool

	mu    sync.Mutex // of reading
	parts []string

	closing sync.Once
	closed  chan struct{}
}

func (e *events) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(); err != nil {
		return 0, err
	}
	for len(e.parts) > 0 && e.parts[0] == "" {
		e.parts = e.parts[1:]
		if len(e.parts) == 0 {
			break
		}
		if err := e.rest(); err != nil {
			return 0, err
		}
	}
	if len(e.parts) == 0 {
		if e.cut {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, io.EOF
	}
	n := copy(b, e.parts[0])
	e.parts[0] = e.parts[0][n:]
	return n, nil
}

// ready reports what ended the body, if anything has.
func (e *events) ready() error {
	select {
	case <-e.closed:
		return http.ErrBodyReadAfterClose
	default:
		return endOf(e.ctx, e.req)
	}
}

// rest waits between two parts.
func (e *events) rest() error {
	if e.pause <= 0 {
		return nil
	}
	timer := time.NewTimer(e.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return e.ready()
	case <-e.closed:
	case <-e.ctx.Done():
	case <-e.req.Cancel: //lint:ignore SA1019 as in endOf
	}
	return e.ready()
}

func (e *events) Close() error {
	e.closing.Do(func() { close(e.closed) })
	return nil
}
