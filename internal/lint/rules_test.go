package lint

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// ruleCase is a history whose last migration fires a rule, or must not.
type ruleCase struct {
	name   string
	engine effects.Dialect
	before string // Up of the migrations before
	up     string
	down   string
	fires  string // code and a piece of the message, "" when nothing of the family may be found
}

const (
	pg     = effects.Postgres
	sqlite = effects.SQLite
)

// checkRules runs cases; family is the prefix of the codes that a silent case must not give.
func checkRules(t *testing.T, family string, cases []ruleCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(string(c.engine)+"/"+c.name, func(t *testing.T) {
			texts := []string{goose(c.before, "SELECT 1;"), goose(c.up, c.down)}
			findings := lintLast(t, Options{Engine: c.engine}, texts...)
			findings = slices.DeleteFunc(findings, func(d Diagnostic) bool { return !strings.HasPrefix(d.Code, family) })
			if c.fires == "" {
				if len(findings) > 0 {
					t.Errorf("must not fire:%s", print(findings))
				}
				return
			}
			code, words, _ := strings.Cut(c.fires, " ")
			for _, f := range findings {
				if f.Code == code && strings.Contains(f.Message, words) {
					return
				}
			}
			t.Errorf("want %s, got%s", c.fires, print(findings))
		})
	}
}

