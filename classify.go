package steadyhttp

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Class is what became of a request, in one word. The zero Class, "unset", is
// that of no verdict.
type Class uint8

const (
	classUnset          Class = iota
	ClassSuccess              // 1xx, 2xx, 3xx
	ClassInvalidRequest       // the request is wrong in itself
	ClassAuth                 // the credential is missing, wrong or expired
	ClassPermission           // the credential does not suffice
	ClassNotFound             // there is no such thing, or no such model
	ClassContextLength        // the input is too long for the model, or for the limit
	ClassContentPolicy        // a filter has refused the input
	ClassQuotaExhausted       // money, a plan or a day's allowance is used up: waiting is no use
	ClassRateLimited          // too fast: the same request succeeds later
	ClassOverloaded           // the server is busy, with whomever
	ClassServerError          // the server has failed
	ClassTimeout              // no answer in time
	ClassConflict             // with another request, or with the state of things
	ClassClientError          // any other 4xx
	ClassNetwork              // there was no response
	ClassCanceled             // the caller gave up
	ClassRefused              // a layer of this package did not send it
)

var classNames = [...]string{
	classUnset:          "unset",
	ClassSuccess:        "success",
	ClassInvalidRequest: "invalid_request",
	ClassAuth:           "auth",
	ClassPermission:     "permission",
	ClassNotFound:       "not_found",
	ClassContextLength:  "context_length",
	ClassContentPolicy:  "content_policy",
	ClassQuotaExhausted: "quota_exhausted",
	ClassRateLimited:    "rate_limited",
	ClassOverloaded:     "overloaded",
	ClassServerError:    "server_error",
	ClassTimeout:        "timeout",
	ClassConflict:       "conflict",
	ClassClientError:    "client_error",
	ClassNetwork:        "network",
	ClassCanceled:       "canceled",
	ClassRefused:        "refused",
}

// String is the name of the class, as in "rate_limited".
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unset"
}

// Outcome is the verdict on a response or an error.
type Outcome struct {
	Class     Class
	Retryable bool      // the identical request may succeed later, judged from the response alone
	stated    bool      // RetryAt is the response's own word, not only the reset of a quota
	unasked   bool      // a cache has answered, which has nothing: it says nothing of the server
	RetryAt   time.Time // when the server asks to come back; zero if it did not say
	Quotas    []Quota   // what the headers say is left, or those that the body quotes

	// The API's own words; "" if absent. They are cut to a sensible length, and may
	// quote the request: think before logging a Message.
	Code, Type, Message, Param, RequestID string
}

// Quota is what a server said of one of its limits.
type Quota struct {
	Resource         string        // "requests", "tokens", "input_tokens", "output_tokens", or what else the API counts
	Scope            string        // X-RateLimit-Resource, X-RateLimit-Bucket, a partition key; "" if none
	Window           time.Duration // zero if not stated
	Limit, Remaining int64         // -1 if not stated
	Reset            time.Time     // on this machine's clock; zero if not stated

	absolute   time.Time     // Reset as the server's clock has it; zero if it was written as a delay
	resolution time.Duration // of Reset as it was written: a second for whole seconds
	dialect    uint8         // tells apart the quotas of a gateway and of the API behind it
}

// Classifier says of each response and error what it means. Its Base is the
// wire, and it is the only layer that knows status codes and header dialects.
type Classifier struct {
	// Base sends the request. If nil, http.DefaultTransport.
	Base http.RoundTripper

	// Classify judges what came back. If it is nil, or returns the zero Class,
	// [Classify] does. It is called by many goroutines at once, and must leave the
	// body readable as that does. What the caller of the request has cancelled is
	// ClassCanceled whatever it says.
	Classify func(*http.Response, error) Outcome
}

// RoundTrip sends the request and reaches a verdict on what comes back, which
// travels with it: [OutcomeOf] finds it there. To that end the response's Request has
// a context of its own; else it is req, or what Base says it sent instead.
func (c *Classifier) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.roundTrip(req, time.Now())
}

