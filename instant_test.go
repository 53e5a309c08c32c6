package steadyhttp

import (
	"testing"
	"time"
)

func TestInstantsKeepTimesAndTheAbsenceOfOne(t *testing.T) {
	begin := time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)
	var e epoch
	if got := e.instant(time.Time{}); !got.IsZero() {
		t.Errorf("no time is instant %d, want 0", got)
	}
	first := e.instant(begin)
	if first.IsZero() {
		t.Error("the first instant is none")
	}
	for _, d := range []time.Duration{0, time.Nanosecond, time.Hour, -time.Hour, 99 * 365 * 24 * time.Hour} {
		i := e.instant(begin.Add(d))
		if got := i.Sub(first); got != d {
			t.Errorf("%v after the first is %v after it", d, got)
		}
		if got := e.time(i); !got.Equal(begin.Add(d)) {
			t.Errorf("%v comes back as %v", begin.Add(d), got)
		}
	}
	if got := e.time(0); !got.IsZero() {
		t.Errorf("no instant is %v", got)
	}
}

func TestInstantsOfAbsurdTimesCanBeAddedTo(t *testing.T) {
	var e epoch
	now := e.instant(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC))
	for _, year := range []int{-9999, 2, 1970, 2262, 9999} {
		i := e.instant(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
		if future := year > 2026; i.After(now) != future || i.Add(farthest/2).Before(i) || i.Add(-farthest/2).After(i) {
			t.Errorf("the year %d is at %d", year, i)
		}
	}
}

func TestSoonerAndLaterTakeNoTimeForUnknown(t *testing.T) {
	a := time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)
	b, none := a.Add(time.Second), time.Time{}
	for _, c := range []struct{ x, y, sooner, later time.Time }{
		{a, b, a, b}, {b, a, a, b}, {a, none, a, a}, {none, a, a, a}, {none, none, none, none}, {a, a, a, a},
	} {
		if got := sooner(c.x, c.y); !got.Equal(c.sooner) {
			t.Errorf("sooner(%v, %v) = %v", c.x, c.y, got)
		}
		if got := later(c.x, c.y); !got.Equal(c.later) {
			t.Errorf("later(%v, %v) = %v", c.x, c.y, got)
		}
	}
}
