package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestDownDropsWhatWasThere: a Down that drops a table or a column which was there before Up, and of which Up captured nothing or the application has written
// what no capture holds, is refused before it runs, also when it makes it again, empty. When Down is mended, all is as it was, and the application's writes are there.
func TestDownDropsWhatWasThere(t *testing.T) {
	t.Parallel()
	const notes = "CREATE TABLE note (id integer PRIMARY KEY, done integer, state varchar(9) DEFAULT 'x');\n"
	const again = "ALTER TABLE note DROP COLUMN state;\nALTER TABLE note ADD COLUMN state varchar(9) DEFAULT 'x';"
	const state, done, table = "note.state, which was there before Up", "note.done, which was there before Up", "note, which was there before Up"
	tests := []struct{ name, up, wrong, names, mended string }{
		{"column beside the one that comes back", "ALTER TABLE note DROP COLUMN done;", "ALTER TABLE note DROP COLUMN state;", state, "ALTER TABLE note ADD COLUMN done integer;"},
		{"column made again", "CREATE INDEX note_i ON note (done);", again, state, "SELECT 1;"},
		{"column of which one value was captured", "UPDATE note SET state = 'z' WHERE id = 3;", again, state, "SELECT 1;"},
		{"column in whose place another comes", "ALTER TABLE note ADD COLUMN z integer;\nUPDATE note SET z = done;", "ALTER TABLE note DROP COLUMN done;\nALTER TABLE note RENAME COLUMN z TO done;", done, "ALTER TABLE note DROP COLUMN z;"},
		{"table made again", "ALTER TABLE note ADD COLUMN z integer;", "DROP TABLE note;\n" + notes, table, "ALTER TABLE note DROP COLUMN z;"},
		{"column with another type", "ALTER TABLE note ALTER COLUMN state TYPE varchar(20);", again, state, "ALTER TABLE note ALTER COLUMN state TYPE varchar(9);"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, notes+"INSERT INTO note VALUES (1, 1, 'a'), (2, 0, 'b'), (3, 1, NULL), (5, 0, 'e');\n", nil)
				up, mended := test.up, test.mended
				if strings.Contains(up, " TYPE ") {
					if f.db.Kind == engine.SQLite {
						return // types change by a table made anew only
					}
					if f.db.Kind != engine.Postgres {
						up, mended = "ALTER TABLE note MODIFY state varchar(20) DEFAULT 'x';", "ALTER TABLE note MODIFY state varchar(9) DEFAULT 'x';"
					}
				}
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(up, test.wrong))}
				f.up()
				f.exec("INSERT INTO note (id, state) VALUES (4, 'c');\nUPDATE note SET state = 'k' WHERE id = 1;\nDELETE FROM note WHERE id = 5;\n")
				after := f.dump()
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
				var refused *migrate.RefusedError
				if !errors.As(err, &refused) || len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0].Message, test.names) {
					t.Fatalf("err = %v", err)
				}
				f.same(after, f.dump(), "after the refused rollback")
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(up, mended))}
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, want := strings.Join(testdb.Query(t, dsn, "SELECT id, done, state FROM note ORDER BY id"), " "), "1|1|k 2|0|b 3|1|NULL 4|NULL|c"; got != want {
					t.Errorf("rows\n got %s\nwant %s", got, want)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestDownMakesAnother: a column that Up has given another type may go and come again while nobody has written to it, and so may one whose values a statement before
// has carried on; a table as well.
func TestDownMakesAnother(t *testing.T) {
	t.Parallel()
	const notes = "CREATE TABLE note (id integer PRIMARY KEY, state varchar(9));\n"
	tests := []struct{ name, up, down, writes, want string }{
		{"type, nothing written", "ALTER TABLE note ALTER COLUMN state TYPE varchar(20);", "ALTER TABLE note DROP COLUMN state;\nALTER TABLE note ADD COLUMN state varchar(9);", "DELETE FROM note WHERE id = 2;\n", "1|a"},
		{"column carried on", "CREATE INDEX note_i ON note (state);", "ALTER TABLE note ADD COLUMN s varchar(9);\nUPDATE note SET s = state;\nDROP INDEX note_i ON note;\nALTER TABLE note DROP COLUMN state;\nALTER TABLE note RENAME COLUMN s TO state;", "INSERT INTO note VALUES (3, 'c');\n", "1|a 2|b 3|c"},
		{"table carried on", "ALTER TABLE note ADD COLUMN z integer;", "CREATE TABLE n (id integer, state varchar(9));\nINSERT INTO n SELECT id, state FROM note;\nDROP TABLE note;\n" + notes + "INSERT INTO note SELECT * FROM n;\nDROP TABLE n;",
			"INSERT INTO note VALUES (3, 'c', 5);\n", "1|a 2|b 3|c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, notes+"INSERT INTO note VALUES (1, 'a'), (2, 'b');\n", nil)
				up, down := test.up, test.down
				switch f.db.Kind {
				case engine.SQLite:
					if strings.Contains(up, " TYPE ") {
						return // types change by a table made anew only
					}
					fallthrough
				case engine.Postgres:
					down = strings.ReplaceAll(down, "DROP INDEX note_i ON note;", "DROP INDEX note_i;")
				default:
					up = strings.ReplaceAll(up, "ALTER COLUMN state TYPE", "MODIFY state")
				}
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(up, down))}
				f.up()
				f.exec(test.writes)
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := strings.Join(testdb.Query(t, dsn, "SELECT id, state FROM note ORDER BY id"), " "); got != test.want {
					t.Errorf("rows\n got %s\nwant %s", got, test.want)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestBystandersOfATruncate: rows that were there before Up, and those that the application has written since, are there again when Down empties their table, and those that point to them
// when it empties them too.
func TestBystandersOfATruncate(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const line = "CREATE TABLE line (id integer PRIMARY KEY, note integer);\nINSERT INTO line VALUES (1, 1), (2, 2);\n"
		setup, down := line, "TRUNCATE TABLE note;"
		f := newFixture(t, dsn, "CREATE TABLE note (id integer PRIMARY KEY, state varchar(9));\nINSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, NULL);\n", nil)
		if f.db.Kind == engine.Postgres {
			setup, down = strings.Replace(line, "note integer", "note integer REFERENCES note", 1), "TRUNCATE TABLE note CASCADE;"
		}
		f.exec(setup)
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration("INSERT INTO note VALUES (10, 's');", down))}
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
		f.up()
		f.exec("UPDATE note SET state = 'k' WHERE id = 2;\nINSERT INTO note VALUES (4, 'd');\n")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, state FROM note ORDER BY id"), " "); got != "1|a 2|k 3|NULL 4|d" {
			t.Errorf("rows %s", got)
		}
		if len(res.Conflicts) > 0 {
			t.Errorf("conflicts %+v", res.Conflicts)
		}
		f.up()
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, state FROM note ORDER BY id"), " "); got != "1|a 2|k 3|NULL 4|d 10|s" {
			t.Errorf("up again: %s", got)
		}
	}, testdb.OnPostgres, testdb.OnMariaDB, testdb.OnMySQL)
}

