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

// Whoever makes a trigger or a view of somebody else's again needs a right for it: that is asked for ahead.
func TestMySQLRemakes(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		name, own := account(t, dsn)
		testdb.Exec(t, dsn, "CREATE TABLE orders (id integer PRIMARY KEY, n integer)", "CREATE TABLE plain (id integer)", "CREATE VIEW ids AS SELECT id FROM orders", "GRANT ALL ON "+dsn[strings.LastIndexByte(dsn, '/')+1:]+".* TO "+name)
		remakes := func(tables []engine.Name, objects ...engine.Object) error {
			db := open(t, own, engine.Options{})
			return db.Remakes(t.Context(), db, tables, objects)
		}
		orders, view := []engine.Name{{Name: "orders"}}, engine.Object{Kind: "view", Name: "ids"}
		if err := remakes(orders); err != nil {
			t.Error(err)
		}
		testdb.Exec(t, dsn, "CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.n = 9")
		maria := strings.HasPrefix(dsn, "mariadb")
		for _, err := range []error{remakes(orders), remakes(nil, view)} {
			e := classified(t, err, engine.Privilege)
			if right := map[bool]string{true: "GRANT SET USER ON *.*", false: "GRANT SET_ANY_DEFINER ON *.*"}[maria]; !strings.HasPrefix(e.Hint, right) || !strings.Contains(e.Message, " could not make ") {
				t.Errorf("%s / %s", e.Message, e.Hint)
			}
		}
		if err := remakes([]engine.Name{{Name: "plain"}}, engine.Object{Kind: "view", Name: "none"}, engine.Object{Kind: "index", Name: "ids"}); err != nil {
			t.Error(err)
		}
		testdb.Exec(t, dsn, "GRANT "+map[bool]string{true: "SET USER", false: "SET_ANY_DEFINER"}[maria]+" ON *.* TO "+name)
		if err := remakes(nil, view); err != nil {
			t.Error(err)
		}
		// The other right that a trigger takes is the server's to want.
		var wants bool
		if got := testdb.Query(t, dsn, "SELECT @@log_bin AND NOT @@log_bin_trust_function_creators"); got[0] == "1" {
			wants = true
		}
		err := remakes(orders)
		if !wants && err != nil {
			t.Error(err)
		}
		if wants {
			if e := classified(t, err, engine.Privilege); !strings.Contains(e.Hint, "log_bin_trust_function_creators") {
				t.Errorf("%s / %s", e.Message, e.Hint)
			}
		}
		testdb.Exec(t, dsn, "GRANT SUPER ON *.* TO "+name)
		if err := remakes(orders, view); err != nil {
			t.Error(err)
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
