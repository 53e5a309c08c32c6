package steadytest

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// endpoints is the API.
var endpoints = []endpoint{
	{method: "POST", path: "/chat/completions", model: true, reply: chatReply, stream: chatStream},
	{method: "POST", path: "/messages", model: true, reply: messageReply, stream: messageStream},
	{method: "POST", path: "/responses", model: true, reply: responseReply, stream: responseStream},
	{method: "POST", path: "/embeddings", model: true, reply: embeddingsReply},
	{method: "POST", path: "/completions", model: true, reply: completionReply},
	{method: "GET", path: "/models", reply: modelsReply},
	{method: "GET", path: "/models/*", reply: modelReply},

	{method: "GET", path: "/user", reply: userReply},
	{method: "GET", path: "/users/*", reply: userReply},
	{method: "GET", path: "/repos/*/*", reply: repoReply},
	{method: "GET", path: "/repos/*/*/issues", reply: emptyReply},
	{method: "GET", path: "/repos/*/*/commits", reply: emptyReply},
	{method: "GET", path: "/search/*", reply: searchReply},
}

// words cuts the text as it is streamed.
func (o *output) words() []string { return strings.SplitAfter(o.text, " ") }

func (o *output) unix() string { return itoa(o.now.Unix()) }

// used is how many tokens the text comes to.
func (o *output) used() int64 { return int64(len(o.text)+3) / 4 }

// usage is the counts of tokens under the names that an API has for them.
func (o *output) usage(in, out, total string) string {
	s := `"` + in + `":` + itoa(o.Input) + `,"` + out + `":` + itoa(o.used())
	if total != "" {
		s += `,"` + total + `":` + itoa(o.Input+o.used())
	}
	return s
}

func chatUsage(o *output) string {
	return `"usage":{` + o.usage("prompt_tokens", "completion_tokens", "total_tokens") +
		`,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`
}

func (o *output) chatHead(object string) string {
	return `{"id":"chatcmpl-` + o.id + `","object":"` + object + `","created":` + o.unix() + `,"model":` + quote(o.Model) +
		`,"service_tier":"default","system_fingerprint":"fp_steadytest","choices":[`
}

func chatReply(o *output) string {
	message, finish := `{"role":"assistant","content":`+quote(o.text)+`,"refusal":null,"annotations":[]}`, "stop"
	if o.tool != "" {
		message = `{"role":"assistant","content":null,"refusal":null,"annotations":[],"tool_calls":[{` + toolCall(o, "{}") + `}]}`
		finish = "tool_calls"
	}
	return o.chatHead("chat.completion") + `{"index":0,"message":` + message + `,"logprobs":null,"finish_reason":"` + finish + `"}],` + chatUsage(o) + `}`
}

func toolCall(o *output, arguments string) string {
	return `"id":"call_` + o.id + `","type":"function","function":{"name":` + quote(o.tool) + `,"arguments":` + quote(arguments) + `}`
}

func chatStream(o *output) []string {
	head, tail := "data: "+o.chatHead("chat.completion.chunk"), "]}\n\n"
	if o.wantsUsage {
		tail = `],"usage":null}` + "\n\n"
	}
	chunk := func(delta, finish string) string {
		return head + `{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + `}` + tail
	}
	var events []string
	finish := `"stop"`
	if o.tool != "" {
		events = append(events, chunk(`{"role":"assistant","content":null,"tool_calls":[{"index":0,`+toolCall(o, "")+`}]}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "null"))
		finish = `"tool_calls"`
	} else {
		events = append(events, chunk(`{"role":"assistant","content":"","refusal":null}`, "null"))
		for _, w := range o.words() {
			events = append(events, chunk(`{"content":`+quote(w)+`}`, "null"))
		}
	}
	events = append(events, chunk("{}", finish))
	if o.wantsUsage {
		events = append(events, head+`],`+chatUsage(o)+"}\n\n")
	}
	return append(events, "data: [DONE]\n\n")
}

func completionReply(o *output) string {
	return `{"id":"cmpl-` + o.id + `","object":"text_completion","created":` + o.unix() + `,"model":` + quote(o.Model) +
		`,"choices":[{"index":0,"text":` + quote(o.text) + `,"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":{` + o.usage("prompt_tokens", "completion_tokens", "total_tokens") + `}}`
}

// dimensions is the length of an embedding.
const dimensions = 8

func embeddingsReply(o *output) string {
	var b strings.Builder
	b.WriteString(`{"object":"list","data":[`)
	for i := range o.many {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"object":"embedding","index":` + strconv.Itoa(i) + `,"embedding":` + o.embedding(i) + `}`)
	}
	b.WriteString(`],"model":` + quote(o.Model) + `,"usage":{"prompt_tokens":` + itoa(o.Input) + `,"total_tokens":` + itoa(o.Input) + `}}`)
	return b.String()
}

// embedding is the i-th unit vector, as numbers or in the base64 that some SDKs
// ask for.
func (o *output) embedding(i int) string {
	if o.base64 {
		raw := make([]byte, 4*dimensions)
		binary.LittleEndian.PutUint32(raw[4*(i%dimensions):], math.Float32bits(1))
		return `"` + base64.StdEncoding.EncodeToString(raw) + `"`
	}
	numbers := strings.Split(strings.Repeat("0", dimensions), "")
	numbers[i%dimensions] = "1"
	return "[" + strings.Join(numbers, ",") + "]"
}

func modelObject(name string) string {
	return `{"id":` + quote(name) + `,"object":"model","type":"model","display_name":` + quote(name) +
		`,"created":1715367049,"created_at":"2024-05-10T18:50:49Z","owned_by":"steadytest"}`
}

func modelsReply(*output) string {
	return `{"object":"list","data":[` + modelObject("gpt-4o-mini") + `,` + modelObject("text-embedding-3-small") +
		`],"has_more":false,"first_id":"gpt-4o-mini","last_id":"text-embedding-3-small"}`
}

func modelReply(o *output) string { return modelObject(element(path(o.req), 1)) }

// element is the n-th element of a path from its end.
func element(path string, n int) string {
	elements := strings.Split(path, "/")
	return elements[max(0, len(elements)-n)]
}

func userReply(o *output) string {
	login := element(path(o.req), 1)
	if login == "user" {
		login = "octocat"
	}
	return `{"login":` + quote(login) + `,"id":1,"node_id":"MDQ6VXNlcjE=","type":"User","site_admin":false}`
}

func repoReply(o *output) string {
	owner, name := element(path(o.req), 2), element(path(o.req), 1)
	return `{"id":1296269,"node_id":"MDEwOlJlcG9zaXRvcnkx","name":` + quote(name) + `,"full_name":` + quote(owner+"/"+name) +
		`,"private":false,"owner":{"login":` + quote(owner) + `,"id":1,"type":"User"},"fork":false,"default_branch":"main","stargazers_count":80}`
}

func emptyReply(*output) string { return "[]" }

func searchReply(*output) string { return `{"total_count":0,"incomplete_results":false,"items":[]}` }
