package steadytest

import (
	"slices"
	"time"
)

// Ideal returns the shortest time in which a clairvoyant client could have so many
// calls answered, at most workers at once, each asking for what each says; zero
// workers means any number. It knows p's limits, their changes, the other tenant and
// the outages, sends nothing that would be denied, and everything at the first
// moment at which it is admitted. The time runs from the first request, which is
// sent at once, to the last answer, and is never if the calls cannot all be
// admitted: math.MaxInt64.
//
// It is exact for ContinuousBucket, FixedWindow, SlidingLog, PerSecond and InFlight,
// alone or together, as for these nothing is won by sending later (a change of a limit
// InFlight is not seen). A SlidingWindow and an Aligned window are taken to begin with
// the first request; of the former it gives the greedy time, n windows for n times N
// after the first. An outage is a Fault with a Do that refuses, bounded in time alone.
// Of the latencies it knows Latency, and neither LatencyFunc nor Transit; Match, By and
// Cost it does not ask.
//
// It does not change p, and may be asked before, during and after its use.
func (p *Provider) Ideal(calls, workers int, each Call) time.Duration {
	if calls <= 0 {
		return 0
	}
	if workers <= 0 || workers > calls {
		workers = calls
	}
	for _, l := range p.Limits {
		if l.Kind == InFlight {
			workers = int(min(int64(workers), l.N))
		}
	}
	if workers <= 0 {
		return never
	}
	s := &Provider{Limits: ungated(p.Limits), Tenant: p.Tenant}
	for _, c := range p.Changes {
		s.Changes = append(s.Changes, Change{c.After, ungated(c.Limits)})
	}
	s.openLocked(time.Unix(0, 0))
	latency := int64(max(0, p.Latency))
	free := make([]int64, workers) // when each is, a ring: they become free in order
	now := int64(0)
	for i := range calls {
		now = max(now, free[i%workers])
		if now = s.admission(now, p.Faults, each); now == never {
			return never
		}
		free[i%workers] = add(now, latency)
	}
	return time.Duration(add(now, latency))
}

// ungated is limits without the functions of a request, so that they apply to all,
// and without those InFlight, which are workers.
func ungated(limits []Limit) []Limit {
	limits = slices.DeleteFunc(slices.Clone(limits), func(l Limit) bool { return l.Kind == InFlight })
	for i := range limits {
		limits[i].Match, limits[i].By, limits[i].Cost = nil, nil, nil
	}
	return limits
}

// maxSteps is how often admission looks before it gives up.
const maxSteps = 1_000_000

// admission is the first time from now on at which a call is admitted, to which it
// is charged.
func (p *Provider) admission(now int64, faults []Fault, each Call) int64 {
	for range maxSteps { // a tenant may leave nothing for ever
		if end := outageEnd(faults, now); end > now {
			if now = end; now == never {
				return never
			}
			continue
		}
		p.changeLocked(now)
		p.tenant.actLocked(p, now)
		wait := int64(0)
		for _, l := range p.rules.limits {
			wait = max(wait, l.meterFor("", now).wait(now, l.cost(each)))
		}
		if wait == 0 {
			for _, l := range p.rules.limits {
				l.meterFor("", now).charge(now, l.cost(each))
			}
			return now
		}
		next := add(now, wait)
		if len(p.rules.changes) > 0 { // which may let it in, or not
			next = min(next, max(now+1, int64(p.rules.changes[0].After)))
		} else if wait == never {
			return never
		}
		now = next
	}
	return never
}

// outageEnd is the end of the outage that now lies in, or now.
func outageEnd(faults []Fault, now int64) int64 {
	for i := range faults {
		f := &faults[i]
		if f.First > 1 || f.Count > 0 || f.Every > 1 || f.Match != nil || !f.Do.refuses() || now < int64(f.After) {
			continue
		}
		if f.For <= 0 {
			return never
		}
		if end := add(int64(f.After), int64(f.For)); now < end {
			return end
		}
	}
	return now
}
