package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestAbortDropsInOrder: tables that point to each other go in an order that their foreign keys allow.
func TestAbortDropsInOrder(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, nil)
		before := f.dump()
		c := &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(`-- +goose Up
CREATE TABLE a_child (id integer PRIMARY KEY, parent integer);
CREATE TABLE m_parent (id integer PRIMARY KEY, first integer, FOREIGN KEY (first) REFERENCES a_child (id));
ALTER TABLE a_child ADD CONSTRAINT round FOREIGN KEY (parent) REFERENCES m_parent (id);
CREATE TABLE z_child (id integer PRIMARY KEY, parent integer, FOREIGN KEY (parent) REFERENCES m_parent (id));
INSERT INTO m_parent (id) VALUES (1);
INSERT INTO z_child VALUES (1, 1);
INSERT INTO a_child VALUES (1, 1);
INSERT INTO z_child VALUES (2, 99);
-- +goose Down
SELECT 1;
`)}}}
		if err := c.run(dsn, "up"); err == nil {
			t.Fatal("a row without a parent was inserted")
		}
		c.must("recover --abort")
		if got := f.dump(); got != before {
			t.Errorf("recover --abort:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}

// TestMadeUnlessThere: CREATE TABLE IF NOT EXISTS makes the table for which captured rows wait, or finds one.
func TestMadeUnlessThere(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, `-- +goose Up
CREATE TABLE IF NOT EXISTS pets (id integer PRIMARY KEY AUTO_INCREMENT, name varchar(20));
CREATE TABLE IF NOT EXISTS toys (id integer PRIMARY KEY, pet integer, FOREIGN KEY (pet) REFERENCES pets (id));
UPDATE people SET score = score + 1;
CREATE TABLE IF NOT EXISTS people (id integer PRIMARY KEY);
-- +goose Down
DROP TABLE IF EXISTS toys;
DROP TABLE IF EXISTS pets;
`)
		before := state(t, dsn)
		c.must("up")
		testdb.Exec(t, dsn, "INSERT INTO pets VALUES (4, 'rex'), (7, 'tom')", "INSERT INTO toys VALUES (1, 7)")
		after := state(t, dsn)
		for range 2 {
			c.must("rollback")
			if got := state(t, dsn); got != before {
				t.Fatalf("rollback:\n%s", testdb.Diff(before, got))
			}
			c.must("up")
			if got := state(t, dsn); got != after {
				t.Fatalf("up again:\n%s", testdb.Diff(after, got))
			}
		}
	}, family...)
}

// TestDriftAtTheEnd: a rollback at the end of which there is more than there was puts no rows back before somebody has decided: it can be taken
// back, and what differs can be accepted.
func TestDriftAtTheEnd(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nUPDATE people SET score = 7 WHERE id > 3;\nALTER TABLE people DROP COLUMN note;\nCREATE TABLE left_over (id integer PRIMARY KEY);\nINSERT INTO left_over VALUES (1);\n"+
			"-- +goose Down\nDROP TABLE left_over;\nALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';\nCREATE TABLE extra (id integer PRIMARY KEY);\n")
		all := func() []string { return strings.Split(testdb.Dump(t, dsn), "\n") }
		before := testdb.Query(t, dsn, "SELECT id, name, note, score FROM people ORDER BY id")
		c.must("up")
		after := all()
		var drift *migrate.DriftError
		fails := func(verb string) {
			t.Helper()
			if err := c.run(dsn, verb); !errors.As(err, &drift) || drift.When != "after" || drift.Back {
				t.Fatalf("%s: %v", verb, err)
			}
		}
		fails("rollback")
		c.must("recover --abort")
		if got := all(); !slices.Equal(got, after) {
			t.Errorf("taken back:\n%s", testdb.Diff(strings.Join(after, "\n"), strings.Join(got, "\n")))
		}
		fails("rollback")
		fails("recover")
		if res, err := c.open(dsn).Recover(t.Context(), migrate.RecoverRequest{AllowDrift: true}); err != nil || res.Verified || res.To != 0 {
			t.Fatalf("recover, whatever differs: %+v, %v", res, err)
		}
		if got := testdb.Query(t, dsn, "SELECT id, name, note, score FROM people ORDER BY id"); !slices.Equal(got, before) {
			t.Error("the rows are not back")
		}
		c.free("in the end")
	}, family...)
}

