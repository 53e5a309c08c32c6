package steadyhttp

import (
	"context"
	"net/http"
	"strings"
)

// KeyFunc names what a request counts against. Requests with the same key share
// state; "" exempts a request. It must not return a secret: keys are seen by the
// Trace and in errors. It is called by many goroutines at once, and may read the
// body only through GetBody.
//
// The KeyFuncs of this package return printable ASCII of bounded length, and
// include the scope that [WithScope] put in the request's context.
type KeyFunc func(*http.Request) string

// HostKey is the scheme, host and port that a request goes to, in lower case and
// without the scheme's own port: https://api.example.com.
func HostKey(req *http.Request) string {
	var buf [keyBuf]byte
	return string(appendHostKey(buf[:0], req))
}

func appendHostKey(b []byte, req *http.Request) []byte { return appendScope(appendHost(b, req), req) }

// CredentialKey is a digest of what a request authenticates itself with: its
// Authorization, Api-Key, X-Api-Key and X-Goog-Api-Key headers and the like in
// its URL. It is "" for a request with none of them. A cookie is not a
// credential: it changes too often.
//
// Of schemes that sign each request (AWS's Signature Version 4 and its
// descendants, OAuth 1, Digest, HTTP signatures) only the stable part counts,
// the id of the key. The digest is seeded anew in each process: it neither tells
// the secret nor can it be compared with another process's.
func CredentialKey(req *http.Request) string {
	var buf [keyBuf]byte
	return string(appendScope(appendCredential(buf[:0], req), req))
}

// ModelKey is the model that a request asks for. It is in the path of a POST, as
// Azure (/deployments/NAME/chat/completions), Gemini (/models/NAME:generateContent) and Bedrock
// (/model/NAME/invoke) have it, or else the first "model" of a JSON body, which is
// read as [EstimateTokens] does. It is "" for any other request.
func ModelKey(req *http.Request) string {
	var buf [keyBuf]byte
	return string(appendScope(appendModel(buf[:0], req), req))
}

// RequestKey is the host, the credential and the model of a request: what most
// APIs count requests by.
func RequestKey(req *http.Request) string {
	var buf [keyBuf]byte
	return string(appendRequestKey(buf[:0], req))
}

func appendRequestKey(b []byte, req *http.Request) []byte {
	b = appendHost(b, req)
	n := len(b)
	if b = appendCredential(append(b, ' '), req); len(b) == n+1 {
		b = b[:n]
	}
	n = len(b)
	if b = appendModel(append(b, ' '), req); len(b) == n+1 {
		b = b[:n]
	}
	return appendScope(b, req)
}

// JoinKeys returns the KeyFunc whose key is all of the given ones. A part that is
// "" is left out; the whole is "" only if every part is.
func JoinKeys(keys ...KeyFunc) KeyFunc {
	return func(req *http.Request) string {
		var buf [keyBuf]byte
		b := buf[:0]
		scope := scopeOf(req.Context())
		for _, key := range keys {
			part := key(req)
			if scope != "" {
				part = strings.TrimSuffix(part, scope)
			}
			if part == "" {
				continue
			}
			if len(b) > 0 {
				b = append(b, ' ')
			}
			b = append(b, part...)
		}
		return string(appendScope(b, req))
	}
}

type scopeKey struct{}

// WithScope returns a context whose requests have keys of their own: the scope
// becomes part of what every KeyFunc of this package returns, unless that is "".
// It is for what a request does not show, such as the account that a proxy adds.
// It must not be a secret. An empty scope is none.
func WithScope(ctx context.Context, scope string) context.Context {
	if scope != "" {
		var buf [keyBuf]byte
		scope = string(appendName(append(buf[:0], '@'), scope))
	}
	return context.WithValue(ctx, scopeKey{}, scope)
}

// scopeOf returns the scope as keys end with it.
func scopeOf(ctx context.Context) string {
	scope, _ := ctx.Value(scopeKey{}).(string)
	return scope
}

// appendScope appends the scope of req to the key b, unless that is "".
func appendScope(b []byte, req *http.Request) []byte {
	if len(b) == 0 {
		return b
	}
	return append(b, scopeOf(req.Context())...)
}

const (
	keyBuf  = 192 // room for most keys on the stack
	maxName = 128 // of each part of a key that comes from outside
)

