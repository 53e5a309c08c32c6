package steadyhttp

import (
	"math"
	"slices"
)

// Some servers limit each of their endpoints by itself, and tell of all those limits
// under the same names. Taken for one budget they would overwrite each other: each
// route would be held by what is left of another.

// statedLimit is the limit of requests that an answer named without a scope.
type statedLimit struct {
	limit int32
	by    uint32  // of the route's id
	sent  instant // of its request
}

// apartAfter is how many times in a row a route has to state a limit of its own, after
// another had stated another, until they are told apart. When a limit changes, all
// routes soon state the new one.
const apartAfter = 4

// tellApart returns the quotas of an answer to c, with a scope for those of a route
// that has a limit of its own.
func (l *ledger) tellApart(c *claim, quotas []Quota) []Quota {
	r, limit := c.route, unscopedLimit(quotas)
	if r == nil || limit <= 0 {
		return quotas
	}
	if !r.apart {
		last := l.stated
		switch {
		case last.limit == 0 || last.by == uint32(r.id) || c.sent.Before(last.sent):
		case limit != last.limit && limit == r.stated:
			r.deviations++
			r.apart = r.deviations >= apartAfter
		default:
			r.deviations = 0
		}
		r.stated = limit
		if !c.sent.Before(last.sent) {
			l.stated = statedLimit{limit, uint32(r.id), c.sent}
		}
	}
	if !r.apart {
		return quotas
	}
	own, name := slices.Clone(quotas), r.name()
	for i := range own {
		if own[i].Scope == "" {
			own[i].Scope = name
		}
	}
	return own
}

// unscopedLimit is the limit of requests that is stated without a scope; zero if there
// is none, or several.
func unscopedLimit(quotas []Quota) (limit int32) {
	for i := range quotas {
		if q := &quotas[i]; q.Scope == "" && q.Resource == "requests" && q.Limit > 0 {
			if limit > 0 {
				return 0
			}
			limit = int32(min(q.Limit, math.MaxInt32))
		}
	}
	return limit
}
