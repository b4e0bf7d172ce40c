package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// stricter are Downs that make a dropped table again with what it did not have, and that its rows break; they end with a statement that does not need the rows, or without one.
var stricter = map[string]string{
	"not null":              "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9) NOT NULL, r integer NOT NULL, CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);",
	"unique, in the table":  "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT k UNIQUE (x), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));",
	"both, and another one": "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9) NOT NULL, r integer, CONSTRAINT k UNIQUE (x), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE TABLE b (id integer NOT NULL PRIMARY KEY);\nDROP TABLE b;",
}

const stricterSetup = "CREATE TABLE r (id integer NOT NULL PRIMARY KEY);\nINSERT INTO r VALUES (1);\n" +
	"CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);\n" +
	"INSERT INTO a VALUES (1, NULL, 1), (2, 'q', NULL), (3, 'q', 1);\n"

// TestDownMakesATableStricter: a dropped table comes back with all its rows, and as it was, where Down makes it again with constraints that they break: whether it was moved aside or copied.
// On SQLite what Down makes and was not there goes with the whole table, in the end.
func TestDownMakesATableStricter(t *testing.T) {
	t.Parallel()
	for name, down := range stricter {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, stricterSetup, map[string]string{"00001_x.sql": migration("DROP TABLE a;", down)})
				before := f.dump()
				for _, f.copy = range []bool{false, true} {
					f.up()
					if res := f.rollback(migrate.RollbackRequest{Steps: 1}); len(res.Conflicts) > 0 {
						t.Errorf("copied %v: conflicts %+v", f.copy, res.Conflicts)
					}
					f.same(before, f.dump(), "after the rollback")
				}
			}, append(family, testdb.OnPostgres)...)
		})
	}
}

// TestCutOffWhileATableIsStricter: the same, cut off each way.
func TestCutOffWhileATableIsStricter(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("DROP TABLE a;", stricter["both, and another one"]))
		c.exec(stricterSetup)
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = 'a'"), "") + testdb.DumpAnyOrder(t, dsn)
		}
		c.cutsThereAndBack(rows)
	}, family...)
}
