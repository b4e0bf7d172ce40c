package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWhatDownComputesFromNewerDataStays is rule 6: a value that Down works out from what the application wrote is no place for a
// captured one, by whatever names table and columns go on the way; the row is a conflict. Rows that nobody wrote get theirs back.
func TestWhatDownComputesFromNewerDataStays(t *testing.T) {
	t.Parallel()
	const split = "ALTER TABLE users ADD COLUMN first varchar(20);\nALTER TABLE users ADD COLUMN rest varchar(20);\nUPDATE users SET first = substr(name, 1, 3), rest = substr(name, 5);\nALTER TABLE users DROP COLUMN name;\n"
	for _, c := range []struct{ name, engines, up, down, write string }{
		{
			name: "in place", up: split, write: "UPDATE users SET first = 'Rob' WHERE id = 2",
			down: "ALTER TABLE users ADD COLUMN name varchar(40);\nUPDATE users SET name = first || ' ' || rest;\nALTER TABLE users DROP COLUMN first;\nALTER TABLE users DROP COLUMN rest;",
		},
		{
			name: "table renamed before", up: split + "ALTER TABLE users RENAME TO people2;", write: "UPDATE people2 SET first = 'Rob' WHERE id = 2",
			down: "ALTER TABLE people2 RENAME TO users;\nALTER TABLE users ADD COLUMN name varchar(40);\nUPDATE users SET name = first || ' ' || rest;\nALTER TABLE users DROP COLUMN first;\nALTER TABLE users DROP COLUMN rest;",
		},
		{
			name: "table renamed after", up: "ALTER TABLE users RENAME TO people2;\n" + strings.ReplaceAll(split, "users", "people2"), write: "UPDATE people2 SET first = 'Rob' WHERE id = 2",
			down: "ALTER TABLE people2 ADD COLUMN name varchar(40);\nUPDATE people2 SET name = first || ' ' || rest;\nALTER TABLE people2 DROP COLUMN first;\nALTER TABLE people2 DROP COLUMN rest;\nALTER TABLE people2 RENAME TO users;",
		},
		{
			name: "keys moved", up: split + "UPDATE users SET id = id + 100 WHERE id = 3;", write: "UPDATE users SET first = 'Rob' WHERE id = 2",
			down: "ALTER TABLE users ADD COLUMN name varchar(40);\nUPDATE users SET name = first || ' ' || rest;\nALTER TABLE users DROP COLUMN first;\nALTER TABLE users DROP COLUMN rest;",
		},
		{
			name: "columns renamed", up: strings.ReplaceAll(split, "first", "given"), write: "UPDATE users SET given = 'Rob' WHERE id = 2",
			down: "ALTER TABLE users RENAME COLUMN given TO first;\nALTER TABLE users ADD COLUMN whole varchar(40);\nUPDATE users SET whole = first || ' ' || rest;\nALTER TABLE users RENAME COLUMN whole TO name;\nALTER TABLE users DROP COLUMN first;\nALTER TABLE users DROP COLUMN rest;",
		},
		{
			name: "table made anew", write: "UPDATE users SET first = 'Rob' WHERE id = 2",
			up:   "CREATE TABLE fresh (id integer PRIMARY KEY, first varchar(20), rest varchar(20));\nINSERT INTO fresh SELECT id, substr(name, 1, 3), substr(name, 5) FROM users;\nDROP TABLE users;\nALTER TABLE fresh RENAME TO users;",
			down: "CREATE TABLE old (id integer PRIMARY KEY, name varchar(40), extra varchar(9));\nINSERT INTO old (id, name) SELECT id, first || ' ' || rest FROM users;\nDROP TABLE users;\nALTER TABLE old RENAME TO users;",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE users (id integer PRIMARY KEY, name varchar(40), extra varchar(9));\nINSERT INTO users VALUES (1, 'Ann B.  Lee', 'a'), (2, 'Bob Ray', 'b'), (3, NULL, 'c');\n",
					map[string]string{"00001_split.sql": migration(c.up, c.down)})
				f.up()
				f.exec(c.write)
				res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Keep})
				got := testdb.Query(t, dsn, "SELECT id || coalesce(name, 'NULL') || extra FROM users ORDER BY id")
				if want := []string{"1Ann B.  Leea", "2Rob Rayb", "3NULLc"}; !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				if len(res.Conflicts) == 0 || slices.ContainsFunc(res.Conflicts, func(c snapshot.Conflict) bool { return c.Key != "id=2" }) {
					t.Errorf("conflicts %+v, want row 2", res.Conflicts)
				}
			})
		})
	}
}
