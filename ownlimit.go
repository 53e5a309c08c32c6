package steadyhttp

import (
	"math"
	"time"
)

// Denials that no header explains may be for all requests of a key, or for those of
// one route: an endpoint with a limit of its own. Nothing says which. So the key is
// slowed down, and what becomes of each route is set against what becomes of all
// others at the same time.

const (
	// oddEnough is by which power of e, here 400 times, a record is likelier if its
	// requests have a limit of their own than if they share that of the rest. That is
	// looked at after each denial, so that much less would be found by chance.
	oddEnough = 6

	oddDenials = 3 // the fewest that speak for a limit of a route

	// meanwhile is how long after the last denial a request may be sent to be set
	// against it when it is admitted.
	meanwhile = time.Minute
)

// record is what became of requests while a key is slowed down. Denials in a row are
// one: they may be for the same reason.
type record struct{ denied, admitted float64 }

func (r record) total() float64 { return r.denied + r.admitted }

func (r record) without(o record) record {
	return record{r.denied - o.denied, r.admitted - o.admitted}
}

// oddBeside tells whether requests are denied so much more often than the rest that
// they must have a limit of their own.
func (r record) oddBeside(rest record) bool {
	all := record{r.denied + rest.denied, r.admitted + rest.admitted}
	return r.denied >= oddDenials && r.denied*all.admitted > all.denied*r.admitted &&
		r.likelihood()+rest.likelihood()-all.likelihood() > oddEnough
}

// likelihood is the logarithm of how likely the record is if each request is denied
// with the same chance, the likeliest there is.
func (r record) likelihood() float64 {
	part := func(n float64) float64 {
		if n == 0 {
			return 0
		}
		return n * math.Log(n/r.total())
	}
	return part(r.denied) + part(r.admitted)
}

// ownLimit is what speaks for a limit of a single route or against it, and what was
// found of it.
type ownLimit struct {
	of     *pace  // of the key
	record record // since that began
	streak int    // the last in which the route was denied

	pace *pace   // nil until it is clear that there is one
	held instant // nothing is sent before
	odds odds
}

// ownSince is what is known of a limit of r alone since its key has the pace p.
func (r *route) ownSince(p *pace) *ownLimit {
	if r == nil {
		return &ownLimit{of: p}
	}
	if r.own == nil {
		r.own = &ownLimit{}
	}
	if own := r.own; own.of != p {
		own.of, own.record, own.streak = p, record{}, 0
	}
	return r.own
}

// deniedSince tells whether a request of r was denied since its key has the pace p.
func (r *route) deniedSince(p *pace) bool {
	return r != nil && r.own != nil && r.own.of == p && r.own.record.denied > 0
}

// paceAlone is the pace of r alone; nil if it has none.
func (r *route) paceAlone(now instant) *pace {
	if r == nil || r.own == nil {
		return nil
	}
	if r.own.pace.over(now) && !now.Before(r.own.held) {
		r.own.pace = nil
	}
	return r.own.pace
}

// oddsOf are the odds of a request of r.
func (l *ledger) oddsOf(now instant, r *route) *odds {
	if r.paceAlone(now) != nil {
		return &r.own.odds
	}
	return &l.odds
}

// slow slows the key down after the denial of c, or its route if it is that.
func (l *ledger) slow(now instant, c *claim) *pace {
	perSecond := l.rate(now)
	if p := c.route.paceAlone(now); p != nil {
		p.denied(now, c.sent, perSecond)
		return p
	}
	if l.pace == nil {
		l.pace = newPace(now, perSecond, l.began, float64(l.total.requests)-float64(l.inFlight))
	} else if !l.pace.denied(now, c.sent, perSecond) {
		return l.pace
	}
	return l.blame(now, c.route, perSecond)
}

// blame enters a denial of r in the records. If that shows a limit of r alone, it
// gets a pace of its own, and the key keeps one only if others were denied as well.
func (l *ledger) blame(now instant, r *route, perSecond float64) *pace {
	p, own := l.pace, r.ownSince(l.pace)
	if own.streak == p.streaks {
		return p // once in each streak
	}
	own.streak = p.streaks
	own.record.denied++
	p.all.denied++
	if !own.record.oddBeside(p.all.without(own.record)) {
		return p
	}
	own.pace = newPace(now, perSecond*own.record.total()/p.all.total(), l.began, r.won)
	own.odds = odds{won: int32(own.record.admitted)}
	p.all, own.record = p.all.without(own.record), record{}
	if l.pace = nil; p.all.denied > 0 {
		l.pace = p
		p.resume(now)
	}
	return own.pace
}

// admitted notes that the server did not deny c.
func (l *ledger) admitted(now instant, c *claim) {
	alone, p := c.route.paceAlone(now), l.pace
	of := p
	if alone != nil {
		of = alone
	}
	if of.asking() && !c.sent.Before(of.cut) && l.oddsOf(now, c.route).picky {
		of.overrule(now)
	}
	alone.admitted(now, c.sent)
	p.admitted(now, c.sent)
	if c.route != nil {
		c.route.won++
	}
	if p != nil && alone == nil && c.sent.Sub(p.cut) <= meanwhile {
		p.all.admitted++
		c.route.ownSince(p).record.admitted++
	}
}

// paced is when c can go behind others ahead of it by the pace of its key and that of
// its route. How many those are tells nothing where the rate does not: it is not known
// when a spent window ends, if there is hope that it does, nor, for a route that was
// not denied itself, whether the denials of others are for it as well.
func (l *ledger) paced(now instant, ahead cost, c *claim) instant {
	key, own := float64(ahead.requests), float64(ahead.requests)
	if l.pace.asking() && l.odds.good() || l.pace != nil && !c.route.deniedSince(l.pace) {
		key = 0
	}
	alone := c.route.paceAlone(now)
	if alone.asking() && l.oddsOf(now, c.route).good() {
		own = 0
	}
	at := max(l.pace.ready(now, key), alone.ready(now, own))
	if alone != nil {
		at = max(at, c.route.own.held)
	}
	return at
}
