package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// maxRaw is how much of a response is read.
const maxRaw = 16 << 20

var (
	statusLine = regexp.MustCompile(`^HTTP/(\d)(?:\.(\d))? +(\d{3})(?: +(.*))?$`)
	escapes    = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]") // curl prints header names bold
)

var errNoResponse = errors.New("no HTTP response: expected a line such as \"HTTP/1.1 429 Too Many Requests\"")

// readResponse reads a response as curl -i prints it: a status line, headers, an
// empty line, the body. Of several (100 Continue, a proxy's answer to CONNECT,
// redirects, a challenge) the last counts. Lines may end in CRLF or LF; what
// stands before the first status line, a prompt for instance, is skipped, and so
// are the marks of curl -v.
func readResponse(r io.Reader) (*http.Response, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxRaw))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(bytes.NewReader(raw))
	var status []string
	for status == nil {
		line, err := readLine(in)
		if status = statusLine.FindStringSubmatch(line); status == nil && err != nil {
			return nil, errNoResponse
		}
	}
	for {
		resp := newResponse(status)
		readHeader(in, resp.Header)
		if status = peekStatus(in); status != nil {
			readLine(in)
			continue
		}
		body, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		setBody(resp, body)
		return resp, nil
	}
}

func newResponse(status []string) *http.Response {
	code, _ := strconv.Atoi(status[3])
	major, _ := strconv.Atoi(status[1])
	minor, _ := strconv.Atoi(status[2])
	text := status[4]
	if text == "" {
		text = http.StatusText(code) // HTTP/2 has none
	}
	return &http.Response{
		Status: strings.TrimSpace(status[3] + " " + text), StatusCode: code,
		Proto: "HTTP/" + status[1], ProtoMajor: major, ProtoMinor: minor, Header: http.Header{},
	}
}

// readHeader reads header lines up to the empty one.
func readHeader(in *bufio.Reader, header http.Header) {
	last := ""
	for {
		line, err := readLine(in)
		folded := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		name, value, ok := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "":
			return
		case folded && last != "":
			values := header[last]
			values[len(values)-1] = strings.TrimSpace(values[len(values)-1] + " " + strings.TrimSpace(line))
		case ok:
			last = http.CanonicalHeaderKey(strings.TrimSpace(name))
			header[last] = append(header[last], strings.TrimSpace(value))
		}
		if err != nil {
			return
		}
	}
}

// peekStatus is the status line that comes next, if one does.
func peekStatus(in *bufio.Reader) []string {
	ahead, _ := in.Peek(256)
	line, _, _ := strings.Cut(string(ahead), "\n")
	return statusLine.FindStringSubmatch(clean(line))
}

// setBody gives resp the body as curl prints it: with its transfer coding taken
// off, and its content coding too if curl was asked to.
func setBody(resp *http.Response, body []byte) {
	resp.Header.Del("Transfer-Encoding")
	if resp.Header.Get("Content-Encoding") == "gzip" && !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		resp.Header.Del("Content-Encoding")
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// readLine reads one line, without its end and what a terminal or curl -v added.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	return clean(line), err
}

func clean(line string) string {
	line = strings.TrimRight(escapes.ReplaceAllString(line, ""), "\r\n")
	if line == "<" {
		return ""
	}
	return strings.TrimPrefix(line, "< ")
}
