package steadyhttp

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// budgets is what a Limiter's queue asks about one key: two atomic steps and a
// forecast, so that a store which many processes share can take the place of
// the ledger below.
type budgets interface {
	// take charges c if it may be sent now. If not, it returns when it could be as
	// far as is known, and when to ask again.
	take(now time.Time, c *claim) (at, retry time.Time, ok bool)
	// when is the forecast for c behind others that cost ahead in all.
	when(now time.Time, ahead cost, c *claim) time.Time
	// charge takes c's cost whether it is there or not.
	charge(now time.Time, c *claim)
	// settle ends c with what its answer said.
	settle(now time.Time, c *claim, a *ending) (learned bool)
	// quotas is what is believed to be left for requests of a route.
	quotas(now time.Time, r *route) []Quota
}

var _ budgets = (*ledger)(nil)

// claim is one request's part in a ledger, from admission to its answer.
type claim struct {
	cost  cost
	route *route

	denied     instant // when its call was denied before; zero if it never was
	odd        bool    // others were admitted between that and the one before
	sent       instant
	total      cost   // of everything sent up to and with it
	settled    cost   // of what was sent so long before it that the server has surely counted that
	after      cost   // of what was sent so shortly after it that the server may have counted that
	unseen     uint16 // the budgets, by their bits, whose last word may not include it
	closed     bool   // after is final
	batch      bool   // it leaves a tenth to interactive ones
	overdue    bool   // its caller waits no longer: that nothing is known yet does not hold it
	prev, next *claim
}

// ending is how a request ended.
type ending struct {
	Outcome
	date   time.Time // of the server's clock; zero if not stated
	unsent bool      // nothing reached the server
}

// ledger keeps the budgets of one key. It is used under its queue's lock.
type ledger struct {
	ceilings []ceiling
	budgets  []*budget
	epoch    epoch
	clock    serverClock
	pace     *pace
	held     instant // nothing is sent before
	resumed  resumption
	stated   statedLimit
	inFlight int
	maximum  int // of inFlight; zero means none

	first, last *claim // the unanswered, in the order of sending
	fresh       *claim // the first of them that is not closed
	total       cost
	lagging     [2]mark // of total, reorder or more ago
	began       instant // when the first request was sent
	lastSent    instant
	interactive instant // when an interactive call was last seen
	odds        odds

	// To be read without the queue's lock.
	heldUntil atomic.Int64 // held, in nanoseconds since 1970
	tokenless atomic.Bool  // the server has served a request, and neither it nor the user counts tokens

	answered bool // there has been a response of any kind
	served   bool // there has been a success
}

// mark is the ledger's total at a time.
type mark struct {
	at    instant
	total cost
}

// resumption is the end of the last hold, or silence, after which something was sent.
type resumption struct {
	at    instant
	total int64 // of requests, before that
}

// ceiling is a configured Rate.
type ceiling struct {
	resource string
	bucket   tokenBucket
}

const (
	coldStart   = 8           // requests in flight before the first response
	maxHold     = time.Hour   // nothing holds a key for longer without asking
	keptFor     = time.Minute // how long a tenth is kept for interactive calls
	maxBudgets  = 16          // of one key
	maxRoutes   = 64          // of one key
	longSilence = 5 * time.Minute
	recheck     = time.Second    // a limiter that stops sending stops learning
	staleBudget = 25 * time.Hour // a budget that no header has mentioned for so long is forgotten
	neverSoon   = 366 * 24 * time.Hour
)

// spare is what must remain of b after a claim.
func (l *ledger) spare(now instant, b *budget, c *claim) float64 {
	spare := b.margin()
	if c.batch && !l.interactive.IsZero() && now.Sub(l.interactive) < keptFor {
		spare += float64(int64(b.limit) / 10)
	}
	return spare
}

// when is how early c can be sent behind others that cost ahead, as far as that
// is known. It is the latest that any budget, ceiling or hold says.
func (l *ledger) when(now time.Time, ahead cost, c *claim) time.Time {
	at, _ := l.check(l.epoch.now(now), ahead, c, nil)
	return l.epoch.time(at)
}

