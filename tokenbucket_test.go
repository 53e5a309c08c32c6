package steadyhttp

import (
	"math"
	"testing"
	"time"
)

func TestBucketAdmitsItsBurstAndThenItsRate(t *testing.T) {
	b := newTokenBucket(10, 5)
	for i := range 5 {
		if got := b.ready(at(0), 0, 1); got != at(0) {
			t.Fatalf("request %d of the burst waits for %v", i+1, got.Sub(at(0)))
		}
		b.take(at(0), 1)
	}
	for _, c := range []struct{ ahead, cost, want float64 }{{0, 1, 0.1}, {4, 1, 0.5}, {0, 3, 0.3}, {99, 1, 10}} {
		got := b.ready(at(0), c.ahead, c.cost).Sub(at(0)).Seconds()
		if got < c.want || got > c.want+0.001 {
			t.Errorf("%v behind %v: in %v s, want %v", c.cost, c.ahead, got, c.want)
		}
	}
	if got := b.ready(at(0.1001), 0, 1); got != at(0.1001) {
		t.Errorf("one more after a tenth of a second waits for %v", got.Sub(at(0.1001)))
	}
}

func TestWaitsForABucketAreLongEnough(t *testing.T) {
	for _, rate := range []float64{0.7, 3, 7, 9.99, 1e6} {
		b, now := newTokenBucket(rate, 1), at(0)
		b.take(now, 1)
		for range 100 {
			now = b.ready(now, 0, 1)
			if again := b.ready(now, 0, 1); again != now {
				t.Fatalf("%v a second: after the wait there is one of %v", rate, again.Sub(now))
			}
			b.take(now, 1)
		}
	}
}

func TestCostLargerThanTheBucketPassesWhenItIsFull(t *testing.T) {
	b := newTokenBucket(10, 30)
	if got := b.ready(at(0), 0, 1e6); got != at(0) {
		t.Errorf("a full bucket keeps it waiting for %v", got.Sub(at(0)))
	}
	b.take(at(0), 1e6)
	if got := b.level(at(0)); got != 0 {
		t.Errorf("then %v are left, want 0: no debt", got)
	}
	if got := b.ready(at(0), 0, 1e6).Sub(at(0)).Seconds(); got < 3 || got > 3.001 {
		t.Errorf("the next waits for %v s, want 3", got)
	}
}

func TestTakingMoreThanThereIsEmptiesTheBucket(t *testing.T) {
	b := newTokenBucket(10, 5)
	b.take(at(0), 3)
	b.take(at(0), 4)
	if got := b.level(at(0)); got != 0 {
		t.Errorf("%v are left, want 0", got)
	}
	if got := b.level(at(0.2)); math.Abs(got-2) > 0.01 {
		t.Errorf("%v are there 0.2 s later, want 2", got)
	}
}

func TestClaimGivenBackIsThereAgain(t *testing.T) {
	b := newTokenBucket(10, 5)
	b.take(at(0), 5)
	b.refund(2)
	if got := b.ready(at(0), 0, 2); got != at(0) {
		t.Errorf("what was given back is there in %v", got.Sub(at(0)))
	}
	b.take(at(0), 1)
	if got := b.level(at(0)); got != 1 {
		t.Errorf("%v are left of 2 after one was taken", got)
	}
	b.refund(100)
	b.refund(100)
	if got := b.level(at(0)); got != 5 {
		t.Errorf("more given back than was taken: %v, want the burst, 5", got)
	}
	b.take(at(10), 5)
	b.take(at(10), 5)
	if got := b.level(at(10)); got != 0 {
		t.Errorf("%v are left, want 0", got)
	}
}

func TestNewRateHoldsFromNowOn(t *testing.T) {
	b := newTokenBucket(0.01, 1)
	b.take(at(0), 1)
	b.setRate(at(0), 100)
	if got := b.ready(at(0), 0, 1).Sub(at(0)).Seconds(); got < 0.01 || got > 0.011 {
		t.Errorf("at 100 a second the next is there in %v s", got)
	}
}

func TestSecondsThatNoDurationHolds(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), 1e300, 1e12} {
		if got := secondsOf(f); got != maxHold*1e3 {
			t.Errorf("%v s are %v", f, got)
		}
	}
	for _, f := range []float64{0, 1e-9, 0.1, 59.999, 3600} {
		if got := secondsOf(f); got.Seconds() < f || got.Seconds() > f+2e-6 {
			t.Errorf("%v s are %v", f, got)
		}
	}
	if got := secondsOf(1); got < time.Second {
		t.Errorf("a second is %v", got)
	}
}
