package steadyhttp

import "strings"

// classSet is a set of classes.
type classSet uint32

func setOf(classes ...Class) (s classSet) {
	for _, c := range classes {
		s |= 1 << c
	}
	return s
}

func (s classSet) has(c Class) bool { return s&(1<<c) != 0 }

// What a code or phrase may overrule: a set of what the status alone says.
var (
	anyStatus     = ^classSet(0)
	vagueStatus   = setOf(ClassInvalidRequest, ClassClientError)                      // 400, 422, …
	inputStatus   = vagueStatus | setOf(ClassPermission, ClassServerError)            // where an input that is too long ends up
	busyStatus    = vagueStatus | setOf(ClassServerError, ClassRateLimited)           // where an overload does
	lateStatus    = vagueStatus | setOf(ClassServerError, ClassOverloaded)            // where a timeout does
	moneyStatus   = anyStatus &^ setOf(ClassNotFound, ClassConflict, ClassTimeout)    // where an empty account does
	refusedStatus = setOf(ClassRateLimited, ClassPermission, ClassAuth)               // where one does that a form may have as a field
	brokeStatus   = setOf(ClassQuotaExhausted)                                        // 402
	deniedOrVague = vagueStatus | setOf(ClassPermission)                              // where a rate limit does
	deniedStatus  = vagueStatus | setOf(ClassPermission, ClassAuth, ClassRateLimited) // where a filter does
)

// codeRow says what the codes and types in a row mean. Words are separated as in
// snake_case or CamelCase, but their case and separators do not matter, nor does
// a last word "error" or "exception". A type that is a URI is looked up by its
// last part, after "uri:".
type codeRow struct {
	class Class
	over  classSet
	codes string
}

// codeRows are the codes and types that say more than the status. Of several in
// one response the one in the highest row counts. Generic ones, such as
// invalid_request_error, api_error, requests or a number, are not here.
var codeRows = []codeRow{
	{ClassQuotaExhausted, anyStatus, `
		insufficient_quota insufficient_user_quota insufficient_funds insufficient_balance insufficient_credit
		insufficient_credits quota_not_enough quota_exceeded quota_exhausted exceeded_current_quota
		tokens_exhausted credits_exhausted credit_balance_exhausted credit_limit credit_limit_exceeded
		out_of_credits no_credits budget_exceeded exceeded_budget billing billing_not_active billing_disabled
		billing_hard_limit_reached billing_limit_reached payment_required arrearage account_overdue
		spend_limit_exceeded spend_limit_reached enforced_spend_limit_reached spending_limit_reached
		organization_spend_limit_exceeded project_spend_limit_exceeded user_spend_limit_exceeded
		organization_usage_limit_exceeded project_usage_limit_exceeded usage_limit_reached usage_limit_exceeded
		usage_cap_exceeded uri:usage-capped daily_limit_exceeded daily_limit_exceeded_unreg daily_quota_exceeded
		monthly_limit_exceeded monthly_quota_exceeded token_quota_reached ServiceQuotaExceededException
		AllocationQuota.FreeTierOnly access_denied_arrearage public_api_billing_limit_exceeded
		insufficient_g1_credits_balance`},
	{ClassQuotaExhausted, refusedStatus, `monthly_limit set_limit_exceeded`}, // opencode, with 401; Ark, with 429
	{ClassQuotaExhausted, setOf(ClassRateLimited), `daily`},                  // HubSpot's policyName
	{ClassQuotaExhausted, setOf(ClassPermission), `request_limit_exceeded`},  // Salesforce: those of a day
	{ClassContextLength, anyStatus, `
		context_length_exceeded context_window_exceeded max_context_length_exceeded model_context_window_exceeded
		exceed_context_size too_many_prompt_tokens prompt_too_long input_too_long tokens_limit_reached`},
	{ClassContextLength, vagueStatus, `too_many_tokens input_tokens_exceeded context_length`},
	{ClassContentPolicy, anyStatus, `
		content_policy content_policy_violation content_filter content_filtered content_blocked
		prompt_injection_detected ResponsibleAIPolicyViolation moderation moderation_blocked content_moderation
		DataInspectionFailed prohibited_content unsafe_content sensitive_content safety guardrail_intervened
		SensitiveContentDetected InputTextSensitiveContentDetected InputImageSensitiveContentDetected
		OutputTextSensitiveContentDetected`},
	{ClassOverloaded, anyStatus, `
		overloaded server_is_overloaded server_overloaded model_overloaded engine_overloaded service_overload
		queue_exceeded capacity_exceeded flex_tier_capacity_exceeded model_capacity_exhausted no_capacity
		resource_unavailable system_busy ModelNotReadyException uri:temporary-reduced-capacity`},
	{ClassOverloaded, setOf(ClassServerError), `service_unavailable unavailable model_loading`},
	{ClassRateLimited, anyStatus, `
		rate_limit rate_limited rate_limit_exceeded rate_limit_reached rate_limiting too_many_requests throttled
		throttling request_throttled EC2Throttled provisioned_throughput_exceeded request_limit_exceeded
		bandwidth_limit_exceeded slow_down prior_request_not_complete user_rate_limit_exceeded user_rate_limit_exceeded_unreg
		request_quota_exceeded token_quota_exceeded dynamic_request_limited dynamic_token_limited
		concurrent_limit_exceeded sharing_rate_limit_exceeded
		policies.ratelimit.QuotaViolation policies.ratelimit.SpikeArrestViolation
		uri:quota-exceeded uri:abnormal-usage-detected uri:rate-limit-exceeded`},
	{ClassRateLimited, inputStatus, `resource_exhausted limit_exceeded`},
	{ClassTimeout, lateStatus, `timeout request_timeout gateway_timeout upstream_timeout model_timeout deadline_exceeded`},
	{ClassAuth, vagueStatus | setOf(ClassPermission), `
		invalid_api_key api_key_invalid key_invalid unauthenticated invalid_token token_expired expired_token
		UnrecognizedClient InvalidClientTokenId InvalidAccessKeyId InvalidSignature SignatureDoesNotMatch
		IncompleteSignature MissingAuthenticationToken AuthFailure RequestExpired RequestTimeTooSkewed`},
	{ClassAuth, vagueStatus, `
		authentication unauthorized invalid_grant invalid_client unauthorized_client invalid_credentials`},
	{ClassPermission, vagueStatus, `
		permission permission_denied access_denied forbidden request_forbidden origin_not_allowed
		unsupported_country_region_territory service_disabled`},
	{ClassNotFound, vagueStatus, `
		not_found model_not_found deployment_not_found resource_not_found model_not_exist unknown_model`},
	{ClassConflict, vagueStatus, `unable_to_lock_row transaction_conflict transaction_in_progress conditional_request_conflict operation_aborted`},
	{ClassClientError, brokeStatus, `card card_declined`}, // the payment that was asked for failed, not that of the API
}

