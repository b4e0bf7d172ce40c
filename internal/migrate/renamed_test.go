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

// TestDownDropsWhatUpRenamed: a Down that drops a table or a column that Up only gave another name is refused before it runs, as what was there before would come back
// empty. When Down is mended, all is as it was.
func TestDownDropsWhatUpRenamed(t *testing.T) {
	t.Parallel()
	const notes = "CREATE TABLE draft (id integer PRIMARY KEY, body varchar(40));\nINSERT INTO draft VALUES (1, 'a'), (2, 'b'), (3, NULL);\n"
	const create, copied = "CREATE TABLE draft (id integer, body varchar(40));\n", "INSERT INTO draft SELECT id, body FROM note;\n"
	const renamed, column, again = "ALTER TABLE draft RENAME TO note;", "ALTER TABLE draft RENAME COLUMN body TO words;", "ALTER TABLE note RENAME TO draft;"
	const addBody = "ALTER TABLE draft ADD COLUMN body varchar(40);\n"
	tests := []struct{ name, up, wrong, names, mended string }{
		{"table", renamed, "DROP TABLE note;", "note, which was there before Up as draft", again},
		{"table in steps", "ALTER TABLE draft RENAME TO n1;\nALTER TABLE n1 RENAME TO note;", "ALTER TABLE note RENAME TO n2;\nDROP TABLE n2;", "note, which was there before Up as draft", again},
		{"table made again", renamed, create + "DROP TABLE note;", "note, which was there before Up as draft", create + copied + "DROP TABLE note;"},
		{"table with another in its place", renamed + "\n" + create + "INSERT INTO draft SELECT id, upper(body) FROM note;", "DROP TABLE note;", "note, which was there before Up as draft", "DROP TABLE draft;\n" + again},
		{"column", column, "ALTER TABLE draft DROP COLUMN words;", "draft.words, which was there before Up as body", "ALTER TABLE draft RENAME COLUMN words TO body;"},
		{"column made again", column, addBody + "ALTER TABLE draft DROP COLUMN words;", "draft.words, which was there before Up as body", addBody + "UPDATE draft SET body = words;\nALTER TABLE draft DROP COLUMN words;"},
		{"column of a renamed table", column + "\n" + renamed, "ALTER TABLE note DROP COLUMN words;\n" + again, "note.words, which was there before Up as body", again + "\nALTER TABLE draft RENAME COLUMN words TO body;"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				setup := notes
				if strings.Contains(test.mended, copied) { // PostgreSQL would give the key of a table made beside it another name
					setup = strings.Replace(notes, " PRIMARY KEY", "", 1)
				}
				f := newFixture(t, dsn, setup, map[string]string{"00001_x.sql": migration(test.up, test.wrong)})
				before := f.dump()
				f.up()
				after := f.dump()
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
				var refused *migrate.RefusedError
				if !errors.As(err, &refused) || len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0].Message, test.names) || !strings.Contains(refused.Reasons[0].Hint, "RENAME") {
					t.Fatalf("err = %v", err)
				}
				f.same(after, f.dump(), "after the refused rollback")
				f.files["00001_x.sql"].Data = []byte(migration(test.up, test.mended))
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(before, f.dump(), "after the rollback")
			}, testdb.Everywhere()...)
		})
	}
}

// TestDownDropsACopy: Up gives a table another name and carries its rows into one that it makes; Down carries them back from there, with what the application has written,
// and drops the old one unread.
func TestDownDropsACopy(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE draft (id integer PRIMARY KEY, body varchar(40));\nINSERT INTO draft VALUES (1, 'a'), (2, 'b'), (3, NULL);\n", nil)
		asideUp, asideDown := "", ""
		if f.db.Kind == engine.Postgres { // else the key of the new one would have another name
			asideUp, asideDown = "ALTER TABLE old_draft RENAME CONSTRAINT draft_pkey TO old_pkey;\n", "ALTER TABLE new_draft RENAME CONSTRAINT draft_pkey TO new_pkey;\n"
		}
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(
			"ALTER TABLE draft RENAME TO old_draft;\n"+asideUp+"CREATE TABLE draft (id integer PRIMARY KEY, body varchar(40), n integer);\nINSERT INTO draft (id, body) SELECT id, body FROM old_draft;",
			"ALTER TABLE draft RENAME TO new_draft;\n"+asideDown+"CREATE TABLE draft (id integer PRIMARY KEY, body varchar(40));\nINSERT INTO draft SELECT id, body FROM new_draft;\nDROP TABLE new_draft;\nDROP TABLE old_draft;"))}
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
		f.up()
		f.exec("UPDATE draft SET body = 'k' WHERE id = 2;\nINSERT INTO draft VALUES (4, 'd', 5);\n")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, body FROM draft ORDER BY id"), " "); got != "1|a 2|k 3|NULL 4|d" {
			t.Errorf("rows %s", got)
		}
	}, testdb.Everywhere()...)
}

// TestDownDropsAnEmptyTable: what Up renamed and holds no rows may go, and is there again. So may what the migration itself made, and then renamed.
func TestDownDropsAnEmptyTable(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE draft (id integer PRIMARY KEY, body varchar(40));\n", map[string]string{"00001_x.sql": migration(
			"ALTER TABLE draft RENAME TO note;\nCREATE TABLE a (id integer PRIMARY KEY, x integer);\nALTER TABLE a RENAME COLUMN x TO y;\nALTER TABLE a RENAME TO b;\nINSERT INTO b VALUES (1, 2);",
			"DROP TABLE note;\nALTER TABLE b DROP COLUMN y;\nDROP TABLE b;")})
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the rollback")
	}, testdb.Everywhere()...)
}
