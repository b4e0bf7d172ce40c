package migrate_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestAbortAfterRowsCameEarly: rows and values that a statement of Down needed back before its end are taken out again by recover --abort, as exactly as the rest.
func TestAbortAfterRowsCameEarly(t *testing.T) {
	t.Parallel()
	const setup = "CREATE TABLE seats (id integer PRIMARY KEY, label varchar(9), no integer NOT NULL, UNIQUE KEY one (label));\nINSERT INTO seats VALUES (10, 'x', 7), (11, 'y', 8), (12, 'w', 9);\n"
	for name, x := range map[string]struct{ up, down, app, later, back, undo string }{
		"values": {
			up: "ALTER TABLE seats DROP INDEX one;\nUPDATE seats SET label = 'z';", down: "CREATE UNIQUE INDEX one ON seats (label);\n",
			app: "INSERT INTO seats VALUES (1, 'v', 1);\nDELETE FROM seats WHERE id = 12;", later: "UPDATE seats SET no = 70 WHERE id = 10;\nUPDATE seats SET label = 'q' WHERE id = 11;", back: "UPDATE seats SET no = 7 WHERE id = 10;\nUPDATE seats SET label = CASE label WHEN 'q' THEN 'z' ELSE 'lost' END WHERE id = 11;",
			undo: "DELETE FROM seats WHERE id = 1;\nINSERT INTO seats VALUES (12, 'w', 9);",
		},
		"rows": {
			up: "DELETE FROM seats WHERE id < 12;\nALTER TABLE seats DROP COLUMN no, ADD COLUMN zone integer NOT NULL, DROP KEY one;", down: "ALTER TABLE seats DROP COLUMN zone;\nALTER TABLE seats ADD COLUMN no integer NOT NULL;\nCREATE UNIQUE INDEX one ON seats (label);\n",
			app: "UPDATE seats SET zone = 4 WHERE id = 12;",
		},
		"rows of a table made anew": {
			up:   "DROP TABLE seats;\nCREATE TABLE seats (id integer PRIMARY KEY, label varchar(9), zone integer NOT NULL);",
			down: "ALTER TABLE seats DROP COLUMN zone;\nALTER TABLE seats ADD COLUMN no integer NOT NULL;\nCREATE UNIQUE INDEX one ON seats (label);\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, setup, map[string]string{"00001_x.sql": migration(x.up, x.down+"INSERT INTO nowhere VALUES (1);")})
				before := f.dump()
				f.up()
				f.exec(x.app)
				between := f.dump()
				for _, meanwhile := range [][2]string{{}, {x.later, x.back}} { // the application writes to what is back, and its write stays
					var partial *migrate.PartialError
					if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 0}); !errors.As(err, &partial) || !partial.Unfinished {
						t.Fatalf("err = %v", err)
					}
					if f.dump() == between {
						t.Fatal("nothing came back early")
					}
					f.exec(meanwhile[0])
					if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
						t.Fatal(err)
					}
					f.exec(meanwhile[1])
					f.same(between, f.dump(), "taken back")
				}
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(x.up, x.down))}
				f.rollback(migrate.RollbackRequest{To: 0})
				f.exec(x.undo)
				f.same(before, f.dump(), "after the rollback")
			}, family...)
		})
	}
}
