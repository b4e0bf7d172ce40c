package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// events have no key; the migration gives them one to remove those that are there twice.
const events = "CREATE TABLE event (a integer, b varchar(9));\nINSERT INTO event VALUES (1, 'x'), (1, 'x'), (2, 'y'), (3, 'z'), (3, 'z'), (3, 'z');\n"

func dedupe(dsn string) string {
	if strings.HasPrefix(dsn, "m") {
		return migration("ALTER TABLE event ADD COLUMN id integer AUTO_INCREMENT PRIMARY KEY;\nDELETE e FROM event e JOIN event f ON e.a = f.a AND e.b = f.b AND e.id > f.id;\nALTER TABLE event ADD UNIQUE KEY once (a, b);",
			"ALTER TABLE event DROP KEY once;\nALTER TABLE event DROP COLUMN id;")
	}
	return migration("ALTER TABLE event ADD COLUMN id serial PRIMARY KEY;\nDELETE FROM event e USING event f WHERE e.a = f.a AND e.b = f.b AND e.id > f.id;\nALTER TABLE event ADD CONSTRAINT once UNIQUE (a, b);",
		"ALTER TABLE event DROP CONSTRAINT once;\nALTER TABLE event DROP COLUMN id;")
}

// TestKeyAddedAndTakenAway: rows that a migration deletes by a key that it has just added come back when Down takes the key away again, and what the application
// wrote meanwhile stays; the second time as well.
func TestKeyAddedAndTakenAway(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, events, map[string]string{"00001_once.sql": dedupe(dsn)})
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT a, b FROM event ORDER BY a, b"), " ")
		}
		const was = "1|x 1|x 2|y 3|z 3|z 3|z"
		for range 2 {
			f.up()
			if got := rows(); got != "1|x 2|y 3|z" {
				t.Fatalf("up: %s", got)
			}
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if got := rows(); got != was {
				t.Fatalf("rolled back: %s, want %s", got, was)
			}
		}
		f.up()
		f.exec("INSERT INTO event (a, b) VALUES (7, 'n');\nUPDATE event SET b = 'w' WHERE a = 3;\nDELETE FROM event WHERE a = 2;\n")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		// Of the three that were alike the application has changed the one that it could see.
		const kept = "1|x 1|x 3|w 3|z 3|z 7|n"
		if got := rows(); got != kept {
			t.Fatalf("rolled back after writes: %s, want %s", got, kept)
		}
		f.up()
		if got, want := rows(), "1|x 3|w 7|n"; got != want {
			t.Fatalf("up after writes: %s, want %s", got, want)
		}
		f.rollback(migrate.RollbackRequest{Steps: 1})
		if got := rows(); got != kept {
			t.Fatalf("rolled back once more: %s, want %s", got, kept)
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestCutOffWhileAKeyIsAdded: each way, the program dies at six commands; recover goes on, and every row is where it belongs.
func TestCutOffWhileAKeyIsAdded(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, dedupe(dsn))
		c.exec(events)
		rows := func() string {
			out := testdb.Query(t, dsn, "SELECT * FROM event")
			slices.Sort(out)
			return strings.Join(out, " ")
		}
		c.cutsThereAndBack(rows)
	}, family...)
}

// TestKeyOverAPartOfAColumn: rows are known by a key over the first letters of a column, also where another row has taken these meanwhile.
func TestKeyOverAPartOfAColumn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE page (name text NOT NULL, v integer, PRIMARY KEY (name(5)));\nINSERT INTO page VALUES ('alpha', 1), ('beta', 2), ('gamma', 3), (repeat('x', 5000), 4);\n",
			map[string]string{"00001_x.sql": migration("DELETE FROM page WHERE v = 1;\nUPDATE page SET v = v * 10;\nUPDATE page SET name = concat('q', name) WHERE v = 30;\nALTER TABLE page ADD COLUMN z integer;", "ALTER TABLE page DROP COLUMN z;")})
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT if(length(name) > 100, concat('long ', length(name)), name), v FROM page ORDER BY name"), " ")
		}
		before := rows()
		for range 2 {
			f.up()
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if got := rows(); got != before {
				t.Fatalf("rolled back: %s, want %s", got, before)
			}
		}
		f.up()
		f.exec("INSERT INTO page (name, v) VALUES ('delta', 9), ('alphaville', 3);\nUPDATE page SET v = 77 WHERE name = 'qgamma';\n")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got, want := rows(), "alphaville|3 beta|2 delta|9 gamma|77 long 5000|4"; got != want {
			t.Errorf("rolled back after writes: %s, want %s", got, want)
		}
		if len(res.Conflicts) != 2 {
			t.Errorf("conflicts %v", res.Conflicts)
		}
	}, family...)
}

