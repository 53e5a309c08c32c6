package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// writeTable prints the results for people.
func writeTable(w io.Writer, job job, results []result) {
	paint := painter(w)
	rows := [][]string{{"", "succeeded", "failed", "requests sent", "denied", "met the outage", "time", "ideal"}}
	for _, r := range results {
		rows = append(rows, []string{
			r.Name, fmt.Sprintf("%d of %d", r.Succeeded, job.calls), fmt.Sprint(r.Failed), fmt.Sprint(r.Requests),
			fmt.Sprintf("%d (%.1f %%)", r.Denied, 100*r.deniedShare()), fmt.Sprint(r.Outage),
			fmt.Sprintf("%.1f s", r.Seconds), idealColumn(job, r),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Fprintln(w)
	for i, row := range rows {
		for j, cell := range row {
			pad := strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell))
			if j == 0 {
				cell += pad
			} else {
				cell = "   " + pad + cell
			}
			fmt.Fprint(w, paint(colourOf(i, j, results), cell))
		}
		fmt.Fprintln(w)
	}
	if job.ideal > 0 {
		fmt.Fprintf(w, "\nThe provider admits %d requests in %v and answers 503 from second %v to %v.\n"+
			"Ideal is the time of a client that knows both beforehand.\n",
			limit, per, outageAfter.Seconds(), (outageAfter + outageFor).Seconds())
	}
}

func idealColumn(job job, r result) string {
	if job.ideal == 0 {
		return "unknown"
	}
	if r.Failed > 0 {
		return fmt.Sprintf("%.1f s", job.ideal.Seconds()) // of another job: it did only a part
	}
	return fmt.Sprintf("%.1f s (x %.2f)", job.ideal.Seconds(), r.XIdeal)
}

// colourOf is that of a cell: a heading is bold, a failure red.
func colourOf(row, column int, results []result) string {
	const succeeded, failed, denied = 1, 2, 4
	if row == 0 {
		return bold
	}
	r := results[row-1]
	switch {
	case column == 0:
		return bold
	case column <= failed && r.Failed > 0:
		return red
	case column == succeeded:
		return green
	case column == denied && r.deniedShare() > 0.02:
		return red
	}
	return plain
}

// writeResultsJSON prints the results for machines.
func writeResultsJSON(w io.Writer, job job, results []result, picture string) error {
	type provider struct {
		Limit         int     `json:"limit"`
		PerSeconds    float64 `json:"per_seconds"`
		OutageAfter   float64 `json:"outage_after_seconds"`
		OutageSeconds float64 `json:"outage_seconds"`
	}
	out := struct {
		Calls    int       `json:"calls"`
		Workers  int       `json:"workers"`
		Provider *provider `json:"provider,omitempty"`
		Ideal    float64   `json:"ideal_seconds,omitempty"`
		Sides    []result  `json:"sides"`
		Picture  string    `json:"picture,omitempty"`
	}{Calls: job.calls, Workers: job.workers, Ideal: seconds(job.ideal), Sides: results, Picture: picture}
	if job.ideal > 0 {
		out.Provider = &provider{limit, per.Seconds(), outageAfter.Seconds(), outageFor.Seconds()}
	}
	return writeJSON(w, out)
}
