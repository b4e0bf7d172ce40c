package journal_test

import (
	"fmt"
	"reflect"
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

// fires tells how many triggers are compiled with a statement.
func fires(t *testing.T, w *world, statement string) (n int) {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), "EXPLAIN "+statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var opcode string
		var rest [7]any
		if err := rows.Scan(&rest[0], &opcode, &rest[1], &rest[2], &rest[3], &rest[4], &rest[5], &rest[6]); err != nil {
			t.Fatal(err)
		}
		if opcode == "Program" {
			n++
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSQLiteFiresWhatItNeeds: an update that can take no other row's place fires, and has to be compiled with, the one trigger that records it; one that names a unique column or the rowid, by
// whichever name, fires all, and the row that gave way to it comes back.
func TestSQLiteFiresWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), "CREATE TABLE item (id integer NOT NULL, v integer, at text, PRIMARY KEY (id))", "CREATE UNIQUE INDEX item_at ON item (at)",
		"CREATE TABLE pair (a text NOT NULL, b text NOT NULL, v integer, PRIMARY KEY (a, b))", "INSERT INTO item VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')", "INSERT INTO pair VALUES ('x', 'y', 1), ('z', 'y', 2), ('u', 'v', 3)")
	w.enable("item", "pair")
	for statement, want := range map[string]int{
		"UPDATE item SET v = 7 WHERE id = 1": 1, "UPDATE item SET AT = 'q' WHERE id = 1": 3, "UPDATE item SET ID = 9 WHERE id = 1": 3, "UPDATE item SET rowid = 9 WHERE id = 1": 3, "UPDATE item SET oid = 9": 3,
		"UPDATE pair SET v = 7": 1, "UPDATE pair SET B = 'q'": 3, "UPDATE pair SET _rowid_ = 9 WHERE v = 1": 3, "UPDATE pair SET (v, a) = (1, 'q')": 3,
	} {
		if fired := fires(t, w, statement); fired != want {
			t.Errorf("%s fires %d triggers, want %d", statement, fired, want)
		}
	}
	all := func() []any {
		return []any{w.rows("item", []string{"id"}, []string{"at", "v"}), w.rows("pair", []string{"a", "b"}, []string{"v"})}
	}
	want := all()
	for _, statement := range []string{"UPDATE OR REPLACE item SET oid = 3 WHERE id = 1", "UPDATE OR REPLACE item SET at = 'b', v = 9 WHERE id = 3", "UPDATE OR REPLACE pair SET _rowid_ = 3 WHERE v = 1", "UPDATE OR REPLACE pair SET a = 'z' WHERE v = 1"} {
		at := w.now()
		for w.now().Sub(at).Milliseconds() < 2 {
		}
		w.exec(statement)
		if reflect.DeepEqual(want, all()) {
			t.Fatalf("%s changed nothing", statement)
		}
		if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item", "pair"}), At: at, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		if got := all(); !reflect.DeepEqual(want, got) {
			t.Errorf("%s, restored: %v, want %v", statement, got, want)
		}
	}
	recording := func() bool {
		all, err := w.j.Status(t.Context(), w.db)
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		return all[0].Recording
	}
	named := func(kind, like string) (name, text string) {
		f := strings.SplitN(w.query("SELECT name || '|' || sql FROM sqlite_schema WHERE type = '" + kind + "' AND name LIKE 'dbrollback\\_journal\\_" + like + "\\_%' ESCAPE '\\' ORDER BY rowid")[0], "|", 2)
		return f[0], f[1]
	}
	moved, text := named("trigger", "moved")
	update, record := named("trigger", "update")
	end, view := named("view", "end")
	w.exec(`DROP TRIGGER "` + moved + `"`)
	if recording() {
		t.Error("a trigger is gone, and nothing is said")
	}
	// Triggers of an older program did what it does when they recorded.
	_, text, _ = strings.Cut(text, " BEGIN ")
	w.exec(`DROP TRIGGER "`+update+`"`, strings.Replace(record, " BEGIN ", " BEGIN "+strings.TrimSuffix(text, "END"), 1), `DROP VIEW "`+end+`"`, view)
	if !recording() {
		t.Error("triggers of an older program are not taken for what they are")
	}
}
