package steadyhttp

import "sync"

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
	idle    lruList[V] // most recently used first
	held    lruList[V] // idle ones that were found busy when there was no room
	pinned  lruList[V]
}

type lruEntry[V any] struct {
	value      V
	key        string
	pins       int
	prev, next *lruEntry[V]
	list       *lruList[V] // nil once evicted
}

// acquire returns the entry of key, made if it is missing, and pins it until
// release.
func (c *lru[V]) acquire(key []byte) *lruEntry[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entryLocked(key)
	e.pins++
	if e.list != &c.pinned || c.pinned.front != e {
		e.moveTo(&c.pinned)
	}
	return e
}

// get returns the value of key, made if it is missing.
func (c *lru[V]) get(key []byte) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entryLocked(key)
	if e.pins == 0 && c.idle.front != e {
		e.moveTo(&c.idle)
	}
	return e.value
}

// entryLocked returns the entry of key, made if it is missing, which is in no list
// then.
func (c *lru[V]) entryLocked(key []byte) *lruEntry[V] {
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
	return e
}

// release undoes one acquire.
func (c *lru[V]) release(e *lruEntry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.pins--
	if e.pins == 0 && e.list != nil {
		e.moveTo(&c.idle)
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
// is neither pinned nor busy, else a busy one, else a pinned one. Busy ones are set
// aside as they are found, so that a flood of keys does not make each use a
// search, and the first of those is looked at again each time.
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
		for e := c.idle.back; e != nil && c.busy != nil && c.busy(e.value); e = c.idle.back {
			e.moveTo(&c.held)
		}
		victim = c.idle.back
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
