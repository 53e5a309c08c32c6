package steadyhttp

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Limiter holds requests back that the server would deny. It learns the server's
// budgets from the rate limit headers of the responses, several at once and per
// key: requests and tokens; a second, a minute, a day. Servers without such
// headers are paced by their denials: all requests of a key, unless it becomes clear
// that those of one route (method and path) alone are denied, or a single call for
// what it is. Routes that state different limits again and again under the same names
// have budgets of their own.
//
// Of each budget a hundredth is kept back for what cannot be seen, such as other
// users of the key. Before the first response of a key, when nothing is known,
// eight requests go at once and one more each second; an interactive one goes when
// its MaxWait is over.
//
// Requests of one key wait in one queue, in the order in which their calls
// began. A request whose wait is known to be too long is refused at once with a
// [*LimitError], unsent. A denial that names a time holds back every request of
// its key until then, or of its route where that alone is denied.
//
// Calls of [PriorityBatch] wait behind interactive ones, however long their
// context allows, unless the queue is full; while interactive calls were seen in
// the last minute a tenth of each budget is kept for those. A batch call that has
// waited 30 s longer than an interactive one goes before it, so that neither
// starves.
//
// The zero value is ready for use. Fields must not change after the first use.
type Limiter struct {
	// Base sends the request. If nil, http.DefaultTransport.
	Base http.RoundTripper

	// Key names the budgets of a request; "" exempts it. If nil, RequestKey.
	Key KeyFunc

	// Requests and Tokens are ceilings per key that hold besides what the server
	// says, all at once. A Rate whose N or Per is not positive is none.
	Requests, Tokens []Rate

	// Cost estimates what a request will use; headers correct the estimate. If
	// nil, EstimateTokens; but once the server has served the key without a word
	// about tokens, they are estimated only if Tokens counts them. Negative
	// estimates count as none. It is called by many goroutines at once, and may
	// read the body only through GetBody.
	Cost func(*http.Request) Tokens

	// MaxWait is the longest that an interactive call is held back, its retries
	// included. A call that was denied is held again only if it will be admitted
	// within MaxWait of its beginning. Zero means 90 s; negative never holds one:
	// if it cannot be sent now it is refused.
	MaxWait time.Duration

	// MaxQueue is how many requests of a key may wait. Zero means 10,000;
	// negative means none.
	MaxQueue int

	// InFlight is how many requests of a key may be unanswered at a time. A request
	// counts until the headers of its response are there, or, if that is an error,
	// until its body has been looked at. Zero and below mean any number.
	InFlight int

	// Observe makes the Limiter learn and tell its Trace, but never hold back: to
	// see what it would do.
	Observe bool

	once  sync.Once
	keys  lru[*queue]
	usual atomic.Pointer[knownRoute]
}

// Rate is a ceiling: a bucket of Burst, full at first, that refills evenly with N
// in each Per. N and Burst are in requests or tokens, by the field of the Limiter.
type Rate struct {
	N     int
	Per   time.Duration
	Burst int // zero and below mean a tenth of N, at least 1
}

// PerSecond is a Rate of n a second.
func PerSecond(n int) Rate { return Rate{N: n, Per: time.Second} }

// PerMinute is a Rate of n a minute.
func PerMinute(n int) Rate { return Rate{N: n, Per: time.Minute} }

// RoundTrip sends req when its budgets admit it. Its error is a [*LimitError] if
// they will not in time, and the context's if it ends before that.
func (l *Limiter) RoundTrip(req *http.Request) (*http.Response, error) {
	return l.roundTrip(req, time.Now())
}

