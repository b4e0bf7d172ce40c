package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// planOptions are the options of `plan`.
type planOptions struct {
	Rollback bool
	Rehearse bool
	Online   bool
	target   rollbackTarget
	To       int64 // up
}

// Validate refuses what contradicts itself.
func (o planOptions) Validate() error {
	if o.Rollback {
		return o.target.Validate()
	}
	if o.Online {
		return &usageError{message: "--online is for a rollback", hint: "dbrollback plan --rollback --online"}
	}
	if o.target.StepsSet || !o.target.At.IsZero() || o.target.Release != "" {
		return &usageError{message: "--steps, --at and --to-release are for a rollback", hint: "dbrollback plan --rollback --steps 1"}
	}
	return nil
}

func (p *program) planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "show what would run and what would be captured; changes nothing",
		Flags: append(targetFlags(),
			&cli.BoolFlag{Name: "rollback", Usage: "plan a rollback instead of an up"},
			&cli.BoolFlag{Name: "online", Usage: "with --rollback: say which values rollback --online would put back in batches, and why others not"},
			&cli.BoolFlag{Name: "rehearse", Usage: "run statements that cannot be understood in a savepoint, see what they touch, and take them back"}),
		Action: action(p, readPlan, runPlan),
	}
}

func readPlan(c *cli.Context) (planOptions, error) {
	target, err := readTarget(c)
	if err == nil {
		err = noArguments(c)
	}
	return planOptions{Rollback: c.Bool("rollback"), Rehearse: c.Bool("rehearse"), Online: c.Bool("online"), target: target, To: target.To}, err
}

func runPlan(ctx context.Context, s *session, o planOptions) error {
	m, err := s.migrator(ctx, !o.Rollback)
	if err != nil {
		return err
	}
	r := migrate.PlanRequest{Direction: migrate.Up, To: o.To, Rehearse: o.Rehearse}
	if o.Rollback {
		r = migrate.PlanRequest{Direction: migrate.Down, To: o.target.To, Steps: o.target.steps(), At: o.target.At, ToRelease: o.target.Release, Online: o.Online, Rehearse: o.Rehearse}
	}
	plan, err := m.Plan(ctx, r)
	if err != nil {
		return err
	}
	s.progress.end()
	return s.out.result(planDocument(plan), func(w *page) { writePlan(w, plan) })
}

// planDocument fills what would be null.
func planDocument(p *migrate.Plan) *migrate.Plan {
	p.Version = 1
	p.Migrations = list(p.Migrations)
	for i := range p.Migrations {
		m := &p.Migrations[i]
		m.Steps = list(m.Steps)
		for j := range m.Steps {
			st := &m.Steps[j]
			st.Effects, st.Captures, st.Locks = list(st.Effects), list(st.Captures), list(st.Locks)
		}
	}
	return p
}

var verdictWords = map[migrate.Verdict]string{
	migrate.Lossless:     "lossless: destroys nothing",
	migrate.Restorable:   "restorable: what it destroys is captured first",
	migrate.Rehearsable:  "rehearsed: run in a savepoint first to see what it touches, then captured",
	migrate.Irreversible: "irreversible: a rollback cannot give everything back",
}

func writePlan(w *page, p *migrate.Plan) {
	w.line("target: %s", describe(p.Target))
	if len(p.Migrations) == 0 {
		what := "nothing to apply"
		if p.Direction == migrate.Down {
			what = "nothing to roll back"
		}
		w.line("%s; the version is %d", what, p.From)
		return
	}
	verb := "apply"
	if p.Direction == migrate.Down {
		verb = "roll back"
	}
	w.line("would %s %s: version %d -> %d", verb, number(int64(len(p.Migrations)), "migration", "migrations"), p.From, p.To)
	for _, m := range p.Migrations {
		w.line("")
		writePlanMigration(w, m)
	}
	w.line("")
	w.line("captures: %s. Nothing was changed.", planTotals(p))
	w.line("next: %s", planNext(p))
}

func planNext(p *migrate.Plan) string {
	for _, m := range p.Migrations {
		if m.Verdict == migrate.Irreversible {
			return fmt.Sprintf("make %s reversible, or annotate it and run: dbrollback up --allow-irreversible", m.File)
		}
	}
	if p.Direction == migrate.Down {
		return fmt.Sprintf("dbrollback rollback --to %d", p.To)
	}
	return "dbrollback up"
}

