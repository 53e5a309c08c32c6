package steadytest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Call is what a request asks for, as far as limits are concerned. Input is a
// quarter of the bytes of its text; MaxOutput what max_tokens and its synonyms
// permit. Both are 0 for a request that does not go to a model.
type Call struct {
	Model            string
	Input, MaxOutput int64
}

// input is what an endpoint reads from a request.
type input struct {
	stream     bool
	wantsUsage bool   // stream_options.include_usage
	tool       string // the first that is offered, which is then called
	many       int    // inputs to be embedded
	base64     bool   // encoding_format
	problem    Effect // Answer if there is none
}

// output is what an endpoint makes a reply of.
type output struct {
	*call
	*input
	text string
	now  time.Time // on the server's clock
}

// endpoint is one path of the API.
type endpoint struct {
	method string
	path   string // the last elements, of which * is any one
	model  bool   // reads a JSON body that speaks to a model
	reply  func(*output) string
	stream func(*output) []string // nil: it does not stream
}

var notFound, badMethod endpoint

// endpointFor finds the endpoint of a request.
func endpointFor(r *http.Request) *endpoint {
	found := &notFound
	m := method(r)
	for i := range endpoints {
		e := &endpoints[i]
		if !matches(e.path, path(r)) {
			continue
		}
		if m == e.method || m == http.MethodHead && e.method == http.MethodGet {
			return e
		}
		found = &badMethod
	}
	return found
}

// matches reports whether path ends in pattern: what comes before is left out of
// account, as gateways have all kinds of base paths.
func matches(pattern, path string) bool {
	for pattern != "" {
		i, j := strings.LastIndexByte(pattern, '/'), strings.LastIndexByte(path, '/')
		if j < 0 || j+1 == len(path) || pattern[i+1:] != "*" && pattern[i+1:] != path[j+1:] {
			return false
		}
		pattern, path = pattern[:i], path[:j]
	}
	return true
}

// read takes from a body what the endpoint and the limits need.
func (e *endpoint) read(c *call, in *input, body []byte) {
	switch {
	case e == &notFound:
		in.problem = NotFound
		return
	case e == &badMethod:
		in.problem = BadMethod
		return
	case !e.model:
		return
	}
	var m modelRequest
	if json.Unmarshal(body, &m) != nil || m.Model == "" {
		in.problem = Invalid
		return
	}
	c.Model = m.Model
	for _, text := range [...]json.RawMessage{m.System, m.Messages, m.Prompt, m.Input, m.Instructions} {
		c.Input += textBytes(text)
	}
	c.Input = (c.Input + 3) / 4
	for _, n := range [...]float64{m.MaxTokens, m.MaxCompletionTokens, m.MaxOutputTokens} {
		if n > 0 {
			c.MaxOutput = int64(min(n, 1e12))
			break
		}
	}
	in.stream, in.wantsUsage = m.Stream, m.StreamOptions.IncludeUsage
	in.many, in.base64 = inputs(m.Input), m.EncodingFormat == "base64"
	if len(m.Tools) > 0 && string(m.ToolChoice) != `"none"` && !answersTool(m.Messages) && !answersTool(m.Input) {
		if in.tool = m.Tools[0].Function.Name; in.tool == "" {
			in.tool = m.Tools[0].Name
		}
	}
}

// answersTool reports whether a conversation has a tool's result already: the next
// answer is text, so that a loop that runs tools ends.
func answersTool(conversation []byte) bool {
	for _, s := range [...]string{`"tool_call_id"`, `"tool_result"`, `"function_call_output"`} {
		if bytes.Contains(conversation, []byte(s)) {
			return true
		}
	}
	return false
}

// inputs is how many texts, or lists of tokens, the input to an embedding has.
func inputs(raw json.RawMessage) int {
	var texts []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &texts) != nil || len(texts) == 0 {
		return 1
	}
	if first := texts[0][0]; first != '"' && first != '[' {
		return 1 // the tokens of one text
	}
	return len(texts)
}

// modelRequest is the request to a model, of whichever vendor.
type modelRequest struct {
	Model               string          `json:"model"`
	Stream              bool            `json:"stream"`
	MaxTokens           float64         `json:"max_tokens"`
	MaxCompletionTokens float64         `json:"max_completion_tokens"`
	MaxOutputTokens     float64         `json:"max_output_tokens"`
	System              json.RawMessage `json:"system"`
	Messages            json.RawMessage `json:"messages"`
	Prompt              json.RawMessage `json:"prompt"`
	Input               json.RawMessage `json:"input"`
	Instructions        json.RawMessage `json:"instructions"`
	EncodingFormat      string          `json:"encoding_format"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools []struct {
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
}

// textBytes is the length of the strings in a JSON value that are text: not
// keys, nor roles and types.
func textBytes(raw []byte) int64 {
	var n int64
	var key []byte
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			continue
		}
		start := i + 1
		for i = start; i < len(raw) && raw[i] != '"'; i++ {
			if raw[i] == '\\' {
				i++
			}
		}
		s := raw[start:min(i, len(raw))]
		if rest := bytes.TrimLeft(raw[min(i+1, len(raw)):], " \t\r\n"); len(rest) > 0 && rest[0] == ':' {
			key = s
			continue
		}
		if k := string(key); k != "role" && k != "type" {
			n += int64(len(s))
		}
	}
	return n
}
