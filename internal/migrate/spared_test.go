package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const spareSetup = "CREATE TABLE tag (id integer NOT NULL PRIMARY KEY, name varchar(20) NOT NULL UNIQUE, n integer);\nINSERT INTO tag VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3);\n" +
	"CREATE TABLE item (id integer NOT NULL PRIMARY KEY, tag_id integer NOT NULL, FOREIGN KEY (tag_id) REFERENCES tag (id) ON DELETE CASCADE);\nINSERT INTO item VALUES (1, 1), (2, 2), (3, 3);\n"

// spareWrites: rows of before are changed and deleted, new ones come, and so it goes with those of Up (5 and 6).
const spareWrites = "UPDATE tag SET n = 20 WHERE id = 2;\nDELETE FROM item WHERE id = 3;\nDELETE FROM tag WHERE id = 3;\nINSERT INTO tag VALUES (8, 'h', 8), (9, 'i', 9);\nUPDATE tag SET n = 50 WHERE id = 5;\n" +
	"INSERT INTO item VALUES (8, 8), (10, 1);\nUPDATE item SET tag_id = 8 WHERE id = 2;\n"

// TestSparedByDown: a Down that deletes from a table which was there before Up takes what Up has put there. What the application has written since stays as it left it: rows of
// before that it changed, and, where Down deletes all rows, rows that it inserted; with the children that the foreign key would take. What does not fit the schema that Down
// makes stays out, and is listed. A second cycle ends where the first did.
func TestSparedByDown(t *testing.T) {
	t.Parallel()
	const ups = "INSERT INTO tag VALUES (5, 'e', 5), (6, 'f', 6);"
	for _, test := range []struct {
		name, up, down, want, items string
		unchecked                   string   // items where nobody checks foreign keys, and none is carried on
		listed                      []string // keys of tag
		engines                     []testdb.Engine
	}{
		{name: "all of them", up: ups, down: "DELETE FROM tag;", want: "1|a|1 2|b|20 8|h|8 9|i|9", items: "1|1 2|8 8|8 10|1", listed: []string{"5"}},
		{name: "in two statements", up: ups, down: "DELETE FROM item;\nDELETE FROM tag;", want: "1|a|1 2|b|20 8|h|8 9|i|9", items: "1|1 2|8 8|8 10|1", listed: []string{"5"}},
		{name: "emptied", up: ups, down: "TRUNCATE TABLE tag CASCADE;", want: "1|a|1 2|b|20 8|h|8 9|i|9", items: "1|1 2|8 8|8 10|1", listed: []string{"5"}, engines: []testdb.Engine{testdb.OnPostgres}},
		{name: "with a condition", up: ups, down: "DELETE FROM tag WHERE id >= 2;", want: "1|a|1 2|b|20", items: "1|1 10|1", unchecked: "1|1 2|8 8|8 10|1", listed: []string{"5"}},
		{name: "changed before", up: "UPDATE tag SET n = n + 100;\n" + ups, down: "DELETE FROM tag;", want: "1|a|1 2|b|20 8|h|8 9|i|9", items: "1|1 2|8 8|8 10|1", listed: []string{"2", "3", "5"}},
		{name: "nothing else", up: "SELECT 1;", down: "DELETE FROM tag;", want: "1|a|1 2|b|20 8|h|8 9|i|9", items: "1|1 2|8 8|8 10|1"},
		{name: "and a column comes back", up: ups + "\nALTER TABLE tag DROP COLUMN n;", down: "DELETE FROM tag;\nALTER TABLE tag ADD COLUMN n integer;",
			want: "1|a|1 2|b|2 8|h|NULL 9|i|NULL", items: "1|1 2|8 8|8 10|1", listed: []string{"3"}},
		{name: "and a check comes back", up: ups + "\nALTER TABLE tag DROP CONSTRAINT few;", down: "DELETE FROM tag;\nALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);",
			want: "1|a|1 8|h|8", items: "1|1 2|8 8|8 10|1", listed: []string{"2", "5", "9"}, engines: []testdb.Engine{testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB}},
		{name: "and a check comes back that the values of Up break", up: "ALTER TABLE tag DROP CONSTRAINT few;\nUPDATE tag SET n = n + 100;\n" + ups, down: "DELETE FROM tag;\nALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);",
			want: "1|a|1 8|h|8", items: "1|1 2|8 8|8 10|1", listed: []string{"2", "3", "5", "9"}, engines: []testdb.Engine{testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engines := test.engines
			if engines == nil {
				engines = everywhere
			}
			testdb.Each(t, func(t *testing.T, dsn string) {
				setup := spareSetup
				if strings.Contains(test.up, "few") {
					setup += "ALTER TABLE tag ADD CONSTRAINT few CHECK (n < 9);\n"
				}
				f := newFixture(t, dsn, setup, map[string]string{"00001_x.sql": migration(test.up, test.down)})
				rows := func() (string, string) {
					return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " "), strings.Join(testdb.Query(t, dsn, "SELECT * FROM item ORDER BY id"), " ")
				}
				before, items := rows()
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, gotItems := rows(); got != before || gotItems != items {
					t.Fatalf("without a write: %s; %s", got, gotItems)
				}
				want := test.items
				if f.db.Kind == engine.SQLite && test.unchecked != "" {
					want = test.unchecked
				}
				f.up()
				writes := spareWrites
				if strings.Contains(test.up, "DROP COLUMN n") {
					writes = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(writes, "n = 20", "name = 'b'"), ", 8), (9, 'i', 9)", "), (9, 'i')"), "n = 50", "name = 'e'")
				}
				f.exec(writes)
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, gotItems := rows(); got != test.want || gotItems != want {
					t.Fatalf("rows\n got %s; %s\nwant %s; %s", got, gotItems, test.want, want)
				}
				var listed []string
				for _, c := range res.Conflicts {
					if strings.HasSuffix(c.Table, "tag") {
						if k := c.Key[strings.Index(c.Key, "=")+1:]; !slices.Contains(listed, k) {
							listed = append(listed, k)
						}
					}
				}
				slices.Sort(listed)
				if !slices.Equal(listed, test.listed) {
					t.Errorf("listed %v, want %v: %+v", listed, test.listed, res.Conflicts)
				}
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, gotItems := rows(); got != test.want || gotItems != want {
					t.Fatalf("once more: rows\n got %s; %s\nwant %s; %s", got, gotItems, test.want, want)
				}
			}, engines...)
		})
	}
}

