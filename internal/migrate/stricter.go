package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// unkey takes off the foreign keys that Down has made otherwise than they were, or left over, and constraints that were not there at all, or that Up made and Down left: rows that come back would be measured by them.
// Of a table that Down has made anew all go that are not as they were. repair makes them as they were when all rows are back.
func (w *work) unkey(ctx context.Context, g ground) error {
	if w.undo == nil || w.r.dir != Down || w.back {
		return nil
	}
	tx, sqlite := g.schema(), w.r.m.db.Kind == engine.SQLite
	now, err := w.fingerprint(ctx, tx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := w.takeOff(ctx, tx, now, func(o verify.Object) bool { return measures(o) && (!sqlite || w.anew(o.Table)) }); err != nil {
		return err
	}
	if !sqlite {
		return nil
	}
	if now, err = w.fingerprint(ctx, tx); err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	return w.remake(ctx, tx, now, w.anew)
}

// takeOff takes off those of the constraints that are not to stay.
func (w *work) takeOff(ctx context.Context, tx engine.Querier, now verify.Fingerprint, which func(verify.Object) bool) error {
	spared := func(o verify.Object) bool { return !which(o) }
	surplus, otherwise, left := slices.DeleteFunc(w.surplus(now), spared), slices.DeleteFunc(w.otherwise(now), spared), slices.DeleteFunc(w.left(now), spared)
	for _, o := range slices.Concat(otherwise, left, surplus) {
		needed := o.First != "" || slices.ContainsFunc(left, func(l verify.Object) bool { return l.Key() == o.Key() })
		for _, stmt := range o.Drop {
			if err := attempt(ctx, w.r.m.db, tx, stmt); err != nil && !(needed && isClass(err, engine.Unknown)) { // a foreign key needs it, until the index that it had is back: see repair
				return &RepairError{Version: w.mig.Version, Direction: w.r.dir, SQL: stmt, Err: err}
			}
		}
		w.capturer.Stale()
	}
	for _, o := range surplus {
		w.tookOff(o)
	}
	return nil
}

// loosen does it ahead of the statements from the i-th on, with a table made anew whose rows they need first; what they name themselves stays.
func (w *work) loosen(ctx context.Context, g ground, i int) error {
	q := g.schema()
	if w.r.dir != Down || w.undo == nil || w.back || w.r.m.db.Kind == engine.SQLite {
		return nil
	}
	for _, c := range w.undo {
		if c.Before == nil || c.Before.Kind != "table" || !w.anew(c.Before.Table) || !w.restorer.Wanted(c.Before.Table, w.parsed(i)) {
			continue
		}
		now, err := verify.Take(ctx, w.r.m.db, q, verify.Scope{Tables: []engine.Name{c.Before.Table}})
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		named := func(o verify.Object) bool {
			name := o.Name[strings.LastIndex(o.Name, ".")+1:]
			return slices.ContainsFunc(w.stmts[i:], func(st Statement) bool { return strings.Contains(strings.ToLower(st.SQL), strings.ToLower(name)) })
		}
		off := func(tx engine.Querier) error {
			return w.takeOff(ctx, tx, now, func(o verify.Object) bool {
				return o.Table == c.Before.Table && measures(o) && o.Kind != "foreign key" && !named(o)
			})
		}
		if !w.r.m.db.Caps.TransactionalDDL {
			err = off(q)
		} else {
			err = g.rows(ctx, func(tx *sql.Tx) error { return off(tx) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// anew tells whether a table that the undone run has dropped is there only because this one has made it.
func (w *work) anew(n engine.Name) bool {
	_, before := w.before[verify.Object{Kind: "table", Name: n.String()}.Key()]
	return w.restorer != nil && w.restorer.NoPlace(n) != nil && (!before || w.capturer.Dropped(n))
}

// stricter tells the restorer whether a table is, for now, under constraints that it is not to have in the end, and that its rows may break.
func (w *work) stricter(ctx context.Context, q engine.Querier, t engine.Name) (bool, error) {
	if w.undo == nil || !w.anew(t) {
		return false, nil
	}
	now, err := verify.Take(ctx, w.r.m.db, q, verify.Scope{Tables: []engine.Name{t}})
	if err != nil {
		return false, fmt.Errorf("fingerprint: %w", err)
	}
	if len(w.otherShape(now)) > 0 {
		return true, nil
	}
	for key, o := range now { // MariaDB writes the check of a column with it
		if was := w.undo[key].Before; o.Kind == "column" && was != nil && o.Definition != was.Definition && strings.Contains(o.Definition, "CHECK") {
			return true, nil
		}
	}
	return slices.ContainsFunc(slices.Concat(w.otherwise(now), w.surplus(now)), func(o verify.Object) bool {
		return o.Table.Name == t.Name && measures(o) && o.Kind != "foreign key" // see passing
	}), nil
}

// otherwise gives the foreign keys that are there, and lead elsewhere than those which the undone run has destroyed, or that it has made; likewise, of tables that are made anew, other constraints.
func (w *work) otherwise(now verify.Fingerprint) []verify.Object {
	var out []verify.Object
	for key, c := range w.undo {
		is, there := now[key]
		if there && (is.Kind == "foreign key" && (c.Before == nil || is.Definition != c.Before.Definition) ||
			c.Before != nil && is.Definition != c.Before.Definition && constraint(is) && w.anew(is.Table)) {
			out = append(out, is)
		}
	}
	return out
}

// left gives the other constraints that the undone run made and this one has not taken away: see repair.
func (w *work) left(now verify.Fingerprint) []verify.Object {
	var out []verify.Object
	for key, c := range w.undo {
		if is, there := now[key]; there && c.Before == nil && slices.Contains([]string{"not null", "check", "unique", "exclude"}, is.Kind) {
			out = append(out, is)
		}
	}
	slices.SortFunc(out, func(a, b verify.Object) int { return strings.Compare(a.Key(), b.Key()) })
	return out
}

// makesKeys tells whether Down may give a table foreign keys, or the undone run has changed them.
func (w *work) makesKeys(t engine.Name) bool {
	for _, c := range w.undo {
		if o := c.object(); o.Kind == "foreign key" && o.Table.Name == t.Name {
			return true
		}
	}
	return slices.ContainsFunc(w.stmts, func(st Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return (e.Kind == effects.CreateTable || e.Kind == effects.AddConstraint) && strings.EqualFold(e.Table.Name, t.Name)
		})
	})
}

// constraint tells whether an object can be taken off again without data, and rows that come back can break it.
func constraint(o verify.Object) bool {
	return slices.Contains([]string{"unique", "check", "exclude"}, o.Kind) || o.Kind == "index" && measures(o)
}
