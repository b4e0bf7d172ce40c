//go:build unix

package engine

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
)

// startPostgres makes a cluster in dir and starts a server on it. It listens on a socket alone.
func startPostgres(ctx context.Context, dir, bin string) (*server, error) {
	as, err := serverAccount(Postgres)
	if err != nil {
		return nil, err
	}
	sockets, err := socketFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, programsFile), []byte(bin), 0o600), handOver(as, dir, sockets)); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, dataFolder)
	if err := runAs(ctx, dir, filepath.Join(bin, "initdb"), as, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync",
		"--locale=C", "-E", "UTF8", "--no-instructions"); err != nil {
		return nil, err
	}
	p, err := launch(dir, filepath.Join(bin, "postgres"), as, "-D", data, "-k", sockets, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_wal_size=512MB", "-c", "shared_buffers=64MB",
		"-c", "max_locks_per_transaction=1024", "-c", "autovacuum=off", "-c", "wal_level=logical", "-c", "timezone=UTC")
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(sockets)}
	return ownedBy(p, u.String(), dir, sockets), nil
}

// stopLeftPostgres ends the server that works on the data directory in dir. pg_ctl knows whether the process that
// the directory names is one of PostgreSQL's.
func stopLeftPostgres(dir string) {
	data := filepath.Join(dir, dataFolder)
	if _, err := os.Stat(filepath.Join(data, "postmaster.pid")); err != nil {
		return
	}
	bin, err := os.ReadFile(filepath.Join(dir, programsFile))
	if err != nil {
		return
	}
	as, err := serverAccount(Postgres)
	if err != nil {
		return
	}
	// It has ended already, most of the time.
	_ = runAs(context.Background(), dir, filepath.Join(string(bin), "pg_ctl"), as, "stop", "-D", data, "-m", "immediate", "-t", "10")
}
