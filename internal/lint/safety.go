package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func tableWithoutKey(p *Pass) {
	for i := range p.Migration.Up {
		st := &p.Migration.Up[i]
		for _, e := range st.Effects {
			if e.Kind != effects.CreateTable || e.Temporary || e.Detail == "foreign table" {
				continue
			}
			t := p.finalTable(e.Table)
			if t == nil || t.Temporary || t.Doubt || t.primary() != nil || t.PartitionOf.Name != "" || t.Partial && (e.Define == nil || !e.Define.AsSelect) {
				continue
			}
			if e.Define != nil && slices.ContainsFunc(e.Define.Columns, func(c effects.ColumnDef) bool { return c.PrimaryKey }) {
				continue
			}
			p.reportAt("up", st, "table "+p.show(e.Table)+" has no primary key", "")
		}
	}
}

// finalTable is a table that Up made, under whatever name it has after Up.
func (p *Pass) finalTable(n effects.Name) *Table {
	if t := p.After.Table(n); t != nil && p.After.tables[p.After.key(n)] != nil {
		return t
	}
	return nil
}

func foreignKeyWithoutIndex(p *Pass) {
	for i := range p.Migration.Up {
		st := &p.Migration.Up[i]
		for _, e := range st.Effects {
			var keys []effects.ConstraintDef
			switch {
			case e.Kind == effects.CreateTable && e.Define != nil && !e.Temporary:
				keys = e.Define.Constraints
			case e.Kind == effects.AddColumn && e.Column != nil:
				keys = e.Column.Constraints
			case e.Kind == effects.AddConstraint && e.Constraint != nil:
				keys = []effects.ConstraintDef{*e.Constraint}
			}
			for _, c := range keys {
				p.wantsIndex(st, e.Table, c)
			}
		}
	}
}

func (p *Pass) wantsIndex(st *Statement, table effects.Name, c effects.ConstraintDef) {
	t := p.After.Table(table)
	if c.Kind != "foreign key" || len(c.Columns) == 0 || t == nil || t.Doubt || t.Unknown || t.Partial || covered(t, c.Columns) {
		return
	}
	for _, name := range c.Columns {
		col := t.column(name)
		if col == nil || col.PrimaryKey || col.Unique {
			return
		}
	}
	d := &differ{before: p.Before, mid: p.After, after: p.After}
	p.reportAt("up", st, "no index begins with "+strings.Join(c.Columns, ", ")+" of "+p.show(table)+": every delete in "+p.show(c.Parent)+" reads the whole table",
		"CREATE INDEX ON "+d.name(t.Name)+" ("+d.names(c.Columns)+")")
}

func writesSecret(p *Pass) {
	switch p.Effect.Kind {
	case effects.Create, effects.Alter, effects.Grant, effects.Opaque, effects.Session, effects.External:
	default:
		return
	}
	if p.Effect != &p.Statement.Effects[0] {
		return
	}
	tokens := effects.Tokens(p.Engine, p.Statement.SQL)
	if len(tokens) == 0 {
		return
	}
	switch tokens[0].Text {
	case "create", "alter", "grant", "set":
	default:
		return
	}
	for i := 1; i < len(tokens); i++ {
		secret := tokens[i]
		if secret.Kind != effects.String || secret.Text == "" || strings.HasPrefix(secret.Text, "${") || !introducesSecret(tokens[:i]) {
			continue
		}
		p.Report("a password stands in the text of this migration", "set it outside of migrations, or through a variable: -- +goose ENVSUB ON")
		return
	}
}

// introducesSecret says whether the words before a string announce a password.
func introducesSecret(before []effects.Token) bool {
	n := len(before)
	last := before[n-1].Text
	for (last == "=" || last == "(" || last == "as" || last == "to") && n > 1 {
		n--
		last = before[n-1].Text
	}
	switch last {
	case "password":
		return before[n-1].Kind == effects.Word && !(n > 1 && before[n-2].Text == ".") && !inColumns(before[:n])
	case "by":
		return n > 1 && before[n-2].Text == "identified"
	}
	return false
}

// inColumns: a column called password with a default is no secret.
func inColumns(before []effects.Token) bool {
	for _, t := range before {
		if t.Text == "table" || t.Text == "index" || t.Text == "view" || t.Text == "function" || t.Text == "trigger" || t.Text == "column" {
			return true
		}
	}
	return false
}

// sequence is all migrations of a run, and what spares most of them a look at the others.
type sequence struct {
	all     []*Migration
	count   map[int64]int // by version
	lastOld int64         // the newest version that may be applied already
}

func newSequence(all []*Migration) *sequence {
	s := &sequence{all: all, count: make(map[int64]int, len(all))}
	for _, m := range all {
		s.count[m.Version]++
		if m.Old {
			s.lastOld = max(s.lastOld, m.Version)
		}
	}
	return s
}

func versionOrder(p *Pass) {
	if p.all == nil || p.all.count[p.Migration.Version] < 2 && p.all.lastOld <= p.Migration.Version {
		return
	}
	for _, o := range p.all.all {
		if o.File == p.Migration.File && o.Version == p.Migration.Version {
			continue
		}
		switch {
		case o.Version == p.Migration.Version:
			p.reportAt("", nil, fmt.Sprintf("version %d is also that of %s", o.Version, o.File), "give it a version of its own")
			return
		case o.Old && !p.Migration.Old && o.Version > p.Migration.Version:
			p.reportAt("", nil, fmt.Sprintf("version %d comes before %d (%s), which may be applied already", p.Migration.Version, o.Version, o.File), "give it a version later than all that are there")
			return
		}
	}
}

func edited(p *Pass) {
	if p.Migration.Edited {
		p.reportAt("", nil, "this migration was changed after it was applied: the database has what stood here before", "put back what stood here, and write a new migration")
	}
}

// SameVersions reports, and nothing else, the migrations whose version another has: a folder that holds such
// cannot be read as a sequence at all.
func SameVersions(migrations []*Migration) *Report {
	r := &Report{Migrations: len(migrations)}
	all := newSequence(migrations)
	for _, m := range migrations {
		p := &Pass{Migration: m, all: all, rule: Find("SF002"), codes: func(string) bool { return true }}
		versionOrder(p)
		r.Findings = append(r.Findings, p.found()...)
	}
	return r
}

// Unread reports a file that looks like a migration, and that the tool which runs migrations passes over.
func Unread(file, why string, o Options) *Report {
	p := &Pass{Migration: &Migration{File: file}, options: o, rule: Find("SF002"), codes: func(string) bool { return true }}
	p.reportAt("", nil, "this file is never applied: "+why, "name it VERSION_NAME.sql, or keep what is no migration elsewhere")
	return &Report{Findings: p.found()}
}
