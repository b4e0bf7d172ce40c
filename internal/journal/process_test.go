package journal_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWithoutProcess: an account that cannot see whether a table was emptied by TRUNCATE begins no journal of it, and uses none: the one that can sees
// it, of a table with a name that InnoDB spells in its own way, and of a partition.
func TestWithoutProcess(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const odd = "`my-täble #p#`"
		w := newWorld(t, dsn, item, "INSERT INTO item VALUES (1, 1)", "CREATE TABLE "+odd+" (id integer PRIMARY KEY)", "INSERT INTO "+odd+" VALUES (1)",
			"CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION one VALUES LESS THAN (10), PARTITION two VALUES LESS THAN (20))", "INSERT INTO parts VALUES (1), (11)")
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimPrefix(u.Path, "/")
		user := "p" + strings.TrimPrefix(base, "dbrollback_test_")
		name := "'" + user + "'@'127.0.0.1'"
		w.exec("CREATE USER "+name+" IDENTIFIED BY 'hunter2'", "GRANT ALL ON `"+base+"`.* TO "+name)
		t.Cleanup(func() { testdb.Exec(t, dsn, "DROP USER "+name) })
		u.User = url.UserPassword(user, "hunter2")
		weak := newWorld(t, u.String())
		tables := []string{"item", strings.Trim(odd, "`"), "parts"}
		var refused *journal.RefusedError
		err = weak.try(func(q engine.Querier) error {
			return weak.j.Enable(t.Context(), q, names(tables), journal.Options{}, "test")
		})
		if !errors.As(err, &refused) || !strings.Contains(refused.Hint, "GRANT PROCESS") {
			t.Errorf("enable: %v", err)
		}
		w.enable(tables...)
		at := w.now()
		for _, n := range tables {
			ask := snapshot.Ask{Tables: names([]string{n}), At: at, Mode: snapshot.Replace}
			if _, err := w.restore(ask); err != nil {
				t.Errorf("%s: %v", n, err)
			}
			_, err := weak.restore(ask)
			if e, ok := engine.AsError(err); !ok || e.Class != engine.Privilege || !strings.Contains(e.Hint, "GRANT PROCESS") {
				t.Errorf("%s, without the right: %v", n, err)
			}
		}
		w.exec("TRUNCATE item", "TRUNCATE "+odd, "ALTER TABLE parts TRUNCATE PARTITION two")
		for _, n := range tables {
			var nothing *snapshot.NothingError
			if _, err := w.restore(snapshot.Ask{Tables: names([]string{n}), At: at, Mode: snapshot.Replace}); !errors.As(err, &nothing) || !strings.Contains(err.Error(), "TRUNCATE") {
				t.Errorf("%s, emptied: %v", n, err)
			}
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}
