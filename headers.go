package steadyhttp

import (
	"net/http"
	"strings"
	"time"
)

// headerKind is what a header is about.
type headerKind uint8

const (
	kindQuota       headerKind = iota // named by words: see family
	kindPolicy                        // a list of policies
	kindRateLimit                     // what is left of policies
	kindUsage                         // "used/limit"
	kindParams                        // "total=100; remaining=99; resets=41"
	kindScope                         // what the quotas of a prefix apply to
	kindDelayMillis                   // when to come back, in milliseconds
	kindDelay                         // … in any form
	kindRequestID                     // the API's name for the exchange
	kindShouldRetry                   // whether to, in the API's own judgement
	kindErrorType                     // the type of the error
	kindContentType                   // what the body is said to be
	kindDate                          // the server's clock
	kindAge                           // for how long a cache has had the response
	kindForeign                       // what is told of another key than the caller's
)

// headerRow is a row of the table of header dialects.
type headerRow struct {
	name   string // in lower case; ending in "-", any name that begins so
	kind   headerKind
	family family // of kindQuota, kindUsage and kindParams
	rank   uint8  // among rows of the same kind the lowest wins

	prefix bool // whether name ends in "-"; set by headerIndex
}

// headerRows are all the headers that are understood. A row for a whole name
// counts before one for its beginning, and of two beginnings the one above.
var headerRows = []headerRow{
	// Quotas, by the draft-ietf-httpapi-ratelimit-headers and before it.
	{name: "ratelimit", kind: kindRateLimit},
	{name: "x-ratelimit", kind: kindRateLimit},
	{name: "ratelimit-policy", kind: kindPolicy},
	{name: "x-ratelimit-policy", kind: kindPolicy},
	{name: "beta-ratelimit", kind: kindRateLimit}, // Jira and Confluence
	{name: "beta-ratelimit-policy", kind: kindPolicy},
	{name: "ratelimit-"},
	{name: "rate-limit-"},
	{name: "x-ratelimit-"},
	{name: "x-rate-limit-"},
	{name: "x-rate-limit", family: family{implied: quotaLimit}}, // Zendesk
	{name: "rate-limit", family: family{implied: quotaLimit}},   // Ticketmaster

	// What such quotas apply to.
	{name: "x-ratelimit-resource", kind: kindScope}, // GitHub
	{name: "x-ratelimit-bucket", kind: kindScope},   // Discord
	{name: "ratelimit-name", kind: kindScope},       // GitLab

	// Quotas in the dialects of single APIs.
	{name: "anthropic-ratelimit-"},
	{name: "anthropic-priority-", family: family{pool: "priority_"}},
	{name: "anthropic-fast-", family: family{pool: "fast_"}},
	{name: "x-tokenlimit-", family: family{counted: "tokens"}},    // Together
	{name: "ratelimitbysize-", family: family{counted: "tokens"}}, // Mistral
	{name: "x-ratelimitbysize-", family: family{counted: "tokens"}},
	{name: "x-ms-ratelimit-"},                                           // Azure Resource Manager
	{name: "x-hubspot-ratelimit-", family: family{implied: quotaLimit}}, // "-daily"
	{name: "x-endpoint-"},                                               // Cohere: "-monthly-call-limit"
	{name: "x-trial-endpoint-"},                                         // Cohere: "-call-limit"
	{name: "x-limit-", family: family{implied: quotaLimit}},             // Etsy: "-per-second"
	{name: "x-remaining-", family: family{implied: quotaRemaining}},     // Etsy: "-this-second", "-today"
	{name: "x-app-limit-", family: family{pool: "app_"}},                // X: "-24hour-limit"
	{name: "x-user-limit-", family: family{pool: "user_"}},              // X
	{name: "x-ai-ratelimit-", family: family{counted: "tokens"}},        // Kong, APISIX
	{name: "zendesk-ratelimit-", kind: kindParams},                      // one for each endpoint
	{name: "llm_provider-", kind: kindForeign},                          // LiteLLM, of its own key for the API behind it
	{name: "x-shopify-shop-api-call-limit", kind: kindUsage},
	{name: "sforce-limit-info", kind: kindUsage}, // Salesforce: "api-usage=18/5000"

	// When to come back.
	{name: "retry-after-ms", kind: kindDelayMillis, rank: 0},      // Azure, OpenAI
	{name: "x-ms-retry-after-ms", kind: kindDelayMillis, rank: 1}, // Azure
	{name: "retry-after-milliseconds", kind: kindDelayMillis, rank: 1},
	{name: "retry-after-millis", kind: kindDelayMillis, rank: 1},
	{name: "retry-after-msec", kind: kindDelayMillis, rank: 1},
	{name: "x-retry-after-ms", kind: kindDelayMillis, rank: 2},
	{name: "x-ratelimit-retry-after-ms", kind: kindDelayMillis, rank: 3},
	{name: "x-rate-limit-retry-after-milliseconds", kind: kindDelayMillis, rank: 4}, // made with Bucket4j
	{name: "retry-after", kind: kindDelay, rank: 0},                                 // RFC 9110, section 10.2.3
	{name: "x-ratelimit-retry-after", kind: kindDelay, rank: 1},                     // MailerLite
	{name: "x-rate-limit-retry-after", kind: kindDelay, rank: 2},
	{name: "x-rate-limit-retry-after-seconds", kind: kindDelay, rank: 3}, // OpenSky, and what is made with Bucket4j
	{name: "x-ratelimit-retry-after-seconds", kind: kindDelay, rank: 4},
	{name: "x-retry-after", kind: kindDelay, rank: 5},
	{name: "x-ai-ratelimit-retry-after", kind: kindDelay, rank: 6}, // Kong
	{name: "llm_provider-retry-after", kind: kindDelay, rank: 7},   // LiteLLM, of the API behind it
	{name: "retry-after-", kind: kindDelay, rank: 8},               // NestJS, of a throttler with a name

	{name: "x-should-retry", kind: kindShouldRetry, rank: 0}, // the SDKs of OpenAI and Anthropic obey it
	{name: "stripe-should-retry", kind: kindShouldRetry, rank: 1},
	{name: "x-amzn-errortype", kind: kindErrorType}, // AWS
	{name: "content-type", kind: kindContentType},
	{name: "date", kind: kindDate},
	{name: "age", kind: kindAge},

	{name: "x-request-id", kind: kindRequestID, rank: 0},
	{name: "request-id", kind: kindRequestID, rank: 1},       // Anthropic, Stripe
	{name: "x-amzn-requestid", kind: kindRequestID, rank: 2}, // AWS
	{name: "x-amz-request-id", kind: kindRequestID, rank: 3}, // S3
	{name: "apim-request-id", kind: kindRequestID, rank: 4},  // Azure API Management
	{name: "x-ms-request-id", kind: kindRequestID, rank: 5},  // Azure
	{name: "x-github-request-id", kind: kindRequestID, rank: 6},
	{name: "x-kong-request-id", kind: kindRequestID, rank: 7},
	{name: "x-slack-req-id", kind: kindRequestID, rank: 8},
	{name: "x-okta-request-id", kind: kindRequestID, rank: 9},
	{name: "twilio-request-id", kind: kindRequestID, rank: 10},
}

