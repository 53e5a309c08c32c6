package steadytest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ruleD1 is known to send, which holds every call of every rule to it.
const (
	ruleD1 = "D1_a_response_or_an_error"
	whyD1  = "http.Client drops a response that comes with an error, and its body leaks; " +
		"SDKs build their errors from the response, which an error in its place takes from them"
)

// responseRules are section D of the contract: the response.
var responseRules = []rule{{
	name: ruleD1,
	why:  whyD1,
	over: virtual, run: checkStatuses,
}, {
	name: "D2_the_response_is_that_of_the_base",
	why:  "trailers are filled in at the end of the body, in the struct that the base made: a copy never sees them",
	over: everywhere, run: checkSameResponse,
}, {
	name: "D3_upgraded_connections_stay_writable",
	why:  "after 101 Switching Protocols the Body is the connection: without its Write no WebSocket works",
	over: []via{memory, http1, loopback1}, run: checkUpgrade,
}, {
	name: "D4_bodies_pass_through_as_they_come",
	why:  "a body that is buffered or read ahead delays events, and one that is drained when it is closed hangs on a live stream",
	over: everywhere, run: checkBodyPassesThrough,
}, {
	name: "D5_what_a_response_holds_is_released",
	why:  "callers forget to close, and read to the end instead, or cancel: a permit that only Close returns runs out",
	over: virtual, run: checkReleased,
}, {
	name: "D6_retried_responses_are_drained_within_bounds_and_closed",
	why: "a body that is left costs a connection and its goroutines; one that is read without a bound " +
		"lets a server hold the caller for as long as it likes",
	over: virtual, run: checkDrained,
}, {
	name: "D7_responses_without_a_body",
	why:  "HEAD, 204 and 304 have none, whatever their Content-Length says",
	over: everywhere, run: checkBodiless,
}, {
	name: "D8_gives_up_with_the_last_response_intact",
	why:  "the last answer says what is wrong, and an SDK makes its typed error of the body",
	over: virtual, run: checkLastResponse,
}, {
	name: "D9_cookies_of_retried_responses_are_dropped",
	why:  "a cookie from an answer that the caller never saw changes its session",
	over: virtual, run: checkRetriedCookie,
}}

func checkStatuses(c *check) {
	for _, status := range []int{200, 201, 204, 206, 301, 304, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 425, 429, 430, 500, 501, 502, 503, 504, 529, 599} {
		w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
			if status == 403 || status == 429 {
				rw.Header().Set("X-RateLimit-Remaining", "0")
				rw.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
			}
			rw.WriteHeader(status)
			if status != 204 && status != 304 {
				fmt.Fprintf(rw, `{"error":{"message":"status %d"}}`, status)
			}
		})
		want := fmt.Sprintf(`{"error":{"message":"status %d"}}`, status)
		if status == 204 || status == 304 {
			want = ""
		}
		got, body, err := w.fetch(w.get("/"))
		if err != nil {
			c.report("a status is no error", "status %d became %v", status, err)
		} else if got != status || body != want {
			c.report("a response passes with its status and body", "%d %q became %d %q", status, want, got, body)
		}
		w.close()
	}
	// The context ends between the headers and whatever the middleware does with them.
	for _, status := range []int{200, 429, 503} {
		w := c.serve(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(status) })
		ctx, cancel := context.WithCancel(context.Background())
		w.rec.script = func(_ int, req *http.Request) (*http.Response, error) {
			cancel()
			return canned(req, status, "there"), nil
		}
		w.fetch(w.get("/").WithContext(ctx))
		cancel()
		w.close()
	}
}

const wantOwnRequest = "resp.Request is the caller's request in all but its context, or the one that the base was given"

