package migrate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// drawnKeys is a table, what it holds, and a migration that makes it anew with a key that is drawn by chance: the number that was its key stays beside it under
// another name, and a child points to a unique column.
func drawnKeys(dsn string) (setup, up, down string) {
	draw, index, off, on := "gen_random_uuid()::text", "DROP INDEX client_id;", "ALTER TABLE access DROP CONSTRAINT of_client;\n", "ALTER TABLE access ADD CONSTRAINT of_client FOREIGN KEY (client_id) REFERENCES client (id) ON DELETE CASCADE;\n"
	switch {
	case strings.HasPrefix(dsn, "sqlite"):
		draw, off, on = "lower(hex(randomblob(8)))", "", ""
	case !strings.HasPrefix(dsn, "postgres"):
		draw, index, off = "uuid()", "", "ALTER TABLE access DROP FOREIGN KEY of_client;\n"
	}
	swap := off + index + "\nDROP TABLE client;\nALTER TABLE client_new RENAME TO client;\nCREATE UNIQUE INDEX client_id ON client (id);\n" + on
	setup = "CREATE TABLE client (id varchar(40) NOT NULL, name varchar(40), pk integer PRIMARY KEY);\nCREATE UNIQUE INDEX client_id ON client (id);\n" +
		"CREATE TABLE access (sig varchar(40) NOT NULL PRIMARY KEY, client_id varchar(40) NOT NULL, CONSTRAINT of_client FOREIGN KEY (client_id) REFERENCES client (id) ON DELETE CASCADE);\n" +
		"INSERT INTO client VALUES ('a', 'A', 1), ('b', 'B', 2), ('c', 'C', 5);\nINSERT INTO access VALUES ('s1', 'a'), ('s2', 'b');\n"
	// SQLite: a primary key of text may be NULL there.
	up = "CREATE TABLE client_new (id varchar(40) NOT NULL, name varchar(40), pk_number integer NULL, pk varchar(60) PRIMARY KEY);\n" +
		"INSERT INTO client_new (id, name, pk_number, pk) SELECT id, name, pk, " + draw + " FROM client;\n" + swap
	down = "CREATE TABLE client_new (id varchar(40) NOT NULL, name varchar(40), pk integer PRIMARY KEY);\n" +
		"INSERT INTO client_new (id, name, pk) SELECT id, name, pk_number FROM client;\n" + swap
	return setup, up, down
}

// drawnRows are all rows of the two tables.
func drawnRows(t *testing.T, dsn string) []string {
	t.Helper()
	return slices.Concat(testdb.Query(t, dsn, "SELECT * FROM client ORDER BY id"), testdb.Query(t, dsn, "SELECT sig, client_id FROM access ORDER BY sig"))
}

// TestDrawnKeys: rows are known by their numbers at the rollback, and by what is unique at the up after it, which gives them the keys that they had.
func TestDrawnKeys(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		setup, up, down := drawnKeys(dsn)
		f := newFixture(t, dsn, setup, map[string]string{"00001_key.sql": migration(up, down)})
		same := func(want []string, when string) {
			t.Helper()
			if got := drawnRows(t, dsn); !slices.Equal(got, want) {
				t.Fatalf("%s: %q, want %q", when, got, want)
			}
		}
		before := drawnRows(t, dsn)
		f.up()
		after := drawnRows(t, dsn)
		f.rollback(migrate.RollbackRequest{Steps: 1})
		same(before, "after the rollback")
		f.up()
		same(after, "up again")
		f.exec("INSERT INTO client VALUES ('d', 'D', 9, 'zzz');\nUPDATE client SET name = 'A2' WHERE id = 'a';\nINSERT INTO access VALUES ('s3', 'd');\nDELETE FROM client WHERE id = 'c';\n")
		written := drawnRows(t, dsn)
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		back := []string{"a|A2|1", "b|B|2", "d|D|9", "s1|a", "s2|b", "s3|d"}
		same(back, "after the rollback behind the writes")
		if len(res.Conflicts) != 2 {
			t.Errorf("conflicts: %+v", res.Conflicts)
		}
		f.up()
		same(written, "up again behind the writes")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		same(back, "rolled back once more")
	}, testdb.Everywhere()...)
}

// TestCutOffWhileKeysAreDrawn: the same where each statement commits, with a client that dies here and there on the way back and on the way up again.
func TestCutOffWhileKeysAreDrawn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		setup, up, down := drawnKeys(dsn)
		c := newCutter(t, dsn, migration(up, down))
		for _, statement := range strings.Split(strings.TrimSpace(setup), ";\n") {
			testdb.Exec(t, dsn, strings.TrimSuffix(statement, ";"))
		}
		c.must("up")
		c.must("rollback")
		commands := map[string]int{"up": len(c.commands("up")), "rollback": len(c.commands("rollback"))}
		c.must("up")
		end := func(verb string, n int, want []string) {
			t.Helper()
			at, err := c.cutAt(verb, n, []cut{afterAnswer, beforeIt, afterSending}[n%3])
			was, merr := c.mend("recover")
			if merr != nil {
				t.Fatalf("%s cut off at command %d, %.80q (%v): recover: %v", verb, n, at, err, merr)
			}
			if got := drawnRows(t, dsn); !was && err != nil && !slices.Equal(got, want) { // it had not begun
				c.must(verb)
			}
			if got := drawnRows(t, dsn); !slices.Equal(got, want) {
				t.Fatalf("%s cut off at command %d, %.80q (%v): %q, want %q", verb, n, at, err, got, want)
			}
		}
		const cuts = 14
		for i := range cuts {
			name := fmt.Sprintf("A%d", i)
			testdb.Exec(t, dsn, "UPDATE client SET name = '"+name+"' WHERE id = 'a'")
			written := drawnRows(t, dsn)
			end("rollback", commands["rollback"]*(2*i+1)/(2*cuts), []string{"a|" + name + "|1", "b|B|2", "c|C|5", "s1|a", "s2|b"})
			end("up", commands["up"]*(2*i+1)/(2*cuts), written)
		}
	}, family...)
}

