package migrate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreOnlineWaitsForReplicas: while a standby is far behind, no further batch is written.
func TestRestoreOnlineWaitsForReplicas(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t)
	standby := server.Standby(t)
	dsn := server.DSN
	testdb.Exec(t, dsn, "CREATE TABLE wide (id bigint PRIMARY KEY, big text)", "INSERT INTO wide SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 30000) g")
	if r := testdb.Run(t, testdb.Command{Args: []string{"snapshot", "create", "--table", "wide", "--label", "was", "--dsn", dsn}}); r.Code != 0 {
		t.Fatal(r)
	}
	testdb.Exec(t, dsn, "UPDATE wide SET big = ''")
	until(t, "the standby has come near", func() bool {
		return testdb.Query(t, dsn, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()")[0] == "1"
	})
	testdb.Query(t, standby.DSN, "SELECT pg_wal_replay_pause()")
	p := testdb.Start(t, testdb.Command{Args: []string{"restore", "--snapshot", "was", "--online", "--yes", "--on-conflict", "restore", "--dsn", dsn}})
	until(t, "it waits for the replica", func() bool { return strings.Contains(p.Stderr(), "waiting for a replica, ") })
	left := "SELECT count(*) FROM wide WHERE big = ''"
	if n := testdb.Query(t, dsn, left)[0]; n == "0" {
		t.Error("all rows were written while the replica was far behind")
	}
	testdb.Query(t, standby.DSN, "SELECT pg_wal_replay_resume()")
	if r := p.Wait(); r.Code != 0 {
		t.Fatal(r)
	}
	if n := testdb.Query(t, dsn, left)[0]; n != "0" {
		t.Errorf("%s rows are not back", n)
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}
