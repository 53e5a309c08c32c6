package steadyhttp

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// As x/oauth2, signers and tracers do it: a clone with a header of its own is sent,
// and the response says so.
func TestRequestThatTheBaseSentInsteadStaysWithItsResponse(t *testing.T) {
	type mark struct{}
	base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		sent := req.Clone(req.Context())
		sent.Header.Set("Authorization", "Bearer of-the-base")
		resp := answer(sent, 403, "X-Request-Id", "req_1")
		closeBody(req)
		return resp, nil
	})
	for name, rt := range map[string]http.RoundTripper{
		"Classifier":            &Classifier{Base: base},
		"Limiter":               &Limiter{Base: base},
		"exempt from a Limiter": &Limiter{Base: base, Key: func(*http.Request) string { return "" }},
		"Breaker":               &Breaker{Base: base},
		"Retrier":               &Retrier{Base: base},
		"Retrier, with timeout": &Retrier{Base: base, AttemptTimeout: time.Minute},
		"stack":                 NewTransport(base),
		"traced stack":          Traced(NewTransport(base), &Trace{}),
		"traced base":           Traced(base, &Trace{}),
		"stack twice":           NewTransport(NewTransport(base)),
	} {
		for _, body := range []bool{false, true} {
			req := getModels(t)
			if body {
				req = postChat(t, chatCall)
			}
			req = req.WithContext(context.WithValue(t.Context(), mark{}, name))
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got := resp.Request
			if got.Header.Get("Authorization") != "Bearer of-the-base" || got.URL.String() != req.URL.String() {
				t.Errorf("%s: the response is to %s with %q", name, got.URL, got.Header)
			}
			if got.Context().Value(mark{}) != name || attemptOf(got.Context()) != nil {
				t.Errorf("%s: the context is not the caller's, or of an attempt that goes on", name)
			}
			if o := OutcomeOf(resp, nil); o.Class != ClassPermission || o.RequestID != "req_1" {
				t.Errorf("%s: outcome %+v", name, o)
			}
			resp.Body.Close()
		}
	}
}

func TestRequestThatTheBaseSentInsteadHasTheCallersBody(t *testing.T) {
	base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		sent := req.Clone(req.Context())
		sent.Header.Set("Authorization", "Bearer of-the-base")
		io.Copy(io.Discard, req.Body)
		closeBody(req)
		return answer(sent, 200), nil
	})
	req := postChat(t, chatCall)
	req.Body, req.GetBody = io.NopCloser(struct{ io.Reader }{req.Body}), func() (io.ReadCloser, error) { return nil, io.EOF } // is lent
	resp, err := (&Retrier{Base: base}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Request.GetBody(); resp.Request.Body != req.Body || err != io.EOF {
		t.Errorf("the body is a %T, GetBody says %v", resp.Request.Body, err)
	}
}

func TestTraceIsNotInTheContextOfARequestThatTheBaseSentInstead(t *testing.T) {
	rt := Traced(roundTripFunc(func(req *http.Request) (*http.Response, error) {
		sent := req.Clone(req.Context())
		return answer(sent, 200), nil
	}), &Trace{Attempted: func(AttemptInfo) {}})
	resp, err := rt.RoundTrip(getModels(t))
	if err != nil || traceOf(resp.Request.Context()) != nil {
		t.Errorf("%v: whoever goes on with that context is traced twice", err)
	}
}
