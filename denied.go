package steadyhttp

import "time"

// odds are whether a denied request will ever be admitted. A server that denied
// all it was ever asked is not waited for as one is that admits at some rate.
type odds struct {
	won    int32   // requests that were not denied
	rounds int16   // of denials since the last of those: the denials of one round trip are one
	vain   int8    // rounds of denials of calls that had been denied before, since one of those was not
	picky  bool    // after so many in vain one that had not been denied was admitted
	round  instant // when the last round was
}

// vainEnough denials in a row of calls that had been denied before, 7 s of them and more
// where nobody else is to be asked, speak for themselves once another call is admitted.
const vainEnough = 6

func (o *odds) admitted() {
	o.won, o.rounds = min(o.won, 1<<30)+1, 0
}

// retried notes the answer to c: the server is picky as long as it admits others but
// never one that it has denied. A window that has ended admits those as well.
func (o *odds) retried(c *claim, denied bool) {
	switch again := !c.denied.IsZero(); {
	case denied && again && c.sent.After(o.round):
		o.vain = min(o.vain+1, vainEnough)
	case denied:
	case again:
		o.vain, o.picky = 0, false
	case o.vain >= vainEnough && c.sent.After(o.round):
		o.picky = true
	}
}

func (o *odds) denied(now, sent instant) {
	if o.round.IsZero() || sent.After(o.round) {
		o.rounds, o.round = min(o.rounds, 1<<14)+1, now
	}
}

// good tells whether it is worth waiting, without counting the attempts.
func (o *odds) good() bool { return 4*int32(o.rounds) <= o.won+3 }

// never tells whether nothing was ever admitted, however often it was asked for.
func (o *odds) never() bool { return o.won == 0 && o.rounds > paceStreak }

// obey acts on an answer that says to stay away: it holds the whole key, or a route
// that alone is denied, until the time that the server stated, and finds what no
// header explains.
func (l *ledger) obey(now instant, c *claim, a *ending, spoken []*budget) {
	retryAt := l.epoch.instant(a.RetryAt)
	// A time that has come is a permission, not a schedule.
	stated := retryAt.After(now) && (a.stated || !derived(a.RetryAt, a.Quotas))
	switch a.Class {
	case ClassRateLimited:
		o := l.oddsOf(now, c.route)
		o.retried(c, true)
		o.denied(now, c.sent)
		if stated {
			l.holdFor(now, c.route, retryAt)
		}
		l.deny(now, c, a, spoken, stated)
	case ClassOverloaded, ClassQuotaExhausted:
		if stated {
			l.hold(now, retryAt)
		}
	case ClassNetwork, ClassTimeout, ClassCanceled, ClassServerError: // whether it was admitted is not known
		if !c.denied.IsZero() {
			l.oddsOf(now, c.route).retried(c, false)
		}
	default:
		o := l.oddsOf(now, c.route)
		o.retried(c, false)
		o.admitted()
		l.admitted(now, c)
	}
}

// deny finds what a denial shows that the budgets do not know yet: that the
// server enforces a shorter window than it says, or that it has a limit of which
// it says nothing.
func (l *ledger) deny(now instant, c *claim, a *ending, spoken []*budget, stated bool) {
	if l.explains(c, a) {
		if at, _ := l.check(now, cost{}, c, nil); at.After(now) && !(stated && mute(spoken)) {
			return
		}
	} else if b := strict(spoken); b != nil {
		if b.smooth == nil {
			b.smooth = &smoothing{}
		}
		if b.smooth.strike(now, c.sent, b.perSecondOverall()) {
			return
		}
	}
	if !stated && !a.RetryAt.IsZero() {
		l.holdFor(now, c.route, l.epoch.instant(a.RetryAt))
	}
	if !stated && l.forWhatItIs(now, c) {
		return
	}
	p := l.slow(now, c)
	if stated || a.stated && p.cut == now && p.streak == 1 && p.streaks == 1 {
		p.refund() // one may go at the time that the server named; now, if it says so the first time
	}
}

// forWhatItIs tells whether c is denied once more while others are admitted.
func (l *ledger) forWhatItIs(now instant, c *claim) bool {
	return c.odd && l.contrary(now, c) || !c.denied.IsZero() && l.oddsOf(now, c.route).picky
}

// contrary tells whether others were sent and admitted since the call of c was denied before.
func (l *ledger) contrary(now instant, c *claim) bool {
	p := c.route.paceAlone(now)
	if p == nil {
		p = l.pace
	}
	return p != nil && !c.denied.IsZero() && p.latest.After(c.denied)
}

// explains tells whether what the answer says is left is so little that c was
// denied for it, or, if it says nothing, whether a budget knows.
func (l *ledger) explains(c *claim, a *ending) bool {
	if len(a.Quotas) == 0 {
		return l.spent(c)
	}
	for i := range a.Quotas {
		q := &a.Quotas[i]
		cost := c.cost.of(q.Resource)
		if q.Remaining < 0 || q.Resource != "requests" && cost == 0 {
			continue
		}
		need := max(2, float64(q.Limit)*0.02)
		if q.Resource != "requests" {
			need = max(cost, float64(q.Limit)/2) // the server may have counted more tokens than the estimate
		}
		if float64(q.Remaining) < need {
			return true
		}
	}
	return false
}

// mute tells whether all that an answer spoke of is told by denials alone. How such a
// limit refills nobody knows, so that its rate has to be found.
func mute(spoken []*budget) bool {
	for _, b := range spoken {
		if !b.mute {
			return false
		}
	}
	return len(spoken) > 0
}

// strict is the budget of requests, if its rate is known.
func strict(spoken []*budget) *budget {
	for _, b := range spoken {
		if b.resource == "requests" && b.perSecondOverall() > 0 {
			return b
		}
	}
	return nil
}

// rate is how many requests a second were sent of late, while they might be.
func (l *ledger) rate(now instant) float64 {
	since, before := l.lagging[0].at, l.lagging[0].total.requests
	if l.resumed.at.After(since) {
		since, before = l.resumed.at, l.resumed.total
	}
	return float64(l.total.requests-before) / max(now.Sub(since), reorder).Seconds()
}

// spent tells whether the last word of the headers was that next to nothing is
// left for such a request. Some servers send them with all answers but denials.
func (l *ledger) spent(c *claim) bool {
	for _, b := range l.budgets {
		if b.limit > 0 && c.route.has(b.scope) && b.best < max(2, b.limit*0.02, c.cost.of(b.resource)) {
			return true
		}
	}
	return false
}

// derived tells whether a time to come back may be only the reset of a quota, which
// its budget knows more about. A Classify of the user's own does not say.
func derived(at time.Time, quotas []Quota) bool {
	for i := range quotas {
		if q := &quotas[i]; q.Reset.Equal(at) && q.Remaining <= 0 {
			return true
		}
	}
	return false
}

// throttles tells whether answers of a class speak of limits because one was met.
func throttles(class Class) bool {
	return class == ClassRateLimited || class == ClassQuotaExhausted || class == ClassOverloaded
}

// holdFor holds the key, or if r has a limit of its own r alone.
func (l *ledger) holdFor(now instant, r *route, until instant) {
	if r.paceAlone(now) != nil {
		r.own.held = max(r.own.held, min(until, now.Add(neverSoon)))
		return
	}
	l.hold(now, until)
}

func (l *ledger) hold(now, until instant) {
	if until.After(now.Add(neverSoon)) {
		until = now.Add(neverSoon)
	}
	l.held = max(l.held, until)
	l.heldUntil.Store(l.epoch.time(l.held).UnixNano())
}
