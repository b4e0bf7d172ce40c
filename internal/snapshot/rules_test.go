package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestComputedByDown: a value that Down computes from newer data is not overwritten by a captured one.
func TestComputedByDown(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE u (id integer NOT NULL PRIMARY KEY, name varchar(20)); INSERT INTO u VALUES (1, 'Ann B.  Lee'), (2, 'Bob Ray'), (3, NULL)")
		table := "u"
		if b.db.Caps.Schemas {
			table = "public.u"
		}
		b.watch = snapshot.Watch{table: {{Reads: []string{"first", "last"}}}}
		b.up("ALTER TABLE u ADD COLUMN first varchar(20); ALTER TABLE u ADD COLUMN last varchar(20); UPDATE u SET first = substr(name, 1, 3), last = substr(name, 5); ALTER TABLE u DROP COLUMN name")
		b.exec("UPDATE u SET first = 'Rob' WHERE id = 2")
		rep := b.down("ALTER TABLE u ADD COLUMN name varchar(20); UPDATE u SET name = first || ' ' || last; ALTER TABLE u DROP COLUMN first; ALTER TABLE u DROP COLUMN last", snapshot.Keep)
		if got := strings.Join(b.query("SELECT coalesce(name, 'NULL') FROM u ORDER BY id"), ", "); got != "Ann B.  Lee, Rob Ray, NULL" {
			t.Errorf("got %s", got)
		}
		if got := summary(rep); got != "id=2 changed since keep" {
			t.Errorf("conflicts: %s", got)
		}
	}, everywhere...)
}

// TestSettle: a constraint of Down that only the old rows satisfy finds them.
func TestSettle(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v integer); CREATE UNIQUE INDEX i ON t (v); INSERT INTO t VALUES (1, 1), (2, 2)")
		drop := "DROP INDEX i"
		if mysqlLike(dsn) {
			drop = "DROP INDEX i ON t"
		}
		b.up(drop + "; UPDATE t SET v = 0")
		err := b.run(func(s *engine.Session, q engine.Querier) error {
			r, err := b.store.Restorer(ctx, q, 1, "up")
			if err != nil {
				return err
			}
			name := engine.Name{Name: "t"}
			if b.db.Caps.Schemas {
				name.Schema = "public"
			}
			pending := func(column string) bool {
				_, _, is, err := r.Pending(t.Context(), q, name, column)
				if err != nil {
					t.Fatal(err)
				}
				return is
			}
			if !pending("v") || pending("id") {
				t.Error("pending columns are wrong")
			}
			if err := b.end(s, q, func(q engine.Querier) error { return r.Check(ctx, q) }); err != nil {
				return err
			}
			if err := b.end(s, q, func(q engine.Querier) error { return r.Settle(ctx, q) }); err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, "CREATE UNIQUE INDEX i ON t (v)"); err != nil {
				return err
			}
			return b.end(s, q, func(q engine.Querier) error { _, err := r.Finish(ctx, q, snapshot.Fail, nil, nil); return err })
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(b.query("SELECT v FROM t ORDER BY id"), " "); got != "1 2" {
			t.Errorf("got %s", got)
		}
	}, everywhere...)
}

// TestNoPlace: captured rows without a place to go back to are an error, not silence.
func TestNoPlace(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v integer, w integer); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)")
		b.up("ALTER TABLE t DROP COLUMN v")
		_, err := b.tryBack("down", "SELECT 1", snapshot.Keep)
		var place *snapshot.PlaceError
		if !errors.As(err, &place) || strings.Join(place.Columns, ",") != "v" || place.Rows != 2 {
			t.Errorf("column: %v", err)
		}
		b.down("ALTER TABLE t ADD COLUMN v integer", snapshot.Keep)
		b.up("DROP TABLE t")
		if _, err = b.tryBack("down", "SELECT 1", snapshot.Keep); !errors.As(err, &place) || len(place.Columns) != 0 {
			t.Errorf("table: %v", err)
		}
		_, err = b.tryBack("down", "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v integer, w smallint CHECK (w < 2))", snapshot.Keep)
		if e, ok := engine.AsError(err); !ok || e.Class != engine.Constraint {
			t.Errorf("a row that does not fit: %v", err)
		}
	}, everywhere...)
}

