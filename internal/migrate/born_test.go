package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRowsOfTheMigrationAreNoConflicts: a migration inserts rows and then updates them with all others, and its Down deletes them. Nobody else has written, so
// there is nothing to report, whatever the policy; a row that the application changed is reported.
func TestRowsOfTheMigrationAreNoConflicts(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v varchar(20), n integer);\nINSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0);\n",
			map[string]string{"00001_seeds.sql": migration("INSERT INTO t VALUES (3, 'c', 0), (4, 'd', 0);\nUPDATE t SET v = lower(v), n = 1;\nUPDATE t SET n = 2 WHERE id > 1;", "DELETE FROM t WHERE id > 2;")})
		before := f.dump()
		for range 2 {
			f.up()
			if res := f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: "fail"}); len(res.Conflicts) > 0 {
				t.Errorf("conflicts where nobody wrote: %+v", res.Conflicts)
			}
			f.same(before, f.dump(), "after the rollback")
		}
		f.up()
		f.exec("UPDATE t SET n = 7 WHERE id = 2;\nDELETE FROM t WHERE id = 3;")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got := testdb.Query(t, dsn, "SELECT id, v, n FROM t ORDER BY id"); !slices.Equal(got, []string{"1|a|0", "2|b|7"}) || len(res.Conflicts) == 0 {
			t.Errorf("%d conflicts, rows %q", len(res.Conflicts), got)
		}
	}, testdb.Everywhere()...)
}

// TestExchangedPartition: what the application wrote into rows that EXCHANGE PARTITION had put into another table goes back with them.
func TestExchangedPartition(t *testing.T) {
	t.Parallel()
	setup := "CREATE TABLE p (id int, k int, v varchar(20), PRIMARY KEY (id, k)) PARTITION BY RANGE (k) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));\n" +
		"CREATE TABLE arch (id int, k int, v varchar(20), PRIMARY KEY (id, k));\nINSERT INTO p VALUES (1, 1, 'a'), (2, 12, 'b'), (3, 13, 'c'), (6, 5, 'f');\nINSERT INTO arch VALUES (100, 11, 'z'), (101, 12, 'y');\n"
	f := newFixture(t, testdb.MySQL(t), setup, map[string]string{"00001_exchange.sql": migration(
		"ALTER TABLE p EXCHANGE PARTITION p1 WITH TABLE arch;\nUPDATE p SET v = concat(v, '!') WHERE k BETWEEN 5 AND 15;\nDELETE FROM arch WHERE id = 3;",
		"ALTER TABLE p EXCHANGE PARTITION p1 WITH TABLE arch;")})
	rows := func() []string {
		return append(testdb.Query(t, f.dsn, "SELECT id, v FROM p ORDER BY id"), testdb.Query(t, f.dsn, "SELECT id, v, 'arch' FROM arch ORDER BY id")...)
	}
	before := f.dump()
	for range 2 {
		f.up()
		if res := f.rollback(migrate.RollbackRequest{Steps: 1}); len(res.Conflicts) > 0 {
			t.Errorf("conflicts where nobody wrote: %+v", res.Conflicts)
		}
		f.same(before, f.dump(), "after the rollback")
	}
	f.up()
	f.exec("UPDATE p SET v = 'app' WHERE id = 100;\nUPDATE arch SET v = 'app2' WHERE id = 2;\nINSERT INTO p VALUES (50, 2, 'new');\nINSERT INTO arch VALUES (51, 14, 'newer');\nDELETE FROM p WHERE id = 101;")
	used := rows()
	res := f.rollback(migrate.RollbackRequest{Steps: 1})
	want := []string{"1|a", "2|app2", "3|c", "6|f", "50|new", "51|newer", "100|app|arch"}
	if got := rows(); !slices.Equal(got, want) || len(res.Conflicts) < 3 {
		t.Errorf("%d conflicts, rows\n%s\nwant\n%s", len(res.Conflicts), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	f.up()
	if got := rows(); !slices.Equal(got, used) {
		t.Errorf("after up again\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(used, "\n"))
	}
}
