package main

import (
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// writePreview is read by a person under pressure: what would come back, as of when, from where, what stays, and what to type.
func writePreview(w *page, r *migrate.RestoreResult, o restoreOptions) {
	w.line("%s on %s: nothing was written", w.bold("preview"), describe(r.Target))
	writeSources(w, r)
	if r.Mode == snapshot.Copy {
		for _, d := range r.Details {
			w.line("%s would be made, with %s", d.Into, number(d.Inserted, "row", "rows"))
		}
	} else {
		writeCounts(w, r, "would insert", "would update", "would delete")
		writeSamples(w, r)
		writeFindings(w, r)
		writeKept(w, r, o)
		writeTied(w, r)
		writeCost(w, r)
	}
	w.line("")
	if o.DryRun {
		w.line("to write it: the same command without --dry-run, and with --yes")
	} else {
		w.line("to write it: the same command with --yes")
	}
}

// writeSources says which moment the rows are of.
func writeSources(w *page, r *migrate.RestoreResult) {
	for _, d := range r.Details {
		from := "snapshot " + d.Snapshot
		switch d.Snapshot {
		case "journal":
			from = "its journal"
		case "binlog":
			from = "the binary log"
		}
		w.line("%s comes back as of %s, from %s", d.Table, w.bold(moment(d.Moment)), from)
		if d.Holds != "" {
			w.line("  that is not all of it: %s", d.Holds)
		}
		for _, n := range d.Notes {
			w.line("  %s", n)
		}
	}
}

func writeCounts(w *page, r *migrate.RestoreResult, inserted, updated, deleted string) {
	rows := make([][]string, len(r.Details))
	for i, d := range r.Details {
		rows[i] = []string{d.Table, count(d.Inserted), count(d.Updated), count(d.Deleted), count(d.Left), count(d.Conflicts)}
	}
	w.table([]string{"table", ">" + inserted, ">" + updated, ">" + deleted, ">stay as they are", ">conflicts"}, rows)
}

// writeSamples shows a few rows before and after.
func writeSamples(w *page, r *migrate.RestoreResult) {
	for _, d := range r.Details {
		if len(d.Samples) == 0 {
			continue
		}
		w.line("")
		w.line("some rows of %s:", d.Table)
		writeChanges(w, d.Samples)
	}
}

func writeChanges(w *page, cs []snapshot.Change) {
	for _, c := range cs {
		switch c.Kind {
		case "updated":
			var parts []string
			for _, x := range c.Cells {
				parts = append(parts, fmt.Sprintf("%s %s -> %s", x.Column, cell(x.Before), cell(x.After)))
			}
			w.line("  ~ %s: %s", firstWords(c.Key, 60), firstWords(strings.Join(parts, ", "), 160))
		case "deleted":
			w.line("  - %s: %s", firstWords(c.Key, 60), firstWords(cellsOf(c, false), 160))
		default:
			w.line("  + %s: %s", firstWords(c.Key, 60), firstWords(cellsOf(c, true), 160))
		}
	}
}

func cellsOf(c snapshot.Change, after bool) string {
	parts := make([]string, len(c.Cells))
	for i, x := range c.Cells {
		v := x.Before
		if after {
			v = x.After
		}
		parts[i] = x.Column + " " + cell(v)
	}
	return strings.Join(parts, ", ")
}

// cell writes a value; NULL and the empty text differ.
func cell(v *string) string {
	switch {
	case v == nil:
		return "NULL"
	case *v == "" || strings.ContainsAny(*v, ", "):
		return "'" + *v + "'"
	}
	return *v
}

// writeFindings shows what the table of now has that the captured one had not, as far as it is no hindrance.
func writeFindings(w *page, r *migrate.RestoreResult) {
	for _, d := range r.Details {
		for _, f := range d.Findings {
			w.line("note: %s", f.Message)
		}
	}
}

// writeKept lists the conflicts.
func writeKept(w *page, r *migrate.RestoreResult, o restoreOptions) {
	var total int64
	for _, t := range r.Tables {
		total += t.Conflicts
	}
	if total == 0 {
		return
	}
	w.line("")
	w.line("%s:", w.bold(number(total, "conflict", "conflicts")))
	restorable := false
	for _, l := range conflictLines(r.Conflicts, conflictsAhead) {
		w.line("  %s", l)
	}
	for _, c := range r.Conflicts {
		restorable = restorable || c.Resolved == snapshot.Keep && strings.HasSuffix(c.Reason, "since") && c.Reason != "referenced since"
	}
	if more := total - int64(len(r.Conflicts)); more > 0 {
		w.line("  … and %s more", count(more))
	}
	if restorable && o.OnConflict == snapshot.Keep {
		w.line("  To let captured values win where the application wrote since: --on-conflict restore.")
	}
}

func writeTied(w *page, r *migrate.RestoreResult) {
	var lines []string
	for _, d := range r.Details {
		for _, t := range d.Tied {
			held := "it was not captured at that moment"
			if t.Captured {
				held = "--with-related brings it along"
			}
			lines = append(lines, fmt.Sprintf("%s, tied to %s by %s: %s (%s); %s", t.Table, d.Table, t.Key, t.Why, number(t.Rows, "row", "rows"), held))
		}
	}
	if len(lines) == 0 {
		return
	}
	w.line("")
	w.line("ought to go along:")
	for _, l := range lines {
		w.line("  %s", l)
	}
}

func writeCost(w *page, r *migrate.RestoreResult) {
	var locks []string
	var total float64
	for _, d := range r.Details {
		total += d.Seconds
		for _, l := range d.Locks {
			locks = append(locks, l.Table+": "+l.Mode)
		}
	}
	w.line("")
	w.line("locks while it writes, for about %s: %s", seconds(max(total, 0.1)), strings.Join(locks, ", "))
}

func writeRestored(w *page, r *migrate.RestoreResult) {
	w.line("%s %s on %s, in %s", w.bold("restored"), number(int64(len(r.Details)), "table", "tables"), describe(r.Target), seconds(r.Seconds))
	writeSources(w, r)
	if r.Mode == snapshot.Copy {
		for _, d := range r.Details {
			w.line("%s was made, with %s", d.Into, number(d.Inserted, "row", "rows"))
		}
	} else {
		writeCounts(w, r, "inserted", "updated", "deleted")
	}
	w.line("%s: every row that was put back was compared in its place by checksum", w.bold("proof: equal"))
	writeKept(w, r, restoreOptions{Ask: snapshot.Ask{OnConflict: snapshot.Keep}})
	if r.Undo != "" {
		w.line("")
		w.line("to undo: %s", r.Undo)
	}
}

// findingLines tell what stands in the way of a restore, each with its remedy.
func findingLines(fs []verify.Finding) []string {
	var out []string
	for _, f := range fs {
		if f.Blocks {
			out = append(out, f.Message+"; remedy: "+f.Remedy)
		}
	}
	return out
}