// TestNarrowed: a value that Down's column would silently change is not reported as restored.
func TestNarrowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), "CREATE TABLE t (id integer PRIMARY KEY, v numeric, w varchar(20)); INSERT INTO t VALUES (1, 1.2345, 'abcdefghij')")
	b.up("ALTER TABLE t DROP COLUMN v, DROP COLUMN w")
	var proof *snapshot.ProofError
	if _, err := b.tryBack("down", "ALTER TABLE t ADD COLUMN v numeric(10,2), ADD COLUMN w varchar(20)", snapshot.Keep); !errors.As(err, &proof) {
		t.Errorf("numeric: %v", err)
	}
	if _, err := b.tryBack("down", "ALTER TABLE t ADD COLUMN v numeric, ADD COLUMN w varchar(5)", snapshot.Keep); err == nil {
		t.Error("varchar: not refused")
	}
	b.down("ALTER TABLE t ADD COLUMN v numeric(20,4), ADD COLUMN w text", snapshot.Keep)
	if got := b.query("SELECT v || ' ' || w FROM t"); got[0] != "1.2345 abcdefghij" {
		t.Errorf("got %v", got)
	}
}

// TestWithoutKey: a table without a key keeps what was written since, and its captured rows come back.
func TestWithoutKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, up, down, writes, keep, keeps string }{
		{"delete", "DELETE FROM t WHERE a <= 2", "SELECT 1", "INSERT INTO t VALUES (1, 'one'), (9, 'new'); DELETE FROM t WHERE a = 3", "1 one, 1 one, 1 one, 2 two, 4 four, 9 new", "row 4 deleted since keep"},
		{"drop column", "ALTER TABLE t DROP COLUMN b", "ALTER TABLE t ADD COLUMN b varchar(20)", "INSERT INTO t VALUES (9); DELETE FROM t WHERE a = 3", "1 one, 1 one, 2 two, 4 four, 9 NULL", "row 4 deleted since keep"},
		{"update, unchanged rows", "UPDATE t SET b = 'x' WHERE a = 1", "SELECT 1", "INSERT INTO t VALUES (9, 'new')", "1 one, 1 one, 2 two, 3 three, 4 four, 9 new", ""},
		{"update of all columns, then tangled", "UPDATE t SET a = a + 10, b = 'x'", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 13", "11 x, 11 x, 12 x, 13 app, 14 x", "row 1 changed since keep; row 2 changed since keep; row 3 changed since keep; row 4 changed since keep; row 5 changed since keep"},
		{"an empty one", "DELETE FROM t WHERE a > 100; INSERT INTO e VALUES (1, 'up')", "SELECT 1", "DELETE FROM t WHERE a = 4", "1 one, 1 one, 2 two, 3 three", "row 5 deleted since keep"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				b := newBench(t, dsn, "CREATE TABLE e (a integer, b varchar(20)); CREATE TABLE t (a integer, b varchar(20)); INSERT INTO t VALUES (1, 'one'), (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')")
				b.up(tc.up)
				b.exec(tc.writes)
				rep := b.down(tc.down, snapshot.Keep)
				if got := strings.Join(b.query("SELECT a || ' ' || coalesce(b, 'NULL') FROM t ORDER BY a, b"), ", "); got != tc.keep {
					t.Errorf("rows\n got %s\nwant %s", got, tc.keep)
				}
				if got := summary(rep); got != tc.keeps {
					t.Errorf("conflicts\n got %s\nwant %s", got, tc.keeps)
				}
				if left := b.query("SELECT a FROM e"); left != nil {
					t.Errorf("the empty table has %v", left)
				}
			}, everywhere...)
		})
	}
}

