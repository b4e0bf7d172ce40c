package testdb

import (
	"slices"
	"strings"
	"testing"
)

// Dump returns the user's schema and data as text. Two dumps of databases that hold the same are equal;
// where they differ, a line-by-line diff shows what. Left out are dbrollback's own objects, goose's version
// table, and the positions of sequences, which must not go back when everything else does.
func Dump(t testing.TB, dsn string) string {
	t.Helper()
	return dump(t, dsn, false)
}

// DumpAnyOrder is Dump with the columns of each table in alphabetical order, for engines on which a
// column that comes back can only come last.
func DumpAnyOrder(t testing.TB, dsn string) string {
	t.Helper()
	return dump(t, dsn, true)
}

func dump(t testing.TB, dsn string, anyOrder bool) string {
	t.Helper()
	switch scheme, _, _ := strings.Cut(dsn, ":"); scheme {
	case "postgres", "postgresql":
		return normalisePostgres(pgDump(t, dsn), anyOrder)
	case "sqlite":
		return dumpSQLite(t, dsn, anyOrder)
	case "mariadb", "mysql":
		return dumpMySQL(t, dsn, anyOrder)
	default:
		t.Fatalf("testdb: no dump for a DSN that starts with %q", scheme)
		return ""
	}
}

// Diff is what differs between two dumps, a line of a after "-" and one of b after "+"; empty when they
// are equal. It is for messages: lines that only moved are not shown.
func Diff(a, b string) string {
	count := map[string]int{}
	for line := range strings.Lines(a) {
		count[line]++
	}
	for line := range strings.Lines(b) {
		count[line]--
	}
	var out []string
	for _, side := range []struct{ text, mark string }{{a, "-"}, {b, "+"}} {
		for line := range strings.Lines(side.text) {
			switch {
			case side.mark == "-" && count[line] > 0:
				count[line]--
			case side.mark == "+" && count[line] < 0:
				count[line]++
			default:
				continue
			}
			out = append(out, side.mark+strings.TrimRight(line, "\n"))
		}
	}
	if len(out) == 0 && a != b {
		return "the same lines in another order"
	}
	return strings.Join(out, "\n")
}

// SameDump fails the test when the database differs from an earlier dump of it.
func SameDump(t testing.TB, dsn, want string) {
	t.Helper()
	if diff := Diff(want, Dump(t, dsn)); diff != "" {
		t.Errorf("the database differs from before (- before, + now):\n%s", diff)
	}
}

// mine tells whether a table, by its bare name, is dbrollback's or goose's.
func mine(table string) bool {
	return table == "state_snapshots" || table == "goose_db_version" || strings.HasPrefix(table, "dbrollback_")
}

// sortedCopy is s in order, s itself untouched.
func sortedCopy(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
