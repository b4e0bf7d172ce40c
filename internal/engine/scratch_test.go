package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

var everywhere = []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB}

func newScratch(t *testing.T, o engine.ScratchOptions) *engine.Scratch {
	t.Helper()
	s, err := engine.NewScratch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// query runs a statement in a scratch database and gives the first value of its answer.
func query(t *testing.T, s *engine.Scratch, name, statement string) (string, error) {
	t.Helper()
	db, err := s.Open(t.Context(), name)
	if err != nil {
		return "", err
	}
	defer db.Close()
	if strings.HasPrefix(statement, "SELECT") {
		var out string
		err := db.QueryRowContext(t.Context(), statement).Scan(&out)
		return out, err
	}
	_, err = db.ExecContext(t.Context(), statement)
	return "", err
}

func TestScratch(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		s := newScratch(t, engine.ScratchOptions{DSN: dsn})
		name, err := s.Create(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, engine.ScratchPrefix) {
			t.Errorf("the database is called %s", name)
		}
		for _, statement := range []string{"CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)"} {
			if _, err := query(t, s, name, statement); err != nil {
				t.Fatal(err)
			}
		}
		before := testdb.Dump(t, dsn)
		from, err := s.Create(t.Context(), name)
		if s.Copies() != (err == nil) {
			t.Fatalf("copy: %v", err)
		}
		if err == nil {
			if got, err := query(t, s, from, "SELECT id FROM t"); err != nil || got != "7" {
				t.Errorf("the copy has %q, %v", got, err)
			}
			if err := s.Drop(t.Context(), from); err != nil {
				t.Error(err)
			}
			if got, err := query(t, s, from, "SELECT id FROM t"); err == nil {
				t.Errorf("the copy is still there: %q", got)
			}
		}
		target, err := engine.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Drop(t.Context(), target.Database); err == nil {
			t.Error("a database that is not ours can be dropped")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		testdb.SameDump(t, dsn, before)
		if s.Kind() == engine.SQLite {
			return
		}
		other := newScratch(t, engine.ScratchOptions{DSN: dsn})
		defer other.Close()
		if got, err := query(t, other, name, "SELECT id FROM t"); err == nil {
			t.Errorf("Close left the database: %q", got)
		}
	}, everywhere...)
}

// TestScratchDroppedBesideFourBytes: a scratch database with a connection that holds a lock is dropped while information_schema cannot list the sessions.
func TestScratchDroppedBesideFourBytes(t *testing.T) {
	t.Parallel()
	dsn := testdb.PrivateMySQL(t).DSN // nor can other tests
	s := newScratch(t, engine.ScratchOptions{DSN: dsn})
	defer s.Close()
	name, err := s.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := query(t, s, name, "CREATE TABLE t (id int)"); err != nil {
		t.Fatal(err)
	}
	left, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	tx, err := left.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	other := testdb.Open(t, dsn)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := other.ExecContext(ctx, "DO sleep(60) + length('😀')")
		ended <- err
	}()
	list := testdb.Open(t, dsn)
	for err = nil; !engine.Unlistable(err); err = list.QueryRow("SELECT count(*) FROM information_schema.processlist").Scan(new(int)) {
		select {
		case err := <-ended:
			t.Fatalf("the other statement is over (%v), and the list could be read all the while", err)
		default:
		}
	}
	if err := s.Drop(t.Context(), name); err != nil {
		t.Error(err)
	}
	if _, err := query(t, s, name, "SELECT 1 FROM t"); err == nil {
		t.Error("the database is still there")
	}
	end()
	if err := <-ended; err == nil {
		t.Error("the other statement was over before the database was dropped")
	}
}

// What a killed run left is dropped by the next one; what belongs to a run that goes on, or to nobody of us, is not.
func TestScratchSweep(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		running := newScratch(t, engine.ScratchOptions{DSN: dsn})
		defer running.Close()
		live, err := running.Create(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		const left = engine.ScratchPrefix + "0123456789abcdef_1"
		there := map[string]bool{left: false, live: true}
		testdb.Exec(t, dsn, "CREATE DATABASE "+left)
		// The names of somebody's databases begin alike.
		for _, end := range []string{"of_somebody", "0123456789abcdef", "0123456789abcdef_1_backup", "0123456789abcdef_", "0123456789abcdef0_1", "0123456789abcdef_01"} {
			there[engine.ScratchPrefix+end] = true
			testdb.Exec(t, dsn, "CREATE DATABASE "+engine.ScratchPrefix+end)
			defer testdb.Exec(t, dsn, "DROP DATABASE IF EXISTS "+engine.ScratchPrefix+end)
		}
		if target, err := engine.Parse(dsn); err == nil && target.Kind == engine.Postgres {
			testdb.Exec(t, dsn, "ALTER DATABASE "+left+" IS_TEMPLATE true") // a migration may do that, too
		}
		next := newScratch(t, engine.ScratchOptions{DSN: dsn})
		defer next.Close()
		for name, there := range there {
			if _, err := query(t, next, name, "SELECT 1"); (err == nil) != there {
				t.Errorf("%s: %v", name, err)
			}
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}

// A database that cannot be dropped is told by its name, and the next run drops it.
func TestScratchLeft(t *testing.T) {
	dsn := testdb.OnPostgres.New(t)
	role, name := testdb.Role(t, dsn)
	testdb.Exec(t, dsn, "ALTER ROLE "+name+" CREATEDB")
	s := newScratch(t, engine.ScratchOptions{DSN: role})
	kept, err := s.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	testdb.Exec(t, dsn, "ALTER DATABASE "+kept+" OWNER TO CURRENT_USER")
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), kept) {
		t.Errorf("Close: %v", err)
	}
	if left := s.Left(); !slices.Equal(left, []string{kept}) {
		t.Errorf("left: %v", left)
	}
	next := newScratch(t, engine.ScratchOptions{DSN: dsn})
	defer next.Close()
	if _, err := query(t, next, kept, "SELECT 1"); err == nil {
		t.Error("it is still there")
	}
}

