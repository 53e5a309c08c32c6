package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestExplainShowsNoSecret pastes what curl -v prints, with the request and its
// credential, and a response that repeats the credential wherever it can. What
// the API says in words is shown, since that is what explain is for, but nothing
// else that was pasted.
func TestExplainShowsNoSecret(t *testing.T) {
	const secret = "s3cr3t-0123456789abcdef"
	raw := strings.ReplaceAll(`* Connected to api.test (127.0.0.1) port 443
* Server auth using Basic with user 'SECRET'
> POST /v1/chat/completions?key=SECRET HTTP/1.1
> Host: api.test
> Authorization: Bearer SECRET
> X-Api-Key: SECRET
> Cookie: session=SECRET
>
< HTTP/1.1 429 Too Many Requests
< Set-Cookie: session=SECRET; Secure
< Location: https://u:SECRET@api.test/?key=SECRET
< X-Echo: SECRET
< X-RateLimit-Limit: 60
< X-RateLimit-Remaining: 0
< Retry-After: 7
<
{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"},"request":{"authorization":"SECRET"},"debug":"SECRET"}
`, "SECRET", secret)
	for _, json := range []bool{false, true} {
		var out bytes.Buffer
		e := explain{JSON: json}
		if err := e.Run(terminal{in: strings.NewReader(raw), out: &out}); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, secret) || strings.Contains(text, secret[:12]) {
			t.Errorf("JSON %t:\n%s", json, text)
		} else if !strings.Contains(text, "rate_limited") || !strings.Contains(text, "slow down") {
			t.Errorf("JSON %t: it explains nothing:\n%s", json, text)
		}
	}
}
