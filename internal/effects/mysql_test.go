package effects

import (
	"strings"
	"testing"
)

func TestMySQLSummaries(t *testing.T) {
	for sql, want := range map[string]string{
		"drop table if exists `A b`, c":                      "drop table A b; drop table c",
		"ALTER TABLE t DROP a, MODIFY b int, CHANGE c d int": "drop column t (a); alter column type t (b); alter column type t (c); rename column t (c) to d",
		"ALTER TABLE t DROP PARTITION p1, p2":                "drop partition p1 on t; drop partition p2 on t",
		"UPDATE a JOIN b USING (id) SET a.x = 1":             "update a (x)",
		"DELETE a FROM a JOIN b USING (id)":                  "delete a",
		"SELECT f(1)":                                        "read; opaque: calls f()",
		"CALL p()":                                           "opaque: CALL p()",
		"CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a = 1; IF @a THEN SET @b = 2; END IF; END; DROP TABLE y": "create trigger x on t; drop table y",
		"CREATE PROCEDURE p() BEGIN CASE 1 WHEN 1 THEN SELECT CASE 2 WHEN 2 THEN 3 END; END CASE; END; DROP TABLE y":          "create procedure p; drop table y",
		"# c\n-- d\n/* e */;;": "",
	} {
		for _, d := range []Dialect{MySQL, MariaDB} {
			if got := strings.Join(summaries(t, d, sql), "; "); got != want {
				t.Errorf("%s: %s\n got %s\nwant %s", d, sql, got, want)
			}
		}
	}
}

func TestExecutableComments(t *testing.T) {
	for sql, want := range map[string][2]string{ // MySQL, MariaDB
		"/*! DROP TABLE a */":                        {"drop table a", "drop table a"},
		"/*!40000 DROP TABLE a */":                   {"drop table a", "drop table a"},
		"/*!50701 DROP TABLE a */":                   {"drop table a", ""},
		"/*!99999 DROP TABLE a */":                   {"", ""},
		"/*M! DROP TABLE a */":                       {"", "drop table a"},
		"/*M!100100 DROP TABLE a */":                 {"", "drop table a"},
		"/*!100100 DROP TABLE a */":                  {"", "drop table a"},
		"/*!100601 DROP TABLE a */":                  {"", "drop table a; opaque: runs on some versions only: /*!100601 DROP TABLE a */"},
		"/*!80018 DROP TABLE a */":                   {"drop table a; opaque: runs on some versions only: /*!80018 DROP TABLE a */", ""},
		"DROP TABLE a /*! , b */, c":                 {"drop table a; drop table b; drop table c", "drop table a; drop table b; drop table c"},
		"/*! SET @a = '*/' */; DROP TABLE b":         {"session; drop table b", "session; drop table b"},
		"/* DROP TABLE a */ SELECT '/*! x */'":       {"read", "read"},
		"SELECT /*+ MAX_EXECUTION_TIME(1) */ 1 /**/": {"read", "read"},
	} {
		for i, d := range []Dialect{MySQL, MariaDB} {
			if got := strings.Join(summaries(t, d, sql), "; "); got != want[i] {
				t.Errorf("%s: %s\n got %s\nwant %s", d, sql, got, want[i])
			}
			if flat, _ := mysqlFlatten(d, sql); len(flat) != len(sql) {
				t.Errorf("%s: %q is not as long as %q", d, flat, sql)
			}
		}
	}
}

func TestMySQLStatementIsWhole(t *testing.T) {
	// What is sent must hold both ends of a comment that it reaches into.
	const sql = "CREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) */; /*!40101 SET @x = 1 */;"
	got, err := Parse(MySQL, sql)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].SQL != "CREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) */" || got[1].SQL != "/*!40101 SET @x = 1 */" {
		t.Errorf("%q, %q", got[0].SQL, got[1].SQL)
	}
	if !got[0].ImplicitCommit || got[1].ImplicitCommit || !got[0].Effects[0].Define.Partitioned {
		t.Errorf("%+v", got)
	}
}
