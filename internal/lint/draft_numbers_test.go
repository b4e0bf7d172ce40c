package lint

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestDraftsByNumber: a drafted Down drops what the server has numbered by the number that it has.
func TestDraftsByNumber(t *testing.T) {
	before := `
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE notes (id int PRIMARY KEY, a int, b int, c int CHECK (c > 5), FOREIGN KEY (a) REFERENCES parents (id), FOREIGN KEY (b) REFERENCES parents (id), CHECK (a > 0), CHECK (b > 0));
`
	gap := before + "ALTER TABLE notes DROP FOREIGN KEY notes_ibfk_1;\n"
	for _, s := range []struct {
		d          effects.Dialect
		open       func(testing.TB) string
		first, all string // the checks of before, as the server calls them
	}{
		{effects.MySQL, func(t testing.TB) string { return testdb.MySQL(t) }, "notes_chk_1", "notes_chk_2"},
		{effects.MariaDB, func(t testing.TB) string { return testdb.MariaDB(t) }, "CONSTRAINT_1", "CONSTRAINT_2"},
	} {
		for _, c := range []draftCase{
			{"a foreign key behind a gap", gap, "ALTER TABLE notes ADD COLUMN d int, ADD FOREIGN KEY (d) REFERENCES parents (id);"},
			{"a foreign key that Up takes", before, "ALTER TABLE notes DROP FOREIGN KEY notes_ibfk_1; ALTER TABLE notes ADD COLUMN d int, ADD CONSTRAINT mine FOREIGN KEY (d) REFERENCES parents (id);"},
			{"a number that was written out", before + "ALTER TABLE notes ADD CONSTRAINT notes_ibfk_9 FOREIGN KEY (c) REFERENCES parents (id);",
				"ALTER TABLE notes RENAME TO papers; ALTER TABLE papers ADD COLUMN d int, ADD FOREIGN KEY (d) REFERENCES parents (id);"},
			{"a table made again", gap + "ALTER TABLE notes ADD COLUMN e varchar(9) CHARACTER SET utf8mb3;", "DROP TABLE notes;"},
			{"a table with a character set", "CREATE TABLE t (id int PRIMARY KEY, a varchar(9)) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin; ALTER TABLE t ADD b int;", "DROP TABLE t;"},
			{"a column that counts", "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a varchar(9));", "ALTER TABLE t DROP COLUMN id; ALTER TABLE t ADD COLUMN id varchar(31) NOT NULL FIRST;"},
			{"a column that counts, gone", "CREATE TABLE t (a varchar(9), id int PRIMARY KEY AUTO_INCREMENT);", "ALTER TABLE t DROP COLUMN id;"},
			{"a unique key over a new column and an old one", before, "ALTER TABLE notes ADD COLUMN zone varchar(9) NOT NULL DEFAULT 'z'; ALTER TABLE notes ADD UNIQUE KEY by_zone (c, zone); CREATE INDEX zone_b ON notes (zone, b);"},
			{"a key over a new column and one of a foreign key", before, "ALTER TABLE notes ADD COLUMN zone varchar(9); CREATE INDEX a_zone ON notes (a, zone);"},
			{"a unique key that serves a foreign key", before, "ALTER TABLE notes ADD UNIQUE KEY a_c (a, c), ADD KEY b_c (b, c);"},
			{"a column in other letters", "CREATE TABLE t (userName varchar(9) NOT NULL DEFAULT 'x', id int PRIMARY KEY);", "ALTER TABLE t MODIFY username varchar(99);"},
			{"a table in whose place another comes, with another unique key", "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, UNIQUE (a, b)); CREATE TABLE new_t (id int);",
				"DROP TABLE new_t; CREATE TABLE new_t (id int PRIMARY KEY, a int NOT NULL, c int NOT NULL, UNIQUE (a, c)); DROP TABLE t; RENAME TABLE new_t TO t;"},
			{"a column that counts in the place of a key of two", "CREATE TABLE t (a int NOT NULL, b int NOT NULL, PRIMARY KEY (a, b));", "ALTER TABLE t DROP PRIMARY KEY; ALTER TABLE t ADD COLUMN id int unsigned PRIMARY KEY AUTO_INCREMENT;"},
			{"a check", before, "ALTER TABLE notes ADD CHECK (b < 100);"},
			{"a check behind a gap", before + "ALTER TABLE notes DROP CONSTRAINT " + s.first + ";", "ALTER TABLE notes ADD CHECK (b < 100); ALTER TABLE notes DROP CONSTRAINT " + s.all + ";"},
		} {
			t.Run(string(s.d)+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				checkDraft(t, s.d, s.open(t), c)
			})
		}
	}
}

