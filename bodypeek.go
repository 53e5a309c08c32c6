package steadyhttp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// peek scans the body of req, and leaves Body as it was.
//
// Most bodies lie in memory and are scanned there. For any other GetBody gives a
// copy, to be closed. Only then, because callers count the calls of GetBody; and
// once more after the scan, because some clients (openai-go, and anthropic-sdk-go
// for Bedrock and Vertex) hand out one reader again and again, rewound by each
// call, so that to read the copy is to consume Body itself.
//
// If GetBody fails or panics the request says nothing about itself: sending it
// once might never have called GetBody.
func (s *bodyScanner) peek(req *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("steadyhttp: GetBody panicked: %v", p)
		}
	}()
	if s.scanMemory(req.Body) && s.size > 0 && (s.size == req.ContentLength || req.ContentLength <= 0) {
		return nil
	}
	s.reset() // it was read already, or is not what it was made to be
	body, err := req.GetBody()
	if body == nil {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		body.Close()
		return err
	}
	defer body.Close()
	if s.scanMemory(body) {
		return nil
	}
	defer func() {
		if rewound, _ := req.GetBody(); rewound != nil {
			rewound.Close()
		}
	}()
	return s.readFrom(body)
}

// scanMemory scans what r has yet to read without reading from it, if r is one of
// the readers of bytes and strings or wraps one. It tells whether it could.
func (s *bodyScanner) scanMemory(r io.Reader) bool {
	for range maxWrappers {
		switch memory := r.(type) {
		case *bytes.Reader:
			unread := *memory
			unread.WriteTo(s)
			return true
		case *strings.Reader:
			unread := *memory
			unread.WriteTo(s)
			return true
		case *bytes.Buffer:
			s.Write(memory.Bytes())
			return true
		case *lentBody:
			r = memory.body
			continue
		}
		if r = embeddedReader(r); r == nil {
			return false
		}
	}
	return false
}

// maxWrappers is how many wrappers around a body are looked through.
const maxWrappers = 8

// embeddedReader is the reader that the struct r embeds, as io.NopCloser does and
// what counts bytes or closes once; nil if it embeds none. Such a wrapper reads
// the same bytes.
func embeddedReader(r io.Reader) io.Reader {
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
