package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
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
		if err := m.store.Still(ctx); err != nil {
			return err
		}
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
		if _, err := r.journals(ctx); err != nil { // see enter
			return err
		}
		for _, c := range list {
			r.allowDrift = req.AllowDrift
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
	r.dir, r.res.Direction, r.res.Run, r.policy = op.Direction, op.Direction, op.Run, snapshot.Keep
	if c.begun.Policy == snapshot.Restore {
		r.policy = snapshot.Restore
	}
	r.batched = c.begun.Online
	if op.State == stepFilling {
		if abort {
			return (&backfill{r: r, op: op, note: c.begun, began: time.Now()}).giveUp(ctx)
		}
		return r.fill(ctx, op.Version)
	}
	start := time.Now()
	abort = abort || op.State == stepAborting
	rec, err := m.catalog.load(ctx, r.s, op.Version)
	if err != nil {
		return err
	}
	mig, err := r.begun(ctx, c, rec, abort)
	if err != nil {
		return err
	}
	w := &work{r: r, mig: mig, rec: rec, stmts: mig.statements(op.Direction), before: c.begun.Before, ends: true}
	// Triggers may be out of the way of rows that went back.
	if err := m.store.Mend(ctx, r.s); err != nil {
		return err
	}
	var was seen
	if c.last.State == stepStarted && c.last.Statement <= len(w.stmts) {
		if was, err = m.look(ctx, r.s, c.last); err != nil {
			return err
		}
	}
	if err := r.s.Tx(ctx, func(tx *sql.Tx) error { return w.resume(ctx, tx, c, was) }); err != nil {
		return err
	}
	done, err := w.cut(ctx, c.last, was, abort)
	if err != nil {
		return err
	}
	if abort {
		err = w.takeBack(ctx, c, done)
	} else {
		err = w.goOn(ctx, done)
	}
	if err != nil {
		return err
	}
	r.res.Aborted = abort
	r.finish(w, time.Since(start))
	r.brokenViews(ctx)
	if abort {
		return nil
	}
	return r.fill(ctx, op.Version)
}

// begun is the migration as it was begun. To go on with it, its file must not say anything else by now.
func (r *runner) begun(ctx context.Context, c cutOff, rec *record, abort bool) (*Migration, error) {
	begun, err := c.migration(ctx, r.m)
	if err != nil {
		return nil, err
	}
	if abort {
		return begun, nil
	}
	if _, onDisk := r.m.src.paths[begun.Version]; !onDisk {
		return begun, nil
	}
	mig, _, err := r.m.migration(ctx, begun.Version, c.opening.Direction, rec)
	if err != nil {
		return nil, err
	}
	if mig.Sum() != c.begun.Sum {
		return nil, &RefusedError{Reasons: []Refusal{{
			File: mig.File, Line: 1, Column: 1,
			Message: fmt.Sprintf("the text of migration %d is not the one that was begun", begun.Version),
			Hint:    "put the file back as it was, or take back what was done with: dbrollback recover --abort",
		}}}
	}
	return mig, nil
}

// resume takes up a migration where the cut-off run left it.
func (w *work) resume(ctx context.Context, tx *sql.Tx, c cutOff, was seen) error {
	m := w.r.m
	w.reach, w.begun = reachOf(w.stmts, verify.ByName(w.r.m.db)), c.begun
	if c.begun.Bare {
		w.reach.bare = &verify.Bare{}
	}
	if w.rec != nil && (w.r.dir == Down || w.rec.Text == w.mig.Text) {
		w.undo = w.rec.changes(w.r.dir.opposite())
		w.reach = w.reach.with(w.undo)
		w.letGo()
		if err := w.restores(ctx, tx); err != nil {
			return err
		}
		w.waits()
		if w.restorer != nil {
			w.restorer.Runs(w.parsed(0))
		}
		if w.restorer != nil && c.memo != "" {
			if err := w.restorer.Recall(c.memo); err != nil {
				return err
			}
			w.memo = c.memo
		}
	}
	done := min(c.last.Statement, len(w.stmts))
	if was.state == noEffect {
		done--
	}
	past := snapshot.Past{Began: c.last.Statement, Table: w.had("table"), Column: func(n engine.Name, column string) bool {
		return w.had("column")(engine.Name{Schema: n.Schema, Name: n.Name + "." + column})
	}}
	for _, st := range w.stmts[:done] {
		past.Statements = append(past.Statements, st.Statement)
	}
	var err error
	opposite := parsed(w.mig.statements(w.r.dir.opposite()))
	w.capturer, err = m.store.Resume(ctx, tx, c.opening.Snapshot, snapshot.Meta{
		Run: w.r.res.Run, Direction: string(w.r.dir), CreatedBy: m.o.User, Migration: w.mig.Version, Expires: m.expires(time.Now()), Statements: w.parsed(0), Opposite: &opposite, Instead: true, Steps: !w.atomic(),
	}, past)
	if err != nil {
		return err
	}
	w.capturer.Recall(c.begun.Stood)
	if w.restorer != nil {
		w.restorer.Record(w.capturer)
	}
	return nil
}

