package migrate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRollbackAfterUpAgain: rows that Down removes, the migration's own and the application's, come back with the next up, and go with the
// rollback after it. They were not there before, so they are none that Up has left alone. The up is cut off wherever it puts them back.
func TestRollbackAfterUpAgain(t *testing.T) {
	t.Parallel()
	for name, trigger := range map[string]string{"plain": "", "under a trigger": "CREATE TRIGGER stamp BEFORE INSERT ON kinds FOR EACH ROW SET NEW.note = concat('!', NEW.note)"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				testdb.Exec(t, dsn, "CREATE TABLE kinds (id integer PRIMARY KEY AUTO_INCREMENT, name varchar(9), note varchar(9) DEFAULT 'n')", "INSERT INTO kinds (name) VALUES ('x'), ('b')")
				if trigger != "" {
					testdb.Exec(t, dsn, trigger)
				}
				c := newCutter(t, dsn, "-- +goose Up\nINSERT INTO kinds (name) SELECT k.name FROM (SELECT 'a' AS name UNION ALL SELECT 'b') k WHERE NOT EXISTS (SELECT 1 FROM kinds WHERE name = k.name);\n"+
					"-- +goose Down\nDELETE FROM kinds WHERE name IN ('a', 'b', 'c');\n")
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT id, name, note FROM kinds ORDER BY id"), ", ")
				}
				before := rows()
				c.must("up")
				testdb.Exec(t, dsn, "INSERT INTO kinds (id, name) VALUES (50, 'c')", "UPDATE kinds SET note = 'n' WHERE id = 50")
				c.must("rollback")
				if got := rows(); got != before {
					t.Fatalf("rollback: %s, want %s", got, before)
				}
				places := []string{"SELECT 'i', d.k1", "INSERT INTO `kinds` (`id`", "DELETE d FROM", "UPDATE `state_snapshots`"}
				if trigger != "" {
					places = places[1:3]
				}
				for n, here := range places {
					how := []cut{afterAnswer, afterSending, beforeIt, afterAnswer}[n]
					at, err := c.cutWhere("up", how, func(query string) bool { return strings.Contains(query, here) })
					if at == "" {
						t.Fatalf("up sends no %q (%v)", here, err)
					}
					mend := []string{"recover --abort", "recover"}[n%2]
					_, merr := c.mend(mend)
					if merr != nil && mend != "recover" && errors.As(merr, new(*migrate.RefusedError)) { // nothing but the record is missing
						_, merr = c.mend("recover")
					}
					if merr != nil {
						t.Fatalf("up cut off at %.80q: %v", at, merr)
					}
					if got := rows(); got == before {
						c.must("up")
					}
					if got := rows(); strings.Count(got, "50|c|n") != 1 || strings.Count(got, "|c|") != 1 {
						t.Errorf("up cut off at %.80q: the application's row is not there once: %s", at, got)
					}
					c.must("rollback")
					if got := rows(); got != before {
						t.Fatalf("up cut off at %.80q, and the rollback after it: %s, want %s", at, got, before)
					}
				}
				c.must("up")
				c.must("rollback")
				if got := rows(); got != before {
					t.Errorf("in the end: %s, want %s", got, before)
				}
			}, family...)
		})
	}
}
