package steadyhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"time"
)

const (
	// maxPeek is how much of an error's body is read to classify it.
	maxPeek = 64 << 10

	// maxPeekTime is how long a body may take to come. A verdict after that time
	// is reached with what there is.
	maxPeekTime = time.Second

	// maxEmptyReads is how often in a row a body may return nothing.
	maxEmptyReads = 100
)

// peekBody returns the beginning of the body of an error response, and leaves in
// its place a body that has all the bytes. It tells whether there is more than
// what it returns.
//
// The body is read by a goroutine, because nothing else bounds the time that a
// Read takes. It ends with the Read that it is in: when that returns, which
// closing the body or ending the request's context brings about.
func peekBody(ctx context.Context, resp *http.Response) (data []byte, more bool) {
	if resp.StatusCode < 400 || resp.Body == nil || resp.Body == http.NoBody ||
		resp.Request != nil && resp.Request.Method == http.MethodHead {
		return nil, false
	}
	if p, ok := resp.Body.(*peekedBody); ok {
		return p.peeked()
	}
	size := 2 << 10
	if n := resp.ContentLength; n > 0 {
		size = int(min(n, maxPeek-1)) + 1 // one more, for the Read that returns io.EOF
	}
	p := &peekedBody{body: resp.Body, buf: make([]byte, 0, size), filled: make(chan struct{})}
	announced := resp.Trailer.Clone()
	resp.Body = p
	go p.fill()
	p.await(ctx, resp.Request)
	p.keepTrailer(resp, announced)
	return p.peeked()
}

// peekedBody is a body of which the beginning has been, or is being, read ahead.
type peekedBody struct {
	body   io.ReadCloser
	filled chan struct{} // closed when fill has returned

	mu      sync.Mutex
	buf     []byte // what fill has read
	off     int    // how much of buf the caller has read
	err     error  // of the body, once fill has met it
	stopped bool   // fill begins no further Read
	closed  bool

	resp    *http.Response
	trailer http.Header // of resp, until the caller meets the end of the body
}

// keepTrailer takes back the trailer that came with the end of the body: until the
// caller has read that far, a response has the names that were announced, and
// ReverseProxy announces what it finds.
func (p *peekedBody) keepTrailer(resp *http.Response, announced http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil || len(resp.Trailer) == 0 {
		return
	}
	p.resp, p.trailer = resp, resp.Trailer
	resp.Trailer = announced
}

// endLocked is the end of the body, as the caller meets it.
func (p *peekedBody) endLocked() error {
	if p.trailer != nil {
		if p.resp.Trailer == nil {
			p.resp.Trailer = make(http.Header, len(p.trailer))
		}
		maps.Copy(p.resp.Trailer, p.trailer)
		p.trailer = nil
	}
	return p.err
}

// fill reads ahead until the body ends, maxPeek is reached or it is stopped.
func (p *peekedBody) fill() {
	defer close(p.filled) // should the Read end this goroutine, too
	for empty := 0; empty < maxEmptyReads; empty++ {
		room := p.room()
		if room == nil {
			return
		}
		n, err := safeRead(p.body, room)
		p.mu.Lock()
		p.buf, p.err = p.buf[:len(p.buf)+n], err
		p.mu.Unlock()
		if n > 0 {
			empty = 0
		}
	}
}

// room is where the next Read of fill goes; nil if there is to be none.
func (p *peekedBody) room() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || len(p.buf) >= maxPeek || p.stopped {
		return nil
	}
	if len(p.buf) == cap(p.buf) {
		grown := make([]byte, len(p.buf), min(4*cap(p.buf), maxPeek))
		copy(grown, p.buf)
		p.buf = grown
	}
	return p.buf[len(p.buf):cap(p.buf)]
}

// safeRead is a Read that cannot end the program: a panic in this goroutine could
// not be recovered by the caller.
func safeRead(r io.Reader, b []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("steadyhttp: panic in the body's Read: %v", v)
		}
	}()
	if n, err = r.Read(b); n < 0 || n > len(b) {
		return 0, errors.New("steadyhttp: impossible count from the body's Read")
	}
	return n, err
}

// await waits for fill, and stops it when it takes too long.
func (p *peekedBody) await(ctx context.Context, req *http.Request) {
	runtime.Gosched() // most bodies are there already: save the timer
	select {
	case <-p.filled:
		return
	default:
	}
	late := time.NewTimer(maxPeekTime)
	defer late.Stop()
	select {
	case <-p.filled:
		return
	case <-ctx.Done():
	case <-cancelOf(req):
	case <-late.C:
	}
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
}

// peeked returns what has been read ahead, if the caller has read none of it, and
// whether the body goes on.
func (p *peekedBody) peeked() (data []byte, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off > 0 || p.closed {
		return nil, false
	}
	return p.buf[:len(p.buf):len(p.buf)], p.err == nil
}

// brokenOff tells whether reading ahead met an error in the body of resp.
func brokenOff(resp *http.Response) bool {
	p, ok := resp.Body.(*peekedBody)
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil && p.err != io.EOF
}

// Read hands over what was read ahead and then the rest of the body.
func (p *peekedBody) Read(b []byte) (int, error) {
	n, err, ahead := p.next(b)
	if !ahead {
		<-p.filled
		if n, err, ahead = p.next(b); !ahead {
			return p.body.Read(b)
		}
	}
	return n, err
}

// next reads from what was read ahead; ahead is false if that is used up.
func (p *peekedBody) next(b []byte) (n int, err error, ahead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, nil, false
	case len(b) == 0:
		return 0, nil, true
	case p.off < len(p.buf):
		n = copy(b, p.buf[p.off:])
		p.off += n
		if p.off == len(p.buf) {
			err = p.endLocked()
		}
		return n, err, true
	}
	return 0, p.endLocked(), p.err != nil
}

// Close closes the body, which ends a Read that is under way.
func (p *peekedBody) Close() error {
	p.mu.Lock()
	p.closed, p.stopped = true, true
	p.mu.Unlock()
	return p.body.Close()
}
