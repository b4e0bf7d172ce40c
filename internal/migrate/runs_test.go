package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestTwoRunsAtOnce: one waits for the other; every migration runs once.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		files := map[string]string{
			"00001_a.sql": migration("UPDATE people SET score = score + 1;", "SELECT 1;"),
			"00002_b.sql": migration("ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"),
			"00003_c.sql": migration("INSERT INTO orders VALUES (99, 1, 1);", "DELETE FROM orders WHERE id = 99;"),
		}
		f := newFixture(t, dsn, people, files)
		var wg sync.WaitGroup
		for range 2 {
			db, err := engine.Open(t.Context(), dsn, engine.Options{LockTimeout: 30 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			m, err := migrate.Open(t.Context(), migrate.Options{DB: db, Files: f.files, Dir: "migrations", LockWait: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				if _, err := m.Up(context.Background(), migrate.UpRequest{To: -1}); err != nil {
					t.Errorf("up: %v", err)
				}
			}()
		}
		wg.Wait()
		if got := testdb.Query(t, dsn, "SELECT sum(score), (SELECT count(*) FROM orders), (SELECT count(*) FROM goose_db_version WHERE version_id > 0) FROM people"); got[0] != "73|5|3" {
			t.Errorf("sum of scores, orders, versions = %s, want 73|5|3: each migration once", got[0])
		}
	}, testdb.Everywhere()...)
}

// TestGooseAgrees: goose sees what dbrollback applied, and dbrollback what goose applied.
func TestGooseAgrees(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;"),
			"00002_b.sql": migration("ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"),
			"00003_c.sql": migration("UPDATE people SET score = 0;", "SELECT 1;"),
		})
		dialect := map[engine.Kind]database.Dialect{engine.Postgres: database.DialectPostgres, engine.SQLite: database.DialectSQLite3, engine.MySQL: database.DialectMySQL, engine.MariaDB: database.DialectMySQL}[f.db.Kind]
		p, err := goose.NewProvider(dialect, testdb.Open(t, dsn), f.files)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.UpTo(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if res := f.up(); res.From != 1 || res.To != 3 || len(res.Migrations) != 2 {
			t.Fatalf("up after goose's 1: %+v", res)
		}
		if v, err := p.GetDBVersion(t.Context()); err != nil || v != 3 {
			t.Errorf("goose is at %d, %v; want 3", v, err)
		}
		f.rollback(migrate.RollbackRequest{To: 1})
		if v, err := p.GetDBVersion(t.Context()); err != nil || v != 1 {
			t.Errorf("goose is at %d, %v; want 1", v, err)
		}
		// What goose applied has no captures: it is refused unless that is accepted.
		_, err = f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Reasons[0].Hint, "--allow-uncaptured") {
			t.Errorf("err = %v, want a refusal that names --allow-uncaptured", err)
		}
		f.rollback(migrate.RollbackRequest{To: 0, AllowUncaptured: true})
		if v, err := p.GetDBVersion(t.Context()); err != nil || v != 0 {
			t.Errorf("goose is at %d, %v; want 0", v, err)
		}
	}, testdb.Everywhere()...)
}

// TestStatementErrorHasItsPlace: a server's error carries file, line and column, and nothing of the migration stays.
func TestStatementErrorHasItsPlace(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("UPDATE people SET score = 0;\n\n  UPDATE people\n  SET nosuch = 1;", "SELECT 1;"),
		})
		before := f.dump()
		_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
		var at *migrate.StatementError
		if !errors.As(err, &at) {
			t.Fatalf("err = %v, want a StatementError", err)
		}
		if at.File != "migrations/00001_a.sql" || at.Line < 4 || at.Line > 5 {
			t.Errorf("at %s:%d:%d, want line 4 or 5 of migrations/00001_a.sql", at.File, at.Line, at.Column)
		}
		var partial *migrate.PartialError
		if errors.As(err, &partial) && partial.Unfinished { // no transaction around it: what ran is known, and taken back
			if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
				t.Fatal(err)
			}
		}
		f.same(before, f.dump(), "after a failed up")
	}, testdb.Everywhere()...)
}

// TestTransactionControlIsRefused is rule 10.
func TestTransactionControlIsRefused(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, stmt := range []string{"COMMIT;", "ROLLBACK;", "SAVEPOINT a;", "BEGIN;"} {
			f := newFixture(t, dsn, "", map[string]string{"00001_a.sql": migration("CREATE TABLE x (id integer PRIMARY KEY);\n"+stmt, "DROP TABLE x;")})
			_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1, AllowIrreversible: true})
			var refused *migrate.RefusedError
			if !errors.As(err, &refused) || refused.Reasons[0].Line != 3 {
				t.Errorf("%s: err = %v, want a refusal at line 3", stmt, err)
			}
		}
	}, testdb.Everywhere()...)
}

