package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const (
	parentsAheadSetup = "CREATE TABLE k (nr integer NOT NULL PRIMARY KEY, r numeric(5,2), s varchar(9));\n" + childAgain +
		"\nINSERT INTO k VALUES (1, 0.11, 'a'), (2, 0.22, 'b'), (3, NULL, 'c'), (4, 0.44, 'd');\nINSERT INTO a VALUES (1, 1), (2, 2), (3, 3);\n"
	childAgain = "CREATE TABLE a (nr integer NOT NULL PRIMARY KEY, k integer, CONSTRAINT f FOREIGN KEY (k) REFERENCES k (nr));"
	fillIn     = "UPDATE k SET r = 0 WHERE r IS NULL;"
	narrower   = "pg: ALTER TABLE k ALTER COLUMN r TYPE numeric(4,1); | mysql: ALTER TABLE k MODIFY r numeric(4,1);"
	narrowFull = "pg: ALTER TABLE k ALTER COLUMN r TYPE numeric(4,1), ALTER COLUMN r SET NOT NULL; | mysql: ALTER TABLE k MODIFY r numeric(4,1) NOT NULL;"
	wider      = "pg: ALTER TABLE k ALTER COLUMN r TYPE numeric(5,2); | mysql: ALTER TABLE k MODIFY r numeric(5,2);"
	wideEmpty  = "pg: ALTER TABLE k ALTER COLUMN r TYPE numeric(5,2), ALTER COLUMN r DROP NOT NULL; | mysql: ALTER TABLE k MODIFY r numeric(5,2);"
)

// parentsAhead are migrations that drop a table, and write to the one that it points to: some of what they write goes back ahead of the dropped rows, and some behind
// them.
var parentsAhead = map[string][2][]string{
	"values filled in, and rows deleted":  {{fillIn, "DROP TABLE a;", "DELETE FROM k WHERE nr IN (2, 3);"}, {childAgain}},
	"under another type":                  {{narrower, "DROP TABLE a;", "DELETE FROM k WHERE nr = 2;"}, {childAgain, wider}},
	"under another type, that goes first": {{narrower, "DROP TABLE a;", "DELETE FROM k WHERE nr = 2;"}, {wider, childAgain}},
	"filled in, and NOT NULL":             {{fillIn, narrowFull, "DROP TABLE a;", "DELETE FROM k WHERE nr IN (2, 3);"}, {childAgain, wideEmpty}},
	"NOT NULL, and an index between":      {{fillIn, narrowFull, "DROP TABLE a;"}, {childAgain, "CREATE UNIQUE INDEX one ON a (k);", wideEmpty}},
}

// parentsAheadOn gives one of them as an engine writes it.
func parentsAheadOn(dsn, name string) (text string) {
	var parts [2]string
	for i, list := range parentsAhead[name] {
		for _, line := range list {
			parts[i] += on(dsn, line) + "\n"
		}
	}
	return migration(parts[0], parts[1])
}

// TestParentsAhead: rows that go back ahead of others, because those point to them, are no write of somebody else to what was captured of their table besides; and where they
// have no value, and their column takes none without yet, they wait.
func TestParentsAhead(t *testing.T) {
	t.Parallel()
	for name := range parentsAhead {
		test := func(head string, engines ...testdb.Engine) func(t *testing.T) {
			return func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, parentsAheadSetup, map[string]string{"00001_x.sql": head + parentsAheadOn(dsn, name)})
					before := f.dump()
					after := ""
					for _, f.copy = range []bool{false, true} {
						if res := f.up(); len(res.Conflicts) > 0 && !strings.HasPrefix(dsn, "m") { // there it tells of rows that it deletes again
							t.Errorf("conflicts of up: %+v", res.Conflicts)
						}
						if after == "" {
							after = f.dump()
						}
						f.same(after, f.dump(), "up")
						if res := f.rollback(migrate.RollbackRequest{Steps: 1}); len(res.Conflicts) > 0 {
							t.Errorf("conflicts: %+v", res.Conflicts)
						}
						f.same(before, f.dump(), "after the rollback")
					}
				}, engines...)
			}
		}
		t.Run(name, test("", everywhere...))
		t.Run(name+", by steps", test("-- +goose NO TRANSACTION\n", testdb.OnPostgres))
	}
}

// TestParentsAheadThatOthersWrote: the same, with what others write in between: that stays, and is told.
func TestParentsAheadThatOthersWrote(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, parentsAheadSetup, map[string]string{"00001_x.sql": parentsAheadOn(dsn, "values filled in, and rows deleted")})
		before := rowsOfBoth(t, dsn)
		f.up()
		f.exec("UPDATE k SET s = 'z' WHERE nr = 4;\nINSERT INTO k VALUES (2, 9.9, 'y');\n")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		want := strings.NewReplacer("2|0.22|b", "2|9.90|y", "4|0.44|d", "4|0.44|z").Replace(before)
		if got := rowsOfBoth(t, dsn); got != want {
			t.Errorf("rows\n got %s\nwant %s", got, want)
		}
		if len(res.Conflicts) == 0 {
			t.Error("the row that another stands in place of is not told")
		}
	}, everywhere...)
}

// TestCutOffWhereParentsGoAhead: the same as the first, cut off each way.
func TestCutOffWhereParentsGoAhead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"values filled in, and rows deleted", "NOT NULL, and an index between"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, parentsAheadOn(dsn, name))
				c.exec(parentsAheadSetup)
				c.cutsThereAndBack(func() string { return testdb.DumpAnyOrder(t, dsn) })
			}, family...)
		})
	}
}

// rowsOfBoth gives the rows of the two tables.
func rowsOfBoth(t *testing.T, dsn string) string {
	t.Helper()
	null := func(c string) string {
		return "coalesce(" + on(dsn, "cast("+c+" AS char(9)) | pg: "+c+"::text | sqlite: printf('%.2f', "+c+")") + ", '-')"
	}
	return strings.Join(append(testdb.Query(t, dsn, "SELECT concat(nr, '|', "+null("r")+", '|', s) FROM k ORDER BY nr"),
		testdb.Query(t, dsn, "SELECT concat(nr, '|', k) FROM a ORDER BY nr")...), "\n")
}
