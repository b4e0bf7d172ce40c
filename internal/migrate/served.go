package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// A server of MySQL's family makes an index for a foreign key, and takes it away without a word as soon as another one begins with the same column. The Down of a
// migration that makes such another one does nothing but drop it, and the server refuses: the foreign key would go by none.

// serve makes the indexes again that the undone run took away in this manner, ahead of a statement of Down that drops what came in their place.
func (w *work) serve(ctx context.Context, st Statement) error {
	lost := w.unserved(st)
	if len(lost) == 0 {
		return nil
	}
	now, err := w.fingerprint(ctx, w.r.s)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	for _, o := range lost {
		if _, there := now[o.Key()]; there || !dropsIndex(st, now, o) {
			continue
		}
		for _, stmt := range o.Create {
			if _, err := w.r.s.ExecContext(ctx, stmt); err != nil {
				return &RepairError{Version: w.mig.Version, Direction: w.r.dir, SQL: stmt, Err: err}
			}
		}
		w.capturer.Stale()
	}
	return nil
}

// unserved gives the indexes of the tables that a statement of Down changes which the undone run left without a trace, and which no statement of Down makes again.
func (w *work) unserved(st Statement) []verify.Object {
	if w.r.dir != Down || w.undo == nil || w.r.m.db.Caps.TransactionalDDL {
		return nil
	}
	var out []verify.Object
	for _, c := range w.undo {
		if c.Before == nil || c.After != nil || c.Before.First == "" || !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return strings.EqualFold(e.Table.Name, c.Before.Table.Name) }) {
			continue
		}
		name := strings.TrimPrefix(c.Before.Name, c.Before.Table.String()+".")
		makes := func(e effects.Effect) bool {
			return (e.Kind == effects.Create || e.Kind == effects.AddConstraint) && strings.EqualFold(e.Object.Name.Name, name)
		}
		if !slices.ContainsFunc(w.stmts, func(s Statement) bool { return slices.ContainsFunc(s.Effects, makes) }) {
			out = append(out, *c.Before)
		}
	}
	slices.SortFunc(out, func(a, b verify.Object) int { return strings.Compare(a.Key(), b.Key()) })
	return out
}

// dropsIndex tells whether a statement drops an index that begins with the column with which another one does.
func dropsIndex(st Statement, now verify.Fingerprint, other verify.Object) bool {
	for _, o := range now {
		if o.First != other.First || o.Table != other.Table {
			continue
		}
		name := strings.TrimPrefix(o.Name, o.Table.String()+".")
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return (e.Kind == effects.Drop || e.Kind == effects.DropConstraint) && strings.EqualFold(e.Object.Name.Name, name)
		}) {
			return true
		}
	}
	return false
}

// unserve takes such indexes away again when nothing else has run.
func (w *work) unserve(ctx context.Context) error {
	for _, st := range w.stmts {
		for _, o := range w.unserved(st) {
			if _, before := w.before[o.Key()]; before {
				continue
			}
			for _, stmt := range o.Drop {
				if _, err := w.r.s.ExecContext(ctx, stmt); err != nil && !alreadyGone(verify.Fingerprint{o.Key(): o}, stmt, err) {
					return err
				}
			}
		}
	}
	return nil
}

// servedAgain makes the indexes again that a run which is taken back destroyed, where one that it made begins with the same column and goes: a foreign key may go by either.
// One that cannot be made yet is made when the rows are back.
func (w *work) servedAgain(ctx context.Context, q engine.Querier, ch changes, now verify.Fingerprint) error {
	made := ch.made()
	for _, o := range ch.destroyed() {
		_, there := now[o.Key()]
		if there || o.First == "" || !slices.ContainsFunc(made, func(m verify.Object) bool { return m.First == o.First && m.Table == o.Table }) {
			continue
		}
		for _, stmt := range o.Create {
			if err := attempt(ctx, w.r.m.db, q, stmt); err != nil && !isClass(err, engine.Constraint, engine.Unknown, engine.Syntax) {
				return fmt.Errorf("put back (%s): %w", headline(stmt), err)
			}
		}
	}
	return nil
}
