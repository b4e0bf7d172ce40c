package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A table that is dropped and made anew has other rows under the keys of the old one. Where Down removes it with them, the captured rows have
// their places again: all of them come back, and none is a conflict.
func TestRowsBackAfterATableWithOtherRows(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ up, down, writes string }{
		"at once": {
			"DROP TABLE visit;\nCREATE TABLE visit (id integer PRIMARY KEY, place integer);",
			"DROP TABLE visit;\nCREATE TABLE visit (id integer PRIMARY KEY, who text, day integer);\nCREATE INDEX visit_day ON visit (day);",
			"INSERT INTO visit VALUES (1, 7), (3, 8), (9, 9);",
		},
		"beside another table": {
			"DROP TABLE visit;\nCREATE TABLE place (id integer PRIMARY KEY);\nCREATE TABLE visit (id integer PRIMARY KEY, place integer REFERENCES place);",
			"DROP TABLE visit;\nDROP TABLE place;\nCREATE TABLE visit (id integer PRIMARY KEY, who text, day integer);\nCREATE INDEX visit_day ON visit (day);",
			"INSERT INTO place VALUES (7);\nINSERT INTO visit VALUES (2, 7), (9, 7);",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE visit (id integer PRIMARY KEY, who text, day integer);\nCREATE INDEX visit_day ON visit (day);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', 20), (3, NULL, 30);",
					map[string]string{"00001_a.sql": migration(tc.up, tc.down)})
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT id, who, day FROM visit ORDER BY id"), "\n")
				}
				before := rows()
				f.up()
				f.exec(tc.writes)
				between := f.dump()
				for range 2 {
					if res := f.rollback(migrate.RollbackRequest{}); len(res.Conflicts) > 0 {
						t.Errorf("conflicts: %+v", res.Conflicts)
					}
					if got := rows(); got != before {
						t.Errorf("after the rollback:\n%s\nwant:\n%s", got, before)
					}
					f.up()
					f.same(between, f.dump(), "up again")
				}
			})
		})
	}
}

// An up after a rollback lets a table that it has made be filled before what was in it comes back, also where a constraint is added meanwhile.
func TestATableIsFilledBeforeItsRowsComeBack(t *testing.T) {
	t.Parallel()
	for _, constraint := range []string{"CREATE UNIQUE INDEX grant_who ON granted (who);", "ALTER TABLE granted ADD CONSTRAINT granted_who FOREIGN KEY (who) REFERENCES person (name);"} {
		t.Run(constraint[:6], func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), "CREATE TABLE person (name text PRIMARY KEY);\nCREATE TABLE session (id serial PRIMARY KEY, who text REFERENCES person);\n"+
				"INSERT INTO person VALUES ('ann'), ('bob'), ('cy');\nINSERT INTO session (who) VALUES ('ann'), ('bob');", map[string]string{
				"00001_a.sql": migration("CREATE TABLE granted (id serial PRIMARY KEY, who text);\n"+constraint+"\nINSERT INTO granted (who) SELECT who FROM session ORDER BY id;\n"+
					"DROP TABLE session;\nCREATE TABLE session (id serial PRIMARY KEY, who text REFERENCES person, by integer REFERENCES granted);",
					"DROP TABLE session;\nDROP TABLE granted;\nCREATE TABLE session (id serial PRIMARY KEY, who text REFERENCES person);"),
			})
			before := f.dump()
			f.up()
			after := f.dump()
			f.backAndUp(before, after)
			f.exec("INSERT INTO granted (who) VALUES ('cy');\nINSERT INTO session (who, by) VALUES ('cy', 3), ('ann', 1);")
			between := f.dump()
			f.backAndUp(before, between)
			f.backAndUp(before, between)
		})
	}
}

// A table that is made anew beside the old one has a sequence with another name, as that one's is taken. Where Down does nothing about it the sequence gets
// the name that the old one had, and goes on after every number that was handed out.
func TestSerialOfATableMadeBesideTheOldOne(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	f := newFixture(t, dsn, "CREATE TABLE device (id serial PRIMARY KEY, kind varchar(20));\nINSERT INTO device (kind) VALUES ('a'), ('b');", map[string]string{
		"00001_a.sql": migration("ALTER TABLE device DROP CONSTRAINT device_pkey;\nALTER TABLE device RENAME TO old_device;\nCREATE TABLE device (id serial CONSTRAINT device_pkey PRIMARY KEY, kind varchar(50));\n"+
			"INSERT INTO device (id, kind) SELECT id, kind FROM old_device;\nDROP TABLE old_device;", "DROP TABLE IF EXISTS old_device;"),
	})
	before := f.dump()
	f.up()
	after := f.dump()
	f.backAndUp(before, after)
	f.exec("SELECT setval('device_id_seq1', 2);\nINSERT INTO device (kind) VALUES ('c'), ('d');\nUPDATE device SET kind = 'A' WHERE id = 1;\nDELETE FROM device WHERE id = 4;")
	f.rollback(migrate.RollbackRequest{})
	f.exec("INSERT INTO device (kind) VALUES ('e')")
	if got := strings.Join(testdb.Query(t, dsn, "SELECT id || kind FROM device ORDER BY id"), " "); got != "1A 2b 3c 5e" {
		t.Errorf("after the rollback: %s", got)
	}
	if left := testdb.Query(t, dsn, "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace AND relname LIKE 'device%'"); len(left) != 1 || left[0] != "device_id_seq" {
		t.Errorf("sequences: %q", left)
	}
}

