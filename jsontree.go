package steadyhttp

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonTree is a JSON text, parsed as far as it goes. Unlike encoding/json it
// keeps what came before an error or the end of a text that was cut, allocates
// only what is looked at, and is bounded whatever it is fed.
// Of equal keys the last counts.
type jsonTree struct {
	text  []byte
	nodes []jsonNode
	cut   bool // the text ended, or went wrong, before its value did
}

// jsonNode is a value in a jsonTree. Its children follow it.
type jsonNode struct {
	kind       jsonKind
	closed     bool  // the value was there in full
	start, end int32 // of its text: without quotes for a string
	key        int32 // where its key begins, after the quote; negative in an array
	keyEnd     int32
	next       int32 // its next sibling; zero if it is the last
}

type jsonKind uint8

const (
	jsonAbsent jsonKind = iota
	jsonNull
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// maxNodes bounds the values of a tree, and so its depth.
const maxNodes = 2048

// parseJSON parses the value that text begins with.
func parseJSON(text []byte) *jsonTree {
	t := &jsonTree{text: text, nodes: make([]jsonNode, 0, 16)}
	p := jsonParser{jsonTree: t}
	if !p.value(0, -1, -1) {
		t.cut = true
	}
	return t
}

type jsonParser struct {
	*jsonTree
	at int
}

// skip passes over white space and returns the byte after it, or zero at the end.
func (p *jsonParser) skip() byte {
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// value parses a value and everything in it. It returns false if it could not
// finish; what it has seen is in the tree.
func (p *jsonParser) value(depth int, key, keyEnd int32) bool {
	c := p.skip()
	if c == 0 || len(p.nodes) == maxNodes {
		return false
	}
	i := len(p.nodes)
	p.nodes = append(p.nodes, jsonNode{key: key, keyEnd: keyEnd, start: int32(p.at)})
	ok := true
	switch c {
	case '{':
		p.nodes[i].kind = jsonObject
		ok = p.members(depth, '}')
	case '[':
		p.nodes[i].kind = jsonArray
		ok = p.members(depth, ']')
	case '"':
		p.nodes[i].kind = jsonString
		p.nodes[i].start++
		p.nodes[i].end, ok = p.str()
		if !ok {
			p.nodes = p.nodes[:i] // half a word is worse than none
			return false
		}
	default:
		for p.at < len(p.text) && !strings.ContainsRune(" \t\r\n,]}:", rune(p.text[p.at])) {
			p.at++
		}
		kind := scalarKind(p.text[p.nodes[i].start:p.at])
		if kind == jsonAbsent || p.at == len(p.text) && kind == jsonNumber && depth > 0 {
			p.nodes = p.nodes[:i]
			return false
		}
		p.nodes[i].kind = kind
	}
	n := &p.nodes[i]
	if n.closed = ok; n.kind != jsonString {
		n.end = int32(p.at)
	}
	return ok
}

// scalarKind tells what a word without quotes is.
func scalarKind(word []byte) jsonKind {
	switch string(word) {
	case "null":
		return jsonNull
	case "true", "false":
		return jsonBool
	}
	if _, _, ok := number(string(word)); ok {
		return jsonNumber
	}
	return jsonAbsent
}

// str passes over a string and returns where its text ends.
func (p *jsonParser) str() (end int32, ok bool) {
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			p.at++
		case '"':
			p.at++
			return int32(p.at - 1), true
		}
	}
	return 0, false
}

// members parses what is in an object or an array up to its closing bracket.
func (p *jsonParser) members(depth int, closing byte) bool {
	p.at++
	last := -1
	for {
		c := p.skip()
		for c == ',' {
			p.at++
			c = p.skip()
		}
		if c == closing {
			p.at++
			return true
		}
		key, keyEnd := int32(-1), int32(-1)
		if closing == '}' {
			if c != '"' {
				return false
			}
			key = int32(p.at + 1)
			var ok bool
			if keyEnd, ok = p.str(); !ok || p.skip() != ':' {
				return false
			}
			p.at++
		}
		i := len(p.nodes)
		ok := p.value(depth+1, key, keyEnd)
		if last >= 0 && i < len(p.nodes) {
			p.nodes[last].next = int32(i)
		}
		last = i
		if !ok {
			return false
		}
	}
}

