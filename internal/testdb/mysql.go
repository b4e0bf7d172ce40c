package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// flavour is what differs between MariaDB and MySQL.
type flavour struct {
	engine      Engine
	env, binEnv string // a server's DSN; the directory of the server programs
	daemon      string
	missing     string // what to do when there is no server
	image       image
	initialise  func(bin, dir string, as account) error
	args        []string
	admin       func() (string, error) // the shared server, started once
}

var mariaDB = flavour{
	engine: OnMariaDB, env: "DBROLLBACK_TEST_MARIADB", binEnv: "DBROLLBACK_TEST_MARIADB_BIN", daemon: "mariadbd",
	missing: `no MariaDB server to test with. One of these gives one:
  apt-get install --no-install-recommends mariadb-server   (or: sudo scripts/install-test-servers.sh mariadb)
  DBROLLBACK_TEST_MARIADB_BIN=/path/to/sbin                (a directory with mariadbd)
  DBROLLBACK_TEST_MARIADB=mariadb://…                      (a server whose account may create databases)
  a running Docker engine`,
	image: image{
		name: "mariadb:11.8", port: "3306/tcp", log: "ready for connections", seen: 2,
		env: map[string]string{"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1", "MARIADB_ROOT_HOST": "%"},
		cmd: []string{"mariadbd", "--default-time-zone=+00:00", "--log-bin", "--binlog-format=ROW", "--server-id=1"},
	},
	initialise: func(bin, dir string, as account) error {
		program := filepath.Join(filepath.Dir(bin), "bin", "mariadb-install-db")
		if !exists(program) {
			program = "mariadb-install-db"
		}
		return runAs(as, filepath.Dir(dir), program, "--no-defaults", "--datadir="+dir, "--basedir="+filepath.Dir(bin),
			"--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M")
	},
	args: []string{"--innodb-fast-shutdown=2", "--innodb-log-file-size=16M", "--default-time-zone=+00:00"},
}

var mySQL = flavour{
	engine: OnMySQL, env: "DBROLLBACK_TEST_MYSQL", binEnv: "DBROLLBACK_TEST_MYSQL_BIN", daemon: "mysqld",
	missing: `no MySQL server to test with. One of these gives one:
  scripts/install-test-servers.sh mysql      (on Debian; it goes to a cache, not to the system)
  DBROLLBACK_TEST_MYSQL_BIN=/path/to/sbin    (a directory with mysqld)
  DBROLLBACK_TEST_MYSQL=mysql://…            (a server whose account may create databases)
  a running Docker engine`,
	image: image{
		name: "mysql:8.4", port: "3306/tcp", log: "port: 3306  MySQL", seen: 1,
		env: map[string]string{"MYSQL_ALLOW_EMPTY_PASSWORD": "1", "MYSQL_ROOT_HOST": "%"},
		cmd: []string{"mysqld", "--default-time-zone=+00:00", "--server-id=1"},
	},
	initialise: func(bin, dir string, as account) error {
		script := filepath.Join(filepath.Dir(dir), "init.sql")
		const sql = "CREATE USER root@'127.0.0.1';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
		if err := os.WriteFile(script, []byte(sql), 0o644); err != nil {
			return err
		}
		args := append([]string{"--no-defaults", "--initialize-insecure", "--datadir=" + dir, "--init-file=" + script}, mysqlPaths(bin)...)
		if err := runAs(as, filepath.Dir(dir), filepath.Join(bin, "mysqld"), args...); err != nil {
			return err
		}
		return os.Remove(filepath.Join(dir, "auto.cnf")) // the identity of one server
	},
	args: []string{"--mysqlx=OFF", "--secure-file-priv=", "--skip-name-resolve", "--innodb-fast-shutdown=2",
		"--innodb-redo-log-capacity=32M", "--default-time-zone=+00:00"},
}

