package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestSecretsOfEnvsubStayOut is rule 12: what ENVSUB puts into a migration runs, and the catalog keeps the text without it, from which
// a rollback without the file works all the same.
func TestSecretsOfEnvsubStayOut(t *testing.T) {
	t.Setenv("DBROLLBACK_TEST_SECRET", "hunter22")
	for _, e := range testdb.Engines() {
		dsn := e.New(t)
		f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": "-- +goose ENVSUB ON\n" + migration("UPDATE people SET note = '${DBROLLBACK_TEST_SECRET}' WHERE id = 1;", "SELECT 1;")})
		before := f.dump()
		f.up()
		if got := f.people()[0]; got != "1|Ada|10|hunter22" {
			t.Errorf("%s: %s", e, got)
		}
		catalog := "dbrollback_migrations"
		if f.db.Caps.Schemas {
			catalog = "dbrollback.dbrollback_migrations"
		}
		if text := strings.Join(testdb.Query(t, dsn, "SELECT * FROM "+catalog), "\n"); strings.Contains(text, "hunter22") || !strings.Contains(text, "${DBROLLBACK_TEST_SECRET}") {
			t.Errorf("%s: the catalog holds %s", e, text)
		}
		delete(f.files, "00001_a.sql")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), string(e)+": after the rollback without the file")
	}
}

// TestLongLocksAreRefused is rule 13: what would keep others out of a table for longer than is allowed does not begin.
func TestLongLocksAreRefused(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	f := newFixture(t, dsn, strings.Join(append(series(dsn, 20_000), "ANALYZE big"), ";\n"), map[string]string{"00001_a.sql": migration("UPDATE big SET a = 0;", "SELECT 1;")})
	before := f.dump()
	_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1, MaxLock: time.Millisecond})
	var refused *migrate.RefusedError
	if !errors.As(err, &refused) || refused.Reasons[0].Hint == "" {
		t.Fatalf("err = %v, want a refusal with a hint", err)
	}
	f.same(before, f.dump(), "after the refusal")
	if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1, MaxLock: time.Hour}); err != nil {
		t.Errorf("within the limit: %v", err)
	}
}

// TestVersionTableElsewhere: goose's table may lie in another schema, under another name.
func TestVersionTableElsewhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people+"CREATE SCHEMA ops;\n", map[string]string{"00001_a.sql": migration("UPDATE people SET score = 0;", "SELECT 1;")})
	open := func() *migrate.Migrator {
		m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", VersionTable: "ops.versions"})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before := f.people()
	if _, err := open().Up(t.Context(), migrate.UpRequest{To: -1}); err != nil {
		t.Fatal(err)
	}
	if got := testdb.Query(t, f.dsn, "SELECT max(version_id), to_regclass('goose_db_version') FROM ops.versions")[0]; got != "1|NULL" {
		t.Errorf("versions: %s", got)
	}
	if _, err := open().Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err != nil {
		t.Fatal(err)
	}
	if got := f.people(); !slices.Equal(got, before) {
		t.Errorf("people %q, want %q", got, before)
	}
}

// TestEnumValuesStay: an enum takes no value back, so a Down that says nothing about it is refused with the difference; the value is
// not used in the transaction that adds it.
func TestEnumValuesStay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people+"CREATE TYPE mood AS ENUM ('a', 'b');\n", map[string]string{"00001_a.sql": migration("ALTER TYPE mood ADD VALUE 'c';", "SELECT 1;")})
	f.up()
	after := f.dump()
	_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
	var drift *migrate.DriftError
	if !errors.As(err, &drift) || drift.When != "after" || !strings.Contains(drift.Error(), "mood") {
		t.Fatalf("err = %v, want a difference of mood", err)
	}
	f.same(after, f.dump(), "after the refusal")
	f.files["00002_b.sql"] = f.files["00001_a.sql"]
	f.files["00002_b.sql"].Data = []byte(migration("ALTER TYPE mood ADD VALUE 'd';\nALTER TABLE people ADD COLUMN m mood DEFAULT 'd';", "ALTER TABLE people DROP COLUMN m;"))
	delete(f.files, "00001_a.sql")
	_, err = f.open().Up(t.Context(), migrate.UpRequest{To: -1})
	if e, ok := engine.AsError(err); !ok || e.Hint == "" && !strings.Contains(err.Error(), "unsafe use") {
		t.Errorf("used at once: %v", err)
	}
	f.same(after, f.dump(), "after a failed up")
}

