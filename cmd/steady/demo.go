package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// demo is the command of that name.
type demo struct {
	Calls   int           `default:"300" help:"How many chat completions."`
	Workers int           `default:"32" help:"How many at a time."`
	JSON    bool          `help:"Print the result as JSON."`
	SVG     string        `name:"svg" default:"steady-demo.svg" help:"Where to write the picture (${default}); empty for none." placeholder:"FILE"`
	BaseURL string        `name:"base-url" help:"Send the calls to this API instead, with steadyhttp only." placeholder:"URL"`
	APIKey  string        `name:"api-key" env:"OPENAI_API_KEY" help:"The API's key. It is sent nowhere but to --base-url." placeholder:"KEY"`
	Model   string        `default:"gpt-4o-mini" help:"The model to ask."`
	Timeout time.Duration `default:"10m" help:"When to give up."`
}

// What the provider on loopback does.
const (
	limit        = 100
	per          = 5 * time.Second
	latency      = 500 * time.Millisecond // on average
	refusalDelay = 20 * time.Millisecond
	outageAfter  = 2500 * time.Millisecond
	outageFor    = 3 * time.Second
)

func newProvider() *steadytest.Provider {
	return &steadytest.Provider{
		Limits:  []steadytest.Limit{{N: limit, Per: per, Kind: steadytest.ContinuousBucket}},
		Faults:  []steadytest.Fault{{After: outageAfter, For: outageFor, Do: steadytest.Unavailable}},
		Latency: latency,
		LatencyFunc: func(*http.Request) time.Duration {
			return latency*4/5 + rand.N(latency*2/5)
		},
		DeniedLatency: refusalDelay,
	}
}

func (d *demo) Run(ctx context.Context, t terminal) error {
	if d.Calls < 1 || d.Workers < 1 {
		return fmt.Errorf("--calls and --workers must be at least 1")
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	job := job{calls: d.Calls, workers: d.Workers, model: d.Model}

	var sides []*side
	if d.BaseURL != "" {
		sides = []*side{realSide(d.BaseURL, d.APIKey)}
	} else {
		for _, steady := range []bool{false, true} {
			s, stop, err := loopbackSide(steady)
			if err != nil {
				return err
			}
			defer stop()
			sides = append(sides, s)
		}
		job.ideal = newProvider().Ideal(job.calls, job.workers, steadytest.Call{})
	}

	stop := showProgress(t.err, job, sides)
	runAll(ctx, job, sides)
	stop()
	return d.report(t, job, sides)
}

// runAll does the job on all sides at once.
func runAll(ctx context.Context, job job, sides []*side) {
	var wg sync.WaitGroup
	for _, s := range sides {
		wg.Go(func() { s.run(ctx, job) })
	}
	wg.Wait()
}

// report prints the result and writes the picture.
func (d *demo) report(t terminal, job job, sides []*side) error {
	results := make([]result, len(sides))
	for i, s := range sides {
		results[i] = s.result(job)
	}
	picture := d.SVG
	if picture != "" {
		if err := writeChart(picture, job, sides); err != nil {
			return err
		}
	}
	if d.JSON {
		if err := writeResultsJSON(t.out, job, results, picture); err != nil {
			return err
		}
	} else {
		writeTable(t.out, job, results)
		if picture != "" {
			fmt.Fprintf(t.out, "\nThe picture is in %s.\n", picture)
		}
	}
	if last := results[len(results)-1]; last.Failed > 0 { // the steady one
		fmt.Fprintf(t.err, "steady: %d of %d calls failed: %s\n", last.Failed, job.calls, last.failures())
		return errFailed
	}
	return nil
}

// loopbackSide is a provider on loopback and a client of it: openai-go as it
// comes, or with steadyhttp as its transport.
func loopbackSide(steady bool) (*side, func(), error) {
	provider := newProvider()
	url, stop, err := serve(provider)
	if err != nil {
		return nil, nil, err
	}
	options := []option.RequestOption{option.WithBaseURL(url + "/v1/"), option.WithAPIKey("demo")}
	s := &side{name: "openai-go's defaults", meter: provider, options: options}
	if steady {
		s.name, s.priority = "with steadyhttp", steadyhttp.PriorityBatch
		s.options = append(s.options, option.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(nil)}))
	}
	return s, stop, nil
}

// realSide is a client of a real API, and a meter that sees its attempts.
func realSide(baseURL, key string) *side {
	meter := &traceMeter{}
	options := []option.RequestOption{
		option.WithBaseURL(strings.TrimSuffix(baseURL, "/") + "/"),
		option.WithHTTPClient(&http.Client{Transport: steadyhttp.Traced(steadyhttp.NewTransport(nil), meter.trace())}),
	}
	if key != "" {
		options = append(options, option.WithAPIKey(key))
	}
	return &side{name: "with steadyhttp", meter: meter, options: options, priority: steadyhttp.PriorityBatch}
}

// complete asks for one chat completion.
func complete(ctx context.Context, client openai.Client, model string) error {
	_, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say that you are steady, in one word.")},
	})
	return err
}
