package main

import (
	"fmt"
	"strings"
)

// nginxServer is nginx with limit_req by address, as the manual of
// ngx_http_limit_req_module sets it up. It counts in a leaky bucket and sends no
// header that says so. more stands beside limit_req; burst is how many calls the
// zone takes beyond the first, if it is not the job's limit.
func nginxServer(burst int, more string) func(job) (*site, error) {
	return process{
		program: "nginx",
		install: "apt-get install nginx-light (or nginx)",
		config: func(j job, listen, backend string) string {
			if burst == 0 {
				burst = j.limit - 1
			}
			return fmt.Sprintf(nginxConfig, j.rate(), listen, burst, more, strings.TrimPrefix(backend, "http://"))
		},
		args: func(dir, config string) []string { return []string{"-p", dir, "-c", config, "-e", "stderr"} },
	}.start
}

const nginxConfig = `daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	limit_req_zone $binary_remote_addr zone=one:1m rate=%gr/s;
	server {
		listen %s;
		location / {
			limit_req zone=one burst=%d %s;
			proxy_pass http://%s;
		}
	}
}
`
