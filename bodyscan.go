package steadyhttp

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

const (
	maxScan     = 32 << 20 // bytes of a body that are looked at
	maxRaw      = 1 << 10  // bytes of one string that are looked at
	minEncoded  = 512      // shorter strings count as text whatever they hold
	sniffed     = 256      // bytes of a longer one that decide whether it is text
	encodedCost = 1000     // tokens for a picture or a file, about what providers charge
	maxTokens   = 1 << 40
	maxChoices  = 128
)

var errEnough = errors.New("steadyhttp: scanned enough")

// field is what a member of the body means, by its name.
type field uint8

const (
	fieldNone    field = iota
	fieldModel         // the model's name
	fieldMax           // a ceiling on the tokens of the answer
	fieldChoices       // how many answers to give
	fieldInput         // numbers in it are tokens, one each
	fieldConfig        // an object whose own members may be fieldMax or fieldChoices
	fieldData          // an encoded picture, sound or file
)

// fieldOf knows the members' names. To support another API is to add its names.
func fieldOf(name []byte) field {
	switch string(name) {
	case "model":
		return fieldModel
	case "max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens",
		"max_tokens_to_sample", "max_new_tokens", "max_gen_len", "maxTokenCount", "num_predict", "n_predict":
		return fieldMax
	case "n", "best_of", "candidateCount", "candidate_count", "numResults":
		return fieldChoices
	case "input", "prompt", "inputs":
		return fieldInput
	case "generationConfig", "generation_config", "inferenceConfig", "textGenerationConfig", "parameters", "options":
		return fieldConfig
	case "data", "file_data", "b64_json", "bytes", "bytesBase64Encoded", "images", "image_url", "url":
		return fieldData
	}
	return fieldNone
}

type scanState uint8

const (
	scanStart   scanState = iota // before the first {
	scanBetween                  // outside of strings and numbers
	scanString
	scanAfter  // behind a string, which is a name if a colon follows
	scanNumber // in a number of interest
	scanSkip   // in any other
	scanDone   // the body's end, or it is no JSON object
)

// bodyScanner finds in one pass over a JSON object the few facts that keys and
// token estimates need. It is an [io.Writer], so that most bodies are scanned
// where they lie; it holds no more of them than a string's beginning.
//
// It does not validate: on what is not JSON it finds something or nothing, in
// time linear in its length and with a nesting of any depth.
type bodyScanner struct {
	brief bool // no more is wanted than the model
	cut   bool // and so the rest was not scanned
	state scanState
	prev  byte  // the last of {}[],: that was seen
	top   field // of the body's own member that is being read
	last  field // of the innermost member that is being read
	depth int
	size  int64 // bytes written so far

	length int64  // of the string being read, so far
	odd    bool   // it ends, so far, in an odd number of backslashes
	raw    []byte // its beginning, as written: part of a chunk, or of held

	text, encoded, ids int64 // bytes of text; tokens of data; tokens written as numbers
	max, choices       int64
	model              string

	digits int
	number [32]byte
	held   [maxRaw]byte  // of a string that spans chunks
	chunk  [8 << 10]byte // for bodies that can only be read
}

// reset makes s ready for another body. The buffers stay as they are: they are
// written before they are read.
func (s *bodyScanner) reset() {
	s.brief, s.cut = false, false
	s.state, s.prev, s.top, s.last, s.depth, s.size = scanStart, 0, fieldNone, fieldNone, 0, 0
	s.length, s.odd, s.raw = 0, false, nil
	s.text, s.encoded, s.ids, s.max, s.choices, s.model = 0, 0, 0, 0, 0, ""
	s.digits = 0
}

// tokens is what the body is estimated to use.
func (s *bodyScanner) tokens() Tokens {
	return Tokens{
		Input:  (s.text+3)/4 + s.encoded + s.ids,
		Output: s.max * min(max(s.choices, 1), maxChoices),
	}
}

