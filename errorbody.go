package steadyhttp

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

const (
	maxMessage = 8 << 10 // of Outcome.Message, and of what is searched for phrases
	maxWord    = 256     // of the other texts in an Outcome
	maxMarks   = 12
)

// errorBody is what the body of an error says.
type errorBody struct {
	code, typ, message, param, requestID string

	text  string   // where phrases are looked for
	marks []string // identifiers besides code and typ that may tell what happened

	delay    time.Duration // that a field tells
	hasDelay bool
	prose    time.Duration // that the text tells
	hasProse bool

	headers http.Header // quoted from the API behind this one

	exhausted bool // a quota of a day, or of nothing
	scheduled bool // the details say when to retry
	flagged   bool // the details say what a filter has found
}

// readBody understands the body of an error in any of the shapes in use. more
// says that it goes on after data, so that what is there of an object may be
// believed; a body that breaks off by itself may not.
func readBody(data []byte, more bool, contentType string, c clock) (b errorBody) {
	text, cut := decodeBody(data)
	text = eventData(text)
	switch {
	case len(text) == 0:
	case text[0] == '{' || text[0] == '[':
		t := parseJSON(text)
		b.readJSON(t.root(), more || cut)
		b.delay, b.hasDelay = t.delay(c)
		b.readQuoted(c)
	case text[0] == '<':
		b.readXML(text, hasWord(contentType, "xml"))
	case text[0] == '"':
		b.message = parseJSON(text).root().text()
		b.text = b.message
	case string(bytes.TrimSpace(text)) == "null":
	default:
		b.text = clip(strings.ToValidUTF8(string(text[:min(len(text), maxMessage)]), "\uFFFD"), maxMessage)
		if !hasWord(contentType, "html") {
			b.message = strings.TrimSpace(b.text)
		}
		b.readQuoted(c)
	}
	b.prose, b.hasProse = delayInText(clip(b.text, maxMessage), c)
	b.message = clip(b.message, maxMessage)
	for _, s := range []*string{&b.code, &b.typ, &b.param, &b.requestID} {
		*s = clip(*s, maxWord)
	}
	return b
}

// clip is s as valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}

// hasWord is strings.Contains without regard to case.
func hasWord(s, word string) bool {
	for ; len(s) >= len(word); s = s[1:] {
		if hasPrefixFold(s, word) {
			return true
		}
	}
	return false
}

// eventData is the data of the first event, if text is an event stream.
func eventData(text []byte) []byte {
	for _, field := range []string{"event:", "data:", ":", "id:", "retry:"} {
		if bytes.HasPrefix(text, []byte(field)) {
			for line := range bytes.Lines(text) {
				if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
					return bytes.TrimSpace(data)
				}
			}
		}
	}
	return text
}

// The names under which the parts of an error are found, in order of
// preference, within the object that describes it.
var (
	errorKeys   = []string{"error", "Error", "errors", "detail", "fault"}
	codeKeys    = []string{"code", "error_code", "errorCode", "Code", "errorcode", "err_code"}
	typeKeys    = []string{"type", "error_type", "errorType", "Type"}
	messageKeys = []string{
		"message", "Message", "msg", "faultstring", "detail", "description", "error_description", "error_message",
		"errorMessage", "errorMessages", "errorSummary", "err_msg", "title", "errors", "error",
	}
	requestIDKeys = []string{"request_id", "requestId", "RequestId", "requestID"}

	// markPaths lead to further identifiers.
	markPaths = [][]string{
		{"innererror", "code"}, {"metadata", "error_type"}, {"extensions", "code"}, {"reason"},
		{"title"}, {"name"}, {"policyName"}, {"subtype"}, {"error"}, {"status"},
	}
)

