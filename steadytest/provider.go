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
	"sync"
	"time"
)

// Provider is an API with limits and faults. Its zero value speaks OpenAI's
// dialect, has no limits and answers at once. Fields must not change after the
// first request; the methods may be called at any time, from any goroutine.
//
// A request arrives, is admitted or denied there and then, by what all limits say
// at that moment, and is answered Latency later. Headers tell of the limits as
// they were on arrival; Date is stamped when they are written.
type Provider struct {
	Dialect *Dialect // headers and errors; nil means OpenAI
	Limits  []Limit  // all at once; none admits everything
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

	Text string // what every answer says; "" means "Steady as she goes."

	mu     sync.Mutex
	began  bool
	start  time.Time // of the first request
	origin int64     // the same in nanoseconds since the epoch
	limits []*limiter
	faults []Fault
	tenant tenancy
	number int
	record record
}

// call is a request on its way through.
type call struct {
	Call
	req    *http.Request
	number int
	at     int64 // arrival, in nanoseconds since the epoch
	fault  *Fault
	effect Effect // what becomes of it
	denied bool   // by a limit
	quota  Quota  // of the limit that denied it
	told   []told
	leaves []*inFlight // which it takes part in
}

// now is the time in nanoseconds since the epoch, which never goes back.
func (p *Provider) nowLocked() int64 {
	if !p.began {
		p.began, p.start = true, time.Now()
		p.origin = p.start.UnixNano()
		p.faults = p.Faults
		p.limits = p.limitersLocked(p.Limits, p.origin)
	}
	return p.origin + int64(time.Since(p.start))
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
	defer p.mu.Unlock()
	now := p.nowLocked()
	p.number++
	c.at, c.number = now, p.number
	for i := range p.faults {
		if f := &p.faults[i]; f.applies(c.req, c.number, time.Duration(now-p.origin)) {
			c.fault, c.effect = f, f.Do
			break
		}
	}
	if c.fault == nil || c.fault.Charged || !c.effect.refuses() {
		p.admitLocked(c, now)
	}
	p.record.add(c)
}

// admitLocked puts the request to the limits. If any denies it, none is charged
// but those that ChargeDenied means.
func (p *Provider) admitLocked(c *call, now int64) {
	p.tenant.actLocked(p, now)
	var applied [8]applying
	claims := applied[:0]
	worst := -1
	for _, l := range p.limits {
		if l.Match != nil && !l.Match(c.req) {
			continue
		}
		m, cost := l.meterFor(c.req, now), l.cost(c.Call)
		claims = append(claims, applying{l, m, cost, m.wait(now, cost)})
		if w := claims[len(claims)-1].wait; w > 0 && (worst < 0 || w > claims[worst].wait) {
			worst = len(claims) - 1
		}
	}
	for _, a := range claims {
		switch {
		case worst < 0:
			a.meter.charge(now, a.cost)
			if f, ok := a.meter.(*inFlight); ok {
				c.leaves = append(c.leaves, f)
			}
		case p.ChargeDenied && a.limit.Resource == "requests" && a.limit.Kind != InFlight:
			a.meter.charge(now, a.cost)
		}
	}
	server := p.server(now)
	for i, a := range claims {
		remaining, reset := a.meter.quota(now)
		q := Quota{Limit: a.limit.Limit, Remaining: remaining, Reset: time.Duration(reset), Requested: a.cost, Now: server}
		if worst >= 0 {
			// Of what was charged just now too: the wait of the next attempt.
			if q.Wait = time.Duration(a.wait); a.wait != never {
				q.Wait = time.Duration(a.meter.wait(now, a.cost))
			}
		}
		if i == worst {
			c.denied, c.quota, c.effect = true, q, a.limit.Deny
			if a.wait == never {
				c.effect = TooLarge
			}
		}
		if !a.limit.Silent && a.limit.Kind != InFlight {
			c.told = append(c.told, told{q, a.limit.names})
		}
	}
}

// applying is a limit that applies to a request.
type applying struct {
	limit *limiter
	meter meter
	cost  int64
	wait  int64
}

// leave ends a request's part in the limits on how many are in flight.
func (p *Provider) leave(c *call) {
	if len(c.leaves) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range c.leaves {
		f.count--
	}
	c.leaves = nil
}

// SetLimits replaces the limits while the provider runs. A limit that was there
// before, told by its Resource, Scope, Kind and Per, keeps what was used of it.
func (p *Provider) SetLimits(limits ...Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = p.limitersLocked(limits, p.nowLocked())
}

// SetFaults replaces the faults while the provider runs. Their times and numbers
// still count from the first request.
func (p *Provider) SetFaults(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nowLocked()
	p.faults = faults
}

// limiter is a limit and its meters.
type limiter struct {
	Limit
	clock  int64
	names  []string // of the dialect's fields
	single meter
	byKey  map[string]meter
}

// limitersLocked makes the limiters, with the state of those that were there.
func (p *Provider) limitersLocked(limits []Limit, now int64) []*limiter {
	out := make([]*limiter, 0, len(limits))
	kept := p.limits
	for _, l := range limits {
		l = l.unset()
		next := &limiter{Limit: l, clock: int64(p.Clock), names: p.dialect().namesFor(l.Resource)}
		for i, old := range kept {
			if old != nil && old.Resource == l.Resource && old.Scope == l.Scope && old.Kind == l.Kind && old.Per == l.Per {
				next.inherit(old, now)
				kept[i] = nil
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

func (l *limiter) meterFor(r *http.Request, now int64) meter {
	if l.By == nil {
		if l.single == nil {
			l.single = newMeter(l.Limit, now, l.clock)
		}
		return l.single
	}
	key := l.By(r)
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

// Tenant is another user of the same limits: every Every it sends, all at once,
// what its Share of the limit comes to in that time. Of each limit it takes what
// there is, and no more; it is charged for nothing else and counted nowhere. It
// applies to limits that do not count By something.
type Tenant struct {
	Share float64       // of each limit, 0 to 1; zero means there is no other tenant
	Every time.Duration // zero means 5 s
}

// tenancy is how far the tenant has come.
type tenancy struct {
	bursts int64 // that were due, from the first request on
}

// actLocked catches up on the bursts that were due, oldest first.
func (t *tenancy) actLocked(p *Provider, now int64) {
	if p.Tenant.Share <= 0 {
		return
	}
	every := int64(p.Tenant.Every)
	if every <= 0 {
		every = int64(5 * time.Second)
	}
	due := (now-p.origin)/every + 1
	for t.bursts = max(t.bursts, due-1000); t.bursts < due; t.bursts++ {
		at := p.origin + t.bursts*every
		for _, l := range p.limits {
			if l.By != nil || l.Kind == InFlight {
				continue
			}
			m := l.meterFor(nil, at)
			want := int64(p.Tenant.Share*float64(l.N)*float64(every)/float64(l.Per) + 0.5)
			left, _ := m.quota(at)
			for want = min(want, left); want > 0 && m.wait(at, want) > 0; want /= 2 {
			}
			if want > 0 {
				m.charge(at, want)
			}
		}
	}
}
