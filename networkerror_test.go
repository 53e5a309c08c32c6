package steadyhttp

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestErrorsHaveAClass(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	alert := &net.OpError{Op: "remote error", Err: tls.AlertError(40)}
	tests := []struct {
		name   string
		err    error
		class  Class
		retry  bool
		unsent bool
	}{
		{"limit", &LimitError{Reason: "deadline"}, ClassRefused, false, true},
		{"open", fmt.Errorf("wrapped: %w", &OpenError{}), ClassRefused, false, true},
		{"canceled", context.Canceled, ClassCanceled, false, false},
		{"Request.Cancel", errors.New("net/http: request canceled while waiting for connection"), ClassCanceled, false, false},
		{"canceled dial", &net.OpError{Op: "dial", Err: context.Canceled}, ClassCanceled, false, true},
		{"deadline", context.DeadlineExceeded, ClassTimeout, true, false},
		{"i/o timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ClassTimeout, true, false},
		{"refused", &url.Error{Op: "Post", URL: "http://x", Err: dial}, ClassNetwork, true, true},
		{"refused by a dialer without types", syscall.ECONNREFUSED, ClassNetwork, true, true},
		{"dial timeout", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, ClassNetwork, true, true},
		{"proxy", &net.OpError{Op: "proxyconnect", Err: dial}, ClassNetwork, true, true},
		{"no such host", &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, ClassNetwork, false, true},
		{"DNS down", &net.DNSError{IsTemporary: true, IsTimeout: true}, ClassNetwork, true, true},
		{"handshake refused", alert, ClassNetwork, false, true},
		{"broken TLS record", &net.OpError{Op: "remote error", Err: tls.AlertError(20)}, ClassNetwork, true, false},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, ClassNetwork, true, false},
		{"cut", io.ErrUnexpectedEOF, ClassNetwork, true, false},
		{"closed while idle", errors.New("http: server closed idle connection"), ClassNetwork, true, true},
		{"GOAWAY with an error, before the stream was looked at", errors.New("http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM"), ClassNetwork, true, true},
		{"malformed URL", &url.Error{Op: "parse", URL: ":", Err: errors.New("missing protocol scheme")}, ClassNetwork, false, false},
		{"HTTP to HTTPS", http.ErrSchemeMismatch, ClassNetwork, false, false},
		{"certificate", &tls.CertificateVerificationError{Err: errors.New("x509: expired")}, ClassNetwork, false, true},
		{"unknown", errors.New("something else"), ClassNetwork, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Classify(nil, tt.err)
			if o.Class != tt.class || o.Retryable != tt.retry {
				t.Errorf("Classify: got %v, retryable %t; want %v, %t", o.Class, o.Retryable, tt.class, tt.retry)
			}
			if got := unsent(tt.err); got != tt.unsent {
				t.Errorf("unsent: got %t, want %t", got, tt.unsent)
			}
		})
	}
}

func TestRefusalsSayWhenToRetry(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)
	for _, err := range []error{&LimitError{RetryAt: at}, &OpenError{RetryAt: at}} {
		if got := Classify(nil, err).RetryAt; !got.Equal(at) {
			t.Errorf("RetryAt of %T: got %v, want %v", err, got, at)
		}
	}
}

