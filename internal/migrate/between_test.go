package migrate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWritesWhileAnotherTableStands: on servers where each statement of Down is there for good, the application writes to a table that Down has put in the place of the old
// one. What it wrote stays, and what it wrote over is told.
func TestWritesWhileAnotherTableStands(t *testing.T) {
	t.Parallel()
	const table = "(a integer KEY, b varchar(20));\n"
	ways := map[string]struct{ up, down string }{
		"renamed aside": {"ALTER TABLE ev RENAME TO e2;\nCREATE TABLE ev " + table + "INSERT INTO ev SELECT * FROM e2 WHERE a <> 2;\nDROP TABLE e2;",
			"ALTER TABLE ev RENAME TO e3;\nCREATE TABLE ev " + table + "INSERT INTO ev SELECT * FROM e3;\nDROP TABLE e3;\nSELECT 1;"},
		"made beside": {"UPDATE ev SET b = upper(b);", "CREATE TABLE n " + table + "INSERT INTO n SELECT a, lower(b) FROM ev;\nDROP TABLE ev;\nRENAME TABLE n TO ev;\nSELECT 1;"},
	}
	for name, way := range ways {
		for _, key := range []string{"", "PRIMARY KEY"} {
			t.Run(name+" "+key, func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					keyed := strings.NewReplacer("KEY,", key+",")
					f := newFixture(t, dsn, keyed.Replace("CREATE TABLE ev "+table)+"INSERT INTO ev VALUES (6, 'q'), (5, 'p'), (2, 'x');\n",
						map[string]string{"00001_change.sql": keyed.Replace(migration(way.up, way.down))})
					f.up()
					wrote := false
					m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
						if e.Kind == migrate.StatementStart && e.Statement == 5 {
							f.exec("INSERT INTO ev VALUES (9, 'new');\nUPDATE ev SET b = 'w' WHERE a = 5;\n")
							wrote = true
						}
					}})
					if err != nil {
						t.Fatal(err)
					}
					res, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
					if err != nil || !wrote {
						t.Fatal(err, wrote)
					}
					if got, want := strings.Join(testdb.Query(t, dsn, "SELECT * FROM ev ORDER BY a"), " "), "2|x 5|w 6|q 9|new"; got != want {
						t.Errorf("rows %s, want %s", got, want)
					}
					if len(res.Conflicts) != 1 {
						t.Errorf("conflicts %v", res.Conflicts)
					}
				}, family...)
			})
		}
	}
}

// TestWritesBesideAFailedUp: the last statement of an up, each of which is there for good, fails right behind what the application wrote to a row that the up itself had inserted, or ahead of
// that. When the up is taken back, the row stays, and is told.
func TestWritesBesideAFailedUp(t *testing.T) {
	t.Parallel()
	const write = "UPDATE t SET tag = 'theirs' WHERE id = 503;\n"
	for name, statement := range map[string]string{
		"column dropped": "ALTER TABLE t DROP COLUMN c",
		"column made":    "ALTER TABLE t ADD COLUMN d integer",
		"all written":    "UPDATE t SET c = 'y'",
		"type":           "ALTER TABLE t ALTER COLUMN c TYPE varchar(3)",
	} {
		for _, ahead := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ahead %t", name, ahead), func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					second := statement
					if !strings.HasPrefix(dsn, "postgres") {
						second = strings.Replace(statement, "ALTER COLUMN c TYPE", "MODIFY COLUMN c", 1)
					}
					if strings.HasPrefix(dsn, "sqlite") && (ahead || second != statement) {
						return // which keeps writers out meanwhile, and knows no change of type
					}
					f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, tag varchar(60), c varchar(20));\nINSERT INTO t VALUES (1, 't1', 'x'), (3, 't3', '12');\n",
						map[string]string{"00001_change.sql": "-- +goose NO TRANSACTION\n" + migration("INSERT INTO t (id, tag, c) SELECT id + 500, tag, c FROM t;\n"+second+";\nINSERT INTO t (id) VALUES (1);", "DELETE FROM t WHERE id > 500;")})
					m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
						if ahead && e.Kind == migrate.StatementStart && e.Statement == 3 {
							f.exec(write)
						}
					}})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := m.Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
						t.Fatal("up went through")
					}
					if !ahead {
						f.exec(write)
					}
					res, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true})
					if err != nil || len(res.Conflicts) != 1 {
						t.Errorf("%v, conflicts %v", err, res.Conflicts)
					}
					if got, want := strings.Join(testdb.Query(t, dsn, "SELECT id, tag FROM t ORDER BY id"), " "), "1|t1 3|t3 503|theirs"; got != want {
						t.Errorf("rows %s, want %s", got, want)
					}
				}, testdb.Everywhere()...)
			})
		}
	}
}

// TestAbortAfterATypeChange: an up that has inserted rows and then given a column of theirs another type is taken back. The row that the application has written to stays, and is told; the others go.
func TestAbortAfterATypeChange(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ was, is, value string }{{"text", "varchar(30)", "'x'"}, {"decimal(8,3)", "decimal(12,5)", "1.5"}, {"datetime(3)", "datetime", "'2024-02-03 10:11:12'"}} {
		t.Run(x.was, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE items (id integer PRIMARY KEY, v integer, c "+x.was+");\nINSERT INTO items VALUES (1, 10, "+x.value+"), (2, 20, "+x.value+");\n"+
					"CREATE TABLE parts (id integer PRIMARY KEY, item integer, FOREIGN KEY (item) REFERENCES items (id));\n", nil)
				before := testdb.Query(t, dsn, "SELECT * FROM items ORDER BY id")
				f.files["00001_change.sql"] = &fstest.MapFile{Data: []byte(migration("INSERT INTO items SELECT id + 500, v, c FROM items;\nINSERT INTO items SELECT id + 600, v, c FROM items;\n"+
					"INSERT INTO parts SELECT id, id FROM items WHERE id > 600;\nALTER TABLE items MODIFY c "+x.is+";\nINSERT INTO items (id) VALUES (1);", "SELECT 1;"))}
				if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); err == nil {
					t.Fatal("up went through")
				}
				f.exec("UPDATE items SET v = 77 WHERE id = 502;\n")
				res, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true})
				if err != nil || len(res.Conflicts) != 1 {
					t.Errorf("%v, conflicts %v", err, res.Conflicts)
				}
				if got, want := testdb.Query(t, dsn, "SELECT * FROM items ORDER BY id"), append(before, testdb.Query(t, dsn, "SELECT * FROM items WHERE id = 502")...); len(want) != 3 || !slices.Equal(got, want) {
					t.Errorf("rows %v, want %v", got, want)
				}
				if got := testdb.Query(t, dsn, "SELECT * FROM parts"); len(got) > 0 {
					t.Errorf("parts %v", got)
				}
			}, family...)
		})
	}
}
