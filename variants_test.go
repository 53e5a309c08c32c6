package steadyhttp

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// variant is a response in the manner of an API, and what it means.
type variant struct {
	name    string
	status  int
	headers string // "name: value" lines
	body    string
	want    string // its Outcome, as brief has it
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (v *variant) response() *http.Response {
	h := make(http.Header)
	for line := range strings.Lines(v.headers) {
		k, val, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if k != "" {
			h[http.CanonicalHeaderKey(k)] = append(h[http.CanonicalHeaderKey(k)], val)
		}
	}
	return &http.Response{StatusCode: v.status, Header: h, Body: io.NopCloser(strings.NewReader(v.body))}
}

// brief is an Outcome in one line, long texts cut.
func brief(o Outcome, now time.Time) string {
	var b strings.Builder
	b.WriteString(o.Class.String())
	if o.Retryable {
		b.WriteString(" retry")
	}
	if !o.RetryAt.IsZero() {
		fmt.Fprintf(&b, " after=%v", o.RetryAt.Sub(now).Round(time.Millisecond))
	}
	for _, q := range o.Quotas {
		fmt.Fprintf(&b, " %s", q.Resource)
		if q.Scope != "" {
			fmt.Fprintf(&b, "@%s", q.Scope)
		}
		if q.Window > 0 {
			fmt.Fprintf(&b, "/%v", q.Window)
		}
		fmt.Fprintf(&b, "(%d of %d", q.Remaining, q.Limit)
		if !q.Reset.IsZero() {
			fmt.Fprintf(&b, " reset %v", q.Reset.Sub(now).Round(time.Millisecond))
		}
		b.WriteString(")")
	}
	for _, f := range []struct{ k, v string }{{"code", o.Code}, {"type", o.Type}, {"msg", o.Message}, {"param", o.Param}, {"id", o.RequestID}} {
		if f.v != "" {
			if len(f.v) > 45 {
				f.v = f.v[:40] + "…"
			}
			fmt.Fprintf(&b, " %s=%q", f.k, f.v)
		}
	}
	return b.String()
}

// variants are beside those of testdata/responses.jsonl: one for each way of saying
// things that is not in there.
var variants = []variant{
	{"openai organization_usage_limit_exceeded", 429, "", `{"error":{"message":"x","type":"insufficient_quota","code":"organization_usage_limit_exceeded"}}`, `quota_exhausted code="organization_usage_limit_exceeded" type="insufficient_quota" msg="x"`},
	{"openai slow_down", 429, "", `{"error":{"message":"Slow down","type":"requests","code":"slow_down"}}`, `rate_limited retry code="slow_down" type="requests" msg="Slow down"`},
	{"openai slow_down 503", 503, "", `{"error":{"message":"Slow down","type":"server_error","code":"slow_down"}}`, `rate_limited retry code="slow_down" type="server_error" msg="Slow down"`},
	{"openai server_is_overloaded", 503, "", `{"error":{"message":"x","type":"server_error","code":"server_is_overloaded"}}`, `overloaded retry code="server_is_overloaded" type="server_error" msg="x"`},
	{"openai engine overloaded 429", 429, "", `{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error","param":null,"code":null}}`, `overloaded retry type="server_error" msg="The engine is currently overloaded, plea…"`},
	{"openai flex", 429, "", `{"error":{"message":"Resource unavailable","type":"requests","code":"resource_unavailable"}}`, `overloaded retry code="resource_unavailable" type="requests" msg="Resource unavailable"`},
	{"openai billing hard limit", 400, "", `{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","code":"billing_hard_limit_reached"}}`, `quota_exhausted code="billing_hard_limit_reached" type="invalid_request_error" msg="Billing hard limit has been reached"`},
	{"openai billing not active", 429, "", `{"error":{"message":"Your account is not active, please check your billing details on our website.","type":"billing_not_active","code":"billing_not_active"}}`, `quota_exhausted code="billing_not_active" type="billing_not_active" msg="Your account is not active, please check…"`},
	{"openai invalid prompt", 400, "", `{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt","type":"invalid_request_error","code":"invalid_prompt"}}`, `content_policy code="invalid_prompt" type="invalid_request_error" msg="Invalid prompt: your prompt was flagged …"`},
	{"openai deactivated", 401, "", `{"error":{"message":"The OpenAI account associated with this API key has been deactivated.","type":"invalid_request_error","code":"account_deactivated"}}`, `auth code="account_deactivated" type="invalid_request_error" msg="The OpenAI account associated with this …"`},
	{"openai 401 org", 401, "", `{"error":{"message":"You must be a member of an organization to use the API","type":"invalid_request_error","code":null}}`, `auth type="invalid_request_error" msg="You must be a member of an organization …"`},
	{"openai 409", 409, "x-should-retry: true", `{"error":{"message":"conflict","type":"conflict"}}`, `conflict retry type="conflict" msg="conflict"`},
	{"openai 20s old", 429, "", `{"error":{"message":"Rate limit reached for default-gpt-3.5-turbo in organization org-x on requests per min. Limit: 3 / min. Please try again in 20s. Contact us","type":"requests","code":null}}`, `rate_limited retry after=20s type="requests" msg="Rate limit reached for default-gpt-3.5-t…"`},
	{"openai too large old", 429, "", `{"error":{"message":"Request too large for gpt-4 on tokens_usage_based per min (TPM): Limit 10000, Requested 12001.","type":"tokens_usage_based","code":"rate_limit_exceeded"}}`, `context_length code="rate_limit_exceeded" type="tokens_usage_based" msg="Request too large for gpt-4 on tokens_us…"`},
	{"openai reset with d", 200, "x-ratelimit-limit-requests: 200\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 1d2h3m4s", "", `success requests(0 of 200 reset 26h3m4s)`},
	{"azure placeholder", 200, "x-ratelimit-limit-requests: -1\nx-ratelimit-remaining-requests: -1\nx-ratelimit-reset-requests: 0\nx-ratelimit-limit-tokens: 1000\nx-ratelimit-remaining-tokens: 900", "", `success tokens(900 of 1000)`},
	{"azure ms 500", 200, "x-ratelimit-limit-requests: 120\nx-ratelimit-remaining-requests: 119\nx-ratelimit-reset-requests: 500\nx-ratelimit-renewalperiod-requests: 60", "", `success requests/1m0s(119 of 120 reset 500ms)`},
	{"azure ms 7", 200, "x-ratelimit-limit-tokens: 1000000\nx-ratelimit-remaining-tokens: 999880\nx-ratelimit-reset-tokens: 7\nx-ratelimit-renewalperiod-tokens: 60", "", `success tokens/1m0s(999880 of 1000000 reset 7ms)`},
	{"azure s 1", 200, "x-ratelimit-limit-requests: 50\nx-ratelimit-remaining-requests: 49\nx-ratelimit-reset-requests: 1\nx-ratelimit-renewalperiod-requests: 60", "", `success requests/1m0s(49 of 50 reset 1s)`},
	{"azure s 1 big", 200, "x-ratelimit-limit-requests: 1000\nx-ratelimit-remaining-requests: 999\nx-ratelimit-reset-requests: 1\nx-ratelimit-renewalperiod-requests: 60", "", `success requests/1m0s(999 of 1000 reset 1s)`},
	{"azure content filter", 400, "", `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}`, `content_policy code="content_filter" msg="The response was filtered due to the pro…" param="prompt"`},
	{"azure content filter no code", 400, "", `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry."}}`, `content_policy msg="The response was filtered due to the pro…"`},
	{"azure 429 NoCapacity", 429, "retry-after-ms: 0", `{"error":{"code":"NoCapacity","message":"The system is currently experiencing high demand and cannot process your request."}}`, `overloaded retry after=0s code="NoCapacity" msg="The system is currently experiencing hig…"`},
	{"azure 403 quota", 403, "", `{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 2.12:30:00."}`, `quota_exhausted msg="Out of call volume quota. Quota will be …"`},
	{"anthropic overloaded 529", 529, "x-should-retry: true", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`, `overloaded retry type="overloaded_error" msg="Overloaded" id="req_1"`},
	{"anthropic overloaded 500", 500, "", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, `overloaded retry type="overloaded_error" msg="Overloaded"`},
	{"anthropic prompt too long", 400, "", `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, `context_length type="invalid_request_error" msg="prompt is too long: 210000 tokens > 2000…"`},
	{"anthropic context limit", 400, "", "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again\"}}", "context_length type=\"invalid_request_error\" msg=\"input length and `max_tokens` exceed con…\""},
	{"anthropic billing 402", 402, "", `{"type":"error","error":{"type":"billing_error","message":"x"}}`, `quota_exhausted type="billing_error" msg="x"`},
	{"anthropic not found", 404, "", `{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}`, `not_found type="not_found_error" msg="model: claude-x"`},
	{"anthropic 200 retry-after", 200, "retry-after: 53", "", `success`},
	{"anthropic reset before Date", 200, "Date: Fri, 20 Nov 2026 12:00:00 GMT\nanthropic-ratelimit-requests-limit: 50\nanthropic-ratelimit-requests-remaining: 50\nanthropic-ratelimit-requests-reset: 2026-11-20T11:59:59Z", "", `success requests(50 of 50 reset 0s)`},
	{"anthropic content filtering", 400, "", `{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`, `content_policy type="invalid_request_error" msg="Output blocked by content filtering policy"`},
	{"gemini per day", 429, "", `{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"36s"}]}}`, `quota_exhausted after=36s code="429" type="RESOURCE_EXHAUSTED" msg="You exceeded your current quota, please …"`},
	{"gemini array compat", 429, "", `[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaValue":"15"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"36.5s"}]}}]`, `rate_limited retry after=36.5s code="429" type="RESOURCE_EXHAUSTED" msg="You exceeded your current quota, please …"`},
	{"gemini key", 400, "", `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}`, `auth code="400" type="INVALID_ARGUMENT" msg="API key not valid. Please pass a valid A…"`},
	{"gemini key array", 400, "", `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]`, `auth code="400" type="INVALID_ARGUMENT" msg="API key not valid. Please pass a valid A…"`},
	{"gemini 503", 503, "", `{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}`, `overloaded retry code="503" type="UNAVAILABLE" msg="The model is overloaded. Please try agai…"`},
	{"gemini 500", 500, "", `{"error":{"code":500,"message":"An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting","status":"INTERNAL"}}`, `server_error retry code="500" type="INTERNAL" msg="An internal error has occurred. Please r…"`},
	{"gemini prose only", 429, "", `{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. Please retry in 12.5s.","status":"RESOURCE_EXHAUSTED"}}`, `rate_limited retry after=12.5s code="429" type="RESOURCE_EXHAUSTED" msg="You exceeded your current quota, please …"`},
	{"vertex quota", 429, "", `{"error":{"code":429,"message":"Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: gemini-pro. Please submit a quota increase request.","status":"RESOURCE_EXHAUSTED"}}`, `rate_limited retry code="429" type="RESOURCE_EXHAUSTED" msg="Quota exceeded for aiplatform.googleapis…"`},
	{"google service disabled", 403, "", `{"error":{"code":403,"message":"Generative Language API has not been used in project 1 before or it is disabled. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","domain":"googleapis.com"}]}}`, `permission code="403" type="PERMISSION_DENIED" msg="Generative Language API has not been use…"`},
	{"google rate reason", 429, "", `{"error":{"code":429,"message":"Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user' of service 'sheets.googleapis.com' for consumer 'project_number:1'.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{"quota_limit":"ReadRequestsPerMinutePerUser"}}]}}`, `rate_limited retry code="429" type="RESOURCE_EXHAUSTED" msg="Quota exceeded for quota metric 'Read re…"`},
	{"groq 413 permanent", 413, "", "{\"error\":{\"message\":\"Request too large for model `llama` in organization `org` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 7500, please reduce your message size and try again. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}", "context_length code=\"rate_limit_exceeded\" type=\"tokens\" msg=\"Request too large for model `llama` in o…\""},
	{"groq float noise", 200, "x-ratelimit-limit-tokens: 6000\nx-ratelimit-remaining-tokens: 4865\nx-ratelimit-reset-tokens: 11.354999999s", "", `success tokens(4865 of 6000 reset 11.355s)`},
	{"mistral audio", 200, "x-ratelimit-limit-audio-seconds-minute: 3600\nx-ratelimit-remaining-audio-seconds-minute: 3590\nx-ratelimit-limit-ocr-pages-minute: 60\nx-ratelimit-remaining-ocr-pages-minute: 59\nx-ratelimit-audio-seconds-query-cost: 10", "", `success audio_seconds/1m0s(3590 of 3600) ocr_pages/1m0s(59 of 60)`},
	{"mistral bysize full", 200, "ratelimitbysize-limit: 500000\nratelimitbysize-remaining: 467993\nratelimitbysize-reset: 40\nratelimitbysize-query-cost: 32007\nx-ratelimitbysize-limit-minute: 500000\nx-ratelimitbysize-remaining-minute: 467993\nx-ratelimitbysize-limit-month: 1000000000\nx-ratelimitbysize-remaining-month: 999967993", "", `success tokens/1m0s(467993 of 500000 reset 40s) tokens/720h0m0s(999967993 of 1000000000)`},
	{"cohere trial minute", 429, "", `{"message":"You are using a Trial key, which is limited to 40 API calls / minute. You can continue to use the Trial key for free or upgrade to a Production key with higher rate limits at 'https://dashboard.cohere.com/api-keys'."}`, `rate_limited retry msg="You are using a Trial key, which is limi…"`},
	{"together reset only", 429, "x-ratelimit-reset: 3", `{"error":{"message":"You have been rate limited","type":"rate_limit"}}`, `rate_limited retry after=3s requests(-1 of -1 reset 3s) type="rate_limit" msg="You have been rate limited"`},
	{"together full", 200, "x-ratelimit-limit: 10\nx-ratelimit-remaining: 9\nx-ratelimit-reset: 1\nx-tokenlimit-limit: 3000\nx-tokenlimit-remaining: 2990", "", `success requests(9 of 10 reset 1s) tokens(2990 of 3000)`},
	{"xai bad key", 400, "", `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai."}`, `auth code="Client specified an invalid argument" msg="Incorrect API key provided: xa***. You c…"`},
	{"cerebras success", 200, "x-ratelimit-limit-requests-day: 14400\nx-ratelimit-limit-tokens-minute: 60000\nx-ratelimit-limit-requests-hour: 900\nx-ratelimit-remaining-requests-day: 14370\nx-ratelimit-remaining-tokens-minute: 59000\nx-ratelimit-remaining-requests-hour: 899\nx-ratelimit-reset-requests-day: 33011.382867\nx-ratelimit-reset-tokens-minute: 11.382867\nx-ratelimit-reset-requests-hour: 120.5", "", `success requests/1h0m0s(899 of 900 reset 2m0.5s) requests/24h0m0s(14370 of 14400 reset 9h10m11.383s) tokens/1m0s(59000 of 60000 reset 11.383s)`},
	{"sambanova epoch", 200, "x-ratelimit-limit-requests: 60\nx-ratelimit-remaining-requests: 42\nx-ratelimit-reset-requests: 1795176030\nx-ratelimit-limit-requests-day: 1000\nx-ratelimit-remaining-requests-day: 900\nx-ratelimit-reset-requests-day: 1795219200", "", `success requests(42 of 60 reset 30s) requests/24h0m0s(900 of 1000 reset 12h0m0s)`},
	{"hf loading", 503, "", `{"error":"Model bigscience/bloom is currently loading","estimated_time":20.0}`, `overloaded retry after=20s msg="Model bigscience/bloom is currently loading"`},
	{"hf overloaded", 503, "", `{"error":"Model too busy, unable to get response in less than 120 second(s)"}`, `overloaded retry msg="Model too busy, unable to get response i…"`},
	{"hf router 200", 200, "retry-after: 30", "", `success`},
	{"replicate 429", 429, "ratelimit-remaining: 0\nratelimit-reset: 1", `{"detail":"Request was throttled. Expected available in 1 second."}`, `rate_limited retry after=1s requests(0 of -1 reset 1s) msg="Request was throttled. Expected availabl…"`},
	{"bedrock throttling 429", 429, "x-amzn-ErrorType: ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", `{"message":"Too many tokens, please wait before trying again."}`, `rate_limited retry type="ThrottlingException" msg="Too many tokens, please wait before tryi…"`},
	{"bedrock not ready", 429, "x-amzn-ErrorType: ModelNotReadyException:http://x", `{"message":"The model is not ready."}`, `overloaded retry type="ModelNotReadyException" msg="The model is not ready."`},
	{"aws unrecognized", 403, "x-amzn-ErrorType: UnrecognizedClientException:http://x", `{"message":"The security token included in the request is invalid."}`, `auth type="UnrecognizedClientException" msg="The security token included in the reque…"`},
	{"aws expired", 403, "x-amzn-ErrorType: ExpiredTokenException", `{"message":"The security token included in the request is expired"}`, `auth type="ExpiredTokenException" msg="The security token included in the reque…"`},
	{"aws unrecognized 400", 400, "", `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}`, `auth type="UnrecognizedClientException" msg="The security token included in the reque…"`},
	{"s3 slowdown", 503, "x-amz-request-id: R1\nContent-Type: application/xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>4442587FB7D0A2F9</RequestId><HostId>h</HostId></Error>", `rate_limited retry code="SlowDown" msg="Please reduce your request rate." id="R1"`},
	{"s3 access denied", 403, "", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>R2</RequestId></Error>", `permission code="AccessDenied" msg="Access Denied" id="R2"`},
	{"ec2 limit", 503, "", `<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error></Errors><RequestID>R3</RequestID></Response>`, `rate_limited retry code="RequestLimitExceeded" msg="Request limit exceeded." id="R3"`},
	{"query throttling", 400, "", `<ErrorResponse xmlns="http://x"><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>R4</RequestId></ErrorResponse>`, `rate_limited retry code="Throttling" type="Sender" msg="Rate exceeded" id="R4"`},
	{"apigw", 429, "x-amzn-ErrorType: LimitExceededException\nx-amzn-RequestId: r", `{"message":"Limit Exceeded"}`, `rate_limited retry type="LimitExceededException" msg="Limit Exceeded" id="r"`},
	{"litellm provider headers", 200, "x-ratelimit-limit-requests: 100\nllm_provider-x-ratelimit-limit-requests: 9", "", `success requests(-1 of 100)`},
	{"litellm retry-after reset_at", 429, "retry-after: 41\nreset_at: 1795176041\nrate_limit_type: requests", `{"error":{"message":"Rate limit exceeded for api_key: x. Limit type: requests. Current limit: 1, Remaining: 0. Limit resets at: 2026-11-20 12:00:41 UTC","type":"None","param":"None","code":"429"}}`, `rate_limited retry after=41s code="429" type="None" msg="Rate limit exceeded for api_key: x. Limi…" param="None"`},
	{"vllm flat old 404", 404, "", "{\"object\":\"error\",\"message\":\"The model `x` does not exist.\",\"type\":\"NotFoundError\",\"param\":null,\"code\":404}", "not_found code=\"404\" type=\"NotFoundError\" msg=\"The model `x` does not exist.\""},
	{"cf gateway", 429, "", `{"success":false,"result":[],"messages":[],"error":[{"code":2003,"message":"Rate limited"}]}`, `rate_limited retry code="2003" msg="Rate limited"`},
	{"github graphql 200", 200, "", `{"errors":[{"type":"RATE_LIMITED"}]}`, `success`},
	{"stripe rate", 429, "Stripe-Rate-Limited-Reason: global-rate", `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Too many requests hit the API too quickly."}}`, `rate_limited retry code="rate_limit" type="invalid_request_error" msg="Too many requests hit the API too quickly."`},
	{"stripe card", 402, "", `{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}`, `client_error code="card_declined" type="card_error" msg="Your card has insufficient funds."`},
	{"slack 429", 429, "Retry-After: 30", `{"ok":false,"error":"ratelimited"}`, `rate_limited retry after=30s code="ratelimited"`},
	{"discord ban", 429, "Retry-After: 1800\nContent-Type: text/html", "<!DOCTYPE html><html><head><title>Access denied</title></head><body>You are being rate limited. Error 1015</body></html>", `rate_limited retry after=30m0s`},
	{"shopify 429 string", 429, "Retry-After: 2.0\nX-Shopify-Shop-Api-Call-Limit: 40/40", `{"errors":"Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."}`, `rate_limited retry after=2s requests(0 of 40) msg="Exceeded 2 calls per second for api clie…"`},
	{"shopify 430", 430, "", "", `rate_limited retry`},
	{"shopify 422", 422, "", `{"errors":{"title":["can't be blank"]}}`, `invalid_request msg="can't be blank"`},
	{"okta", 429, "Date: Fri, 20 Nov 2026 12:00:00 GMT\nX-Rate-Limit-Limit: 600\nX-Rate-Limit-Remaining: 0\nX-Rate-Limit-Reset: 1795176021\nX-Okta-Request-Id: ok1", `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests.","errorLink":"E0000047","errorId":"x","errorCauses":[]}`, `rate_limited retry after=21s requests(0 of 600 reset 21s) code="E0000047" msg="API call exceeded rate limit due to too …" id="ok1"`},
	{"zendesk", 200, "x-rate-limit: 700\nx-rate-limit-remaining: 699\nratelimit-limit: 700\nratelimit-remaining: 699\nratelimit-reset: 41\nzendesk-ratelimit-tickets-index: total=100; remaining=99; resets=41", "", `success requests(699 of 700 reset 41s) tickets_index(99 of 100 reset 41s)`},
	{"hubspot", 200, "X-HubSpot-RateLimit-Daily: 250000\nX-HubSpot-RateLimit-Daily-Remaining: 249999\nX-HubSpot-RateLimit-Interval-Milliseconds: 10000\nX-HubSpot-RateLimit-Max: 100\nX-HubSpot-RateLimit-Remaining: 99\nX-HubSpot-RateLimit-Secondly: 10\nX-HubSpot-RateLimit-Secondly-Remaining: 9", "", `success requests/1s(9 of 10) requests/10s(99 of 100) requests/24h0m0s(249999 of 250000)`},
	{"cloudflare api names", 200, "Ratelimit: \"default\";r=50;t=30\nRatelimit-Policy: \"burst\";q=100;w=60", "", `success requests/1m0s(50 of 100 reset 30s)`},
	{"graph", 429, "Retry-After: 10\nRateLimit-Limit: 1200\nRateLimit-Remaining: 0\nRateLimit-Reset: 10\nrequest-id: g1", `{"error":{"code":"TooManyRequests","innerError":{"code":"429","date":"2026-11-20","request-id":"g1","status":"429"},"message":"Please retry again later."}}`, `rate_limited retry after=10s requests(0 of 1200 reset 10s) code="TooManyRequests" msg="Please retry again later." id="g1"`},
	{"arm subscription", 429, "Retry-After: 17\nx-ms-ratelimit-remaining-subscription-writes: 0", `{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of requests for subscription 'x' exceeded. Please try again after '17' seconds after additional tokens are available."}}`, `rate_limited retry after=17s subscription_writes(0 of -1) code="SubscriptionRequestsThrottled" msg="Number of requests for subscription 'x' …"`},
	{"linear", 400, "X-RateLimit-Requests-Limit: 1500\nX-RateLimit-Requests-Remaining: 0\nX-RateLimit-Requests-Reset: 1795176600000\nX-RateLimit-Complexity-Limit: 250000\nX-RateLimit-Complexity-Remaining: 240000\nX-RateLimit-Complexity-Reset: 1795176600000", `{"errors":[{"message":"Rate limit exceeded","extensions":{"type":"ratelimited","code":"RATELIMITED","statusCode":400,"userError":true}}]}`, `rate_limited retry after=10m0s complexity(240000 of 250000 reset 10m0s) requests(0 of 1500 reset 10m0s) code="RATELIMITED" msg="Rate limit exceeded"`},
	{"tomorrow.io", 200, "X-RateLimit-Limit-day: 500\nX-RateLimit-Limit-hour: 25\nX-RateLimit-Limit-second: 3\nX-RateLimit-Remaining-day: 499\nX-RateLimit-Remaining-hour: 24\nX-RateLimit-Remaining-second: 2\nRateLimit-Limit: 25\nRateLimit-Remaining: 24\nRateLimit-Reset: 1800", "", `success requests/1s(2 of 3) requests/1h0m0s(24 of 25 reset 30m0s) requests/24h0m0s(499 of 500)`},
	{"connecteam", 200, "x-ratelimit-minute-limit: 60\nx-ratelimit-minute-remaining: 59", "", `success requests/1m0s(59 of 60)`},
	{"mailerlite", 429, "X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Retry-After: 59", `{"message":"Too Many Attempts."}`, `rate_limited retry after=59s requests(0 of 60) msg="Too Many Attempts."`},
	{"mailerlite date", 429, "X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 2026-11-20 12:00:59", `{"error":{"code":429,"message":"Too Many Requests"}}`, `rate_limited retry after=59s requests(0 of 60 reset 59s) code="429" msg="Too Many Requests"`},
	{"telegram", 429, "", `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}`, `rate_limited retry after=35s code="429" msg="Too Many Requests: retry after 35"`},
	{"telegram text", 429, "", `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35"}`, `rate_limited retry after=35s code="429" msg="Too Many Requests: retry after 35"`},
	{"ietf quota-exceeded", 429, "Retry-After: 5", `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","violated-policies":["daily"]}`, `rate_limited retry after=5s type="https://iana.org/assignments/http-proble…" msg="Request cannot be satisfied as assigned …"`},
	{"ietf list", 200, "RateLimit-Policy: \"burst\";q=100;w=60,\"daily\";q=1000;w=86400\nRateLimit: \"burst\";r=50;t=30, \"daily\";r=500;t=4000", "", `success requests/1m0s(50 of 100 reset 30s) requests/24h0m0s(500 of 1000 reset 1h6m40s)`},
	{"ietf concurrency", 200, "RateLimit-Policy: \"conc\";q=10;qu=\"concurrent-requests\"\nRateLimit: \"conc\";r=9", "", `success concurrent_requests(9 of 10)`},
	{"ietf lines", 200, "RateLimit-Policy: \"burst\";q=100;w=60\nRateLimit-Policy: \"daily\";q=1000;w=86400\nRateLimit: \"daily\";r=500;t=4000", "", `success requests/1m0s(-1 of 100) requests/24h0m0s(500 of 1000 reset 1h6m40s)`},
	{"ietf 06 policy header", 200, "RateLimit-Limit: 100\nRateLimit-Remaining: 99\nRateLimit-Reset: 60\nRateLimit-Policy: 100;w=60", "", `success requests/1m0s(99 of 100 reset 1m0s)`},
	{"express both", 200, "X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 99\nX-RateLimit-Reset: 1795176060\nRateLimit-Limit: 100\nRateLimit-Remaining: 99\nRateLimit-Reset: 60\nRateLimit-Policy: 100;w=60", "", `success requests/1m0s(99 of 100 reset 1m0s)`},
	{"tollbooth", 429, "RateLimit-Limit: 10\nRateLimit-Remaining: 0\nRateLimit-Reset: 1\nX-Rate-Limit-Limit: 10.00\nX-Rate-Limit-Duration: 1\nX-Rate-Limit-Request-Forwarded-For: 1.2.3.4\nX-Rate-Limit-Request-Remote-Addr: x\nContent-Type: text/plain; charset=utf-8", "You have reached maximum request limit.", `rate_limited retry after=1s requests/1s(0 of 10 reset 1s) msg="You have reached maximum request limit."`},
	{"fastify", 429, "x-ratelimit-limit: 5\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 60\nretry-after: 60", `{"statusCode":429,"error":"Too Many Requests","message":"Rate limit exceeded, retry in 1 minute"}`, `rate_limited retry after=1m0s requests(0 of 5 reset 1m0s) msg="Rate limit exceeded, retry in 1 minute"`},
	{"nest array", 400, "", `{"statusCode":400,"message":["email must be an email"],"error":"Bad Request"}`, `invalid_request msg="email must be an email"`},
	{"cached", 200, "Age: 30\nRateLimit-Limit: 100\nRateLimit-Remaining: 1\nRateLimit-Reset: 60", "", `success`},
	{"grouped digits", 200, "X-RateLimit-Limit: 5,000\nX-RateLimit-Remaining: 4,999", "", `success`},
	{"overflow", 200, "X-RateLimit-Limit: 99999999999999999999\nX-RateLimit-Remaining: 9223372036854775807", "", `success`},
	{"x-ratelimit used github 429", 429, "X-RateLimit-Limit: 5000\nX-RateLimit-Remaining: 0\nX-RateLimit-Used: 5000\nX-RateLimit-Reset: 1795176600\nX-RateLimit-Resource: search", `{"message":"API rate limit exceeded for user ID 1."}`, `rate_limited retry after=10m0s requests@search(0 of 5000 reset 10m0s) msg="API rate limit exceeded for user ID 1."`},
	{"github 422", 422, "", `{"message":"Validation Failed","errors":[{"resource":"Issue","field":"title","code":"missing_field"}],"documentation_url":"x"}`, `invalid_request msg="Validation Failed"`},
	{"github 401", 401, "", `{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}`, `auth msg="Bad credentials"`},
	{"sse error", 429, "Content-Type: text/event-stream", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}\n\n", `rate_limited retry type="rate_limit_error" msg="slow"`},
	{"bom", 400, "", "\xef\xbb\xbf{\"error\":{\"message\":\"m\",\"code\":\"c_d\"}}", `invalid_request code="c_d" msg="m"`},
	{"detail error object", 429, "", `{"detail":{"error":{"message":"Rate limit","type":"rate_limit_error","code":"rate_limit_exceeded"}}}`, `rate_limited retry code="rate_limit_exceeded" type="rate_limit_error" msg="Rate limit"`},
	{"detail error string", 429, "", `{"detail":{"error":"Max parallel request limit reached"}}`, `rate_limited retry msg="Max parallel request limit reached"`},
	{"error details list azure", 400, "", `{"error":{"code":"InvalidRequestParameter","message":"bad","target":"x","details":[{"code":"X","message":"y"}]}}`, `invalid_request code="InvalidRequestParameter" msg="bad"`},
	{"apigee", 429, "", `{"fault":{"faultstring":"Rate limit quota violation. Quota limit  exceeded. Identifier : x","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}`, `rate_limited retry code="policies.ratelimit.QuotaViolation" msg="Rate limit quota violation. Quota limit …"`},
	{"notion conflict", 409, "", `{"object":"error","status":409,"code":"conflict_error","message":"Conflict occurred while saving. Please try again."}`, `conflict code="conflict_error" msg="Conflict occurred while saving. Please t…"`},
	{"litellm context", 400, "", `{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - This model's maximum context length is 8192 tokens.","type":null,"param":null,"code":"400"}}`, `context_length code="400" msg="litellm.ContextWindowExceededError: lite…"`},
	{"moonshot", 429, "", `{"error":{"message":"Your account is suspended, please check your plan and billing details","type":"exceeded_current_quota_error"}}`, `quota_exhausted type="exceeded_current_quota_error" msg="Your account is suspended, please check …"`},
	{"dashscope", 429, "", `{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":"d1"}`, `rate_limited retry code="Throttling.RateQuota" msg="Requests rate limit exceeded, please try…" id="d1"`},
	{"dashscope alloc", 429, "", `{"code":"Throttling.AllocationQuota","message":"Allocated quota exceeded, please increase your quota limit.","request_id":"d1"}`, `rate_limited retry code="Throttling.AllocationQuota" msg="Allocated quota exceeded, please increas…" id="d1"`},
	{"eleven 429", 429, "", `{"detail":{"status":"too_many_concurrent_requests","message":"Too many concurrent requests."}}`, `rate_limited retry code="too_many_concurrent_requests" msg="Too many concurrent requests."`},
	{"eleven busy", 429, "", `{"detail":{"status":"system_busy","message":"We are sorry, the system is experiencing heavy traffic, please try again."}}`, `overloaded retry code="system_busy" msg="We are sorry, the system is experiencing…"`},
	{"deepgram", 402, "", `{"err_code":"ASR_PAYMENT_REQUIRED","err_msg":"Project does not have enough credits for an ASR request and does not have an overage agreement.","request_id":"dg"}`, `quota_exhausted code="ASR_PAYMENT_REQUIRED" msg="Project does not have enough credits for…" id="dg"`},
	{"assemblyai", 429, "", `{"error":"Rate limit exceeded"}`, `rate_limited retry msg="Rate limit exceeded"`},
	{"retry-after plus", 429, "Retry-After: +7", "", `rate_limited retry after=7s`},
	{"retry-after go", 429, "Retry-After: 1m30s", "", `rate_limited retry after=1m30s`},
	{"retry-after rfc3339", 429, "Retry-After: 2026-11-20T12:00:30Z", "", `rate_limited retry after=30s`},
	{"retry-after NaN", 429, "Retry-After: NaN", "", `rate_limited retry`},
	{"retry-after 1e309", 429, "Retry-After: 1e309", "", `rate_limited retry`},
	{"retry-after 9999", 429, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", "", `rate_limited retry after=2562047h47m16.854775807s`},
	{"retry-after ms", 429, "Retry-After: 500ms", "", `rate_limited retry after=500ms`},
	{"github models", 200, "x-ratelimit-limit-requests: 20000\nx-ratelimit-remaining-requests: 19999\nx-ratelimit-limit-tokens: 2000000\nx-ratelimit-remaining-tokens: 1999962\nx-ratelimit-renewalperiod-requests: 60\nx-ratelimit-renewalperiod-tokens: 60\nx-ratelimit-reset-requests: 3\nx-ratelimit-reset-tokens: 1\nx-ratelimit-abusepenalty-active: False", "", `success requests/1m0s(19999 of 20000 reset 3ms) tokens/1m0s(1999962 of 2000000 reset 1ms)`},
	{"etsy", 200, "X-Limit-Per-Second: 10\nX-Remaining-This-Second: 9\nX-Limit-Per-Day: 10000\nX-Remaining-Today: 9999", "", `success requests/1s(9 of 10) requests/24h0m0s(9999 of 10000)`},
	{"databricks", 429, "", `{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"REQUEST_LIMIT_EXCEEDED: Too many requests."}`, `rate_limited retry code="REQUEST_LIMIT_EXCEEDED" msg="REQUEST_LIMIT_EXCEEDED: Too many requests."`},
	{"tencent", 400, "", `{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"m"},"RequestId":"t1"}}`, `rate_limited retry code="RequestLimitExceeded" msg="m" id="t1"`},
	{"coinmarketcap", 429, "", `{"status":{"timestamp":"2026","error_code":1008,"error_message":"You've exceeded your API Key's HTTP request minute rate limit.","elapsed":0,"credit_count":0}}`, `rate_limited retry code="1008" msg="You've exceeded your API Key's HTTP requ…"`},
	{"instagram", 400, "", `{"meta":{"error_type":"OAuthRateLimitException","code":429,"error_message":"m"}}`, `invalid_request code="429" type="OAuthRateLimitException" msg="m"`},
	{"array of texts", 400, "", `["some text"]`, `invalid_request msg="some text"`},
	{"errors is an object", 400, "", `{"errors":{"code":"a_b","message":"m"}}`, `invalid_request code="a_b" msg="m"`},
	{"grouped request", 429, "", `{"error":{"message":"Limit 30,000, Requested 30,601.","code":"rate_limit_exceeded"}}`, `context_length code="rate_limit_exceeded" msg="Limit 30,000, Requested 30,601."`},
	{"joined quota", 200, "X-RateLimit-Limit: 10, 10\nX-RateLimit-Remaining: 9, 9\nX-RateLimit-Reset: 30, 30", "", `success requests(9 of 10 reset 30s)`},
	{"stability", 403, "", `{"id":"x","name":"content_moderation","errors":["Your request was flagged by our content moderation system."]}`, `content_policy code="content_moderation" msg="Your request was flagged by our content …"`},
	{"watsonx", 403, "", `{"errors":[{"code":"token_quota_reached","message":"This request exceeds the monthly tokens quota"}],"trace":"t","status_code":403}`, `quota_exhausted code="token_quota_reached" msg="This request exceeds the monthly tokens quota"`},
	{"spring", 429, "", `{"timestamp":"2026-11-20","status":429,"error":"Too Many Requests","path":"/x"}`, `rate_limited retry msg="Too Many Requests"`},
	{"quoted headers and a clock", 429, "Date: Fri, 20 Nov 2026 12:00:50 GMT", `{"error":{"message":"m","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795176060000"}}}}`, `rate_limited retry after=10s requests(0 of 20 reset 10s) code="429" msg="m"`},
	{"w is no refill", 200, "RateLimit-Limit: 100;w=60\nRateLimit-Remaining: 99\nRateLimit-Reset: 30", "", `success requests/1m0s(99 of 100 reset 30s)`},
	{"duration is no refill", 200, "X-Rate-Limit-Limit: 100\nX-Rate-Limit-Duration: 60\nX-Rate-Limit-Remaining: 99\nX-Rate-Limit-Reset: 30", "", `success requests/1m0s(99 of 100 reset 30s)`},
	{"github models 429", 429, "x-ratelimit-type: UserByMinute\nx-ratelimit-timeremaining: 33", `{"error":{"code":"RateLimitReached","message":"Rate limit of 10 per 60s exceeded for UserByMinute. Please wait 33 seconds before retrying.","details":"x"}}`, `rate_limited retry after=33s code="RateLimitReached" msg="Rate limit of 10 per 60s exceeded for Us…"`},
	{"jira points", 200, "Beta-RateLimit-Policy: \"global-app-quota\";q=65000;w=3600,\"jira-burst-based\";q=100;w=1\nBeta-RateLimit: \"global-app-quota\";r=11000;t=600", "", `success requests/1s(-1 of 100) requests/1h0m0s(11000 of 65000 reset 10m0s)`},
	{"jira without seconds", 429, "X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 2026-11-20T12:30Z\nX-RateLimit-NearLimit: true", "", `rate_limited retry after=30m0s requests(0 of 100 reset 30m0s)`},
	{"offset and fraction", 200, "X-RateLimit-Remaining: 4\nX-RateLimit-Reset: 2026-11-20T13:00:30.250+01:00", "", `success requests(4 of -1 reset 30.25s)`},
	{"salesforce two", 200, "Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=17/250(appName=sample)", "", `success requests(4982 of 5000)`},
	{"comma in a comment", 200, `RateLimit-Limit: 100, 100;w=60;comment="sliding, window", 5000;w=3600` + "\nRateLimit-Remaining: 50\nRateLimit-Reset: 44", "", `success requests/1m0s(50 of 100 reset 44s) requests/1h0m0s(-1 of 5000)`},
	{"partition keys", 200, `RateLimit-Policy: "peruser";q=100;w=60;pk=:YWJj:` + "\n" + `RateLimit: "peruser";r=99;t=10;pk=:YWJj:`, "", `success requests@YWJj/1m0s(99 of 100 reset 10s)`},
	{"07 without limit", 200, "RateLimit-Policy: 100;w=10\nRateLimit: remaining=50, reset=5", "", `success requests/10s(50 of 100 reset 5s)`},
	{"403 used up", 403, "X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", "{}", `rate_limited retry after=30s requests(0 of 60 reset 30s)`},
	{"403 text", 403, "", `{"message":"Rate Limit Exceeded"}`, `rate_limited retry msg="Rate Limit Exceeded"`},
	{"5xx does not take resets", 503, "X-RateLimit-Limit: 60\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", "", `overloaded retry requests(0 of 60 reset 30s)`},
	{"body over resets", 429, "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 300", `{"retry_after":1.5}`, `rate_limited retry after=1.5s requests(0 of -1 reset 5m0s)`},
	{"field over prose", 429, "", `{"message":"try again in 9s","retry_after":"2"}`, `rate_limited retry after=2s msg="try again in 9s"`},
	{"metadata headers", 429, "", `{"error":{"message":"m","code":429,"metadata":{"headers":{"Retry-After":"12","X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795176060000"}}}}`, `rate_limited retry after=12s requests(0 of 20 reset 1m0s) code="429" msg="m"`},
	{"protobuf duration object", 429, "", `{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{"seconds":3,"nanos":500000000}}]}}`, `rate_limited retry after=3.5s`},
	{"a date is no delay", 429, "", `{"message":"retry after 2026-12-01"}`, `rate_limited retry msg="retry after 2026-12-01"`},
	{"minutes", 429, "", `{"message":"Please try again in 2 minutes and 5 seconds."}`, `rate_limited retry after=2m5s msg="Please try again in 2 minutes and 5 seconds."`},
	{"few minutes", 429, "", `{"message":"Please try again in a few minutes."}`, `rate_limited retry msg="Please try again in a few minutes."`},
	{"error is empty", 400, "", `{"error":{},"code":"bad_thing","message":"m"}`, `invalid_request code="bad_thing" msg="m"`},
	{"duplicate keys", 400, "", `{"code":"a_a","code":"b_b"}`, `invalid_request code="b_b"`},
	{"should retry", 400, "x-should-retry: true", `{"error":{"message":"m"}}`, `invalid_request retry msg="m"`},
	{"stripe should not", 429, "Stripe-Should-Retry: false", "", `rate_limited`},
	{"legacy day", 403, "", `{"error":{"errors":[{"domain":"usageLimits","reason":"dailyLimitExceededUnreg","message":"Daily Limit for Unauthenticated Use Exceeded."}],"code":403,"message":"Daily Limit for Unauthenticated Use Exceeded."}}`, `quota_exhausted code="403" type="dailyLimitExceededUnreg" msg="Daily Limit for Unauthenticated Use Exceeded."`},
	{"legacy rate", 403, "", `{"error":{"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded","message":"Rate Limit Exceeded"}],"code":403,"message":"Rate Limit Exceeded"}}`, `rate_limited retry code="403" type="rateLimitExceeded" msg="Rate Limit Exceeded"`},
	{"new-api gateway", 403, "", `{"error":{"message":"user quota is not enough","type":"new_api_error","param":"","code":"insufficient_user_quota"}}`, `quota_exhausted code="insufficient_user_quota" type="new_api_error" msg="user quota is not enough"`},
	{"html with json type", 502, "Content-Type: application/json", "<html><head><title>502</title></head><body><code>x</code></body></html>", `server_error retry`},
	{"json with html type", 429, "Content-Type: text/html", `{"error":{"message":"m","code":"rate_limit_exceeded"}}`, `rate_limited retry code="rate_limit_exceeded" msg="m"`},
	{"S3 timeout", 400, "Content-Type: application/xml", "<Error><Code>RequestTimeout</Code><Message>m</Message></Error>", `timeout retry code="RequestTimeout" msg="m"`},
	{"negative zero-ish", 429, "Retry-After: -0.5", "", `rate_limited retry`},
	{"joined", 429, "Retry-After: 60, 120", "", `rate_limited retry after=2m0s`},
	{"day of the week wrong case", 429, "Retry-After: Fri, 20 Nov 2026 12:00:30 +0000", "", `rate_limited retry after=30s`},
	{"epoch ms in retry-after", 429, "Retry-After: 1795176030000", "", `rate_limited retry after=30s`},
	{"reset-after in ms", 200, "X-RateLimit-Remaining: 1\nX-RateLimit-Reset-Ms: 2500", "", `success requests(1 of -1 reset 2.5s)`},
	{"infix window", 200, "X-RateLimit-Day-Limit: 100\nX-RateLimit-Day-Remaining: 99\nX-RateLimit-Day-Reset: 3600", "", `success requests/24h0m0s(99 of 100 reset 1h0m0s)`},
	{"10-seconds", 200, "X-RateLimit-Limit-10-Seconds: 100", "", `success requests/10s(-1 of 100)`},
	{"bucket4j", 429, "X-Rate-Limit-Remaining: 0\nX-Rate-Limit-Retry-After-Seconds: 1480", "", `rate_limited retry after=24m40s requests(0 of -1)`},
	{"bucket4j millis", 429, "X-Rate-Limit-Retry-After-Milliseconds: 1480", "", `rate_limited retry after=1.48s`},
	{"nestjs named throttler", 429, "Retry-After-short: 3", `{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}`, `rate_limited retry after=3s msg="ThrottlerException: Too Many Requests"`},
	{"gateway before an API", 429, "X-RateLimit-Limit: 20\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795176060\nx-ratelimit-limit-requests: 10000\nx-ratelimit-remaining-requests: 9999\nx-ratelimit-reset-requests: 6ms", "", `rate_limited retry after=1m0s requests(0 of 20 reset 1m0s) requests(9999 of 10000 reset 6ms)`},
	{"brave", 429, "X-RateLimit-Limit: 1, 2000\nX-RateLimit-Policy: 1;w=1, 2000;w=2592000\nX-RateLimit-Remaining: 0, 1977\nX-RateLimit-Reset: 1, 389223", "", `rate_limited retry after=1s requests/1s(0 of 1 reset 1s) requests/720h0m0s(1977 of 2000 reset 108h7m3s)`},
	{"x app limit", 429, "x-rate-limit-limit: 40000\nx-rate-limit-remaining: 39999\nx-rate-limit-reset: 1795176900\nx-app-limit-24hour-limit: 17\nx-app-limit-24hour-remaining: 0\nx-app-limit-24hour-reset: 1795219200", "", `rate_limited retry after=12h0m0s app_requests/24h0m0s(0 of 17 reset 12h0m0s) requests(39999 of 40000 reset 15m0s)`},
	{"contentful", 429, "X-Contentful-RateLimit-Second-Limit: 10\nX-Contentful-RateLimit-Second-Remaining: 0\nX-Contentful-RateLimit-Reset: 1", "", `rate_limited retry after=1s requests/1s(0 of 10 reset 1s)`},
	{"vendor's prefix", 200, "X-Discogs-Ratelimit: 60\nX-Discogs-Ratelimit-Remaining: 59\nX-Discogs-Ratelimit-Used: 1", "", `success requests(59 of 60)`},
	{"vendor's prefix with a resource", 200, "X-Sentry-Rate-Limit-Limit: 40\nX-Sentry-Rate-Limit-Remaining: 39\nX-Sentry-Rate-Limit-Reset: 1795176001\nX-Sentry-Rate-Limit-ConcurrentRemaining: 24\nX-Sentry-Rate-Limit-ConcurrentLimit: 25", "", `success requests(39 of 40 reset 1s)`},
	{"a proxy's own key", 200, "llm_provider-x-ratelimit-remaining-requests: 5\nx-litellm-version: 1", "", `success`},
	{"gmail", 403, "", `{"error":{"code":403,"message":"User-rate limit exceeded.  Retry after 2026-11-20T12:15:15.000Z (Mail sending)","errors":[{"reason":"userRateLimitExceeded"}]}}`, `rate_limited retry after=15m15s code="403" type="userRateLimitExceeded" msg="User-rate limit exceeded.  Retry after 2…"`},
	{"bigcommerce", 200, "X-Rate-Limit-Time-Reset-Ms: 15000\nX-Rate-Limit-Time-Window-Ms: 30000\nX-Rate-Limit-Requests-Left: 6\nX-Rate-Limit-Requests-Quota: 150", "", `success requests/30s(6 of 150 reset 15s)`},
	{"facebook", 400, "", `{"error":{"message":"(#17) User request limit reached","type":"OAuthException","is_transient":true,"code":17}}`, `rate_limited retry code="17" type="OAuthException" msg="(#17) User request limit reached"`},
	{"binance ban", 418, "Retry-After: 120", `{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1795176120000."}`, `rate_limited retry after=2m0s code="-1003" msg="Way too many requests; IP(1.2.3.4) banne…"`},
	{"zhipu", 429, "", `{"error":{"code":"1113","message":"余额不足,请充值。"}}`, `quota_exhausted code="1113" msg="余额不足,请充值。"`},
	{"openrouter raw", 429, "", `{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"Quota exceeded. Please retry in 22s.\"}}","provider_name":"Google AI Studio"}}}`, `rate_limited retry after=22s code="429" msg="Provider returned error"`},
	{"soap", 500, "Content-Type: text/xml", `<e:Envelope xmlns:e="x"><e:Body><e:Fault><faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode><faultstring>m</faultstring></e:Fault></e:Body></e:Envelope>`, `rate_limited retry code="REQUEST_LIMIT_EXCEEDED" msg="m"`},
	{"xml with attributes", 400, "Content-Type: application/xml", `<m:error xmlns:m="x"><m:code>InvalidInput</m:code><m:message xml:lang="en-US">bad</m:message></m:error>`, `invalid_request code="InvalidInput" msg="bad"`},
	{"gateway quotes an error", 429, "", `{"error":{"message":"litellm.RateLimitError: VertexAIException - {\n \"error\": {\"code\": 429, \"message\": \"You exceeded your current quota, please check your plan and billing details.\", \"details\": [{\"retryDelay\": \"13s\"}]}}. Received Model Group=g","type":"throttling_error","code":"429"}}`, `rate_limited retry after=13s code="429" type="throttling_error" msg="litellm.RateLimitError: VertexAIExceptio…"`},
	{"gateway quotes an empty account", 429, "", `{"error":{"message":"OpenAIException - {\"error\":{\"message\":\"quota\",\"code\":\"insufficient_quota\"}}","type":"throttling_error","code":"429"}}`, `quota_exhausted code="429" type="throttling_error" msg="OpenAIException - {\"error\":{\"message\":\"q…"`},
	{"gateway quotes a day", 429, "", `{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"x\",\"details\":[{\"violations\":[{\"quotaId\":\"GenerateRequestsPerDayPerProjectPerModel-FreeTier\"}]}]}}"}}}`, `quota_exhausted code="429" msg="Provider returned error"`},
	{"the request quoted", 400, "", `{"error":{"message":"Could not parse {\"code\":\"rate_limit_exceeded\",\"retry_after\":30}"}}`, `invalid_request msg="Could not parse {\"code\":\"rate_limit_exce…"`},
	{"gemini without details", 429, "", `[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED"}}]`, `rate_limited retry code="429" type="RESOURCE_EXHAUSTED" msg="You exceeded your current quota, please …"`},
	{"google quota of a minute", 429, "", `{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"reason":"QUOTA_EXCEEDED","metadata":{"quota_limit":"RequestsPerMinute_PerProject_PerUser"}}]}}`, `rate_limited retry code="429" type="RESOURCE_EXHAUSTED" msg="Quota exceeded"`},
	{"gemini code assist credits", 429, "", `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"reason":"INSUFFICIENT_G1_CREDITS_BALANCE"}]}}`, `quota_exhausted code="429" type="RESOURCE_EXHAUSTED" msg="m"`},
	{"kimi", 403, "", `{"error":{"message":"You've reached your usage limit for this billing cycle.","type":"access_terminated_error"}}`, `quota_exhausted type="access_terminated_error" msg="You've reached your usage limit for this…"`},
	{"anthropic credits for a model", 429, "", `{"type":"error","error":{"type":"rate_limit_error","message":"Usage credits are required for this model."}}`, `quota_exhausted type="rate_limit_error" msg="Usage credits are required for this model."`},
	{"only the quota that is used up tells its reset", 429, "x-rate-limit-reset-tokens: 55\nx-ratelimit-remaining-requests: 118", "", `rate_limited retry after=55s requests(118 of -1) tokens(-1 of -1 reset 55s)`},
	{"opencode zen", 429, "", `{"type":"error","error":{"type":"MonthlyLimitError","message":"m"}}`, `quota_exhausted type="MonthlyLimitError" msg="m"`},
	{"a limit of zero is asked for", 400, "", `{"message":"Invalid limit: 0"}`, `invalid_request msg="Invalid limit: 0"`},
	{"daily is no quota", 400, "", `{"error":{"message":"m","name":"daily"}}`, `invalid_request msg="m"`},
	{"anthropic unified", 429, "anthropic-ratelimit-unified-reset: 1795186800\nanthropic-ratelimit-unified-5h-reset: 1795186800\nanthropic-ratelimit-unified-7d-reset: 1795600000", "", `rate_limited retry after=3h0m0s unified(-1 of -1 reset 3h0m0s) unified/5h0m0s(-1 of -1 reset 3h0m0s) unified/168h0m0s(-1 of -1 reset 117h46m40s)`},
	{"garbage before a delay", 429, "Retry-After: soon\nX-Retry-After: 7", "", `rate_limited retry after=7s`},
	{"garbage before a delay in ms", 429, "retry-after-ms: soon\nx-ms-retry-after-ms: 700\nRetry-After: 9", "", `rate_limited retry after=700ms`},
	{"zero before a delay in ms", 429, "retry-after-ms: 0\nx-ms-retry-after-ms: 700", "", `rate_limited retry after=700ms`},
	{"two fields of a delay", 429, "Retry-After: 60\nRetry-After: 120", "", `rate_limited retry after=2m0s`},
	{"two fields, one garbage", 429, "Retry-After: soon\nRetry-After: Fri, 20 Nov 2026 12:00:30 GMT", "", `rate_limited retry after=30s`},
	{"two vendors", 429, "X-Foo-RateLimit-Limit: 10\nX-Foo-RateLimit-Remaining: 9\nX-Foo-RateLimit-Reset: 30\nX-Bar-RateLimit-Limit: 100\nX-Bar-RateLimit-Remaining: 0\nX-Bar-RateLimit-Reset: 5", "", `rate_limited retry after=5s requests(9 of 10 reset 30s) requests(0 of 100 reset 5s)`},
	{"part of a request", 200, "x-amzn-RateLimit-Limit: 0.5", "", `success`},
	{"the same item twice", 301, "RateLimit: \"p\";r=0;t=10\nRateLimit: \"p\";r=0;t=10", "", `success requests(0 of -1 reset 10s)`},
	{"joined interval", 200, "X-HubSpot-RateLimit-Interval-Milliseconds: 10000, 10000\nX-HubSpot-RateLimit-Max: 100, 100", "", `success requests/10s(-1 of 100)`},
	{"a quota in a pool", 200, "x-app-limit-quota: 5\nX-User-Limit-Total: 6\nanthropic-fast-total: 7", "", `success app_requests(-1 of 5) fast_requests(-1 of 7) user_requests(-1 of 6)`},
	{"a part of a word is no limit", 200, "x-ratelimit-subtotal: 9", "", `success`},
	{"xml without a message", 503, "Content-Type: application/xml", `<Error><Code>SlowDown</Code><RequestId>tx1</RequestId></Error>`, `rate_limited retry code="SlowDown" id="tx1"`},
	{"xml with a message in CDATA", 403, "", `<Error><Code>RequestTimeTooSkewed</Code><Message><![CDATA[m]]></Message></Error>`, `auth code="RequestTimeTooSkewed"`},
	{"two vendors' bare limits", 200, "X-Foo-Ratelimit: 60\nX-Foo-Ratelimit-Remaining: 59\nX-Bar-Ratelimit: 100\nX-Bar-Ratelimit-Remaining: 5", "", `success requests(59 of 60) requests(5 of 100)`},
	{"google quota of a minute, denied", 403, "", `{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED","details":[{"reason":"RATE_LIMIT_EXCEEDED","metadata":{"quota_limit":"ReadRequestsPerMinutePerProject"}}]}}`, `rate_limited retry code="403" type="PERMISSION_DENIED" msg="m"`},
	{"a window for what is named", 200, "X-RateLimit-Requests-Limit: 100\nX-RateLimit-Requests-Remaining: 99\nX-RateLimit-Window: 60s", "", `success requests/1m0s(99 of 100)`},
	{"retry-after-millis", 429, "Retry-After-Millis: 1500", "", `rate_limited retry after=1.5s`},
	{"a field called so", 422, "", `{"name":"monthly_limit","message":"monthly usage limit must be positive"}`, `invalid_request code="monthly_limit" msg="monthly usage limit must be positive"`},
	{"no failure of the account", 500, "", `{"message":"cannot compute the weekly usage limit"}`, `server_error retry msg="cannot compute the weekly usage limit"`},
	{"requests of another kind", 422, "", `{"message":"Merge request limit reached for this project"}`, `invalid_request msg="Merge request limit reached for this project"`},
	{"cloudflare 522", 522, "", "error code: 522", `timeout retry msg="error code: 522"`},
	{"twitter monthly", 429, "x-rate-limit-limit: 900", `{"title":"UsageCapExceeded","detail":"Usage cap exceeded: Monthly product cap","type":"https://api.twitter.com/2/problems/usage-capped"}`, `quota_exhausted requests(-1 of 900) type="https://api.twitter.com/2/problems/usage…" msg="Usage cap exceeded: Monthly product cap"`},
}

func TestManyDialectsAreUnderstood(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(noon))
				if got := brief(Classify(v.response(), nil), noon); got != v.want {
					t.Errorf("got  %s\nwant %s", got, v.want)
				}
			})
		})
	}
}
