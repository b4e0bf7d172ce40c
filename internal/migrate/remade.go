package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// remade asks about what Up took away and Down does not make again: repair makes it when all rows are back, and no command would lead out of a refusal then.
func (c *scout) remade(ctx context.Context, d down) error {
	if slices.ContainsFunc(d.Down, Statement.Opaque) { // nobody knows what that makes
		return nil
	}
	at := Statement{File: d.File, Line: 1, Column: 1}
	if n := len(d.Down); n > 0 {
		at.Line, at.Column = d.Down[n-1].Line, d.Down[n-1].Column
	}
	was, given := d.undo.side(false), map[string]bool{}
	for _, st := range d.Down {
		for _, e := range st.Effects {
			switch {
			case e.Kind == effects.RenameColumn:
				given[strings.ToLower(e.NewName.Name)] = true
			case e.Kind == effects.AddColumn && e.Column != nil && e.Column.NotNull: // with a default, or it has been asked for
				given[strings.ToLower(e.Column.Name)] = true
			}
		}
	}
	for _, o := range d.undo.destroyed() {
		if given[strings.ToLower(strings.TrimPrefix(o.Name, o.Table.String()+"."))] && (o.Kind == "column" || o.Kind == "not null") {
			continue // Down gives a column that is there its name back, or makes one whose rows all have values
		}
		if o.Kind == "not null" && o.Table.Name != "" {
			if done, err := c.valueless(ctx, d, at, was, o); done || err != nil {
				return err
			}
		}
		for _, e := range c.remaking(d.undo, o) {
			if err := c.effect(ctx, d.Migration, at, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// remaking gives the effects by which repair makes an object again, that rows can stand in the way of.
func (c *scout) remaking(undo changes, o verify.Object) []effects.Effect {
	if !slices.Contains([]string{"column", "not null", "primary key", "unique", "index", "check", "foreign key"}, o.Kind) {
		return nil
	}
	text, there := o.Create, undo[o.Key()].After != nil
	if there && len(o.Alter) > 0 {
		text = o.Alter
	}
	var out []effects.Effect
	for _, sql := range text {
		stmts, err := effects.Parse(effects.Dialect(c.m.db.Kind), sql)
		if err != nil {
			continue
		}
		for _, st := range stmts {
			for _, e := range st.Effects {
				if e.Kind == effects.AddColumn && e.Column != nil && there { // SQLite makes it what it was with the whole table
					out = append(out, demanding(e)...)
					continue
				}
				out = append(out, e)
			}
		}
	}
	return out
}

// demanding gives what the definition of a column that is there will demand of its values.
func demanding(e effects.Effect) []effects.Effect {
	var out []effects.Effect
	if e.Column.NotNull {
		out = append(out, effects.Effect{Kind: effects.SetNotNull, Table: e.Table, Columns: e.Columns})
	}
	for _, k := range e.Column.Constraints {
		out = append(out, effects.Effect{Kind: effects.AddConstraint, Table: e.Table, Columns: k.Columns, Constraint: &k})
	}
	return out
}

// valueless asks about NOT NULL of a column that is not there now: what makes it again makes it without, and rows for which nothing was captured have no value then. done is false
// of a column that is there.
func (c *scout) valueless(ctx context.Context, d down, at Statement, was verify.Fingerprint, o verify.Object) (done bool, err error) {
	t, err := c.m.db.Inspect(ctx, c.q, o.Table)
	if errors.Is(err, engine.ErrNoTable) {
		return true, nil // it comes back with its rows
	}
	if err != nil {
		return false, err
	}
	name := strings.TrimPrefix(o.Name, o.Table.String()+".")
	if slices.ContainsFunc(t.Columns, func(x engine.Column) bool { return strings.EqualFold(x.Name, name) }) {
		return false, nil
	}
	e := effects.Effect{Kind: effects.AddColumn, Table: effects.Name(o.Table), Columns: []string{name}, Column: &effects.ColumnDef{Name: name, NotNull: true}}
	for _, x := range was {
		if x.Kind == "identity" && x.Name == o.Name {
			return true, nil // it counts the rows
		}
	}
	for _, st := range d.Down {
		for _, x := range st.Effects {
			if x.Kind == effects.AddColumn && strings.EqualFold(x.Table.Name, o.Table.Name) && slices.Contains(x.Columns, name) && x.Column != nil && (x.Column.HasDefault || x.Column.Generated || x.Column.Identity) {
				return true, nil
			}
			if x.Kind == effects.RenameColumn && strings.EqualFold(x.Table.Name, o.Table.Name) {
				return true, nil // it may be this one
			}
		}
	}
	return true, c.effect(ctx, d.Migration, at, e)
}

// standing looks, in the transaction in which rows go back where each step commits, whether all that is still to be made again can be made over them: it says so while recover --abort
// can take the rollback back.
func (w *work) standing(ctx context.Context, g ground) (func(tx *sql.Tx) error, error) {
	if g.tx != nil || w.undo == nil || w.r.dir != Down {
		return func(*sql.Tx) error { return nil }, nil
	}
	now, err := w.fingerprint(ctx, g.schema())
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	var ahead []verify.Object
	for _, o := range w.undo.destroyed() {
		if is, there := now[o.Key()]; (!there || is.Definition != o.Definition) && !structural(o) && !w.givenUp(o) {
			ahead = append(ahead, o)
		}
	}
	return func(tx *sql.Tx) error {
		c := newScout(w.r.m, tx)
		c.remakes = true
		at := Statement{File: w.mig.File, Line: 1, Column: 1}
		for _, o := range ahead {
			had := len(c.found)
			for _, e := range c.remaking(w.undo, o) {
				if err := c.effect(ctx, w.mig, at, e); err != nil {
					return err
				}
			}
			if o.Kind != "foreign key" || len(c.found) == had {
				continue
			}
			if excused, err := w.restorer.Excused(ctx, tx, o.Table, keyName(o)); err != nil {
				return err
			} else if excused { // see refusedKey
				c.found = c.found[:had]
			}
		}
		if len(c.found) == 0 {
			return nil
		}
		hint := "change or remove these rows, and dbrollback recover goes on"
		if back, err := w.restorer.Exchanged(ctx); err != nil {
			return err
		} else if !back {
			hint += "; dbrollback recover --abort takes the rollback back"
		}
		refused := &RefusedError{}
		for _, o := range c.found {
			refused.Reasons = append(refused.Reasons, Refusal{File: o.File, Line: o.Line, Column: o.Column, Message: o.Message, Hint: hint})
		}
		return refused
	}, nil
}
