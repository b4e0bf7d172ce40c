package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWhatIsLost: a table that is made anew, by Up or by Down, is compared with the one that was there.
func TestWhatIsLost(t *testing.T) {
	my, maria := effects.MySQL, effects.MariaDB
	anew := "DROP TABLE IF EXISTS notes;\nCREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);"
	rebuild := func(body string) string {
		return "CREATE TABLE n (" + body + ");\nDROP TABLE notes;\nALTER TABLE n RENAME TO notes;"
	}
	notes := "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT);\nCREATE INDEX notes_body ON notes (body);"
	checkRules(t, "RV0", []ruleCase{
		{"a table that Up made anew", sqlite, notes, anew, "DROP TABLE notes;", "RV002 does not bring back table notes"},
		{"so", pg, "CREATE TABLE notes (id int PRIMARY KEY);", anew, "DROP TABLE notes;", "RV002 does not bring back table notes"},
		{"a table that Up did not make", pg, "CREATE TABLE notes (id int PRIMARY KEY);", "CREATE TABLE IF NOT EXISTS notes (id int);\nCREATE TABLE o (id int PRIMARY KEY);",
			"DROP TABLE o;\nDROP TABLE notes;", "RV004 drops table notes"},
		{"an index that Up made anew with its table", sqlite, notes, rebuild("id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT, a TEXT") + "\nCREATE INDEX notes_body ON notes (body);",
			"DROP INDEX notes_body;\nALTER TABLE notes DROP COLUMN a;", "RV002 does not bring back index notes_body"},
		{"a column that Down leaves out of the table that it makes anew", sqlite, "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, a TEXT);", "ALTER TABLE notes ADD COLUMN b TEXT;",
			rebuild("id INTEGER PRIMARY KEY, body TEXT"), "RV003 makes the table anew without column notes.a"},
		{"an index of a table, as MySQL writes it", sqlite, notes, "CREATE INDEX notes_id ON notes (id);", "DROP INDEX IF EXISTS notes.notes_id;", "RV002 does not drop index notes_id"},
		{"an index that has the name of a constraint", sqlite, "CREATE TABLE notes (id INTEGER PRIMARY KEY, a TEXT, CONSTRAINT u UNIQUE (a));", "DROP INDEX IF EXISTS notes.u;",
			"CREATE UNIQUE INDEX IF NOT EXISTS u ON notes (a);", "RV003 makes index u, which was not there before Up"},
		{"keys that are drawn no more", sqlite, notes, "DROP INDEX notes_body;\n" + rebuild("id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT, a TEXT"),
			rebuild("id INTEGER PRIMARY KEY, body TEXT") + "\nCREATE INDEX notes_body ON notes (body);", "RV003 another AUTO_INCREMENT"},
		{"keys that are drawn as before", sqlite, notes, "DROP INDEX notes_body;\n" + rebuild("id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT, a TEXT"),
			rebuild("id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT") + "\nCREATE INDEX notes_body ON notes (body);", ""},
		{"keys that are drawn no more", my, "CREATE TABLE notes (id int NOT NULL AUTO_INCREMENT PRIMARY KEY);", "ALTER TABLE notes MODIFY id bigint NOT NULL AUTO_INCREMENT;",
			"ALTER TABLE notes MODIFY id int NOT NULL;", "RV003 another AUTO_INCREMENT"},
		{"keys that are drawn as before", maria, "CREATE TABLE notes (id int NOT NULL AUTO_INCREMENT PRIMARY KEY);", "ALTER TABLE notes MODIFY id bigint NOT NULL AUTO_INCREMENT;",
			"ALTER TABLE notes MODIFY id int NOT NULL AUTO_INCREMENT;", ""},
	})
}

// TestFunctionsOfTheApplication: what a function of SQLite computes changes no table's definition.
func TestFunctionsOfTheApplication(t *testing.T) {
	base := "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, a TEXT);\nUPDATE notes SET body = normalize(body);"
	checkRules(t, "RV0", []ruleCase{
		{"a column that does not come back", sqlite, base, "ALTER TABLE notes DROP COLUMN a;", "UPDATE notes SET body = '';", "RV002 does not bring back column notes.a"},
		{"within the migration", sqlite, "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, a TEXT);", "UPDATE notes SET body = normalize(body);\nALTER TABLE notes DROP COLUMN a;",
			"UPDATE notes SET body = '';", "RV002 does not bring back column notes.a"},
	})
}

