package steadyhttp

import (
	"testing"
	"time"
)

func TestRollingForgetsSlotBySlot(t *testing.T) {
	const slot = time.Second
	begin := time.Unix(1_800_000_000, 0)
	var r rolling
	for i, step := range []struct {
		at          time.Duration
		all, marked int // after counting two more, one of them marked
	}{
		{0, 2, 1},
		{999 * time.Millisecond, 4, 2},
		{slot, 6, 3},
		{11*slot + 999*time.Millisecond, 8, 4}, // the first slot's twelfth second is not over
		{12 * slot, 6, 3},
		{13 * slot, 6, 3},
		{10 * slot, 8, 4}, // a clock that steps back
		{24 * slot, 6, 3},
		{1000 * time.Hour, 2, 1},
		{1000*time.Hour + 11*slot, 4, 2},
		{1000*time.Hour + 12*slot, 4, 2},
	} {
		r.forget(begin.Add(step.at), slot)
		r.add(2, 1)
		if r.all != step.all || r.marked != step.marked {
			t.Errorf("step %d, after %v: got %d and %d, want %d and %d", i, step.at, r.all, r.marked, step.all, step.marked)
		}
	}
}

func TestRollingTakesAnyLengthOfSlot(t *testing.T) {
	for _, slot := range []time.Duration{1, forever / rollingSlots} {
		var r rolling
		now := time.Unix(1_800_000_000, 0)
		for range 100 {
			r.forget(now, slot)
			r.add(1, 0)
			now = now.Add(farthest)
		}
		if r.all < 1 || r.all > 100 {
			t.Errorf("slots of %v: %d", slot, r.all)
		}
	}
}
