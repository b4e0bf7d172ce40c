package report

import (
	"fmt"
	"math"
	"time"
)

// A plot is drawn in per cent of the page's width and pixels of height, so that its words keep their size on a telephone.

// most bars are drawn: more could not be told apart.
const most = 60

// mark is one event in its lane.
type mark struct {
	X      string // per cent
	Event  int
	Tip    string
	Failed bool
}

// lane is the events of one kind along the time.
type lane struct {
	Kind, Name string
	Marks      []mark
}

// axis maps moments to per cent of the width.
type axis struct{ First, Last time.Time }

func (a axis) at(t time.Time) string {
	const edge = 1.5 // room for the marks at both ends
	span := a.Last.Sub(a.First)
	if span <= 0 {
		return "50%"
	}
	return fmt.Sprintf("%.3f%%", edge+(100-2*edge)*float64(t.Sub(a.First))/float64(span))
}

// draw sorts events into lanes. A lane without events is left out, but for those of migrations and rollbacks: that there was none is news.
func draw(events []event, d *Data, w Words) ([]lane, axis) {
	var a axis
	see := func(t time.Time) {
		if a.First.IsZero() || t.Before(a.First) {
			a.First = t
		}
		if t.After(a.Last) {
			a.Last = t
		}
	}
	for _, e := range events {
		see(e.At)
	}
	var out []lane
	for _, l := range lanes {
		x := lane{Kind: l.Kind, Name: l.Name}
		for i := len(events) - 1; i >= 0; i-- {
			e := &events[i]
			switch {
			case e.Kind == l.Kind:
				x.Marks = append(x.Marks, mark{a.at(e.At), e.ID, e.Tip(w), e.Failed()})
			case l.Kind == capture && len(e.Snapshots) > 0:
				x.Marks = append(x.Marks, mark{a.at(e.At), e.ID, w.Moment(e.At) + ": " + w.Count(e.Captured) + " rows captured by " + e.Action, false})
			case l.Kind == migration && e.Kind == guard && len(e.Versions) > 0:
				x.Marks = append(x.Marks, mark{a.at(e.At), e.ID, e.Tip(w), e.Failed()})
			}
		}
		if len(x.Marks) > 0 || l.Kind == migration || l.Kind == rollback {
			out = append(out, x)
		}
	}
	return out, a
}

// bar is one run in a plot; its parts stand on one another.
type bar struct {
	X, Width string
	Event    int
	Tip      string
	Parts    []part
}

type part struct {
	Class     string
	Y, Height string // pixels
}

// plot is a row of bars, the oldest on the left.
type plot struct {
	Title, Note string
	Bars        []bar
	Top, Middle string // what the lines at the top and in the middle stand for
	From, To    string // the first and the last moment
	Legend      []legend
	Height      int
	Left        int // runs that are not drawn
}

type legend struct{ Class, Name string }

// The height of a plot's bars in pixels, and the room above the highest for the words of its line.
const (
	tall = 150
	head = 18
)

// value is one part of what a run has to show.
type value struct {
	class string
	n     float64
}

// bars draws a plot. values gives the parts of an event, nil when it has none; tip says it in words.
func bars(events []event, w Words, values func(*event) []value, tip func(*event) string, scale func(float64) string) plot {
	p := plot{Height: tall + head}
	var drawn []*event
	highest := 0.0
	for i := range events {
		e := &events[i]
		sum := total(values(e))
		if sum <= 0 {
			continue
		}
		if len(drawn) == most {
			p.Left++
			continue
		}
		drawn, highest = append(drawn, e), max(highest, sum)
	}
	if len(drawn) == 0 {
		return p
	}
	highest = round(highest)
	p.Top, p.Middle = scale(highest), scale(highest/2)
	p.From, p.To = w.Moment(drawn[len(drawn)-1].At), w.Moment(drawn[0].At)
	slot := 100 / float64(max(len(drawn), 8))
	for i := range drawn {
		e := drawn[len(drawn)-1-i]
		b := bar{X: fmt.Sprintf("%.3f%%", slot*(float64(i)+0.14)), Width: fmt.Sprintf("%.3f%%", slot*0.72), Event: e.ID, Tip: tip(e)}
		y := float64(tall + head)
		for _, v := range values(e) {
			if v.n <= 0 {
				continue
			}
			h := max(2, tall*v.n/highest) // what is there is seen
			y = max(0, y-h)
			b.Parts = append(b.Parts, part{v.class, fmt.Sprintf("%.1f", y), fmt.Sprintf("%.1f", h)})
		}
		p.Bars = append(p.Bars, b)
	}
	return p
}

func total(values []value) (sum float64) {
	for _, v := range values {
		sum += v.n
	}
	return sum
}

// round goes up to a number that is easily read: 1, 2 or 5 and noughts.
func round(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*unit >= x {
			return f * unit
		}
	}
	return x
}

func rowPlot(events []event, w Words) plot {
	p := bars(events, w, func(e *event) []value {
		return []value{{"captured", float64(e.Captured)}, {"back", float64(e.Back)}, {"removed", float64(e.Removed)}, {"conflicts", float64(e.Conflicting)}}
	}, func(e *event) string {
		return fmt.Sprintf("%s; %s rows captured, %s rows or values back, %s removed, %s conflicts", e.Tip(w), w.Count(e.Captured), w.Count(e.Back), w.Count(e.Removed), w.Count(e.Conflicting))
	}, func(x float64) string { return w.Count(int64(math.Ceil(x))) + " rows" })
	p.Title, p.Note = "Rows", "captured before they were destroyed, and put back"
	p.Legend = []legend{{"captured", "captured"}, {"back", "came back"}, {"removed", "removed again"}, {"conflicts", "conflicts"}}
	return p
}

func timePlot(events []event, w Words) plot {
	p := bars(events, w, func(e *event) []value {
		if e.Kind == guard { // how long a watch lasts is chosen
			return nil
		}
		class := "k-" + e.Kind
		if e.Failed() {
			class = "failed"
		}
		return []value{{class, e.Seconds}}
	}, func(e *event) string { return e.Tip(w) + "; " + w.Seconds(e.Seconds) }, w.Seconds)
	p.Title, p.Note = "Durations", "how long each run took"
	seen := map[string]bool{}
	for _, b := range p.Bars {
		seen[b.Parts[0].Class] = true
	}
	for _, l := range lanes {
		if seen["k-"+l.Kind] {
			p.Legend = append(p.Legend, legend{"k-" + l.Kind, l.Name})
		}
	}
	if seen["failed"] {
		p.Legend = append(p.Legend, legend{"failed", "failed or refused"})
	}
	return p
}
