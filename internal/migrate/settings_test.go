package migrate_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestServerSettings: servers that are set up to refuse things. What can be done is done exactly, what cannot is refused in one line, and
// nothing is touched.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name  string
		start func(t testing.TB, settings ...string) *testdb.Server
		keys  string
	}{
		{"mysql", testdb.PrivateMySQL, "sql-require-primary-key=ON"},
		{"mariadb", testdb.PrivateMariaDB, "innodb-force-primary-key=ON"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := x.start(t, x.keys, "innodb-strict-mode=ON", "binlog-format=STATEMENT")
			c := newCutter(t, s.DSN, mixed)
			before := testdb.Dump(t, s.DSN)

			// An account that may not have rows logged.
			testdb.Exec(t, s.DSN, "CREATE USER plain@'127.0.0.1'")
			u, err := url.Parse(s.DSN)
			if err != nil {
				t.Fatal(err)
			}
			testdb.Exec(t, s.DSN, "GRANT ALL ON `"+strings.TrimPrefix(u.Path, "/")+"`.* TO plain@'127.0.0.1'")
			u.User = url.User("plain")
			refused := func(dsn string, want engine.Class, word string) {
				t.Helper()
				err := run(c.open(dsn), "up")
				if e, ok := engine.AsError(err); !ok || e.Class != want || !strings.Contains(e.Message, word) || e.Hint == "" {
					t.Errorf("%v, want class %s and the word %s", err, want, word)
				}
				testdb.SameDump(t, s.DSN, before)
			}
			refused(u.String(), engine.Unsupported, "binlog_format")
			testdb.Exec(t, s.DSN, "SET GLOBAL read_only = 1")
			refused(s.DSN, engine.ReadOnly, "read_only")
			if x.name == "mysql" {
				testdb.Exec(t, s.DSN, "SET GLOBAL super_read_only = 1")
				refused(s.DSN, engine.ReadOnly, "read_only")
				testdb.Exec(t, s.DSN, "SET GLOBAL super_read_only = 0")
			}
			testdb.Exec(t, s.DSN, "SET GLOBAL read_only = 0")

			c.must("up")
			after := testdb.Dump(t, s.DSN)
			c.must("rollback")
			testdb.SameDump(t, s.DSN, before)
			c.must("up")
			testdb.SameDump(t, s.DSN, after)

			// A statement that these settings reject half-way: what ran before it is taken back.
			c.files["00002_more.sql"] = &fstest.MapFile{Data: []byte(migration("UPDATE people SET score = 100;\nALTER TABLE people DROP COLUMN score;\nCREATE TABLE bare (v integer);", "ALTER TABLE people ADD COLUMN score integer;"))}
			err = run(c.open(s.DSN), "up")
			if e, ok := engine.AsError(err); !ok || e.Class != engine.Unknown || !strings.Contains(e.Hint, "primary key") {
				t.Errorf("a table without a key: %v", err)
			}
			c.must("recover --abort")
			testdb.SameDump(t, s.DSN, after)
		})
	}
}
