package steadytest

import (
	"encoding/json"
	"strings"
)

// usual is how OpenAI words each refusal; other dialects differ from it.
var usual = map[Effect]Refusal{
	RateLimited:    {Status: 429, Type: "{resource}", Code: "rate_limit_exceeded", Message: "Rate limit reached on {resource}: Limit {limit}, Used {used}, Requested {requested}. Please try again in {wait}."},
	SecondaryLimit: {Status: 429, Type: "requests", Code: "rate_limit_exceeded", Message: "Too many requests at once. Please slow down."},
	TooLarge:       {Status: 429, Type: "{resource}", Code: "rate_limit_exceeded", Message: "Request too large on {resource}: Limit {limit}, Requested {requested}. The input or output tokens must be reduced in order to run successfully."},
	SpentQuota:     {Status: 429, Type: "insufficient_quota", Code: "insufficient_quota", Message: "You exceeded your current quota, please check your plan and billing details."},
	Unpaid:         {Status: 402, Type: "billing_error", Code: "payment_required", Message: "Insufficient credits."},
	Unauthorized:   {Status: 401, Type: "invalid_request_error", Code: "invalid_api_key", Message: "Incorrect API key provided."},
	Forbidden:      {Status: 403, Type: "permission_error", Code: "permission_denied", Message: "You do not have permission to use this resource."},
	NotFound:       {Status: 404, Type: "invalid_request_error", Message: "Invalid URL ({path})"},
	BadMethod:      {Status: 405, Type: "invalid_request_error", Message: "Not allowed to use this method on {path}."},
	Invalid:        {Status: 400, Type: "invalid_request_error", Message: "We could not parse the JSON body of your request."},
	ContextLength:  {Status: 400, Type: "invalid_request_error", Code: "context_length_exceeded", Param: "messages", Message: "This model's maximum context length is 128000 tokens. However, your messages resulted in more. Please reduce the length of the messages."},
	ContentFilter:  {Status: 400, Type: "invalid_request_error", Code: "content_policy_violation", Message: "Your request was rejected as a result of our safety system."},
	Conflict:       {Status: 409, Type: "invalid_request_error", Code: "conflict", Message: "The resource was changed by another request."},
	ServerError:    {Status: 500, Type: "server_error", Message: "The server had an error while processing your request. Sorry about that!"},
	BadGateway:     {Status: 502, Type: "server_error", Message: "Bad gateway."},
	Unavailable:    {Status: 503, Type: "server_error", Message: "The engine is currently overloaded, please try again later."},
	SlowDown:       {Status: 429, Type: "requests", Code: "slow_down", Message: "Your request rate has risen too fast. Please slow down to your earlier rate and raise it gradually."},
	GatewayTimeout: {Status: 504, Type: "server_error", Message: "The request timed out."},
	Overloaded:     {Status: 529, Type: "overloaded_error", Message: "Overloaded"},
}

func openAIBody(r Refusal, _ string) (contentType, body string) {
	return jsonType, `{"error":{"message":` + quote(r.Message) + `,"type":` + quote(r.Type) + `,"param":` + nullable(r.Param) + `,"code":` + nullable(r.Code) + `}}`
}

func nullable(s string) string {
	if s == "" {
		return "null"
	}
	return quote(s)
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

// marshal is json.Marshal of values that cannot fail it. It leaves <, > and & as
// they are, as the APIs do.
func marshal(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "null"
	}
	return strings.TrimSuffix(b.String(), "\n")
}
