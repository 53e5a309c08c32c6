package steadytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strconv"
	"sync"
	"time"
)

// slowBody gives a byte after each pause, for hours; with no pause, as many as
// are asked for, until the check has seen enough.
type slowBody struct {
	pause  time.Duration
	left   int
	closed chan struct{}
	once   sync.Once
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	n := len(p)
	if b.pause > 0 {
		n = 1
		select {
		case <-time.After(b.pause):
		case <-b.closed:
			return 0, errors.New("steadytest: body read after it was closed")
		}
	}
	n = min(n, b.left)
	b.left -= n
	return n, nil
}

func (b *slowBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func checkDrained(c *check) {
	for _, p := range denials() {
		for _, body := range []struct {
			name  string
			pause time.Duration
			size  int
		}{
			{"of 20 kB", 0, 20_000},
			{"that trickles for ten hours", time.Second, 36_000},
			{"that hangs for a month", 30 * 24 * time.Hour, 1},
			{"of 256 MiB", 0, 256 << 20},
		} {
			w := c.serve(echo)
			w.rec.script = func(n int, req *http.Request) (*http.Response, error) {
				if n > 1 {
					if first := w.rec.trips()[0]; first.reply != nil {
						if _, _, closed := first.reply.state(); closed == 0 {
							c.report("a retried response is closed before the next attempt", "a %d with a body %s was not", p.status, body.name)
						}
					}
					return nil, nil
				}
				resp, _ := p.canned(req, "")
				resp.Body, resp.ContentLength = &slowBody{pause: body.pause, left: body.size, closed: make(chan struct{})}, -1
				return resp, nil
			}
			ctx, cancel := context.WithCancel(context.Background())
			start := time.Now()
			resp, err := w.send(w.get("/").WithContext(ctx))
			took := time.Since(start)
			if took > 5*time.Minute {
				c.report("a retry does not wait for a body that does not end", "a %d with a body %s held it for %v (error %v)", p.status, body.name, took, err)
			}
			if first := w.rec.trips()[0]; w.rec.count() > 1 && first.reply != nil {
				read, ended, closed := first.reply.state()
				if read > 8<<20 {
					c.report("no more than some MiB of a retried response are read", "a %d with a body %s: %d MiB", p.status, body.name, read>>20)
				}
				if body.size == 20_000 && !ended {
					c.report("the body of a usual error is read to its end", "a %d: %d of %d bytes and no EOF", p.status, read, body.size)
				}
				if closed == 0 {
					c.report("a retried response is closed", "a %d with a body %s was not", p.status, body.name)
				}
			}
			if resp != nil {
				resp.Body.Close()
			}
			cancel()
			w.close()
		}
	}
	if c.via == http1 {
		checkReused(c)
	}
}

// checkReused is what draining is for.
func checkReused(c *check) {
	w := c.serveNth(func(n int, rw http.ResponseWriter, r *http.Request) {
		if n%2 == 1 {
			provocation{status: 429}.answer(rw, large(20_000))
		}
	})
	for range 10 {
		w.fetch(w.get("/"))
	}
	if n := w.conns.Load(); w.rec.count() > 10 && n > 3 {
		c.report("connections are used again after retried responses", "%d connections for %d attempts, one after the other", n, w.rec.count())
	}
}

func checkLastResponse(c *check) {
	for _, p := range append(denials(), provocation{status: 529}) {
		for i, kind := range repeatables {
			pad := padding
			if i > 0 {
				pad = ""
			}
			c.gaveUp(p, kind.name, kind.make, pad)
			c.failedAfter(p, kind.name, kind.make)
		}
	}
}

// failedAfter sends a request to a server that denies it once, and then fails.
func (c *check) failedAfter(p provocation, name string, request func(w *world) *http.Request) {
	w := c.serve(echo)
	defer w.close()
	w.rec.script = func(n int, req *http.Request) (*http.Response, error) {
		if n == 1 {
			return p.canned(req, "not now")
		}
		return nil, errReset
	}
	if status, body, err := w.fetch(request(w)); status != 0 && (body != "not now" || err != nil) {
		c.report("the last response's body is whole", "%s, %d, then an error: status %d, %q, error %v", name, p.status, status, body, err)
	}
}

// gaveUp sends a request to a server that always denies it, in so many words.
func (c *check) gaveUp(p provocation, name string, request func(w *world) *http.Request, pad string) {
	var mu sync.Mutex
	var last int // attempt
	var want string
	w := c.serveNth(func(n int, rw http.ResponseWriter, r *http.Request) {
		body := fmt.Sprintf(`{"error":{"message":"attempt %d","padding":"%s"}}`, n, pad)
		mu.Lock()
		last, want = n, body
		mu.Unlock()
		rw.Header().Set("X-Attempt", strconv.Itoa(n))
		rw.Header().Set("Content-Type", "application/json")
		p.answer(rw, body)
	})
	defer w.close()
	resp, err := w.send(request(w))
	if err != nil {
		c.report("when it gives up, the last response", "%s, %d, always: error %v after %d attempts", name, p.status, err, w.rec.count())
		return
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	mu.Lock()
	defer mu.Unlock()
	if resp.Header.Get("X-Attempt") != strconv.Itoa(last) {
		c.report("when it gives up, the last response", "%s, %d, always: that to attempt %q of %d", name, p.status, resp.Header.Get("X-Attempt"), last)
	}
	if string(text) != want || err != nil {
		c.report("the last response's body is whole", "%s, %d, always: %d of %d bytes, error %v", name, p.status, len(text), len(want), err)
	}
	for field, values := range p.header() {
		if !slices.Equal(resp.Header[field], values) {
			c.report("the last response's header is whole", "%s, %d, always: %s became %q", name, p.status, field, resp.Header[field])
		}
	}
}

// padding makes a body longer than what is usually read ahead, or drained.
var padding = large(70_000)

func checkRetriedCookie(c *check) {
	for _, p := range denials() {
		w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
			http.SetCookie(rw, &http.Cookie{Name: "seen", Value: "1"})
			if cookies := r.Header.Get("Cookie"); cookies != "" {
				c.report("the next attempt carries the caller's cookies, no others", "Cookie: %s", cookies)
			}
		})
		w.rec.script = func(n int, req *http.Request) (*http.Response, error) {
			if n > 1 {
				return nil, nil
			}
			resp, _ := p.canned(req, "not now")
			resp.Header.Set("Set-Cookie", "unseen=1")
			return resp, nil
		}
		jar, _ := cookiejar.New(nil)
		resp, err := (&http.Client{Transport: w.rt, Jar: jar}).Get(w.url)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			for _, cookie := range jar.Cookies(resp.Request.URL) {
				if cookie.Name == "unseen" && resp.StatusCode == 200 {
					c.report("the jar gets the cookies of the response that the caller gets", "after %s: one of the retried response too", p.name)
				}
			}
		}
		w.close()
	}
}
