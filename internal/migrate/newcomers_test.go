package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// byHand is a migration that makes a table anew by hand, in both directions, and puts rows of its own into it before and after it
// gets the name.
const byHand = `-- +goose Up
CREATE TABLE visits_new (id integer PRIMARY KEY, page varchar(40), n integer);
INSERT INTO visits_new SELECT id, page, 0 FROM visits WHERE id % 2 = 0;
INSERT INTO visits_new VALUES (1000001, 'mine', 1);
DROP TABLE visits;
ALTER TABLE visits_new RENAME TO visits;
INSERT INTO visits VALUES (1000002, 'mine', 2);
UPDATE visits SET id = id + 2000000 WHERE id < 20;
REPLACE INTO visits VALUES (3, 'mine', 3), (1000002, 'mine', 4);
-- +goose Down
CREATE TABLE visits_old (id integer PRIMARY KEY, page varchar(40));
INSERT INTO visits_old SELECT id, page FROM visits;
DROP TABLE visits;
ALTER TABLE visits_old RENAME TO visits;
`

// TestRowsOfATableMadeAnew: rows that the migration put into a table that it made in the place of another one go with it.
func TestRowsOfATableMadeAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, byHand)
		before := state(t, dsn)
		for range 2 {
			c.must("up")
			res, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0})
			if err != nil || len(res.Conflicts) > 0 {
				t.Fatalf("rollback: %v, %+v", err, res)
			}
			if got := state(t, dsn); got != before {
				t.Fatalf("rollback:\n%s", testdb.Diff(before, got))
			}
		}
	}, family...)
}

// TestWritesIntoATableMadeAnew: rows of others stay, also what they made of those of the migration.
func TestWritesIntoATableMadeAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, byHand)
		rows := func() []string { return testdb.Query(t, dsn, "SELECT id, page FROM visits ORDER BY id") }
		were := rows()
		c.during("up", "INSERT INTO visits VALUES (1000002", func() {
			testdb.Exec(t, dsn, "INSERT INTO visits VALUES (1000003, 'theirs', 3)", "UPDATE visits SET page = 'theirs' WHERE id = 1000001")
		})
		testdb.Exec(t, dsn, "INSERT INTO visits VALUES (1000004, 'theirs', 3)", "UPDATE visits SET page = 'theirs' WHERE id = 1000002")
		if _, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err != nil {
			t.Fatal(err)
		}
		want := append(slices.Clone(were), "1000001|theirs", "1000002|theirs", "1000003|theirs", "1000004|theirs")
		if got := rows(); !slices.Equal(got, want) {
			t.Errorf("rows %v, want %v", got, want)
		}
	}, family...)
}

// TestCutOffInATableMadeAnew: the same with runs that die around the rename and the statements after it.
func TestCutOffInATableMadeAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, byHand)
		before := state(t, dsn)
		c.must("up")
		after := state(t, dsn)
		c.must("rollback")
		for _, x := range []struct {
			at, mend string
			how      cut
		}{
			{"ALTER TABLE visits_new RENAME", "recover", afterSending}, {"ALTER TABLE visits_new RENAME", "recover --abort", afterAnswer},
			{"INSERT INTO visits VALUES", "recover", beforeIt}, {"REPLACE INTO visits", "recover --abort", afterSending},
		} {
			if q, err := c.cutWhere("up", x.how, func(q string) bool { return strings.HasPrefix(q, x.at) }); err == nil {
				t.Fatalf("not cut off: %q", q)
			}
			if _, err := c.mend(x.mend); err != nil {
				t.Fatalf("%+v: %v", x, err)
			}
			if x.mend == "recover" {
				if got := state(t, dsn); got != after {
					t.Fatalf("%+v:\n%s", x, testdb.Diff(after, got))
				}
				c.must("rollback")
			}
			if got := state(t, dsn); got != before {
				t.Fatalf("%+v, and back:\n%s", x, testdb.Diff(before, got))
			}
		}
	}, family...)
}

// TestColumnBesideACaptureWithoutAKey: an up after a rollback makes a column again whose values the rollback had captured in whole rows, for
// want of a key: they are not to take the place of rows that Up still reads, which have columns of which that capture knows nothing.
func TestColumnBesideACaptureWithoutAKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (v integer, b varchar(9), c varchar(9))", "INSERT INTO notes VALUES (5, NULL, 'c'), (6, 'b', NULL)")
		c := newCutter(t, dsn, `-- +goose Up
ALTER TABLE notes ADD COLUMN n varchar(9);
UPDATE notes SET n = 'beta' WHERE v > 3;
CREATE TABLE notes_new (v integer, b varchar(9), n varchar(9));
INSERT INTO notes_new SELECT v, 'new', n FROM notes;
DROP TABLE notes;
ALTER TABLE notes_new RENAME TO notes;
-- +goose Down
CREATE TABLE notes_old (v integer, b varchar(9), c varchar(9), n varchar(9));
INSERT INTO notes_old (v, b, n) SELECT v, b, n FROM notes;
DROP TABLE notes;
ALTER TABLE notes_old RENAME TO notes;
ALTER TABLE notes DROP COLUMN n;
`)
		before := state(t, dsn)
		for range 2 {
			c.must("up")
			c.must("rollback")
			if got := state(t, dsn); got != before {
				t.Fatalf("rollback:\n%s", testdb.Diff(before, got))
			}
		}
	}, family...)
}

// TestColumnMadeTwice: Down drops a column that Up had made under the name of a captured one, makes that one again and copies all into
// another table: nobody else has written to it.
func TestColumnMadeTwice(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, a integer, b varchar(9))", "INSERT INTO notes VALUES (7, 2, 'b'), (8, NULL, NULL)")
		c := newCutter(t, dsn, `-- +goose Up
CREATE TABLE notes_new (id integer PRIMARY KEY, a integer);
INSERT INTO notes_new SELECT id, 8 FROM notes;
DROP TABLE notes;
ALTER TABLE notes_new RENAME TO notes;
ALTER TABLE notes DROP COLUMN a;
ALTER TABLE notes ADD COLUMN a integer DEFAULT 5;
-- +goose Down
ALTER TABLE notes DROP COLUMN a;
ALTER TABLE notes ADD COLUMN a integer;
CREATE TABLE notes_old (id integer PRIMARY KEY, a integer, b varchar(9));
INSERT INTO notes_old (id, a) SELECT id, a FROM notes;
DROP TABLE notes;
ALTER TABLE notes_old RENAME TO notes;
`)
		before := state(t, dsn)
		c.must("up")
		res, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		if err != nil || len(res.Conflicts) > 0 {
			t.Fatalf("rollback: %v, %+v", err, res)
		}
		if got := state(t, dsn); got != before {
			t.Errorf("rollback:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}