// TestGroups: where the application wrote to rows without a key that the migration had changed, only what cannot be told from them is in
// conflict. Everything else comes back.
func TestGroups(t *testing.T) {
	t.Parallel()
	const one, five = "1 one r, 1 uno r, 2 two s, 3 three s, 4 four u", "INSERT INTO t VALUES (1, 'one', 'r'), (1, 'uno', 'r'), (2, 'two', 's'), (3, 'three', 's'), (4, 'four', 'u')"
	for _, tc := range []struct {
		name, up, down, writes string
		policy                 snapshot.Policy
		rows, conflicts        string
	}{
		{"nobody wrote", "UPDATE t SET b = 'x'", "SELECT 1", "", snapshot.Keep, one, ""},
		{"one row changed", "UPDATE t SET b = 'x'", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 3", snapshot.Keep, "1 one r, 1 uno r, 2 two s, 3 app s, 4 four u", "row 4 changed since keep"},
		{"the same: restore", "UPDATE t SET b = 'x'", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 3; INSERT INTO t VALUES (9, 'new', 'n')", snapshot.Restore, "1 one r, 1 uno r, 2 two s, 3 three s, 4 four u, 9 new n", "1 row(s) without a key inserted since restore; row 4 changed since restore"},
		{"a changed row deleted", "UPDATE t SET b = 'x'", "SELECT 1", "DELETE FROM t WHERE a = 4; INSERT INTO t VALUES (7, 'new', 'n')", snapshot.Keep, "1 one r, 1 uno r, 2 two s, 3 three s, 7 new n", "row 5 deleted since keep"},
		{"rows of a group", "UPDATE t SET b = 'x'", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 1 AND c = 'r'", snapshot.Keep, "1 app r, 1 app r, 2 two s, 3 three s, 4 four u", "row 1 changed since keep; row 2 changed since keep"},
		{"moved to another group", "UPDATE t SET b = 'x'", "SELECT 1", "UPDATE t SET a = 2 WHERE a = 4", snapshot.Keep, "1 one r, 1 uno r, 2 two s, 2 x u, 3 three s", "row 5 deleted since keep"},
		{"the same, and Down changes it: restore", "UPDATE t SET b = 'x'", "UPDATE t SET b = b || '!'", "UPDATE t SET a = 2, b = 'app' WHERE a = 4", snapshot.Restore, "1 one r, 1 uno r, 2 app! u, 2 two s, 3 three s, 4 four u", "row 5 deleted since restore"},
		{"rows deleted by the migration", "UPDATE t SET b = 'x'; DELETE FROM t WHERE a < 3", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 4; INSERT INTO t VALUES (2, 'new', 's')", snapshot.Keep, "1 one r, 1 uno r, 2 new s, 2 two s, 3 three s, 4 app u", "row 5 changed since keep"},
		{"Down changes what was written since", "UPDATE t SET b = 'x'", "UPDATE t SET b = b || '!'", "UPDATE t SET b = 'app' WHERE a = 3; INSERT INTO t VALUES (9, 'new', 'n')", snapshot.Keep, "1 one r, 1 uno r, 2 two s, 3 app! s, 4 four u, 9 new! n", "row 4 changed since keep"},
		{"a column dropped beside", "UPDATE t SET b = 'x'; ALTER TABLE t DROP COLUMN c", "ALTER TABLE t ADD COLUMN c varchar(9)", "UPDATE t SET b = 'app' WHERE a = 3", snapshot.Keep, "1 one r, 1 uno r, 2 two s, 3 app NULL, 4 four u", "row 4 changed since keep"},
		{"inserted by the migration and changed since", "UPDATE t SET b = 'x'; INSERT INTO t VALUES (8, 'made', 'm')", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 8", snapshot.Keep, one + ", 8 app m", "1 row(s) without a key changed since keep"},
		{"no column that tells", "UPDATE t SET a = a + 10, b = 'x', c = 'y'", "SELECT 1", "DELETE FROM t WHERE a = 13", snapshot.Keep, "11 x y, 11 x y, 12 x y, 14 x y", "row 1 changed since keep; row 2 changed since keep; row 3 changed since keep; row 4 changed since keep; row 5 changed since keep"},
		{"inserted and deleted by the migration", "UPDATE t SET b = 'x' WHERE a > 2; DELETE FROM t WHERE a = 1; INSERT INTO t VALUES (8, 'made', 'm')", "SELECT 1", "UPDATE t SET b = 'app' WHERE a = 4", snapshot.Keep, "1 one r, 1 uno r, 2 two s, 3 three s, 4 app u", "row 5 changed since keep"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				b := newBench(t, dsn, "CREATE TABLE t (a integer, b varchar(20), c varchar(9))", five)
				b.up(tc.up)
				if tc.writes != "" {
					b.exec(strings.Split(tc.writes, "; ")...)
				}
				rep := b.down(tc.down, tc.policy)
				if got := strings.Join(b.query("SELECT a || ' ' || coalesce(b, 'NULL') || ' ' || coalesce(c, 'NULL') FROM t ORDER BY a, b, c"), ", "); got != tc.rows {
					t.Errorf("rows\n got %s\nwant %s", got, tc.rows)
				}
				if got := summary(rep); got != tc.conflicts {
					t.Errorf("conflicts\n got %s\nwant %s", got, tc.conflicts)
				}
			}, everywhere...)
		})
	}
}

// TestRights: without the right to watch a table, or to see all its rows, nothing is captured in part.
func TestRights(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	owner := newBench(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5) g; CREATE TABLE s (id integer PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'mine'), (2, 'hidden'); ALTER TABLE s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s USING (id = 1)")
	userDSN, name := testdb.Role(t, dsn)
	owner.exec(fmt.Sprintf(`GRANT CREATE ON DATABASE %s TO %s`, owner.query("SELECT quote_ident(current_database())")[0], owner.db.Ident(name)),
		"GRANT SELECT, INSERT, UPDATE, DELETE ON t, s TO "+owner.db.Ident(name))
	b := newBench(t, userDSN)
	before := owner.rows()
	b.roundTripAs(owner, "UPDATE t SET v = 'x' WHERE id > 3; DELETE FROM t WHERE id = 2; UPDATE t SET id = 11 WHERE id = 1; INSERT INTO t VALUES (7, 'new')", "DELETE FROM t WHERE id = 7")
	if _, err := b.tryUp("DELETE FROM s"); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("hidden rows: %v", err)
	}
	same(t, "after the refusal", before, owner.rows())

	// Nor does a setting of the migration hide rows from a capture: those of a table whose policies bind its owner, too.
	owner.exec("GRANT CREATE ON SCHEMA public TO " + owner.db.Ident(name))
	b.exec("CREATE TABLE own (id integer PRIMARY KEY, v text); INSERT INTO own VALUES (1, 'seen'), (2, 'hidden'); CREATE POLICY p ON own USING (id = 1); ALTER TABLE own ENABLE ROW LEVEL SECURITY; ALTER TABLE own FORCE ROW LEVEL SECURITY")
	for _, lossy := range []string{"ALTER TABLE own DROP COLUMN v", "TRUNCATE own", "DELETE FROM own"} {
		if _, err := b.tryUp("SET row_security = on; " + lossy); err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("hidden from its owner, %s: %v", lossy, err)
		}
	}
	if got := owner.query("SELECT string_agg(v, ',' ORDER BY id) FROM own")[0]; got != "seen,hidden" {
		t.Errorf("after the refusals: %s", got)
	}
}

