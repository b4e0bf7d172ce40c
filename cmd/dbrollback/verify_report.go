package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/lint"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// verifyRules name the verdicts for the formats in which findings have rules.
var verifyRules = []lint.Rule{
	{Code: string(migrate.ProofUpFails), Severity: lint.Error, Title: "the server rejects Up"},
	{Code: string(migrate.ProofNoDown), Severity: lint.Error, Title: "Up changes something, and no Down takes it back"},
	{Code: string(migrate.ProofDownFails), Severity: lint.Error, Title: "the server rejects Down"},
	{Code: string(migrate.ProofWrong), Severity: lint.Error, Title: "Down leaves another schema than there was before Up"},
	{Code: string(migrate.ProofNotRepeatable), Severity: lint.Error, Title: "Up fails, or does something else, after Down"},
	{Code: string(migrate.ProofData), Severity: lint.Error, Title: "Down does not bring the rows back"},
	{Code: string(migrate.ProofCosmetic), Severity: lint.Warning, Title: "only the order of columns, or names that the server made up, differ"},
	{Code: "round-trip", Severity: lint.Error, Title: "all the way down and up again does not lead back"},
}

// proofReport prints what was seen and decides on the exit code.
func (s *session) proofReport(r *migrate.ProofReport, o verifyOptions) error {
	failing := 0
	for _, p := range r.Migrations {
		if p.Fails(o.Strict) {
			failing++
		}
	}
	var err error
	switch format := o.Format; {
	case format == "json" || format == "" && s.JSON:
		s.out.json = true
		err = s.out.result(r, nil)
	case format == "" || format == "text":
		s.out.json = false
		err = s.out.result(nil, func(w *page) { writeProofReport(w, r, o.Strict) })
	default:
		var b bytes.Buffer
		found := proofFindings(r, o.Strict)
		s.fromWorkspace(found, format)
		if err = lint.Write(&b, found, format, build().Release, s.out.colourOn); err == nil {
			s.out.printed = true
			_, err = s.Out.Write(b.Bytes())
		}
	}
	switch {
	case err != nil:
		return err
	case failing > 0:
		return &refusedError{message: fmt.Sprintf("verify found %s that cannot be undone as it stands", number(int64(failing), "migration", "migrations")),
			hint: "docs/verify.md explains the verdicts"}
	case r.RoundTrip.Fails():
		return &refusedError{message: "all the way down and up again does not lead back", hint: "docs/verify.md explains the verdicts"}
	}
	return nil
}

// proofFindings puts the proofs into the form that CI formats are written from.
func proofFindings(r *migrate.ProofReport, strict bool) *lint.Report {
	out := &lint.Report{Migrations: len(r.Migrations), Text: sourceText, Command: "verify", Rules: verifyRules, Page: "verify.md"}
	for _, p := range r.Migrations {
		out.Files = append(out.Files, p.File)
		if p.Verdict == migrate.ProofOK {
			continue
		}
		d := lint.Diagnostic{Code: string(p.Verdict), Severity: lint.Warning, File: cmp.Or(p.DownFile, p.File), Line: p.Line, Column: 1, Fix: strings.Join(terminated(p.Suggestion), "\n")}
		if p.Fails(strict) {
			d.Severity = lint.Error
		}
		if e := p.Error; e != nil && e.File != "" {
			d.File, d.Line, d.Column = e.File, e.Line, e.Column
		}
		d.Message = strings.Join(append([]string{proofTitle(p)}, proofLines(p)...), "; ")
		out.Findings = append(out.Findings, d)
	}
	if t := r.RoundTrip; t.Fails() {
		d := lint.Diagnostic{Code: "round-trip", Severity: lint.Error, Line: 1, Column: 1}
		if n := len(r.Migrations); n > 0 {
			d.File = r.Migrations[n-1].File
		}
		if e := t.Error; e != nil {
			d.File, d.Line, d.Column = e.File, e.Line, e.Column
		}
		d.Message = strings.Join(append([]string{roundTripTitle(t)}, collapsed(t.Differences)...), "; ")
		out.Findings = append(out.Findings, d)
	}
	return out
}

func terminated(statements []string) []string {
	out := make([]string, len(statements))
	for i, s := range statements {
		out[i] = strings.TrimRight(s, "; \n") + ";"
	}
	return out
}

