package testdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// PgBouncer starts the pooler between a test and the server of a PostgreSQL database, in the mode "transaction" or "session", and returns the DSN of
// the database by way of it. It ends with the test.
func PgBouncer(t testing.TB, dsn, mode string) string {
	t.Helper()
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		if bin = "/usr/sbin/pgbouncer"; !exists(bin) {
			t.Fatal("testdb: no PgBouncer to test with: apt-get install pgbouncer (or: sudo scripts/install-test-servers.sh pgbouncer)")
		}
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("testdb: the DSN is not a URL")
	}
	password, _ := u.User.Password()
	as, err := serverAccount("postgres")
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	base, err := processDir()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	port, err := claimPort()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	dir, err := os.MkdirTemp(base, "pgbouncer-")
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config, users, log := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users.txt"), filepath.Join(dir, "log")
	for name, text := range map[string]string{
		config: fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = trust\nauth_file = %s\nlogfile = %s\npool_mode = %s\nignore_startup_parameters = extra_float_digits\n",
			u.Hostname(), u.Port(), port, users, log, mode),
		users: fmt.Sprintf("%q %q\n", u.User.Username(), password),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatalf("testdb: %v", err)
		}
	}
	if as != (account{}) {
		for _, name := range []string{dir, config, users} {
			if err := os.Chown(name, as.uid, as.gid); err != nil {
				t.Fatalf("testdb: %v", err)
			}
		}
	}
	cmd := exec.Command(bin, "-q", config)
	process, err := spawn(cmd, as, sigKill)
	if err != nil {
		t.Fatalf("testdb: start %s: %v", bin, err)
	}
	t.Cleanup(func() {
		_ = signal(cmd.Process.Pid, sigKill)
		<-process.ended
	})
	u.Host = fmt.Sprintf("127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = ping(ctx, u.String()); err == nil {
			return u.String()
		}
		select {
		case <-process.ended:
			t.Fatalf("testdb: PgBouncer ended while starting; its log ends with:\n%s", tail(log))
		case <-ctx.Done():
			t.Fatalf("testdb: PgBouncer does not answer: %v; its log ends with:\n%s", err, tail(log))
		case <-tick.C:
		}
	}
}