func (c *Classifier) roundTrip(req *http.Request, sent time.Time) (*http.Response, error) {
	out, a, owned := joinAttempt(req, roleClassifier, sent)
	resp, err := ask(c.Base, out)
	arrived := time.Now()
	t := hop{req: req, resp: resp, handed: true}
	defer t.end()
	v := &a.verdict
	v.arrived = arrived
	if c.Classify != nil {
		if v.Outcome = c.Classify(resp, err); v.Class == classUnset {
			v.Outcome = Outcome{}
		}
	}
	if v.Class == classUnset {
		a.classify(&v.Outcome, out, resp, err, arrived)
	} else if err != nil && givenUp(out) { // that it is the caller who ended it, only the request tells
		var o Outcome
		if a.classify(&o, out, resp, err, arrived); o.Class == ClassCanceled {
			v.Outcome = o
		}
	}
	deliver(a, out, resp, err, v)
	report(a, req, v, sent, arrived)
	if owned {
		a.finish(out, resp, v)
	}
	t.resp = nil
	return resp, err
}

// CloseIdleConnections forwards to the Base.
func (c *Classifier) CloseIdleConnections() { closeIdle(c.Base) }

// OutcomeOf returns the verdict that a Classifier already reached on a response,
// as it comes out of an [http.Client] or of an SDK's own error, else that of
// Classify. The verdict is there even if the body has been read. An error carries
// none: it is judged by Classify, which does not know the request's context.
func OutcomeOf(resp *http.Response, err error) Outcome {
	if v := verdictOn(nil, resp, err); v != nil {
		return v.Outcome
	}
	return Classify(resp, err)
}

// Classify says what a response, or the error in its place, means. It knows the
// formats of many APIs, and for the rest goes by the status. Neither a response
// nor an error is ClassNetwork.
//
// It reads no more than 64 KiB of the body of a response with a status of 400 or
// more, waits for it no longer than a second or the request's context allows,
// and leaves a body in its place that begins with the same bytes. It reads no
// other body, and none of a response to HEAD.
func Classify(resp *http.Response, err error) Outcome {
	switch {
	case err != nil:
		return classifyError(err)
	case resp == nil:
		return Outcome{Class: ClassNetwork}
	}
	ctx := context.Background()
	if resp.Request != nil {
		ctx = resp.Request.Context()
	}
	var o Outcome
	o.classify(ctx, time.Now(), resp)
	return o
}

// classify makes o, which is zero, what Classify says of a response that arrived at now.
func (o *Outcome) classify(ctx context.Context, now time.Time, resp *http.Response) {
	var h headerFacts
	h.read(resp.Header, now)
	o.Quotas = h.quotas
	if h.requestID.ok {
		o.RequestID = clip(h.requestID.value, maxWord)
	}
	if statusOf(resp.StatusCode).class == ClassSuccess {
		o.Class = ClassSuccess
		return
	}
	data, more := peekBody(ctx, resp)
	b := readBody(data, more, h.contentType, h.clock)
	if b.headers != nil {
		b.headers.Set("Date", h.clock.date)
		quoted := readHeaders(b.headers, now)
		if len(h.quotas) == 0 {
			h.quotas = quoted.quotas
		}
		if !b.hasDelay && quoted.delay.ok {
			b.delay, b.hasDelay = parseDelay(quoted.delay.value, h.clock)
		}
	}
	if name, _, _ := strings.Cut(h.errorType.value, ":"); b.typ == "" {
		b.typ = clip(name, maxWord)
	}
	o.Quotas = h.quotas
	o.Code, o.Type, o.Message, o.Param = b.code, b.typ, b.message, b.param
	o.RequestID = firstOf(o.RequestID, b.requestID)
	o.Class, o.Retryable = judge(resp.StatusCode, &h, &b)
	if resp.StatusCode == http.StatusGatewayTimeout && cacheOnly(resp.Request) {
		o.Retryable, o.unasked = false, true
	}
	throttled := o.Class == ClassRateLimited || o.Class == ClassQuotaExhausted
	if d, stated, ok := delayOf(&h, &b, throttled); ok {
		o.RetryAt, o.stated = now.Add(d), stated
	}
}

// cacheOnly tells whether req asks for what a cache has and nothing else. A cache says
// 504 then if it has nothing: RFC 9111, section 5.2.1.7.
func cacheOnly(req *http.Request) bool {
	if req == nil {
		return false
	}
	for _, value := range req.Header["Cache-Control"] {
		if hasWord(value, "only-if-cached") {
			return true
		}
	}
	return false
}