// TestWhatIsThereAlready: a Down that makes what is there fails.
func TestWhatIsThereAlready(t *testing.T) {
	base := "CREATE TABLE notes (id int PRIMARY KEY, body varchar(9));\nCREATE INDEX notes_body ON notes (body);\nCREATE TABLE o (id int PRIMARY KEY);"
	add := "ALTER TABLE notes ADD COLUMN a int;"
	back := "ALTER TABLE notes DROP COLUMN a;\n"
	var cases []ruleCase
	for _, d := range []effects.Dialect{pg, sqlite, effects.MySQL} {
		cases = append(cases,
			ruleCase{"an index", d, base, add, back + "CREATE INDEX notes_body ON notes (body);", "RV008 index notes_body is there already"},
			ruleCase{"a table", d, base, add, back + "CREATE TABLE o (id int PRIMARY KEY);", "RV008 table o is there already"},
			ruleCase{"a column", d, base, add, back + "ALTER TABLE notes ADD COLUMN body varchar(9);", "RV008 column notes.body is there already"},
			ruleCase{"a table that is asked for first", d, base, add, back + "CREATE TABLE IF NOT EXISTS o (id int PRIMARY KEY);", ""},
			ruleCase{"a table that is dropped first", d, base, add, back + "DROP TABLE o;\nCREATE TABLE o (id int PRIMARY KEY);", "RV004 drops o, which was there before Up, and carries nothing"},
		)
	}
	aside := back + "ALTER TABLE notes RENAME TO kept;\nCREATE TABLE notes (id int PRIMARY KEY, body varchar(9));\nCREATE INDEX notes_body ON notes (body);\n" +
		"INSERT INTO notes SELECT id, body FROM kept;\nDROP TABLE kept;"
	for _, d := range []effects.Dialect{pg, sqlite} {
		cases = append(cases, ruleCase{"an index of a table put aside", d, base, add, aside, "RV008 index notes_body is there already on kept"},
			ruleCase{"an index of another table", d, base, add, back + "CREATE INDEX notes_body ON o (id);", "RV008 index notes_body is there already on notes"},
			ruleCase{"an index that went first", d, base, add, "DROP INDEX notes_body;\n" + aside, ""})
	}
	cases = append(cases, ruleCase{"an index of that name on each table", effects.MySQL, base, "CREATE INDEX notes_body ON o (id);", "DROP INDEX notes_body ON o;", ""})
	view := "CREATE MATERIALIZED VIEW mv AS SELECT id FROM o;\nCREATE UNIQUE INDEX mv_id ON mv (id);\n"
	checkRules(t, "RV0", append(cases, ruleCase{"an index that went with its view", pg, base + view, add, back + "DROP MATERIALIZED VIEW mv;\n" + view, ""}))
}

