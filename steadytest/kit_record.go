package steadytest

import (
	"io"
	"log"
	"net/http"
	"runtime"
	"sync"
)

// quiet keeps servers from telling the world about connections that a check
// breaks on purpose.
var quiet = log.New(io.Discard, "", 0)

// recorder is the base that a middleware is given: it notes each attempt on its
// way to the real base, and what comes back.
type recorder struct {
	c    *check
	base http.RoundTripper

	// script, if it is set, may answer the n-th attempt (from 1) in place of the
	// base, by returning a response or an error. The body is then closed for it,
	// unless keepBody is set.
	script   func(n int, req *http.Request) (*http.Response, error)
	keepBody bool

	// onTrip, if it is set, is called when an attempt begins.
	onTrip func()

	mu         sync.Mutex
	attempts   []*trip
	closedIdle int
}

// trip is one attempt as the recorder saw it.
type trip struct {
	req    *http.Request // as it came, the very pointer
	header http.Header   // and its header then
	body   io.ReadCloser

	resp  *http.Response
	as    snapshotResp
	reply *reply // the body of resp; nil if it has none
	err   error
}

// endless is how many attempts in one world no middleware has a reason for.
const endless = 10_000

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	t := &trip{req: req, header: req.Header.Clone(), body: req.Body}
	r.mu.Lock()
	r.attempts = append(r.attempts, t)
	n, script, onTrip := len(r.attempts), r.script, r.onTrip
	r.mu.Unlock()
	if n > endless {
		r.c.report("attempts come to an end", "%d, and no end", endless)
		runtime.Goexit() // since an error might be repeated too
	}
	if onTrip != nil {
		onTrip()
	}

	var resp *http.Response
	var err error
	if script != nil {
		resp, err = script(n, req)
		if (resp != nil || err != nil) && !r.keepBody {
			closeBody(req)
		}
	}
	if resp == nil && err == nil {
		resp, err = r.base.RoundTrip(req)
	}
	var counted *reply
	if resp != nil && resp.Body != nil && resp.Body != http.NoBody {
		counted = &reply{body: resp.Body}
		resp.Body = counted
		if duplex, ok := counted.body.(io.ReadWriteCloser); ok {
			resp.Body = &duplexReply{counted, duplex}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.resp, t.reply, t.err = resp, counted, err
	if resp != nil {
		t.as = snapshotOf(resp)
	}
	return resp, err
}

func (r *recorder) CloseIdleConnections() {
	r.mu.Lock()
	r.closedIdle++
	r.mu.Unlock()
	if c, ok := r.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// trips are the attempts so far, as they stand.
func (r *recorder) trips() []*trip {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*trip, len(r.attempts))
	for i, t := range r.attempts {
		now := *t
		all[i] = &now
	}
	return all
}

// count is how many attempts there were so far.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.attempts)
}

// idleClosed is how often CloseIdleConnections was called.
func (r *recorder) idleClosed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closedIdle
}

// abandon closes every response body that is still open, as the end of a check
// that failed.
func (r *recorder) abandon() {
	for _, t := range r.trips() {
		if t.reply != nil {
			t.reply.body.Close()
		}
	}
}

// reply is a response's body that keeps count.
type reply struct {
	body io.ReadCloser

	mu     sync.Mutex
	bytes  int64
	ended  bool // EOF or an error was read
	closed int
}

func (b *reply) Read(p []byte) (int, error) {
	if _, _, closed := b.state(); closed > 0 {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += int64(n)
	b.ended = b.ended || err != nil
	return n, err
}

func (b *reply) Close() error {
	b.mu.Lock()
	b.closed++
	b.mu.Unlock()
	return b.body.Close()
}

// state is how much was read, whether the end was seen, and how often it was closed.
func (b *reply) state() (bytes int64, ended bool, closed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes, b.ended, b.closed
}

// duplexReply is the body of an upgraded connection.
type duplexReply struct {
	*reply
	io.Writer
}
