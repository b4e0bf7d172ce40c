package migrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// copies are the ways in which an Up puts a copy in the place of a table.
var copies = map[string]struct {
	up, down string
	at       []int // ahead of which statements the application can write to the table
	deleted  int   // the statement that has deleted row 1, if any can be behind it: nobody updates that any more
}{
	"dropped":               {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;", "SELECT 1;", []int{3}, 0},
	"dropped, then altered": {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;\nALTER TABLE ev DROP COLUMN u;", "ALTER TABLE ev ADD COLUMN u int UNIQUE;", []int{3, 5}, 0},
	"dropped, then deleted": {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev WHERE a <> 2;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;\nDELETE FROM ev WHERE a IN (1, 2, 9);", "SELECT 1;", []int{3}, 0},
	"deleted of later":      {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;\nDELETE FROM ev WHERE a IN (1, 9);", "SELECT 1;", []int{3, 5}, 0},
	"updated later":         {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;\nUPDATE ev SET u = u + 100;", "SELECT 1;", []int{3, 5}, 0},
	"exchanged":             {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nRENAME TABLE ev TO o, n TO ev;\nDROP TABLE o;\nDELETE FROM ev WHERE a = 4;", "INSERT INTO ev VALUES (4, 0, 14, 1);", []int{3, 4, 5}, 0},
	"exchanged, two steps":  {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nALTER TABLE ev RENAME TO o;\nALTER TABLE n RENAME TO ev;\nDROP TABLE o;\nALTER TABLE ev ADD COLUMN z int;", "ALTER TABLE ev DROP COLUMN z;", []int{3, 5, 6}, 0},
	"renamed, made anew":    {"ALTER TABLE ev RENAME TO o;\nCREATE TABLE ev%[1]s;\nINSERT INTO ev SELECT * FROM o;\nDROP TABLE o;\nDELETE FROM ev WHERE a IN (1, 9);", "SELECT 1;", []int{4, 5}, 0},
	"renamed, then deleted": {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nRENAME TABLE ev TO o, n TO ev;\nDELETE FROM ev WHERE a IN (1, 9);\nUPDATE ev SET u = u + 100;\nDROP TABLE o;", "SELECT 1;", []int{3, 4, 5, 6}, 4},
	"made anew":             {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nCREATE TABLE ev%[1]s;\nINSERT INTO ev SELECT * FROM n;\nDROP TABLE n;", "SELECT 1;", []int{3, 6}, 0},
	"made of a query":       {"CREATE TABLE n%[1]s;\nINSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nCREATE TABLE ev (a int PRIMARY KEY, w int, u int UNIQUE, p int, KEY (p)) SELECT a, w, u, p FROM n;\nDROP TABLE n;", "SELECT 1;", []int{3, 5}, 0},
}

// TestWritesAroundACopy: on servers where each statement of Up is there for good, the application writes to a table that Up copies, drops, and puts the copy in the place
// of: before the drop, so that the copy has not got it, or when the copy is in its place. The rollback keeps it.
func TestWritesAroundACopy(t *testing.T) {
	t.Parallel()
	const table = " (a int PRIMARY KEY, w int, u int UNIQUE, p int REFERENCES par (id) ON DELETE CASCADE)"
	for name, c := range copies {
		for _, at := range c.at {
			t.Run(fmt.Sprintf("%s/%d", name, at), func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, "CREATE TABLE par (id int PRIMARY KEY);\nINSERT INTO par VALUES (1);\nCREATE TABLE ev"+table+";\nINSERT INTO ev VALUES (1, 0, 11, 1), (2, 0, 12, 1), (3, 0, 13, 1), (4, 0, 14, 1);\n",
						map[string]string{"00001_x.sql": migration(strings.ReplaceAll(c.up, "%[1]s", table), c.down)})
					wrote := false
					m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
						if e.Kind == migrate.StatementStart && e.Statement == at && !wrote {
							wrote = true
							f.exec("UPDATE ev SET w = 5 WHERE a IN (1, 2);\nDELETE FROM ev WHERE a = 3;\nINSERT INTO ev (a, w, p) VALUES (9, 0, 1);\n")
						}
					}})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := m.Up(t.Context(), migrate.UpRequest{To: -1}); err != nil || !wrote {
						t.Fatal(err, wrote)
					}
					want := "1|5|11 2|5|12 4|0|14 9|0|NULL"
					if at > c.deleted && c.deleted > 0 {
						want = "1|0|11 2|5|12 4|0|14 9|0|NULL"
					}
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := strings.Join(testdb.Query(t, dsn, "SELECT a, w, u FROM ev ORDER BY a"), " "); got != want {
						t.Errorf("rows %s, want %s; conflicts %v", got, want, res.Conflicts)
					}
				}, family...)
			})
		}
	}
}

// TestCutOffAroundACopy: the same with runs that die at every statement, and at other instants.
func TestCutOffAroundACopy(t *testing.T) {
	t.Parallel()
	const table = " (a int PRIMARY KEY, w int, u int UNIQUE)"
	for _, name := range []string{"deleted of later", "made anew", "renamed, made anew", "renamed, then deleted"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "-- +goose Up\n" + strings.ReplaceAll(strings.ReplaceAll(copies[name].up, "%[1]s", table), ", p FROM", " FROM") + "\nALTER TABLE ev ADD COLUMN z int;\n-- +goose Down\nALTER TABLE ev DROP COLUMN z;\n"
			cutOffAtEveryStatement(t, text, "CREATE TABLE ev"+table, "INSERT INTO ev VALUES (1, 0, 11), (2, 0, 12), (3, 0, 13), (4, 0, 14)")
		})
	}
}