// TestWhatDoesNothing: what IF [NOT] EXISTS leaves as it was is not asked back, and not the other's either.
func TestWhatDoesNothing(t *testing.T) {
	maria := effects.MariaDB
	base := "CREATE TABLE notes (id int PRIMARY KEY, a int);\nCREATE INDEX notes_a ON notes (a);\nCREATE VIEW v AS SELECT id FROM notes;\n"
	more, back := "\nCREATE TABLE o (id int PRIMARY KEY);", "DROP TABLE o;"
	cases := []ruleCase{
		{"a sequence that is a column's", pg, "CREATE TABLE notes (id serial PRIMARY KEY);", "CREATE SEQUENCE IF NOT EXISTS notes_id_seq;" + more, back, ""},
		{"a sequence of its own", pg, "CREATE TABLE notes (id serial PRIMARY KEY);", "CREATE SEQUENCE IF NOT EXISTS notes_seq;" + more, back, "RV002 does not drop sequence notes_seq"},
		{"an index that has a table's name", pg, base, "CREATE INDEX IF NOT EXISTS v ON notes (a);" + more, back, ""},
		{"what is there in a new database", pg, base, "CREATE EXTENSION IF NOT EXISTS plpgsql;\nCREATE SCHEMA IF NOT EXISTS public;\n" +
			"COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';\nCOMMENT ON SCHEMA public IS 'standard public schema';" + more, back, ""},
		{"another extension", pg, base, "CREATE EXTENSION IF NOT EXISTS hstore;" + more, back, "RV002 does not drop extension hstore"},
		{"a constraint", maria, base + "ALTER TABLE notes ADD CONSTRAINT k CHECK (a > 0);", "ALTER TABLE notes ADD CONSTRAINT IF NOT EXISTS k CHECK (a > 1);" + more, back, ""},
		{"a foreign key", maria, base + "ALTER TABLE notes ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES notes (id);",
			"ALTER TABLE notes ADD FOREIGN KEY IF NOT EXISTS k (a) REFERENCES notes (id);" + more, back, ""},
		{"a unique key", maria, base + "ALTER TABLE notes ADD UNIQUE KEY k (a);", "ALTER TABLE notes ADD UNIQUE KEY IF NOT EXISTS k (a);" + more, back, ""},
		{"the key of a column that is there is added", maria, base, "ALTER TABLE notes ADD COLUMN IF NOT EXISTS a int UNIQUE;" + more, back, "RV002 does not drop index notes.a"},
		{"its check is not", maria, base, "ALTER TABLE notes ADD COLUMN IF NOT EXISTS a int CHECK (a > 0);" + more, back, ""},
	}
	for _, d := range []effects.Dialect{pg, maria} {
		cases = append(cases,
			ruleCase{"a column of a table that is not there", d, base, "ALTER TABLE IF EXISTS gone ADD COLUMN a int;" + more, back, ""},
			ruleCase{"a constraint of a table that is not there", d, base, "ALTER TABLE IF EXISTS gone ADD CONSTRAINT k CHECK (a > 0);" + more, back, ""},
			ruleCase{"a column of a table that is", d, base, "ALTER TABLE IF EXISTS notes ADD COLUMN b int;" + more, back, "RV002 does not drop column notes.b"},
			ruleCase{"a table that has another name by now", d, base + "DROP VIEW v;\nALTER TABLE notes RENAME TO words;", "ALTER TABLE IF EXISTS notes RENAME TO words;" + more, back, ""})
	}
	for _, d := range []effects.Dialect{pg, sqlite, maria, effects.MySQL} {
		cases = append(cases, ruleCase{"a table that is a view", d, base, "CREATE TABLE IF NOT EXISTS v (id int PRIMARY KEY);" + more, back, ""})
	}
	checkRules(t, "RV002", cases)
}

// TestDownInParts: tools that split by statement make one Down of several, of which none but the first can run alone.
func TestDownInParts(t *testing.T) {
	texts := []string{
		goose("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);", "DROP TABLE notes;"),
		goose("SELECT 1;", "DELETE FROM legacy;"),
		goose("ALTER TABLE notes ADD COLUMN a TEXT;", `ALTER TABLE "_notes_tmp" RENAME TO "notes";`),
		goose("SELECT 1;", "DROP TABLE notes;"),
		goose("CREATE TABLE _notes_tmp (id INTEGER PRIMARY KEY); DROP TABLE _notes_tmp;", `CREATE TABLE "_notes_tmp" (id INTEGER PRIMARY KEY, body TEXT);`),
		goose("SELECT 1;", `ALTER TABLE "from_elsewhere" RENAME TO "there";`),
		goose("DROP TABLE legacy;", `CREATE TABLE legacy (id INTEGER PRIMARY KEY);`),
	}
	texts = append(texts, goose("CREATE TABLE words (id INTEGER PRIMARY KEY);", "DELETE FROM _notes_tmp; DROP TABLE words;"))
	r := Run(history(t, sqlite, texts...), Options{Engine: sqlite}).Findings
	var told []string
	for _, f := range r {
		if f.Code == "RV008" {
			told = append(told, f.File+" "+f.Message)
		}
	}
	if len(told) != 2 || !strings.Contains(told[0], "3") || !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, "table _notes_tmp is not there: the Down of ") }) {
		t.Errorf("told: %q", told)
	}
}