// locks are codes of a conflict that ends by itself.
var locks = codeSet(`
	lock_timeout unable_to_lock_row idempotency_key_in_use resource_locked transaction_conflict transaction_in_progress
	conditional_request_conflict operation_aborted aborted`)

// codeIndex finds the rows that a code is in by its plain form.
var codeIndex = func() map[string][]int {
	index := make(map[string][]int)
	for i := range codeRows {
		for plain := range codeSet(codeRows[i].codes) {
			index[plain] = append(index[plain], i)
		}
	}
	return index
}()

func codeSet(codes string) map[string]bool {
	set := make(map[string]bool)
	for _, c := range strings.Fields(codes) {
		set[string(plainCode(nil, c))] = true
	}
	return set
}

// plainCode appends code to b in lower case, without separators and without a
// last word that says that it is an error.
func plainCode(b []byte, code string) []byte {
	if strings.HasPrefix(code, "http://") || strings.HasPrefix(code, "https://") {
		code = "uri:" + code[strings.LastIndexAny(code, "/#")+1:]
	}
	if len(code) > maxWordName {
		return b
	}
	for i := 0; i < len(code); i++ {
		if c := lower(code[i]); 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == ':' {
			b = append(b, c)
		}
	}
	for _, suffix := range []string{"exception", "error"} {
		if s := string(b); len(s) > len(suffix) && strings.HasSuffix(s, suffix) {
			return b[:len(b)-len(suffix)]
		}
	}
	return b
}

// codeRank is the first row with a code that overrules the class of the status;
// negative if there is none.
func codeRank(code string, base Class) int {
	var buf [maxWordName]byte
	for _, i := range codeIndex[string(plainCode(buf[:0], code))] {
		if codeRows[i].over.has(base) {
			return i
		}
	}
	return -1
}

// phraseRow says what a phrase in a message means, where nothing better does.
// Single words prove nothing: "quota" is a rate in some messages, "billing" the
// page where to buy a higher one.
type phraseRow struct {
	class  Class
	over   classSet
	phrase string // in lower case, of whole words
	firm   bool   // even if the message says when to retry
}

