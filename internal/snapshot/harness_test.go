package snapshot_test

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// bench runs migrations the way the conductor does, on one database.
type bench struct {
	t        testing.TB
	dsn      string
	db       *engine.DB
	store    *snapshot.Store
	watch    snapshot.Watch
	opposite *[]effects.Statement // what Down will run, where that is known
	// declared are the effects of what is opaque, as a migration declares them.
	declared []effects.Effect
	between  func() error
}

func newBench(t testing.TB, dsn string, setup ...string) *bench {
	t.Helper()
	if strings.HasPrefix(dsn, "sqlite:") { // nothing here outlives a crash
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		dsn += sep + "_pragma=synchronous(0)"
	}
	if mysqlLike(dsn) { // || joins texts everywhere
		dsn += "?sql_mode='PIPES_AS_CONCAT,STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
	}
	db, err := engine.Open(context.Background(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{t: t, dsn: dsn, db: db, store: snapshot.New(db, "")}
	b.exec(setup...)
	return b
}

func mysqlLike(dsn string) bool {
	return strings.HasPrefix(dsn, "mysql:") || strings.HasPrefix(dsn, "mariadb:")
}

// everywhere are the engines of the conformance suite.
var everywhere = []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB}

// step runs one statement's work: in the transaction of all where there is one, else in one of its own.
func (b *bench) step(s *engine.Session, q engine.Querier, st effects.Statement, f func(q engine.Querier) error) error {
	if b.db.Caps.TransactionalDDL {
		return f(q)
	}
	return b.store.Tx(context.Background(), s, st, f)
}

// run gives f a session, in one transaction where DDL is transactional.
func (b *bench) run(f func(s *engine.Session, q engine.Querier) error) error {
	b.t.Helper()
	s, err := b.db.Session(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	if !b.db.Caps.TransactionalDDL {
		return f(s, s)
	}
	return s.Tx(context.Background(), func(tx *sql.Tx) error { return f(s, tx) })
}

// exec runs statements of the application, each on its own.
func (b *bench) exec(statements ...string) {
	b.t.Helper()
	for _, script := range statements {
		for _, st := range b.parse(script) {
			if _, err := b.db.ExecContext(context.Background(), st.SQL); err != nil {
				b.t.Fatalf("%s: %v", st.SQL, err)
			}
		}
	}
}

func (b *bench) parse(script string) []effects.Statement {
	b.t.Helper()
	list, err := effects.Parse(effects.Dialect(b.db.Kind), script)
	if err != nil {
		b.t.Fatalf("parse %s: %v", script, err)
	}
	for i := range list {
		if list[i].Opaque() && b.declared != nil {
			list[i].Effects = b.declared
		}
	}
	return list
}

// tx runs f in a transaction of the conductor's.
func (b *bench) tx(f func(tx *sql.Tx) error) error {
	b.t.Helper()
	s, err := b.db.Session(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	return s.Tx(context.Background(), f)
}

// execute runs a statement, or what its capture wants to be run in its place.
func execute(ctx context.Context, q engine.Querier, c *snapshot.Capturer, st effects.Statement) error {
	text := st.SQL
	if instead := c.Instead(); instead != "" {
		text = instead
	}
	_, err := q.ExecContext(ctx, text)
	return err
}

// end runs what is no statement of the migration: in the transaction of all where there is one, else in one of its own.
func (b *bench) end(s *engine.Session, q engine.Querier, f func(q engine.Querier) error) error {
	if b.db.Caps.TransactionalDDL {
		return f(q)
	}
	return s.Tx(context.Background(), func(tx *sql.Tx) error { return f(tx) })
}

// tryUp applies a migration with captures.
func (b *bench) tryUp(script string) (*snapshot.Capturer, error) {
	b.t.Helper()
	return b.forward("up", 1, script)
}

// tryUpThen does the same, and calls between ahead of each statement, when what it destroys is captured.
func (b *bench) tryUpThen(script string, between func() error) (*snapshot.Capturer, error) {
	b.t.Helper()
	b.between = between
	defer func() { b.between = nil }()
	return b.forward("up", 1, script)
}

func (b *bench) forward(direction string, migration int64, script string) (*snapshot.Capturer, error) {
	ctx := context.Background()
	c := b.store.Begin(snapshot.Meta{Run: "test", Direction: direction, CreatedBy: "test", Migration: migration, Statements: b.parse(script), Opposite: b.opposite, Instead: true})
	err := b.run(func(s *engine.Session, q engine.Querier) error {
		for i, st := range b.parse(script) {
			err := b.step(s, q, st, func(q engine.Querier) error {
				return c.Statement(ctx, q, i+1, st, func() error {
					if b.between != nil {
						if err := b.between(); err != nil {
							return err
						}
					}
					return execute(ctx, q, c, st)
				})
			})
			if err != nil {
				return fmt.Errorf("%s: %w", st.SQL, err)
			}
		}
		return b.end(s, q, func(q engine.Querier) error { return c.Seal(ctx, q, b.watch) })
	})
	if err == nil {
		err = b.store.Sums(ctx, b.db)
	}
	return c, err
}

func (b *bench) up(script string) *snapshot.Capturer {
	b.t.Helper()
	c, err := b.tryUp(script)
	if err != nil {
		b.t.Fatalf("up: %v", err)
	}
	return c
}

// tryBack runs one direction with the captures of the other.
func (b *bench) tryBack(direction, script string, p snapshot.Policy) (snapshot.Report, error) {
	b.t.Helper()
	ctx := context.Background()
	other := map[string]string{"up": "down", "down": "up"}[direction]
	var rep snapshot.Report
	err := b.run(func(s *engine.Session, q engine.Querier) error {
		r, err := b.store.Restorer(ctx, q, 1, other)
		if err != nil {
			return err
		}
		c := b.store.Begin(snapshot.Meta{Run: "test", Direction: direction, CreatedBy: "test", Migration: 1, Statements: b.parse(script), Instead: true})
		if r != nil {
			r.Record(c)
			r.Ahead(b.parse(script))
			err := b.end(s, q, func(q engine.Querier) error {
				if err := r.Check(ctx, q); err != nil || b.db.Caps.TransactionalDDL || p != snapshot.Fail {
					return err
				}
				// What is refused has to be refused before anything commits by itself.
				_, err := r.Foresee(ctx, q, p)
				return err
			})
			if err != nil {
				return err
			}
		}
		list := b.parse(script)
		for i, st := range list {
			err := b.step(s, q, st, func(q engine.Querier) error {
				return c.Statement(ctx, q, i+1, st, func() error { return execute(ctx, q, c, st) })
			})
			if err != nil {
				return fmt.Errorf("%s: %w", st.SQL, err)
			}
			if r != nil {
				if err := b.end(s, q, func(q engine.Querier) error { return r.Place(ctx, q, list[i+1:]...) }); err != nil {
					return fmt.Errorf("after %s: %w", st.SQL, err)
				}
			}
		}
		return b.end(s, q, func(q engine.Querier) error {
			if r != nil {
				if rep, err = r.Finish(ctx, q, p, c, nil); err != nil {
					return err
				}
			}
			return c.Seal(ctx, q, nil)
		})
	})
	return rep, err
}

func (b *bench) down(script string, p snapshot.Policy) snapshot.Report {
	b.t.Helper()
	rep, err := b.tryBack("down", script, p)
	if err != nil {
		b.t.Fatalf("down: %v", err)
	}
	return rep
}

// again applies the migration again after a rollback, with what the rollback captured.
func (b *bench) again(script string) snapshot.Report {
	b.t.Helper()
	rep, err := b.tryBack("up", script, snapshot.Keep)
	if err != nil {
		b.t.Fatalf("up again: %v", err)
	}
	return rep
}

// rows dumps every row of every table of the user's, exactly.
func (b *bench) rows() string {
	b.t.Helper()
	ctx := context.Background()
	names, err := b.db.Tables(ctx, b.db)
	if err != nil {
		b.t.Fatal(err)
	}
	var out strings.Builder
	for _, n := range names {
		t, err := b.db.Inspect(ctx, b.db, n)
		if err != nil {
			b.t.Fatal(err)
		}
		var cols, header []string
		sort.Slice(t.Columns, func(i, j int) bool { return t.Columns[i].Name < t.Columns[j].Name })
		for _, c := range t.Columns {
			header = append(header, c.Name+" "+c.Type)
			if mysqlLike(b.dsn) {
				cols = append(cols, "coalesce(hex(cast("+verify.HashExprs(b.db, []engine.Column{c}, "")[0]+" as binary)), 'NULL')")
			} else if b.db.Kind == engine.SQLite {
				cols = append(cols, "typeof("+b.db.Ident(c.Name)+") || ':' || hex("+b.db.Ident(c.Name)+")")
			} else {
				cols = append(cols, "coalesce("+b.db.Ident(c.Name)+"::text, 'NULL')")
			}
		}
		fmt.Fprintf(&out, "%s(%s)\n", n, strings.Join(header, ", "))
		if len(cols) == 0 {
			continue
		}
		from := b.db.Quote(n)
		if b.db.Kind == engine.Postgres && t.Kind != "partitioned" {
			from = "ONLY " + from
		}
		if b.db.Kind == engine.SQLite {
			for i := range cols {
				cols[i] = "coalesce(" + cols[i] + ", 'null')"
			}
		}
		lines := b.query("SELECT " + strings.Join(cols, " || '|' || ") + " FROM " + from)
		sort.Strings(lines)
		for _, l := range lines {
			out.WriteString("  " + l + "\n")
		}
	}
	return out.String()
}

// same compares two dumps.
func same(t testing.TB, what, want, got string) {
	t.Helper()
	if want != got {
		t.Errorf("%s\n--- want\n%s--- got\n%s%s", what, want, got, testdb.Diff(want, got))
	}
}

// strings of a query's first column.
func (b *bench) query(q string, args ...any) []string {
	b.t.Helper()
	rows, err := b.db.QueryContext(context.Background(), q, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			b.t.Fatal(err)
		}
		out = append(out, s.String)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatalf("%s: %v", q, err)
	}
	return out
}