// headerIndex finds the rows for a name by its first and third letter, since most
// names begin with "x-"; those for whole names come first.
var headerIndex = func() (index [1 << 10][]*headerRow) {
	for _, prefix := range []bool{false, true} {
		for i := range headerRows {
			row := &headerRows[i]
			if row.prefix = strings.HasSuffix(row.name, "-"); row.prefix == prefix {
				at := headerSlot(row.name)
				index[at] = append(index[at], row)
			}
		}
	}
	return index
}()

// headerSlot is where headerIndex has the rows for a name of three letters or
// more, whatever their case: it differs in bits that are left out.
func headerSlot(name string) int { return int(name[0]&31)<<5 | int(name[2]&31) }

// rowOf finds the row for a header whose name has three letters or more, and what
// follows the prefix in it.
func rowOf(name string) (row *headerRow, rest string) {
	for _, row := range headerIndex[headerSlot(name)] {
		n := len(row.name)
		if (len(name) == n || len(name) > n && row.prefix) && hasPrefixFold(name, row.name) {
			return row, name[n:]
		}
	}
	return vendorRow(name)
}

// vendorRows are for quotas with a vendor's name before the usual prefix, such as
// Contentful's and Sentry's, and for that prefix alone, which is Discogs' limit.
var vendorRows = [...]headerRow{{}, {family: family{implied: quotaLimit}}}

// vendorRow finds the row for a header that has a row for neither its name nor its
// beginning.
func vendorRow(name string) (row *headerRow, rest string) {
	for rest := name; len(rest) >= len("-ratelimit"); rest = rest[1:] {
		if rest[0] != '-' || lower(rest[1]) != 'r' {
			continue
		}
		for _, prefix := range [...]string{"-ratelimit", "-rate-limit"} {
			switch n := len(prefix); {
			case !hasPrefixFold(rest, prefix):
			case len(rest) == n:
				return &vendorRows[1], ""
			case rest[n] == '-':
				return &vendorRows[0], rest[n+1:]
			}
		}
	}
	return nil, ""
}

// usualHeader is a header that is found at once, by its name as HTTP/1 and net/http
// spell it.
type usualHeader struct {
	name string
	row  *headerRow
	says *quotaName // of kindQuota
}