// phraseRows are tried in order.
var phraseRows = []phraseRow{
	{ClassQuotaExhausted, moneyStatus, "exceeded your current quota, please check your plan and billing", false},
	{ClassQuotaExhausted, moneyStatus, "credit balance is too low", true},
	{ClassQuotaExhausted, moneyStatus, "api usage limits", true},
	{ClassQuotaExhausted, moneyStatus, "insufficient credits", true},
	{ClassQuotaExhausted, moneyStatus, "insufficient credit", true},
	{ClassQuotaExhausted, moneyStatus, "insufficient balance", true},
	{ClassQuotaExhausted, moneyStatus, "insufficient account balance", true},
	{ClassQuotaExhausted, moneyStatus, "insufficient funds", true},
	{ClassQuotaExhausted, moneyStatus, "out of credits", true},
	{ClassQuotaExhausted, moneyStatus, "no credits remaining", true},
	{ClassQuotaExhausted, moneyStatus, "doesn't have any credits", true},
	{ClassQuotaExhausted, moneyStatus, "credit limit exceeded", true},
	{ClassQuotaExhausted, moneyStatus, "monthly included credits", true},
	{ClassQuotaExhausted, moneyStatus, "monthly spending limit", true},
	{ClassQuotaExhausted, moneyStatus, "monthly spend limit", true},
	{ClassQuotaExhausted, moneyStatus, "budget has been exceeded", true},
	{ClassQuotaExhausted, moneyStatus, "exceededbudget", true},
	{ClassQuotaExhausted, moneyStatus, "over budget", true},
	{ClassQuotaExhausted, moneyStatus, "key limit exceeded", true},
	{ClassQuotaExhausted, moneyStatus, "out of call volume quota", true},
	{ClassQuotaExhausted, moneyStatus, "not have enough credits", true},
	{ClassQuotaExhausted, moneyStatus, "not enough credits", true},
	{ClassQuotaExhausted, moneyStatus, "daily free allocation", true},
	{ClassQuotaExhausted, moneyStatus, "reached your daily limit", true},
	{ClassQuotaExhausted, moneyStatus, "free-models-per-day", true},
	{ClassQuotaExhausted, moneyStatus, "tokens per day, please wait", true},
	{ClassQuotaExhausted, moneyStatus, "api calls / month", true},
	{ClassQuotaExhausted, moneyStatus, "monthly token limit exceeded", true},
	{ClassQuotaExhausted, moneyStatus, "usage cap exceeded", true},
	{ClassQuotaExhausted, setOf(ClassRateLimited), "limit: 0", true},
	{ClassQuotaExhausted, moneyStatus, "credits are depleted", true},
	{ClassQuotaExhausted, moneyStatus, "maximum credits exceeded", true},
	{ClassQuotaExhausted, moneyStatus, "account balance is insufficient", true},
	{ClassQuotaExhausted, moneyStatus, "paid balance is insufficient", true},
	{ClassQuotaExhausted, moneyStatus, "account balance is negative", true},
	{ClassQuotaExhausted, refusedStatus, "monthly spending cap", true},
	{ClassQuotaExhausted, refusedStatus, "token quota is exceeded", true}, // Azure API Management
	{ClassQuotaExhausted, moneyStatus, "out of extra usage", true},
	{ClassQuotaExhausted, moneyStatus, "extra usage is required", true},        // Anthropic, with 429
	{ClassQuotaExhausted, moneyStatus, "usage credits are required", true},     // Anthropic, with 429
	{ClassQuotaExhausted, refusedStatus, "limit for this billing cycle", true}, // Kimi
	{ClassQuotaExhausted, refusedStatus, "monthly rate limit", false},
	{ClassQuotaExhausted, moneyStatus, "exceeded the monthly quota", false},
	{ClassQuotaExhausted, refusedStatus, "monthly api call limit", false},
	{ClassQuotaExhausted, refusedStatus, "monthly usage limit", false},
	{ClassQuotaExhausted, refusedStatus, "weekly usage limit", false},
	{ClassQuotaExhausted, refusedStatus, "limit for the current month", false},
	{ClassQuotaExhausted, setOf(ClassClientError), "quota exceeded", true}, // DeepL, with 456
	{ClassQuotaExhausted, moneyStatus, "余额不足", true},
	{ClassQuotaExhausted, moneyStatus, "额度不足", true},

	{ClassContextLength, inputStatus, "maximum context length", true},
	{ClassContextLength, inputStatus, "max context length", true},
	{ClassContextLength, inputStatus, "context length of the model", true},
	{ClassContextLength, inputStatus, "context window", true},
	{ClassContextLength, inputStatus, "context size", true},
	{ClassContextLength, inputStatus, "context limit", true},
	{ClassContextLength, inputStatus, "prompt is too long", true},
	{ClassContextLength, inputStatus, "prompt too long", true},
	{ClassContextLength, inputStatus, "input is too long", true},
	{ClassContextLength, inputStatus, "too many tokens", true},
	{ClassContextLength, inputStatus, "input tokens exceeded", true},
	{ClassContextLength, inputStatus, "exceeds the maximum number of tokens", true},
	{ClassContextLength, inputStatus, "number of input tokens exceeds", true},
	{ClassContextLength, vagueStatus, "model's context length", true}, // SGLang
	{ClassContextLength, vagueStatus, "context length of only", true}, // LM Studio
	{ClassContextLength, vagueStatus, "maximum model length", true},   // vLLM
	{ClassContextLength, vagueStatus, "maximum prompt length", true},  // xAI
	{ClassContextLength, vagueStatus, "model token limit", true},      // Moonshot
	{ClassContextLength, vagueStatus, "input token count is", true},   // Vertex
	{ClassContextLength, vagueStatus, "range of input length should be", true},
	{ClassContextLength, vagueStatus, "prompt exceeds max length", true},
	{ClassContextLength, vagueStatus, "inputs` tokens + `max_new_tokens` must be", true}, // TGI

	{ClassInvalidRequest, moneyStatus, "larger than configured max", true}, // gRPC and Connect: resource_exhausted of a message's size

	{ClassContentPolicy, deniedStatus, "flagged by moderation", true},
	{ClassContentPolicy, deniedStatus, "content management policy", true},
	{ClassContentPolicy, deniedStatus, "safety system", true},
	{ClassContentPolicy, deniedStatus, "violating our usage policy", true},
	{ClassContentPolicy, deniedStatus, "content filtering policy", true},
	{ClassContentPolicy, deniedStatus, "content policy", true},
	{ClassContentPolicy, deniedStatus, "content violates usage guidelines", true}, // xAI
	{ClassContentPolicy, deniedStatus, "content exists risk", true},               // DeepSeek

	{ClassOverloaded, busyStatus, "capacity temporarily exceeded", true},
	{ClassOverloaded, busyStatus, "currently overloaded", true},
	{ClassOverloaded, busyStatus, "temporarily overloaded", true},
	{ClassOverloaded, busyStatus, "no capacity available", true},

	{ClassAuth, vagueStatus, "api key not valid", true},
	{ClassAuth, vagueStatus, "incorrect api key", true},
	{ClassAuth, vagueStatus, "invalid api key", true},
	{ClassAuth, vagueStatus, "invalid token", true},
	{ClassPermission, vagueStatus, "user location is not supported", true},

	{ClassRateLimited, deniedOrVague, "secondary rate limit", true},
	{ClassRateLimited, deniedOrVague, "abuse detection mechanism", true},
	{ClassRateLimited, deniedOrVague, "rate limit exceeded", true},
	{ClassRateLimited, deniedOrVague, "exceeded a rate limit", true},
	{ClassRateLimited, deniedOrVague, "exceeded the rate limit", true},
	{ClassRateLimited, deniedOrVague, "user request limit reached", true}, // Facebook, with 400
	{ClassRateLimited, deniedOrVague, "application request limit reached", true},
	{ClassRateLimited, deniedOrVague, "page request limit reached", true},
	{ClassRateLimited, deniedOrVague, "rate threshold exceeded", true},
	{ClassRateLimited, setOf(ClassPermission, ClassClientError), "too many requests", true}, // with 400 they may be those of a batch
}