// Write scans the next part of the body. Its error says that no more is wanted.
func (s *bodyScanner) Write(p []byte) (int, error) {
	if room := maxScan - s.size; int64(len(p)) > room {
		p = p[:room]
	}
	s.size += int64(len(p))
	s.scan(p)
	if s.size >= maxScan || s.state == scanDone && s.depth != 0 {
		return len(p), errEnough
	}
	return len(p), nil
}

// WriteString is Write without a copy of the whole of str: of less at first, since
// the model is usually near the beginning.
func (s *bodyScanner) WriteString(str string) (n int, err error) {
	for size := 256; n < len(str) && err == nil; size = len(s.chunk) {
		var m int
		m, err = s.Write(s.chunk[:copy(s.chunk[:size], str[n:])])
		n += m
	}
	return n, err
}

// readFrom scans what r still holds.
func (s *bodyScanner) readFrom(r io.Reader) error {
	if w, ok := r.(io.WriterTo); ok {
		_, err := w.WriteTo(s)
		return err
	}
	for idle := 0; idle < 100; {
		n, err := r.Read(s.chunk[:])
		if n == 0 {
			idle++
		} else {
			idle = 0
			if _, enough := s.Write(s.chunk[:n]); enough != nil {
				return enough
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// scan takes the next chunk. Every state can be resumed in a later chunk.
func (s *bodyScanner) scan(p []byte) {
	for i := 0; i < len(p); {
		switch s.state {
		case scanStart:
			switch p[i] {
			case ' ', '\t', '\n', '\r':
			case '{':
				s.state, s.depth, s.prev = scanBetween, 1, '{'
			default:
				s.state, s.depth = scanDone, -1
				return
			}
			i++
		case scanBetween:
			i = s.between(p, i)
		case scanString:
			i = s.string(p, i)
		case scanAfter:
			i = s.after(p, i)
		case scanNumber:
			i = s.digit(p, i)
		case scanSkip:
			for i < len(p) && isNumber(p[i]) {
				i++
			}
			if i < len(p) {
				s.state = scanBetween
			}
		case scanDone:
			return
		}
	}
	if s.state == scanAfter || s.state == scanString {
		s.raw = s.held[:copy(s.held[:], s.raw)] // p is the writer's
	}
}

// between reads structure up to the next string or number of interest.
func (s *bodyScanner) between(p []byte, i int) int {
	for ; i < len(p); i++ {
		switch c := p[i]; c {
		case '"':
			s.state, s.length, s.odd, s.raw = scanString, 0, false, nil
			return i + 1
		case ',', ':':
			s.prev = c
		case '{', '[':
			s.prev = c
			s.depth++
		case '}', ']':
			s.prev = c
			if s.depth--; s.depth == 0 {
				s.state = scanDone
				return i + 1
			}
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			if s.prev != ':' {
				if s.top == fieldInput {
					s.ids++
				}
			} else if s.last == fieldMax || s.last == fieldChoices {
				s.state, s.digits = scanNumber, 0
				return i
			}
			s.state = scanSkip
			return i + 1
		}
	}
	return i
}

// string reads on in a string, up to its end or the chunk's.
func (s *bodyScanner) string(p []byte, from int) int {
	end := from
	for {
		n := bytes.IndexByte(p[end:], '"')
		if n < 0 {
			s.keep(p[from:])
			s.odd = s.escaped(p[from:])
			return len(p)
		}
		end += n
		if end > from && p[end-1] != '\\' {
			break
		}
		if end-2 >= from && p[end-2] != '\\' { // the common case, \"
			end++
			continue
		}
		if !s.escaped(p[from:end]) {
			break
		}
		end++
	}
	s.keep(p[from:end])
	s.state = scanAfter
	return end + 1
}

// keep takes the next part of the string being read.
func (s *bodyScanner) keep(part []byte) {
	if s.length == 0 {
		s.raw = part[:min(len(part), maxRaw)]
	} else if room := maxRaw - len(s.raw); room > 0 {
		s.raw = append(s.raw, part[:min(len(part), room)]...)
	}
	s.length += int64(len(part))
}

// escaped tells whether what follows part, which continues the string being
// read, is escaped: whether it ends in an odd number of backslashes.
func (s *bodyScanner) escaped(part []byte) bool {
	n := len(part)
	for n > 0 && part[n-1] == '\\' {
		n--
	}
	odd := (len(part)-n)&1 == 1
	if n == 0 {
		return odd != s.odd
	}
	return odd
}

// after decides what the string that has just ended is.
func (s *bodyScanner) after(p []byte, i int) int {
	for ; i < len(p); i++ {
		switch p[i] {
		case ' ', '\t', '\n', '\r':
			continue
		case ':':
			s.prev = ':'
			s.name()
			s.state = scanBetween
			return i + 1
		}
		s.state = scanBetween
		s.value()
		return i
	}
	return i
}

// name makes the string that has just ended the name of the current member.
func (s *bodyScanner) name() {
	f := fieldNone
	if s.length <= 126 { // the longest name there is, each letter escaped
		raw := s.raw
		if bytes.IndexByte(raw, '\\') >= 0 {
			raw = []byte(unescape(raw))
		}
		f = fieldOf(raw)
	}
	config := s.depth == 2 && s.top == fieldConfig
	if s.depth == 1 {
		s.top = f
	} else if f != fieldData && !(config && (f == fieldMax || f == fieldChoices)) {
		f = fieldNone
	}
	s.last = f
}

// value takes the string that has just ended as a value.
func (s *bodyScanner) value() {
	if s.last == fieldModel && s.depth == 1 && s.prev == ':' && s.model == "" {
		if s.model = unescape(s.raw); s.brief && s.model != "" {
			s.state, s.cut = scanDone, true
			return
		}
	}
	if s.length >= minEncoded && looksEncoded(s.raw[:sniffed], s.last == fieldData) {
		s.encoded += min(s.length/4, encodedCost)
		return
	}
	s.text += s.length
}

// digit reads on in a number of interest.
func (s *bodyScanner) digit(p []byte, i int) int {
	for ; i < len(p); i++ {
		if !isNumber(p[i]) {
			s.amount()
			s.state = scanBetween
			return i
		}
		if s.digits < len(s.number) {
			s.number[s.digits] = p[i]
			s.digits++
		}
	}
	return i
}

// amount takes the number that has just ended. Of several the largest counts.
func (s *bodyScanner) amount() {
	f, err := strconv.ParseFloat(string(s.number[:s.digits]), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || f != f {
		return
	}
	n := int64(min(max(f, 0), maxTokens))
	if s.last == fieldChoices {
		s.choices = max(s.choices, n)
	} else {
		s.max = max(s.max, n)
	}
}

func isNumber(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// looksEncoded tells data in base64, or a URL, from text by how it begins: text
// has spaces, or letters beyond ASCII. So that a word repeated without spaces
// stays text, data must be named as such, be a data URL, or mix its letters.
func looksEncoded(start []byte, named bool) bool {
	var upper, lower, digit bool
	for i := 0; i < len(start); i++ {
		switch c := start[i]; {
		case 'a' <= c && c <= 'z':
			lower = true
		case 'A' <= c && c <= 'Z':
			upper = true
		case '0' <= c && c <= '9':
			digit = true
		case c == '\\' && (i+1 == len(start) || start[i+1] == '/'): // as PHP writes it
		default:
			if strings.IndexByte("+/=_-:;,.%?&", c) < 0 {
				return false
			}
		}
	}
	return named || upper && lower && digit || bytes.HasPrefix(start, []byte("data:"))
}

// unescape is the string that raw, without its quotes, stands for, and raw itself if
// it has no escapes.
func unescape(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	return unescapeJSON(raw)
}
