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

// TestDrawnKeys: a table is made anew with a key that is drawn by chance, the number that was its key stays beside it under another name, and a child points
// to a unique column. Rows are known by their numbers at the rollback, and by what is unique at the up after it, which gives them the keys that they had.
func TestDrawnKeys(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		draw, index, off, on := "gen_random_uuid()::text", "DROP INDEX client_id;", "ALTER TABLE access DROP CONSTRAINT of_client;\n", "ALTER TABLE access ADD CONSTRAINT of_client FOREIGN KEY (client_id) REFERENCES client (id) ON DELETE CASCADE;\n"
		switch {
		case strings.HasPrefix(dsn, "sqlite"):
			draw, off, on = "lower(hex(randomblob(8)))", "", ""
		case !strings.HasPrefix(dsn, "postgres"):
			draw, index, off = "uuid()", "", "ALTER TABLE access DROP FOREIGN KEY of_client;\n"
		}
		rename := "ALTER TABLE client_new RENAME TO client;\nCREATE UNIQUE INDEX client_id ON client (id);\n" + on
		// SQLite: a primary key of text may be NULL there.
		up := "CREATE TABLE client_new (id varchar(40) NOT NULL, name varchar(40), pk_number integer NULL, pk varchar(60) PRIMARY KEY);\n" +
			"INSERT INTO client_new (id, name, pk_number, pk) SELECT id, name, pk, " + draw + " FROM client;\n" + off + index + "\nDROP TABLE client;\n" + rename
		down := "CREATE TABLE client_new (id varchar(40) NOT NULL, name varchar(40), pk integer PRIMARY KEY);\n" +
			"INSERT INTO client_new (id, name, pk) SELECT id, name, pk_number FROM client;\n" + off + index + "\nDROP TABLE client;\n" + rename
		f := newFixture(t, dsn, "CREATE TABLE client (id varchar(40) NOT NULL, name varchar(40), pk integer PRIMARY KEY);\nCREATE UNIQUE INDEX client_id ON client (id);\n"+
			"CREATE TABLE access (sig varchar(40) NOT NULL PRIMARY KEY, client_id varchar(40) NOT NULL, CONSTRAINT of_client FOREIGN KEY (client_id) REFERENCES client (id) ON DELETE CASCADE);\n"+
			"INSERT INTO client VALUES ('a', 'A', 1), ('b', 'B', 2), ('c', 'C', 5);\nINSERT INTO access VALUES ('s1', 'a'), ('s2', 'b');\n",
			map[string]string{"00001_key.sql": migration(up, down)})
		rows := func() string {
			t.Helper()
			return strings.Join(slices.Concat(testdb.Query(t, dsn, "SELECT * FROM client ORDER BY id"), testdb.Query(t, dsn, "SELECT sig, client_id FROM access ORDER BY sig")), "\n")
		}
		same := func(want, when string) {
			t.Helper()
			if got := rows(); got != want {
				t.Fatalf("%s:\n%s", when, testdb.Diff(want, got))
			}
		}
		before := rows()
		f.up()
		after := rows()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		same(before, "after the rollback")
		f.up()
		same(after, "up again")
		f.exec("INSERT INTO client VALUES ('d', 'D', 9, 'zzz');\nUPDATE client SET name = 'A2' WHERE id = 'a';\nINSERT INTO access VALUES ('s3', 'd');\nDELETE FROM client WHERE id = 'c';\n")
		written := rows()
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		back := "a|A2|1\nb|B|2\nd|D|9\ns1|a\ns2|b\ns3|d"
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