// had tells whether something of a kind was there when the migration began; a name without a schema may be in any.
func (w *work) had(kind string) func(engine.Name) bool {
	return func(n engine.Name) bool {
		for _, o := range w.before {
			name := o.Name
			if n.Schema == "" && o.Table.Schema != "" {
				name = strings.TrimPrefix(name, o.Table.Schema+".")
			}
			if o.Kind == kind && name == n.String() {
				return true
			}
		}
		return false
	}
}

// cut finds out how the last step ended that the journal knows, and says how many statements are done.
func (w *work) cut(ctx context.Context, last operation, was seen, abort bool) (int, error) {
	m, s, n := w.r.m, w.r.s, last.Statement
	late := &RefusedError{Reasons: []Refusal{{
		File: w.mig.File, Line: 1, Column: 1, Message: "all statements ran, and the captured rows are back: only the record is missing",
		Hint: "finish it with dbrollback recover; then dbrollback " + undoing(w.r.dir) + " takes it back",
	}}}
	if abort && w.restorer != nil {
		if back, err := w.restorer.Exchanged(ctx); err != nil {
			return 0, err
		} else if back {
			return 0, late
		}
	}
	switch {
	case n > len(w.stmts) && last.State == stepDone:
		if abort {
			return 0, late
		}
		w.back = true
		var left note
		if err := json.Unmarshal([]byte(last.Note), &left); err != nil || left.Report == nil {
			return 0, fmt.Errorf("the step journal of migration %d is damaged: %w", last.Version, err)
		}
		w.report = *left.Report
		return len(w.stmts), nil
	case last.State != stepStarted:
		return n, nil
	}
	switch {
	case was.state == noEffect:
		return n - 1, s.Tx(ctx, func(tx *sql.Tx) error {
			if err := w.capturer.Forget(ctx, tx, n); err != nil {
				return err
			}
			return m.catalog.forget(ctx, tx, last)
		})
	case abort:
		if err := w.warnOfAdded(ctx, n, was); err != nil {
			return 0, err
		}
		return n, w.theirs(ctx, n, was)
	case was.state == unclear:
		st := w.stmts[n-1]
		return 0, &RefusedError{Reasons: []Refusal{{
			File: w.mig.File, Line: st.Line, Column: st.Column,
			Message: "this statement may have run in part, and the server does not show how far it came: " + headline(st.SQL),
			Hint:    "take back what was done with: dbrollback recover --abort; it puts the captured rows back",
		}}}
	case was.state == inPart:
		return w.complete(ctx, last)
	case halfMade(was.changes):
		return n - 1, s.Tx(ctx, func(tx *sql.Tx) error { return w.removeHalfMade(ctx, tx, was.changes) })
	}
	if err := w.theirs(ctx, n, was); err != nil {
		return 0, err
	}
	return n, m.catalog.done(ctx, s, last)
}

// warnOfAdded names the rows that are new since a statement began of which only its author knows what it does, and which was cut off. They
// stay, as nobody can tell whether it has added them or somebody else has.
func (w *work) warnOfAdded(ctx context.Context, n int, was seen) error {
	if was.state != unclear || !w.stmts[n-1].Opaque() {
		return nil
	}
	rows, err := w.capturer.Standing(ctx, w.r.s, n)
	if err != nil {
		return err
	}
	for _, table := range slices.SortedFunc(maps.Keys(rows.More), func(a, b engine.Name) int { return strings.Compare(a.String(), b.String()) }) {
		w.r.warn(fmt.Sprintf("%s of %s came in since this statement began, and stay: nobody can tell whether it has added them, or somebody else; look at them: %s",
			plural(rows.More[table], "row"), table, headline(w.stmts[n-1].SQL)))
	}
	return nil
}

