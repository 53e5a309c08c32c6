package steadyhttp

import (
	"time"

	"golang.org/x/time/rate"
)

// tokenBucket is a token bucket of x/time/rate that is asked at explicit times and
// never waited on: rate's own Wait reserves the future, so that callers who give
// up leave debts behind and a new rate does not reach those who sleep already.
type tokenBucket struct {
	lim    *rate.Limiter
	credit float64 // claims given back, which rate cannot take
}

func newTokenBucket(perSecond float64, burst int) tokenBucket {
	return tokenBucket{lim: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// clamp bounds a cost, so that a request larger than the bucket passes when the
// bucket is full instead of never.
func (b *tokenBucket) clamp(n float64) float64 { return min(n, float64(b.lim.Burst())) }

// level is how much there is to take.
func (b *tokenBucket) level(now instant) float64 {
	return min(b.lim.TokensAt(now.time())+b.credit, float64(b.lim.Burst()))
}

// ready is when n can be taken, behind others who take ahead in all.
func (b *tokenBucket) ready(now instant, ahead, n float64) instant {
	need := ahead + b.clamp(n) - b.level(now)
	if need <= 0 {
		return now
	}
	return now.Add(secondsOf(need / float64(b.lim.Limit())))
}

// take takes n, down to nothing if there is less.
func (b *tokenBucket) take(now instant, n float64) {
	n = b.clamp(n)
	used := min(n, b.credit)
	b.credit -= used
	if n := int(n - used); n > 0 && !b.lim.AllowN(now.time(), n) {
		b.lim.AllowN(now.time(), int(b.lim.TokensAt(now.time())))
	}
}

func (b *tokenBucket) refund(n float64) {
	b.credit = min(b.credit+b.clamp(n), float64(b.lim.Burst()))
}

func (b *tokenBucket) setRate(now instant, perSecond float64) {
	b.lim.SetLimitAt(now.time(), rate.Limit(perSecond))
}

// secondsOf is f seconds as a duration: rounded up, so that what is waited for has
// come when the wait is over, and within what a duration can hold.
func secondsOf(f float64) time.Duration {
	if !(f < maxHold.Seconds()*1e3) {
		return maxHold * 1e3
	}
	return time.Duration(f*1e9) + time.Microsecond
}

// time is an instant as rate wants it, which looks at differences alone.
func (i instant) time() time.Time { return time.Unix(0, int64(i)) }
