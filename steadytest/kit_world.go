package steadytest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

// via is a way to reach a server.
type via uint8

const (
	memory    via = iota // no connection: a handler called by the base
	http1                // net/http over connections in memory, in virtual time
	http2                // the same with HTTP/2
	loopback1            // net/http over real connections
	loopback2            // the same with HTTP/2 and TLS
)

func (v via) String() string {
	return [...]string{"memory", "HTTP/1.1", "HTTP/2", "HTTP/1.1 on loopback", "HTTP/2 on loopback"}[v]
}

// real tells whether time passes as it does outside.
func (v via) real() bool { return v >= loopback1 }

var (
	everywhere = []via{memory, http1, http2, loopback1, loopback2}
	virtual    = []via{memory, http1, http2} // where a middleware may wait
	wires      = []via{http1, http2, loopback1, loopback2}
)

// world is a server, a base that reaches it, a recorder around that base, and
// the middleware around the recorder.
type world struct {
	c     *check
	rt    http.RoundTripper
	rec   *recorder
	url   string
	conns atomic.Int64 // connections opened

	uploads   []*upload
	forgetful bool // the caller leaves responses' bodies open

	close func()
}

// serve makes a world whose server is h.
func (c *check) serve(h http.HandlerFunc) *world {
	w := &world{c: c, rec: &recorder{c: c}}
	ctx, cancel := context.WithCancel(context.Background())
	switch c.via {
	case memory:
		w.serveMemory(ctx, h)
		w.close = cancel
	case http1, http2:
		stop := w.servePipes(ctx, h)
		w.close = func() { cancel(); stop() }
	default:
		stop := w.serveLoopback(ctx, h)
		w.close = func() { cancel(); stop() }
	}
	w.rt = c.wrap(w.rec)
	closeBase := w.close
	w.close = sync.OnceFunc(func() {
		w.inspect()
		shut(w.rt)
		w.rec.abandon()
		closeBase()
	})
	c.mu.Lock()
	c.worlds = append(c.worlds, w)
	c.mu.Unlock()
	return w
}

// inspect looks, when all calls are over, at the bodies that they leave: those of
// requests must be closed, and those of responses, which the caller has closed
// or never got.
func (w *world) inspect() {
	c := w.c
	if c.via.real() || c.isBroken() {
		return
	}
	settle(c)
	for i, t := range w.rec.trips() {
		if t.reply == nil || w.forgetful {
			continue
		}
		if _, _, closed := t.reply.state(); closed == 0 {
			c.reportAs(ruleC5, whyC5, wantReplyClosed, "that of attempt %d, a %d, is open", i+1, t.as.resp.StatusCode)
		}
	}
	for _, u := range w.uploads {
		if copies, open, _, _ := u.state(); open > 0 {
			c.reportAs(ruleB1, whyB1, wantBodyClosed, "%d of %d bodies are open when the call is over", open, copies)
		}
	}
}

// shut closes a middleware that can be closed.
func shut(rt http.RoundTripper) {
	if closer, ok := rt.(io.Closer); ok {
		closer.Close()
	}
}

// serveNth makes a world whose server tells its handler which request, counted
// from 1, it serves.
func (c *check) serveNth(h func(n int, rw http.ResponseWriter, r *http.Request)) *world {
	var served atomic.Int64
	return c.serve(func(rw http.ResponseWriter, r *http.Request) { h(int(served.Add(1)), rw, r) })
}

func (w *world) serveMemory(ctx context.Context, h http.Handler) {
	w.url = "http://memory.test"
	w.rec.base = &memoryBase{handler: h, ctx: ctx}
}

func (w *world) servePipes(ctx context.Context, h http.Handler) (stop func()) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(w.c.via == http1)
	protocols.SetUnencryptedHTTP2(w.c.via == http2)
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{
		Handler: h, Protocols: protocols, ErrorLog: quiet,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go server.Serve(listener)
	transport := &http.Transport{
		Protocols:             protocols,
		MaxIdleConnsPerHost:   100,
		ExpectContinueTimeout: expectContinue,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			w.conns.Add(1)
			return listener.dial(ctx)
		},
	}
	w.url = "http://pipe.test"
	w.rec.base = transport
	return func() {
		server.Close()
		listener.closeConns()
		transport.CloseIdleConnections()
	}
}

func (w *world) serveLoopback(ctx context.Context, h http.Handler) (stop func()) {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = quiet
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			w.conns.Add(1)
		}
	}
	if w.c.via == loopback2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	transport := server.Client().Transport.(*http.Transport)
	transport.MaxIdleConnsPerHost = 100
	transport.ExpectContinueTimeout = expectContinue
	w.url = server.URL
	w.rec.base = transport
	return func() {
		server.CloseClientConnections()
		server.Config.Close()
		transport.CloseIdleConnections()
	}
}

