package steadytest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// OpenAI tells of requests and tokens: the limit, what remains, and the time until
// it is full as a duration, 8.64s.
var OpenAI = &Dialect{
	Name: "openai",
	Fields: []Field{
		{"X-Ratelimit-Limit-{resource}", LimitN},
		{"X-Ratelimit-Remaining-{resource}", RemainingN},
		{"X-Ratelimit-Reset-{resource}", ResetDuration},
	},
	Denied:    []Field{{"Retry-After", WaitSeconds}, {"Retry-After-Ms", WaitMillis}},
	Resources: hyphens,
	RequestID: "X-Request-Id",
}

// hyphens spells resources in the names of headers.
var hyphens = map[string]string{"input_tokens": "input-tokens", "output_tokens": "output-tokens"}

// Assistants is OpenAI as the guide to its Assistants words its errors.
var Assistants = &Dialect{
	Name: "openai-assistants", Fields: OpenAI.Fields, Denied: OpenAI.Denied, Resources: hyphens, RequestID: "X-Request-Id",
	Refusals: map[Effect]Refusal{
		RateLimited:  {Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Rate limit reached for {resource}. Please try again in {wait}."},
		SpentQuota:   {Status: 429, Type: "insufficient_quota", Code: "insufficient_quota", Message: "You have exceeded your current quota, please check your plan and billing details."},
		Unauthorized: {Status: 401, Type: "invalid_request_error", Code: "invalid_api_key", Message: "Invalid Authentication"},
		Invalid:      {Status: 400, Type: "invalid_request_error", Code: "missing_required_parameter", Param: "assistant_id", Message: "Missing required parameter: 'assistant_id'."},
		Unavailable:  {Status: 503, Type: "server_error", Message: "The engine is currently overloaded, please try again later"},
	},
}

// Anthropic tells of each resource apart, with resets by RFC 3339 in whole
// seconds, truncated: one can lie before the Date of its response.
var Anthropic = &Dialect{
	Name: "anthropic",
	Fields: []Field{
		{"Anthropic-Ratelimit-{resource}-Limit", LimitN},
		{"Anthropic-Ratelimit-{resource}-Remaining", RemainingN},
		{"Anthropic-Ratelimit-{resource}-Reset", ResetTime},
	},
	Denied:    []Field{{"Retry-After", WaitSeconds}, {"X-Should-Retry", Literally("true")}},
	Resources: hyphens,
	RequestID: "Request-Id",
	Refusals: map[Effect]Refusal{
		RateLimited:    {Status: 429, Type: "rate_limit_error", Message: "This request would exceed your organization's rate limit of {limit} {resource} per minute."},
		SecondaryLimit: {Status: 429, Type: "rate_limit_error", Message: "Number of concurrent connections has exceeded your rate limit. Please try again later."},
		TooLarge:       {Status: 413, Type: "request_too_large", Message: "Request exceeds the maximum size"},
		SpentQuota: {Status: 429, Type: "rate_limit_error", Message: "You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set based on your organization's API tier.",
			More: map[string]any{"details": map[string]string{"error_code": "enforced_spend_limit_reached"}}},
		Unpaid:         {Status: 400, Type: "invalid_request_error", Message: "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},
		Unauthorized:   {Status: 401, Type: "authentication_error", Message: "invalid x-api-key", Header: map[string]string{"X-Should-Retry": "false"}},
		Forbidden:      {Status: 403, Type: "permission_error", Message: "Your API key does not have permission to use the specified resource."},
		NotFound:       {Status: 404, Type: "not_found_error", Message: "Not found: {path}"},
		BadMethod:      {Status: 405, Type: "invalid_request_error", Message: "Method Not Allowed"},
		Conflict:       {Status: 409, Type: "invalid_request_error", Message: "The resource was changed by another request."},
		Invalid:        {Status: 400, Type: "invalid_request_error", Message: "The request body is not valid JSON"},
		ContextLength:  {Status: 400, Type: "invalid_request_error", Message: "prompt is too long: 210000 tokens > 200000 maximum"},
		ContentFilter:  {Status: 400, Type: "invalid_request_error", Message: "Output blocked by content filtering policy"},
		ServerError:    {Status: 500, Type: "api_error", Message: "Internal server error", Header: map[string]string{"X-Should-Retry": "true"}},
		BadGateway:     {Status: 502, Type: "api_error", Message: "Bad gateway"},
		Unavailable:    {Status: 503, Type: "api_error", Message: "Service unavailable"},
		SlowDown:       {Status: 429, Type: "rate_limit_error", Message: "Number of request tokens has exceeded your per-minute rate limit: please raise your usage gradually."},
		GatewayTimeout: {Status: 504, Type: "timeout_error", Message: "The request timed out while processing."},
	},
	Body: func(r Refusal, id string) (contentType, body string) {
		return jsonType, marshal(map[string]any{"type": "error", "error": object(r, "type", r.Type, "message", r.Message), "request_id": id})
	},
	Event: func(r Refusal) string {
		return "event: error\ndata: " + marshal(map[string]any{"type": "error", "error": object(r, "type", r.Type, "message", r.Message)}) + "\n\n"
	},
}

const jsonType = "application/json"

// object is a JSON object of names and values, with the refusal's further members.
func object(r Refusal, members ...any) map[string]any {
	o := make(map[string]any, len(members)/2+len(r.More))
	for i := 0; i < len(members); i += 2 {
		o[members[i].(string)] = members[i+1]
	}
	for k, v := range r.More {
		o[k] = v
	}
	return o
}

// GitHub tells of one limit, of the resource that the request counted against,
// with its reset as seconds since the epoch. The primary limit denies with 403 and
// no Retry-After, the secondary one with much remaining. See [GitHubLimits].
var GitHub = &Dialect{
	Name: "github",
	Fields: []Field{
		{"X-Ratelimit-Limit", LimitN},
		{"X-Ratelimit-Remaining", RemainingN},
		{"X-Ratelimit-Used", UsedN},
		{"X-Ratelimit-Reset", ResetEpoch(Truncate)},
		{"X-Ratelimit-Resource", ScopeOr("core")},
	},
	RequestID: "X-Github-Request-Id",
	Refusals: map[Effect]Refusal{
		RateLimited: {Status: 403, Message: "API rate limit exceeded for user ID 1. If you reach out to GitHub Support for help, please include the request ID.",
			More: map[string]any{"documentation_url": "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"}},
		SecondaryLimit: {Status: 403, Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", Header: map[string]string{"Retry-After": "60"},
			More: map[string]any{"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}},
		Unpaid:        {Status: 402, Message: "Payment required"},
		SpentQuota:    {Status: 402, Message: "Payment required"},
		Unauthorized:  {Status: 401, Message: "Bad credentials"},
		Forbidden:     {Status: 403, Message: "Resource not accessible by personal access token"},
		NotFound:      {Status: 404, Message: "Not Found"},
		BadMethod:     {Status: 404, Message: "Not Found"},
		Conflict:      {Status: 409, Message: "Git Repository is empty."},
		Invalid:       {Status: 400, Message: "Problems parsing JSON"},
		ServerError:   {Status: 500, Message: "Server Error"},
		BadGateway:    {Status: 502, Message: "Server Error"},
		Unavailable:   {Status: 503, Message: "Service unavailable"},
		SlowDown:      {Status: 403, Message: "You have triggered an abuse detection mechanism. Please retry your request again later."},
		Overloaded:    {Status: 503, Message: "Service unavailable"},
		ContentFilter: {Status: 422, Message: "Validation Failed"},
		ContextLength: {Status: 422, Message: "Validation Failed"},
	},
	Body: func(r Refusal, _ string) (contentType, body string) {
		o := object(r, "message", r.Message, "status", strconv.Itoa(r.Status))
		if o["documentation_url"] == nil {
			o["documentation_url"] = "https://docs.github.com/rest"
		}
		return "application/json; charset=utf-8", marshal(o)
	},
}

// GitHubLimits is what GitHub grants a user: 5,000 requests an hour, 30 searches a
// minute, and a secondary limit of 100 at once.
func GitHubLimits() []Limit {
	search := PathHas("/search/")
	return []Limit{
		{N: 5000, Per: time.Hour, Kind: FixedWindow, Scope: "core", Match: func(r *http.Request) bool { return !search(r) }},
		{N: 30, Per: time.Minute, Kind: FixedWindow, Scope: "search", Match: search},
		{N: 100, Per: time.Minute, Kind: InFlight, Deny: SecondaryLimit},
	}
}

// PathHas matches requests whose path contains part: for [Limit.Match] and
// [Fault.Match].
func PathHas(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(path(r), part) }
}

// Middleware is how most middleware tells of its limit: X-RateLimit-Limit,
// -Remaining and -Reset, the last rendered by reset, and Retry-After in seconds.
// Errors are plain text.
func Middleware(reset Value) *Dialect {
	return &Dialect{
		Name: "middleware",
		Fields: []Field{
			{"X-Ratelimit-Limit", LimitN},
			{"X-Ratelimit-Remaining", RemainingN},
			{"X-Ratelimit-Reset", reset},
		},
		Denied: []Field{{"Retry-After", WaitSeconds}},
		Body:   plainBody,
		Event:  func(r Refusal) string { return "event: error\ndata: " + http.StatusText(r.Status) + "\n\n" },
	}
}

func plainBody(r Refusal, _ string) (contentType, body string) {
	return "text/plain; charset=utf-8", statusText(r.Status) + "\n"
}

// Silent is a server that says nothing of its limits: 429 and a page of HTML, as
// nginx with limit_req_status 429.
var Silent = &Dialect{Name: "none", Body: htmlBody, Refusals: map[Effect]Refusal{
	TooLarge: {Status: 429}, SpentQuota: {Status: 403}, Overloaded: {Status: 503},
}}

// Nginx is nginx as it comes: it denies with 503.
var Nginx = &Dialect{Name: "nginx", Body: htmlBody, Refusals: map[Effect]Refusal{
	RateLimited: {Status: 503}, SecondaryLimit: {Status: 503}, TooLarge: {Status: 503}, SlowDown: {Status: 503}, SpentQuota: {Status: 403}, Overloaded: {Status: 503},
}}

func htmlBody(r Refusal, _ string) (contentType, body string) {
	line := statusLine(r.Status)
	return "text/html", fmt.Sprintf("<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n", line)
}
