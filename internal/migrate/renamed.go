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
)

// origins gives, by the lower case name of now ("table", "table.column"), the name from before some statements; "" of what they made. What they leave
// alone is not in it.
type origins map[string]string

func (o origins) of(key, name string) string {
	if was, known := o[strings.ToLower(key)]; known {
		return was
	}
	return name
}

func (o origins) table(name string) string { return o.of(name, name) }

func (o origins) column(table, name string) string { return o.of(table+"."+name, name) }

func (o origins) follow(e effects.Effect) {
	table := strings.ToLower(e.Table.Name)
	columns := func(key, _ string) bool { return strings.HasPrefix(key, table+".") }
	switch e.Kind {
	case effects.CreateTable:
		if !e.IfExists {
			maps.DeleteFunc(o, columns)
			o[table] = ""
		}
	case effects.RenameTable:
		was, to := o.table(e.Table.Name), strings.ToLower(e.NewName.Name)
		moved := origins{to: was}
		for key, name := range o {
			if columns(key, name) {
				moved[to+strings.TrimPrefix(key, table)] = name
			}
		}
		maps.DeleteFunc(o, columns)
		delete(o, table)
		maps.Copy(o, moved)
	case effects.DropTable:
		maps.DeleteFunc(o, columns)
		delete(o, table)
	case effects.AddColumn:
		for _, c := range e.Columns {
			o[table+"."+strings.ToLower(c)] = ""
		}
	case effects.RenameColumn:
		was := o.column(table, e.Columns[0])
		delete(o, table+"."+strings.ToLower(e.Columns[0]))
		o[table+"."+strings.ToLower(e.NewName.Name)] = was
	case effects.DropColumn:
		for _, c := range e.Columns {
			delete(o, table+"."+strings.ToLower(c))
		}
	}
}

// onlyRenamed refuses a Down that drops a table or column to which Up only gave another name, and that nothing in Down reads before: what lies under
// the old name afterwards is empty, or something else.
func (w *work) onlyRenamed(ctx context.Context, q engine.Querier) ([]Refusal, error) {
	up, down := origins{}, origins{}
	for _, st := range w.mig.Up {
		for _, e := range st.Effects {
			up.follow(e)
		}
	}
	var out []Refusal
	for i, st := range w.stmts {
		for _, e := range st.Effects {
			var refused []Refusal
			var err error
			switch {
			case w.mig.noCapture(Down, st):
			case e.Kind == effects.DropTable:
				now := down.table(e.Table.Name)
				if was := up.table(now); now != "" && was != "" && !strings.EqualFold(was, now) {
					refused, err = w.lost(ctx, q, i, e, now, "", was)
				}
			case e.Kind == effects.DropColumn:
				table := down.table(e.Table.Name)
				for _, c := range e.Columns {
					now := down.column(e.Table.Name, c)
					if was := up.column(table, now); table != "" && up.table(table) != "" && now != "" && was != "" && !strings.EqualFold(was, now) {
						more, failed := w.lost(ctx, q, i, e, table, now, was)
						refused, err = append(refused, more...), errors.Join(err, failed)
					}
				}
			}
			if err != nil {
				return nil, err
			}
			out = append(out, refused...)
			down.follow(e)
		}
	}
	return out, nil
}

// lost refuses the i-th statement of Down when it drops rows, or values of a column, that no statement before it carries on. table and column have
// the names from when Down began.
func (w *work) lost(ctx context.Context, q engine.Querier, i int, e effects.Effect, table, column, was string) ([]Refusal, error) {
	kind, names := effects.RenameTable, []string{table, e.Table.Name}
	if column != "" {
		kind, names = effects.RenameColumn, append([]string{column}, e.Columns...)
	}
	comesBack := func(x effects.Effect) bool { return x.Kind == kind && strings.EqualFold(x.NewName.Name, was) }
	if slices.ContainsFunc(w.stmts, func(st Statement) bool { return slices.ContainsFunc(st.Effects, comesBack) }) ||
		slices.ContainsFunc(w.stmts[:i], func(st Statement) bool { return carries(st, names) }) {
		return nil, nil
	}
	db := w.r.m.db
	n, err := db.Resolve(ctx, q, engine.Name{Schema: e.Table.Schema, Name: table})
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	what, rename, where := table, "RENAME TO "+db.Ident(was), ""
	if column != "" {
		what, rename, where = table+"."+column, "RENAME COLUMN "+db.Ident(column)+" TO "+db.Ident(was), " WHERE "+db.Ident(column)+" IS NOT NULL"
	}
	var there bool
	if err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+db.Quote(n)+where+")").Scan(&there); err != nil || !there {
		return nil, err
	}
	st := w.stmts[i]
	return []Refusal{{
		File: st.File, Line: st.Line, Column: st.Column,
		Message: fmt.Sprintf("Down drops %s, which was there before Up as %s: Up only gave it another name, and nothing in Down carries over what is in it", what, was),
		Hint:    "let Down give it its name back (ALTER TABLE " + db.Quote(n) + " " + rename + ") in place of dropping it, and roll back again",
	}}, nil
}

// carries tells whether a statement may take what has one of these names elsewhere.
func carries(st Statement, names []string) bool {
	named := slices.ContainsFunc(names, func(name string) bool {
		return regexp.MustCompile(`(?i)(^|\W)` + regexp.QuoteMeta(name) + `(\W|$)`).MatchString(st.SQL)
	})
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		switch e.Kind {
		case effects.Opaque:
			return true
		case effects.Insert, effects.Update, effects.Upsert, effects.Replace, effects.Merge, effects.AddColumn, effects.AlterColumnType:
			return named
		case effects.CreateTable:
			return named && e.Define != nil && e.Define.AsSelect
		}
		return false
	})
}
