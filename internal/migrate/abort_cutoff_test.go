package migrate_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// swapping renames in a circle, so that a name alone does not tell what stands there.
const swapping = `-- +goose Up
UPDATE people SET score = score + 1;
RENAME TABLE visits TO spare, calls TO visits, spare TO calls;
ALTER TABLE people RENAME COLUMN note TO remark;
UPDATE visits SET page = 'x' WHERE id < 20;
CREATE TABLE extra (id integer PRIMARY KEY, page varchar(40));
INSERT INTO extra SELECT id, page FROM calls WHERE id < 30;
ALTER TABLE calls DROP COLUMN page;
DROP TABLE orders;
UPDATE people SET score = 0;
-- +goose Down
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));
ALTER TABLE calls ADD COLUMN page varchar(40);
DROP TABLE extra;
ALTER TABLE people RENAME COLUMN remark TO note;
RENAME TABLE visits TO spare, calls TO visits, spare TO calls;
UPDATE people SET score = score - 1;
`

// TestAbortCutOff: recover --abort is cut off itself, at each of its commands in turn, and does the rest when it is asked again.
func TestAbortCutOff(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"up", "rollback"} {
		last := map[string]string{"up": "UPDATE people SET score = 0", "rollback": "UPDATE people SET score = score - 1"}[verb]
		t.Run(verb, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, swapping)
				testdb.Exec(t, dsn, "CREATE TABLE calls (id integer PRIMARY KEY, page varchar(40))", "INSERT INTO calls SELECT id, concat('call ', name) FROM people WHERE id < 300")
				if verb == "rollback" {
					c.must("up")
				}
				from := state(t, dsn)
				begin := func() {
					t.Helper()
					if !c.cutWhen(verb, beforeIt, func(q string) bool { return strings.HasPrefix(q, last) }) {
						t.Fatalf("%s never came to its last statement", verb)
					}
				}
				begin()
				commands := c.commands("recover --abort")
				if got := state(t, dsn); got != from {
					t.Fatalf("recover --abort that nobody cut off:\n%s", testdb.Diff(from, got))
				}
				step := max(1, len(commands)/8)
				if os.Getenv("CUTS") == "all" {
					step = 1
				}
				for i, n := 0, step/2; n < len(commands); i, n = i+1, n+step {
					if !c.mine(i) {
						continue
					}
					testdb.Exec(t, dsn, "ALTER TABLE visits FORCE", "ALTER TABLE calls FORCE") // MariaDB counts columns that went in an instant
					begin()
					at, err := c.cutAt("recover --abort", n, []cut{beforeIt, afterSending, afterAnswer}[n%3])
					when := fmt.Sprintf("recover --abort cut off at command %d of %d, %.80q", n, len(commands), at)
					if was, merr := c.mend("recover --abort"); merr != nil || !was && err != nil && n < len(commands)-10 {
						t.Fatalf("%s: again: %v\nthe first: %v", when, merr, err)
					}
					if got := state(t, dsn); got != from {
						t.Fatalf("%s: something else after it was asked again:\n%.1500s\nthe first: %v", when, testdb.Diff(from, got), err)
					}
					c.free(when)
				}
			}, family...)
		})
	}
}
