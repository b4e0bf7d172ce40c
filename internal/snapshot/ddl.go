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
	columns = slices.Clone(columns)
	if s.f.keyed {
		if key == "" {
			key = "dbrollback_n"
			columns = append(columns, "dbrollback_n bigint NOT NULL AUTO_INCREMENT")
		}
		columns = append(columns, "PRIMARY KEY ("+key+")")
	}
	lasts := strings.Contains(table, "dbrollback_data_") || s.db.Caps.TransactionalDDL && strings.Contains(table, "dbrollback_seal_")
	if !lasts { // a run that was cut off between its transactions may have left one
		if err := s.ddl(ctx, q, what, "DROP TABLE IF EXISTS "+table); err != nil {
			return err
		}
	}
	return s.ddl(ctx, q, what, "CREATE TABLE "+table+" ("+list(columns)+")"+s.f.options)
}

// drop drops a table of ours. Where that would have to wait for the open transaction, which has used it, Prune does it later.
func (s *Store) drop(ctx context.Context, q engine.Querier, what, table string) error {
	if !s.db.Caps.TransactionalDDL {
		return nil
	}
	return s.ddl(ctx, q, what, "DROP TABLE "+table)
}

// ddl makes or changes a table of ours so that the open transaction goes on.
func (s *Store) ddl(ctx context.Context, q engine.Querier, what, query string) error {
	if s.db.Caps.TransactionalDDL {
		_, err := exec(ctx, q, what, query)
		return err
	}
	if err := s.aside(ctx, query); err != nil {
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

// with gives f another connection that does not wait long for locks.
func (s *Store) with(ctx context.Context, f func(c engine.Querier) error) (err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	const patience = "SET @dbrollback_wait = @@SESSION.lock_wait_timeout, @dbrollback_rows = @@SESSION.innodb_lock_wait_timeout, @dbrollback_mode = @@SESSION.sql_mode, " +
		"SESSION lock_wait_timeout = 2, SESSION innodb_lock_wait_timeout = 2, SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'"
	if _, err := c.ExecContext(ctx, patience); err != nil {
		return err
	}
	defer func() {
		_, back := c.ExecContext(context.WithoutCancel(ctx), "SET SESSION lock_wait_timeout = @dbrollback_wait, SESSION innodb_lock_wait_timeout = @dbrollback_rows, SESSION sql_mode = @dbrollback_mode")
		err = errors.Join(err, back)
	}()
	return f(c)
}
