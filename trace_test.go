package steadyhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// canned is a base that gives every request the same response.
func canned(status int, header http.Header, body string) tracedBase {
	return func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header.Clone(),
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
		}, nil
	}
}

type tracedBase func(*http.Request) (*http.Response, error)

func (f tracedBase) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestInnerTraceIsCalledFirst(t *testing.T) {
	var calls []string
	tell := func(name string) *Trace {
		return &Trace{
			Attempted:    func(AttemptInfo) { calls = append(calls, name+" attempted") },
			Retrying:     func(RetryInfo) { calls = append(calls, name+" retrying") },
			Waiting:      func(WaitInfo) { calls = append(calls, name+" waiting") },
			Learned:      func(LearnedInfo) { calls = append(calls, name+" learned") },
			StateChanged: func(StateInfo) { calls = append(calls, name+" changed") },
		}
	}
	ctx := WithTrace(WithTrace(context.Background(), tell("outer")), tell("inner"))
	ctx = WithTrace(WithTrace(ctx, nil), &Trace{}) // neither hides the others
	trace := traceOf(ctx)
	trace.Attempted(AttemptInfo{})
	trace.Retrying(RetryInfo{})
	trace.Waiting(WaitInfo{})
	trace.Learned(LearnedInfo{})
	trace.StateChanged(StateInfo{})
	want := []string{
		"inner attempted", "outer attempted", "inner retrying", "outer retrying", "inner waiting", "outer waiting",
		"inner learned", "outer learned", "inner changed", "outer changed",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("got %q", calls)
	}
	if traceOf(context.Background()) != nil || traceOf(WithTrace(context.Background(), nil)) != nil {
		t.Error("a trace out of nothing")
	}
}

func TestAttemptIsReportedOnceWithItsFacts(t *testing.T) {
	var got []AttemptInfo
	trace := &Trace{Attempted: func(i AttemptInfo) { got = append(got, i) }}
	base := canned(503, http.Header{"X-Request-Id": {"req_1"}}, `{"error":{"code":"busy"}}`)
	req := post(t, "https://api.example.com:8443/", "", nil)
	req.Method = "" // net/http's GET
	rt := Traced(&Breaker{Base: &Classifier{Base: base}}, trace)
	resp, err := rt.RoundTrip(req)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, reported %d times", err, len(got))
	}
	i := got[0]
	if i.Method != "GET" || i.Host != "api.example.com:8443" || i.Attempt != 1 || i.Key != HostKey(req) || i.Outcome.Class != ClassOverloaded || i.Err != nil || i.Duration < 0 {
		t.Errorf("got %+v", i)
	}
	if resp.Request.Context().Value(traceKey{}) != nil || resp.Request.URL != req.URL || OutcomeOf(resp, nil).Class != ClassOverloaded {
		t.Error("the response does not have the caller's request, with the verdict")
	}

	gone := errors.New("gone")
	rt = Traced(&Classifier{Base: tracedBase(func(*http.Request) (*http.Response, error) { return nil, gone })}, trace)
	if _, err := rt.RoundTrip(req); err != gone || len(got) != 2 || got[1].Err != gone || got[1].Outcome.Class != ClassNetwork {
		t.Errorf("got %v, %+v", err, got[1:])
	}
}

func TestTracedAloneChangesNothing(t *testing.T) {
	req := post(t, "https://h/", "", nil)
	for _, trace := range []*Trace{nil, {}} {
		resp, err := Traced(canned(200, nil, ""), trace).RoundTrip(req)
		if err != nil || resp.Request != req {
			t.Errorf("%v: got %v, a response to %p instead of %p", trace, err, resp.Request, req)
		}
	}
	idle := &idleCounter{}
	client := http.Client{Transport: Traced(idle, nil)}
	if client.CloseIdleConnections(); idle.n != 1 {
		t.Errorf("CloseIdleConnections arrived %d times", idle.n)
	}
}

type idleCounter struct {
	tracedBase
	n int
}

func (c *idleCounter) CloseIdleConnections() { c.n++ }

