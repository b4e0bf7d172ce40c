package migrate_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// goods is a table with a wide column, and with rows enough for an estimate to be none.
const ware = `
CREATE TABLE ware (id integer PRIMARY KEY, name varchar(40) NOT NULL, note varchar(200), stars integer NOT NULL DEFAULT 3, price integer NOT NULL, kind varchar(9) DEFAULT 'a');
INSERT INTO ware VALUES (1, 'Axe', 'sharp', 5, 100, 'b'), (2, 'Bow', NULL, 3, 200, NULL), (3, 'Cup', 'x''y', 1, 300, 'a'), (4, 'Die', '', 2, 400, 'c');
`

// TestKeptColumns: what is dropped stays with its row, rows that came since have what Down gives them, and it goes on like that.
func TestKeptColumns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, up, down, want, sqlite string }{
		{"nothing given", "ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(200);", "1 sharp, 3 x'y, 4 , 5 NULL, 6 NULL", ""},
		{"a default given", "ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(200) DEFAULT 'new';", "1 sharp, 3 x'y, 4 , 5 new, 6 new", "1 sharp, 3 x'y, 4 , 5 NULL, 6 NULL"},
		{"its own default", "ALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars integer NOT NULL DEFAULT 3;", "1 5, 3 1, 4 2, 5 3, 6 3", ""},
		{"another default", "ALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars integer NOT NULL DEFAULT 7;", "1 5, 3 1, 4 2, 5 7, 6 7", "1 5, 3 1, 4 2, 5 3, 6 3"},
		{"no default of its own", "ALTER TABLE ware DROP COLUMN price;", "ALTER TABLE ware ADD COLUMN price integer NOT NULL DEFAULT 9;", "1 100, 3 300, 4 400, 5 9, 6 9", "copied"},
		{"a default of one that can be null", "ALTER TABLE ware DROP COLUMN kind;", "ALTER TABLE ware ADD COLUMN kind varchar(9) DEFAULT 'a';", "1 b, 3 a, 4 c, 5 a, 6 a", ""},
		{"Down forgets the default", "ALTER TABLE ware DROP COLUMN kind;", "ALTER TABLE ware ADD COLUMN kind varchar(9);", "1 b, 3 a, 4 c, 5 NULL, 6 NULL", "1 b, 3 a, 4 c, 5 a, 6 a"},
		{"another type", "ALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars bigint NOT NULL DEFAULT 7;", "1 5, 3 1, 4 2, 5 7, 6 7", "1 5, 3 1, 4 2, 5 3, 6 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, ware, map[string]string{"00001_a.sql": migration(c.up, c.down)})
				f.columns = true
				f.up()
				kind, want := "kept_columns", c.want
				if strings.HasPrefix(dsn, "sqlite") && c.sqlite == "copied" { // no row could be inserted meanwhile
					kind = "columns"
				} else if strings.HasPrefix(dsn, "sqlite") && c.sqlite != "" {
					want = c.sqlite
				}
				if got := f.captured(); got != kind+" ware complete" {
					t.Fatalf("captured %s", got)
				}
				column := strings.TrimSuffix(strings.Fields(c.up)[5], ";")
				rest := []string{"id", "name"}
				for _, other := range []string{"note", "stars", "price", "kind"} {
					if other != column {
						rest = append(rest, other)
					}
				}
				f.exec("INSERT INTO ware (" + strings.Join(rest, ", ") + ") SELECT id + 4, " + strings.Join(rest[1:], ", ") + " FROM ware WHERE id < 3;\n" +
					"DELETE FROM ware WHERE id = 2;\nUPDATE ware SET name = 'Zip' WHERE id = 3;\n")
				res, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{Steps: 1, To: -1, AllowDrift: c.name == "another type"})
				if err != nil {
					t.Fatal(err)
				}
				if len(res.Conflicts) > 0 && kind == "kept_columns" {
					t.Errorf("conflicts: %v", res.Conflicts)
				}
				rows := testdb.Query(t, dsn, "SELECT id, "+column+" FROM ware ORDER BY id")
				if got := strings.ReplaceAll(strings.Join(rows, ", "), "|", " "); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				if got := testdb.Query(t, dsn, "SELECT id, name FROM ware ORDER BY id"); strings.Join(got, ", ") != "1|Axe, 3|Zip, 4|Die, 5|Axe, 6|Bow" {
					t.Errorf("rows: %v", got)
				}
				if _, err := snapshot.New(f.db, "").Prune(t.Context(), f.db, snapshot.PruneOptions{}); err != nil { // of columns that became a copy
					t.Fatal(err)
				}
				if d := f.dump(); strings.Contains(d, "dbrollback_col") || strings.Contains(d, "dbrollback_new") {
					t.Errorf("left over:\n%s", d)
				}
			}, keepers...)
		})
	}
}

