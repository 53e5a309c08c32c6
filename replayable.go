package steadyhttp

import (
	"net/http"
	"strings"
)

// repeatable tells from the head of req whether it may be repeated after a
// failure that leaves open whether the server acted on it.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace,
		http.MethodPut, http.MethodDelete: // idempotent: RFC 9110, section 9.2.2
		return true
	}
	// Clients that say so. As for net/http, an idempotency key without a value
	// counts and is not sent.
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key", sdkRetryCount} {
		if _, ok := req.Header[name]; ok {
			return true
		}
	}
	return false
}

// inferencePaths end the paths of endpoints that cost tokens but change nothing.
var inferencePaths = []string{
	"/chat/completions",
	"/completions",
	"/responses",
	"/messages",
	"/embeddings",
	"/moderations",
	":generateContent",
	":streamGenerateContent",
	":embedContent",
	":batchEmbedContents",
	":countTokens",
}

// inference tells whether req goes to where a model answers. That it names one
// is for ModelKey to say: other APIs have /messages too.
func inference(req *http.Request) bool {
	if req.Method != http.MethodPost || req.URL == nil {
		return false
	}
	path := strings.TrimSuffix(req.URL.Path, "/")
	for _, end := range inferencePaths {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}
