package steadytest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Dialect is how a provider speaks of its limits and errors. The ready-made ones
// ([OpenAI], [Anthropic], …) are tables of this kind; a new one is another. A
// Dialect must not change once a Provider uses it.
type Dialect struct {
	Name string

	// Fields are the headers of every answer that passed the limits or was
	// denied by them, Denied those of denials besides.
	Fields, Denied []Field
	// Resources is how the dialect spells a resource where a Field's name says
	// {resource}; one that is not in it spells itself.
	Resources map[string]string
	// RequestID is the header that carries the id of a request; "" for none.
	RequestID string

	// Refusals are the answers that this dialect words differently from the
	// usual, which are OpenAI's.
	Refusals map[Effect]Refusal
	// Body renders a refusal; if nil, as OpenAI does.
	Body func(r Refusal, requestID string) (contentType, body string)
	// Event renders a refusal in the middle of a stream; if nil, as OpenAI does.
	Event func(r Refusal) string
}

// Field is a header that tells of the limits.
type Field struct {
	Name  string // {resource} in it stands for the limit's resource
	Value Value
}

// Value renders a header of one limit; "" leaves the header out. If several
// limits come under one name, it is asked for the one with the least left in
// proportion. All has every limit that is told, for headers that list them.
type Value func(q Quota, all []Quota) string

// Refusal is an error in the API's own words. In Type and Message {resource},
// {limit}, {remaining}, {used}, {requested}, {wait}, {seconds} and {path} stand
// for the facts.
type Refusal struct {
	Status                     int
	Type, Code, Param, Message string

	More   map[string]any    // further members that the Body may show
	Header map[string]string // further headers, e.g. Retry-After of a secondary limit

	Policy string        // in what a Body is given: the Scope or else the resource of the limit that denied
	Wait   time.Duration // and how long it wants to be left alone; zero if it does not say
}

// Rounding is what happens to a time that is written in whole units.
type Rounding uint8

const (
	Truncate Rounding = iota // down
	RoundUp
	Nearest // a half up
)

