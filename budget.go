package steadyhttp

import (
	"math"
	"slices"
	"time"
)

// refill is how a server gives back what was used of a budget. It is not stated
// on the wire: successive headers tell.
type refill uint8

const (
	refillUnknown refill = iota
	refillGradual        // continuously: the reset moves as requests are made
	refillWindow         // at a reset that stands still: all at once, or as the previous window slides out
	refillLog            // each request by itself, a fixed time after it came: the reset is the oldest's, and creeps
)

// budgetID tells the budgets of one key apart.
type budgetID struct {
	scope, resource string
	window          time.Duration // as stated by the server; zero if it is not
}

// budget is what is known of one limit of a server: an estimate of what is left
// of it that is right whenever the server's last word was, however late and out
// of order responses arrive.
//
// best is the last word: what remained when the request sent at mark was
// admitted. Requests sent together are not admitted in the order of sending, so
// everything sent from reorder before mark and not yet answered is taken not to
// be in it.
type budget struct {
	budgetID
	limit   float64 // the capacity
	sized   instant // send time of the request whose answer last said so
	updated instant // when an answer last spoke of it

	// The estimate.
	best    float64 // what was left at the time at
	at      instant // from when best grows
	mark    instant // the latest send time that best has seen
	first   *claim  // the first unanswered claim that best has not seen
	pending float64 // the cost of all those

	// A gradual refill.
	period  interval // seconds in which the whole limit refills
	stretch float32  // the most seconds that a reset was away: nothing refills faster than the limit in that
	stated  float32  // the header's limit, if the capacity is less
	ref     note     // an earlier reading to compare the reset with

	// Windows.
	turn    turn     // when this one ends
	gap     interval // seconds from the end of one to the end of the next
	probe   *claim   // sent to see whether it has ended
	slide   float64  // refill per second within it
	opening snapshot // its first reading
	base    float64  // the ledger's total when it began, if based
	refusal instant  // when the latest denial arrived: those of one round trip are one

	asked  instant    // when a request was last let through to ask, for want of any reset
	smooth *smoothing // if the server enforces a shorter window than it says

	bit      uint16 // its place in claim.unseen
	votes    int16  // above zero for a gradual refill, below for windows
	creeps   int16  // how often in a row the reset crept
	slides   int16  // above zero: windows were seen to slide; below: seen not to
	refusals int16  // of this window, in a row
	asks     int16  // questions since the last answer that told when
	short    int8   // how many more requests were denied than admitted of late
	drag     uint8  // how often a gradual refill turned out to be slower than thought
	silent   uint8  // requests served since an answer last spoke of it
	dialect  uint8  // of the headers that tell of it: a gateway and the API behind it each have a limit
	kind     refill
	perReset bool // the header's limit is per reset, not the capacity (tollbooth)
	rolled   bool // the window has ended, and no header of the new one has come yet
	whole    bool // at the end of a spent window everything was seen to come back
	spent    bool // the last window was nearly used up when it ended
	based    bool
	told     bool // by an answer that was no denial
	mute     bool // requests are served without a word of it: only denials tell
}

// interval is a number known to lie between two others; hi zero means unknown.
type interval struct{ lo, hi float64 }

// reading is what one response said of a budget.
type reading struct {
	limit, remaining float64 // -1 if not stated
	sent, arrived    instant
	reset            timeSpan      // on this machine's clock; not known if not stated
	resolution       time.Duration // of the reset as written
	spent            float64       // the ledger's total up to and with this request
	settled, after   float64       // the least and the most of the total that the server may have counted by then
	denied           bool
}

// note is what is kept of a reading to compare the reset of another with.
type note struct {
	remaining float64
	sent      instant
	reset     timeSpan // not known: there is none
}

// snapshot is what is kept of a reading to see what came back since.
type snapshot struct {
	remaining      float64
	sent           instant
	settled, after float64
}

const (
	reorder = 250 * time.Millisecond // requests sent this close together may be admitted in any order
	jitter  = 50 * time.Millisecond  // between sending and admission, as a rule
)

// usualPeriods are the lengths of windows in use, in seconds.
var usualPeriods = [...]float64{1, 2, 5, 10, 15, 20, 30, 60, 300, 600, 900, 3600, 86400}