// TestWhatIsReadIsThere: a statement that reads a table which is gone fails, also where only a subquery names it.
func TestWhatIsReadIsThere(t *testing.T) {
	base := "CREATE TABLE notes (id int PRIMARY KEY, body varchar(9));\nCREATE TABLE o (id int PRIMARY KEY, body varchar(9));"
	var cases []ruleCase
	for _, d := range []effects.Dialect{pg, effects.MySQL, effects.MariaDB, sqlite} {
		cases = append(cases,
			ruleCase{"in a subquery of UPDATE", d, base, "DROP TABLE o;\nUPDATE notes SET body = (SELECT body FROM o WHERE o.id = notes.id) WHERE id > 0;", "SELECT 1;", "RV008 table o is not there any more"},
			ruleCase{"in a query of INSERT", d, base, "ALTER TABLE o RENAME TO p;", "ALTER TABLE p RENAME TO o;\nINSERT INTO notes SELECT id, body FROM p;", "RV008 table p is not there any more"},
			ruleCase{"in a subquery of DELETE", d, base, "ALTER TABLE o RENAME TO p;\nDELETE FROM notes WHERE id IN (SELECT p.id FROM notes AS x JOIN o ON true);", "ALTER TABLE p RENAME TO o;", "RV008 table o is not there any more"},
			ruleCase{"as it is called now", d, base, "ALTER TABLE o RENAME TO p;\nDELETE FROM notes WHERE id IN (SELECT id FROM p);", "ALTER TABLE p RENAME TO o;", ""},
			ruleCase{"a query of that name", d, base, "DROP TABLE o;\nINSERT INTO notes WITH o AS (SELECT 1 AS id, 'x' AS body) SELECT id, body FROM o;", "CREATE TABLE o (id int PRIMARY KEY, body varchar(9));", ""},
			ruleCase{"another one of its name", d, base, "DROP TABLE o;\nCREATE VIEW o AS SELECT 1 AS id, 'x' AS body;\nINSERT INTO notes SELECT id, body FROM o;", "DROP VIEW o;\nCREATE TABLE o (id int PRIMARY KEY, body varchar(9));", ""},
		)
	}
	checkRules(t, "RV008", cases)
}

// TestFunctionsBesideDynamicSQL: statements made up as they run put in doubt what their words may be about.
func TestFunctionsBesideDynamicSQL(t *testing.T) {
	f := func(body string) string {
		return "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT " + body + "';"
	}
	dynamic := func(sql string) string {
		return f("1") + "\nDO $$ DECLARE n text; BEGIN FOR n IN SELECT tablename FROM pg_tables LOOP EXECUTE format('" + sql + "', n); END LOOP; END $$;"
	}
	checkRules(t, "RV003", []ruleCase{
		{"about tables", pg, dynamic("ALTER TABLE %I SET LOGGED"), f("2"), f("3"), "RV003 function f with another definition"},
		{"brought back", pg, dynamic("ALTER TABLE %I SET LOGGED"), f("2"), f("1"), ""},
		{"about functions", pg, dynamic("DROP FUNCTION IF EXISTS %I()"), f("2"), f("3"), ""},
		{"about anything", pg, dynamic("%s"), f("2"), f("3"), ""},
	})
}

// TestDroppedFirst: IF EXISTS in front of what Up makes is no reason to believe that it was there.
func TestDroppedFirst(t *testing.T) {
	base := "CREATE TABLE notes (id int PRIMARY KEY, body varchar(9));"
	up := "DROP TABLE IF EXISTS a;\nCREATE TABLE a (id int PRIMARY KEY);\nDROP VIEW IF EXISTS b;\nCREATE VIEW b AS SELECT id FROM notes;"
	aside := "DROP TABLE IF EXISTS notes_old;\nALTER TABLE notes RENAME TO notes_old;\nCREATE TABLE notes (id int PRIMARY KEY, body varchar(%s));\nINSERT INTO notes SELECT id, body FROM notes_old;"
	var cases []ruleCase
	for _, d := range []effects.Dialect{pg, sqlite, effects.MySQL, effects.MariaDB} {
		cases = append(cases,
			ruleCase{"a table that stays", d, base, up, "DROP VIEW b;", "RV002 Down does not drop table a"},
			ruleCase{"a view that stays", d, base, up, "DROP TABLE a;", "RV002 Down does not drop view b"},
			ruleCase{"both go", d, base, up, "DROP VIEW b;\nDROP TABLE a;", ""},
			ruleCase{"a table that Down makes again", d, base, up, "DROP VIEW b;\nDROP TABLE a;\nCREATE TABLE a (id int PRIMARY KEY, old int);", ""},
			ruleCase{"one that must have been there", d, base, "DROP TABLE a;\nCREATE TABLE a (id int PRIMARY KEY);\nCREATE TABLE c (id int PRIMARY KEY);", "DROP TABLE c;", ""},
			ruleCase{"a table put aside, and not dropped", d, base, fmt.Sprintf(aside, "20"), fmt.Sprintf(aside, "9"), "RV002 Down does not drop table notes_old"},
		)
	}
	cases = append(cases, ruleCase{"one that code may have made", pg, base + "\nDO $$ BEGIN EXECUTE 'CREATE TABLE ' || (SELECT 'a') || ' (id int)'; END $$;",
		"DROP TABLE IF EXISTS a;\nCREATE TABLE a (id int PRIMARY KEY);\nCREATE TABLE c (id int PRIMARY KEY);", "DROP TABLE c;", ""})
	checkRules(t, "RV00", cases)
	for _, d := range []effects.Dialect{pg, sqlite, effects.MySQL, effects.MariaDB} {
		ms := history(t, d, goose(base, "SELECT 1;"), goose(up, ""))
		if got := DraftDown(Play(d, ms[:1]), ms[1].Up); !strings.Contains(got, "DROP TABLE a") || !strings.Contains(got, "DROP VIEW b") {
			t.Errorf("%s: the draft is\n%s", d, got)
		}
	}
}

