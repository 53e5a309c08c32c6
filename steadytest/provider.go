// Package steadytest is an API provider to test HTTP clients against: it limits
// rates, tells of its limits in headers and fails on cue as the real ones do.
//
// A [Provider] is an [http.Handler], for tests over sockets with httptest, and an
// [http.RoundTripper], for tests in virtual time: inside a testing/synctest bubble
// nothing but time passes between a request and its answer, so that a minute's
// limit is tested in a moment.
//
//	p := &steadytest.Provider{
//		Limits:  []steadytest.Limit{{N: 600, Per: time.Minute}},
//		Latency: 2 * time.Second,
//		Faults:  []steadytest.Fault{{After: time.Minute, For: 3 * time.Second, Do: steadytest.Unavailable}},
//	}
//	client := &http.Client{Transport: p}   // or httptest.NewServer(p)
//
// It answers chat completions, messages, responses, embeddings and the list of
// models, as JSON and as event streams, so that the vendors' own SDKs work on it.
// Afterwards [Provider.Counts], [Provider.Timeline] and [Provider.Requests] tell
// what it saw.
package steadytest

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Provider is an API with limits and faults. Its zero value speaks OpenAI's
// dialect, has no limits and answers at once. Fields must not change after the
// first request; the methods may be called at any time, from any goroutine. The
// functions among the fields are called with no lock held.
//
// A request arrives, is admitted or denied there and then, by what all limits say
// at that moment, and is answered Latency later. Headers tell of the limits as
// they were on arrival; Date is stamped when they are written.
type Provider struct {
	Dialect *Dialect // headers and errors; nil means OpenAI
	Limits  []Limit  // all at once; none admits everything
	Changes []Change // of the limits, oldest first
	Faults  []Fault  // the first that applies is met

	// ChargeDenied makes denied requests count against the limits on requests,
	// as "unsuccessful requests contribute to your per-minute limit". A bucket is
	// emptied by that, never brought into debt.
	ChargeDenied bool

	Latency       time.Duration                     // from arrival to the headers of an answer
	LatencyFunc   func(*http.Request) time.Duration // in place of Latency, if not nil
	DeniedLatency time.Duration                     // the same of a denial or a fault
	Transit       func(*http.Request) time.Duration // from sending to arrival; if nil, none: requests arrive in order
	EventDelay    time.Duration                     // between the events of a stream

	Clock  time.Duration // the server's clock is ahead by so much; negative: behind
	Tenant Tenant        // another user of the same limits

	Text     string        // what every answer says; "" means "Steady as she goes."
	Observer func(Request) // called when a request has arrived; if nil, not

	mu     sync.Mutex
	began  bool
	start  time.Time // of the first request
	origin int64     // the same in nanoseconds since the epoch
	rules  *rules
	tenant tenancy
	number int
	record record
}

// Change is new limits from a time on.
type Change struct {
	After  time.Duration // since the arrival of the first request
	Limits []Limit       // in place of those before, as SetLimits
}

// rules are what requests are put to at a time. They do not change: others take
// their place.
type rules struct {
	limits  []*limiter
	faults  []Fault
	changes []Change // still to come
}

// call is a request on its way through.
type call struct {
	Call
	req     *http.Request
	number  int
	id      string // the digits of ids
	at      int64  // arrival, in nanoseconds since the epoch
	fault   *Fault
	effect  Effect     // what becomes of it
	problem Effect     // what is wrong with it, if it is admitted
	denied  bool       // by a limit
	quota   Quota      // of the limit that denied it
	told    []Quota    // of the limits that are told
	names   [][]string // of the headers that tell of each
	claims  []claim    // what it was charged
	claimed [4]claim
}

// claim is what a request asks of a limit that applies to it.
type claim struct {
	limit *limiter
	key   string
	meter meter
	cost  int64
	wait  int64
}

// beginLocked is the time, on a clock that never goes back, and what holds then.
func (p *Provider) beginLocked() (int64, *rules) {
	if !p.began {
		p.openLocked(time.Now())
	}
	now := p.origin + int64(time.Since(p.start))
	p.changeLocked(now)
	return now, p.rules
}

// openLocked is the beginning of all times.
func (p *Provider) openLocked(start time.Time) {
	p.began, p.start, p.origin = true, start, start.UnixNano()
	p.rulesLocked()
}

// rulesLocked is a copy of the rules, those that the fields give at first.
func (p *Provider) rulesLocked() *rules {
	if p.rules == nil {
		p.rules = &rules{limits: p.limiters(p.Limits, nil, 0), faults: p.Faults, changes: p.Changes}
	}
	next := *p.rules
	return &next
}

// changeLocked makes the changes that are due.
func (p *Provider) changeLocked(now int64) {
	for len(p.rules.changes) > 0 && now-p.origin >= int64(p.rules.changes[0].After) {
		next := p.rulesLocked()
		at := p.origin + int64(next.changes[0].After)
		p.tenant.actLocked(p, at-1)
		next.limits = p.limiters(next.changes[0].Limits, next.limits, at)
		next.changes = next.changes[1:]
		p.rules = next
	}
}

// server is the server's clock at now.
func (p *Provider) server(now int64) time.Time { return time.Unix(0, now).Add(p.Clock) }

func (p *Provider) dialect() *Dialect {
	if p.Dialect == nil {
		return OpenAI
	}
	return p.Dialect
}

