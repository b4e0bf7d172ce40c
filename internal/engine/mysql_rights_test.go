package engine_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// account makes an account without rights and returns its name and its DSN; it is gone when the test ends.
func account(t *testing.T, dsn string) (name, own string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	user := "u" + strings.TrimPrefix(u.Path, "/dbrollback_test_")
	name = "'" + user + "'@'127.0.0.1'"
	testdb.Exec(t, dsn, "CREATE USER "+name+" IDENTIFIED BY 'hunter2'")
	t.Cleanup(func() { testdb.Exec(t, dsn, "DROP USER "+name) })
	u.User = url.UserPassword(user, "hunter2")
	return name, u.String()
}

func TestMySQLRights(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		name, own := account(t, dsn)
		database := dsn[strings.LastIndexByte(dsn, '/')+1:]
		lock := func() error {
			s := session(t, open(t, own, engine.Options{}))
			release, err := s.RunLock(t.Context(), time.Second)
			if err == nil {
				release()
			}
			return err
		}
		grant := func(rights, on string) { testdb.Exec(t, dsn, "GRANT "+rights+" ON "+on+" TO "+name) }
		grant("SELECT, INSERT, UPDATE, DELETE, ALTER, INDEX, CREATE", "`"+database+"`.*")
		e := classified(t, lock(), engine.Privilege)
		if !strings.Contains(e.Message, "DROP, LOCK TABLES, TRIGGER on") || e.Hint != "GRANT DROP, LOCK TABLES, TRIGGER ON `"+database+"`.* TO it" || strings.Contains(e.Message, "hunter2") {
			t.Errorf("%s / %s", e.Message, e.Hint)
		}
		grant("DROP, LOCK TABLES", "`"+strings.ReplaceAll(database, "_", `\_`)+"`.*")
		if e := classified(t, lock(), engine.Privilege); !strings.Contains(e.Message, "lacks TRIGGER on") {
			t.Error(e.Message)
		}
		// By way of a role.
		role := "'r" + database[len(database)-8:] + "'"
		testdb.Exec(t, dsn, "CREATE ROLE "+role, "GRANT TRIGGER ON `"+database[:len(database)-1]+"%`.* TO "+role, "GRANT "+role+" TO "+name)
		t.Cleanup(func() { testdb.Exec(t, dsn, "DROP ROLE "+role) })
		if err := lock(); err == nil {
			t.Error("a role that is not active counts")
		}
		set := "SET DEFAULT ROLE " + role + " TO " + name
		if strings.HasPrefix(dsn, "mariadb") {
			set = "SET DEFAULT ROLE " + role + " FOR " + name
		}
		testdb.Exec(t, dsn, set)
		if err := lock(); err != nil {
			t.Error(err)
		}
		if got := testdb.Query(t, own, "SHOW GRANTS"); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "LOCK TABLES") }) {
			t.Errorf("the account's grants: %q", got)
		}
	})
}

func TestMySQLReadOnlyServer(t *testing.T) {
	t.Parallel()
	s := testdb.PrivateMariaDB(t, "read-only=1")
	_, err := session(t, open(t, s.DSN, engine.Options{})).RunLock(t.Context(), time.Second)
	if e := classified(t, err, engine.ReadOnly); !strings.Contains(e.Message, "read_only") {
		t.Error(e.Message)
	}
}
