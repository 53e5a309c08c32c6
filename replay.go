package steadyhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
)

var (
	errAttemptOver   = errors.New("steadyhttp: the attempt that this request body belongs to is over")
	errReplayDiffers = errors.New("steadyhttp: GetBody gave a body of another length than the one sent first")
)

// canReplay tells whether the body of req can be sent again, and whether the
// request as a whole survives being copied and repeated: trailers are filled in
// on the caller's own request as its body is read, and an upgraded connection is
// not a response.
func canReplay(req *http.Request) bool {
	if hasBody(req) && req.GetBody == nil {
		return false
	}
	_, upgrade := req.Header["Upgrade"]
	return !upgrade && len(req.Trailer) == 0 && req.Method != http.MethodConnect
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// usedUp tells whether the body of req is one of the usual readers and has been
// read to its end: some clients send the same request twice. On a connection used
// before, net/http finds that out before it has written a byte, and sends what
// GetBody gives; but that it does for types that it knows, of which ours is none.
func usedUp(req *http.Request) bool {
	return req.ContentLength > 0 && unread(req.Body) == 0
}

// snapshots tells whether the body of req is what http.NewRequest makes of the
// usual readers, and GetBody gives a reader of its own each time. Nothing is shared
// between the attempts then, so each may have its body as it is; and net/http
// writes headers and body at once, which it does for types that it knows.
func snapshots(req *http.Request) bool {
	return req.ContentLength > 0 && unread(req.Body) == req.ContentLength && givesSnapshots(req)
}

// unread is how much is left in a body as http.NewRequest makes it of the usual
// readers; -1 if body is another.
func unread(body io.ReadCloser) int64 {
	if r, ok := inNopCloser(body).(interface{ Len() int }); ok {
		return int64(r.Len())
	}
	return -1
}

// inNopCloser is the reader in a body that http.NewRequest wrapped; nil in another.
func inNopCloser(body any) any {
	if t := reflect.TypeOf(body); t != nopCloser && t != nopCloserTo {
		return nil
	}
	return reflect.ValueOf(body).Field(0).Interface()
}

// newRequestGetBody are the functions that http.NewRequest takes for GetBody.
var newRequestGetBody = func() (entries [3]uintptr) {
	for i, body := range []io.Reader{bytes.NewReader([]byte{0}), strings.NewReader("0"), bytes.NewBufferString("0")} {
		req, _ := http.NewRequest(http.MethodPost, "http://body.invalid", body)
		entries[i] = entryOf(req.GetBody)
	}
	return entries
}()

func entryOf(getBody func() (io.ReadCloser, error)) uintptr {
	return reflect.ValueOf(getBody).Pointer()
}

// What http.NewRequest wraps readers in, without and with a WriteTo.
var (
	nopCloser   = reflect.TypeOf(io.NopCloser(nil))
	nopCloserTo = reflect.TypeOf(io.NopCloser(new(bytes.Reader)))
)

// loan lends the caller's body to one attempt. net/http may read on after
// RoundTrip has returned, and the GetBody of some clients rewinds the one reader
// that the last attempt still reads. So when the attempt ends the body is taken
// back: further reads fail, and whoever wants to use GetBody can wait until those
// in flight are done.
type loan struct {
	getBody func() (io.ReadCloser, error)

	mu    sync.Mutex
	ended bool
	inUse int           // calls of the caller's code in flight
	quiet chan struct{} // closed once ended and not in use; nil before that matters

	first  lentBody
	copies []*lentBody // obtained by the base and not closed: net/http repeats some requests by itself
}

// lend begins a loan of body. With a length that is not negative the body must
// have it: one that differs fails to be read, rather than being sent in place of
// what the caller gave.
func (l *loan) lend(body io.ReadCloser, length int64, getBody func() (io.ReadCloser, error)) io.ReadCloser {
	l.getBody = getBody
	l.first = lentBody{loan: l, body: body, length: length}
	return &l.first
}

// isOf tells whether req has the body on loan.
func (l *loan) isOf(req *http.Request) bool {
	b, _ := req.Body.(*lentBody)
	return b != nil && b.loan == l
}

// end takes the body back. It is closed as soon as nobody reads it any more.
func (l *loan) end() {
	l.mu.Lock()
	l.ended = true
	if l.inUse > 0 {
		if l.quiet == nil {
			l.quiet = make(chan struct{})
		}
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.close()
}

// settled waits until a body that was taken back is no longer in use. It returns
// false if ctx or cancel ends before that.
func (l *loan) settled(ctx context.Context, cancel <-chan struct{}) bool {
	l.mu.Lock()
	quiet := l.quiet
	l.mu.Unlock()
	if quiet == nil {
		return true
	}
	select {
	case <-quiet:
		return true
	case <-ctx.Done():
	case <-cancel:
	}
	return false
}

// sent is the length of the body if the attempt read it to its end, else -1.
func (l *loan) sent() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.first.eof {
		return -1
	}
	return l.first.read
}

// differs tells whether the body turned out to have the wrong length.
func (l *loan) differs() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first.differs()
}

