package steadytest

import "time"

// Tenant is another user of the same limits: every Every it sends, all at once,
// what its Share of a limit comes to in that time. Of each limit it takes what
// there is, and no more; it is counted nowhere. It has no part in limits that
// count By something, nor in those InFlight.
type Tenant struct {
	Share float64       // of each limit, 0 to 1; zero means there is no other tenant
	Every time.Duration // zero means 5 s
}

func (t Tenant) every() int64 {
	if t.Every <= 0 {
		return int64(5 * time.Second)
	}
	return int64(t.Every)
}

// tenancy is how far the tenant has come.
type tenancy struct {
	bursts int64 // that were due, from the first request on
}

// maxBursts is how many bursts a tenant catches up on: after a longer silence
// those before have nothing to say on what is left now.
const maxBursts = 1000

// actLocked catches up on the bursts that were due, oldest first. A burst comes
// before a request of the same moment.
func (t *tenancy) actLocked(p *Provider, now int64) {
	if p.Tenant.Share <= 0 {
		return
	}
	every := p.Tenant.every()
	due := (now-p.origin)/every + 1
	for t.bursts = max(t.bursts, due-maxBursts); t.bursts < due; t.bursts++ {
		at := p.origin + t.bursts*every
		for _, l := range p.rules.limits {
			if l.By == nil && l.Kind != InFlight {
				want := p.Tenant.Share * float64(l.N) * float64(every) / float64(l.Per)
				take(l.meterFor("", at), at, int64(want+0.5))
			}
		}
	}
}

// take charges as much of want as the meter admits.
func take(m meter, at, want int64) {
	left, _ := m.quota(at)
	lo, hi := int64(0), min(want, left) // admits lo
	for lo < hi {
		mid := hi - (hi-lo)/2
		if m.wait(at, mid) == 0 {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	if lo > 0 {
		m.charge(at, lo)
	}
}