func (r Rounding) seconds(d time.Duration) int64 {
	switch r {
	case RoundUp:
		if d > 0 { // of what is negative, dividing rounds up
			d += min(time.Second-1, never-d)
		}
	case Nearest:
		d += time.Second / 2
	}
	return int64(d / time.Second)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// LimitN renders N.
func LimitN(q Quota, _ []Quota) string { return itoa(q.N) }

// RemainingN renders what remains.
func RemainingN(q Quota, _ []Quota) string { return itoa(q.Remaining) }

// UsedN renders what was used.
func UsedN(q Quota, _ []Quota) string { return itoa(max(0, q.N-q.Remaining)) }

// ResetDuration renders the reset as a Go duration in whole milliseconds, as
// OpenAI does: 12ms, 8.64s, 6m0s.
func ResetDuration(q Quota, _ []Quota) string { return q.Reset.Truncate(time.Millisecond).String() }

// ResetSeconds renders the reset as whole seconds from now.
func ResetSeconds(r Rounding) Value {
	return func(q Quota, _ []Quota) string { return itoa(r.seconds(q.Reset)) }
}

// ResetEpoch renders the reset as seconds since the epoch.
func ResetEpoch(r Rounding) Value {
	return func(q Quota, _ []Quota) string {
		at := q.Now.Add(q.Reset)
		return itoa(at.Unix() + r.seconds(time.Duration(at.Nanosecond())))
	}
}

// ResetEpochMillis renders the reset as milliseconds since the epoch.
func ResetEpochMillis(q Quota, _ []Quota) string { return itoa(q.Now.Add(q.Reset).UnixMilli()) }

// ResetTime renders the reset by RFC 3339 in whole seconds, truncated.
func ResetTime(q Quota, _ []Quota) string {
	return q.Now.Add(q.Reset).UTC().Format("2006-01-02T15:04:05Z")
}

// WaitSeconds renders as whole seconds, rounded up, how long the limit that
// denied the request wants it to wait.
func WaitSeconds(q Quota, _ []Quota) string {
	if q.Wait == never {
		return ""
	}
	return itoa(RoundUp.seconds(q.Wait))
}

// WaitMillis is WaitSeconds in milliseconds, rounded up.
func WaitMillis(q Quota, _ []Quota) string {
	if q.Wait == never {
		return ""
	}
	return itoa(int64((q.Wait + time.Millisecond - 1) / time.Millisecond))
}

// Literally renders s.
func Literally(s string) Value { return func(Quota, []Quota) string { return s } }

// ScopeOr renders the limit's Scope, or name if it has none.
func ScopeOr(name string) Value {
	return func(q Quota, _ []Quota) string {
		if q.Scope == "" {
			return name
		}
		return q.Scope
	}
}

// namesFor is the canonical name of each field for limits of a resource.
func (d *Dialect) namesFor(resource string) []string {
	if s, ok := d.Resources[resource]; ok {
		resource = s
	}
	names := make([]string, len(d.Fields))
	for i, f := range d.Fields {
		names[i] = http.CanonicalHeaderKey(strings.ReplaceAll(f.Name, "{resource}", resource))
	}
	return names
}

// write sets the headers that tell of the limits; names has those of each.
func (d *Dialect) write(h http.Header, limits []Quota, names [][]string) {
	values := make([]string, 0, len(d.Fields)*len(limits)) // one allocation for all
	for i, f := range d.Fields {
		for j := range limits {
			if !tightest(limits, names, i, j) {
				continue
			}
			if v := f.Value(limits[j], limits); v != "" {
				values = append(values, v)
				h[names[j][i]] = values[len(values)-1 : len(values) : len(values)]
			}
		}
	}
}

// tightest reports whether of the limits that field i names alike the j-th has
// the least left in proportion.
func tightest(limits []Quota, names [][]string, i, j int) bool {
	for k := range limits {
		if k == j || names[k][i] != names[j][i] {
			continue
		}
		a, b := limits[k].share(), limits[j].share()
		if a < b || a == b && k < j {
			return false
		}
	}
	return true
}

// policy is what a draft of the RateLimit fields calls the limit.
func (q *Quota) policy() string {
	if q.Scope != "" {
		return q.Scope
	}
	return q.Resource
}

func (q *Quota) share() float64 { return float64(q.Remaining) / float64(max(1, q.N)) }

// refusal is how d words an effect, with the facts of q put in.
func (d *Dialect) refusal(e Effect, q Quota, path string) Refusal {
	r, ok := d.Refusals[e]
	if !ok {
		if r, ok = usual[e]; !ok {
			r = usual[ServerError]
		}
	}
	wait := q.Wait
	if wait == never {
		wait = 0
	}
	r.Policy, r.Wait = q.policy(), wait
	if wait == 0 {
		r.Message = withoutWait(r.Message)
	}
	if strings.Contains(r.Message, "{") || strings.Contains(r.Type, "{") {
		facts := strings.NewReplacer(
			"{resource}", strings.ReplaceAll(q.Resource, "_", " "), "{limit}", itoa(q.N), "{remaining}", itoa(q.Remaining),
			"{used}", itoa(max(0, q.N-q.Remaining)), "{requested}", itoa(q.Requested),
			"{wait}", (wait + time.Millisecond - 1).Truncate(time.Millisecond).String(),
			"{seconds}", itoa(RoundUp.seconds(wait)), "{path}", path,
		)
		r.Message, r.Type = facts.Replace(r.Message), facts.Replace(r.Type)
	}
	return r
}

// withoutWait is a message without its sentence that says when to come back.
func withoutWait(message string) string {
	for _, fact := range [...]string{"{wait}", "{seconds}"} {
		if before, after, found := strings.Cut(message, fact); found {
			_, after, _ = strings.Cut(after, ". ")
			message = strings.TrimSpace(before[:strings.LastIndex(before, ". ")+1] + " " + after)
		}
	}
	return message
}

func (d *Dialect) body(r Refusal, id string) (contentType, body string) {
	if d.Body == nil {
		return openAIBody(r, id)
	}
	return d.Body(r, id)
}

func (d *Dialect) event(r Refusal) string {
	if d.Event == nil {
		_, body := openAIBody(r, "")
		return "data: " + body + "\n\n"
	}
	return d.Event(r)
}
