package migrate_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// pause stands between two statements of a migration where the application writes: it runs outside a transaction.
const pause = "pg: SELECT 1; | sqlite: PRAGMA foreign_keys = ON;"

// stepWindows are windows of migrations without a transaction, on engines whose DDL has one. Parts of up and down are divided by the pause.
var stepWindows = []window{
	{name: "two updates of the same rows", up: "UPDATE items SET v = v + 1; -- UPDATE items SET v = v * 2;", down: "SELECT 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "two updates of different columns", up: "UPDATE items SET v = v + 1 WHERE id < 3; -- UPDATE items SET note = 'n' WHERE id = 3;", down: "UPDATE items SET v = v - 1 WHERE id < 3;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|499|b", "3|30|c"}, conflicts: 1},
	{name: "two updates of other rows", up: "UPDATE items SET v = v + 1 WHERE id < 3; -- UPDATE items SET v = v + 1 WHERE id > 2;", down: "SELECT 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "two updates of other rows, back by two", up: "UPDATE items SET v = v + 1 WHERE id < 3; -- UPDATE items AS i SET v = i.v + 1 WHERE i.id > 2;",
		down: "UPDATE items SET v = v - 1 WHERE id > 2;\nDELETE FROM items WHERE id = 1;", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "two updates, some rows of both", up: "UPDATE items SET v = v + 1 WHERE id < 3; -- UPDATE items AS i SET v = i.v + 1 WHERE i.id > 1;", down: "SELECT 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: parents that are back ahead of a child's", verb: "rollback", up: "DROP TABLE kids;\nUPDATE items SET note = 'x';\nDELETE FROM items WHERE id > 1;", down: "CREATE TABLE kids (id integer PRIMARY KEY, item integer REFERENCES items (id)); -- UPDATE other SET v = 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1, setup: kids, only: "postgres"},
	{name: "down: parents that are back ahead of a child's, one deleted", verb: "rollback", up: "DROP TABLE kids;\nDELETE FROM items WHERE id > 1;", down: "CREATE TABLE kids (id integer PRIMARY KEY, item integer REFERENCES items (id)); -- UPDATE other SET v = 1;",
		write: "DELETE FROM items WHERE id = 3", want: []string{"1|10|a", "2|20|b"}, conflicts: 1, setup: kids, only: "postgres"},
	{name: "an update, and a row of it deleted", up: "UPDATE items SET v = v + 1; -- DELETE FROM items WHERE id = 3;", down: "SELECT 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "the second update makes of the write what the first had made", up: "UPDATE items SET v = 0; -- UPDATE items SET v = 0 WHERE v > 100;", down: "SELECT 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then type change", up: "UPDATE items SET v = v + 1; -- pg: ALTER TABLE items ALTER COLUMN v TYPE bigint; | sqlite: ALTER TABLE items ADD COLUMN w integer;",
		down: "pg: ALTER TABLE items ALTER COLUMN v TYPE integer; | sqlite: ALTER TABLE items DROP COLUMN w;", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then rename and another update", up: "UPDATE items SET v = v + 1;\nALTER TABLE items RENAME COLUMN v TO w; -- UPDATE items SET w = w * 2;", down: "ALTER TABLE items RENAME COLUMN w TO v;",
		write: "UPDATE items SET w = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then rename of the table", up: "UPDATE items SET v = v + 1; -- ALTER TABLE items RENAME TO things;\nUPDATE things SET v = v * 2;", down: "ALTER TABLE things RENAME TO items;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then delete", up: "UPDATE items SET v = v + 1; -- DELETE FROM items WHERE id > 1;", down: "SELECT 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then drop of the table", up: "UPDATE items SET v = v + 1; -- DROP TABLE items;", down: "CREATE TABLE items (id integer PRIMARY KEY, v integer, note varchar(20));",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then drop of the column", up: "UPDATE items SET v = v + 1; -- ALTER TABLE items DROP COLUMN v;", down: "ALTER TABLE items ADD COLUMN v integer;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "delete, then update", up: "DELETE FROM items WHERE id = 2; -- UPDATE items SET v = v + 1;", down: "SELECT 1;",
		write: "INSERT INTO items VALUES (2, 500, 'new')", want: []string{"1|10|a", "2|500|new", "3|30|c"}, conflicts: 1},
	{name: "delete, then an insert of its own", up: "DELETE FROM items WHERE id = 2; -- INSERT INTO items VALUES (4, 40, 'd');\nINSERT INTO items SELECT 2, 21, 'again' WHERE NOT EXISTS (SELECT 1 FROM items WHERE id = 2);", down: "DELETE FROM items WHERE id = 4;",
		write: "UPDATE items SET v = 500 WHERE id = 3", want: []string{"1|10|a", "2|20|b", "3|500|c"}},
	{name: "update, then deleted by a cascade", setup: "CREATE TABLE owners (id integer PRIMARY KEY);\nINSERT INTO owners VALUES (1), (2), (3);\nDROP TABLE items;\nCREATE TABLE items (id integer PRIMARY KEY REFERENCES owners (id) ON DELETE CASCADE, v integer, note varchar(20));\nINSERT INTO items VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c');\n",
		up: "UPDATE items SET v = v + 1; -- DELETE FROM owners WHERE id > 1;", down: "SELECT 1;", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "update, then set by a cascade", setup: "CREATE TABLE owners (id integer PRIMARY KEY);\nINSERT INTO owners VALUES (10), (20), (30), (40);\nDROP TABLE items;\nCREATE TABLE items (id integer PRIMARY KEY, v integer REFERENCES owners (id) ON UPDATE CASCADE, note varchar(20));\nINSERT INTO items VALUES (1, 20, 'a'), (2, 20, 'b'), (3, 30, 'c');\n",
		up: "UPDATE items SET v = v + 10 WHERE id = 3; -- UPDATE owners SET id = 400 WHERE id = 40;", down: "SELECT 1;", write: "UPDATE items SET v = 10 WHERE id = 1", want: []string{"1|10|a", "2|20|b", "3|30|c"}},
	{name: "keys moved, then written", up: "UPDATE items SET id = id + 10, v = v + 1; -- UPDATE items SET v = v + 5;", down: "UPDATE items SET id = id - 10;",
		write: "UPDATE items SET v = 500 WHERE id = 12", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "without a key: update", table: "log", up: "UPDATE log SET v = v + 1; -- UPDATE other SET v = 2;", down: "SELECT 1;",
		write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
	{name: "without a key: two updates", table: "log", up: "UPDATE log SET v = v + 1; -- UPDATE log SET v = v * 2;", down: "SELECT 1;",
		write: "INSERT INTO log VALUES (99, 'new')", want: []string{"2|a", "3|b", "3|b", "99|new"}, conflicts: 1},
	{name: "without a key: two updates, and a statement that captures nothing between them", table: "log", up: "UPDATE log SET v = v + 1; -- pg: ALTER TABLE log ALTER COLUMN v SET NOT NULL; | sqlite: CREATE INDEX log_v ON log (v);\nUPDATE log SET v = 7;",
		down: "pg: ALTER TABLE log ALTER COLUMN v DROP NOT NULL; | sqlite: DROP INDEX log_v;", write: "INSERT INTO log VALUES (99, 'new')", want: []string{"2|a", "3|b", "3|b", "99|new"}, conflicts: 1,
		crashed: []string{"1|a", "2|b", "2|b", "99|new"}},
	{name: "without a key: update, then drop", table: "log", up: "UPDATE log SET v = v + 1; -- DROP TABLE log;", down: "CREATE TABLE log (v integer, note varchar(20));",
		write: "INSERT INTO log VALUES (99, 'new')", want: []string{"2|a", "3|b", "3|b", "99|new"}, conflicts: 1},
	{name: "down: update", verb: "rollback", up: "UPDATE items SET v = v * 2;", down: "UPDATE items SET v = v / 2; -- UPDATE other SET v = 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: between two updates", verb: "rollback", up: "UPDATE items SET v = v * 2;", down: "UPDATE items SET v = v - 1; -- UPDATE items SET v = v / 2;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|250|b", "3|30|c"}, conflicts: 1},
	{name: "down: beside it", verb: "rollback", up: "UPDATE items SET v = v * 2;", down: "UPDATE other SET v = 1; -- UPDATE other SET v = 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: a deleted row is there again", verb: "rollback", up: "DELETE FROM items WHERE id = 2;", down: "UPDATE other SET v = 1; -- UPDATE other SET v = 1;",
		write: "INSERT INTO items VALUES (2, 500, 'new')", want: []string{"1|10|a", "2|500|new", "3|30|c"}, conflicts: 1},
	{name: "down: before its type change", verb: "rollback", up: "pg: ALTER TABLE items ALTER COLUMN v TYPE smallint; | sqlite: UPDATE items SET v = v + 1;",
		down:  "UPDATE other SET v = 1; -- pg: ALTER TABLE items ALTER COLUMN v TYPE integer; | sqlite: UPDATE items SET note = note || '';",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: before a type that what stands there does not fit", verb: "rollback",
		up:    "pg: ALTER TABLE items ALTER COLUMN v TYPE bigint;\nUPDATE items SET v = v + 10000000000; | sqlite: UPDATE items SET v = v + 1;",
		down:  "UPDATE other SET v = 1; -- pg: ALTER TABLE items ALTER COLUMN v TYPE integer; | sqlite: UPDATE items SET note = note || '';",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a type that what stood there did not fit", verb: "rollback",
		up:    "pg: ALTER TABLE items ALTER COLUMN v TYPE bigint;\nUPDATE items SET v = v + 10000000000; | sqlite: UPDATE items SET v = v + 1;",
		down:  "pg: ALTER TABLE items ALTER COLUMN v TYPE integer; | sqlite: UPDATE items SET note = note || ''; -- UPDATE other SET v = 1;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: before a constraint that what stands there breaks", verb: "rollback", up: "UPDATE items SET v = NULL WHERE id < 3;",
		down:  "UPDATE other SET v = 1; -- pg: ALTER TABLE items ALTER COLUMN v SET NOT NULL;\nALTER TABLE items ALTER COLUMN v DROP NOT NULL; | sqlite: CREATE UNIQUE INDEX one ON items (v);\nDROP INDEX one;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a column that it makes again", verb: "rollback", up: "UPDATE items SET v = v + 1;\nALTER TABLE items DROP COLUMN note;",
		down:  "ALTER TABLE items ADD COLUMN note varchar(20); -- UPDATE items SET v = v - 1;",
		write: "UPDATE items SET note = 'new' WHERE id = 2", want: []string{"1|10|a", "2|20|new", "3|30|c"}, conflicts: 1},
	{name: "down: behind a table that it makes again", verb: "rollback", up: "UPDATE items SET v = v + 1;\nDROP TABLE items;",
		down:  "CREATE TABLE items (id integer PRIMARY KEY, v integer, note varchar(20)); -- UPDATE items SET v = v - 1;",
		write: "UPDATE items SET note = 'new' WHERE id = 2", want: []string{"1|10|a", "2|20|new", "3|30|c"}, conflicts: 1},
	{name: "down: behind a written column that it makes again, and writes", verb: "rollback", up: "UPDATE items SET v = v + 1;\nALTER TABLE items DROP COLUMN v;",
		down: "ALTER TABLE items ADD COLUMN v integer; -- UPDATE items SET v = v - 1;", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|499|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a written column that it makes again", verb: "rollback", up: "UPDATE items SET v = v + 1;\nALTER TABLE items DROP COLUMN v;",
		down: "ALTER TABLE items ADD COLUMN v integer; -- UPDATE other SET v = 1;", write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: behind a statement on rows whose keys were moved", verb: "rollback", up: "UPDATE items SET v = v + 1;\nUPDATE items SET id = id + 100;\nALTER TABLE items ADD COLUMN w integer;",
		down: "ALTER TABLE items DROP COLUMN w; -- UPDATE other SET v = 1;", write: "UPDATE items SET v = 500 WHERE id = 102", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: between statements on rows whose keys were moved", verb: "rollback", up: "UPDATE items SET v = v + 1;\nUPDATE items SET id = id + 100;\nALTER TABLE items ADD COLUMN w integer;",
		down: "ALTER TABLE items DROP COLUMN w;\nUPDATE items SET id = id - 100; -- UPDATE items SET v = v - 1;", write: "UPDATE items SET v = 500 WHERE id = 3", want: []string{"1|10|a", "2|20|b", "3|499|c"}, conflicts: 1},
	{name: "down: ahead of a table that it builds anew", verb: "rollback", up: "UPDATE items SET v = v + 1;", down: "UPDATE other SET v = 1; -- CREATE TABLE fresh (id integer PRIMARY KEY, v integer, note varchar(20));\nINSERT INTO fresh SELECT id, v, note FROM items;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;",
		write: "UPDATE items SET v = 500 WHERE id = 2", want: []string{"1|10|a", "2|500|b", "3|30|c"}, conflicts: 1},
	{name: "down: ahead of a table that it makes again and builds anew", verb: "rollback", up: "UPDATE items SET v = v + 1;\nDROP TABLE items;",
		down:  "CREATE TABLE items (id integer PRIMARY KEY, v integer, note varchar(20)); -- CREATE TABLE fresh (id integer PRIMARY KEY, v integer, note varchar(20));\nINSERT INTO fresh SELECT id, v, note FROM items;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;",
		write: "UPDATE items SET note = 'new' WHERE id = 2;\nDELETE FROM items WHERE id = 3;", want: []string{"1|10|a", "2|20|new"}, conflicts: 1},
	{name: "down: behind a table that it builds anew, whose rows wait", verb: "rollback",
		up:    "ALTER TABLE items RENAME COLUMN v TO w;\nCREATE TABLE fresh (id integer PRIMARY KEY, w integer, note varchar(20));\nINSERT INTO fresh SELECT id, w, note FROM items WHERE id > 1;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items;",
		down:  "CREATE TABLE fresh (id integer PRIMARY KEY, w integer, note varchar(20));\nINSERT INTO fresh SELECT id, w, note FROM items;\nDROP TABLE items;\nALTER TABLE fresh RENAME TO items; -- ALTER TABLE items RENAME COLUMN w TO v;",
		write: "UPDATE items SET note = 'new' WHERE id = 2", want: []string{"1|10|a", "2|20|new", "3|30|c"}, conflicts: 1},
	{name: "without a key, down: before a column that it makes again", table: "log", verb: "rollback", up: "UPDATE log SET v = v * 2;\nALTER TABLE log DROP COLUMN note;", down: "UPDATE other SET v = 1; -- ALTER TABLE log ADD COLUMN note varchar(20);",
		write: "INSERT INTO log VALUES (99)", want: []string{"1|a", "2|b", "2|b", "99|NULL"}},
	{name: "without a key, down: between two columns that it makes again", table: "log", verb: "rollback", up: "ALTER TABLE log DROP COLUMN note;\nALTER TABLE log ADD COLUMN w integer;\nALTER TABLE log DROP COLUMN v;\nALTER TABLE log ADD COLUMN x integer;",
		down:  "ALTER TABLE log ADD COLUMN v integer; -- ALTER TABLE log DROP COLUMN x;\nALTER TABLE log DROP COLUMN w;\nALTER TABLE log ADD COLUMN note varchar(20);",
		write: "UPDATE log SET v = 77", want: []string{"77|NULL", "77|NULL", "77|NULL"}, conflicts: 1},
	{name: "without a key, down: beside it", table: "log", verb: "rollback", up: "UPDATE log SET v = v * 2;", down: "UPDATE other SET v = 1; -- UPDATE other SET v = 1;",
		write: "INSERT INTO log VALUES (99, 'new')", want: []string{"1|a", "2|b", "2|b", "99|new"}},
}

// TestWindowsBySteps: what TestWindows says of servers on which each statement commits by itself holds for migrations without a transaction on the others.
func TestWindowsBySteps(t *testing.T) {
	t.Parallel()
	for _, x := range stepWindows {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) { x.inSteps(t, dsn, false) }, testdb.OnPostgres, testdb.OnSQLite)
		})
	}
}

