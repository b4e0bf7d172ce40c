package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// The programs that scripts and the examples of the documentation run: the program itself as it is built, and
// stand-ins for the clients of the two engines, which need not be installed where the tests run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dbrollback": main,
		"shop":       shop,
		"psql":       client(func(args []string) (dsn, sql string) { return args[0], args[len(args)-1] }),
		"sqlite3":    client(func(args []string) (dsn, sql string) { return "sqlite:" + args[0], args[len(args)-1] }),
	})
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, f := range files {
		folder := filepath.Base(filepath.Dir(f))
		engines := []testdb.Engine{testdb.OnSQLite}
		switch folder {
		case "postgres":
			engines = []testdb.Engine{testdb.OnPostgres}
		case "mysql":
			engines = []testdb.Engine{testdb.OnMariaDB, testdb.OnMySQL}
		}
		for _, on := range engines {
			name := folder + "/" + strings.TrimSuffix(filepath.Base(f), ".txtar")
			if folder == "mysql" {
				name += "/" + string(on)
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				env := map[string]string{"DSN": "sqlite:app.db", "ENGINE": string(on)}
				if on != testdb.OnSQLite {
					env["DSN"] = on.New(t)
					env["ROLE_DSN"], env["ROLE"] = testdb.Role(t, env["DSN"])
				}
				testscript.Run(t, testscript.Params{
					Files:               []string{f},
					RequireExplicitExec: true,
					RequireUniqueNames:  true,
					Condition:           func(name string) (bool, error) { return name == string(on), nil },
					Setup:               func(e *testscript.Env) error { return setup(e, env) },
					Cmds: map[string]func(*testscript.TestScript, bool, []string){
						"exits": exits, "sql": runSQL, "rows": rows, "json": jsonValue, "install": install, "hold": hold, "write": write, "until": until,
					},
				})
			})
		}
	}
}

func setup(e *testscript.Env, env map[string]string) error {
	repository, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	for name, value := range env {
		e.Setenv(name, value)
	}
	e.Setenv("REPO", repository)
	return nil
}

// exits CODE PROGRAM ARG… runs a program and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// runSQL (sql STATEMENT…) runs statements on $DSN as an application would.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	db := scriptDB(ts)
	defer db.Close()
	db.SetMaxOpenConns(1) // so that SET lasts
	for _, a := range args {
		if strings.HasSuffix(a, ".sql") {
			a = ts.ReadFile(a)
		}
		statements := []string{a}
		if ts.Getenv("ENGINE") == "mariadb" || ts.Getenv("ENGINE") == "mysql" { // one at a time is all that they take
			statements = strings.Split(strings.TrimRight(a, "; \n"), ";\n")
		}
		for _, statement := range statements {
			_, err := db.ExecContext(context.Background(), statement)
			if (err != nil) != neg {
				ts.Fatalf("%s: %v", statement, err)
			}
		}
	}
}

// rows QUERY [WANT…] compares the rows of a query, values separated by "|".
func rows(ts *testscript.TestScript, neg bool, args []string) {
	db := scriptDB(ts)
	defer db.Close()
	got, err := queryRows(db, args[0])
	ts.Check(err)
	want := strings.Join(args[1:], "\n")
	if (strings.Join(got, "\n") == want) == neg {
		ts.Fatalf("%s\ngot:\n%s\nwant:\n%s", args[0], strings.Join(got, "\n"), want)
	}
}

// hold TABLE [MODE] takes a lock, the strongest unless a mode is named, on a table of $DSN and keeps it until the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	db := scriptDB(ts)
	tx, err := db.Begin()
	ts.Check(err)
	ts.Defer(func() {
		_ = tx.Rollback()
		_ = db.Close()
	})
	mode := "ACCESS EXCLUSIVE"
	if len(args) > 1 {
		mode = args[1]
	}
	lock := "LOCK TABLE " + args[0] + " IN " + mode + " MODE"
	if engine := ts.Getenv("ENGINE"); engine == "mariadb" || engine == "mysql" {
		lock = "LOCK TABLES " + args[0] + " WRITE"
	}
	_, err = tx.Exec(lock)
	ts.Check(err)
}

// write begins to write to the SQLite file of $DSN, and does not end before the script does.
func write(ts *testscript.TestScript, _ bool, _ []string) {
	db := scriptDB(ts)
	db.SetMaxOpenConns(1)
	ts.Defer(func() { _ = db.Close() })
	_, err := db.Exec("BEGIN IMMEDIATE")
	ts.Check(err)
}

// until QUERY waits until a query of $DSN has a row.
func until(ts *testscript.TestScript, _ bool, args []string) {
	db := scriptDB(ts)
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got, err := queryRows(db, args[0]); err == nil && len(got) > 0 {
			return
		}
	}
	ts.Fatalf("no row within 30s: %s", args[0])
}

func scriptDB(ts *testscript.TestScript) *sql.DB {
	dsn := ts.Getenv("DSN")
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		dsn = "sqlite:" + ts.MkAbs(path)
	}
	db, err := openDSN(dsn)
	ts.Check(err)
	return db
}

func openDSN(dsn string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	}
	return testdb.Connect(dsn)
}

func queryRows(db *sql.DB, query string) ([]string, error) {
	rs, err := db.QueryContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	columns, err := rs.Columns()
	if err != nil {
		return nil, err
	}
	var out []string
	for rs.Next() {
		values := make([]any, len(columns))
		texts := make([]sql.NullString, len(columns))
		for i := range texts {
			values[i] = &texts[i]
		}
		if err := rs.Scan(values...); err != nil {
			return nil, err
		}
		line := make([]string, len(columns))
		for i, v := range texts {
			if line[i] = v.String; !v.Valid {
				line[i] = "NULL"
			}
		}
		out = append(out, strings.Join(line, "|"))
	}
	return out, rs.Err()
}

// client is a program that runs the SQL of its command line and prints the rows.
func client(parse func([]string) (dsn, sql string)) func() {
	return func() {
		dsn, query := parse(os.Args[1:])
		db, err := openDSN(dsn)
		if err == nil {
			var lines []string
			if lines, err = queryRows(db, query); err == nil {
				for _, l := range lines {
					fmt.Println(l)
				}
				return
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// jsonValue (json PATH WANT) compares one value of the JSON document on the last program's stdout; a path is
// like tables.0.table, and len counts a list. WANT * takes anything that is there.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH WANT")
	}
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	decoder.UseNumber()
	var v any
	ts.Check(decoder.Decode(&v))
	if decoder.More() {
		ts.Fatalf("more than one JSON document on stdout")
	}
	for _, step := range strings.Split(args[0], ".") {
		next, err := descend(v, step)
		if err != nil {
			ts.Fatalf("%s: %v", args[0], err)
		}
		v = next
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	ts.Check(enc.Encode(v))
	got := strings.TrimSpace(b.String())
	if text, ok := v.(string); ok {
		got = text
	}
	if (args[1] == "*" || got == args[1]) == neg {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

func descend(v any, step string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if next, ok := v[step]; ok {
			return next, nil
		}
		return nil, fmt.Errorf("no %q in %v", step, v)
	case []any:
		if step == "len" {
			return len(v), nil
		}
		i, err := strconv.Atoi(step)
		if err != nil || i >= len(v) {
			return nil, fmt.Errorf("no %q in a list of %d", step, len(v))
		}
		return v[i], nil
	}
	return nil, fmt.Errorf("no %q in %v", step, v)
}

// install copies a folder of the repository into the script's.
func install(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: install FOLDER-OF-THE-REPOSITORY TO")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(filepath.Join(ts.Getenv("REPO"), args[0]))))
}