// TestPlanChangesNothing: a plan with rehearsal shows what a DO block touches, and leaves no trace.
func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people DROP COLUMN note;\nDELETE FROM orders WHERE id = 10;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"),
		})
		before := f.dump()
		for _, rehearse := range []bool{false, true} {
			p, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1, Rehearse: rehearse})
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Migrations) != 1 || p.Migrations[0].Verdict != migrate.Restorable || len(p.Migrations[0].Steps) != 2 {
				t.Fatalf("plan = %+v", p)
			}
			for i, kind := range []string{"columns", "rows"} {
				c := p.Migrations[0].Steps[i].Captures
				if len(c) != 1 || string(c[0].Kind) != kind {
					t.Errorf("captures of step %d = %+v, want one of kind %s", i+1, c, kind)
				}
			}
		}
		f.same(before, f.dump(), "after plan")
		if s, err := f.open().Status(t.Context()); err != nil || s.Current != 0 {
			t.Errorf("status = %+v, %v", s, err)
		}
	}, testdb.Everywhere()...)
}

// TestAnotherRoleCannotReadCaptures: captured data is readable by its owner alone.
func TestAnotherRoleCannotReadCaptures(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"),
		})
		role, name := testdb.Role(t, dsn)
		for _, to := range []string{"PUBLIC", `"` + name + `"`} { // what is made from here on is theirs to read, except ours
			testdb.Exec(t, dsn, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "+to, "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO "+to)
		}
		f.up()
		for _, q := range []string{"SELECT count(*) FROM dbrollback.state_snapshots", "SELECT count(*) FROM dbrollback.dbrollback_migrations"} {
			var n int
			if err := testdb.Open(t, role).QueryRow(q).Scan(&n); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s as another role: %d, %v; want permission denied", q, n, err)
			}
		}
		// The same role without the right to make our schema is told which right it lacks.
		db, err := engine.Open(t.Context(), role, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		m, err := migrate.Open(t.Context(), migrate.Options{DB: db, Files: f.files, Dir: "migrations"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		if e, ok := engine.AsError(err); !ok || e.Class != engine.Privilege || !strings.Contains(e.Message+e.Hint, "GRANT") {
			t.Errorf("err = %v, want a privilege error that names the GRANT", err)
		}
	}, testdb.OnPostgres)
}

// fill makes the tables of people with 2,000 rows each.
func fill(t *testing.T, dsn string) {
	t.Helper()
	var stmts []string
	for _, s := range strings.Split(people, ";\n") {
		if strings.HasPrefix(strings.TrimSpace(s), "CREATE") {
			stmts = append(stmts, s)
		}
	}
	var p, o []string
	for i := range 2000 {
		p = append(p, fmt.Sprintf("(%d, 'name %d', %d, 'note %d')", i, i, i%7, i))
		o = append(o, fmt.Sprintf("(%d, %d, %d.25)", i, i, i))
	}
	testdb.Exec(t, dsn, append(stmts, "INSERT INTO people VALUES "+strings.Join(p, ", "), "INSERT INTO orders VALUES "+strings.Join(o, ", "))...)
}

// TestRetention: up drops captures that have expired and no others; a release that is kept keeps its captures.
func TestRetention(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("UPDATE people SET score = 0 WHERE id = 1;", "SELECT 1;"),
			"00002_b.sql": migration("UPDATE people SET score = 0 WHERE id = 2;", "SELECT 1;"),
		})
		open := func(keep time.Duration, releases int) *migrate.Migrator {
			m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Keep: keep, KeepReleases: releases})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		captures := func() int {
			t.Helper()
			s, err := f.open().Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s.Captures.Captures
		}
		for i, step := range []struct {
			to       int64
			keep     time.Duration
			releases int
			release  string
			want     int
		}{
			{1, time.Hour, 0, "v1", 1},      // fresh: stays
			{2, time.Nanosecond, 1, "", 2},  // expired at once, but the way back to v1 needs it
			{-1, time.Nanosecond, 1, "", 2}, // still
			{-1, time.Hour, 0, "", 1},       // no release is kept any more: what has expired goes, the fresh one stays
		} {
			if _, err := open(step.keep, step.releases).Up(t.Context(), migrate.UpRequest{To: step.to, Release: step.release}); err != nil {
				t.Fatal(err)
			}
			if got := captures(); got != step.want {
				t.Errorf("step %d: %d captures, want %d", i, got, step.want)
			}
		}
	}, testdb.Everywhere()...)
}

// TestNewTablesCostNothing: what a migration does to a table that it makes itself needs no capture.
func TestNewTablesCostNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "", map[string]string{
			"00001_a.sql": migration("CREATE TABLE fresh (id integer PRIMARY KEY, n integer);\nINSERT INTO fresh VALUES (1, 1);\nUPDATE fresh SET n = 2;\nALTER TABLE fresh DROP COLUMN n;", "DROP TABLE fresh;"),
		})
		p, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
		if err != nil {
			t.Fatal(err)
		}
		if v := p.Migrations[0].Verdict; v != migrate.Lossless {
			t.Errorf("verdict = %s, want lossless", v)
		}
		if res := f.up(); res.Migrations[0].Rows != 0 {
			t.Errorf("captured %d rows, want none", res.Migrations[0].Rows)
		}
	}, testdb.Everywhere()...)
}
