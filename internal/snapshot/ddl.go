package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Where DDL ends the open transaction, tables of our own are made and dropped on another connection: that ends nothing, and
// the working connection sees a new table at once. A table that belongs to no capture, because the transaction that was
// to fill it was rolled back, is an orphan; Prune drops it.

// Tx gives one statement of a migration the transaction that its captures need, and runs f with it: f calls
// Capturer.Statement and may write about it. Where DDL is transactional that is an ordinary transaction. Elsewhere a statement
// that commits by itself gets none (f's querier is the session, and what f writes is there at once); one that
// writes rows gets one in which no row can appear between capture and statement; f must not read from it before the capture.
func (s *Store) Tx(ctx context.Context, session *engine.Session, st effects.Statement, f func(q engine.Querier) error) error {
	switch {
	case s.db.Caps.TransactionalDDL:
		return session.Tx(ctx, func(tx *sql.Tx) error { return f(tx) })
	case st.ImplicitCommit:
		return f(session)
	}
	return session.Steady(ctx, func(tx *sql.Tx) error { return f(tx) })
}

// make creates a table of ours. key are its columns that are unique, "" for none.
func (s *Store) make(ctx context.Context, q engine.Querier, what, table string, columns []string, key string) error {
	return s.ddl(ctx, q, what, s.creation(table, columns, key)...)
}

// creation gives the statements of make.
func (s *Store) creation(table string, columns []string, key string) []string {
	columns = slices.Clone(columns)
	if s.f.keyed {
		if key == "" {
			key = "dbrollback_n"
			columns = append(columns, "dbrollback_n bigint NOT NULL AUTO_INCREMENT")
		}
		columns = append(columns, "PRIMARY KEY ("+key+")")
	}
	if i := slices.IndexFunc(columns, func(c string) bool { return strings.HasPrefix(c, "n bigint") }); s.f.scans && key == "n" && i >= 0 {
		columns[i] = "n INTEGER PRIMARY KEY" // the number of the row itself, which costs nothing
	}
	lasts := strings.Contains(table, "dbrollback_data_") || s.db.Caps.TransactionalDDL && strings.Contains(table, "dbrollback_seal_")
	queries := []string{"CREATE TABLE " + table + " (" + list(columns) + ")" + s.f.options}
	if !lasts { // a run that was cut off between its transactions may have left one
		queries = slices.Insert(queries, 0, "DROP TABLE IF EXISTS "+table)
	}
	return queries
}

// drop drops a table of ours. Where that would have to wait for the open transaction, which has used it, Prune does it later.
func (s *Store) drop(ctx context.Context, q engine.Querier, what, table string) error {
	if !s.db.Caps.TransactionalDDL {
		return nil
	}
	return s.ddl(ctx, q, what, "DROP TABLE "+table)
}

// ddl makes or changes a table of ours so that the open transaction goes on.
func (s *Store) ddl(ctx context.Context, q engine.Querier, what string, queries ...string) error {
	if s.db.Caps.TransactionalDDL {
		for _, query := range queries {
			if _, err := exec(ctx, q, what, query); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.aside(ctx, queries...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// aside runs statements on another connection. It must not wait for a lock that the working one holds, which would be for
// ever: it gives up soon.
func (s *Store) aside(ctx context.Context, queries ...string) error {
	return s.with(ctx, func(c engine.Querier) error {
		for _, query := range queries {
			if _, err := c.ExecContext(ctx, query); err != nil {
				return err
			}
		}
		return nil
	})
}

// Trying runs f, which looks what a run would do in a transaction that it takes back, and drops the tables of ours that this transaction could not take back.
func (s *Store) Trying(ctx context.Context, q engine.Querier, f func() error) (err error) {
	if s.db.Caps.TransactionalDDL {
		return f()
	}
	before, err := s.f.ours(ctx, q)
	if err != nil {
		return fmt.Errorf("list captured data: %w", err)
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		after, listed := s.f.ours(ctx, q)
		var drops []string
		for _, n := range after {
			if !slices.Contains(before, n) {
				drops = append(drops, "DROP TABLE IF EXISTS "+s.own(n))
			}
		}
		if len(drops) > 0 {
			listed = s.aside(ctx, drops...)
		}
		err = errors.Join(err, listed)
	}()
	return f()
}

// asideLock is held by the connection that works aside. The server lets go of it when the statement of a client that died has
// ended: until then what that one makes may still appear, under the very name that the next run is about to use.
const asideLock = "concat('dbrollback aside ', left(sha2(lower(database()), 256), 40))" // 64 characters at most

// with gives f another connection, one at a time, that does not wait long for locks.
func (s *Store) with(ctx context.Context, f func(c engine.Querier) error) (err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	got, err := number(ctx, c, "wait for what else works aside", "SELECT get_lock("+asideLock+", 10)")
	if err != nil {
		return err
	}
	if got != 1 {
		return &engine.Error{Class: engine.LockTimeout, Message: "a statement about the tables of dbrollback is still under way on another connection",
			Hint: "SHOW PROCESSLIST shows it; wait for it to end, then run the command again"}
	}
	const patience = "SET @dbrollback_wait = @@SESSION.lock_wait_timeout, @dbrollback_rows = @@SESSION.innodb_lock_wait_timeout, @dbrollback_mode = @@SESSION.sql_mode, " +
		"SESSION lock_wait_timeout = 2, SESSION innodb_lock_wait_timeout = 2, SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'"
	const back = "SET SESSION lock_wait_timeout = @dbrollback_wait, SESSION innodb_lock_wait_timeout = @dbrollback_rows, SESSION sql_mode = @dbrollback_mode, @dbrollback_aside = release_lock(" + asideLock + ")"
	if _, err := c.ExecContext(ctx, patience); err != nil {
		_, release := c.ExecContext(context.WithoutCancel(ctx), "DO release_lock("+asideLock+")")
		return errors.Join(err, release)
	}
	defer func() {
		_, failed := c.ExecContext(context.WithoutCancel(ctx), back)
		err = errors.Join(err, failed)
	}()
	return f(c)
}

// Still waits until the server has ended what a client that died had it do aside: what is looked at after stays as it is.
func (s *Store) Still(ctx context.Context) error {
	if s.db.Caps.TransactionalDDL {
		return nil
	}
	return s.with(ctx, func(engine.Querier) error { return nil })
}
