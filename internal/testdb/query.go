package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"
)

// queryTimeout ends a test's own statement that waits for a lock which nobody will release.
const queryTimeout = 2 * time.Minute

// connect opens the database with a bare driver.
func connect(dsn string) (*sql.DB, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "postgres", "postgresql":
		return sql.Open("pgx", dsn)
	case "mariadb", "mysql":
		return connectMySQL(dsn)
	case "sqlite":
		path := strings.TrimPrefix(rest, "//")
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		// no "file:" before it, in which # and % of a path would mean something
		return sql.Open("sqlite", path+sep+"_pragma=busy_timeout(60000)")
	}
	return nil, fmt.Errorf("no driver for a DSN that starts with %q", scheme)
}

// Connect opens the database with a bare driver, where there is no test to close it.
func Connect(dsn string) (*sql.DB, error) { return connect(dsn) }

// connectMySQL reads a DSN of ours, in which the server's address is plain.
func connectMySQL(dsn string) (*sql.DB, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the DSN is not a URL") // its text may hold a password
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Logger = silent{} // a server that is starting, or was killed, is no news
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

type silent struct{}

func (silent) Print(...any) {}

func ping(ctx context.Context, dsn string) error {
	db, err := connect(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

// Open opens the database with a bare driver, as an application would; it is closed when the test ends.
func Open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := connect(dsn)
	if err != nil {
		t.Fatalf("testdb: open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("testdb: close: %v", err)
		}
	})
	return db
}

// use opens the database for as long as fn runs.
func use(t testing.TB, dsn string, fn func(ctx context.Context, db *sql.DB) error) {
	t.Helper()
	db, err := connect(dsn)
	if err != nil {
		t.Fatalf("testdb: open: %v", err)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	if err := errors.Join(fn(ctx, db), db.Close()); err != nil {
		t.Fatalf("testdb: %v", err)
	}
}

// Exec runs each statement on one connection, outside of any transaction; an error ends the test.
func Exec(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	use(t, dsn, func(ctx context.Context, db *sql.DB) error {
		for _, s := range statements {
			if _, err := db.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

// Query returns the result of a query, a string per row with the values separated by "|", NULL written as
// NULL: short enough to compare in one line.
func Query(t testing.TB, dsn, query string, args ...any) []string {
	t.Helper()
	var out []string
	use(t, dsn, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		defer func() { _ = rows.Close() }()
		cols, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			values := make([]any, len(cols))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				return err
			}
			texts := make([]string, len(cols))
			for i, v := range values {
				texts[i] = text(*v.(*any))
			}
			out = append(out, strings.Join(texts, "|"))
		}
		return rows.Err()
	})
	return out
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return string(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}
