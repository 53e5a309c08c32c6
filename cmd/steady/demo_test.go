package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai/openai-go/v3/option"
	"github.com/steadyhttp/steadyhttp"
	"github.com/steadyhttp/steadyhttp/steadytest"
)

// steady runs the command line and returns what it printed.
func steady(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), args, terminal{strings.NewReader(stdin), &out, &errs})
	return out.String(), errs.String(), err
}

// TestSteadySideOfTheDemoIsHardlyEverDenied is the demo's job in virtual time.
func TestSteadySideOfTheDemoIsHardlyEverDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 20, 12, 0, 7, 0, time.UTC)))
		provider := newProvider()
		provider.LatencyFunc = nil
		s := &side{name: "steady", meter: provider, priority: steadyhttp.PriorityBatch, options: []option.RequestOption{
			option.WithBaseURL("http://api.test/v1/"), option.WithAPIKey("k"),
			option.WithHTTPClient(&http.Client{Transport: steadyhttp.NewTransport(provider)}),
		}}
		job := job{calls: 300, workers: 32, model: "m", ideal: provider.Ideal(300, 32, steadytest.Call{})}
		s.run(t.Context(), job)
		r := s.result(job)
		t.Logf("%+v", r)
		if r.deniedShare() > 0.02 || r.XIdeal > 1.25 {
			t.Errorf("%.1f %% denied, %.2f x ideal", 100*r.deniedShare(), r.XIdeal)
		}
		if r.Succeeded != 300 || r.Failed != 0 {
			t.Errorf("%d succeeded, %d failed: %s", r.Succeeded, r.Failed, r.failures())
		}
		if r.Requests != 300+r.Denied+r.Outage {
			t.Errorf("%d requests, %d denied, %d in the outage", r.Requests, r.Denied, r.Outage)
		}
	})
}

func TestDemoReportsBothSides(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "demo.svg")
	out, progress, err := steady(t, "", "demo", "--calls=40", "--workers=20", "--json", "--svg="+svg)
	if err != nil {
		t.Fatal(err, progress)
	}
	var got struct {
		Calls int
		Ideal float64 `json:"ideal_seconds"`
		Sides []result
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Calls != 40 || got.Ideal <= 0 || len(got.Sides) != 2 {
		t.Errorf("got %s", out)
	}
	for _, r := range got.Sides {
		if r.Succeeded != 40 || r.Requests != 40 || r.Seconds <= 0 {
			t.Errorf("within the limit: %+v", r)
		}
	}
	if !strings.Contains(progress, "with steadyhttp: 40 of 40") || strings.Contains(progress, "\x1b") {
		t.Errorf("progress %q", progress)
	}
	checkXML(t, svg)
}

// checkXML reads a file as XML to its end.
func checkXML(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for dec := xml.NewDecoder(f); ; {
		if _, err := dec.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

func TestRealEndpointIsMeasuredByTheTraceAndItsKeyNotShown(t *testing.T) {
	const key = "sk-s3cr3t"
	var asked []string
	provider := &steadytest.Provider{}
	url, stop, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization")+" "+r.URL.Path)
		provider.ServeHTTP(w, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	t.Setenv("OPENAI_API_KEY", key)
	out, progress, err := steady(t, "", "demo", "--base-url="+url+"/v1", "--calls=3", "--workers=1", "--svg=")
	if err != nil {
		t.Fatal(err, progress)
	}
	if len(asked) != 3 || asked[0] != "Bearer "+key+" /v1/chat/completions" {
		t.Errorf("the API was asked %q", asked)
	}
	if !strings.Contains(out, "3 of 3") || !strings.Contains(out, "unknown") || strings.Contains(out, "defaults") {
		t.Errorf("printed %s", out)
	}
	if strings.Contains(out+progress, key) {
		t.Error("printed the key")
	}
}

func TestFailedCallIsExitStatusOneAndSaysWhy(t *testing.T) {
	const key = "sk-s3cr3t"
	url, stop, err := serve(&steadytest.Provider{Faults: []steadytest.Fault{{Do: steadytest.Unauthorized}}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	out, progress, err := steady(t, "", "demo", "--base-url="+url+"/v1", "--api-key="+key, "--calls=2", "--svg=", "--json")
	if !errors.Is(err, errFailed) || !strings.Contains(progress, "2 of 2 calls failed: 2 ") {
		t.Errorf("got %v, %s", err, progress)
	}
	if !json.Valid([]byte(out)) || strings.Contains(out+progress, key) {
		t.Errorf("printed %s %s", out, progress)
	}
}

func TestCommandLineMistakesAreErrors(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"demo", "--calls=0"}, {"demo", "--calls=many"}, {"explain", "/no/such/file"}, {"demo", "--svg=/no/such/dir/x.svg", "--calls=1"}} {
		if _, _, err := steady(t, "", args...); err == nil || errors.Is(err, errFailed) {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

func TestCancelledDemoEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	err := run(ctx, []string{"demo", "--calls=5", "--svg="}, terminal{strings.NewReader(""), &out, &errs})
	if !errors.Is(err, errFailed) || !strings.Contains(errs.String(), "5 canceled") {
		t.Errorf("got %v, %s", err, errs.String())
	}
}

func TestTraceMeterCountsByTime(t *testing.T) {
	m := &traceMeter{}
	begin := time.Now()
	attempt := func(class steadyhttp.Class, sent, took time.Duration) {
		m.count(steadyhttp.AttemptInfo{Outcome: steadyhttp.Outcome{Class: class}, Duration: took}, begin.Add(sent+took))
	}
	attempt(steadyhttp.ClassSuccess, 0, time.Second)
	attempt(steadyhttp.ClassRateLimited, 250*time.Millisecond, 5*time.Second)
	attempt(steadyhttp.ClassServerError, 260*time.Millisecond, 0)
	if got, want := m.Counts(), (steadytest.Counts{Requests: 3, Admitted: 1, Denied: 1, Failed: 1}); got != want {
		t.Errorf("counts %+v", got)
	}
	line := m.Timeline(100 * time.Millisecond)
	if len(line) != 3 || line[0].Admitted != 1 || line[1].Requests != 0 || line[2].Denied != 1 || line[2].Failed != 1 || line[2].Start != 200*time.Millisecond {
		t.Errorf("timeline %+v", line)
	}
}

func TestTableIsPlainInAPipe(t *testing.T) {
	var out bytes.Buffer
	writeTable(&out, job{calls: 300, ideal: 10 * time.Second}, []result{
		{Name: "openai-go's defaults", Succeeded: 157, Failed: 143, Requests: 602, Denied: 445, Seconds: 3.3},
		{Name: "with steadyhttp", Succeeded: 300, Requests: 325, Denied: 4, Outage: 21, Seconds: 11, XIdeal: 1.1},
	})
	want := `
                        succeeded   failed   requests sent         denied   met the outage     time             ideal
openai-go's defaults   157 of 300      143             602   445 (73.9 %)                0    3.3 s            10.0 s
with steadyhttp        300 of 300        0             325      4 (1.2 %)               21   11.0 s   10.0 s (x 1.10)
`
	if got := out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}
