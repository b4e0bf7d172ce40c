package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const (
	dropsTwo = "ALTER TABLE notes DROP COLUMN v, DROP COLUMN word;\n"
	addsTwo  = "ALTER TABLE notes ADD COLUMN v integer, ADD COLUMN word varchar(20) CHARACTER SET latin1;\n"
)

// notesOf fills a table whose columns are dropped and come back.
func notesOf(t *testing.T, dsn string) (before []string) {
	t.Helper()
	testdb.Exec(t, dsn, "CREATE TABLE notes (id integer PRIMARY KEY, pad integer, v integer, word varchar(20) CHARACTER SET latin1)",
		"INSERT INTO notes SELECT id, id * 2, NULLIF(id % 7, 0), IF(id % 3 = 0, NULL, concat('é', id)) FROM people WHERE id <= 40")
	return testdb.Query(t, dsn, "SELECT id, v, word, pad FROM notes ORDER BY id")
}

func writesNotes(query string) bool { return strings.HasPrefix(query, "UPDATE `notes` AS t") }

// TestColumnsComeBackOnce: the values of columns that were dropped are written once where nothing becomes of them after; where a later statement
// of Down or somebody else writes them, every row holds what it should all the same.
func TestColumnsComeBackOnce(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\n"+dropsTwo+"-- +goose Down\n"+addsTwo)
		before := notesOf(t, dsn)
		c.must("up")
		wrote := slices.DeleteFunc(c.commands("rollback"), func(q string) bool { return !writesNotes(q) })
		if len(wrote) != 1 {
			t.Errorf("written %d times: %q", len(wrote), wrote)
		}
		if got := testdb.Query(t, dsn, "SELECT id, v, word, pad FROM notes ORDER BY id"); !slices.Equal(got, before) {
			t.Errorf("rows %v, want %v", got, before)
		}

		c = &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte("-- +goose Up\n" + dropsTwo + "-- +goose Down\n" + addsTwo + "UPDATE people SET score = score;\nDELETE FROM notes WHERE id = 3;\nUPDATE notes SET v = 77 WHERE id = 4;\n")}}}
		c.must("up")
		testdb.Exec(t, dsn, "DELETE FROM notes WHERE id = 1", "INSERT INTO notes (id, pad) VALUES (1000, 1)", "UPDATE notes SET pad = 0 WHERE id = 5")
		out := c.during("rollback", "UPDATE people", func() {
			testdb.Exec(t, dsn, "UPDATE notes SET v = 100, word = 'theirs' WHERE id = 2", "DELETE FROM notes WHERE id = 6", "INSERT INTO notes (id, v) VALUES (1001, 8)")
		})
		var want []string
		for _, row := range before {
			switch id, _, _ := strings.Cut(row, "|"); id {
			case "1", "6": // removed by others, before and while it ran; what Down removes was there before Up, and comes back
			case "2":
				want = append(want, "2|100|theirs|4")
			case "5":
				want = append(want, strings.TrimSuffix(row, "|10")+"|0")
			default:
				want = append(want, row)
			}
		}
		want = append(want, "1000|NULL|NULL|1", "1001|8|NULL|NULL")
		if got := testdb.Query(t, dsn, "SELECT concat_ws('|', id, coalesce(v, 'NULL'), coalesce(word, 'NULL'), coalesce(pad, 'NULL')) FROM notes ORDER BY id"); !slices.Equal(got, want) {
			t.Errorf("rows\n%s", testdb.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")))
		}
		if len(out.res.Conflicts) != 3 || !out.res.Verified {
			t.Errorf("%+v", out.res)
		}
	}, family...)
}

// TestCutOffWhileColumnsComeBack: a rollback that dies around the one statement that writes the values is ended by recover, with each value in its
// row, whichever way it goes.
func TestCutOffWhileColumnsComeBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\n"+dropsTwo+"-- +goose Down\n"+addsTwo)
		before := notesOf(t, dsn)
		c.must("up")
		dropped := testdb.Query(t, dsn, "SELECT * FROM notes ORDER BY id")
		for i, how := range []cut{beforeIt, afterSending, afterAnswer} {
			for _, mend := range []string{"recover", "recover --abort"} {
				if at, err := c.cutWhere("rollback", how, writesNotes); err == nil || at == "" {
					t.Fatalf("was through: %q, %v", at, err)
				}
				if was, err := c.mend(mend); !was || err != nil {
					t.Fatalf("cut %d, %s: %v, %v", i, mend, was, err)
				}
				want, query := before, "SELECT id, v, word, pad FROM notes ORDER BY id"
				if mend != "recover" {
					want, query = dropped, "SELECT * FROM notes ORDER BY id"
				}
				if got := testdb.Query(t, dsn, query); !slices.Equal(got, want) {
					t.Fatalf("cut %d, %s: rows %v, want %v", i, mend, got, want)
				}
				c.free(mend)
				if mend == "recover" {
					c.must("up")
				}
			}
		}
		if _, err := c.open(dsn).Rollback(t.Context(), migrate.RollbackRequest{To: 0}); err != nil {
			t.Fatal(err)
		}
		if got := testdb.Query(t, dsn, "SELECT id, v, word, pad FROM notes ORDER BY id"); !slices.Equal(got, before) {
			t.Errorf("in the end: rows %v, want %v", got, before)
		}
	}, family...)
}