func TestUndoingPostgres(t *testing.T) {
	users := "CREATE TABLE users (id serial PRIMARY KEY, email varchar(100) NOT NULL UNIQUE, age int DEFAULT 0);"
	checkRules(t, "RV0", []ruleCase{
		{"index left", pg, users, "CREATE INDEX users_age ON users (age);", "ALTER TABLE users ALTER age SET DEFAULT 0;", "RV002 index users_age"},
		{"misspelt drop", pg, users, "CREATE INDEX users_age ON users (age);", "DROP INDEX IF EXISTS user_age;", "RV002 line 4 drops user_age, which is not there"},
		{"index dropped", pg, users, "CREATE INDEX users_age ON users (age);", "DROP INDEX users_age;", ""},
		{"unnamed index", pg, users, "CREATE INDEX ON users (age);", "DROP INDEX users_age_idx;", ""},
		{"unnamed index on an expression", pg, users, "CREATE INDEX ON users (lower(email));", "DROP INDEX users_lower_idx;", ""},
		{"generated constraint name", pg, users, "ALTER TABLE users ADD UNIQUE (age);", "ALTER TABLE users DROP CONSTRAINT users_age_key;", ""},
		{"generated check name", pg, users, "ALTER TABLE users ADD CHECK (age > 0);", "ALTER TABLE users DROP CONSTRAINT users_age_check;", ""},
		{"constraint left", pg, users, "ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 0);", "ALTER TABLE users ALTER age SET DEFAULT 0;", "RV002 constraint users.grown"},
		{"not null left", pg, users, "ALTER TABLE users ALTER age SET NOT NULL;", "ALTER TABLE users ALTER age SET DEFAULT 0;", "RV002 nullability"},
		{"rename left", pg, users, "ALTER TABLE users RENAME COLUMN age TO years;", "ALTER TABLE users ALTER years SET DEFAULT 0;", "RV002 does not rename"},
		{"table rename left", pg, users, "ALTER TABLE users RENAME TO people;", "ALTER TABLE people ALTER age SET DEFAULT 0;", "RV002 does not rename"},
		{"renamed there and back, with a column in between", pg, users, "ALTER TABLE users RENAME TO people; ALTER TABLE people ADD COLUMN n int;",
			"ALTER TABLE people DROP COLUMN n; ALTER TABLE people RENAME TO users;", ""},
		{"unique lost with the column", pg, users, "ALTER TABLE users DROP COLUMN email;", "ALTER TABLE users ADD COLUMN email varchar(100) NOT NULL;", "RV002 constraint users.users_email_key"},
		{"column back", pg, users, "ALTER TABLE users DROP COLUMN email;", "ALTER TABLE users ADD COLUMN email character varying(100) NOT NULL UNIQUE;", ""},
		{"another default", pg, users, "ALTER TABLE users DROP COLUMN age;", "ALTER TABLE users ADD COLUMN age int DEFAULT 1;", "RV003 default"},
		{"the same default in quotes", pg, users, "ALTER TABLE users DROP COLUMN age;", "ALTER TABLE users ADD COLUMN age integer DEFAULT '0'::int;", ""},
		{"another type", pg, users, "ALTER TABLE users DROP COLUMN age;", "ALTER TABLE users ADD COLUMN age bigint DEFAULT 0;", "RV003 type"},
		{"index on another column", pg, users + "CREATE INDEX i ON users (age);", "DROP INDEX i;", "CREATE INDEX i ON users (email);", "RV003 index i with another definition"},
		{"index back with its method written out", pg, users + "CREATE INDEX i ON users (age);", "DROP INDEX i;", "CREATE INDEX i ON public.users USING btree (age);", ""},
		{"view back in other words", pg, users + "CREATE VIEW v AS SELECT id FROM users WHERE age > 1;", "DROP VIEW v;", "CREATE VIEW v AS SELECT id FROM users;", "RV003 view v"},
		{"view back as the server prints it", pg, users + "CREATE VIEW v AS SELECT id FROM users WHERE email = 'x';", "DROP VIEW v;",
			"CREATE VIEW public.v AS SELECT users.id FROM users WHERE ((users.email)::text = 'x'::text);", ""},
		{"function back with its clauses in another order", pg, "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 $$ LANGUAGE 'sql';", "DROP FUNCTION f();",
			"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;", ""},
		{"function back with another body", pg, "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;",
			"CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ SELECT 2 $$ LANGUAGE sql;", "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ SELECT 3 $$ LANGUAGE sql;", "RV003 function f"},
		{"trigger left", pg, users + "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN END $$ LANGUAGE plpgsql;",
			"CREATE TRIGGER tr BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f();", "ALTER TABLE users ALTER age SET DEFAULT 0;", "RV002 trigger users.tr"},
		{"comment left", pg, users, "COMMENT ON COLUMN users.age IS 'years';", "ALTER TABLE users ALTER age SET DEFAULT 0;", "RV002 comment"},
		{"row security left", pg, users, "ALTER TABLE users ENABLE ROW LEVEL SECURITY;", "ALTER TABLE users ALTER age SET DEFAULT 0;", "RV002 row level security"},
		{"table back without a column", pg, users, "DROP TABLE users;", "CREATE TABLE users (id serial PRIMARY KEY, email varchar(100) NOT NULL UNIQUE);", "RV003 without column users.age"},
		{"rows left", pg, users, "INSERT INTO users (email) VALUES ('a'); ALTER TABLE users ADD n int;", "ALTER TABLE users DROP n;", "RV002 rows"},
		{"rows deleted", pg, users, "INSERT INTO users (email) VALUES ('a');", "DELETE FROM users WHERE email = 'a';", ""},
		{"dropped twice", pg, users, "CREATE TABLE a (id int PRIMARY KEY); CREATE INDEX ai ON a (id);", "DROP TABLE a; DROP INDEX ai;", "RV008 index ai is not there any more"},
		{"an index that never was", pg, users, "ALTER TABLE users ADD n int;", "DROP INDEX users_n; ALTER TABLE users DROP n;", "RV008 there is no index users_n"},
		{"a key made between two drops", pg, users, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, b int);",
			"DROP TABLE a; ALTER TABLE c ADD FOREIGN KEY (b) REFERENCES b (id); DROP TABLE b; DROP TABLE c;", "RV008 table c still has a foreign key to b"},
		{"a type in use", pg, users, "CREATE TYPE mood AS ENUM ('a'); ALTER TABLE users ADD m mood;", "DROP TYPE mood; ALTER TABLE users DROP m;", "RV008 still has type"},
		{"too much", pg, users, "ALTER TABLE users ADD n int;", "ALTER TABLE users DROP n; ALTER TABLE users DROP age;", "RV004 column users.age"},
		{"column made again, empty", pg, users, "CREATE INDEX ON users (email);", "DROP INDEX users_email_idx; ALTER TABLE users DROP age; ALTER TABLE users ADD age int;", "RV004 users.age, which was there before Up, and carries nothing"},
		{"table made again, empty", pg, "CREATE TABLE w (id int);", "ALTER TABLE w ADD n int;", "DROP TABLE w; CREATE TABLE w (id int);", "RV004 drops w, which was there before Up, and carries nothing"},
		{"copy carried back", pg, "CREATE TABLE w (id int);", "ALTER TABLE w RENAME TO o; CREATE TABLE v (id int, n int); INSERT INTO v (id) SELECT id FROM o;", "CREATE TABLE w (id int); INSERT INTO w SELECT id FROM v; DROP TABLE v; DROP TABLE o;", ""},
		{"column carried on", pg, "CREATE TABLE w (id int, age int);", "ALTER TABLE w ADD n int;", "ALTER TABLE w DROP n; ALTER TABLE w ADD a int; UPDATE w SET a = age; ALTER TABLE w DROP age; ALTER TABLE w RENAME a TO age;", ""},
		{"column with another type made again", pg, "CREATE TABLE w (id int, age int);", "ALTER TABLE w ALTER age TYPE bigint;", "ALTER TABLE w DROP age; ALTER TABLE w ADD age int;", ""},
		{"a DO block that mentions it", pg, users, "ALTER TABLE users ADD n int;", "DO $$ BEGIN ALTER TABLE users DROP COLUMN n; END $$;", "RV005 DO block"},
		{"unknown table", pg, users, "ALTER TABLE others ADD n int;", "ALTER TABLE others DROP n;", ""},
		{"unknown table, column left", pg, users, "ALTER TABLE others ADD n int, ADD m int;", "ALTER TABLE others DROP n;", "RV002 column others.m"},
		{"unknown column back", pg, users, "ALTER TABLE others DROP COLUMN n;", "ALTER TABLE others ADD COLUMN n int;", ""},
		{"a dropped enum value that never was", pg, users + "CREATE TYPE mood AS ENUM ('a');", "ALTER TYPE mood ADD VALUE 'b';", "SELECT 1;", "RV006 mood"},
		{"other schemas are other tables", pg, users + "CREATE SCHEMA x; CREATE TABLE x.users (id int PRIMARY KEY);", "ALTER TABLE x.users ADD n int;", "ALTER TABLE users DROP COLUMN IF EXISTS n;", "RV002 column x.users.n"},
		{"search_path", pg, "CREATE SCHEMA x; CREATE TABLE x.t (id int PRIMARY KEY);", "SET search_path TO x; ALTER TABLE t ADD n int;", "SET search_path TO x; ALTER TABLE t DROP n;", ""},
		{"primary key leaves NOT NULL", pg, "CREATE TABLE t (id int);", "ALTER TABLE t ADD PRIMARY KEY (id);", "ALTER TABLE t DROP CONSTRAINT t_pkey;", "RV002 nullability"},
		{"rows only", pg, users, "UPDATE users SET age = 1 WHERE age = 0;", "SELECT 1;", ""},
	})
}

