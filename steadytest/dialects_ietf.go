package steadytest

import (
	"strconv"
	"strings"
	"time"
)

// IETF is the RateLimit header fields as the draft has them since -08: structured
// fields with a name, a policy each, and problem details for a denial.
var IETF = &Dialect{
	Name: "ietf",
	Fields: []Field{
		{"Ratelimit", func(_ Quota, all []Quota) string {
			return list(all, func(q Quota) string {
				return name(q) + ";r=" + itoa(q.Remaining) + ";t=" + itoa(RoundUp.seconds(q.Reset))
			})
		}},
		{"Ratelimit-Policy", func(_ Quota, all []Quota) string {
			return list(all, func(q Quota) string {
				policy := name(q) + ";q=" + itoa(q.N) + ";w=" + seconds(q.Per)
				if q.Resource != "requests" {
					policy += `;qu="` + q.Resource + `"`
				}
				return policy
			})
		}},
	},
	Denied: []Field{{"Retry-After", WaitSeconds}},
	Body:   problemBody,
}

// IETF07 is the draft in its seventh version: one limit in a dictionary, and the
// policies with their windows.
var IETF07 = &Dialect{
	Name: "ietf-07",
	Fields: []Field{
		{"Ratelimit", func(q Quota, _ []Quota) string {
			return "limit=" + itoa(q.N) + ", remaining=" + itoa(q.Remaining) + ", reset=" + itoa(RoundUp.seconds(q.Reset))
		}},
		{"Ratelimit-Policy", func(_ Quota, all []Quota) string {
			return list(all, func(q Quota) string { return itoa(q.N) + ";w=" + seconds(q.Per) })
		}},
	},
	Denied: []Field{{"Retry-After", WaitSeconds}},
	Body:   problemBody,
}

// IETF03 is the draft in its third version: three fields, of which the limit lists
// the policies after the one in force.
var IETF03 = &Dialect{
	Name: "ietf-03",
	Fields: []Field{
		{"Ratelimit-Limit", func(q Quota, all []Quota) string {
			return itoa(q.N) + ", " + list(all, func(q Quota) string { return itoa(q.N) + ";w=" + seconds(q.Per) })
		}},
		{"Ratelimit-Remaining", RemainingN},
		{"Ratelimit-Reset", ResetSeconds(RoundUp)},
	},
	Denied: []Field{{"Retry-After", WaitSeconds}},
	Body:   problemBody,
}

func list(all []Quota, item func(Quota) string) string {
	items := make([]string, len(all))
	for i, q := range all {
		items[i] = item(q)
	}
	return strings.Join(items, ", ")
}

// name is the limit's name as a string of structured fields.
func name(q Quota) string { return strconv.Quote(q.policy()) }

// seconds is a window in whole seconds, at least one.
func seconds(d time.Duration) string { return itoa(max(1, RoundUp.seconds(d))) }

func problemBody(r Refusal, _ string) (contentType, body string) {
	o := object(r, "type", "about:blank", "title", statusText(r.Status), "status", r.Status, "detail", r.Message)
	if r.Wait > 0 {
		o["type"] = "https://iana.org/assignments/http-problem-types#quota-exceeded"
		o["title"] = "Request cannot be satisfied as assigned quota has been exceeded"
		o["violated-policies"] = []string{r.Policy}
	}
	return "application/problem+json", marshal(o)
}
