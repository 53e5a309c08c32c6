package steadyhttp

import (
	"slices"
	"sort"
	"time"
)

// line is the waiters of one scope, first come first served: the order is that
// in which their calls began, with a handicap for batch calls.
type line struct {
	scope string
	all   []*waiter
	cost  cost // of all, to those who come behind
}

// ahead is what those before a place cost together: exact in requests, and in
// tokens as if each cost the same.
func (l *line) ahead(place int) cost {
	if l == nil || place == 0 {
		return cost{}
	}
	if place == len(l.all) {
		return l.cost
	}
	share := float64(place) / float64(len(l.all))
	return cost{int64(place), Tokens{
		Input:  int64(share * float64(l.cost.tokens.Input)),
		Output: int64(share * float64(l.cost.tokens.Output)),
	}}
}

// placeLocked is where a waiter of that order would stand in the line of scope,
// which may be nil.
func (q *queue) placeLocked(scope string, order time.Time) (*line, int) {
	l := q.lineLocked(scope)
	if l == nil {
		return nil, 0
	}
	n := len(l.all)
	if n == 0 || !l.all[n-1].order.After(order) {
		return l, n
	}
	return l, sort.Search(n, func(i int) bool { return l.all[i].order.After(order) })
}

// lineLocked is the line of scope; nil if nobody waits in it.
func (q *queue) lineLocked(scope string) *line {
	for _, l := range q.lines {
		if l.scope == scope {
			return l
		}
	}
	return nil
}

func (q *queue) insertLocked(scope string, place int, w *waiter) {
	l := q.lineLocked(scope)
	if l == nil {
		l = &line{scope: scope}
		q.lines = append(q.lines, l)
	}
	l.all = slices.Insert(l.all, place, w)
	w.weight = q.ledger.weight(&w.claim)
	l.cost = l.cost.plus(w.weight)
	w.line = l
	q.waiting++
	q.soonest = sooner(q.soonest, w.giveUp)
}

func (q *queue) removeLocked(w *waiter) {
	l := w.line
	i := 0
	if l.all[0] != w {
		i = sort.Search(len(l.all), func(i int) bool { return !l.all[i].order.Before(w.order) })
		for l.all[i] != w {
			i++
		}
	}
	if i == 0 {
		l.all[0] = nil
		l.all = l.all[1:]
	} else {
		l.all = slices.Delete(l.all, i, i+1)
	}
	l.cost = l.cost.minus(w.weight)
	w.line = nil
	q.waiting--
	if len(l.all) == 0 {
		q.lines = slices.DeleteFunc(q.lines, func(have *line) bool { return have == l })
	}
}

// moveLocked moves a waiter to the line of its route.
func (q *queue) moveLocked(w *waiter) {
	q.removeLocked(w)
	scope := w.claim.route.scope()
	_, place := q.placeLocked(scope, w.order)
	q.insertLocked(scope, place, w)
}

// regroupLocked moves all waiters of r to its line.
func (q *queue) regroupLocked(r *route) {
	var moved []*waiter
	scope := r.scope()
	for _, l := range q.lines {
		for _, w := range l.all {
			if w.claim.route == r && l.scope != scope {
				moved = append(moved, w)
			}
		}
	}
	for _, w := range moved {
		q.moveLocked(w)
	}
}

// weighLocked counts anew what the waiters of each line cost those behind them, by
// limits that were learned since they came.
func (q *queue) weighLocked() {
	for _, l := range q.lines {
		l.cost = cost{}
		for _, w := range l.all {
			w.weight = q.ledger.weight(&w.claim)
			l.cost = l.cost.plus(w.weight)
		}
	}
}
