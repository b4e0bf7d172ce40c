package migrate_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// window is a moment between two statements of a migration in which the application writes.
type window struct {
	name     string
	up, down string
	verb     string // in which it is: up when empty
	after    string // the statement, of the migration or of the run's own, after which it is; up to the end of its transaction or lock
	write    string
	table    string   // items, when empty
	want     []string // its rows after the rollback
	setup    string   // what else is there
	only     string   // the engine that it is about; all of the test's, when empty
	// Conflicts that the rollback reports at the least; 0: none.
	conflicts int64
	crashed   []string // its rows where the program died meanwhile and recover could tell all of them apart, without a conflict; nil: as in want
}

const windowTables = `CREATE TABLE items (id integer PRIMARY KEY, v integer, note varchar(20));
INSERT INTO items VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c');
CREATE TABLE log (v integer, note varchar(20));
INSERT INTO log VALUES (1, 'a'), (2, 'b'), (2, 'b');
CREATE TABLE other (id integer PRIMARY KEY, v integer);
INSERT INTO other VALUES (1, 1);
`

const kids = "CREATE TABLE kids (id integer PRIMARY KEY, item integer REFERENCES items (id));\nINSERT INTO kids VALUES (7, 2);\n"

var windows = []window{
	{name: "type change, then another statement", up: "ALTER TABLE items MODIFY v smallint;\nUPDATE other SET v = 2;", down: "ALTER TABLE items MODIFY v integer;",
		after: "ALTER TABLE items MODIFY", write: "UPDATE items SET v = 77 WHERE id = 2", want: []string{"1|10|a", "2|77|b", "3|30|c"}, conflicts: 1},
	{name: "type change that cuts, the value written again", up: "ALTER TABLE items MODIFY v decimal(3,0);\nUPDATE other SET v = 2;", down: "ALTER TABLE items MODIFY v integer;",
		after: "ALTER TABLE items MODIFY", write: "UPDATE items SET v = 77 WHERE id = 2", want: []string{"1|10|a", "2|77|b", "3|30|c"}, conflicts: 1},
	{name: "character set", up: "ALTER TABLE items CONVERT TO CHARACTER SET latin1;\nUPDATE other SET v = 2;", down: "ALTER TABLE items CONVERT TO CHARACTER SET utf8mb4;",
		after: "ALTER TABLE items CONVERT", write: "UPDATE items SET note = 'new' WHERE id = 3", want: []string{"1|10|a", "2|20|b", "3|30|new"}, conflicts: 1},
	{name: "truncate, exchanged", up: "TRUNCATE TABLE items;\nUPDATE other SET v = 2;", down: "SELECT 1;",
		after: "RENAME TABLE `items`", write: "INSERT INTO items VALUES (2, 99, 'new'), (9, 9, 'nine')", want: []string{"1|10|a", "2|99|new", "3|30|c", "9|9|nine"}, conflicts: 1},
	{name: "truncate, copied", up: "TRUNCATE TABLE items;\nUPDATE other SET v = 2 WHERE 'items' <> '';", down: "SELECT 1;",
		after: "TRUNCATE", write: "INSERT INTO items VALUES (2, 99, 'new'), (9, 9, 'nine')", want: []string{"1|10|a", "2|99|new", "3|30|c", "9|9|nine"}, conflicts: 1},
	{name: "two updates of the same rows", up: "UPDATE items SET v = v + 1;\nUPDATE items SET v = v * 2;", down: "SELECT 1;",
		after: "UPDATE items SET v = v + 1", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "two updates, the second makes of the write what the first had made", up: "UPDATE items SET v = 0;\nUPDATE items SET v = 0 WHERE v > 100;", down: "SELECT 1;",
		after: "UPDATE items SET v = 0;", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then type change", up: "UPDATE items SET v = v + 1;\nALTER TABLE items MODIFY v bigint;", down: "ALTER TABLE items MODIFY v integer;",
		after: "UPDATE items SET v = v + 1", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "type change, then update", up: "ALTER TABLE items MODIFY v bigint;\nUPDATE items SET v = v + 1;", down: "ALTER TABLE items MODIFY v integer;",
		after: "ALTER TABLE items MODIFY", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then rename and another update", up: "UPDATE items SET v = v + 1;\nALTER TABLE items RENAME COLUMN v TO w;\nUPDATE items SET w = w * 2;", down: "ALTER TABLE items RENAME COLUMN w TO v;",
		after: "ALTER TABLE items RENAME", write: "UPDATE items SET w = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then delete", up: "UPDATE items SET v = v + 1;\nDELETE FROM items WHERE id > 1;", down: "SELECT 1;",
		after: "UPDATE items SET v = v + 1", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then drop of the table", up: "UPDATE items SET v = v + 1;\nDROP TABLE items;", down: "CREATE TABLE items (id integer PRIMARY KEY, v integer, note varchar(20));",
		after: "UPDATE items SET v = v + 1", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then drop of the column", up: "UPDATE items SET v = v + 1;\nALTER TABLE items DROP COLUMN v;", down: "ALTER TABLE items ADD COLUMN v integer AFTER id;",
		after: "UPDATE items SET v = v + 1", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "delete, then update", up: "DELETE FROM items WHERE id = 2;\nUPDATE items SET v = v + 1;", down: "SELECT 1;",
		after: "DELETE FROM items", write: "INSERT INTO items VALUES (2, 500, 'new')", want: []string{"1|10|a", "2|500|new", "3|30|c"}, conflicts: 1},
	{name: "down: update", verb: "rollback", up: "UPDATE items SET v = v * 2;", down: "UPDATE items SET v = v / 2;\nUPDATE other SET v = 1;",
		after: "UPDATE items SET v = v / 2", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: between two updates", verb: "rollback", up: "UPDATE items SET v = v * 2;", down: "UPDATE items SET v = v - 1;\nUPDATE items SET v = v / 2;",
		after: "UPDATE items SET v = v - 1", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|250|b", "3|30|c"}, conflicts: 1},
	{name: "down: type change", verb: "rollback", up: "ALTER TABLE items MODIFY v smallint;", down: "ALTER TABLE items MODIFY v integer;\nUPDATE other SET v = 1;",
		after: "ALTER TABLE items MODIFY", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: before its type change", verb: "rollback", up: "ALTER TABLE items MODIFY v smallint;", down: "UPDATE other SET v = 1;\nALTER TABLE items MODIFY v integer;",
		after: "UPDATE other", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: before a type that what stands there does not fit", verb: "rollback", up: "ALTER TABLE items MODIFY v bigint;\nUPDATE items SET v = v + 10000000000;", down: "UPDATE other SET v = 1;\nALTER TABLE items MODIFY v integer;",
		after: "UPDATE other", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a type that what stood there did not fit", verb: "rollback", up: "ALTER TABLE items MODIFY v bigint;\nUPDATE items SET v = v + 10000000000;", down: "ALTER TABLE items MODIFY v integer;\nUPDATE other SET v = 1;",
		after: "ALTER TABLE items MODIFY v integer", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: before a constraint that what stands there breaks", verb: "rollback", up: "ALTER TABLE items MODIFY v integer NULL;\nUPDATE items SET v = NULL WHERE id < 3;", down: "UPDATE other SET v = 1;\nALTER TABLE items ADD CONSTRAINT some CHECK (v IS NOT NULL);\nALTER TABLE items DROP CONSTRAINT some;",
		after: "UPDATE other", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a key that wants the old values", verb: "rollback", up: "UPDATE items SET v = 9;", down: "ALTER TABLE items ADD CONSTRAINT some UNIQUE (v);\nUPDATE other SET v = 1;",
		after: "ALTER TABLE items ADD CONSTRAINT", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a key that wants the old values, a row deleted", verb: "rollback", up: "UPDATE items SET v = 9;", down: "ALTER TABLE items ADD CONSTRAINT some UNIQUE (v);\nUPDATE other SET v = 1;",
		after: "ALTER TABLE items ADD CONSTRAINT", write: "DELETE FROM items WHERE id = 2", want: []string{"1|10|a", "3|30|c"}, conflicts: 1},
	{name: "down: behind NOT NULL", verb: "rollback", up: "ALTER TABLE items MODIFY v integer NULL;\nUPDATE items SET v = NULL;", down: "ALTER TABLE items MODIFY v integer NOT NULL;\nUPDATE other SET v = 1;",
		after: "ALTER TABLE items MODIFY", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1, setup: "ALTER TABLE items MODIFY v integer NOT NULL;\n"},
	{name: "down: parents that are back ahead of a child's", verb: "rollback", up: "DROP TABLE kids;\nUPDATE items SET note = 'x';\nDELETE FROM items WHERE id > 1;", down: "CREATE TABLE kids (id integer PRIMARY KEY, item integer REFERENCES items (id));\nUPDATE other SET v = 1;",
		after: "UPDATE other", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1, setup: kids},
	{name: "down: parents that are back ahead of a child's, one deleted", verb: "rollback", up: "DROP TABLE kids;\nDELETE FROM items WHERE id > 1;", down: "CREATE TABLE kids (id integer PRIMARY KEY, item integer REFERENCES items (id));\nUPDATE other SET v = 1;",
		after: "UPDATE other", write: "DELETE FROM items WHERE id = 3", want: []string{"1|10|a", "2|20|b"}, conflicts: 1, setup: kids},
	{name: "keys moved, then an update", up: "UPDATE items SET id = id + 100;\nUPDATE items SET v = v * 2;", down: "SELECT 1;",
		after: "UPDATE items SET id = id + 100", write: "UPDATE items SET v = 500 WHERE id = 102", want: []string{"1|10|a", "2|500|b", "3|30|c"}},
	{name: "down: beside keys that were moved", verb: "rollback", up: "UPDATE items SET id = id + 100;\nUPDATE items SET v = v * 2;", down: "UPDATE other SET v = 1;",
		after: "UPDATE other", write: "UPDATE items SET v = 500 WHERE id = 102", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: before it moves keys back", verb: "rollback", up: "UPDATE items SET id = id + 100;\nUPDATE items SET v = v * 2;", down: "UPDATE other SET v = 1;\nUPDATE items SET id = id - 100;",
		after: "UPDATE other", write: "UPDATE items SET v = 500 WHERE id = 102", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind keys that it moves back", verb: "rollback", up: "UPDATE items SET id = id + 100;\nUPDATE items SET v = v * 2;", down: "UPDATE items SET id = id - 100;\nUPDATE other SET v = 1;",
		after: "UPDATE items SET id = id - 100", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: beside keys that were moved, a row deleted", verb: "rollback", up: "UPDATE items SET id = id + 100;\nUPDATE items SET v = v * 2;", down: "UPDATE other SET v = 1;",
		after: "UPDATE other", write: "DELETE FROM items WHERE id = 102", want: []string{"1|10|a", "3|30|c"}, conflicts: 1},
	{name: "down: beside keys that were moved, a row inserted", verb: "rollback", up: "UPDATE items SET id = id + 100;\nUPDATE items SET v = v * 2;", down: "UPDATE other SET v = 1;",
		after: "UPDATE other", write: "INSERT INTO items VALUES (9, 9, 'new')", want: []string{"1|10|a", "2|20|b", "3|30|c", "9|9|new"}},
	{name: "down: behind a statement on rows whose keys were moved", verb: "rollback", up: "UPDATE items SET v = v + 1;\nUPDATE items SET id = id + 100;\nALTER TABLE items ADD COLUMN w integer;",
		down: "ALTER TABLE items DROP COLUMN w;\nUPDATE other SET v = 1;", after: "ALTER TABLE items DROP COLUMN w", write: "UPDATE items SET v = 500 WHERE id = 102", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: ahead of a table that it builds anew", verb: "rollback", up: "UPDATE items SET v = v + 1;", down: "UPDATE other SET v = 1;\nCREATE TABLE fresh (id integer PRIMARY KEY, v integer, note varchar(20));\nINSERT INTO fresh SELECT id, v, note FROM items;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;", after: "UPDATE other",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: ahead of a table that it makes again and builds anew", verb: "rollback", up: "UPDATE items SET v = v + 1;\nDROP TABLE items;",
		down: "CREATE TABLE items (id integer PRIMARY KEY, v integer, note varchar(20));\nUPDATE other SET v = 1;\nCREATE TABLE fresh (id integer PRIMARY KEY, v integer, note varchar(20));\nINSERT INTO fresh SELECT id, v, note FROM items;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;", after: "UPDATE other",
		write: "UPDATE items SET note = 'new' WHERE id = 2", want: []string{"1|10|a", "2|20|new", "3|30|c"}, conflicts: 1},
	{name: "down: behind a table that it builds anew, whose rows wait", verb: "rollback",
		up:    "ALTER TABLE items RENAME COLUMN v TO w;\nCREATE TABLE fresh (id integer PRIMARY KEY, w integer, note varchar(20));\nINSERT INTO fresh SELECT id, w, note FROM items WHERE id > 1;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;",
		down:  "CREATE TABLE fresh (id integer PRIMARY KEY, w integer, note varchar(20));\nINSERT INTO fresh SELECT id, w, note FROM items;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;\nUPDATE other SET v = 1;\nALTER TABLE items RENAME COLUMN w TO v;",
		after: "UPDATE other", write: "UPDATE items SET note = 'new' WHERE id = 2", want: []string{"1|10|a", "2|20|new", "3|30|c"}, conflicts: 1},
	{name: "without a key, down: before a column that it makes again", table: "log", verb: "rollback", up: "UPDATE log SET v = v * 2;\nALTER TABLE log DROP COLUMN note;",
		down: "UPDATE other SET v = 1;\nALTER TABLE log ADD COLUMN note varchar(20);", after: "UPDATE other", write: "INSERT INTO log VALUES (99)", want: []string{"1|a", "2|b", "2|b", "99|NULL"}},
	{name: "without a key, down: between two columns that it makes again", table: "log", verb: "rollback", up: "ALTER TABLE log DROP COLUMN note;\nALTER TABLE log ADD COLUMN w integer;\nALTER TABLE log DROP COLUMN v;\nALTER TABLE log ADD COLUMN x integer;",
		down: "ALTER TABLE log ADD COLUMN v integer;\nUPDATE other SET v = 1;\nALTER TABLE log DROP COLUMN x;\nALTER TABLE log DROP COLUMN w;\nALTER TABLE log ADD COLUMN note varchar(20);", after: "UPDATE other",
		write: "UPDATE log SET v = 77", want: []string{"77|NULL", "77|NULL", "77|NULL"}, conflicts: 1},
	{name: "without a key: update", table: "log", up: "UPDATE log SET v = v + 1;\nUPDATE other SET v = 2;", down: "SELECT 1;",
		after: "UPDATE log", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
	{name: "without a key: type change", table: "log", up: "ALTER TABLE log MODIFY v smallint;\nUPDATE other SET v = 2;", down: "ALTER TABLE log MODIFY v integer;",
		after: "ALTER TABLE log", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
	{name: "without a key: two updates", table: "log", up: "UPDATE log SET v = v + 1;\nUPDATE log SET v = v * 2;", down: "SELECT 1;",
		after: "UPDATE log SET v = v + 1", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"2|a", "3|b", "3|b", "99|new"}, conflicts: 1},
	{name: "without a key: update, then drop", table: "log", up: "UPDATE log SET v = v + 1;\nDROP TABLE log;", down: "CREATE TABLE log (v integer, note varchar(20));",
		after: "UPDATE log SET v = v + 1", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"2|a", "3|b", "3|b", "99|new"}, conflicts: 1},
	{name: "without a key, down: update", table: "log", verb: "rollback", up: "UPDATE log SET v = v * 2;", down: "UPDATE log SET v = v / 2;\nUPDATE other SET v = 1;",
		after: "UPDATE log SET v = v / 2", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
	{name: "without a key, down: beside it", table: "log", verb: "rollback", up: "UPDATE log SET v = v * 2;", down: "UPDATE other SET v = 1;",
		after: "UPDATE other", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
	{name: "without a key, down: the table is back", table: "log", verb: "rollback", up: "UPDATE log SET v = 0;\nDROP TABLE log;", down: "CREATE TABLE log (v integer, note varchar(20));\nUPDATE other SET v = 1;",
		after: "UPDATE other", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
}

// TestWindows: where each statement commits by itself, the application writes between them. What it wrote stays, and
// is reported where the migration had captured the row; all else is as before.
func TestWindows(t *testing.T) {
	t.Parallel()
	for _, x := range windows {
		t.Run(x.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, windowTables+x.setup, nil)
				c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration(x.up, x.down))}}}
				if x.verb == "rollback" {
					c.must("up")
				}
				written := c.during(map[bool]string{true: "rollback", false: "up"}[x.verb == "rollback"], strings.TrimSuffix(x.after, ";"), func() { f.exec(x.write) })
				res := written.res
				if x.verb != "rollback" {
					var err error
					if res, err = c.open(dsn).Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1}); err != nil {
						t.Fatalf("rollback: %v", err)
					}
				}
				x.judge(t, dsn, res)
			}, family...)
		})
	}
}