// weight is what c costs those who wait behind it: no tokens if it seems to ask for
// more of them than there ever are, since then the server will deny it.
func (l *ledger) weight(c *claim) cost {
	for _, b := range l.budgets {
		if countsTokens(b.resource) && b.limit > 0 && c.cost.of(b.resource) > b.limit && c.route.has(b.scope) {
			return cost{requests: c.cost.requests}
		}
	}
	return c.cost
}

// check is when, with the time to look again if c depends on an answer besides.
// It calls probe for each budget for which c would be a probe.
func (l *ledger) check(now instant, ahead cost, c *claim, probe func(*budget)) (at, retry instant) {
	at = max(now, l.held)
	for _, b := range l.budgets {
		if !c.route.has(b.scope) {
			continue
		}
		r := b.ready(now, ahead.of(b.resource), c.cost.of(b.resource), l.spare(now, b, c))
		at, retry = max(at, r.at), max(retry, r.retry)
		if r.probe && probe != nil {
			probe(b)
		}
		if b.resource == "requests" {
			at = max(at, b.smooth.ready(now, float64(ahead.requests), b.limit))
		}
	}
	if l.pace.over(now) {
		l.pace = nil
	}
	at = max(at, l.paced(now, ahead, c))
	// Daily limits exist, and so do absurd values: ask the server again once an
	// hour. What the user has configured holds for as long as it says.
	if ask := l.lastSent.Add(maxHold); at.After(ask) && !l.lastSent.IsZero() {
		at = max(now, ask)
	}
	for i := range l.ceilings {
		k := &l.ceilings[i]
		at = max(at, k.bucket.ready(now, ahead.of(k.resource), c.cost.of(k.resource)))
	}
	if l.maximum > 0 && l.inFlight >= l.maximum {
		retry = max(retry, now.Add(recheck))
	}
	if l.cold() && !c.overdue {
		if beyond := l.inFlight - coldStart; beyond >= int(now.Sub(l.began)/time.Second) {
			retry = max(retry, l.began.Add(time.Duration(beyond+1)*time.Second))
		}
	}
	return at, retry
}

// cold tells whether there are requests in flight, and nothing has come back yet.
func (l *ledger) cold() bool { return !l.answered && l.first != nil }

// take charges c everywhere if it may be sent now.
func (l *ledger) take(now time.Time, c *claim) (at, retry time.Time, ok bool) {
	var probes [4]*budget
	n, i := 0, l.epoch.now(now)
	ready, look := l.check(i, cost{}, c, func(b *budget) {
		if n < len(probes) {
			probes[n], n = b, n+1
		}
	})
	if ready.After(i) || look.After(i) {
		return l.epoch.time(ready), l.epoch.time(max(ready, look)), false
	}
	l.send(i, c, probes[:n])
	return now, now, true
}

// charge takes c's cost from everything, whether it is there or not.
func (l *ledger) charge(now time.Time, c *claim) { l.send(l.epoch.now(now), c, nil) }

// send charges c, which is about to be sent, and is a probe of some budgets.
func (l *ledger) send(now instant, c *claim, probes []*budget) {
	l.close(now)
	if now.Sub(l.lagging[1].at) >= reorder {
		l.lagging = [2]mark{l.lagging[1], {now, l.total}}
	}
	c.settled = l.lagging[0].total
	switch {
	case l.held.After(l.resumed.at) && !now.Before(l.held):
		l.resumed = resumption{l.held, l.total.requests}
	case now.Sub(l.lastSent) > longSilence:
		l.resumed = resumption{now, l.total.requests}
	}
	l.total = l.total.plus(c.cost)
	c.sent, c.total, c.prev = now, l.total, l.last
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
	if l.fresh == nil {
		l.fresh = c
	}
	l.inFlight++
	if l.began.IsZero() {
		l.began = now
	}
	l.lastSent = now
	for i := range l.ceilings {
		k := &l.ceilings[i]
		k.bucket.take(now, c.cost.of(k.resource))
	}
	for _, b := range l.budgets {
		if !c.route.has(b.scope) {
			continue
		}
		b.take(now, c, slices.Contains(probes, b))
		b.smooth.take(now)
	}
	l.pace.take(now)
	c.route.paceAlone(now).take(now)
}