// TestDetachedPartition goes and comes back with its rows, and with those that were written into it meanwhile; so do the rows of other
// tables that a key sets to its default.
func TestDetachedPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), `CREATE TABLE m (id integer NOT NULL, k integer NOT NULL, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);
INSERT INTO m SELECT i, i, 'v' || i FROM generate_series(1, 15) i;
CREATE TABLE par (id integer PRIMARY KEY);
CREATE TABLE chi (id integer PRIMARY KEY, par integer DEFAULT 1 REFERENCES par ON DELETE SET DEFAULT ON UPDATE CASCADE);
INSERT INTO par VALUES (1), (2), (3);
INSERT INTO chi VALUES (1, 2), (2, 3), (3, NULL);
`, map[string]string{"00001_a.sql": migration("UPDATE m SET v = 'x' WHERE id > 8;\nALTER TABLE m DETACH PARTITION m1;\nDELETE FROM m1 WHERE id = 2;\nDELETE FROM par WHERE id = 2;", "ALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (0) TO (10);")})
	before := f.dump()
	f.up()
	after := f.dump()
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
	f.up()
	f.same(after, f.dump(), "up again")
	f.exec("INSERT INTO m1 VALUES (7, 8, 'app');")
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.exec("DELETE FROM m WHERE v = 'app';")
	f.same(before, f.dump(), "with a row written meanwhile")
}

// TestDeferredTriggersAreSeen is rule 2: what a deferred trigger writes at the commit belongs to the statement, and comes back with it.
func TestDeferredTriggersAreSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people, map[string]string{"00001_a.sql": migration("UPDATE people SET score = 0 WHERE id = 1;\nALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';")})
	testdb.Exec(t, f.dsn, "CREATE TABLE counts (k text PRIMARY KEY, n integer)", "INSERT INTO counts VALUES ('people', 7)",
		"CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE counts SET n = n + 1; RETURN NULL; END'",
		"CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON people DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()")
	before := f.dump()
	f.up()
	if got := testdb.Query(t, f.dsn, "SELECT n FROM counts")[0]; got != "8" {
		t.Fatalf("counts %s: the trigger did not write", got)
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
}

// TestDeferredConstraintIsPlaced: what the server finds only at the commit has a place in a file, too, and had no effect.
func TestDeferredConstraintIsPlaced(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{"one transaction": "", "steps": "-- +goose NO TRANSACTION\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), "CREATE TABLE boss (id integer PRIMARY KEY);\nCREATE TABLE person (id integer PRIMARY KEY, boss integer REFERENCES boss DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO boss VALUES (1);\nINSERT INTO person VALUES (1, 1);",
				map[string]string{"00001_a.sql": head + migration("UPDATE person SET boss = 2;", "SELECT 1;")})
			before := f.dump()
			_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
			var at *migrate.StatementError
			e, _ := engine.AsError(err)
			if !errors.As(err, &at) || at.File != "00001_a.sql" && at.File != "migrations/00001_a.sql" || at.Line < 2 || e.Class != engine.Constraint || !strings.Contains(e.Message, "person_boss_fkey") {
				t.Fatalf("err = %v", err)
			}
			f.same(before, f.dump(), "after the commit was refused")
		})
	}
}

// TestOlderMigrationAfterANewerOne is refused, as goose does: what it would do to a schema that is further on, nobody has tried.
func TestOlderMigrationAfterANewerOne(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00002_b.sql": migration("UPDATE people SET score = 0;", "SELECT 1;")})
		f.up()
		f.files["00001_a.sql"] = f.files["00002_b.sql"]
		before := f.dump()
		_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
		if err == nil || !strings.Contains(err.Error(), "00001_a.sql") {
			t.Errorf("err = %v, want a refusal that names the file", err)
		}
		f.same(before, f.dump(), "after the refusal")
	})
}
