package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// deployed is a deployment in a folder of its own: a database, configuration, a git repository, flags.
type deployed struct {
	t        *testing.T
	dir, dsn string
}

const deployedFiles = 40

func newDeployed(t *testing.T, dsn, config string) *deployed {
	t.Helper()
	d := &deployed{t: t, dir: t.TempDir(), dsn: dsn}
	d.write("rollback-config.yml", config)
	d.write("migrations/00001_orders.sql", "-- +goose Up\nCREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL, note VARCHAR(40));\nCREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(40));\n-- +goose Down\nDROP TABLE people;\nDROP TABLE orders;\n")
	d.write("migrations/00002_fees.sql", "-- +goose Up\nUPDATE orders SET total = total - 7;\nALTER TABLE orders DROP COLUMN note;\n-- +goose Down\nALTER TABLE orders ADD COLUMN note VARCHAR(40);\nUPDATE orders SET total = total + 7;\n")
	d.write(".gitignore", "backups/\nconfig/\nflags.json\nmigrations/\n*.db*\nrollback-config.yml\ndeploy*\n")
	d.write("code.txt", "one\n")
	d.write("flags.json", "{\"new_checkout\": false, \"other\": true}\n")
	for i := range deployedFiles {
		d.write(fmt.Sprintf("config/%02d.yml", i), fmt.Sprintf("setting: %d\n", i))
	}
	if err := os.Chmod(filepath.Join(d.dir, "config/00.yml"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.git("init", "-q", "-b", "main")
	d.git("add", "-A")
	d.git("commit", "-qm", "one")
	d.ok("up", "--to", "1", "--release", "v1")
	for i := range 30 {
		testdb.Exec(t, dsn, fmt.Sprintf("INSERT INTO orders VALUES (%d, %d, 'note %d')", i, i*10, i), fmt.Sprintf("INSERT INTO people VALUES (%d, 'person %d')", i, i))
	}
	return d
}

func (d *deployed) write(name, text string) {
	d.t.Helper()
	p := filepath.Join(d.dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(p), 0o755)
	if err == nil {
		err = os.WriteFile(p, []byte(text), 0o644)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployed) git(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=me", "-c", "user.email=me@example.com"}, args...)...)
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *deployed) command(args ...string) testdb.Command {
	return testdb.Command{Args: append(args, "--dsn", d.dsn, "--no-progress", "--lock-timeout", "30s"), Dir: d.dir}
}

func (d *deployed) ok(args ...string) testdb.Result {
	d.t.Helper()
	r := testdb.Run(d.t, d.command(args...))
	if r.Code != 0 {
		d.t.Fatal(args, r)
	}
	return r
}

// take takes a checkpoint and gives its id.
func (d *deployed) take() string {
	d.t.Helper()
	var doc checkpointDocument
	if err := json.Unmarshal([]byte(d.ok("checkpoint", "create", "--output", "json").Stdout), &doc); err != nil {
		d.t.Fatal(err)
	}
	return doc.Checkpoint.ID
}

// state is all of it: files with their modes, the tree of the commit and what differs from it, flags, schema and rows.
func (d *deployed) state() string {
	d.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(d.dir, func(p string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(d.dir, p)
		switch {
		case err != nil:
			return err
		case rel == ".git" || rel == "backups":
			return fs.SkipDir
		case strings.Contains(rel, ".db") || strings.HasPrefix(rel, "deployed") || e.IsDir():
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			fmt.Fprintf(&b, "%s %s %q\n", rel, info.Mode(), text)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	fmt.Fprintln(&b, d.git("rev-parse", "HEAD^{tree}"), d.git("status", "--porcelain"))
	b.WriteString(testdb.DumpAnyOrder(d.t, d.dsn))
	return b.String()
}

// damage is the release that goes wrong: every component differs.
func (d *deployed) damage() {
	d.t.Helper()
	d.ok("up", "--release", "v2")
	testdb.Exec(d.t, d.dsn, "UPDATE orders SET total = -1 WHERE id < 10", "DELETE FROM people WHERE id > 20", "INSERT INTO people VALUES (100, 'later')")
	for i := range deployedFiles {
		d.write(fmt.Sprintf("config/%02d.yml", i), "broken: true\n")
	}
	d.write("config/new/one.yml", "new: true\n")
	if err := os.Remove(filepath.Join(d.dir, "config/39.yml")); err != nil {
		d.t.Fatal(err)
	}
	d.write("flags.json", "{\"new_checkout\": true, \"other\": true}\n")
	for _, text := range []string{"two\n", "three\n"} {
		d.write("code.txt", text)
		d.git("add", "-A")
		d.git("commit", "-qm", strings.TrimSpace(text))
	}
}

func (d *deployed) has(name, text string) func() bool {
	return func() bool {
		b, err := os.ReadFile(filepath.Join(d.dir, filepath.FromSlash(name)))
		return err == nil && string(b) == text
	}
}

const deployedConfig = `rollback_strategies:
  database: {type: selective, restoration_method: point_in_time, tables: [orders, people]}
  configuration: {type: full_replacement, backup_location: backups, restoration_method: file_copy, paths: [config]}
  application_code: {type: git_based, restoration_method: revert_commit}
  feature_flags: {type: disable, file: flags.json, flags: [new_checkout]}
`

// A restore killed at any place, and run again, ends with all as it was; and is taken back by the checkpoint that it made.
func TestCheckpointKilled(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		d := newDeployed(t, dsn, deployedConfig)
		was := d.state()
		id := d.take()
		d.damage()
		damaged := d.state()
		type instant struct {
			name string
			when func() bool
		}
		kills := []instant{
			{"in the reverts", func() bool {
				_, err := os.Stat(filepath.Join(d.dir, ".git/dbrollback-revert/code.txt"))
				return err == nil
			}},
			{"after the code", d.has("code.txt", "one\n")},
			{"among the files", d.has("config/05.yml", "setting: 5\n")},
			{"after the files", func() bool { _, err := os.Stat(filepath.Join(d.dir, "config/new")); return err != nil }},
		}
		if strings.HasPrefix(dsn, "mariadb:") { // where DDL commits by itself, a rollback can be half done
			db := testdb.Open(t, dsn)
			kills = append(kills, instant{"in the migration", func() bool {
				n := 0
				return db.QueryRow("SELECT count(*) FROM dbrollback_operations").Scan(&n) == nil && n > 1
			}})
		}
		for _, kill := range kills {
			c := d.command("checkpoint", "restore", id, "--yes")
			c.KillWhen = kill.when
			r := testdb.Run(t, c)
			t.Logf("%s: killed %v", kill.name, r.Killed)
			var again checkpointResult
			if err := json.Unmarshal([]byte(d.ok("checkpoint", "restore", id, "--yes", "--output", "json").Stdout), &again); err != nil {
				t.Fatal(err)
			}
			if now := d.state(); now != was {
				t.Fatalf("%s: not as it was:\n%s", kill.name, testdb.Diff(was, now))
			}
			if r.Killed && !again.Resumed {
				t.Errorf("%s: it did not go on, but began anew", kill.name)
			}
			if r.Killed {
				d.ok("checkpoint", "restore", again.Safety, "--yes")
				if now := d.state(); now != damaged {
					t.Fatalf("%s: not taken back:\n%s", kill.name, testdb.Diff(damaged, now))
				}
			}
		}
		t.Log("whole, it took ", d.ok("checkpoint", "restore", id, "--yes").Took)
		if r := d.ok("checkpoint", "restore", id, "--yes"); !strings.Contains(r.Stdout, "nothing to do") {
			t.Errorf("once more: %v", r)
		}
		d.ok("log", "verify")
	}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB)
}

// Between two components: the user's own command kills the program that runs it, before and after it has done its work.
func TestCheckpointKilledByDeploy(t *testing.T) {
	t.Parallel()
	config := strings.Replace(deployedConfig, "restoration_method: revert_commit", "restoration_method: redeploy, deploy: './deploy.sh {{.Version}}'", 1)
	d := newDeployed(t, testdb.SQLite(t), config)
	d.write("deploy.sh", "#!/bin/sh\necho \"$1\" >> deployed\n[ $(wc -l < deployed) -ge 2 ] || kill -9 $PPID\n")
	if err := os.Chmod(filepath.Join(d.dir, "deploy.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	was := d.state()
	id := d.take()
	d.damage()
	d.git("reset", "-q", "--hard", "HEAD~2") // the code is the deploy script's business
	if r := testdb.Run(t, d.command("checkpoint", "restore", id, "--yes")); r.Code != -1 {
		t.Fatal("not killed", r)
	}
	if !d.has("config/05.yml", "setting: 5\n")() {
		t.Error("the earlier version was started before its configuration was there")
	}
	if n := testdb.Query(t, d.dsn, "SELECT count(*) FROM people WHERE id = 100"); n[0] != "1" {
		t.Error("the rows came back before the code")
	}
	d.ok("checkpoint", "restore", id, "--yes")
	if now := d.state(); now != was {
		t.Fatalf("not as it was:\n%s", testdb.Diff(was, now))
	}
	if b, _ := os.ReadFile(filepath.Join(d.dir, "deployed")); string(b) != "v1\nv1\n" {
		t.Errorf("deployed %q", b)
	}
}
