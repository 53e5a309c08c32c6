package main

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawPlot writes a picture of the cells to an SVG file: a point for each client
// at each server, the nearer to the lower left corner the better. A cross is a
// job of which some calls failed.
func drawPlot(file string, j job, cells []*cell) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%d calls, %d workers, %d per %v: each client at each server", j.calls, j.workers, j.limit, j.per)
	p.X.Label.Text = "time, over the ideal time"
	p.Y.Label.Text = "requests denied, %"
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top = true
	p.Legend.Left = true
	p.Add(plotter.NewGrid())

	var names []string
	points := map[string][2]plotter.XYs{} // of each client: jobs done whole, jobs with failures
	for _, c := range cells {
		if c.err != nil {
			continue
		}
		name := c.client.name
		if _, ok := points[name]; !ok {
			names = append(names, name)
		}
		at, kind := points[name], 0
		if c.result.failed > 0 {
			kind = 1
		}
		at[kind] = append(at[kind], plotter.XY{X: c.result.took.Seconds() / c.ideal.Seconds(), Y: 100 * c.result.deniedShare()})
		points[name] = at
	}
	for i, name := range names {
		var shade color.Color = plotutil.Color(i)
		whole, err := glyphs(points[name][0], shade, draw.CircleGlyph{})
		if err != nil {
			return err
		}
		failing, err := glyphs(points[name][1], shade, draw.CrossGlyph{})
		if err != nil {
			return err
		}
		p.Add(whole, failing)
		p.Legend.Add(name, whole)
	}
	return p.Save(24*vg.Centimeter, 14*vg.Centimeter, file)
}

func glyphs(at plotter.XYs, c color.Color, shape draw.GlyphDrawer) (*plotter.Scatter, error) {
	s, err := plotter.NewScatter(at)
	if err != nil {
		return nil, err
	}
	s.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(4), Shape: shape}
	return s, nil
}
