package steadytest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRoundTripper tests that what wrap puts around a base keeps the contract of
// an [http.RoundTripper] that nobody notices: that it leaves requests as they
// are, closes what it must, streams what streams, waits no longer than the
// context allows, hands over the response or the error that the base gave, and
// leaves nothing behind. It makes no assumption about what the middleware is
// for: a rule on retries is applied to those that retry, one on waits to those
// that wait.
//
// Every rule is a subtest, and under it a subtest for each way to reach a
// server: a base in memory, HTTP/1.1 and HTTP/2 over connections in memory, and
// both over loopback. Wherever a wait may happen time is virtual
// ([testing/synctest]), so backoffs of minutes cost nothing; wrap is called
// inside of the bubble, once or more for every subtest, and must return a fresh
// instance. If that instance is an [io.Closer], it is closed in the end; what it
// shares with others, such as a goroutine of the whole program, must have been
// started before. Once a check has hung over loopback, where time is real, which is
// a failure, the others there are not made.
//
//	func TestContract(t *testing.T) {
//		steadytest.TestRoundTripper(t, func(base http.RoundTripper) http.RoundTripper {
//			return &Middleware{Base: base}
//		})
//	}
//
// Some rules forbid on purpose what a few middlewares are for: A3 that the URL is
// rewritten, A5 that credentials are added, B0 that GetBody is called to sign a
// body. Such a middleware exempts itself by name,
//
//	go test -skip 'TestContract/(A3|A5)_'
//
// or, to keep the exemption in the code, takes [RoundTripperFindings] and passes
// over those whose Rule begins with one of them:
//
//	for _, f := range steadytest.RoundTripperFindings(t, wrap) {
//		if !strings.HasPrefix(f.Rule, "A5_") {
//			t.Error(f)
//		}
//	}
//
// Rule F4 replaces [http.DefaultTransport] for a moment, so no test that uses it
// may run in parallel.
func TestRoundTripper(t *testing.T, wrap func(base http.RoundTripper) http.RoundTripper) {
	var hung bool // over loopback
	for _, r := range contract {
		t.Run(r.name, func(t *testing.T) {
			for _, via := range r.over {
				if hung && via.real() { // and is a failure
					continue
				}
				t.Run(strings.ReplaceAll(via.String(), "/", ""), func(t *testing.T) {
					c := examine(t, r, via, wrap)
					for _, f := range c.found() {
						t.Error(f)
					}
					hung = hung || c.hung && via.real()
				})
			}
		})
	}
}

// RoundTripperFindings is TestRoundTripper for those who want to know rather
// than to fail: it returns what a middleware does against the contract. It still
// needs a test to run in, which it does not fail.
func RoundTripperFindings(t *testing.T, wrap func(base http.RoundTripper) http.RoundTripper) []Finding {
	var all []Finding
	var hung bool
	for _, r := range contract {
		for _, via := range r.over {
			if hung && via.real() {
				continue
			}
			c := examine(t, r, via, wrap)
			all = append(all, c.found()...)
			hung = hung || c.hung && via.real()
		}
	}
	return all
}

// A Finding is one thing that a middleware does against the contract.
type Finding struct {
	Rule string // as its subtest is named: "D8_gives_up_with_the_last_response_intact"
	Over string // how the server was reached: "memory", "HTTP/1.1", ...
	Want string
	Saw  string
	Why  string // what comes of it
}

// String is the finding in four lines.
func (f Finding) String() string {
	return fmt.Sprintf("%s, over %s:\n\tsaw:  %s\n\twant: %s\n\twhy:  %s", f.Rule, f.Over, f.Saw, f.Want, f.Why)
}

// rule is one clause of the contract.
type rule struct {
	name string
	why  string
	over []via
	run  func(*check)
}

// contract is all rules in its order.
var contract = slices.Concat(requestRules, bodyRules, waitRules, responseRules, errorRules)

// ruleC5 is known to the runner itself, which sees what every check leaves.
const (
	ruleC5 = "C5_leaves_nothing_behind"
	whyC5  = "what every call leaves behind adds up"

	wantReplyClosed = "every response's body is closed when the call is over"
)

