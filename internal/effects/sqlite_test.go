package effects

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the server's own opinion on what is a statement
)

// TestSQLiteAgrees: what we read as a statement SQLite does not call a syntax error, and what we
// reject it rejects, too. Whether tables exist is another question.
func TestSQLiteAgrees(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+t.TempDir()+"/x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Not part of this build: UPDATE and DELETE with LIMIT; newer than it: constraints by ALTER TABLE.
	newer := []string{"LIMIT 5 OFFSET 1", "DELETE FROM t LIMIT 3", "DROP CONSTRAINT", "ADD CONSTRAINT", "ALTER COLUMN", "ATTACH 'x' || '.db' AS y KEY"}
	checked := 0
	for _, file := range []string{"tables", "rows", "session", "rejected"} {
		text, err := os.ReadFile("testdata/sqlite/" + file + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		statements, err := Parse(SQLite, string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			if hasAny(s.SQL, newer) {
				continue
			}
			// EXPLAIN compiles a statement without running it.
			_, err := conn.ExecContext(context.Background(), "EXPLAIN "+strings.TrimPrefix(s.SQL, "EXPLAIN QUERY PLAN "))
			syntax := err != nil && hasAny(err.Error(), []string{"syntax error", "incomplete input", "unrecognized token"})
			if syntax != (s.ParseError != "") {
				t.Errorf("%s\n  we: %q, SQLite: %v", s.SQL, s.ParseError, err)
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("only %d statements checked", checked)
	}
}

func hasAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

func TestSQLiteSummaries(t *testing.T) {
	for sql, want := range map[string]string{
		"drop table if exists \"A b\"":                                                   "drop table A b",
		"ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD b":                               "drop column t (a); add column t (b)",
		"INSERT OR REPLACE INTO t VALUES (1)":                                            "replace t",
		"insert into t values (1) on conflict(id) do update set a=2":                     "upsert t (a)",
		"UPDATE t SET a=1, (b,c)=(1,2) WHERE d":                                          "update t (a, b, c)",
		"CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; DROP TABLE y": "create trigger x on t; drop table y",
		"/* c */ -- d\n;; ;":                                                             "",
	} {
		if got := strings.Join(summaries(t, SQLite, sql), "; "); got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
}
