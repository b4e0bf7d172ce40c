package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Where a migration cannot be one transaction, each of its statements leaves a row in dbrollback_operations:
// statement 0 when the migration begins, with what recover needs to undo all of it; then one per statement,
// `done` in the statement's own transaction, or, for a statement that runs outside of any, `started` before it and
// `done` after it. The rows go in the transaction that writes the version row: rows that are there belong to a run
// that was cut off.

// opening is what the row of statement 0 keeps.
type opening struct {
	Sum    string             `json:"sum"` // of the migration's text
	Before verify.Fingerprint `json:"before"`
}

// operation is a row of dbrollback_operations.
type operation struct {
	Run        string
	Version    int64
	Direction  Direction
	Statement  int // 0: the migration began
	Statements int
	State      string // "started" | "done"
	Snapshot   string
	Before     string // JSON
	At         time.Time
}

func (c catalog) write(ctx context.Context, q engine.Querier, op operation) error {
	if _, err := q.ExecContext(ctx, c.sql(`DELETE FROM {operations} WHERE run = ? AND version = ? AND statement = ?`), op.Run, op.Version, op.Statement); err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	if _, err := q.ExecContext(ctx, c.sql(`INSERT INTO {operations} (run, version, direction, statement, statements, state, snapshot, fingerprint, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		op.Run, op.Version, string(op.Direction), op.Statement, op.Statements, op.State, op.Snapshot, op.Before, stampOf(time.Now())); err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	return nil
}

func (c catalog) clear(ctx context.Context, q engine.Querier, run string, version int64) error {
	if _, err := q.ExecContext(ctx, c.sql(`DELETE FROM {operations} WHERE run = ? AND version = ?`), run, version); err != nil {
		return fmt.Errorf("clear the step journal: %w", err)
	}
	return nil
}

// operations lists the journal, oldest migration first, its steps in order.
func (c catalog) operations(ctx context.Context, q engine.Querier) ([]operation, error) {
	rows, err := q.QueryContext(ctx, c.sql(`SELECT run, version, direction, statement, statements, state, snapshot, fingerprint, at FROM {operations} ORDER BY run, version, statement`))
	if err != nil {
		return nil, fmt.Errorf("read the step journal: %w", err)
	}
	defer rows.Close()
	var out []operation
	for rows.Next() {
		var op operation
		var at string
		var before sql.NullString
		if err := rows.Scan(&op.Run, &op.Version, &op.Direction, &op.Statement, &op.Statements, &op.State, &op.Snapshot, &before, &at); err != nil {
			return nil, err
		}
		op.Before = before.String
		if op.At, err = parseStamp(at); err != nil {
			return nil, err
		}
		out = append(out, op)
	}
	return out, rows.Err()
}

// cutOff is an unfinished migration: its opening row and the last step that the journal knows.
type cutOff struct {
	opening, last operation
}

func (m *Migrator) cutOffs(ctx context.Context, q engine.Querier) ([]cutOff, error) {
	ops, err := m.catalog.operations(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []cutOff
	for _, op := range ops {
		if op.Statement == 0 {
			out = append(out, cutOff{opening: op, last: op})
		} else if n := len(out); n > 0 {
			out[n-1].last = op
		}
	}
	return out, nil
}

// unfinished lists the runs that were cut off, with what the server shows of their last statement.
func (m *Migrator) unfinished(ctx context.Context, q engine.Querier) ([]Unfinished, error) {
	list, err := m.cutOffs(ctx, q)
	if err != nil {
		return nil, err
	}
	out := []Unfinished{}
	for _, c := range list {
		u := Unfinished{Run: c.opening.Run, Version: c.opening.Version, Direction: c.opening.Direction, Statement: c.last.Statement, Of: c.opening.Statements, Since: c.opening.At, State: tookEffect}
		if c.last.State == "done" {
			u.Statement = min(c.last.Statement+1, u.Of)
			u.State = noEffect
			if c.last.Statement == u.Of {
				u.State = tookEffect
			}
		} else {
			_, took, err := m.settle(ctx, q, c.last)
			if err != nil {
				return nil, err
			}
			if !took {
				u.State = noEffect
			}
		}
		out = append(out, u)
	}
	return out, nil
}

// What the server shows of a statement.
const (
	tookEffect = "took effect"
	noEffect   = "did not take effect"
)

// started keeps the fingerprint of what a statement outside of any transaction can change, and its reach.
type started struct {
	All    bool               `json:"all"`
	Names  []engine.Name      `json:"names"`
	Before verify.Fingerprint `json:"before"`
}

// settle looks at the server: did a statement that was started take effect? The changes are those it made.
func (m *Migrator) settle(ctx context.Context, q engine.Querier, op operation) (changes, bool, error) {
	var s started
	if err := json.Unmarshal([]byte(op.Before), &s); err != nil {
		return nil, false, fmt.Errorf("the step journal of migration %d is damaged: %w", op.Version, err)
	}
	now, err := reach{all: s.All, names: s.Names}.take(ctx, m.db, q)
	if err != nil {
		return nil, false, fmt.Errorf("fingerprint: %w", err)
	}
	ch := changed(s.Before, now)
	return ch, len(ch) > 0, nil
}

// op is the journal row of a step.
func (w *work) op(statement int, state, before string) operation {
	return operation{Run: w.r.res.Run, Version: w.mig.Version, Direction: w.r.dir, Statement: statement, Statements: len(w.stmts), State: state, Snapshot: w.capturer.Snapshot(), Before: before}
}

// journalled runs a migration that cannot be one transaction.
func (w *work) journalled(ctx context.Context) error {
	err := w.r.s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.begin(ctx, tx); err != nil {
			return err
		}
		b, err := json.Marshal(opening{Sum: w.mig.Sum(), Before: w.before})
		if err != nil {
			return err
		}
		return w.r.m.catalog.write(ctx, tx, w.op(0, "done", string(b)))
	})
	if err != nil {
		return err
	}
	return w.steps(ctx, 0)
}

// steps runs the statements from the i-th on, and ends the migration.
func (w *work) steps(ctx context.Context, i int) error {
	m := w.r.m
	for ; i < len(w.stmts); i++ {
		var err error
		if w.stmts[i].Autocommit {
			err = w.alone(ctx, i)
		} else {
			err = w.r.s.Tx(ctx, func(tx *sql.Tx) error {
				if err := w.statement(ctx, tx, i); err != nil {
					return err
				}
				return m.catalog.write(ctx, tx, w.op(i+1, "done", ""))
			})
		}
		if err != nil {
			return w.stopped(ctx, i, err)
		}
	}
	return w.r.s.Tx(ctx, func(tx *sql.Tx) error {
		if err := w.end(ctx, tx); err != nil {
			return err
		}
		return m.catalog.clear(ctx, tx, w.r.res.Run, w.mig.Version)
	})
}

// stopped clears the journal when nothing of the migration took effect; else the run stays open for recover.
func (w *work) stopped(ctx context.Context, i int, cause error) error {
	if i > 0 {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := w.r.s.Tx(ctx, func(tx *sql.Tx) error {
		list, err := w.r.m.cutOffs(ctx, tx)
		if err != nil {
			return err
		}
		for _, c := range list {
			if c.opening.Run != w.r.res.Run || c.opening.Version != w.mig.Version {
				continue
			}
			if c.last.State == "started" {
				if _, took, err := w.r.m.settle(ctx, tx, c.last); err != nil || took {
					return err
				}
			} else if c.last.Statement > 0 {
				return nil
			}
			return w.r.m.catalog.clear(ctx, tx, w.r.res.Run, w.mig.Version)
		}
		return nil
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// alone runs a statement that the engine refuses inside a transaction.
func (w *work) alone(ctx context.Context, i int) error {
	st, m, s := w.stmts[i], w.r.m, w.r.s
	m.o.Events(Event{Kind: StatementStart, Version: w.mig.Version, File: w.mig.File, Direction: w.r.dir, Statement: i + 1, Of: len(w.stmts), Text: headline(st.SQL)})
	w.noteExternal(st)
	err := s.Tx(ctx, func(tx *sql.Tx) error {
		r := reachOf([]Statement{st})
		before, err := r.take(ctx, m.db, tx)
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		b, err := json.Marshal(started{All: r.all, Names: r.names, Before: before})
		if err != nil {
			return err
		}
		return m.catalog.write(ctx, tx, w.op(i+1, "started", string(b)))
	})
	if err != nil {
		return err
	}
	if _, err := s.ExecContext(ctx, st.SQL); err != nil {
		return w.failed(st, err)
	}
	return s.Tx(ctx, func(tx *sql.Tx) error { return m.catalog.write(ctx, tx, w.op(i+1, "done", "")) })
}
