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

// TestParentsOfATableBetween: a migration moves values into a table of its own, to which many rows point, and Down carries them back. Whatever the
// application wrote there reaches all rows that point to it, and is reported; the others come back as they were, though Up and Down are lossy.
func TestParentsOfATableBetween(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE ord ("+serial(dsn)+", total integer, cust_name varchar(30), cust_mail varchar(30));\n"+
			"INSERT INTO ord (cust_name, cust_mail, total) VALUES ('N1', 'm1', 1), ('N2', 'm2', 2), ('N1', 'm1', 3), ('N3', 'm3', 4), (NULL, NULL, 5), ('N2', 'm2', 6);\n",
			map[string]string{"00001_customers.sql": migration("CREATE TABLE cust ("+serial(dsn)+", name varchar(30), mail varchar(30) UNIQUE);\n"+
				"INSERT INTO cust (name, mail) SELECT DISTINCT lower(cust_name), cust_mail FROM ord WHERE cust_mail IS NOT NULL;\n"+
				"ALTER TABLE ord ADD COLUMN cust_id integer;\nALTER TABLE ord ADD CONSTRAINT ord_cust FOREIGN KEY (cust_id) REFERENCES cust (id);\n"+
				"UPDATE ord SET cust_id = (SELECT c.id FROM cust c WHERE c.mail = ord.cust_mail);\nALTER TABLE ord DROP COLUMN cust_name, DROP COLUMN cust_mail;",
				"ALTER TABLE ord ADD COLUMN cust_name varchar(30), ADD COLUMN cust_mail varchar(30);\n"+
					"UPDATE ord SET cust_name = (SELECT c.name FROM cust c WHERE c.id = ord.cust_id), cust_mail = (SELECT c.mail FROM cust c WHERE c.id = ord.cust_id);\n"+
					"ALTER TABLE ord DROP CONSTRAINT ord_cust;\nALTER TABLE ord DROP COLUMN cust_id;\nDROP TABLE cust;")})
		rows := func() []string {
			return testdb.Query(t, dsn, "SELECT id, coalesce(cust_name, '-'), coalesce(cust_mail, '-'), total FROM ord ORDER BY id")
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
		f.exec("UPDATE cust SET name = 'Renamed' WHERE mail = 'm1';\nINSERT INTO cust (name, mail) VALUES ('new', 'new');\nINSERT INTO ord (total, cust_id) SELECT 99, id FROM cust WHERE mail = 'new';\nDELETE FROM ord WHERE total = 4;")
		customers := testdb.Query(t, dsn, "SELECT name, mail FROM cust ORDER BY mail")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		got := rows()
		for i, row := range got { // its number is the server's business
			if _, rest, _ := strings.Cut(row, "|"); strings.HasPrefix(rest, "new") {
				got[i] = rest
			}
		}
		want := []string{"1|Renamed|m1|1", "2|N2|m2|2", "3|Renamed|m1|3", "5|-|-|5", "6|N2|m2|6", "new|new|99"}
		if !slices.Equal(got, want) || len(res.Conflicts) != 3 {
			t.Errorf("%d conflicts (%+v), rows\n%s\nwant\n%s", len(res.Conflicts), res.Conflicts, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		f.up()
		if got := testdb.Query(t, dsn, "SELECT name, mail FROM cust ORDER BY mail"); !slices.Equal(got, customers) {
			t.Errorf("after up again %q, want %q", got, customers)
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}
