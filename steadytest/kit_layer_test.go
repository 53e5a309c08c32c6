package steadytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

//lint:file-ignore SA1019 Request.Cancel is deprecated, but http.Client closes it at its Timeout

// layer is a middleware of one function around a base.
type layer struct {
	next http.RoundTripper
	trip func(next http.RoundTripper, req *http.Request) (*http.Response, error)
}

func (l *layer) base() http.RoundTripper {
	if l.next == nil {
		return http.DefaultTransport
	}
	return l.next
}

func (l *layer) RoundTrip(req *http.Request) (*http.Response, error) { return l.trip(l.base(), req) }

func (l *layer) CloseIdleConnections() {
	if c, ok := l.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// layerOf makes layers of one function.
func layerOf(trip func(next http.RoundTripper, req *http.Request) (*http.Response, error)) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper { return &layer{base, trip} }
}

// janitor is a layer with a goroutine of its own until it is closed.
type janitor struct {
	layer
	stop chan struct{}
}

func (j *janitor) Close() error {
	close(j.stop)
	return nil
}

// places are those of the whole program.
var places = make(chan struct{}, 3)

// hedge sends a GET again if no answer comes within a second, and gives the first
// that comes.
func hedge(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Method != "GET" || req.Body != nil || req.URL == nil || req.Header.Get("Upgrade") != "" {
		return next.RoundTrip(req)
	}
	type answer struct {
		n    int
		resp *http.Response
		err  error
	}
	answers, cancels := make(chan answer, 2), []context.CancelFunc{}
	ask := func() {
		n := len(cancels)
		ctx, cancel := context.WithCancel(req.Context())
		cancels = append(cancels, cancel)
		go func() {
			resp, err := next.RoundTrip(req.WithContext(ctx))
			answers <- answer{n, resp, err}
		}()
	}
	ask()
	var first answer
	select {
	case first = <-answers:
	case <-time.After(time.Second):
		ask()
		first = <-answers
		cancels[1-first.n]()
		go func() {
			if late := <-answers; late.resp != nil {
				late.resp.Body.Close()
			}
		}()
	}
	cancel := cancels[first.n]
	switch {
	case first.err != nil || first.resp.Body == http.NoBody:
		cancel()
	case first.resp.StatusCode != 101:
		stop := context.AfterFunc(req.Context(), cancel)
		first.resp.Body = &ending{first.resp.Body, func() { stop(); cancel() }}
	}
	return first.resp, first.err
}

// ending is a body whose end is told.
type ending struct {
	io.ReadCloser
	ended func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil {
		e.ended()
	}
	return n, err
}

func (e *ending) Close() error {
	err := e.ReadCloser.Close()
	e.ended()
	return err
}

var errFull = errors.New("it is full")

func refuse(req *http.Request) (*http.Response, error) {
	closeBody(req)
	return nil, errFull
}

// adds makes layers that send a copy with one more header.
func adds(name, value string) func(http.RoundTripper) http.RoundTripper {
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if req.Header != nil {
			req = req.WithContext(req.Context())
			req.Header = req.Header.Clone()
			req.Header.Set(name, value)
		}
		return next.RoundTrip(req)
	})
}

// enter waits for a place as long as the caller does.
func enter(places chan<- struct{}, req *http.Request) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-req.Context().Done():
		closeBody(req)
		return context.Cause(req.Context())
	case <-req.Cancel:
		closeBody(req)
		return errGivenUp
	}
}

// sound are middlewares that break no rule but those they are exempt from.
var sound = []struct {
	name   string
	exempt string
	wrap   func(http.RoundTripper) http.RoundTripper
}{
	{"adds a header to a copy", "", adds("X-Request-Id", "1")},
	{"adds credentials to a copy", "A5", adds("Authorization", "Bearer it")},
	{"rewrites the URL of a copy", "A3", layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if req.URL != nil {
			req = req.WithContext(req.Context())
			u := *req.URL
			u.RawQuery = "api-version=1"
			req.URL = &u
		}
		return next.RoundTrip(req)
	})},
	{"copies deeply, but for the trailer", "", layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		clone := req.Clone(req.Context())
		clone.Trailer = req.Trailer
		return next.RoundTrip(clone)
	})},
	{"refuses what is more than ten at once", "", func(base http.RoundTripper) http.RoundTripper {
		places := make(chan struct{}, 10)
		return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			select {
			case places <- struct{}{}:
			default:
				return refuse(req)
			}
			defer func() { <-places }()
			return next.RoundTrip(req)
		}}
	}},
	{"refuses what is more than ten a minute", "", func(base http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		var minute time.Time
		var n int
		return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			mu.Lock()
			if time.Since(minute) > time.Minute {
				minute, n = time.Now(), 0
			}
			n++
			full := n > 10
			mu.Unlock()
			if full {
				return refuse(req)
			}
			return next.RoundTrip(req)
		}}
	}},
	{"refuses after three errors, whatever they are", "", func(base http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		var until time.Time
		var failed int
		return &layer{base, func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			mu.Lock()
			open := time.Now().Before(until)
			mu.Unlock()
			if open {
				return refuse(req)
			}
			resp, err := next.RoundTrip(req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				failed = 0
			} else if failed++; failed == 3 {
				failed, until = 0, time.Now().Add(time.Minute)
			}
			return resp, err
		}}
	}},
	{"lets twenty through each second", "", func(base http.RoundTripper) http.RoundTripper {
		turn := make(chan struct{}, 1)
		var next time.Time
		return &layer{base, func(base http.RoundTripper, req *http.Request) (*http.Response, error) {
			wait := func(turn chan<- struct{}, timer <-chan time.Time) error {
				select {
				case turn <- struct{}{}:
				case <-timer:
				case <-req.Context().Done():
					closeBody(req)
					return context.Cause(req.Context())
				case <-req.Cancel:
					closeBody(req)
					return errGivenUp
				}
				return nil
			}
			if err := wait(turn, nil); err != nil {
				return nil, err
			}
			err := wait(nil, time.After(time.Until(next)))
			if err == nil {
				next = time.Now().Add(time.Second / 20)
			}
			<-turn
			if err != nil {
				return nil, err
			}
			return base.RoundTrip(req)
		}}
	}},
	{"queues at a channel of the whole program", "", layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if err := enter(places, req); err != nil {
			return nil, err
		}
		defer func() { <-places }()
		return next.RoundTrip(req)
	})},
	{"asks again after a second, and drops the later answer", "", layerOf(hedge)},
	{"has a goroutine until it is closed", "", func(base http.RoundTripper) http.RoundTripper {
		j := &janitor{layer{base, http.RoundTripper.RoundTrip}, make(chan struct{})}
		go func() {
			for {
				select {
				case <-time.After(time.Hour):
				case <-j.stop:
					return
				}
			}
		}()
		return j
	}},
}

