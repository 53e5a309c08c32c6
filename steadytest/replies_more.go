package steadytest

// The replies of Anthropic's Messages and of OpenAI's Responses.

func messageHead(o *output, content, stop string, output int64) string {
	return `{"id":"msg_` + o.id + `","type":"message","role":"assistant","model":` + quote(o.Model) + `,"content":[` + content +
		`],"stop_reason":` + stop + `,"stop_sequence":null,"usage":{"input_tokens":` + itoa(o.Input) +
		`,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":` + itoa(output) + `,"service_tier":"standard"}}`
}

func toolUse(o *output) string {
	return `{"type":"tool_use","id":"toolu_` + o.id + `","name":` + quote(o.tool) + `,"input":{}}`
}

func messageReply(o *output) string {
	if o.tool != "" {
		return messageHead(o, toolUse(o), `"tool_use"`, o.used())
	}
	return messageHead(o, `{"type":"text","text":`+quote(o.text)+`}`, `"end_turn"`, o.used())
}

// event is an event of a stream whose events are named as their type.
func event(name, members string) string {
	return "event: " + name + "\ndata: {\"type\":\"" + name + "\"," + members + "}\n\n"
}

func messageStream(o *output) []string {
	events := []string{event("message_start", `"message":`+messageHead(o, "", "null", 1))}
	stop := "end_turn"
	if o.tool != "" {
		stop = "tool_use"
		events = append(events, event("content_block_start", `"index":0,"content_block":`+toolUse(o)),
			event("content_block_delta", `"index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}`))
	} else {
		events = append(events, event("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`))
		for _, w := range o.words() {
			events = append(events, event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":`+quote(w)+`}`))
		}
	}
	return append(events,
		event("content_block_stop", `"index":0`),
		event("message_delta", `"delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":{"output_tokens":`+itoa(o.used())+`}`),
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
}

func responseHead(o *output, status, output, usage string) string {
	return `{"id":"resp_` + o.id + `","object":"response","created_at":` + o.unix() + `,"status":"` + status +
		`","error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"metadata":{},"model":` + quote(o.Model) +
		`,"output":[` + output + `],"parallel_tool_calls":true,"previous_response_id":null,"store":false,"temperature":1.0,"text":{"format":{"type":"text"}},` +
		`"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":` + usage + `}`
}

func responseUsage(o *output) string {
	return `{` + o.usage("input_tokens", "output_tokens", "total_tokens") +
		`,"input_tokens_details":{"cached_tokens":0},"output_tokens_details":{"reasoning_tokens":0}}`
}

func responseText(text string) string {
	return `{"type":"output_text","text":` + quote(text) + `,"annotations":[],"logprobs":[]}`
}

func responseItem(o *output, status, content string) string {
	return `{"id":"msg_` + o.id + `","type":"message","status":"` + status + `","role":"assistant","content":[` + content + `]}`
}

func responseCall(o *output) string {
	return `{"id":"fc_` + o.id + `","type":"function_call","status":"completed","call_id":"call_` + o.id + `","name":` + quote(o.tool) + `,"arguments":"{}"}`
}

func responseReply(o *output) string {
	item := responseItem(o, "completed", responseText(o.text))
	if o.tool != "" {
		item = responseCall(o)
	}
	return responseHead(o, "completed", item, responseUsage(o))
}

func responseStream(o *output) []string {
	var events []string
	add := func(name, members string) {
		events = append(events, event(name, `"sequence_number":`+itoa(int64(len(events)))+`,`+members))
	}
	add("response.created", `"response":`+responseHead(o, "in_progress", "", "null"))
	item, at := responseCall(o), `"item_id":"msg_`+o.id+`","output_index":0,"content_index":0,`
	if o.tool != "" {
		add("response.output_item.added", `"output_index":0,"item":`+item)
	} else {
		item = responseItem(o, "completed", responseText(o.text))
		add("response.output_item.added", `"output_index":0,"item":`+responseItem(o, "in_progress", ""))
		add("response.content_part.added", at+`"part":`+responseText(""))
		for _, w := range o.words() {
			add("response.output_text.delta", at+`"delta":`+quote(w)+`,"logprobs":[]`)
		}
		add("response.output_text.done", at+`"text":`+quote(o.text)+`,"logprobs":[]`)
		add("response.content_part.done", at+`"part":`+responseText(o.text))
	}
	add("response.output_item.done", `"output_index":0,"item":`+item)
	add("response.completed", `"response":`+responseHead(o, "completed", item, responseUsage(o)))
	return events
}
