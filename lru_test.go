package steadyhttp

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// keysOf lists the keys of c in the order in which they would be evicted, as far as
// that is known without asking which are busy, and checks that its lists and its map
// agree.
func keysOf[V any](t *testing.T, c *lru[V]) []string {
	t.Helper()
	var free, pinned []string
	n := 0
	for _, l := range []*lruList[V]{&c.recent, &c.held, &c.pinned} {
		var next *lruEntry[V]
		for e := l.back; e != nil; e = e.prev {
			if e.list != l || e.next != next || c.entries[e.key] != e {
				t.Fatalf("entry %q is not where it should be", e.key)
			}
			pins := e.pins.Load()
			if pins < 0 || pins == 0 && l == &c.pinned || pins > 0 && l == &c.held {
				t.Fatalf("entry %q has %d pins and is in the wrong list", e.key, pins)
			}
			switch {
			case pins == 0:
				free = append(free, e.key)
			case l == &c.pinned:
				pinned = slices.Insert(pinned, n, e.key) // set aside before those that are still among the recent
				n++
			default:
				pinned = append(pinned, e.key)
			}
			next = e
		}
		if l.front != next {
			t.Fatal("the list's front is not its last from the back")
		}
	}
	keys := append(free, pinned...)
	if len(keys) != len(c.entries) {
		t.Fatalf("%d keys in the lists, %d in the map", len(keys), len(c.entries))
	}
	return keys
}

func TestLRUEvictsTheOldestThatIsNeitherPinnedNorBusy(t *testing.T) {
	cases := []struct {
		name string
		max  int
		busy string // keys
		uses string // a lower case letter is used and released, an upper case one stays pinned
		want string // in order of eviction
	}{
		{"fills", 3, "", "abc", "abc"},
		{"oldest goes first", 3, "", "abcd", "bcd"},
		{"a use renews", 3, "", "abcad", "cad"},
		{"pinned outlives idle", 3, "", "Abcde", "dea"},
		{"all pinned: the oldest goes", 2, "", "ABC", "bc"},
		{"a use renews a pinned one", 2, "", "ABaC", "ac"},
		{"busy outlives idle", 3, "a", "abcd", "cda"},
		{"many busy outlive idle", 12, "abcdefghij", "abcdefghijklmn", "mnabcdefghij"},
		{"busy that was used again is as recent", 3, "a", "abcda", "cda"},
		{"all busy: the oldest goes all the same", 2, "abc", "abc", "cb"},
		{"a single one", 1, "", "ab", "b"},
		{"a single one, busy", 1, "ab", "ab", "b"},
		{"a single one, pinned", 1, "", "Ab", "b"},
		{"busy goes before pinned", 2, "b", "Abc", "ca"},
	}
	for _, tc := range cases {
		c := &lru[string]{
			max:  tc.max,
			make: func(key string) string { return key },
			busy: func(v string) bool { return strings.Contains(tc.busy, v) },
		}
		for _, r := range tc.uses {
			key := strings.ToLower(string(r))
			e := c.acquire([]byte(key))
			if e.value != key {
				t.Errorf("%s: value of %q: got %q", tc.name, key, e.value)
			}
			if key == string(r) {
				c.release(e)
			}
		}
		if got := strings.Join(keysOf(t, c), ""); got != tc.want {
			t.Errorf("%s: got %q left, want %q", tc.name, got, tc.want)
		}
	}
}

func TestLRUPeekIsNoUse(t *testing.T) {
	c := &lru[string]{max: 2, make: func(key string) string { return key }}
	for _, key := range []string{"a", "b"} {
		c.release(c.acquire([]byte(key)))
	}
	if v, ok := c.peek([]byte("a")); !ok || v != "a" {
		t.Errorf("peek of a known key: got %q, %v", v, ok)
	}
	if v, ok := c.peek([]byte("x")); ok {
		t.Errorf("peek of an unknown key: got %q", v)
	}
	c.release(c.acquire([]byte("c")))
	if got, want := keysOf(t, c), []string{"b", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q left, want %q", got, want)
	}
}

