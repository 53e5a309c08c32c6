package steadyhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// repliesBase is a base that replies each attempt in turn, the last reply again and
// again, and remembers when it was asked what.
type repliesBase struct {
	replies []reply

	mu     sync.Mutex
	at     []time.Duration // since the first
	bodies []string
	reqs   []*http.Request
	began  time.Time
}

type reply func(*http.Request) (*http.Response, error)

func (s *repliesBase) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	now := time.Now()
	if len(s.at) == 0 {
		s.began = now
	}
	n := len(s.at)
	s.at = append(s.at, now.Sub(s.began))
	s.reqs = append(s.reqs, req)
	s.mu.Unlock()
	text := ""
	if req.Body != nil {
		b, _ := io.ReadAll(req.Body)
		req.Body.Close()
		text = string(b)
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, text)
	s.mu.Unlock()
	if err := context.Cause(req.Context()); err != nil {
		return nil, err
	}
	resp, err := s.replies[min(n, len(s.replies)-1)](req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func (s *repliesBase) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// status replies with a status and headers, given as name, value, ….
func replyWith(code int, headers ...string) reply {
	return func(req *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		body := fmt.Sprintf("body of %d", code)
		return &http.Response{
			StatusCode: code, Status: fmt.Sprint(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}, nil
	}
}

func replyError(err error) reply {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func getModels(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", "http://example.com/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func postChat(t *testing.T, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("POST", "http://example.com/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

const chatCall = `{"model":"m","messages":[]}`

// readAll reads and closes the body of resp.
func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	if resp == nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("body: %v", err)
	}
	return string(b)
}

func TestServerErrorIsRetriedWithGrowingDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(500), replyWith(500), replyWith(500), replyWith(200)}}
		r := &Retrier{Base: base}
		resp, err := r.RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		if got := readAll(t, resp); got != "body of 200" {
			t.Errorf("body: got %q", got)
		}
		for i, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			if got := base.at[i+1] - base.at[i]; got < 500*time.Millisecond || got > most {
				t.Errorf("delay %d: got %v, want 0.5 s to %v", i+1, got, most)
			}
		}
		for i, body := range base.bodies {
			if body != chatCall {
				t.Errorf("attempt %d sent %q", i+1, body)
			}
		}
	})
}

func TestLastResponseIsReturnedIntact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &repliesBase{replies: []reply{replyWith(503)}}
		r := &Retrier{Base: base}
		resp, err := r.RoundTrip(postChat(t, chatCall))
		if err != nil || resp.StatusCode != 503 || base.sent() != 4 {
			t.Fatalf("got %v, %v after %d attempts", resp, err, base.sent())
		}
		if got := readAll(t, resp); got != "body of 503" {
			t.Errorf("body: got %q", got)
		}
	})
}

var (
	_ = bytes.NewReader
	_ = errors.Is
)
