package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Pass is what a rule sees: one migration, the schema before Up, after Up and after Down, and, for a rule about
// single effects, the effect with the schema right before it.
type Pass struct {
	Engine    effects.Dialect
	Migration *Migration
	Before    *Model
	After     *Model
	Undone    *Model

	Section   string // "up" or "down"
	Statement *Statement
	Effect    *effects.Effect
	Model     *Model // right before Effect

	options Options
	codes   func(string) bool // whether a rule is called so
	all     *sequence
	changes []change
	more    []change // what changes do not show, for drafts
	leaning []leaning
	rule    *Rule
	out     []finding
}

// finding is a Diagnostic and the statement it is about, by which it is ignored.
type finding struct {
	Diagnostic
	section   string
	statement int // line; 0 for the whole file
}

func newPass(m *Migration, model *Model, o Options) *Pass {
	return &Pass{Engine: o.Engine, Migration: m, Before: model, options: o, codes: func(code string) bool { return Find(code) != nil }}
}

// play runs both directions on the model. Rules about single effects are asked on the way, because they want
// the schema as it is at that moment.
func (p *Pass) play() {
	p.After = p.Before.fork()
	p.run("up", p.After, p.Migration.Up)
	if p.Migration.Skip {
		return
	}
	p.Undone = p.After.fork()
	p.run("down", p.Undone, p.Migration.Down)
	p.Section, p.Statement, p.Effect, p.Model = "", nil, nil, nil
	p.changes = compare(p.Before, p.After, p.Undone)
}

func (p *Pass) run(section string, m *Model, statements []Statement) {
	p.Section, p.Model = section, m
	for i := range statements {
		p.Statement = &statements[i]
		m.begin(p.Statement)
		for j := range p.Statement.Effects {
			p.Effect = &p.Statement.Effects[j]
			if !p.Migration.Skip {
				p.ask()
				if section == "up" {
					p.more = append(p.more, m.unfollowed(p.Statement, p.Effect)...)
				}
			}
			if section == "down" && p.unheardOf() {
				p.leaning = append(p.leaning, leaning{p.Effect.Table, p.Statement})
			}
			m.apply(p.affected())
		}
	}
}

// affected is the current effect; of an opaque one whose tables are declared, nothing else is in doubt.
func (p *Pass) affected() *effects.Effect {
	if p.Effect.Kind != effects.Opaque {
		return p.Effect
	}
	tables := p.declared()
	if tables == nil {
		return p.Effect
	}
	p.Model.played.opaque = true
	for _, n := range tables {
		p.Model.edit(n).Doubt = true
	}
	return &effects.Effect{Kind: effects.Read}
}

// declared are the tables that an annotation names for the current statement; nil when there is none.
func (p *Pass) declared() []effects.Name {
	for _, n := range p.Migration.Notes {
		if n.Kind == effects.Affects && n.Applies(p.Section, p.Statement.Line) {
			return n.Tables
		}
	}
	return nil
}

func (p *Pass) ask() {
	for i := range Rules {
		r := &Rules[i]
		if r.effect == nil || p.Section == "down" && !r.down || !r.knows(p.Engine) {
			continue
		}
		p.rule = r
		r.effect(p)
	}
}

// judge asks the rules about whole migrations.
func (p *Pass) judge() {
	for i := range Rules {
		r := &Rules[i]
		if r.migration == nil || !r.knows(p.Engine) {
			continue
		}
		p.rule = r
		r.migration(p)
	}
}

// Report adds a finding about the current statement.
func (p *Pass) Report(message, fix string) { p.reportAt(p.Section, p.Statement, message, fix) }

func (p *Pass) reportAt(section string, st *Statement, message, fix string) {
	d := Diagnostic{Code: p.rule.Code, Severity: p.rule.severity(p.Engine), File: p.Migration.File, Line: 1, Column: 1, Message: message, Fix: fix}
	f := finding{Diagnostic: d, section: section}
	if st != nil {
		f.File = cmp.Or(st.File, f.File)
		f.Line, f.Column, f.statement = st.Line, st.Column, st.Line
	}
	// One statement may have many effects; the same words once are enough.
	if slices.ContainsFunc(p.out, func(o finding) bool {
		return o.File == f.File && o.Code == f.Code && o.Line == f.Line && o.Column == f.Column && o.Message == f.Message
	}) {
		return
	}
	p.out = append(p.out, f)
}

// found gives the findings that neither the configuration nor an annotation takes away.
func (p *Pass) found() []Diagnostic {
	var out []Diagnostic
	for _, f := range p.out {
		if s, ok := p.options.Severity[f.Code]; ok {
			if s == Off {
				continue
			}
			f.Severity = s
		}
		if !p.ignored(f) {
			out = append(out, f.Diagnostic)
		}
	}
	return out
}

func (p *Pass) ignored(f finding) bool {
	return slices.ContainsFunc(p.Migration.Notes, func(n effects.Annotation) bool {
		if n.Kind != effects.Ignore || n.Code != f.Code || n.Problem != "" {
			return false
		}
		return n.Section == "" || f.statement > 0 && n.Applies(f.section, f.statement)
	})
}

// irreversible says whether the migration declares that it cannot be undone.
func (p *Pass) irreversible() bool {
	return slices.ContainsFunc(p.Migration.Notes, func(n effects.Annotation) bool {
		return n.Kind == effects.Irreversible && n.Problem == ""
	})
}

// show writes a name for a message.
func (p *Pass) show(n effects.Name) string { return p.Before.show(p.Before.key(n)) }

// existing says whether a table was there before this migration, which a statement may therefore harm. A table
// that no migration made counts: it must have been there.
func (p *Pass) existing(n effects.Name) bool {
	if n.Name == "" {
		return false
	}
	if p.Model.objects[p.Model.materialized(n)] != nil {
		return false
	}
	t := p.Model.Table(n)
	if t == nil {
		return !p.Model.wasDropped(p.Model.key(n))
	}
	return t.owner != p.Model || t.Origin.Name != "" || t.Unknown
}

// existingColumn says the same of a column.
func (p *Pass) existingColumn(n effects.Name, column string) bool {
	if !p.existing(n) {
		return false
	}
	if first := p.Model.played.columns[p.Model.childEntity("column", n, column)]; first != "" {
		column = first
	}
	t := p.Model.Table(n)
	if t == nil {
		return true
	}
	origin := t.Origin
	if origin.Name == "" {
		origin = t.Name
	}
	b := p.Before.Table(origin)
	if b == nil {
		return p.Model.played.last[p.Model.childEntity("column", n, column)] == nil
	}
	return b.column(column) != nil || b.Partial && t.column(column) == nil
}

// rebuilt says whether a table that is dropped is there again after Up: SQLite's way to change a table.
func (p *Pass) rebuilt(n effects.Name) bool {
	if p.Section == "down" {
		return false
	}
	seen := false
	for i := range p.Migration.Up {
		st := &p.Migration.Up[i]
		if st == p.Statement {
			seen = true
		}
		for j := range st.Effects {
			e := &st.Effects[j]
			if seen && e.Kind == effects.RenameTable && strings.EqualFold(e.NewName.Name, n.Name) {
				return true
			}
		}
	}
	return false
}
