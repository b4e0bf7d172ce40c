package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDialect is the dialect of SQLite. A database without foreign_keys in its URL keeps SQLite's own
// default, which is off.
type sqliteDialect struct{ file string }

// sqliteDriver is a driver of our own, so that our functions are on each of its connections and on no
// other program part's.
var sqliteDriver = sync.OnceValues(func() (*sqlite.Driver, error) {
	d := &sqlite.Driver{}
	return d, registerFunctions(d)
})

type sqliteConnector struct {
	driver *sqlite.Driver
	dsn    string
}

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c sqliteConnector) Driver() driver.Driver                        { return c.driver }

func openSQLite(d dsn, db *DB) error {
	if info, err := os.Stat(d.path); err == nil && info.IsDir() {
		return &Error{Class: Unreachable, Message: d.path + " is a folder, not a database file", Hint: "name the file in it: sqlite:" + filepath.Join(d.path, "app.db")}
	} else if errors.Is(err, os.ErrNotExist) {
		if db.options.MustExist {
			return &Error{Class: Unreachable, Message: fmt.Sprintf("there is no database file %s", d.path),
				Hint: "check the path; it is relative to the working directory", Err: err}
		}
		if _, err := os.Stat(filepath.Dir(d.path)); err != nil {
			return &Error{Class: Unreachable, Message: fmt.Sprintf("the folder of %s does not exist", d.path),
				Hint: "create it, or correct the path", Err: err}
		}
	}
	drv, err := sqliteDriver()
	if err != nil {
		return fmt.Errorf("set up sqlite: %w", err)
	}
	db.Caps = Caps{TransactionalDDL: true, InlineKeys: true, LongText: "text"}
	db.dialect = sqliteDialect{file: d.path}
	db.DB = sql.OpenDB(sqliteConnector{driver: drv, dsn: sqliteURI(d, db.options)})
	return nil
}

// sqliteURI builds the driver's URL: the file, the user's parameters and the settings that we need. A
// transaction takes the write lock when it begins, because a lock taken later can fail at once.
func sqliteURI(d dsn, o Options) string {
	params := url.Values{}
	for k, values := range d.params {
		switch k {
		case "_txlock", "application_name":
			continue
		case "_busy_timeout", "_timeout":
			if o.LockTimeout > 0 {
				continue
			}
		}
		for _, v := range values {
			if k == "_pragma" && o.LockTimeout > 0 && strings.HasPrefix(strings.ToLower(strings.TrimSpace(v)), "busy_timeout") {
				continue
			}
			params.Add(k, v)
		}
	}
	params.Set("_txlock", "immediate")
	params.Set("_error_rc", "1")
	if !params.Has("_busy_timeout") && !params.Has("_timeout") {
		wait := o.LockTimeout
		if wait == 0 {
			wait = 5 * time.Second
		}
		params.Set("_busy_timeout", milliseconds(wait))
	}
	if o.MustExist && !params.Has("mode") {
		params.Set("mode", "rw")
	}
	path := filepath.ToSlash(d.path)
	if filepath.VolumeName(d.path) != "" {
		path = "/" + path
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()
}

func (sqliteDialect) begin(context.Context, *DB, *sql.Conn) error { return nil }

// lock holds nothing: every transaction begins with the write lock. It finds out whether there can be
// one, so that a run on a read-only file ends before it starts.
func (d sqliteDialect) lock(ctx context.Context, s *Session, _ time.Duration) (func(), error) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("take the write lock: %w", err)
	}
	var version int64
	err = tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil {
		// The same value again: it makes SQLite open its journal, which a read-only folder shows.
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
	}
	if rollback := tx.Rollback(); err == nil {
		err = rollback
	}
	if err != nil {
		return nil, fmt.Errorf("write to %s: %w", d.file, err)
	}
	return func() {}, nil
}

// commit rolls back when the commit was refused (a reader kept the file busy for too long): the
// transaction would stay open on this connection otherwise.
func (sqliteDialect) commit(ctx context.Context, s *Session, tx *sql.Tx) error {
	err := tx.Commit()
	if err == nil {
		return nil
	}
	_, _ = s.ExecContext(ctx, "ROLLBACK")
	return fmt.Errorf("commit: %w", err)
}

func (sqliteDialect) home(context.Context, Querier) error { return nil }

func (sqliteDialect) tables(ctx context.Context, q Querier) ([]Name, error) {
	rows, err := q.QueryContext(ctx,
		"SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []Name
	for rows.Next() {
		var n Name
		if err := rows.Scan(&n.Name); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

const hintFull = "make room, then run the same command again"

// sqliteError classifies a result code.
func sqliteError(e *sqlite.Error, err error) *Error {
	out := &Error{Class: Unknown, Message: e.Error(), Err: err}
	if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // the index of a write-ahead log could not be made as large as it has to be
		out.Class, out.Hint = DiskFull, hintFull
		return out
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		out.Class = LockTimeout
		out.Hint = "another program is using the database file; wait for it, or raise --lock-timeout"
	case sqlite3.SQLITE_READONLY:
		out.Class = ReadOnly
		out.Hint = "make the database file and its folder writable for this user (SQLite keeps its journal beside the file)"
	case sqlite3.SQLITE_PERM:
		out.Class = Privilege
		out.Hint = "make the database file and its folder readable and writable for this user"
	case sqlite3.SQLITE_AUTH:
		out.Class = Privilege
	case sqlite3.SQLITE_CANTOPEN:
		out.Class = Unreachable
		out.Hint = "check that the file and its folder exist and are readable and writable for this user"
	case sqlite3.SQLITE_NOTADB:
		out.Class = Unreachable
		out.Hint = "the file is not an SQLite database, or it is encrypted"
	case sqlite3.SQLITE_FULL:
		out.Class, out.Hint = DiskFull, hintFull
	case sqlite3.SQLITE_CONSTRAINT:
		out.Class = Constraint
		out.Taken = slices.Contains([]int{sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID}, e.Code())
	case sqlite3.SQLITE_INTERRUPT:
		out.Class = Cancelled
	case sqlite3.SQLITE_ERROR:
		out.Class = Syntax
	}
	return out
}
