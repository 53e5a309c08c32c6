package steadyhttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// classifyError says what an error of a RoundTripper or an http.Client means.
//
// Only a deadline that may have passed after the request was sent is a timeout:
// it counts against the server. A connection that could not be made is a network
// error, however long it took to fail.
func classifyError(err error) Outcome {
	var limit *LimitError
	var open *OpenError
	var interrupted *interruptedError
	switch {
	case errors.As(err, &interrupted): // its last attempt may have been refused
		return classifyError(interrupted.ended)
	case errors.As(err, &limit):
		return Outcome{Class: ClassRefused, RetryAt: limit.RetryAt}
	case errors.As(err, &open):
		return Outcome{Class: ClassRefused, RetryAt: open.RetryAt}
	case canceled(err):
		return Outcome{Class: ClassCanceled}
	case unsent(err):
		return Outcome{Class: ClassNetwork, Retryable: !hopeless(err)}
	case timedOut(err):
		return Outcome{Class: ClassTimeout, Retryable: true}
	}
	return Outcome{Class: ClassNetwork, Retryable: !hopeless(err)}
}

// classifyEnded is classifyError for an error of a request whose context may
// have ended. What the transport then returns is the context's cause, which can
// be any error at all, or its own word for a closed Request.Cancel, which stands
// for Client.Timeout as well; only the context tells the caller's change of mind
// from a deadline.
func classifyEnded(ctx context.Context, err error) Outcome {
	o := classifyError(err)
	if o.Class == ClassCanceled && overdue(ctx) {
		return Outcome{Class: ClassTimeout, Retryable: true}
	}
	cause := context.Cause(ctx)
	if cause == nil || !errors.Is(err, cause) && o.Class != ClassCanceled ||
		o.Class == ClassRefused && refusalIn(err) != refusalIn(cause) {
		return o
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Outcome{Class: ClassTimeout, Retryable: true}
	}
	return Outcome{Class: ClassCanceled}
}

// refusalIn is the error of this package in the chain of err; nil if there is none.
// It may be the refusal of another call that a context has for its cause.
func refusalIn(err error) error {
	var limit *LimitError
	var open *OpenError
	switch {
	case errors.As(err, &limit):
		return limit
	case errors.As(err, &open):
		return open
	}
	return nil
}

// unsent tells whether err proves that the server did not act on the request: no
// connection was made, the handshake failed, or the server said that it left the
// request alone. Such a request may be repeated whatever its method.
func unsent(err error) bool {
	var limit *LimitError
	var open *OpenError
	var dns *net.DNSError
	var stream streamError
	switch {
	case errors.As(err, &limit), errors.As(err, &open), errors.As(err, &dns), untrusted(err):
		return true
	case errors.As(err, &stream):
		return stream.Code == refusedStream
	case errors.Is(err, syscall.ECONNREFUSED):
		return true
	}
	for op := range opErrors(err) {
		if connectOps[op.Op] || handshakeAlert(op) {
			return true
		}
	}
	return wordOf(err)&wordUnsent != 0
}

// hopeless tells whether the identical request is bound to fail in the same way:
// it is malformed, or the server is not the one that it asks for.
func hopeless(err error) bool {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return dns.IsNotFound && !dns.IsTemporary
	case malformed(err), untrusted(err), errors.Is(err, http.ErrSchemeMismatch):
		return true
	}
	for op := range opErrors(err) {
		if handshakeAlert(op) {
			return true
		}
	}
	return false
}

// malformed tells whether it is the request that cannot be sent as it is, whatever
// the server.
func malformed(err error) bool {
	var parse *url.Error
	return errors.As(err, &parse) && parse.Op == "parse" || wordOf(err)&wordMalformed != 0
}

// canceled tells whether this side gave up.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || wordOf(err)&wordCanceled != 0
}