// usualHeaders are those with a row for their whole name, and the usual quotas.
var usualHeaders = func() (table [usualSlots][]usualHeader) {
	for i := range headerRows {
		row := &headerRows[i]
		words := []string{""}
		if row.prefix {
			words = usualWords
		}
		for _, rest := range words {
			name := http.CanonicalHeaderKey(row.name + rest)
			if found, _ := rowOf(name); found != row {
				continue // another row has the whole name
			}
			u := usualHeader{name: name, row: row}
			if row.kind == kindQuota {
				if u.says = row.family.name(rest); u.says == nil {
					continue
				}
			}
			slot := &table[usualSlot(name)]
			*slot = append(*slot, u)
		}
	}
	return table
}()

const usualSlots = 1 << 10

// usualSlot is where usualHeaders has a name of three letters or more.
func usualSlot(name string) int {
	n := len(name)
	return (31*n + 7*int(name[n/2]) + 3*int(name[2]) + int(name[n-1])) % usualSlots
}

// findHeader finds the row for a header, and of a quota also what its name says, which is
// nil if it names none.
func findHeader(name string) (row *headerRow, rest string, says *quotaName) {
	if len(name) < 3 {
		return nil, "", nil
	}
	slot := usualHeaders[usualSlot(name)]
	for i := range slot {
		if u := &slot[i]; u.name == name {
			return u.row, name[len(u.row.name):], u.says
		}
	}
	if row, rest = rowOf(name); row != nil && row.kind == kindQuota {
		if says = row.family.name(rest); says != nil && row.name == "" {
			says.vendor(strings.TrimSuffix(name[:len(name)-len(rest)], "-"))
			row = &vendorRows[0] // the limit belongs with what remains of it
		}
	}
	return row, rest, says
}

// hasPrefixFold is strings.HasPrefix for a prefix in lower case, without regard
// to the case of s.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := 0; i < len(prefix); i++ {
		if lower(s[i]) != prefix[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// maxQuotas bounds the quotas of a response, and the items of each list.
const maxQuotas = 32

// stated is a header's value, and the rank of the row that it was found by.
type stated struct {
	value string
	rank  uint8
	ok    bool
}

// offer keeps value if it is the first, or of a lower rank. Of two spellings of
// one name it keeps the same one, in whatever order they come.
func (s *stated) offer(value string, rank uint8) {
	if value = trim(value); value != "" && (!s.ok || rank < s.rank || rank == s.rank && value < s.value) {
		*s = stated{value, rank, true}
	}
}

// lastRank comes after all others.
const lastRank = 1 << 7

// delayOfAll is what is understood of a header that may come more than once: the values
// together, as a proxy may join them, else the first that says something.
func delayOfAll(values []string) string {
	values = values[:min(len(values), maxQuotas)]
	if len(values) > 1 {
		if all := strings.Join(values, ","); understoodDelay(all) {
			return all
		}
	}
	for _, value := range values {
		if understoodDelay(value) {
			return value
		}
	}
	return ""
}

func understoodDelay(s string) bool {
	_, ok := parseDelay(s, clock{})
	return ok
}

// headerFacts is what the headers of a response say.
type headerFacts struct {
	delayMillis, delay, requestID, shouldRetry, errorType stated

	contentType string
	clock       clock
	quotas      []Quota
}

// readHeaders returns what the headers of a response that arrived at now say.
func readHeaders(h http.Header, now time.Time) (f headerFacts) {
	f.read(h, now)
	return f
}

// read reads all headers in one pass, into f, which is zero.
func (f *headerFacts) read(h http.Header, now time.Time) {
	var date, age string
	var few fewQuotas
	var q *quotaFacts
	for name, values := range h {
		row, rest, says := findHeader(name)
		if row == nil || len(values) == 0 {
			continue
		}
		switch value := values[0]; row.kind {
		case kindDelayMillis:
			if d, zero := parseMillis(trim(value)); d > 0 {
				f.delayMillis.offer(value, row.rank)
			} else if zero { // the last resort
				f.delayMillis.offer(value, row.rank+lastRank)
			}
		case kindDelay:
			f.delay.offer(delayOfAll(values), row.rank)
		case kindRequestID:
			f.requestID.offer(value, row.rank)
		case kindShouldRetry:
			f.shouldRetry.offer(value, row.rank)
		case kindErrorType:
			f.errorType.offer(value, row.rank)
		case kindContentType:
			f.contentType = value
		case kindDate:
			date = value
		case kindForeign:
		case kindAge:
			age = trim(value)
		default:
			if q == nil {
				if row.kind == kindQuota && few.add(row, says, trim(value)) {
					continue
				}
				q = quotaPool.Get().(*quotaFacts)
				few.moveTo(q)
			}
			q.add(row, rest, says, values)
		}
	}
	f.clock = clock{now: now, date: date}
	fresh := age == "" || age == "0" // a cache repeats what was true when it was filled
	switch {
	case q != nil:
		if fresh {
			f.quotas = q.quotas(f.clock)
		}
		q.release()
	case few.n > 0 && fresh:
		f.quotas = few.quotas(f.clock)
	}
}