func init() {
	mariaDB.admin = sync.OnceValues(func() (string, error) { return sharedMySQL(&mariaDB) })
	mySQL.admin = sync.OnceValues(func() (string, error) { return sharedMySQL(&mySQL) })
}

// MariaDB makes a fresh, empty database on the MariaDB server that all tests of the process share, and
// returns its DSN. The database is dropped when the test ends. The account may do everything.
func MariaDB(t testing.TB) string {
	t.Helper()
	return mysqlDatabase(t, &mariaDB)
}

// MySQL is MariaDB for a MySQL server.
func MySQL(t testing.TB) string {
	t.Helper()
	return mysqlDatabase(t, &mySQL)
}

// PrivateMariaDB starts a MariaDB server that belongs to the test alone and keeps what it promised to keep
// when it is killed. Settings are the server's, "name=value".
func PrivateMariaDB(t testing.TB, settings ...string) *Server {
	t.Helper()
	return privateMySQL(t, &mariaDB, settings)
}

// PrivateMySQL is PrivateMariaDB for a MySQL server.
func PrivateMySQL(t testing.TB, settings ...string) *Server {
	t.Helper()
	return privateMySQL(t, &mySQL, settings)
}

func sharedMySQL(f *flavour) (string, error) {
	if dsn := os.Getenv(f.env); dsn != "" {
		return dsn, nil
	}
	p, err := mysqlProgram(f, false)
	if err != nil {
		return "", err
	}
	if p == nil {
		addr, err := runContainer(f.image)
		if errors.Is(err, errNoDocker) {
			return "", errors.New(f.missing)
		}
		if err != nil {
			return "", err
		}
		return string(f.engine) + "://root@" + addr + "/mysql", nil
	}
	s, err := launch(*p, nil)
	if err != nil {
		return "", err
	}
	return s.program.admin(s), nil
}

func privateMySQL(t testing.TB, f *flavour, settings []string) *Server {
	t.Helper()
	p, err := mysqlProgram(f, true)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	if p == nil {
		t.Fatalf("testdb: a private server needs its programs on this machine; %s", f.missing)
	}
	args := make([]string, len(settings))
	for i, s := range settings {
		args[i] = "--" + s
	}
	s, err := launch(*p, args)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	s.own(t)
	s.DSN = s.Database()
	return s
}

func mysqlDatabase(t testing.TB, f *flavour) string {
	t.Helper()
	admin, err := f.admin()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	name := freshName()
	Exec(t, admin, "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4")
	t.Cleanup(func() {
		droppable(t, name)
		dropMySQL(t, admin, name)
	})
	return withDatabase(t, admin, name)
}

// dropMySQL drops a database; connections that a test left open may hold locks that the drop would wait for.
func dropMySQL(t testing.TB, admin, name string) {
	t.Helper()
	use(t, admin, func(ctx context.Context, db *sql.DB) error {
		var ids []string
		err := errors.New("not asked yet")
		// MySQL cannot list a statement with characters of four bytes (error 3854), which another test may be at.
		for until := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(until); {
			ids, err = column(ctx, db, `SELECT id FROM information_schema.processlist WHERE db = ?`, name)
		}
		if err != nil {
			return err
		}
		for _, id := range ids {
			_, _ = db.ExecContext(ctx, "KILL "+id) // it may have ended by itself
		}
		_, err = db.ExecContext(ctx, "DROP DATABASE `"+name+"`")
		return err
	})
}

// mysqlProgram is how to run the server programs found on this machine; nil when there are none.
func mysqlProgram(f *flavour, durable bool) (*program, error) {
	bin, version, err := mysqlBin(f)
	if bin == "" || err != nil {
		return nil, err
	}
	as, err := serverAccount("mysql")
	if err != nil {
		return nil, err
	}
	key := string(f.engine) + "-" + fileName(version)
	dir, err := template(key, as, func(dir string) error { return f.initialise(bin, dir, as) })
	if err != nil {
		return nil, err
	}
	admin := func(s *Server) string { return fmt.Sprintf("%s://root@127.0.0.1:%d/mysql", f.engine, s.Port) }
	return &program{
		name: string(f.engine), bin: filepath.Join(bin, f.daemon), template: dir, as: as, death: sigKill, stop: sigTerm,
		admin: admin,
		args:  func(s *Server) []string { return append(mysqlArgs(s, bin, durable), f.args...) },
		ping:  func(ctx context.Context, s *Server) error { return ping(ctx, admin(s)) },
		create: func(t testing.TB, s *Server, name string) {
			t.Helper()
			Exec(t, admin(s), "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4")
		},
	}, nil
}

