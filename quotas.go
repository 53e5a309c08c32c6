package steadyhttp

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// bucket is a quota as it is gathered from the headers that speak of it.
type bucket struct {
	row      *headerRow // that it was found by
	variant  uint8
	resource string
	implied  bool          // the headers' names do not say what is counted
	suffix   time.Duration // the window in the headers' names
	name     string        // of its policy
	scope    string

	window           time.Duration // by any other word of the server
	refills          bool          // and it is the time in which the bucket refills
	limit, remaining int64         // as written; math.MinInt64 if not stated
	reset            moment
	resetField       quotaField // that reset comes from; quotaNone if not stated
}

const unstated = math.MinInt64

func newBucket(resource string) bucket {
	return bucket{resource: resource, limit: unstated, remaining: unstated}
}

// setReset keeps m if no better header has told the reset.
func (b *bucket) setReset(f quotaField, m moment) {
	if f > b.resetField || f == b.resetField && m.after(b.reset) {
		b.reset, b.resetField = m, f
	}
}

// less is the lesser of a number and what was stated before. One header may come
// under two spellings of its name, in no order.
func less(before, n int64) int64 {
	if before == unstated {
		return n
	}
	return min(before, n)
}

// quotaFacts gathers what the headers of a response say of quotas.
type quotaFacts struct {
	buckets  []bucket
	policies []quotaPolicy
	scope    string

	limits, remainings, resets string // lists, as they were written, that may have an item for each policy
	listed                     *headerRow
}

// quotaPool keeps the memory of quotaFacts, which only a response with quotas needs,
// and only while its headers are read.
var quotaPool = sync.Pool{New: func() any { return new(quotaFacts) }}

// release gives q back, without the texts that it refers to.
func (q *quotaFacts) release() {
	clear(q.buckets)
	clear(q.policies)
	*q = quotaFacts{buckets: q.buckets[:0], policies: q.policies[:0]}
	quotaPool.Put(q)
}

// append adds b, within bounds, unless the very same is there.
func (q *quotaFacts) append(b *bucket) {
	if len(q.buckets) < maxQuotas && !slices.Contains(q.buckets, *b) {
		q.buckets = append(q.buckets, *b)
	}
}

// bucket finds or makes the bucket that a header's name belongs to.
func (q *quotaFacts) bucket(row *headerRow, n *quotaName) *bucket {
	for i := range q.buckets {
		b := &q.buckets[i]
		if b.row == row && b.variant == n.variant && b.suffix == n.window && b.resource == n.resource && b.implied == n.implied {
			return b
		}
	}
	if len(q.buckets) == maxQuotas {
		return new(bucket) // which is forgotten
	}
	b := newBucket(n.resource)
	b.row, b.variant, b.suffix, b.implied = row, n.variant, n.window, n.implied
	q.buckets = append(q.buckets, b)
	return &q.buckets[len(q.buckets)-1]
}

// addPolicy adds p, unless the very same is there.
func (q *quotaFacts) addPolicy(p quotaPolicy) {
	if len(q.policies) < maxQuotas && !slices.Contains(q.policies, p) {
		q.policies = append(q.policies, p)
	}
}

// add takes in one header.
func (q *quotaFacts) add(row *headerRow, rest string, says *quotaName, values []string) {
	value := trim(values[0])
	switch row.kind {
	case kindQuota:
		if says != nil {
			q.set(row, says, value)
		}
	case kindScope:
		q.scope = max(q.scope, scopeName(value))
	case kindPolicy:
		for _, v := range values[:min(len(values), maxQuotas)] {
			list := commas(v)
			for item, more := list.next(); more; item, more = list.next() {
				if p, ok := parsePolicy(item); ok {
					q.addPolicy(p)
				}
			}
		}
	case kindRateLimit:
		for _, v := range values[:min(len(values), maxQuotas)] {
			q.parseRateLimit(row, v)
		}
	case kindUsage:
		q.setUsage(row, value)
	case kindParams:
		b := newBucket(resourceName(rest))
		if b.row = row; b.setParams(value) {
			q.append(&b)
		}
	}
}

