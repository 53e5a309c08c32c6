package steadyhttp

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestRoutesAreMethodsAndPathsWithoutIDs(t *testing.T) {
	var l Limiter
	route := func(method, path string) uint64 {
		req := &http.Request{Method: method, URL: &url.URL{Path: path}}
		id := routeOf(req)
		if got := l.knownRouteOf(req); got != id {
			t.Errorf("%s %s: %x, and by what is remembered %x", method, path, id, got)
		}
		return id
	}
	route("GET", "/first/route")
	route("POST", "/first/route")
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"/users/17/repos", "/users/4711/repos", true},
		{"/users/17/repos", "/users/17/issues", false},
		{"/v1/chat/completions", "/v1/embeddings", false},
		{"/v1/x", "/v2/x", false},
		{"/files/0b9f6c1e-9c1f-4ad6-8f3d-2f1f0c6f5a11", "/files/9d3a0a52-5a5e-4d6a-93a5-3c1f6f7f0a00", true},
		{"/commits/3fecd2fd06d69f265a3a01772f3a2cf9414df02d", "/commits/d3e9d692c1c0b955006170ef5e079ff2921835f1", true},
		{"/threads/thread_abc123456789", "/threads/thread_xyz987654321", true},
		{"/defaced/x", "/facade/x", false}, // words, though all hexadecimal
		{"/a/1", "/b/1", false},
		{"/search", "/search/", false},
	} {
		if got := route("GET", c.a) == route("GET", c.b); got != c.same {
			t.Errorf("%s and %s: the same %v", c.a, c.b, got)
		}
	}
	if route("GET", "/a") == route("POST", "/a") {
		t.Error("methods are not told apart")
	}
	routeOf(&http.Request{Method: "GET"})
}

func TestP95IsOfTheLastMinute(t *testing.T) {
	begin := time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)
	var none *route
	none.took(begin, time.Second)
	if got := none.p95(begin); got != 0 {
		t.Errorf("of no route: %v", got)
	}
	r := &route{}
	if got := r.p95(begin); got != 0 {
		t.Errorf("of no call: %v", got)
	}
	for i := range 3 {
		r.took(begin.Add(time.Duration(i)*time.Second), time.Duration(3-i)*time.Second)
	}
	if got := r.p95(begin.Add(5 * time.Second)); got != 3*time.Second {
		t.Errorf("of 1, 2 and 3 s: %v", got)
	}
	if got := r.p95(begin.Add(61500 * time.Millisecond)); got != 2*time.Second {
		t.Errorf("when the slowest is a minute ago: %v", got)
	}
	if got := r.p95(begin.Add(63 * time.Second)); got != 0 {
		t.Errorf("when all are a minute ago: %v", got)
	}
	for range 100 {
		r.took(begin.Add(70*time.Second), 40*time.Millisecond)
	}
	if got := r.p95(begin.Add(70 * time.Second)); got != 40*time.Millisecond {
		t.Errorf("of equal ones: %v", got)
	}
	r.took(begin, 1e9*time.Second)
}

func TestRouteIsHeldByTheScopesItLastAnsweredWith(t *testing.T) {
	var r route
	if !r.has("") || r.has("core") {
		t.Error("a new route belongs to what has no scope, and to nothing else")
	}
	answer := func(r *route, scopes ...string) {
		var quotas []Quota
		for _, s := range scopes {
			quotas = append(quotas, Quota{Scope: s})
		}
		r.answered(quotas)
	}
	for _, c := range []struct{ answer, held, free []string }{
		{[]string{"core"}, []string{"core"}, []string{"search"}},
		{[]string{""}, []string{"core"}, []string{"search"}},
		{nil, []string{"core"}, []string{"search"}},
		{[]string{"search"}, []string{"search"}, []string{"core"}},
		{[]string{"a", "", "b", "a"}, []string{"a", "b"}, []string{"search"}},
		{[]string{"a", "b", "c", "d", "e", "f"}, []string{"a", "b", "c", "d"}, []string{"e", "f"}},
	} {
		answer(&r, c.answer...)
		for _, s := range append(c.held, "") {
			if !r.has(s) {
				t.Errorf("after %q it is not held by %q", c.answer, s)
			}
		}
		for _, s := range c.free {
			if r.has(s) {
				t.Errorf("after %q it is held by %q", c.answer, s)
			}
		}
	}
	var none *route
	answer(none, "a")
	if none.has("a") || !none.has("") {
		t.Error("no route belongs to a scope")
	}
}

func TestRoutesOfOneScopeWaitInOneLine(t *testing.T) {
	for _, c := range []struct {
		a, b []string
		same bool
	}{{nil, nil, true}, {[]string{"core"}, []string{"core"}, true}, {[]string{"core"}, nil, false},
		{[]string{"core"}, []string{"search"}, false}, {[]string{"a", "b"}, []string{"a"}, false}, {[]string{"a", "b"}, []string{"ab"}, false}} {
		if got := (&route{scopes: c.a}).scope() == (&route{scopes: c.b}).scope(); got != c.same {
			t.Errorf("%q and %q: the same %v", c.a, c.b, got)
		}
	}
}
