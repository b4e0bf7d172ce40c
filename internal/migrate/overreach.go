package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// notItsOwn refuses a Down that drops a table or column which was there before Up (see effects.Overreaches) when there is something in it that would be lost.
func (w *work) notItsOwn(ctx context.Context, q engine.Querier) ([]Refusal, error) {
	var out []Refusal
	for _, l := range effects.Overreaches(parsed(w.mig.Up), parsed(w.stmts)) {
		st := w.stmts[l.Statement]
		if w.mig.noCapture(Down, st) || w.r.allowDrift && l.Itself() && !l.Again { // that it is not there afterwards is told
			continue
		}
		n, err := w.r.m.db.Resolve(ctx, q, engine.Name{Schema: l.Schema, Name: l.Table})
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.Column == "" && l.Missing || l.Itself() && (w.undo.madeColumn(n, l.Column) || l.Column == "" && w.undo.madeTable(n)) {
			continue // see wereThere
		}
		if there, err := w.hasColumn(ctx, q, n, l.Column); err != nil {
			return nil, err
		} else if !there {
			if !ifExists(st, l.Column) {
				out = append(out, Refusal{
					File: st.File, Line: st.Line, Column: st.Column,
					Message: fmt.Sprintf("Down drops %s.%s, which is not there, and makes none before", l.Table, l.Column),
					Hint:    "take that out of Down (SELECT 1 does nothing), and roll back again",
				})
			}
			continue
		}
		if loses, err := w.loses(ctx, q, n, l); err != nil {
			return nil, err
		} else if loses {
			out = append(out, w.notOwn(st, n, l))
		}
	}
	return out, nil
}

// hasColumn tells whether a table has a column now; "" stands for the table itself.
func (w *work) hasColumn(ctx context.Context, q engine.Querier, n engine.Name, column string) (bool, error) {
	if column == "" {
		return true, nil
	}
	t, err := w.r.m.db.Inspect(ctx, q, n)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(t.Columns, func(c engine.Column) bool { return strings.EqualFold(c.Name, column) }), nil
}

// ifExists tells whether a statement drops a column only where it is there.
func ifExists(st Statement, column string) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		return e.Kind == effects.DropColumn && e.IfExists && slices.ContainsFunc(e.Columns, func(c string) bool { return strings.EqualFold(c, column) })
	})
}

// givenUp tells whether an object goes with what Down drops of what was there before Up, and that was accepted: it is not made again, for what was in it is nowhere that it
// could be put back from.
func (w *work) givenUp(o verify.Object) bool {
	if w.r.dir != Down || !w.r.allowDrift {
		return false
	}
	return slices.ContainsFunc(effects.Overreaches(parsed(w.mig.Up), parsed(w.stmts)), func(l effects.Overreach) bool {
		return l.Itself() && !l.Again && !l.Captured && strings.EqualFold(o.Table.Name, l.Table) && (l.Column == "" || isColumn(o, l.Column))
	})
}

// isColumn tells whether an object is a column, or something of it, like its default.
func isColumn(o verify.Object, column string) bool {
	return strings.HasSuffix(strings.ToLower(strings.ReplaceAll(o.Name, `"`, "")), "."+strings.ToLower(column))
}

// loses tells whether anything is in a table or column that Down drops, and that does not come back from a capture.
func (w *work) loses(ctx context.Context, q engine.Querier, n engine.Name, l effects.Overreach) (bool, error) {
	db, where := w.r.m.db, ""
	if l.Carried && l.Column == "" {
		// Of a table without a key it could not be told what the application has written to the one that Up has made.
		t, err := db.Inspect(ctx, q, n)
		if err != nil || len(t.Keys) > 0 {
			return false, err
		}
	}
	if l.Captured {
		if l.Column == "" || w.restorer == nil {
			return false, nil
		}
		written, err := w.restorer.Written(ctx, q, n, l.Column)
		return written > 0, err
	}
	if l.Column != "" {
		where = " WHERE " + db.Ident(l.Column) + " IS NOT NULL"
	}
	var there bool
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+db.Quote(n)+where+")").Scan(&there)
	return there, err
}

func (w *work) notOwn(st Statement, n engine.Name, l effects.Overreach) Refusal {
	db, what, rename := w.r.m.db, l.Table, "RENAME TO "+w.r.m.db.Ident(l.Was)
	if l.Column != "" {
		what, rename = l.Table+"."+l.Column, "RENAME COLUMN "+db.Ident(l.Column)+" TO "+db.Ident(l.Was)
	}
	out := Refusal{
		File: st.File, Line: st.Line, Column: st.Column,
		Message: fmt.Sprintf("Down drops %s, which was there before Up as %s: Up only gave it another name, and nothing in Down carries over what is in it", what, l.Was),
		Hint:    "let Down give it its name back (ALTER TABLE " + db.Quote(n) + " " + rename + ") in place of dropping it, and roll back again",
	}
	switch {
	case l.Captured:
		out.Message = fmt.Sprintf("Down drops %s, which was there before Up, and nothing in Down carries over what has been written to it since", what)
		out.Hint = "let Down change it in place, or copy what is in it before, and roll back again"
	case l.Itself() && !l.Again:
		out.Message = fmt.Sprintf("Down drops %s, which was there before Up, and nothing in Down carries over what is in it", what)
		out.Hint = "take that out of Down (SELECT 1 does nothing), and roll back again; or accept that it goes with --allow-drift"
	case l.Itself():
		out.Message = fmt.Sprintf("Down drops %s, which was there before Up, and nothing in Down carries over what is in it", what)
		out.Hint = "let Down change it in place, or copy what is in it before, or take that out (SELECT 1 does nothing), and roll back again"
	}
	return out
}

// madeColumn tells whether the migration made a column.
func (ch changes) madeColumn(n engine.Name, column string) bool {
	for _, c := range ch {
		if c.Before == nil && c.After != nil && c.After.Kind == "column" && c.After.Table == n && isColumn(*c.After, column) {
			return true
		}
	}
	return false
}