// TestIndexOfAForeignKeyReplaced: the server takes the index that it made for a foreign key away as soon as another one can serve it; a rollback that
// has to take that one away gives the first one back before.
func TestIndexOfAForeignKeyReplaced(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nCREATE INDEX calls_person_idx ON calls (person);\nCREATE INDEX mails_person_idx ON mails (person);\n-- +goose Down\nSELECT 1;\n")
		for table, key := range map[string]string{"calls": "", "mails": "CONSTRAINT mail_of "} {
			testdb.Exec(t, dsn, "CREATE TABLE "+table+" (id integer PRIMARY KEY, person integer, "+key+"FOREIGN KEY (person) REFERENCES people (id))", "INSERT INTO "+table+" SELECT id, id FROM people WHERE id < 9")
		}
		before := testdb.Dump(t, dsn)
		for range 2 {
			c.must("up")
			c.must("rollback")
			if got := testdb.Dump(t, dsn); got != before {
				t.Error(testdb.Diff(before, got))
			}
		}
	}, family...)
}

// TestSpeltCollation: MySQL shows the character set of a column once its collation has been named, as what Down forgot does.
func TestSpeltCollation(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, a text, b varchar(9), c integer) DEFAULT CHARACTER SET latin1 COLLATE latin1_general_cs", "INSERT INTO notes VALUES (1, 'A', 'b', 3)")
		c := newCutter(t, dsn, "-- +goose Up\nALTER TABLE notes DROP COLUMN a, DROP COLUMN b;\n-- +goose Down\nALTER TABLE notes ADD COLUMN a text;\n")
		c.must("up")
		c.must("rollback")
		if got := testdb.Query(t, dsn, "SELECT * FROM notes"); !slices.Equal(got, []string{"1|A|b|3"}) {
			t.Errorf("rows %v", got)
		}
	}, family...)
}

// TestAbortWhereAnotherTableStands: a rollback that stops at its end, after Down has put a new table into the place of the old one, is
// taken back: the rows that stood there are there again.
func TestAbortWhereAnotherTableStands(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, v integer, gone integer)", "INSERT INTO notes VALUES (4, NULL, 0), (7, 1, 1), (8, 13, 1)")
		c := newCutter(t, dsn, `-- +goose Up
CREATE TABLE moved (id integer PRIMARY KEY, v integer);
INSERT INTO moved SELECT id, v FROM notes WHERE id < 8;
DROP TABLE notes;
ALTER TABLE moved RENAME TO notes;
UPDATE notes SET v = v + 2;
-- +goose Down
UPDATE notes SET v = v - 2;
CREATE TABLE old (id integer PRIMARY KEY, v integer, gone integer);
INSERT INTO old (id, v) SELECT id, v FROM notes;
DROP TABLE notes;
ALTER TABLE old RENAME TO notes;
SELECT (SELECT 1 UNION SELECT 2);
`)
		c.must("up")
		testdb.Exec(t, dsn, "UPDATE notes SET id = 3004 WHERE id = 4")
		want := state(t, dsn)
		var conflict *snapshot.ConflictError
		if _, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0, OnConflict: snapshot.Fail}); !errors.As(err, &conflict) {
			t.Errorf("rollback under fail: %v", err)
		}
		if got := state(t, dsn); got != want {
			t.Errorf("a rollback that is refused because of conflicts:\n%s", testdb.Diff(want, got))
		}
		if _, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err == nil {
			t.Fatal("Down has no statement that fails")
		}
		c.must("recover --abort")
		if got := state(t, dsn); got != want {
			t.Errorf("recover --abort:\n%s", testdb.Diff(want, got))
		}
	}, family...)
}

// TestColumnOfAnEmptiedTable: values of a column that was dropped before the table was emptied come with the rows.
func TestColumnOfAnEmptiedTable(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, v integer, gone integer)", "INSERT INTO notes VALUES (3, 1, 0), (4, 2, 1)")
		c := newCutter(t, dsn, "-- +goose Up\nALTER TABLE notes DROP COLUMN gone;\nTRUNCATE TABLE notes;\n-- +goose Down\nALTER TABLE notes ADD COLUMN gone integer;\n")
		c.must("up")
		testdb.Exec(t, dsn, "INSERT INTO notes VALUES (3, 9)")
		res, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		if err != nil {
			t.Fatal(err)
		}
		if got := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id"); !slices.Equal(got, []string{"3|9|NULL", "4|2|1"}) {
			t.Errorf("rows %v", got)
		}
		for _, x := range res.Conflicts {
			if x.Key != "id=3" {
				t.Errorf("conflict %+v", x)
			}
		}
	}, family...)
}

