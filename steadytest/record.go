package steadytest

import "time"

// Counts is what a Provider did with the requests it saw.
type Counts struct {
	Requests int // all that arrived: the sum of the other three
	Admitted int // by every limit, and answered
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
	Effect Effect // Answer if it was answered as usual
	Denied bool   // by a limit, not by a fault
	Cost   Call
}

// maxRecord is how many requests a provider remembers one by one.
const maxRecord = 1 << 20

// record is what a provider remembers: the counts, and each request.
type record struct {
	counts   Counts
	requests []Request
}

func (r *record) add(c *call) {
	r.counts.add(c.effect, c.denied)
	if len(r.requests) < maxRecord {
		r.requests = append(r.requests, Request{
			At: time.Unix(0, c.at), Method: method(c.req), Path: path(c.req), Effect: c.effect, Denied: c.denied, Cost: c.Call,
		})
	}
}

func (n *Counts) add(e Effect, denied bool) {
	n.Requests++
	switch {
	case denied:
		n.Denied++
	case e == Answer:
		n.Admitted++
	default:
		n.Failed++
	}
}

// Counts returns the totals so far. A request counts when it arrives.
func (p *Provider) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record.counts
}

// Requests returns what became of each request, in the order of arrival. A
// Provider remembers the first 1,048,576, some 150 bytes each; the totals go on.
func (p *Provider) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.record.requests...)
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
		buckets[r.At.Sub(first)/width].add(r.Effect, r.Denied)
	}
	return buckets
}
