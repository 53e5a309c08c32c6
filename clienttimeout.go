package steadyhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// letClientNotice waits until http.Client knows that its Timeout has passed. A
// transport that is not its own it tells twice, by the context's deadline and, once
// it has taken note, by Request.Cancel: an error that is returned in between comes
// out of it without the words by which its Timeout is told from other deadlines.
func letClientNotice(req *http.Request) {
	//lint:ignore SA1019 http.Client closes it at its Timeout
	cancel := req.Cancel
	if cancel == nil || !errors.Is(req.Context().Err(), context.DeadlineExceeded) {
		return
	}
	tooLong := time.NewTimer(10 * time.Millisecond) // the deadline is one of the caller's
	defer tooLong.Stop()
	select {
	case <-cancel:
	case <-tooLong.C:
	}
}

// noticeAtRead does the same for the body of resp, which http.Client wraps likewise.
func noticeAtRead(req *http.Request, resp *http.Response) {
	//lint:ignore SA1019 http.Client closes it at its Timeout
	if req.Cancel == nil || resp.Body == nil || resp.Body == http.NoBody {
		return
	}
	if _, upgraded := resp.Body.(io.Writer); upgraded {
		return
	}
	if _, has := req.Context().Deadline(); has {
		resp.Body = &noticedBody{resp.Body, req}
	}
}

type noticedBody struct {
	io.ReadCloser
	req *http.Request
}

func (b *noticedBody) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		letClientNotice(b.req)
	}
	return n, err
}
