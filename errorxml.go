package steadyhttp

import (
	"html"
	"strings"
)

// readXML reads an error of an XML API, as AWS's older ones are. It leaves a page
// that was made for people alone.
func (b *errorBody) readXML(text []byte, declared bool) {
	doc := string(text[:min(len(text), maxMessage)])
	head := doc[:min(len(doc), 512)]
	root := head[:span(head, func(c byte) bool { return c != '>' })]
	if hasWord(head, "<html") || hasWord(head, "<!doctype html") ||
		!declared && !hasWord(root, "<?xml") && !hasWord(root, "error") && !hasWord(root, "response") && !hasWord(root, "fault") {
		b.text = doc
		return
	}
	b.code, b.message = element(doc, "code"), element(doc, "message")
	if b.code == "" && b.message == "" { // SOAP: the code may have a namespace
		code := element(doc, "faultcode")
		b.code, b.message = code[strings.LastIndexByte(code, ':')+1:], element(doc, "faultstring")
	}
	b.typ, b.requestID = element(doc, "type"), element(doc, "requestid")
	b.text = b.message
}

// element is the text of the first XML element of a name, in any case and namespace.
func element(doc, name string) string {
	for i := 0; i < len(doc); i++ {
		if doc[i] != '<' {
			continue
		}
		tag := doc[i+1:]
		n := span(tag, func(c byte) bool { return c != '>' && c != '<' && c != '/' && c != ' ' && c != '\n' })
		_, local, found := strings.Cut(tag[:n], ":")
		if !found {
			local = tag[:n]
		}
		if len(local) != len(name) || !hasPrefixFold(local, name) {
			continue
		}
		end := span(tag, func(c byte) bool { return c != '>' && c != '<' })
		if end == len(tag) || tag[end] != '>' || end > 0 && tag[end-1] == '/' {
			continue
		}
		rest := tag[end+1:]
		end = span(rest, func(c byte) bool { return c != '<' })
		if closing := "</" + tag[:n] + ">"; strings.HasPrefix(rest[end:], closing) {
			return strings.ToValidUTF8(html.UnescapeString(strings.TrimSpace(rest[:end])), "\uFFFD")
		}
		return ""
	}
	return ""
}
