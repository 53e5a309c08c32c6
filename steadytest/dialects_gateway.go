package steadytest

import "strconv"

// Assisters tells of requests per minute in the names of its headers: what a Limit
// says under it should be per minute.
var Assisters = &Dialect{
	Name: "assisters",
	Fields: []Field{
		{"X-Ratelimit-Limit-{resource}", LimitN},
		{"X-Ratelimit-Remaining-{resource}", RemainingN},
	},
	Denied:    []Field{{"Retry-After", WaitSeconds}},
	Resources: map[string]string{"requests": "Rpm", "tokens": "Tpm"},
	RequestID: "X-Request-Id",
	Refusals: map[Effect]Refusal{
		RateLimited:    {Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Rate limit exceeded. Please retry after {seconds} seconds."},
		SecondaryLimit: {Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Rate limit exceeded."},
		SpentQuota: {Status: 429, Type: "tokens_exhausted_error", Code: "tokens_exhausted", Message: "Monthly token limit exceeded. Upgrade your plan or wait for reset.",
			More: map[string]any{"upgrade_url": "https://assisters.dev/pricing"}},
		Unpaid:        {Status: 402, Type: "billing_error", Code: "insufficient_funds", Message: "Insufficient wallet balance"},
		Unauthorized:  {Status: 401, Type: "authentication_error", Code: "invalid_api_key", Message: "API key is invalid"},
		Forbidden:     {Status: 403, Type: "authentication_error", Code: "origin_not_allowed", Message: "Request origin not in allowed domains"},
		NotFound:      {Status: 404, Type: "invalid_request_error", Code: "not_found", Message: "Resource not found"},
		Invalid:       {Status: 400, Type: "invalid_request_error", Code: "invalid_request", Message: "Request body is malformed"},
		ContextLength: {Status: 400, Type: "invalid_request_error", Code: "context_length_exceeded", Message: "Input exceeds model's context limit"},
		ContentFilter: {Status: 400, Type: "content_policy_error", Code: "content_filtered", Message: "Content blocked by moderation"},
		ServerError:   {Status: 500, Type: "server_error", Code: "internal_error", Message: "An internal error occurred. Please try again."},
		Unavailable:   {Status: 503, Type: "server_error", Code: "model_overloaded", Message: "Model is temporarily overloaded"},
		Overloaded:    {Status: 503, Type: "server_error", Code: "model_overloaded", Message: "Model is temporarily overloaded"},
	},
	Body: func(r Refusal, _ string) (contentType, body string) {
		return jsonType, marshal(map[string]any{"error": object(r, "message", r.Message, "type", r.Type, "code", r.Code)})
	},
}

// AIAPI is aiapi.services: OpenAI's header names with resets as seconds since the
// epoch, and flat errors that say when to retry in their data.
var AIAPI = &Dialect{
	Name: "aiapi.services",
	Fields: []Field{
		{"X-Ratelimit-Limit-{resource}", LimitN},
		{"X-Ratelimit-Remaining-{resource}", RemainingN},
		{"X-Ratelimit-Reset-{resource}", ResetEpoch(Truncate)},
	},
	Resources: hyphens,
	Refusals: map[Effect]Refusal{
		RateLimited:   {Status: 429, Code: "rate_limit_exceeded", Message: "Rate limit exceeded. Please try again later."},
		SpentQuota:    {Status: 403, Code: "quota_not_enough", Message: "user quota is not enough"},
		Unpaid:        {Status: 402, Code: "quota_not_enough", Message: "user quota is not enough"},
		Unauthorized:  {Status: 401, Code: "unauthorized", Message: "invalid API key"},
		Forbidden:     {Status: 403, Code: "permission_denied", Message: "model access restricted"},
		NotFound:      {Status: 404, Code: "model_not_found", Message: "{path} not found"},
		Invalid:       {Status: 400, Code: "invalid_request", Message: "invalid request"},
		ContentFilter: {Status: 400, Code: "content_policy_violation", Message: "content was filtered"},
		ServerError:   {Status: 500, Code: "internal_error", Message: "Temporary server failure"},
		BadGateway:    {Status: 502, Code: "bad_gateway", Message: "Upstream service temporarily unavailable"},
		Unavailable:   {Status: 503, Code: "service_unavailable", Message: "Service maintenance or overload"},
	},
	Body: func(r Refusal, _ string) (contentType, body string) {
		var data any
		if r.Wait > 0 {
			data = map[string]int64{"retry_after": RoundUp.seconds(r.Wait)}
		}
		return jsonType, marshal(map[string]any{"code": r.Code, "message": r.Message, "data": data})
	},
}

// AltLLM is altllm: Retry-After and no other header; an error's code is its status.
var AltLLM = &Dialect{
	Name:   "altllm",
	Denied: []Field{{"Retry-After", WaitSeconds}},
	Refusals: map[Effect]Refusal{
		RateLimited:   {Status: 429, Type: "rate_limit_error", Message: "Rate limit exceeded"},
		SpentQuota:    {Status: 400, Type: "budget_exceeded", Message: "Budget has been exceeded! Current cost: 10.2, Max budget: 10.0"},
		Unpaid:        {Status: 402, Type: "budget_exceeded", Message: "Budget has been exceeded! Current cost: 10.2, Max budget: 10.0"},
		Unauthorized:  {Status: 401, Type: "auth_error", Message: "Authentication Error, Invalid proxy server token passed"},
		NotFound:      {Status: 404, Type: "model_error", Code: "model_not_found", Param: "model", Message: "{path} does not exist"},
		Invalid:       {Status: 400, Type: "invalid_request_error", Message: "Invalid request"},
		ContentFilter: {Status: 400, Type: "invalid_request_error", Code: "content_policy_violation", Message: "Content was filtered"},
		ServerError:   {Status: 500, Type: "api_error", Message: "Internal server error"},
		BadGateway:    {Status: 502, Type: "api_error", Message: "Bad gateway"},
		Unavailable:   {Status: 503, Type: "api_error", Message: "Service temporarily unavailable"},
		Overloaded:    {Status: 503, Type: "model_error", Message: "Model temporarily unavailable"},
	},
	Body: func(r Refusal, id string) (contentType, body string) {
		if r.Code == "" {
			r.Code = strconv.Itoa(r.Status)
		}
		return openAIBody(r, id)
	},
}

// TopRouter is toprouter: no header at all, and errors without a code.
var TopRouter = &Dialect{
	Name: "toprouter",
	Refusals: map[Effect]Refusal{
		RateLimited:   {Status: 429, Type: "rate_limit_error", Message: "Rate limit exceeded"},
		SpentQuota:    {Status: 402, Type: "billing_error", Message: "Insufficient credits"},
		Unpaid:        {Status: 402, Type: "billing_error", Message: "Insufficient credits"},
		Unauthorized:  {Status: 401, Type: "authentication_error", Message: "Invalid API key"},
		Forbidden:     {Status: 403, Type: "permission_error", Message: "Check API key permissions"},
		NotFound:      {Status: 404, Type: "not_found_error", Message: "Not found: {path}"},
		Invalid:       {Status: 400, Type: "invalid_request_error", Message: "Check request format and parameters"},
		ContentFilter: {Status: 400, Type: "content_policy_violation", Message: "Content was filtered"},
		ServerError:   {Status: 500, Type: "server_error", Message: "Server error"},
		Unavailable:   {Status: 503, Type: "server_error", Message: "Service unavailable"},
		Overloaded:    {Status: 503, Type: "overloaded_error", Message: "Overloaded"},
	},
	Body: func(r Refusal, _ string) (contentType, body string) {
		return jsonType, marshal(map[string]any{"error": object(r, "message", r.Message, "type", r.Type)})
	},
}

// Dialects are all that come ready-made, for tests that run through them; the
// forms of [Middleware] among them.
func Dialects() []*Dialect {
	epoch, delta := Middleware(ResetEpoch(RoundUp)), Middleware(ResetSeconds(RoundUp))
	epoch.Name, delta.Name = "middleware-epoch", "middleware-delta"
	return []*Dialect{OpenAI, Assistants, Anthropic, GitHub, IETF, IETF07, IETF03, Assisters, AIAPI, AltLLM, TopRouter, epoch, delta, Silent, Nginx}
}
