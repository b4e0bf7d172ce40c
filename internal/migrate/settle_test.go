package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const settleSetup = spareSetup + "ALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);\nALTER TABLE tag ADD COLUMN o integer DEFAULT 7;\n"

// TestOldestValuesUnderACheck: Down writes over more columns than Up did, and makes a check that what Up had written breaks: the rows it left alone in part come back with
// the values of before at once.
func TestOldestValuesUnderACheck(t *testing.T) {
	t.Parallel()
	for _, down := range []string{"UPDATE tag SET n = 3, name = concat(name, 'x');", "DELETE FROM tag;", "TRUNCATE TABLE tag CASCADE;"} {
		engines := []testdb.Engine{testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB}
		if strings.HasSuffix(down, "CASCADE;") {
			engines = engines[:1]
		}
		t.Run(down, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, spareSetup+"ALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);\nALTER TABLE tag ADD COLUMN o integer DEFAULT 7;\n", map[string]string{"00001_x.sql": migration(
					"ALTER TABLE tag DROP CONSTRAINT few;\nUPDATE tag SET n = n + 50 WHERE id > 1;\nUPDATE tag SET n = n + 50, o = id WHERE id < 3;\nINSERT INTO tag VALUES (5, 'e', 500, 5);",
					down+"\nALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);")})
				before := testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id")
				for range 2 {
					f.up()
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"); !slices.Equal(got, before) {
						t.Fatalf("rows\n got %v\nwant %v", got, before)
					}
				}
			}, engines...)
		})
	}
}

// TestSettledValuesAreNobodysWrite: ahead of a constraint that needs them values go back into rows of which Down writes other columns, before or after. That is no write of
// somebody else: these come back, too, and the next up finds what Down had written as it was.
func TestSettledValuesAreNobodysWrite(t *testing.T) {
	t.Parallel()
	const index, update = "CREATE UNIQUE INDEX few ON tag (n);\n", "UPDATE tag SET n = id + 100, name = concat(name, 'x');\n"
	for name, down := range map[string]string{"before": update + index, "after": index + update} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				drop := "DROP INDEX few ON tag;"
				if strings.HasPrefix(dsn, "postgres") || strings.HasPrefix(dsn, "sqlite") {
					drop = "DROP INDEX few;"
				}
				f := newFixture(t, dsn, spareSetup+index, map[string]string{"00001_x.sql": migration(drop+"\nUPDATE tag SET n = 7 WHERE id > 1;", down)})
				before := testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id")
				f.up()
				after := testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id")
				for range 2 {
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"); !slices.Equal(got, before) {
						t.Fatalf("rows\n got %v\nwant %v", got, before)
					}
					if len(res.Conflicts) > 0 {
						t.Errorf("conflicts: %+v", res.Conflicts)
					}
					if res := f.up(); len(res.Conflicts) > 0 {
						t.Errorf("up: conflicts: %+v", res.Conflicts)
					}
					if got := testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"); !slices.Equal(got, after) {
						t.Fatalf("up again: rows\n got %v\nwant %v", got, after)
					}
				}
			}, everywhere...)
		})
	}
}