// TestSparedByPolicy: what the migration had changed and the application changed again is given its captured value where that is asked for; the rows that Down deletes come back all the same.
func TestSparedByPolicy(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, spareSetup, map[string]string{"00001_x.sql": migration("UPDATE tag SET n = n + 100;", "DELETE FROM tag;")})
		f.up()
		f.exec(spareWrites)
		f.rollback(migrate.RollbackRequest{Steps: 1, OnConflict: snapshot.Restore})
		if got, want := strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " "), "1|a|1 2|b|2 8|h|8 9|i|9"; got != want {
			t.Errorf("rows %s, want %s", got, want)
		}
	}, everywhere...)
}

// TestWrittenOverIsTold: a row that Up left alone, that the application has changed since and that Down writes over stays as Down makes it. That is told, of such a row alone, and the next up brings
// back what stood there.
func TestWrittenOverIsTold(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, spareSetup, map[string]string{"00001_x.sql": migration("UPDATE tag SET n = 9 WHERE id = 3;", "UPDATE tag SET n = 0, name = concat(name, 'x') WHERE id < 4;")})
		f.up()
		if res := f.rollback(migrate.RollbackRequest{Steps: 1}); res.Warnings != nil {
			t.Errorf("of rows that are as they were: warnings %q", res.Warnings)
		}
		f.up()
		f.exec("UPDATE tag SET n = 20 WHERE id = 2;\nINSERT INTO tag VALUES (8, 'h', 8);\n")
		rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " ") }
		after := rows()
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got, want := rows(), "1|a|1 2|bx|0 3|c|3 8|h|8"; got != want {
			t.Errorf("rows %s, want %s", got, want)
		}
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "Down writes over name, n of 1 row(s) that Up left alone and that the application has changed since") {
			t.Errorf("warnings %q", res.Warnings)
		}
		f.up()
		if got := rows(); got != after {
			t.Errorf("up again: rows %s, want %s", got, after)
		}
	}, everywhere...)
}

