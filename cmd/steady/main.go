// Steady shows what package steadyhttp does: at work, beside an SDK's own
// retries, and on a single response.
//
//	steady demo             300 chat completions against a provider on loopback
//	steady explain [file]   what a response means, as curl -i prints it
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// command is the command line.
type command struct {
	Demo    demo    `cmd:"" help:"Send chat completions through an OpenAI client, with and without steadyhttp, to a provider that limits and fails."`
	Explain explain `cmd:"" help:"Say what an HTTP response means, as 'curl -i' prints it."`
}

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// errFailed is what a command returns that has already said what is wrong.
var errFailed = errors.New("failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr})
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errFailed):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "steady:", err)
		os.Exit(2)
	}
}

// run obeys the command line args.
func run(ctx context.Context, args []string, t terminal) error {
	parser, err := kong.New(new(command),
		kong.Name("steady"),
		kong.Description("Keeps an HTTP client steady: a demonstration, and an explainer of responses."),
		kong.Writers(t.out, t.err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		return err
	}
	chosen, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (try steady --help)", err)
	}
	return chosen.Run()
}

// isTerminal tells whether w shows bars and colour. One without a size, as some
// recorders of sessions are, is taken for a pipe.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0
}

// painter colours text for w, or leaves it as it is.
func painter(w io.Writer) func(colour, text string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" {
		return func(_, text string) string { return text }
	}
	return func(colour, text string) string {
		if colour == plain {
			return text
		}
		return "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
}

const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)