// GetBody is Request.GetBody for the attempt: what is read from it ends with the
// attempt too.
func (l *loan) GetBody() (io.ReadCloser, error) {
	if !l.enter(nil) {
		return nil, errAttemptOver
	}
	defer l.leave()
	body, err := l.getBody()
	if body == nil || err != nil {
		return body, err
	}
	c := &lentBody{loan: l, body: body, length: -1}
	l.mu.Lock()
	l.copies = append(slices.DeleteFunc(l.copies, func(old *lentBody) bool { return old.closed }), c)
	l.mu.Unlock()
	l.forget(maxUnread - 1)
	return c, nil
}

// maxUnread is how many copies may wait to be read: a base that hedges obtains
// several before it sends one. After a GOAWAY net/http obtains two and sends the
// second, any number of times.
const maxUnread = 8

// forget closes the copies that nobody has read, but for n of them and the last of
// all: that may be on its way.
func (l *loan) forget(n int) {
	var forgotten []*lentBody
	l.mu.Lock()
	for i, c := range slices.Backward(l.copies) {
		if c.used || c.closed || i == len(l.copies)-1 {
			continue
		}
		if n--; n < 0 {
			forgotten = append(forgotten, c)
		}
	}
	l.mu.Unlock()
	for _, c := range forgotten {
		c.Close()
	}
}

// enter counts a use of the caller's code that begins, of b if it is not nil, and
// tells whether the attempt may still use it.
func (l *loan) enter(b *lentBody) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.inUse++
	if b != nil {
		b.used = true
	}
	return true
}

func (l *loan) leave() {
	l.mu.Lock()
	l.leaveLocked()
}

// leaveLocked counts a use that is over, and unlocks.
func (l *loan) leaveLocked() {
	l.inUse--
	last := l.ended && l.inUse == 0
	quiet := l.quiet
	l.mu.Unlock()
	if last {
		l.close()
		close(quiet)
	}
}

func (l *loan) close() {
	l.first.Close()
	l.mu.Lock()
	copies := l.copies
	l.copies = nil
	l.mu.Unlock()
	for _, c := range copies {
		c.Close()
	}
}

// lentBody is a body as the base sees it.
type lentBody struct {
	loan   *loan
	body   io.ReadCloser
	length int64 // that it must have; -1 if it may have any

	read              int64 // all guarded by the loan's lock; Read alone changes it
	used, eof, closed bool
}

func (b *lentBody) Read(p []byte) (n int, err error) {
	if !b.loan.enter(b) {
		return 0, errAttemptOver
	}
	more := 0
	defer func() { // should the caller's Read panic, too
		b.loan.mu.Lock()
		b.read += int64(n + more)
		b.eof = b.eof || err == io.EOF
		if b.differs() {
			n, err = 0, errReplayDiffers
		}
		b.loan.leaveLocked()
	}()
	n, err = b.body.Read(p)
	if b.length >= 0 && err == nil && b.read+int64(n) == b.length {
		// All that is expected is here: is it all there is? net/http stops at
		// ContentLength, and the server would take the beginning of a longer body
		// for the whole. So the last bytes wait for the end to be seen.
		var beyond [1]byte
		more, err = b.body.Read(beyond[:])
	}
	return n, err
}

func (b *lentBody) differs() bool {
	return b.length >= 0 && (b.read > b.length || b.eof && b.read < b.length)
}

// Close closes the caller's body at most once.
func (b *lentBody) Close() error {
	b.loan.mu.Lock()
	closed := b.closed
	b.closed = true
	b.loan.mu.Unlock()
	if closed {
		return nil
	}
	return b.body.Close()
}
