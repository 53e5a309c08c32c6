package steadyhttp

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// loop runs the rest of a series, once next has said that there is more: it is
// go-retryablehttp's loop, with a series in the place of everything else.
//
// The library is given a request and responses that stand in for the real ones,
// because it would replace the body of the request, follow redirects, drain
// without a bound in time and close idle connections. It does not wait either:
// its timer knows neither Request.Cancel nor a circuit that changes.
func (s *series) loop() {
	rest := *s // most series end before this, and stay on the stack
	defer func() { *s = rest }()
	e := &engine{series: &rest}
	c := retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: e},
		RetryMax:     math.MaxInt,
		CheckRetry:   e.checkRetry,
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return noWait },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	// What Do returns is a stand-in, or the context's error: the series knows.
	c.Do(&retryablehttp.Request{Request: standIn.WithContext(rest.req.Context())})
}

// noWait is the wait of the library's own, which a series has no use for. It is not
// zero: timers that have run out when they are looked at crash programs of Go 1.26
// with both the race detector and testing/synctest in them.
const noWait = time.Nanosecond

var standIn = &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "series.invalid"}, Header: http.Header{}}

// engine is the transport of the library's client. The first round of the loop is
// the attempt that was made before it. It has no CloseIdleConnections, which the
// library calls whenever it gives up.
type engine struct {
	series *series
	rounds int
}

// RoundTrip makes the attempt that is planned.
func (e *engine) RoundTrip(*http.Request) (*http.Response, error) {
	if e.rounds++; e.rounds > 1 && e.series.wait() {
		e.series.plan = plan{} // it is carried out
		e.series.try(time.Now())
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: leftover{e.series}}, nil
}

func (e *engine) checkRetry(context.Context, *http.Response, error) (bool, error) {
	return e.rounds == 1 || e.series.next(), nil
}

// leftover is the body of a stand-in. The library reads and closes it only if it
// goes on to another attempt, and then it is time to drop the real one.
type leftover struct{ series *series }

func (l leftover) Read([]byte) (int, error) { return 0, io.EOF }

func (l leftover) Close() error {
	l.series.discard()
	return nil
}
