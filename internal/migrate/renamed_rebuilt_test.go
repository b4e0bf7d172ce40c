package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A table that is renamed and then built anew under its new name: what the application writes to the new one is told from what Up has made of it.
func TestRenamedAndBuiltAnew(t *testing.T) {
	t.Parallel()
	const (
		away, home  = "ALTER TABLE t RENAME TO t1;\n", "ALTER TABLE t1 RENAME TO t;\n"
		build       = "CREATE TABLE n (id integer PRIMARY KEY, b varchar(20), x integer);\nINSERT INTO n SELECT id, substr(b, 1, 2), x FROM t1;\nDROP TABLE t1;\nALTER TABLE n RENAME TO t1;\n"
		again       = "CREATE TABLE o (id integer PRIMARY KEY, b varchar(20), x integer);\nINSERT INTO o SELECT id, b, x FROM t1;\nDROP TABLE t1;\nALTER TABLE o RENAME TO t1;\n"
		swap, unset = "ALTER TABLE t1 DROP COLUMN x;\nALTER TABLE t1 ADD COLUMN x bigint DEFAULT 5;\n", "ALTER TABLE t1 DROP COLUMN x;\nALTER TABLE t1 ADD COLUMN x integer;\n"
	)
	for name, x := range map[string]struct{ more, up, down string }{
		"and back":                    {"", away + build, again + home},
		"and renamed back":            {"", away + build, home},
		"with a column made anew":     {"", away + build + swap, unset + again + home},
		"renamed behind it":           {"", strings.ReplaceAll(build, "t1", "t") + away, home + strings.ReplaceAll(again, "t1", "t")},
		"renamed twice":               {"", "ALTER TABLE t RENAME TO t2;\nALTER TABLE t2 RENAME TO t1;\n" + build, home},
		"copied, as others refer":     {"CREATE TABLE c (id integer PRIMARY KEY, p integer, CONSTRAINT cp FOREIGN KEY (p) REFERENCES t (id));\nINSERT INTO c VALUES (1, 8);\n", "pg: ALTER TABLE c DROP CONSTRAINT cp; | mysql: ALTER TABLE c DROP FOREIGN KEY cp; | sqlite: SELECT 1;\n" + away + build, "ALTER TABLE t1 RENAME TO t;"},
		"and written to":              {"", away + build + "UPDATE t1 SET x = x + 1;\n", "UPDATE t1 SET x = x - 1;\n" + home},
		"and written to ahead of it":  {"", away + "UPDATE t1 SET x = x + 1;\n" + build, home},
		"rows left out and put there": {"", away + strings.Replace(build, "FROM t1", "FROM t1 WHERE id <> 8", 1) + "INSERT INTO t1 VALUES (30, 'up', 0);\n", "DELETE FROM t1 WHERE id = 30;\n" + home},
	} {
		for steps, engines := range map[string][]testdb.Engine{"": testdb.Everywhere(), "-- +goose NO TRANSACTION\n": testdb.Engines()} {
			t.Run(strings.TrimSpace(name+" "+strings.Trim(steps, "-+\n ")), func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, b varchar(20), x integer);\nINSERT INTO t VALUES (7, NULL, 1), (8, 'alpha', 1), (9, 'beta', 1), (10, 'gamma', NULL);\n"+x.more,
						map[string]string{"00001_x.sql": steps + migration(onEach(dsn, x.up), x.down)})
					rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT id, b, x FROM t ORDER BY id"), "\n") }
					before := rows()
					f.up()
					if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 {
						t.Errorf("conflicts with nobody: %+v", res.Conflicts)
					}
					f.same(before, rows(), "back when nobody wrote")
					f.up()
					f.exec("UPDATE t1 SET b = 'e' WHERE id = 7;\nDELETE FROM t1 WHERE id = 9;\nINSERT INTO t1 VALUES (20, 'new', 2);")
					res, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0, OnConflict: snapshot.Keep})
					if err != nil {
						t.Fatal(err)
					}
					got, want := testdb.Query(t, dsn, "SELECT id, b FROM t ORDER BY id"), []string{"7|e", "8|alpha", "10|gamma", "20|new"}
					if !slices.Equal(got, want) {
						t.Errorf("rows %q, want %q", got, want)
					}
					var keys []string
					for _, c := range res.Conflicts {
						if !slices.Contains(keys, c.Key) {
							keys = append(keys, c.Key)
						}
					}
					slices.Sort(keys)
					if strings.Join(keys, " ") != "id=7 id=9" {
						t.Errorf("conflicts %q, want those of the rows that were written", keys)
					}
				}, engines...)
			})
		}
	}
}

