package steadyhttp

import (
	"bytes"
	"math"
	"time"
)

// Most rate limit headers are spelled from the same few words in any order:
// what is counted, over which window, and which of limit, remaining and reset
// the value is. A family is a prefix that such words follow.

// quotaField is what the value of a quota header says.
type quotaField uint8

const (
	quotaNone quotaField = iota
	quotaLimit
	quotaRemaining
	quotaNext   // when the next request is admitted, or the reset in another form
	quotaReset  // when the quota is renewed: wins over quotaNext
	quotaAfter  // the same as a delay, and finer: wins over quotaReset
	quotaPeriod // the length of the window
	quotaRefill // the same, of a bucket that refills all the time
)

// quotaName is what the name of a quota header says.
type quotaName struct {
	field    quotaField
	millis   bool  // the value is in milliseconds
	variant  uint8 // tells apart two ways in which a family speaks of a resource
	resource string
	implied  bool // the name does not say what is counted
	window   time.Duration
	place    uint8 // in fewQuotas, from 1; zero if it has none there
}

// nameWord is a word that names are spelled from. Any other word is a part of
// the name of what is counted.
type nameWord struct {
	field   quotaField
	window  time.Duration
	counted string // what is counted, if the word says that too
	variant uint8
	millis  bool
	foreign bool // a header with this word tells no quota
}

const (
	day   = 24 * time.Hour
	month = 30 * day
	year  = 365 * day
)

var nameWords = map[string]nameWord{
	"limit": {field: quotaLimit}, "max": {field: quotaLimit},
	"remaining": {field: quotaRemaining}, "left": {field: quotaRemaining}, "available": {field: quotaRemaining},
	"reset": {field: quotaReset}, "resets": {field: quotaReset}, "after": {field: quotaAfter},
	"next": {field: quotaNext}, "resettime": {field: quotaNext},
	"period": {field: quotaPeriod}, "renewalperiod": {field: quotaRefill}, "interval": {field: quotaPeriod},
	"duration": {field: quotaPeriod}, "window": {field: quotaPeriod},

	"second": {window: time.Second}, "secondly": {window: time.Second},
	"minute": {window: time.Minute}, "minutely": {window: time.Minute},
	"hour": {window: time.Hour}, "hourly": {window: time.Hour},
	"day": {window: day}, "daily": {window: day}, "today": {window: day},
	"week": {window: 7 * day}, "weekly": {window: 7 * day},
	"month": {window: month}, "monthly": {window: month},
	"year": {window: year}, "yearly": {window: year},
	"rps": {window: time.Second, counted: "requests"}, "rpm": {window: time.Minute, counted: "requests"},
	"rph": {window: time.Hour, counted: "requests"}, "rpd": {window: day, counted: "requests"},
	"tps": {window: time.Second, counted: "tokens"}, "tpm": {window: time.Minute, counted: "tokens"},
	"tph": {window: time.Hour, counted: "tokens"}, "tpd": {window: day, counted: "tokens"},
	"itpm": {window: time.Minute, counted: "input_tokens"}, "otpm": {window: time.Minute, counted: "output_tokens"},

	"milliseconds": {millis: true}, "ms": {millis: true},
	"dynamic": {variant: 1},

	"retry": {foreign: true}, "cost": {foreign: true}, "used": {foreign: true}, "observed": {foreign: true},
	"burst": {foreign: true}, "over": {foreign: true}, "policy": {foreign: true}, "reason": {foreign: true},
	"scope": {foreign: true}, "source": {foreign: true},
	"concurrent": {foreign: true}, "concurrency": {foreign: true},
}

// resources are the names of what is counted for which there are several, and
// the common ones besides, which then cost no allocation. "" is what the family
// counts.
var resources = map[string]string{
	"": "", "per": "", "this": "", "in": "", "at": "", "time": "", "seconds": "",
	"request": "requests", "requests": "requests", "req": "requests", "reqs": "requests", "requests_per": "requests",
	"call": "requests", "calls": "requests", "api": "requests", "api_calls": "requests", "api_requests": "requests",
	"token": "tokens", "tokens": "tokens", "tokens_per": "tokens",
	"input_tokens": "input_tokens", "tokens_prompt": "input_tokens", "prompt_tokens": "input_tokens", "tokens_input": "input_tokens",
	"output_tokens": "output_tokens", "tokens_generated": "output_tokens", "generated_tokens": "output_tokens",
	"completion_tokens": "output_tokens", "tokens_output": "output_tokens",
	"project_requests": "project_requests", "project_tokens": "project_tokens", "input_images": "input_images",
}

// maxWordName bounds the names of resources and scopes; a longer one is no name.
const maxWordName = 64