// close notes for each unanswered claim what had been sent until reorder after it.
func (l *ledger) close(now instant) {
	for l.fresh != nil && now.Sub(l.fresh.sent) >= reorder {
		l.fresh.after, l.fresh.closed = l.total, true
		l.fresh = l.fresh.next
	}
}

// settle ends c. Every budget that the answer speaks of takes it over; in every
// other c stays charged, unless nothing was sent.
func (l *ledger) settle(at time.Time, c *claim, a *ending) (learned bool) {
	now := l.epoch.now(at)
	l.inFlight--
	l.close(now)
	if !c.closed {
		c.after = l.total
	}
	if a.unsent {
		l.refund(c)
		l.unlink(c)
		return false
	}
	if a.Class != ClassNetwork && a.Class != ClassTimeout && a.Class != ClassCanceled {
		l.answered = true
	}
	if !a.date.IsZero() {
		l.clock.learn(l.epoch.instant(a.date), c.sent, now)
	}
	a.Quotas = l.tellApart(c, a.Quotas)
	c.route.answered(a.Quotas)
	var spoken [maxBudgets]*budget
	n := 0
	for i := range a.Quotas {
		twin, outdone := twinOf(a.Quotas, i)
		if outdone {
			continue
		}
		if b, changed := l.read(now, c, &a.Quotas[i], twin, a.Class == ClassRateLimited); b != nil && n < maxBudgets {
			spoken[n], n = b, n+1
			learned = learned || changed
			if !throttles(a.Class) {
				b.told, b.mute = true, false
			}
		}
	}
	if a.Class == ClassSuccess && !l.served {
		l.served = true
		l.noteTokens()
	}
	gone := false
	for _, b := range l.budgets { // of every scope: c may be the first unanswered that b looks at
		spoke := slices.Contains(spoken[:n], b)
		if !spoke && a.Class == ClassSuccess && c.route.has(b.scope) {
			b.granted(c)
			switch {
			case !b.hushed(now):
			case b.replacedBy(spoken[:n]):
				gone = true
			default:
				b.told = false // from now on in denials alone, if at all
			}
		}
		b.drop(c, !spoke)
	}
	if gone {
		l.budgets = slices.DeleteFunc(l.budgets, func(b *budget) bool { return b.hushed(now) && b.replacedBy(spoken[:n]) })
		l.noteTokens()
	}
	l.unlink(c)
	l.obey(now, c, a, spoken[:n])
	return learned
}

// noteTokens is called when what tokenless says may have changed.
func (l *ledger) noteTokens() {
	counted := !l.served
	for _, b := range l.budgets {
		counted = counted || countsTokens(b.resource)
	}
	for i := range l.ceilings {
		counted = counted || countsTokens(l.ceilings[i].resource)
	}
	l.tokenless.Store(!counted)
}

// twinOf tells whether there is another quota of the same resource, scope and window as
// the one at i, as a gateway has beside the API behind it, and whether one of the same
// dialect leaves less.
func twinOf(quotas []Quota, i int) (twin, outdone bool) {
	q := &quotas[i]
	for j := range quotas {
		o := &quotas[j]
		if j == i || o.Resource != q.Resource || o.Scope != q.Scope || o.Window != q.Window {
			continue
		}
		twin = true
		if o.dialect == q.dialect && o.Remaining >= 0 && (q.Remaining < 0 || o.Remaining < q.Remaining || o.Remaining == q.Remaining && j < i) {
			outdone = true
		}
	}
	return twin, outdone
}

