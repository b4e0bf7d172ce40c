package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestKeysMovedAheadOfAPartition: keys of a partitioned table are moved, some rows into a partition that is then emptied or dropped, and a
// column goes after that. What was in the partition is back before the keys are: no row comes twice.
func TestKeysMovedAheadOfAPartition(t *testing.T) {
	t.Parallel()
	const setup = `CREATE TABLE ev (id integer, at integer, amt integer, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE ev_a PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE ev_b PARTITION OF ev FOR VALUES FROM (100) TO (200);
INSERT INTO ev SELECT g, g * 8, g FROM generate_series(1, 20) g;`
	for name, c := range map[string][2]string{
		"dropped": {"DROP TABLE ev_b;", "CREATE TABLE ev_b PARTITION OF ev FOR VALUES FROM (100) TO (200);"},
		"deleted": {"DELETE FROM ev_b;", "SELECT 1;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), setup, map[string]string{
				"00001_a.sql": migration("UPDATE ev SET at = at + 40 WHERE id BETWEEN 9 AND 12;\n"+c[0]+"\nALTER TABLE ev DROP COLUMN amt;", "ALTER TABLE ev ADD COLUMN amt integer;\n"+c[1]),
			})
			before := f.dump()
			for range 2 {
				f.up()
				f.rollback(migrate.RollbackRequest{To: 0})
				f.same(before, f.dump(), "after the rollback")
			}
		})
	}
}
