package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPartitionsComeAndGo: partitions are taken out, split, rebuilt and put in while rows move between them. Each row comes back once, as it was, and what
// the application wrote since by way of the partitioned table is kept, and reported, or written over, as the policy says.
func TestPartitionsComeAndGo(t *testing.T) {
	t.Parallel()
	const setup = `CREATE TABLE m (id integer, k integer, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);
INSERT INTO m SELECT g, g % 20, 'v' || g FROM generate_series(1, 40) g;
`
	const again = "CREATE TABLE m2 (LIKE m INCLUDING ALL);\nINSERT INTO m2 SELECT * FROM m WHERE k BETWEEN 10 AND 19;\nDROP TABLE m2x, m2y;\nALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (10) TO (20);"
	const split = "ALTER TABLE m DETACH PARTITION m2;\nCREATE TABLE m2x PARTITION OF m FOR VALUES FROM (10) TO (15);\nCREATE TABLE m2y PARTITION OF m FOR VALUES FROM (15) TO (20);\n"
	for _, x := range []struct{ name, up, down string }{
		{"split", split + "INSERT INTO m SELECT * FROM m2;\nDROP TABLE m2;", again},
		{"split, and written", split + "INSERT INTO m SELECT id, k, upper(v) FROM m2;\nUPDATE m SET v = v || '!' WHERE id % 3 = 0;\nDELETE FROM m WHERE id % 5 = 0;\nDROP TABLE m2;",
			strings.Replace(again, "SELECT * FROM m ", "SELECT id, k, lower(v) FROM m ", 1)},
		{"renamed, and made anew", "ALTER TABLE m DETACH PARTITION m2;\nALTER TABLE m2 RENAME TO m2_old;\nCREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);\n" +
			"INSERT INTO m SELECT id, k, upper(v) FROM m2_old;\nINSERT INTO m VALUES (777, 12, 'seed');\nUPDATE m SET v = v || '!' WHERE id % 3 = 0;\nDROP TABLE m2_old;", "UPDATE m2 SET v = lower(v);"},
		{"made anew with a column more", "ALTER TABLE m DETACH PARTITION m2;\nALTER TABLE m ADD COLUMN z integer;\nALTER TABLE m2 RENAME TO m2_old;\n" +
			"CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);\nINSERT INTO m SELECT id, k, upper(v), id FROM m2_old;\nDELETE FROM m WHERE id = 14;\nDROP TABLE m2_old;",
			"ALTER TABLE m DROP COLUMN z;\nUPDATE m2 SET v = lower(v);"},
		{"by way of a temporary table", "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT * FROM m2;\nDROP TABLE m2;\n" + strings.TrimPrefix(split, "ALTER TABLE m DETACH PARTITION m2;\n") +
			"INSERT INTO m SELECT id, k, upper(v) FROM t;\nINSERT INTO m VALUES (777, 12, 'seed');",
			"CREATE TABLE m2 (LIKE m INCLUDING ALL);\nINSERT INTO m2 SELECT id, k, lower(v) FROM m WHERE k >= 10;\nDROP TABLE m2x, m2y;\nALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (10) TO (20);"},
		{"rebuilt", "ALTER TABLE m DETACH PARTITION m2;\nCREATE TABLE m2b (LIKE m INCLUDING ALL);\nINSERT INTO m2b SELECT * FROM m2;\nALTER TABLE m ATTACH PARTITION m2b FOR VALUES FROM (10) TO (20);\nDROP TABLE m2;",
			"ALTER TABLE m DETACH PARTITION m2b;\nCREATE TABLE m2 (LIKE m INCLUDING ALL);\nINSERT INTO m2 SELECT * FROM m2b;\nDROP TABLE m2b;\nALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (10) TO (20);"},
		{"moved, and taken out", "UPDATE m SET k = k + 10 WHERE k < 5;\nALTER TABLE m DETACH PARTITION m2;\nDELETE FROM m2 WHERE id % 4 = 0;\nALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (10) TO (20);",
			"SELECT 1;"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), setup, map[string]string{"00001_change.sql": migration(x.up, x.down)})
			rows := func() []string { return testdb.Query(t, f.dsn, "SELECT id, k, v FROM m ORDER BY id, k") }
			before, had := f.dump(), rows()
			for range 2 {
				f.up()
				if res := f.rollback(migrate.RollbackRequest{Steps: 1}); len(res.Conflicts) > 0 {
					t.Errorf("conflicts where nobody wrote: %+v", res.Conflicts)
				}
				if now := rows(); !slices.Equal(now, had) {
					t.Fatalf("after the rollback\n%s\nwant\n%s", strings.Join(now, "\n"), strings.Join(had, "\n"))
				}
				if !strings.Contains(x.name, "made anew") { // an index keeps the name that the server had to make up
					f.same(before, f.dump(), "after the rollback")
				}
			}
			f.up()
			// 31 and 33 stand in what was split or rebuilt, 37 and 39 too; 7 does not.
			f.exec("UPDATE m SET v = 'app' WHERE id IN (7, 31);\nDELETE FROM m WHERE id = 33;\nINSERT INTO m VALUES (1000, 11, 'new');")
			used := rows()
			res := f.rollback(migrate.RollbackRequest{Steps: 1})
			want := []string{}
			for _, row := range had {
				switch id, _, _ := strings.Cut(row, "|"); {
				case id == "7":
					want = append(want, "7|7|app")
				case id == "31":
					want = append(want, "31|11|app")
				case id != "33":
					want = append(want, row)
				}
			}
			want = append(want, "1000|11|new")
			if got := rows(); !slices.Equal(got, want) || x.name != "moved, and taken out" && len(res.Conflicts) < 2 {
				t.Errorf("%d conflicts; rows\n%s\nwant\n%s", len(res.Conflicts), strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			f.up()
			if got := rows(); x.name != "moved, and taken out" && !slices.Equal(got, used) {
				t.Errorf("after up again\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(used, "\n"))
			}
			f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Restore})
			for _, row := range rows() {
				if i := slices.Index(want, row); i < 0 && !slices.Contains(had, row) {
					t.Errorf("under restore, a row is neither as it was nor as it was written: %s", row)
				}
			}
			if n := len(rows()); n < len(want) {
				t.Errorf("under restore %d rows, want at least %d", n, len(want))
			}
		})
	}
}