func TestLogTraceTellsNoSecret(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	const secret = "s3cr3t"
	refusal := canned(429, http.Header{"Set-Cookie": {secret}}, `{"error":{"message":"bad key `+secret+`","code":"rate_limited"}}`)
	failing := tracedBase(func(req *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: errors.New("key " + secret)}
	})
	for _, base := range []tracedBase{refusal, failing} {
		req := post(t, "https://u:"+secret+"@h/"+secret+"?key="+secret, "", strings.NewReader(`{"model":"m","x":"`+secret+`"}`))
		req.Header.Set("Authorization", "Bearer "+secret)
		trace := LogTrace(logger)
		_, _ = Traced(&Classifier{Base: base}, trace).RoundTrip(req)
		info := AttemptInfo{Key: RequestKey(req), Method: "POST", Host: "h", Attempt: 1, Outcome: Classify(base(req)), Err: nil}
		trace.Attempted(info)
		trace.Retrying(RetryInfo{info, time.Second})
		trace.Waiting(WaitInfo{Key: RequestKey(req)})
		trace.Learned(LearnedInfo{Key: RequestKey(req), Quotas: []Quota{{Resource: "requests"}}})
		trace.StateChanged(StateInfo{Key: HostKey(req)})
	}
	if out := log.String(); strings.Contains(out, secret) || strings.Count(out, "\n") != 12 {
		t.Errorf("logged:\n%s", out)
	}
}

func TestLogTraceSaysWhatHappened(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	l := LogTrace(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" {
			return slog.Attr{}
		}
		return a
	}})))
	ok := AttemptInfo{Key: "k", Method: "GET", Host: "h", Attempt: 1, Outcome: Outcome{Class: ClassSuccess}, Duration: time.Second}
	denied := AttemptInfo{Key: "k", Method: "GET", Host: "h", Attempt: 2, Outcome: Outcome{Class: ClassRateLimited, Code: "slow", RequestID: "r1", RetryAt: at}}
	refused := AttemptInfo{Outcome: Outcome{Class: ClassNetwork}, Err: fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})}
	l.Attempted(ok)
	l.Attempted(denied)
	l.Attempted(refused)
	l.Retrying(RetryInfo{denied, 2 * time.Second})
	l.Waiting(WaitInfo{"k", "GET", "h", time.Second, 3})
	l.Learned(LearnedInfo{"k", []Quota{{Resource: "requests", Limit: 60, Remaining: 59, Window: time.Minute, Reset: at}, {Resource: "tokens", Limit: 5, Remaining: -1}}})
	l.StateChanged(StateInfo{"k", StateClosed, StateOpen, at})
	l.StateChanged(StateInfo{Key: "k", From: StateOpen, To: StateClosed})
	want := `level=DEBUG msg="steadyhttp: attempt ended" key=k method=GET host=h attempt=1 class=success duration=1s
level=WARN msg="steadyhttp: attempt ended" key=k method=GET host=h attempt=2 class=rate_limited duration=0s code=slow request_id=r1 retry_at=2026-11-20T12:00:00.000Z
level=WARN msg="steadyhttp: attempt ended" key="" method="" host="" attempt=0 class=network duration=0s error="connection refused"
level=WARN msg="steadyhttp: retrying" key=k method=GET host=h attempt=2 class=rate_limited duration=0s code=slow request_id=r1 retry_at=2026-11-20T12:00:00.000Z delay=2s
level=DEBUG msg="steadyhttp: waiting" key=k method=GET host=h expected=1s queued=3
level=DEBUG msg="steadyhttp: quota learned" key=k resource=requests scope="" limit=60 remaining=59 window=1m0s reset=2026-11-20T12:00:00.000Z
level=DEBUG msg="steadyhttp: quota learned" key=k resource=tokens scope="" limit=5 remaining=-1 window=0s
level=WARN msg="steadyhttp: circuit changed" key=k from=closed to=open retry_at=2026-11-20T12:00:00.000Z
level=WARN msg="steadyhttp: circuit changed" key=k from=open to=closed
`
	if log.String() != want {
		t.Errorf("got\n%s\nwant\n%s", log.String(), want)
	}
	if LogTrace(nil).Attempted == nil {
		t.Error("no default logger")
	}
}
