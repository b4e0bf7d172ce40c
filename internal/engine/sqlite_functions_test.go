package engine_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func TestSQLiteFunctions(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.SQLite(t), engine.Options{})
	same := func(a, b string) bool {
		t.Helper()
		return text(t, db, "SELECT hex("+a+") = hex("+b+")") == "1"
	}
	for _, pair := range [][2]string{
		{"1", "1.0"}, {"1", "'1'"}, {"'1'", "x'31'"}, {"NULL", "''"}, {"''", "x''"}, {"0.0", "-0.0"}, {"'ab', 'c'", "'a', 'bc'"}, {"NULL", "NULL, NULL"},
		{"'a' || char(0) || 'b'", "'a' || char(0) || 'c'"}, {"'a'", "'A'"}, {"9007199254740993", "9007199254740992.0"},
	} {
		if same("dbrollback_hash("+pair[0]+")", "dbrollback_hash("+pair[1]+")") {
			t.Errorf("%s and %s have one hash", pair[0], pair[1])
		}
	}
	if !same("dbrollback_hash(1, 'a', NULL)", "dbrollback_hash(1, 'a', NULL)") {
		t.Error("a hash changes")
	}
	sum := func(values string) string {
		t.Helper()
		return text(t, db, "SELECT hex(dbrollback_sum(x)) FROM (SELECT column1 AS x FROM (VALUES "+values+"))")
	}
	const one, max = "x'00000000000000000000000000000001'", "x'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'"
	for values, want := range map[string]string{
		"(" + one + "), (" + one + ")":                         "00000000000000000000000000000002", // duplicates do not cancel
		"(" + max + "), (" + one + ")":                         "00000000000000000000000000000000",
		"(x'0000000000000000FFFFFFFFFFFFFFFF'), (" + one + ")": "00000000000000010000000000000000", // the carry
	} {
		if got := sum(values); got != want {
			t.Errorf("sum of %s is %s, want %s", values, got, want)
		}
	}
	if got := text(t, db, "SELECT hex(dbrollback_sum(x)) FROM (SELECT NULL AS x) WHERE false"); got != "00000000000000000000000000000000" {
		t.Errorf("sum of nothing is %s", got)
	}
	var ignore any
	for _, bad := range []string{"NULL", "'text of sixteen!'", "x'00'"} {
		if err := db.QueryRowContext(t.Context(), "SELECT dbrollback_sum("+bad+")").Scan(&ignore); err == nil {
			t.Errorf("the sum takes %s", bad)
		}
	}
}

func TestSQLiteTokens(t *testing.T) {
	for _, pair := range [][2]string{
		{`create table [a] ("b" int)`, "CREATE TABLE a ( `B` INT )"},
		{"a /* x ' */ -- y\n b", "A B"},
		{"x'0f' 1.5e3>=2 'it''s'", "x'0f' 1.5e3 >= 2 'it''s'"},
		{`DEFAULT "Yes"`, `default 'Yes'`},
	} {
		a, b := engine.SQLiteTokens(pair[0]), engine.SQLiteTokens(pair[1])
		if len(a) != len(b) {
			t.Errorf("%q and %q", a, b)
			continue
		}
		for i := range a {
			if a[i] != b[i] {
				t.Errorf("%q and %q", a, b)
			}
		}
	}
	for _, pair := range [][2]string{{"'a'", "'A'"}, {`DEFAULT "Yes"`, `DEFAULT "yes"`}, {"1", "1.0"}, {`"a b"`, "a b"}} {
		a, b := engine.SQLiteTokens(pair[0]), engine.SQLiteTokens(pair[1])
		if len(a) == len(b) && a[len(a)-1] == b[len(b)-1] {
			t.Errorf("%s and %s are one", pair[0], pair[1])
		}
	}
}

func FuzzSQLiteScan(f *testing.F) {
	f.Add(`CREATE TABLE "a" (b [c d] DEFAULT 'x''y' /* z`)
	f.Add("`")
	f.Fuzz(func(t *testing.T, sql string) {
		end := 0
		for _, token := range engine.SQLiteScan(sql) {
			if token.Start < end || token.End <= token.Start || token.End > len(sql) {
				t.Fatalf("%q: token %+v after %d", sql, token, end)
			}
			end = token.End
		}
	})
}
