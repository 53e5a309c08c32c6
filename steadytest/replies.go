package steadytest

import (
	"fmt"
	"strconv"
	"strings"
)

// endpoints is the API.
var endpoints = []endpoint{
	{method: "POST", path: "/chat/completions", model: true, reply: chatReply, stream: chatStream},
	{method: "GET", path: "/models", reply: modelsReply},
	{method: "GET", path: "/models/*", reply: modelReply},
}

// quote writes s as a JSON string.
func quote(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return marshal(s)
		}
	}
	return `"` + s + `"`
}

// words cuts the text as it is streamed.
func (o *output) words() []string { return strings.SplitAfter(o.text, " ") }

func (o *output) unix() string { return strconv.FormatInt(o.now.Unix(), 10) }

// used is how many tokens the text comes to.
func (o *output) used() int64 { return int64(len(o.text)+3) / 4 }

func (o *output) chatID() string { return "chatcmpl-" + requestID(o.number) }

func chatUsage(o *output) string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},`+
		`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
		o.Input, o.used(), o.Input+o.used())
}

func chatReply(o *output) string {
	message, finish := `{"role":"assistant","content":`+quote(o.text)+`,"refusal":null,"annotations":[]}`, "stop"
	if o.tool != "" {
		message = `{"role":"assistant","content":null,"refusal":null,"annotations":[],"tool_calls":[` + toolCall(o, "{}") + `]}`
		finish = "tool_calls"
	}
	return `{"id":"` + o.chatID() + `","object":"chat.completion","created":` + o.unix() + `,"model":` + quote(o.Model) +
		`,"choices":[{"index":0,"message":` + message + `,"logprobs":null,"finish_reason":"` + finish + `"}],"usage":` + chatUsage(o) +
		`,"service_tier":"default","system_fingerprint":"fp_steadytest"}`
}

func toolCall(o *output, arguments string) string {
	return `{"id":"call_` + requestID(o.number) + `","type":"function","function":{"name":` + quote(o.tool) + `,"arguments":` + quote(arguments) + `}}`
}

func chatStream(o *output) []string {
	head := `data: {"id":"` + o.chatID() + `","object":"chat.completion.chunk","created":` + o.unix() + `,"model":` + quote(o.Model) +
		`,"service_tier":"default","system_fingerprint":"fp_steadytest","choices":[`
	tail := "]}\n\n"
	if o.usage {
		tail = `],"usage":null}` + "\n\n"
	}
	chunk := func(delta, finish string) string {
		return head + `{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + `}` + tail
	}
	events := []string{}
	finish := `"stop"`
	if o.tool != "" {
		call := strings.Replace(toolCall(o, ""), "{", `{"index":0,`, 1)
		events = append(events, chunk(`{"role":"assistant","content":null,"tool_calls":[`+call+`]}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "null"))
		finish = `"tool_calls"`
	} else {
		events = append(events, chunk(`{"role":"assistant","content":"","refusal":null}`, "null"))
		for _, w := range o.words() {
			events = append(events, chunk(`{"content":`+quote(w)+`}`, "null"))
		}
	}
	events = append(events, chunk("{}", finish))
	if o.usage {
		events = append(events, head+`],"usage":`+chatUsage(o)+"}\n\n")
	}
	return append(events, "data: [DONE]\n\n")
}

const modelObject = `{"id":%s,"object":"model","created":1715367049,"owned_by":"steadytest"}`

func modelsReply(o *output) string {
	return `{"object":"list","data":[` + fmt.Sprintf(modelObject, `"gpt-4o-mini"`) + `,` + fmt.Sprintf(modelObject, `"text-embedding-3-small"`) + `]}`
}

func modelReply(o *output) string {
	p := path(o.req)
	return fmt.Sprintf(modelObject, quote(p[strings.LastIndexByte(p, '/')+1:]))
}
