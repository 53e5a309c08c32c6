package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// showProgress shows on w how far the sides are, until the function it returns is
// called: as bars on a terminal, else as a line each second.
func showProgress(w io.Writer, job job, sides []*side) (stop func()) {
	show, interval := lines(w, job, sides), time.Second
	finish := func() {}
	if isTerminal(w) {
		show, finish = bars(w, job, sides)
		interval = 50 * time.Millisecond
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show()
			case <-done:
				show()
				finish()
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// lines is progress for a pipe.
func lines(w io.Writer, job job, sides []*side) (show func()) {
	begin := time.Now()
	return func() {
		var b strings.Builder
		fmt.Fprintf(&b, "%5.1f s", time.Since(begin).Seconds())
		for _, s := range sides {
			fmt.Fprintf(&b, "   %s: %d of %d", s.name, s.succeeded.Load()+s.failed.Load(), job.calls)
			b.WriteString(troubles(s, func(_, text string) string { return text }))
		}
		fmt.Fprintln(w, b.String())
	}
}

// bars is progress for a terminal.
func bars(w io.Writer, job job, sides []*side) (show, finish func()) {
	paint := painter(w)
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(50*time.Millisecond))
	row := make([]*mpb.Bar, len(sides))
	for i, s := range sides {
		row[i] = p.New(int64(job.calls), mpb.BarStyle().Lbound("▕").Filler("█").Tip("█").Padding("░").Rbound("▏"),
			mpb.PrependDecorators(decor.Name(s.name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(
				decor.CountersNoUnit("%d of %d", decor.WCSyncSpace),
				decor.Elapsed(decor.ET_STYLE_MMSS, decor.WCSyncSpace),
				decor.Any(func(decor.Statistics) string { return troubles(s, paint) }),
			),
		)
	}
	show = func() {
		for i, s := range sides {
			row[i].SetCurrent(s.succeeded.Load() + s.failed.Load())
		}
	}
	finish = func() {
		for _, bar := range row {
			bar.Abort(false) // does nothing to one that is complete
		}
		p.Wait()
	}
	return show, finish
}

// troubles is what went wrong so far.
func troubles(s *side, paint func(colour, text string) string) string {
	n := s.meter.Counts()
	text := ""
	if n.Denied > 0 {
		text += paint(yellow, fmt.Sprintf(", %d denied", n.Denied))
	}
	if failed := s.failed.Load(); failed > 0 {
		text += paint(red, fmt.Sprintf(", %d failed", failed))
	}
	return text
}
