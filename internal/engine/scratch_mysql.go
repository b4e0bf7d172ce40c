package engine

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// mysqlScratch makes databases on a MySQL or MariaDB server. One session holds a lock by a name that is part of each
// database's, and that everybody may ask about.
type mysqlScratch struct {
	url   *url.URL
	db    *DB
	mu    sync.Mutex // one session, one statement at a time
	s     *Session
	shape string // character set and collation
}

func newMySQLScratch(ctx context.Context, dsn string, id [8]byte) (_ *mysqlScratch, err error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, &Error{Class: Usage, Message: "the URL of the scratch server cannot be read", Hint: schemes}
	}
	db, err := Open(ctx, dsn, Options{})
	if err != nil {
		return nil, err
	}
	m := &mysqlScratch{url: u, db: db}
	defer func() {
		if err != nil {
			_ = m.close()
		}
	}()
	if m.s, err = db.Session(ctx); err != nil {
		return nil, err
	}
	var locked bool
	// The session is idle while migrations are judged, however long that takes.
	if _, err := m.s.ExecContext(ctx, "SET SESSION wait_timeout = 604800"); err != nil {
		return nil, fmt.Errorf("prepare the scratch server's session: %w", err)
	}
	if err := m.s.QueryRowContext(ctx, "SELECT get_lock(?, 0)", ScratchPrefix+hex.EncodeToString(id[:])).Scan(&locked); err != nil {
		return nil, fmt.Errorf("mark the scratch databases as in use: %w", err)
	}
	var charset, collation string
	if err := m.s.QueryRowContext(ctx, `SELECT default_character_set_name, default_collation_name
		FROM information_schema.schemata WHERE schema_name = database()`).Scan(&charset, &collation); err != nil {
		return nil, fmt.Errorf("read the settings of the scratch server: %w", err)
	}
	m.shape = " CHARACTER SET " + charset + " COLLATE " + collation
	return m, m.sweep(ctx)
}

// sweep drops the databases of runs whose session is gone.
func (m *mysqlScratch) sweep(ctx context.Context) error {
	// The databases are listed first: the lock of each was there before it.
	names, err := Texts(ctx, m.s, "SELECT schema_name FROM information_schema.schemata WHERE left(schema_name, ?) = ?", len(ScratchPrefix), ScratchPrefix)
	if err != nil {
		return fmt.Errorf("look for scratch databases of runs that were killed: %w", err)
	}
	for _, name := range names {
		id := scratchOwner(name)
		if id == "" {
			continue // not made by us
		}
		var free bool
		if err := m.s.QueryRowContext(ctx, "SELECT is_free_lock(?)", ScratchPrefix+id).Scan(&free); err != nil {
			return fmt.Errorf("look for the owner of %s: %w", name, err)
		}
		if free {
			// Somebody else may be dropping it just now, or it belongs to an account that is not ours: either way it is not
			// in the way of this run.
			_ = m.drop(ctx, name)
		}
	}
	return nil
}

// create makes an empty database: the servers have no way to copy one.
func (m *mysqlScratch) create(ctx context.Context, name, from string) error {
	if from != "" {
		return &Error{Class: Unsupported, Message: fmt.Sprintf("a %s server does not copy databases", m.db.Kind)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.s.ExecContext(ctx, "CREATE DATABASE "+m.db.Ident(name)+m.shape)
	if e, ok := AsError(err); ok && e.Class == Privilege {
		return &Error{Class: Privilege, Message: "the account may not create databases on the scratch server", Err: err,
			Hint: "GRANT ALL ON `" + strings.ReplaceAll(ScratchPrefix, "_", `\_`) + "%`.* TO it; or name another server with --scratch-dsn"}
	}
	return err
}

// drop ends the connections to a database first, because one that was given up may hold a lock there.
func (m *mysqlScratch) drop(ctx context.Context, name string) error {
	if scratchOwner(name) == "" {
		return fmt.Errorf("%s is no scratch database", name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ids, err := m.sessions(ctx, name)
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, _ = m.s.ExecContext(ctx, "KILL "+id) // it may have ended by itself
	}
	_, err = m.s.ExecContext(ctx, "DROP DATABASE IF EXISTS "+m.db.Ident(name))
	return err
}

// sessions lists the connections to a database. SHOW can do so beside a statement that makes information_schema.processlist [Unlistable].
func (m *mysqlScratch) sessions(ctx context.Context, name string) (ids []string, err error) {
	rows, err := m.s.QueryContext(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var id string
	var database sql.NullString
	into := []any{&id, new(any), new(any), &database} // Id, User, Host, db
	for range columns[len(into):] {
		into = append(into, new(any))
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		if database.String == name {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}

func (m *mysqlScratch) dsn(name string) string {
	u := *m.url
	u.Path = "/" + name
	u.RawPath = ""
	return u.String()
}

func (m *mysqlScratch) close() error {
	var errs []error
	if m.s != nil {
		errs = append(errs, m.s.Close())
	}
	return errors.Join(append(errs, m.db.Close())...)
}
