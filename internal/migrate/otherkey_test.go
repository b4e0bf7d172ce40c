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

// keyed spells a migration that exchanges keys for an engine: KEY(t, columns) gives t another primary key, OFF takes one away.
func keyed(dsn, script string) string {
	if strings.HasPrefix(dsn, "postgres") {
		return strings.NewReplacer("OFF(visit)", "ALTER TABLE visit DROP CONSTRAINT visit_pkey", "KEY(visit)", "ALTER TABLE visit ADD CONSTRAINT visit_pkey PRIMARY KEY",
			"OFF(room)", "ALTER TABLE room DROP CONSTRAINT room_v", "int)", "integer)").Replace(script)
	}
	return strings.NewReplacer("OFF(visit)", "ALTER TABLE visit DROP PRIMARY KEY", "KEY(visit)", "ALTER TABLE visit ADD PRIMARY KEY", "OFF(room)", "ALTER TABLE room DROP FOREIGN KEY room_v",
		"AS int)", "AS signed)").Replace(script)
}

const visits = "CREATE TABLE visit (id integer NOT NULL, who varchar(20) NOT NULL, day integer, CONSTRAINT visit_pkey PRIMARY KEY (id));\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', 20), (3, 'cy', 30), (4, 'dan', NULL), (5, 'eve', 50);\n"

// codes gives visits a key of text in place of their numbers, and back.
const codesUp = "ALTER TABLE visit ADD COLUMN code varchar(40);\nUPDATE visit SET code = concat('c', id);\nALTER TABLE room ADD COLUMN code varchar(40);\n" +
	"UPDATE room SET code = (SELECT v.code FROM visit v WHERE v.id = room.visit_id);\nOFF(room);\nALTER TABLE room DROP COLUMN visit_id;\nOFF(visit);\nKEY(visit) (code);\n" +
	"ALTER TABLE room ADD CONSTRAINT room_v FOREIGN KEY (code) REFERENCES visit (code);\nALTER TABLE visit DROP COLUMN id;"
const codesDown = "OFF(room);\nALTER TABLE visit ADD COLUMN id integer;\nUPDATE visit SET id = CAST(substr(code, 2) AS int);\nOFF(visit);\nKEY(visit) (id);\n" +
	"ALTER TABLE room ADD COLUMN visit_id integer;\nUPDATE room SET visit_id = CAST(substr(code, 2) AS int);\nALTER TABLE room DROP COLUMN code;\n" +
	"ALTER TABLE room ADD CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE;\nALTER TABLE visit DROP COLUMN code;"
const rooms = "CREATE TABLE room (id integer NOT NULL PRIMARY KEY, visit_id integer, CONSTRAINT room_v FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE);\nINSERT INTO room VALUES (1, 1), (2, 1), (3, 3), (9, NULL);\n"

