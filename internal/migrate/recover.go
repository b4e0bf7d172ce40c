package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Recover ends a run that was cut off: it looks at the server to see which statements took effect, then runs the rest
// (the migration's text must be the one that was begun), or, with Abort, takes back what was done. ErrNothing when no
// run was cut off.
func (m *Migrator) Recover(ctx context.Context, req RecoverRequest) (*Result, error) {
	r, err := m.newRun(Up)
	if err != nil {
		return nil, err
	}
	err = m.locked(ctx, func(s *engine.Session) error {
		list, err := m.cutOffs(ctx, s)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("%w: no run was cut off", ErrNothing)
		}
		applied, err := m.applied(ctx, s)
		if err != nil {
			return err
		}
		r.s, r.at = s, current(applied)
		r.res.From, r.res.To = r.at, r.at
		for _, c := range list {
			if err := r.recover(ctx, c, req.Abort); err != nil {
				r.res.Verified = false
				err = r.partial(ctx, c.opening.Version, err)
				r.logFailure(ctx, c.opening.Version, err)
				return err
			}
		}
		return nil
	})
	return r.done(), err
}

// recover ends one migration that was cut off, under the run that began it.
func (r *runner) recover(ctx context.Context, c cutOff, abort bool) error {
	op, m := c.opening, r.m
	r.dir, r.res.Direction, r.res.Run, r.policy, r.allowDrift = op.Direction, op.Direction, op.Run, snapshot.Keep, false
	start := time.Now()
	var open opening
	if err := json.Unmarshal([]byte(op.Before), &open); err != nil {
		return fmt.Errorf("the step journal of migration %d is damaged: %w", op.Version, err)
	}
	rec, err := m.catalog.load(ctx, r.s, op.Version)
	if err != nil {
		return err
	}
	mig, _, err := m.migration(ctx, op.Version, op.Direction, rec)
	if err != nil {
		return err
	}
	if mig.Sum() != open.Sum && !abort {
		return &RefusedError{Reasons: []Refusal{{
			File: mig.File, Line: 1, Column: 1,
			Message: fmt.Sprintf("the text of migration %d is not the one that was begun", op.Version),
			Hint:    "put the file back as it was, or take back what was done with: dbrollback recover --abort",
		}}}
	}
	w := &work{r: r, mig: mig, rec: rec, stmts: mig.statements(op.Direction), before: open.Before}
	done := c.last.Statement
	err = r.s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.resume(ctx, tx, op.Snapshot); err != nil {
			return err
		}
		if c.last.State != "started" {
			return nil
		}
		ch, took, err := m.settle(ctx, tx, c.last)
		if err != nil {
			return err
		}
		if !took {
			done--
			return nil
		}
		if abort || !halfMade(ch) {
			return nil
		}
		done--
		return w.removeHalfMade(ctx, tx, ch)
	})
	if err != nil {
		return err
	}
	if abort {
		if err := r.s.Tx(ctx, func(tx *sql.Tx) error { return w.abort(ctx, tx, done) }); err != nil {
			return err
		}
	} else if err := w.steps(ctx, done); err != nil {
		return err
	}
	r.finish(w, time.Since(start))
	return nil
}

// resume takes up a migration where the cut-off run left it.
func (w *work) resume(ctx context.Context, tx *sql.Tx, snapshotID string) error {
	m := w.r.m
	w.reach = reachOf(w.stmts)
	if w.rec != nil && (w.r.dir == Down || w.rec.Text == w.mig.Text) {
		w.undo = w.rec.changes(w.r.dir.opposite())
		w.reach = w.reach.with(w.undo)
		var err error
		if w.restorer, err = m.store.Restorer(ctx, tx, w.mig.Version, string(w.r.dir.opposite())); err != nil {
			return err
		}
	}
	var err error
	w.capturer, err = m.store.Resume(ctx, tx, snapshotID, snapshot.Meta{
		Run: w.r.res.Run, Direction: string(w.r.dir), CreatedBy: m.o.User, Migration: w.mig.Version, Expires: m.expires(time.Now()),
	})
	return err
}

// halfMade says whether a statement that was cut off left something that is there and does not work, as CREATE INDEX
// CONCURRENTLY does: an index that is marked invalid.
func halfMade(ch changes) bool {
	return len(invalid(ch)) > 0
}

func invalid(ch changes) []verify.Object {
	var out []verify.Object
	for _, c := range ch {
		if c.Before == nil && c.After != nil && c.After.Kind == "index" && strings.HasSuffix(c.After.Definition, " INVALID") {
			out = append(out, *c.After)
		}
	}
	return out
}

