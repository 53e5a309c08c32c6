package steadyhttp

import (
	"sync"
	"sync/atomic"
)

// maxKeys is how many keys or hosts each layer remembers.
const maxKeys = 10_000

// lru keeps the state of the most recently used keys, at most maxKeys of them.
// A value that is held by an acquire without its release, or for which busy is
// true, is evicted last. It serves any number of goroutines.
type lru[V any] struct {
	make func(key string) V
	busy func(V) bool // called with no lock but the lru's own; nil means never

	mu      sync.Mutex
	max     int // at least 1; zero means maxKeys
	entries map[string]*lruEntry[V]
	recent  lruList[V] // most recently used first
	held    lruList[V] // those that were found busy when there was no room
	pinned  lruList[V] // … or pinned
}

type lruEntry[V any] struct {
	value      V
	key        string
	pins       atomic.Int32
	aside      atomic.Bool // it is or was in pinned: its last release takes it back
	prev, next *lruEntry[V]
	list       *lruList[V] // nil once evicted
}

// acquire returns the entry of key, made if it is missing, and pins it until
// release.
func (c *lru[V]) acquire(key []byte) *lruEntry[V] {
	c.mu.Lock()
	e := c.useLocked(key)
	e.pins.Add(1)
	c.mu.Unlock()
	return e
}

// get returns the entry of key, made if it is missing, and does not pin it.
func (c *lru[V]) get(key []byte) *lruEntry[V] {
	c.mu.Lock()
	e := c.useLocked(key)
	c.mu.Unlock()
	return e
}

// latest is the entry that was used last; nil if there is none.
func (c *lru[V]) latest() *lruEntry[V] {
	c.mu.Lock()
	e := c.recent.front
	c.mu.Unlock()
	return e
}

// useLocked returns the entry of key, made if it is missing, as the most recent.
func (c *lru[V]) useLocked(key []byte) *lruEntry[V] {
	if e := c.recent.front; e != nil && e.key == string(key) { // most programs use one
		return e
	}
	e := c.entries[string(key)]
	if e == nil {
		key := string(key)
		e = &lruEntry[V]{key: key, value: c.make(key)}
		c.makeRoomLocked()
		if c.entries == nil {
			c.entries = make(map[string]*lruEntry[V])
		}
		c.entries[key] = e
	}
	e.moveTo(&c.recent)
	return e
}

// release undoes one acquire.
func (c *lru[V]) release(e *lruEntry[V]) {
	if e.pins.Add(-1) == 0 && e.aside.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.list == &c.pinned && e.pins.Load() == 0 {
			e.moveTo(&c.recent)
		}
	}
}

// peek returns the value of key if there is one, and does not count as a use.
func (c *lru[V]) peek(key []byte) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[string(key)]; e != nil {
		return e.value, true
	}
	return v, false
}

// makeRoomLocked evicts an entry if there is no room for another: the oldest that
// is neither pinned nor busy, else a busy one, else a pinned one. Those that are
// either are set aside as they are found, so that a flood of keys does not make each
// use a search, and the first of the busy ones is looked at again each time.
func (c *lru[V]) makeRoomLocked() {
	limit := c.max
	if limit == 0 {
		limit = maxKeys
	}
	if len(c.entries) < limit {
		return
	}
	victim := c.held.back
	if victim == nil || c.busy(victim.value) {
		victim = c.oldestFreeLocked()
	}
	if victim == nil {
		victim = c.held.back
	}
	if victim == nil {
		victim = c.pinned.back
	}
	victim.list.remove(victim)
	delete(c.entries, victim.key)
}

// oldestFreeLocked is the oldest entry that is neither pinned nor busy, and sets those
// before it aside. It is nil if there is none.
func (c *lru[V]) oldestFreeLocked() *lruEntry[V] {
	for e := c.recent.back; e != nil; e = c.recent.back {
		if e.pins.Load() > 0 {
			e.aside.Store(true)
			if e.pins.Load() > 0 { // its release will see that
				e.moveTo(&c.pinned)
				continue
			}
		}
		if c.busy == nil || !c.busy(e.value) {
			return e
		}
		e.moveTo(&c.held)
	}
	return nil
}

// moveTo puts e, which may be in a list, at the front of l.
func (e *lruEntry[V]) moveTo(l *lruList[V]) {
	if e.list != nil {
		e.list.remove(e)
	}
	l.pushFront(e)
}

// lruList is a doubly linked list that entries are members of themselves.
type lruList[V any] struct{ front, back *lruEntry[V] }

func (l *lruList[V]) pushFront(e *lruEntry[V]) {
	e.list, e.prev, e.next = l, nil, l.front
	if l.front != nil {
		l.front.prev = e
	} else {
		l.back = e
	}
	l.front = e
}

func (l *lruList[V]) remove(e *lruEntry[V]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.front = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.back = e.prev
	}
	e.list, e.prev, e.next = nil, nil, nil
}