// TestAnotherKey: a migration gives the rows of a table another key, and what it captures after is known by that one. Down exchanges the keys once more: each value goes to
// its row all the same, also where the new key had the name of the old one and the numbers of other rows.
func TestAnotherKey(t *testing.T) {
	t.Parallel()
	const swapUp = "ALTER TABLE visit RENAME COLUMN id TO old_id;\nALTER TABLE visit ADD COLUMN id integer;\nUPDATE visit SET id = 6 - old_id;\nOFF(visit);\nKEY(visit) (id);\nALTER TABLE visit DROP COLUMN day;"
	const swapDown = "ALTER TABLE visit ADD COLUMN day integer;\nOFF(visit);\nALTER TABLE visit DROP COLUMN id;\nALTER TABLE visit RENAME COLUMN old_id TO id;\nKEY(visit) (id);"
	for name, tc := range map[string]struct {
		up, down, setup, writes string
		want                    []string
		conflicts               bool
	}{
		"text for numbers": {codesUp, codesDown, rooms, "INSERT INTO visit (who, day, code) VALUES ('new', 4, 'c44');\nUPDATE visit SET who = 'zoe' WHERE code = 'c2';\nINSERT INTO room (id, code) VALUES (10, 'c2'), (11, 'c44');\nDELETE FROM visit WHERE code = 'c4';",
			[]string{"1|ann|10", "2|zoe|20", "3|cy|30", "44|new|4", "5|eve|50"}, true},
		"numbers of others under the same name": {swapUp + "\nALTER TABLE visit DROP COLUMN old_id;", "ALTER TABLE visit ADD COLUMN old_id integer;\nUPDATE visit SET old_id = 6 - id;\n" + swapDown, "",
			"UPDATE visit SET who = 'zoe' WHERE id = 4;\nINSERT INTO visit (id, who) VALUES (-1, 'new');", []string{"1|ann|10", "2|zoe|20", "3|cy|30", "4|dan|NULL", "5|eve|50", "7|new|NULL"}, false},
		"the old numbers beside the new":             {swapUp, swapDown, "", "UPDATE visit SET who = 'zoe' WHERE id = 4;", []string{"1|ann|10", "2|zoe|20", "3|cy|30", "4|dan|NULL", "5|eve|50"}, false},
		"the same numbers in a column made for them": {strings.Replace(swapUp, "6 - old_id", "old_id", 1), swapDown, "", "UPDATE visit SET who = 'zoe' WHERE id = 2;", []string{"1|ann|10", "2|zoe|20", "3|cy|30", "4|dan|NULL", "5|eve|50"}, false},
		"captured under both": {"UPDATE visit SET who = upper(who);\nDELETE FROM visit WHERE id = 5;\nALTER TABLE visit ADD COLUMN code varchar(40);\nUPDATE visit SET code = concat('c', id);\nOFF(visit);\nKEY(visit) (code);\n" +
			"UPDATE visit SET day = day + 1;\nALTER TABLE visit DROP COLUMN id;",
			"ALTER TABLE visit ADD COLUMN id integer;\nUPDATE visit SET id = CAST(substr(code, 2) AS int);\nUPDATE visit SET day = day - 1;\nOFF(visit);\nKEY(visit) (id);\nALTER TABLE visit DROP COLUMN code;", "",
			"UPDATE visit SET who = 'zoe' WHERE code = 'c2';\nUPDATE visit SET day = 99 WHERE code = 'c3';\nDELETE FROM visit WHERE code = 'c4';\nINSERT INTO visit (who, day, code) VALUES ('new', 7, 'c44');",
			[]string{"1|ann|10", "2|zoe|20", "3|CY|98", "44|new|6", "5|eve|50"}, true},
		// The table is captured as a whole when its old key goes: what was captured before goes back into the rows that nobody has written since.
		"no key while the old one goes": {"UPDATE visit SET who = upper(who);\nALTER TABLE visit ADD COLUMN code varchar(40);\nUPDATE visit SET code = concat('c', id);\nOFF(visit);\nALTER TABLE visit DROP COLUMN id;\nKEY(visit) (code);",
			"ALTER TABLE visit ADD COLUMN id integer;\nUPDATE visit SET id = CAST(substr(code, 2) AS int);\nOFF(visit);\nALTER TABLE visit DROP COLUMN code;\nKEY(visit) (id);", "",
			"UPDATE visit SET who = 'zoe' WHERE code = 'c2';\nDELETE FROM visit WHERE code = 'c4';\nINSERT INTO visit (who, day, code) VALUES ('new', 7, 'c44');",
			[]string{"1|ann|10", "2|zoe|20", "3|cy|30", "44|new|7", "5|eve|50"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				rows := func(columns string) []string { return testdb.Query(t, dsn, "SELECT "+columns+" FROM visit ORDER BY 1") }
				const was = "CAST(id AS char(2)), who, day"
				f := newFixture(t, dsn, visits+tc.setup, map[string]string{"00001_key.sql": migration(keyed(dsn, tc.up), keyed(dsn, tc.down))})
				before := rows(was)
				f.up()
				after := rows("*")
				for range 2 {
					if res := f.rollback(migrate.RollbackRequest{Steps: 1}); !res.Verified || len(res.Conflicts) > 0 {
						t.Errorf("rollback: %+v", res)
					}
					if got := rows(was); !slices.Equal(got, before) {
						t.Fatalf("after the rollback %q, want %q", got, before)
					}
					f.up()
					if got := rows("*"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(after))) {
						t.Fatalf("up again %q, want %q", got, after)
					}
				}
				f.exec(tc.writes)
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				trim := func(list []string) []string {
					for i := range list {
						list[i] = strings.Replace(list[i], " |", "|", 1)
					}
					return slices.Sorted(slices.Values(list))
				}
				if got := trim(rows(was)); !slices.Equal(got, tc.want) {
					t.Errorf("behind the writes %q, want %q", got, tc.want)
				}
				// PostgreSQL: what is put back before Up has made the new key is captured as rows without one.
				if len(res.Conflicts) > 0 != tc.conflicts && !strings.HasPrefix(dsn, "postgres") {
					t.Errorf("conflicts: %+v", res.Conflicts)
				}
				if tc.setup != "" {
					if got, want := testdb.Query(t, dsn, "SELECT id, visit_id FROM room ORDER BY id"), []string{"1|1", "2|1", "3|3", "9|NULL", "10|2", "11|44"}; !slices.Equal(got, want) {
						t.Errorf("rooms %q, want %q", got, want)
					}
				}
			}, append(slices.Clone(family), testdb.OnPostgres)...)
		})
	}
}

// TestAnotherKeyIsReckoned: a Down that gives rows other numbers than they had is refused: what points to these would point to nothing.
func TestAnotherKeyIsReckoned(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, visits, map[string]string{"00001_key.sql": migration(
			keyed(dsn, "ALTER TABLE visit ADD COLUMN code varchar(40);\nUPDATE visit SET code = concat('c', id);\nOFF(visit);\nKEY(visit) (code);\nALTER TABLE visit DROP COLUMN id;"),
			keyed(dsn, "ALTER TABLE visit ADD COLUMN id integer;\nUPDATE visit SET id = CAST(substr(code, 2) AS int);\nOFF(visit);\nKEY(visit) (id);\nUPDATE visit SET id = id + 100;\nALTER TABLE visit DROP COLUMN code;"))})
		f.up()
		before := testdb.DumpAnyOrder(t, dsn)
		_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{Steps: 1})
		if err == nil || !strings.Contains(err.Error(), "other keys than they had") {
			t.Fatalf("rollback: %v", err)
		}
		f.same(before, testdb.DumpAnyOrder(t, dsn), "after the refusal")
	}, testdb.OnPostgres)
}

