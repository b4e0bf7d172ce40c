package migrate

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Where a migration cannot be one transaction, each of its statements leaves a row in dbrollback_operations: statement 0
// when the migration begins, with what recover needs to undo all of it; then one per statement: `done` in the
// statement's own transaction, or, for a statement that commits by itself, `started` before it and `done` after it.
// One more row tells how the end is doing: rows going back, rows back. They all go in the transaction that writes the
// version row: rows that are there belong to a run that was cut off.

// The states of a step.
const (
	stepStarted = "started"
	stepDone    = "done"
	// stepAborting is the state of statement 0 from when recover --abort begins: what it has taken back cannot be resumed.
	stepAborting = "aborting"
)

// opening is what the row of statement 0 keeps.
type opening struct {
	Sum    string             `json:"sum"` // of the migration's text
	File   string             `json:"file,omitempty"`
	Text   string             `json:"text,omitempty"`
	Before verify.Fingerprint `json:"before"`
	Bare   bool               `json:"bare,omitempty"` // of its reach
	Memo   string             `json:"memo,omitempty"` // of the restorer, after its Check
	Back   string             `json:"back,omitempty"` // id of the captures that recover --abort makes
	// Policy is who wins a conflict: recover goes on as the run began. It is fail only until the run began.
	Policy snapshot.Policy `json:"on_conflict,omitempty"`
	// Where generators of numbers stood that the migration may drop or set back.
	Stood []snapshot.Sequence `json:"stood,omitempty"`
	// Filling are values that are still to go back: see fill.go.
	Filling []snapshot.Later `json:"filling,omitempty"`
	Online  bool             `json:"online,omitempty"` // values may wait
	// How many renames recover --abort has taken back.
	Unnamed int `json:"unnamed,omitempty"`
	// Rejected is the statement that the server rejected when the run stopped; 0 when it was cut off, or stopped by something else.
	Rejected int `json:"rejected,omitempty"`
	// Cleared are the tables of which those that the statements had made in their place are gone.
	Cleared []engine.Name `json:"cleared,omitempty"`
	// What its restorer knew before the first of them.
	Checked string `json:"checked,omitempty"`
}

// operation is a row of dbrollback_operations.
type operation struct {
	Run        string
	Version    int64
	Direction  Direction
	Statement  int // 0: the migration began; one more than Statements: it ends
	Statements int
	State      string
	Snapshot   string
	Note       string // JSON: an opening, a step
	At         time.Time
}