// TestAbortAroundACopy: what others wrote while another table stood in the place of the one that comes back is not in that; it is told where it is.
func TestAbortAroundACopy(t *testing.T) {
	t.Parallel()
	const table = " (a int PRIMARY KEY, w int, u int UNIQUE)"
	for _, name := range []string{"deleted of later", "renamed, then deleted"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, "-- +goose Up\n"+strings.ReplaceAll(copies[name].up, "%[1]s", table)+"\n-- +goose Down\nSELECT 1;\n")
				testdb.Exec(t, dsn, "CREATE TABLE ev"+table, "INSERT INTO ev VALUES (1, 0, 11), (2, 0, 12), (3, 0, 13), (4, 0, 14)")
				if q, err := c.cutWhere("up", beforeIt, func(q string) bool { return strings.HasPrefix(q, "DELETE FROM ev") }); err == nil {
					t.Fatalf("not cut off: %q", q)
				}
				testdb.Exec(t, dsn, "UPDATE ev SET w = 5 WHERE a IN (1, 2)", "DELETE FROM ev WHERE a = 3", "INSERT INTO ev (a, w) VALUES (9, 0)")
				res, err := c.open(dsn).Recover(t.Context(), migrate.RecoverRequest{Abort: true})
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(testdb.Query(t, dsn, "SELECT a, w, u FROM ev ORDER BY a"), " "); got != "1|0|11 2|0|12 3|0|13 4|0|14" {
					t.Errorf("rows %s", got)
				}
				if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "somebody wrote to ev while another table stood in its place") {
					t.Errorf("warnings %q", res.Warnings)
				}
			}, family...)
		})
	}
}

// TestPlanOfACopy: the plan says of a dropped table what is done with it.
func TestPlanOfACopy(t *testing.T) {
	t.Parallel()
	const table = " (a int PRIMARY KEY)"
	for up, want := range map[string]snapshot.Kind{
		"CREATE TABLE n" + table + ";\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;":    snapshot.Table,
		"DROP TABLE ev;\nCREATE TABLE ev" + table + ";":                                snapshot.Table,
		"CREATE TABLE n" + table + ";\nDROP TABLE ev;\nALTER TABLE n RENAME TO other;": snapshot.Kept,
	} {
		testdb.Each(t, func(t *testing.T, dsn string) {
			f := newFixture(t, dsn, "CREATE TABLE ev"+table+";\nINSERT INTO ev VALUES (1), (2);\n", map[string]string{"00001_x.sql": migration(up, "SELECT 1;")})
			plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
			if err != nil {
				t.Fatal(err)
			}
			var planned []snapshot.Kind
			for _, s := range plan.Migrations[0].Steps {
				for _, c := range s.Captures {
					planned = append(planned, c.Kind)
				}
			}
			if len(planned) != 1 || planned[0] != want {
				t.Errorf("%s: planned %v, want %s", up, planned, want)
			}
			f.up()
			if got := testdb.Query(t, dsn, "SELECT kind FROM state_snapshots WHERE kind <> 'definition' AND table_name = 'ev' ORDER BY position")[0]; got != string(want) {
				t.Errorf("%s: captured as %s, want %s", up, got, want)
			}
		}, family...)
	}
}
