package testdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	// PostgresEnv names a PostgreSQL server to use: a DSN whose account may create databases.
	PostgresEnv = "DBROLLBACK_TEST_POSTGRES"
	// PostgresBinEnv names the directory of the server programs to start, for tests against a certain version.
	PostgresBinEnv = "DBROLLBACK_TEST_PG_BIN"
)

const noPostgres = `no PostgreSQL server to test with. One of these gives one:
  apt-get install postgresql-15            (or: sudo scripts/install-test-servers.sh postgres)
  ` + PostgresBinEnv + `=/path/to/bin         (a directory with postgres and initdb)
  ` + PostgresEnv + `=postgres://…      (a server whose account may create databases)
  a running Docker engine`

// Postgres makes a fresh, empty database on the PostgreSQL server that all tests of the process share,
// and returns its DSN. The database is dropped when the test ends. The account is a superuser.
func Postgres(t testing.TB) string {
	t.Helper()
	admin, err := sharedPostgres()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	return postgresDatabase(t, admin)
}

// sharedPostgres is the DSN of an administrator's database on the shared server.
var sharedPostgres = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(PostgresEnv); dsn != "" {
		return dsn, nil
	}
	p, err := postgresProgram(false)
	if err != nil {
		return "", err
	}
	if p == nil {
		return postgresContainer()
	}
	s, err := launch(*p, nil)
	if err != nil {
		return "", err
	}
	return postgresAdmin(s), nil
})

// PrivatePostgres starts a PostgreSQL server that belongs to the test alone and keeps what it promised
// to keep when it is killed. Settings are the server's, "name=value". It needs server programs on this
// machine: a server that is killed cannot be somebody else's.
func PrivatePostgres(t testing.TB, settings ...string) *Server {
	t.Helper()
	p, err := postgresProgram(true)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	if p == nil {
		t.Fatalf("testdb: a private server needs PostgreSQL's programs on this machine: apt-get install postgresql-15, or %s", PostgresBinEnv)
	}
	var args []string
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	s, err := launch(*p, args)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	s.own(t)
	s.DSN = s.Database()
	return s
}

// postgresAdmin is the superuser's DSN of the maintenance database.
func postgresAdmin(s *Server) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
}

func createDatabase(t testing.TB, admin, name string) {
	t.Helper()
	strategy := ""
	if v, err := strconv.Atoi(Query(t, admin, `SHOW server_version_num`)[0]); err == nil && v >= 150000 {
		strategy = " STRATEGY file_copy" // twice as fast as the default; the only way before 15
	}
	Exec(t, admin, `CREATE DATABASE "`+name+`" TEMPLATE template0`+strategy)
}

func postgresDatabase(t testing.TB, admin string) string {
	t.Helper()
	name := freshName()
	createDatabase(t, admin, name)
	t.Cleanup(func() {
		droppable(t, name)
		// replication slots would keep the database, also one whose reader is just about to end; force ends connections that a test left open
		Exec(t, admin,
			`SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active AND database = '`+name+`'`,
			`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '`+name+`'`,
			`DROP DATABASE "`+name+`" WITH (FORCE)`)
	})
	return withDatabase(t, admin, name)
}

// withDatabase is the DSN with another database's name.
func withDatabase(t testing.TB, dsn, name string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("testdb: the DSN is not a URL") // its text may hold a password
	}
	u.Path = "/" + name
	return u.String()
}

// withPort is the DSN of the same database on another port.
func withPort(t testing.TB, dsn string, port int) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("testdb: the DSN is not a URL")
	}
	u.Host = u.Hostname() + ":" + strconv.Itoa(port)
	return u.String()
}

// Role makes an account that may log in and nothing else, and returns the DSN of the same database for
// it, with a password that leak tests can look for. What it owns is dropped with it when the test ends.
func Role(t testing.TB, dsn string) (roleDSN, name string) {
	t.Helper()
	name = freshName()
	const password = "s3cret-of-the-role"
	if !strings.HasPrefix(dsn, "postgres") {
		Exec(t, dsn, `CREATE USER '`+name+`'@'%' IDENTIFIED BY '`+password+`'`)
		t.Cleanup(func() {
			droppable(t, name)
			Exec(t, dsn, `DROP USER '`+name+`'@'%'`)
		})
		return withUser(t, dsn, url.UserPassword(name, password)), name
	}
	Exec(t, dsn, `CREATE ROLE "`+name+`" LOGIN PASSWORD '`+password+`'`)
	t.Cleanup(func() {
		droppable(t, name)
		Exec(t, dsn, `DROP OWNED BY "`+name+`" CASCADE`, `DROP ROLE "`+name+`"`)
	})
	return withUser(t, dsn, url.UserPassword(name, password)), name
}

