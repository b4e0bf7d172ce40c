package migrate_test

import (
	"strings"
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

// TestCutOffWhileStampsAreToldApart: an up or a rollback that dies where columns that say when a row was written go into a capture of their own, or
// come back, is ended by recover as if nothing had happened; what the application wrote since stays.
func TestCutOffWhileStampsAreToldApart(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("UPDATE items SET a = 'up' WHERE id < 4;\nUPDATE marked SET a = 'up' WHERE id < 4;", "SELECT 1;"))
		for _, s := range []string{
			"CREATE TABLE items (id integer PRIMARY KEY, a varchar(20), n integer, at timestamp(6) NULL ON UPDATE CURRENT_TIMESTAMP(6))",
			"CREATE TABLE marked (id integer PRIMARY KEY, a varchar(20), n integer, at timestamp(6) NULL)",
			"INSERT INTO items VALUES (1, 'a', 1, '2001-01-01'), (2, 'b', 1, '2001-01-01'), (3, 'c', 1, NULL), (4, 'd', 1, NULL)", "INSERT INTO marked SELECT * FROM items",
			"CREATE TRIGGER mark BEFORE UPDATE ON marked FOR EACH ROW SET NEW.at = now(6)",
		} {
			testdb.Exec(t, dsn, s)
		}
		const rows = "SELECT concat_ws('|', 'items', id, a, n, if(at > '2002-01-01', 'now', coalesce(at, 'none'))) FROM items UNION ALL SELECT concat_ws('|', 'marked', id, a, n, if(at > '2002-01-01', 'now', coalesce(at, 'none'))) FROM marked ORDER BY 1"
		state := func() string { return strings.Join(testdb.Query(t, dsn, rows), "\n") }
		before := state()
		cut := func(verb string, from, to string, least int, again ...string) {
			t.Helper()
			for n := 0; ; n++ {
				mend, how, i := []string{"recover --abort", "recover"}[n%2], []cut{afterAnswer, beforeIt, afterSending}[n%3], 0
				at, err := c.cutWhere(verb, how, func(query string) bool {
					if strings.Contains(query, "`dbrollback_data_") && !strings.HasPrefix(query, "SELECT") && !strings.HasPrefix(query, "CREATE") {
						i++
					}
					return i == n+1
				})
				if at == "" {
					if n < least || err != nil {
						t.Fatalf("%s: only %d places to cut it off at: %v", verb, n, err)
					}
					return
				}
				was, err := c.mend(mend)
				if err != nil {
					t.Fatalf("%s, cut %d at %q: %s: %v", verb, n, at, mend, err)
				}
				want := to
				if mend == "recover --abort" || !was {
					want = from
				}
				if got := state(); got != want {
					t.Fatalf("%s, cut %d at %q: %s:\n%s", verb, n, at, mend, testdb.Diff(want, got))
				}
				c.free(mend)
				if want == to {
					c.must(map[string]string{"up": "rollback", "rollback": "up", "rollback --on-conflict restore": "up"}[verb])
					for _, s := range again {
						testdb.Exec(t, dsn, s)
					}
				}
			}
		}
		c.must("up")
		after := state()
		c.must("rollback")
		if got := state(); got != before {
			t.Fatalf("up and rollback:\n%s", testdb.Diff(before, got))
		}
		cut("up", before, after, 4)
		testdb.Exec(t, dsn, "UPDATE items SET n = 2 WHERE id = 1")
		testdb.Exec(t, dsn, "UPDATE marked SET n = 2 WHERE id = 1")
		used := strings.NewReplacer("|1|up|1|", "|1|up|2|").Replace(after)
		if got := state(); got != used {
			t.Fatalf("the application's writes:\n%s", testdb.Diff(used, got))
		}
		c.must("rollback")
		want := strings.NewReplacer("|1|a|1|2001-01-01 00:00:00.000000", "|1|a|2|now").Replace(before)
		if got := state(); got != want {
			t.Fatalf("what was used since:\n%s", testdb.Diff(want, got))
		}
		c.must("up")
		cut("rollback", state(), want, 1)

		// The captured values are to win, also after it was cut off: of a row that was captured whole, because of a trigger, and that is gone, all of them.
		gone := "DELETE FROM marked WHERE id = 2"
		c.must("up")
		testdb.Exec(t, dsn, gone)
		cut("rollback --on-conflict restore", state(), want, 1, gone)
	}, family...)
}