// TestCutOffWhileKeysAreExchanged: the client dies here and there, on the way back and on the way up again.
func TestCutOffWhileKeysAreExchanged(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration(keyed(dsn, codesUp), keyed(dsn, codesDown)))
		c.exec(visits + rooms)
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT * FROM visit ORDER BY who"), ", ") + "; " + strings.Join(testdb.Query(t, dsn, "SELECT * FROM room ORDER BY id"), ", ")
		}
		was := rows()
		c.must("up")
		after := rows()
		c.must("rollback")
		back := rows() // columns that are made again come last
		if a, b := strings.Split(was, ""), strings.Split(back, ""); !slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))) {
			t.Fatalf("rolled back: %s, were %s", back, was)
		}
		c.cutsEachWay(rows, map[string]string{"up": after, "rollback": back})
	}, family...)
}

// TestConstraintBeforeAWrite: a statement adds a constraint, for which old values are back early, and one after it writes to the same column: what it captures is what
// stood there before.
func TestConstraintBeforeAWrite(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ unique, up, down string }{
		"on the way up":   {"", "UNIQUE;\nUPDATE visit SET day = day + 1;", "UPDATE visit SET day = day - 1;\nFREE;"},
		"on the way back": {"UNIQUE", "UPDATE visit SET day = day + 1;\nUPDATE visit SET who = upper(who);\nFREE;", "UNIQUE;\nUPDATE visit SET day = day - 1;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				on := func(script string) string {
					free := "DROP INDEX once"
					if strings.HasPrefix(dsn, "m") {
						free += " ON visit"
					}
					return strings.NewReplacer("UNIQUE", "CREATE UNIQUE INDEX once ON visit (day)", "FREE", free).Replace(script)
				}
				f := newFixture(t, dsn, visits+on(tc.unique), map[string]string{"00001_day.sql": migration(on(tc.up), on(tc.down))})
				rows := func() []string { return testdb.Query(t, dsn, "SELECT id, who, day FROM visit ORDER BY id") }
				before := rows()
				f.up()
				after := rows()
				for range 3 {
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := rows(); !slices.Equal(got, before) {
						t.Fatalf("rolled back %q, want %q", got, before)
					}
					f.up()
					if got := rows(); !slices.Equal(got, after) {
						t.Fatalf("up again %q, want %q", got, after)
					}
				}
				f.exec("UPDATE visit SET day = 77 WHERE id = 2;\nDELETE FROM visit WHERE id = 5;\nINSERT INTO visit VALUES (6, 'fay', 60);")
				written := rows()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, want := rows(), []string{"1|ann|10", "2|bob|76", "3|cy|30", "4|dan|NULL", "6|fay|59"}; !slices.Equal(got, want) {
					t.Errorf("behind the writes %q, want %q", got, want)
				}
				f.up()
				if got := rows(); !strings.EqualFold(strings.Join(got, ", "), strings.Join(written, ", ")) {
					t.Errorf("up again behind the writes %q, want %q", got, written)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestKeysThatNobodyForesees: Up gives rows keys that cannot be told before it runs, and Down moves them back. What the application wrote meanwhile is there and told; a row that
// Down puts where none was, because it was numbered otherwise, is not there twice: the rollback stops, and can be taken back.
func TestKeysThatNobodyForesees(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE tick (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO tick VALUES (1000, 'a'), (1001, 'b'), (1002, 'c');\n",
			map[string]string{"00001_x.sql": migration("SET @n := 0;\nUPDATE tick SET id = (@n := @n + 1) ORDER BY id;", "UPDATE tick SET id = id + 999 ORDER BY id DESC;")})
		rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tick ORDER BY id"), " ") }
		want := func(want, when string) {
			t.Helper()
			if got := rows(); got != want {
				t.Fatalf("%s: %s, want %s", when, got, want)
			}
		}
		f.up()
		f.exec("UPDATE tick SET v = 'B' WHERE id = 2;\nINSERT INTO tick VALUES (9, 'n');\n")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		want("1000|a 1001|B 1002|c 1008|n", "rolled back")
		if len(res.Conflicts) != 2 {
			t.Errorf("conflicts %v", res.Conflicts)
		}
		f.up()
		want("1|a 2|B 3|c 4|n", "up again")
		_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
		var unproven *snapshot.ProofError
		if !errors.As(err, &unproven) {
			t.Fatalf("err = %v", err)
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatal(err)
		}
		want("1|a 2|B 3|c 4|n", "taken back")
	}, family...)
}