// What Up itself puts into a table that it has built anew does not come back with that one's rows when it drops or empties that in the end.
func TestBuiltAnewAndEmptied(t *testing.T) {
	t.Parallel()
	const build = "CREATE TABLE n (id integer PRIMARY KEY, b varchar(20));\nINSERT INTO n SELECT id, substr(b, 1, 2) FROM t;\nDROP TABLE t;\nALTER TABLE n RENAME TO t;\nINSERT INTO t VALUES (30, 'up');\n"
	const create = "CREATE TABLE t (id integer PRIMARY KEY, b varchar(20));\n"
	for name, x := range map[string]struct{ up, down string }{
		"dropped":              {build + "DROP TABLE t;\n", create},
		"dropped, made anew":   {build + "DROP TABLE t;\n" + create + "INSERT INTO t VALUES (31, 'up');\n", "SELECT 1;"},
		"emptied":              {build + "DELETE FROM t;\n", "SELECT 1;"},
		"truncated":            {build + "pg: TRUNCATE TABLE t; | mysql: TRUNCATE TABLE t; | sqlite: DELETE FROM t;\n", "SELECT 1;"},
		"truncated, and built": {build + "pg: TRUNCATE TABLE t; | mysql: TRUNCATE TABLE t; | sqlite: DELETE FROM t;\n", strings.Replace(create, "t (", "o (", 1) + "INSERT INTO o SELECT id, b FROM t;\nDROP TABLE t;\nALTER TABLE o RENAME TO t;"},
	} {
		for steps, engines := range map[string][]testdb.Engine{"": testdb.Everywhere(), "-- +goose NO TRANSACTION\n": testdb.Engines()} {
			t.Run(strings.TrimSpace(name+" "+strings.Trim(steps, "-+\n ")), func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, create+"INSERT INTO t VALUES (7, NULL), (8, 'alpha'), (9, 'beta');", map[string]string{"00001_x.sql": steps + migration(onEach(dsn, x.up), x.down)})
					rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT id, b FROM t ORDER BY id"), "\n") }
					before := rows()
					f.up()
					if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 {
						t.Errorf("conflicts with nobody: %+v", res.Conflicts)
					}
					f.same(before, rows(), "back")
				}, engines...)
			})
		}
	}
}

// onEach picks an engine's own form of each line.
func onEach(dsn, text string) string {
	out := strings.Split(text, "\n")
	for i := range out {
		out[i] = on(dsn, out[i])
	}
	return strings.Join(out, "\n")
}

// TestLeftOutByARebuild: a row that Up has inserted is left out as Up builds the table anew, and its value does not fit the type that Down gives back. It goes again with the table that comes back,
// nobody is told to have deleted it, and the next up leaves it out again.
func TestLeftOutByARebuild(t *testing.T) {
	t.Parallel()
	const (
		build = "CREATE TABLE n (id integer PRIMARY KEY, b varchar(20), x varchar(20));\nINSERT INTO n SELECT id, b, x FROM t1 WHERE id < 30;\nDROP TABLE t1;\nALTER TABLE n RENAME TO t1;\n"
		wider = "pg: ALTER TABLE t ALTER COLUMN x TYPE varchar(20); | mysql: ALTER TABLE t MODIFY x varchar(20);\nINSERT INTO t VALUES (30, 'up', '');\n"
		back  = "pg: ALTER TABLE t ALTER COLUMN x TYPE integer USING x::integer; | mysql: ALTER TABLE t MODIFY x integer;\n"
	)
	here := func(text string) string { return strings.ReplaceAll(text, "t1", "t") }
	for name, x := range map[string]struct{ up, down string }{
		"built anew there":     {here(build), ""},
		"built anew both ways": {here(build), here(build)},
		"under another name":   {"ALTER TABLE t RENAME TO t1;\n" + build, build + "ALTER TABLE t1 RENAME TO t;\n"},
	} {
		for _, steps := range []string{"", "-- +goose NO TRANSACTION\n"} {
			t.Run(name+steps, func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, b varchar(20), x integer);\nINSERT INTO t VALUES (7, NULL, 1), (8, 'alpha', 1), (9, 'beta', NULL);\n",
						map[string]string{"00001_x.sql": steps + migration(onEach(dsn, wider)+x.up, x.down+onEach(dsn, back))})
					rows := func(table string) string {
						return strings.Join(testdb.Query(t, dsn, "SELECT id, b, x FROM "+table+" ORDER BY id"), "\n")
					}
					table := "t"
					if strings.Contains(x.up, "TO t1") {
						table = "t1"
					}
					before := rows("t")
					f.up()
					after := rows(table)
					for range 2 {
						if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 {
							t.Errorf("conflicts with nobody: %+v", res.Conflicts)
						}
						f.same(before, rows("t"), "rolled back")
						f.up()
						f.same(after, rows(table), "up again")
					}
				}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
			})
		}
	}
}
