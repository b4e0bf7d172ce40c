package migrate_test

import (
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestShapesOfTheFamily: what only these servers have comes back object by object and row by row, and with the next up, on servers
// whose settings change what a table is.
func TestShapesOfTheFamily(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name     string
		start    func(t testing.TB, settings ...string) *testdb.Server
		settings []string
		setup    []string
		up, down string
	}{
		{
			"mysql, invisible keys, columns and indexes, checks that are not enforced", testdb.PrivateMySQL,
			[]string{"sql-generate-invisible-primary-key=ON", "partial-revokes=ON"},
			[]string{
				"CREATE TABLE plain (v integer, w varchar(9))", "INSERT INTO plain VALUES (1, 'a'), (2, 'b'), (2, 'b')",
				"CREATE TABLE shapes (id integer PRIMARY KEY, v integer, hidden integer INVISIBLE DEFAULT 7, g integer AS (v + 1) STORED, j json, INDEX f ((v * 2)), INDEX i (v) INVISIBLE, CONSTRAINT low CHECK (v < 0) NOT ENFORCED)",
				"INSERT INTO shapes (id, v, hidden, j) VALUES (1, 5, 1, '{}'), (2, 6, 2, NULL), (3, NULL, 3, '[1]')",
				"CREATE TABLE gone (id integer PRIMARY KEY, v integer, hidden integer INVISIBLE, INDEX f ((v * 2)), CONSTRAINT high CHECK (v > 90) NOT ENFORCED)",
				"INSERT INTO gone (id, v, hidden) VALUES (1, 1, 11), (2, 2, NULL)",
			},
			"UPDATE plain SET w = 'x' WHERE v = 2;\nALTER TABLE plain MODIFY w varchar(3);\nALTER TABLE shapes DROP COLUMN hidden;\nUPDATE shapes SET v = v * 2;\nALTER TABLE shapes DROP INDEX f;\nDROP TABLE gone;",
			"CREATE TABLE gone (id integer PRIMARY KEY, v integer, hidden integer INVISIBLE, INDEX f ((v * 2)), CONSTRAINT high CHECK (v > 90) NOT ENFORCED);\n" +
				"ALTER TABLE shapes ADD INDEX f ((v * 2));\nALTER TABLE shapes ADD COLUMN hidden integer INVISIBLE DEFAULT 7 AFTER v;\nALTER TABLE plain MODIFY w varchar(9);",
		},
		{
			"mariadb, names in small letters, rows with a history, sequences", testdb.PrivateMariaDB, []string{"lower-case-table-names=1"},
			[]string{
				"CREATE TABLE Mixed (id integer PRIMARY KEY, V integer, hidden integer INVISIBLE DEFAULT 7)", "INSERT INTO Mixed (id, V, hidden) VALUES (1, 5, 1), (2, 6, 2)",
				"CREATE TABLE Versioned (id integer PRIMARY KEY, v integer) WITH SYSTEM VERSIONING", "INSERT INTO Versioned VALUES (1, 1), (2, 2)",
				"CREATE TABLE Gone (id integer PRIMARY KEY, v varchar(9) COLLATE latin1_general_cs)", "INSERT INTO Gone VALUES (1, 'a'), (2, 'A')",
				"CREATE SEQUENCE counter START WITH 100 INCREMENT BY 5",
			},
			"UPDATE MIXED SET v = v + 1;\nALTER TABLE mixed DROP COLUMN hidden;\nUPDATE versioned SET v = 9 WHERE id = 1;\nDROP TABLE GONE;\nDROP SEQUENCE counter;",
			"CREATE SEQUENCE counter START WITH 100 INCREMENT BY 5;\nCREATE TABLE Gone (id integer PRIMARY KEY, v varchar(9) COLLATE latin1_general_cs);\nALTER TABLE Mixed ADD COLUMN hidden integer INVISIBLE DEFAULT 7;",
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := x.start(t, x.settings...)
			testdb.Exec(t, s.DSN, x.setup...)
			c := &cutter{T: t, dsn: s.DSN, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration(x.up, x.down))}}}
			before := state(t, s.DSN)
			c.must("up")
			after := state(t, s.DSN)
			c.must("rollback")
			if got := state(t, s.DSN); got != before {
				t.Errorf("rollback:\n%s", testdb.Diff(before, got))
			}
			c.must("up")
			if got := state(t, s.DSN); got != after {
				t.Errorf("up again:\n%s", testdb.Diff(after, got))
			}
		})
	}
}