// finest is the resolution of this server's resets: the finest that was seen. "1s"
// is as exact as "987ms" where that was said, too.
func (b *budget) finest(written time.Duration) time.Duration {
	if r := b.turn.resolution; r > 0 && r < written {
		return r
	}
	b.turn.resolution = written
	return written
}

// margin is kept back for what nobody can see: another user of the same key, a
// request in flight elsewhere. If only denials tell of it, what is left is what one
// more request asks.
func (b *budget) margin() float64 {
	if b.limit < 10 || b.mute {
		return 0
	}
	return max(1, math.Floor(b.limit/100))
}

// clamp bounds a cost to what the budget can ever admit. Of a server that says
// only that nothing is left, and until when, that is not known.
func (b *budget) clamp(cost, spare float64) float64 {
	if b.limit <= 0 && b.turn.at.known() {
		return cost
	}
	return max(0, min(cost, b.limit-spare))
}

// perSecond is the rate of a gradual refill, zero if it is unknown. It is the
// slowest that the readings allow: the next header corrects it.
func (b *budget) perSecond() float64 {
	switch {
	case b.window > 0 && !b.perReset:
		return b.limit / b.window.Seconds()
	case b.period.hi == 0 || math.IsInf(b.period.hi, 1):
		return 0
	}
	return b.limit / snap(b.period)
}

// snap is the longest usual period within s, else the longest possible one.
func snap(s interval) float64 {
	for i := len(usualPeriods) - 1; i >= 0; i-- {
		if p := usualPeriods[i]; s.lo <= p && p <= s.hi {
			return p
		}
	}
	return s.hi
}

// growth is how fast the estimate grows by itself.
func (b *budget) growth() float64 {
	g := b.slide
	switch b.kind {
	case refillGradual:
		g = b.perSecond() * math.Pow(dragStep, float64(b.drag))
	case refillLog:
		g = b.limit // at most: stretch is forgotten when the limit changes
	}
	if b.stretch > 0 {
		g = min(g, b.limit/float64(b.stretch))
	}
	return g
}

// dragStep is the share of a gradual refill's rate that is kept each time when it
// turns out to be slower than the headers say.
const dragStep = 0.7

// level is the estimate: what the server would admit at now.
func (b *budget) level(now instant) float64 {
	best := b.best
	if d := now.Sub(b.growing()); d > 0 && b.limit > 0 {
		best = min(b.limit, best+b.growth()*d.Seconds())
	}
	return best - b.pending
}

// growing is from when best grows.
func (b *budget) growing() instant {
	if b.kind == refillLog {
		return max(b.at, b.turn.at.hi)
	}
	return b.at
}

// steps tells whether the budget comes back at a known moment, not gradually.
func (b *budget) steps() bool {
	return b.kind != refillGradual && b.kind != refillLog && b.slide == 0 && b.turn.at.known()
}

// readiness is when a request can be sent.
type readiness struct {
	at    instant // as far as it is known
	retry instant // if it depends on an answer that may come at any moment: when to look again; zero otherwise
	probe bool    // then only to see what is left by now
}

