package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// cannotEnd refuses an Up that shows before it begins that the server will not run it to its end: by what is there, or by the rows that a new key, check or type does not take. Only where
// each statement commits by itself, and others have run by then: a first statement that fails leaves nothing.
func (w *work) cannotEnd(ctx context.Context, q engine.Querier) error {
	first := slices.IndexFunc(w.stmts, Statement.Changes)
	if w.r.dir != Up || w.r.m.db.Caps.TransactionalDDL || first < 0 || !slices.ContainsFunc(w.stmts[first+1:], Statement.Changes) {
		return nil
	}
	out, err := w.stumbles(ctx, q)
	if err != nil {
		return err
	}
	found, err := w.misfits(ctx, q, first)
	if err != nil {
		return err
	}
	for _, o := range found {
		out = append(out, Refusal{File: o.File, Line: o.Line, Column: o.Column, Message: o.Message, Hint: "change or remove these rows, or let Up deal with them; nothing was changed"})
	}
	if len(out) > 0 {
		return &RefusedError{Reasons: out}
	}
	return nil
}

// misfits finds the rows that a statement behind the first one is certain to fail over.
func (w *work) misfits(ctx context.Context, q engine.Querier, first int) ([]Obstacle, error) {
	var strict, keys bool
	if err := q.QueryRowContext(ctx, "SELECT @@SESSION.sql_mode LIKE '%STRICT_%', @@SESSION.foreign_key_checks").Scan(&strict, &keys); err != nil || !strict || !keys { // the server makes do with what there is
		return nil, err
	}
	c := newScout(w.r.m, q)
	c.side = "Up"
	if w.rec != nil {
		if err := c.captured(ctx); err != nil {
			return nil, err
		}
	}
	for i, st := range w.stmts {
		if keysChecked.MatchString(st.SQL) {
			keys = false // of the rows a key alone is not measured any more
			continue
		}
		if st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session }) {
			break // nobody knows what is there after it, or what the server checks
		}
		for _, e := range st.Effects {
			if !keys && (e.Constraint != nil || e.Kind == effects.CreateTable) {
				continue
			}
			if i == first || e.Kind == effects.AddColumn || ignores.MatchString(st.SQL) { // those that are there get a value from the server
				continue
			}
			if err := c.effect(ctx, w.mig, st, e); err != nil {
				return nil, err
			}
		}
		c.follow(ctx, st)
	}
	return slices.DeleteFunc(c.found, func(o Obstacle) bool { return !o.certain }), nil
}

// keysChecked is how a migration has foreign keys checked, or not.
var keysChecked = regexp.MustCompile(`(?i)^\s*SET\s+(SESSION\s+|@@SESSION\.|@@)?foreign_key_checks\s*=\s*(0|1|ON|OFF)\s*;?\s*$`)

// ignores is how MariaDB is told to take rows out that are in the way.
var ignores = regexp.MustCompile(`(?i)^\s*ALTER\s+(ONLINE\s+)?IGNORE\b`)

// clashes refuses to make what is there, and to drop what is not, by the definitions that Up finds. done tells that there is no more to look at.
func (p *path) clashes(st Statement, e effects.Effect) (done bool) {
	table := strings.ToLower(e.Table.Name)
	if p.w.r.dir != Up || e.Table.Schema != "" || e.IfExists || e.IfTable || p.moved[table] {
		return false
	}
	t, is := p.there("table", func(o verify.Object) bool { return o.Table.Name == e.Table.Name })
	if e.Kind == effects.CreateTable {
		if is && !e.Replaces && !e.Temporary {
			p.refuse(st, "makes table "+e.Table.Name+", which is there already", "leave it out, or drop by hand what an earlier attempt has left")
		}
		return false
	}
	if !is {
		return false // see missing
	}
	switch e.Kind {
	case effects.AddColumn:
		if e.Column == nil || e.Column.Identity || e.Column.Serial {
			return false
		}
		if _, is := p.column(t, e.Column.Name); is && !p.keyed[table] && !p.dropped[table+"."+strings.ToLower(e.Column.Name)] {
			p.refuse(st, fmt.Sprintf("adds %s.%s, which is there already", t.Table, e.Column.Name), "leave it out, or drop by hand what an earlier attempt has left")
		}
		return true
	case effects.DropColumn:
		for _, c := range e.Columns {
			if _, is := p.column(t, c); !is && !p.keyed[table] && !p.added[table+"."+strings.ToLower(c)] {
				p.refuse(st, fmt.Sprintf("drops %s.%s, which is not there", t.Table, c), "take that out (SELECT 1 does nothing)")
				return true
			}
		}
	case effects.DropConstraint, effects.Drop:
		name := e.Object.Name.Name
		if name == "" || strings.EqualFold(name, "PRIMARY") || p.keyed[table] {
			return false
		}
		if _, is := p.there("", func(o verify.Object) bool {
			return o.Table == t.Table && strings.EqualFold(strings.TrimPrefix(o.Name, o.Table.String()+"."), name)
		}); !is {
			p.refuse(st, fmt.Sprintf("drops key %s of %s, which is not there", name, t.Table), "name the key that it means, or take that out (SELECT 1 does nothing)")
			return true
		}
	case effects.AddConstraint, effects.Create, effects.AlterColumnType, effects.SetDefault, effects.DropDefault:
		return true
	}
	return false
}

func (p *path) column(t verify.Object, name string) (verify.Object, bool) {
	return p.there("column", func(o verify.Object) bool {
		return o.Table == t.Table && strings.EqualFold(strings.TrimPrefix(o.Name, o.Table.String()+"."), name)
	})
}

// there finds an object of a kind, or of any, that was there when the migration began.
func (p *path) there(kind string, is func(verify.Object) bool) (verify.Object, bool) {
	for _, o := range p.w.before {
		if (kind == "" || o.Kind == kind) && is(o) {
			return o, true
		}
	}
	return verify.Object{}, false
}
