package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// parents refuses a foreign key to a table, or to a column, that is not there. Without foreign_key_checks the server takes one to a table that is yet to come.
func (p *path) parents(ctx context.Context, st Statement, e effects.Effect) error {
	if p.unchecked || e.IfTable || e.Table.Schema != "" || p.is(p.moved, e.Table.Name) {
		return nil
	}
	keys, err := p.keys(ctx, st, e)
	if err != nil || len(keys) == 0 {
		return err
	}
	if err := p.q.QueryRowContext(ctx, "SELECT NOT @@SESSION.foreign_key_checks").Scan(&p.unchecked); err != nil || p.unchecked {
		return err
	}
	for _, k := range keys {
		if k.Kind != "foreign key" || k.Inline && !p.w.r.m.db.Caps.InlineKeys || k.Parent.Schema != "" || strings.EqualFold(k.Parent.Name, e.Table.Name) || p.is(p.moved, k.Parent.Name) {
			continue
		}
		t, err := p.w.r.m.db.Inspect(ctx, p.q, engine.Name(k.Parent))
		if errors.Is(err, engine.ErrNoTable) {
			instead, err := p.instead(ctx, k.Parent, "make that table first")
			if err != nil {
				return err
			}
			p.refuse(st, fmt.Sprintf("makes a foreign key to %s, which is not there", engine.Name(k.Parent)), instead)
			continue
		}
		if err != nil {
			return err
		}
		if p.is(p.keyed, k.Parent.Name) {
			continue
		}
		for _, c := range k.ParentColumns {
			if !slices.ContainsFunc(t.Columns, func(x engine.Column) bool { return strings.EqualFold(x.Name, c) }) && !p.is(p.added, k.Parent.Name, c) {
				p.refuse(st, fmt.Sprintf("makes a foreign key to %s.%s, which is not there", t.Name, c), "name the column that it means, or make it first")
			}
		}
	}
	return nil
}

// otherEngine is a table that need not have foreign keys.
var otherEngine = regexp.MustCompile(`(?i)\bENGINE\s*=?\s*'?(\w+)`)

// keys are the constraints that an effect makes; none where the server takes no notice of foreign keys, or makes nothing.
func (p *path) keys(ctx context.Context, st Statement, e effects.Effect) ([]effects.ConstraintDef, error) {
	if e.Kind == effects.CreateTable {
		_, is := p.there("table", func(o verify.Object) bool { return o.Table.Name == e.Table.Name })
		if m := otherEngine.FindStringSubmatch(st.SQL); e.Define == nil || e.Temporary || is && e.IfExists || m != nil && !strings.EqualFold(m[1], "InnoDB") {
			return nil, nil
		}
		return e.Define.Constraints, nil
	}
	var out []effects.ConstraintDef
	if e.Constraint != nil {
		out = append(out, *e.Constraint)
	}
	if e.Column != nil && e.Kind == effects.AddColumn {
		out = append(out, e.Column.Constraints...)
	}
	if e.IfExists || !slices.ContainsFunc(out, func(k effects.ConstraintDef) bool { return k.Kind == "foreign key" }) {
		return nil, nil
	}
	t, err := p.w.r.m.db.Inspect(ctx, p.q, engine.Name(e.Table))
	if errors.Is(err, engine.ErrNoTable) { // see missing
		return nil, nil
	}
	if err != nil || t.Engine != "InnoDB" {
		return nil, err
	}
	return out, nil
}

// instead says what to name in place of a table that is not there: one in other letters, or what else.
func (p *path) instead(ctx context.Context, n effects.Name, otherwise string) (string, error) {
	others, err := engine.Texts(ctx, p.q, "SELECT table_name FROM information_schema.tables WHERE table_schema = coalesce(nullif(?, ''), database()) AND lower(table_name) = lower(?)", n.Schema, n.Name)
	if err != nil || len(others) == 0 {
		return otherwise, err
	}
	return "name " + p.w.r.m.db.Ident(others[0]) + ", for this server tells letters from capitals in names of tables", nil
}

// gone refuses to drop an index that is not there, or that went with its columns in a statement before.
func (p *path) gone(ctx context.Context, st Statement) error {
	for _, e := range st.Effects {
		table := strings.ToLower(e.Table.Name)
		if e.Kind != effects.Drop || e.Object.Kind != "index" || e.IfExists || table == "" || e.IfTable || e.Table.Schema != "" || p.is(p.moved, table) || p.is(p.keyed, table) {
			continue
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(p.added)), func(c string) bool { return strings.HasPrefix(c, table+".") }) {
			continue // with a key of its own
		}
		t, err := p.w.r.m.db.Inspect(ctx, p.q, engine.Name(e.Table))
		if errors.Is(err, engine.ErrNoTable) { // see missing
			continue
		}
		if err != nil {
			return err
		}
		name := e.Object.Name.Name
		if slices.ContainsFunc([]string{"index", "unique"}, func(kind string) bool {
			return p.w.undo[verify.Object{Kind: kind, Name: t.Name.String() + "." + name}.Key()].Before != nil
		}) {
			continue // the run itself may make it again before that
		}
		columns, err := engine.Texts(ctx, p.q, "SELECT coalesce(column_name, '') FROM information_schema.statistics WHERE table_schema = database() AND table_name = ? AND index_name = ?", t.Name.Name, name)
		if err != nil {
			return err
		}
		does := fmt.Sprintf("drops index %s of %s, which ", name, t.Name)
		switch {
		case p.is(p.dropped, table, name) && !slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return strings.EqualFold(c.Name, name) }): // which is noted likewise
			p.refuse(st, does+"an earlier statement drops", "leave one of the two out")
		case len(columns) == 0 && p.side == "Up": // see clashes
		case len(columns) == 0:
			p.refuse(st, does+"is not there", "name the index that it means, or take the statement out (SELECT 1 does nothing)")
		case !slices.ContainsFunc(columns, func(c string) bool { return !p.is(p.dropped, table, c) }):
			p.refuse(st, does+"goes with the last of its columns in an earlier statement", "drop the index first, or leave it to that statement")
		}
	}
	return nil
}