// strange says which field of a response's Request is neither that of the
// caller's request nor that of the attempt's, or "".
func (t *trip) strange(r, own *http.Request) string {
	if r == nil {
		return "it is nil"
	}
	for _, f := range []struct {
		name           string
		got, own, sent any
	}{
		{"Method", r.Method, own.Method, t.req.Method},
		{"URL", text(r.URL), text(own.URL), text(t.req.URL)},
		{"Host", r.Host, own.Host, t.req.Host},
		{"Header", text(r.Header), text(own.Header), text(t.header)},
	} {
		if f.got != f.own && f.got != f.sent {
			return fmt.Sprintf("its %s is %v, the caller's was %v", f.name, f.got, f.own)
		}
	}
	return ""
}

// text is a value that may not be comparable, as text.
func text(v any) string { return fmt.Sprint(v) }

func checkSameResponse(c *check) {
	look := func(name string, w *world, req *http.Request) {
		resp, err := w.send(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		last := w.rec.trips()[w.rec.count()-1]
		if resp != last.resp {
			c.report("the very *http.Response that the base returned", "%s: another one", name)
		}
		if field := last.as.difference(resp); field != "" {
			c.report("the response's fields as the base set them", "%s: %s differs", name, field)
		}
		if difference := last.strange(resp.Request, req); difference != "" {
			c.report(wantOwnRequest, "%s: %s", name, difference)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode == 200 && resp.Trailer.Get("X-Late") != "yes" {
			c.report("trailers are there at the end of the body", "%s: Trailer is %v", name, resp.Trailer)
		}
	}
	trailed := func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		rw.Header().Set("Set-Cookie", "session=1")
		rw.(http.Flusher).Flush()
		io.WriteString(rw, "body")
		rw.Header().Set(http.TrailerPrefix+"X-Late", "yes")
	}
	for _, kind := range repeatables {
		w := c.serve(trailed)
		look(kind.name, w, kind.make(w))
		w.close()
		if !c.via.real() {
			c.provoke(trailed, func(p provocation, w *world) { look(kind.name+", "+p.name, w, kind.make(w)) })
		}
	}
}

// wire is both ends of an upgraded connection that echoes.
type wire struct {
	io.Reader
	io.WriteCloser
}

func (w wire) Close() error { return w.WriteCloser.Close() }

// switched is a 101 without a server behind it.
func switched(req *http.Request) *http.Response {
	pr, pw := io.Pipe()
	resp := canned(req, http.StatusSwitchingProtocols, "")
	resp.Header.Set("Upgrade", "echo")
	resp.Body, resp.ContentLength = wire{pr, pw}, -1
	return resp
}

func checkUpgrade(c *check) {
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		conn, buf, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buf.ReadString('\n')
		io.WriteString(conn, line)
	})
	if c.via == memory {
		w.rec.script = func(_ int, req *http.Request) (*http.Response, error) { return switched(req), nil }
	}
	req := w.get("/")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := w.send(req)
	if err != nil {
		c.report("101 Switching Protocols is a response", "error %v", err)
		return
	}
	defer resp.Body.Close()
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != 101 || !ok {
		c.report("the Body of a 101 is an io.ReadWriteCloser", "status %d, Body of type %T", resp.StatusCode, resp.Body)
		return
	}
	go io.WriteString(conn, "ping\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "ping\n" {
		c.report("what is written to the Body of a 101 reaches the server, and its answer comes back", "%q, error %v", line, err)
	}
}

// odd is a body whose last bytes come together with its error.
type odd struct {
	text string
	err  error
}

func (o *odd) Read(p []byte) (int, error) {
	n := copy(p, o.text)
	if o.text = o.text[n:]; o.text != "" {
		return n, nil
	}
	return n, o.err
}

func (o *odd) Close() error { return nil }

func checkBodyPassesThrough(c *check) {
	checkLiveStream(c, 200, http.Header{"Content-Type": {"text/event-stream"}})
	if !c.via.real() {
		checkLiveStream(c, 404, http.Header{"Content-Type": {"text/event-stream"}})
		for _, status := range []int{200, 404} {
			checkLiveStream(c, status, http.Header{"Content-Type": {"application/json"}})
			checkLiveStream(c, status, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"1000"}})
		}
	}
	if c.via == memory {
		checkLastBytes(c)
	}
}

