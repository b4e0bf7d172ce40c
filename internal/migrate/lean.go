package migrate

import (
	"context"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Most migrations only add: a table, a column, an index, a constraint. Where each statement commits by itself such a one destroys nothing and
// changes nothing but the definition of its tables, neither triggers nor grants, views nor foreign keys of others: what it did is read from what
// the server prints of those tables alone (verify.Scope.Bare). The journal says of each statement that it was started, of the first one together
// with the migration's beginning, and not that it is done: the next row says so, or the end, which clears all of them. In between the server
// shows it, because what such a statement does always shows.

// lean tells whether a migration is of that kind.
func (w *work) lean() bool {
	if w.r.dir != Up || w.rec != nil || w.r.m.db.Caps.TransactionalDDL || len(w.stmts) == 0 {
		return false
	}
	for i, n := range w.reach.names { // on some servers two tables, on others one
		if slices.ContainsFunc(w.reach.names[:i], func(x engine.Name) bool { return strings.EqualFold(x.Name, n.Name) }) {
			return false
		}
	}
	return !slices.ContainsFunc(w.stmts, func(st Statement) bool {
		return st.Opaque() || st.Destroys() || !w.commits(st) || len(st.Effects) == 0 ||
			slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return !adds(e) || w.r.m.db.Mine(engine.Name(e.Table)) })
	})
}

// adds tells whether an effect adds to the definition of a table of the database at hand, and does nothing else.
func adds(e effects.Effect) bool {
	if e.Table.Name == "" || e.Table.Schema != "" || e.Cascade || e.Replaces || e.Temporary {
		return false
	}
	switch e.Kind {
	case effects.CreateTable:
		return e.Define != nil
	case effects.AddColumn, effects.AddConstraint:
		return true
	case effects.Create:
		return e.Object.Kind == "index"
	}
	return false
}

// leanly runs a migration that only adds, from its beginning.
func (w *work) leanly(ctx context.Context) error {
	if err := w.begin(ctx, w.r.s); err != nil {
		return err
	}
	opening, err := w.op(0, stepDone, opening{Sum: w.mig.Sum(), File: w.mig.File, Text: w.mig.Text, Before: w.before, Bare: true, Policy: w.r.policy})
	if err != nil {
		return err
	}
	first, err := w.op(1, stepStarted, w.beforeFirst())
	if err != nil {
		return err
	}
	if err := w.r.m.catalog.add(ctx, w.r.s, opening, first); err != nil {
		return err
	}
	w.started = true
	return w.steps(ctx, 0)
}

// beforeFirst is what look would note of the first statement, from what was read a moment ago.
func (w *work) beforeFirst() note {
	r := reachOf(w.stmts[:1], false)
	before := verify.Fingerprint{}
	for key, o := range w.before {
		if slices.ContainsFunc(r.names, func(n engine.Name) bool { return strings.EqualFold(n.Name, o.Table.Name) }) {
			before[key] = o
		}
	}
	return note{Names: r.names, Bare: true, Before: before}
}

// aloneLeanly is alone for a statement that only adds. The journal has no row of it yet: recover takes out the one of an attempt without effect.
func (w *work) aloneLeanly(ctx context.Context, i int) error {
	if !w.started || i > 0 {
		note, err := w.look(ctx, w.r.s, w.stmts[i])
		if err != nil {
			return err
		}
		op, err := w.op(i+1, stepStarted, note)
		if err != nil {
			return err
		}
		if err := w.r.m.catalog.add(ctx, w.r.s, op); err != nil {
			return err
		}
	}
	return w.captured(ctx, ground{s: w.r.s}, i, func(text string) error {
		if err := w.insist(ctx, text); err != nil {
			return w.failed(w.stmts[i], err)
		}
		return nil
	})
}

// hanging adds to what recover --abort takes back what by now hangs on the tables that it drops, so that its definition is captured: others
// may have put triggers there, or granted rights.
func (w *work) hanging(ctx context.Context, q engine.Querier, ch changes) error {
	var made []engine.Name
	for _, o := range ch.made() {
		if o.Kind == "table" {
			made = append(made, o.Table)
		}
	}
	if w.reach.bare == nil || len(made) == 0 {
		return nil
	}
	all, err := verify.Take(ctx, w.r.m.db, q, verify.Scope{Tables: made})
	if err != nil {
		return err
	}
	for key, o := range all {
		if _, known := ch[key]; !known && o.Kind != "view" && slices.Contains(made, o.Table) {
			ch[key] = change{After: &o}
		}
	}
	return nil
}