// readJSON finds the object that describes the error, and reads it.
func (b *errorBody) readJSON(root jsonValue, believed bool) {
	if root.kind() == jsonArray {
		root = root.first()
	}
	e, key := findError(root)
	if !e.closed() && !believed {
		return
	}
	b.code, b.typ = codeOf(root, e, key), typeOf(root, e, key)
	if b.message = e.message(); e.kind() == jsonString {
		b.message = e.text()
	} else if key != "" {
		b.message = firstOf(b.message, root.word(messageKeys))
	}
	b.text = b.message
	if raw := e.get("metadata").get("raw").text(); raw != "" { // OpenRouter: what the API behind it said
		b.text += "\n" + clip(raw, maxMessage)
	}
	b.param = firstOf(e.get("param").text(), e.location())
	b.requestID = firstOf(root.word(requestIDKeys), root.get(key).word(requestIDKeys), e.word(requestIDKeys))

	for _, path := range markPaths {
		v := e
		for _, key := range path {
			v = v.get(key)
		}
		b.mark(v.text())
	}
	for v := range e.get("errors").elements() {
		b.mark(v.get("reason").text())
	}
	b.flagged = e.get("metadata").get("flagged_input").kind() != jsonAbsent
	b.readDetails(e)
	b.readHeaders(e.get("metadata").get("headers"))
}

// readQuoted reads an error that the text of another one has in JSON, as a gateway
// quotes the API behind it.
func (b *errorBody) readQuoted(c clock) {
	at := strings.IndexByte(b.text, '{')
	if at < 0 {
		return
	}
	t := parseJSON([]byte(b.text[at:]))
	if t.root().get("error").kind() != jsonObject {
		return // whatever that is: perhaps the request
	}
	e, _ := findError(t.root())
	b.mark(e.word(codeKeys))
	b.mark(e.word(typeKeys))
	b.readDetails(e)
	if !b.hasDelay {
		b.delay, b.hasDelay = t.delay(c)
	}
}

// findError is the object that describes the error, and the key in root under
// which it is; "" if that is root itself.
func findError(root jsonValue) (e jsonValue, key string) {
	for _, key := range errorKeys {
		if e := describes(root, key); e.kind() == jsonObject {
			return e, key
		}
	}
	if root.word(codeKeys) == "" && root.message() == "" {
		return wrapped(root)
	}
	return root, ""
}

// codeOf is the code of the error e, which is found under key in root.
func codeOf(root, e jsonValue, key string) string {
	for _, place := range []jsonValue{e, e.get("details"), e.get("detail"), e.get("extensions")} {
		if code := place.word(codeKeys); code != "" {
			return code
		}
	}
	switch {
	case key == "detail":
		return e.get("status").text()
	case key != "":
		return ""
	}
	if said := root.get("error"); said.kind() == jsonNumber || identifier(said.text()) {
		return said.text()
	}
	if name := root.get("name").text(); identifier(name) {
		return name
	}
	return ""
}

// typeOf is the type of the error e, which is found under key in root.
func typeOf(root, e jsonValue, key string) string {
	if t := e.word(typeKeys); t != "" {
		return t
	}
	if status := e.get("status"); status.kind() == jsonString && key != "detail" && (key != "" || constant(status.text())) {
		return status.text()
	}
	if reason := e.get("errors").first().get("reason").text(); reason != "" {
		return reason
	}
	namespace, name, ok := strings.Cut(root.get("__type").text(), "#") // AWS
	if !ok {
		return namespace
	}
	return name
}

// describes is the object under a key of root that describes the error, if there
// is one.
func describes(root jsonValue, key string) jsonValue {
	v := root.get(key)
	switch {
	case v.kind() == jsonArray:
		first := v.first()
		if key == "errors" && root.get("message").kind() == jsonString {
			return jsonValue{} // details of what the message says
		}
		return first
	case v.kind() != jsonObject, key == "errors" && v.get("message").kind() == jsonAbsent:
		return jsonValue{} // or the message itself
	}
	empty := true
	for range v.children() {
		empty = false
	}
	if empty {
		return jsonValue{}
	}
	if inner := v.get("error"); inner.kind() == jsonObject && v.get("message").kind() == jsonAbsent {
		return inner
	}
	return v
}

// wrapped is what describes the error in a root that says nothing itself: in an
// envelope, an error, or something with a code or message.
func wrapped(root jsonValue) (e jsonValue, key string) {
	for k, v := range root.children() {
		for _, inner := range errorKeys {
			if found := describes(v, inner); found.kind() == jsonObject {
				return found, string(k)
			}
		}
		if v.kind() == jsonObject && (v.word(codeKeys) != "" || v.word(messageKeys) != "") {
			return v, string(k)
		}
	}
	return root, ""
}

