package steadyhttp

import (
	"net/http"
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

// secretsOf are those of req. Of a header with several words the last is one.
func secretsOf(req *http.Request) (s secrets) {
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
	if _, password, ok := req.BasicAuth(); ok {
		add(password)
	}
	if req.URL == nil {
		return s
	}
	if password, ok := req.URL.User.Password(); ok {
		add(password)
	}
	if req.URL.RawQuery != "" {
		query := req.URL.Query()
		for name := range credentialQueries {
			for _, value := range query[name] {
				add(value)
			}
		}
	}
	return s
}

// hide returns text without s.
func (s secrets) hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, hidden)
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
