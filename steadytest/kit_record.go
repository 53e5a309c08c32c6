package steadytest

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

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
	start  time.Time

	resp  *http.Response
	as    snapshotResp
	reply *reply // the body of resp; nil if it has none
	err   error
	end   time.Time
}

// endless is how many attempts in one world no middleware has a reason for.
const endless = 10_000

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	t := &trip{req: req, header: req.Header.Clone(), body: req.Body, start: time.Now()}
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
	t.resp, t.reply, t.err, t.end = resp, counted, err, time.Now()
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

// snapshotReq is a request as it stood at one moment.
type snapshotReq struct {
	req     http.Request
	header  http.Header
	trailer http.Header
	url     *url.URL
}

func snapshotRequest(req *http.Request) snapshotReq {
	s := snapshotReq{req: *req, header: req.Header.Clone(), trailer: req.Trailer.Clone()}
	if req.URL != nil {
		u := *req.URL
		s.url = &u
	}
	return s
}

// difference says which field of req is no longer what it was, or "".
func (s snapshotReq) difference(req *http.Request) string {
	was := &s.req
	switch {
	case req.Method != was.Method:
		return "Method"
	case req.URL != was.URL || req.URL != nil && *req.URL != *s.url:
		return "URL"
	case req.Proto != was.Proto || req.ProtoMajor != was.ProtoMajor || req.ProtoMinor != was.ProtoMinor:
		return "Proto"
	case !sameHeader(req.Header, s.header):
		return "Header"
	case !sameHeader(req.Trailer, s.trailer):
		return "Trailer"
	case !sameBody(req.Body, was.Body):
		return "Body"
	case (req.GetBody == nil) != (was.GetBody == nil):
		return "GetBody"
	case req.ContentLength != was.ContentLength:
		return "ContentLength"
	case !slices.Equal(req.TransferEncoding, was.TransferEncoding):
		return "TransferEncoding"
	case req.Close != was.Close:
		return "Close"
	case req.Host != was.Host:
		return "Host"
	case req.RequestURI != was.RequestURI:
		return "RequestURI"
	case req.Cancel != was.Cancel:
		return "Cancel"
	case req.Pattern != was.Pattern:
		return "Pattern"
	case text(req.Form) != text(was.Form) || text(req.PostForm) != text(was.PostForm) || req.MultipartForm != was.MultipartForm:
		return "a form"
	case req.RemoteAddr != was.RemoteAddr:
		return "RemoteAddr"
	case req.Response != was.Response:
		return "Response"
	case req.Context() != was.Context():
		return "its context"
	}
	return ""
}

// sameHeader is equality that tells a missing name from one without values, and
// nil from empty.
func sameHeader(a, b http.Header) bool {
	return (a == nil) == (b == nil) && maps.EqualFunc(a, b, func(x, y []string) bool {
		return (x == nil) == (y == nil) && slices.Equal(x, y)
	})
}

func sameBody(a, b io.ReadCloser) (same bool) {
	defer func() {
		if recover() != nil { // of a type that cannot be compared: then by type alone
			same = true
		}
	}()
	return a == b
}

// snapshotResp is a response as the base gave it.
type snapshotResp struct {
	resp   http.Response
	header http.Header
}

func snapshotOf(resp *http.Response) snapshotResp {
	return snapshotResp{resp: *resp, header: resp.Header.Clone()}
}

// difference says which field of resp is not what the base gave, or "".
func (s snapshotResp) difference(resp *http.Response) string {
	was := &s.resp
	switch {
	case resp.Status != was.Status || resp.StatusCode != was.StatusCode:
		return "Status"
	case resp.Proto != was.Proto || resp.ProtoMajor != was.ProtoMajor || resp.ProtoMinor != was.ProtoMinor:
		return "Proto"
	case resp.ContentLength != was.ContentLength:
		return "ContentLength"
	case !slices.Equal(resp.TransferEncoding, was.TransferEncoding):
		return "TransferEncoding"
	case resp.Uncompressed != was.Uncompressed:
		return "Uncompressed"
	case resp.Close != was.Close:
		return "Close"
	case resp.TLS != was.TLS:
		return "TLS"
	}
	for name, values := range s.header {
		if !slices.Equal(resp.Header[name], values) {
			return "Header " + name
		}
	}
	return ""
}

// request makes a request of the world's server. A body is given by an upload.
func (w *world) request(ctx context.Context, method, path string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func (w *world) get(path string) *http.Request { return w.request(context.Background(), "GET", path) }

// post is a POST that may be repeated by its own word.
func (w *world) post(u *upload) *http.Request {
	req := u.attach(w, w.request(context.Background(), "POST", "/things"))
	req.Header.Set("Idempotency-Key", "one")
	return req
}

// repeatables are requests that may be repeated, with a body and without.
var repeatables = []struct {
	name string
	make func(w *world) *http.Request
}{
	{"GET", func(w *world) *http.Request { return w.get("/things") }},
	{"POST with an Idempotency-Key", func(w *world) *http.Request { return w.post(&upload{data: "hello", replay: true}) }},
}

// basePanic is what a base panics with if a rule wants it to.
var basePanic any = "steadytest: the base panics"

var errPanicked = errors.New("steadytest: it panicked")

// send calls RoundTrip, and holds every call to rule D1.
func (w *world) send(req *http.Request) (resp *http.Response, err error) {
	if !w.c.guard(func() { resp, err = w.rt.RoundTrip(req) }) {
		return nil, errPanicked
	}
	switch {
	case resp != nil && err != nil:
		w.c.reportAs(ruleD1, whyD1, "a response or an error, never both", "status %d together with %v", resp.StatusCode, err)
	case resp == nil && err == nil:
		w.c.reportAs(ruleD1, whyD1, "a response or an error", "neither")
		err = errors.New("steadytest: neither response nor error")
	case resp != nil && resp.Body == nil:
		w.c.reportAs(ruleD1, whyD1, "a response's Body is never nil", "status %d with a nil Body", resp.StatusCode)
		resp.Body = http.NoBody
	}
	return resp, err
}

// fetch sends a request, reads the whole response and closes it.
func (w *world) fetch(req *http.Request) (status int, body string, err error) {
	resp, err := w.send(req)
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return 0, "", err
	}
	var text []byte
	w.c.guard(func() {
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	})
	return resp.StatusCode, string(text), err
}

// must is fetch for a request that has no reason to fail.
func (w *world) must(req *http.Request, want string) {
	status, body, err := w.fetch(req)
	if status != 200 || err != nil || body != want {
		w.c.report("a request that succeeds at once comes back as it was answered", "status %d, %q, error %v", status, brief(body), err)
	}
}

// brief shortens text for a message.
func brief(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// large is n bytes that differ from place to place, so that a shift shows.
func large(n int) string {
	const line = "0123456789abcdefghijklmnopqrstuvwxyz-"
	return strings.Repeat(line, n/len(line)+1)[:n]
}
