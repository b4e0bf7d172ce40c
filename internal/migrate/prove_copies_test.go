package migrate_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A copy of the database is the most costly part of a proof: one is made for what cannot be tried in a transaction, and once.
func TestProveCopies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		up, down string
		want     string // verdict
		copies   int
	}{
		{"ALTER TYPE e ADD VALUE 'b';\nALTER TABLE t ADD COLUMN b int;", "ALTER TABLE t DROP COLUMN b;\nALTER TABLE t ALTER COLUMN k TYPE text;\nDROP TYPE e;\nCREATE TYPE e AS ENUM ('a');\nALTER TABLE t ALTER COLUMN k TYPE e USING k::e;", "ok", 0},
		{"CREATE INDEX CONCURRENTLY i ON t (a);", "DROP INDEX CONCURRENTLY i;", "ok", 1},
		// One for the trial, one for the captures: what else differs shows on the same one.
		{"DROP INDEX CONCURRENTLY i;", "CREATE INDEX CONCURRENTLY i ON t (k);", "wrong", 2},
		// These do without a transaction what they do not do in one.
		{"LOCK TABLE t;\nALTER TABLE t ADD COLUMN c int;", "ALTER TABLE t DROP COLUMN c;", "up-fails", 1},
		{"INSERT INTO child VALUES (7);\nINSERT INTO t VALUES (7);", "DELETE FROM child;\nDELETE FROM t;", "up-fails", 1},
		{"ALTER TYPE e ADD VALUE 'c';\nINSERT INTO t VALUES (8, 1, 'c');", "DELETE FROM t;", "wrong", 3}, // the trial, its rows, the captures
	} {
		t.Run(c.up, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for name, text := range map[string]string{
				"1_m.sql": migration("CREATE TYPE e AS ENUM ('a');\nCREATE TABLE t (id int PRIMARY KEY, a int, k e);\nCREATE TABLE child (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED);",
					"DROP TABLE child;\nDROP TABLE t;\nDROP TYPE e;"),
				"2_m.sql": "-- +goose NO TRANSACTION\n" + migration(c.up, c.down),
			} {
				if c.copies == 2 {
					text = strings.Replace(text, "a int, k e);", "a int, k e);\nCREATE INDEX i ON t (a);", 1)
				}
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			scratch, err := engine.NewScratch(t.Context(), engine.ScratchOptions{DSN: testdb.OnPostgres.New(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer scratch.Close()
			report, err := migrate.Prove(t.Context(), migrate.ProveOptions{Files: files, Dir: "m", Scratch: scratch, Only: func(m *migrate.Migration) bool { return m.Version == 2 }})
			if err != nil {
				t.Fatal(err)
			}
			next, err := scratch.Create(t.Context(), "") // the name says how many there were
			if err != nil {
				t.Fatal(err)
			}
			number, err := strconv.Atoi(next[strings.LastIndex(next, "_")+1:])
			if err != nil {
				t.Fatal(err)
			}
			p, copies := report.Migrations[0], number-2 // the trunk is the first
			if string(p.Verdict) != c.want || copies != c.copies {
				t.Errorf("%s with %d copies, want %s with %d: %+v", p.Verdict, copies, c.want, c.copies, p.Error)
			}
		})
	}
}