// roundTripAs is roundTrip where another session can see all rows.
func (b *bench) roundTripAs(see *bench, up, down string) {
	b.t.Helper()
	before := see.rows()
	b.up(up)
	if rep := b.down(down, snapshot.Fail); !rep.Verified {
		b.t.Errorf("report: %+v", rep)
	}
	same(b.t, "after rollback", before, see.rows())
}

// TestForeignTable: what lies in another server cannot be captured.
func TestForeignTable(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a integer) SERVER s")
	var loss *snapshot.LossError
	if _, err := b.tryUp("DELETE FROM f"); !errors.As(err, &loss) || loss.Hint == "" {
		t.Errorf("not refused: %v", err)
	}
	b.exec("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)")
	b.up("DELETE FROM t")
	if _, err := b.tryUp("DROP SCHEMA dbrollback CASCADE"); !errors.As(err, &loss) {
		t.Errorf("our own schema: %v", err)
	}
	if _, err := b.tryUp("UPDATE dbrollback.state_snapshots SET status = 'void'"); !errors.As(err, &loss) {
		t.Errorf("our own table: %v", err)
	}
}

// TestRole: a migration that takes on another role is captured all the same.
func TestRole(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	_, name := testdb.Role(t, dsn)
	b := newBench(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
	b.exec("ALTER TABLE t OWNER TO "+b.db.Ident(name), "GRANT ALL ON SCHEMA public TO "+b.db.Ident(name))
	b.roundTrip("SET LOCAL ROLE "+b.db.Ident(name)+"; UPDATE t SET v = 'x'; DELETE FROM t; SELECT set_config('session_replication_role', 'replica', true) WHERE false", "SELECT 1")
}

// TestReplica: observers see writes also when triggers are switched off for the session.
func TestReplica(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
	b.roundTrip("SET LOCAL session_replication_role = replica; UPDATE t SET v = 'x'", "SELECT 1")
	_, err := b.tryUp("DO $$ BEGIN ALTER TABLE t DISABLE TRIGGER USER; UPDATE t SET v = 'y'; END $$")
	var uncaptured *snapshot.UncapturedError
	if !errors.As(err, &uncaptured) {
		t.Errorf("observers switched off, and nobody noticed: %v", err)
	}
}

// TestChains: rows that one statement writes more than once, also to what they were, come back as they were before the first.
func TestChains(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), "CREATE TABLE t (id integer PRIMARY KEY, a integer, c text); INSERT INTO t VALUES (1, 2, 'one'), (2, 3, 'two'), (3, 4, 'three')")
	for _, up := range []string{
		"DO $$ BEGIN UPDATE t SET a = 2; UPDATE t SET c = 'red'; END $$",                                                                         // the first leaves row 1 as it was
		"DO $$ BEGIN UPDATE t SET a = a + 1; UPDATE t SET a = a - 1; UPDATE t SET c = 'red'; END $$",                                             // there and back
		"DO $$ BEGIN UPDATE t SET a = a + 1; UPDATE t SET a = a - 1; UPDATE t SET a = a + 1; UPDATE t SET c = c || a; END $$",                    // twice the same step
		"DO $$ BEGIN DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 2, 'one'); UPDATE t SET c = 'red'; DELETE FROM t WHERE id = 2; END $$", // removed and made again
		"DO $$ BEGIN INSERT INTO t VALUES (9, 9, 'nine'); UPDATE t SET id = id + 10; DELETE FROM t WHERE id IN (12, 19); UPDATE t SET id = id - 10; END $$",
		"DO $$ BEGIN TRUNCATE t; INSERT INTO t VALUES (1, 5, 'new'), (7, 7, 'seven'); END $$",
	} {
		b.roundTrip(up, "SELECT 1")
	}
}

