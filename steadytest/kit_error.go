package steadytest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// errorRules are sections E and F of the contract: errors, and what else passes.
var errorRules = []rule{{
	name: "E1_errors_are_those_of_the_base",
	why:  "callers ask errors.Is and errors.As; an error that is wrapped in text, or in a second *url.Error, answers no more",
	over: virtual, run: checkErrors,
}, {
	name: "E4_net_http_may_still_replay_on_a_dead_connection",
	why:  "a server may close an idle connection at any time; net/http hides that, if the request it gets can be replayed",
	over: []via{http1}, run: checkDeadConnection,
}, {
	name: "F1_CloseIdleConnections_is_forwarded",
	why: "http.Client.CloseIdleConnections finds nothing to call otherwise; " +
		"and a call that nobody made closes the connections of everyone who shares the base",
	over: virtual, run: checkCloseIdle,
}, {
	name: "F4_no_base_means_http.DefaultTransport",
	why:  "a nil Transport does in http.Client; programs replace the default to be obeyed by all",
	over: []via{memory}, run: checkNilBase,
}}

type uniqueError struct{ name string }

func (e *uniqueError) Error() string { return e.name }

func checkErrors(c *check) {
	for _, base := range []error{
		io.EOF, io.ErrUnexpectedEOF, &uniqueError{"a base's own error"},
		&net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")},
		errRefused, errReset, errTimeout, &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true},
	} {
		for _, method := range []string{"GET", "POST"} {
			w := c.serve(echo)
			w.rec.script = func(int, *http.Request) (*http.Response, error) { return nil, base }
			u := &upload{data: "hello", replay: true}
			req := u.attach(w, w.request(context.Background(), method, "/"))
			_, err := w.send(req)
			var nested *url.Error
			switch {
			case w.rec.count() == 1 && err != base:
				c.report("an error that is not retried is the very error of the base", "%s: %#v became %#v", method, base, err)
			case !errors.Is(err, base):
				c.report("after retries errors.Is still finds the base's last error", "%s: %v, for %v after %d attempts", method, err, base, w.rec.count())
			case errors.As(err, &nested):
				c.report("no *url.Error, which is the http.Client's", "%s: %v", method, err)
			}
			w.close()

			w = c.serve(echo)
			w.rec.script = func(int, *http.Request) (*http.Response, error) { return nil, base }
			_, err = (&http.Client{Transport: w.rt}).Do(w.get("/"))
			if err != nil && strings.Count(err.Error(), `Get "`) != 1 {
				c.report("the message of an http.Client's error names the request once", "%v", err)
			}
			w.close()
		}
	}
}

func checkDeadConnection(c *check) {
	for _, repeatable := range repeatables {
		var drop atomic.Bool
		w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
			if drop.CompareAndSwap(true, false) {
				panic(http.ErrAbortHandler) // closes the connection without an answer
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(rw, "served")
		})
		w.must(w.get("/"), "served")
		drop.Store(true)
		status, body, err := w.fetch(repeatable.make(w))
		if status != 200 || body != "served" {
			c.report("a request that met a connection that was just closed is served by another", "%s: status %d, %q, error %v", repeatable.name, status, body, err)
		}
		w.close()
	}
}

func checkCloseIdle(c *check) {
	w := c.serve(echo)
	w.must(w.get("/"), "")
	(&http.Client{Transport: w.rt}).CloseIdleConnections()
	if n := w.rec.idleClosed(); n != 1 {
		c.report("http.Client.CloseIdleConnections reaches the base", "it was called there %d times", n)
	}
	uncalled := func(name string, w *world) {
		if n := w.rec.idleClosed(); n > 0 {
			c.report("nobody else's connections are closed", "%s: CloseIdleConnections was called %d times", name, n)
		}
	}
	c.provoke(func(rw http.ResponseWriter, r *http.Request) { http.Error(rw, "down", http.StatusServiceUnavailable) }, func(p provocation, w *world) {
		w.fetch(w.get("/"))
		uncalled(p.name+", then 503 to the end", w)
	})
	c.whileWaiting(func(name string, w *world, stop func(), done <-chan awaited) {
		stop()
		<-done
		uncalled(name+", cancelled", w)
	})
	w = c.serve(echo)
	w.rec.script = func(int, *http.Request) (*http.Response, error) { return nil, errRefused }
	w.fetch(w.get("/"))
	uncalled("refused connections to the end", w)
}

func checkNilBase(c *check) {
	rt := c.wrap(nil)
	if rt == nil {
		return // as a Client's Transport that is the default
	}
	defer shut(rt)
	saved := http.DefaultTransport
	defer func() { http.DefaultTransport = saved }()
	for range 2 { // it may be replaced again
		w := c.serve(echo)
		http.DefaultTransport = w.rec // after wrap: it counts what is there at the call
		// Nobody listens there, if another base is asked.
		other := &world{c: c, rec: w.rec, rt: rt, url: "http://127.0.0.1:9"}
		status, body, err := other.fetch(other.get("/"))
		if status != 200 || body != "" || w.rec.count() == 0 {
			c.report("http.DefaultTransport, as it is at the time of the call", "status %d, %q, error %v; it was asked %d times", status, body, err, w.rec.count())
		}
	}
}