func writeProofReport(w *page, r *migrate.ProofReport, strict bool) {
	counts := map[migrate.ProofVerdict]int{}
	for _, p := range r.Migrations {
		counts[p.Verdict]++
		if p.Verdict == migrate.ProofOK {
			continue
		}
		place := p.File
		switch e := p.Error; {
		case e != nil && e.File != "":
			place = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
		case p.Verdict != migrate.ProofOK && p.Line > 0:
			place = fmt.Sprintf("%s:%d", cmp.Or(p.DownFile, p.File), p.Line)
		}
		mark := ""
		if !p.Fails(strict) && p.Verdict != migrate.ProofOK {
			mark = " (no finding)"
		}
		w.line("%s: %s%s", place, w.bold(string(p.Verdict)), mark)
		w.line("  %s", proofTitle(p))
		for _, l := range proofLines(p) {
			w.line("  - %s", l)
		}
		if e := p.Error; e != nil && e.Hint != "" {
			w.line("  hint: %s", e.Hint)
		}
		if len(p.Suggestion) > 0 {
			w.line("  add to its Down (run after it, this gave the schema back):")
			for _, st := range terminated(p.Suggestion) {
				for _, l := range strings.Split(st, "\n") {
					w.line("    %s", l)
				}
			}
		}
		for _, n := range p.Notes {
			w.line("  note: %s", n)
		}
	}
	if t := r.RoundTrip; t != nil && t.Verdict != "ok" {
		w.line("%s: %s", w.bold("all the way down and up again"), roundTripTitle(t))
		for _, l := range collapsed(t.Differences) {
			w.line("  - %s", l)
		}
	}
	w.line("%s", proofSummary(r, counts))
}

func roundTripTitle(t *migrate.RoundTrip) string {
	switch {
	case t.Error != nil:
		return fmt.Sprintf("%s: %s", t.Verdict, t.Error.Message)
	case t.Reason != "":
		return t.Verdict + ": " + t.Reason
	}
	return t.Verdict
}

func proofSummary(r *migrate.ProofReport, counts map[migrate.ProofVerdict]int) string {
	text := number(int64(len(r.Migrations)), "migration", "migrations")
	var parts []string
	for _, v := range []migrate.ProofVerdict{migrate.ProofOK, migrate.ProofUpFails, migrate.ProofNoDown, migrate.ProofDownFails,
		migrate.ProofWrong, migrate.ProofNotRepeatable, migrate.ProofData, migrate.ProofCosmetic} {
		if counts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if t := r.RoundTrip; t != nil && t.Verdict == "ok" && len(r.Migrations) > 0 {
		text += "; all the way down and up again: ok"
	}
	return text + "; " + seconds(r.Seconds)
}

// proofTitle says in one line what a verdict means for this migration.
func proofTitle(p *migrate.Proof) string {
	var text string
	switch p.Verdict {
	case migrate.ProofUpFails:
		text = "Up fails: " + p.Error.Message
	case migrate.ProofNoDown:
		text = "Up changes something, and no Down takes it back"
	case migrate.ProofDownFails:
		text = "Down fails: " + p.Error.Message
	case migrate.ProofWrong:
		text = "after Down the schema is not as it was before Up"
	case migrate.ProofNotRepeatable:
		text = "after Down, Up leads to another schema than the first time"
		if p.Error != nil {
			text = "after Down, Up fails: " + p.Error.Message
		}
	case migrate.ProofData:
		text = "Down brings the schema back, but not the data"
		if p.Error != nil {
			text = "Down fails when there are rows: " + p.Error.Message
		}
	case migrate.ProofCosmetic:
		text = "only the order of columns, or names that the server made up, differ"
	default:
		text = "up, down and up again lead to the same schema and data"
	}
	switch {
	case p.WithCapture == migrate.Restored:
		text += "; a rollback by dbrollback restores everything"
		if p.CaptureUntil != "" {
			text += ", and is refused once " + p.CaptureUntil
		}
	case p.CaptureReason != "" && p.Verdict == migrate.ProofData: // elsewhere it repeats what was said
		text += "; with dbrollback: " + p.CaptureReason
	}
	if p.Accepted != "" && p.Verdict != migrate.ProofOK {
		text += "; accepted: " + p.Accepted
	}
	return text
}

// proofLines lists what differs.
func proofLines(p *migrate.Proof) []string {
	out := collapsed(p.Differences)
	for _, d := range p.Data {
		out = append(out, d.Message)
	}
	return out
}

// collapsed leaves out what goes without saying: the columns of a table that is missing.
func collapsed(ds []verify.Difference) []string {
	var shown []verify.Difference
	containers := []string{"table", "foreign table", "view", "materialized view", "column"}
	within := func(d, t verify.Difference) bool {
		return strings.HasPrefix(d.Object, t.Object+".") || t.Object == d.Object && !slices.Contains(containers, d.Kind)
	}
	whole := func(d verify.Difference) bool {
		return slices.ContainsFunc(ds, func(t verify.Difference) bool {
			return slices.Contains(containers, t.Kind) && within(d, t) && (t.Before == "" && d.Before == "" || t.After == "" && d.After == "")
		})
	}
	for _, d := range ds {
		if !whole(d) {
			shown = append(shown, d)
		}
	}
	var out []string
	for _, d := range shown {
		what := "was " + oneLine(d.Before) + ", is " + oneLine(d.After)
		switch {
		case d.Before == "":
			what = "is new: " + firstWords(d.After, 120)
		case d.After == "":
			what = "is missing: " + firstWords(d.Before, 120)
		}
		out = append(out, fmt.Sprintf("%s %s %s", d.Kind, d.Object, what))
	}
	return out
}
