package migrate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
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

const (
	changesTypes     = "ALTER TABLE wide ALTER COLUMN note TYPE text COLLATE \"C\" USING left(note, 2), ALTER COLUMN amount TYPE integer USING amount::integer;"
	changesTypesBack = "ALTER TABLE wide ALTER COLUMN note TYPE varchar(40) COLLATE \"C\", ALTER COLUMN amount TYPE numeric(12,3);"
)

// TestTypesComeBackByRewrite: values that a change of type has cut off come back by one rewrite, too; what the application wrote there since stays, in every row.
func TestTypesComeBackByRewrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, keys, more string
		rewritten        bool
	}{
		{"integer key", "id", "", true},
		{"composite key with a collation of its own", "tag, id", "", true},
		{"clustered otherwise since", "id", "CREATE INDEX wide_tag ON wide (tag); CLUSTER wide USING wide_tag", true},
		{"with an index of its own", "id", "CREATE INDEX wide_note ON wide (note); COMMENT ON INDEX wide_note IS 'of notes'", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			f := newFixture(t, dsn, broad(c.keys), map[string]string{"00001_a.sql": migration(changesTypes, changesTypesBack)})
			f.up()
			testdb.Exec(t, dsn, broadLater...)
			testdb.Exec(t, dsn, "UPDATE wide SET note = 'mine ' || id WHERE id % 500 = 3", "UPDATE wide SET amount = -1 WHERE id % 1000 = 4")
			if c.more != "" {
				testdb.Exec(t, dsn, strings.Split(c.more, "; ")...)
			}
			testdb.Exec(t, dsn, "VACUUM FULL ANALYZE wide", "DELETE FROM heard")
			others := "SELECT ctid IS NULL, id, code, tag, pad, seen, at FROM wide ORDER BY id"
			before, size := testdb.Query(t, dsn, others), testdb.Query(t, dsn, "SELECT pg_relation_size('wide')")[0]
			mine := strings.Join(testdb.Query(t, dsn, "SELECT id FROM wide WHERE note LIKE 'mine%' OR amount = -1 ORDER BY 1"), " ")
			plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Down, To: -1, Steps: 1})
			if err != nil {
				t.Fatal(err)
			}
			if way := plan.Migrations[0].Back[0]; (way.Way.Way == snapshot.BySize) != c.rewritten || !c.rewritten && way.Way.Way != snapshot.ByUpdate || way.Seconds <= 0 {
				t.Errorf("the plan says %+v", way)
			}
			res := f.rollback(migrate.RollbackRequest{To: -1, Steps: 1, AllowDrift: c.more != ""})
			f.same(strings.Join(before, "\n"), strings.Join(testdb.Query(t, dsn, others), "\n"), "other columns")
			want := "w.note IS DISTINCT FROM CASE WHEN w.id % 500 = 3 AND w.id <= 25000 THEN 'mine ' || w.id WHEN w.id > 30000 THEN 'none' ELSE was.note END OR " +
				"w.amount IS DISTINCT FROM CASE WHEN w.id % 1000 = 4 AND w.id <= 25000 THEN -1 ELSE was.amount END"
			// A row that the application has written to is in conflict with all that was captured of it.
			if got := testdb.Query(t, dsn, "SELECT w.id FROM wide w LEFT JOIN was USING (id) WHERE "+want+" ORDER BY 1"); slices.ContainsFunc(got, func(id string) bool { return !slices.Contains(strings.Fields(mine), id) }) {
				t.Errorf("rows with another value than they had: %.300v", got)
			}
			if got := strings.Join(testdb.Query(t, dsn, "SELECT id FROM wide WHERE note LIKE 'mine%' OR amount = -1 ORDER BY 1"), " "); got != mine {
				t.Errorf("what the application wrote: %.300s\nwas %.300s", got, mine)
			}
			if got := testdb.Query(t, dsn, "SELECT count(*) FROM heard"); got[0] != "0" {
				t.Errorf("a trigger fired for %s rows", got[0])
			}
			if got := testdb.Query(t, dsn, "SELECT pg_relation_size('wide') < "+size+" * 1.4")[0] == "true"; got != c.rewritten {
				t.Errorf("rewritten: %v", got)
			}
			if !res.Verified || res.Tables[0].Updated < 20000 || len(res.Conflicts) == 0 {
				t.Errorf("%+v", res.Tables)
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
	t.Run("columns", func(t *testing.T) { t.Parallel(); killedInARewrite(t, migration(dropsColumns, addsColumns)) })
	t.Run("types", func(t *testing.T) { t.Parallel(); killedInARewrite(t, migration(changesTypes, changesTypesBack)) })
}

