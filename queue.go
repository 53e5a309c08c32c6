package steadyhttp

import (
	"sync"
	"time"
)

// queue is the state of one key: its budgets, and the requests that wait for
// them. All that wait share one timer, and whatever is learned re-times them at
// once. A key on which nothing waits has neither timer nor goroutine.
type queue struct {
	mu      sync.Mutex
	ledger  ledger
	routes  []*route // most recently used first
	lines   []*line  // one for each scope with waiters
	waiting int
	timer   *time.Timer
	due     time.Time // of the timer; zero if it is not running
	soonest time.Time // when the first waiter gives up, or earlier; zero if none does
}

// waiter is a request in the queue.
type waiter struct {
	claim  claim
	order  time.Time
	giveUp time.Time  // refused when it is clear that this is missed; zero: never
	turn   chan error // gets nil on admission, or a refusal; nil if it need not wait
	line   *line      // nil once it has left
	weight cost       // what it counts for in it

	deadline bool // giveUp is that of its context, not of MaxWait
	admitted bool // it has its claim
}

// reason is why w is refused once it has to give up.
func (w *waiter) reason() string {
	if w.deadline {
		return "deadline"
	}
	return "wait"
}

// waiters keeps the memory of waiters that have come to an end.
var waiters = sync.Pool{New: func() any { return new(waiter) }}

// release gives w back, of which neither queue nor ledger know any more.
func (w *waiter) release() {
	*w = waiter{}
	waiters.Put(w)
}

// aging is the handicap of a batch call: after waiting that much longer than an
// interactive one it goes first, and a tenth of the budget is no longer kept
// from it.
const aging = 30 * time.Second

// request is what the queue needs to know of a request.
type request struct {
	cost   cost
	route  uint64
	batch  bool
	began  time.Time // when its call began
	denied time.Time // when that was denied before; zero if it never was
	odd    bool      // others were admitted between that and the one before

	maxWait  time.Duration // what is left of it; negative: no waiting at all
	deadline time.Time     // of its context; zero if none
	maxQueue int
	observe  bool
}

// admit sends a request to the budgets as w, which is zero: either it has its claim at once, or
// a place in the queue, or a refusal.
func (q *queue) admit(now time.Time, key string, w *waiter, r *request) (expected time.Duration, err *LimitError) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !r.batch {
		q.ledger.interactive = q.ledger.epoch.now(now)
	}
	w.order = r.began
	w.claim.cost, w.claim.route = r.cost, q.routeLocked(r.route)
	w.claim.batch, w.claim.overdue = r.batch, !r.batch && r.maxWait < 0
	if !r.denied.IsZero() {
		w.claim.denied, w.claim.odd = q.ledger.epoch.now(r.denied), r.odd
	}
	if r.batch {
		w.order = r.began.Add(aging)
		w.claim.batch = now.Before(w.order)
	}
	scope := w.claim.route.scope()
	l, place := q.placeLocked(scope, w.order)
	if l == nil && q.waiting > 0 {
		q.pumpLocked(now, key) // what is there is first for those of other scopes who wait for it
		scope = w.claim.route.scope()
		l, place = q.placeLocked(scope, w.order) // it may have moved some there
	}
	if l == nil || place == 0 || w.claim.overdue && q.ledger.cold() {
		if at, _, ok := q.ledger.take(now, &w.claim); ok {
			w.admitted = true
			return 0, nil
		} else if r.observe {
			q.ledger.charge(now, &w.claim)
			w.admitted = true
			return at.Sub(now), nil
		}
	} else if r.observe {
		at := q.ledger.when(now, l.ahead(place), &w.claim)
		q.ledger.charge(now, &w.claim)
		w.admitted = true
		return max(0, at.Sub(now)), nil
	}

	at := q.ledger.when(now, l.ahead(place), &w.claim)
	at = later(at, now)
	refuse := func(reason string) (time.Duration, *LimitError) {
		return 0, &LimitError{Key: key, RetryAt: at, Reason: reason}
	}
	if q.waiting >= r.maxQueue {
		return refuse("queue")
	}
	if !r.deadline.IsZero() {
		w.giveUp, w.deadline = r.deadline.Add(-w.claim.route.p95(now)), true
		if at.After(w.giveUp) {
			return refuse("deadline")
		}
	}
	if until := now.Add(r.maxWait); !r.batch && (w.giveUp.IsZero() || until.Before(w.giveUp)) {
		w.giveUp, w.deadline = until, false
		if r.maxWait < 0 || at.After(until) {
			return refuse("wait")
		}
	}
	w.turn = make(chan error, 1)
	q.insertLocked(scope, place, w)
	q.pumpLocked(now, key)
	return at.Sub(now), nil
}

