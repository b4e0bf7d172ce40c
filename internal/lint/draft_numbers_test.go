package lint

import (
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