// TestKeylessBackAndForth: tables without a key are as they were after each rollback, also the third, and as the application left them after one that follows writes.
func TestKeylessBackAndForth(t *testing.T) {
	t.Parallel()
	const id, off = "ALTER TABLE event ADD COLUMN id SERIALKEY;", "ALTER TABLE event DROP COLUMN id;"
	for name, tc := range map[string]struct{ up, down string }{
		"a number is taken by a row that was there":   {id + "\nDELETE FROM event WHERE id = 2;\nINSERT INTO event (a, b) VALUES (90, 'n');", off},
		"a row is inserted and Down deletes it":       {id + "\nINSERT INTO event (a, b) VALUES (90, 'n');", "DELETE FROM event WHERE a >= 77;\n" + off},
		"a column is dropped before the key is added": {"ALTER TABLE event DROP COLUMN b;\n" + id + "\nDELETE FROM event WHERE id > 4;", off + "\nALTER TABLE event ADD COLUMN b varchar(9);"},
		"another table takes the place, both ways": {"ALTER TABLE event RENAME TO e2;\nCREATE TABLE event AS SELECT * FROM e2 WHERE a <> 2;\nDROP TABLE e2;",
			"ALTER TABLE event RENAME TO e3;\nCREATE TABLE event AS SELECT * FROM e3;\nDROP TABLE e3;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engines := []testdb.Engine{testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB}
			if !strings.Contains(tc.up, id) {
				engines = testdb.Everywhere()
			}
			testdb.Each(t, func(t *testing.T, dsn string) {
				number := "integer AUTO_INCREMENT PRIMARY KEY"
				if strings.HasPrefix(dsn, "postgres") {
					number = "serial PRIMARY KEY"
				}
				f := newFixture(t, dsn, events, map[string]string{"00001_x.sql": migration(strings.ReplaceAll(tc.up, "SERIALKEY", number), tc.down)})
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT a, b FROM event ORDER BY a, b"), " ")
				}
				before := rows()
				for i := range 3 {
					f.up()
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := rows(); got != before {
						t.Fatalf("rolled back, time %d: %s, want %s", i+1, got, before)
					}
				}
				f.up()
				f.exec("INSERT INTO event (a) VALUES (50);\n")
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := rows(); !strings.Contains(got, "50|NULL") {
					t.Errorf("rolled back after a write: %s", got)
				}
			}, engines...)
		})
	}
}

// TestKeyTakenAwayBeforeDownWrites: Down drops the column that Up made the key of a table without one, and writes to the rows then: nothing that is known by that key is to come back.
func TestKeyTakenAwayBeforeDownWrites(t *testing.T) {
	t.Parallel()
	for _, write := range []string{"UPDATE bare SET b = 'x' WHERE r = 2;", "DELETE FROM bare WHERE b = 'b';", "UPDATE bare SET b = 'x';"} {
		t.Run(write, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				key := "n integer NOT NULL AUTO_INCREMENT PRIMARY KEY"
				if strings.HasPrefix(dsn, "postgres") {
					key = "n serial PRIMARY KEY"
				}
				f := newFixture(t, dsn, "CREATE TABLE bare (r integer, b varchar(9));\nINSERT INTO bare VALUES (1, 'a'), (1, 'a'), (2, 'b');\n", map[string]string{
					"00001_x.sql": migration("ALTER TABLE bare ADD COLUMN "+key+";", "ALTER TABLE bare DROP COLUMN n;\n"+write),
				})
				for range 2 {
					f.up()
					f.rollback(migrate.RollbackRequest{Steps: 1})
				}
			}, append(family, testdb.OnPostgres)...)
		})
	}
}

// filledBehindAKey is a migration that gives a table a key and then a column that it fills, and of which Down writes rows.
func filledBehindAKey(dsn, down string) string {
	key := "bigint AUTO_INCREMENT PRIMARY KEY"
	if strings.HasPrefix(dsn, "postgres") {
		key = "bigserial PRIMARY KEY"
	}
	return migration("ALTER TABLE event ADD COLUMN id "+key+";\nALTER TABLE event ADD COLUMN x integer;\nUPDATE event SET x = a * 2;", down)
}

