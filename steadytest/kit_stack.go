package steadytest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// leftovers names where goroutines stand, those of the newest bubble or those
// outside of all: for each the innermost frame of the middleware, or if no
// goroutine has one, the innermost that is neither the runtime's nor the kit's.
func leftovers(bubbled bool) string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	newest, theirs, others := 0, map[int][]string{}, map[int][]string{}
	for _, s := range stacks {
		head, frames, _ := strings.Cut(s, "\n")
		bubble := 0 // outside of all
		if _, tag, found := strings.Cut(head, "synctest bubble "); found {
			fmt.Sscan(tag, &bubble)
		}
		if bubbled != (bubble > 0) || isRunner(frames) {
			continue
		}
		newest = max(newest, bubble)
		note := func(at map[int][]string, frame string) {
			if frame != "" && !slices.Contains(at[bubble], frame) {
				at[bubble] = append(at[bubble], frame)
			}
		}
		note(theirs, innermost(frames, library))
		note(others, innermost(frames, plumbing))
	}
	switch {
	case len(theirs[newest]) > 0:
		return strings.Join(theirs[newest], "; ")
	case len(others[newest]) > 0 && bubbled:
		return strings.Join(others[newest], "; ")
	}
	return "(unknown)"
}

// isRunner tells whether a goroutine is of those that run tests and wait for
// them.
func isRunner(frames string) bool {
	return slices.ContainsFunc([]string{"internal/synctest.Run(", "testing.tRunner(", "testing.(*M).Run("},
		func(frame string) bool { return strings.Contains(frames, frame) })
}

// panicSite is where a panic that was just recovered came from.
func panicSite() string {
	buf := make([]byte, 1<<16)
	stack := string(buf[:runtime.Stack(buf, false)])
	if _, after, found := strings.Cut(stack, "panic("); found {
		stack = after
	}
	if site := innermost(stack, library); site != "" {
		return site
	}
	return innermost(stack, plumbing)
}

// plumbing is how the names of functions begin that say nothing about a wait,
// and library those of all of the standard library that a middleware calls.
var (
	plumbing = []string{"runtime.", "panic", "sync.", "internal/", "time.", "io.", "testing", "net.(*pipe)"}
	library  = append([]string{"bufio.", "bytes.", "compress/", "context.", "crypto/", "net.", "net/", "os.", "strings."}, plumbing...)
)

// innermost is the first frame of a stack that is of interest: not the kit's, and
// of no function whose name begins with one of skip.
func innermost(stack string, skip []string) string {
	lines := strings.Split(stack, "\n")
	for i, line := range lines {
		if i+1 == len(lines) || strings.HasPrefix(line, "\t") {
			continue
		}
		name, created := strings.CutPrefix(line, "created by ")
		if created {
			name, _, _ = strings.Cut(name, " in goroutine")
		} else if end := strings.LastIndex(name, "("); end > 0 {
			name = name[:end]
		}
		at := strings.TrimSpace(lines[i+1])
		boring := slices.ContainsFunc(skip, func(p string) bool { return strings.HasPrefix(name, p) }) ||
			strings.Contains(name, "steadytest.") && !strings.Contains(at, "_test.go:")
		if !boring {
			return name + " " + at
		}
	}
	return ""
}