// set takes in the value of a header whose name is n. A value that is not
// understood leaves no trace.
func (q *quotaFacts) set(row *headerRow, n *quotaName, value string) {
	if n.implied && n.window == 0 && strings.IndexByte(value, ',') >= 0 {
		switch n.field {
		case quotaLimit:
			q.limits, q.listed = value, row
		case quotaRemaining:
			q.remainings = value
		case quotaReset:
			q.resets = value
		}
	}
	switch n.field {
	case quotaLimit:
		if limit, w, ok := q.parseLimitList(value); ok {
			b := q.bucket(row, n)
			b.limit, b.window = less(b.limit, limit), max(w, b.window)
		}
	case quotaRemaining:
		item, params, _ := strings.Cut(single(value), ";")
		if remaining, ok := count(item); ok {
			b := q.bucket(row, n)
			b.remaining = less(b.remaining, remaining)
			b.setParams(params)
		}
	case quotaPeriod, quotaRefill:
		if d := parsePeriod(single(value), n.millis); d > 0 {
			b := q.bucket(row, n)
			b.window, b.refills = max(b.window, d), b.refills || n.field == quotaRefill
		}
	default:
		if m, ok := parseMoment(single(value)); ok {
			if n.millis && m.bare {
				m = m.inMillis()
			}
			q.bucket(row, n).setReset(n.field, m)
		}
	}
}

// single is one of two equal values that a proxy has joined, else value.
func single(value string) string {
	if first, second, ok := strings.Cut(value, ","); ok && trim(first) == trim(second) {
		return trim(first)
	}
	return value
}

// setUsage takes in "used/limit", which may have a name before it.
func (q *quotaFacts) setUsage(row *headerRow, value string) {
	value, _, _ = strings.Cut(value, ";")
	if _, named, ok := strings.Cut(value, "="); ok {
		value = named
	}
	used, limit, _ := strings.Cut(value, "/")
	u, isUsed := natural(trim(used))
	l, isLimit := natural(trim(limit))
	if isUsed && isLimit {
		b := q.bucket(row, &quotaName{resource: "requests"})
		b.limit, b.remaining = less(b.limit, l), less(b.remaining, max(l-u, 0))
	}
}

// parsePeriod reads the length of a window.
func parsePeriod(s string, millis bool) time.Duration {
	m, ok := parseMoment(s)
	if ok && millis && m.bare {
		m = m.inMillis()
	}
	return m.in // zero if it is absolute
}

// resourceName is the rest of a header's name as a resource.
func resourceName(rest string) string {
	if rest == "" || len(rest) > maxWordName {
		return "requests"
	}
	return strings.ReplaceAll(strings.ToLower(rest), "-", "_")
}

// quotas puts together what was gathered.
func (q *quotaFacts) quotas(c clock) []Quota {
	q.spread()
	q.sort()
	q.lend()
	for i := range q.buckets {
		q.buckets[i].settle()
	}
	q.join()
	for i := len(q.buckets) - 1; i >= 0; i-- {
		if q.buckets[i].empty() {
			q.remove(i)
		}
	}
	q.merge()
	if len(q.buckets) == 0 {
		return nil
	}
	out := make([]Quota, len(q.buckets))
	for i := range q.buckets {
		out[i] = q.buckets[i].quota(c, q.scope)
	}
	sortQuotas(out)
	return out
}

// sort orders the buckets by their names, because headers come in no order, and
// what is joined and merged must not depend on it.
func (q *quotaFacts) sort() {
	for i := 1; i < len(q.buckets); i++ { // there are two or three
		for j := i; j > 0 && q.buckets[j].before(&q.buckets[j-1]); j-- {
			q.buckets[j], q.buckets[j-1] = q.buckets[j-1], q.buckets[j]
		}
	}
}

