package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// droppedTwice are tables that Up drops and makes anew, and that Down only drops.
var droppedTwice = map[string]struct{ setup, up, writes string }{
	"other columns": {
		"CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer DEFAULT 7);\nCREATE INDEX visit_who ON visit (who);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);",
		"DROP TABLE visit;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, place varchar(30), day integer DEFAULT 7);\nCREATE INDEX visit_who ON visit (place);",
		"INSERT INTO visit VALUES (1, 'here', 1), (9, 'there', 9);",
	},
	"same columns": {
		"CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer DEFAULT 7);\nCREATE INDEX visit_who ON visit (who);\nCREATE UNIQUE INDEX visit_day ON visit (day);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL);",
		"DROP TABLE visit;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer DEFAULT 7);\nCREATE INDEX visit_who ON visit (who);",
		"INSERT INTO visit VALUES (1, 'new', 10), (9, 'new', 10);",
	},
	"filled anew": {
		"CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20));\nINSERT INTO visit VALUES (1, 'ann'), (2, 'bob');",
		"DROP TABLE visit;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, place varchar(30) NOT NULL);\nINSERT INTO visit VALUES (2, 'seed'), (3, 'seed');",
		"UPDATE visit SET place = 'used' WHERE id = 2;\nDELETE FROM visit WHERE id = 3;\nINSERT INTO visit VALUES (4, 'new');",
	},
}

// A table that Up drops and makes anew, and that Down only drops, is made as it was, with all its rows; what was in the new one comes back with the
// next up.
func TestTableThatDownOnlyDrops(t *testing.T) {
	t.Parallel()
	for name, tc := range droppedTwice {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, tc.setup, map[string]string{"00001_a.sql": migration(tc.up, "DROP TABLE visit;")})
				before := f.dump()
				f.up()
				after := f.dump()
				if commits := strings.HasPrefix(dsn, "mysql") || strings.HasPrefix(dsn, "mariadb"); commits {
					f.refusedAndTakenBack(name, after)
					return
				}
				f.backAndUp(before, after)
				f.exec(tc.writes)
				written := testdb.Query(t, dsn, "SELECT * FROM visit ORDER BY id")
				f.rollback(migrate.RollbackRequest{})
				f.same(before, f.dump(), "after the rollback with writes")
				f.up()
				if name == "filled anew" { // Up's own INSERT runs once more
					written = append(written[:1], append([]string{"3|seed"}, written[1:]...)...)
				}
				if got := testdb.Query(t, dsn, "SELECT * FROM visit ORDER BY id"); strings.Join(got, "\n") != strings.Join(written, "\n") {
					t.Errorf("up after writes: %q, want %q", got, written)
				}
				f.rollback(migrate.RollbackRequest{})
				f.same(before, f.dump(), "after the last rollback")
			}, testdb.Everywhere()...)
		})
	}
}

// refusedAndTakenBack: where each statement commits, Down has to make the table itself, and recover --abort gives back what it dropped.
func (f *fixture) refusedAndTakenBack(name, after string) {
	f.t.Helper()
	_, err := f.open().Rollback(f.t.Context(), migrate.RollbackRequest{})
	var place *snapshot.PlaceError
	if !errors.As(err, &place) || place.Table.Name != "visit" || place.Rows < 2 || len(place.Columns) > 0 {
		f.t.Fatalf("%s: %v, want to hear that the table was not made again", name, err)
	}
	if _, err := f.open().Recover(f.t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
		f.t.Fatalf("recover --abort: %v", err)
	}
	f.same(after, f.dump(), "taken back")
}

// endsCut cuts up and rollback off at places all along their commands. What recover, or recover --abort, leaves is the state before the migration or after it,
// and the verb typed again comes to its end.
func endsCut(t *testing.T, c *cutter, cuts int, before, after string, mends ...string) {
	t.Helper()
	ends := map[string]string{"up": after, "rollback": before}
	commands := map[string]int{}
	for _, verb := range []string{"rollback", "up"} {
		commands[verb] = len(c.commands(verb))
	}
	for i := range cuts {
		if !c.mine(i) {
			continue
		}
		for _, verb := range []string{"rollback", "up"} {
			at, mend := commands[verb]*(2*i+1)/(2*cuts), mends[i/2%len(mends)]
			what, err := c.cutAt(verb, at, []cut{afterAnswer, beforeIt, afterSending}[i%3])
			_, merr := c.mend(mend)
			if merr != nil && strings.Contains(merr.Error(), "rows are back") {
				_, merr = c.mend("recover")
			}
			if merr != nil {
				t.Fatalf("%s cut off at command %d, %.80q (%v): %s: %v", verb, at, what, err, mend, merr)
			}
			now := testdb.DumpAnyOrder(t, c.dsn)
			if now != before && now != after {
				t.Fatalf("%s cut off at command %d, %.80q (%v): %s:\n%s", verb, at, what, err, mend, testdb.Diff(ends[verb], now))
			}
			if now == ends[verb] {
				continue
			}
			c.must(verb)
			if now = testdb.DumpAnyOrder(t, c.dsn); now != ends[verb] {
				t.Fatalf("%s after one that was cut off at %d, and %s:\n%s", verb, at, mend, testdb.Diff(ends[verb], now))
			}
		}
	}
}