// removeHalfMade drops it, so that the statement can run again.
func (w *work) removeHalfMade(ctx context.Context, tx *sql.Tx, ch changes) error {
	for _, o := range invalid(ch) {
		for _, stmt := range o.Drop {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("remove the half-made index %s: %w", o.Name, err)
			}
		}
	}
	return nil
}

// abort takes back the statements that were done: what they made is dropped (with its rows captured), what they
// destroyed is made again from the definitions and captures of the cut-off run.
func (w *work) abort(ctx context.Context, tx *sql.Tx, done int) error {
	m := w.r.m
	if err := w.capturer.Seal(ctx, tx, nil); err != nil {
		return err
	}
	restorer, err := m.store.Restorer(ctx, tx, w.mig.Version, string(w.r.dir))
	if err != nil {
		return err
	}
	if restorer != nil {
		if err := restorer.Check(ctx, tx); err != nil {
			return err
		}
	}
	now, err := w.reach.take(ctx, m.db, tx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	back := m.store.Begin(snapshot.Meta{Run: w.r.res.Run, Direction: "abort", CreatedBy: m.o.User, Migration: w.mig.Version, Expires: m.expires(time.Now())})
	ch := changed(w.before, now)
	for _, o := range ch.made() {
		st := effects.Statement{Effects: []effects.Effect{dropOf(o)}}
		for _, stmt := range o.Drop {
			st.SQL = stmt
			err := back.Statement(ctx, tx, 0, st, func() error {
				if _, err := tx.ExecContext(ctx, stmt); err != nil {
					return fmt.Errorf("take back %s %s: %w", o.Kind, o.Name, err)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	repair := func(which func(verify.Object) bool) error {
		have, err := w.reach.take(ctx, m.db, tx)
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		for _, stmt := range verify.Repair(filter(ch.side(false), which), filter(ch.only(have), which)) {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("put back (%s): %w", headline(stmt), err)
			}
		}
		return nil
	}
	if err := repair(structural); err != nil {
		return err
	}
	w.report.Verified = true
	if restorer != nil {
		if err := restorer.Place(ctx, tx); err != nil {
			return err
		}
		if w.report, err = restorer.Finish(ctx, tx, w.r.policy, back); err != nil {
			return err
		}
	}
	if err := repair(func(verify.Object) bool { return true }); err != nil {
		return err
	}
	have, err := w.reach.take(ctx, m.db, tx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if d := material(verify.Diff(ch.side(false), ch.only(have))); len(d) > 0 {
		return &DriftError{Version: w.mig.Version, When: "after", Differences: d}
	}
	if err := back.Seal(ctx, tx, nil); err != nil {
		return err
	}
	w.to = w.r.at
	e := w.entry(time.Now().UTC())
	e.Action, e.Detail = "recover --abort", map[string]string{"statements taken back": fmt.Sprint(done)}
	if err := m.log.Append(ctx, tx, e); err != nil {
		return err
	}
	return m.catalog.clear(ctx, tx, w.r.res.Run, w.mig.Version)
}

// made lists the objects that are there and were not, those that hang on others first.
func (ch changes) made() []verify.Object {
	var out []verify.Object
	for _, c := range ch {
		if c.Before == nil {
			out = append(out, *c.After)
		}
	}
	gone := map[engine.Name]bool{}
	for _, o := range out {
		if o.Kind == "table" {
			gone[o.Table] = true
		}
	}
	// What belongs to a table that goes anyway needs no statement of its own.
	out = slices.DeleteFunc(out, func(o verify.Object) bool { return o.Kind != "table" && gone[o.Table] })
	slices.SortFunc(out, func(a, b verify.Object) int {
		if a.Rank != b.Rank {
			return b.Rank - a.Rank
		}
		if a.Key() < b.Key() {
			return 1
		}
		return -1
	})
	return out
}

// dropOf is the effect of dropping an object.
func dropOf(o verify.Object) effects.Effect {
	switch o.Kind {
	case "table":
		return effects.Effect{Kind: effects.DropTable, Table: effects.Name(o.Table)}
	case "column":
		return effects.Effect{Kind: effects.DropColumn, Table: effects.Name(o.Table), Columns: []string{strings.TrimPrefix(o.Name, o.Table.String()+".")}}
	}
	return effects.Effect{Kind: effects.Drop, Table: effects.Name(o.Table), Object: effects.Object{Kind: o.Kind, Name: effects.Name{Name: o.Name}}}
}
