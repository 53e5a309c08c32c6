package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// summary is a cell in a few words.
func (c *cell) summary() string {
	if c.err != nil {
		return c.err.Error()
	}
	r := c.result
	times := "     –"
	if r.failed == 0 {
		times = fmt.Sprintf("%.2f x", r.took.Seconds()/c.ideal.Seconds())
	}
	return fmt.Sprintf("%3d failed  %4.1f %% denied  %5.1f s  %s", r.failed, 100*r.deniedShare(), r.took.Seconds(), times)
}

// report prints the table and writes the files that the options ask for. Its
// error is what the steady clients missed.
func report(w io.Writer, o options, j job, cells []*cell) error {
	fmt.Fprintf(w, "\n%d calls, %d workers, %d per %v, %v each\n\n", j.calls, j.workers, j.limit, j.per, j.latency)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "server\tclient\tsent\tfailed\tdenied\ttime\tx ideal\t")
	var errs []error
	omitted := map[string]error{}
	for _, c := range cells {
		switch {
		case errors.Is(c.err, errMissing) && !o.ci:
			omitted[c.server.name] = c.err
			continue
		case c.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", c.server.name, c.err))
			continue
		}
		r := c.result
		times := "–"
		if r.failed == 0 {
			times = fmt.Sprintf("%.2f", r.took.Seconds()/c.ideal.Seconds())
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.1f %%\t%.1f s\t%s\t\n", c.server.name, c.client.name,
			len(r.events), r.failed, 100*r.deniedShare(), r.took.Seconds(), times)
		if miss := c.server.bound.miss(r, c.ideal); miss != "" && c.client.steady {
			errs = append(errs, fmt.Errorf("%s at %s: %s", c.client.name, c.server.name, miss))
		}
	}
	tw.Flush()
	for name, err := range omitted {
		fmt.Fprintf(w, "omitted: %s: %v\n", name, err)
	}
	if o.matrix {
		matrix(w, cells)
	}
	for _, c := range cells {
		if o.verbose && c.err == nil {
			timeline(w, c)
		}
	}
	if o.plot != "" {
		errs = append(errs, toFile(o.plot, func(w io.Writer) error { return drawPlot(w, j, cells) }))
	}
	if o.wire != "" {
		errs = append(errs, toFile(o.wire, func(w io.Writer) error { return wireLog(w, cells) }))
	}
	return errors.Join(errs...)
}

// matrix prints the table for a README: a row for each server, a column for each
// client.
func matrix(w io.Writer, cells []*cell) {
	servers, at := namesOf(cells, func(c *cell) string { return c.server.name })
	clients, which := namesOf(cells, func(c *cell) string { return c.client.name })
	fmt.Fprintf(w, "\n| server | %s |\n|---|%s\n", strings.Join(clients, " | "), strings.Repeat("---|", len(clients)))
	for i, server := range servers {
		row := make([]string, len(clients))
		for k, c := range cells {
			if at[k] != i || c.err != nil {
				continue
			}
			words := fmt.Sprintf("%.1f %%, %.1f s", 100*c.result.deniedShare(), c.result.took.Seconds())
			if n := c.result.failed; n > 0 {
				words = fmt.Sprintf("%d failed, %.1f %%", n, 100*c.result.deniedShare())
			}
			row[which[k]] = words
		}
		fmt.Fprintf(w, "| %s | %s |\n", server, strings.Join(row, " | "))
	}
}

// timeline prints what was sent in each tenth of a second: a point for each
// request admitted, an x for each denied, ! for each error.
func timeline(w io.Writer, c *cell) {
	fmt.Fprintf(w, "\n%s, %s\n", c.server.name, c.client.name)
	rows := map[time.Duration]string{}
	for _, e := range c.result.events {
		mark := "."
		switch {
		case e.denied():
			mark = "x"
		case e.status == 0:
			mark = "!"
		}
		rows[e.sent/(100*time.Millisecond)] += mark
	}
	total := 0
	for at := time.Duration(0); at <= c.result.took/(100*time.Millisecond); at++ {
		if row := rows[at]; row != "" {
			total += strings.Count(row, ".")
			fmt.Fprintf(w, "%6.1f s %4d %s\n", float64(at)/10, total, row)
		}
	}
}

// quotaHeader tells whether a header has to do with a limit.
func quotaHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "rate") || name == "retry-after" || name == "date"
}

// wireLog writes a line for each request: server, client, milliseconds when it
// was sent and answered, status, and the headers that have to do with limits.
func wireLog(w io.Writer, cells []*cell) error {
	out := bufio.NewWriter(w)
	for _, c := range cells {
		events := c.result.events
		sort.SliceStable(events, func(i, k int) bool { return events[i].sent < events[k].sent })
		for _, e := range events {
			var hs []string
			for name, values := range e.header {
				if quotaHeader(name) {
					hs = append(hs, name+": "+strings.Join(values, ", "))
				}
			}
			sort.Strings(hs)
			fmt.Fprintf(out, "%s\t%s\t%.1f\t%.1f\t%d\t%s\n", c.server.name, c.client.name,
				ms(e.sent), ms(e.answered), e.status, strings.Join(hs, " | "))
		}
	}
	return out.Flush()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func toFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
