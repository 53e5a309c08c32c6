package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/steadyhttp/steadyhttp"
)

// explain is the command of that name.
type explain struct {
	File string `arg:"" optional:"" help:"The response, as 'curl -i' prints it; standard input if none or -."`
	JSON bool   `help:"Print JSON."`
}

func (e *explain) Run(t terminal) error {
	in := t.in
	if e.File != "" && e.File != "-" {
		f, err := os.Open(e.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	resp, err := readResponse(in)
	if err != nil {
		return err
	}
	now := time.Now()
	outcome := steadyhttp.Classify(resp, nil)
	if e.JSON {
		return writeOutcomeJSON(t.out, resp, outcome, now)
	}
	writeOutcome(t.out, resp, outcome, now)
	return nil
}

// writeOutcome prints an outcome for people.
func writeOutcome(w io.Writer, resp *http.Response, o steadyhttp.Outcome, now time.Time) {
	paint := painter(w)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s %s\n", paint(dim, fmt.Sprintf("%-11s", name)), value)
		}
	}
	row("status", printable(resp.Status))
	row("class", paint(classColour(o.Class), o.Class.String()))
	retryable := "no: the same request would fail again"
	switch {
	case o.Class == steadyhttp.ClassSuccess:
		retryable = "no need"
	case o.Retryable:
		retryable = "yes: the same request may succeed later"
	}
	row("retryable", retryable)
	row("retry at", when(o.RetryAt, now))
	for i, q := range o.Quotas {
		name := "quotas"
		if i > 0 {
			name = ""
		}
		row(name, describe(q, now))
	}
	row("code", printable(o.Code))
	row("type", printable(o.Type))
	row("message", printable(o.Message))
	row("param", printable(o.Param))
	row("request id", printable(o.RequestID))
}

func classColour(c steadyhttp.Class) string {
	switch c {
	case steadyhttp.ClassSuccess:
		return green
	case steadyhttp.ClassRateLimited, steadyhttp.ClassOverloaded, steadyhttp.ClassTimeout, steadyhttp.ClassServerError:
		return yellow
	}
	return red
}

// describe is a quota in words.
func describe(q steadyhttp.Quota, now time.Time) string {
	var b strings.Builder
	b.WriteString(printable(q.Resource))
	if q.Scope != "" {
		fmt.Fprintf(&b, " (%s)", printable(q.Scope))
	}
	switch {
	case q.Limit >= 0 && q.Remaining >= 0:
		fmt.Fprintf(&b, ": %d of %d left", q.Remaining, q.Limit)
	case q.Limit >= 0:
		fmt.Fprintf(&b, ": limit %d", q.Limit)
	case q.Remaining >= 0:
		fmt.Fprintf(&b, ": %d left", q.Remaining)
	}
	if q.Window > 0 {
		fmt.Fprintf(&b, ", per %s", short(q.Window))
	}
	if !q.Reset.IsZero() {
		fmt.Fprintf(&b, ", resets %s", when(q.Reset, now))
	}
	return b.String()
}

// when is a moment in words; "" if it is zero.
func when(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	d := at.Sub(now).Round(time.Millisecond)
	if d <= 0 {
		return "now"
	}
	return fmt.Sprintf("in %s (%s)", short(d), at.Format("2006-01-02 15:04:05 MST"))
}

// short is a duration without its zeros: 1m instead of 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// printable is a server's text with nothing in it that moves a cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// explained is an outcome for machines. What was not stated is null or absent.
type explained struct {
	Status       int              `json:"status"`
	Class        string           `json:"class"`
	Retryable    bool             `json:"retryable"`
	RetryAt      *time.Time       `json:"retry_at"`
	RetryAfterMS *int64           `json:"retry_after_ms"`
	Quotas       []explainedQuota `json:"quotas"`
	Code         string           `json:"code,omitempty"`
	Type         string           `json:"type,omitempty"`
	Message      string           `json:"message,omitempty"`
	Param        string           `json:"param,omitempty"`
	RequestID    string           `json:"request_id,omitempty"`
}

type explainedQuota struct {
	Resource  string `json:"resource"`
	Scope     string `json:"scope,omitempty"`
	WindowMS  *int64 `json:"window_ms"`
	Limit     *int64 `json:"limit"`
	Remaining *int64 `json:"remaining"`
	ResetMS   *int64 `json:"reset_ms"`
}

func writeOutcomeJSON(w io.Writer, resp *http.Response, o steadyhttp.Outcome, now time.Time) error {
	e := explained{
		Status: resp.StatusCode, Class: o.Class.String(), Retryable: o.Retryable, Quotas: []explainedQuota{},
		Code: o.Code, Type: o.Type, Message: o.Message, Param: o.Param, RequestID: o.RequestID,
	}
	if !o.RetryAt.IsZero() {
		at := o.RetryAt.UTC()
		e.RetryAt, e.RetryAfterMS = &at, millis(o.RetryAt, now)
	}
	for _, q := range o.Quotas {
		eq := explainedQuota{Resource: q.Resource, Scope: q.Scope, Limit: stated(q.Limit), Remaining: stated(q.Remaining), ResetMS: millis(q.Reset, now)}
		if q.Window > 0 {
			ms := q.Window.Milliseconds()
			eq.WindowMS = &ms
		}
		e.Quotas = append(e.Quotas, eq)
	}
	return writeJSON(w, e)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func stated(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func millis(at, now time.Time) *int64 {
	if at.IsZero() {
		return nil
	}
	ms := max(at.Sub(now).Round(time.Millisecond).Milliseconds(), 0)
	return &ms
}
