package steadytest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ruleB1 is known to every world, which sees what became of its uploads.
const (
	ruleB1         = "B1_body_is_closed_on_every_path"
	whyB1          = "a caller that writes into a pipe waits for ever for a reader that went away without closing it"
	wantBodyClosed = "the request's body is closed in the end"
)

// bodyRules are section B of the contract: the request's body.
var bodyRules = []rule{{
	name: "B0_first_attempt_sends_the_body_it_was_given",
	why: "whoever wraps a request's Body leaves an old GetBody beside it, callers count its calls, " +
		"and a GetBody that seeks a shared reader disturbs the body that is being sent",
	over: everywhere, run: checkOwnBody,
}, {
	name: ruleB1,
	why:  whyB1,
	over: []via{memory, http1, http2, loopback1}, run: checkBodyClosed,
}, {
	name: "B2_no_body_stays_no_body",
	why:  "a wrapped http.NoBody turns Content-Length: 0 into a chunked request, which servers refuse",
	over: everywhere, run: checkNoBody,
}, {
	name: "B3_body_is_streamed_and_sent_once_if_it_cannot_be_replayed",
	why:  "a body that is buffered costs its size in memory, blocks until the caller has written all of it, and breaks full duplex",
	over: virtual, run: checkStreamedBody,
}, {
	name: "B4_every_body_from_GetBody_is_closed",
	why:  "a body may be an open file",
	over: virtual, run: checkReplaysClosed,
}, {
	name: "B5_attempts_do_not_share_the_body",
	why: "a transport reads on after it has returned an early answer; a replay that shares its reader " +
		"is then a data race and sends torn bytes",
	over: virtual, run: checkDetached,
}, {
	name: "B6_replays_send_the_same_bytes",
	why:  "a second attempt with another body or framing is another request",
	over: virtual, run: checkReplay,
}, {
	name: "B7_only_what_may_be_repeated_is_repeated",
	why:  "a POST that the server has acted on is done twice",
	over: virtual, run: checkRepeatable,
}, {
	name: "B8_trailers_upgrades_and_tunnels_have_one_attempt",
	why:  "a trailer's values belong to one reading of the body, and an upgraded connection cannot be replayed",
	over: virtual, run: checkSingleAttempt,
}}

func checkOwnBody(c *check) {
	w := c.serve(echo)
	u := &upload{data: "fresh", stale: "stale!", replay: true}
	opaque := w.post(u) // that nobody has a reason to look into
	opaque.Header.Set("Content-Type", "application/octet-stream")
	w.must(opaque, "fresh")
	if _, _, gets, _ := u.state(); gets > 0 {
		c.report("no call of GetBody for a request that succeeds at once", "%d calls", gets)
	}
	// Whoever must look into a JSON body has to put it back, shared or not.
	chat := `{"model":"gpt-5","messages":[{"role":"user","content":"` + large(5000) + `"}]}`
	w2 := c.serve(echo)
	req := (&upload{data: chat, replay: true, shared: true}).attach(w2, w2.request(context.Background(), "POST", "/v1/chat/completions"))
	req.Header.Set("Content-Type", "application/json")
	w2.must(req, chat)
	if c.via.real() {
		return
	}
	// An old GetBody is told by its length from the body that was sent.
	w3 := c.serveNth(func(n int, rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if n > 1 && err == nil && string(body) != "fresh" {
			c.report("no replay whose length differs from what was sent", "the server was sent %q after %q", body, "fresh")
		}
		provocation{status: 503}.answer(rw, "not now")
	})
	w3.fetch(w3.post(&upload{data: "fresh", stale: "stale!", replay: true}))
}

// strains are what brings some to refuse on their own, sooner or later.
var strains = []struct {
	name   string
	script func(n int, req *http.Request) (*http.Response, error)
}{
	{"after refused connections", func(int, *http.Request) (*http.Response, error) { return nil, errRefused }},
	{"after 503s", func(_ int, req *http.Request) (*http.Response, error) { return canned(req, 503, "down"), nil }},
	{"after 500s", func(_ int, req *http.Request) (*http.Response, error) { return canned(req, 500, "down"), nil }},
	{"after a 429 with Retry-After: 3600", func(_ int, req *http.Request) (*http.Response, error) {
		resp := canned(req, 429, "not now")
		resp.Header.Set("Retry-After", "3600")
		return resp, nil
	}},
	{"after many calls", nil},
}