// phraseIndex finds the rows whose phrase begins with a byte.
var phraseIndex = func() (index [256][]int) {
	for i := range phraseRows {
		at := phraseRows[i].phrase[0]
		index[at] = append(index[at], i)
	}
	return index
}()

// phraseIn finds the first row whose phrase is in text, and that overrules class.
// scheduled says that the server tells when to retry.
func phraseIn(text string, class Class, scheduled bool) *phraseRow {
	best := len(phraseRows)
	inWord := false
	for i := 0; i < len(text); i++ {
		c := lower(text[i])
		starts := !inWord && 'a' <= c && c <= 'z' || c >= 0x80 // Chinese has no spaces
		inWord = wordByte(c)
		if !starts {
			continue
		}
		for _, r := range phraseIndex[c] {
			if row := &phraseRows[r]; r < best && row.over.has(class) && (row.firm || !scheduled) && beginsWith(text[i:], row.phrase) {
				best = r
			}
		}
	}
	if best == len(phraseRows) {
		return nil
	}
	return &phraseRows[best]
}

// beginsWith is strings.HasPrefix for whole words in any case. The point of a
// decimal number does not end a word: "limit: 0.5" has no "limit: 0".
func beginsWith(text, phrase string) bool {
	n := len(phrase)
	if len(text) < n || !hasPrefixFold(text, phrase) {
		return false
	}
	rest := text[n:]
	if len(rest) > 1 && rest[0] == '.' {
		rest = rest[1:]
		return rest[0] < '0' || rest[0] > '9'
	}
	return rest == "" || !wordByte(rest[0])
}

func wordByte(c byte) bool {
	c = lower(c)
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_'
}