// TestSequences never come back below what was handed out.
func TestSequences(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), "CREATE TABLE t (id serial PRIMARY KEY, i integer GENERATED ALWAYS AS IDENTITY, v text); INSERT INTO t (v) SELECT 'x' FROM generate_series(1, 50); DELETE FROM t WHERE id > 40")
	b.up("DROP TABLE t")
	b.down("CREATE TABLE t (id serial PRIMARY KEY, i integer GENERATED ALWAYS AS IDENTITY, v text)", snapshot.Fail)
	if got := b.query("INSERT INTO t (v) VALUES ('next') RETURNING id || ' ' || i"); got[0] != "51 51" {
		t.Errorf("next: %v", got)
	}
	b.roundTrip("ALTER TABLE t DROP COLUMN i", "ALTER TABLE t ADD COLUMN i integer GENERATED ALWAYS AS IDENTITY")
	if got := b.query("INSERT INTO t (v) VALUES ('next') RETURNING id || ' ' || i"); got[0] < "52 52" {
		t.Errorf("next after the column was dropped: %v", got)
	}
}

// TestConstraintsWait: rows that were there come back although a key that was never validated would refuse them, and
// deferred checks of the migration itself still work.
func TestConstraintsWait(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), `CREATE TABLE p (id integer PRIMARY KEY, c integer);
		CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p DEFERRABLE INITIALLY DEFERRED, q integer);
		INSERT INTO p VALUES (1, 10), (2, 20); INSERT INTO c VALUES (10, 1, 7), (20, 2, 8);
		ALTER TABLE p ADD CONSTRAINT pc FOREIGN KEY (c) REFERENCES c; ALTER TABLE c ADD CONSTRAINT q FOREIGN KEY (q) REFERENCES p NOT VALID`)
	keys := func() string {
		return strings.Join(b.query("SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1"), "\n")
	}
	before := keys()
	b.roundTrip("INSERT INTO c VALUES (30, 3, 1); INSERT INTO p VALUES (3, 30); UPDATE p SET c = NULL; DELETE FROM c; DELETE FROM p", "SELECT 1")
	same(t, "foreign keys", before, keys())
}

// TestLarge prints what captures and restores of a larger table cost, with -v of a really larger one.
func TestLarge(t *testing.T) {
	t.Parallel()
	rows := 20_000
	if testing.Verbose() {
		rows = 200_000
	}
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(40), c text)",
			fmt.Sprintf("INSERT INTO t WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 1000) SELECT x.i + 1000 * (y.i - 1), x.i - 1, 'value ' || x.i, 'a longer text that fills the row a little more ' || y.i FROM g x, g y WHERE y.i <= %d", rows/1000))
		before := b.query("SELECT sum(a) || ' ' || count(*) || ' ' || sum(length(b)) FROM t")
		for _, st := range []struct{ up, down string }{
			{"UPDATE t SET a = a + 1", "SELECT 1"},
			{"UPDATE t SET b = 'x' WHERE a = 7", "SELECT 1"},
			{"DELETE FROM t WHERE a < 500", "SELECT 1"},
			{"ALTER TABLE t DROP COLUMN b", "ALTER TABLE t ADD COLUMN b varchar(40)"},
			{"DROP TABLE t", "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(40), c text)"},
		} {
			start := time.Now()
			b.up(st.up)
			up := time.Since(start)
			start = time.Now()
			b.down(st.down, snapshot.Fail)
			t.Logf("%-40s up %7.3fs, down %7.3fs", st.up, up.Seconds(), time.Since(start).Seconds())
			if after := b.query("SELECT sum(a) || ' ' || count(*) || ' ' || sum(length(b)) FROM t"); after[0] != before[0] {
				t.Errorf("%s: %s instead of %s", st.up, after, before)
			}
		}
	}, everywhere...)
}