// ready is when a request of such a cost can be sent, behind others that cost
// ahead in all, with spare kept back.
func (b *budget) ready(now instant, ahead, cost, spare float64) readiness {
	if !b.rolled && b.steps() && (b.whole || b.probe != nil) && !now.Before(b.over()) {
		b.roll()
	}
	if lo := b.turn.at.lo; b.slide > 0 && b.turn.at.known() && b.at.Before(lo) && lo.Before(now) {
		// What came back until the window ended is used up by the next one, into
		// which this one slides: the first answer tells how much. That of a window
		// of which little was used is not worth waiting for.
		left := b.level(lo) + b.pending
		if b.kind == refillWindow || b.best < b.limit/4 {
			left = min(b.level(now)+b.pending, spare+b.clamp(cost, spare))
		}
		b.spent = b.nearlySpent(lo)
		b.best, b.at = left, now
	}
	need, have := ahead+b.clamp(cost, spare)+spare, b.level(now)
	if need <= have {
		return readiness{at: now}
	}
	if g := b.growth(); g > 0 {
		from := max(now, b.growing())
		at := from.Add(secondsOf((need - have) / g))
		if b.kind == refillLog {
			return readiness{at: from, retry: at} // what came in a burst leaves in a burst
		}
		if l := max(b.length(), float64(b.stretch)); l > 0 && b.limit > 0 {
			// Whatever the rule, so much has come back after so many windows.
			at = min(at, max(from.Add(secondsOf(math.Ceil(need/b.limit)*l)), now.Add(recheck)))
			// What slid out before says little of the next window: one request asks what is left.
			if over := b.turn.over().Add(secondsOf(math.Floor(need/b.limit) * l)); b.kind != refillGradual && at.After(over.Add(10*recheck)) {
				if ahead == 0 && b.first == nil {
					return readiness{at: max(now, over, b.asked.Add(askDelay(b.asks))), probe: true}
				}
				at = max(over, now.Add(recheck))
			}
		}
		return readiness{at: at}
	}
	windows := time.Duration(0) // that others fill before
	if whole := b.limit - spare; whole > 0 && ahead >= whole {
		windows = secondsOf(math.Floor(ahead/whole) * b.length())
	}
	switch {
	case !b.rolled && b.turn.at.known() && b.probe == nil:
		// All comes back when the window ends: one request asks first, and the
		// rest goes when it is answered or the end is certain.
		if windows > 0 {
			return readiness{at: b.turn.point(b.turn.hi).Add(windows)}
		}
		return readiness{at: max(now, b.turn.ask()), probe: true}
	case !b.rolled && b.turn.at.known():
		return readiness{at: now.Add(windows), retry: b.over()}
	case b.first != nil:
		return readiness{at: now.Add(windows), retry: now.Add(recheck)}
	}
	return readiness{at: max(now, b.asked.Add(askDelay(b.asks))), probe: true}
}

// over is when all that wait may go, without an answer of the new window. Before
// it was ever seen what comes back then, the probe's answer is worth waiting for.
func (b *budget) over() instant {
	if !b.whole && b.probe != nil {
		return max(b.turn.over(), b.probe.sent.Add(probePatience))
	}
	return b.turn.over()
}

// probePatience is the longest wait for the answer of a server's first probe.
const probePatience = 20 * time.Second

// askDelay is how long to wait, after n questions that brought no answer, before
// asking again a server that says that nothing is left and not until when.
func askDelay(n int16) time.Duration {
	return min(time.Second<<min(n, 6), time.Minute)
}

// length is how many seconds a window lasts, zero if it is unknown.
func (b *budget) length() float64 {
	switch {
	case b.window > 0:
		return b.window.Seconds()
	case b.gap.hi > 0:
		return snap(b.gap)
	}
	return 0
}

// roll begins a new window of which no header has come yet.
func (b *budget) roll() {
	b.rolled, b.probe = true, nil
	b.spent, b.best = b.nearlySpent(b.turn.at.hi), b.limit
	b.mark = max(b.mark, b.turn.ask().Add(reorder-jitter)) // what was sent just before may come into the new window
	b.seen(b.mark)
	b.asks = 0
}

// granted takes in that c was served, and that nothing was said of the budget. Some
// servers speak of it in denials alone: then it is the request that asked whether
// anything is left which tells that all is.
func (b *budget) granted(c *claim) {
	b.refusals, b.mute = 0, !b.told
	b.silent = min(b.silent, silentMost) + 1
	if !b.told && (b.probe == c || b.asked == c.sent) {
		b.roll()
		if b.limit <= 0 {
			b.best = unknownLimit
		}
	}
}

// hushed tells whether the server has served so much, for so long, without a word of the
// budget that it speaks of it no more.
func (b *budget) hushed(now instant) bool {
	if !b.told || b.silent <= silentMost {
		return false
	}
	window := secondsOf(max(b.length(), float64(b.stretch)))
	return now.Sub(b.updated) > max(time.Minute, 2*window)
}

// replacedBy tells whether an answer that does not speak of the budget speaks of another
// of the same: the server's window has another length now.
func (b *budget) replacedBy(spoken []*budget) bool {
	return slices.ContainsFunc(spoken, func(o *budget) bool { return o.resource == b.resource && o.scope == b.scope })
}

