package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// invoke runs the program within the test and gives its output; another exit code than want ends the test.
func invoke(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	s := streams{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(string) string { return "" }}
	if code := run(t.Context(), append([]string{"dbrollback"}, args...), s); code != want {
		t.Fatalf("dbrollback %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String()
}

// The shop of examples/: every migration, up and back again, twice, with data in it. Whatever a dump shows, schema and
// rows, is as it was.
func TestExamples(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		engine, _, _ := strings.Cut(dsn, ":")
		if engine == "mariadb" {
			engine = "mysql" // the same files on both
		}
		shop := []string{"--dsn", dsn, "--dir", "../../examples/migrations/" + engine, "--no-progress"}
		dbrollback := func(args ...string) string { return invoke(t, 0, append(args, shop...)...) }

		dbrollback("up", "--to", "3", "--release", "v1.0")
		data, err := os.ReadFile("../../examples/data/" + engine + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range strings.Split(string(data), ";\n") {
			if strings.TrimSpace(statement) != "" {
				testdb.Exec(t, dsn, statement)
			}
		}
		before := testdb.DumpAnyOrder(t, dsn)
		if !strings.Contains(before, "customer200@example.com") {
			t.Fatal("the dump does not show the shop's rows")
		}
		for range 2 {
			dbrollback("up", "--release", "v2.0")
			if after := testdb.DumpAnyOrder(t, dsn); strings.Contains(after, "SAVE30") {
				t.Fatal("the coupons are still there after up")
			}
			out := dbrollback("rollback", "--to-release", "v1.0")
			if !strings.Contains(out, "proof: equal") || strings.Contains(out, "conflict:") {
				t.Errorf("the rollback says:\n%s", out)
			}
			if after := testdb.DumpAnyOrder(t, dsn); after != before {
				t.Errorf("after the rollback:\n%s", testdb.Diff(before, after))
			}
		}
		dbrollback("snapshot", "verify")
		dbrollback("log", "--verify")
		dbrollback("rollback", "--to", "0")
		dbrollback("up")
	}, testdb.Everywhere()...)
}