// read takes what one quota of an answer says into its budget, made if it is
// missing. One without a twin is of the same limit in whatever dialect it is told.
func (l *ledger) read(now instant, c *claim, q *Quota, twin, denied bool) (b *budget, changed bool) {
	id := budgetID{q.Scope, q.Resource, q.Window}
	for _, have := range l.budgets {
		if have.budgetID != id {
			continue
		}
		if have.dialect == q.dialect {
			b = have
			break
		}
		if b == nil && !twin {
			b = have
		}
	}
	if b == nil {
		if q.Limit == 0 || q.Remaining < 0 && (q.Limit < 0 || q.Window <= 0) {
			return nil, false // nothing that could ever admit a request, or that could be told to be spent
		}
		if b = l.adopt(now, id); b == nil {
			return nil, false
		}
		b.dialect = q.dialect
	}
	r := reading{
		limit: float64(q.Limit), remaining: float64(q.Remaining),
		sent: c.sent, arrived: now, resolution: b.finest(q.resolution),
		spent: c.total.of(id.resource), settled: c.settled.of(id.resource), after: c.after.of(id.resource), denied: denied,
	}
	if !q.Reset.IsZero() {
		r.reset = l.resetOf(now, c.sent, q, r.resolution)
	}
	changed = b.observe(&r)
	b.drop(c, r.remaining < 0)
	return b, changed
}

// resetOf is when q's reset is on this machine's clock. A delay counts from the
// sending, since that is closer to the admission than the arrival is; an
// absolute time is the server's, whose clock may be off.
func (l *ledger) resetOf(now, sent instant, q *Quota, resolution time.Duration) timeSpan {
	reset := l.epoch.instant(q.Reset)
	switch {
	case q.absolute.IsZero():
		left := reset.Sub(now)
		if resolution > 0 {
			left = left.Round(resolution)
		}
		at := sent.Add(left)
		return timeSpan{at, at.Add(min(now.Sub(sent), jitter) / 2)}.widened(resolution)
	case l.clock.known:
		return l.clock.local(l.epoch.instant(q.absolute)).widened(resolution)
	}
	return timeSpan{reset, reset}.widened(resolution)
}

// adopt makes room for a budget that the server has not mentioned before. It is
// nil if there are too many.
func (l *ledger) adopt(now instant, id budgetID) *budget {
	if len(l.budgets) >= maxBudgets {
		for i, b := range l.budgets {
			if now.Sub(b.updated) > staleBudget {
				l.budgets = slices.Delete(l.budgets, i, i+1)
				break
			}
		}
	}
	var used uint16
	for _, b := range l.budgets {
		used |= b.bit
	}
	bit := ^used & (used + 1) // the lowest that is free
	if bit == 0 {
		return nil
	}
	// What is kept is not to keep the whole of the header that it was part of.
	id.scope, id.resource = strings.Clone(id.scope), strings.Clone(id.resource)
	b := &budget{budgetID: id, bit: bit}
	l.budgets = append(l.budgets, b)
	l.noteTokens()
	for c := l.first; c != nil; c = c.next {
		c.unseen &^= bit
		if c.route.has(id.scope) {
			b.take(now, c, false)
		}
	}
	return b
}

// refund undoes the charge of a request that was never sent.
func (l *ledger) refund(c *claim) {
	for i := range l.ceilings {
		k := &l.ceilings[i]
		k.bucket.refund(c.cost.of(k.resource))
	}
	for _, b := range l.budgets {
		b.drop(c, false)
		if c.route.has(b.scope) {
			b.smooth.refund()
		}
	}
	l.pace.refund()
	c.route.paceAlone(c.sent).refund()
}

func (l *ledger) unlink(c *claim) {
	if l.fresh == c {
		l.fresh = c.next
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next = nil, nil
}

// quotas is what the ledger believes is left.
func (l *ledger) quotas(at time.Time, r *route) []Quota {
	now := l.epoch.now(at)
	var out []Quota
	for _, b := range l.budgets {
		if r.has(b.scope) {
			q, reset := b.quota(now)
			q.Reset = l.epoch.time(reset)
			out = append(out, q)
		}
	}
	for i := range l.ceilings {
		k := &l.ceilings[i]
		perSecond, burst := float64(k.bucket.lim.Limit()), float64(k.bucket.lim.Burst())
		level := k.bucket.level(now)
		out = append(out, Quota{
			Resource: k.resource, Window: secondsOf(burst / perSecond).Round(time.Millisecond),
			Limit: int64(burst), Remaining: max(0, int64(level)),
			Reset: at.Add(secondsOf((burst - level) / perSecond)),
		})
	}
	return out
}
