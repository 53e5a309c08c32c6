package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// nodeServer is a server on Node.js: script has limit, per (in milliseconds),
// port, latency and answer. What it requires is installed in the folder node.
func nodeServer(script string) func(job) (*site, error) {
	const install = "npm install --prefix node"
	modules, err := filepath.Abs("node/node_modules")
	p := process{
		program: "node",
		install: install,
		env:     []string{"NODE_PATH=" + modules},
		config: func(j job, listen, _ string) string {
			_, port, _ := net.SplitHostPort(listen)
			return fmt.Sprintf("const limit = %d, per = %d, port = %s, latency = %d, answer = %q;\n",
				j.limit, j.per/time.Millisecond, port, j.latency/time.Millisecond, chatAnswer) + script
		},
		args: func(_, config string) []string { return []string{config} },
	}
	return func(j job) (*site, error) {
		if _, statErr := os.Stat(modules); errors.Is(statErr, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w; to install it: %s", modules, errMissing, install)
		}
		if err != nil {
			return nil, err
		}
		return p.start(j)
	}
}

// expressServer is express-rate-limit, by address, with its headers of one kind:
// fixed windows that begin with a key's first request.
func expressServer(headers string) func(job) (*site, error) {
	return nodeServer(`
const app = require('express')();
app.use(require('express-rate-limit').rateLimit({ windowMs: per, limit, ` + headers + ` }));
app.use((req, res) => setTimeout(() => res.type('json').send(answer), latency));
app.listen(port, '127.0.0.1');
`)
}

// fastifyServer is @fastify/rate-limit, by address.
var fastifyServer = nodeServer(`
const app = require('fastify')();
app.register(require('@fastify/rate-limit'), { max: limit, timeWindow: per }).after(() => {
	app.post('*', async (req, reply) => { await new Promise((done) => setTimeout(done, latency)); reply.type('application/json'); return answer; });
});
app.listen({ port, host: '127.0.0.1' });
`)

// koaServer is koa-ratelimit with its memory driver, by address.
var koaServer = nodeServer(`
const app = new (require('koa'))();
app.use(require('koa-ratelimit')({ driver: 'memory', db: new Map(), duration: per, max: limit }));
app.use(async (ctx) => { await new Promise((done) => setTimeout(done, latency)); ctx.type = 'json'; ctx.body = answer; });
app.listen(port, '127.0.0.1');
`)
