//go:build unix

package engine

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// mysqlSocket, in a scratch folder, is the socket that a MySQL or MariaDB server listens on.
const mysqlSocket = "mysql.sock"

// startMySQL makes a data directory in dir and starts a server of the kind on it. It listens on a socket alone.
func startMySQL(ctx context.Context, kind Kind, dir, bin string) (*server, error) {
	as, err := serverAccount(kind)
	if err != nil {
		return nil, err
	}
	sockets, err := socketFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := handOver(as, dir, sockets); err != nil {
		return nil, err
	}
	data, socket := filepath.Join(dir, dataFolder), filepath.Join(sockets, mysqlSocket)
	if err := os.WriteFile(filepath.Join(dir, programsFile), []byte(mysqlSocketURL(kind, socket)), 0o600); err != nil {
		return nil, err
	}
	program := filepath.Join(bin, mysqlPrograms[kind])
	args := append([]string{"--no-defaults", "--tmpdir=" + dir}, mysqlPaths(bin)...)
	if kind == MariaDB {
		err = runAs(ctx, dir, mariaInstaller(bin), as, append(args, "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M")...)
	} else {
		err = runAs(ctx, dir, program, as, append(args, "--initialize-insecure", "--datadir="+data)...)
	}
	if err != nil {
		return nil, err
	}
	args = append(args, "--datadir="+data, "--socket="+socket, "--skip-networking", "--pid-file="+filepath.Join(dir, "server.pid"),
		"--performance-schema=OFF", "--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0",
		"--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--innodb-fast-shutdown=2", "--event-scheduler=OFF", "--default-time-zone=+00:00")
	if kind == MySQL {
		args = append(args, "--mysqlx=OFF", "--innodb-redo-log-capacity=32M", "--secure-file-priv=NULL")
	} else {
		args = append(args, "--innodb-log-file-size=16M")
	}
	p, err := launch(dir, program, as, args...)
	if err != nil {
		return nil, err
	}
	return ownedBy(p, mysqlSocketURL(kind, socket), dir, sockets), nil
}

func mysqlSocketURL(kind Kind, socket string) string {
	u := url.URL{Scheme: string(kind), User: url.User("root"), Host: "localhost", Path: "/mysql", RawQuery: "socket=" + url.QueryEscape(socket)}
	return u.String()
}

// mysqlPaths tell a server that was unpacked somewhere where its own files are.
func mysqlPaths(bin string) []string {
	base := filepath.Dir(bin)
	out := []string{"--basedir=" + base}
	for option, dir := range map[string]string{
		"--lc-messages-dir=": "share/mysql", "--character-sets-dir=": "share/mysql/charsets", "--plugin-dir=": "lib/mysql/plugin",
	} {
		if p := filepath.Join(base, dir); exists(p) {
			out = append(out, option+p)
		}
	}
	return out
}

// mariaInstaller is the program that makes MariaDB's data directories.
func mariaInstaller(bin string) string {
	for _, p := range []string{filepath.Join(filepath.Dir(bin), "bin", "mariadb-install-db"), filepath.Join(filepath.Dir(bin), "scripts", "mariadb-install-db")} {
		if exists(p) {
			return p
		}
	}
	return "mariadb-install-db"
}

// stopLeftMySQL ends the server that a killed run left; the URL of its socket is in the folder.
func stopLeftMySQL(dir string) {
	at, err := os.ReadFile(filepath.Join(dir, programsFile))
	if err != nil || !strings.Contains(string(at), "://") {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	db, err := Open(ctx, string(at), Options{})
	if err != nil {
		return // it has ended already, most of the time
	}
	_, err = db.ExecContext(ctx, "SHUTDOWN")
	_ = errors.Join(err, db.Close())
}