// TestDraftsKeepLetterCase: names are written as they were given, which MySQL on Linux tells apart.
func TestDraftsKeepLetterCase(t *testing.T) {
	before := "CREATE TABLE Notes (Id int PRIMARY KEY); CREATE VIEW AllNotes AS SELECT Id FROM Notes;"
	for _, c := range []draftCase{
		{"a table and a view", before, "CREATE TABLE Other (Id int PRIMARY KEY, N int, FOREIGN KEY (N) REFERENCES Notes (Id)); ALTER TABLE Notes ADD COLUMN B int; CREATE VIEW Others AS SELECT Id FROM Other;"},
		{"a table put aside", before, "DROP VIEW AllNotes; ALTER TABLE Notes RENAME TO _bkp_Notes; CREATE TABLE Noted (Id int PRIMARY KEY);"},
		{"a table that is dropped", before + "ALTER TABLE Notes ADD COLUMN C int;", "DROP VIEW AllNotes; DROP TABLE Notes;"},
	} {
		t.Run("mariadb/"+c.name, func(t *testing.T) {
			t.Parallel()
			checkDraft(t, effects.MariaDB, testdb.MariaDB(t), c)
		})
		t.Run("mysql/"+c.name, func(t *testing.T) {
			t.Parallel()
			checkDraft(t, effects.MySQL, testdb.MySQL(t), c)
		})
	}
}

// TestDraftsTakeBackValuesOfEnums: the type is made anew for the columns that are there then.
func TestDraftsTakeBackValuesOfEnums(t *testing.T) {
	before := "CREATE TYPE app AS ENUM ('photos', 'auth'); CREATE TABLE tokens (id int PRIMARY KEY, app app DEFAULT 'photos'); CREATE TABLE books (id int PRIMARY KEY);"
	for _, c := range []draftCase{
		{"a column that came after", before, "ALTER TYPE app ADD VALUE 'locker'; ALTER TABLE books ADD COLUMN app app DEFAULT 'photos'; CREATE INDEX books_app ON books (app) WHERE app IS NOT NULL; CREATE TABLE more (app app);"},
		{"a column that came before", before, "ALTER TABLE books ADD COLUMN app app DEFAULT 'photos'; ALTER TYPE app ADD VALUE 'locker';"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkDraft(t, pg, testdb.Postgres(t), c)
		})
	}
}

// TestDraftsWithoutChecks: what Up could do without the checks of foreign keys only, Down can do only so.
func TestDraftsWithoutChecks(t *testing.T) {
	t.Parallel()
	before := "CREATE TABLE p (id char(36) PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, p char(36) NOT NULL, CONSTRAINT tp FOREIGN KEY (p) REFERENCES p (id));"
	up := "SET foreign_key_checks = 0; ALTER TABLE p MODIFY id char(36) CHARACTER SET utf8mb3; ALTER TABLE t MODIFY p char(36) CHARACTER SET utf8mb3 NOT NULL; SET foreign_key_checks = 1;"
	model := Play(effects.MySQL, []*Migration{{Up: statements(t, effects.MySQL, before, 0, len(before))}})
	down := DraftDown(model, statements(t, effects.MySQL, up, 0, len(up)))
	if lines := strings.Split(strings.TrimSpace(down), "\n"); len(lines) != 4 || lines[0] != "SET foreign_key_checks = 0;" || lines[3] != "SET foreign_key_checks = 1;" {
		t.Errorf("the drafted Down:\n%s", down)
	}
}