// TestCutOffWhileSpared cuts a Down off that deletes rows which are not its own, wherever it may be.
func TestCutOffWhileSpared(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, stmt := range strings.Split(strings.TrimSuffix(spareSetup, ";\n"), ";\n") {
			testdb.Exec(t, dsn, stmt)
		}
		c := newCutter(t, dsn, migration("INSERT INTO tag VALUES (5, 'e', 5), (6, 'f', 6);", "DELETE FROM item;\nDELETE FROM tag;\nALTER TABLE tag ADD COLUMN y integer;\nALTER TABLE tag DROP COLUMN y;"))
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " ") + "; " + strings.Join(testdb.Query(t, dsn, "SELECT * FROM item ORDER BY id"), " ")
		}
		c.must("up")
		for _, stmt := range strings.Split(strings.TrimSuffix(spareWrites, ";\n"), ";\n") {
			testdb.Exec(t, dsn, stmt)
		}
		c.must("rollback")
		before := rows()
		if want := "1|a|1 2|b|20 8|h|8 9|i|9; 1|1 2|8 8|8 10|1"; before != want {
			t.Fatalf("rows %s, want %s", before, want)
		}
		c.must("up")
		after := rows()
		c.cutsEachWay(rows, map[string]string{"up": after, "rollback": before})
	}, family...)
}

// TestCarriedOnByDown: a Down that empties a table and fills it again from another one says what is to become of its rows: none is put back beside what it makes of them.
func TestCarriedOnByDown(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, spareSetup, map[string]string{"00001_x.sql": migration("CREATE TABLE tag2 (id integer NOT NULL PRIMARY KEY, name varchar(20));\nINSERT INTO tag2 SELECT id, name FROM tag;",
			"DELETE FROM tag;\nINSERT INTO tag SELECT id, name, 0 FROM tag2;\nDROP TABLE tag2;")})
		f.up()
		f.exec(spareWrites)
		after := strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " ")
		for range 2 {
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if got, want := strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " "), "1|a|1 2|b|0 3|c|0"; got != want {
				t.Fatalf("rows %s, want %s", got, want)
			}
			f.up()
			if got := strings.Join(testdb.Query(t, dsn, "SELECT * FROM tag ORDER BY id"), " "); got != after {
				t.Fatalf("up again: rows %s, want %s", got, after)
			}
		}
	}, everywhere...)
}

// TestNotSpared: where nobody knows any more which rows Up has put there, all that Down deletes goes, as it did: its captures are pruned, or it captured nothing by its own word.
func TestNotSpared(t *testing.T) {
	t.Parallel()
	for name, up := range map[string]string{"pruned": "INSERT INTO tag VALUES (5, 'e', 5);", "worthless": "-- +dbrollback no-capture: made again\nINSERT INTO tag VALUES (5, 'e', 5);"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, spareSetup, map[string]string{"00001_x.sql": migration(up, "DELETE FROM tag;")})
				f.up()
				f.exec("INSERT INTO tag VALUES (8, 'h', 8);\n")
				if name == "pruned" {
					if _, err := snapshot.New(f.db, "").Prune(t.Context(), f.db, snapshot.PruneOptions{Before: time.Now().Add(time.Hour)}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1, AllowUncaptured: true}); err != nil {
					t.Fatal(err)
				}
				if got := testdb.Query(t, dsn, "SELECT * FROM tag WHERE id IN (5, 8)"); len(got) > 0 {
					t.Errorf("rows %v: nobody knows whose they are", got)
				}
			}, everywhere...)
		})
	}
}
