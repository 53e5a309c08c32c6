package steadyhttp

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// instantly answers at once, with the headers of a budget that is never spent.
type instantly struct{ header http.Header }

func (i instantly) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: i.header, Body: http.NoBody, Request: req,
	}, nil
}

func plentiful() instantly {
	return instantly{http.Header{
		"X-Ratelimit-Limit-Requests":     {"60000"},
		"X-Ratelimit-Remaining-Requests": {"59999"},
		"X-Ratelimit-Reset-Requests":     {"1ms"},
		"X-Ratelimit-Limit-Tokens":       {"9000000"},
		"X-Ratelimit-Remaining-Tokens":   {"8999000"},
		"X-Ratelimit-Reset-Tokens":       {"6ms"},
	}}
}

func benchRequest(b *testing.B) *http.Request {
	req, err := http.NewRequest("POST", "http://api.test/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		b.Fatal(err)
	}
	return req
}

func BenchmarkLimiter(b *testing.B) {
	key := func(*http.Request) string { return "k" }
	cost := func(*http.Request) Tokens { return Tokens{} }
	layers := []struct {
		name string
		rt   http.RoundTripper
	}{
		{"classifier", &Classifier{Base: plentiful()}},
		{"limiter+classifier", &Limiter{Base: &Classifier{Base: plentiful()}, Key: key, Cost: cost}},
		{"limiter+classifier/default-key", &Limiter{Base: &Classifier{Base: plentiful()}}},
	}
	for _, l := range layers {
		b.Run(l.name, func(b *testing.B) {
			req := benchRequest(b)
			req.Body, req.GetBody = nil, nil
			b.ReportAllocs()
			for b.Loop() {
				resp, err := l.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
			}
		})
	}
}

// BenchmarkAdmitAndSettle is the Limiter's own work for a request that need not
// wait, on a key with two budgets.
func BenchmarkAdmitAndSettle(b *testing.B) {
	q := (&Limiter{}).newQueue("k")
	now := time.Now()
	quotas := []Quota{
		{Resource: "requests", Limit: 60_000, Remaining: 59_999, resolution: time.Millisecond},
		{Resource: "tokens", Limit: 9_000_000, Remaining: 8_999_000, resolution: time.Millisecond},
	}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Microsecond)
		w := new(waiter)
		_, err := q.admit(now, "k", w, &request{cost: cost{requests: 1}, route: 7, began: now, maxWait: time.Hour, maxQueue: 1})
		if err != nil {
			b.Fatal(err)
		}
		quotas[0].Reset, quotas[1].Reset = now.Add(time.Millisecond), now.Add(6*time.Millisecond)
		q.settle(now, "k", w, &ending{Outcome: Outcome{Class: ClassSuccess, Quotas: quotas}})
	}
}

// BenchmarkQueue is what it costs to wake the first of so many waiters on a key,
// and to queue another. It must not grow with their number.
func BenchmarkQueue(b *testing.B) {
	for _, waiters := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(waiters), func(b *testing.B) {
			now := time.Now().Add(24 * time.Hour) // the real timer never comes into it
			q := (&Limiter{Requests: []Rate{{N: 1_000_000, Per: time.Second, Burst: 1}}}).newQueue("k")
			began := now
			var waiting []*waiter
			add := func() {
				began = began.Add(time.Nanosecond)
				w := new(waiter)
				_, err := q.admit(now, "k", w, &request{cost: cost{requests: 1}, began: began, maxWait: time.Hour, maxQueue: 1 << 20})
				if err != nil {
					b.Fatal(err)
				}
				waiting = append(waiting, w)
			}
			for range waiters + 1 {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(2 * time.Microsecond)
				first := waiting[0]
				if waiting = waiting[1:]; !first.admitted {
					b.Fatal("the first is not the next")
				}
				q.settle(now, "k", first, &ending{Outcome: Outcome{Class: ClassSuccess}}) // wakes another
				add()
			}
			if q.waiting > waiters+1 {
				b.Fatalf("%d wait, want at most %d", q.waiting, waiters+1)
			}
		})
	}
}

func TestStateOfAKeyIsSmall(t *testing.T) {
	var l *Limiter
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l = &Limiter{Base: &Classifier{Base: plentiful()}, Key: func(req *http.Request) string { return req.URL.Path }}
	for i := range maxKeys {
		resp, err := l.RoundTrip(httptest.NewRequest("POST", "http://api.test/"+strconv.Itoa(i), nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	each := int(heap()-before) / maxKeys
	t.Logf("%d bytes a key of two budgets", each)
	if each > 1536 {
		t.Errorf("a key of two budgets takes %d bytes, want at most 1536", each)
	}
	runtime.KeepAlive(l)
}
