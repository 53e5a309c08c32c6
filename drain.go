package steadyhttp

import (
	"io"
	"net/http"
	"time"
)

const (
	drainBytes = 256 << 10
	drainTime  = 200 * time.Millisecond
)

// drain reads what is left of a response that nobody will read, so that its
// connection can be used again, and closes it. That is worth neither much data
// nor much time: a body that is longer or trickles costs the connection. An
// HTTP/2 stream is simply reset.
func drain(resp *http.Response) {
	if resp == nil || resp.Body == nil {
		return
	}
	if resp.ProtoMajor >= 2 || resp.ContentLength > drainBytes || resp.Body == http.NoBody {
		resp.Body.Close()
		return
	}
	timer := time.AfterFunc(drainTime, func() { resp.Body.Close() })
	defer func() {
		if timer.Stop() {
			resp.Body.Close()
		}
	}()
	io.CopyN(io.Discard, resp.Body, drainBytes+1)
}
