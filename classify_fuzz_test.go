package steadyhttp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// headerText writes headers one a line; textHeader reads them back.
func headerText(headers map[string]string) string {
	var b strings.Builder
	for k, v := range headers {
		b.WriteString(k + ":" + v + "\n")
	}
	return b.String()
}

func textHeader(text string) http.Header {
	h := make(http.Header)
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		h[k] = append(h[k], v)
	}
	return h
}

// checkQuotas claims what holds of quotas whatever the headers are.
func checkQuotas(t *testing.T, quotas []Quota, now time.Time) {
	t.Helper()
	if len(quotas) > maxQuotas {
		t.Errorf("%d quotas", len(quotas))
	}
	for _, q := range quotas {
		if q.Limit < -1 || q.Limit > maxCount || q.Remaining < -1 || q.Remaining > maxCount || q.Window < 0 {
			t.Errorf("absurd: %+v", q)
		}
		if q.Limit < 0 && q.Remaining < 0 && q.Reset.IsZero() {
			t.Errorf("says nothing: %+v", q)
		}
		if q.Resource == "" || len(q.Resource) > maxWordName || len(q.Scope) > maxWordName {
			t.Errorf("names: %+v", q)
		}
		if q.Reset.IsZero() {
			if !q.absolute.IsZero() || q.resolution != 0 {
				t.Errorf("no reset, but a form of it: %+v", q)
			}
		} else if q.Reset.Before(now) || q.resolution <= 0 || q.resolution > time.Minute {
			t.Errorf("reset: %+v", q)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range specimens(f) {
		f.Add(s.Status, headerText(s.Headers), []byte(s.Body))
	}
	for _, v := range variants {
		f.Add(v.status, strings.ReplaceAll(v.headers, ": ", ":"), []byte(v.body))
	}
	f.Fuzz(func(t *testing.T, status int, headers string, body []byte) {
		resp := &http.Response{StatusCode: status, Header: textHeader(headers), Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1}
		before := time.Now()
		o := Classify(resp, nil)
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, body) {
			t.Errorf("the body was not put back: %q, %v", got, err)
		}
		if o.Class == classUnset || o.Class == ClassNetwork || o.Class >= ClassCanceled {
			t.Errorf("class %v of a response", o.Class)
		}
		if (o.Class == ClassSuccess) != (status < 400) {
			t.Errorf("class %v of status %d", o.Class, status)
		}
		if o.Class == ClassSuccess && (o.Retryable || !o.RetryAt.IsZero() || o.Code+o.Type+o.Message+o.Param != "") {
			t.Errorf("a success with an error: %+v", o)
		}
		if !o.RetryAt.IsZero() && o.RetryAt.Before(before) {
			t.Errorf("RetryAt is %v before now", before.Sub(o.RetryAt))
		}
		for _, s := range []string{o.Code, o.Type, o.Message, o.Param, o.RequestID} {
			if len(s) > maxMessage || !utf8.ValidString(s) {
				t.Errorf("text of %d bytes: %.50q", len(s), s)
			}
		}
		checkQuotas(t, o.Quotas, before)
	})
}

func FuzzQuotaHeaders(f *testing.F) {
	for _, s := range specimens(f) {
		f.Add(headerText(s.Headers))
	}
	for _, v := range variants {
		f.Add(strings.ReplaceAll(v.headers, ": ", ":"))
	}
	f.Fuzz(func(t *testing.T, headers string) {
		h := textHeader(headers)
		first := readHeaders(h, noon)
		checkQuotas(t, first.quotas, noon)
		if len(h) >= maxQuotas {
			return // of more it takes any
		}
		for range 5 { // each time in another order
			if again := readHeaders(h, noon); len(again.quotas) != len(first.quotas) {
				t.Fatalf("read twice: %+v\nand %+v", first.quotas, again.quotas)
			}
		}
		h["ratelimit-policy"] = append(h["ratelimit-policy"], "") // says nothing, and is no usual header
		if again := readHeaders(h, noon); fmt.Sprint(again.quotas) != fmt.Sprint(first.quotas) {
			t.Fatalf("as usual headers: %+v\nas others: %+v", first.quotas, again.quotas)
		}
	})
}

func FuzzQuotaName(f *testing.F) {
	for _, rest := range []string{"limit", "24hour-remaining", "10-seconds", "quota", "requests-quota", "total", "subtotal", "-total_", "5h", "gpt-4o-limit"} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		for _, row := range append(headerRows, vendorRows[:]...) {
			if n, ok := row.family.parse(rest); ok && (n.field == quotaNone || n.resource == "" || n.window < 0 || len(n.resource) > maxWordName) {
				t.Errorf("%s%s: %+v", row.name, rest, n)
			}
		}
	})
}

