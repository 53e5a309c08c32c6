package steadytest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestTextIsCountedWithoutKeysRolesAndTypes(t *testing.T) {
	for text, want := range map[string]int64{
		``:        0,
		`"hello"`: 5,
		`[{"role":"user","content":"hello"},{"role":"user","content":[{"type":"text","text":"you"}]}]`: 8,
		`["a","bc"]`:             3,
		`{"content" : "ab\"c"}`:  5,
		`"never closed`:          12,
		`[1, 2, {"content": 3}]`: 0,
	} {
		if got := textBytes([]byte(text)); got != want {
			t.Errorf("%s has %d, want %d", text, got, want)
		}
	}
}

func TestMostOutputIsUnderEachOfItsNames(t *testing.T) {
	for body, want := range map[string]int64{
		`{"model":"m","max_tokens":7}`:                              7,
		`{"model":"m","max_completion_tokens":8,"max_tokens":null}`: 8,
		`{"model":"m","max_output_tokens":9}`:                       9,
		`{"model":"m"}`:                                             0,
		`{"model":"m","max_tokens":-5}`:                             0,
		`{"model":"m","max_tokens":1e300}`:                          1e12,
	} {
		if c := readCall(t, "/v1/chat/completions", body); c.MaxOutput != want || c.problem != Answer {
			t.Errorf("%s: %d, %q, want %d", body, c.MaxOutput, c.problem, want)
		}
	}
}

func readCall(t testing.TB, path, body string) *call {
	t.Helper()
	c, in := &call{req: &http.Request{Method: "POST", URL: &url.URL{Path: path}}}, &input{}
	endpointFor(c.req).read(c, in, []byte(body))
	c.problem = in.problem
	return c
}

func TestPathsAreFoundUnderAnyBase(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/chat/completions": "/chat/completions", "/chat/completions": "/chat/completions", "/openai/deployments/x/chat/completions": "/chat/completions",
		"/v1/completions": "/completions", "/v1/models/x": "/models/*", "/api/v3/repos/o/r": "/repos/*/*", "/repos/o/r/issues": "/repos/*/*/issues",
		"/v1/chat/completions/": "", "/xcompletions": "", "/v1/models/": "", "/": "", "": "", "/repos/o": "",
	} {
		got := ""
		for _, e := range endpoints {
			if matches(e.path, path) {
				got = e.path
				break
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

// FuzzBody checks that whatever is asked is answered by JSON or events of JSON,
// and costs a bounded amount.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":5}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"m\"\u0000é","input":["a",["b"],{}],"encoding_format":"base64"}`,
		`{"model":"m","input":[1,2]}`, `{"model":"m","input":[[1],[2]]}`,
		`{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto"}`,
		`{"model":"m","tools":[{"name":"f"}],"messages":[{"tool_call_id":1}]}`,
		`{`, `[]`, `null`, `{"model":1}`, "\xff", "",
	} {
		for i := range endpoints {
			f.Add(body, i)
		}
	}
	f.Fuzz(func(t *testing.T, body string, i int) {
		e := endpoints[uint(i)%uint(len(endpoints))]
		p := &Provider{Limits: []Limit{{N: 10}, {Resource: "tokens", N: 1 << 50}}}
		req, err := http.NewRequest(e.method, "http://api.test"+strings.ReplaceAll(e.path, "*", "x"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		c, a := p.handle(req, []byte(body))
		if c.denied || a.status != 200 && a.status != 400 {
			t.Fatalf("status %d", a.status)
		}
		if c.Input < 0 || c.Input > int64(len(body)) || c.MaxOutput < 0 || c.MaxOutput > 1e12 {
			t.Errorf("costs %+v", c.Call)
		}
		for _, part := range a.parts {
			if a.stream {
				_, part, _ = strings.Cut(part, "data: ")
			}
			if !json.Valid([]byte(part)) && part != "[DONE]\n\n" {
				t.Errorf("not JSON: %q", part)
			}
		}
	})
}