func checkBodyClosed(c *check) {
	if c.via.real() {
		checkQueued(c)
		return
	}
	// closed says of one path that the request's bodies must be closed in its end.
	closed := func(path string, u *upload, err error) {
		settle(c)
		if copies, open, _, _ := u.state(); open > 0 {
			c.report(wantBodyClosed, "%s: %d of %d bodies were not (error %v)", path, open, copies, err)
		}
	}
	w := c.serve(echo)
	u := &upload{data: "hello"}
	w.must(w.post(u), "hello")
	closed("success", u, nil)

	u = &upload{data: "hello", replay: true}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	before := w.rec.count()
	_, _, err := w.fetch(w.post(u).WithContext(done))
	closed("the context was done before the call", u, err)
	if err == nil && w.rec.count() > before {
		c.report("no response to a call whose context is done before it", "a response")
	}

	hold := c.serve(func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	u = &upload{data: "hello", replay: true}
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	_, _, err = hold.fetch(hold.post(u).WithContext(soon))
	cancel()
	closed("cancelled while the server was silent", u, err)

	c.provoke(echo, func(p provocation, w *world) {
		for _, replay := range []bool{true, false} {
			u := &upload{data: "hello", replay: replay}
			_, _, err := w.fetch(w.post(u))
			closed(p.name, u, err)
		}
	})
	c.provoke(echo, func(p provocation, w *world) {
		u := &upload{data: "hello", replay: true, getError: errors.New("GetBody failed")}
		_, _, err := w.fetch(w.post(u))
		closed(p.name+", GetBody fails", u, err)
	})
	rounds := 60
	if c.via == memory {
		rounds = 300
	}
	for _, strain := range strains {
		w := c.serve(echo)
		w.rec.script = strain.script
		for range rounds {
			asked, u := w.rec.count(), &upload{data: "hello", replay: true}
			soon, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			_, _, err := w.fetch(w.post(u).WithContext(soon))
			cancel()
			if w.rec.count() == asked {
				closed(strain.name+", refused without asking the base", u, err)
				break
			}
		}
		w.close()
	}
	pr, pw := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(pw, "never read")
		wrote <- err
	}()
	piped := hold.request(done, "POST", "/")
	piped.Body, piped.ContentLength = pr, -1
	hold.fetch(piped)
	select {
	case <-wrote:
	case <-time.After(time.Minute):
		c.report("a writer into a pipe is released", "it still waits a minute after the call")
		pw.CloseWithError(io.ErrClosedPipe)
	}
}

// checkQueued cancels a call that finds no place among those that are under way.
// It does so in real time: one that waits for a lock stops the clock of a bubble.
func checkQueued(c *check) {
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	all, leave := context.WithCancel(context.Background())
	defer leave()
	for range 50 {
		asked, u := w.rec.count(), &upload{data: "hello", replay: true}
		ctx, cancel := context.WithCancel(all)
		defer cancel()
		done := w.await(w.post(u).WithContext(ctx))
		for wait := 100; wait > 0 && w.rec.count() == asked; wait-- {
			time.Sleep(time.Millisecond)
		}
		if w.rec.count() > asked {
			continue
		}
		cancel()
		select {
		case r := <-done:
			if _, open, _, _ := u.state(); open > 0 && w.rec.count() == asked {
				c.report(wantBodyClosed, "cancelled before the base was asked: it is open (error %v)", r.err)
			}
		case <-time.After(c.soon()):
			c.report("a call that waits for its turn ends when the caller gives up", "it still waits %v later", c.soon())
		}
		return
	}
}

func checkNoBody(c *check) {
	describe := func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s %d %v", r.Method, r.ContentLength, r.TransferEncoding)
	}
	try := func(name string, w *world, method string, body io.ReadCloser) {
		req := w.request(context.Background(), method, "/")
		req.Header.Set("Idempotency-Key", "one")
		req.Body = body
		if body != nil {
			req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		}
		status, got, err := w.fetch(req)
		want := method + " 0 []"
		if method == "HEAD" {
			want = ""
		}
		if status == 200 && got != want {
			c.report("the server is told that there is no body", "%s: it saw %q, error %v", name, got, err)
		}
		for _, t := range w.rec.trips() {
			if body == nil && t.body != nil && t.body != http.NoBody || body != nil && t.body != http.NoBody {
				c.report("http.NoBody stays http.NoBody, and nil nil", "%s: the base got a body of type %T", name, t.body)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		for name, body := range map[string]io.ReadCloser{"nil": nil, "http.NoBody": http.NoBody} {
			w := c.serve(describe)
			try(method+" with "+name, w, method, body)
			w.close()
			if !c.via.real() && method == "POST" {
				c.provoke(describe, func(p provocation, w *world) { try(method+" with "+name+" after "+p.name, w, method, body) })
			}
		}
	}
}

func checkStreamedBody(c *check) {
	duplex := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		http.NewResponseController(rw).EnableFullDuplex()
		rw.WriteHeader(200)
		rw.(http.Flusher).Flush()
		io.Copy(rw, r.Body)
	})
	pr, pw := io.Pipe()
	defer pr.Close()
	req := duplex.request(context.Background(), "POST", "/")
	req.Body, req.ContentLength = pr, -1
	type result struct {
		resp *http.Response
		err  error
	}
	answered := make(chan result, 1)
	go func() {
		resp, err := duplex.send(req)
		answered <- result{resp, err}
	}()
	more := make(chan struct{})
	go func() {
		io.WriteString(pw, "1")
		<-more
		io.WriteString(pw, "2")
		pw.Close()
	}()
	defer close(more)
	select {
	case r := <-answered:
		if r.err != nil {
			c.report("a server may answer before the body has ended", "error %v", r.err)
			break
		}
		more <- struct{}{}
		if text, err := io.ReadAll(r.resp.Body); string(text) != "12" {
			c.report("the body is sent on after the response has begun", "the server echoed %q, error %v", text, err)
		}
		r.resp.Body.Close()
	case <-time.After(time.Hour):
		c.report("the body reaches the server while the caller still writes it", "nothing did, for an hour")
		pw.Close()
		pr.Close()
		if r := <-answered; r.resp != nil {
			r.resp.Body.Close()
		}
	}

	c.provoke(echo, func(p provocation, w *world) {
		var early int
		u := &upload{data: "hello"}
		req := w.post(u)
		w.rec.onTrip = func() { early = max(early, u.reads(0)) }
		status, body, err := w.fetch(req)
		if w.rec.count() == 1 && early > 0 {
			c.report("the body is left to the base to read", "%s: %d reads before the base was asked", p.name, early)
		}
		if w.rec.count() > 1 && p.err == nil {
			c.report("a body without GetBody is sent once, not kept", "%s: %d attempts, the last one answered %d %q, error %v", p.name, w.rec.count(), status, body, err)
		}
	})
}

