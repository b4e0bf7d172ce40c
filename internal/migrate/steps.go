package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// ground is what a migration stands on: one transaction for all of it, or a session on which a change of the schema
// commits by itself, so that rows are written in transactions of their own.
type ground struct {
	s  *engine.Session
	tx *sql.Tx // nil on a session
}

// schema is where definitions are changed.
func (g ground) schema() database.DBTxConn {
	if g.tx != nil {
		return g.tx
	}
	return g.s
}

// rows runs what writes rows: all of it, or nothing.
func (g ground) rows(ctx context.Context, f func(tx *sql.Tx) error) error {
	if g.tx != nil {
		return f(g.tx)
	}
	return g.s.Tx(ctx, f)
}

// whole runs f on one transaction where there can be one, else on the session.
func (w *work) whole(ctx context.Context, f func(g ground) error) error {
	if !w.r.m.db.Caps.TransactionalDDL {
		return f(ground{s: w.r.s})
	}
	return w.r.s.Tx(ctx, func(tx *sql.Tx) error { return f(ground{tx: tx}) })
}

// journalled runs a migration that cannot be one transaction.
func (w *work) journalled(ctx context.Context) error {
	if w.reach.bare != nil {
		return w.leanly(ctx)
	}
	err := w.r.s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.begin(ctx, tx); err != nil {
			return err
		}
		begun := opening{Sum: w.mig.Sum(), File: w.mig.File, Text: w.mig.Text, Before: w.before, Policy: w.r.policy, Online: w.r.batched, Stood: w.capturer.Stood()}
		if w.restorer != nil {
			if w.r.policy == snapshot.Fail { // what is known by now would be known at the end, when Down has run
				if _, err := w.restorer.Foresee(ctx, tx, w.r.policy); err != nil {
					return err
				}
			}
			var err error
			if begun.Memo, err = w.restorer.Memo(); err != nil {
				return err
			}
			w.memo = begun.Memo
		}
		w.begun = begun
		return w.journal(ctx, tx, 0, stepDone, begun)
	})
	if err != nil {
		return err
	}
	return w.steps(ctx, 0)
}

// steps runs the statements from the i-th on, and ends the migration.
func (w *work) steps(ctx context.Context, i int) error {
	for _, st := range w.stmts[:i] { // of a run that was cut off: the setting went with its session
		if !switchesKeys(st) {
			continue
		}
		if err := w.sets(ctx, st); err != nil {
			return err
		}
		if _, err := w.r.s.ExecContext(ctx, st.SQL); err != nil {
			return w.stopped(ctx, i, w.failed(st, err))
		}
	}
	for ; i < len(w.stmts); i++ {
		run := w.together
		apart, err := w.untaken(ctx, w.r.s, w.stmts[i])
		if err != nil {
			return w.stopped(ctx, i, err)
		}
		if apart || w.commits(w.stmts[i]) {
			run = w.alone
		}
		if err := run(ctx, i); err != nil {
			return w.stopped(ctx, i, err)
		}
	}
	w.ends = true
	if err := w.unset(ctx); err != nil {
		return err
	}
	return w.whole(ctx, func(g ground) error { return w.end(ctx, g) })
}

// commits tells whether a statement commits by itself: it cannot be in one transaction with its row in the journal. What is
// opaque (a procedure) may: it begins in one, and is looked at like the others after a crash.
func (w *work) commits(st Statement) bool {
	return st.Autocommit || switchesKeys(st) || st.ImplicitCommit && !st.Opaque() && !w.r.m.db.Caps.TransactionalDDL
}

// switchesKeys tells whether a statement switches SQLite's checks of foreign keys on or off, which means nothing inside a transaction. With them on
// the DROP TABLE of a rebuild deletes what refers to the table.
func switchesKeys(st Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		return e.Kind == effects.Session && e.Object.Kind == "setting" && e.Object.Name.Name == "foreign_keys"
	})
}

// untaken tells whether a statement writes rows of a table that takes nothing back.
func (w *work) untaken(ctx context.Context, q engine.Querier, st Statement) (bool, error) {
	if w.r.m.db.Caps.TransactionalDDL || w.reach.bare != nil { // that writes none
		return false, nil
	}
	for _, e := range st.Effects {
		if e.Table.Name == "" || !e.Changes() {
			continue
		}
		t, err := w.r.m.db.Look(ctx, q, engine.Name(e.Table))
		switch {
		case errors.Is(err, engine.ErrNoTable):
		case err != nil:
			return false, w.located(st, err)
		case t.Kind != "view" && !t.Transactional():
			w.r.warnOnce(fmt.Sprintf("%s is a table of %s, which is not crash-safe and takes nothing back: after a crash its rows may need a person", t.Name, t.Engine))
			return true, nil
		}
	}
	return false, nil
}