// readDetails reads the details of a google.rpc.Status.
func (b *errorBody) readDetails(e jsonValue) {
	if e.get("status").text() == "RESOURCE_EXHAUSTED" {
		b.scheduled = true // Google says of a rate what OpenAI says of an empty account
	}
	for d := range e.get("details").elements() {
		limit := d.get("metadata").get("quota_limit").text()
		b.exhausted = b.exhausted || strings.Contains(limit, "PerDay")
		if strings.Contains(limit, "PerMinute") {
			b.scheduled = true // whatever the reason is called
			b.mark("rate_limit_exceeded")
		} else {
			b.mark(d.get("reason").text())
		}
		b.scheduled = b.scheduled || d.get("retryDelay").kind() != jsonAbsent
		for v := range d.get("violations").elements() {
			b.scheduled = true
			b.exhausted = b.exhausted || strings.Contains(v.get("quotaId").text(), "PerDay") || v.get("quotaValue").text() == "0"
		}
	}
}

// readHeaders takes over headers that a gateway quotes in its body.
func (b *errorBody) readHeaders(place jsonValue) {
	for name, v := range place.children() {
		if b.headers == nil {
			b.headers = make(http.Header)
		}
		if v.text() != "" && len(b.headers) < maxQuotas {
			b.headers.Set(string(name), v.text())
		}
	}
}

// mark adds an identifier, if it is one.
func (b *errorBody) mark(s string) {
	if s != "" && len(s) <= maxWordName && len(b.marks) < maxMarks {
		b.marks = append(b.marks, s)
	}
}

// word is the first text among the values under keys.
func (j jsonValue) word(keys []string) string {
	for _, key := range keys {
		if s := j.get(key).text(); s != "" {
			return s
		}
	}
	return ""
}

// message is the first text under messageKeys, or in a list there.
func (j jsonValue) message() string {
	for _, key := range messageKeys {
		v := j.get(key)
		said := v.text()
		switch {
		case v.kind() == jsonNumber, key == "error" && identifier(said) && j.word(codeKeys) == "":
			continue // that is the code
		case v.kind() == jsonArray:
			said = firstOf(v.first().text(), v.first().word(messageKeys))
		case key == "errors":
			said = v.anyText(0)
		}
		if said != "" {
			return said
		}
	}
	return ""
}

// anyText is the first string in an object of lists, one for each wrong field.
func (j jsonValue) anyText(depth int) string {
	for _, v := range j.children() {
		s := v.text()
		if s == "" && depth < 2 {
			s = v.anyText(depth + 1)
		}
		if s != "" {
			return s
		}
	}
	return j.text()
}

// location is the path to a wrong parameter in the list form of it.
func (j jsonValue) location() string {
	var path []string
	for v := range j.get("loc").elements() {
		if len(path) < maxMarks {
			path = append(path, v.text())
		}
	}
	return strings.Join(path, ".")
}

// elements yields the values in an array.
func (j jsonValue) elements() func(yield func(jsonValue) bool) {
	return func(yield func(jsonValue) bool) {
		if j.kind() != jsonArray {
			return
		}
		for _, v := range j.children() {
			if !yield(v) {
				return
			}
		}
	}
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// identifier tells a code from a sentence: one word, in snake_case, CAPITALS or
// of several humps. "Unauthorized" is a sentence.
func identifier(s string) bool {
	if s == "" || len(s) > maxWordName {
		return false
	}
	humps, lowers, joints := 0, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z':
			humps++
		case 'a' <= c && c <= 'z':
			lowers++
		case '0' <= c && c <= '9':
		case c == '_', c == '-', c == '.', c == ':', c == '/':
			joints++
		default:
			return false
		}
	}
	return lowers+humps > 0 && (humps == 0 || lowers == 0 || humps > 1 || joints > 0) && wordByte(s[len(s)-1])
}

// constant tells whether s is written in capitals, as the names of statuses are.
func constant(s string) bool { return identifier(s) && s == strings.ToUpper(s) }
