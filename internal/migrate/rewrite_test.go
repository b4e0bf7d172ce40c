package migrate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// broad is a table that is worth a rewrite, with a key of the given columns.
func broad(keys string) string {
	return fmt.Sprintf(`CREATE TABLE wide (id integer NOT NULL, code varchar(30) NOT NULL, tag text COLLATE "C" NOT NULL, pad text NOT NULL DEFAULT repeat('x', 180), note varchar(40) COLLATE "C" DEFAULT 'none',
	amount numeric(12,3), at timestamptz, seen integer, PRIMARY KEY (%s));
INSERT INTO wide (id, code, tag, note, amount, at) SELECT g, 'code ' || g, chr(65 + g %% 26) || g, CASE WHEN g %% 7 > 0 THEN 'note ' || g END, g / 8.0, CASE WHEN g %% 3 > 0 THEN timestamptz '2020-01-01' + g * interval '1 minute' END FROM generate_series(1, 25000) g;
CREATE INDEX wide_seen ON wide (seen);
CREATE TABLE heard (id integer);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO heard VALUES (NEW.id); RETURN NEW; END';
CREATE TRIGGER hears AFTER UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION hear();
CREATE VIEW shown AS SELECT id, pad FROM wide;
CREATE TABLE was AS SELECT id, note, amount, at FROM wide;
ANALYZE wide`, keys)
}

const (
	dropsColumns = "ALTER TABLE wide DROP COLUMN note, DROP COLUMN amount;\nALTER TABLE wide DROP COLUMN at;"
	addsColumns  = "ALTER TABLE wide ADD COLUMN note varchar(40) COLLATE \"C\" DEFAULT 'none', ADD COLUMN amount numeric(12,3);\nALTER TABLE wide ADD COLUMN at timestamptz;"
)

// broadLater is what an application writes before the rollback: rows go, come, and change places.
var broadLater = []string{"DELETE FROM wide WHERE id BETWEEN 100 AND 140", "UPDATE wide SET seen = id WHERE id % 9 = 0", "UPDATE wide SET seen = 1 WHERE id BETWEEN 20000 AND 21000",
	"INSERT INTO wide (id, code, tag) SELECT g, 'new ' || g, 'new' || g FROM generate_series(30001, 30050) g", "DELETE FROM heard"}

// TestColumnsComeBackByRewrite: columns of a large table come back by one rewrite each statement, every value in its row, whatever
// was written since; nothing else about the table changes, and no trigger fires.
func TestColumnsComeBackByRewrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, keys string
		more       string // written besides
		rewritten  bool
	}{
		{"integer key", "id", "", true},
		{"text key", "code", "", true},
		{"composite key with a collation of its own", "tag, id", "", true},
		{"clustered otherwise since", "id", "CREATE INDEX wide_tag ON wide (tag); CLUSTER wide USING wide_tag", true},
		{"followed by others", "id", "SELECT pg_create_logical_replication_slot('wide_' || substr(md5(current_database()), 1, 12), 'pgoutput')", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			f := newFixture(t, dsn, broad(c.keys), map[string]string{"00001_a.sql": migration(dropsColumns, addsColumns)})
			t.Cleanup(func() {
				testdb.Exec(t, dsn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")
			})
			f.up()
			testdb.Exec(t, dsn, broadLater...)
			if c.more != "" {
				testdb.Exec(t, dsn, strings.Split(c.more, "; ")...)
			}
			others := "SELECT ctid IS NULL, id, code, tag, pad, seen FROM wide ORDER BY id"
			before, file := testdb.Query(t, dsn, others), testdb.Query(t, dsn, "SELECT pg_relation_filenode('wide')")[0]
			res := f.rollback(migrate.RollbackRequest{To: -1, Steps: 1})
			f.same(strings.Join(before, "\n"), strings.Join(testdb.Query(t, dsn, others), "\n"), "other columns")
			if got := testdb.Query(t, dsn, "SELECT count(*) FROM wide w LEFT JOIN was USING (id) WHERE w.amount IS DISTINCT FROM was.amount OR w.at IS DISTINCT FROM was.at OR w.note IS DISTINCT FROM CASE WHEN w.id > 30000 THEN 'none' ELSE was.note END"); got[0] != "0" {
				t.Errorf("%s rows have another value than they had", got[0])
			}
			if got := testdb.Query(t, dsn, "SELECT count(*) FROM heard"); got[0] != "0" {
				t.Errorf("a trigger fired for %s rows", got[0])
			}
			if got := testdb.Query(t, dsn, "SELECT pg_relation_filenode('wide')")[0] != file; got != c.rewritten {
				t.Errorf("rewritten: %v", got)
			}
			if !res.Verified || len(res.Tables) != 1 || res.Tables[0].Updated == 0 {
				t.Errorf("%+v", res)
			}
			if got := testdb.Query(t, dsn, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'dbrollback_put%' UNION ALL SELECT count(*) FROM pg_cursors WHERE name LIKE 'dbrollback%'"); strings.Join(got, " ") != "0 0" {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// TestRewriteRefused: where the server does not take a rewrite the columns come back all the same, or the rollback says what is in the way.
func TestRewriteRefused(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	down := "ALTER TABLE wide ADD COLUMN note varchar(40) COLLATE \"C\" DEFAULT 'none', ADD COLUMN shout text GENERATED ALWAYS AS (upper(note)) STORED;"
	f := newFixture(t, dsn, broad("id"), map[string]string{"00001_a.sql": migration("ALTER TABLE wide DROP COLUMN note;", down)})
	f.up()
	testdb.Exec(t, dsn, broadLater...)
	if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1, AllowDrift: true}); err != nil {
		t.Fatal(err)
	}
	if got := testdb.Query(t, dsn, "SELECT count(*) FROM wide w LEFT JOIN was USING (id) WHERE w.note IS DISTINCT FROM CASE WHEN w.id > 30000 THEN 'none' ELSE was.note END OR w.shout IS DISTINCT FROM upper(w.note)"); got[0] != "0" {
		t.Errorf("%s rows have another value than they had", got[0])
	}
}

// TestKilledInARewrite: a rollback that is killed while it rewrites leaves all as it was, and the next one reaches the end.
func TestKilledInARewrite(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "00001_a.sql"), []byte(migration(dropsColumns, addsColumns)), 0o600); err != nil {
		t.Fatal(err)
	}
	testdb.Exec(t, dsn, strings.Split(broad("id"), ";\n")...)
	before := testdb.DumpAnyOrder(t, dsn)
	run := func(when func() bool, verb string) testdb.Result {
		return testdb.Run(t, testdb.Command{Args: []string{verb, "--dsn", dsn, "--dir", dir, "--yes"}, KillWhen: when})
	}
	if r := run(nil, "up"); r.Code != 0 {
		t.Fatal(r)
	}
	after := testdb.DumpAnyOrder(t, dsn)
	if r := run(testdb.Sees(t, dsn, "ALTER TABLE ONLY%USING%"), "rollback"); !r.Killed {
		t.Fatalf("it was faster: %v", r)
	}
	if got := testdb.DumpAnyOrder(t, dsn); got != after {
		t.Errorf("not as before the rollback:\n%s", testdb.Diff(after, got))
	}
	if r := run(nil, "rollback"); r.Code != 0 {
		t.Fatal(r)
	}
	if got := testdb.DumpAnyOrder(t, dsn); got != before {
		t.Errorf("not as before:\n%s", testdb.Diff(before, got))
	}
}