// TestFilledBehindAnAddedKey: a table without a key gets one, and a column that the migration fills; Down writes rows of it. An up that follows a rollback finds the rows under other numbers, and
// gives them back theirs before anything is filled: what the application has written is there again, and so is each row after each rollback.
func TestFilledBehindAnAddedKey(t *testing.T) {
	t.Parallel()
	const off = "ALTER TABLE event DROP COLUMN x;\nALTER TABLE event DROP COLUMN id;"
	for name, down := range map[string]string{
		"written ahead":  "UPDATE event SET b = concat(b, '+');\n" + off,
		"written behind": off + "\nUPDATE event SET b = concat(b, '+');",
		"deleted ahead":  "DELETE FROM event WHERE a < 9;\n" + off,
		"deleted behind": off + "\nDELETE FROM event WHERE a < 9;",
		"in between":     "ALTER TABLE event DROP COLUMN x;\nUPDATE event SET b = concat(b, '+') WHERE a > 1;\nALTER TABLE event DROP COLUMN id;",
	} {
		for _, policy := range []snapshot.Policy{snapshot.Keep, snapshot.Restore} {
			t.Run(name+", "+string(policy), func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, "CREATE TABLE event (a integer, b varchar(9));\nINSERT INTO event VALUES (1, 'x'), (2, 'y'), (3, 'z'), (5, 'v');\n", map[string]string{"00001_x.sql": filledBehindAKey(dsn, down)})
					rows := func(columns string) string {
						return strings.Join(testdb.Query(t, dsn, "SELECT "+columns+" FROM event ORDER BY a"), " ")
					}
					f.up()
					f.exec("INSERT INTO event (a, b, x) VALUES (4, 'w', 80);\nUPDATE event SET x = 99 WHERE a = 2;\nDELETE FROM event WHERE a = 1;\n")
					used := rows("a, b, id, x")
					for i := range 3 {
						f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: policy})
						got := testdb.Query(t, dsn, "SELECT a, b FROM event WHERE a <> 4 ORDER BY a")
						if want := []string{"2|y", "3|z", "5|v"}; !slices.Equal(got, want) {
							t.Fatalf("rolled back, time %d: %q, want %q", i+1, got, want)
						}
						res := f.up()
						if got := rows("a, b, id, x"); got != used || len(res.Conflicts) > 0 {
							t.Fatalf("up again, time %d: %s, want %s; conflicts %+v", i+1, got, used, res.Conflicts)
						}
					}
				}, testdb.OnMySQL, testdb.OnMariaDB)
			})
		}
	}
}

// TestFilledBehindAnAddedKeyAndAnInsert: the same where a row of the migration takes a number: rows have theirs when all is through, and what is known by them goes back behind that.
func TestFilledBehindAnAddedKeyAndAnInsert(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		text := strings.Replace(filledBehindAKey(dsn, "DELETE FROM event WHERE a = 7;\nUPDATE event SET b = concat(b, '+');\nALTER TABLE event DROP COLUMN x;\nALTER TABLE event DROP COLUMN id;"),
			"UPDATE event SET x", "INSERT INTO event (a, b) VALUES (7, 'u');\nUPDATE event SET x", 1)
		f := newFixture(t, dsn, "CREATE TABLE event (a integer, b varchar(9));\nINSERT INTO event VALUES (1, 'x'), (2, 'y'), (3, 'z');\n", map[string]string{"00001_x.sql": text})
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT a, b, id, x FROM event ORDER BY a"), " ")
		}
		f.up()
		f.exec("INSERT INTO event (a, b, x) VALUES (4, 'w', 80);\nUPDATE event SET x = 99 WHERE a = 2;\nDELETE FROM event WHERE a = 1;\n")
		used := rows()
		for i := range 2 {
			f.rollback(migrate.RollbackRequest{Steps: 1})
			res := f.up()
			if got := rows(); got != used || len(res.Conflicts) > 0 {
				t.Fatalf("up again, time %d: %s, want %s; conflicts %+v", i+1, got, used, res.Conflicts)
			}
		}
	}, append(family, testdb.OnPostgres)...)
}

// TestCutOffWhileBehindAnAddedKeyIsFilled: the same, cut off each way.
func TestCutOffWhileBehindAnAddedKeyIsFilled(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, filledBehindAKey(dsn, "UPDATE event SET b = concat(b, '+');\nALTER TABLE event DROP COLUMN x;\nALTER TABLE event DROP COLUMN id;"))
		c.exec("CREATE TABLE event (a integer, b varchar(9));\nINSERT INTO event VALUES (1, 'x'), (2, 'y'), (3, 'z');")
		rows := func() string {
			out := testdb.Query(t, dsn, "SELECT * FROM event")
			slices.Sort(out)
			return strings.Join(out, " ")
		}
		c.must("up")
		c.exec("INSERT INTO event (a, b, x) VALUES (4, 'w', 80);\nUPDATE event SET x = 99 WHERE a = 2;\nDELETE FROM event WHERE a = 1;")
		c.must("rollback")
		c.cutsThereAndBack(rows)
	}, family...)
}

// TestKeyAddedThereAndBackTwice: a table is given a key, and Down writes rows that Up has left alone. They are as they were after each rollback.
func TestKeyAddedThereAndBackTwice(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE t (a varchar(9), b integer);\nINSERT INTO t VALUES ('p', 1), ('q', 2), ('r', 3), ('r', 3);\n", map[string]string{"00001_x.sql": migration(
			"ALTER TABLE t ADD COLUMN id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY;\nALTER TABLE t ADD COLUMN x integer;\nUPDATE t SET x = b * 10;",
			"UPDATE t SET b = b + 1;\nALTER TABLE t DROP COLUMN x;\nALTER TABLE t DROP COLUMN id;")})
		before := f.dump()
		for range 3 {
			f.up()
			f.rollback(migrate.RollbackRequest{Steps: 1})
			f.same(before, f.dump(), "after the rollback")
		}
	}, testdb.OnPostgres)
}