func (b *bucket) before(o *bucket) bool {
	switch {
	case b.row != o.row:
		return b.row.name < o.row.name
	case b.resource != o.resource:
		return b.resource < o.resource
	case b.suffix != o.suffix:
		return b.suffix < o.suffix
	}
	if b.implied != o.implied {
		return b.implied
	}
	return b.variant < o.variant
}

// remove takes the bucket at i out; the order of the others may change.
func (q *quotaFacts) remove(i int) {
	last := len(q.buckets) - 1
	q.buckets[i] = q.buckets[last]
	q.buckets[last] = bucket{}
	q.buckets = q.buckets[:last]
}

// sortQuotas orders quotas by what they are of, because headers come in no order.
func sortQuotas(quotas []Quota) {
	for i := 1; i < len(quotas); i++ { // there are two or three
		for j := i; j > 0 && quotas[j].before(&quotas[j-1]); j-- {
			quotas[j], quotas[j-1] = quotas[j-1], quotas[j]
		}
	}
}

func (q *Quota) before(o *Quota) bool {
	switch {
	case q.Resource != o.Resource:
		return q.Resource < o.Resource
	case q.Scope != o.Scope:
		return q.Scope < o.Scope
	case q.Window != o.Window:
		return q.Window < o.Window
	}
	return q.Limit < o.Limit
}

// settle makes sense of the values together.
func (b *bucket) settle() {
	switch {
	case b.limit == -1 && b.remaining <= 0: // a placeholder: the server does not know
		b.limit, b.remaining, b.resetField = -1, -1, quotaNone
	case b.remaining == -1 && b.limit < 0:
	case b.remaining < 0 && b.remaining != unstated: // overdrawn
		b.remaining = 0
	}
	b.limit, b.remaining = max(b.limit, -1), max(b.remaining, -1)
	if b.refills && b.reset.bare && b.wroteMillis() {
		b.reset = b.reset.inMillis()
	}
	if b.suffix > 0 {
		b.window = b.suffix
	}
}

// empty tells whether, when all is said, nothing is.
func (b *bucket) empty() bool { return b.limit < 0 && b.remaining < 0 && b.resetField == quotaNone }

// wroteMillis tells whether a reset without a unit is in milliseconds, given the
// window. It is in the unit in which the time to refill what was taken comes to
// the number that was written; failing that, in the one that comes nearer.
func (b *bucket) wroteMillis() bool {
	written, window := b.reset.in.Seconds(), b.window.Seconds()
	if b.limit <= 0 || b.remaining < 0 || b.remaining > b.limit {
		return written > window
	}
	expected := float64(b.limit-b.remaining) / float64(b.limit) * window
	inSeconds, inMillis := math.Abs(written-expected), math.Abs(written-1000*expected)
	if (inSeconds < 1) != (inMillis < 1) {
		return inMillis < 1
	}
	return inMillis/1000 < inSeconds
}

// join gives each bucket the policy that it is an instance of; a policy without
// one becomes a bucket of which only the limit is known.
func (q *quotaFacts) join() {
	if len(q.policies) == 0 {
		return
	}
	instances := len(q.buckets)
	for i := range q.buckets {
		b := &q.buckets[i]
		if p := q.policyOf(b, instances); p != nil {
			p.used = true
			b.limit, b.window, b.resource = p.quota, max(p.window, b.window), p.resource
			b.scope = cmp.Or(b.scope, p.scope)
		}
	}
	for _, p := range q.policies {
		if !p.used {
			b := newBucket(p.resource)
			b.limit, b.remaining, b.window, b.scope, b.name = p.quota, -1, p.window, p.scope, p.name
			q.append(&b)
		}
	}
}

