package steadyhttp

import (
	"net/http"
	"time"
)

// Class is what became of a request, in one word.
type Class uint8

const (
	classUnset   Class = iota
	ClassSuccess       // 1xx, 2xx, 3xx
	ClassInvalidRequest
	ClassAuth
	ClassPermission
	ClassNotFound
	ClassContextLength
	ClassContentPolicy
	ClassQuotaExhausted
	ClassRateLimited
	ClassOverloaded
	ClassServerError
	ClassTimeout
	ClassConflict
	ClassClientError
	ClassNetwork
	ClassCanceled
	ClassRefused
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
	RetryAt   time.Time // when the server asks to come back; zero if it did not say
	Quotas    []Quota   // what the headers say is left

	Code, Type, Message, Param, RequestID string // the API's own words; "" if absent
}

// Quota is what a server said of one of its limits.
type Quota struct {
	Resource         string        // "requests", "tokens", "input_tokens", …
	Scope            string        // X-RateLimit-Resource, X-RateLimit-Bucket, a partition key; "" if none
	Window           time.Duration // zero if not stated
	Limit, Remaining int64         // -1 if not stated
	Reset            time.Time     // on this machine's clock; zero if not stated

	absolute   time.Time     // Reset as the server's clock has it; zero if it was written as a delay
	resolution time.Duration // of Reset as it was written: a second for whole seconds
}

// Classifier says of each response and error what it means. Its Base is the
// wire, and it is the only layer that knows status codes and header dialects.
type Classifier struct {
	Base     http.RoundTripper
	Classify func(*http.Response, error) Outcome // if nil, Classify
}

func (c *Classifier) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := time.Now()
	out, a, _ := joinAttempt(req, roleClassifier, sent)
	resp, err := baseOf(c.Base).RoundTrip(out)
	v := &verdict{}
	if c.Classify != nil {
		v.Outcome = c.Classify(resp, err)
	}
	if v.Class == classUnset {
		if err != nil {
			v.Outcome = classifyEnded(out.Context(), err)
		} else {
			v.Outcome = Classify(resp, nil)
		}
	}
	deliver(a, req, resp, err, v)
	report(a, req, v.Outcome, err, sent, time.Now())
	return resp, err
}

func (c *Classifier) CloseIdleConnections() { closeIdle(c.Base) }

// OutcomeOf returns the verdict that a Classifier already reached, else Classify.
func OutcomeOf(resp *http.Response, err error) Outcome {
	if v := verdictOn(nil, resp, err); v != nil {
		return v.Outcome
	}
	return Classify(resp, err)
}

// Classify …
func Classify(resp *http.Response, err error) Outcome {
	if err != nil {
		return classifyError(err)
	}
	switch s := resp.StatusCode; {
	case s < 400:
		return Outcome{Class: ClassSuccess}
	case s == 429:
		return Outcome{Class: ClassRateLimited, Retryable: true}
	case s == 503:
		return Outcome{Class: ClassOverloaded, Retryable: true}
	case s >= 500:
		return Outcome{Class: ClassServerError, Retryable: true}
	}
	return Outcome{Class: ClassClientError}
}