// theirs marks what others have written into what the statement that was cut off had captured.
func (w *work) theirs(ctx context.Context, n int, was seen) error {
	if was.state != tookEffect || n < 1 || n > len(w.stmts) {
		return nil
	}
	return w.r.s.Tx(ctx, func(tx *sql.Tx) error { return w.capturer.Theirs(ctx, tx, n, w.stmts[n-1].Statement) })
}

// undoing is the command that takes a run back.
func undoing(d Direction) string {
	if d == Up {
		return "rollback"
	}
	return "up"
}

// complete finishes a statement that removed some of its objects and not the others; one that removed what it was to make
// anew runs once more, with what was captured the first time.
func (w *work) complete(ctx context.Context, last operation) (int, error) {
	var left note
	if err := json.Unmarshal([]byte(last.Note), &left); err != nil {
		return 0, fmt.Errorf("the step journal of migration %d is damaged: %w", last.Version, err)
	}
	n, s := last.Statement, w.r.s
	if len(left.Made) > 0 {
		return n - 1, nil
	}
	now, err := left.reach().take(ctx, w.r.m.db, s)
	if err != nil {
		return 0, fmt.Errorf("fingerprint: %w", err)
	}
	for _, key := range left.Goes {
		o, there := now[key]
		if !there {
			continue
		}
		if err := s.Tx(ctx, func(tx *sql.Tx) error { return w.capturer.Forget(ctx, tx, n, o.Table) }); err != nil {
			return 0, err
		}
		if err := w.drop(ctx, w.capturer, s, n, o); err != nil {
			return 0, err
		}
	}
	return n, w.r.m.catalog.done(ctx, s, last)
}

// drop removes an object, with what is in it captured.
func (w *work) drop(ctx context.Context, c *snapshot.Capturer, q engine.Querier, n int, o verify.Object) error {
	st := effects.Statement{Effects: []effects.Effect{dropOf(o)}, ImplicitCommit: true}
	for _, stmt := range o.Drop {
		st.SQL = stmt
		err := c.Statement(ctx, q, n, st, func() error {
			if instead := c.Instead(); instead != "" {
				stmt = instead
			}
			if _, err := q.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("take back %s %s: %w", o.Kind, o.Name, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// goOn runs the statements that are left.
func (w *work) goOn(ctx context.Context, done int) error {
	w.capturer.Ahead(nil, w.watch) // seals follow the rows that go back, also when no statement is left to run
	if err := w.replay(ctx, done); err != nil {
		return err
	}
	if !w.back {
		if err := w.place(ctx, ground{s: w.r.s}, done); err != nil {
			return err
		}
	}
	return w.steps(ctx, done)
}

// replay repeats what the statements so far set in their session, which is gone.
func (w *work) replay(ctx context.Context, done int) error {
	for _, st := range w.stmts[:done] {
		lost := ""
		for _, e := range st.Effects {
			switch {
			case e.Temporary || e.Define != nil && e.Define.Temporary:
				lost = "a temporary table"
			case e.Kind == effects.Session && strings.Contains(strings.ToUpper(st.SQL), "SELECT"):
				lost = "a variable"
			}
		}
		if lost != "" && done < len(w.stmts) {
			return &RefusedError{Reasons: []Refusal{{
				File: w.mig.File, Line: st.Line, Column: st.Column,
				Message: fmt.Sprintf("the statements to come may need %s that this one made, and which is gone with the connection: %s", lost, headline(st.SQL)),
				Hint:    "take back what was done with: dbrollback recover --abort",
			}}}
		}
		if st.Changes() || locksTables(st) || !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session }) {
			continue
		}
		if err := w.sets(ctx, st); err != nil {
			return err
		}
		err := w.acting(ctx, w.r.s, st, &w.role, func() error {
			_, err := w.r.s.ExecContext(ctx, st.SQL)
			return err
		})
		if err != nil {
			return w.failed(st, err)
		}
	}
	return nil
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
	// A column that counts goes with its NOT NULL: its key, which is dropped after that, would refuse it without.
	is := map[string]bool{}
	for _, o := range out {
		is[o.Key()] = true
	}
	out = slices.DeleteFunc(out, func(o verify.Object) bool {
		return o.Kind == "not null" && is["identity "+o.Name] && is["column "+o.Name]
	})
	// What belongs to a table that goes anyway needs no statement of its own, but what keeps another table from going first.
	out = slices.DeleteFunc(out, func(o verify.Object) bool { return o.Kind != "table" && o.Kind != "foreign key" && gone[o.Table] })
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
