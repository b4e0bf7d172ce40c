package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// Session is one pinned connection. What is set on it holds for everything that runs on it, and ends
// with it: Close throws the connection away instead of handing settings and locks to the next user.
type Session struct {
	*sql.Conn
	db  *DB
	xid string // of the open transaction, once a pipeline has learned it

	prepared map[string]bool // texts that a pipeline has prepared on the connection
}

// Session pins a connection and prepares it: statement timeout of Options, and a check that no pooler
// hands its statements to changing servers (Class Pooled).
func (db *DB) Session(ctx context.Context) (*Session, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, connectError(err, db.Target)
	}
	s := &Session{Conn: c, db: db}
	if err := db.dialect.begin(ctx, db, c); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open session: %w", err)
	}
	if db.options.StatementTimeout > 0 {
		if err := s.StatementTimeout(ctx, db.options.StatementTimeout); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close ends the connection.
func (s *Session) Close() error {
	_ = s.Raw(func(any) error { return driver.ErrBadConn })
	if err := s.Conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// StatementTimeout sets the longest run of a statement from now on, 0 for none, and leaves it to the
// engine to stop it. MySQL stops SELECT alone. SQLite has none: statements there end with their context.
func (s *Session) StatementTimeout(ctx context.Context, d time.Duration) error {
	var err error
	switch s.db.Kind {
	case Postgres:
		_, err = s.ExecContext(ctx, "SELECT set_config('statement_timeout', $1, false)", milliseconds(d))
	case MySQL:
		_, err = s.ExecContext(ctx, "SET SESSION max_execution_time = "+milliseconds(d))
	case MariaDB:
		_, err = s.ExecContext(ctx, fmt.Sprintf("SET SESSION max_statement_time = %.6f", d.Seconds()))
	}
	if err != nil {
		return fmt.Errorf("set statement timeout: %w", err)
	}
	return nil
}

// RunLock makes this the only run on the database until release is called or the session ends, waiting
// at most wait. The error has Class LockTimeout when another run goes on, and ReadOnly when the
// server takes no writes. On SQLite there is nothing to hold: BEGIN IMMEDIATE excludes other writers.
func (s *Session) RunLock(ctx context.Context, wait time.Duration) (release func(), err error) {
	return s.db.dialect.lock(ctx, s, wait)
}

// Tx runs f in a transaction (READ COMMITTED, or BEGIN IMMEDIATE on SQLite) and commits when
// f returns nil. Cancelling ctx does not end the transaction by itself, so that f can still roll back to
// a savepoint; the statements that f runs take ctx. A commit whose answer never came is settled: the
// result is nil when it took effect, and Class Unknown when that could not be found out.
func (s *Session) Tx(ctx context.Context, f func(tx *sql.Tx) error) error {
	return s.tx(ctx, s.db.level, f)
}

// ReadsCommitted tells whether Tx runs at READ COMMITTED.
func (db *DB) ReadsCommitted() bool { return db.level == sql.LevelReadCommitted }

// Steady is Tx at the level at which a locking read also keeps rows out that were not there yet: REPEATABLE READ
// where that takes more than READ COMMITTED. A plain read does not see what others commit after the first one.
func (s *Session) Steady(ctx context.Context, f func(tx *sql.Tx) error) error {
	level := s.db.level
	if s.db.Kind == MySQL || s.db.Kind == MariaDB {
		level = sql.LevelRepeatableRead
	}
	return s.tx(ctx, level, f)
}

// Write is Tx for what writes rows and reads none but those: at the level that the session has, which the server is not told.
func (s *Session) Write(ctx context.Context, f func(tx *sql.Tx) error) error {
	level := s.db.level
	if level == sql.LevelReadCommitted && !s.db.Caps.TransactionalDDL {
		level = sql.LevelDefault
	}
	return s.tx(ctx, level, f)
}

func (s *Session) tx(ctx context.Context, level sql.IsolationLevel, f func(tx *sql.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	calm := context.WithoutCancel(ctx)
	begin, cancel := context.WithCancel(calm)
	defer cancel()
	stop := context.AfterFunc(ctx, cancel) // waiting for the transaction's lock can be given up
	s.xid = ""
	tx, err := s.BeginTx(begin, &sql.TxOptions{Isolation: level})
	if !stop() && err == nil {
		_ = tx.Rollback()
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if r := recover(); r != nil {
			_ = tx.Rollback()
			panic(r)
		}
	}()
	if err := f(tx); err != nil {
		_ = tx.Rollback() // fails only with the connection, and then the server rolls back
		if gaveUp := ctx.Err(); gaveUp != nil && !errors.Is(err, gaveUp) {
			// The server says "cancelled" whoever asked for it; it was the caller.
			return fmt.Errorf("%w: %w", gaveUp, err)
		}
		return err
	}
	if err := ctx.Err(); err != nil {
		_ = tx.Rollback()
		return err
	}
	return s.db.dialect.commit(calm, s, tx)
}

// milliseconds spells a duration as the server's settings take it; a positive one never becomes 0,
// which would mean none.
func milliseconds(d time.Duration) string {
	ms := d.Milliseconds()
	if d > 0 && ms == 0 {
		ms = 1
	}
	return fmt.Sprintf("%d", ms)
}
