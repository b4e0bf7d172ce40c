package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// onlyAdds is a migration that is journalled with a few statements; see lean.go.
const onlyAdds = `-- +goose Up
ALTER TABLE people ADD COLUMN age integer DEFAULT 7;
CREATE TABLE IF NOT EXISTS pets (id integer PRIMARY KEY, owner integer, name varchar(20) COMMENT 'as called');
CREATE INDEX pets_name ON pets (name);
ALTER TABLE pets ADD CONSTRAINT pets_owner FOREIGN KEY (owner) REFERENCES people (id), ADD COLUMN born date FIRST;
-- +goose Down
DROP TABLE pets;
ALTER TABLE people DROP COLUMN age;
`

// TestCutOffWhereNothingIsDestroyed: such a migration says less in the journal than others do; cut off around each command that it sends,
// recover and recover --abort lead where they should all the same, and a rollback after it leads back.
func TestCutOffWhereNothingIsDestroyed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, onlyAdds)
		testdb.Exec(t, dsn, "CREATE VIEW old AS SELECT id FROM people", "CREATE TRIGGER people_new BEFORE INSERT ON people FOR EACH ROW SET NEW.id = NEW.id")
		before := state(t, dsn)
		fresh := func() { // it runs so the first time only
			testdb.Exec(t, dsn, "DELETE FROM dbrollback_migrations", "DELETE FROM goose_db_version WHERE version_id > 0")
		}
		c.must("up") // makes our own tables
		c.must("rollback")
		fresh()
		commands := c.commands("up")
		after := state(t, dsn)
		begins := -1
		for n, q := range commands {
			if begins < 0 && strings.HasPrefix(q, "INSERT INTO `dbrollback_operations`") {
				begins = n
			}
			if begins >= 0 && strings.Contains(q, "information_schema.triggers") || strings.HasPrefix(q, "SHOW FULL TABLES") {
				t.Errorf("asked for more than the tables: %s", q)
			}
		}
		if begins < 0 || len(commands)-begins > 40 {
			t.Fatalf("%d commands from the journal's first row on, at %d:\n%s", len(commands)-begins, begins, strings.Join(commands, "\n"))
		}
		c.must("rollback")
		fresh()
		unfinished := 0
		for n := begins; n < len(commands); n++ {
			if verb, _, _ := strings.Cut(commands[n], " "); slices.Contains([]string{"SELECT", "SHOW", "SET", "START", "DO"}, verb) && n%4 != 0 {
				continue // what only reads leaves behind what the one before it did
			}
			how := []cut{beforeIt, afterAnswer, afterSending}[unfinished%3]
			at, err := c.cutAt("up", n, how)
			verb, want := "recover", after
			if unfinished%2 == 1 {
				verb, want = "recover --abort", before
			}
			was, merr := c.mend(verb)
			if errors.As(merr, new(*migrate.RefusedError)) { // nothing but the record is missing
				c.must("recover")
				want, merr = after, nil
			}
			now := state(t, dsn)
			if merr != nil || was && now != want || !was && now != before && now != after {
				t.Fatalf("cut off (%d) at %.80q, %s: %v (the run: %v)\n%s", how, at, verb, merr, err, testdb.Diff(want, now))
			}
			if was {
				unfinished++
			}
			c.free(at)
			if now == after {
				c.must("rollback")
			}
			if now = state(t, dsn); now != before {
				t.Fatalf("cut off (%d) at %.80q, then back: not as before:\n%s", how, at, testdb.Diff(before, now))
			}
			fresh()
		}
		if unfinished < 9 {
			t.Errorf("only %d runs were cut off within the migration", unfinished)
		}
	}, family...)
}

// TestAbortTakesWhatHangsOnANewTable: somebody puts a trigger on a table of a migration that was cut off; taken back, the table goes with it, and its
// definition is among the captures.
func TestAbortTakesWhatHangsOnANewTable(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, onlyAdds)
		before := state(t, dsn)
		_, err := c.cutWhere("up", beforeIt, func(q string) bool { return strings.HasPrefix(q, "ALTER TABLE pets") })
		if err == nil {
			t.Fatal("it was not cut off")
		}
		testdb.Exec(t, dsn, "CREATE TRIGGER theirs BEFORE INSERT ON pets FOR EACH ROW SET NEW.name = 'x'", "INSERT INTO pets (id) VALUES (1)")
		c.must("recover --abort")
		if got := state(t, dsn); got != before {
			t.Fatalf("not as before:\n%s", testdb.Diff(before, got))
		}
		kept := testdb.Query(t, dsn, "SELECT kind, detail FROM state_snapshots WHERE table_name = 'pets'")
		if all := strings.Join(kept, "\n"); !strings.Contains(all, "theirs") {
			t.Errorf("captured: %q", kept)
		}
	}, family...)
}

// TestLeanReadsOddTables: another sql_mode and odd names are read as they are.
func TestLeanReadsOddTables(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		fill(t, dsn)
		files := fstest.MapFS{
			"00001_a.sql": {Data: []byte("-- +goose Up\nSET SESSION sql_mode = 'ANSI_QUOTES';\n-- +goose Down\nSELECT 1;\n")},
			"00002_b.sql": {Data: []byte("-- +goose Up\nCREATE TABLE `Odd``one` (`a\"b` integer PRIMARY KEY, c varchar(10) DEFAULT 'it''s \\\\ so', CHECK (`a\"b` > 0));\nCREATE UNIQUE INDEX c ON `Odd``one` (c(3));\n-- +goose Down\nDROP TABLE `Odd``one`;\n")},
			"00003_d.sql": {Data: []byte("-- +goose Up\nCREATE TABLE kind (id integer PRIMARY KEY);\n-- +goose Down\nDROP TABLE kind;\n")},
		}
		before := state(t, dsn)
		c := &cutter{T: t, dsn: dsn, files: files}
		m := c.open(dsn)
		if err := run(m, "up"); err != nil {
			t.Fatal(err)
		}
		if res, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err != nil || !res.Verified {
			t.Fatalf("%+v, %v", res, err)
		}
		if got := state(t, dsn); got != before {
			t.Fatalf("not as before:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}