// sets notes what the session's settings are ahead of the first statement that changes one.
func (w *work) sets(ctx context.Context, st Statement) (err error) {
	if w.settings == nil && slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session }) {
		w.settings, err = w.r.s.Remember(ctx)
	}
	return err
}

// unset gives the session its settings back.
func (w *work) unset(ctx context.Context) error {
	if w.settings == nil {
		return nil
	}
	return w.settings(ctx)
}

// together runs a statement in one transaction with its captures and its row in the journal.
func (w *work) together(ctx context.Context, i int) error {
	st, s := w.stmts[i], w.r.s
	if left, err := w.leftOut(ctx, i); left || err != nil {
		return err
	}
	if err := w.sets(ctx, st); err != nil {
		return err
	}
	if st.ImplicitCommit && !w.r.m.db.Caps.TransactionalDDL { // it may commit half-way
		note, err := w.look(ctx, s, st)
		if err != nil {
			return err
		}
		if err := w.journal(ctx, s, i+1, stepStarted, note); err != nil {
			return err
		}
	}
	role, ran := w.role, false
	err := s.Steady(ctx, func(tx *sql.Tx) error {
		err := w.acting(ctx, tx, st, &role, func() error {
			return w.keepingLarge(ctx, tx, w.stmts[i:i+1], func() error { return w.statement(ctx, tx, i) })
		})
		if err != nil {
			return err
		}
		if w.r.m.db.Caps.TransactionalDDL {
			if err := w.capturer.SealSoFar(ctx, tx, w.watch(ctx, tx)); err != nil {
				return w.located(st, err)
			}
		}
		ran = true
		if w.restorer == nil {
			return w.journal(ctx, tx, i+1, stepDone, nil)
		}
		now, err := w.restorer.Memo() // how its rows look by now
		if err != nil {
			return err
		}
		w.memo = now
		return w.journal(ctx, tx, i+1, stepDone, note{Memo: now})
	})
	if err != nil {
		return w.committing(ran, i, err)
	}
	w.role = role
	return w.place(ctx, ground{s: s}, i+1)
}

// acting runs a statement as the role that those before it took on, and notes the one that it leaves: what comes between them is written as
// ourselves, for that role has no right to our tables, nor to goose's.
func (w *work) acting(ctx context.Context, q engine.Querier, st Statement, role *string, run func() error) error {
	db, was := w.r.m.db, *role
	if was != "" {
		if err := db.Act(ctx, q, was); err != nil {
			return w.located(st, err)
		}
	}
	if err := run(); err != nil {
		if was != "" { // a transaction that failed takes its role along, and refuses this
			_ = db.Ourselves(context.WithoutCancel(ctx), q)
		}
		return err
	}
	if !switches(st) && !st.Opaque() {
		if was == "" {
			return nil
		}
		return db.Ourselves(ctx, q)
	}
	left, err := db.Role(ctx, q)
	if err != nil {
		return err
	}
	if !setLocal.MatchString(st.SQL) { // which means nothing outside a transaction
		*role = left
	}
	return db.Ourselves(ctx, q)
}

var setLocal = regexp.MustCompile(`(?i)^\s*SET\s+LOCAL\b`)

// alone runs a statement that commits by itself. Its row says so before it runs and after; between the two the server
// knows whether it took effect.
func (w *work) alone(ctx context.Context, i int) error {
	st, m, s := w.stmts[i], w.r.m, w.r.s
	if left, err := w.leftOut(ctx, i); left || err != nil {
		return err
	}
	if w.reach.bare != nil {
		return w.aloneLeanly(ctx, i)
	}
	if err := w.serve(ctx, st); err != nil {
		return err
	}
	note, err := w.look(ctx, s, st)
	if err != nil {
		return err
	}
	if note.Swap, err = w.exchanging(ctx, i); err != nil {
		return w.located(st, err)
	}
	started, err := w.op(i+1, stepStarted, note)
	if err != nil {
		return err
	}
	run := func(text string) error {
		if err := m.catalog.write(ctx, s, started); err != nil {
			return err
		}
		err := w.acting(ctx, s, st, &w.role, func() error { return w.insist(ctx, text) })
		if err != nil {
			return w.failed(st, err)
		}
		return m.catalog.done(ctx, s, started)
	}
	if m.db.Caps.TransactionalDDL { // what commits by itself there destroys no rows
		w.announce(i)
		w.noteExternal(st)
		return run(st.SQL)
	}
	g := ground{s: s}
	w.capturer.Sealed(func(ctx context.Context, q engine.Querier) error { return w.keepMemo(ctx, q, i+1) })
	if err := w.captured(ctx, g, i, run); err != nil {
		if fits, ferr := w.fitted(ctx, i, err); !fits {
			return errors.Join(err, ferr)
		}
		if err := w.captured(ctx, g, i, run); err != nil {
			return err
		}
	}
	return w.place(ctx, g, i+1)
}

