package migrate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// ordered is a table that has a column of most kinds, with others behind it that must not be touched.
const ordered = `CREATE TABLE parent (id integer NOT NULL PRIMARY KEY);
INSERT INTO parent VALUES (1), (2);
CREATE TABLE items (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY, a varchar(20) NOT NULL DEFAULT 'é''x', b timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, ` +
	"`the c` enum('x','y') NOT NULL DEFAULT 'y' COMMENT 'of ''c''', parent_id integer, d decimal(10,2) NOT NULL, e integer GENERATED ALWAYS AS (d + 1) STORED, f json, g varchar(50) GENERATED ALWAYS AS (concat(a, 'g')) VIRTUAL, " +
	`KEY (d), KEY items_parent (parent_id), CONSTRAINT items_parent FOREIGN KEY (parent_id) REFERENCES parent (id), CHECK (d > -5)) AUTO_INCREMENT = 100;
INSERT INTO items (id, a, b, ` + "`the c`" + `, parent_id, d, f) VALUES (1, 'one', '2020-01-01', 'x', 1, 1.5, '{"a": 1}'), (2, 'two', '2020-01-02', 'y', 2, 2.5, NULL), (3, 'é', NULL, 'x', NULL, 0, '[]');
`

// TestColumnOrder: a column that Down adds without saying where goes back to where it was, in one ALTER at the end.
func TestColumnOrder(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, up, down string }{
		{"one in the middle", "ALTER TABLE items DROP COLUMN b;", "ALTER TABLE items ADD COLUMN b timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP;"},
		{"not null", "ALTER TABLE items DROP COLUMN `the c`;", "ALTER TABLE items ADD COLUMN `the c` enum('x','y') NOT NULL DEFAULT 'y' COMMENT 'of ''c''';"},
		{"two, the other way round", "ALTER TABLE items DROP COLUMN b, DROP COLUMN f;", "ALTER TABLE items ADD COLUMN f json;\nALTER TABLE items ADD COLUMN b timestamp NULL;"},
		{"one behind which a new one is", "ALTER TABLE items ADD COLUMN new integer AFTER id, DROP COLUMN `the c`;", "ALTER TABLE items DROP COLUMN new, ADD COLUMN `the c` enum('x','y') NOT NULL DEFAULT 'y' FIRST;"},
		{"a moved one", "ALTER TABLE items MODIFY COLUMN f json FIRST;", "SELECT 1;"},
		{"a generated one", "ALTER TABLE items DROP COLUMN e;", "ALTER TABLE items ADD COLUMN e integer GENERATED ALWAYS AS (d + 1) STORED;"},
		{"the source of a generated one", "ALTER TABLE items DROP COLUMN g, DROP COLUMN a;", "ALTER TABLE items ADD COLUMN a varchar(20) NOT NULL DEFAULT 'é''x';"},
		{"the first, a key", "ALTER TABLE items DROP COLUMN id, ADD PRIMARY KEY (d);", "ALTER TABLE items DROP PRIMARY KEY, ADD COLUMN id integer NOT NULL AUTO_INCREMENT PRIMARY KEY;"},
		{"one of a foreign key", "ALTER TABLE items DROP FOREIGN KEY items_parent, DROP COLUMN parent_id;", "ALTER TABLE items ADD COLUMN parent_id integer, ADD CONSTRAINT items_parent FOREIGN KEY (parent_id) REFERENCES parent (id);"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				newFixture(t, dsn, ordered, nil)
				c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration(x.up, x.down))}}}
				before := testdb.Dump(t, dsn)
				c.must("up")
				after := testdb.Dump(t, dsn)
				c.must("rollback")
				testdb.SameDump(t, dsn, before)
				c.must("up")
				testdb.SameDump(t, dsn, after)
				if x.name != "one in the middle" {
					return
				}
				moves := func(query string) bool { return strings.Contains(query, "MODIFY COLUMN `b`") }
				for _, how := range []cut{beforeIt, afterSending} {
					n := 0
					w, through := newWire(t, dsn, func(query string) cut {
						if moves(query) {
							n++
							return how
						}
						return goOn
					})
					if err := c.run(through, "rollback"); err == nil || n != 1 {
						t.Fatalf("not cut off: %d ALTERs, %v", n, err)
					}
					w.close()
					c.must("recover")
					testdb.SameDump(t, dsn, before)
					c.must("up")
				}
			}, family...)
		})
	}
}