func TestLRUGetIsAUse(t *testing.T) {
	c := &lru[string]{max: 3, make: func(key string) string { return key }}
	pinned := c.acquire([]byte("p"))
	for _, key := range []string{"a", "b", "p", "a", "c"} {
		if e := c.get([]byte(key)); e.value != key {
			t.Errorf("value of %q: got %q", key, e.value)
		}
	}
	if got, want := keysOf(t, c), []string{"a", "c", "p"}; !slices.Equal(got, want) {
		t.Errorf("got %q left, want %q", got, want)
	}
	c.release(pinned)
	keysOf(t, c)
}

func TestLRUReleaseAfterEvictionLeavesNothingBehind(t *testing.T) {
	c := &lru[*int]{max: 1, make: func(string) *int { return new(int) }}
	old := c.acquire([]byte("a"))
	c.release(c.acquire([]byte("b"))) // evicts a, pinned as it is
	renewed := c.acquire([]byte("a")) // evicts b
	if old.value == renewed.value {
		t.Error("an evicted value came back")
	}
	c.release(old)
	if got := keysOf(t, c); !slices.Equal(got, []string{"a"}) || renewed.pins.Load() != 1 {
		t.Errorf("got %q with %d pins, want a with 1", got, renewed.pins.Load())
	}
	c.release(renewed)
	keysOf(t, c)
}

func TestLRUMatchesAPlainModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := &lru[string]{max: 5, make: func(key string) string { return key }}
	var recent, aside []string // oldest first
	uses := map[string][]*lruEntry[string]{}
	drop := func(keys []string, key string) []string {
		return slices.DeleteFunc(keys, func(k string) bool { return k == key })
	}
	evict := func() {
		for i, key := range recent {
			if len(uses[key]) == 0 {
				aside = append(aside, recent[:i]...)
				recent = recent[i+1:]
				return
			}
		}
		aside, recent = append(aside, recent...)[1:], nil
	}
	for range 20_000 {
		key := strconv.Itoa(r.IntN(9))
		if us := uses[key]; len(us) > 0 && r.IntN(2) == 0 {
			c.release(us[0])
			uses[key] = us[1:]
			if len(us) == 1 && slices.Contains(aside, key) {
				aside, recent = drop(aside, key), append(recent, key)
			}
		} else {
			known := slices.Contains(recent, key) || slices.Contains(aside, key)
			if !known && len(us) > 0 {
				continue // evicted while in use: it would have two entries
			}
			if !known && len(recent)+len(aside) == 5 {
				evict()
			}
			recent, aside = append(drop(recent, key), key), drop(aside, key)
			uses[key] = append(us, c.acquire([]byte(key)))
		}
		var free, pinned []string
		for _, key := range recent {
			if len(uses[key]) == 0 {
				free = append(free, key)
			} else {
				pinned = append(pinned, key)
			}
		}
		if got, want := keysOf(t, c), slices.Concat(free, aside, pinned); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestLRUServesManyGoroutines(t *testing.T) {
	c := &lru[*int]{max: 10, make: func(string) *int { return new(int) }}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				e := c.acquire([]byte(strconv.Itoa((i * (n + 1)) % 23)))
				c.peek([]byte(e.key))
				c.release(e)
			}
		})
	}
	wg.Wait()
	if n := len(keysOf(t, c)); n != 10 {
		t.Errorf("got %d keys, want 10", n)
	}
}

func TestLRUDoesNotGrowOverAMillionKeys(t *testing.T) {
	type state [64]byte
	busy := false // by turns
	c := &lru[*state]{
		make: func(string) *state { return new(state) },
		busy: func(*state) bool { busy = !busy; return busy },
	}
	use := func(from, to int) {
		for i := from; i < to; i++ {
			c.release(c.acquire([]byte("https://" + strconv.Itoa(i) + ".example.com")))
		}
	}
	use(0, 2*maxKeys)
	before := heapInUse()
	use(2*maxKeys, 1_000_000)
	if n := len(keysOf(t, c)); n != maxKeys {
		t.Errorf("%d keys are left, want %d", n, maxKeys)
	}
	if grown := int64(heapInUse()) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(c)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkLRU(b *testing.B) {
	c := &lru[*int]{make: func(string) *int { return new(int) }, busy: func(*int) bool { return true }}
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.release(c.acquire([]byte("https://api.example.com")))
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.release(c.acquire([]byte(strconv.Itoa(i))))
		}
	})
}