// TestRoomForAConstraint: rows that Up inserted, changed or deleted are as they were ahead of each constraint that Down makes, whatever it does to them in between. The next up
// ends where the first did.
func TestRoomForAConstraint(t *testing.T) {
	t.Parallel()
	const setup = "CREATE TABLE tag (id integer NOT NULL PRIMARY KEY, name varchar(20), n integer NOT NULL);\nINSERT INTO tag VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3);\nCREATE UNIQUE INDEX few ON tag (n);\n"
	const dropIndex, index = "DROP INDEX few ON tag;\n", "CREATE UNIQUE INDEX few ON tag (n);\n"
	const dropNotNull, notNull = "ALTER TABLE tag MODIFY n integer;\n", "ALTER TABLE tag MODIFY n integer NOT NULL;\n"
	const dropCheck, check = "ALTER TABLE tag DROP CONSTRAINT low;\n", "ALTER TABLE tag ADD CONSTRAINT low CHECK (n < 9);\n"
	for name, test := range map[string]struct{ up, down string }{
		"inserted":             {dropCheck + "INSERT INTO tag VALUES (20, 't', 80);", check},
		"inserted and changed": {dropIndex + dropNotNull + "INSERT INTO tag VALUES (20, 't', 8);\nUPDATE tag SET n = -n WHERE id % 2 = 0;", notNull + index},
		"others are written":   {dropCheck + "INSERT INTO tag VALUES (20, 't', 80);\nUPDATE tag SET n = 7 WHERE id = 2;", check + "DELETE FROM tag WHERE id > 19;\nUPDATE tag SET name = 'z' WHERE id > 2;"},
		"inserted and deleted": {dropIndex + "INSERT INTO tag VALUES (21, 't', 8);\nDELETE FROM tag WHERE id > 2;\nINSERT INTO tag VALUES (22, 'u', 8);", "DELETE FROM tag WHERE id > 1;\n" + index},
		"deleted by both":      {dropIndex + dropNotNull + "DELETE FROM tag WHERE id = 2;", index + "DELETE FROM tag;\n" + notNull},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engines, setup := everywhere, setup
			if strings.Contains(test.down, check) || strings.Contains(test.down, notNull) { // which SQLite adds to no table that is there
				engines = []testdb.Engine{testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB}
			}
			if strings.Contains(test.down, check) {
				setup += check
			}
			testdb.Each(t, func(t *testing.T, dsn string) {
				text := migration(test.up, test.down)
				if strings.HasPrefix(dsn, "postgres") || strings.HasPrefix(dsn, "sqlite") {
					text = strings.NewReplacer(dropIndex, "DROP INDEX few;\n", dropNotNull, "ALTER TABLE tag ALTER n DROP NOT NULL;\n", notNull, "ALTER TABLE tag ALTER n SET NOT NULL;\n").Replace(text)
				}
				f := newFixture(t, dsn, setup, map[string]string{"00001_x.sql": text})
				rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " ") }
				before := rows()
				f.up()
				after := rows()
				for range 2 {
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := rows(); got != before {
						t.Fatalf("rows %s, want %s", got, before)
					}
					if len(res.Conflicts) > 0 {
						t.Errorf("conflicts: %+v", res.Conflicts)
					}
					f.up()
					if got := rows(); got != after {
						t.Fatalf("up again: rows %s, want %s", got, after)
					}
				}
			}, engines...)
		})
	}
}

// TestAbortBehindSettledValues: what went back, and what went, ahead of a constraint of a Down that stops behind it is as Up left it when recover --abort has taken that back. A
// rollback of the mended Down ends where it is to end.
func TestAbortBehindSettledValues(t *testing.T) {
	t.Parallel()
	const up = "ALTER TABLE tag DROP CONSTRAINT few;\nINSERT INTO tag VALUES (20, 't', 80, 1);\nUPDATE tag SET n = 70 WHERE id = 2;"
	on := map[string][]testdb.Engine{"an index": {testdb.OnPostgres}, "rows": {testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB}}
	for name, last := range map[string]string{"an index": "CREATE INDEX CONCURRENTLY i ON nothere (n);", "rows": "UPDATE tag SET o = (SELECT max(o) FROM nothere);"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				text := migration(up, "ALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);\n"+last)
				if strings.HasPrefix(dsn, "postgres") {
					text = "-- +goose NO TRANSACTION\n" + text
				}
				f := newFixture(t, dsn, settleSetup, map[string]string{"00001_x.sql": text})
				rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " ") }
				before := rows()
				f.up()
				after := rows()
				if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); err == nil || rows() == after {
					t.Fatalf("the rollback did not stop behind the constraint: %v", err)
				}
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
					t.Fatal(err)
				}
				if got := rows(); got != after {
					t.Fatalf("taken back: rows %s, want %s", got, after)
				}
				f.files["00001_x.sql"].Data = []byte(strings.Replace(text, last, "", 1))
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := rows(); got != before {
					t.Fatalf("rows %s, want %s", got, before)
				}
			}, on[name]...)
		})
	}
}