// timedOut tells whether a deadline passed: the context's, Client.Timeout, the
// transport's ResponseHeaderTimeout or one of a connection.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// untrusted tells whether the server's certificate was refused, or the server
// speaks no TLS at all.
func untrusted(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &authority) ||
		errors.As(err, &host) || errors.As(err, &invalid)
}

// connectOps are the operations of a net.OpError that come before any request on
// the connection.
var connectOps = map[string]bool{"dial": true, "proxyconnect": true, "socks connect": true}

// opErrors yields every net.OpError in the chain of err: one for a proxy wraps
// that of the dial.
func opErrors(err error) func(yield func(*net.OpError) bool) {
	return func(yield func(*net.OpError) bool) {
		var op *net.OpError
		for errors.As(err, &op) && yield(op) {
			err = op.Err
		}
	}
}

// handshakeAlert tells whether the server refused the handshake. With TLS 1.3
// its alert may arrive after the request was written, but before the server has
// read it.
func handshakeAlert(op *net.OpError) bool {
	return op.Op == "remote error" && op.Err != nil && handshakeAlerts[op.Err.Error()]
}

// handshakeAlerts are the texts of the alerts of RFC 8446, section 6.2, that a
// server sends only during the handshake. crypto/tls exports their texts, but
// not the type that it wraps in the net.OpError.
var handshakeAlerts = func() map[string]bool {
	m := make(map[string]bool)
	for _, a := range []tls.AlertError{
		40,                     // handshake_failure
		42, 43, 44, 45, 46, 48, // the client's certificate
		49,         // access_denied
		70, 71, 86, // version and strength
		109, 110, 112, 113, // extensions
		115, 116, // unknown_psk_identity, certificate_required
		120, // no_application_protocol
	} {
		m[a.Error()] = true
	}
	return m
}()

// streamError has the shape of golang.org/x/net/http2.StreamError, which is all
// that the copy of it in net/http asks of a target of errors.As.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "http2: stream error" }

// refusedStream is REFUSED_STREAM: nothing was processed (RFC 9113, section 8.7).
const refusedStream = 7

// word is what the text of one of net/http's errors says.
type word uint8

const (
	wordUnsent word = 1 << iota
	wordMalformed
	wordCanceled
)

// words are the errors for which net/http has neither a type nor an exported
// value, by their text up to a variable part.
var words = []struct {
	text   string
	prefix bool
	word   word
}{
	{"http: server closed idle connection", false, wordUnsent}, // before the request was written
	{"http2: Transport received Server's graceful shutdown GOAWAY", false, wordUnsent},
	{"http2: Transport received GOAWAY from server ErrCode:", true, wordUnsent}, // of a stream beyond the last that was processed
	{"http2: client conn not usable", false, wordUnsent},
	{"http2: client conn could not be established", false, wordUnsent},
	{"net/http: TLS handshake timeout", false, wordUnsent},
	{"unsupported protocol scheme ", true, wordUnsent | wordMalformed},
	{"net/http: invalid ", true, wordUnsent | wordMalformed}, // header, trailer, method
	{"http: nil Request.", true, wordUnsent | wordMalformed},
	{"http: no Host in request URL", false, wordUnsent | wordMalformed},
	{"http: invalid Host header", false, wordUnsent | wordMalformed},
	{"net/http: can't write control character in Request.URL", false, wordUnsent | wordMalformed},
	{"http: Request.RequestURI can't be set in client requests", false, wordUnsent | wordMalformed},
	{"http: ContentLength=", true, wordMalformed}, // more or less than the body
	{"http: Request.ContentLength=", true, wordMalformed},
	{"http2: request body larger than specified content length", false, wordMalformed},
	{"stopped after ", true, wordMalformed}, // redirects
	{"net/http: request canceled", true, wordCanceled},
}

// wordOf looks up the text of each error in the chain of err.
func wordOf(err error) word {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		for _, w := range words {
			if text == w.text || w.prefix && strings.HasPrefix(text, w.text) {
				return w.word
			}
		}
	}
	return 0
}
