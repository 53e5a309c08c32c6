package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"time"

	"github.com/steadyhttp/steadyhttp/steadytest"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	bucket      = 100 * time.Millisecond
	chartWidth  = 26 * vg.Centimeter
	panelHeight = 7 * vg.Centimeter
)

var (
	admittedColour = color.RGBA{0x2a, 0x9d, 0x6f, 0xff}
	deniedColour   = color.RGBA{0xd9, 0x48, 0x3b, 0xff}
	failedColour   = color.RGBA{0x8a, 0x8f, 0x98, 0xff}
	outageColour   = color.RGBA{0xf2, 0xee, 0xe3, 0xff}
	outageInk      = color.RGBA{0x9a, 0x8c, 0x66, 0xff}
	inkColour      = color.RGBA{0x33, 0x38, 0x40, 0xff}
	gridColour     = color.RGBA{0xe6, 0xe8, 0xeb, 0xff}
)

// writeChart draws what each side's requests met over time, one panel for each
// side, all on the same axes.
func writeChart(path string, job job, sides []*side) error {
	lines := make([][]steadytest.Bucket, len(sides))
	var longest time.Duration
	highest := 0
	for i, s := range sides {
		lines[i] = s.meter.Timeline(bucket)
		for _, b := range lines[i] {
			longest, highest = max(longest, b.Start+bucket), max(highest, b.Requests)
		}
	}
	if job.ideal > 0 {
		longest = max(longest, outageAfter+outageFor)
	}
	height := panelHeight * vg.Length(len(sides))
	svg := vgsvg.New(chartWidth, height)
	canvas := draw.New(svg)
	tiles := draw.Tiles{
		Cols: 1, Rows: len(sides), PadY: 6 * vg.Millimeter,
		PadTop: 4 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 3 * vg.Millimeter, PadRight: 5 * vg.Millimeter,
	}
	fill(canvas, color.White, canvas.Min.X, canvas.Min.Y, canvas.Max.X, canvas.Max.Y)
	for i, s := range sides {
		p := panel(job, s, lines[i])
		p.X.Min, p.X.Max = 0, longest.Seconds()+0.2
		p.Y.Min, p.Y.Max = 0, float64(highest)*1.15+1
		if i == 0 {
			addLegend(p)
		}
		if i == len(sides)-1 {
			p.X.Label.Text = "seconds"
		}
		p.Draw(tiles.At(canvas, 0, i))
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := svg.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// panel is the plot of one side.
func panel(job job, s *side, line []steadytest.Bucket) *plot.Plot {
	p := plot.New()
	r := s.result(job)
	p.Title.Text = fmt.Sprintf("%s: %d of %d succeeded, %d requests, %.1f %% denied, %.1f s",
		s.name, r.Succeeded, job.calls, r.Requests, 100*r.deniedShare(), r.Seconds)
	p.Title.Padding = 3 * vg.Millimeter
	p.Y.Label.Text = "requests per 100 ms"
	sans := func(style *text.Style, size vg.Length) {
		style.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
		style.Color = inkColour
	}
	sans(&p.Title.TextStyle, 12)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		sans(&axis.Label.TextStyle, 10)
		sans(&axis.Tick.Label, 9)
		axis.Color, axis.Tick.Color = inkColour, inkColour
		axis.Padding = 0
	}
	sans(&p.Legend.TextStyle, 10)
	p.X.Tick.Marker = wholeNumbers{20}
	p.Y.Tick.Marker = wholeNumbers{6}

	if job.ideal > 0 {
		p.Add(band{outageAfter.Seconds(), (outageAfter + outageFor).Seconds()})
	}
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = gridColour
	p.Add(grid, columns(line))
	return p
}

// wholeNumbers are at most so many ticks.
type wholeNumbers struct{ most float64 }

func (w wholeNumbers) Ticks(low, high float64) (ticks []plot.Tick) {
	step := 1.0
	for i := 0; high-low > w.most*step; i++ {
		step *= []float64{2, 2.5, 2}[i%3]
	}
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.0f", v)})
	}
	return ticks
}

func addLegend(p *plot.Plot) {
	p.Legend.Top = true
	p.Legend.Padding = vg.Millimeter
	p.Legend.XOffs, p.Legend.YOffs = -3*vg.Millimeter, -2*vg.Millimeter
	p.Legend.Add("admitted", swatch{admittedColour})
	p.Legend.Add("denied (429)", swatch{deniedColour})
	p.Legend.Add("failed (503)", swatch{failedColour})
}

// columns are stacked: admitted, denied, failed.
type columns []steadytest.Bucket

func (c columns) Plot(canvas draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&canvas)
	for _, b := range c {
		left, right := x(b.Start.Seconds()), x((b.Start + bucket).Seconds())
		gap := (right - left) / 8
		bottom := 0
		for _, part := range []struct {
			n      int
			colour color.Color
		}{{b.Admitted, admittedColour}, {b.Denied, deniedColour}, {b.Failed, failedColour}} {
			if part.n > 0 {
				fill(canvas, part.colour, left+gap, y(float64(bottom)), right-gap, y(float64(bottom+part.n)))
				bottom += part.n
			}
		}
	}
}

// band is a shaded stretch of time.
type band struct{ from, to float64 }

func (b band) Plot(canvas draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&canvas)
	fill(canvas, outageColour, x(b.from), canvas.Min.Y, x(b.to), canvas.Max.Y)
	label := p.X.Label.TextStyle
	label.Color, label.XAlign, label.YAlign = outageInk, text.XCenter, text.YTop
	canvas.FillText(label, vg.Point{X: (x(b.from) + x(b.to)) / 2, Y: canvas.Max.Y - 2*vg.Millimeter}, "outage")
}

// swatch is a colour in the legend.
type swatch struct{ colour color.Color }

func (s swatch) Thumbnail(c *draw.Canvas) {
	fill(*c, s.colour, c.Min.X+c.Size().X/4, c.Min.Y, c.Max.X, c.Max.Y)
}

func fill(c draw.Canvas, colour color.Color, left, bottom, right, top vg.Length) {
	c.FillPolygon(colour, []vg.Point{{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top}})
}
