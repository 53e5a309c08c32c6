package steadytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

// waitRules are section C of the contract: waiting and cancellation.
var waitRules = []rule{{
	name: "C1_waiting_ends_with_the_context",
	why:  "a caller that has given up holds its goroutine and its memory until the middleware lets go",
	over: virtual, run: checkCancelledWait,
}, {
	name: "C2_cancellation_gives_its_cause",
	why:  "callers tell a user's stop from a deadline by errors.Is with what they cancelled with",
	over: virtual, run: checkCause,
}, {
	name: "C3_no_wait_that_outlasts_the_deadline",
	why:  "sleeping into a deadline costs the caller its time and the response that was in hand",
	over: virtual, run: checkDeadline,
}, {
	name: "C4_streams_outlast_timeouts_of_attempts",
	why:  "a timeout that covers the body cuts every long stream",
	over: virtual, run: checkLongStream,
}, {
	name: ruleC5,
	why:  whyC5,
	over: virtual, run: checkLeftovers,
}, {
	name: "C7_serves_many_goroutines",
	why:  "one Transport is used by the whole program",
	over: everywhere, run: checkConcurrency,
}}

var errCause = errors.New("steadytest: the user pressed stop")

var errEndless = errors.New("steadytest: it had no end")

// awaited is what came of a request.
type awaited struct {
	status int
	err    error
}

// await sends req in a goroutine of its own.
func (w *world) await(req *http.Request) <-chan awaited {
	done := make(chan awaited, 1)
	go func() {
		a := awaited{err: errEndless}
		defer func() { done <- a }()
		a.status, _, a.err = w.fetch(req)
	}()
	return done
}

// wait is a situation in which a middleware may wait: the server asks for half a
// minute, or says nothing and is down.
type wait struct {
	name       string
	status     int
	retryAfter string
	reset      time.Duration // of a limit that is used up
}

func (w wait) deny(rw http.ResponseWriter, r *http.Request) {
	if w.retryAfter != "" {
		rw.Header().Set("Retry-After", w.retryAfter)
	}
	if w.reset > 0 {
		rw.Header().Set("X-RateLimit-Remaining", "0")
		rw.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(w.reset).Unix(), 10))
	}
	http.Error(rw, "denied", w.status)
}

var waits = []wait{
	{name: "429 with Retry-After: 30", status: 429, retryAfter: "30"},
	{name: "503 with Retry-After: 30", status: 503, retryAfter: "30"},
	{name: "403 with X-RateLimit-Reset in half a minute", status: 403, reset: 30 * time.Second},
	{name: "429 alone", status: 429},
	{name: "503 alone", status: 503},
	{name: "500 alone", status: 500},
}

// byCancel ends the names of situations in which the caller gives up by closing
// Request.Cancel, as http.Client does at its Timeout.
const byCancel = ", by Request.Cancel"

// whileWaiting makes worlds whose server always denies, brings a call to where
// the middleware holds it, whether that is the first or a later one, and runs f
// in that moment. f cancels and looks.
func (c *check) whileWaiting(f func(name string, w *world, stop func(), done <-chan awaited)) {
	for _, wait := range waits {
		for _, kind := range repeatables {
			for _, legacy := range []bool{false, true} {
				for _, first := range []int{0, 1} { // denied calls before the one that is looked at
					w := c.serve(wait.deny)
					for range first {
						before, cancel := context.WithTimeout(context.Background(), time.Second)
						w.fetch(w.get("/").WithContext(before))
						cancel()
					}
					ctx, cancel := context.WithCancelCause(context.Background())
					req := kind.make(w).WithContext(ctx)
					stop := func() { cancel(errCause) }
					name := kind.name + ", " + wait.name
					if legacy {
						ch := make(chan struct{})
						req.Cancel = ch
						stop = sync.OnceFunc(func() { close(ch) })
						name += byCancel
					}
					done := w.await(req)
					time.Sleep(10 * time.Millisecond)
					select {
					case <-done: // does not wait here
					default:
						f(name, w, stop, done)
					}
					cancel(nil)
					w.close()
				}
			}
		}
	}
}

