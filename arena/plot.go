package main

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// shades are the clients' colours, in the order of the table: the steady ones
// dark, so that they are found at once.
var shades = []color.Color{
	color.RGBA{0x0b, 0x53, 0x45, 0xff}, color.RGBA{0x1a, 0xbc, 0x9c, 0xff},
	color.RGBA{0xc0, 0x39, 0x2b, 0xff}, color.RGBA{0xe6, 0x7e, 0x22, 0xff},
	color.RGBA{0xf1, 0xc4, 0x0f, 0xff}, color.RGBA{0x9b, 0x59, 0xb6, 0xff},
	color.RGBA{0x95, 0xa5, 0xa6, 0xff}, color.RGBA{0x34, 0x49, 0x5e, 0xff},
}

// drawPlot draws the cells as an SVG: for each server a bar for each client, in
// one panel for what was denied and one for the time. A job of which calls failed
// has their number instead of a time.
func drawPlot(w io.Writer, j job, cells []*cell) error {
	denied, err := panel(cells, "requests denied, %", func(c *cell) (float64, string) {
		return 100 * c.result.deniedShare(), ""
	})
	if err != nil {
		return err
	}
	took, err := panel(cells, "time, over the ideal", func(c *cell) (float64, string) {
		if n := c.result.failed; n > 0 {
			return 0, fmt.Sprintf("%d failed", n)
		}
		return c.result.took.Seconds() / c.ideal.Seconds(), ""
	})
	if err != nil {
		return err
	}
	denied.Title.Text = fmt.Sprintf("%d calls, %d workers, %d per %v", j.calls, j.workers, j.limit, j.per)
	denied.Y.Max = 100
	denied.Legend.Top = true
	names, _ := namesOf(cells, func(c *cell) string { return c.client.name })
	for i, name := range names {
		denied.Legend.Add(name, swatch{shades[i%len(shades)]})
	}
	denied.Legend.Padding = vg.Points(2)

	canvas := vgsvg.New(26*vg.Centimeter, 18*vg.Centimeter)
	rows := [][]*plot.Plot{{denied}, {took}}
	for i, row := range plot.Align(rows, draw.Tiles{Rows: 2, Cols: 1, PadY: vg.Points(12)}, draw.New(canvas)) {
		rows[i][0].Draw(row[0])
	}
	_, err = canvas.WriteTo(w)
	return err
}

// panel is a plot with a bar for each cell, as high as value says, or with the
// text that it returns instead.
func panel(cells []*cell, label string, value func(*cell) (float64, string)) (*plot.Plot, error) {
	p := plot.New()
	p.Y.Label.Text = label
	p.Y.Min = 0
	p.Add(plotter.NewGrid())
	servers, at := namesOf(cells, func(c *cell) string { return c.server.name })
	clients, which := namesOf(cells, func(c *cell) string { return c.client.name })
	p.NominalX(servers...)
	p.X.Min, p.X.Max = -0.5, float64(len(servers))+0.5 // with room for the legend
	width := 24 * vg.Centimeter / vg.Length(len(servers)+1) * 0.8 / vg.Length(len(clients))
	for k := range clients {
		heights := make(plotter.Values, len(servers))
		offset := width * vg.Length(float64(k)-float64(len(clients)-1)/2)
		for i, c := range cells {
			if which[i] != k || c.err != nil {
				continue
			}
			high, text := value(c)
			heights[at[i]] = high
			if text == "" {
				continue
			}
			l, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: float64(at[i]), Y: 0}}, Labels: []string{text}})
			if err != nil {
				return nil, err
			}
			l.TextStyle[0].Rotation = math.Pi / 2
			l.TextStyle[0].YAlign = draw.YCenter
			l.TextStyle[0].Font.Size = vg.Points(9)
			l.Offset = vg.Point{X: offset, Y: vg.Points(3)}
			p.Add(l)
		}
		bars, err := plotter.NewBarChart(heights, width)
		if err != nil {
			return nil, err
		}
		bars.Offset, bars.Color, bars.LineStyle.Width = offset, shades[k%len(shades)], 0
		p.Add(bars)
	}
	return p, nil
}

// namesOf are the different names of the cells in the order of appearance, and
// for each cell which of them is its own.
func namesOf(cells []*cell, name func(*cell) string) (names []string, which []int) {
	index := map[string]int{}
	for _, c := range cells {
		n := name(c)
		if _, ok := index[n]; !ok {
			index[n] = len(names)
			names = append(names, n)
		}
		which = append(which, index[n])
	}
	return names, which
}

// swatch is a colour in the legend.
type swatch struct{ color.Color }

// Thumbnail fills the place of the sample.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.Color, []vg.Point{
		{X: c.Min.X, Y: c.Min.Y}, {X: c.Min.X, Y: c.Max.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Max.X, Y: c.Min.Y},
	})
}
