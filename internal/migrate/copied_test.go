package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWritesBehindACopy: on servers where each statement of Up is there for good, the application writes to a table that Up has copied, and is about to drop. The copy has
// not got these writes; the rollback brings them back, with the table.
func TestWritesBehindACopy(t *testing.T) {
	t.Parallel()
	const table = " (a int PRIMARY KEY, w int, u int UNIQUE, p int REFERENCES par (id) ON DELETE CASCADE);\n"
	for name, up := range map[string]string{
		"dropped":               "CREATE TABLE n" + table + "INSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;",
		"dropped, then altered": "CREATE TABLE n" + table + "INSERT INTO n SELECT * FROM ev;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;\nALTER TABLE ev DROP COLUMN u;",
		"dropped, then deleted": "CREATE TABLE n" + table + "INSERT INTO n SELECT * FROM ev WHERE a <> 2;\nDROP TABLE ev;\nALTER TABLE n RENAME TO ev;\nDELETE FROM ev WHERE a IN (1, 2, 9);",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				down := "SELECT 1;"
				if strings.Contains(up, "COLUMN") {
					down = "ALTER TABLE ev ADD COLUMN u int UNIQUE;"
				}
				f := newFixture(t, dsn, "CREATE TABLE par (id int PRIMARY KEY);\nINSERT INTO par VALUES (1);\nCREATE TABLE ev"+table+"INSERT INTO ev VALUES (1, 0, 11, 1), (2, 0, 12, 1), (3, 0, 13, 1), (4, 0, 14, 1);\n", map[string]string{"00001_x.sql": migration(up, down)})
				wrote := false
				m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
					if e.Kind == migrate.StatementStart && e.Statement == 3 {
						f.exec("UPDATE ev SET w = 5 WHERE a IN (1, 2);\nDELETE FROM ev WHERE a = 3;\nINSERT INTO ev VALUES (9, 0, 19, 1);\n")
						wrote = true
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := m.Up(t.Context(), migrate.UpRequest{To: -1}); err != nil || !wrote {
					t.Fatal(err, wrote)
				}
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, want := strings.Join(testdb.Query(t, dsn, "SELECT a, w, u FROM ev ORDER BY a"), " "), "1|5|11 2|5|12 4|0|14 9|0|19"; got != want {
					t.Errorf("rows %s, want %s; conflicts %v", got, want, res.Conflicts)
				}
			}, family...)
		})
	}
}
