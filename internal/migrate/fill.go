package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// A rollback --online is through with a migration before the values of its dropped columns are back: they follow in batches. The transaction that records the
// migration leaves a row in the step journal, statement 0 in the state filling, with how far each capture is; each batch brings it up to date in its own
// transaction, and the last one clears it. So whatever happens, the row says what is left, nothing else runs before, and recover goes on.

// stepFilling is the state of statement 0 when the migration is through and values are still to go back.
const stepFilling = "filling"

// ErrFilling says that values of a rollback --online are still to be put back.
var ErrFilling = fmt.Errorf("%w: values of a rollback --online are still to be put back", ErrUnfinished)

// waits lets values wait that nothing needs before Down is through.
func (w *work) waits() {
	if w.restorer != nil && w.r.dir == Down && w.r.batched {
		w.restorer.Online(w.r.m.waits(w.mig, w.undo))
	}
}

func (m *Migrator) waits(mig *Migration, undo changes) snapshot.Waits {
	was, down := undo.side(false), parsed(mig.statements(Down))
	apart := m.db.Caps.TransactionalDDL && !mig.Transactional
	return snapshot.Waits{From: m.o.OnlineFrom, Apart: apart, Down: down, Tied: func(t engine.Name, column string) string { return tied(was, down, t, column) }}
}

// tied names an object that comes back and needs the values of a column, or may.
func tied(was verify.Fingerprint, down []effects.Statement, t engine.Name, column string) string {
	name := t.String() + "." + column
	for _, key := range slices.Sorted(maps.Keys(was)) {
		o := was[key]
		switch {
		case o.Kind == "not null" && o.Name == name:
			filled := slices.ContainsFunc(down, func(st effects.Statement) bool {
				return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
					return e.Kind == effects.AddColumn && e.Table.Name == t.Name && slices.Contains(e.Columns, column) && e.Column != nil && e.Column.HasDefault
				})
			})
			if !filled {
				return "the column takes no NULL, and Down gives it no default"
			}
		case o.Kind == "table", o.Kind == "column", o.Kind == "default", o.Kind == "not null", o.Kind == "comment":
		case o.Table == t && strings.Contains(strings.ToLower(o.Definition), strings.ToLower(column)),
			slices.Contains(o.Needs, verify.Object{Kind: "column", Name: name}.Key()):
			return fmt.Sprintf("%s %s comes back with it", o.Kind, o.Name)
		}
	}
	return ""
}

// filling is the row of the step journal that says what is left.
func (w *work) filling(ctx context.Context, tx *sql.Tx) error {
	if len(w.report.Later) == 0 {
		return nil
	}
	return w.journal(ctx, tx, 0, stepFilling, opening{Sum: w.mig.Sum(), File: w.mig.File, Text: w.mig.Text, Policy: w.r.policy, Filling: w.report.Later, Back: snapshot.NewID()})
}

// fill puts back what is left of a migration's values.
func (r *runner) fill(ctx context.Context, version int64) error {
	c, err := r.m.cutOffOf(ctx, r.s, r.res.Run, version)
	if err != nil || c == nil || c.opening.State != stepFilling {
		return err
	}
	b := &backfill{r: r, op: c.opening, note: c.begun, began: time.Now()}
	for i := range b.note.Filling {
		if err := b.table(ctx, i); err != nil {
			return b.explain(b.note.Filling[i], err)
		}
	}
	return b.end(ctx)
}

// backfill is one on its way.
type backfill struct {
	r     *runner
	op    operation
	note  opening
	began time.Time
}

// table puts back what is left of one capture.
func (b *backfill) table(ctx context.Context, i int) error {
	r, m, size := b.r, b.r.m, b.r.m.o.Batch
	if size <= 0 {
		size = batchSize
	}
	meta := r.meta(snapshot.Restored, "")
	meta.Snapshot = b.note.Back
	for done := false; !done; {
		began, note := time.Now(), b.note
		err := r.patient(ctx, func() error {
			return r.s.Tx(ctx, func(tx *sql.Tx) (err error) {
				c := m.store.Begin(meta)
				note.Filling = slices.Clone(b.note.Filling)
				if note.Filling[i], done, err = m.store.Backfill(ctx, tx, b.note.Filling[i], note.Policy, size, c); err != nil || done {
					return err
				}
				if err := c.Seal(ctx, tx, nil); err != nil {
					return err
				}
				return b.keep(ctx, tx, note)
			})
		})
		if err != nil {
			return err
		}
		if done {
			break
		}
		b.note = note
		l := note.Filling[i]
		m.o.Events(Event{Kind: Backfilling, Version: b.op.Version, File: b.note.File, Table: l.Table.String(), Rows: l.Done, Estimate: l.Rows})
		if err := r.breathe(ctx, time.Since(began)); err != nil {
			return err
		}
	}
	return nil
}

