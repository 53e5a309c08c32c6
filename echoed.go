package steadyhttp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// secrets are the credentials of a request, as they stand in it. A server may repeat
// them in what it says: in a message, or in a code or an id, which are logged.
type secrets []string

const (
	minSecret = 6          // anything shorter might be part of any word
	hidden    = "[hidden]" // stands for a secret
)

// secretsOf are those of req, and of what the base sent in its place if v is on the
// response to that: a base may have a credential of its own.
func secretsOf(req *http.Request, v *verdict) secrets {
	s := secrets(nil).with(req)
	if v.resp != nil && instead(req, v.resp) {
		s = s.with(v.resp.Request)
	}
	return s
}

// with is s with those of req. Of a header with several words the last is one, and of
// a name and a password both: for many APIs the key is the name.
func (s secrets) with(req *http.Request) secrets {
	add := func(secret string) {
		if len(secret) >= minSecret {
			s = append(s, secret)
		}
	}
	for _, name := range append([]string{"Proxy-Authorization"}, credentialHeaders[:]...) {
		for _, value := range req.Header[name] {
			value = strings.TrimSpace(value)
			add(value[strings.LastIndexByte(value, ' ')+1:])
		}
	}
	if name, password, ok := req.BasicAuth(); ok {
		add(name)
		add(password)
	}
	if req.URL == nil {
		return s
	}
	if u := req.URL.User; u != nil {
		add(u.Username())
		password, _ := u.Password()
		add(password)
	}
	for query := range strings.SplitSeq(req.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(query, "=")
		if _, ok := credentialQueries[name]; !ok {
			continue
		}
		add(value) // as it was sent
		if value, err := url.QueryUnescape(value); err == nil {
			add(value)
		}
	}
	return s
}

// hide returns text without s, and without the beginning of one of s at its end: the
// texts of an Outcome are cut.
func (s secrets) hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, hidden)
		for n := min(len(secret), len(text)); n >= minSecret; n-- {
			if start, cut := strings.CutSuffix(text, secret[:n]); cut {
				text = start + hidden
				break
			}
		}
	}
	return text
}

// hideIn returns quotas with names without s. It does not change those that it is given.
func (s secrets) hideIn(quotas []Quota) []Quota {
	for i, q := range quotas {
		resource, scope := s.hide(q.Resource), s.hide(q.Scope)
		if resource == q.Resource && scope == q.Scope {
			continue
		}
		quotas = slices.Clone(quotas)
		quotas[i].Resource, quotas[i].Scope = resource, scope
	}
	return quotas
}

// outcome is o as a Trace is told of it.
func (s secrets) outcome(o Outcome) Outcome {
	for _, text := range []*string{&o.Code, &o.Type, &o.Message, &o.Param, &o.RequestID} {
		*text = s.hide(*text)
	}
	o.Quotas = s.hideIn(o.Quotas)
	return o
}
