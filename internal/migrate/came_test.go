package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRollbackBesideRowsThatComeAndGo: a row that Up had inserted is gone already, and somebody makes it anew behind the rollback's look: it is not deleted uncaptured. A row that
// is to come back meets another one in its place, which goes at once.
func TestRollbackBesideRowsThatComeAndGo(t *testing.T) {
	t.Parallel()
	type step struct{ when, do string }
	for name, x := range map[string]struct {
		steps []step
		want  []string
	}{
		"made anew":       {[]step{{"DELETE t FROM `t`", "INSERT INTO t VALUES (9, 77)"}}, []string{"1|-1", "2|-1", "3|-1", "9|77"}},
		"there and gone":  {[]step{{"INSERT INTO `t`", "INSERT INTO t VALUES (1, 77)"}, {"", "DELETE FROM t WHERE id = 1"}}, []string{"1|-1", "2|-1", "3|-1"}},
		"there and stays": {[]step{{"INSERT INTO `t`", "INSERT INTO t VALUES (1, 77)"}}, []string{"1|77", "2|-1", "3|-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, migration("INSERT INTO t VALUES (9, 9), (10, 10);\nDELETE FROM t WHERE id = 1;\nUPDATE t SET n = 5 WHERE id = 2;", "SELECT 1;"))
				testdb.Exec(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL)", "INSERT INTO t VALUES (1, -1), (2, -1), (3, -1)")
				c.must("up")
				testdb.Exec(t, dsn, "DELETE FROM t WHERE id = 9")
				next := 0
				_, err := c.cutWhere("rollback", goOn, func(query string) bool {
					if next < len(x.steps) && strings.HasPrefix(query, x.steps[next].when) {
						testdb.Exec(t, dsn, x.steps[next].do)
						next++
					}
					return false
				})
				if next < len(x.steps) {
					t.Fatal("nobody came between")
				}
				if err != nil {
					t.Log(err)
					c.must("recover")
				}
				if got := testdb.Query(t, dsn, "SELECT id, n FROM t ORDER BY id"); !slices.Equal(got, x.want) {
					t.Errorf("rows %q, want %q", got, x.want)
				}
			}, family...)
		})
	}
}

// TestWriteBesideKeysThatGoBack: what is written between the statements of a rollback to rows whose keys Up has moved stays, on every engine where others can write there.
func TestWriteBesideKeysThatGoBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v integer);\nINSERT INTO t VALUES (1, 10), (2, 20), (3, 30);\nCREATE TABLE o (v integer);",
			map[string]string{"00001_x.sql": "-- +goose NO TRANSACTION\n" + migration("UPDATE t SET id = id + 100;\nUPDATE t SET v = v * 2;", "INSERT INTO o VALUES (1);\n"+on(dsn, "sqlite: PRAGMA foreign_keys = ON; | SELECT 1;"))}) // ahead of the second nothing is locked
		f.up()
		wrote := false
		m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
			if !wrote && e.Kind == migrate.StatementStart && e.Statement == 2 {
				f.exec("UPDATE t SET v = 500 WHERE id = 102;\nDELETE FROM t WHERE id = 103;")
				wrote = true
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		if err != nil || !wrote {
			t.Fatal(err, wrote)
		}
		if got, want := testdb.Query(t, dsn, "SELECT id, v FROM t ORDER BY id"), []string{"1|10", "2|500"}; !slices.Equal(got, want) {
			t.Errorf("rows %q, want %q", got, want)
		}
		if len(res.Conflicts) == 0 {
			t.Error("nobody was told")
		}
	}, testdb.Everywhere()...)
}
