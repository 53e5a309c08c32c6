package steadyhttp

import (
	"context"
	"net/http"
)

// KeyFunc names what a request counts against. Requests with the same key share
// state; "" exempts a request. It must not return a secret: keys are seen by the
// Trace and in errors.
type KeyFunc func(*http.Request) string

// HostKey is the scheme, host and port that a request goes to.
func HostKey(req *http.Request) string { return req.URL.Scheme + "://" + req.URL.Host }

// RequestKey joins the host, the credential and the model.
func RequestKey(req *http.Request) string { return HostKey(req) }

// Priority tells how patient a call is.
type Priority uint8

const (
	PriorityInteractive Priority = iota // fails fast: MaxWait, a full queue and an open circuit refuse it
	PriorityBatch                       // waits behind interactive calls, for as long as its context allows
)

type priorityKey struct{}

// WithPriority returns a context whose requests have priority p.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

func priorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}