// told adds the migration to the result of a recover, which did no more of it, and says whether it is proven.
func (b *backfill) told(verified bool) {
	res := b.r.res
	i := slices.IndexFunc(res.Migrations, func(m MigrationResult) bool { return m.Version == b.op.Version })
	if i < 0 {
		i = len(res.Migrations)
		res.Migrations = append(res.Migrations, MigrationResult{Version: b.op.Version, File: b.note.File, Seconds: time.Since(b.began).Seconds()})
	}
	res.Migrations[i].Verified = verified
}

// keep brings the journal up to date.
func (b *backfill) keep(ctx context.Context, tx *sql.Tx, note opening) error {
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	op := b.op
	op.Note = string(text)
	return b.r.m.catalog.rewrite(ctx, tx, op)
}

// end proves that nothing is left, and records it.
func (b *backfill) end(ctx context.Context) error {
	r, m := b.r, b.r.m
	var rep snapshot.Report
	err := r.s.Tx(ctx, func(tx *sql.Tx) error {
		rep = snapshot.Report{Verified: true}
		for _, l := range b.note.Filling {
			t, conflicts, err := m.store.Filled(ctx, tx, l)
			if err != nil {
				return err
			}
			rep.Tables, rep.Conflicts = append(rep.Tables, t), append(rep.Conflicts, conflicts...)
		}
		if err := m.catalog.clear(ctx, tx, b.op.Run, b.op.Version); err != nil {
			return err
		}
		return m.log.Append(ctx, tx, b.entry(rep, audit.Done))
	})
	if err != nil {
		return err
	}
	for _, t := range rep.Tables {
		m.o.Events(Event{Kind: RestoreDone, Version: b.op.Version, File: b.note.File, Table: t.Table, Rows: t.Updated})
	}
	b.told(true)
	r.merge(rep)
	for _, l := range b.note.Filling {
		if l.Over > 0 {
			r.warn("what the application had written meanwhile is in snapshot " + b.note.Back)
			break
		}
	}
	return nil
}

// giveUp ends a backfill where it is.
func (b *backfill) giveUp(ctx context.Context) error {
	r, m := b.r, b.r.m
	err := r.s.Tx(ctx, func(tx *sql.Tx) error {
		for _, l := range b.note.Filling {
			if err := m.store.GiveUp(ctx, tx, l); err != nil {
				return err
			}
		}
		if err := m.catalog.clear(ctx, tx, b.op.Run, b.op.Version); err != nil {
			return err
		}
		return m.log.Append(ctx, tx, b.entry(snapshot.Report{}, audit.Failed))
	})
	if err != nil {
		return err
	}
	b.told(false)
	r.res.Verified = false
	for _, l := range b.note.Filling {
		r.warn(fmt.Sprintf("%s: left after %d of %d captured rows; the values are in capture %s, and dbrollback restore --migration %d brings them", l, l.Done, l.Rows, l.Capture, b.op.Version))
	}
	return nil
}

func (b *backfill) entry(rep snapshot.Report, outcome string) audit.Entry {
	r := b.r
	e := audit.Entry{Run: b.op.Run, At: time.Now().UTC(), User: r.m.o.User, Action: action(Down), From: r.at, To: r.at, Versions: []int64{b.op.Version}, Outcome: outcome,
		DurationSeconds: time.Since(b.began).Seconds(), Detail: map[string]string{}}
	for _, t := range rep.Tables {
		e.Tables = append(e.Tables, audit.Change{Table: t.Table, Updated: t.Updated, Conflicts: t.Conflicts})
	}
	for _, l := range b.note.Filling {
		e.Detail[l.String()] = fmt.Sprintf("%d of %d rows in %d batches", l.Done, l.Rows, l.Batches)
	}
	return e
}

// explain says what to do when the place of values is gone.
func (b *backfill) explain(l snapshot.Later, err error) error {
	var place *snapshot.PlaceError
	if !errors.As(err, &place) {
		return err
	}
	return &RefusedError{Reasons: []Refusal{{File: b.note.File, Line: 1, Column: 1,
		Message: fmt.Sprintf("%v: %s was there when the rollback was done", err, l),
		Hint:    "make it again and run dbrollback recover, or leave the values in the snapshot with dbrollback recover --abort"}}}
}

// Left says in words what is left of a rollback --online.
func (u Unfinished) Left() string {
	var out []string
	for _, l := range u.Filling {
		out = append(out, fmt.Sprintf("%s: %d of %d rows done", l, l.Done, l.Rows))
	}
	return strings.Join(out, "; ")
}
