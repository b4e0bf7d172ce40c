package migrate_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRightsThatComeLate: an account lacks a right that a statement in the middle takes. The run says which; it can be taken back without it, and
// finished with it, and no row is lost either way.
func TestRightsThatComeLate(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, `-- +goose Up
UPDATE people SET score = score + 1;
ALTER TABLE people DROP COLUMN note;
CREATE VIEW names AS SELECT id, name FROM people;
DELETE FROM orders WHERE id % 2 = 0;
-- +goose Down
ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';
CREATE VIEW other AS SELECT id FROM people;
DROP VIEW other, names;
UPDATE people SET score = score - 1;
`)
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		user := "w" + strings.TrimPrefix(u.Path, "/dbrollback_test_")
		name, on := "'"+user+"'@'127.0.0.1'", " ON `"+strings.TrimPrefix(u.Path, "/")+"`.* "
		testdb.Exec(t, dsn, "CREATE USER "+name+" IDENTIFIED BY 'hunter2'", "GRANT ALL"+on+"TO "+name)
		t.Cleanup(func() { testdb.Exec(t, dsn, "DROP USER "+name) })
		u.User = url.UserPassword(user, "hunter2")
		weak := u.String()
		before := state(t, dsn)
		if err := c.run(weak, "up"); err != nil {
			t.Fatal(err)
		}
		after := state(t, dsn)
		if err := c.run(weak, "rollback"); err != nil || state(t, dsn) != before {
			t.Fatalf("with all rights: %v", err)
		}
		for _, x := range []struct{ verb, from, to string }{{"up", before, after}, {"rollback", after, before}} {
			for _, mend := range []string{"recover --abort", "recover"} {
				testdb.Exec(t, dsn, "GRANT CREATE VIEW"+on+"TO "+name, "REVOKE CREATE VIEW"+on+"FROM "+name)
				err := c.run(weak, x.verb)
				var partial *migrate.PartialError
				if e, ok := engine.AsError(err); !ok || e.Class != engine.Privilege || !strings.Contains(e.Message, "CREATE VIEW") || !errors.As(err, &partial) || !partial.Unfinished {
					t.Fatalf("%s without CREATE VIEW: %v", x.verb, err)
				}
				if mend == "recover" {
					if err := c.run(weak, mend); err == nil {
						t.Fatalf("%s: recover went on without the right", x.verb)
					}
					testdb.Exec(t, dsn, "GRANT CREATE VIEW"+on+"TO "+name)
				}
				if err := c.run(weak, mend); err != nil {
					t.Fatalf("%s, then %s: %v", x.verb, mend, err)
				}
				want := map[string]string{"recover": x.to, "recover --abort": x.from}[mend]
				if got := state(t, dsn); got != want {
					t.Fatalf("%s, then %s: not as it should be:\n%s", x.verb, mend, testdb.Diff(want, got))
				}
				c.free(x.verb + ", then " + mend)
			}
		}
	}, family...)
}

// TestTriggerOfSomebodyElse: rows of a table with a trigger come back while it gives way, and only its owner may make it again. Up does not
// destroy what the same account could not bring back.
func TestTriggerOfSomebodyElse(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nALTER TABLE people ADD COLUMN age integer;\nDELETE FROM orders WHERE id % 2 = 0;\n-- +goose Down\nALTER TABLE people DROP COLUMN age;\n")
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		user := "w" + strings.TrimPrefix(u.Path, "/dbrollback_test_")
		name := "'" + user + "'@'127.0.0.1'"
		testdb.Exec(t, dsn, "CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.total = 0", "CREATE USER "+name+" IDENTIFIED BY 'hunter2'", "GRANT ALL ON `"+strings.TrimPrefix(u.Path, "/")+"`.* TO "+name)
		t.Cleanup(func() { testdb.Exec(t, dsn, "DROP USER "+name) })
		u.User = url.UserPassword(user, "hunter2")
		before := state(t, dsn)
		if e, ok := engine.AsError(c.run(u.String(), "up")); !ok || e.Class != engine.Privilege || !strings.Contains(e.Message, "trigger stamp") || !strings.HasPrefix(e.Hint, "GRANT ") {
			t.Fatalf("up: %v", e)
		}
		if got := state(t, dsn); got != before {
			t.Fatalf("the refusal changed something:\n%s", testdb.Diff(before, got))
		}
		c.must("up")
		c.must("rollback")
		if got := state(t, dsn); got != before {
			t.Fatalf("by the owner, not as before:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}
