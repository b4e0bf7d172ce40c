package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestCutOffWhileLaterRowsFollow: a rollback that dies where rows of the application follow moved keys, or while the triggers of a table that is not
// locked for it are exchanged, is ended by recover with every row and every trigger as it is to be, whichever way it goes.
func TestCutOffWhileLaterRowsFollow(t *testing.T) {
	t.Parallel()
	const (
		rows     = "SELECT concat_ws('|', k.id, k.note, coalesce(p.name, 'nobody'), p.id) FROM kids k LEFT JOIN parents p ON p.id = k.parent_id UNION ALL SELECT concat_ws('|', id, name) FROM parents UNION ALL SELECT concat_ws('|', id, name) FROM boxes ORDER BY 1"
		triggers = "SELECT trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY 1"
	)
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nUPDATE parents SET id = id + 1 ORDER BY id DESC;\nUPDATE boxes SET name = 'x';\n-- +goose Down\nSELECT 1;\n")
		for _, s := range []string{
			"CREATE TABLE seen (id integer AUTO_INCREMENT PRIMARY KEY, what varchar(40))",
			"CREATE TABLE parents (id integer PRIMARY KEY, name varchar(20) NOT NULL)",
			"CREATE TABLE kids (id integer PRIMARY KEY, parent_id integer, note varchar(20), FOREIGN KEY (parent_id) REFERENCES parents (id) ON UPDATE CASCADE)",
			"INSERT INTO parents VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cid')", "INSERT INTO kids VALUES (10, 1, 'a'), (11, 3, 'b')",
			"CREATE TABLE boxes (id integer PRIMARY KEY, name varchar(20))", "INSERT INTO boxes VALUES (70, 'big'), (71, 'small')",
			"CREATE TABLE lids (id integer PRIMARY KEY, box integer, FOREIGN KEY (box) REFERENCES boxes (id) ON UPDATE CASCADE)",
			"CREATE TRIGGER changed AFTER UPDATE ON boxes FOR EACH ROW INSERT INTO seen (what) VALUES (concat(OLD.name, ' ', NEW.name))",
		} {
			testdb.Exec(t, dsn, s)
		}
		wanted := testdb.Query(t, dsn, triggers)
		c.must("up")
		testdb.Exec(t, dsn, "INSERT INTO kids SELECT 20 + id, id, 'later' FROM parents")
		testdb.Exec(t, dsn, "UPDATE kids SET note = 'changed' WHERE id = 11")
		applied := testdb.Query(t, dsn, rows)
		// What it comes to: each with its parent, under the key before.
		back := []string{"10|a|Ada|1", "11|changed|Cid|3", "1|Ada", "22|later|Ada|1", "23|later|Bob|2", "24|later|Cid|3", "2|Bob", "3|Cid", "70|big", "71|small"}
		slices.Sort(back)

		place := func(query string) bool {
			return strings.HasPrefix(query, "UPDATE `kids` AS t") || strings.Contains(query, "TRIGGER") && (strings.HasPrefix(query, "CREATE ") || strings.HasPrefix(query, "DROP "))
		}
		for n := 0; ; n++ {
			mend, how := []string{"recover --abort", "recover"}[n%2], []cut{afterAnswer, beforeIt, afterSending}[n%3]
			i := 0
			at, err := c.cutWhere("rollback", how, func(query string) bool {
				if place(query) {
					i++
				}
				return i == n+1
			})
			if at == "" {
				if n < 6 {
					t.Fatalf("only %d places to cut it off at: %v", n, err)
				}
				break // it was through
			}
			was, err := c.mend(mend)
			if late := (*migrate.RefusedError)(nil); mend != "recover" && errors.As(err, &late) { // the rows are back already
				mend = "recover"
				was, err = c.mend(mend)
			}
			if err != nil {
				t.Fatalf("cut %d at %q: %s: %v", n, at, mend, err)
			}
			if got := testdb.Query(t, dsn, triggers); !slices.Equal(got, wanted) {
				t.Fatalf("cut %d at %q: %s: triggers %q", n, at, mend, got)
			}
			got := testdb.Query(t, dsn, rows)
			slices.Sort(got)
			undone := slices.Equal(got, back)
			still := slices.Equal(got, slices.Sorted(slices.Values(applied)))
			if !undone && !still || was && mend == "recover" && !undone || was && mend != "recover" && !still {
				t.Fatalf("cut %d at %q: %s: rows %v, want %v or %v", n, at, mend, got, back, applied)
			}
			c.free(mend)
			if undone {
				c.must("up")
				if got := testdb.Query(t, dsn, rows); !slices.Equal(got, applied) {
					t.Fatalf("up again after cut %d: rows %v, want %v", n, got, applied)
				}
			}
		}
		if _, err := c.open(dsn).Recover(t.Context(), migrate.RecoverRequest{}); err == nil {
			t.Error("a rollback that was through left something to recover")
		}
	}, family...)
}
