package steadytest

import (
	"slices"
	"time"
)

// Counts is what a Provider did with the requests it saw.
type Counts struct {
	Requests int // all that arrived: the sum of the other three
	Admitted int // by every limit, and answered, if only to say that the request was wrong
	Denied   int // by a limit
	Failed   int // by a Fault, in whatever way
}

// Bucket is the counts of a stretch of time.
type Bucket struct {
	Start time.Duration // since the first request
	Counts
}

// Request is what became of one request.
type Request struct {
	At     time.Time // of its arrival, on this machine's clock
	Method string
	Path   string
	Call          // what it asked for
	Effect Effect // what became of it; Answer if it was answered as usual
	Denied bool   // by a limit
	Failed bool   // by a Fault
}

// maxRecord is how many requests a provider remembers one by one.
const maxRecord = 1 << 20

// record is what a provider remembers: the counts, and each request.
type record struct {
	counts Counts
	kept   [][]Request // in pieces, so that remembering one more copies nothing
}

// pieceSize is how many requests a piece holds.
const pieceSize = 1024

func (r *record) add(c *call) Request {
	seen := Request{
		At: time.Unix(0, c.at), Method: method(c.req), Path: path(c.req), Call: c.Call,
		Effect: c.effect, Denied: c.denied, Failed: !c.denied && c.effect != Answer,
	}
	if c.effect == Answer {
		seen.Effect = c.problem
	}
	r.counts.add(seen)
	if last := len(r.kept) - 1; last >= 0 && len(r.kept[last]) < pieceSize {
		r.kept[last] = append(r.kept[last], seen)
	} else if len(r.kept) < maxRecord/pieceSize {
		r.kept = append(r.kept, append(make([]Request, 0, pieceSize), seen))
	}
	return seen
}

func (n *Counts) add(r Request) {
	n.Requests++
	switch {
	case r.Denied:
		n.Denied++
	case r.Failed:
		n.Failed++
	default:
		n.Admitted++
	}
}

// Counts returns the totals so far. A request counts when it arrives.
func (p *Provider) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record.counts
}

// Requests returns what became of each request, in the order of arrival. A
// Provider remembers the first 1,048,576, some 120 bytes each; the totals go on.
func (p *Provider) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(p.record.kept...)
}

// Timeline returns the counts of each stretch of width from the first request to
// the last, empty ones too: for plotting. It knows of the requests that Requests
// knows of. A width of zero or less means 100 ms.
func (p *Provider) Timeline(width time.Duration) []Bucket {
	if width <= 0 {
		width = 100 * time.Millisecond
	}
	requests := p.Requests()
	if len(requests) == 0 {
		return nil
	}
	first := requests[0].At
	last := requests[len(requests)-1].At.Sub(first)
	buckets := make([]Bucket, last/width+1)
	for i := range buckets {
		buckets[i].Start = time.Duration(i) * width
	}
	for _, r := range requests {
		buckets[r.At.Sub(first)/width].add(r)
	}
	return buckets
}
