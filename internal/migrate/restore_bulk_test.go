package migrate_test

import (
	"context"

	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreFillsAnew: a table of which most rows differ is emptied and filled again. Every row is as it was, and so is all that belongs to the table; no trigger
// fires. Where somebody reads it, points to it or follows it, its rows are written one by one, to the same end. Killed while it is empty, it is as before.
func TestRestoreFillsAnew(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	db := testdb.Open(t, dsn)
	testdb.Exec(t, dsn, "CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE TABLE fired (what text)",
		`CREATE TABLE wide (gone int, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Name" text NOT NULL COLLATE "C", m mood DEFAULT 'sad', n numeric(10,2) CHECK (n >= 0), twice numeric GENERATED ALWAYS AS (n * 2) STORED, big text,
			u integer UNIQUE DEFERRABLE INITIALLY DEFERRED)`, "ALTER TABLE wide DROP COLUMN gone",
		`INSERT INTO wide ("Name", m, n, big, u) SELECT 'n' || g, CASE WHEN g % 3 = 0 THEN 'happy'::mood END, g / 7.0, repeat(md5(g::text), 6), g FROM generate_series(1, 20000) g`,
		"CREATE INDEX by_big ON wide (left(big, 4)) WHERE n > 5", "CREATE VIEW seen AS SELECT id, n FROM wide", "COMMENT ON INDEX by_big IS 'of ours'", "ALTER TABLE wide SET (fillfactor = 90)",
		"CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES (TG_OP); RETURN NULL; END $$", "CREATE TRIGGER each AFTER INSERT OR UPDATE OR DELETE ON wide FOR EACH ROW EXECUTE FUNCTION fire()",
		"CREATE TRIGGER emptied BEFORE TRUNCATE ON wide EXECUTE FUNCTION fire()", "ALTER TABLE wide ENABLE ALWAYS TRIGGER emptied", "ANALYZE wide")
	program := func(args ...string) testdb.Command {
		return testdb.Command{Args: append(args, "--no-progress", "--dsn", dsn)}
	}
	if r := testdb.Run(t, program("snapshot", "create", "--table", "wide", "--label", "before", "--yes")); r.Code != 0 {
		t.Fatal(r)
	}
	was := testdb.Dump(t, dsn)
	rewritten := func() string { return testdb.Query(t, dsn, "SELECT pg_relation_filenode('wide')")[0] }
	change := []string{"ALTER TABLE wide DISABLE TRIGGER each", "SET CONSTRAINTS ALL DEFERRED", `UPDATE wide SET "Name" = 'x', n = 1, m = 'happy', u = u + 100000 WHERE id % 10 <> 0`, "DELETE FROM wide WHERE id % 500 = 3",
		`INSERT INTO wide ("Name", n, u) SELECT 'later', g, -g FROM generate_series(1, 30) g`, "SET CONSTRAINTS ALL IMMEDIATE", "ALTER TABLE wide ENABLE TRIGGER each"}
	write := func() {
		t.Helper()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range change {
			if _, err := tx.Exec(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	restore := program("restore", "--table", "wide", "--snapshot", "before", "--mode", "replace", "--on-conflict", "restore", "--yes")
	back := func(what string, anew bool) {
		t.Helper()
		before := rewritten()
		if r := testdb.Run(t, restore); r.Code != 0 {
			t.Fatalf("%s: %v", what, r)
		}
		testdb.SameDump(t, dsn, was)
		if got := rewritten() != before; got != anew {
			t.Errorf("%s: the table was filled anew: %v", what, got)
		}
	}
	for _, when := range []string{"TRUNCATE%", "INSERT INTO%OVERRIDING%SELECT%"} {
		write()
		now := testdb.Dump(t, dsn)
		cut := restore
		cut.KillWhen = testdb.Sees(t, dsn, when)
		holder, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if when == "TRUNCATE%" { // it is over before it is seen, but for somebody who reads what nothing else of a restore locks
			toast := testdb.Query(t, dsn, "SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'wide'::regclass")[0]
			if _, err := holder.Exec("SELECT count(*) FROM " + toast); err != nil {
				t.Fatal(err)
			}
		}
		if r := testdb.Run(t, cut); !r.Killed {
			t.Errorf("%s was not seen: %v", when, r)
		}
		if err := holder.Rollback(); err != nil {
			t.Fatal(err)
		}
		testdb.SameDump(t, dsn, now) // waits for the locks of what was killed
		back("killed before", true)
	}
	write()
	back("nobody there", true)
	write()
	reader, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ExecContext(context.Background(), "SELECT count(*) FROM wide"); err != nil {
		t.Fatal(err)
	}
	if before := rewritten(); true { // its triggers are switched off, which waits for nobody who reads
		r := testdb.Run(t, restore)
		if r.Code != 0 || rewritten() != before {
			t.Errorf("with a reader: filled anew %v, %v", rewritten() != before, r)
		}
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	testdb.SameDump(t, dsn, was)
	testdb.Exec(t, dsn, "CREATE TABLE child (id bigint PRIMARY KEY REFERENCES wide)", "INSERT INTO child VALUES (1), (7)")
	was = testdb.Dump(t, dsn)
	write()
	back("with a table that points to it", false)
	testdb.Exec(t, dsn, "DROP TABLE child")
	was = testdb.Dump(t, dsn)
	testdb.Exec(t, dsn, "CREATE PUBLICATION p FOR TABLE wide")
	was = testdb.Dump(t, dsn)
	write()
	back("published", false)
}