// TestCutOffWhileADroppedTableIsMade: wherever the rollback, or the up, of a table that is dropped and made anew is cut off, recover ends it with the table as it
// was, or as Up made it, and never with rows of both; also where a foreign key points to each.
func TestCutOffWhileADroppedTableIsMade(t *testing.T) {
	t.Parallel()
	const off, on = "ALTER TABLE guest DROP FOREIGN KEY guest_visit;\n", "\nALTER TABLE guest ADD CONSTRAINT guest_visit FOREIGN KEY (visit) REFERENCES visit (id);"
	for name, tc := range map[string]struct{ off, on string }{"alone": {}, "pointed to": {off, on}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				const was = "CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer DEFAULT 7);\nCREATE INDEX visit_who ON visit (who);"
				c := newCutter(t, dsn, migration(tc.off+"DROP TABLE visit;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, place varchar(30), day integer DEFAULT 7);\nINSERT INTO visit VALUES (1, 'seed', 1), (4, 'seed', 4);"+tc.on,
					tc.off+"DROP TABLE visit;\n"+was+tc.on))
				c.exec(was + "\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);\nCREATE TABLE guest (id integer PRIMARY KEY, visit integer);\nINSERT INTO guest VALUES (7, 1);" + tc.on)
				before := testdb.DumpAnyOrder(t, dsn)
				c.must("up")
				c.exec("UPDATE visit SET place = 'used' WHERE id = 4;\nINSERT INTO visit VALUES (9, 'there', 9);")
				endsCut(t, c, 12, before, testdb.DumpAnyOrder(t, dsn), "recover --abort", "recover")
			}, family...)
		})
	}
}

// TestCutOffAfterARename: recover --abort gives a table, or a column, that was renamed its name back, with all that is in it, also where another has that
// name since: made in its place, filled from it, or left over when it was dropped under its new name. What was not renamed keeps its name.
func TestCutOffAfterARename(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		up, down string
		on       []testdb.Engine
		also     string // what else is there
	}{
		"kept aside": {"ALTER TABLE visit RENAME TO visit_old;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, place varchar(30), day integer);\nINSERT INTO visit SELECT id, concat('at ', who), day FROM visit_old WHERE id > 1;",
			"DROP TABLE visit;\nALTER TABLE visit_old RENAME TO visit;", family, ""},
		"dropped at the end": {"ALTER TABLE visit RENAME TO visit_old;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, place varchar(30), day integer);\nINSERT INTO visit SELECT id, concat('at ', who), day FROM visit_old WHERE id > 1;\nDROP TABLE visit_old;",
			"ALTER TABLE visit RENAME TO visit_new;\nCREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit SELECT id, substr(place, 4), day FROM visit_new;\nDROP TABLE visit_new;", family, ""},
		"column aside": {"ALTER TABLE visit RENAME COLUMN who TO who_old;\nALTER TABLE visit ADD COLUMN who varchar(30);\nUPDATE visit SET who = concat('at ', who_old);",
			"ALTER TABLE visit DROP COLUMN who;\nALTER TABLE visit RENAME COLUMN who_old TO who;", family, ""},
		"view": {"ALTER TABLE visit RENAME TO visit_base;\nCREATE VIEW visit AS SELECT id, who FROM visit_base;\nUPDATE visit_base SET day = 5;",
			"DROP VIEW visit;\nALTER TABLE visit_base RENAME TO visit;", family, ""},
		"values that do not fit the type that a column had": {"ALTER TABLE visit MODIFY day varchar(20);\nUPDATE visit SET day = concat('d', day);\nALTER TABLE visit MODIFY who varchar(30) NOT NULL;", "UPDATE visit SET day = substr(day, 2);\nALTER TABLE visit MODIFY day integer;\nALTER TABLE visit MODIFY who varchar(20) NOT NULL;", family, ""},
		"letters of a column":                               {"ALTER TABLE visit RENAME COLUMN who TO Who;\nUPDATE visit SET day = 5;", "ALTER TABLE visit RENAME COLUMN Who TO who;", family, ""},
		"nothing to rename":                                 {"RENAME TABLE IF EXISTS visitor TO visit;\nALTER TABLE visit RENAME COLUMN IF EXISTS whom TO who;\nUPDATE visit SET day = 5;", "SELECT 1;", []testdb.Engine{testdb.OnMariaDB}, ""},
		"swapped under a foreign key": {"ALTER TABLE room DROP FOREIGN KEY room_v;\nCREATE TABLE visit_new (id integer NOT NULL PRIMARY KEY, place varchar(30), day integer);\nINSERT INTO visit_new SELECT id, concat('at ', who), day FROM visit;\n" +
			"RENAME TABLE visit TO visit_old, visit_new TO visit;\nALTER TABLE room ADD CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE;\nDROP TABLE visit_old;",
			"ALTER TABLE room DROP FOREIGN KEY room_v;\nCREATE TABLE visit_old (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit_old SELECT id, substr(place, 4), day FROM visit;\nDROP TABLE visit;\n" +
				"RENAME TABLE visit_old TO visit;\nALTER TABLE room ADD CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE;", family,
			"CREATE TABLE room (id integer NOT NULL PRIMARY KEY, visit_id integer, CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE);\nINSERT INTO room VALUES (1, 1), (2, 1), (3, 3), (9, NULL);"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, migration(tc.up, tc.down))
				c.exec("CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);\n" + tc.also)
				before := testdb.DumpAnyOrder(t, dsn)
				c.must("up")
				endsCut(t, c, 6, before, testdb.DumpAnyOrder(t, dsn), "recover --abort")
			}, tc.on...)
		})
	}
}