func checkCancelledWait(c *check) {
	c.whileWaiting(func(name string, w *world, stop func(), done <-chan awaited) {
		start := time.Now()
		stop()
		r := <-done
		if took := time.Since(start); took > 50*time.Millisecond {
			c.report("a wait ends at once when the caller gives up", "%s: it went on for %v and ended with status %d, error %v", name, took, r.status, r.err)
		}
		asked := w.rec.count()
		time.Sleep(5 * time.Minute)
		if n := w.rec.count() - asked; n > 0 {
			c.report("no attempt after the caller has given up", "%s: %d more", name, n)
		}
	})
	silent := func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	begun := func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	// Where the base waits and the middleware passes the context on, in the first
	// attempt and in later ones.
	c.cancelledAtBase("a call in flight", c.serve(silent))
	c.cancelledAtBase("reading a body", c.serve(begun))
	c.provoke(silent, func(p provocation, w *world) { c.cancelledAtBase("a call in flight", w) })
	c.provoke(begun, func(p provocation, w *world) { c.cancelledAtBase("reading a body", w) })
}

// cancelledAtBase cancels a call half an hour after it was begun.
func (c *check) cancelledAtBase(what string, w *world) {
	ctx, cancel := context.WithCancelCause(context.Background())
	done := w.await(w.get("/").WithContext(ctx))
	time.Sleep(30 * time.Minute)
	cancel(errCause)
	start := time.Now()
	<-done
	if took := time.Since(start); took > 50*time.Millisecond {
		c.report(what+" ends at once when the caller gives up", "attempt %d went on for %v", w.rec.count(), took)
	}
}

func checkCause(c *check) {
	c.whileWaiting(func(name string, w *world, stop func(), done <-chan awaited) {
		stop()
		r := <-done
		// A response in hand is an answer too, and Request.Cancel has no cause.
		if r.err != nil && !errors.Is(r.err, errCause) && !strings.HasSuffix(name, byCancel) {
			c.report("the error of a cancelled wait is context.Cause", "%s: %v", name, r.err)
		}
	})
	silent := func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	w := c.serve(silent)
	ctx, cancel := context.WithCancelCause(context.Background())
	done := w.await(w.get("/").WithContext(ctx))
	time.Sleep(time.Second)
	cancel(errCause)
	r := <-done
	settle(c)
	if !errors.Is(r.err, errCause) && !slices.ContainsFunc(w.rec.trips(), func(t *trip) bool { return errors.Is(r.err, t.err) }) {
		c.report("the error of a call cancelled in flight is the base's", "%v for %v", r.err, w.rec.trips()[0].err)
	}
	w = c.serve(silent)
	ctx, cancel = context.WithCancelCause(context.Background())
	cancel(errCause)
	if r := <-w.await(w.get("/").WithContext(ctx)); !errors.Is(r.err, errCause) {
		c.report("the error of a call whose context was done before is context.Cause", "%v", r.err)
	}
	w = c.serve(silent)
	soon, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	r = <-w.await(w.get("/").WithContext(soon))
	timeout, ok := r.err.(interface{ Timeout() bool }) // url.Error asks no deeper
	if !errors.Is(r.err, context.DeadlineExceeded) || !ok || !timeout.Timeout() {
		c.report("a deadline's error is context.DeadlineExceeded, and says Timeout", "%v", r.err)
	}
}

func checkDeadline(c *check) {
	for _, status := range []int{429, 503} {
		for _, after := range []string{"3600", "86400", "9223372037", time.Now().Add(48 * time.Hour).UTC().Format(http.TimeFormat)} {
			w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Retry-After", after)
				http.Error(rw, "come back later", status)
			})
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			start := time.Now()
			got, body, err := w.fetch(w.get("/").WithContext(ctx))
			took := time.Since(start)
			cancel()
			if took > 200*time.Millisecond {
				c.report("what would outlast the deadline is not waited for", "%d with Retry-After: %s and a deadline in 300 ms: it took %v", status, after, took)
			}
			if got != status || body != "come back later\n" {
				c.report("the response in hand is returned when there is no time for another attempt",
					"%d with Retry-After: %s and a deadline in 300 ms: status %d, %q, error %v", status, after, got, body, err)
			}
			if n := w.rec.count(); n > 1 {
				c.report("a server that asks for a later time is not asked before", "Retry-After: %s: %d attempts within 300 ms", after, n)
			}
			w.close()
		}
	}
	for _, status := range []int{429, 503, 500} {
		w := c.serve(wait{status: status}.deny)
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		start := time.Now()
		_, _, err := w.fetch(w.get("/").WithContext(ctx))
		cancel()
		if err != nil && time.Since(start) >= 300*time.Millisecond {
			c.report("the response in hand is returned when there is no time for another attempt",
				"%d and a deadline in 300 ms: error %v after %d attempts", status, err, w.rec.count())
		}
		w.close()
	}
}

