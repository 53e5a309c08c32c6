// Command arena runs the same job with several HTTP clients against real
// rate-limiting servers, each set up as its documentation says, and prints how
// many calls failed, what share of the requests was denied, and how long the job
// took beside a client that knows everything.
//
//	go run .                 every client at every server, some three minutes
//	go run . -short          the steady clients only, fewer calls, some 20 s
//	go run . -extra -servers fiber -clients batch -v
//
// It ends with status 1 if a steady client misses the bound of a server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// options are what the flags say.
type options struct {
	short, extra, verbose, ci, matrix bool
	servers, clients                  string
	parallel, workers                 int
	phase                             time.Duration
	plot, wire                        string
}

func run(ctx context.Context, args []string) int {
	var o options
	f := flag.NewFlagSet("arena", flag.ContinueOnError)
	f.BoolVar(&o.short, "short", false, "the steady clients only, with fewer calls")
	f.BoolVar(&o.extra, "extra", false, "more servers")
	f.BoolVar(&o.verbose, "v", false, "print what was admitted and denied in each tenth of a second")
	f.BoolVar(&o.matrix, "markdown", false, "print a table of servers and clients in Markdown")
	f.BoolVar(&o.ci, "ci", os.Getenv("CI") != "", "a server that is not installed is an error")
	f.StringVar(&o.servers, "servers", "", "only servers whose name matches this regular expression")
	f.StringVar(&o.clients, "clients", "", "only clients whose name matches this regular expression")
	f.IntVar(&o.parallel, "parallel", 8, "cells at a time; they mostly wait")
	f.IntVar(&o.workers, "workers", 0, "instead of the job's 32")
	f.DurationVar(&o.phase, "phase", 370*time.Millisecond, "when to begin, in a second of the wall clock")
	f.StringVar(&o.plot, "plot", "arena.svg", "file for the plot; none if empty")
	f.StringVar(&o.wire, "wire", "", "file for a line per request on the wire; none if empty")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := arena(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "arena:", err)
		return 1
	}
	return 0
}

// cell is one client at one server.
type cell struct {
	server server
	client client
	ideal  time.Duration
	result result
	err    error // the server did not start
}

func arena(ctx context.Context, o options) error {
	j, cells, err := plan(o)
	if err != nil {
		return err
	}
	play(ctx, o, j, cells)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return report(os.Stdout, o, j, cells)
}

// plan is what the options ask to run: server by server, the steady clients
// first.
func plan(o options) (job, []*cell, error) {
	j, ss, cs := fullJob, servers, clients
	if o.short {
		j = shortJob
	}
	if o.workers > 0 {
		j.workers = o.workers
	}
	if o.extra {
		ss = append(ss[:len(ss):len(ss)], extraServers...)
		cs = append(cs[:len(cs):len(cs)], extraClients...)
	}
	ofServer, err := regexp.Compile(o.servers)
	if err != nil {
		return j, nil, err
	}
	ofClient, err := regexp.Compile(o.clients)
	if err != nil {
		return j, nil, err
	}
	var cells []*cell
	for _, s := range ss {
		for _, c := range cs {
			if ofServer.MatchString(s.name) && ofClient.MatchString(c.name) && (c.steady || !o.short) {
				cells = append(cells, &cell{server: s, client: c, ideal: j.ideal(s)})
			}
		}
	}
	if len(cells) == 0 {
		return j, nil, errors.New("no server and client match")
	}
	return j, cells, nil
}

// play runs the cells, so many at a time.
func play(ctx context.Context, o options, j job, cells []*cell) {
	slots := make(chan struct{}, max(1, o.parallel))
	var wg sync.WaitGroup
	// One begins in each second, lest their first bursts slow each other down;
	// and at the same point of it, which decides what whole seconds in a header
	// are worth.
	begin := time.Now().Truncate(time.Second).Add(o.phase)
	for _, c := range cells {
		slots <- struct{}{}
		for begin = begin.Add(time.Second); time.Until(begin) < 0; {
			begin = begin.Add(time.Second)
		}
		select {
		case <-ctx.Done():
			<-slots
			continue
		case <-time.After(time.Until(begin)):
		}
		wg.Go(func() {
			defer func() { <-slots }()
			c.play(ctx, j)
			fmt.Fprintf(os.Stderr, "%-15s %-22s %s\n", c.server.name, c.client.name, c.summary())
		})
	}
	wg.Wait()
}

// play brings a fresh server up and does the job at it at once: some count from
// the moment they were made.
func (c *cell) play(ctx context.Context, j job) {
	s, err := c.server.start(j)
	if err != nil {
		c.err = err
		return
	}
	defer s.stop()
	c.result = j.run(ctx, c.client, s.url)
}
