package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestColumnsCrossed: a column that somebody gave another's name, or dropped and made again, never gets what was recorded of the other: the
// journal is not used over it, status says why, and the table stays as it is.
func TestColumnsCrossed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		rename := func(a, b string) string { return "ALTER TABLE pair RENAME COLUMN " + a + " TO " + b }
		add := "ALTER TABLE pair ADD COLUMN b integer"
		cases := map[string][]string{
			"renamed":               {rename("a", "c")},
			"swapped":               {rename("a", "c"), rename("b", "a"), rename("c", "b")},
			"dropped, made again":   {"ALTER TABLE pair DROP COLUMN b", add},
			"another took its name": {rename("b", "c"), add, "ALTER TABLE pair DROP COLUMN c"},
		}
		if strings.HasPrefix(dsn, "mysql") || strings.HasPrefix(dsn, "mariadb") {
			cases["swapped at once"] = []string{"ALTER TABLE pair RENAME COLUMN a TO b, RENAME COLUMN b TO a"}
		}
		for what, alters := range cases {
			w := newWorld(t, dsn, "DROP TABLE IF EXISTS pair", "CREATE TABLE pair (id integer NOT NULL PRIMARY KEY, a integer, b integer)", "INSERT INTO pair VALUES (1, 10, 20), (2, 11, 21), (3, 12, 22)")
			w.enable("pair")
			at := w.now()
			w.exec("UPDATE pair SET a = a + 100 WHERE id = 1", "UPDATE pair SET b = b + 100 WHERE id = 2")
			refused := false
			for _, s := range alters {
				if _, err := w.db.Exec(s); err != nil { // some servers do not let a column go that a trigger reads
					refused = true
					break
				}
			}
			ask := snapshot.Ask{Tables: names([]string{"pair"}), At: at, Mode: snapshot.Replace}
			if !refused {
				all, err := w.j.Status(t.Context(), w.db)
				if err != nil || len(all) != 1 || all[0].Recording || all[0].Why == "" {
					t.Errorf("%s: status says %+v, %v", what, all, err)
				}
				was := testdb.Dump(t, dsn)
				var nothing *snapshot.NothingError
				if _, err := w.restore(ask); !errors.As(err, &nothing) {
					t.Errorf("%s: %v; want that the journal cannot be used", what, err)
				}
				testdb.SameDump(t, dsn, was)
			}
			w.in(func(q engine.Querier) error { return w.j.Disable(t.Context(), q, names([]string{"pair"})) })
		}
	}, testdb.Everywhere()...)
}
