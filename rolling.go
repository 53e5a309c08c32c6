package steadyhttp

import "time"

// rollingSlots is in how many steps a rolling forgets.
const rollingSlots = 12

// rolling counts what happened within a window of time, and how much of it was
// marked. It forgets in steps of a slot: a ring of counters is small enough to keep
// one for each of many hosts. A clock that steps back counts as one that stands
// still.
type rolling struct {
	epoch epoch
	until instant // when the current slot ends
	slot  int     // the current one
	slots [rollingSlots]struct{ all, marked uint32 }

	all, marked int // the sums of the slots
}

// add counts in the current slot.
func (r *rolling) add(all, marked uint32) {
	s := &r.slots[r.slot]
	s.all += all
	s.marked += marked
	r.all += int(all)
	r.marked += int(marked)
}

// forget drops what is older than the window, given the length of a slot.
func (r *rolling) forget(now time.Time, slot time.Duration) {
	at := r.epoch.instant(now)
	if r.until.IsZero() {
		r.until = at.Add(slot)
	}
	late := at.Sub(r.until)
	if late < 0 {
		return
	}
	passed := late/slot + 1
	for range min(passed, rollingSlots) {
		r.slot = (r.slot + 1) % rollingSlots
		old := &r.slots[r.slot]
		r.all -= int(old.all)
		r.marked -= int(old.marked)
		old.all, old.marked = 0, 0
	}
	r.until = r.until.Add(passed * slot)
}