// checkLiveStream reads a response whose next part is only sent when the one
// before has arrived.
func checkLiveStream(c *check, status int, header http.Header) {
	name := fmt.Sprintf("%d, %v", status, header)
	next := make(chan struct{})
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		maps.Copy(rw.Header(), header)
		rw.WriteHeader(status)
		for i := range 3 {
			fmt.Fprintf(rw, "data: %d\n\n", i)
			rw.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
		<-r.Context().Done() // and stays open
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	arrived := make(chan string)
	go func() {
		defer close(arrived)
		c.guard(func() {
			resp, err := w.send(w.get("/").WithContext(ctx))
			if err != nil {
				return
			}
			lines := bufio.NewReader(resp.Body)
			for range 3 {
				line, _ := lines.ReadString('\n')
				lines.ReadString('\n')
				arrived <- strings.TrimSpace(line)
			}
			if c.via.real() { // since a lock that is held stops the clock of a bubble
				go c.guard(func() { resp.Body.Read(make([]byte, 1)) })
				settle(c)
			}
			c.closesAtOnce("a live stream", resp.Body)
		})
	}()
	for i := range 3 {
		select {
		case line, ok := <-arrived:
			if want := "data: " + strconv.Itoa(i); ok && line != want {
				c.report("events arrive as they were sent", "%s: %q for %q", name, line, want)
			}
		case <-time.After(c.soon()):
			c.report("an event arrives before the next one is sent", "%s: event %d did not, for %v", name, i, c.soon())
			cancel()
			for range arrived {
			}
			return
		}
		select {
		case next <- struct{}{}:
		case <-time.After(c.soon()):
		}
	}
	for range arrived {
	}
	w.close()
}

// closesAtOnce closes body, twice, as callers do.
func (c *check) closesAtOnce(name string, body io.Closer) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.guard(func() {
			body.Close()
			body.Close()
		})
	}()
	select {
	case <-closed:
	case <-time.After(c.soon()):
		c.report("Close of "+name+" returns at once", "it still blocks after %v", c.soon())
	}
}

func checkLastBytes(c *check) {
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, errCause} {
		w := c.serve(echo)
		w.rec.script = func(_ int, req *http.Request) (*http.Response, error) {
			resp := canned(req, 200, "")
			resp.Body, resp.ContentLength = &odd{"last bytes", err}, -1
			return resp, nil
		}
		resp, sendErr := w.send(w.get("/"))
		if sendErr != nil {
			c.report("a response whose body breaks is a response", "error %v", sendErr)
			continue
		}
		text, got := io.ReadAll(resp.Body)
		if err == io.EOF {
			err = nil
		}
		if string(text) != "last bytes" || got != err {
			c.report("bytes and error of a Read arrive as they were", "%q and %v became %q and %v", "last bytes", err, text, got)
		}
		resp.Body.Close()
	}
}

func checkBodiless(c *check) {
	bodiless := func(rw http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if r.Method == "HEAD" {
			rw.Header().Set("Content-Length", "1000")
		}
		rw.WriteHeader(status)
	}
	for _, call := range []struct {
		method string
		status int
		length int64
	}{{"HEAD", 200, 1000}, {"GET", 204, 0}, {"GET", 304, 0}, {"HEAD", 404, 1000}, {"HEAD", 429, 1000}, {"HEAD", 503, 1000}} {
		if c.via.real() && call.status >= 429 {
			continue
		}
		w := c.serve(bodiless)
		resp, err := w.send(w.request(context.Background(), call.method, "/"+strconv.Itoa(call.status)))
		if err != nil {
			c.report("a response without a body is a response", "%s, %d: error %v", call.method, call.status, err)
			continue
		}
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != call.status || len(text) > 0 || err != nil {
			c.report("a response without a body passes", "%s, %d: status %d, %q, error %v", call.method, call.status, resp.StatusCode, text, err)
		}
		if call.method == "HEAD" && resp.ContentLength != call.length {
			c.report("HEAD tells the length that GET would have", "ContentLength %d for %d", resp.ContentLength, call.length)
		}
		resp.Body.Close()
	}
}