func (c catalog) write(ctx context.Context, q engine.Querier, op operation) error {
	if _, err := q.ExecContext(ctx, c.sql(`DELETE FROM {operations} WHERE run = ? AND version = ? AND statement = ?`), op.Run, op.Version, op.Statement); err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	if _, err := q.ExecContext(ctx, c.sql(`INSERT INTO {operations} (run, version, direction, statement, statements, state, snapshot, fingerprint, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		op.Run, op.Version, string(op.Direction), op.Statement, op.Statements, op.State, op.Snapshot, op.Note, stampOf(time.Now())); err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	return nil
}

// add writes rows that are not there yet, in one statement: all of them are there then, or none.
func (c catalog) add(ctx context.Context, q engine.Querier, ops ...operation) error {
	var args []any
	for _, op := range ops {
		args = append(args, op.Run, op.Version, string(op.Direction), op.Statement, op.Statements, op.State, op.Snapshot, op.Note, stampOf(time.Now()))
	}
	const row = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
	if _, err := q.ExecContext(ctx, c.sql(`INSERT INTO {operations} (run, version, direction, statement, statements, state, snapshot, fingerprint, at) VALUES `+
		row+strings.Repeat(", "+row, len(ops)-1)), args...); err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	return nil
}

// done marks a step that was started. It is one statement, so that it is there or not.
func (c catalog) done(ctx context.Context, q engine.Querier, op operation) error {
	_, err := q.ExecContext(ctx, c.sql(`UPDATE {operations} SET state = ? WHERE run = ? AND version = ? AND statement = ?`), stepDone, op.Run, op.Version, op.Statement)
	if err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	return nil
}

// rewrite changes state and note of a row.
func (c catalog) rewrite(ctx context.Context, q engine.Querier, op operation) error {
	_, err := q.ExecContext(ctx, c.sql(`UPDATE {operations} SET state = ?, fingerprint = ? WHERE run = ? AND version = ? AND statement = ?`),
		op.State, op.Note, op.Run, op.Version, op.Statement)
	if err != nil {
		return fmt.Errorf("write the step journal: %w", err)
	}
	return nil
}

// forget takes a step out that turned out not to have run.
func (c catalog) forget(ctx context.Context, q engine.Querier, op operation) error {
	_, err := q.ExecContext(ctx, c.sql(`DELETE FROM {operations} WHERE run = ? AND version = ? AND statement = ?`), op.Run, op.Version, op.Statement)
	if err != nil {
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
		var note sql.NullString
		if err := rows.Scan(&op.Run, &op.Version, &op.Direction, &op.Statement, &op.Statements, &op.State, &op.Snapshot, &note, &at); err != nil {
			return nil, err
		}
		op.Note = note.String
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
	begun         opening
	memo          string // of the restorer, the latest
}

func (m *Migrator) cutOffs(ctx context.Context, q engine.Querier) ([]cutOff, error) {
	ops, err := m.catalog.operations(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []cutOff
	for _, op := range ops {
		if op.Statement == 0 {
			c := cutOff{opening: op, last: op}
			if err := json.Unmarshal([]byte(op.Note), &c.begun); err != nil {
				return nil, fmt.Errorf("the step journal of migration %d is damaged: %w", op.Version, err)
			}
			c.memo = c.begun.Memo
			out = append(out, c)
		} else if n := len(out); n > 0 {
			out[n-1].last = op
			var left note
			if op.Note != "" {
				if err := json.Unmarshal([]byte(op.Note), &left); err != nil {
					return nil, fmt.Errorf("the step journal of migration %d is damaged: %w", op.Version, err)
				}
			}
			if left.Memo != "" {
				out[n-1].memo = left.Memo
			}
		}
	}
	return out, nil
}

// cutOffOf finds the journal of one migration of a run; nil when there is none.
func (m *Migrator) cutOffOf(ctx context.Context, q engine.Querier, run string, version int64) (*cutOff, error) {
	list, err := m.cutOffs(ctx, q)
	if err != nil {
		return nil, err
	}
	for i, c := range list {
		if c.opening.Run == run && c.opening.Version == version {
			return &list[i], nil
		}
	}
	return nil, nil
}

// unfinished lists the runs that were cut off, with what the server shows of their last statement.
func (m *Migrator) unfinished(ctx context.Context, q engine.Querier) ([]Unfinished, error) {
	list, err := m.cutOffs(ctx, q)
	if err != nil {
		return nil, err
	}
	out := []Unfinished{}
	for _, c := range list {
		u := Unfinished{
			Run: c.opening.Run, Version: c.opening.Version, Direction: c.opening.Direction, Of: c.opening.Statements, Since: c.opening.At,
			Statement: min(c.last.Statement, c.opening.Statements), State: tookEffect,
		}
		switch {
		case c.opening.State == stepAborting:
			u.State = takingBack
		case c.opening.State == stepFilling:
			u.State, u.Filling, u.Statement = tookEffect, c.begun.Filling, u.Of
		case c.last.Statement > u.Of: // all statements are through
			u.Back = c.last.State == stepDone
		case c.last.State != stepStarted:
			u.Statement = min(c.last.Statement+1, u.Of)
			if c.last.Statement < u.Of {
				u.State = noEffect
			}
		default:
			seen, err := m.look(ctx, q, c.last)
			if err != nil {
				return nil, err
			}
			u.State = seen.state
		}
		u.Rejected = u.State == noEffect && c.begun.Rejected == u.Statement
		if mig, err := c.migration(ctx, m); err == nil {
			if stmts := mig.statements(u.Direction); u.Statement > 0 && u.Statement <= len(stmts) {
				u.SQL = headline(stmts[u.Statement-1].SQL)
			}
		}
		out = append(out, u)
	}
	return out, nil
}

// migration is what was begun, from the text in the journal.
func (c *cutOff) migration(ctx context.Context, m *Migrator) (*Migration, error) {
	if c.begun.Text == "" {
		return nil, fmt.Errorf("the step journal of migration %d has no text", c.opening.Version)
	}
	return fromCatalog(ctx, c.opening.Version, c.begun.File, c.begun.Text, m.dialect)
}

// op is the journal row of a step.
func (w *work) op(statement int, state string, note any) (operation, error) {
	op := operation{Run: w.r.res.Run, Version: w.mig.Version, Direction: w.r.dir, Statement: statement, Statements: len(w.stmts), State: state, Snapshot: w.capturer.Snapshot()}
	if note == nil {
		return op, nil
	}
	b, err := json.Marshal(note)
	op.Note = string(b)
	return op, err
}

// journal writes the row of a step.
func (w *work) journal(ctx context.Context, q engine.Querier, statement int, state string, note any) error {
	op, err := w.op(statement, state, note)
	if err != nil {
		return err
	}
	return w.r.m.catalog.write(ctx, q, op)
}