// TestUpdateOfWhatIsNew: an UPDATE that assigns only what the migration has made destroys nothing, whatever hangs on its table.
func TestUpdateOfWhatIsNew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE parents (id integer PRIMARY KEY, v integer)", "CREATE TABLE children (id integer PRIMARY KEY, p integer, FOREIGN KEY (p) REFERENCES parents (id) ON UPDATE CASCADE)",
			"INSERT INTO parents VALUES (1, 1), (2, 2)", "INSERT INTO children VALUES (1, 1)")
		c := newCutter(t, dsn, "-- +goose Up\nALTER TABLE parents ADD COLUMN n integer;\nUPDATE parents SET n = 12;\nUPDATE parents JOIN children ON children.p = parents.id SET parents.n = 3, children.id = 5;\n-- +goose Down\nALTER TABLE parents DROP COLUMN n;\n")
		before := state(t, dsn)
		c.must("up")
		c.must("rollback")
		if got := state(t, dsn); got != before {
			t.Errorf("rollback:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}

// TestDownWritesWhatCameBack: Down makes a dropped column anew, which brings its values back, and then computes it: that is nobody else's
// writing, and what somebody else writes between the two is.
func TestDownWritesWhatCameBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, v integer)", "INSERT INTO notes VALUES (6, 5), (7, NULL), (8, 13)",
			"CREATE TABLE whole (id integer PRIMARY KEY, v integer)", "INSERT INTO whole SELECT * FROM notes")
		c := newCutter(t, dsn, "-- +goose Up\nUPDATE notes SET v = v + 5;\nALTER TABLE notes DROP COLUMN v;\nUPDATE whole SET v = v + 4;\nDROP TABLE whole;\n"+
			"-- +goose Down\nCREATE TABLE whole (id integer PRIMARY KEY, v integer);\nUPDATE whole SET v = v - 4;\nALTER TABLE notes ADD COLUMN v integer;\nUPDATE people SET score = score;\nUPDATE notes SET v = v - 5;\n")
		before := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id")
		c.must("up")
		res, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		if err != nil || len(res.Conflicts) > 0 {
			t.Fatalf("rollback: %v, %+v", err, res.Conflicts)
		}
		if got := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id"); !slices.Equal(got, before) {
			t.Errorf("rows %v, want %v", got, before)
		}
		if got := testdb.Query(t, dsn, "SELECT * FROM whole ORDER BY id"); !slices.Equal(got, before) {
			t.Errorf("rows of the table that was dropped %v, want %v", got, before)
		}
		c.must("up")
		out := c.during("rollback", "UPDATE people", func() { testdb.Exec(t, dsn, "UPDATE notes SET v = 100 WHERE id = 8") })
		if got := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id"); len(out.res.Conflicts) == 0 || !slices.Equal(got[:2], before[:2]) || got[2] == before[2] {
			t.Errorf("written in between: rows %v, conflicts %+v", got, out.res.Conflicts)
		}
	}, family...)
}

// TestAbortOfATypeChange: values that were cut to fit another type have their own again when a later statement fails and the run is taken back.
func TestAbortOfATypeChange(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, b text)", "INSERT INTO notes VALUES (6, 'alpha'), (7, NULL), (8, 'a longer')")
		before := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id")
		c := newCutter(t, dsn, "-- +goose Up\nUPDATE notes SET b = left(b, 4);\nALTER TABLE notes CHANGE b b varchar(4);\nINSERT INTO notes VALUES (9, 'much too long');\n-- +goose Down\nALTER TABLE notes MODIFY b text;\n")
		if err := c.run(dsn, "up"); err == nil {
			t.Fatal("a text went where it does not fit")
		}
		c.must("recover --abort")
		if got := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id"); !slices.Equal(got, before) {
			t.Errorf("rows %v, want %v", got, before)
		}
	}, family...)
}

