package migrate_test

import (
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestStamps: columns that any UPDATE changes along are as they were after a rollback, whoever updated: Up, Down or what puts data back.
func TestStamps(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, up, down string }{
		{"a column filled, another dropped", "ALTER TABLE items ADD COLUMN b varchar(80);\nUPDATE items SET b = concat(a, '!');\nALTER TABLE items DROP COLUMN a;", "ALTER TABLE items ADD COLUMN a varchar(40);\nUPDATE items SET a = left(b, length(b) - 1);\nALTER TABLE items MODIFY a varchar(40) NOT NULL;\nALTER TABLE items DROP COLUMN b;"},
		{"a new column filled", "ALTER TABLE items ADD COLUMN b integer;\nUPDATE items SET b = 7 WHERE id < 3;", "ALTER TABLE items DROP COLUMN b;"},
		{"Down updates rows that Up left alone", "ALTER TABLE items ADD COLUMN b integer;", "UPDATE items SET n = 7 WHERE id = 3;\nALTER TABLE items DROP COLUMN b;"},
		{"Down fills what it made again", "ALTER TABLE items DROP COLUMN a;", "ALTER TABLE items ADD COLUMN a varchar(40) NOT NULL DEFAULT '';\nUPDATE items SET a = 'x';\nALTER TABLE items ALTER COLUMN a DROP DEFAULT;"},
		{"keys moved", "UPDATE items SET id = id + 100 WHERE id < 3;", "SELECT 1;"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				newFixture(t, dsn, `CREATE TABLE items (id integer PRIMARY KEY, a varchar(40) NOT NULL, n integer, updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), seen datetime ON UPDATE CURRENT_TIMESTAMP);
INSERT INTO items VALUES (1, 'one', 1, '2020-01-02 03:04:05.678', '2021-01-01'), (2, 'two', NULL, '2020-01-02', NULL), (3, 'three', 3, '2020-01-03', NULL);
`, nil)
				c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration(x.up, x.down))}}}
				before := testdb.Dump(t, dsn)
				c.must("up")
				c.must("rollback")
				testdb.SameDump(t, dsn, before)
			}, family...)
		})
	}
}
