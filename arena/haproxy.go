package main

import (
	"fmt"
	"strings"
	"time"
)

// haproxyServer is HAProxy with a stick table by address, as its documentation
// of rate limits sets it up: http_req_rate slides, and counts denied requests
// too. It sends no header that says so.
var haproxyServer = process{
	program: "haproxy",
	install: "apt-get install haproxy",
	config: func(j job, listen, backend string) string {
		return fmt.Sprintf(haproxyConfig, listen, j.per/time.Second, j.limit, strings.TrimPrefix(backend, "http://"))
	},
	args: func(dir, config string) []string { return []string{"-db", "-f", config} },
}.start

const haproxyConfig = `defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
frontend front
	bind %s
	stick-table type ip size 100k expire 30s store http_req_rate(%ds)
	http-request track-sc0 src
	http-request deny deny_status 429 if { sc_http_req_rate(0) gt %d }
	default_backend back
backend back
	server one %s
`
