package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPasswordsStaySecret: whatever is wrong with a database URL, and wherever it comes from, its password is in no output; and
// a run leaves it in no table.
func TestPasswordsStaySecret(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	role, name := testdb.Role(t, dsn)
	good, err := url.Parse(role)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"s3cret-of-the-role", "hunter22", "p%40ss/w:rd", "p@ss/w:rd", "hunter%22", "100%hunter", "hun ter", "tr#icky"}
	with := func(change func(u *url.URL)) string {
		u := *good
		change(&u)
		return u.String()
	}
	urls := map[string]string{
		"right":            role,
		"wrong password":   with(func(u *url.URL) { u.User = url.UserPassword("nobody", "hunter22") }),
		"odd characters":   with(func(u *url.URL) { u.User = url.UserPassword(name, "p@ss/w:rd") }),
		"bad port":         with(func(u *url.URL) { u.Host, u.User = "127.0.0.1:1", url.UserPassword(name, "hunter22") }),
		"no port":          "postgres://ada:hunter22@127.0.0.1:port/shop",
		"bad host":         "postgres://ada:hunter22@no.such.host.invalid/shop",
		"bad percent":      "postgres://ada:100%hunter@127.0.0.1:1/shop",
		"percent":          "postgres://ada:hunter%22@127.0.0.1:1/shop",
		"blank":            "postgres://ada:hun ter@127.0.0.1:1/shop",
		"fragment":         "postgres://ada:tr#icky@127.0.0.1:1/shop",
		"bad scheme":       "postgress://ada:hunter22@127.0.0.1:1/shop",
		"in the query":     "postgres://127.0.0.1:1/shop?user=ada&password=hunter22",
		"key and value":    "host=127.0.0.1 port=1 user=ada password=hunter22 dbname=shop",
		"unknown option":   "postgres://ada:hunter22@127.0.0.1:1/shop?nosuch=option&sslmode=hunter22",
		"mysql, bad port":  "mysql://ada:hunter22@127.0.0.1:port/shop",
		"mysql, no server": "mysql://ada:hunter22@127.0.0.1:1/shop",
	}
	migrations := map[string]string{"00001_a.sql": "-- +goose Up\nCREATE TABLE a (id integer PRIMARY KEY);\n-- +goose Down\nDROP TABLE a;\n"}
	testdb.Exec(t, dsn, fmt.Sprintf(`GRANT CREATE ON SCHEMA public TO "%s"`, name), fmt.Sprintf(`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %%I TO "%s"', current_database()); END $$`, name))
	for what, u := range urls {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "migrations"), 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range migrations {
				if err := os.WriteFile(filepath.Join(dir, "migrations", file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			config := filepath.Join(dir, "with.yml")
			if err := os.WriteFile(config, []byte("dsn: \""+u+"\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, c := range []testdb.Command{
				{Args: []string{"up", "--dsn", u}},
				{Args: []string{"status", "--output", "json"}, Env: []string{"DBROLLBACK_DSN=" + u}},
				{Args: []string{"log"}, Env: []string{"DBROLLBACK_DSN=" + u}},
				{Args: []string{"plan", "--config", config}},
				{Args: []string{"rollback", "--config", config, "--output", "json"}},
				{Args: []string{"up", "--dsn=" + u, "--dsn-typo", u}},
			} {
				c.Dir = dir
				r := testdb.Run(t, c)
				if what != "right" && what != "odd characters" && r.Code == 0 { // the test server takes any password
					t.Errorf("%s ended well: %v", c.Args[0], r)
				}
				for _, s := range secrets {
					if strings.Contains(r.Stdout+r.Stderr, s) {
						t.Errorf("%s shows %q: %v", c.Args[0], s, r)
					}
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, table := range testdb.Query(t, dsn, "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables WHERE table_schema IN ('dbrollback', 'public')") {
			for _, row := range testdb.Query(t, dsn, "SELECT t::text FROM "+table+" t") {
				if strings.Contains(row, "s3cret") {
					t.Errorf("%s holds the password: %s", table, row)
				}
			}
		}
	})
}
