package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPartitionDetachedAndAttached comes back, whatever indexes the partitioned table has.
func TestPartitionDetachedAndAttached(t *testing.T) {
	t.Parallel()
	const setup = "CREATE TABLE m (id integer NOT NULL, k integer NOT NULL, v text) PARTITION BY RANGE (k);\nCREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);\nCREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);\nINSERT INTO m SELECT i, i, 'v' || i FROM generate_series(1, 15) i;\n"
	for name, indexes := range map[string]string{
		"none":                     "",
		"an index":                 "CREATE INDEX m_v ON m (v);\n",
		"a unique index":           "CREATE UNIQUE INDEX m_u ON m (id, k);\n",
		"a primary key":            "ALTER TABLE m ADD PRIMARY KEY (id, k);\n",
		"an index of its own":      "CREATE INDEX m1_own ON m1 (v);\n",
		"an index made from parts": "CREATE INDEX m_v ON ONLY m (v);\nCREATE INDEX m1_v ON m1 (v);\nCREATE INDEX m2_v ON m2 (v);\nALTER INDEX m_v ATTACH PARTITION m1_v;\nALTER INDEX m_v ATTACH PARTITION m2_v;\n",
	} {
		for _, c := range []struct{ name, up, down string }{
			{"detached", "ALTER TABLE m DETACH PARTITION m1;", "ALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (0) TO (10);"},
			{"detached and attached", "ALTER TABLE m DETACH PARTITION m1;\nUPDATE m1 SET v = 'x' WHERE id = 2;\nALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (0) TO (10);", "SELECT 1;"},
			{"attached elsewhere", "ALTER TABLE m DETACH PARTITION m1;\nALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (-10) TO (10);", "ALTER TABLE m DETACH PARTITION m1;\nALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (0) TO (10);"},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, testdb.Postgres(t), setup+indexes, map[string]string{"00001_a.sql": migration(c.up, c.down)})
				before := f.dump()
				f.up()
				after := f.dump()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(before, f.dump(), "after the rollback")
				f.up()
				f.same(after, f.dump(), "up again")
			})
		}
	}
}
