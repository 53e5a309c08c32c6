package steadytest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

func checkConcurrency(c *check) {
	c.crowd("calls do not fail because there are many", func(int) bool { return false })
	if c.via.real() {
		return
	}
	c.crowd("calls do not fail because others are cancelled", func(call int) bool { return call%5 == 4 })
	storm := c.serveNth(func(n int, rw http.ResponseWriter, r *http.Request) {
		if n%3 == 0 {
			provocation{status: []int{429, 503, 500}[n/3%3]}.answer(rw, "not now")
			return
		}
		echo(rw, r)
	})
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			data := fmt.Sprintf("body of %d", i)
			if got, body, err := storm.fetch(storm.post(&upload{data: data, replay: true})); err == nil && got == 200 && body != data {
				c.report("each caller gets the response to its own request", "among failures: %q for %q", body, data)
			}
		})
	}
	all.Wait()
}

// crowd makes 200 calls from 100 goroutines, of which those that are cancelled
// have a context that is done. Another call may be refused, which is an error
// without an attempt, but if it was sent it may not fail, which want says. In
// real time the crowd leaves after a second, however slowly it is let through.
func (c *check) crowd(want string, cancelled func(call int) bool) {
	status := func(call int) int { return []int{200, 200, 200, 404, 200, 400, 200, 201}[call%8] }
	w := c.serve(func(rw http.ResponseWriter, r *http.Request) {
		var call int
		fmt.Sscan(r.Header.Get("X-Call"), &call)
		body, _ := io.ReadAll(r.Body)
		rw.WriteHeader(status(call))
		fmt.Fprintf(rw, "%d %s", call, body)
	})
	defer w.close()
	there, leave := context.WithCancel(context.Background())
	defer leave()
	if c.via.real() {
		defer time.AfterFunc(time.Second, leave).Stop()
	}
	if c.via == loopback2 {
		w.fetch(w.get("/")) // for a connection that all share, or each makes one
	}
	gone, cancel := context.WithCancel(there)
	cancel()
	var mu sync.Mutex
	failed := map[string]error{} // by X-Call
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for j := range 2 {
				call, data := 2*i+j, ""
				req := w.get("/things")
				if call%3 > 0 {
					data = fmt.Sprintf("body of %d", call)
					req = w.post(&upload{data: data, replay: true})
				}
				name := fmt.Sprint(call)
				req.Header.Set("X-Call", name)
				ctx := there
				if cancelled(call) {
					ctx = gone
				}
				got, body, err := w.fetch(req.WithContext(ctx))
				switch {
				case err == nil && (got != status(call) || body != name+" "+data):
					c.report("each caller gets the response to its own request", "call %d: status %d, %q", call, got, body)
				case err != nil && ctx.Err() == nil:
					mu.Lock()
					failed[name] = err
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	for _, t := range w.rec.trips() {
		call := t.header.Get("X-Call")
		if err := failed[call]; err != nil {
			c.report(want, "call %s was sent, and ended with %v", call, err)
		}
	}
}