// TestAbortOfLabels: labels that were made texts, some of which are no labels any more, are labels again.
func TestAbortOfLabels(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		var setup, up, down string
		for name, key := range map[string]string{"bare": "", "keyed": " PRIMARY KEY"} {
			setup += "CREATE TABLE " + name + " (id integer" + key + ", e enum('new', 'paid', '') NOT NULL, s set('a', 'b'));\nINSERT INTO " + name + " VALUES (1, 'new', 'a,b'), (2, 'paid', NULL), (3, '', '');\n"
			up += "ALTER TABLE " + name + " MODIFY e varchar(9) NOT NULL;\nALTER TABLE " + name + " MODIFY s varchar(9);\nUPDATE " + name + " SET e = concat(e, '!'), s = 'zz' WHERE id < 3;\n"
			down += "ALTER TABLE " + name + " MODIFY s set('a', 'b');\nALTER TABLE " + name + " MODIFY e enum('new', 'paid', '') NOT NULL;\n"
		}
		f := newFixture(t, dsn, setup, map[string]string{"00001_x.sql": migration(up+"INSERT INTO nothere VALUES (1);", down)})
		before := f.dump()
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
			t.Fatal("up got through")
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatalf("recover --abort: %v", err)
		}
		f.same(before, f.dump(), "taken back")
	}, family...)
}

// TestAbortOfAnInheritedColumn: a column that heirs had from their parent comes back with the parent's.
func TestAbortOfAnInheritedColumn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE par (id integer PRIMARY KEY, a integer, c varchar(9));\nCREATE TABLE heir (more text, PRIMARY KEY (id)) INHERITS (par);\nINSERT INTO par VALUES (1, 10, 'x');\nINSERT INTO heir VALUES (101, 12, 'y', 'm');\n",
			map[string]string{"00001_x.sql": "-- +goose NO TRANSACTION\n" + migration("ALTER TABLE par DROP COLUMN a;\nALTER TABLE par DROP COLUMN c;\nINSERT INTO nothere VALUES (1);", "ALTER TABLE par ADD COLUMN c varchar(9);\nALTER TABLE par ADD COLUMN a integer;")})
		before := f.dump()
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
			t.Fatal("up got through")
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatalf("recover --abort: %v", err)
		}
		f.same(before, f.dump(), "taken back")
		if got := testdb.Query(t, dsn, "SELECT attislocal, attinhcount FROM pg_attribute WHERE attrelid = 'heir'::regclass AND attname = 'a'"); got[0] != "false|1" {
			t.Errorf("heir.a is local, times inherited: %s", got[0])
		}
	}, testdb.OnPostgres)
}

// TestAbortOfAColumnMadeAgain: a Down that made a column again as another type, with the values that were captured, is taken back: those
// need not fit the type that it had.
func TestAbortOfAColumnMadeAgain(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, b varchar(9))", "INSERT INTO notes VALUES (1, 'one'), (2, NULL), (3, '3')")
		c := newCutter(t, dsn, "-- +goose Up\nALTER TABLE notes DROP COLUMN b;\nALTER TABLE notes ADD COLUMN b integer DEFAULT 5;\n"+
			"-- +goose Down\nALTER TABLE notes DROP COLUMN b;\nALTER TABLE notes ADD COLUMN b varchar(9);\nUPDATE people SET score = score;\n")
		before := state(t, dsn)
		c.must("up")
		testdb.Exec(t, dsn, "UPDATE notes SET b = 77 WHERE id = 2")
		written := state(t, dsn)
		if at, err := c.cutWhere("rollback", beforeIt, func(q string) bool { return strings.HasPrefix(q, "UPDATE people SET score = score") }); err == nil {
			t.Fatalf("not cut off: %q", at)
		}
		c.must("recover --abort")
		if got := state(t, dsn); got != written {
			t.Fatalf("taken back:\n%s", testdb.Diff(written, got))
		}
		c.must("rollback")
		if got := state(t, dsn); got != before {
			t.Errorf("rollback:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}

// TestAbortOfAColumnThatCounts: an up that gave a table without a key a column that counts by itself, its primary key, is taken back.
func TestAbortOfAColumnThatCounts(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE bare (r integer, b varchar(9));\nINSERT INTO bare VALUES (1, 'a'), (1, 'a'), (2, 'b');\nCREATE TABLE big (v integer);\nINSERT INTO big VALUES (300);\n", map[string]string{
			"00001_x.sql": migration("ALTER TABLE bare ADD COLUMN n integer NOT NULL AUTO_INCREMENT PRIMARY KEY;\nDELETE FROM bare WHERE n = 2;\nALTER TABLE big ADD COLUMN y tinyint;\nUPDATE big SET y = v;", "SELECT 1;"),
		})
		before := testdb.DumpAnyOrder(t, dsn)
		var partial *migrate.PartialError
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); !errors.As(err, &partial) || !partial.Unfinished {
			t.Fatalf("err = %v", err)
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatalf("recover --abort: %v", err)
		}
		if diff := testdb.Diff(before, testdb.DumpAnyOrder(t, dsn)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	}, family...)
}