// keepers are the engines that keep columns.
var keepers = testdb.Everywhere()

// captured lists kind, table and status of the captures with rows.
func (f *fixture) captured() string {
	f.t.Helper()
	table := "state_snapshots"
	if strings.HasPrefix(f.dsn, "postgres") {
		table = "dbrollback." + table
	}
	return strings.ReplaceAll(strings.Join(testdb.Query(f.t, f.dsn, "SELECT kind, table_name, status FROM "+table+" WHERE kind <> 'definition' ORDER BY captured_at, position"), ", "), "|", " ")
}

// TestKeptColumnsGoAlong: what later migrations do to the table, they do to kept columns, too: it is renamed, keys are moved, rows go, all of it
// goes, kept or copied, a column of the same name comes and goes; and all comes back.
func TestKeptColumnsGoAlong(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"00001_a.sql": migration("ALTER TABLE ware DROP COLUMN note;\nALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars integer NOT NULL DEFAULT 3;\nALTER TABLE ware ADD COLUMN note varchar(200);"),
		"00002_b.sql": migration("ALTER TABLE ware ADD COLUMN note varchar(20) DEFAULT 'again';", "ALTER TABLE ware DROP COLUMN note;"),
		"00003_c.sql": migration("ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(20) DEFAULT 'again';"),
		"00004_d.sql": migration("DELETE FROM ware WHERE id = 2;\nUPDATE ware SET id = id + 10;\nALTER TABLE ware RENAME TO wares;", "ALTER TABLE wares RENAME TO ware;\nUPDATE ware SET id = id - 10;"),
		"00005_e.sql": migration("DROP TABLE wares;", "CREATE TABLE wares (id integer PRIMARY KEY, name varchar(40) NOT NULL, price integer NOT NULL, kind varchar(9) DEFAULT 'a');"),
	}
	for _, copied := range []bool{false, true} {
		testdb.Each(t, func(t *testing.T, dsn string) {
			f := newFixture(t, dsn, ware, files)
			f.columns, f.copy = true, copied
			const all = "SELECT id, name, note, stars, price, kind FROM ware ORDER BY id"
			before := testdb.Query(t, dsn, all)
			f.up()
			if got := strings.Count(f.captured(), "kept_columns"); got != 3 {
				t.Fatalf("%d captures of kept columns: %s", got, f.captured())
			}
			for _, v := range verified(t, f) {
				if !v.OK {
					t.Errorf("%s: %s", v.Table, v.Reason)
				}
			}
			if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 || !res.Verified {
				t.Errorf("conflicts %v, verified %v", res.Conflicts, res.Verified)
			}
			if after := testdb.Query(t, dsn, all); !slices.Equal(after, before) {
				t.Errorf("rows are\n%s\nwere\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
			}
			if d := f.dump(); strings.Contains(d, "dbrollback_col") || strings.Contains(d, "dbrollback_new") {
				t.Errorf("left over:\n%s", d)
			}
		}, keepers...)
	}
}

