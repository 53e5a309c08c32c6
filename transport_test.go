package steadyhttp

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// everyLayer is each layer alone around a base, and the stack.
var everyLayer = map[string]func(base http.RoundTripper) http.RoundTripper{
	"Classifier": func(base http.RoundTripper) http.RoundTripper { return &Classifier{Base: base} },
	"Limiter":    func(base http.RoundTripper) http.RoundTripper { return &Limiter{Base: base} },
	"Breaker":    func(base http.RoundTripper) http.RoundTripper { return &Breaker{Base: base} },
	"Retrier":    func(base http.RoundTripper) http.RoundTripper { return &Retrier{Base: base, MaxAttempts: 1} },
	"Traced":     func(base http.RoundTripper) http.RoundTripper { return Traced(base, nil) },
	"the stack":  NewTransport,
}

func TestBaseReturnsEitherAResponseOrAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, wrap := range everyLayer {
		synctest.Test(t, func(t *testing.T) {
			body := &closings{Reader: strings.NewReader("x")}
			both := wrap(roundTripFunc(func(req *http.Request) (*http.Response, error) {
				resp := answer(req, 200)
				resp.Body = body
				return resp, broken
			}))
			if resp, err := both.RoundTrip(get(t, "a.example")); resp != nil || !errors.Is(err, broken) || body.n.Load() == 0 {
				t.Errorf("%s, both: %v, %v; its body closed %d times", name, resp, err, body.n.Load())
			}
			neither := wrap(roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, nil }))
			if resp, err := neither.RoundTrip(get(t, "a.example")); resp != nil || !errors.Is(err, errNoResponse) {
				t.Errorf("%s, neither: %v, %v", name, resp, err)
			}
		})
	}
}

func TestResponseThatLacksABodyOrRequestIsGivenOne(t *testing.T) {
	for name, wrap := range everyLayer {
		for _, status := range []int{200, 404} {
			body := &watchedBody{Reader: strings.NewReader("of a HEAD there is none to read")}
			bare := wrap(roundTripFunc(func(req *http.Request) (*http.Response, error) {
				resp := &http.Response{StatusCode: status}
				if req.Method == http.MethodHead {
					resp.Body = body
				}
				return resp, nil
			}))
			req := get(t, "a.example")
			resp, err := bare.RoundTrip(req)
			if err != nil || resp.Body == nil || resp.Request == nil || resp.Request.URL != req.URL {
				t.Fatalf("%s: %v, %+v", name, err, resp)
			}
			req.Method = http.MethodHead
			if _, err := bare.RoundTrip(req); err != nil || body.read > 0 {
				t.Errorf("%s: %v, %d bytes of a HEAD's body read", name, err, body.read)
			}
		}
	}
}

func TestPanicsCloseTheBodyOfTheRequest(t *testing.T) {
	base := roundTripFunc(func(*http.Request) (*http.Response, error) { panic("base") })
	exempt := func(*http.Request) string { return "" }
	broken := func(*http.Request) string { panic("key") }
	for name, rt := range map[string]http.RoundTripper{
		"Classifier":          &Classifier{Base: base},
		"Breaker":             &Breaker{Base: base},
		"Breaker, exempt":     &Breaker{Base: base, Key: exempt},
		"Breaker, its Key":    &Breaker{Base: base, Key: broken},
		"Limiter":             &Limiter{Base: base},
		"Limiter, exempt":     &Limiter{Base: base, Key: exempt},
		"Limiter, its Key":    &Limiter{Base: base, Key: broken},
		"Limiter, its Cost":   &Limiter{Base: base, Cost: func(*http.Request) Tokens { panic("cost") }},
		"Retrier":             &Retrier{Base: base},
		"Retrier that is off": &Retrier{Base: base, MaxAttempts: -1},
		"Traced":              Traced(base, nil),
		"the stack":           NewTransport(base),
	} {
		body := &closings{Reader: strings.NewReader("x")}
		req := postChat(t, "")
		req.Body, req.ContentLength, req.GetBody = body, 1, nil
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic is lost", name)
				}
			}()
			rt.RoundTrip(req)
		}()
		if got := body.n.Load(); got != 1 {
			t.Errorf("%s: closed %d times", name, got)
		}
	}
}

func TestPanicsCloseTheBodyOfTheResponse(t *testing.T) {
	type wrap = func(base http.RoundTripper) http.RoundTripper
	attempted := &Trace{Attempted: func(AttemptInfo) { panic("hook") }}
	classify := func(base http.RoundTripper) http.RoundTripper {
		return &Classifier{Base: base, Classify: func(*http.Response, error) Outcome { panic("classify") }}
	}
	exempt := func(base http.RoundTripper) http.RoundTripper {
		return &Limiter{Base: base, Key: func(*http.Request) string { return "" }}
	}
	opens := func(base http.RoundTripper) http.RoundTripper {
		return &Breaker{Failures: 1, Base: &Classifier{Base: base}}
	}
	for name, tt := range map[string]struct {
		wrap   wrap
		trace  *Trace
		status int
	}{
		"Classify":                  {classify, nil, 200},
		"Attempted, the stack":      {NewTransport, attempted, 200},
		"Attempted, Limiter":        {everyLayer["Limiter"], attempted, 200},
		"Attempted, exempt Limiter": {exempt, attempted, 200},
		"Attempted, Breaker":        {everyLayer["Breaker"], attempted, 200},
		"Attempted, Retrier":        {everyLayer["Retrier"], attempted, 200},
		"Learned, the stack":        {NewTransport, &Trace{Learned: func(LearnedInfo) { panic("hook") }}, 200},
		"StateChanged, Breaker":     {opens, &Trace{StateChanged: func(StateInfo) { panic("hook") }}, 500},
	} {
		body := &closings{Reader: strings.NewReader("x")}
		rt := Traced(tt.wrap(roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp := answer(req, tt.status, "X-RateLimit-Limit", "100", "X-RateLimit-Remaining", "99", "X-RateLimit-Reset", "60")
			resp.Body = body
			return resp, nil
		})), tt.trace)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nothing panicked", name)
				}
			}()
			rt.RoundTrip(get(t, "a.example"))
		}()
		if body.n.Load() == 0 {
			t.Errorf("%s: it is open", name)
		}
	}
}
