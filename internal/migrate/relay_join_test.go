package migrate_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestCarriedBackByJoinedColumns: which rows Down writes from a table that Up made is told by the columns that it joins, where no foreign key does. What the
// application has changed or inserted there reaches all of them, and is a conflict.
func TestCarriedBackByJoinedColumns(t *testing.T) {
	t.Parallel()
	const customers = "CREATE TABLE cust (id serial PRIMARY KEY, name text);\nINSERT INTO cust (name) SELECT DISTINCT name FROM ord ORDER BY name;\n" +
		"ALTER TABLE ord ADD cust_id integer;\nUPDATE ord SET cust_id = c.id FROM cust c WHERE c.name = ord.name;\nALTER TABLE ord DROP COLUMN name;"
	const back, gone = "ALTER TABLE ord ADD name text;\n", "\nALTER TABLE ord DROP COLUMN cust_id;\nDROP TABLE cust;"
	const orders = "CREATE TABLE ord (id integer PRIMARY KEY, name text);\nINSERT INTO ord VALUES (11, 'ann'), (12, 'bob'), (13, 'ann'), (14, 'cat');"
	written, before := "UPDATE cust SET name = 'anne' WHERE name = 'ann';\nINSERT INTO cust (name) VALUES ('dan');\nINSERT INTO ord SELECT 15, id FROM cust WHERE name = 'dan';",
		[]string{"11|ann", "12|bob", "13|ann", "14|cat"}
	kept := []string{"11|anne", "12|bob", "13|anne", "14|cat", "15|dan"}
	for _, x := range []struct {
		name, init, up, down, writes, rows string
		before, keep                       []string
		conflicts                          int
	}{
		{"UPDATE FROM", orders, customers, back + "UPDATE ord SET name = c.name FROM cust c WHERE c.id = ord.cust_id;" + gone, written, "SELECT id, name FROM ord ORDER BY id", before, kept, 2},
		{"a subquery", orders, customers, back + "UPDATE ord o SET name = (SELECT name FROM cust WHERE o.cust_id = id);" + gone, written, "SELECT id, name FROM ord ORDER BY id", before, kept, 2},
		{"rows inserted since", "CREATE TABLE u (id integer PRIMARY KEY, tags text[]);\nINSERT INTO u VALUES (1, '{b,a}'), (2, '{}'), (3, '{d,c}');",
			"CREATE TABLE tag (u_id integer, tag text, PRIMARY KEY (u_id, tag));\nINSERT INTO tag SELECT id, unnest(tags) FROM u;\nALTER TABLE u DROP COLUMN tags;",
			"ALTER TABLE u ADD tags text[];\nUPDATE u SET tags = (SELECT array_agg(tag ORDER BY tag) FROM tag WHERE u_id = u.id);\nDROP TABLE tag;",
			"INSERT INTO tag VALUES (2, 'new'), (3, 'e');", "SELECT id, tags::text FROM u ORDER BY id",
			[]string{"1|{b,a}", "2|{}", "3|{d,c}"}, []string{"1|{b,a}", "2|{new}", "3|{c,d,e}"}, 2},
		{"a foreign key that is the key", "CREATE TABLE u (id integer PRIMARY KEY, bio text);\nINSERT INTO u VALUES (10, 'x'), (20, 'y'), (30, 'z');",
			"CREATE TABLE prof (id integer PRIMARY KEY, bio text);\nINSERT INTO prof SELECT id, bio FROM u;\nALTER TABLE u ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES prof (id);\nALTER TABLE u DROP COLUMN bio;",
			"ALTER TABLE u ADD bio text;\nUPDATE u SET bio = p.bio FROM prof p WHERE p.id = u.id;\nALTER TABLE u DROP CONSTRAINT own;\nDROP TABLE prof;",
			"UPDATE prof SET bio = 'mine' WHERE id = 20;", "SELECT id, bio FROM u ORDER BY id", []string{"10|x", "20|y", "30|z"}, []string{"10|x", "20|mine", "30|z"}, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			f := newFixture(t, dsn, x.init, map[string]string{"00001_move.sql": migration(x.up, x.down)})
			for i, want := range [][]string{x.before, x.keep, x.keep} {
				f.up()
				policy, conflicts := snapshot.Fail, 0
				if i == 1 {
					f.exec(x.writes)
					policy, conflicts = snapshot.Keep, x.conflicts
				}
				res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: policy})
				if got := testdb.Query(t, dsn, x.rows); !slices.Equal(got, want) || len(res.Conflicts) != conflicts || !res.Verified {
					t.Errorf("%s: rows %q, want %q; verified %t, conflicts %+v, want %d", policy, got, want, res.Verified, res.Conflicts, conflicts)
				}
			}
		})
	}
}