// planTotals sums the captures; where there are no statistics yet, it is a lower bound.
func planTotals(p *migrate.Plan) string {
	var rows, bytes int64
	captures, bound := 0, "about"
	for _, m := range p.Migrations {
		for _, st := range m.Steps {
			for _, c := range st.Captures {
				captures++
				rows += max(c.Rows, 0)
				bytes += max(c.Bytes, 0)
				if c.Rows < 0 || c.Bytes < 0 {
					bound = "at least"
				}
			}
		}
	}
	if captures == 0 {
		return "none needed"
	}
	var known []string
	if rows > 0 {
		known = append(known, number(rows, "row", "rows"))
	}
	if bytes > 0 {
		known = append(known, size(bytes))
	}
	if len(known) == 0 {
		return fmt.Sprintf("%d, size not known", captures)
	}
	return fmt.Sprintf("%d, %s %s", captures, bound, strings.Join(known, ", "))
}

// estimate writes what a capture is expected to hold.
func estimate(rows, bytes int64) string {
	switch {
	case rows < 0 && bytes < 0:
		return "size not known"
	case rows < 0:
		return "about " + size(bytes)
	case bytes < 0:
		return "about " + number(rows, "row", "rows")
	}
	return fmt.Sprintf("about %s, %s", number(rows, "row", "rows"), size(bytes))
}

func writePlanMigration(w *page, m migrate.PlanMigration) {
	w.line("%s  %s", w.bold(m.File), orElse(verdictWords[m.Verdict], string(m.Verdict)))
	if !m.Transactional {
		w.line("  runs outside a transaction, journalled step by step")
	}
	for _, r := range m.Reasons {
		w.line("  %s", (&problem{Message: oneLine(r.Message)}).at(r.File, r.Line, r.Column).line())
		if r.Hint != "" {
			w.line("    hint: %s", r.Hint)
		}
	}
	for _, st := range m.Steps {
		w.line("  %4d  %s", st.Line, firstWords(st.Statement, 100))
		for _, o := range m.Obstacles {
			if o.Line == st.Line && o.Column == st.Column {
				w.line("        %s   %s", w.bold("check"), o.Message)
			}
		}
		for _, e := range st.Effects {
			w.line("        effect   %s", effectText(e))
		}
		for _, c := range st.Captures {
			what := string(c.Kind)
			if len(c.Columns) > 0 {
				what += " (" + strings.Join(c.Columns, ", ") + ")"
			}
			switch c.Kind {
			case snapshot.Kept:
				what = "kept in constant time"
			case snapshot.KeptColumns:
				what = "(" + strings.Join(c.Columns, ", ") + ") kept in constant time"
			case snapshot.Table, snapshot.Columns:
				what += " copied"
			}
			reason := ""
			if c.Kind == snapshot.Table && !drops(st) { // else it repeats the effect
				reason = ": " + strings.ReplaceAll(c.Reason, "_", " ")
			}
			w.line("        capture  %s: %s, %s%s", c.Table, what, estimate(c.Rows, c.Bytes), reason)
		}
		for _, l := range st.Locks {
			w.line("        lock     %s: %s%s", l.Table, l.Mode, kept(l))
		}
		for _, n := range st.Notes {
			w.line("        note     %s", n)
		}
	}
	for _, b := range m.Back {
		w.line("  back  %s", backText(b))
	}
}

// kept says who a lock keeps out, where that is for longer than anybody notices.
func kept(l migrate.PlanLock) string {
	if l.Seconds < 1 || l.KeepsOut == "" {
		return ""
	}
	return fmt.Sprintf(", keeps out %s for about %s", l.KeepsOut, time.Duration(l.Seconds)*time.Second)
}

var waysBack = map[string]string{
	snapshot.ByRename: "takes its place again", snapshot.ByRewrite: "by one rewrite of the table", snapshot.ByUpdate: "by an update of its rows", snapshot.ByInsert: "inserted",
	snapshot.ByBatches: "in batches, when the migration is through",
	snapshot.BySize:    "by an update of its rows, or by one rewrite where that is quicker",
}

