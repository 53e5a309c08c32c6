package steadyhttp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// specimen is a response of testdata/responses.jsonl and what it means.
type specimen struct {
	ID      string
	Request struct{ Method, URL string }
	Status  int
	Headers map[string]string
	Body    string
	Now     time.Time
	Expect  map[string]any
}

// specimens reads testdata/responses.jsonl.
func specimens(t testing.TB) (all []specimen) {
	f, err := os.Open("testdata/responses.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s specimen
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// response is the specimen as a RoundTripper returns it.
func (s *specimen) response() *http.Response {
	h := make(http.Header)
	for k, v := range s.Headers {
		h.Set(k, v)
	}
	req := &http.Request{Method: s.Request.Method, Header: make(http.Header)}
	req.URL, _ = url.Parse(s.Request.URL)
	return &http.Response{
		StatusCode: s.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: req,
		Body: io.NopCloser(strings.NewReader(s.Body)), ContentLength: int64(len(s.Body)),
	}
}

// outcomeFields are the fields of an Outcome as a specimen writes them.
func outcomeFields(o Outcome, now time.Time) map[string]any {
	millis := func(at time.Time) any {
		if at.IsZero() {
			return nil
		}
		return float64(at.Sub(now)) / 1e6
	}
	known := func(n int64) any {
		if n < 0 {
			return nil
		}
		return float64(n)
	}
	limits := []any{}
	for _, q := range o.Quotas {
		var window any
		if q.Window > 0 {
			window = float64(q.Window) / 1e6
		}
		limits = append(limits, map[string]any{
			"resource": q.Resource, "window_ms": window, "limit": known(q.Limit),
			"remaining": known(q.Remaining), "reset_ms": millis(q.Reset),
		})
	}
	return map[string]any{
		"class": o.Class.String(), "retryable": o.Retryable, "retry_after_ms": millis(o.RetryAt), "limits": limits,
		"code": o.Code, "type": o.Type, "message": o.Message, "param": o.Param, "request_id": o.RequestID,
	}
}

// alike compares values of JSON: numbers within 1, lists in any order, and only
// the keys of want that got has. "*" is like anything.
func alike(want, got any) bool {
	switch want := want.(type) {
	case float64:
		got, ok := got.(float64)
		return ok && want-got <= 1 && got-want <= 1
	case []any:
		list, ok := got.([]any)
		rest := slices.Clone(list)
		for _, w := range want {
			i := slices.IndexFunc(rest, func(g any) bool { return alike(w, g) })
			if i < 0 {
				return false
			}
			rest = slices.Delete(rest, i, i+1)
		}
		return ok && len(rest) == 0
	case map[string]any:
		got, ok := got.(map[string]any)
		for k, g := range got {
			ok = ok && alike(want[k], g)
		}
		return ok
	}
	return want == "*" || want == got
}

// misses are the fields in which got differs from what is expected, or from the
// nearest alternative.
func (s *specimen) misses(got map[string]any) (fewest []string) {
	alts, _ := s.Expect["alt"].([]any)
	for i, alt := range append([]any{map[string]any{}}, alts...) {
		var missed []string
		for k, g := range got {
			want, changed := alt.(map[string]any)[k]
			if !changed {
				want = s.Expect[k]
			}
			if !alike(want, g) {
				missed = append(missed, fmt.Sprintf("%s: got %v, want %v", k, g, want))
			}
		}
		if i == 0 || len(missed) < len(fewest) {
			fewest = missed
		}
	}
	slices.Sort(fewest)
	return fewest
}

func TestCorpusIsUnderstood(t *testing.T) {
	all := specimens(t)
	right := 0
	for _, s := range all {
		var missed []string
		synctest.Test(t, func(*testing.T) {
			time.Sleep(time.Until(s.Now))
			missed = s.misses(outcomeFields(Classify(s.response(), nil), s.Now))
		})
		if len(missed) == 0 {
			right++
			continue
		}
		t.Errorf("%s:\n\t%s", s.ID, strings.Join(missed, "\n\t"))
	}
	t.Logf("corpus: %d of %d", right, len(all))
}

func TestCancelChannelIsTheCallersTooWhateverClassifySays(t *testing.T) {
	cancel := make(chan struct{})
	var got Class
	rt := Traced(&Classifier{
		Classify: func(*http.Response, error) Outcome { return Outcome{Class: ClassOverloaded} },
		Base: roundTripFunc(func(*http.Request) (*http.Response, error) {
			close(cancel)
			return nil, errors.New("net/http: request canceled")
		}),
	}, &Trace{Attempted: func(i AttemptInfo) { got = i.Outcome.Class }})
	req := getModels(t)
	req.Cancel = cancel //lint:ignore SA1019 http.Client closes it at its Timeout
	if _, err := rt.RoundTrip(req); err == nil || got != ClassCanceled {
		t.Errorf("%v, %v", err, got)
	}
}