// TestWindowsOfACrash: the program dies in such a moment, the application writes before recover goes on. It is no different from a
// program that was slow.
func TestWindowsOfACrash(t *testing.T) {
	t.Parallel()
	for i, x := range windows {
		if i%8 != 0 && os.Getenv("CUTS") != "all" {
			continue // each costs seconds
		}
		t.Run(x.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, windowTables+x.setup, nil)
				c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration(x.up, x.down))}}}
				verb := "up"
				if x.verb == "rollback" {
					c.must("up")
					verb = "rollback"
				}
				m := moment{after: strings.TrimSuffix(x.after, ";")}
				if at, err := c.cutWhere(verb, beforeIt, m.past); err == nil {
					t.Fatalf("%s was not cut off: %q", verb, at)
				}
				f.exec(x.write)
				res, err := c.open(dsn).Recover(context.Background(), migrate.RecoverRequest{})
				if err != nil {
					t.Fatalf("recover: %v", err)
				}
				if verb == "up" {
					if res, err = c.open(dsn).Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1}); err != nil {
						t.Fatalf("rollback: %v", err)
					}
				}
				x.judge(t, dsn, res)
			}, family...)
		})
	}
}

// TestWritesIntoACutOffStatement: the program dies when a statement has run that commits by itself, before it has looked what it left. Where
// it is known what that must have left, what somebody else wrote before recover stays and is reported.
func TestWritesIntoACutOffStatement(t *testing.T) {
	t.Parallel()
	for _, x := range windows[:4] {
		x.conflicts = 1
		switch x.name {
		case "type change, then another statement":
		case "truncate, exchanged":
			x.name, x.up, x.after = "truncate, copied", "TRUNCATE TABLE items;\nUPDATE other SET v = 2 WHERE 'items' <> '';", "TRUNCATE"
		default:
			continue // of values that were cut to fit it cannot be told
		}
		for _, mend := range []string{"recover", "recover --abort"} {
			t.Run(x.name+", "+mend, func(t *testing.T) {
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, windowTables+x.setup, nil)
					c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration(x.up, x.down))}}}
					if at, err := c.cutWhere("up", afterAnswer, func(q string) bool { return strings.HasPrefix(q, x.after) }); err == nil {
						t.Fatalf("up was not cut off: %q", at)
					}
					f.exec(x.write)
					res, err := c.open(dsn).Recover(context.Background(), migrate.RecoverRequest{Abort: mend != "recover"})
					if err != nil {
						t.Fatalf("%s: %v", mend, err)
					}
					if mend == "recover" {
						if res, err = c.open(dsn).Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1}); err != nil {
							t.Fatalf("rollback: %v", err)
						}
					}
					x.judge(t, dsn, res)
				}, family...)
			})
		}
	}
}