// TestDownDropsAColumnForGood: a column that Down drops, and that was there before Up, goes when that is accepted, and is told; what Up has captured comes back.
func TestDownDropsAColumnForGood(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE note (id integer PRIMARY KEY, done integer, state varchar(9) DEFAULT 'x' NOT NULL);\nINSERT INTO note VALUES (1, 1, 'a'), (2, 0, 'b');\n",
			map[string]string{"00001_x.sql": migration("ALTER TABLE note DROP COLUMN done;", "ALTER TABLE note DROP COLUMN state;")})
		f.up()
		var refused *migrate.RefusedError
		if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); !errors.As(err, &refused) || !strings.Contains(refused.Reasons[0].Hint, "--allow-drift") {
			t.Fatalf("err = %v", err)
		}
		res, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1, AllowDrift: true})
		if err != nil {
			t.Fatal(err)
		}
		if res.Verified || !strings.Contains(strings.Join(res.Warnings, "\n"), "note.state is not as it was") {
			t.Errorf("verified %v, warnings %q", res.Verified, res.Warnings)
		}
		if got := strings.Join(testdb.Query(t, dsn, "SELECT * FROM note ORDER BY id"), " "); got != "1|1 2|0" {
			t.Errorf("rows %s", got)
		}
	}, testdb.Everywhere()...)
}

// TestDownDropsWhatWasThereWithoutAKey: the same of a table without a key, where it is not known which rows the application has written.
func TestDownDropsWhatWasThereWithoutAKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE note (id integer, state varchar(9));\nINSERT INTO note VALUES (1, 'a'), (2, 'b'), (2, 'b');\n", nil)
		up := "ALTER TABLE note MODIFY state varchar(20);"
		if f.db.Kind == engine.Postgres {
			up = "ALTER TABLE note ALTER COLUMN state TYPE varchar(20);"
		}
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(up, "ALTER TABLE note DROP COLUMN state;\nALTER TABLE note ADD COLUMN state varchar(9);"))}
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "nobody has written")
		f.up()
		f.exec("INSERT INTO note VALUES (3, 'c');\nUPDATE note SET state = 'k' WHERE id = 1;\n")
		after := f.dump()
		var refused *migrate.RefusedError
		if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); !errors.As(err, &refused) {
			t.Fatalf("err = %v", err)
		}
		f.same(after, f.dump(), "after the refused rollback")
	}, testdb.OnPostgres, testdb.OnMariaDB, testdb.OnMySQL)
}

// TestDownDropsWhatIsNotThere: a Down that drops a column which its table does not have is refused before it runs, and says which; with IF EXISTS it does nothing.
func TestDownDropsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		down := "ALTER TABLE note DROP COLUMN z;\nALTER TABLE note DROP COLUMN form;"
		f := newFixture(t, dsn, "CREATE TABLE note (id integer PRIMARY KEY, state varchar(9));\nINSERT INTO note VALUES (1, 'a'), (2, NULL);\n",
			map[string]string{"00001_x.sql": migration("ALTER TABLE note ADD COLUMN z integer;", down)})
		before := f.dump()
		f.up()
		after := f.dump()
		_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0].Message, "Down drops note.form, which is not there") {
			t.Fatalf("err = %v", err)
		}
		f.same(after, f.dump(), "after the refused rollback")
		down = "ALTER TABLE note DROP COLUMN z;"
		if f.db.Kind == engine.Postgres || f.db.Kind == engine.MariaDB {
			down += "\nALTER TABLE note DROP COLUMN IF EXISTS form;"
		}
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration("ALTER TABLE note ADD COLUMN z integer;", down))}
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
	}, testdb.Everywhere()...)
}
