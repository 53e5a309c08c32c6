// Command bench prints what the stack, its layers and its peers cost over a bare
// base, from the output of this module's benchmarks:
//
//	go test -run '^$' -bench . -benchmem . | go run .
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	results, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	write(os.Stdout, results)
}

// cost is what one call takes.
type cost struct{ ns, bytes, allocs float64 }

// load is one benchmark: a kind of call, and its cost by contender. If it was run
// several times, the least.
type load struct {
	name  string
	costs map[string]cost
}

// read parses lines as "BenchmarkPOST4KiB/Retrier-2  1000  1234 ns/op  56 B/op  7 allocs/op".
func read(r io.Reader) ([]load, error) {
	var loads []load
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name, who, ok := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "/")
		if !ok {
			continue
		}
		if i := strings.LastIndexByte(who, '-'); i > 0 {
			who = who[:i]
		}
		var c cost
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", lines.Text(), err)
			}
			switch fields[i+1] {
			case "ns/op":
				c.ns = v
			case "B/op":
				c.bytes = v
			case "allocs/op":
				c.allocs = v
			}
		}
		i := slices.IndexFunc(loads, func(l load) bool { return l.name == name })
		if i < 0 {
			loads = append(loads, load{name, map[string]cost{}})
			i = len(loads) - 1
		}
		if old, seen := loads[i].costs[who]; !seen || c.ns < old.ns {
			loads[i].costs[who] = c
		}
	}
	if len(loads) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("no benchmark results to read")
	}
	return loads, lines.Err()
}

// write prints for each load what each contender costs on top of the bare base,
// and how long its calls take, the bare one's being 1.
func write(w io.Writer, loads []load) {
	for _, l := range loads {
		base, ok := l.costs[bare]
		if !ok {
			continue
		}
		fmt.Fprintf(w, "%s (bare: %.0f ns, %.0f B, %.0f allocations)\n", l.name, base.ns, base.bytes, base.allocs)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tns on top\tratio\tB on top\tallocations on top\t")
		for _, c := range contenders {
			got, ok := l.costs[c.name]
			if !ok || c.name == bare {
				continue
			}
			fmt.Fprintf(table, "%s\t%.0f\t%.2f\t%.0f\t%.0f\t\n", c.name, got.ns-base.ns, got.ns/base.ns, got.bytes-base.bytes, got.allocs-base.allocs)
		}
		table.Flush()
		fmt.Fprintln(w)
	}
}
