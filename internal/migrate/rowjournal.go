package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
)

// Journalling is the direction of what changes the journals of tables.
const Journalling Direction = "journal"

// EnableJournal begins to record what is written to tables.
func (m *Migrator) EnableJournal(ctx context.Context, tables []engine.Name, o journal.Options) ([]journal.Status, error) {
	prepare := func(q engine.Querier) error { return m.changes.Prepare(ctx, q, tables, o) }
	return m.journals(ctx, "enable", tables, prepare, func(q engine.Querier) error { return m.changes.Enable(ctx, q, tables, o, m.o.User) })
}

// DisableJournal ends that, and drops what was recorded.
func (m *Migrator) DisableJournal(ctx context.Context, tables []engine.Name) ([]journal.Status, error) {
	// What an enable that was cut off left goes as well, whatever the tables are.
	settle := func(q engine.Querier) error { return m.changes.Settle(ctx, q) }
	return m.journals(ctx, "disable", tables, settle, func(q engine.Querier) error { return m.changes.Disable(ctx, q, tables) })
}

// journals changes journals: before runs outside of the transaction that f is in, where there is one.
func (m *Migrator) journals(ctx context.Context, what string, tables []engine.Name, before, f func(q engine.Querier) error) ([]journal.Status, error) {
	r, err := m.newRun(Journalling)
	if err != nil {
		return nil, err
	}
	var out []journal.Status
	err = m.locked(ctx, func(s *engine.Session) error {
		if _, err := r.enter(ctx, s); err != nil {
			return err
		}
		if err := before(s); err != nil {
			return errors.Join(err, m.settle(ctx, s))
		}
		var names []string
		for _, n := range tables {
			names = append(names, n.String())
		}
		note := func(tx *sql.Tx) error {
			return m.log.Append(ctx, tx, audit.Entry{Run: r.res.Run, At: time.Now().UTC(), User: m.o.User, Action: action(r.dir) + " " + what, From: r.at, To: r.at,
				Outcome: audit.Done, DurationSeconds: time.Since(r.started).Seconds(), Detail: map[string]string{"tables": strings.Join(names, ", ")}})
		}
		if m.db.Caps.TransactionalDDL {
			err = s.Tx(ctx, func(tx *sql.Tx) error {
				if err := f(tx); err != nil {
					return err
				}
				return note(tx)
			})
		} else if err = f(s); err == nil {
			err = s.Tx(ctx, note)
		}
		if err = errors.Join(err, m.settle(ctx, s)); err != nil {
			return err
		}
		out, err = m.changes.Status(ctx, s)
		return err
	})
	return out, err
}

// settle takes away what nothing is journalled by, also when the caller gave up.
func (m *Migrator) settle(ctx context.Context, s *engine.Session) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return m.changes.Settle(ctx, s)
}

// RunJournal reads the log of the server into the journals that have it as their source.
func (m *Migrator) RunJournal(ctx context.Context, o journal.RunOptions) (journal.ReadSoFar, error) {
	return m.changes.Run(ctx, o)
}

// JournalStatus lists the journals.
func (m *Migrator) JournalStatus(ctx context.Context) ([]journal.Status, error) {
	return m.changes.Status(ctx, m.db)
}

// JournalLeft names a replication slot that an enable or a disable that was cut off left behind; "" when there is none.
func (m *Migrator) JournalLeft(ctx context.Context) (string, error) {
	return m.changes.Left(ctx, m.db)
}

// PruneJournal removes what is older than the journals are to go back, and says how many records that were.
func (m *Migrator) PruneJournal(ctx context.Context) (int64, error) {
	var n int64
	err := m.locked(ctx, func(s *engine.Session) (err error) {
		n, err = m.changes.Prune(ctx, s)
		return errors.Join(err, m.settle(ctx, s))
	})
	return n, err
}

// JournalHistory tells what was written to one row, the newest first.
func (m *Migrator) JournalHistory(ctx context.Context, table engine.Name, key []string, limit int) (*journal.History, error) {
	h, err := m.changes.History(ctx, m.db, table, key, limit)
	if err != nil {
		return nil, fmt.Errorf("read the history of a row: %w", err)
	}
	return h, nil
}

// journals tells whether there are any; asked once a run.
func (r *runner) journals(ctx context.Context) (bool, error) {
	if r.recorded == nil {
		is, err := r.m.changes.Exists(ctx, r.s)
		if err != nil {
			return false, err
		}
		r.recorded = &is
	}
	return *r.recorded, nil
}

// rewrites are the effects that change what is in a table, or its name, without a trigger that sees it.
var rewrites = []effects.Kind{effects.DropTable, effects.RenameTable, effects.SetSchema, effects.DropColumn, effects.RenameColumn, effects.AlterColumnType, effects.DropExpression,
	effects.AttachPartition, effects.DetachPartition, effects.DropPartition, effects.DropSchema}

// writesRows are the effects that triggers see.
var writesRows = []effects.Kind{effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge, effects.Read, effects.Session, effects.External}

// follow prepares the journals for a statement, or (nil) for what the run itself does to the schema; the function that it gives
// takes them over it.
func (w *work) follow(ctx context.Context, g ground, st *Statement) (func(context.Context) error, error) {
	nothing := func(context.Context) error { return nil }
	journals, err := w.r.journals(ctx)
	caps := w.r.m.db.Caps
	if err != nil || !journals || g.tx != nil && !caps.TransactionalDDL { // the end looks, outside of the transaction
		return nothing, err
	}
	sees := func(e effects.Effect) bool { // TRUNCATE has a trigger where it is part of a transaction
		return slices.Contains(writesRows, e.Kind) || e.Kind == effects.Truncate && caps.TransactionalDDL
	}
	if st != nil && !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return !sees(e) }) {
		return nothing, nil
	}
	named := func(n engine.Name, e effects.Effect) bool {
		is := func(x effects.Name) bool {
			return strings.EqualFold(x.Name, n.Name) && (x.Schema == "" || n.Schema == "" || strings.EqualFold(x.Schema, n.Schema))
		}
		return is(e.Table) || is(e.NewName) || e.Kind == effects.DropSchema
	}
	following := journal.Step{By: fmt.Sprintf("migration %d", w.mig.Version),
		Known:  caps.TransactionalDDL || st != nil && !st.Opaque(),
		Alters: func(engine.Name) bool { return true },
		Rewrites: func(n engine.Name) bool {
			return st != nil && slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
				return named(n, e) && (slices.Contains(rewrites, e.Kind) || e.Kind == effects.Truncate && !caps.TransactionalDDL)
			})
		}}
	var f *journal.Following
	err = g.rows(ctx, func(tx *sql.Tx) (err error) {
		f, err = w.r.m.changes.Ahead(ctx, tx, following)
		return err
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return g.rows(ctx, func(tx *sql.Tx) error {
			notes, err := f.Done(ctx, tx)
			for _, n := range notes {
				w.r.warnOnce(n)
			}
			return err
		})
	}, nil
}
