package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestKeyAsWritten: a row is found by whatever spells its key, and what cannot be a key of the table is told, with one that can.
func TestKeyAsWritten(t *testing.T) {
	t.Parallel()
	type key struct{ column, value, finds, never string }
	whole := key{"integer", "7", "07", "banana"}
	server := []key{whole, {"numeric(6,2)", "1.5", "1.5", "a"}, {"timestamp(0)", "'2026-03-29 01:30:00'", "2026-03-29T01:30:00", "yesterday-ish"}, {"date", "'2026-03-29'", "2026-3-29", "2026-02-31"}}
	testdb.Each(t, func(t *testing.T, dsn string) {
		keys := append(server, key{"enum('a','b')", "'b'", "b", "c"}, key{"binary(2)", "'ab'", "0x6162", ""}, key{"double", "0.5", "0.50", "half"})
		switch {
		case strings.HasPrefix(dsn, "sqlite"):
			keys = []key{whole, {"text", "'x'", "x", ""}}
		case strings.HasPrefix(dsn, "postgres"):
			keys = append(server, key{"uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "7"}, key{"character varying(3)", "'abc'", "abc", ""})
		}
		for _, k := range keys {
			w := newWorld(t, dsn, "DROP TABLE IF EXISTS item", "CREATE TABLE item (id "+k.column+" NOT NULL PRIMARY KEY, v integer)", "INSERT INTO item VALUES ("+k.value+", 1)")
			w.enable("item")
			w.exec("UPDATE item SET v = 2")
			if h, err := w.j.History(t.Context(), w.db, names([]string{"item"})[0], []string{k.finds}, 9); err != nil || len(h.Entries) != 1 || h.Entries[0].Change != "updated" {
				t.Errorf("%s: %q: %+v, %v", k.column, k.finds, h, err)
			}
			if k.never != "" {
				var ask *snapshot.AskError
				if h, err := w.j.History(t.Context(), w.db, names([]string{"item"})[0], []string{k.never}, 9); !errors.As(err, &ask) || !strings.Contains(ask.Hint, "--key") {
					t.Errorf("%s: %q: %+v, %v", k.column, k.never, h, err)
				} else {
					t.Log(err, ask.Hint)
				}
			}
			w.disable("item")
		}
	}, testdb.Everywhere()...)
}
