package steadyhttp

import (
	"strings"
	"time"
)

// quotaPolicy is a limit that a server declares: an item of the RateLimit-Policy
// header, or what follows the first item of a list in a limit header, in any of
// the drafts of draft-ietf-httpapi-ratelimit-headers.
type quotaPolicy struct {
	name     string
	resource string // "requests", unless the "qu" parameter says otherwise
	scope    string // its partition key
	quota    int64
	window   time.Duration
	used     bool // a quota of this response has told what remains of it
}

// units of quota that the drafts define, as resources.
var quotaUnits = map[string]string{
	"": "requests", "requests": "requests", "content-bytes": "content_bytes",
	"concurrent-requests": "concurrent_requests",
}

// parseUnit is the resource that a quota unit names.
func parseUnit(s string) string {
	if r, ok := quotaUnits[s]; ok {
		return r
	}
	if len(s) > maxWordName {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// cutList cuts s at the first separator that is outside a quoted string, and
// trims what is before it.
func cutList(s string, separator byte) (item, rest string, more bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return trim(s[:i]), s[i+1:], true
		}
	}
	return trim(s), "", false
}

// trim removes the white space that may surround an item or a header's value.
func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// list is what is left of a list, of which at most maxQuotas items are looked
// at. It is a type and not an iterator because it costs no allocation.
type list struct {
	rest      string
	separator byte
	taken     int
	ended     bool
}

func commas(s string) list     { return list{rest: s, separator: ','} }
func semicolons(s string) list { return list{rest: s, separator: ';'} }

// next takes the next item that is not empty; ok is false at the end.
func (l *list) next() (item string, ok bool) {
	for ; !l.ended && l.taken < maxQuotas; l.taken++ {
		var more bool
		item, l.rest, more = cutList(l.rest, l.separator)
		if l.ended = !more; item != "" {
			l.taken++
			return item, true
		}
	}
	return "", false
}

// unquote removes the quotes of a string, or the colons of a byte sequence.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == ':') {
		return s[1 : n-1]
	}
	return s
}

// natural reads a parameter that is a number and not negative.
func natural(s string) (int64, bool) {
	n, ok := count(unquote(s))
	return n, ok && n >= 0
}

// window reads the length of a window in seconds.
func window(s string) time.Duration {
	v, _, ok := number(unquote(s))
	if !ok || !(v > 0) {
		return 0
	}
	return seconds(v)
}

// parsePolicy reads an item of a list of policies: `100;w=60`, or `"name";q=100;w=60`.
// Of one with several names, which is malformed but is sent, the last counts.
func parsePolicy(item string) (p quotaPolicy, ok bool) {
	p = quotaPolicy{resource: "requests", quota: -1}
	parts := semicolons(item)
	for part, more := parts.next(); more; part, more = parts.next() {
		key, value, isParam := strings.Cut(part, "=")
		if !isParam || part[0] == '"' {
			if n, isNumber := natural(part); isNumber && part[0] != '"' {
				p.quota = n
			} else {
				p.name = unquote(part)
			}
			continue
		}
		switch value = trim(value); trim(key) {
		case "q":
			if n, ok := natural(value); ok {
				p.quota = n
			}
		case "w", "window":
			p.window = window(value)
		case "qu":
			p.resource = parseUnit(unquote(value))
		case "pk":
			p.scope = scopeName(unquote(value))
		case "name":
			p.name = unquote(value)
		}
	}
	return p, p.quota >= 0 && p.resource != ""
}