// keepMemo keeps what the restorer knows behind a statement that commits by itself, while its lock still holds. It is one statement, so that the
// row is there or not.
func (w *work) keepMemo(ctx context.Context, q engine.Querier, i int) error {
	memo, err := w.restorer.Memo()
	if err != nil || memo == w.memo {
		return err
	}
	op, err := w.op(i, stepDone, note{Memo: memo})
	if err != nil {
		return err
	}
	w.memo = memo
	return w.r.m.catalog.rewrite(ctx, q, op)
}

// insist runs a statement that commits by itself. MariaDB sometimes refuses one that changes partitions at once, because
// its own tidying up is at the table: nobody else holds a lock then, and a moment later it goes well.
func (w *work) insist(ctx context.Context, text string) error {
	for try := 1; ; try++ {
		begun := time.Now()
		_, err := w.r.s.ExecContext(ctx, text)
		if e, ok := engine.AsError(err); err == nil || !ok || e.Class != engine.LockTimeout || try == 5 || time.Since(begun) > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// leftOut tells whether a statement is one that the run does itself: it holds the locks that it needs, and those of the
// migration would keep it from its own tables. Or nothing is left for it to do.
func (w *work) leftOut(ctx context.Context, i int) (bool, error) {
	st := w.stmts[i]
	if w.r.m.db.Caps.TransactionalDDL {
		if !w.moot(i) {
			return false, nil
		}
		return true, w.r.s.Tx(ctx, func(tx *sql.Tx) error { return w.journal(ctx, tx, i+1, stepDone, nil) })
	}
	if !locksTables(st) {
		return false, nil
	}
	w.r.warn(fmt.Sprintf("%s:%d:%d: left out, because the run locks what it needs itself: %s", w.mig.File, st.Line, st.Column, headline(st.SQL)))
	return true, w.r.s.Tx(ctx, func(tx *sql.Tx) error { return w.journal(ctx, tx, i+1, stepDone, nil) })
}

func locksTables(st Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		d := strings.ToUpper(e.Detail)
		return e.Kind == effects.Session && (strings.HasPrefix(d, "LOCK TABLE") || strings.HasPrefix(d, "UNLOCK TABLE"))
	})
}

// stopped tidies up after a statement that failed: one that had no effect leaves no trace in the journal, and when
// none had, neither does the migration. Else the run stays open for recover.
func (w *work) stopped(ctx context.Context, i int, cause error) error {
	if e, ok := engine.AsError(cause); ok && e.Class == engine.ConnectionLost {
		return cause // nobody to ask; recover will
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := w.tidy(ctx, i, Rejected(cause)); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

func (w *work) tidy(ctx context.Context, i int, rejected bool) error {
	m, s := w.r.m, w.r.s
	c, err := m.cutOffOf(ctx, s, w.r.res.Run, w.mig.Version)
	if err != nil || c == nil {
		return err
	}
	if c.last.Statement == i+1 {
		if c.last.State != stepStarted {
			return nil
		}
		seen, err := m.look(ctx, s, c.last)
		if err != nil || seen.state != noEffect {
			return err
		}
	}
	first := !slices.ContainsFunc(w.stmts[:i], func(st Statement) bool { return st.Changes() }) && (w.restorer == nil || !w.restorer.Began())
	if first {
		if err := w.unserve(ctx); err != nil {
			return err
		}
	}
	return s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.capturer.Forget(ctx, tx, i+1); err != nil {
			return err
		}
		if first {
			return m.catalog.clear(ctx, tx, w.r.res.Run, w.mig.Version)
		}
		if rejected {
			c.begun.Rejected = i + 1
			note, err := json.Marshal(c.begun)
			if err != nil {
				return err
			}
			c.opening.Note = string(note)
			if err := m.catalog.rewrite(ctx, tx, c.opening); err != nil {
				return err
			}
		}
		return m.catalog.forget(ctx, tx, c.last.at(i+1))
	})
}

// at is another step of the same migration.
func (op operation) at(statement int) operation {
	op.Statement = statement
	return op
}

// atomic says whether the migration is one transaction.
func (w *work) atomic() bool { return w.mig.Transactional && w.r.m.db.Caps.TransactionalDDL }

// parsed are the statements from the i-th on. They are asked for at each statement, and a migration may have thousands: they are
// one slice, which nobody writes to.
func (w *work) parsed(i int) []effects.Statement {
	if w.bare == nil {
		w.bare = parsed(w.stmts)
	}
	return slices.Clip(w.bare[i:])
}

func parsed(stmts []Statement) []effects.Statement {
	out := make([]effects.Statement, 0, len(stmts))
	for _, st := range stmts {
		out = append(out, st.Statement)
	}
	return out
}