// TestKeyOfAnotherType: a table is made anew with its numbers as texts: they are the same keys. A text that is no number may come, and be left out by Down.
func TestKeyOfAnotherType(t *testing.T) {
	for name, chosen := range map[string]string{"as it is": "id, name", "cast": "CAST(id AS char(20)), name", "all": "*"} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				number := "CAST(id AS integer)"
				if strings.HasPrefix(dsn, "mysql") || strings.HasPrefix(dsn, "mariadb") {
					number = "CAST(id AS signed)"
				}
				swap := "DROP TABLE client;\nALTER TABLE client_new RENAME TO client;"
				f := newFixture(t, dsn, "CREATE TABLE client (id integer NOT NULL PRIMARY KEY, name varchar(40));\nINSERT INTO client VALUES (1, 'A'), (2, 'B'), (5, 'C');",
					map[string]string{"00001_key.sql": migration("CREATE TABLE client_new (id varchar(60) NOT NULL PRIMARY KEY, name varchar(40));\nINSERT INTO client_new (id, name) SELECT "+chosen+" FROM client;\n"+swap,
						"CREATE TABLE client_new (id integer NOT NULL PRIMARY KEY, name varchar(40));\nINSERT INTO client_new (id, name) SELECT "+number+", name FROM client WHERE id <> 'zzz';\n"+swap)})
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.up()
				f.exec("INSERT INTO client VALUES ('7', 'D'), ('zzz', 'Z');\nUPDATE client SET name = 'A2' WHERE id LIKE '1%';\nDELETE FROM client WHERE id LIKE '5%';\n")
				written := testdb.Query(t, dsn, "SELECT trim(id), name FROM client ORDER BY id")
				for i := range 2 {
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if got, want := testdb.Query(t, dsn, "SELECT id, name FROM client ORDER BY id"), []string{"1|A2", "2|B", "7|D"}; !slices.Equal(got, want) {
						t.Fatalf("rollback %d: %q, want %q", i+1, got, want)
					}
					if i == 0 && len(res.Conflicts) != 2 {
						t.Errorf("conflicts: %+v", res.Conflicts)
					}
					f.up()
					if got := testdb.Query(t, dsn, "SELECT trim(id), name FROM client ORDER BY id"); !slices.Equal(got, written) {
						t.Fatalf("up again %d: %q, want %q", i+1, got, written)
					}
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestRenumberedKeys: a table is made anew without what its rows were known by, and Down numbers them anew. While nobody writes, every row comes back under its
// number; afterwards the rows stay as Down makes them, and nothing that was captured under a number is written over another row that has it now.
func TestRenumberedKeys(t *testing.T) {
	for policy, want := range map[snapshot.Policy][]string{snapshot.Keep: {"b|B!|1", "c|C!|2", "d|D|3"}, snapshot.Restore: {"a|A|1", "b|B|2", "c|C|5"}} {
		t.Run(string(policy), func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				join := "concat(%s, %s)"
				if strings.HasPrefix(dsn, "sqlite") {
					join = "%s || %s"
				}
				swap := "DROP TABLE client;\nALTER TABLE client_new RENAME TO client;"
				f := newFixture(t, dsn, "CREATE TABLE client (id varchar(40) NOT NULL, name varchar(40), pk integer PRIMARY KEY);\nINSERT INTO client VALUES ('a', 'A', 1), ('b', 'B', 2), ('c', 'C', 5);",
					map[string]string{"00001_key.sql": migration("UPDATE client SET name = "+fmt.Sprintf(join, "name", "'!'")+" WHERE pk > 1;\nCREATE TABLE client_new (id varchar(40) NOT NULL, name varchar(40), pk varchar(60) NOT NULL PRIMARY KEY);\n"+
						"INSERT INTO client_new (id, name, pk) SELECT id, name, "+fmt.Sprintf(join, "'k'", "id")+" FROM client;\n"+swap,
						"CREATE TABLE client_new (id varchar(40) NOT NULL, name varchar(40), pk integer PRIMARY KEY);\n"+
							"INSERT INTO client_new (id, name, pk) SELECT id, name, row_number() OVER (ORDER BY id) FROM client;\n"+swap)})
				rows := func() []string { return testdb.Query(t, dsn, "SELECT * FROM client ORDER BY id") }
				before := rows()
				for range 2 {
					f.up()
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := rows(); !slices.Equal(got, before) {
						t.Fatalf("without writes: %q", got)
					}
				}
				f.up()
				f.exec("INSERT INTO client VALUES ('d', 'D', 'zzz');\nDELETE FROM client WHERE id = 'a';\n")
				written := rows()
				res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: policy})
				if got := rows(); !slices.Equal(got, want) || len(res.Conflicts) == 0 {
					t.Fatalf("rows %q, want %q; conflicts %+v", got, want, res.Conflicts)
				}
				if policy == snapshot.Restore {
					return
				}
				if f.up(); !slices.Equal(rows(), written) {
					t.Errorf("up again: %q, want %q", rows(), written)
				}
			}, testdb.Everywhere()...)
		})
	}
}
