package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options are the session settings; zero means the server's own.
type Options struct {
	LockTimeout      time.Duration // longest wait for one lock; SQLite: busy_timeout, 5s when zero
	StatementTimeout time.Duration // longest run of one statement of a migration
	ApplicationName  string        // shown by the server for our sessions; default "dbrollback"
	MustExist        bool          // SQLite: a missing file is an error instead of a new database
}

// DB is an open target. Every connection of its pool carries the settings of Options, so that it does
// not matter which one a statement reaches; StatementTimeout alone belongs to sessions.
//
// On PostgreSQL statements run without a prepared statement of their own (one round trip, nothing that a
// migration's DDL could make stale); a parameter's type is what its Go type says, so cast where
// the server could not tell: $1::text.
type DB struct {
	*sql.DB
	Kind   Kind
	Caps   Caps
	Target Target
	// Version is the server's version number on PostgreSQL (150004), 0 elsewhere.
	Version int
	// Ignore names tables that are not the user's besides our own: the version table of the migration
	// library. An entry without a schema stands for that name in every schema.
	Ignore []Name

	options Options
	dialect dialect
	level   sql.IsolationLevel // of a session's transactions
	link    Link               // MySQL and MariaDB
	pgx     *pgx.ConnConfig    // PostgreSQL; it holds the password
}

// ErrNoTable says that there is no table, view or other relation of that name.
var ErrNoTable = errors.New("no such table")

// dialect is what an engine does in its own way.
type dialect interface {
	// begin prepares a connection that a session has pinned.
	begin(ctx context.Context, db *DB, c *sql.Conn) error
	// lock takes the run lock; wait bounds the time it may take.
	lock(ctx context.Context, s *Session, wait time.Duration) (release func(), err error)
	// commit ends tx and finds out what happened when the answer does not come.
	commit(ctx context.Context, s *Session, tx *sql.Tx) error
	// home makes the place where our own tables live.
	home(ctx context.Context, q Querier) error
	// tables lists base tables, ours included.
	tables(ctx context.Context, q Querier) ([]Name, error)
	// inspect reads one table; shallow fills Name, OID and Kind only.
	inspect(ctx context.Context, q Querier, n Name, shallow bool) (*Table, error)
}

// Open opens the database that dsn names and makes sure that it answers. A failure is an *Error with a
// class and, where there is one, a hint; it never contains the password.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	d, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	if o.ApplicationName == "" {
		o.ApplicationName = d.params.Get("application_name")
	}
	if o.ApplicationName == "" {
		o.ApplicationName = "dbrollback"
	}
	db := &DB{Kind: d.target.Kind, Target: d.target, options: o}
	switch d.target.Kind {
	case Postgres:
		err = openPostgres(d, db)
	case SQLite:
		err = openSQLite(d, db)
	case MySQL, MariaDB:
		err = openMySQL(ctx, d, db)
	}
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, connectError(err, d.target)
	}
	if db.Kind == Postgres {
		if err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&db.Version); err != nil {
			_ = db.Close()
			return nil, connectError(err, d.target)
		}
	}
	return db, nil
}

// Ident quotes an identifier.
func (db *DB) Ident(s string) string {
	if db.Kind == MySQL || db.Kind == MariaDB {
		return "`" + strings.ReplaceAll(s, "`", "``") + "`"
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// Idents quotes several identifiers and joins them with commas.
func (db *DB) Idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = db.Ident(n)
	}
	return strings.Join(quoted, ", ")
}

// Quote quotes a name, qualified when it has a schema.
func (db *DB) Quote(n Name) string {
	if n.Schema == "" {
		return db.Ident(n.Name)
	}
	return db.Ident(n.Schema) + "." + db.Ident(n.Name)
}

// Arg is the placeholder of the i-th argument, counted from 1.
func (db *DB) Arg(i int) string {
	if db.Kind == Postgres {
		return fmt.Sprintf("$%d", i)
	}
	return "?"
}

