package steadytest

import (
	"io"
	"net"
	"net/http"
	"time"
)

// ServeHTTP answers a request over a connection.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away
	}
	if p.Transit != nil && pause(r.Context(), r, p.Transit(r)) != nil {
		return
	}
	c, a := p.handle(r, body)
	defer func() { p.leave(c, a.used) }()
	if a.trouble == Hang {
		pause(r.Context(), r, never)
		return
	}
	if pause(r.Context(), r, a.wait) != nil {
		return
	}
	switch a.trouble {
	case Drop:
		panic(http.ErrAbortHandler)
	case Reset, Refuse:
		reset(w)
		return
	}
	p.stampDate(a)
	header := w.Header()
	for k, v := range a.header {
		header[k] = v
	}
	p.leave(c, a.used)
	w.WriteHeader(a.status)
	flush := http.NewResponseController(w)
	for i, part := range a.parts {
		if i > 0 && pause(r.Context(), r, a.pause) != nil {
			return
		}
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
		if a.stream || a.cut {
			flush.Flush()
		}
	}
	if a.cut {
		panic(http.ErrAbortHandler) // net/http closes the connection, and logs nothing
	}
}

// reset ends the connection with a TCP reset where there is TCP, and at once
// where there is not.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.SetDeadline(time.Now())
	conn.Close()
}
