package effects

import (
	"strings"
	"testing"
	"time"
)

// TestDeepNesting: a text that is built to be slow, or to overflow a stack, is neither.
func TestDeepNesting(t *testing.T) {
	const n = 50_000
	for name, sql := range map[string]string{
		"brackets": "SELECT " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n),
		"calls":    "SELECT " + strings.Repeat("abs(", n) + "1" + strings.Repeat(")", n),
		"open":     "UPDATE t SET a = " + strings.Repeat("(", n),
		"closed":   "DELETE FROM t WHERE a" + strings.Repeat(")", n),
		"lists":    "SELECT 1 FROM t WHERE a IN (" + strings.Repeat("1,", n) + "1)",
		"columns":  "CREATE TABLE t (" + strings.Repeat("a int NOT NULL,", n/10) + "b int)",
		"quotes":   strings.Repeat("$a$", n) + strings.Repeat("'", n),
		"comments": strings.Repeat("/*", n),
		"or":       "DELETE FROM t WHERE a = 1" + strings.Repeat(" OR a = 1", n/10),
	} {
		for _, d := range []Dialect{Postgres, SQLite, MySQL, MariaDB} {
			t.Run(string(d)+"/"+name, func(t *testing.T) {
				start := time.Now()
				statements, err := Parse(d, sql)
				if err != nil {
					t.Fatal(err)
				}
				checkStatements(t, d, sql, statements)
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("took %s", took)
				}
			})
		}
	}
}
