package steadyhttp

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDrainIsWorthSomeBytesAndSomeTime(t *testing.T) {
	endless := readerFunc(func(p []byte) (int, error) { return len(p), nil })
	for _, tt := range []struct {
		name   string
		body   io.Reader
		length int64
		proto  int
		want   int64 // bytes read, at most so many
		least  int64
	}{
		{"short", strings.NewReader("hello"), 5, 1, 5, 5},
		{"unknown", strings.NewReader(strings.Repeat("x", 100_000)), -1, 1, 100_000, 100_000},
		{"endless", endless, -1, 1, drainBytes + 64<<10, drainBytes},
		{"known to be long", endless, drainBytes + 1, 1, 0, 0},
		{"HTTP/2", strings.NewReader("hello"), 5, 2, 0, 0},
	} {
		var read int64
		body := &closings{Reader: readerFunc(func(p []byte) (int, error) {
			n, err := tt.body.Read(p)
			read += int64(n)
			return n, err
		})}
		drain(new(http.Request), &http.Response{Body: body, ContentLength: tt.length, ProtoMajor: tt.proto})
		if read < tt.least || read > tt.want || body.n.Load() == 0 {
			t.Errorf("%s: read %d bytes, closed %d times; want %d to %d", tt.name, read, body.n.Load(), tt.least, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // says nothing
		start := time.Now()
		drain(new(http.Request), &http.Response{Body: r, ContentLength: -1, ProtoMajor: 1})
		if got := time.Since(start); got != drainTime {
			t.Errorf("took %v, want %v", got, drainTime)
		}
		w.Close()
	})
	drain(new(http.Request), nil)
	drain(new(http.Request), &http.Response{})
}

// A body that neither ends nor lets itself be closed holds nobody, nor does one that
// the caller no longer waits for.
func TestDrainEndsWithoutTheBody(t *testing.T) {
	stuck := func(until chan struct{}) *http.Response {
		return &http.Response{ContentLength: -1, ProtoMajor: 1, Body: readerFunc(func([]byte) (int, error) { <-until; return 0, io.EOF })}
	}
	for name, want := range map[string]time.Duration{"time": drainTime, "context": time.Millisecond, "Cancel": time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			req, cancel := get(t, "a.example").WithContext(ctx), make(chan struct{})
			req.Cancel = cancel //lint:ignore SA1019 http.Client closes it at its Timeout
			time.AfterFunc(time.Millisecond, func() {
				switch name {
				case "context":
					end()
				case "Cancel":
					close(cancel)
				}
			})
			until, start := make(chan struct{}), time.Now()
			drain(req, stuck(until))
			if got := time.Since(start); got != want {
				t.Errorf("%s: took %v, want %v", name, got, want)
			}
			close(until)
		})
	}
}
