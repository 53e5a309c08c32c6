package steadyhttp

import (
	"flag"
	"fmt"
	"net/http"
)

// Soak asks for the long form of the tests that have one.
var Soak = flag.Bool("soak", false, "run the long form of the soak test and its kin")

// Leftovers lists what calls have left behind in the layers of rt: claims, places
// in queues, timers, slots of probes, pins. When no call is under way there is
// nothing.
func Leftovers(rt http.RoundTripper) (found []string) {
	add := func(layer, key, what string, n int) {
		if n != 0 {
			found = append(found, fmt.Sprintf("%s, %q: %s: %d", layer, key, what, n))
		}
	}
	for {
		switch l := rt.(type) {
		case *Classifier:
			rt = l.Base
		case *traced:
			rt = l.base
		case *Limiter:
			for _, e := range entriesOf(&l.keys) {
				q := e.value
				q.mu.Lock()
				add("Limiter", e.key, "uses", int(e.pins.Load()))
				add("Limiter", e.key, "claims in flight", q.ledger.inFlight)
				add("Limiter", e.key, "waiters", q.waiting)
				add("Limiter", e.key, "lines", len(q.lines))
				if q.ledger.first != nil || q.ledger.last != nil || q.ledger.fresh != nil {
					add("Limiter", e.key, "claims in the list", 1)
				}
				for _, b := range q.ledger.budgets {
					if b.first != nil || b.probe != nil {
						add("Limiter", e.key, "claims that a budget knows of", 1)
					}
					add("Limiter", e.key, "pending in "+b.resource, int(b.pending))
				}
				if !q.due.IsZero() {
					add("Limiter", e.key, "timer", 1)
				}
				q.mu.Unlock()
			}
			rt = l.Base
		case *Breaker:
			for _, e := range entriesOf(&l.circuits) {
				c := e.value
				c.mu.Lock()
				add("Breaker", e.key, "uses", int(e.pins.Load()))
				add("Breaker", e.key, "probes", len(c.probes))
				n := c.engine.Counts()
				if c.state == StateHalfOpen {
					add("Breaker", e.key, "slots", int(n.Requests-n.TotalExclusions-n.TotalSuccesses))
				}
				c.mu.Unlock()
			}
			rt = l.Base
		case *Retrier:
			for _, e := range entriesOf(&l.hosts) {
				add("Retrier", e.key, "uses", int(e.pins.Load()))
				add("Retrier", e.key, "calls that wait for a circuit", int(e.value.waiting.Load()))
			}
			rt = l.Base
		default:
			return found
		}
	}
}

func entriesOf[V any](c *lru[V]) (all []*lruEntry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		all = append(all, e)
	}
	return all
}