// A question about a column that Down itself adds cannot be asked before, and is no warning.
func TestNoWarningAboutAColumnThatDownAdds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), "CREATE TABLE person (id integer PRIMARY KEY, mail text UNIQUE);\nCREATE TABLE code (id integer PRIMARY KEY, person integer NOT NULL);\n"+
		"INSERT INTO person VALUES (1, 'a@b'), (2, 'c@d');\nINSERT INTO code VALUES (1, 2), (2, 1);", map[string]string{
		"00001_a.sql": migration("ALTER TABLE code ADD COLUMN mail text;\nUPDATE code SET mail = (SELECT mail FROM person p WHERE p.id = code.person);\nALTER TABLE code DROP COLUMN person, ALTER COLUMN mail SET NOT NULL;",
			"ALTER TABLE code ADD COLUMN person integer;\nUPDATE code SET person = (SELECT id FROM person p WHERE p.mail = code.mail);\nALTER TABLE code DROP COLUMN mail, ALTER COLUMN person SET NOT NULL;"),
	})
	before := f.dump()
	f.up()
	if res := f.rollback(migrate.RollbackRequest{}); len(res.Warnings) > 0 {
		t.Errorf("warnings: %q", res.Warnings)
	}
	f.same(before, f.dump(), "after the rollback")
}

// renumbered is a migration whose Down fills a table without saying what the keys are: which row gets which is chance.
func renumbered(dsn string) (setup, text string) {
	id := "id serial PRIMARY KEY"
	switch {
	case strings.HasPrefix(dsn, "sqlite"):
		id = "id integer PRIMARY KEY"
	case !strings.HasPrefix(dsn, "postgres"):
		id = "id integer AUTO_INCREMENT PRIMARY KEY"
	}
	device := "CREATE TABLE device (" + id + ", kind varchar(20));\n"
	return device + "INSERT INTO device (kind) VALUES ('a'), ('b'), ('c');\nDELETE FROM device WHERE id = 1;",
		migration("CREATE TABLE credential ("+id+", kind varchar(20), legacy boolean NOT NULL DEFAULT false);\nINSERT INTO credential (kind, legacy) SELECT kind, true FROM device ORDER BY id;\nDROP TABLE device;",
			device+"INSERT INTO device (kind) SELECT kind FROM credential WHERE legacy ORDER BY kind DESC;\nDROP TABLE credential;")
}

const renumberedWrites = "INSERT INTO credential (kind, legacy) VALUES ('x', true), ('bb', true), ('n', false);"

// renumberedRight says of all rows what is there after the rollback: what the application wrote is not written over by the captured row that happens to
// have its key, it gets another one, and each row of before stands under its own.
func renumberedRight(t *testing.T, dsn string) {
	t.Helper()
	if got := strings.Join(testdb.Query(t, dsn, "SELECT kind FROM device ORDER BY kind"), " "); got != "b bb c x" {
		t.Errorf("after the rollback: %s", got)
	}
	if got := strings.Join(testdb.Query(t, dsn, "SELECT id, kind FROM device WHERE kind IN ('b', 'c') ORDER BY id"), " "); got != "2|b 3|c" {
		t.Errorf("rows of before: %s", got)
	}
}

func TestRowsThatDownNumbersAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		setup, text := renumbered(dsn)
		f := newFixture(t, dsn, setup, map[string]string{"00001_a.sql": text})
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{})
		f.same(before, f.dump(), "after the rollback")
		f.up()
		f.exec(renumberedWrites)
		between := f.dump()
		for range 2 {
			f.rollback(migrate.RollbackRequest{})
			renumberedRight(t, dsn)
			f.up()
			f.same(between, f.dump(), "up again")
		}
	}, testdb.Everywhere()...)
}

// TestCutOffWhileRowsAreNumberedAnew: the same, however far such a rollback had come.
func TestCutOffWhileRowsAreNumberedAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		setup, text := renumbered(dsn)
		c := newCutter(t, dsn, text)
		c.exec(setup)
		c.must("up")
		c.exec(renumberedWrites)
		between := testdb.DumpAnyOrder(t, dsn)
		n := len(c.commands("rollback"))
		c.must("up")
		const cuts = 16
		for i := range cuts {
			at := n * (2*i + 1) / (2 * cuts)
			what, err := c.cutAt("rollback", at, []cut{afterAnswer, beforeIt, afterSending}[i%3])
			was, merr := c.mend("recover")
			if merr != nil {
				t.Fatalf("cut off at command %d, %.80q (%v): recover: %v", at, what, err, merr)
			}
			if !was && err != nil {
				c.must("rollback")
			}
			if renumberedRight(t, dsn); t.Failed() {
				t.Fatalf("cut off at command %d, %.80q (%v)", at, what, err)
			}
			c.must("up")
			if got := testdb.DumpAnyOrder(t, dsn); got != between {
				t.Fatalf("up after one that was cut off at command %d:\n%s", at, testdb.Diff(between, got))
			}
		}
	}, family...)
}