// TestRecoverAfterAColumnTookAName: the client dies when a column has been renamed and another has its name, or was dropped and made again. recover goes on, and
// the rollback after it gives both back.
func TestRecoverAfterAColumnTookAName(t *testing.T) {
	t.Parallel()
	const fill, last = "UPDATE visit SET who = concat('at ', day)", "UPDATE visit SET who = 'x' WHERE id = 1"
	for name, up := range map[string]string{"renamed": "ALTER TABLE visit RENAME COLUMN who TO who_old", "dropped": "ALTER TABLE visit DROP COLUMN who"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				down := "ALTER TABLE visit DROP COLUMN who;\nALTER TABLE visit RENAME COLUMN who_old TO who;"
				if name == "dropped" {
					down = "ALTER TABLE visit DROP COLUMN who;\nALTER TABLE visit ADD COLUMN who varchar(20) NOT NULL DEFAULT '' AFTER id;\nALTER TABLE visit ALTER who DROP DEFAULT;"
				} else {
					up += ";\nALTER TABLE visit MODIFY who_old varchar(20) NOT NULL"
				}
				c := newCutter(t, dsn, migration(up+";\nALTER TABLE visit ADD COLUMN who varchar(30);\n"+fill+";\n"+last+";", down))
				c.exec("CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);")
				before := testdb.DumpAnyOrder(t, dsn)
				for _, here := range []string{fill, last} {
					if !c.cutWhen("up", beforeIt, func(q string) bool { return strings.HasPrefix(q, here) }) {
						t.Fatalf("up never came to %q", here)
					}
					if _, err := c.mend("recover"); err != nil {
						t.Fatal(err)
					}
					if got, want := testdb.Query(t, dsn, "SELECT id, who, day FROM visit ORDER BY id"), []string{"1|x|10", "2|NULL|NULL", "3|at 30|30"}; !slices.Equal(got, want) {
						t.Fatalf("cut off before %q: recovered %q, want %q", here, got, want)
					}
					c.must("rollback")
					if got := testdb.DumpAnyOrder(t, dsn); got != before {
						t.Fatalf("cut off before %q, recovered, and rolled back:\n%s", here, testdb.Diff(before, got))
					}
				}
			}, family...)
		})
	}
}