// pipeListener is a net.Listener whose connections are in memory.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}

	mu  sync.Mutex
	all []net.Conn
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	l.mu.Lock()
	l.all = append(l.all, client, server)
	l.mu.Unlock()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) closeConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.all {
		c.Close()
	}
}

// memoryBase is a base without a wire: it calls a handler. It does what
// http.Transport does to requests and contexts, and like it may read a request's
// body on after it has returned.
type memoryBase struct {
	handler http.Handler
	ctx     context.Context // of the world: done when it is closed
}

var (
	errNilURL    = errors.New("memory: nil Request.URL")
	errNilHeader = errors.New("memory: nil Request.Header")
	errGivenUp   = errors.New("memory: request canceled")
	errAborted   = errors.New("memory: handler aborted")
)

func (m *memoryBase) RoundTrip(req *http.Request) (*http.Response, error) {
	refuse := func(err error) (*http.Response, error) {
		closeBody(req)
		return nil, err
	}
	ctx := req.Context()
	switch {
	case req.URL == nil:
		return refuse(errNilURL)
	case req.Header == nil:
		return refuse(errNilHeader)
	case ctx.Err() != nil:
		return refuse(context.Cause(ctx))
	}
	served := req.Clone(ctx)
	served.Trailer = req.Trailer // filled in while the body is read
	served.Proto, served.ProtoMajor, served.ProtoMinor = "HTTP/1.1", 1, 1
	if served.Body == nil {
		served.Body = http.NoBody
	}
	if served.Method == "" {
		served.Method = http.MethodGet
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(m.ctx, cancel)
	served = served.WithContext(ctx)
	rw := &memoryWriter{header: http.Header{}, req: req, started: make(chan struct{})}
	go func() {
		defer cancel()
		defer stop()
		defer closeBody(req)
		rw.finish(func() { m.handler.ServeHTTP(rw, served) })
	}()
	select {
	case <-rw.started:
		if rw.resp == nil {
			return nil, errAborted
		}
		return rw.resp, nil
	case <-req.Context().Done():
		cancel()
		return nil, context.Cause(req.Context())
	case <-req.Cancel:
		cancel()
		return nil, errGivenUp
	}
}

// memoryWriter makes an http.Response of what a handler writes.
type memoryWriter struct {
	header  http.Header
	req     *http.Request
	resp    *http.Response
	body    *io.PipeWriter
	trailer http.Header // complete before body is closed
	stop    func() bool // watching the context for body
	once    sync.Once
	started chan struct{} // closed when resp is there, or never will be
}

// memoryBody is the body of a response. As with http.Transport it is reading the
// end of it that fills in the trailer.
type memoryBody struct {
	*io.PipeReader
	w *memoryWriter
}

func (b *memoryBody) Read(p []byte) (int, error) {
	n, err := b.PipeReader.Read(p)
	if err == io.EOF && b.w.trailer != nil {
		b.w.resp.Trailer = b.w.trailer
	}
	return n, err
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if status < 200 {
		return
	}
	w.once.Do(func() {
		resp := &http.Response{
			Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: w.header.Clone(), ContentLength: -1, Request: w.req, Body: http.NoBody,
		}
		if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
			resp.ContentLength = n
		}
		if w.req.Method != http.MethodHead && status != 204 && status != 304 {
			var r *io.PipeReader
			r, w.body = io.Pipe()
			w.stop = context.AfterFunc(w.req.Context(), func() { r.CloseWithError(context.Cause(w.req.Context())) })
			resp.Body = &memoryBody{r, w}
		}
		w.resp = resp
		close(w.started)
	})
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body == nil {
		return len(p), nil
	}
	return w.body.Write(p)
}

func (w *memoryWriter) Flush()                  { w.WriteHeader(http.StatusOK) }
func (w *memoryWriter) EnableFullDuplex() error { return nil }

// finish runs the handler and ends the response as it left it.
func (w *memoryWriter) finish(handler func()) {
	defer func() {
		r := recover()
		if r != nil && r != http.ErrAbortHandler {
			panic(r)
		}
		if r != nil {
			w.once.Do(func() { close(w.started) })
		}
		w.WriteHeader(http.StatusOK)
		if w.body == nil {
			return
		}
		defer w.stop()
		if r != nil {
			w.body.CloseWithError(io.ErrUnexpectedEOF)
			return
		}
		for name, values := range w.header {
			if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
				if w.trailer == nil {
					w.trailer = http.Header{}
				}
				w.trailer[trailer] = values
			}
		}
		w.body.Close()
	}()
	handler()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// canned is a response without a server behind it.
func canned(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}