func (l *Limiter) roundTrip(req *http.Request, now time.Time) (*http.Response, error) {
	s := stay{hop: hop{req: req}, Limiter: l}
	defer s.end()
	var owned bool
	s.out, s.attempt, owned = joinAttempt(req, roleLimiter, now)
	var buf [keyBuf]byte
	if name := l.appendKey(buf[:0], s.out); len(name) > 0 {
		l.once.Do(l.init)
		s.entry = l.keys.acquire(name)
		s.queue, s.key = s.entry.value, s.entry.key
		s.attempt.key.Store(&s.entry.key)
		var err error
		if now, err = s.admit(now); err != nil {
			return nil, err
		}
	} else if gate := s.attempt.gate.Load(); gate != nil { // what no budget holds back counts for a circuit all the same
		if err := gate.enter(now); err != nil {
			return nil, err
		}
	}
	s.handed = true
	resp, err := forward(l.Base, s.out, now)
	s.resp = resp
	v := settle(s.attempt, s.out, resp, err)
	ended := v.now()
	var learned []Quota
	if s.queue != nil {
		learned = s.settleClaim(ended, v)
	}
	if v.Class != ClassRefused {
		report(s.attempt, s.out, v, now, ended)
	}
	if learned != nil {
		if t := traceOf(s.out.Context()); t != nil && t.Learned != nil {
			t.Learned(LearnedInfo{Key: s.key, Quotas: secretsOf(s.out, v).hideIn(learned)})
		}
	}
	if owned {
		s.attempt.finish(s.out, resp, v)
	}
	s.resp = nil
	return resp, err
}

// stay is the hop through a Limiter.
type stay struct {
	hop
	*Limiter
	entry *lruEntry[*queue] // nil for a request that is exempt
	queue *queue
	key   string

	out     *http.Request
	attempt *attempt
	waiter  *waiter // from when the queue knows of it until its claim is settled
}

// end is deferred. It takes back what is left of a stay that came to nothing, because
// the request was given up or refused, or Base or a hook panicked.
func (s *stay) end() {
	switch {
	case s.waiter == nil:
	case s.handed:
		s.queue.settle(time.Now(), s.key, s.waiter, &ending{Outcome: Outcome{Class: ClassCanceled}})
	default:
		s.queue.leave(time.Now(), s.key, s.waiter)
	}
	if s.entry != nil {
		s.keys.release(s.entry)
	}
	s.hop.end()
}

// admit waits for the claim under which the request may be sent, and returns the time
// when it has it.
func (s *stay) admit(now time.Time) (time.Time, error) {
	ctx, a := s.out.Context(), s.attempt
	if ctx.Err() != nil {
		return now, ended(ctx)
	}
	deadline, _ := ctx.Deadline()
	held := time.Duration(a.held.Load())
	denied, odd := a.deniedBefore()
	w := waiters.Get().(*waiter)
	expected, refusal := s.queue.admit(now, s.key, w, &request{
		cost:     s.costOf(s.out, s.queue),
		route:    s.knownRouteOf(s.out),
		batch:    priorityOf(ctx) == PriorityBatch,
		began:    a.began,
		denied:   denied,
		odd:      odd,
		maxWait:  s.patience(held),
		deadline: deadline,
		maxQueue: s.maxQueue(),
		observe:  s.Observe,
	})
	if refusal != nil {
		return now, refusal
	}
	s.waiter = w
	if w.turn != nil || expected > 0 {
		if t := traceOf(ctx); t != nil && t.Waiting != nil {
			i := attemptInfo(a, s.out, &verdict{}, 0)
			t.Waiting(WaitInfo{Key: s.key, Method: i.Method, Host: i.Host, Expected: expected, Queued: s.queue.queued()})
		}
	}
	if w.turn != nil {
		a.pauseTimeout()
		err := wait(s.out, a, w)
		a.restartTimeout()
		if err != nil {
			return now, err
		}
		since := now
		now = time.Now()
		a.hold(held + now.Sub(since))
	}
	if gate := a.gate.Load(); gate != nil {
		if err := gate.enter(now); err != nil {
			return now, err
		}
	}
	return now, nil
}

// wait returns when w has its turn, or why it will not be used.
func wait(req *http.Request, a *attempt, w *waiter) error {
	ctx, gate := req.Context(), a.gate.Load()
	for {
		var opened <-chan struct{}
		if gate != nil {
			opened = gate.opened()
		}
		select {
		case err := <-w.turn:
			if err == nil && ctx.Err() != nil { // both at once
				return ended(ctx)
			}
			return err
		case <-ctx.Done():
			return ended(ctx)
		case <-cancelOf(req):
			return ended(ctx) // Client.Timeout, if the deadline has passed
		case <-opened:
			if err := gate.enter(time.Now()); err != nil {
				return err
			}
		}
	}
}