// backText says how a capture goes back.
func backText(b migrate.PlanBack) string {
	if b.Way.Way == snapshot.ByRename {
		what := "the table itself"
		if b.Kind == snapshot.KeptColumns {
			what = "(" + strings.Join(b.Columns, ", ") + "), kept,"
		}
		return b.Table + ": " + what + " " + waysBack[b.Way.Way]
	}
	what := string(b.Kind)
	if b.Kind == snapshot.Columns && len(b.Columns) > 0 {
		what = strings.Join(b.Columns, ", ")
	}
	text := fmt.Sprintf("%s: %s, %s", b.Table, what, number(b.Rows, "row", "rows"))
	if b.Way.Way != snapshot.ByInsert && b.Of >= 0 {
		text += fmt.Sprintf(" of about %s", count(b.Of))
	}
	text += ", " + waysBack[b.Way.Way]
	if b.Twin != "" {
		text += fmt.Sprintf(" (built beside it as %s, which then takes its name)", b.Twin)
	}
	if b.Seconds >= 1 {
		text += fmt.Sprintf(", about %s", time.Duration(b.Seconds)*time.Second)
	}
	if b.AtOnce != "" {
		text += "; not in batches: " + b.AtOnce
	}
	return text
}

// drops says whether a statement drops a table: that all of it is captured needs no reason then.
func drops(st migrate.PlanStep) bool {
	return slices.ContainsFunc(st.Effects, func(e migrate.PlanEffect) bool { return e.Kind == effects.DropTable })
}

func effectText(e migrate.PlanEffect) string {
	text := strings.ReplaceAll(string(e.Kind), "_", " ")
	if !strings.Contains(text, e.ObjectKind) {
		text += " " + e.ObjectKind
	}
	if e.Object != "" {
		text += " " + e.Object
	}
	if len(e.Columns) > 0 {
		text += " (" + strings.Join(e.Columns, ", ") + ")"
	}
	return text
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// rollbackTarget says how far back to go.
type rollbackTarget struct {
	To       int64 // -1 unset
	Steps    int
	StepsSet bool
	At       time.Time
	Release  string
}

func (t rollbackTarget) chosen() (n int) {
	for _, set := range []bool{t.To >= 0, t.StepsSet, !t.At.IsZero(), t.Release != ""} {
		if set {
			n++
		}
	}
	return n
}

// steps is how many migrations to undo when nothing else says how far.
func (t rollbackTarget) steps() int {
	if t.To >= 0 || !t.At.IsZero() || t.Release != "" {
		return 0
	}
	return t.Steps
}

// Validate refuses more than one way of saying it.
func (t rollbackTarget) Validate() error {
	switch {
	case t.chosen() > 1:
		return &usageError{message: "--to, --steps, --at and --to-release exclude one another", hint: "give one of them"}
	case t.Steps < 1:
		return &usageError{message: fmt.Sprintf("--steps %d would undo nothing", t.Steps), hint: "--steps 1 undoes the newest migration"}
	}
	return nil
}

func targetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "`VERSION` to end at; it stays (or becomes) applied"},
		&cli.IntFlag{Name: "steps", Value: 1, Usage: "rollback: `NUMBER` of migrations to undo"},
		&cli.StringFlag{Name: "to-release", Usage: "rollback: the release to go back to, by `NAME`"},
		&cli.StringFlag{Name: "at", Usage: "rollback: undo what was applied after this `TIME` (RFC 3339)"},
	}
}

func readTarget(c *cli.Context) (rollbackTarget, error) {
	t := rollbackTarget{To: -1, Steps: c.Int("steps"), StepsSet: c.IsSet("steps"), Release: c.String("to-release")}
	var err error
	if t.To, err = readVersion(c, "to"); err != nil {
		return t, err
	}
	if at := c.String("at"); at != "" {
		if t.At, err = time.Parse(time.RFC3339, at); err != nil {
			return t, &usageError{message: fmt.Sprintf("--at %q is no RFC 3339 time", at), hint: "write it like " + time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)}
		}
	}
	return t, nil
}

func readVersion(c *cli.Context, flag string) (int64, error) {
	text := c.String(flag)
	if text == "" {
		return -1, nil
	}
	v, err := parseVersion(text)
	if err != nil {
		return -1, &usageError{message: fmt.Sprintf("--%s %q is no version", flag, text), hint: "a version is the number that the file begins with; dbrollback status lists them"}
	}
	return v, nil
}
