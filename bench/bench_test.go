package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// instant is a base in memory that reads the request's body and answers at once.
type instant struct{}

var answerHeader = http.Header{
	"Content-Type":                   {"application/json"},
	"X-Ratelimit-Limit-Requests":     {"100000000"},
	"X-Ratelimit-Remaining-Requests": {"99999999"},
	"X-Ratelimit-Reset-Requests":     {"1ms"},
	"X-Request-Id":                   {"req_1"},
}

func (instant) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	return &http.Response{
		Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answerHeader, Body: http.NoBody, Request: req,
	}, nil
}

// chat is the JSON body of a chat completion, about n bytes long.
func chat(n int) string {
	return `{"model":"gpt-5","max_tokens":256,"messages":[{"role":"user","content":"` +
		strings.Repeat("lorem ipsum dolor sit amet ", n/27) + `"}]}`
}

// newRequest is a call of an inference endpoint, with a GetBody if it has a body.
func newRequest(url, body string) *http.Request {
	method, content := "GET", io.Reader(nil)
	if body != "" {
		method, content = "POST", strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, content)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer sk-of-nobody")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func exchange(tb testing.TB, rt http.RoundTripper, url, body string) {
	resp, err := rt.RoundTrip(newRequest(url, body))
	if err != nil {
		tb.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		tb.Fatalf("status %d", resp.StatusCode)
	}
}

const endpoint = "/v1/chat/completions"

// inMemory measures one kind of call for every contender.
func inMemory(b *testing.B, body string) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			rt := c.wrap(instant{})
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, rt, "http://api.test"+endpoint, body)
			}
		})
	}
}

func BenchmarkGET(b *testing.B)      { inMemory(b, "") }
func BenchmarkPOST4KiB(b *testing.B) { inMemory(b, chat(4<<10)) }
func BenchmarkPOST1MiB(b *testing.B) { inMemory(b, chat(1<<20)) }

func BenchmarkPOST4KiBParallel(b *testing.B) { parallel(b, instant{}, "http://api.test"+endpoint, 1) }

// parallel measures POSTs of 4 KiB for every contender, so many at once on each core.
func parallel(b *testing.B, base http.RoundTripper, url string, perCore int) {
	body := chat(4 << 10)
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			rt := c.wrap(base)
			b.ReportAllocs()
			b.SetParallelism(perCore)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					exchange(b, rt, url, body)
				}
			})
		})
	}
}

// loopback is a server that answers as instant does, and a transport to it.
func loopback(b *testing.B) (base *http.Transport, url string) {
	answer := bytes.Repeat([]byte("x"), 500)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for name, values := range answerHeader {
			rw.Header()[name] = values
		}
		rw.Write(answer)
	}))
	b.Cleanup(server.Close)
	base = server.Client().Transport.(*http.Transport)
	base.MaxIdleConnsPerHost = perCore * runtime.GOMAXPROCS(0)
	return base, server.URL + endpoint
}

func BenchmarkPOST4KiBLoopback(b *testing.B) {
	base, url := loopback(b)
	body := chat(4 << 10)
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			rt := c.wrap(base)
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, rt, url, body)
			}
		})
	}
}

// perCore is how many call at once over loopback, so that no core waits for the network.
const perCore = 16

func BenchmarkPOST4KiBLoopbackParallel(b *testing.B) {
	base, url := loopback(b)
	parallel(b, base, url, perCore)
}