func mysqlArgs(s *Server, bin string, durable bool) []string {
	home := filepath.Dir(s.Dir)
	args := append([]string{"--no-defaults"}, mysqlPaths(bin)...)
	args = append(args, "--datadir="+s.Dir, "--port="+strconv.Itoa(s.Port), "--bind-address=127.0.0.1",
		"--pid-file="+filepath.Join(home, "server.pid"), "--tmpdir="+home, // a server that starts empties the one that is everybody's
		"--performance-schema=OFF", "--innodb-buffer-pool-size=64M",
		"--log-bin="+filepath.Join(s.Dir, "binlog"), "--binlog-format=ROW", "--binlog-row-image=FULL", "--server-id=1",
		"--sync-binlog=0", "--innodb-flush-method=nosync", "--max-connections=200") // processes die in tests, the machine does not
	if socket := filepath.Join(home, "s"); len(socket) < 100 {
		args = append(args, "--socket="+socket)
	} else { // a socket's path has 107 bytes at most
		args = append(args, "--socket="+filepath.Join("/tmp", filepath.Base(home)))
	}
	if durable { // a page may be half written when the process is killed, so the double write stays on
		return append(args, "--innodb-flush-log-at-trx-commit=1")
	}
	return append(args, "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0")
}

// mysqlPaths tell a MySQL server that was unpacked somewhere where its own files are.
func mysqlPaths(bin string) []string {
	base := filepath.Dir(bin)
	args := []string{"--basedir=" + base}
	for option, dir := range map[string]string{
		"--lc-messages-dir=": "share/mysql", "--character-sets-dir=": "share/mysql/charsets", "--plugin-dir=": "lib/mysql/plugin",
	} {
		if p := filepath.Join(base, dir); exists(p) {
			args = append(args, option+p)
		}
	}
	return args
}

// mysqlBin is the directory of the server programs and what they call their version; "" when there are
// none. MySQL's own may lie in the cache.
func mysqlBin(f *flavour) (bin, version string, err error) {
	dirs := []string{os.Getenv(f.binEnv)}
	if dirs[0] == "" {
		cache, err := cacheDir()
		if err != nil {
			return "", "", err
		}
		dirs = []string{filepath.Join(cache, string(f.engine), "usr", "sbin"), "/usr/sbin", "/usr/local/sbin", "/usr/libexec",
			"/opt/homebrew/opt/" + string(f.engine) + "/bin", "/usr/local/opt/" + string(f.engine) + "/bin"}
		if p, err := exec.LookPath(f.daemon); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	for _, dir := range dirs {
		program := filepath.Join(dir, f.daemon)
		if !exists(program) {
			continue
		}
		out, err := exec.Command(program, "--no-defaults", "--version").Output()
		if err != nil {
			return "", "", fmt.Errorf("ask %s for its version: %w", program, err)
		}
		// MariaDB installs a mysqld, too
		if f == &mySQL && strings.Contains(string(out), "MariaDB") {
			continue
		}
		_, version, _ := strings.Cut(string(out), "Ver ")
		version, _, _ = strings.Cut(version, "(")
		return dir, strings.TrimSpace(version), nil
	}
	if env := os.Getenv(f.binEnv); env != "" {
		return "", "", fmt.Errorf("%s=%s: there is no %s", f.binEnv, env, f.daemon)
	}
	return "", "", nil
}
