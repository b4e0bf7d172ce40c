package lint

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// TestMisspeltColumns: where the model knows a whole table, a statement that names a column which is not there is told, in Up and in Down.
func TestMisspeltColumns(t *testing.T) {
	for _, d := range []effects.Dialect{pg, effects.MySQL, sqlite} {
		base := "CREATE TABLE notes (id int PRIMARY KEY, body varchar(20), stars int);"
		add, drop := "ALTER TABLE notes ADD COLUMN n int;", "ALTER TABLE notes DROP COLUMN n;"
		checkRules(t, "RV0", []ruleCase{
			{"update in Down", d, base, add, "UPDATE notes SET boddy = 'x';" + drop, "RV008 Down will fail: column notes.boddy is not there"},
			{"insert in Down", d, base, add, "INSERT INTO notes (id, boddy) VALUES (1, 'x');" + drop, "RV008 Down will fail: column notes.boddy is not there"},
			{"update in Up", d, base, "UPDATE notes SET starz = 0;" + add, drop, "RV008 Up will fail: column notes.starz is not there"},
			{"rename in Down", d, base, add, "ALTER TABLE notes RENAME COLUMN boddy TO text;" + drop, "RV008 Down will fail: column notes.boddy is not there"},
			{"written after it went", d, base, add, drop + "UPDATE notes SET n = 0;", "RV008 column notes.n is not there"},
			{"a table that went", d, base, "CREATE TABLE o (id int PRIMARY KEY);", "DROP TABLE o; DELETE FROM o;", "RV008 table o is not there any more"},
			{"key of a foreign key", d, base, "CREATE TABLE o (id int PRIMARY KEY, FOREIGN KEY (note_id) REFERENCES notes (id));", "DROP TABLE o;", "RV008 column o.note_id is not there"},
			{"renamed before", d, base, "ALTER TABLE notes RENAME COLUMN body TO text; UPDATE notes SET text = '';",
				"UPDATE notes SET text = 'x'; ALTER TABLE notes RENAME COLUMN text TO body;", ""},
			{"a table that no migration made", d, base, "UPDATE others SET n = 1;" + add, "UPDATE others SET n = 0;" + drop, ""},
			{"in other letters", d, base, "UPDATE notes SET Stars = 0;" + add, drop, ""},
			{"a view in place of the table", d, base + "DROP TABLE notes; CREATE TABLE o (id int PRIMARY KEY, n int); CREATE VIEW notes AS SELECT id, n FROM o;",
				"UPDATE notes SET n = 0;", "SELECT 1;", ""},
		})
	}
	checkRules(t, "RV0", []ruleCase{
		{"foreign key to it", pg, "CREATE TABLE a (id int PRIMARY KEY);", "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a (idd));", "DROP TABLE b;", "RV008 Up will fail: column a.idd is not there"},
		{"type in Down", pg, "CREATE TABLE a (id int PRIMARY KEY, n int);", "ALTER TABLE a ALTER n TYPE bigint;", "ALTER TABLE a ALTER m TYPE int;", "RV008 column a.m is not there"},
		{"a child's own columns", pg, "CREATE TABLE p (id int); CREATE TABLE a (n int) INHERITS (p);", "UPDATE a SET id = 1;", "SELECT 1;", ""},
		{"changed in Down", effects.MySQL, "CREATE TABLE a (id int PRIMARY KEY, n int);", "ALTER TABLE a CHANGE n m int;", "ALTER TABLE a CHANGE mm n int;", "RV008 column a.mm is not there"},
		{"columns of either table", effects.MySQL, "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY, m int);",
			"UPDATE a JOIN b ON a.id = b.id SET m = n;", "SELECT 1;", ""},
		{"dropped where it never was", pg, "CREATE TABLE a (id int PRIMARY KEY);", "ALTER TABLE a DROP COLUMN IF EXISTS n;", "ALTER TABLE a ADD COLUMN n int;",
			"RV003 Down makes column a.n, which was not there before Up"},
	})
}

// TestProceduresBody: what a procedure of MySQL alters is in its body, and not in the longest text within that.
func TestProceduresBody(t *testing.T) {
	procedure := "-- +goose StatementBegin\nCREATE PROCEDURE p() BEGIN IF EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'a' AND column_name = 'some_long_text') THEN " +
		"ALTER TABLE a RENAME COLUMN n TO m; END IF; END;\n-- +goose StatementEnd\nCALL p(); DROP PROCEDURE p;"
	findings := lintLast(t, Options{Engine: effects.MySQL}, goose("CREATE TABLE a (id int PRIMARY KEY, n int);", "DROP TABLE a;"), goose(procedure, "SELECT 1;"),
		goose("UPDATE a SET m = 1;", "UPDATE a SET m = 2;"))
	for _, f := range findings {
		if strings.HasPrefix(f.Code, "RV008") {
			t.Errorf("nobody knows which columns there are:%s", print(findings))
		}
	}
}

// TestUnreadableStatements: what is no SQL fails, and has no effect that could be rehearsed.
func TestUnreadableStatements(t *testing.T) {
	base, add := "CREATE TABLE notes (id int PRIMARY KEY, body varchar(20));", "ALTER TABLE notes ADD COLUMN n int;"
	checkRules(t, "RV0", []ruleCase{
		{"a word that is none", pg, base, add, "ALTER TABLE notes REMOVE COLUMN n;", `RV008 Down will fail, it is no SQL: syntax error at or near "REMOVE"`},
		{"a missing semicolon", pg, base, add, "DELETE FROM notes WHERE id = 1\nALTER TABLE notes DROP COLUMN n;", `RV008 Down will fail, it is no SQL: syntax error at or near "ALTER"`},
		{"a missing semicolon", sqlite, base, add, "CREATE TABLE n (id int)\nINSERT INTO n SELECT id FROM notes;", "RV008 Down will fail, it is no SQL"},
		{"columns behind DROP INDEX", effects.MySQL, base, "CREATE INDEX i ON notes (body);", "DROP INDEX i ON notes (body);", "RV005 the grammar rejects it"},
		{"in Up", pg, base, "ALTER TABLE notes ADD n int NOT NULL,;", "ALTER TABLE notes DROP COLUMN n;", "RV008 Up will fail, it is no SQL"},
		{"syntax of PostgreSQL 18", pg, base, add, "ALTER TABLE notes ADD CONSTRAINT c NOT NULL body;\nALTER TABLE notes DROP COLUMN n;", "RV005 the grammar rejects it"},
		{"a virtual column by default", pg, base, "ALTER TABLE notes ADD COLUMN n int GENERATED ALWAYS AS (id * (2 + 1));", "ALTER TABLE notes DROP COLUMN n;", "RV005 the grammar rejects it"},
		{"more columns behind it", pg, base, "CREATE TABLE more (id int, n int GENERATED ALWAYS AS (id * 2), m int);", "DROP TABLE more;", "RV005 the grammar rejects it"},
	})
}

// TestRowsOfTheClient: what no server could be sent is not rehearsed.
func TestRowsOfTheClient(t *testing.T) {
	checkRules(t, "RV0", []ruleCase{
		{"copy", pg, "CREATE TABLE notes (id int PRIMARY KEY);", "COPY notes FROM STDIN;", "DELETE FROM notes;", "RV005 up refuses it, as there is no client"},
	})
}