// appendName appends name to b as it may stand in a key: what is not printable
// ASCII escaped as in a URL, and if it is too long, its beginning and a digest.
func appendName(b []byte, name string) []byte {
	if len(name) > maxName {
		b = appendName(b, name[:maxName-digestLen-1])
		return digest(0).with(name).append(append(b, '~'))
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c > ' ' && c < 0x7f && c != '%' && c != '@' {
			b = append(b, c)
		} else {
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return b
}

func appendHost(b []byte, req *http.Request) []byte {
	if req.URL == nil || req.URL.Host == "" {
		return b
	}
	if a, _ := req.Context().(*attempt); a != nil && a.call.isTo(req.URL) {
		return append(b, a.call.host...)
	}
	if isPlain(req.URL.Scheme, "") && isPlain(req.URL.Host, defaultPort(req.URL.Scheme)) { // most are
		return append(append(append(b, req.URL.Scheme...), "://"...), req.URL.Host...)
	}
	scheme, host := strings.ToLower(req.URL.Scheme), strings.ToLower(req.URL.Host)
	if strings.HasSuffix(host, defaultPort(scheme)) {
		host = host[:len(host)-len(defaultPort(scheme))]
	}
	host = strings.TrimSuffix(strings.Replace(host, ".:", ":", 1), ".") // a full name's dot
	return appendName(append(appendName(b, scheme), "://"...), host)
}

// isPlain tells whether a scheme or host is as a key has it: in lower case, without
// the port that may be left out or a final dot, and not too long.
func isPlain(s, port string) bool {
	for i := 0; i < len(s); i++ {
		if !plainBytes[s[i]] {
			return false
		}
	}
	if s == "" || len(s) > maxName || s[len(s)-1] == '.' || s[len(s)-1] == ':' {
		return false
	}
	colon := strings.IndexByte(s, ':')
	return colon < 0 || port != "" && colon > 0 && s[colon-1] != '.' && s[colon:] != port && strings.IndexByte(s[colon+1:], ':') < 0
}

// plainBytes are the bytes that a key has as they are.
var plainBytes = func() (plain [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789-.:" {
		plain[c] = true
	}
	return plain
}()

// defaultPort is the port of scheme, as the end of a host that may leave it out.
func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return ":80"
	case "https", "wss":
		return ":443"
	}
	return ":"
}

func appendModel(b []byte, req *http.Request) []byte {
	if req.URL != nil && req.Method == http.MethodPost {
		if name := pathModel(req.URL.Path); name != "" {
			return appendName(b, name)
		}
	}
	return appendName(b, readFacts(req, true).model)
}

// modelOperations are the segments that may follow a model's name.
var modelOperations = [...]string{
	"/chat/", "/completions", "/embeddings", "/responses", "/messages", "/images/", "/audio/", "/moderations",
	"/extensions/", "/invoke", "/converse", "/count-tokens",
}

// pathModel is the model that a path names, by the segment before the name.
func pathModel(path string) string {
	for {
		start := strings.IndexByte(path, '/')
		end := strings.IndexByte(path[start+1:], '/') + start + 1
		if end <= start {
			return ""
		}
		name := ""
		switch path[start+1 : end] {
		case "deployments", "engines", "model":
			name = upToOperation(path[end+1:])
		case "models", "tunedModels", "endpoints":
			name = upToVerb(path[end+1:])
		}
		if name != "" {
			return name
		}
		path = path[end:]
	}
}

// upToOperation is what stands before an operation on a model. It may be an ARN,
// with slashes of its own.
func upToOperation(rest string) string {
	for _, operation := range modelOperations {
		if i := strings.Index(rest, operation); i > 0 {
			return rest[:i]
		}
	}
	return ""
}

// upToVerb is the last segment up to its colon, as in Google's custom methods.
func upToVerb(rest string) string {
	if i := strings.LastIndexByte(rest, ':'); i > 0 && strings.IndexByte(rest, '/') < 0 {
		return rest[:i]
	}
	return ""
}

// Priority tells how patient a call is.
type Priority uint8

const (
	PriorityInteractive Priority = iota // fails fast: MaxWait, a full queue and an open circuit refuse it
	PriorityBatch                       // waits behind interactive calls, for as long as its context allows; a full queue refuses it too
)

type priorityKey struct{}

// WithPriority returns a context whose requests have priority p.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

func priorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}
