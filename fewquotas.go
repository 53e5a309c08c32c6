package steadyhttp

// fewQuotas gathers quotas from the usual headers of one family: a limit, what
// remains of it and when it is reset, of one resource or several. Most responses that
// have any have no others, and these need no putting together.
type fewQuotas struct {
	row     *headerRow // of the family
	n       int        // how many buckets are in use
	buckets [len(fewResources)]bucket
}

// fewResources are what the usual headers count, in the order of Outcome.Quotas.
var fewResources = [...]string{"input_tokens", "output_tokens", "requests", "tokens"}

// placeOf is the place of a resource among fewResources, from 1; zero if it has none.
func placeOf(resource string) uint8 {
	for i, r := range fewResources {
		if r == resource {
			return uint8(i + 1)
		}
	}
	return 0
}

// add takes in a header whose name says n, or tells that it is for a quotaFacts.
func (f *fewQuotas) add(row *headerRow, n *quotaName, value string) bool {
	if n == nil || n.place == 0 || f.row != nil && f.row != row {
		return false
	}
	number, m, ok := int64(0), moment{}, false
	switch n.field {
	case quotaLimit:
		number, ok = limitCount(value)
	case quotaRemaining:
		number, ok = count(value)
	case quotaReset:
		m, ok = parseMoment(value)
	}
	if !ok {
		return false
	}
	b := &f.buckets[n.place-1]
	switch {
	case b.row == nil:
		f.row, f.n = row, f.n+1
		b.row, b.resource, b.implied, b.limit, b.remaining = row, n.resource, n.implied, unstated, unstated
	case b.implied != n.implied: // those of a gateway and of the API behind it
		return false
	}
	switch n.field {
	case quotaLimit:
		b.limit = less(b.limit, number)
	case quotaRemaining:
		b.remaining = less(b.remaining, number)
	default:
		b.setReset(n.field, m)
	}
	return true
}

// moveTo hands over what was gathered, to be put together with what is not usual.
func (f *fewQuotas) moveTo(q *quotaFacts) {
	for i := range f.buckets {
		if b := &f.buckets[i]; b.row != nil {
			q.append(b)
		}
	}
}

// quotas is what was gathered. The buckets are of different resources: there is
// nothing to join or merge.
func (f *fewQuotas) quotas(c clock) []Quota {
	out := make([]Quota, 0, f.n)
	for i := range f.buckets {
		b := &f.buckets[i]
		if b.row == nil {
			continue
		}
		b.settle()
		if !b.empty() {
			out = append(out, b.quota(c, ""))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
