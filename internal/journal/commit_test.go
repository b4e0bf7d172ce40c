package journal_test

import (
	"fmt"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestConstraintsImmediate: a transaction counts by its end, whatever it does with the constraints that the journal knows the end by, and is wholly
// before a moment or wholly after it.
func TestConstraintsImmediate(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	w := newWorld(t, dsn, item, "INSERT INTO item SELECT g, 0 FROM generate_series(1, 9) g",
		"CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$ BEGIN UPDATE item SET v = v + 1 WHERE id = 1; COMMIT; UPDATE item SET v = v + 1 WHERE id = 2; COMMIT; END $$",
		"CREATE TABLE other (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)",
		"CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE item SET v = v + 1 WHERE id = 9; RETURN NULL; END $$",
		"CREATE CONSTRAINT TRIGGER late AFTER INSERT ON other DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()")
	w.enable("item")
	conn, err := testdb.Open(t, dsn).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const moment, now = "", "SET CONSTRAINTS ALL IMMEDIATE"
	write := func(id int) string { return fmt.Sprintf("UPDATE item SET v = v + 1 WHERE id = %d", id) }
	for name, transaction := range map[string][]string{
		"writes after it":            {"BEGIN", write(1), now, moment, write(2), moment, "COMMIT"},
		"none after it":              {"BEGIN", write(1), now, moment, "SELECT 1", moment, "COMMIT"},
		"before all writes":          {"BEGIN", now, write(1), moment, write(2), moment, "COMMIT"},
		"again and again":            {"BEGIN", now, write(1), now, write(2), moment, now, now, moment, write(3), now, moment, "COMMIT"},
		"by name":                    {"BEGIN", write(1), "SET CONSTRAINTS dbrollback.dbrollback_journal_end IMMEDIATE", moment, write(2), "COMMIT"},
		"deferred":                   {"BEGIN", now, write(1), "SET CONSTRAINTS ALL DEFERRED", moment, write(2), moment, "COMMIT"},
		"in a function":              {"BEGIN", write(1), "DO $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; UPDATE item SET v = v + 1 WHERE id = 2; END $$", moment, "SELECT 1", moment, "/* the end */ COMMIT"},
		"in the message that begins": {"BEGIN; " + write(1) + "; " + now + "; " + write(2), moment, write(3), moment, "COMMIT"},
		"rolled back to before it":   {"BEGIN", write(1), "SAVEPOINT s", now, write(2), "ROLLBACK TO s", moment, write(3), moment, "END"},
		"rolled back after it":       {"BEGIN", write(1), now, "SAVEPOINT s", write(2), "ROLLBACK TO s", moment, write(3), moment, "  commit"},
		"a message with the end":     {"BEGIN", write(1), now, moment, write(2) + "; COMMIT"},
		"a message of many":          {moment, "BEGIN; " + write(1) + "; " + now + "; " + write(2) + "; COMMIT"},
		"without it":                 {"BEGIN", write(1), moment, write(2), moment, "COMMIT"},
		"written at the end":         {"BEGIN", write(1), "INSERT INTO other SELECT count(*) FROM other", moment, "COMMIT"},
		"written by it":              {"BEGIN", "INSERT INTO other SELECT count(*) FROM other", moment, now, moment, write(1), moment, "COMMIT"},
	} {
		before := w.rows("item", []string{"id"}, []string{"v"})
		var asked []snapshot.Ask
		for _, s := range transaction {
			if s == moment {
				asked = append(asked, snapshot.Ask{Tables: names([]string{"item"}), At: w.now(), Mode: snapshot.Replace})
			} else if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %s: %v", name, s, err)
			}
		}
		after, end := w.rows("item", []string{"id"}, []string{"v"}), w.now()
		for i := len(asked) - 1; i >= 0; i-- {
			w.exec("UPDATE item SET v = v + 100")
			if _, err := w.restore(snapshot.Ask{Tables: names([]string{"item"}), At: end, Mode: snapshot.Replace}); err != nil {
				t.Fatalf("%s: to after it: %v", name, err)
			}
			w.same(name+": to after it", after, w.rows("item", []string{"id"}, []string{"v"}))
			if _, err := w.restore(asked[i]); err != nil {
				t.Fatalf("%s: moment %d: %v", name, i, err)
			}
			w.same(fmt.Sprintf("%s: moment %d", name, i), before, w.rows("item", []string{"id"}, []string{"v"}))
		}
	}
	// The end of a transaction is written down once, whoever says it how.
	w.exec("TRUNCATE item", "DELETE FROM dbrollback.dbrollback_journal_commits")
	for i, transaction := range [][]string{
		{"INSERT INTO item VALUES (1, 1), (2, 2)"}, {"BEGIN", write(1), "COMMIT"}, {"BEGIN", write(1), "SELECT 1", write(2), "\n end;"}, {"BEGIN", write(1), "/* so */ COMMIT"},
		{"BEGIN", write(1), now, write(2), "COMMIT"}, {"BEGIN", write(1), "SELECT 1", write(2) + "; COMMIT"}, {"BEGIN; " + write(1) + "; " + write(2) + "; COMMIT"},
	} {
		for _, s := range transaction {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		if n := w.query("SELECT count(*) FROM dbrollback.dbrollback_journal_commits")[0]; n != fmt.Sprint(i+1) {
			t.Errorf("after %q there are %s ends, want %d", transaction, n, i+1)
		}
	}
	if _, err := conn.ExecContext(t.Context(), "CALL twice()"); err != nil {
		t.Fatal(err)
	}
	if n := w.query("SELECT count(DISTINCT x) FROM dbrollback.dbrollback_journal_commits")[0]; n != "9" {
		t.Errorf("after a procedure with two transactions %s have an end, want 9", n)
	}
}
