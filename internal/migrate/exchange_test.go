package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const exchangesPartition = "ALTER TABLE months EXCHANGE PARTITION p0 WITH TABLE january;"

// months is a partitioned table with one that a partition can be exchanged for.
var months = []string{
	"CREATE TABLE months (id integer NOT NULL PRIMARY KEY, v varchar(9)) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000), PARTITION p1 VALUES LESS THAN (2000))",
	"CREATE TABLE january (id integer NOT NULL PRIMARY KEY, v varchar(9))",
	"INSERT INTO months SELECT id, concat('m', id) FROM (SELECT 1 AS id UNION SELECT 2 UNION SELECT 3 UNION SELECT 1001 UNION SELECT 1002) x",
	"INSERT INTO january VALUES (1, 'own 1'), (7, 'own 7')",
}

const monthsRows = "SELECT concat('months ', id, ' ', v) FROM months UNION ALL SELECT concat('january ', id, ' ', v) FROM january ORDER BY 1"

// TestExchangePartition: rows that change places come back by the same statement, all of them, and with what was written since; nothing is copied.
func TestExchangePartition(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, strings.Join(months, ";\n"), map[string]string{"00001_a.sql": migration(exchangesPartition, exchangesPartition)})
		rows := func() string { return strings.Join(testdb.Query(t, dsn, monthsRows), "\n") }
		before := rows()
		plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
		if err != nil {
			t.Fatal(err)
		}
		if m := plan.Migrations[0]; m.Verdict == migrate.Irreversible || len(m.Steps[0].Captures) > 0 || len(m.Steps[0].Notes) == 0 {
			t.Errorf("plan: %s %+v", m.Verdict, m.Steps[0])
		}
		f.up()
		after := rows()
		f.same("january 1 m1\njanuary 2 m2\njanuary 3 m3\nmonths 1 own 1\nmonths 1001 m1001\nmonths 1002 m1002\nmonths 7 own 7", after, "after up")
		if got := testdb.Query(t, dsn, "SELECT concat(kind, ' ', table_name) FROM state_snapshots"); len(got) > 0 {
			t.Errorf("captured: %v", got)
		}
		f.rollback(migrate.RollbackRequest{})
		f.same(before, rows(), "after the rollback")
		f.up()
		f.same(after, rows(), "up again")
		testdb.Exec(t, dsn, "INSERT INTO months VALUES (20, 'new')", "UPDATE months SET v = 'late' WHERE id = 7", "DELETE FROM january WHERE id = 2", "INSERT INTO january VALUES (21, 'new')", "DELETE FROM months WHERE id = 1002")
		f.rollback(migrate.RollbackRequest{})
		f.same("january 1 own 1\njanuary 20 new\njanuary 7 late\nmonths 1 m1\nmonths 1001 m1001\nmonths 21 new\nmonths 3 m3", rows(), "after a rollback behind writes")

		f.up()
		now := rows()
		f.files["00001_a.sql"] = &fstest.MapFile{Data: []byte(migration(exchangesPartition, "SELECT 1;"))}
		_, err = f.open().Rollback(t.Context(), migrate.RollbackRequest{})
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Error()+refused.Reasons[0].Hint, "EXCHANGE PARTITION p0") {
			t.Errorf("a Down that was edited: %v", err)
		}
		f.same(now, rows(), "refused")
	}, family...)
}

// TestExchangePartitionMisfit: a row that fits no partition keeps the server from exchanging it back; nothing is half done, and without it the rollback goes through.
func TestExchangePartitionMisfit(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, strings.Join(months, ";\n"), map[string]string{"00001_a.sql": migration("CREATE TABLE more (id integer PRIMARY KEY);\n"+exchangesPartition, exchangesPartition+"\nDROP TABLE more;")})
		before := f.dump()
		f.up()
		after := f.dump()
		testdb.Exec(t, dsn, "INSERT INTO january VALUES (5000, 'far')")
		if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{}); err == nil || !strings.Contains(err.Error(), "EXCHANGE PARTITION") && !strings.Contains(err.Error(), "partition") {
			t.Errorf("rolled back: %v", err)
		}
		testdb.Exec(t, dsn, "DELETE FROM january WHERE id = 5000")
		f.same(after, f.dump(), "after a rollback that failed")
		f.backAndUp(before, after)
	}, family...)
}

// TestExchangePartitionBesideOthers: where the migration does more with the tables they are copied (MySQL), or the statement is refused before anything ran.
func TestExchangePartitionBesideOthers(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, c := range []struct{ name, up, down string }{
			{"no Down of its own", exchangesPartition, "SELECT 1;"},
			{"written to", exchangesPartition + "\nDELETE FROM january WHERE id = 2;", exchangesPartition},
			{"another partition", exchangesPartition, strings.ReplaceAll(exchangesPartition, "p0", "p1")},
		} {
			t.Run(c.name, func(t *testing.T) {
				testdb.Exec(t, dsn, slices.Concat([]string{"DROP TABLE IF EXISTS months", "DROP TABLE IF EXISTS january"}, months)...)
				f := newFixture(t, dsn, "", map[string]string{"00001_a.sql": migration(c.up, c.down)})
				rows := func() string { return strings.Join(testdb.Query(t, dsn, monthsRows), "\n") }
				before := rows()
				if strings.HasPrefix(dsn, "mariadb") {
					_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
					var refused *migrate.RefusedError
					if !errors.As(err, &refused) {
						t.Errorf("not refused: %v", err)
					}
					f.same(before, rows(), "refused")
					return
				}
				f.up()
				if c.name == "another partition" { // which the server rejects
					if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{}); err == nil {
						t.Error("rolled back")
					}
					return
				}
				f.rollback(migrate.RollbackRequest{})
				f.same(before, rows(), "after the rollback")
			})
		}
	}, family...)
}

// TestExchangePartitionCutOff: whether rows have changed places shows, and recover goes on, or takes back, from there.
func TestExchangePartitionCutOff(t *testing.T) {
	t.Parallel()
	both := migration("ALTER TABLE visits ADD COLUMN extra integer;\n"+exchangesPartition+"\nALTER TABLE visits ADD COLUMN more integer;",
		"ALTER TABLE visits DROP COLUMN more;\n"+exchangesPartition+"\nALTER TABLE visits DROP COLUMN extra;")
	cutOffAtEveryStatement(t, both, months...)
}
