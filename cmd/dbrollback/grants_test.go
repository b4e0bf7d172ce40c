package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// migrationsFolder writes migrations into a folder of the test's own.
func migrationsFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runProgram runs the program on a database and a folder, and wants an exit code.
func runProgram(t *testing.T, want int, dsn, dir string, args ...string) testdb.Result {
	t.Helper()
	r := testdb.Run(t, testdb.Command{Args: append(args, "--dsn", dsn, "--dir", dir, "--no-progress"), Dir: dir})
	if r.Code != want {
		t.Fatalf("%s: %v", strings.Join(args, " "), r)
	}
	return r
}

// With what `grants` prints, and without anything else, another account runs the rollback; what it makes belongs to whom it belonged.
func TestGrantsLetAnOperatorRollBack(t *testing.T) {
	t.Parallel()
	admin := testdb.Postgres(t)
	deployer, deployerName := testdb.Role(t, admin)
	operator, operatorName := testdb.Role(t, admin)
	testdb.Exec(t, admin, `GRANT ALL ON SCHEMA public TO "`+deployerName+`"`)
	base := testdb.Query(t, admin, "SELECT current_database()")[0]
	testdb.Exec(t, admin, `GRANT CREATE, CONNECT ON DATABASE "`+base+`" TO "`+deployerName+`"`, `REVOKE CONNECT ON DATABASE "`+base+`" FROM PUBLIC`)
	testdb.Exec(t, deployer, "CREATE TABLE shop (id integer PRIMARY KEY, name text NOT NULL)", "INSERT INTO shop SELECT n, 'n' || n FROM generate_series(1, 50) n",
		"CREATE TABLE extra (id serial PRIMARY KEY, note text DEFAULT 'x')", "INSERT INTO extra (note) VALUES ('a'), (NULL)")
	dir := migrationsFolder(t, map[string]string{"00001_x.sql": "-- +goose Up\nALTER TABLE shop DROP COLUMN name;\nDROP TABLE extra;\n-- +goose Down\n" +
		"CREATE TABLE extra (id serial PRIMARY KEY, note text DEFAULT 'x');\nALTER TABLE shop ADD COLUMN name text NOT NULL DEFAULT '';\nALTER TABLE shop ALTER COLUMN name DROP DEFAULT;\n"})
	before := testdb.DumpAnyOrder(t, admin)
	runProgram(t, 0, deployer, dir, "up")
	if r := testdb.Run(t, testdb.Command{Args: []string{"rollback", "--dsn", operator, "--dir", dir}}); r.Code != 1 {
		t.Fatalf("without rights: %v", r)
	}
	printed := runProgram(t, 0, deployer, dir, "grants", "--role", operatorName, "--output", "json")
	var document struct{ Statements []string }
	if err := json.Unmarshal([]byte(printed.Stdout), &document); err != nil {
		t.Fatal(err)
	}
	testdb.Exec(t, admin, document.Statements...)
	if runProgram(t, 0, deployer, dir, "grants", "--role", operatorName).Stdout != strings.Join(document.Statements, "\n")+"\n" {
		t.Error("text and JSON differ")
	}
	runProgram(t, 0, operator, dir, "rollback")
	if after := testdb.DumpAnyOrder(t, admin); after != before {
		t.Errorf("not as it was:\n%s", testdb.Diff(before, after))
	}
	if got := testdb.Query(t, admin, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'dbrollback')"); len(got) != 1 || got[0] != deployerName {
		t.Errorf("tables belong to %v", got)
	}
	// A journal that the operator switches on records what others write, and takes it back.
	runProgram(t, 0, operator, dir, "journal", "enable", "shop")
	at := testdb.Query(t, admin, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)[0]
	testdb.Exec(t, deployer, "UPDATE shop SET name = 'wrong'", "DELETE FROM shop WHERE id > 40")
	runProgram(t, 0, operator, dir, "restore", "--table", "shop", "--at", at, "--yes")
	runProgram(t, 0, operator, dir, "journal", "disable", "shop")
	if after := testdb.DumpAnyOrder(t, admin); after != before {
		t.Errorf("not as it was, after a journal:\n%s", testdb.Diff(before, after))
	}
	// No more than that.
	if got := testdb.Query(t, admin, "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = '"+operatorName+"'"); got[0] != "false" {
		t.Errorf("the operator may do more: %v", got)
	}
}

// What a superuser owns is not handed over.
func TestGrantsKeepASuperuser(t *testing.T) {
	t.Parallel()
	admin := testdb.Postgres(t)
	dir := migrationsFolder(t, map[string]string{"00001_x.sql": "-- +goose Up\nCREATE TABLE a (id integer);\n-- +goose Down\nDROP TABLE a;\n"})
	runProgram(t, 0, admin, dir, "up")
	r := runProgram(t, exitRefused, admin, dir, "grants", "--role", "operator")
	if !strings.Contains(r.Stderr, "superuser") || !strings.Contains(r.Stderr, "hint: run migrations as a role of their own") || strings.Contains(r.Stdout, "GRANT") {
		t.Error(r)
	}
	runProgram(t, exitUsage, admin, dir, "grants")
}
