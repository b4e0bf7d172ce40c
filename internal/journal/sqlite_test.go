package journal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestSQLiteCost: what a write to a journalled table takes does not grow with the table, nor with rows that were not written after all.
func TestSQLiteCost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), "CREATE TABLE item (id integer NOT NULL, v integer, at text NOT NULL UNIQUE, PRIMARY KEY (id, v))", "INSERT INTO item VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')")
	w.enable("item")
	for _, trigger := range w.query("SELECT substr(sql, instr(sql, ' BEGIN ') + 7) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%before%'") {
		for _, statement := range strings.Split(strings.TrimSuffix(trigger, "; END"), "; ") {
			for _, c := range []string{`"id"`, `"v"`, `"at"`, "rowid"} {
				statement = strings.NewReplacer("NEW."+c, "1", "OLD."+c, "2").Replace(statement)
			}
			for _, step := range plan(t, w, statement) {
				if strings.HasPrefix(step, "SCAN") {
					t.Errorf("%s, for %s", step, statement)
				}
			}
		}
	}
	at, want := w.now(), w.rows("item", []string{"id"}, []string{"at", "v"})
	w.exec("INSERT OR IGNORE INTO item VALUES (7, 7, 'a'), (8, 8, 'b')")
	for then := w.now(); w.now().Sub(then).Milliseconds() < 2; {
	}
	w.exec("INSERT INTO item VALUES (4, 4, 'd')")
	for _, stash := range w.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%stash%'") {
		if left := w.query("SELECT k1 FROM " + stash); len(left) > 0 {
			t.Errorf("rows that nothing took the place of are still put by: %v", left)
		}
	}
	w.exec("REPLACE INTO item VALUES (9, 9, 'c')", "INSERT OR IGNORE INTO item VALUES (8, 8, 'b')", "UPDATE OR REPLACE item SET at = 'a' WHERE id = 2")
	if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
		t.Fatal(err)
	}
	w.same("restored", want, w.rows("item", []string{"id"}, []string{"at", "v"}))
}

// plan tells how SQLite carries a statement out, a step each.
func plan(t *testing.T, w *world, statement string) (steps []string) {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", statement, err))
	}
	return steps
}

// TestSQLiteKeysAlike: a row that gives way to one whose key the table takes for the same, though it is not to the letter, comes back; and none is lost where
// an index tells keys apart that their column does not.
func TestSQLiteKeysAlike(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, table, rows, write string }{
		{"letters", "CREATE TABLE item (k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v)", "('e', 1), ('f', 2)", "REPLACE INTO item VALUES ('E', 3)"},
		{"without rowid", "CREATE TABLE item (k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID", "('e', 1), ('f', 2)", "UPDATE OR REPLACE item SET k = 'E' WHERE k = 'f'"},
		{"finer index", "CREATE TABLE item (k TEXT NOT NULL COLLATE NOCASE, v UNIQUE, UNIQUE (k COLLATE BINARY))", "('e', 1), ('E', 2)", "UPDATE OR REPLACE item SET v = 1 WHERE v = 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testdb.SQLite(t), tc.table, "INSERT INTO item VALUES "+tc.rows)
			w.enable("item")
			at, want := w.now(), w.rows("item", []string{"k"}, []string{"v"})
			w.exec(tc.write)
			if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: at, Mode: snapshot.Replace}); err != nil {
				t.Fatal(err)
			}
			w.same("restored", want, w.rows("item", []string{"k"}, []string{"v"}))
		})
	}
}
