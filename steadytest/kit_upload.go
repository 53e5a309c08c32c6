package steadytest

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// upload is what a request sends: a body that keeps count of every copy.
type upload struct {
	data   string
	replay bool          // with a GetBody
	stale  string        // what GetBody gives instead of data, if not ""
	slow   time.Duration // how long the first Read of the first copy takes
	unsure bool          // the length is not told: ContentLength is -1

	// shared makes all copies read from one place, which GetBody rewinds, as
	// clients do that make bodies of a bytes.Reader by a seek.
	shared bool
	off    int

	// getError is what GetBody returns, if not nil.
	getError error
	// onClose, if not nil, is called by every Close.
	onClose func()

	sent     func() bool // whether the first attempt was
	mu       sync.Mutex
	copies   []*uploadCopy
	gets     int
	problems []string
}

// uploadCopy is one body of an upload: the first is the request's own, the others
// were made by GetBody. Since they may share a reader only the newest may be read.
type uploadCopy struct {
	of      *upload
	data    string
	off     int
	number  int  // from 0
	replay  bool // made after the first attempt was sent
	reads   int
	reading bool
	closed  int
}

// attach makes u the body of req, which will be sent to w, and returns req.
func (u *upload) attach(w *world, req *http.Request) *http.Request {
	w.rec.mu.Lock()
	w.uploads = append(w.uploads, u)
	w.rec.mu.Unlock()
	u.sent = func() bool { return w.rec.count() > 0 }
	req.Body = u.copy(u.data)
	req.ContentLength = int64(len(u.data))
	if u.unsure {
		req.ContentLength = -1
	}
	if u.replay {
		req.GetBody = u.getBody
	}
	return req
}

func (u *upload) copy(data string) *uploadCopy {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &uploadCopy{of: u, data: data, number: len(u.copies), replay: u.sent()}
	u.copies = append(u.copies, c)
	return c
}

func (u *upload) getBody() (io.ReadCloser, error) {
	u.mu.Lock()
	u.gets++
	u.off = 0
	for _, c := range u.copies {
		if c.reading {
			u.problems = append(u.problems, "GetBody was called while an earlier attempt's Read was under way")
		}
	}
	u.mu.Unlock()
	if u.getError != nil {
		return nil, u.getError
	}
	if u.stale != "" {
		return u.copy(u.stale), nil
	}
	return u.copy(u.data), nil
}

func (c *uploadCopy) Read(p []byte) (int, error) {
	u := c.of
	u.mu.Lock()
	if c.closed > 0 {
		u.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	c.reads++
	c.reading = true
	if newest := u.copies[len(u.copies)-1]; newest.replay && newest.reads > 0 && newest != c {
		u.problems = append(u.problems, "an earlier attempt's body was read after the next attempt had begun to read its own")
	}
	slow := u.slow
	if c.number > 0 || c.reads > 1 {
		slow = 0
	}
	u.mu.Unlock()
	time.Sleep(slow)

	u.mu.Lock()
	defer u.mu.Unlock()
	c.reading = false
	off := &c.off
	if u.shared {
		off = &u.off
	}
	n := copy(p, c.data[*off:])
	*off += n
	if *off == len(c.data) {
		return n, io.EOF
	}
	return n, nil
}

func (c *uploadCopy) Close() error {
	c.of.mu.Lock()
	c.closed++
	f := c.of.onClose
	c.of.mu.Unlock()
	if f != nil {
		f()
	}
	return nil
}

// state is what became of the upload: how many copies there are, how many of
// them are still open, how often GetBody was called, and what went wrong.
func (u *upload) state() (copies, open, gets int, problems []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.copies {
		if c.closed == 0 {
			open++
		}
	}
	return len(u.copies), open, u.gets, slices.Compact(slices.Clone(u.problems))
}

// reads is how often the n-th copy was read.
func (u *upload) reads(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.copies[n].reads
}