// TestNetHTTPErrorsAreUnderstood provokes the errors of net/http itself, so that
// a release that words or wraps them differently is noticed.
func TestNetHTTPErrorsAreUnderstood(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	old := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}}
	req := func(method, url string) *http.Request {
		r, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	badHeader := req("GET", plain.URL)
	badHeader.Header["X"] = []string{"a\nb"}
	badMethod := req("GET", plain.URL)
	badMethod.Method = "G E T"
	noHost := req("GET", "http:///x")
	longBody := req("POST", plain.URL)
	longBody.Body, longBody.ContentLength = io.NopCloser(strings.NewReader("12345")), 4

	tests := []struct {
		name          string
		base          *http.Transport
		req           *http.Request
		retry, unsent bool
	}{
		{"nobody listens", &http.Transport{}, req("GET", gone.URL), true, true},
		{"no such scheme", &http.Transport{}, req("GET", "gopher://x/"), false, true},
		{"bad header", &http.Transport{}, badHeader, false, true},
		{"bad method", &http.Transport{}, badMethod, false, true},
		{"no host", &http.Transport{}, noHost, false, true},
		{"wrong length", &http.Transport{}, longBody, false, false},
		{"HTTPS to HTTP", &http.Transport{}, req("GET", "https"+strings.TrimPrefix(plain.URL, "http")), false, true},
		{"unknown authority", &http.Transport{}, req("GET", secure.URL), false, true},
		{"TLS version", old, req("GET", secure.URL), false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer tt.base.CloseIdleConnections()
			resp, err := tt.base.RoundTrip(tt.req)
			for tt.req == longBody && errors.Is(err, net.ErrClosed) { // net/http closes the connection, and may tell of that instead
				longBody.Body = io.NopCloser(strings.NewReader("12345"))
				resp, err = tt.base.RoundTrip(longBody)
			}
			if err == nil {
				resp.Body.Close()
				t.Fatal("got a response, want an error")
			}
			o := Classify(nil, err)
			if o.Class != ClassNetwork || o.Retryable != tt.retry || unsent(err) != tt.unsent {
				t.Errorf("%v: got %v, retryable %t, unsent %t; want network, %t, %t",
					err, o.Class, o.Retryable, unsent(err), tt.retry, tt.unsent)
			}
		})
	}
}

func TestRefusedStreamIsUnsent(t *testing.T) {
	for code, want := range map[uint32]bool{refusedStream: true, 2: false} {
		synctest.Test(t, func(t *testing.T) {
			tr := &http.Transport{Protocols: new(http.Protocols)}
			tr.Protocols.SetUnencryptedHTTP2(true)
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go resetStreams(server, code)
				return client, nil
			}
			req, _ := http.NewRequest("GET", "http://x/", nil)
			_, err := tr.RoundTrip(req)
			tr.CloseIdleConnections()
			if err == nil {
				t.Fatal("got a response, want a stream error")
			}
			if got := unsent(err); got != want {
				t.Errorf("unsent(%v): got %t, want %t", err, got, want)
			}
			if got := Classify(nil, err).Class; got != ClassNetwork {
				t.Errorf("class: got %v, want network", got)
			}
		})
	}
}

// resetStreams is an HTTP/2 server that answers each HEADERS frame with a
// RST_STREAM of the given code.
func resetStreams(conn net.Conn, code uint32) {
	defer conn.Close()
	out := make(chan []byte, 100)
	defer close(out)
	go func() {
		for b := range out {
			conn.Write(b)
		}
	}()
	frame := func(kind byte, stream uint32, payload ...byte) {
		b := []byte{0, 0, byte(len(payload)), kind, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(b[5:], stream)
		out <- append(b, payload...)
	}
	frame(4, 0) // SETTINGS
	if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	var head [9]byte
	for {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return
		}
		if head[3] == 1 { // HEADERS
			frame(3, binary.BigEndian.Uint32(head[5:]), binary.BigEndian.AppendUint32(nil, code)...)
		}
	}
}

// overdueContext has a deadline that has passed, and does not know it yet.
type overdueContext struct{ context.Context }

func (overdueContext) Deadline() (time.Time, bool) { return time.Now(), true }

func TestContextTellsCancelFromDeadline(t *testing.T) {
	cause := errors.New("the user closed the window")
	legacy := errors.New("net/http: request canceled")
	canceled, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	late, stop := context.WithDeadlineCause(context.Background(), time.Now().Add(-time.Second), cause)
	defer stop()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want Class
	}{
		{"cause of a cancellation", canceled, cause, ClassCanceled},
		{"cause of a deadline", late, cause, ClassTimeout},
		{"Request.Cancel by Client.Timeout", late, legacy, ClassTimeout},
		{"Request.Cancel by Client.Timeout, before the context's timer", overdueContext{context.Background()}, legacy, ClassTimeout},
		{"Request.Cancel by the caller", context.Background(), legacy, ClassCanceled},
		{"another error after the end", canceled, io.ErrUnexpectedEOF, ClassNetwork},
		{"refused after the end", late, &LimitError{Reason: "deadline"}, ClassRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := classifyEnded(tt.ctx, tt.err).Class; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
