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
					if left, _ := m.quota(now); m.wait(now, left) != 0 || m.wait(now, left+1) == 0 {
						t.Fatalf("round %d, %d per %d at %d after %v: says %d remain", round, l.N, l.Per, now, admitted, left)
					}
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

func TestResetIsWhenABucketIsFull(t *testing.T) {
	b := newBucket(7, 1000, 7, 0)
	b.charge(0, 5)
	left, reset := b.quota(10)
	if left != 2 || reset != 5*1000/7+1-10 {
		t.Errorf("%d remain, full after %d", left, reset)
	}
	if left, _ := b.quota(10 + reset - 1); left != 6 {
		t.Errorf("%d remain just before the reset, want 6", left)
	}
	if left, reset := b.quota(10 + reset); left != 7 || reset != 0 {
		t.Errorf("%d remain at the reset, want 7", left)
	}
}

func TestBucketIsExactForLargeNumbers(t *testing.T) {
	day := int64(24 * time.Hour)
	b := newBucket(1e15+37, day, 1e15+37, 0) // units times nanoseconds are beyond 64 bits
	b.charge(0, 1e15+37)
	if left, reset := b.quota(day / 2); left != 500000000000018 || reset != day/2 {
		t.Errorf("%d remain at half time, full after %d", left, reset)
	}
	if left, _ := b.quota(1 << 62); left != 1e15+37 {
		t.Errorf("%d remain after a century", left)
	}
}

func TestChargedDenialsDoNotGrowALog(t *testing.T) {
	s := newMeter(Limit{Kind: SlidingLog, N: 10, Per: time.Hour}, 0, 0).(*slidingLog)
	for now := range int64(1000) {
		s.charge(now, 1)
	}
	if len(s.log) != 10 || s.used != 10 || s.log[0].at != 990 {
		t.Errorf("%d logged, %d used, from %d on", len(s.log), s.used, s.log[0].at)
	}
}

func TestChangeKeepsWhatWasUsed(t *testing.T) {
	for name, kind := range map[string]Kind{"window": FixedWindow, "sliding window": SlidingWindow, "log": SlidingLog, "bucket": ContinuousBucket} {
		m := newMeter(Limit{Kind: kind, N: 10, Per: time.Hour}.unset(), 0, 0)
		m.charge(0, 6)
		want := int64(14)
		if kind == ContinuousBucket { // the level stays, the room above it grows
			want = 4
		}
		m.resize(0, Limit{Kind: kind, N: 20, Per: time.Hour}.unset())
		if left, _ := m.quota(0); left != want {
			t.Errorf("%s raised: %d remain, want %d", name, left, want)
		}
		m.resize(0, Limit{Kind: kind, N: 5, Per: time.Hour}.unset())
		if left, _ := m.quota(0); left != max(0, min(want-15, 5)) && kind != ContinuousBucket {
			t.Errorf("%s lowered: %d remain", name, left)
		}
		if m.wait(0, 1) == 0 && kind != ContinuousBucket {
			t.Errorf("%s lowered below what was used admits", name)
		}
	}
}
