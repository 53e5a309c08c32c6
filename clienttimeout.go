package steadyhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// cancelOf is what ends req besides its context: deprecated, but http.Client closes
// it at its Timeout.
func cancelOf(req *http.Request) <-chan struct{} {
	if req == nil {
		return nil
	}
	//lint:ignore SA1019 as above
	return req.Cancel
}

// givenUp tells whether the caller waits for req no longer.
func givenUp(req *http.Request) bool {
	select {
	case <-req.Context().Done():
		return true
	case <-cancelOf(req):
		return true
	default:
		return false
	}
}

// clientTimeout is err as http.Client would have it from a transport of its own, if
// its Timeout has passed. Others it tells twice, by the context's deadline and by
// Request.Cancel, and it knows itself when it has done the latter: an error that is
// returned before that comes out of it without the words by which its Timeout is
// told from other deadlines. A transport that learns of the latter first says
// "request canceled", which is not what happened.
func clientTimeout(req *http.Request, err error) error {
	cancel, ctx := cancelOf(req), req.Context()
	if cancel == nil || !overdue(ctx) && !errors.Is(ctx.Err(), context.DeadlineExceeded) { // in this order, for it may notice now
		return err
	}
	tooLong := time.NewTimer(10 * time.Millisecond) // the deadline is one of the caller's
	defer tooLong.Stop()
	select {
	case <-cancel:
	case <-tooLong.C:
		return err
	}
	if canceled(err) {
		return ended(ctx)
	}
	return err
}

// overdue tells whether the deadline of ctx has passed and ctx has not noticed: its
// timer and that of http.Client end at the same time, in any order.
func overdue(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return has && ctx.Err() == nil && !time.Now().Before(deadline)
}

// noticeAtRead does the same for the body of resp, which http.Client wraps likewise.
func noticeAtRead(req *http.Request, resp *http.Response) {
	if cancelOf(req) == nil || resp.Body == nil || resp.Body == http.NoBody {
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
		err = clientTimeout(b.req, err)
	}
	return n, err
}
