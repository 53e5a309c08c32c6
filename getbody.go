package steadyhttp

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// errGivenUp says that the caller gave the request up while its GetBody, or a Read of
// what that gave, was under way: nothing else bounds the time that these take.
var errGivenUp = errors.New("steadyhttp: request given up while its body was asked for")

// getBody is what GetBody of req gives, which is not waited for any longer than the
// caller waits for req. A body that comes later is closed.
func getBody(req *http.Request) (io.ReadCloser, error) {
	if givesSnapshots(req) {
		return req.GetBody()
	}
	type copied struct {
		body     io.ReadCloser
		err      error
		panicked any
	}
	c, ok := await(req, func() (c copied) {
		defer func() { c.panicked = recover() }()
		c.body, c.err = req.GetBody()
		return c
	}, func(late copied) {
		if late.body != nil {
			closeSafely(late.body)
		}
	})
	switch {
	case !ok:
		return nil, errGivenUp
	case c.panicked != nil:
		panic(c.panicked)
	}
	return c.body, c.err
}

// closeSafely is a Close that cannot end the program, as a panic of it would in a
// goroutine of ours.
func closeSafely(body io.Closer) (err error) {
	defer rescue(&err)
	return body.Close()
}

// givesSnapshots tells whether GetBody of req is one that http.NewRequest makes.
func givesSnapshots(req *http.Request) bool {
	return req.GetBody != nil && slices.Contains(newRequestGetBody[:], entryOf(req.GetBody))
}

// grace is how long what is nearly done is waited for when a request is given up: the
// caller may use the body again at once, and a request that was given up before has a
// key all the same.
const grace = 10 * time.Millisecond

// await returns what f does, unless req is given up before: then drop gets it, whenever
// that will be. A panic in f is for f to recover.
func await[T any](req *http.Request, f func() T, drop func(T)) (v T, ok bool) {
	done, cancel := req.Context().Done(), cancelOf(req)
	if done == nil && cancel == nil {
		return f(), true
	}
	answers, unwanted := make(chan T), make(chan struct{})
	go func() {
		var answer T // also if f ends this goroutine
		defer func() {
			select {
			case answers <- answer:
			case <-unwanted:
				drop(answer)
			}
		}()
		answer = f()
	}()
	select {
	case v = <-answers:
		return v, true
	case <-done:
	case <-cancel:
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case v = <-answers:
		return v, true
	case <-timer.C:
	}
	close(unwanted)
	return v, false
}
