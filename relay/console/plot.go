package console

import (
	"encoding/json"
	"time"

	"graphrelay/internal/look"
	"graphrelay/relay/flow"
)

// plot is a plot of the overview, and the table with which it can be read instead.
type plot struct {
	ID, Title string
	Seconds   bool // the values are seconds; else they are counts
	look.Plot
	Rows []plotRow
}

// plotRow is a row of the table.
type plotRow struct {
	At     time.Time // the end of its time
	Values []*float64
}

// Data returns what plots.js reads.
func (p plot) Data() (string, error) {
	data, err := json.Marshal(p.Plot)
	return string(data), err
}

// line is one series of values of a plot.
type line struct {
	name   string
	colour int
	value  func(flow.Point) *float64 // nil: none
}

func counts(name string, colour int, of func(flow.Point) int64) line {
	return line{name, colour, func(p flow.Point) *float64 { n := float64(of(p)); return &n }}
}

// seconds is a line with gaps where there is nothing to measure.
func seconds(name string, colour int, of func(flow.Point) float64) line {
	return line{name, colour, func(p flow.Point) *float64 {
		if n := of(p); n > 0 {
			return &n
		}
		return nil
	}}
}

// flowPlots returns the plots of a time, and their tables.
func flowPlots(points, rows flow.Series) []plot {
	var all []plot
	add := func(id, title string, inSeconds, bars bool, lines ...line) {
		p := plot{ID: id, Title: title, Seconds: inSeconds, Plot: look.Plot{Unit: "count", Bars: bars, X: []int64{}}}
		if inSeconds {
			p.Unit = "seconds"
		}
		for _, at := range points.Points {
			p.X = append(p.X, at.At.Unix())
		}
		for _, l := range lines {
			row := look.PlotRow{Name: l.name, Colour: l.colour, Values: []*float64{}}
			for _, at := range points.Points {
				row.Values = append(row.Values, l.value(at))
			}
			p.Y = append(p.Y, row)
		}
		for _, at := range rows.Points {
			row := plotRow{At: at.At}
			for _, l := range lines {
				row.Values = append(row.Values, l.value(at))
			}
			p.Rows = append(p.Rows, row)
		}
		all = append(all, p)
	}
	add("flow", "Messages in and out", false, false,
		counts("accepted", 1, func(p flow.Point) int64 { return p.Accepted }),
		counts("delivered", 2, func(p flow.Point) int64 { return p.Delivered }))
	add("times", "Delivery time", true, false,
		seconds("half within", 1, func(p flow.Point) float64 { return p.P50 }),
		seconds("95 % within", 3, func(p flow.Point) float64 { return p.P95 }))
	add("queue", "Messages in the queue", false, false,
		counts("waiting", 1, func(p flow.Point) int64 { return p.Waiting }),
		counts("held", 3, func(p flow.Point) int64 { return p.Held }))
	add("age", "Age of the oldest message", true, false,
		line{"age", 5, func(p flow.Point) *float64 { return &p.Oldest }})
	add("trouble", "Failed, returned and refused", false, true,
		counts("failed", 4, func(p flow.Point) int64 { return p.Failed }),
		counts("returned", 5, func(p flow.Point) int64 { return p.Returned }),
		counts("refused", 3, func(p flow.Point) int64 { return p.Rejected }))
	add("throttling", "Throttling by Microsoft Graph", false, true,
		counts("answers to slow down", 3, func(p flow.Point) int64 { return p.Throttled }))
	return all
}

// tally is a table of how many messages met with what.
type tally struct {
	ID, Title, None string
	Refused         bool // by a listener
	List            []flow.Tally
}

func newTally(id, title, none string, refused bool, list []flow.Tally) tally {
	return tally{id, title, none, refused, list}
}