// What a killed run left is removed when it is a folder, too.
func TestScratchSweepFolders(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	folder := func(name string, age time.Duration, files ...string) string {
		dir := filepath.Join(os.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	running := newScratch(t, engine.ScratchOptions{Kind: engine.SQLite})
	defer running.Close()
	live, err := running.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	left := folder(engine.ScratchPrefix+"1", 0, "owner.db", "x.db")
	young := folder(engine.ScratchPrefix+"22", 0)
	old := folder(engine.ScratchPrefix+"333", time.Hour)
	strange := folder(engine.ScratchPrefix+"4444", time.Hour, "thesis.txt")
	named := folder(engine.ScratchPrefix+"of_somebody", time.Hour, "owner.db")
	other := folder("dbrollback", time.Hour)
	defer newScratch(t, engine.ScratchOptions{Kind: engine.SQLite}).Close()
	for dir, there := range map[string]bool{left: false, named: true, young: true, old: false, strange: true, other: true} {
		if _, err := os.Stat(dir); (err == nil) != there {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := query(t, running, live, "CREATE TABLE t (id int)"); err != nil {
		t.Errorf("the database of a run that goes on: %v", err)
	}
}

// Runs that begin at once do not take each other's folders for ones that were left.
func TestScratchFoldersAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				s, err := engine.NewScratch(t.Context(), engine.ScratchOptions{Kind: engine.SQLite})
				if err != nil {
					t.Error(err)
					return
				}
				name, err := s.Create(t.Context(), "")
				if err == nil {
					_, err = query(t, s, name, "CREATE TABLE t (id int)")
				}
				if err := errors.Join(err, s.Close()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A server of one's own, from the programs of this machine: it works, and nothing of it stays.
func TestScratchOwnServer(t *testing.T) {
	for _, kind := range []engine.Kind{engine.Postgres, engine.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Setenv("TMPDIR", reachable(t))
			var said []string
			s := newScratch(t, engine.ScratchOptions{Kind: kind, Notify: func(text string) { said = append(said, text) }})
			if len(said) != 1 || !strings.HasPrefix(said[0], "starting a ") || !s.Owned() || s.Kind() != kind {
				t.Errorf("%q, owned %v, %s", said, s.Owned(), s.Kind())
			}
			name, err := s.Create(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{"CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)"} {
				if _, err := query(t, s, name, statement); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := query(t, s, name, "SELECT id FROM t"); err != nil || got != "7" {
				t.Errorf("%q, %v", got, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := query(t, s, name, "SELECT id FROM t"); err == nil {
				t.Error("the server still answers")
			}
			if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
				t.Errorf("left over: %q, %v", left, err)
			}
		})
	}
}

// reachable is a temporary folder that the accounts of servers may enter.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "scratch-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// An account that may make no databases is told what to do.
func TestScratchWithoutRights(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		target, err := engine.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		create, drop := "CREATE USER weak@'%' IDENTIFIED BY 'pw'", "DROP USER weak@'%'"
		if target.Kind == engine.Postgres {
			create, drop = "CREATE ROLE weak LOGIN PASSWORD 'pw'", "DROP OWNED BY weak; DROP ROLE weak"
		} else {
			testdb.Exec(t, dsn, create, "GRANT ALL ON `"+target.Database+"`.* TO weak@'%'")
		}
		if target.Kind == engine.Postgres {
			testdb.Exec(t, dsn, create)
		}
		defer testdb.Exec(t, dsn, strings.Split(drop, "; ")...)
		_, rest, _ := strings.Cut(dsn, "@")
		s, err := engine.NewScratch(t.Context(), engine.ScratchOptions{DSN: string(target.Kind) + "://weak:pw@" + rest})
		if err == nil {
			defer s.Close()
			_, err = s.Create(t.Context(), "")
		}
		e, ok := engine.AsError(err)
		if !ok || e.Class != engine.Privilege || !strings.Contains(e.Message, "may not create databases on the scratch server") || e.Hint == "" {
			t.Errorf("%v", err)
		}
	}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
}
