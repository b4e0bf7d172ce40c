package testdb

import (
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEachGivesFreshDatabases(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 3 {
		Each(t, func(t *testing.T, dsn string) {
			mu.Lock()
			if seen[dsn] {
				t.Errorf("%s was given twice", dsn)
			}
			seen[dsn] = true
			mu.Unlock()
			Exec(t, dsn, `CREATE TABLE t (id int PRIMARY KEY, v text)`, `INSERT INTO t VALUES (1, 'a'), (2, NULL)`)
			if got := strings.Join(Query(t, dsn, `SELECT id, v FROM t ORDER BY id`), " "); got != "1|a 2|NULL" {
				t.Errorf("read back %q", got)
			}
			var n int
			if err := Open(t, dsn).QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil || n != 2 {
				t.Errorf("count: %d, %v", n, err)
			}
		}, all...)
	}
}

func TestEachRunsTheEnginesAskedFor(t *testing.T) {
	var ran []string
	t.Run("group", func(t *testing.T) {
		var mu sync.Mutex
		Each(t, func(_ *testing.T, dsn string) {
			mu.Lock()
			defer mu.Unlock()
			scheme, _, _ := strings.Cut(dsn, ":")
			ran = append(ran, scheme)
		}, OnSQLite)
	})
	if strings.Join(ran, " ") != "sqlite" {
		t.Errorf("ran on %v", ran)
	}
}

func TestPostgresDropsTheDatabase(t *testing.T) {
	var dsn string
	t.Run("use", func(t *testing.T) {
		dsn = Postgres(t)
		// neither a connection left open nor a replication slot keeps the database
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		Exec(t, dsn, `SELECT pg_create_logical_replication_slot(current_database(), 'test_decoding')`)
	})
	if err := ping(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("the database is still there: %v", err)
	}
}

func TestMySQLDropsTheDatabase(t *testing.T) {
	for _, e := range []Engine{OnMariaDB, OnMySQL} {
		var dsn string
		t.Run(string(e), func(t *testing.T) {
			dsn = e.New(t)
			Exec(t, dsn, `CREATE TABLE t (id int)`)
			db, err := connect(dsn)
			if err != nil {
				t.Fatal(err)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(`INSERT INTO t VALUES (1)`); err != nil { // and its lock stays
				t.Fatal(err)
			}
		})
		if err := ping(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "Unknown database") {
			t.Errorf("the database is still there: %v", err)
		}
	}
}

func TestRoleIsUnprivileged(t *testing.T) {
	dsn := Postgres(t)
	var name string
	t.Run("use", func(t *testing.T) {
		var role string
		role, name = Role(t, dsn)
		if got := Query(t, role, `SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user`); got[0] != name+"|false" {
			t.Errorf("logged in as %v", got)
		}
		Exec(t, dsn, `GRANT CREATE ON SCHEMA public TO "`+name+`"`)
		Exec(t, role, `CREATE TABLE mine ()`)
	})
	if got := Query(t, dsn, `SELECT rolname FROM pg_roles WHERE rolname = $1`, name); len(got) != 0 {
		t.Errorf("the role is still there: %v", got)
	}
}

func TestPrivateServersSurviveKills(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := PrivatePostgres(t, "log_min_messages=notice")
		killed(t, s)
		if got := Query(t, s.DSN, `SELECT current_setting('log_min_messages')`); got[0] != "notice" {
			t.Errorf("the setting is lost: %v", got)
		}
	})
	for name, start := range map[string]func(testing.TB, ...string) *Server{"mariadb": PrivateMariaDB, "mysql": PrivateMySQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "lock-wait-timeout=7")
			killed(t, s)
			if got := Query(t, s.DSN, `SELECT @@lock_wait_timeout`); got[0] != "7" {
				t.Errorf("the setting is lost: %v", got)
			}
		})
	}
}

// killed kills the server with a transaction open and one just committed, again and again.
func killed(t *testing.T, s *Server) {
	t.Helper()
	port := s.Port
	Exec(t, s.DSN, `CREATE TABLE t (id int)`)
	for i := range 2 {
		Exec(t, s.DSN, `INSERT INTO t VALUES (`+string(rune('0'+i))+`)`)
		db := Open(t, s.DSN)
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`INSERT INTO t VALUES (99)`); err != nil {
			t.Fatal(err)
		}
		backends := children(s.pid)
		s.Kill()
		if s.Running() {
			t.Error("still running after Kill")
		}
		for _, pid := range backends {
			if alive(pid) {
				t.Errorf("process %d outlived Kill", pid)
			}
		}
		if err := ping(t.Context(), s.DSN); err == nil {
			t.Error("it answers after Kill")
		}
		s.Restart()
		if s.Port != port || !s.Running() {
			t.Errorf("port %d then %d, running %v", port, s.Port, s.Running())
		}
	}
	if got := strings.Join(Query(t, s.DSN, `SELECT id FROM t ORDER BY id`), " "); got != "0 1" {
		t.Errorf("after the crashes: %q", got)
	}
	s.Restart() // of a running one: in good order
}

// eventually polls a condition that another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting that %s", what)
		}
	}
}
