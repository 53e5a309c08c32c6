package steadyhttp

import (
	"hash/maphash"
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route is what a Limiter knows of one method and path of a key: the scopes that
// its answers named, and how long they took.
type route struct {
	id      uint64 // of routeOf
	scopes  []string
	samples [16]sample
	n       int

	// Of the limit that its answers state without a scope.
	stated     int32
	deviations uint8 // answers in a row that stated another than the others
	apart      bool  // it is the route's own, and nothing without a scope holds it

	won float64   // requests that were not denied
	own *ownLimit // of which no header tells; nil while nothing was denied
}

// sample is the latency of one call, in milliseconds, and when it ended, in
// seconds since the epoch.
type sample struct{ at, took uint32 }

const (
	maxScopes     = 4 // of one route
	latencyWindow = time.Minute
)

func (r *route) has(scope string) bool {
	if scope == "" {
		return r == nil || !r.apart
	}
	return r != nil && slices.Contains(r.scopes, scope)
}

// answered notes the scopes that an answer named: it is these that hold the
// route back from then on. An answer that names none changes nothing.
func (r *route) answered(quotas []Quota) {
	if r == nil {
		return
	}
	var named [maxScopes]string
	n := 0
	for i := range quotas {
		scope := quotas[i].Scope
		if scope != "" && n < maxScopes && !slices.Contains(named[:n], scope) {
			named[n], n = scope, n+1
		}
	}
	if n == 0 || slices.Equal(r.scopes, named[:n]) {
		return
	}
	r.scopes = r.scopes[:0]
	for _, scope := range named[:n] {
		r.scopes = append(r.scopes, strings.Clone(scope)) // not all of the header
	}
}

// name is a scope that nothing but the route has.
func (r *route) name() string { return "route " + strconv.FormatUint(r.id, 36) }

// scope names the line in which requests of the route wait.
func (r *route) scope() string {
	if r.own != nil && r.own.pace != nil {
		return r.name()
	}
	switch len(r.scopes) {
	case 0:
		return ""
	case 1:
		return r.scopes[0]
	}
	scope := r.scopes[0]
	for _, s := range r.scopes[1:] {
		scope += "\x00" + s
	}
	return scope
}

func (r *route) took(now time.Time, d time.Duration) {
	if r == nil {
		return
	}
	r.samples[r.n%len(r.samples)] = sample{uint32(now.Unix()), uint32(min(d.Milliseconds(), 1<<31))}
	r.n++
}

// p95 is the latency that 95 of 100 calls of the last minute stayed within; zero
// if there were none.
func (r *route) p95(now time.Time) time.Duration {
	if r == nil {
		return 0
	}
	var took [len(r.samples)]uint32
	n, oldest := 0, now.Add(-latencyWindow).Unix()
	for _, s := range r.samples[:min(r.n, len(r.samples))] {
		if int64(s.at) < oldest {
			continue
		}
		i := n
		for ; i > 0 && took[i-1] > s.took; i-- {
			took[i] = took[i-1]
		}
		took[i] = s.took
		n++
	}
	if n == 0 {
		return 0
	}
	return time.Duration(took[n*95/100]) * time.Millisecond
}

// routeOf identifies the method and path of a request, with what looks like an
// id in it masked.
func routeOf(req *http.Request) uint64 {
	method := maphash.String(routeSeed, req.Method)
	if req.URL == nil {
		return method
	}
	return method ^ bits.RotateLeft64(maskedPath(req.URL.Path), 1)
}

// knownRoute is what routeOf says of a method and path that has no id in it.
type knownRoute struct {
	method, path string
	id           uint64
}

// knownRouteOf is routeOf, which remembers the first route: many programs have one.
func (l *Limiter) knownRouteOf(req *http.Request) uint64 {
	k := l.usual.Load()
	if k != nil && req.URL != nil && k.path == req.URL.Path && k.method == req.Method {
		return k.id
	}
	id := routeOf(req)
	if k == nil && req.URL != nil && len(req.URL.Path)+len(req.Method) <= maxName && !hasID(req.URL.Path) {
		l.usual.CompareAndSwap(nil, &knownRoute{strings.Clone(req.Method), strings.Clone(req.URL.Path), id})
	}
	return id
}

// maskedPath is a hash of the path of a request, with what looks like an id in it
// masked.
func maskedPath(path string) uint64 {
	if !hasID(path) {
		return maphash.String(routeSeed, path)
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if isID(segment) {
			segments[i] = "*"
		}
	}
	return maphash.String(routeSeed, strings.Join(segments, "/"))
}

// hasID tells whether a segment of path isID.
func hasID(path string) bool {
	from, digits := 0, false
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			digits = digits || path[i]-'0' <= 9
			continue
		}
		if (digits || i-from > longID) && isID(path[from:i]) {
			return true
		}
		from, digits = i+1, false
	}
	return false
}

const longID = 40 // a segment longer than this is one

var routeSeed = maphash.MakeSeed()

// isID tells whether a path segment names one of many: a number, a hash, a UUID.
func isID(s string) bool {
	digits, hex := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F', c == '-':
			hex++
		}
	}
	return digits > 0 && (digits == len(s) || digits+hex == len(s) && len(s) >= 7 || digits >= 4 && len(s) >= 12) ||
		len(s) > longID
}
