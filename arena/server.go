package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// server is a program that limits rates. To add one is to write a file with a
// start function and to add a row to servers.
type server struct {
	name  string
	kind  kind
	burst int // calls that a bucket takes at once; zero means the job's limit
	bound bound
	// start brings a fresh one up on loopback. It returns errMissing, wrapped
	// with how to install it, if the machine does not have it.
	start func(j job) (*site, error)
}

// servers are in every run.
var servers = []server{
	{"httprate", sliding, 0, slides, httprateServer},
	{"throttled", bucket, 0, states, throttledServer},
	{"go-limiter", window, 0, states, goLimiterServer},
	{"ulule", window, 0, states, ululeServer},
	{"tollbooth", bucket, 0, states, tollboothServer},
	{"nginx", bucket, 0, silent, nginxServer(0, "nodelay; limit_req_status 429")},
}

// extraServers are added by -extra.
var extraServers = []server{
	{"nginx 503", bucket, 0, silent, nginxServer(0, "nodelay")},
	{"nginx burst 10", bucket, 11, silent, nginxServer(10, "nodelay; limit_req_status 429")},
	{"nginx delaying", bucket, 1, silent, nginxServer(20, "; limit_req_status 429")},
	{"haproxy", sliding, 0, silent, haproxyServer},
	{"echo", bucket, 0, silent, echoServer},
	{"fiber", window, 0, states, fiberServer(false)},
	{"fiber sliding", sliding, 0, steps, fiberServer(true)},
	{"express", window, 0, states, expressServer("")},
	{"express draft 6", window, 0, states, expressServer("legacyHeaders: false, standardHeaders: 'draft-6'")},
	{"express draft 7", window, 0, states, expressServer("legacyHeaders: false, standardHeaders: 'draft-7'")},
	{"express draft 8", window, 0, states, expressServer("legacyHeaders: false, standardHeaders: 'draft-8'")},
	{"fastify", window, 0, states, fastifyServer},
	{"koa", window, 0, states, koaServer},
}

// bound is what a steady client must keep to at a server; besides, none of its
// calls may fail.
type bound struct {
	denied float64       // share of the requests sent
	times  float64       // of the ideal time, …
	plus   time.Duration // … and so much more
}

var (
	states = bound{denied: 0.03, times: 1.1, plus: time.Second} // headers say what is left
	slides = bound{denied: 0.06, times: 1.1, plus: time.Second} // headers say it, but more comes back sooner
	steps  = bound{denied: 0.15, times: 1.8}                    // headers say it, but a fifth comes back in a second, at once
	silent = bound{denied: 0.20, times: 1.3}                    // no headers: the burst is found by exceeding it
)

// miss says how r breaks b, or nothing.
func (b bound) miss(r result, ideal time.Duration) string {
	most := time.Duration(b.times*float64(ideal)) + b.plus
	switch {
	case r.failed > 0:
		return fmt.Sprintf("%d calls failed: %s", r.failed, r.reason)
	case r.deniedShare() > b.denied:
		return fmt.Sprintf("%.1f %% denied, more than %.0f %%", 100*r.deniedShare(), 100*b.denied)
	case r.took > most:
		return fmt.Sprintf("took %.1f s, more than %.1f s", r.took.Seconds(), most.Seconds())
	}
	return ""
}

// errMissing is what start returns if the server is not installed.
var errMissing = errors.New("not installed")

// site is a server that is up.
type site struct {
	url  string
	stop func()
}

// serve brings h up on a free port of loopback.
func serve(h http.Handler) (*site, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	return &site{url: "http://" + l.Addr().String(), stop: func() { s.Close() }}, nil
}