// home is the schema of our own tables on PostgreSQL, and the prefix of their names elsewhere.
const home = "dbrollback"

// Own names one of our own tables: in a schema of its own on PostgreSQL, plainly elsewhere.
func (db *DB) Own(table string) Name {
	if db.Caps.Schemas {
		return Name{Schema: home, Name: table}
	}
	return Name{Name: table}
}

// EnsureHome makes the place where our own tables live, readable by nobody but its owner. It is
// cheap when the place exists. The error says which right is missing.
func (db *DB) EnsureHome(ctx context.Context, q Querier) error {
	return db.dialect.home(ctx, q)
}

// Mine tells whether a table is ours, the engine's or ignored, so not the user's.
func (db *DB) Mine(n Name) bool {
	for _, i := range db.Ignore {
		if strings.EqualFold(i.Name, n.Name) && !db.Caps.Schemas {
			return true
		}
		if i.Name == n.Name && (i.Schema == "" || i.Schema == n.Schema) {
			return true
		}
	}
	if db.Caps.Schemas {
		return n.Schema == home
	}
	lower := strings.ToLower(n.Name)
	return lower == "state_snapshots" || strings.HasPrefix(lower, home+"_") || strings.HasPrefix(lower, "~"+home+"_") ||
		db.Kind == SQLite && strings.HasPrefix(lower, "sqlite_")
}

// TablesOfOurs lists our own tables and those that are ignored, sorted, where they lie beside the user's.
func (db *DB) TablesOfOurs(ctx context.Context, q Querier) ([]Name, error) {
	all, err := db.dialect.tables(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return slices.DeleteFunc(all, func(n Name) bool { return !db.Mine(n) }), nil
}

// Tables lists the user's base tables, sorted: partitioned tables and partitions, too, but no views,
// foreign, virtual or temporary tables. The schema is filled where the engine has schemas.
func (db *DB) Tables(ctx context.Context, q Querier) ([]Name, error) {
	all, err := db.dialect.tables(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	user := all[:0]
	for _, n := range all {
		if !db.Mine(n) {
			user = append(user, n)
		}
	}
	return user, nil
}

// Inspect reads the shape of a table (or view) as the catalog has it now. A name without a schema is
// looked up in the search path. The error is ErrNoTable when there is none.
func (db *DB) Inspect(ctx context.Context, q Querier, n Name) (*Table, error) {
	t, err := db.dialect.inspect(ctx, q, n, false)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", n, err)
	}
	return t, nil
}

// Seen remembers what Inspect said of tables, and that there are none of a name. It holds for one schema, as long as nothing changes a definition, and
// for one goroutine; nil remembers nothing. Who is given a table must not change it.
type Seen map[Name]*Table

// Inspect is like DB.Inspect.
func (s Seen) Inspect(ctx context.Context, db *DB, q Querier, n Name) (*Table, error) {
	t, known := s[n]
	if known && t == nil {
		return nil, fmt.Errorf("inspect %s: %w", n, ErrNoTable)
	}
	if known {
		return t, nil
	}
	t, err := db.Inspect(ctx, q, n)
	switch {
	case s == nil:
	case err == nil:
		s[n], s[t.Name] = t, t
	case errors.Is(err, ErrNoTable):
		s[n] = nil
	}
	return t, err
}

// Look is Inspect without what a table is made of: its name, its kind and, on MySQL and MariaDB, its storage engine.
func (db *DB) Look(ctx context.Context, q Querier, n Name) (*Table, error) {
	t, err := db.dialect.inspect(ctx, q, n, true)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", n, err)
	}
	return t, nil
}

// Resolve looks a name up in the search path and returns it as the catalog spells it. The error is
// ErrNoTable when there is none.
func (db *DB) Resolve(ctx context.Context, q Querier, n Name) (Name, error) {
	t, err := db.dialect.inspect(ctx, q, n, true)
	if err != nil {
		return n, fmt.Errorf("look up %s: %w", n, err)
	}
	return t.Name, nil
}
