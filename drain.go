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
	defer resp.Body.Close()
	if resp.ProtoMajor >= 2 || resp.ContentLength > drainBytes || resp.Body == http.NoBody {
		return
	}
	timer := time.AfterFunc(drainTime, func() { resp.Body.Close() })
	defer timer.Stop()
	io.CopyN(io.Discard, resp.Body, drainBytes+1)
}