// TestForeignKeysUnchecked: with foreign_key_checks off, MySQL drops a table that others point to, and makes foreign keys to tables that are yet to come.
func TestForeignKeysUnchecked(t *testing.T) {
	up := "CREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE c (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p (id));"
	var cases []ruleCase
	for _, d := range []effects.Dialect{effects.MySQL, effects.MariaDB} {
		cases = append(cases,
			ruleCase{"on", d, "", up, "DROP TABLE p;\nDROP TABLE c;", "RV008 table c still has a foreign key to p"},
			ruleCase{"off", d, "", up, "SET FOREIGN_KEY_CHECKS = 0;\nDROP TABLE p;\nDROP TABLE c;\nSET FOREIGN_KEY_CHECKS = 1;", ""},
			ruleCase{"off, as dumps write it", d, "", up, "SET @OLD=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0;\nDROP TABLE p;\nDROP TABLE c;\nSET FOREIGN_KEY_CHECKS=@OLD;", ""},
			ruleCase{"off for the session", d, "", up, "SET SESSION foreign_key_checks = OFF;\nDROP TABLE p;\nDROP TABLE c;", ""},
			ruleCase{"on again", d, "", up, "SET FOREIGN_KEY_CHECKS = 0;\nSET FOREIGN_KEY_CHECKS = 1;\nDROP TABLE p;\nDROP TABLE c;", "RV008 table c still has a foreign key to p"},
			ruleCase{"on in another migration", d, "SET FOREIGN_KEY_CHECKS = 0;", up, "DROP TABLE p;\nDROP TABLE c;", "RV008 table c still has a foreign key to p"},
			ruleCase{"the other way round", d, up, "DROP TABLE c;\nDROP TABLE p;",
				"SET FOREIGN_KEY_CHECKS = 0;\nCREATE TABLE c (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p (id));\nCREATE TABLE p (id int PRIMARY KEY);", ""},
			ruleCase{"what is left points to the table that is there again", d, up, "SET FOREIGN_KEY_CHECKS = 0;\nDROP TABLE p;\nCREATE TABLE p (id bigint PRIMARY KEY);", "SET FOREIGN_KEY_CHECKS = 0;\nDROP TABLE p;\nCREATE TABLE p (id int PRIMARY KEY);", ""},
		)
	}
	index := "SET foreign_key_checks = 0;\nALTER TABLE c DROP INDEX p;\nDROP TABLE x;"
	cases = append(cases, ruleCase{"an index that a foreign key needs", effects.MariaDB, up, "CREATE TABLE x (id int PRIMARY KEY);", index, ""},
		ruleCase{"an index that a foreign key needs", effects.MySQL, up, "CREATE TABLE x (id int PRIMARY KEY);", index, "RV008 index p on c is needed by foreign key"})
	checkRules(t, "RV00", cases)
}

