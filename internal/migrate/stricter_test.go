package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// plainAgain makes the table as it was.
const plainAgain = "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);"

// stricter are Downs that make a dropped table again with what it did not have, and that its rows break; they end with a statement that does not need the rows, or without one.
var stricter = map[string]string{
	"not null":                 "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9) NOT NULL, r integer NOT NULL, CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);",
	"unique, in the table":     "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT k UNIQUE (x), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));",
	"both, and another one":    "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9) NOT NULL, r integer, CONSTRAINT k UNIQUE (x), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE TABLE b (id integer NOT NULL PRIMARY KEY);\nDROP TABLE b;",
	"check, and another one":   "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT c CHECK (id < 3), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE TABLE b (id integer NOT NULL PRIMARY KEY);\nDROP TABLE b;\nCREATE INDEX k ON a (x);",
	"check of a column":        "CREATE TABLE a (id integer NOT NULL PRIMARY KEY CHECK (id < 3), x varchar(9), r integer, CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);",
	"unique index behind it":   strings.Replace(plainAgain, "CREATE INDEX", "CREATE UNIQUE INDEX", 1),
	"another one behind it":    plainAgain + "\nCREATE UNIQUE INDEX u ON a (x);",
	"constraints behind it":    plainAgain + "\nALTER TABLE a ADD CONSTRAINT u UNIQUE (x);\nALTER TABLE a ADD CONSTRAINT c CHECK (id < 3);",
	"foreign key behind it":    plainAgain + "\nALTER TABLE a ADD CONSTRAINT g FOREIGN KEY (id) REFERENCES r (id);",
	"check, and rows needed":   "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT c9 CHECK (id < 3), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);\nUPDATE a SET x = 'z' WHERE id = 3;",
	"check, and one elsewhere": "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT c CHECK (id < 3), CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);\nCREATE UNIQUE INDEX u ON r (id);\nDROP INDEX u;",
}

const stricterSetup = "CREATE TABLE r (id integer NOT NULL PRIMARY KEY);\nINSERT INTO r VALUES (1);\n" +
	"CREATE TABLE a (id integer NOT NULL PRIMARY KEY, x varchar(9), r integer, CONSTRAINT f FOREIGN KEY (r) REFERENCES r (id));\nCREATE INDEX k ON a (x);\n" +
	"INSERT INTO a VALUES (1, NULL, 1), (2, 'q', NULL), (3, 'q', 1);\n"

// ofEngine gives one of the Downs as an engine writes it.
func ofEngine(dsn, down string) string {
	if strings.HasPrefix(dsn, "m") {
		return strings.Replace(down, "DROP INDEX u;", "DROP INDEX u ON r;", 1)
	}
	return down
}

// TestDownMakesATableStricter: a dropped table comes back with all its rows, and as it was, where Down makes it again with constraints that they break: whether it was moved aside or copied.
func TestDownMakesATableStricter(t *testing.T) {
	t.Parallel()
	for name, down := range stricter {
		test := func(head string, engines ...testdb.Engine) func(t *testing.T) {
			return func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, stricterSetup, map[string]string{"00001_x.sql": head + migration("DROP TABLE a;", ofEngine(dsn, down))})
					before := f.dump()
					for _, f.copy = range []bool{false, true} {
						f.up()
						if res := f.rollback(migrate.RollbackRequest{Steps: 1}); len(res.Conflicts) > 0 {
							t.Errorf("copied %v: conflicts %+v", f.copy, res.Conflicts)
						}
						f.same(before, f.dump(), "after the rollback")
					}
				}, engines...)
			}
		}
		engines := append(slices.Clone(family), testdb.OnPostgres)
		if !strings.Contains(down, "ADD CONSTRAINT") && !strings.Contains(down, "UPDATE") { // SQLite adds no constraint to a table, and takes none off: see below
			engines = append(engines, testdb.OnSQLite)
		}
		t.Run(name, test("", engines...))
		t.Run(name+", by steps", test("-- +goose NO TRANSACTION\n", testdb.OnPostgres))
	}
}

// TestStricterOnSQLite: where a statement of Down needs the rows first, and they break what only a new table could do without, the rollback has no effect; when Down is mended all rows
// come back.
func TestStricterOnSQLite(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, stricterSetup, map[string]string{"00001_x.sql": migration("DROP TABLE a;", stricter["check, and rows needed"])})
		before := f.dump()
		for _, f.copy = range []bool{false, true} {
			f.add("00001_x.sql", migration("DROP TABLE a;", stricter["check, and rows needed"]))
			f.up()
			after := f.dump()
			if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); err == nil {
				t.Fatalf("copied %v: no error", f.copy)
			}
			f.same(after, f.dump(), "after the rollback that failed")
			f.add("00001_x.sql", migration("DROP TABLE a;", plainAgain))
			f.rollback(migrate.RollbackRequest{Steps: 1})
			f.same(before, f.dump(), "after the one that Down was mended for")
		}
	}, testdb.OnSQLite)
}

// TestCutOffWhileATableIsStricter: the same, cut off each way.
func TestCutOffWhileATableIsStricter(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"both, and another one", "check, and another one", "constraints behind it", "check, and rows needed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, migration("DROP TABLE a;", stricter[name]))
				c.exec(stricterSetup)
				c.cutsThereAndBack(func() string { return testdb.DumpAnyOrder(t, dsn) })
			}, family...)
		})
	}
}