func FuzzDelay(f *testing.F) {
	for _, s := range specimens(f) {
		for _, v := range s.Headers {
			f.Add(v)
		}
	}
	for _, s := range []string{"120", "1.5", "-5", "Inf", "NaN", "1e309", "99999999999999999999", "120, 120", "6m0s", "1d2h", "2026-11-20T12:00Z",
		"Fri, 31 Dec 9999 23:59:59 GMT", "try again in 9m38.016s.", "retry after 5", "available in 1 hour and 2 minutes"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := clock{now: noon, date: s}
		for _, date := range []string{"", s, "Fri, 20 Nov 2026 12:00:00 GMT"} {
			c.date = date
			if d, ok := parseDelay(s, c); d < 0 || !ok && d != 0 {
				t.Errorf("delay %v, %t", d, ok)
			}
		}
		if d, _ := parseMillis(s); d < 0 {
			t.Errorf("milliseconds: %v", d)
		}
		if d, ok := delayInText(s, clock{}); d < 0 || !ok && d != 0 {
			t.Errorf("in the text: %v, %t", d, ok)
		}
		if m, ok := plainDelay(s); ok {
			if d, resolution, rest, _ := scanDuration(s); m != (moment{in: d, resolution: resolution}) || rest != "" {
				t.Errorf("%v, and read slowly %v to %v", m, d, resolution)
			}
		}
		if d, resolution, rest, ok := scanDuration(s); d < 0 || ok && (resolution <= 0 || len(rest) >= len(s)) {
			t.Errorf("duration: %v, %v, %q", d, resolution, rest)
		} else if std, err := time.ParseDuration(s); ok && rest == "" && err == nil && std != d && s[0] != '+' {
			if diff := std - d; diff > time.Microsecond || diff < -time.Microsecond {
				t.Errorf("duration: %v, but time.ParseDuration says %v", d, std)
			}
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, s := range specimens(f) {
		f.Add([]byte(s.Body), s.Headers["Content-Type"])
	}
	for _, v := range variants {
		f.Add([]byte(v.body), "")
	}
	f.Fuzz(func(t *testing.T, data []byte, contentType string) {
		kept := bytes.Clone(data)
		for _, more := range []bool{false, true} {
			b := readBody(data, more, contentType, clock{now: noon})
			if b.delay < 0 || len(b.marks) > maxMarks {
				t.Errorf("delay %v, %d marks", b.delay, len(b.marks))
			}
		}
		if !bytes.Equal(data, kept) {
			t.Error("the data were changed")
		}
		checkJSON(t, data)
	})
}

// checkJSON compares the strings and numbers of an object with what encoding/json
// makes of it.
func checkJSON(t *testing.T, data []byte) {
	t.Helper()
	tree := parseJSON(data)
	if !json.Valid(data) || !utf8.Valid(data) || tree.cut {
		return
	}
	var want any
	if json.Unmarshal(data, &want) != nil {
		return
	}
	object, _ := want.(map[string]any)
	for k, w := range object {
		quoted, _ := json.Marshal(k)
		if string(quoted) != `"`+k+`"` || !bytes.Contains(data, quoted) || bytes.ContainsRune(data, '\\') {
			continue // written with escapes
		}
		got := tree.root().get(k)
		switch w := w.(type) {
		case string:
			if got.text() != w {
				t.Errorf("%q: got %q, want %q", k, got.text(), w)
			}
		case float64:
			if v, ok := got.number(); ok && !reflect.DeepEqual(v, w) {
				t.Errorf("%q: got %v, want %v", k, v, w)
			}
		case []any:
			n := 0
			for range got.elements() {
				n++
			}
			if n != len(w) {
				t.Errorf("%q: got %d elements, want %d", k, n, len(w))
			}
		}
	}
}
