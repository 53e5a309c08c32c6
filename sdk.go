package steadyhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// SDKs made by Stainless (openai-go, anthropic-sdk-go) retry by themselves. They
// say so in every request, and obey a response that tells them not to.
const (
	sdkRetryCount  = "X-Stainless-Retry-Count" // of the request: 0, 1, 2 …
	sdkShouldRetry = "X-Should-Retry"          // of the response: true or false
)

// sdkRetries returns which of its tries an SDK is making: 0 for the first, and
// -1 if req is of no such SDK.
func sdkRetries(req *http.Request) int {
	values, ok := req.Header[sdkRetryCount]
	if !ok {
		return -1
	}
	if len(values) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(values[0])
	return max(n, 0)
}

// speakToSDK puts the outcome of a call in terms that an SDK acts on rightly. An
// error that would not be repeated, but whose body breaks off, is for the SDK to
// judge: it repeats what it could not read.
func (s *series) speakToSDK() {
	switch {
	case s.err != nil && s.verdict.Class == ClassRefused:
		if resp := refusedResponse(s.req, s.err, time.Now()); resp != nil {
			s.resp, s.err = resp, nil
			deliver(nil, s.req, resp, nil, s.verdict)
		}
	case s.err == nil && s.attempts() > 1 && (s.verdict.Retryable || !brokenOff(s.resp)):
		forbidRetry(s.resp)
	}
}

// forbidRetry tells the SDK that resp is the last word, in a header of its own.
func forbidRetry(resp *http.Response) {
	h := resp.Header.Clone()
	if h == nil {
		h = make(http.Header, 1)
	}
	h.Set(sdkShouldRetry, "false")
	resp.Header = h
}

// refusedResponse makes of an error that means "not sent" the response that an SDK
// understands: it would retry the error at once, whatever it says. It returns nil
// for any other error.
func refusedResponse(req *http.Request, err error, now time.Time) *http.Response {
	var limit *LimitError
	var open *OpenError
	var status int
	var code string
	var at time.Time
	switch {
	case errors.As(err, &limit):
		status, code, at = http.StatusTooManyRequests, "steadyhttp_limit", limit.RetryAt
	case errors.As(err, &open):
		status, code, at = http.StatusServiceUnavailable, "steadyhttp_open", open.RetryAt
	default:
		return nil
	}
	var body struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    string  `json:"code"`
		} `json:"error"`
	}
	body.Error.Message, body.Error.Type, body.Error.Code = err.Error(), code, code
	text, _ := json.Marshal(body) // strings only: it cannot fail

	wait := max(at.Sub(now), 0)
	resp := &http.Response{
		Status:     strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":   {"application/json"},
			"Content-Length": {strconv.Itoa(len(text))},
			"Retry-After":    {roundedUp(wait, time.Second)},
			"Retry-After-Ms": {roundedUp(wait, time.Millisecond)},
			sdkShouldRetry:   {"false"},
		},
		Body:          io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)),
		Request:       req,
	}
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}

// roundedUp is d in units, written as a header has it.
func roundedUp(d, unit time.Duration) string {
	n := d / unit
	if d%unit > 0 {
		n++
	}
	return strconv.FormatInt(int64(n), 10)
}
