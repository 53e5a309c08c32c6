package steadytest

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// answer is what goes back: a status, headers and a body, or a trouble of the
// connection in their place.
type answer struct {
	trouble Effect // Reset, Refuse, Drop or Hang
	wait    time.Duration

	status int
	header http.Header // but for Date, and what has to be told on the server's clock
	stamp  *Fault      // its RetryAfter
	parts  []string    // of the body
	whole  int         // what they come to, or should
	stream bool        // send the parts one by one, pause between them
	pause  time.Duration
	used   int64 // output tokens
	cut    bool  // the connection ends after the last part
}

// handle takes a request, whose body was read, to its answer. It does not wait.
func (p *Provider) handle(req *http.Request, body []byte) (*call, *answer) {
	x := &struct { // in one allocation
		call
		answer
		input
	}{}
	c, a, in := &x.call, &x.answer, &x.input
	c.req = req
	e := endpointFor(req)
	e.read(c, in, body)
	c.problem = in.problem
	p.arrive(c)
	c.id = requestID(c.number)

	a.header, a.wait = make(http.Header, 12), p.waitFor(c)
	if c.fault != nil {
		a.wait += max(0, c.fault.Delay)
		a.stamp = c.fault
	}
	switch c.effect {
	case Reset, Refuse, Drop, Hang:
		a.trouble = c.effect
		return c, a
	}
	d := p.dialect()
	id := "req_" + c.id
	if d.RequestID != "" {
		a.header[http.CanonicalHeaderKey(d.RequestID)] = []string{id}
	}
	d.write(a.header, c.told, c.names)
	switch {
	case c.denied:
		p.refuse(a, c, c.effect, id)
		for _, f := range d.Denied {
			if c.quota.Silent {
				break
			}
			if v := f.Value(c.quota, nil); v != "" {
				a.header.Set(f.Name, v)
			}
		}
	case c.effect.refuses():
		p.refuse(a, c, c.effect, id)
	case in.problem != Answer:
		p.refuse(a, c, in.problem, id)
	case c.effect == StreamError && !in.stream:
		p.refuse(a, c, ServerError, id)
	default:
		p.reply(a, c, e, in)
	}
	if c.fault != nil {
		for k, v := range c.fault.Header {
			a.header[http.CanonicalHeaderKey(k)] = v
		}
	}
	return c, a
}

// requestID is the digits of an id: the same in every run.
func requestID(number int) string {
	var b [16]byte
	for i, x := 15, uint64(number)*0x9E3779B97F4A7C15; i >= 8; i-- {
		b[i-8], b[i] = byte(x), byte(x>>3)
		x >>= 8
	}
	return hex.EncodeToString(b[:])
}

func (p *Provider) waitFor(c *call) time.Duration {
	switch {
	case c.denied || c.effect.refuses():
		return max(0, p.DeniedLatency)
	case p.LatencyFunc != nil:
		return max(0, p.LatencyFunc(c.req))
	}
	return max(0, p.Latency)
}

// refuse makes a the refusal that e is.
func (p *Provider) refuse(a *answer, c *call, e Effect, id string) {
	r := p.dialect().refusal(e, c.quota, path(c.req))
	contentType, body := p.dialect().body(r, id)
	a.status, a.parts, a.whole = r.Status, []string{body}, len(body)
	a.header["Content-Type"] = []string{contentType}
	for k, v := range r.Header {
		a.header.Set(k, v)
	}
}

// reply makes a the usual answer.
func (p *Provider) reply(a *answer, c *call, e *endpoint, in *input) {
	a.status, a.pause = http.StatusOK, max(0, p.EventDelay)
	out := &output{call: c, input: in, text: p.Text, now: p.server(c.at)}
	if out.text == "" {
		out.text = "Steady as she goes."
	}
	a.used = out.used()
	if a.stream = in.stream && e.stream != nil; a.stream {
		a.header["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
		a.header["Cache-Control"] = []string{"no-cache"}
		a.parts = e.stream(out)
	} else {
		a.header["Content-Type"] = []string{"application/json"}
		a.parts = []string{e.reply(out)}
	}
	a.whole = size(a.parts)
	switch c.effect {
	case Cut:
		a.cut = true
		if a.parts = a.parts[:c.fault.events(len(a.parts))]; !a.stream {
			a.parts = []string{a.parts[0][:len(a.parts[0])/2]}
		}
	case StreamError:
		as := c.fault.As
		if as == "" {
			as = ServerError
		}
		sent := c.fault.events(len(a.parts))
		a.parts = append(a.parts[:sent:sent], p.dialect().event(p.dialect().refusal(as, c.quota, path(c.req))))
	}
}

// stampDate adds what is told on the server's clock at the moment of writing.
func (p *Provider) stampDate(a *answer) {
	now := p.server(p.origin + int64(time.Since(p.start))) // set before the request arrived
	a.header["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	if a.stamp != nil && a.stamp.RetryAfter != 0 {
		a.stamp.RetryForm.write(a.header, a.stamp.RetryAfter, now)
	}
	if !a.stream {
		a.header["Content-Length"] = []string{strconv.Itoa(a.whole)}
	}
}

func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func path(r *http.Request) string {
	if r.URL == nil {
		return ""
	}
	return r.URL.Path
}

func size(parts []string) int {
	n := 0
	for _, s := range parts {
		n += len(s)
	}
	return n
}
