package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/snapshot"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// view is all that the template needs; it decides nothing itself.
type view struct {
	*Data
	Policy  string
	Style   template.CSS
	Script  template.JS
	State   string // bad | warn | good
	Verdict string
	Alarms  []string
	Last    *event
	Steps   []step
	Lost    []lost
	Lanes   []lane
	Axis    axis
	Plots   []plot
	Events  []event
	Held    []held
	Pending []Migration
	Kinds   []legend // of the timeline's filter
}

// lost is something that no run could undo.
type lost struct {
	What  string
	Event *event
}

// held is a capture with its retention.
type held struct {
	snapshot.Info
	By    string
	Gone  bool
	Soon  bool
	Share string // of its time that is over, per cent; "" when it has no end
}

// Write writes the page.
func Write(out io.Writer, d *Data, w Words) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"count": w.Count, "size": w.Size, "seconds": w.Seconds, "moment": w.Moment, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"from": func(now, until time.Time) string { return span(until.Sub(now)) },
	}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, look(d, w)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = out.Write(b.Bytes())
	return err
}

func look(d *Data, w Words) *view {
	v := &view{Data: d, Style: template.CSS(pageCSS), Script: template.JS(pageJS)} //nolint:gosec // both are files of this package
	v.Policy = "default-src 'none'; style-src " + digest(pageCSS) + "; script-src " + digest(pageJS) + "; base-uri 'none'; form-action 'none'"
	v.Events = events(d)
	v.Steps = steps(d)
	v.Lanes, v.Axis = draw(v.Events, d, w)
	v.Plots = []plot{rowPlot(v.Events, w), timePlot(v.Events, w)}
	for i := range v.Events {
		e := &v.Events[i]
		for _, n := range e.NotUndone {
			v.Lost = append(v.Lost, lost{n, e})
		}
		if v.Last == nil && e.Kind != release && e.Kind != capture {
			v.Last = e
		}
	}
	for _, l := range lanes {
		if slices.ContainsFunc(v.Events, func(e event) bool { return e.Kind == l.Kind }) {
			v.Kinds = append(v.Kinds, legend{l.Kind, l.Name})
		}
	}
	for _, m := range d.Migrations {
		if m.AppliedAt == nil {
			v.Pending = append(v.Pending, m)
		}
	}
	v.Held = captures(d)
	v.judge(w)
	return v
}

// judge says in one sentence what a person in an incident has to know first.
func (v *view) judge(w Words) {
	v.State = "good"
	alarm := func(state, text string) {
		if v.State != "bad" {
			v.State = state
		}
		v.Alarms = append(v.Alarms, text)
	}
	for _, u := range v.Unfinished {
		alarm("bad", "A run was cut off: "+u+". Next: dbrollback recover")
	}
	if v.Broken != "" {
		alarm("bad", "The audit log was tampered with: "+v.Broken)
	}
	if n := len(v.Drift); n > 0 {
		alarm("warn", fmt.Sprintf("The schema is not the one that migrations left (%d differ): a rollback is refused until that is cleared up. dbrollback status shows it", n))
	}
	if v.Last != nil && v.Last.Failed() {
		alarm("warn", "The last run did not succeed: "+v.Last.Title()+", "+v.Last.Outcome)
	}
	var gone, near int
	for _, s := range v.Steps {
		switch s.State {
		case partial:
			gone++
		case ending:
			near++
		}
	}
	switch n := len(v.Steps); {
	case n == 0:
		v.Verdict = "No migration is applied: there is nothing to undo."
	case gone == n:
		v.Verdict = "A rollback would not bring all data back."
	case gone > 0:
		v.Verdict = fmt.Sprintf("The newest %d of %d migrations can be undone with their data; the older ones not completely.", n-gone, n)
	default:
		v.Verdict = "Every applied migration can be undone with its data."
	}
	if gone > 0 && gone == len(v.Steps) && v.State == "good" {
		v.State = "warn"
	}
	if near > 0 {
		alarm("warn", "Captured data comes to the end of its time: "+w.Moment(*v.Steps[len(v.Steps)-gone-1].Until)+". After that its migrations cannot be undone with their data")
	}
}

// captures lists each one, the newest first.
func captures(d *Data) []held {
	var out []held
	for _, s := range d.Snapshots {
		for _, c := range s.Captures {
			h := held{Info: c, By: fmt.Sprintf("%s of migration %d", s.Direction, s.Migration), Gone: c.Status == "expired" || c.Status == "void"}
			if s.Direction == "down" {
				h.By = fmt.Sprintf("rollback of migration %d", s.Migration)
			}
			if s.Migration == 0 || s.Direction == snapshot.Manual || s.Direction == snapshot.Restored {
				h.By = "by hand"
				if s.Direction == snapshot.Restored {
					h.By = "restore"
				}
			}
			if s.Label != nil && *s.Label != "" {
				h.By += ", " + *s.Label
			}
			if c.ExpiresAt != nil {
				h.Soon = !h.Gone && c.ExpiresAt.Sub(d.Made) < soon
				whole := c.ExpiresAt.Sub(c.CapturedAt)
				share := 1.0
				if whole > 0 {
					share = min(1, max(0, float64(d.Made.Sub(c.CapturedAt))/float64(whole)))
				}
				h.Share = fmt.Sprintf("%.1f%%", 100*share)
			}
			out = append(out, h)
		}
	}
	return out
}

// digest is the source of a style or script in the page's policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// span writes a time from now on, as roughly as people say it.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "over"
	case d < 2*time.Minute:
		return "less than 2 minutes left"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes left", int(d.Minutes()))
	case d < 2*24*time.Hour:
		return fmt.Sprintf("%d hours left", int(d.Hours()))
	}
	return fmt.Sprintf("%d days left", int(d.Hours()/24))
}