// leave takes a waiter out, or, if it has been admitted, gives its claim back.
func (q *queue) leave(now time.Time, key string, w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case w.line != nil:
		q.removeLocked(w)
	case w.admitted:
		q.ledger.settle(now, &w.claim, &ending{unsent: true})
	}
	q.pumpLocked(now, key)
}

// settle ends an admitted request's claim.
func (q *queue) settle(now time.Time, key string, w *waiter, a *ending) (learned []Quota) {
	q.mu.Lock()
	defer q.mu.Unlock()
	scope, waiting := "", q.waiting > 0
	if waiting {
		scope = w.claim.route.scope()
	}
	changed := q.ledger.settle(now, &w.claim, a)
	if waiting && w.claim.route.scope() != scope {
		q.regroupLocked(w.claim.route)
	}
	if !a.unsent && (a.Class == ClassSuccess || a.Class == ClassTimeout) {
		w.claim.route.took(now, now.Sub(q.ledger.epoch.time(w.claim.sent)))
	}
	if changed && waiting {
		q.weighLocked()
	}
	if q.waiting > 0 {
		q.pumpLocked(now, key)
	}
	if changed {
		return q.ledger.quotas(now, w.claim.route)
	}
	return nil
}

func (q *queue) queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// heldUntil is when the last hold of the whole key ends.
func (q *queue) heldUntil() time.Time { return time.Unix(0, q.ledger.heldUntil.Load()) }

// readmit is what the denial of w comes to, and whether others were admitted since its
// call was denied before. It is wordless if the server said no more than that.
func (q *queue) readmit(now time.Time, w *waiter, wordless bool) (d denial, contrary bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := claim{cost: w.claim.cost, route: w.claim.route, batch: w.claim.batch}
	l, place := q.placeLocked(c.route.scope(), w.order)
	i := q.ledger.epoch.now(now)
	d.readmit = later(now, q.ledger.when(now, l.ahead(place), &c))
	if wordless {
		odds := q.ledger.oddsOf(i, c.route)
		d.apart = q.ledger.forWhatItIs(i, &w.claim)
		d.hopeless = d.apart || !odds.good()
		d.never = odds.never() && (c.route == nil || c.route.won == 0)
	}
	return d, q.ledger.contrary(i, &w.claim)
}

// tick is what the timer calls.
func (q *queue) tick(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = time.Time{}
	q.pumpLocked(time.Now(), key)
}

// pumpLocked admits every waiter whose time has come, refuses those whose time
// will not come before they give up, and sets the timer for the next.
func (q *queue) pumpLocked(now time.Time, key string) {
	next := now.Add(recheck)
	blocked := 0
	for blocked < len(q.lines) {
		// Budgets may be common to several lines: the oldest waiter goes first.
		var first *line
		for _, l := range q.lines[blocked:] {
			if first == nil || l.all[0].order.Before(first.all[0].order) {
				first = l
			}
		}
		head := first.all[0]
		if head.claim.route.scope() != first.scope { // it has changed since
			q.moveLocked(head)
			continue
		}
		if q.askLocked(now, head, blocked) {
			continue
		}
		at, retry, ok := q.takeLocked(now, head)
		if ok {
			continue
		}
		if retry.Before(next) {
			next = retry
		}
		if !q.soonest.IsZero() && (at.After(q.soonest) || !now.Before(q.soonest)) {
			q.sweepLocked(now, at, key, first)
		}
		if len(first.all) > 0 && first.all[0] == head {
			blocked = q.blockLocked(first, blocked)
		}
	}
	q.scheduleLocked(now, next, key)
}