// TestAbortCutOffUnderAForeignKey: recover --abort takes a foreign key away that follows a table to its first name, and is cut off itself, at commands evenly
// spread; asked again it does the rest.
func TestAbortCutOffUnderAForeignKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const last = "UPDATE visit SET day = 0"
		c := newCutter(t, dsn, migration("ALTER TABLE room DROP FOREIGN KEY room_v;\nCREATE TABLE visit_new (id integer NOT NULL PRIMARY KEY, place varchar(30), day integer);\nINSERT INTO visit_new SELECT id, concat('at ', who), day FROM visit;\n"+
			"RENAME TABLE visit TO visit_old, visit_new TO visit;\nALTER TABLE room ADD CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE;\nDROP TABLE visit_old;\n"+last+";", "SELECT 1;"))
		c.exec("CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);\n" +
			"CREATE TABLE room (id integer NOT NULL PRIMARY KEY, visit_id integer, CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE);\nINSERT INTO room VALUES (1, 1), (2, 1), (3, 3), (9, NULL);")
		before := testdb.DumpAnyOrder(t, dsn)
		begin := func() {
			t.Helper()
			if !c.cutWhen("up", beforeIt, func(q string) bool { return strings.HasPrefix(q, last) }) {
				t.Fatal("up never came to its last statement")
			}
		}
		begin()
		commands := c.commands("recover --abort")
		const cuts = 12
		for i := range cuts {
			begin()
			n := (2*i + 1) * len(commands) / (2 * cuts)
			at, err := c.cutAt("recover --abort", n, []cut{beforeIt, afterSending, afterAnswer}[i%3])
			if _, merr := c.mend("recover --abort"); merr != nil {
				t.Fatalf("cut off at command %d, %.80q (%v): again: %v", n, at, err, merr)
			}
			if got := testdb.DumpAnyOrder(t, dsn); got != before {
				t.Fatalf("cut off at command %d, %.80q (%v):\n%s", n, at, err, testdb.Diff(before, got))
			}
		}
	}, family...)
}

// exec runs statements, each of which ends a line.
func (c *cutter) exec(script string) {
	c.Helper()
	for _, statement := range strings.Split(strings.TrimSpace(script), ";\n") {
		testdb.Exec(c.T, c.dsn, strings.TrimSuffix(statement, ";"))
	}
}

// TestAbortRemovesWhatCameInPlace: a migration outside a transaction moves a table or a column out of the way, or drops it, makes another in its place, and fails.
// recover --abort gives back what was there, all of its rows, and nothing else.
func TestAbortRemovesWhatCameInPlace(t *testing.T) {
	t.Parallel()
	const another = "CREATE TABLE visit (id integer PRIMARY KEY, place varchar(30), day integer);\n"
	both := []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite}
	for name, tc := range map[string]struct {
		up string
		on []testdb.Engine
	}{
		"aside":               {"ALTER TABLE visit RENAME TO visit_old;\n" + another + "INSERT INTO visit SELECT id, who, day FROM visit_old WHERE id > 1;", both},
		"dropped at the end":  {"ALTER TABLE visit RENAME TO visit_old;\n" + another + "INSERT INTO visit SELECT id, who, day FROM visit_old WHERE id > 1;\nDROP TABLE visit_old;", both},
		"made anew":           {"DROP TABLE visit;\n" + another + "INSERT INTO visit VALUES (1, 'seed', 1), (7, 'seed', 7);\nCREATE VIEW seen AS SELECT id FROM visit;", both},
		"column":              {"ALTER TABLE visit RENAME COLUMN who TO who_old;\nALTER TABLE visit ADD COLUMN who varchar(30);\nUPDATE visit SET who = 'at ' || who_old;", both},
		"letters":             {"ALTER TABLE visit RENAME TO \"Visit\";\nALTER TABLE \"Visit\" RENAME COLUMN who TO \"Who\";\nUPDATE \"Visit\" SET day = 5;", both[:1]},
		"type":                {"ALTER TABLE visit ALTER COLUMN day TYPE varchar(20);\nUPDATE visit SET day = 'd' || day;", both[:1]},
		"letters of a column": {"ALTER TABLE visit RENAME COLUMN who TO \"Who\";\nUPDATE visit SET day = 5;", both},
		"swapped":             {strings.Replace(another, "visit", "visit_new", 1) + "INSERT INTO visit_new SELECT id, who, day FROM visit WHERE id > 1;\nALTER TABLE visit RENAME TO visit_old;\nALTER TABLE visit_new RENAME TO visit;", both},
		"schema":              {"CREATE SCHEMA old;\nALTER TABLE visit SET SCHEMA old;\nUPDATE old.visit SET day = 1;", both[:1]},
		"schema, another":     {"CREATE SCHEMA old;\nALTER TABLE visit SET SCHEMA old;\n" + another + "INSERT INTO visit SELECT id, who, day FROM old.visit WHERE id > 1;", both[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE visit (id integer PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);",
					map[string]string{"00001_a.sql": "-- +goose NO TRANSACTION\n" + migration(tc.up+"\nINSERT INTO nowhere VALUES (1);", "SELECT 1;")})
				unquoted := strings.NewReplacer(`"`, "") // SQLite writes names that it changes in quotes
				before := unquoted.Replace(testdb.DumpAnyOrder(t, dsn))
				if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
					t.Fatal("the last statement did not fail")
				}
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
					t.Fatal(err)
				}
				if got := unquoted.Replace(testdb.DumpAnyOrder(t, dsn)); got != before {
					t.Errorf("taken back:\n%s", testdb.Diff(before, got))
				}
			}, tc.on...)
		})
	}
}