// TestSoundMiddlewaresKeepTheContract proves that the kit leaves alone what is
// only unusual. HTTP/2 adds nothing to that.
func TestSoundMiddlewaresKeepTheContract(t *testing.T) {
	for _, s := range sound {
		t.Run(s.name, func(t *testing.T) {
			for _, r := range contract {
				if s.exempt != "" && strings.HasPrefix(r.name, s.exempt+"_") {
					continue
				}
				for _, via := range r.over {
					if via == http2 || via == loopback2 {
						continue
					}
					for _, f := range examine(t, r, via, s.wrap).found() {
						t.Error(f)
					}
				}
			}
		})
	}
}

// breaks tells whether a rule finds what wants want, or anything if that is "",
// and gives what it found until then.
func breaks(t *testing.T, prefix, want string, wrap func(http.RoundTripper) http.RoundTripper) (found []Finding, ok bool) {
	for _, r := range contract {
		if !strings.HasPrefix(r.name, prefix+"_") {
			continue
		}
		for _, via := range r.over {
			found = append(found, examine(t, r, via, wrap).found()...)
			if slices.ContainsFunc(found, func(f Finding) bool {
				return strings.HasPrefix(f.Rule, prefix+"_") && (want == "" || f.Want == want)
			}) {
				return found, true
			}
		}
	}
	return found, false
}

// TestUnsoundMiddlewaresAreFound proves that the kit sees what is only wrong in
// passing.
func TestUnsoundMiddlewaresAreFound(t *testing.T) {
	for _, u := range unsound {
		t.Run(u.rule+"_"+u.name, func(t *testing.T) {
			if found, ok := breaks(t, u.rule, u.want, u.wrap); !ok {
				t.Errorf("found %v, want a finding of rule %s that wants %q", found, u.rule, u.want)
			}
		})
	}
}

func TestHangOverLoopbackIsNamedAndSkipsTheRest(t *testing.T) {
	defer func(d time.Duration) { realPatience = d }(realPatience)
	realPatience = 50 * time.Millisecond
	end := make(chan struct{})
	defer close(end)
	start := time.Now()
	var hung []Finding
	for _, f := range RoundTripperFindings(t, layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if req.URL != nil && strings.HasPrefix(req.URL.Host, "127.") && req.URL.Port() != "9" {
			<-end
			return nil, errors.New("ended")
		}
		return next.RoundTrip(req)
	})) {
		if strings.HasSuffix(f.Over, "on loopback") {
			hung = append(hung, f)
		}
	}
	if len(hung) != 1 || !strings.Contains(hung[0].Saw, "kit_layer_test.go") {
		t.Errorf("found %v in %v, want one that names this file", hung, time.Since(start))
	}
}

func TestStackIsNamedByTheMiddlewareInIt(t *testing.T) {
	const stack = "net/http.(*Transport).RoundTrip(0x1)\n\t/go/src/net/http/transport.go:7 +0x1\n" +
		"example.test/mw.(*Layer).RoundTrip(0x1)\n\t/home/me/layer.go:8 +0x1\n" +
		"github.com/steadyhttp/steadyhttp/steadytest.(*world).send(0x1)\n\t/home/me/kit_record.go:9 +0x1\n" +
		"created by example.test/mw.(*Layer).start in goroutine 7\n\t/home/me/layer.go:10 +0x1\n"
	for _, s := range []struct{ stack, want string }{
		{stack, "example.test/mw.(*Layer).RoundTrip /home/me/layer.go:8 +0x1"},
		{stack[strings.Index(stack, "github"):], "example.test/mw.(*Layer).start /home/me/layer.go:10 +0x1"},
	} {
		if got := innermost(s.stack, library); got != s.want {
			t.Errorf("%s, want %s", got, s.want)
		}
	}
}

func TestRuleNamesNeedNoQuoting(t *testing.T) {
	plain := regexp.MustCompile(`^[A-Z][0-9]_[A-Za-z0-9_.]+$`)
	for _, r := range contract {
		if !plain.MatchString(r.name) {
			t.Errorf("rule %s cannot be given to -run as it is", r.name)
		}
	}
}