// judge compares the rows in the end.
func (w window) judge(t *testing.T, dsn string, res *migrate.Result) {
	t.Helper()
	table, columns := "items", "id, v, note"
	if w.table == "log" {
		table, columns = "log", "v, note"
	}
	if got := testdb.Query(t, dsn, "SELECT "+columns+" FROM "+table+" ORDER BY 1, 2"); !slices.Equal(got, w.want) {
		t.Errorf("rows %v, want %v", got, w.want)
	}
	if n := int64(len(res.Conflicts)); n < w.conflicts || w.conflicts == 0 && n > 0 {
		t.Errorf("%d conflicts reported, want %d: %+v", n, w.conflicts, res.Conflicts)
	}
	if got := testdb.Query(t, dsn, "SELECT * FROM other"); w.verb != "rollback" && !slices.Equal(got, []string{"1|1"}) {
		t.Errorf("other: %v", got)
	}
}

// moment is the one at which a statement has run, and its transaction or its lock has ended.
type moment struct {
	after       string
	seen, ended bool
}

func (m *moment) past(query string) bool {
	switch {
	case !m.seen:
		m.seen = strings.HasPrefix(strings.TrimSpace(query), m.after)
	case !m.ended:
		m.ended = query == "COMMIT" || query == "UNLOCK TABLES" || strings.Contains(query, "`dbrollback_operations`") && strings.Contains(m.after, "RENAME ")
	default:
		return true
	}
	return false
}

type outcome struct{ res *migrate.Result }

// during runs a verb and calls f when a statement has run and its transaction or its lock has ended.
func (c *cutter) during(verb, after string, f func()) outcome {
	c.Helper()
	done, at := false, moment{after: after}
	w, dsn := newWire(c.T, c.dsn, func(query string) cut {
		if !done && at.past(query) {
			done = true
			f()
		}
		return goOn
	})
	defer w.close()
	m := c.open(dsn)
	var out outcome
	var err error
	if verb == "rollback" {
		out.res, err = m.Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1})
	} else {
		out.res, err = m.Up(context.Background(), migrate.UpRequest{To: -1})
	}
	if err != nil {
		c.Fatalf("%s: %v", verb, err)
	}
	if !done {
		c.Fatalf("%s never came past %q", verb, after)
	}
	return out
}
