package lint

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// reparse reads a fixed text as the helper of these tests reads any.
func reparse(t *testing.T, d effects.Dialect) func(*Migration, string) (*Migration, error) {
	return func(m *Migration, text string) (*Migration, error) {
		out := migration(t, d, m.Version, text)
		out.File, out.Skip = m.File, m.Skip
		return out, nil
	}
}

func TestFix(t *testing.T) {
	users := goose("CREATE TABLE users (id serial PRIMARY KEY, email varchar(100) NOT NULL UNIQUE, age int DEFAULT 0 CHECK (age >= 0));\nCREATE INDEX users_age ON users (age);", "DROP TABLE users;")
	for _, c := range []struct {
		name, text, want string // want: what the Down must hold, in this order, parted by |
	}{
		{"no section", "-- +goose Up\nCREATE TABLE a (id int PRIMARY KEY);\nCREATE INDEX ai ON a (id);\nALTER TABLE users ADD n int;\n",
			"-- +goose Down|DROP COLUMN n;|DROP TABLE a;"},
		{"empty section", goose("ALTER TABLE users ADD n int;", ""), "-- +goose Down|DROP COLUMN n;"},
		{"no newline at the end", "-- +goose Up\nALTER TABLE users ADD n int;", "\n-- +goose Down|DROP COLUMN n;"},
		{"a statement that is missing", goose("ALTER TABLE users ADD n int;\nALTER TABLE users ADD m int;", "ALTER TABLE users DROP COLUMN m;"),
			"DROP COLUMN n;"},
		{"a dropped column with all that hung on it", goose("ALTER TABLE users DROP COLUMN age;", ""),
			"ADD COLUMN age integer DEFAULT 0;|CREATE INDEX users_age ON users (age);|ADD CONSTRAINT users_age_check CHECK (age >= 0);"},
		{"a dropped table", goose("DROP TABLE users CASCADE;", ""), "CREATE TABLE users (id serial PRIMARY KEY|CREATE INDEX users_age"},
		{"a dropped table that was altered before", goose("DROP TABLE kids;", ""),
			"CREATE TABLE kids|id integer NOT NULL|u integer|note text|CONSTRAINT kids_pkey PRIMARY KEY (id)|CONSTRAINT kids_u_fkey FOREIGN KEY (u) REFERENCES users (id)"},
		{"a type", goose("ALTER TABLE users ALTER age TYPE bigint;", ""), "ALTER COLUMN age TYPE integer"},
		{"a default", goose("ALTER TABLE users ALTER age DROP DEFAULT;", ""), "ALTER COLUMN age SET DEFAULT 0"},
		{"renames", goose("ALTER TABLE users RENAME TO people;\nALTER TABLE people RENAME COLUMN age TO years;", ""),
			"ALTER TABLE people RENAME TO users|RENAME COLUMN years TO age"},
		{"a function", goose("CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql;", ""), "DROP FUNCTION f()"},
		{"a value of an enum", "-- +goose Up\nALTER TYPE mood ADD VALUE 'calm';\n", "ALTER TYPE mood RENAME TO mood_old;|CREATE TYPE mood AS ENUM ('sad', 'happy');|ALTER TABLE diary ALTER COLUMN mood DROP DEFAULT, " +
			"ALTER COLUMN mood TYPE mood USING mood::text::mood, ALTER COLUMN mood SET DEFAULT 'sad';|DROP TYPE mood_old;"},
		{"rows alone", "-- +goose Up\nUPDATE users SET age = 1;\n", "-- +goose Down|SELECT 1;"},
		{"parents come back first", "-- +goose Up\nDROP TABLE kids;\nDROP TABLE users;\n", "CREATE TABLE users|CREATE TABLE kids"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ms := history(t, pg, users, goose("CREATE TYPE mood AS ENUM ('sad', 'happy');\nCREATE TABLE diary (id int PRIMARY KEY, mood mood DEFAULT 'sad');\nCREATE TABLE kids (id int PRIMARY KEY, u int REFERENCES users (id));\nALTER TABLE kids ADD note text;", "DROP TABLE kids;"), c.text)
			ms[0].Skip, ms[1].Skip = true, true
			fixed, err := Fix(ms, Options{Engine: pg}, reparse(t, pg))
			if err != nil {
				t.Fatal(err)
			}
			if len(fixed) != 1 {
				t.Fatalf("%d files fixed", len(fixed))
			}
			if len(fixed[0].Left) > 0 {
				t.Errorf("still found:%s\nin\n%s", print(fixed[0].Left), fixed[0].Text)
			}
			if !strings.HasPrefix(fixed[0].Text, strings.TrimRight(c.text, "\n")) && !strings.Contains(c.text, "+goose Down") {
				t.Errorf("the Up was touched:\n%s", fixed[0].Text)
			}
			rest := fixed[0].Text[len("-- +goose Up"):]
			for _, want := range strings.Split(c.want, "|") {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q is not there, or not in order, in\n%s", want, fixed[0].Text)
				}
				rest = after
			}
		})
	}
}

