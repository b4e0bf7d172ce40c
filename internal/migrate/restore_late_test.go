package migrate_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestUniqueCheckedLate: a row whose unique value was taken meanwhile stays out and is told, also where the constraint is one that
// PostgreSQL would check in the end only, and the others come back.
func TestUniqueCheckedLate(t *testing.T) {
	t.Parallel()
	for name, constraint := range map[string]string{
		"deferrable": "UNIQUE (u) DEFERRABLE", "deferred": "UNIQUE (u) DEFERRABLE INITIALLY DEFERRED", "exclusion": "EXCLUDE USING btree (u WITH =) DEFERRABLE INITIALLY DEFERRED",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			f := newFixture(t, dsn, "CREATE TABLE seat (id integer PRIMARY KEY, u integer, "+constraint+");\nINSERT INTO seat VALUES (1, 10), (2, 20), (3, 30), (4, 40);\n",
				map[string]string{"00001_a.sql": migration("DELETE FROM seat WHERE id IN (2, 3);\nUPDATE seat SET u = u + 1 WHERE id = 4;", "SELECT 1;")})
			rows := func(want ...string) {
				t.Helper()
				if got := testdb.Query(t, dsn, "SELECT id, u FROM seat ORDER BY id"); !slices.Equal(got, want) {
					t.Errorf("rows: %v, want %v", got, want)
				}
			}
			told := func(list []snapshot.Conflict, keys ...string) {
				t.Helper()
				var got []string
				for _, c := range list {
					if c.Reason != "unique value taken" {
						t.Errorf("%s: %s", c.Key, c.Reason)
					}
					got = append(got, c.Key)
				}
				if slices.Sort(got); !slices.Equal(got, keys) {
					t.Errorf("conflicts: %v, want %v", got, keys)
				}
			}
			f.up()
			f.exec("INSERT INTO seat VALUES (7, 20), (8, 40);\n")
			res := f.rollback(migrate.RollbackRequest{To: 0})
			rows("1|10", "3|30", "4|41", "7|20", "8|40")
			told(res.Conflicts, "id=2", "id=4")

			f.exec("DELETE FROM seat;\nINSERT INTO seat VALUES (1, 10), (2, 20), (3, 30);\n")
			id := f.take("", "seat")
			f.exec("DELETE FROM seat WHERE id > 1;\nINSERT INTO seat VALUES (7, 20);\n")
			back := f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}, Write: true})
			rows("1|10", "3|30", "7|20")
			told(back.Conflicts, "id=2")
			f.exec("UPDATE seat SET u = -u;\nUPDATE seat SET u = 30 WHERE id = 1;\nUPDATE seat SET u = 10 WHERE id = 3;\n") // exchanged
			f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}, Write: true})
			rows("1|10", "2|20", "3|30")
		})
	}
}
