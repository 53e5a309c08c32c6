package steadytest

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"
)

// endings are the ways in which a call may come to its end, and what it holds
// with it.
var endings = []struct {
	name, method, path string
	script             func(n int, req *http.Request) (*http.Response, error)
	leave              func(resp *http.Response, cancel func()) // nil if there is no response
}{
	{name: "EOF, never closed", path: "/ends", leave: func(r *http.Response, _ func()) { io.Copy(io.Discard, r.Body) }},
	{name: "a read error, never closed", path: "/breaks", leave: func(r *http.Response, _ func()) { io.Copy(io.Discard, r.Body) }},
	{name: "Close, never read", path: "/stays", leave: func(r *http.Response, _ func()) { r.Body.Close() }},
	{name: "the context's end, never closed", path: "/stays", leave: func(_ *http.Response, cancel func()) { cancel() }},
	{name: "204", path: "/none", leave: func(r *http.Response, _ func()) { r.Body.Close() }},
	{name: "HEAD", method: "HEAD", path: "/ends", leave: func(r *http.Response, _ func()) { r.Body.Close() }},
	{name: "101, closed",
		script: func(_ int, req *http.Request) (*http.Response, error) { return switched(req), nil },
		leave:  func(r *http.Response, _ func()) { r.Body.Close() }},
	{name: "an error of the base", script: func(int, *http.Request) (*http.Response, error) { return nil, errCause }},
	{name: "a panic of the base", script: panics},
}

// panics panics where the caller can recover, which is in its own goroutine.
func panics(int, *http.Request) (*http.Response, error) {
	var pcs [100]uintptr
	for frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])]); ; {
		switch frame, more := frames.Next(); {
		case strings.HasSuffix(frame.Function, "steadytest.(*world).send"):
			panic(basePanic)
		case !more:
			return nil, errCause
		}
	}
}

func checkReleased(c *check) {
	rounds := 40
	if c.via == memory {
		rounds = 300
	}
	for _, ending := range endings {
		w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/ends":
				io.WriteString(rw, "short")
				return
			case "/none":
				rw.WriteHeader(http.StatusNoContent)
				return
			}
			io.WriteString(rw, "long")
			rw.(http.Flusher).Flush()
			if r.URL.Path == "/breaks" {
				panic(http.ErrAbortHandler)
			}
			<-r.Context().Done()
		})
		w.rec.script, w.forgetful = ending.script, true
		for i := range rounds {
			ctx, cancel := context.WithCancel(context.Background())
			asked := w.rec.count()
			resp, err := w.within(time.Hour, w.request(ctx, ending.method, ending.path))
			for _, pause := range []time.Duration{2 * time.Minute, time.Hour} {
				if w.rec.count() == asked { // what is only full or broken is not for ever
					time.Sleep(pause)
					resp, err = w.within(pause, w.request(ctx, ending.method, ending.path))
				}
			}
			switch {
			case err == nil && ending.leave != nil:
				ending.leave(resp, cancel)
			case err == nil:
				resp.Body.Close()
			case w.rec.count() == asked, ending.leave != nil:
				c.report("a call that came to its end holds nothing", "after %d that ended by %s: error %v", i, ending.name, err)
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
			cancel()
		}
		w.close()
	}
}

// within is send for no longer than d.
func (w *world) within(d time.Duration, req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	timer := time.AfterFunc(d, cancel)
	resp, err := w.send(req.WithContext(ctx))
	timer.Stop()
	return resp, err
}
