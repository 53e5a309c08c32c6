package steadytest

import "slices"

// limiter is a limit and its meters.
type limiter struct {
	Limit
	clock  int64
	names  []string // of the dialect's fields
	single meter
	byKey  map[string]meter
}

// limiters makes the limiters, with the state of those that were there.
func (p *Provider) limiters(limits []Limit, old []*limiter, now int64) []*limiter {
	out := make([]*limiter, 0, len(limits))
	old = slices.Clone(old)
	for _, l := range limits {
		l = l.unset()
		next := &limiter{Limit: l, clock: int64(p.Clock), names: p.dialect().namesFor(l.Resource)}
		for i, o := range old {
			if o.Resource == l.Resource && o.Scope == l.Scope && o.Kind == l.Kind && o.Per == l.Per {
				next.inherit(o, now)
				old = slices.Delete(old, i, i+1)
				break
			}
		}
		out = append(out, next)
	}
	return out
}

func (l *limiter) inherit(old *limiter, now int64) {
	if l.single = old.single; l.single != nil {
		l.single.resize(now, l.Limit)
	}
	l.byKey = old.byKey
	for _, m := range l.byKey {
		m.resize(now, l.Limit)
	}
}

// maxKeys bounds what a limit that counts By something remembers: any of its
// meters is forgotten to make room for another.
const maxKeys = 10_000

func (l *limiter) meterFor(key string, now int64) meter {
	if l.By == nil {
		if l.single == nil {
			l.single = newMeter(l.Limit, now, l.clock)
		}
		return l.single
	}
	m := l.byKey[key]
	if m == nil {
		if l.byKey == nil {
			l.byKey = map[string]meter{}
		}
		for k := range l.byKey {
			if len(l.byKey) < maxKeys {
				break
			}
			delete(l.byKey, k)
		}
		m = newMeter(l.Limit, now, l.clock)
		l.byKey[key] = m
	}
	return m
}
