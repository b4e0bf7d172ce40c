package migrate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestDownThatCannotBeRead: up refuses a migration of which the server could not read a statement of Down, before anything ran, and says where; that is accepted as any
// other reason for which nothing could undo it.
func TestDownThatCannotBeRead(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, bad := range []string{"ALTER TABLE people DROP COLUM a b;", "CRATE TABLE x (id integer);", "DELETE FORM people;", "ALTER TABLE people\n  ADD COLUMN ((b integer;"} {
			f := newFixture(t, dsn, "", map[string]string{
				"00001_a.sql": migration("CREATE TABLE t1 (id integer PRIMARY KEY);", "DROP TABLE t1;"),
				"00002_b.sql": migration("CREATE TABLE t2 (id integer PRIMARY KEY);", "DROP TABLE t2;\n"+bad),
			})
			before := f.dump()
			_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
			var refused *migrate.RefusedError
			if !errors.As(err, &refused) || len(refused.Reasons) != 1 || refused.Reasons[0].File != "migrations/00002_b.sql" || refused.Reasons[0].Line < 5 ||
				!strings.Contains(refused.Reasons[0].Message, "cannot read this statement of Down") {
				t.Fatalf("%s: err = %+v, want a refusal that names it", bad, err)
			}
			f.same(before, f.dump(), "after the refusal")
			p, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
			if err != nil || p.Migrations[1].Verdict != migrate.Irreversible {
				t.Errorf("%s: plan: %v %+v", bad, err, p)
			}
		}
		f := newFixture(t, dsn, "", map[string]string{"00001_a.sql": "-- +dbrollback irreversible: never mind\n" + migration("CREATE TABLE t1 (id integer PRIMARY KEY);", "DROP TABEL t1;")})
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1, AllowIrreversible: true}); err != nil {
			t.Errorf("accepted: %v", err)
		}
	}, testdb.Everywhere()...)
}

// TestDownThatRollbackRefuses: up refuses, before anything ran, what rollback would refuse: there would be no way back.
func TestDownThatRollbackRefuses(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const up, down = "CREATE TABLE t1 (id integer PRIMARY KEY);", "BEGIN;\nDROP TABLE t1;\nCOMMIT;"
		f := newFixture(t, dsn, "", map[string]string{"00001_a.sql": migration(up, down)})
		before := f.dump()
		_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || len(refused.Reasons) != 2 || refused.Reasons[0].Line != 4 ||
			refused.Reasons[0].Message != "rollback refuses this statement of Down: a migration must not control its own transaction: BEGIN" {
			t.Fatalf("err = %+v, want a refusal of BEGIN and COMMIT", err)
		}
		f.same(before, f.dump(), "after the refusal")
		f = newFixture(t, dsn, "", map[string]string{"00001_a.sql": "-- +dbrollback irreversible: never mind\n" + migration(up, down)})
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1, AllowIrreversible: true}); err != nil {
			t.Errorf("accepted: %v", err)
		}
	}, testdb.Everywhere()...)
}

// TestStatementOfTheOtherServer: what is read here and not by the server, and by the server of the same family perhaps, is refused before anything ran, where it would stop a migration half-way.
func TestStatementOfTheOtherServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bad string
		by  engine.Kind // that does not read it; "" neither
	}{
		{"DROP INDEX IF EXISTS by_note ON t1;", engine.MySQL},
		{"ALTER TABLE t1 DROP COLUMN IF EXISTS note;", engine.MySQL},
		{"ALTER TABLE t1 MODIFY note integer REFERENCES people (id);", ""},
		{"ALTER TABLE t1 ALTER INDEX by_note INVISIBLE;", engine.MariaDB},
		{"CREATE INDEX by_more ON t1 ((note + 1));", engine.MariaDB},
	} {
		testdb.Each(t, func(t *testing.T, dsn string) {
			f := newFixture(t, dsn, "CREATE TABLE t1 (id integer PRIMARY KEY, note integer, KEY by_note (note));\n"+people, nil)
			refused := func(version, side string, do func() error) {
				t.Helper()
				before := f.dump()
				err := do()
				if c.by != "" && f.db.Kind != c.by {
					return
				}
				var r *migrate.RefusedError
				if !errors.As(err, &r) || !strings.Contains(r.Reasons[0].Message, "cannot read this statement of "+side) || !strings.Contains(r.Reasons[0].File, version) {
					t.Fatalf("%s: err = %v, want a refusal", c.bad, err)
				}
				f.same(before, f.dump(), "after the refusal")
			}
			const first = "ALTER TABLE t1 ADD COLUMN a integer;"
			up := func() error {
				_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
				return err
			}
			f.add("00001_a.sql", migration(first, "ALTER TABLE t1 DROP COLUMN a;\n"+c.bad))
			refused("00001", "Down", up)
			f.add("00001_a.sql", migration(first+"\n"+c.bad, "SELECT 1;"))
			refused("00001", "Up", up)
		}, family...)
	}
}

// TestDownThatOnlyTheServerKnows: what a server does not say against the text itself, such as that a table is not there yet, is no reason.
func TestDownThatOnlyTheServerKnows(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, nil)
		downs := map[engine.Kind]string{
			engine.MySQL:   "CREATE TABLE j (id integer PRIMARY KEY, g GEOMETRY SRID 4326 INVISIBLE);\nDROP TABLE j;",
			engine.MariaDB: "ALTER TABLE IF EXISTS nosuch ADD COLUMN a integer;",
		}
		down, is := downs[f.db.Kind]
		if !is {
			down = "DROP TABLE nosuch;"
		}
		f.add("00001_a.sql", migration("CREATE TABLE t1 (id integer PRIMARY KEY);", down+"\nDROP TABLE t1;"))
		f.up()
	}, testdb.Everywhere()...)
}

// TestOnlyDownCouldTakeItBack: what dbrollback cannot make again is refused by up where Down does not either.
func TestOnlyDownCouldTakeItBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, up, down, says string }{
		{"a value renamed", "ALTER TYPE mood RENAME VALUE 'a' TO 'z';", "SELECT 1;", "renames a value of mood"},
		{"default privileges", "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;", "SELECT 1;", "changes default privileges"},
		{"a value renamed, and back", "ALTER TYPE mood RENAME VALUE 'a' TO 'z';", "ALTER TYPE mood RENAME VALUE 'z' TO 'a';", ""},
		{"default privileges, and back", "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;", "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;", ""},
		{"of a type that it makes", "CREATE TYPE tone AS ENUM ('a');\nALTER TYPE tone RENAME VALUE 'a' TO 'z';", "DROP TYPE tone;", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), people+"CREATE TYPE mood AS ENUM ('a', 'b');\n", map[string]string{"00001_a.sql": migration("UPDATE people SET score = 0;\n"+c.up, c.down)})
			before := f.dump()
			_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(before, f.dump(), "after the rollback")
				return
			}
			var refused *migrate.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reasons[0].Message, c.says) || refused.Reasons[0].Line != 3 {
				t.Fatalf("err = %+v, want a refusal: %s", err, c.says)
			}
			f.same(before, f.dump(), "after the refusal")
		})
	}
}