// settleClaim ends the claim with what came back, and returns the quotas if they changed in
// kind. To a denial it adds when the request would be admitted again.
func (s *stay) settleClaim(now time.Time, v *verdict) (learned []Quota) {
	end := ending{Outcome: v.Outcome, unsent: v.Class == ClassRefused || v.err != nil && unsent(v.err) && !unsent(context.Cause(s.out.Context()))}
	for i := range v.Quotas {
		if !v.Quotas[i].absolute.IsZero() {
			end.date = dateOf(v.resp)
			break
		}
	}
	w := s.waiter
	s.waiter = nil
	learned = s.queue.settle(now, s.key, w, &end)
	if v.Class == ClassRateLimited && v.resp != nil && !s.Observe {
		d, contrary := s.queue.readmit(now, w, !v.RetryAt.After(now) && len(v.Quotas) == 0)
		s.attempt.deny(now, contrary)
		d.patience = s.maxWait()
		v.paced = &d
	}
	w.release()
	return learned
}

// dateOf is the time on the server's clock when it answered.
func dateOf(resp *http.Response) time.Time {
	if resp == nil {
		return time.Time{}
	}
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Quotas is what the Limiter believes is left for such a request, of what headers
// told and of its own ceilings: for metrics and tests. It is nil if there is
// neither, as for a key that was never used. The request must not be on its way: its
// body may be looked at.
func (l *Limiter) Quotas(req *http.Request) []Quota {
	var buf [keyBuf]byte
	q, ok := l.keys.peek(l.appendKey(buf[:0], req))
	if !ok {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ledger.quotas(time.Now(), q.routeLocked(routeOf(req)))
}

// CloseIdleConnections forwards to Base.
func (l *Limiter) CloseIdleConnections() { closeIdle(l.Base) }

func (l *Limiter) init() {
	l.keys.make = l.newQueue
	l.keys.busy = func(q *queue) bool { return q.heldUntil().After(time.Now()) }
}

func (l *Limiter) newQueue(key string) *queue {
	q := &queue{}
	q.ledger.maximum = l.InFlight
	q.ledger.ceilings = appendCeilings(appendCeilings(nil, "requests", l.Requests), "tokens", l.Tokens)
	return q
}

func appendCeilings(to []ceiling, resource string, rates []Rate) []ceiling {
	for _, r := range rates {
		if r.N <= 0 || r.Per <= 0 {
			continue
		}
		burst := r.Burst
		if burst <= 0 {
			burst = max(1, r.N/10)
		}
		to = append(to, ceiling{resource, newTokenBucket(float64(r.N)/r.Per.Seconds(), burst)})
	}
	return to
}

// appendKey appends the key of req to to.
func (l *Limiter) appendKey(to []byte, req *http.Request) []byte {
	if l.Key == nil {
		return appendRequestKey(to, req)
	}
	return append(to, l.Key(req)...)
}

// costOf is what req will use of the budgets of q. Nobody estimates tokens that no
// budget counts.
func (l *Limiter) costOf(req *http.Request, q *queue) cost {
	var t Tokens
	switch {
	case l.Cost != nil:
		t = l.Cost(req)
	case !q.ledger.tokenless.Load():
		t = EstimateTokens(req)
	}
	return cost{1, Tokens{bounded(t.Input), bounded(t.Output)}}
}

// bounded keeps an estimate within what can be added up for ever.
func bounded(tokens int64) int64 { return min(max(0, tokens), 1<<40) }

const (
	defaultMaxWait  = 90 * time.Second
	defaultMaxQueue = 10_000
)

func (l *Limiter) maxWait() time.Duration {
	return cmp.Or(l.MaxWait, defaultMaxWait)
}

// patience is what is left of MaxWait to a call that has been held for so long.
func (l *Limiter) patience(held time.Duration) time.Duration {
	most := l.maxWait()
	if most < 0 {
		return most
	}
	return max(most-held, 0)
}

func (l *Limiter) maxQueue() int {
	return cmp.Or(l.MaxQueue, defaultMaxQueue)
}
