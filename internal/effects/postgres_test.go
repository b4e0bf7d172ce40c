package effects

import (
	"strings"
	"testing"
)

// summaries are the effects of a text, one line each.
func summaries(t *testing.T, d Dialect, sql string) []string {
	t.Helper()
	statements, err := Parse(d, sql)
	if err != nil {
		t.Fatalf("Parse(%q): %v", sql, err)
	}
	var out []string
	for _, s := range statements {
		if s.ParseError != "" {
			t.Errorf("Parse(%q): rejected: %s", sql, s.ParseError)
		}
		if sql[s.Offset:s.Offset+len(s.SQL)] != s.SQL {
			t.Errorf("Parse(%q): statement %q does not stand at %d", sql, s.SQL, s.Offset)
		}
		for _, e := range s.Effects {
			out = append(out, e.Summary())
		}
	}
	return out
}

func TestPostgresSummaries(t *testing.T) {
	for sql, want := range map[string]string{
		"DROP TABLE a, s.b CASCADE":                      "drop table a; drop table s.b",
		"TRUNCATE a, b RESTART IDENTITY CASCADE":         "truncate a; truncate b",
		"ALTER TABLE t DROP a, DROP COLUMN IF EXISTS b":  "drop column t (a); drop column t (b)",
		"ALTER TABLE t ALTER a TYPE int USING a::int":    "alter column type t (a)",
		"UPDATE t SET a = 1":                             "update t (a)",
		"DELETE FROM t":                                  "delete t",
		"SELECT do_it()":                                 "read; opaque: calls do_it()",
		"SELECT upper('x')":                              "read",
		"DO $$ BEGIN DELETE FROM t; END $$":              "opaque: DO block",
		"CREATE OR REPLACE VIEW v AS SELECT 1":           "create view v",
		"WITH d AS (DELETE FROM t RETURNING *) SELECT 1": "delete t; read",
	} {
		if got := strings.Join(summaries(t, Postgres, sql), "; "); got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
}