// arrive decides what becomes of a request, and charges it.
func (p *Provider) arrive(c *call) {
	p.mu.Lock()
	_, r := p.beginLocked()
	for {
		p.mu.Unlock()
		c.claims = r.claims(c)
		matched := r.matched(c.req)
		p.mu.Lock()
		now, latest := p.beginLocked()
		if latest != r { // while the lock was off
			r = latest
			continue
		}
		p.number++
		c.at, c.number = now, p.number
		c.fault = r.fault(matched, c.number, time.Duration(now-p.origin))
		if c.fault != nil {
			c.effect = c.fault.Do
		}
		if c.fault == nil || c.fault.Charged || !c.effect.refuses() {
			p.admitLocked(c, now)
		} else {
			c.claims, c.quota = nil, r.supposed(c.fault)
		}
		if c.denied && c.fault != nil && c.fault.Do != Answer {
			c.fault = nil // it did not come to that
		}
		break
	}
	seen := p.record.add(c)
	p.mu.Unlock()
	if p.Observer != nil {
		p.Observer(seen)
	}
}

// claims is what a request asks of each limit that applies to it.
func (r *rules) claims(c *call) []claim {
	claims := c.claimed[:0]
	for _, l := range r.limits {
		if l.Match != nil && !l.Match(c.req) {
			continue
		}
		k := claim{limit: l, cost: l.cost(c.Call)}
		if l.By != nil {
			k.key = l.By(c.req)
		}
		claims = append(claims, k)
	}
	return claims
}

// matched tells which faults a request would match.
func (r *rules) matched(req *http.Request) []bool {
	if len(r.faults) == 0 {
		return nil
	}
	m := make([]bool, len(r.faults))
	for i := range r.faults {
		m[i] = r.faults[i].Match == nil || r.faults[i].Match(req)
	}
	return m
}

// fault is the first that meets the number-th request, so long after the first.
func (r *rules) fault(matched []bool, number int, since time.Duration) *Fault {
	for i := range matched {
		if matched[i] && r.faults[i].applies(number, since) {
			return &r.faults[i]
		}
	}
	return nil
}

// supposed is the quota that a fault speaks of which says that a limit denies.
func (r *rules) supposed(f *Fault) Quota {
	q := Quota{Limit: Limit{Resource: "requests"}, Wait: max(0, f.RetryAfter)}
	if len(r.limits) > 0 {
		q.Limit = r.limits[0].Limit
	}
	return q
}

// admitLocked puts the request to the limits. If any denies it, none is charged
// but those that ChargeDenied means.
func (p *Provider) admitLocked(c *call, now int64) {
	p.tenant.actLocked(p, now)
	worst := -1
	for i := range c.claims {
		k := &c.claims[i]
		k.meter = k.limit.meterFor(k.key, now)
		if k.wait = k.meter.wait(now, k.cost); k.wait > 0 && (worst < 0 || k.wait > c.claims[worst].wait) {
			worst = i
		}
	}
	for i := range c.claims {
		k := &c.claims[i]
		if worst < 0 || p.ChargeDenied && k.limit.Resource == "requests" && k.limit.Kind != InFlight {
			k.meter.charge(now, k.cost)
		}
	}
	if worst >= 0 {
		k := &c.claims[worst]
		c.denied, c.effect = true, k.limit.Deny
		c.quota = p.quotaLocked(k, now)
		if c.quota.Wait = never; k.wait < never {
			c.quota.Wait = time.Duration(k.meter.wait(now, k.cost)) // longer, if it was charged
		} else {
			c.effect = TooLarge
		}
	}
	c.told, c.names = make([]Quota, 0, len(c.claims)), make([][]string, 0, len(c.claims))
	for i := range c.claims {
		k := &c.claims[i]
		if !k.limit.Silent && k.limit.Kind != InFlight {
			c.told, c.names = append(c.told, p.quotaLocked(k, now)), append(c.names, k.limit.names)
		}
	}
	if c.denied {
		c.claims = nil
	}
}

func (p *Provider) quotaLocked(k *claim, now int64) Quota {
	remaining, reset := k.meter.quota(now)
	return Quota{Limit: k.limit.Limit, Remaining: remaining, Reset: time.Duration(reset), Requested: k.cost, Now: p.server(now)}
}

// leave ends a request's part in the limits: it is no more in flight, and of
// output tokens it has used so many, not what it was permitted.
func (p *Provider) leave(c *call, output int64) {
	if len(c.claims) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, _ := p.beginLocked()
	for _, k := range c.claims {
		switch m := k.meter.(type) {
		case *inFlight:
			m.count -= k.cost
		case *bucket:
			if k.limit.Settle && k.limit.Resource == "output_tokens" {
				m.settle(now, k.cost, output)
			}
		}
	}
	c.claims = nil // once
}

// SetLimits replaces the limits while the provider runs. A limit that was there
// before, told by its Resource, Scope, Kind and Per, keeps what was used of it.
func (p *Provider) SetLimits(limits ...Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := int64(0) // before the first request nothing was used
	if p.began {
		now, _ = p.beginLocked()
		p.tenant.actLocked(p, now)
	}
	next := p.rulesLocked()
	next.limits = p.limiters(limits, next.limits, now)
	p.rules = next
}

// SetFaults replaces the faults while the provider runs. Their times and numbers
// count from the first request all the same.
func (p *Provider) SetFaults(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.rulesLocked()
	next.faults = slices.Clone(faults)
	p.rules = next
}