// parseLimitList reads the value of a limit header: a number, or a list that
// begins with the limit in force and goes on with the policies (drafts 0 to 6).
// What is neither, as grouped digits are not, is no limit.
func (q *quotaFacts) parseLimitList(s string) (limit int64, w time.Duration, ok bool) {
	if limit, ok := limitCount(s); ok {
		return limit, 0, true
	}
	first := true
	var policies []quotaPolicy
	list := commas(s)
	for item, more := list.next(); more; item, more = list.next() {
		head, params, more := cutList(item, ';')
		n, isNumber := limitCount(head)
		switch {
		case !isNumber:
			return 0, 0, false
		case first:
			limit, first = n, false
			if p, isPolicy := parsePolicy(item); isPolicy {
				w = p.window
			}
		case !more && n != limit:
			return 0, 0, false // "5,000"
		case more && params != "":
			if p, isPolicy := parsePolicy(item); isPolicy && p.window > 0 {
				policies = append(policies, p)
			}
		}
	}
	for _, p := range policies {
		q.addPolicy(p)
	}
	return limit, w, !first
}

// parseRateLimit reads a RateLimit header: a dictionary (draft 7), or a list of
// names of policies with parameters (from draft 8 on).
func (q *quotaFacts) parseRateLimit(row *headerRow, s string) {
	dictionary := newBucket("requests")
	dictionary.row = row
	stated := false
	list := commas(s)
	for item, more := list.next(); more; item, more = list.next() {
		head, params, _ := cutList(item, ';')
		if !strings.HasPrefix(head, `"`) && strings.Contains(head, "=") {
			stated = dictionary.setParam(head) || stated
			dictionary.setParam(params)
			continue
		}
		b := newBucket("requests")
		b.row, b.name = row, unquote(head)
		if b.setParams(params) {
			q.append(&b)
		}
	}
	if stated {
		q.append(&dictionary)
	}
}

// setParams takes in parameters.
func (b *bucket) setParams(params string) (ok bool) {
	list := semicolons(params)
	for p, more := list.next(); more; p, more = list.next() {
		ok = b.setParam(p) || ok
	}
	return ok
}

// setParam takes in a parameter of a RateLimit header, under its name in any of
// the drafts or of the headers that resemble them. It tells whether it says
// something of the quota.
func (b *bucket) setParam(param string) (ok bool) {
	key, value, _ := strings.Cut(param, "=")
	value = unquote(trim(value))
	switch strings.ToLower(trim(key)) {
	case "limit", "total":
		var n int64
		if n, ok = natural(value); ok {
			b.limit = n
		}
	case "remaining", "r":
		var n int64
		if n, ok = natural(value); ok {
			b.remaining = n
		}
	case "reset", "resets", "t":
		var m moment
		if m, ok = parseMoment(value); ok {
			b.setReset(quotaReset, m)
		}
	case "w", "window":
		b.window = max(b.window, window(value))
	case "pk":
		b.scope = scopeName(value)
	}
	return ok
}

// scopeName is s if it can be a name.
func scopeName(s string) string {
	if len(s) > maxWordName {
		return ""
	}
	return s
}

// spread makes a bucket of each policy if the headers have lists with an item for
// each, as Brave's do: "0, 1977" of "1;w=1, 2000;w=2592000".
func (q *quotaFacts) spread() {
	limits, remainings, resets := commas(q.limits), commas(q.remainings), commas(q.resets)
	var found []bucket
	for _, p := range q.policies {
		item, _ := limits.next()
		limit, ok := count(item)
		if !ok || limit != p.quota {
			return
		}
		item, _ = remainings.next()
		left, ok := count(item)
		if !ok {
			return
		}
		b := newBucket(p.resource)
		b.row, b.limit, b.remaining, b.window, b.scope, b.name = q.listed, p.quota, left, p.window, p.scope, p.name
		if item, _ = resets.next(); item != "" {
			if m, ok := parseMoment(item); ok {
				b.setReset(quotaReset, m)
			}
		}
		found = append(found, b)
	}
	if _, more := remainings.next(); more || len(found) < 2 {
		return
	}
	for i := len(q.buckets) - 1; i >= 0; i-- {
		if b := &q.buckets[i]; b.row == q.listed && b.implied && b.suffix == 0 {
			q.remove(i) // what it says was read from one of the lists
		}
	}
	for i := range found {
		if q.policies[i].used = true; found[i].limit > 0 { // none of them is no limit
			q.append(&found[i])
		}
	}
}