// takeLocked admits a waiter if its time has come.
func (q *queue) takeLocked(now time.Time, w *waiter) (at, retry time.Time, ok bool) {
	w.claim.batch = w.claim.batch && now.Before(w.order)
	if at, retry, ok = q.ledger.take(now, &w.claim); ok {
		q.removeLocked(w)
		w.admitted = true
		w.turn <- nil
	}
	return at, retry, ok
}

// askLocked admits one request after a denial, in the place of head, which was denied,
// or whose route was: the oldest of a route that was not, else of a call that was not.
// Its answer tells whether the denials are for that one as well.
func (q *queue) askLocked(now time.Time, head *waiter, blocked int) bool {
	l, i := &q.ledger, q.ledger.epoch.now(now)
	p := l.pace
	if p == nil || p.streak == 0 || p.asked == p.cut || !head.claim.route.deniedSince(p) && head.claim.denied.IsZero() ||
		p.ready(i, 0).After(i) || i.Before(l.held) || l.maximum > 0 && l.inFlight >= l.maximum {
		return false
	}
	var w, sibling *waiter
	for _, line := range q.lines[blocked:] {
		for _, other := range line.all {
			r := other.claim.route
			if r.paceAlone(i).ready(i, 0).After(i) {
				continue
			}
			if other.claim.denied.IsZero() && (sibling == nil || other.order.Before(sibling.order)) {
				sibling = other
			}
			if !r.deniedSince(p) {
				if w == nil || other.order.Before(w.order) {
					w = other
				}
				break
			}
		}
	}
	if w == nil {
		w = sibling
	}
	if w == nil || w == head {
		return false
	}
	_, _, ok := q.takeLocked(now, w)
	if ok {
		p.asked = p.cut
	}
	return ok
}

// blockLocked moves a line whose first waiter cannot go to the front, among
// those that are done with.
func (q *queue) blockLocked(l *line, blocked int) int {
	for i := blocked; i < len(q.lines); i++ {
		if q.lines[i] == l {
			q.lines[blocked], q.lines[i] = l, q.lines[blocked]
			return blocked + 1
		}
	}
	return blocked
}

// overdueLocked admits a waiter whose MaxWait is over if all that has held it is
// that nothing has come back yet. What the server would say is worth the asking.
func (q *queue) overdueLocked(now time.Time, w *waiter) bool {
	if w.deadline || !q.ledger.cold() {
		return false
	}
	w.claim.overdue = true
	_, _, w.admitted = q.ledger.take(now, &w.claim)
	return w.admitted
}

// sweepLocked refuses the waiters of a line that will not have their turn in
// time, given when the first of them has.
func (q *queue) sweepLocked(now, at time.Time, key string, l *line) {
	for i := 0; i < len(l.all); {
		w := l.all[i]
		if w.giveUp.IsZero() || !at.After(w.giveUp) && now.Before(w.giveUp) {
			i++
			continue
		}
		q.removeLocked(w)
		if q.overdueLocked(now, w) {
			w.turn <- nil
		} else {
			w.turn <- &LimitError{Key: key, RetryAt: at, Reason: w.reason()}
		}
	}
	q.soonest = time.Time{}
	for _, l := range q.lines {
		for _, w := range l.all {
			q.soonest = sooner(q.soonest, w.giveUp)
		}
	}
}

// scheduleLocked sets the timer to at, or stops it if nothing waits.
func (q *queue) scheduleLocked(now, at time.Time, key string) {
	if q.waiting == 0 {
		if q.timer != nil {
			q.timer.Stop()
			q.timer = nil
		}
		q.due = time.Time{}
		return
	}
	at = sooner(at, q.soonest)
	if q.due.Equal(at) {
		return
	}
	q.due = at
	if in := max(at.Sub(now), time.Microsecond); q.timer == nil {
		q.timer = time.AfterFunc(in, func() { q.tick(key) })
	} else {
		q.timer.Reset(in)
	}
}

// routeLocked is the route of that id; a key keeps a bounded number of them.
func (q *queue) routeLocked(id uint64) *route {
	for i, r := range q.routes {
		if r.id == id {
			copy(q.routes[1:i+1], q.routes[:i])
			q.routes[0] = r
			return r
		}
	}
	if len(q.routes) < maxRoutes {
		q.routes = append(q.routes, nil)
	}
	copy(q.routes[1:], q.routes)
	q.routes[0] = &route{id: id}
	return q.routes[0]
}