// TestCutOffWhileSettling cuts a rollback off where something is there for good: between what has gone back, or gone, ahead of a constraint and the constraint, above all. There it
// is taken back as well.
func TestCutOffWhileSettling(t *testing.T) {
	t.Parallel()
	const up = "ALTER TABLE tag DROP CONSTRAINT few;\nUPDATE tag SET n = n + 50 WHERE id > 1;\nINSERT INTO tag VALUES (20, 't', 80, 1);"
	for _, down := range []string{
		"UPDATE tag SET n = 3, name = concat(name, 'x');\nALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);",
		"ALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);\nUPDATE tag SET n = 3, name = concat(name, 'x');",
	} {
		t.Run(down[:5], func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				for _, stmt := range strings.Split(strings.TrimSuffix(settleSetup, ";\n"), ";\n") {
					testdb.Exec(t, dsn, stmt)
				}
				rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " ") }
				before := rows()
				c := newCutter(t, dsn, migration(up, down))
				c.must("up")
				after := rows()
				all := c.commands("rollback")
				c.must("up")
				for n, command := range all {
					how := afterAnswer
					switch {
					case strings.HasPrefix(command, "ALTER TABLE tag ADD CONSTRAINT few"):
						_, err := c.cutAt("rollback", n, beforeIt)
						if _, aerr := c.mend("recover --abort"); aerr != nil || rows() != after {
							t.Fatalf("cut off at command %d, %.80q (%v): taken back: %v: %s, want %s", n, command, err, aerr, rows(), after)
						}
						how = beforeIt
					case command != "COMMIT":
						continue
					}
					_, err := c.cutAt("rollback", n, how)
					if _, merr := c.mend("recover"); merr != nil {
						t.Fatalf("cut off at command %d, %.80q (%v): recover: %v", n, command, err, merr)
					}
					if rows() == after { // it had not begun
						c.must("rollback")
					}
					if got := rows(); got != before {
						t.Fatalf("cut off at command %d, %.80q (%v): %s, want %s", n, command, err, got, before)
					}
					c.must("up")
					if got := rows(); got != after {
						t.Fatalf("cut off at command %d, %.80q (%v): up again: %s, want %s", n, command, err, got, after)
					}
				}
			}, family...)
		})
	}
}

// TestManyCapturesOfOneTable: a dozen statements of Up write columns of the same rows. Which of their captures has the oldest value of a row is asked in one query; on MySQL the
// planner would look through all orders of its joins, for hours.
func TestManyCapturesOfOneTable(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		pairs := []string{"n = %[1]d, name = 'x%[1]d'", "n = %[1]d, m = %[1]d", "m = %[1]d, name = 'y%[1]d'", "o = %[1]d, n = n + 1", "o = %[1]d, m = m + 1", "name = 'z%[1]d', o = o + 1"}
		var up strings.Builder
		for i := range 14 {
			fmt.Fprintf(&up, "UPDATE tag SET "+pairs[i%len(pairs)]+" WHERE id > %[2]d;\n", i, i%4)
		}
		f := newFixture(t, dsn, "CREATE TABLE tag (id integer NOT NULL PRIMARY KEY, name varchar(9), n integer, m integer, o integer);\n"+
			"INSERT INTO tag VALUES (1, 'a', 1, 1, 1), (2, 'b', 2, 2, 2), (3, 'c', 3, 3, 3), (4, 'd', 4, 4, 4), (5, 'e', 5, 5, 5);\n", map[string]string{"00001_a.sql": migration(up.String(), "SELECT 1;")})
		before := f.dump()
		f.up()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if _, err := f.open().Rollback(ctx, migrate.RollbackRequest{To: 0}); err != nil {
			t.Fatal(err)
		}
		f.same(before, f.dump(), "after the rollback")
	}, everywhere...)
}