// family is a prefix of header names, and what the words after it leave unsaid.
type family struct {
	counted string     // "requests" if empty
	pool    string     // set apart from the usual pool: goes before the name of what is counted
	implied quotaField // what the value is
}

// name is what the words after the prefix say; nil if they name no quota.
func (f *family) name(rest string) *quotaName {
	n, ok := f.parse(rest)
	if !ok {
		return nil
	}
	return &n
}

// usualWords are the most common words after a prefix.
var usualWords = func() (words []string) {
	for _, what := range []string{"limit", "remaining", "reset"} {
		words = append(words, what)
		for _, counted := range []string{"requests", "tokens", "input-tokens", "output-tokens"} {
			words = append(words, what+"-"+counted, counted+"-"+what)
		}
	}
	return words
}()

// parse reads the words of a header's name that follow the prefix.
func (f *family) parse(rest string) (n quotaName, ok bool) {
	if len(rest)+len(f.pool) > maxWordName {
		return n, false
	}
	var low, spelled [maxWordName]byte
	resource := append(spelled[:0], f.pool...)
	add := func(word []byte) {
		if len(resource) > len(f.pool) {
			resource = append(resource, '_')
		}
		resource = append(resource, word...)
	}
	var number []byte // waits for the unit that it multiplies: "10-second"
	for words := appendLower(low[:0], rest); len(words) > 0; {
		var text []byte
		if text, words = cutWord(words); isDigits(text) {
			number = text
			continue
		}
		w := nameWords[string(text)]
		if n := span(string(text), func(c byte) bool { return '0' <= c && c <= '9' }); n > 0 {
			if unit := unitOf(string(text[n:])); unit >= time.Second { // "24hour", "5h"
				number, w = text[:n], nameWord{window: unit}
			}
		}
		if number != nil && w.window == 0 && len(text) > 1 {
			w = nameWords[string(text[:len(text)-1])] // "10-seconds"
		}
		many := time.Duration(1)
		if number != nil && w.window != 0 {
			many = time.Duration(smallInt(number))
		} else if number != nil {
			add(number)
		}
		number = nil
		switch {
		case w.foreign, w.field != quotaNone && n.field != quotaNone && w.field != quotaAfter:
			return n, false
		case w.field != quotaNone:
			n.field = w.field
		case w.window != 0:
			n.window = min(many, time.Duration(math.MaxInt64)/w.window) * w.window
			if w.counted != "" {
				add([]byte(w.counted))
			}
		case w.millis:
			n.millis = true
		case w.variant != 0:
			n.variant = w.variant
		default:
			add(text)
		}
	}
	if number != nil {
		add(number)
	}
	if n.field == quotaNone {
		n.field = f.implied
	}
	for _, word := range []string{"quota", "total"} { // BigCommerce, Freshdesk: "-requests-quota", "-total"
		rest, ok := bytes.CutSuffix(resource[len(f.pool):], []byte(word))
		if ok && n.field == quotaNone && (len(rest) == 0 || rest[len(rest)-1] == '_') {
			n.field, resource = quotaLimit, resource[:len(f.pool)+max(len(rest)-1, 0)]
		}
	}
	known, ok := resources[string(resource[len(f.pool):])]
	n.resource, n.implied = f.counts(resource), ok && known == ""
	if n.window == 0 && n.variant == 0 && !n.millis {
		n.place = placeOf(n.resource)
	}
	return n, n.field != quotaNone
}

// vendor sets the quotas of one vendor apart from those of another, by the prefix of their
// names.
func (n *quotaName) vendor(prefix string) {
	for i := 0; i < len(prefix); i++ {
		n.variant = 31*n.variant + lower(prefix[i])
	}
	n.place = 0
}

// counts is what is counted, by the words for it.
func (f *family) counts(spelled []byte) string {
	name, known := resources[string(spelled[len(f.pool):])]
	switch {
	case f.pool != "" && len(spelled) == len(f.pool):
		return f.pool + "requests"
	case f.pool != "" || !known:
		return string(spelled)
	case name != "":
		return name
	case f.counted != "":
		return f.counted
	}
	return "requests"
}

// cutWord cuts s after its first word. Words end at a hyphen or an underscore.
func cutWord(s []byte) (word, rest []byte) {
	for i, c := range s {
		if c == '-' || c == '_' {
			return s[:i], s[i+1:]
		}
	}
	return s, nil
}

// appendLower appends s in lower case; names of headers are ASCII.
func appendLower(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		b = append(b, lower(s[i]))
	}
	return b
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// smallInt reads digits; more than four of them count no windows.
func smallInt(digits []byte) (n int) {
	if len(digits) > 4 {
		return 1
	}
	for _, c := range digits {
		n = 10*n + int(c-'0')
	}
	return max(n, 1)
}