func checkLongStream(c *check) {
	const events = 60
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		for i := range events {
			fmt.Fprintf(rw, "data: %d\n\n", i)
			rw.(http.Flusher).Flush()
			time.Sleep(time.Minute)
		}
	})
	resp, err := w.send(w.get("/"))
	if err != nil {
		c.report("a stream begins", "error %v", err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if want := len("data: 0\n\n")*10 + len("data: 10\n\n")*(events-10); err != nil || len(text) != want {
		c.report("a stream of an hour arrives whole", "%d of %d bytes, error %v", len(text), want, err)
	}
	if c.via == memory {
		checkIdleUpgrade(c)
	}
}

// checkIdleUpgrade uses an upgraded connection an hour after it was made.
func checkIdleUpgrade(c *check) {
	w := c.serve(echo)
	w.rec.script = func(_ int, req *http.Request) (*http.Response, error) { return switched(req), nil }
	resp, err := w.send(w.get("/"))
	if err != nil {
		return // which is D3's
	}
	defer resp.Body.Close()
	time.Sleep(time.Hour)
	if conn, ok := resp.Body.(io.ReadWriter); ok {
		go io.WriteString(conn, "p")
		if n, err := conn.Read(make([]byte, 1)); n != 1 {
			c.report("an upgraded connection outlasts it too", "after an hour: error %v", err)
		}
	}
}

// undone is a context that can be done, but never is. Whatever waits for it shows
// as a goroutine.
type undone struct {
	context.Context
	done chan struct{}
}

func (u undone) Done() <-chan struct{} { return u.done }

func checkLeftovers(c *check) {
	// ended looks at what a call that is over has left at the base. own is its
	// context, if that is not done.
	ended := func(name string, w *world, own context.Context) {
		settle(c)
		time.Sleep(10 * time.Second)
		for i, t := range w.rec.trips() {
			if t.reply != nil {
				if _, _, closed := t.reply.state(); closed == 0 {
					c.report(wantReplyClosed, "%s: that of attempt %d is open", name, i+1)
				}
			}
			ctx := t.req.Context()
			if ctx.Err() != nil {
				continue
			}
			if deadline, ok := ctx.Deadline(); ok {
				c.report("a timer ends with its attempt", "%s: the context of attempt %d still waits for %v", name, i+1, time.Until(deadline))
			}
			if own != nil && ctx.Done() != nil && ctx.Done() != own.Done() {
				c.report("a context that was made for an attempt is cancelled with it", "%s: that of attempt %d is not", name, i+1)
			}
		}
	}
	for _, kind := range repeatables {
		try := func(name string, w *world) {
			own := undone{context.Background(), make(chan struct{})}
			w.fetch(kind.make(w).WithContext(own))
			if strings.HasSuffix(name, silence) {
				time.Sleep(2 * time.Hour)
			}
			ended(kind.name+", "+name, w, own)
		}
		w := c.serve(echo)
		try("success", w)
		w.close()
		w = c.serve(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusNoContent) })
		try("204", w)
		w.close()
		c.provoke(echo, func(p provocation, w *world) { try(p.name, w) })
	}
	c.whileWaiting(func(name string, w *world, stop func(), done <-chan awaited) {
		stop()
		<-done
		ended(name+", cancelled", w, nil)
	})
	// A response that comes when nobody waits for it any more.
	w := c.serve(echo)
	w.rec.script = func(_ int, req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		time.Sleep(time.Second)
		return canned(req, 200, "late"), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := w.await(w.get("/").WithContext(ctx))
	time.Sleep(time.Second)
	cancel()
	<-done
	ended("an answer after the caller has given up", w, nil)
	// A body that the caller forgets is given up with the context.
	w = c.serve(func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	w.forgetful = true
	ctx, cancel = context.WithCancel(context.Background())
	if _, err := w.send(w.get("/").WithContext(ctx)); err != nil {
		c.report("a stream begins", "error %v", err)
	}
	cancel()
	settle(c)
}