func withUser(t testing.TB, dsn string, user *url.Userinfo) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("testdb: the DSN is not a URL")
	}
	u.User = user
	return u.String()
}

// postgresProgram is how to run the server programs found on this machine; nil when there are none.
func postgresProgram(durable bool) (*program, error) {
	bin := postgresBin()
	if bin == "" {
		return nil, nil
	}
	as, err := serverAccount("postgres")
	if err != nil {
		return nil, err
	}
	version, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s/postgres for its version: %w", bin, err)
	}
	key := "postgres-" + fileName(strings.TrimPrefix(strings.TrimSpace(string(version)), "postgres (PostgreSQL) "))
	dir, err := template(key, as, func(dir string) error {
		return runAs(as, filepath.Dir(dir), filepath.Join(bin, "initdb"), "-D", dir, "-U", "postgres", "-A", "trust",
			"--no-sync", "--locale=C", "-E", "UTF8", "--wal-segsize=1", "--no-instructions")
	})
	if err != nil {
		return nil, err
	}
	return &program{
		name: "postgres", bin: filepath.Join(bin, "postgres"), template: dir, as: as, death: sigQuit, stop: sigInt,
		args:  func(s *Server) []string { return postgresArgs(s, durable) },
		admin: postgresAdmin,
		ping:  func(ctx context.Context, s *Server) error { return ping(ctx, postgresAdmin(s)) },
		create: func(t testing.TB, s *Server, name string) {
			t.Helper()
			createDatabase(t, postgresAdmin(s), name)
		},
	}, nil
}

func postgresArgs(s *Server, durable bool) []string {
	args := []string{"-D", s.Dir, "-p", strconv.Itoa(s.Port)}
	set := func(v string) { args = append(args, "-c", v) }
	set("listen_addresses=127.0.0.1")
	if sockets := filepath.Dir(s.Dir); len(sockets) < 85 { // a socket's path has 107 bytes at most
		set("unix_socket_directories=" + sockets)
	} else {
		set("unix_socket_directories=")
	}
	set("timezone=UTC")
	set("log_timezone=UTC")
	set("shared_buffers=32MB")
	set("dynamic_shared_memory_type=mmap") // in the data directory, which goes whole; POSIX's would stay when the server is killed
	set("wal_level=logical")
	set("max_wal_senders=24")
	set("max_replication_slots=32")
	set("max_slot_wal_keep_size=4GB")
	set("max_prepared_transactions=16")
	set("max_locks_per_transaction=256")
	set("fsync=off") // processes die in tests, the machine does not
	if durable {
		set("max_connections=60")
	} else {
		set("max_connections=200")
		set("full_page_writes=off")
		set("max_wal_size=512MB")
	}
	return args
}

// postgresBin is the directory of the newest server programs; "" when there are none.
func postgresBin() string {
	if dir := os.Getenv(PostgresBinEnv); dir != "" {
		return dir
	}
	dirs := postgresDirs("postgres", "initdb")
	if len(dirs) == 0 {
		return ""
	}
	return dirs[0]
}

var digits = regexp.MustCompile(`\d+`)

// postgresDirs are the directories that hold all the programs, the newest version first.
func postgresDirs(programs ...string) []string {
	var found []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs, _ := filepath.Glob(pattern) // the only error is a bad pattern
		found = append(found, dirs...)
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(digits.FindString(dir))
		return n
	}
	slices.SortStableFunc(found, func(a, b string) int { return version(b) - version(a) })
	if p, err := exec.LookPath(programs[0]); err == nil {
		found = append(found, filepath.Dir(p))
	}
	return slices.DeleteFunc(found, func(dir string) bool {
		for _, p := range programs {
			if _, err := os.Stat(filepath.Join(dir, p)); err != nil {
				return true
			}
		}
		return false
	})
}

var notInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func fileName(s string) string { return strings.Trim(notInFileName.ReplaceAllString(s, "_"), "_") }

// Tablespace makes a tablespace for a PostgreSQL database, inside the server's data directory, and gives its name. What lies in it when the
// test ends is moved out, and it is dropped.
func Tablespace(t testing.TB, dsn string) string {
	t.Helper()
	name := freshName()
	database := Query(t, dsn, "SELECT current_database()")[0]
	droppable(t, database)
	Exec(t, dsn, `ALTER DATABASE "`+database+`" SET allow_in_place_tablespaces = on`)
	Exec(t, dsn, `CREATE TABLESPACE `+name+` LOCATION ''`)
	t.Cleanup(func() {
		droppable(t, name)
		Exec(t, dsn, `ALTER TABLE ALL IN TABLESPACE `+name+` SET TABLESPACE pg_default`, `ALTER INDEX ALL IN TABLESPACE `+name+` SET TABLESPACE pg_default`,
			`DROP TABLESPACE `+name)
	})
	return name
}