// check is one run of one rule over one way to reach a server.
type check struct {
	rule rule
	via  via
	wrap func(http.RoundTripper) http.RoundTripper

	mu       sync.Mutex
	findings []Finding
	worlds   []*world
	hung     bool
	broken   bool // off before its end
}

// realPatience is after how long in real time a check is taken to be hung.
var realPatience = 20 * time.Second

// patience is the same for any check. In virtual time it is longer than any
// middleware may wait for anything here.
func (c *check) patience() time.Duration {
	if c.via.real() {
		return realPatience
	}
	return 7 * 24 * time.Hour
}

// soon is how long something may take that needs no waiting at all.
func (c *check) soon() time.Duration {
	if c.via.real() {
		return 2 * time.Second
	}
	return 5 * time.Second
}

// examine runs one rule over one via.
func examine(t *testing.T, r rule, v via, wrap func(http.RoundTripper) http.RoundTripper) *check {
	c := &check{rule: r, via: v, wrap: wrap}
	// A loop that never lets go of the processor can only be ended from outside.
	spins := time.AfterFunc(2*time.Minute, func() {
		panic("steadytest: rule " + r.name + " over " + v.String() + ": the middleware does not come to rest")
	})
	defer spins.Stop()
	if v.real() {
		c.supervise()
	} else {
		c.bubble(t)
	}
	return c
}

// isBroken tells whether the check broke off, and left things as they were.
func (c *check) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// found is what the check has found.
func (c *check) found() []Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.findings)
}

// bubble runs the check in virtual time. What is left when it ends makes
// synctest panic, which is a finding.
func (c *check) bubble(t *testing.T) {
	defer func() {
		switch r := recover(); {
		case r == nil:
		case !strings.HasPrefix(fmt.Sprint(r), "deadlock:"):
			panic(r)
		case !c.hung:
			c.reportAs(ruleC5, whyC5, "every goroutine ends with its call", "goroutines that are left: %s", leftovers(true))
		}
	}()
	synctest.Test(t, func(*testing.T) {
		// A bubble begins in the year 2000; servers' epochs do not.
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		c.supervise()
	})
}

// supervise runs the check until it is done, panics, or is hung.
func (c *check) supervise() {
	done := make(chan struct{})
	go func() {
		var through bool
		defer func() {
			c.mu.Lock()
			c.broken = !through
			c.mu.Unlock()
			close(done)
		}()
		through = c.guard(func() { c.rule.run(c) })
	}()
	timer := time.NewTimer(c.patience())
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		c.mu.Lock()
		c.hung, c.broken = true, true
		c.mu.Unlock()
		c.report("the call comes to an end", "it is still blocked after %v: %s", c.patience(), leftovers(!c.via.real()))
	}
	c.mu.Lock()
	worlds := c.worlds
	c.mu.Unlock()
	for _, w := range worlds {
		w.close()
	}
	if !c.via.real() {
		time.Sleep(5 * time.Second) // connections and servers linger a little
	}
}

// guard runs f and tells whether it came through: a panic is a finding, unless
// it is the one that the base was told to raise.
func (c *check) guard(f func()) (through bool) {
	defer func() {
		if r := recover(); r != nil && r != basePanic {
			c.report("no panic, whatever the caller or the server does", "panic: %v\n%s", r, panicSite())
		}
	}()
	f()
	return true
}

// report records a finding against the rule that is being checked.
func (c *check) report(want, saw string, args ...any) {
	c.reportAs(c.rule.name, c.rule.why, want, saw, args...)
}

// reportAs records a finding against the named rule, once for each want.
func (c *check) reportAs(name, why, want, saw string, args ...any) {
	f := Finding{Rule: name, Over: c.via.String(), Want: want, Saw: fmt.Sprintf(saw, args...), Why: why}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.findings, func(o Finding) bool { return o.Rule == f.Rule && o.Want == f.Want }) {
		c.findings = append(c.findings, f)
	}
}
