package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestTriggersOutOfTheWay: a client dies at each command by which the application's triggers give way to rows that come back. They go on
// firing, once each and in their order, and recover or the next run makes them as they were.
func TestTriggersOutOfTheWay(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, `CREATE TABLE items (id integer PRIMARY KEY, v varchar(20));
INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c');
CREATE TABLE log (n integer AUTO_INCREMENT PRIMARY KEY, what varchar(60));
`, nil)
		for _, x := range []string{
			"CREATE TRIGGER `the trigger` BEFORE UPDATE ON items FOR EACH ROW BEGIN DECLARE x varchar(20) DEFAULT ' é; END IF'; SET NEW.v = concat(NEW.v, '!'); INSERT INTO log (what) VALUES (concat('one ', NEW.v, x)); END",
			"CREATE TRIGGER two BEFORE UPDATE ON items FOR EACH ROW INSERT INTO log (what) VALUES (concat('two ', NEW.v))",
		} {
			f.exec(x)
		}
		c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(migration("UPDATE items SET v = 'up' WHERE id > 1;", "SELECT 1;"))}}}
		triggers := func() string {
			return strings.Join(testdb.Query(t, dsn, `SELECT concat_ws(' ', trigger_name, action_order, action_statement, definer, sql_mode, character_set_client, collation_connection)
				FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY trigger_name`), "\n")
		}
		before := triggers()
		fires := func(when string) {
			t.Helper()
			f.exec("DELETE FROM log")
			f.exec("UPDATE items SET v = 'w' WHERE id = 1")
			want := []string{"one w! é; END IF", "two w!"}
			if got := testdb.Query(t, dsn, "SELECT what FROM log ORDER BY n"); !slices.Equal(got, want) {
				t.Errorf("%s: a write of the application fires %q", when, got)
			}
		}
		restore := func(m *migrate.Migrator) error {
			_, err := m.Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Migration: 1, HasMigration: true, OnConflict: snapshot.Restore}, Write: true})
			return err
		}
		for _, verb := range []string{"rollback", "restore"} {
			do := func(m *migrate.Migrator) error { return run(m, "rollback") }
			if verb == "restore" {
				do = restore
			}
			c.must("up")
			f.exec("UPDATE items SET v = 'z' WHERE id = 1")
			cutAt := func(n int) int { // cuts off before the n-th command about a trigger, and tells how many there were
				i := 0
				w, through := newWire(t, dsn, func(query string) cut {
					if strings.HasPrefix(query, "DROP TRIGGER") || strings.HasPrefix(query, "CREATE ") && strings.Contains(strings.ToUpper(query), "FOR EACH ROW") {
						if i++; i == n {
							return beforeIt
						}
					}
					return goOn
				})
				defer w.close()
				if err := do(c.open(through)); (err == nil) != (n == 0) {
					t.Fatalf("%s cut off at %d: %v", verb, n, err)
				}
				return i
			}
			all := cutAt(0)
			if all != 16 { // a spare, the old one away, the new one, the spare away; two triggers, there and back
				t.Errorf("%s: %d commands about triggers", verb, all)
			}
			for n := 1; n <= all; n++ {
				if verb == "restore" && n != 3 || verb == "rollback" && n > 4 && n < 10 || n > 12 { // of the second trigger as of the first
					continue
				}
				when := fmt.Sprintf("%s cut off before command %d about triggers", verb, n)
				if verb == "rollback" {
					c.must("up")
				} else {
					f.exec("UPDATE items SET v = 'lost' WHERE id > 1")
				}
				cutAt(n)
				fires(when)
				if verb == "rollback" {
					c.must("recover")
				} else if err := restore(c.open(dsn)); err != nil {
					t.Fatalf("%s: again: %v", when, err)
				}
				if got := triggers(); got != before {
					t.Fatalf("%s: triggers\n%s\ninstead of\n%s", when, got, before)
				}
				if got := testdb.Query(t, dsn, "SELECT id, v FROM items WHERE id > 1 ORDER BY id"); !slices.Equal(got, []string{"2|b", "3|c"}) {
					t.Errorf("%s: rows %v", when, got)
				}
			}
		}
	}, family...)
}