// silentMost is how many requests are served without a word of a budget before that
// says more than that some answers do not speak of it.
const silentMost = 8

// unknownLimit is what is left of a budget of which only denials tell that it exists.
const unknownLimit = 1 << 40

// nearlySpent tells whether little was left at a time, as far as answers told.
func (b *budget) nearlySpent(at instant) bool { return b.level(at)+b.pending < b.limit/4 }

// take charges a request that is about to be sent.
func (b *budget) take(now instant, c *claim, probe bool) {
	cost := c.cost.of(b.resource)
	b.pending += cost
	c.unseen |= b.bit
	if b.first == nil {
		b.first = c
	}
	if !b.based && b.turn.at.known() && !now.Before(b.turn.ask()) {
		b.base, b.based = c.total.of(b.resource)-cost, true
	}
	switch {
	case !probe:
	case b.steps():
		b.probe = c
	default:
		b.asks, b.asked = b.asks+1, now
	}
}

// seen moves the watermark: what was sent more than reorder before mark is in
// best. It never moves back.
func (b *budget) seen(mark instant) {
	cut := mark.Add(-reorder)
	for b.first != nil && b.first.sent.Before(cut) {
		b.discharge(b.first)
		b.first = b.first.next
	}
	b.settleDrift()
}

// drop ends a claim. One that is charged stays so, although its answer said
// nothing of this budget.
func (b *budget) drop(c *claim, charged bool) {
	if b.discharge(c) && charged {
		n := c.cost.of(b.resource)
		if b.limit > 0 {
			n = min(n, b.limit) // it was denied for more
		}
		b.best -= n
	}
	if b.first == c {
		b.first = c.next
	}
	b.settleDrift()
	if b.probe == c {
		b.probe = nil
		if charged {
			b.turn.tried = c.sent
		}
	}
}

// discharge takes c out of what is pending, and tells whether it was in it.
func (b *budget) discharge(c *claim) bool {
	if c.unseen&b.bit == 0 {
		return false
	}
	c.unseen &^= b.bit
	b.pending -= c.cost.of(b.resource)
	return true
}

// settleDrift keeps rounding from adding up.
func (b *budget) settleDrift() {
	if b.first == nil {
		b.pending = 0
	}
}

// slowRefill is from how many seconds on a gradual refill is less likely than a window:
// a minute is usual, and may come out a little longer.
const slowRefill = 61

// perSecondOverall is the rate that the budget grants in the long run, zero if
// it is unknown. Of a window of which no other was seen yet it is what it grants
// until its reset. Before it is clear that it is one, a refill that would take so
// long is not believed: too slow a rate is found out later than one that is too fast.
func (b *budget) perSecondOverall() float64 {
	l, refill := b.length(), b.perSecond()
	switch {
	case b.kind == refillGradual, l == 0 && b.stretch == 0:
		return refill
	case l > 0:
		return b.limit / l
	case b.kind == refillUnknown && (refill == 0 || b.limit/refill < slowRefill):
		return refill
	}
	return b.limit / float64(b.stretch)
}

// quota is the estimate in the words of a header, and its reset.
func (b *budget) quota(now instant) (q Quota, reset instant) {
	q = Quota{Resource: b.resource, Scope: b.scope, Window: b.window, Limit: -1, Remaining: -1}
	if b.limit > 0 {
		q.Limit = int64(b.limit)
	}
	have := max(0, b.level(now))
	if b.steps() && !b.rolled && !now.Before(b.turn.over()) {
		have = max(0, b.limit-b.pending)
	}
	q.Remaining = int64(have)
	switch g := b.growth(); {
	case b.kind == refillGradual && g > 0:
		reset = now.Add(secondsOf((b.limit - have) / g))
	case b.turn.at.known() && b.turn.at.hi.After(now):
		reset = b.turn.point(b.turn.hi)
	}
	if q.Window == 0 {
		if n := b.limit; b.kind == refillGradual && b.perSecond() > 0 {
			q.Window = secondsOf(n / b.perSecond()).Round(time.Millisecond)
		} else if l := b.length(); l > 0 {
			q.Window = secondsOf(l).Round(time.Millisecond)
		}
	}
	return q, reset
}