// TestWindowsByStepsOfACrash: the program ends in such a moment, when the application has written, and recover goes on.
func TestWindowsByStepsOfACrash(t *testing.T) {
	t.Parallel()
	for i, x := range stepWindows {
		if i%3 != 0 && os.Getenv("CUTS") != "all" {
			continue
		}
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) { x.inSteps(t, dsn, true) }, testdb.OnPostgres, testdb.OnSQLite)
		})
	}
}

// inSteps runs the migration, with the write in its pause, and judges what there is after the rollback.
func (w window) inSteps(t *testing.T, dsn string, crash bool) {
	t.Helper()
	if !strings.HasPrefix(dsn, w.only) {
		return // the rows wait for the end there
	}
	at := 0
	side := func(text string) string {
		var out []string
		for i, part := range strings.Split(text, " -- ") {
			if i > 0 {
				at = 1 + strings.Count(strings.Join(out, "\n"), "\n") + 1
				out = append(out, on(dsn, pause))
			}
			out = append(out, on(dsn, part))
		}
		return strings.Join(out, "\n")
	}
	f := newFixture(t, dsn, windowTables+w.setup, map[string]string{"00001_change.sql": "-- +goose NO TRANSACTION\n" + migration(side(w.up), side(w.down))})
	run := func(verb string, write bool) *migrate.Result {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wrote := false
		m, err := migrate.Open(ctx, migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
			if write && !wrote && e.Kind == migrate.StatementStart && e.Statement == at {
				f.exec(w.write)
				if wrote = true; crash {
					cancel()
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		var res *migrate.Result
		if verb == "rollback" {
			res, err = m.Rollback(ctx, migrate.RollbackRequest{To: -1, Steps: 1})
		} else {
			res, err = m.Up(ctx, migrate.UpRequest{To: -1})
		}
		if write && crash {
			if err == nil {
				t.Fatalf("%s was not cut off", verb)
			}
			res, err = f.open().Recover(t.Context(), migrate.RecoverRequest{})
		}
		if err != nil || wrote != write {
			t.Fatalf("%s: %v, wrote: %v", verb, err, wrote)
		}
		return res
	}
	run("up", w.verb == "")
	res := run("rollback", w.verb == "rollback")
	if strings.Contains(w.down, "ADD COLUMN v") { // it is the last one there
		f.exec("CREATE TABLE copied AS SELECT id, v, note FROM items;\nDROP TABLE items;\nALTER TABLE copied RENAME TO items;\n")
	}
	if crash && w.crashed != nil && len(res.Conflicts) == 0 {
		w.want, w.conflicts = w.crashed, 0
	}
	w.judge(t, dsn, res)
	if !res.Verified {
		t.Error("not verified")
	}
}