// jsonValue is a value in a tree; the zero jsonValue is absent.
type jsonValue struct {
	tree *jsonTree
	node int32
}

// root is the value of the whole text.
func (t *jsonTree) root() jsonValue {
	if len(t.nodes) == 0 {
		return jsonValue{}
	}
	return jsonValue{t, 0}
}

func (j jsonValue) kind() jsonKind {
	if j.tree == nil {
		return jsonAbsent
	}
	return j.tree.nodes[j.node].kind
}

// closed tells whether the value was there in full.
func (j jsonValue) closed() bool { return j.tree != nil && j.tree.nodes[j.node].closed }

// children yields the values in an object or an array, with their keys.
func (j jsonValue) children() func(yield func(key []byte, v jsonValue) bool) {
	return func(yield func([]byte, jsonValue) bool) {
		if k := j.kind(); k != jsonObject && k != jsonArray {
			return
		}
		nodes := j.tree.nodes
		i := j.node + 1
		if int(i) >= len(nodes) || nodes[i].start >= nodes[j.node].end {
			return
		}
		for {
			var key []byte
			if nodes[i].key >= 0 {
				key = j.tree.text[nodes[i].key:nodes[i].keyEnd]
			}
			if !yield(key, jsonValue{j.tree, i}) || nodes[i].next == 0 {
				return
			}
			i = nodes[i].next
		}
	}
}

// get is the value under a key of an object, unless it is null.
func (j jsonValue) get(key string) (found jsonValue) {
	if j.kind() != jsonObject {
		return jsonValue{}
	}
	for k, v := range j.children() {
		if string(k) == key {
			found = v
		}
	}
	if found.kind() == jsonNull {
		return jsonValue{}
	}
	return found
}

// first is the first element of an array.
func (j jsonValue) first() jsonValue {
	if j.kind() == jsonArray {
		for _, v := range j.children() {
			return v
		}
	}
	return jsonValue{}
}

// raw is the text of the value.
func (j jsonValue) raw() []byte {
	if j.tree == nil {
		return nil
	}
	n := j.tree.nodes[j.node]
	return j.tree.text[n.start:n.end]
}

// text is the value of a string, or the digits of a number; "" for all else.
func (j jsonValue) text() string {
	switch j.kind() {
	case jsonString:
		return unescapeJSON(j.raw())
	case jsonNumber:
		return string(j.raw())
	}
	return ""
}

// number is the value of a number, or of a string that is one.
func (j jsonValue) number() (float64, bool) {
	switch j.kind() {
	case jsonNumber, jsonString:
		v, _, ok := number(strings.TrimSpace(string(j.raw())))
		return v, ok
	}
	return 0, false
}

// unescapeJSON decodes the escapes of a JSON string, leniently.
func unescapeJSON(raw []byte) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' || i+1 == len(raw) {
			if b.Cap() > 0 {
				b.WriteByte(c)
			}
			continue
		}
		if b.Cap() == 0 {
			b.Grow(len(raw))
			b.Write(raw[:i])
		}
		i++
		switch c := raw[i]; c {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r := hexRune(raw[i+1:])
			if r < 0 {
				b.WriteByte(c)
				continue
			}
			i += 4
			if utf16.IsSurrogate(r) && i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				if pair := utf16.DecodeRune(r, hexRune(raw[i+3:])); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
	}
	if b.Cap() == 0 {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// hexRune reads four hexadecimal digits; it is negative if they are not there.
func hexRune(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	v, err := strconv.ParseUint(string(b[:4]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(v)
}