func killedInARewrite(t *testing.T, text string) {
	t.Helper()
	dsn := testdb.Postgres(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "00001_a.sql"), []byte(text), 0o600); err != nil {
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

// TestWrittenAfterARewrite: what a later statement of Down does to a column that a rewrite brought back, and to the rows that it was brought
// back in, is seen by the proof, and put right as where there was no rewrite.
func TestWrittenAfterARewrite(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	down := "SET LOCAL synchronize_seqscans = off;\nALTER TABLE wide ADD COLUMN at timestamptz;\nINSERT INTO setting SELECT current_setting('synchronize_seqscans');\n-- +goose StatementBegin\n" +
		"DO $$ BEGIN UPDATE wide SET at = now() WHERE id % 5 = 0; DELETE FROM wide WHERE id BETWEEN 500 AND 520; END $$;\n-- +goose StatementEnd"
	f := newFixture(t, dsn, broad("id")+";\nCREATE TABLE setting (s text)", map[string]string{"00001_a.sql": migration("ALTER TABLE wide DROP COLUMN at;", down)})
	f.up()
	testdb.Exec(t, dsn, "CREATE TABLE rest AS SELECT id FROM wide WHERE id NOT BETWEEN 500 AND 520")
	res := f.rollback(migrate.RollbackRequest{To: -1, Steps: 1})
	if got := testdb.Query(t, dsn, "SELECT count(*) FROM (SELECT id, at FROM wide EXCEPT SELECT id, at FROM was) x UNION ALL SELECT count(*) FROM (SELECT id FROM rest EXCEPT SELECT id FROM wide) x UNION ALL SELECT count(*) FROM wide WHERE id BETWEEN 500 AND 520"); strings.Join(got, " ") != "0 0 21" {
		t.Errorf("rows with another value than they had, rows that are not there, rows that Down removed and that are back: %v", got)
	}
	if got := testdb.Query(t, dsn, "SELECT s FROM setting"); strings.Join(got, " ") != "off" {
		t.Errorf("synchronize_seqscans is %v", got)
	}
	if !res.Verified || len(res.Conflicts) > 0 {
		t.Errorf("%+v", res)
	}
}

// TestPlanSaysHowColumnsComeBack: the plan of a rollback tells which way captured data will go back, chosen as the rollback chooses, and a plan of
// either direction who waits for its locks and about how long; neither is part of what an approval binds.
func TestPlanSaysHowColumnsComeBack(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	f := newFixture(t, dsn, broad("id"), map[string]string{
		"00001_a.sql": migration("ALTER TABLE wide DROP COLUMN at;", "ALTER TABLE wide ADD COLUMN at timestamptz;"),
		"00002_b.sql": migration("UPDATE wide SET note = 'x' WHERE id < 100;", "SELECT 1;"),
		"00003_c.sql": migration("DELETE FROM wide WHERE id > 24990;", "SELECT 1;"),
		"00004_d.sql": migration("DROP TABLE was;", "CREATE TABLE was (id integer, note varchar(40) COLLATE \"C\", amount numeric(12,3), at timestamptz);"),
	})
	up, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
	if err != nil {
		t.Fatal(err)
	}
	first := up.Migrations[0].Steps[0].Locks
	if len(first) != 1 || first[0].KeepsOut != "readers and writers" || first[0].Seconds <= 0 {
		t.Errorf("%+v", first)
	}
	f.up()
	plan := func() *migrate.Plan {
		p, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Down, To: 0})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := plan()
	var got []string
	for _, m := range p.Migrations {
		for _, b := range m.Back {
			got = append(got, fmt.Sprintf("%d %s %s %v %d", m.Version, b.Table, b.Way.Way, b.Columns, b.Rows))
		}
	}
	want := "4 public.was rename [id note amount at] 25000\n3 public.wide update [id code tag pad note amount seen] 10\n2 public.wide update [note] 99\n1 public.wide rewrite [at] 25000"
	f.same(want, strings.Join(got, "\n"), "ways")
	testdb.Exec(t, dsn, "INSERT INTO wide (id, code, tag) SELECT g, 'new ' || g, 'new' || g FROM generate_series(100001, 110000) g", "ANALYZE wide")
	if again := plan(); again.Hash != p.Hash || again.Migrations[3].Back[0].Of == p.Migrations[3].Back[0].Of {
		t.Errorf("%s, then %s; %+v", p.Hash, again.Hash, again.Migrations[3].Back)
	}
}

// TestCopiesDependOnNothing: the table that holds a copy has plain columns, numbered, whatever collations and types the user's has: those
// can go, and the copy stays.
func TestCopiesDependOnNothing(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	f := newFixture(t, dsn, `CREATE COLLATION by_bytes FROM "C"; CREATE DOMAIN word AS varchar(20) COLLATE by_bytes; CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE worded (id text COLLATE by_bytes PRIMARY KEY, w word, m mood, tags text[] COLLATE by_bytes, c char(5) COLLATE by_bytes, n numeric(12,3), span interval(2), nm name, bits bit varying(9));
INSERT INTO worded VALUES ('a', 'A', 'good', ARRAY['x', NULL], 'c', 1.5, '1.25 s', 'n', B'101'), ('B', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
		map[string]string{"00001_a.sql": migration("ALTER TABLE worded DROP COLUMN w, DROP COLUMN m, DROP COLUMN tags, DROP COLUMN c, DROP COLUMN n, DROP COLUMN span, DROP COLUMN nm, DROP COLUMN bits;",
			"ALTER TABLE worded ADD COLUMN w word, ADD COLUMN m mood, ADD COLUMN tags text[] COLLATE by_bytes, ADD COLUMN c char(5) COLLATE by_bytes, ADD COLUMN n numeric(12,3), ADD COLUMN span interval(2), ADD COLUMN nm name, ADD COLUMN bits bit varying(9);")})
	before := f.dump()
	f.up()
	got := testdb.Query(t, dsn, `SELECT count(*) FILTER (WHERE a.attcollation >= 16384) || ': ' || string_agg(format('%s %s %s%s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity), ', ' ORDER BY a.attnum)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'dbrollback'::regnamespace AND c.relname LIKE 'dbrollback_data%' AND c.relkind = 'r' AND a.attnum > 0`)
	want := "0: n bigint ta, k1 text f, c1 text f, c2 text f, c3 text[] f, c4 character(5) f, c5 numeric(12,3) f, c6 interval(2) f, c7 name f, c8 bit varying(9) f"
	f.same(want, strings.Join(got, "\n"), "columns")
	f.rollback(migrate.RollbackRequest{To: -1, Steps: 1})
	f.same(before, f.dump(), "after the rollback")
}
