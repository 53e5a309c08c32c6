package steadytest

import (
	"encoding/json"
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
	SlowDown:       {Status: 503, Type: "server_error", Code: "slow_down", Message: "Slow down."},
	GatewayTimeout: {Status: 504, Type: "server_error", Message: "The request timed out."},
	Overloaded:     {Status: 529, Type: "overloaded_error", Message: "Overloaded"},
}

// OpenAI tells of requests and tokens, each with a limit, what remains and the
// time until it is full: "8.64s".
var OpenAI = &Dialect{
	Name: "openai",
	Fields: []Field{
		{"X-Ratelimit-Limit-{resource}", LimitN},
		{"X-Ratelimit-Remaining-{resource}", RemainingN},
		{"X-Ratelimit-Reset-{resource}", ResetDuration},
	},
	Denied: []Field{
		{"Retry-After", WaitSeconds},
		{"Retry-After-Ms", WaitMillis},
	},
	Resources: map[string]string{"input_tokens": "input-tokens", "output_tokens": "output-tokens"},
	RequestID: "X-Request-Id",
}

func openAIBody(r Refusal, _ string) (contentType, body string) {
	return "application/json", marshal(struct {
		Error openAIError `json:"error"`
	}{openAIError{r.Message, r.Type, nullable(r.Param), nullable(r.Code)}})
}

type openAIError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "{}" // strings and numbers alone: does not happen
	}
	return string(b)
}