// TestDoubt: what a DO block mentions is in doubt, and then nothing is claimed.
func TestDoubt(t *testing.T) {
	findings := lintLast(t, Options{Engine: pg}, goose("CREATE TABLE users (id int PRIMARY KEY);", "DROP TABLE users;"),
		goose("ALTER TABLE users ADD n int;", "DO $$ BEGIN ALTER TABLE users DROP COLUMN n; END $$;"))
	if got := codes(findings); !slices.Equal(got, []string{"RV005"}) {
		t.Errorf("got%s", print(findings))
	}
}

func TestUndoingSQLite(t *testing.T) {
	notes := "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT DEFAULT '' NOT NULL, stars INT);"
	checkRules(t, "RV0", []ruleCase{
		{"column left", sqlite, notes, "ALTER TABLE notes ADD COLUMN a INT; ALTER TABLE notes ADD COLUMN b INT;", "ALTER TABLE notes DROP COLUMN a;", "RV002 column notes.b"},
		{"index back on another column", sqlite, notes + "CREATE INDEX i ON notes (stars);", "DROP INDEX i;", "CREATE INDEX i ON notes (body);", "RV003 index i with another definition"},
		{"rebuilt there and back", sqlite, notes,
			"CREATE TABLE new (id INTEGER PRIMARY KEY, body TEXT DEFAULT '' NOT NULL, stars INT, extra INT); INSERT INTO new SELECT id, body, stars, NULL FROM notes; DROP TABLE notes; ALTER TABLE new RENAME TO notes;",
			"CREATE TABLE old (id INTEGER PRIMARY KEY, body TEXT DEFAULT '' NOT NULL, stars INT); INSERT INTO old SELECT id, body, stars FROM notes; DROP TABLE notes; ALTER TABLE old RENAME TO notes;", ""},
		{"rebuilt, an index lost", sqlite, notes + "CREATE INDEX i ON notes (stars);",
			"CREATE TABLE new (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO new SELECT id, body FROM notes; DROP TABLE notes; ALTER TABLE new RENAME TO notes;",
			"CREATE TABLE old (id INTEGER PRIMARY KEY, body TEXT DEFAULT '' NOT NULL, stars INT); INSERT INTO old SELECT id, body, 0 FROM notes; DROP TABLE notes; ALTER TABLE old RENAME TO notes;", "RV002 index i"},
		{"drop of an indexed column", sqlite, notes, "ALTER TABLE notes ADD COLUMN a INT; CREATE INDEX ia ON notes (a);", "ALTER TABLE notes DROP COLUMN a; DROP INDEX ia;", "RV008 cannot be dropped"},
		{"names in another case", sqlite, notes, "ALTER TABLE Notes ADD COLUMN Extra INT;", "ALTER TABLE NOTES DROP COLUMN extra;", ""},
		{"trigger", sqlite, notes, "CREATE TRIGGER tr AFTER INSERT ON notes BEGIN UPDATE notes SET stars = 0; END;", "DROP TRIGGER tr;", ""},
		{"trigger left", sqlite, notes, "CREATE TRIGGER tr AFTER INSERT ON notes BEGIN UPDATE notes SET stars = 0; END;", "UPDATE notes SET stars = 1;", "RV002 trigger tr"},
	})
}