func checkReplaysClosed(c *check) {
	c.provoke(echo, func(p provocation, w *world) {
		u := &upload{data: "hello", replay: true}
		w.fetch(w.post(u))
		settle(c)
		if copies, open, gets, _ := u.state(); open > 0 {
			c.report("each body that GetBody made is closed, and the first too", "%s: %d of %d are open (GetBody was called %d times)", p.name, open, copies, gets)
		}
	})
}

// lingering is a base that answers before it has read the request's body, and
// reads on when it has returned, as http.Transport may.
func lingering(n int, req *http.Request) (*http.Response, error) {
	if n > 1 {
		return nil, nil
	}
	body, buf := req.Body, make([]byte, 1)
	go func() {
		defer body.Close()
		for {
			if _, err := body.Read(buf); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	time.Sleep(50 * time.Millisecond)
	resp := canned(req, 503, "not now")
	resp.Header.Set("Retry-After", "0")
	return resp, nil
}

func checkDetached(c *check) {
	for _, slow := range []time.Duration{0, 5 * time.Second} {
		w := c.serve(echo)
		u := &upload{data: large(20), replay: true, shared: true, slow: slow}
		w.rec.script, w.rec.keepBody = lingering, true
		status, body, err := w.fetch(w.post(u))
		time.Sleep(10 * time.Second)
		if w.rec.count() < 2 {
			continue
		}
		if _, _, _, problems := u.state(); len(problems) > 0 {
			c.report("an attempt's body is cut off from the caller's before the next one begins", "%s", strings.Join(problems, "; "))
		}
		if status == 200 && body != u.data {
			c.report("the replay is whole", "the server got %q, error %v", brief(body), err)
		}
		w.close()
	}
	// On a wire: a large body that the server answers before reading it.
	want := fmt.Sprintf("%x", sha256.Sum256([]byte(large(1<<20))))
	c.provoke(func(rw http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(rw, "%x", h.Sum(nil))
	}, func(p provocation, w *world) {
		u := &upload{data: large(1 << 20), replay: true, shared: true}
		status, body, err := w.fetch(w.post(u))
		if w.rec.count() < 2 {
			return
		}
		if _, _, _, problems := u.state(); len(problems) > 0 {
			c.report("an attempt's body is cut off from the caller's before the next one begins", "%s: %s", p.name, strings.Join(problems, "; "))
		}
		if status == 200 && body != want {
			c.report("the replay is whole", "%s: the server got other bytes, error %v", p.name, err)
		}
	})
}

func checkReplay(c *check) {
	type arrival struct {
		length   int64
		encoding []string
		body     string
	}
	for _, length := range []int64{10_000, -1, 0} { // 0 with a body is unknown too
		for _, p := range denials() {
			var mu sync.Mutex
			var arrivals []arrival
			w := c.serveNth(func(n int, rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				arrivals = append(arrivals, arrival{r.ContentLength, r.TransferEncoding, string(body)})
				mu.Unlock()
				if n == 1 {
					p.answer(rw, "not now")
				}
			})
			u := &upload{data: large(10_000), replay: true}
			req := w.post(u)
			req.ContentLength = length
			w.fetch(req)
			w.close()
			mu.Lock()
			all := arrivals
			mu.Unlock()
			for _, a := range all {
				if a.body != u.data || a.length != all[0].length || !slices.Equal(a.encoding, all[0].encoding) {
					c.report("every attempt has the same body, length and framing", "after a %d: Content-Length %d, Transfer-Encoding %q, %d bytes; the first had %d, %q, %d",
						p.status, a.length, a.encoding, len(a.body), all[0].length, all[0].encoding, len(all[0].body))
				}
			}
		}
	}
}
