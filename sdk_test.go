package steadyhttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// sdkRequest is the nth try of an SDK.
func sdkRequest(t *testing.T, n string) *http.Request {
	req := postChat(t, chatCall)
	req.Header.Set("X-Stainless-Retry-Count", n)
	return req
}

func TestSDKIsToldWhenRetriesAreUseless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			status int
			want   string
		}{{500, "false"}, {429, "false"}, {404, "false"}, {200, ""}} {
			var header http.Header
			base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
				resp, err := replyWith(tt.status)(req)
				header = resp.Header
				return resp, err
			}}}
			resp, err := (&Retrier{Base: base}).RoundTrip(sdkRequest(t, "0"))
			if err != nil || resp.Header.Get("X-Should-Retry") != tt.want {
				t.Errorf("%d: got %q, %v; want %q", tt.status, resp.Header.Get("X-Should-Retry"), err, tt.want)
			}
			if header.Get("X-Should-Retry") != "" {
				t.Errorf("%d: the base's own header was changed", tt.status)
			}
			resp, err = (&Retrier{Base: base}).RoundTrip(postChat(t, chatCall))
			if err != nil || resp.Header.Get("X-Should-Retry") != "" {
				t.Errorf("%d, without an SDK: got %q, %v", tt.status, resp.Header.Get("X-Should-Retry"), err)
			}
		}
	})
}

func TestRetrierThatDoesNotRetryLeavesItToTheSDK(t *testing.T) {
	base := &repliesBase{replies: []reply{replyWith(500)}}
	for _, n := range []int{1, -1} {
		resp, err := (&Retrier{Base: base, MaxAttempts: n}).RoundTrip(sdkRequest(t, "0"))
		if err != nil || resp.Header.Get("X-Should-Retry") != "" {
			t.Errorf("MaxAttempts %d: got %q, %v", n, resp.Header.Get("X-Should-Retry"), err)
		}
	}
}

func TestErrorThatBreaksOffIsLeftToTheSDK(t *testing.T) {
	for status, want := range map[int]string{400: "", 500: "false"} {
		base := &repliesBase{replies: []reply{func(req *http.Request) (*http.Response, error) {
			resp, err := replyWith(status)(req)
			resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
			return resp, err
		}}}
		resp, err := (&Retrier{Base: base, MinDelay: -1}).RoundTrip(sdkRequest(t, "0"))
		if err != nil || resp.Header.Get("X-Should-Retry") != want {
			t.Errorf("%d: got %q, %v; want %q", status, resp.Header.Get("X-Should-Retry"), err, want)
		}
	}
}

func TestRetryOfAnSDKIsAttemptedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[string]int{"0": 4, "": 4, "x": 4, "1": 1, "2": 1} {
			base := &repliesBase{replies: []reply{replyError(io.ErrUnexpectedEOF)}}
			if _, err := (&Retrier{Base: base}).RoundTrip(sdkRequest(t, n)); err == nil || base.sent() != want {
				t.Errorf("count %q: %v after %d requests, want %d", n, err, base.sent(), want)
			}
		}
		base := &repliesBase{replies: []reply{replyWith(429), replyWith(429), replyWith(200)}}
		r := &Retrier{Base: &pacing{base: base, patience: time.Minute}}
		if resp, err := r.RoundTrip(sdkRequest(t, "2")); err != nil || resp.StatusCode != 200 {
			t.Errorf("paced: got %v, %v", resp, err)
		}
	})
}

func TestSDKGetsARefusalAsAResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(1500*time.Millisecond + 1)
		for _, tt := range []struct {
			err    error
			status int
			code   string
		}{
			{&LimitError{Key: "k", RetryAt: at, Reason: "wait"}, 429, "steadyhttp_limit"},
			{&OpenError{Key: "k", RetryAt: at}, 503, "steadyhttp_open"},
		} {
			base := &repliesBase{replies: []reply{replyError(tt.err)}}
			want := Classify(nil, tt.err)
			for _, n := range []string{"0", "1"} {
				req := sdkRequest(t, n)
				resp, err := (&Retrier{Base: base, AttemptTimeout: time.Second}).RoundTrip(req)
				if err != nil || resp.StatusCode != tt.status {
					t.Fatalf("got %v, %v", resp, err)
				}
				for name, want := range map[string]string{
					"Retry-After": "2", "Retry-After-Ms": "1501", "X-Should-Retry": "false", "Content-Type": "application/json",
				} {
					if got := resp.Header.Get(name); got != want {
						t.Errorf("%s: got %q, want %q", name, got, want)
					}
				}
				if got := OutcomeOf(resp, nil); got.Class != want.Class || !got.RetryAt.Equal(want.RetryAt) {
					t.Errorf("outcome: got %+v, want %+v", got, want)
				}
				text := readAll(t, resp)
				var body struct {
					Error struct{ Message, Type, Code string }
				}
				if err := json.Unmarshal([]byte(text), &body); err != nil || body.Error.Code != tt.code || body.Error.Message != tt.err.Error() {
					t.Errorf("body: %s, %v", text, err)
				}
				if resp.ContentLength != int64(len(text)) || resp.Proto != "HTTP/1.1" || resp.Request.Body != req.Body {
					t.Errorf("response: %+v", resp)
				}
			}
			if _, err := (&Retrier{Base: base}).RoundTrip(postChat(t, chatCall)); err != tt.err {
				t.Errorf("without an SDK: got %v", err)
			}
		}
	})
}

func TestRefusalWithoutATimeAsksForNoWait(t *testing.T) {
	now := time.Now()
	for _, at := range []time.Time{{}, now.Add(-time.Hour)} {
		resp := refusedResponse(getModels(t), &LimitError{RetryAt: at}, now)
		if got := resp.Header.Get("Retry-After"); got != "0" {
			t.Errorf("Retry-After: got %q", got)
		}
	}
	far := refusedResponse(getModels(t), &LimitError{RetryAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, now)
	if got := far.Header.Get("Retry-After"); got != "9223372037" {
		t.Errorf("Retry-After in a far year: got %q", got)
	}
	req := getModels(t)
	req.Method = "HEAD"
	if resp := refusedResponse(req, &OpenError{}, now); resp.Body != http.NoBody {
		t.Error("the answer to HEAD has a body")
	}
}

func TestSDKThatGaveUpGetsTheContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{open: true, pause: time.Second, changed: make(chan struct{})}
		ctx, cancel := context.WithCancel(WithPriority(t.Context(), PriorityBatch))
		time.AfterFunc(500*time.Millisecond, cancel)
		resp, err := (&Retrier{Base: g}).RoundTrip(sdkRequest(t, "0").WithContext(ctx))
		if resp != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}
