package main

import (
	"io"
	"strings"
	"testing"
)

func TestReadResponseTakesWhatCurlPrints(t *testing.T) {
	const refusal = "HTTP/1.1 429 Too Many Requests\nRetry-After: 7\nContent-Type: application/json\n\n{\"error\":{}}\n"
	for _, c := range []struct{ name, raw, status, retryAfter, body string }{
		{"LF", refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"CRLF", strings.ReplaceAll(refusal, "\n", "\r\n"), "429 Too Many Requests", "7", "{\"error\":{}}\r\n"},
		{"HTTP/2", "HTTP/2 429 \r\nretry-after: 7\r\n\r\n{}", "429 Too Many Requests", "7", "{}"},
		{"HTTP/3", "HTTP/3 503\nretry-after: 7\n\n{}", "503 Service Unavailable", "7", "{}"},
		{"unknown status", "HTTP/2 599\n\n", "599", "", ""},
		{"continue", "HTTP/1.1 100 Continue\r\n\r\n" + refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"early hints", "HTTP/2 103\nlink: </x>\n\n" + refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"proxy", "HTTP/1.0 200 Connection established\n\n" + refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"redirects", "HTTP/1.1 301 Moved\nLocation: /a\nRetry-After: 99\n\nHTTP/2 302\nlocation: /b\n\n" + refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"challenge", "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Digest\n\n" + refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"prompt and indentation", "$ curl -i https://h/\n\n" + refusal, "429 Too Many Requests", "7", "{\"error\":{}}\n"},
		{"curl -v", "* Connected to h\n> GET / HTTP/2\n> \n< HTTP/2 429 \n< retry-after: 7\n< \n{}", "429 Too Many Requests", "7", "{}"},
		{"bold names", "HTTP/2 429 \r\n\x1b[1mretry-after\x1b[0m: 7\r\n\r\n{}", "429 Too Many Requests", "7", "{}"},
		{"folded", "HTTP/1.1 429 No\nRetry-After:\n 7\n\n", "429 No", "7", ""},
		{"headers only", "HTTP/1.1 429 No\nRetry-After: 7", "429 No", "7", ""},
		{"no headers", "HTTP/1.1 429 No\n\nbody", "429 No", "", "body"},
		{"garbage among headers", "HTTP/1.1 429 No\nwhat\nRetry-After: 7\n\n", "429 No", "7", ""},
		{"body like a header", "HTTP/1.1 429 No\n\nRetry-After: 9\n", "429 No", "", "Retry-After: 9\n"},
	} {
		resp, err := readResponse(strings.NewReader(c.raw))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.Status != c.status || resp.Header.Get("Retry-After") != c.retryAfter || string(body) != c.body || resp.ContentLength != int64(len(body)) {
			t.Errorf("%s: got %q, Retry-After %q, body %q", c.name, resp.Status, resp.Header.Get("Retry-After"), body)
		}
	}
}

func TestReadResponseDropsCodingsThatCurlTookOff(t *testing.T) {
	const head = "HTTP/1.1 429 No\nContent-Encoding: gzip\nTransfer-Encoding: chunked\n\n"
	plain, err := readResponse(strings.NewReader(head + "{}"))
	if err != nil || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Transfer-Encoding") != "" {
		t.Errorf("plain: %v, %v", plain, err)
	}
	packed, err := readResponse(strings.NewReader(head + "\x1f\x8b\x08"))
	if err != nil || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("packed: %v, %v", packed, err)
	}
}

func TestReadResponseRefusesWhatIsNone(t *testing.T) {
	for _, raw := range []string{"", "\n\n", "hello", "HTTP/1.1", "HTTP/1.1 42 No", `{"error":"HTTP/1.1 429"}`, strings.Repeat("x\n", 1<<16)} {
		if resp, err := readResponse(strings.NewReader(raw)); err != errNoResponse {
			t.Errorf("%.20q: got %v, %v", raw, resp, err)
		}
	}
}

func FuzzReadResponse(f *testing.F) {
	f.Add("HTTP/2 429 \r\nretry-after: 7\r\n\r\n{}")
	f.Add("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\n a\n: b\n\nx")
	f.Fuzz(func(t *testing.T, raw string) {
		resp, err := readResponse(strings.NewReader(raw))
		if err == nil && (resp.StatusCode > 999 || resp.Body == nil) {
			t.Errorf("got %+v", resp)
		}
	})
}
