package steadyhttp

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// peek scans the body of req, and leaves Body as it was. It returns the length of
// the body, or as much as was read of one that does not lie in memory.
//
// Most bodies lie in memory and are scanned there. For any other GetBody gives a
// copy, to be scanned to its end and closed. Only then, because callers count the
// calls of GetBody; and once more after the scan, because some clients (openai-go,
// and anthropic-sdk-go for Bedrock and Vertex) hand out one reader again and again,
// rewound by each call, so that to read the copy is to consume Body itself.
//
// If GetBody fails or panics the request says nothing about itself: sending it
// once might never have called GetBody. After errGivenUp the scanner may still be in use.
func (s *bodyScanner) peek(req *http.Request) (length int64, err error) {
	defer rescue(&err)
	if memory, n := inMemory(req.Body); n > 0 && (n == req.ContentLength || req.ContentLength <= 0) {
		s.scanMemory(memory)
		return n, nil
	}
	s.brief = false // it was read already, or is not what it was made to be
	body, err := getBody(req)
	if body == nil {
		return 0, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	// A Close ends a Read that is still under way, or waits for it.
	defer await(req, func() error { return closeSafely(body) }, func(error) {})
	if err != nil {
		return 0, err
	}
	if memory, n := inMemory(body); n >= 0 {
		s.scanMemory(memory)
		return n, nil
	}
	err, ok := await(req, func() (err error) {
		defer rescue(&err)
		return s.readFrom(body)
	}, func(error) {})
	if !ok {
		return 0, errGivenUp
	}
	if rewound, _ := getBody(req); rewound != nil {
		rewound.Close()
	}
	return s.size, err
}

// rescue is deferred. It makes an error of a panic in GetBody or in what that gave.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("steadyhttp: GetBody panicked: %v", p)
	}
}

// inMemory is the reader of bytes or of a string that r is or wraps, and how much it
// has yet to give; nil and -1 if there is none.
func inMemory(r io.Reader) (memory io.Reader, length int64) {
	for range maxWrappers {
		switch memory := r.(type) {
		case *bytes.Reader:
			return memory, int64(memory.Len())
		case *strings.Reader:
			return memory, int64(memory.Len())
		case *bytes.Buffer:
			return memory, int64(memory.Len())
		case *lentBody:
			r = memory.body
			continue
		}
		if r = embeddedReader(r); r == nil {
			break
		}
	}
	return nil, -1
}

// scanMemory scans what memory has yet to give, and leaves it there.
func (s *bodyScanner) scanMemory(memory io.Reader) {
	switch memory := memory.(type) {
	case *bytes.Reader:
		unread := *memory
		unread.WriteTo(s)
	case *strings.Reader:
		unread := *memory
		unread.WriteTo(s)
	case *bytes.Buffer:
		s.Write(memory.Bytes())
	}
}

// leadingModel is the model that a body in memory begins with, as most clients write
// it; "" if it begins with anything else, or the name has to be unescaped.
func leadingModel(memory io.Reader) string {
	var buf [128]byte
	n := 0
	switch memory := memory.(type) {
	case *bytes.Reader:
		unread := *memory
		n, _ = unread.Read(buf[:])
	case *strings.Reader:
		unread := *memory
		n, _ = unread.Read(buf[:])
	case *bytes.Buffer:
		n = copy(buf[:], memory.Bytes())
	}
	rest, ok := bytes.CutPrefix(buf[:n], []byte(`{"model":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 || end+1 == len(rest) || rest[end+1] != ',' && rest[end+1] != '}' || bytes.IndexByte(rest[:end], '\\') >= 0 {
		return ""
	}
	return string(rest[:end])
}

// maxWrappers is how many wrappers around a body are looked through.
const maxWrappers = 8

// embeddedReader is the reader that the struct r embeds, as io.NopCloser does and
// what counts bytes or closes once; nil if it embeds none. Such a wrapper reads
// the same bytes.
func embeddedReader(r io.Reader) io.Reader {
	if embedded, ok := inNopCloser(r).(io.Reader); ok { // most are
		return embedded
	}
	v := reflect.Indirect(reflect.ValueOf(r))
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Interface && f.CanInterface() && v.Type().Field(i).Anonymous {
			if embedded, ok := f.Interface().(io.Reader); ok {
				return embedded
			}
		}
	}
	return nil
}
