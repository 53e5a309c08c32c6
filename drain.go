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

// drain reads what is left of a response to req that nobody will read, so that its
// connection can be used again, and closes it. That is worth neither much data nor
// much time: a body that is longer or trickles costs the connection. An HTTP/2
// stream is simply reset.
func drain(req *http.Request, resp *http.Response) {
	if resp == nil || resp.Body == nil {
		return
	}
	defer resp.Body.Close()
	if resp.ProtoMajor >= 2 || resp.ContentLength > drainBytes || resp.Body == http.NoBody {
		return
	}
	if p, ok := resp.Body.(*peekedBody); ok {
		if _, more := p.peeked(); !more {
			return
		}
	}
	done := make(chan struct{})
	go func() { // nothing else bounds the time that a Read takes
		defer close(done)
		io.CopyN(io.Discard, safeReader{resp.Body}, drainBytes+1)
	}()
	tooLong := time.NewTimer(drainTime)
	defer tooLong.Stop()
	select {
	case <-done:
	case <-tooLong.C:
	case <-req.Context().Done():
	case <-cancelOf(req):
	}
}

// safeReader is a reader for a goroutine of ours.
type safeReader struct{ io.Reader }

func (r safeReader) Read(p []byte) (int, error) { return safeRead(r.Reader, p) }