// lend gives a window that is told without a word for what is counted to the quotas that
// are told with one.
func (q *quotaFacts) lend() {
	for i := range q.buckets {
		o := &q.buckets[i]
		if !o.implied || o.window == 0 || o.suffix > 0 || !o.empty() {
			continue
		}
		for j := range q.buckets {
			if b := &q.buckets[j]; b.row == o.row && b.variant == o.variant && b.resource == o.resource && b.window == 0 && b.suffix == 0 {
				b.window, b.refills = o.window, o.refills
			}
		}
	}
}

// policyOf finds the policy of b: by its name, else by its quota; and if there is
// but one of each, they belong together whatever they are called.
func (q *quotaFacts) policyOf(b *bucket, instances int) *quotaPolicy {
	if b.window > 0 || b.resource != "requests" {
		return nil
	}
	for i := range q.policies {
		p := &q.policies[i]
		if b.name != "" && p.name == b.name && (b.scope == "" || p.scope == "" || b.scope == p.scope) ||
			b.limit >= 0 && p.quota == b.limit && p.resource == b.resource && (b.name == "" || p.name == "") {
			return p
		}
	}
	if b.limit < 0 && instances == 1 && len(q.policies) == 1 {
		return &q.policies[0]
	}
	return nil
}

// merge unites buckets that are the same under two names, as gateways send them
// beside those of the API behind.
func (q *quotaFacts) merge() {
	for i := 0; i < len(q.buckets); i++ {
		b := &q.buckets[i]
		best := -1
		for j := range q.buckets {
			if o := &q.buckets[j]; j != i && b.same(o) && (b.window == 0 || o.window == b.window && j < i) && (best < 0 || o.nearer(&q.buckets[best])) {
				best = j
			}
		}
		if best >= 0 {
			q.buckets[best].absorb(b)
			q.remove(i)
			i = -1 // what it was absorbed by may now be the same as another
		}
	}
}

// same tells whether b and o contradict each other nowhere, and either agree
// somewhere or complement each other.
func (b *bucket) same(o *bucket) bool {
	limits, remainings := b.limit >= 0 && o.limit >= 0, b.remaining >= 0 && o.remaining >= 0
	switch {
	case b.resource != o.resource,
		b.window > 0 && o.window > 0 && b.window != o.window,
		b.name != "" && o.name != "" && b.name != o.name,
		b.scope != "" && o.scope != "" && b.scope != o.scope,
		limits && b.limit != o.limit,
		remainings && b.remaining != o.remaining:
		return false
	case limits, remainings && b.remaining > 0:
		return true
	}
	return !remainings && (b.resetField == quotaNone || o.resetField == quotaNone)
}

// nearer prefers, of two buckets that an unnamed one may be the same as, that
// with a window, and of these the shorter.
func (b *bucket) nearer(o *bucket) bool {
	return b.window > 0 && (o.window == 0 || b.window < o.window)
}

// absorb fills in from o what b lacks.
func (b *bucket) absorb(o *bucket) {
	b.limit, b.remaining = max(b.limit, o.limit), max(b.remaining, o.remaining)
	b.window, b.scope, b.name = max(b.window, o.window), cmp.Or(b.scope, o.scope), cmp.Or(b.name, o.name)
	if b.resetField == quotaNone || !b.reset.at.IsZero() && o.resetField != quotaNone && o.reset.at.IsZero() {
		b.reset, b.resetField = o.reset, o.resetField
	}
}

// quota is b as the caller sees it.
func (b *bucket) quota(c clock, scope string) Quota {
	q := Quota{
		Resource: b.resource, Scope: cmp.Or(b.scope, scope), Window: b.window,
		Limit: b.limit, Remaining: b.remaining,
	}
	if b.implied {
		q.dialect = 1
	}
	if b.row != nil && b.row.name == "" {
		q.dialect = b.variant | 2
	}
	if b.resetField != quotaNone {
		q.Reset, q.absolute, q.resolution = c.now.Add(b.reset.wait(c)), b.reset.at, b.reset.resolution
	}
	return q
}