// TestFixLeavesAlone: what is right, ignored, or cannot be drafted stays as it is.
func TestFixLeavesAlone(t *testing.T) {
	for name, text := range map[string]string{
		"right":                          goose("CREATE TABLE a (id int PRIMARY KEY);", "DROP TABLE a;"),
		"ignored":                        "-- +dbrollback ignore: RV001 on purpose\n-- +goose Up\nCREATE TABLE a (id int PRIMARY KEY);\n",
		"accepted":                       "-- +dbrollback irreversible: on purpose\n-- +goose Up\nCREATE TABLE a (id int PRIMARY KEY);\n",
		"a table nobody knows":           "-- +goose Up\nDROP TABLE legacy;\n",
		"an enum that an index compares": goose("CREATE TYPE mood AS ENUM ('sad', 'happy');\nCREATE TABLE diary (id int PRIMARY KEY, mood mood);\nCREATE INDEX i ON diary (id) WHERE mood = 'sad';\nALTER TYPE mood ADD VALUE 'calm';", "SELECT 1;"),
	} {
		fixed, err := Fix(history(t, pg, text), Options{Engine: pg}, reparse(t, pg))
		if err != nil || len(fixed) != 0 {
			t.Errorf("%s: %v, %v", name, fixed, err)
		}
	}
}

// TestDraftsTellWhatTheyCannotKnow: after a statement that is not understood, what Up drops or changes may have been anything. The draft says so.
func TestDraftsTellWhatTheyCannotKnow(t *testing.T) {
	doubt := "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int);\nDO $$ BEGIN EXECUTE 'ALTER TABLE ' || (SELECT 't') || ' ADD COLUMN x int'; END $$;"
	for up, want := range map[string]string{
		"DROP INDEX i;":                                        "-- index i: no migration",
		"ALTER TABLE t DROP COLUMN a;":                         "-- column t.a: no migration that could be followed tells what it was before; write here how it is brought back, if it was there",
		"ALTER TABLE t ALTER COLUMN a TYPE bigint;":            "-- column t.a: no migration that could be followed tells what it was before; write here how it becomes what it was",
		"ALTER TABLE t ALTER COLUMN a SET NOT NULL;":           "-- column t.a: ",
		"ALTER TABLE t ALTER COLUMN a DROP DEFAULT;":           "-- column t.a: ",
		"ALTER TABLE t ADD COLUMN IF NOT EXISTS y int;":        "is dropped, if it was not there",
		"ALTER TABLE t DROP CONSTRAINT c;":                     "-- constraint t.c: ",
		"ALTER TABLE t RENAME COLUMN a TO z;":                  "ALTER TABLE t RENAME COLUMN z TO a;",
		"ALTER INDEX IF EXISTS i RENAME TO j;":                 "ALTER INDEX IF EXISTS j RENAME TO i;",
		"CREATE TABLE IF NOT EXISTS v (id int PRIMARY KEY);":   "-- table v: no migration that could be followed tells what it was before; write here how it is dropped, if it was not there",
		"CREATE TABLE w (id int); ALTER TYPE e ADD VALUE 'x';": "-- type e: no migration that could be followed tells what it was before; write here how it gets the values that it had: make it anew, as ALTER TYPE",
		"DROP TABLE u;": "-- table u: ",
		"DROP VIEW v;":  "-- view v: ",
		"CREATE OR REPLACE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql;": "-- function f: ",
	} {
		ms := history(t, effects.Postgres, goose(doubt, "SELECT 1;"), goose(up, ""))
		if got := DraftDown(Play(effects.Postgres, ms[:1]), ms[1].Up); !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", up, got, want)
		}
	}
	// Where all is known, there is nothing to say.
	ms := history(t, effects.Postgres, goose("CREATE TABLE t (id int PRIMARY KEY, a int);\nCREATE INDEX i ON t (a);", "SELECT 1;"),
		goose("DROP INDEX i;\nALTER TABLE t DROP COLUMN a;\nDROP TABLE IF EXISTS u;\nCREATE OR REPLACE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql;", ""))
	if got := DraftDown(Play(effects.Postgres, ms[:1]), ms[1].Up); strings.Contains(got, "--") {
		t.Errorf("says %q", got)
	}
}