func verified(t *testing.T, f *fixture) []snapshot.Verification {
	t.Helper()
	out, err := snapshot.New(f.db, "").Verify(t.Context(), f.db, "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKeptColumnsArePruned: nothing of them is left in the table, nobody takes them for drift before, and drift is still seen. A rollback after that says
// that the values are gone.
func TestKeptColumnsArePruned(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, ware, map[string]string{"00001_a.sql": migration("ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(200);")})
		f.columns = true
		f.up()
		drift := func() int {
			t.Helper()
			s, err := f.open().Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(s.Drift)
		}
		if n := drift(); n != 0 {
			t.Errorf("%d objects drift", n)
		}
		f.exec("ALTER TABLE ware ADD COLUMN note varchar(9);\n")
		if n := drift(); n != 1 {
			t.Errorf("%d objects drift, want the column that somebody made", n)
		}
		f.exec("ALTER TABLE ware DROP COLUMN note;\n")
		if _, err := snapshot.New(f.db, "").Prune(t.Context(), f.db, snapshot.PruneOptions{Before: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if d := f.dump(); strings.Contains(d, "dbrollback_") && strings.Contains(d, "ware.dbrollback_") {
			t.Errorf("left over:\n%s", d)
		}
		if got := testdb.Query(t, dsn, "SELECT * FROM ware WHERE id = 1")[0]; got != "1|Axe|5|100|b" {
			t.Errorf("the row is %s", got)
		}
	}, keepers...)
}

// TestKeptColumnsAndADownThatWrites: where Down does more to the table than to add the column, the column is copied: its values are the ones
// that Down may compute.
func TestKeptColumnsAndADownThatWrites(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, ware, map[string]string{"00001_a.sql": migration("ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(200);\nUPDATE ware SET note = name;")})
		f.columns = true
		before := f.dump()
		f.up()
		if got := f.captured(); got != "columns ware complete" {
			t.Errorf("captured %s", got)
		}
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after rollback")
	}, testdb.OnPostgres, testdb.OnSQLite)
}

// TestCutOffWhileColumnsAreKept: the client dies at what it sends about kept columns, on the way there and back. Nothing is lost, and nothing is
// left over.
func TestCutOffWhileColumnsAreKept(t *testing.T) {
	t.Parallel()
	about := regexp.MustCompile("^ALTER TABLE .people")
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, keepsColumn)
		before := state(t, dsn)
		c.must("up")
		copied := state(t, dsn) // what recover finishes, and an up after that, may copy
		c.must("rollback")
		c.columns = true
		commands := map[string][]string{"up": c.commands("up")}
		after := state(t, dsn)
		is := func(want string) bool {
			got := state(t, dsn)
			return got == want || want == after && got == copied
		}
		if got := testdb.Query(t, dsn, "SELECT count(*) FROM state_snapshots WHERE table_name = 'people' AND kind = 'kept_columns'")[0]; got == "0" {
			t.Fatal("no column was kept")
		}
		commands["rollback"] = c.commands("rollback")
		for i, verb := range []string{"up", "rollback"} {
			from, to, back := before, after, "rollback"
			if verb == "rollback" {
				from, to, back = after, before, "up"
			}
			for n, command := range commands[verb] {
				if !about.MatchString(command) {
					continue
				}
				for _, how := range []cut{beforeIt, afterSending, afterAnswer} {
					if !is(from) {
						c.must(back)
						if !is(from) {
							t.Fatalf("%s does not lead back:\n%s", back, testdb.Diff(from, state(t, dsn)))
						}
					}
					testdb.Exec(t, dsn, "ALTER TABLE people FORCE") // MariaDB counts columns that went in an instant
					mend, want := "recover", to
					if i++; i%2 == 1 {
						mend, want = "recover --abort", from
					}
					at, err := c.cutAt(verb, n, how)
					_, merr := c.cutAt(mend, 1<<30, goOn)
					was := !errors.Is(merr, migrate.ErrNothing)
					switch {
					case errors.As(merr, new(*migrate.RefusedError)): // nothing but the record is missing
						c.must("recover")
					case was && merr != nil:
						t.Fatalf("%s cut off (%d) at %.90q: %s: %v\nthe run: %v", verb, how, at, mend, merr, err)
					case was && !is(want), !was && !is(from) && !is(to):
						t.Fatalf("%s cut off (%d) at %.90q: %s (%v) does not lead where it should:\n%s\nthe run: %v", verb, how, at, mend, was, testdb.Diff(want, state(t, dsn)), err)
					}
					c.free(at)
				}
			}
			if is(from) {
				c.must(verb)
			}
		}
		if got := state(t, dsn); got != before {
			t.Fatalf("in the end not as before:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}
