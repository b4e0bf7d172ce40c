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
)

// bench runs migrations the way the conductor does, on one database.
type bench struct {
	t     testing.TB
	dsn   string
	db    *engine.DB
	store *snapshot.Store
	watch snapshot.Watch
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
	db, err := engine.Open(context.Background(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{t: t, dsn: dsn, db: db, store: snapshot.New(db, "")}
	b.exec(setup...)
	return b
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

// tryUp applies a migration with captures.
func (b *bench) tryUp(script string) (*snapshot.Capturer, error) {
	b.t.Helper()
	return b.forward("up", 1, script)
}

func (b *bench) forward(direction string, migration int64, script string) (*snapshot.Capturer, error) {
	ctx := context.Background()
	c := b.store.Begin(snapshot.Meta{Run: "test", Direction: direction, CreatedBy: "test", Migration: migration})
	return c, b.tx(func(tx *sql.Tx) error {
		for i, st := range b.parse(script) {
			if err := c.Statement(ctx, tx, i+1, st, func() error { _, err := tx.ExecContext(ctx, st.SQL); return err }); err != nil {
				return fmt.Errorf("%s: %w", st.SQL, err)
			}
		}
		return c.Seal(ctx, tx, b.watch)
	})
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
	err := b.tx(func(tx *sql.Tx) error {
		r, err := b.store.Restorer(ctx, tx, 1, other)
		if err != nil {
			return err
		}
		c := b.store.Begin(snapshot.Meta{Run: "test", Direction: direction, CreatedBy: "test", Migration: 1})
		if r != nil {
			if err := r.Check(ctx, tx); err != nil {
				return err
			}
		}
		list := b.parse(script)
		for i, st := range list {
			if err := c.Statement(ctx, tx, i+1, st, func() error { _, err := tx.ExecContext(ctx, st.SQL); return err }); err != nil {
				return fmt.Errorf("%s: %w", st.SQL, err)
			}
			if r != nil {
				if err := r.Place(ctx, tx, list[i+1:]...); err != nil {
					return fmt.Errorf("after %s: %w", st.SQL, err)
				}
			}
		}
		if r != nil {
			if rep, err = r.Finish(ctx, tx, p, c); err != nil {
				return err
			}
		}
		return c.Seal(ctx, tx, nil)
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
			if b.db.Kind == engine.SQLite {
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
