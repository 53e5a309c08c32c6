package steadyhttp

import (
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Tokens is an estimate of what a request to a language model will use, in the
// API's tokens. A "tokens" budget takes the sum, one of "input_tokens" or
// "output_tokens" its part.
type Tokens struct{ Input, Output int64 }

// EstimateTokens reads a request's JSON body, where it lies in memory or through
// GetBody, without consuming it. Input is a quarter of the bytes of text in it,
// that is, of all strings that are values; of a picture, sound or file in base64
// at most 1000. Token ids count as one each. Output is max_tokens, or whatever the
// API calls that, times the number of choices asked for; zero if the body sets no
// such bound, since no provider charges for an answer of unknown length in advance.
//
// It errs towards too much for text that is written with \u escapes, and knows
// nothing of the tokens that the API adds by itself. A Limiter needs no more: the
// server's headers correct the sum with the next response.
//
// A body that is not a JSON object gives zero, and so does one that has no GetBody,
// a Content-Encoding, or a Content-Type that is not JSON's. Of a body longer than
// 32 MiB the rest is not looked at.
func EstimateTokens(req *http.Request) Tokens {
	return readFacts(req, false).tokens
}

// bodyFacts is what the body of a request says. The attempts of one call share it.
type bodyFacts struct {
	mu     sync.Mutex
	of     *url.URL // of the request that was read: copies of it share the URL
	length int64    // its ContentLength
	found  found
}

// found is what one pass over a body found.
type found struct {
	model  string
	tokens Tokens
	brief  bool // it went no further than up to the model
}

// readFacts returns what the body of req says, which is read only once for all
// attempts of a call. If brief, that may be the model alone.
func readFacts(req *http.Request, brief bool) found {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody == nil || !mayBeJSON(req.Header) {
		return found{}
	}
	a := attemptOf(req.Context())
	if a == nil || req.URL == nil {
		read, _ := scanBody(req, brief)
		return read
	}
	f := &a.call.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.areOf(req) && (brief || !f.found.brief) {
		return f.found
	}
	a.pauseTimeout()
	defer a.restartTimeout()
	read, ok := scanBody(req, brief)
	if ok {
		f.found, f.of, f.length = read, req.URL, req.ContentLength
	}
	return read
}

// areOf tells whether it was the body of req, or of a copy of it, that was read.
func (f *bodyFacts) areOf(req *http.Request) bool {
	return f.of == req.URL && f.length == req.ContentLength
}

// known is what was found in the body of req, if it was read.
func (f *bodyFacts) known(req *http.Request) (found, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found, f.areOf(req)
}

// mayBeJSON tells whether a body with the header h is worth looking at. Without
// a Content-Type its first byte decides.
func mayBeJSON(h http.Header) bool {
	if len(h["Content-Encoding"]) > 0 {
		return false
	}
	v := h["Content-Type"]
	if len(v) == 0 || v[0] == "" || v[0] == "application/json" {
		return true
	}
	t, _, err := mime.ParseMediaType(v[0])
	if err != nil {
		t, _, _ = strings.Cut(strings.ToLower(v[0]), ";")
		t = strings.TrimSpace(t)
	}
	return strings.HasSuffix(t, "/json") || strings.HasSuffix(t, "+json")
}

var scanners = sync.Pool{New: func() any { return new(bodyScanner) }}

// scanBody reads the body of req and leaves it as it was. A body that is already
// sent must not be scanned. It is not ok if req was given up meanwhile: other copies
// of it, and other attempts, may not be.
func scanBody(req *http.Request, brief bool) (read found, ok bool) {
	if memory, n := inMemory(req.Body); brief && n > 0 && n == req.ContentLength {
		if model := leadingModel(memory); model != "" {
			return found{model: model, brief: true}, true
		}
	}
	s := scanners.Get().(*bodyScanner)
	s.reset()
	s.brief = brief
	length, err := s.peek(req)
	if err == errGivenUp {
		return found{}, false
	}
	defer scanners.Put(s)
	if err != nil && err != errEnough {
		return found{}, true
	}
	if length < maxScan && req.ContentLength > 0 && length != req.ContentLength && s.depth >= 0 {
		return found{}, true // a copy of another body, which has been replaced since
	}
	return found{s.model, s.tokens(), s.cut}, true
}
