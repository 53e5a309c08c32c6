package steadytest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// bruteForce admits requests of one unit by a kind's definition, from all that it
// admitted before, in rational arithmetic of integers.
type bruteForce func(admitted []int64, now int64, l Limit) bool

var definitions = map[string]struct {
	limit Limit
	fits  bruteForce
}{
	"sliding log": {Limit{Kind: SlidingLog}, func(admitted []int64, now int64, l Limit) bool {
		n := int64(0)
		for _, at := range admitted {
			if at > now-l.per() {
				n++
			}
		}
		return n+1 <= l.N
	}},
	"fixed window": {Limit{Kind: FixedWindow}, func(admitted []int64, now int64, l Limit) bool {
		start, n := int64(-1<<62), int64(0)
		for _, at := range admitted {
			if at >= start+l.per() {
				start, n = at, 0
			}
			n++
		}
		return now >= start+l.per() || n+1 <= l.N
	}},
	"aligned window": {Limit{Kind: FixedWindow, Aligned: true}, func(admitted []int64, now int64, l Limit) bool {
		n := int64(0)
		for _, at := range admitted {
			if at/l.per() == now/l.per() {
				n++
			}
		}
		return n+1 <= l.N
	}},
	"sliding window": {Limit{Kind: SlidingWindow}, func(admitted []int64, now int64, l Limit) bool {
		prev, curr := int64(0), int64(0)
		for _, at := range admitted {
			switch now/l.per() - at/l.per() {
			case 0:
				curr++
			case 1:
				prev++
			}
		}
		return prev*(l.per()-now%l.per())+(curr+1)*l.per() <= l.N*l.per()
	}},
	"continuous bucket": {Limit{Kind: ContinuousBucket}, func(admitted []int64, now int64, l Limit) bool {
		// In units of 1/Per: full at the first request, N per nanosecond after.
		level, at := l.Burst*l.per(), int64(0)
		for _, t := range append(admitted[:len(admitted):len(admitted)], now) {
			level = min(l.Burst*l.per(), level+(t-at)*l.N)
			at = t
			level -= l.per()
		}
		return level >= 0
	}},
}

func TestEachKindAdmitsExactlyWhatItsDefinitionDoes(t *testing.T) {
	for name, d := range definitions {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for round := range 200 {
				l := d.limit
				l.N, l.Per = 1+r.Int64N(7), time.Duration(1+r.Int64N(1000))
				l = l.unset()
				now := int64(0)
				m := newMeter(l, now, 0)
				var admitted []int64
				for range 200 {
					now += r.Int64N(2 * l.per() / l.N)
					want := d.fits(admitted, now, l)
					wait := m.wait(now, 1)
					if (wait == 0) != want {
						t.Fatalf("round %d, %d per %d at %d after %v: wait %d, want admitted %v", round, l.N, l.Per, now, admitted, wait, want)
					}
					if !want {
						if d.fits(admitted, now+wait-1, l) || !d.fits(admitted, now+wait, l) {
							t.Fatalf("round %d, %d per %d at %d after %v: wait %d is not exact", round, l.N, l.Per, now, admitted, wait)
						}
						continue
					}
					m.charge(now, 1)
					admitted = append(admitted, now)
				}
			}
		})
	}
}
