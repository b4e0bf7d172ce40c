package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// TestDefinitions: what Down brings back of code, views and indexes is compared with what earlier migrations wrote, as far as each server
// tells texts apart.
func TestDefinitions(t *testing.T) {
	plpgsql := func(body string) string {
		return "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$" + body + "$$;"
	}
	tables := "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(20));"
	index := func(columns string) string { return "CREATE INDEX i ON t " + columns + ";" }
	trigger := func(body string) string {
		return "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW BEGIN " + body + " END;"
	}
	routine := func(body string) string { return "CREATE PROCEDURE p(x int) BEGIN " + body + " END;" }
	for _, c := range []struct {
		name           string
		dialects       []effects.Dialect
		base, up, down string
		want           string // "" nothing; else severity, code and a part of the message
	}{
		{"a function restored", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN 1; END "), plpgsql(" BEGIN RETURN 2; END "), plpgsql(" BEGIN RETURN 1; END "), ""},
		{"another function", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN 1; END "), plpgsql(" BEGIN RETURN 2; END "), plpgsql(" BEGIN RETURN 3; END "),
			"error RV003 function f with another definition"},
		{"a function left", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN 1; END "), plpgsql(" BEGIN RETURN 2; END "), "CREATE TABLE x (id int); DROP TABLE x;",
			"error RV002 the definition of function f"},
		{"another type behind a cast", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN 1::int; END "), plpgsql(" BEGIN RETURN 2; END "), plpgsql(" BEGIN RETURN 1::bigint; END "),
			"error RV003 function f with another definition"},
		{"other brackets", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN (1 + 2) * 3; END "), plpgsql(" BEGIN RETURN 2; END "), plpgsql(" BEGIN RETURN 1 + (2 * 3); END "),
			"error RV003 function f with another definition"},
		{"the same code in other blanks", []effects.Dialect{pg}, plpgsql(" BEGIN\n\tRETURN 1; -- one\nEND "), plpgsql(" BEGIN RETURN 2; END "), plpgsql(" BEGIN RETURN 1; END; "),
			"warning RV003 function f with the same code in other blanks"},
		{"blanks alone changed and left", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN 1; END "), plpgsql(" BEGIN\nRETURN 1;\nEND ") + tables, "DROP TABLE t;",
			"warning RV002 Down leaves the text of function f"},
		{"clauses in another order, the code the same", []effects.Dialect{pg}, plpgsql(" BEGIN RETURN 1; END "), plpgsql(" BEGIN RETURN 2; END "),
			"CREATE OR REPLACE FUNCTION public.f() RETURNS int AS ' BEGIN RETURN 1; END ' LANGUAGE 'plpgsql';", ""},
		{"an argument list that fits none", []effects.Dialect{pg}, "SELECT 1;", "CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 1';", "DROP FUNCTION IF EXISTS f();",
			"error RV002 Down does not drop function f"},
		{"an argument list in another spelling", []effects.Dialect{pg}, "SELECT 1;", "CREATE FUNCTION f(a varchar(3), b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1';",
			"DROP FUNCTION IF EXISTS f(a character varying, b int4);", ""},
		{"a view restored", []effects.Dialect{pg, effects.MySQL, effects.MariaDB, sqlite}, tables + "CREATE VIEW v AS SELECT a FROM t;", "DROP VIEW v;", "CREATE VIEW v AS SELECT t.a FROM t;", ""},
		{"another view", []effects.Dialect{pg, effects.MySQL, effects.MariaDB, sqlite}, tables + "CREATE VIEW v AS SELECT a FROM t;", "DROP VIEW v;", "CREATE VIEW v AS SELECT b FROM t;",
			"error RV003 view v with another definition"},
		{"a procedure restored", []effects.Dialect{effects.MySQL, effects.MariaDB}, tables + routine("UPDATE t SET a = x; DELETE FROM t WHERE a = 1;"), "DROP PROCEDURE p;",
			"CREATE DEFINER=`root`@`localhost` PROCEDURE p(x int) BEGIN UPDATE t SET a = x; DELETE FROM t WHERE a = 1; END;", ""},
		{"statements of a procedure in another order", []effects.Dialect{effects.MySQL, effects.MariaDB}, tables + routine("UPDATE t SET a = x; DELETE FROM t WHERE a = 1;"), "DROP PROCEDURE p;",
			routine("DELETE FROM t WHERE a = 1; UPDATE t SET a = x;"), "error RV003 procedure p with another definition"},
		{"a trigger restored", []effects.Dialect{effects.MySQL, effects.MariaDB, sqlite}, tables + trigger("UPDATE o SET a = 1; UPDATE o SET b = 2;"), "DROP TRIGGER tr;",
			trigger("UPDATE o SET a = 1;  UPDATE o SET b = 2;"), ""},
		{"statements of a trigger in another order", []effects.Dialect{effects.MySQL, effects.MariaDB, sqlite}, tables + trigger("UPDATE o SET a = 1; UPDATE o SET b = 2;"), "DROP TRIGGER tr;",
			trigger("UPDATE o SET b = 2; UPDATE o SET a = 1;"), "error RV003 trigger"},
		{"an index the other way round", []effects.Dialect{pg, effects.MySQL, effects.MariaDB, sqlite}, tables + index("(a, id DESC)"), "DROP INDEX i ON t;", index("(a, id)"),
			"error RV003 it was index (a, id desc), it becomes index (a, id)"},
		{"an index with its default written out", []effects.Dialect{pg, effects.MySQL, effects.MariaDB, sqlite}, tables + index("(a, id)"), "DROP INDEX i ON t;", index("(a ASC, id)"), ""},
		{"nulls in another place", []effects.Dialect{pg}, tables + index("(a DESC)"), "DROP INDEX i;", index("(a DESC NULLS LAST)"), "error RV003 index i"},
		{"nulls where they are anyway", []effects.Dialect{pg}, tables + index("(a DESC, b ASC NULLS LAST)"), "DROP INDEX i;", index("(a DESC NULLS FIRST, b)"), ""},
		{"nulls that are the same no more", []effects.Dialect{pg}, tables + "CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT;", "DROP INDEX i;", "CREATE UNIQUE INDEX i ON t (a);",
			"error RV003 it was unique index (a) nulls not distinct"},
		{"another operator class", []effects.Dialect{pg}, tables + index("(b varchar_pattern_ops)"), "DROP INDEX i;", index("(b)"), "error RV003 index i"},
		{"the operator class of the type", []effects.Dialect{pg}, tables + index("(b varchar_ops)"), "DROP INDEX i;", index("(b)"), ""},
		{"a prefix lost", []effects.Dialect{effects.MySQL, effects.MariaDB}, "CREATE TABLE t (id int PRIMARY KEY, b varchar(20), KEY i (b(5)));", "DROP INDEX i ON t;", index("(b)"),
			"error RV003 it was index (b (5)), it becomes index (b)"},
		{"a prefix as long as its column", []effects.Dialect{effects.MySQL, effects.MariaDB}, "CREATE TABLE t (id int PRIMARY KEY, b varchar(20), KEY i (b(20)));", "DROP INDEX i ON t;", index("(b)"), ""},
		{"a key of the table and an index", []effects.Dialect{effects.MySQL, effects.MariaDB}, "CREATE TABLE t (id int PRIMARY KEY, b text, FULLTEXT KEY i (b));", "DROP INDEX i ON t;",
			"CREATE FULLTEXT INDEX i ON t (b);", ""},
	} {
		for _, d := range c.dialects {
			t.Run(fmt.Sprint(c.name, "/", d), func(t *testing.T) {
				up := c.up
				if d == pg || d == sqlite {
					up = strings.Replace(up, "DROP INDEX i ON t", "DROP INDEX i", 1)
				}
				var got []string
				for _, f := range lintLast(t, Options{Engine: d}, goose(c.base, "SELECT 1;"), goose(up, c.down)) {
					if slices.Contains([]string{"RV001", "RV002", "RV003"}, f.Code) {
						got = append(got, string(f.Severity)+" "+f.Code+" "+f.Message)
					}
				}
				want := strings.SplitN(c.want, " ", 3)
				fits := func(s string) bool { return strings.HasPrefix(s, want[0]+" "+want[1]) && strings.Contains(s, want[2]) }
				if c.want == "" && len(got) > 0 || c.want != "" && !slices.ContainsFunc(got, fits) {
					t.Errorf("found %q, want %q", got, c.want)
				}
			})
		}
	}
}