// TestBlocksThatMakeWhatIsMissing: a DO block that makes objects where they are missing is followed as if it said IF NOT EXISTS.
func TestBlocksThatMakeWhatIsMissing(t *testing.T) {
	block := func(s string) string {
		return "-- +goose StatementBegin\nDO $$ BEGIN\n" + s + ";\nEXCEPTION WHEN duplicate_object THEN null;\nEND $$;\n-- +goose StatementEnd\n"
	}
	asked := "-- +goose StatementBegin\nDO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN\nCREATE TYPE mood AS ENUM ('sad', 'ok');\nEND IF; END $$;\n-- +goose StatementEnd\n"
	mood, users := block("CREATE TYPE mood AS ENUM ('sad', 'ok')"), "CREATE TABLE users (id int PRIMARY KEY, boss int);\n"
	key := block("ALTER TABLE users ADD CONSTRAINT boss FOREIGN KEY (boss) REFERENCES users (id)")
	checkRules(t, "RV002", []ruleCase{
		{"a type", pg, users, mood + "ALTER TABLE users ADD COLUMN mood mood;", "ALTER TABLE users DROP COLUMN mood;", "RV002 does not drop type mood"},
		{"a type that is asked for", pg, users, asked + "ALTER TABLE users ADD COLUMN mood mood;", "ALTER TABLE users DROP COLUMN mood;", "RV002 does not drop type mood"},
		{"a type that goes", pg, users, mood + "ALTER TABLE users ADD COLUMN mood mood;", "ALTER TABLE users DROP COLUMN mood; DROP TYPE mood;", ""},
		{"a type that was there", pg, users + mood, mood + "ALTER TABLE users ADD COLUMN mood mood;", "ALTER TABLE users DROP COLUMN mood;", ""},
		{"a foreign key", pg, users, key, "UPDATE users SET boss = NULL;", "RV002 does not drop constraint users.boss"},
		{"a foreign key that goes", pg, users, key, "ALTER TABLE users DROP CONSTRAINT boss;", ""},
	})
	checkRules(t, "RV006", []ruleCase{{"a value of such a type", pg, mood + "CREATE TABLE diary (day date PRIMARY KEY, mood mood);", "ALTER TYPE mood ADD VALUE 'happy';", "UPDATE diary SET mood = 'ok';", "RV006 a value added to type mood stays"}})
	t.Run("the draft", func(t *testing.T) {
		checkDraft(t, pg, testdb.Postgres(t), draftCase{"", "DO $$ BEGIN CREATE TYPE mood AS ENUM ('sad', 'ok'); EXCEPTION WHEN duplicate_object THEN null; END $$; CREATE TABLE diary (day date PRIMARY KEY, mood mood DEFAULT 'ok');",
			"ALTER TYPE mood ADD VALUE 'happy'; DO $$ BEGIN CREATE TYPE size AS ENUM ('s'); EXCEPTION WHEN duplicate_object THEN null; END $$; ALTER TABLE diary ADD COLUMN size size;"})
	})
}

// TestFunctionsThatAreCalled: a function which makes temporary tables leaves the others as they are, and what lies in pg_temp goes with its session.
func TestFunctionsThatAreCalled(t *testing.T) {
	function := func(name, body string) string {
		return "-- +goose StatementBegin\nCREATE FUNCTION " + name + "() RETURNS void LANGUAGE plpgsql AS $$ BEGIN " + body + " END $$;\n-- +goose StatementEnd\n"
	}
	users := "CREATE TABLE users (id int PRIMARY KEY, boss int);\n"
	up := function("pick", "DELETE FROM users WHERE boss = 0;") + function("run", "CREATE TEMP TABLE seen (id int); PERFORM pick(); DROP TABLE seen;") + "SELECT run();\nALTER TABLE users ADD COLUMN n int;"
	checkRules(t, "RV002", []ruleCase{
		{"left", pg, users, up, "ALTER TABLE users DROP COLUMN n;", "RV002 does not drop function pick"},
		{"dropped", pg, users, up, "ALTER TABLE users DROP COLUMN n;\nDROP FUNCTION run();\nDROP FUNCTION pick();", ""},
	})
	block := "-- +goose StatementBegin\nDO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'k') THEN ALTER TABLE users ADD CONSTRAINT k UNIQUE (boss); END IF; END $$;\n-- +goose StatementEnd\n"
	for up, want := range map[string]Severity{
		"CREATE EXTENSION IF NOT EXISTS citext;\n" + function("pg_temp.f", "NULL;") + "UPDATE users SET boss = pg_temp.f();": Warning,
		"ALTER TABLE users ADD COLUMN IF NOT EXISTS boss int;\n" + block:                                                     Warning,
		"ALTER TABLE users ADD COLUMN IF NOT EXISTS other int;\n" + block:                                                    Error,
	} {
		found := lintLast(t, Options{Engine: pg}, goose(users+"CREATE EXTENSION citext;\nALTER TABLE users ADD CONSTRAINT k UNIQUE (boss);", "SELECT 1;"), goose(up, "-- nothing to do\n"))
		if !slices.ContainsFunc(found, func(d Diagnostic) bool { return d.Code == "RV001" && d.Severity == want }) {
			t.Errorf("%s: want RV001 as %s, found%s", up, want, print(found))
		}
	}
}
