package steadyhttp

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// ordinaryHeader is what most responses carry besides rate limits.
func ordinaryHeader() http.Header {
	return http.Header{
		"Date":                      {"Fri, 20 Nov 2026 12:00:00 GMT"},
		"Content-Type":              {"application/json"},
		"Server":                    {"cloudflare"},
		"Vary":                      {"Accept-Encoding"},
		"X-Request-Id":              {"req_156c6d5609831d1a96457b0d8b16e65b"},
		"Strict-Transport-Security": {"max-age=31536000; includeSubDomains; preload"},
		"X-Content-Type-Options":    {"nosniff"},
		"Openai-Processing-Ms":      {"412"},
		"Cf-Ray":                    {"8a0b1c2d3e4f5a6b-FRA"},
		"Connection":                {"keep-alive"},
	}
}

func quotaHeader() http.Header {
	h := ordinaryHeader()
	h.Set("x-ratelimit-limit-requests", "5000")
	h.Set("x-ratelimit-remaining-requests", "4999")
	h.Set("x-ratelimit-reset-requests", "12ms")
	h.Set("x-ratelimit-limit-tokens", "160000")
	h.Set("x-ratelimit-remaining-tokens", "159976")
	h.Set("x-ratelimit-reset-tokens", "9ms")
	return h
}

func BenchmarkClassify(b *testing.B) {
	req, _ := http.NewRequest("POST", "https://api.example/v1/chat/completions", nil)
	anthropic := ordinaryHeader()
	for _, kind := range []string{"requests", "tokens"} {
		anthropic.Set("anthropic-ratelimit-"+kind+"-limit", "50")
		anthropic.Set("anthropic-ratelimit-"+kind+"-remaining", "49")
		anthropic.Set("anthropic-ratelimit-"+kind+"-reset", "2026-11-20T12:00:30Z")
	}
	ietf := ordinaryHeader()
	ietf.Set("RateLimit-Policy", `"default";q=100;w=60`)
	ietf.Set("RateLimit", `"default";r=50;t=30`)
	for _, bm := range []struct {
		name   string
		header http.Header
	}{
		{"200 without quotas", ordinaryHeader()},
		{"200 with six headers", quotaHeader()},
		{"200 with dates", anthropic},
		{"200 with RateLimit", ietf},
	} {
		b.Run(bm.name, func(b *testing.B) {
			resp := &http.Response{StatusCode: 200, Header: bm.header, Request: req, Body: http.NoBody}
			b.ReportAllocs()
			for b.Loop() {
				Classify(resp, nil)
			}
		})
	}

	body := []byte(`{"error":{"message":"Rate limit reached for gpt-4 in organization org-uVqpjtJiKqvVJMVfvpaounIh on tokens per min (TPM): Limit 10000, Used 8554, Requested 3082. Please try again in 9.816s. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`)
	b.Run("429 with a body of 300 bytes", func(b *testing.B) {
		h := quotaHeader()
		r := bytes.NewReader(nil)
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(body)
			Classify(&http.Response{StatusCode: 429, Header: h, Request: req, Body: io.NopCloser(r), ContentLength: int64(len(body))}, nil)
		}
	})
}
