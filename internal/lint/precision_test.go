package lint

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// right are migrations whose Down gives the schema back: each was taken for wrong once, in the history of a real
// application.
var right = []struct {
	name           string
	dialect        effects.Dialect
	base, up, down string
}{
	{"DEFAULT NULL is no default", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, at timestamp(6) NULL DEFAULT NULL);",
		"ALTER TABLE t ALTER COLUMN at TYPE timestamptz(6), ALTER COLUMN at SET DEFAULT NULL;",
		"ALTER TABLE t ALTER COLUMN at TYPE timestamp(6), ALTER COLUMN at SET DEFAULT NULL;"},
	{"the sequence of a serial column is gone, and its default with it", effects.Postgres,
		"CREATE TABLE a_table_whose_name_is_rather_long_for_one (id int PRIMARY KEY, and_a_column_just_as_long bigserial, n serial);\n" +
			"DROP SEQUENCE a_table_whose_name_is_rather_long_and_a_column_just_as_long_seq CASCADE;\nDROP SEQUENCE public.a_table_whose_name_is_rather_long_for_one_n_seq CASCADE;",
		"DROP TABLE a_table_whose_name_is_rather_long_for_one;",
		"CREATE TABLE a_table_whose_name_is_rather_long_for_one (id int PRIMARY KEY, and_a_column_just_as_long bigint NOT NULL, n int NOT NULL);"},
	{"the sequence of a serial column follows it, and comes back", effects.Postgres, "CREATE TABLE t (id serial PRIMARY KEY, n smallserial);",
		"ALTER SEQUENCE t_id_seq AS bigint;\nALTER TABLE t ALTER COLUMN id TYPE bigint, ALTER COLUMN n TYPE int;",
		"ALTER TABLE t ALTER COLUMN n TYPE smallint, ALTER COLUMN id TYPE integer;\nALTER SEQUENCE t_id_seq AS integer;"},
	{"the sequence of a serial column under another name", effects.Postgres, "CREATE TABLE o (id serial PRIMARY KEY);\nALTER TABLE o RENAME TO t;",
		"ALTER SEQUENCE o_id_seq RENAME TO t_id_seq;\nALTER SEQUENCE t_id_seq AS bigint;\nALTER TABLE t ALTER COLUMN id TYPE bigint;",
		"ALTER SEQUENCE t_id_seq RENAME TO o_id_seq;\nALTER SEQUENCE o_id_seq AS integer;\nALTER TABLE t ALTER COLUMN id TYPE integer;"},
	{"triggers that are off while rows are written", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY, v text);",
		"ALTER TABLE t DISABLE TRIGGER a, DISABLE TRIGGER b;\nSELECT mend();\nUPDATE t SET v = 'x';\nALTER TABLE t ENABLE TRIGGER a, ENABLE TRIGGER b;", ""},
	{"triggers and rules go with their view", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);\nCREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';",
		"CREATE VIEW v AS SELECT id FROM t;\nCREATE TRIGGER vt INSTEAD OF UPDATE ON v FOR EACH ROW EXECUTE FUNCTION f();\nCREATE RULE vr AS ON DELETE TO v DO INSTEAD NOTHING;", "DROP VIEW v;"},
	{"triggers go with their view, on SQLite", effects.SQLite, "CREATE TABLE t (id INTEGER PRIMARY KEY);",
		"CREATE VIEW V AS SELECT id FROM t;\nCREATE TRIGGER vt INSTEAD OF UPDATE ON v BEGIN SELECT 1; END;", "DROP VIEW v;"},
	{"partitions go with their table", effects.Postgres, "CREATE TABLE other (id int);",
		"CREATE TABLE t (d date NOT NULL) PARTITION BY RANGE (d);\nCREATE TABLE t_25 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (d);\n" +
			"CREATE TABLE t_25_1 PARTITION OF t_25 FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');",
		"DROP TABLE t;"},
	{"a column of the primary key stays NOT NULL", effects.MySQL,
		"CREATE TABLE t (a varchar(10) NOT NULL, b varchar(128) NOT NULL, PRIMARY KEY (a, b));",
		"ALTER TABLE t MODIFY COLUMN b varchar(255);",
		"ALTER TABLE t MODIFY COLUMN b varchar(128);"},
	{"an index on an expression of a column whose type changed meanwhile", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, d timestamp);\nCREATE INDEX i ON t (date(d));\nALTER TABLE t ALTER COLUMN d TYPE date;",
		"DROP INDEX i;", "CREATE INDEX i ON t (d);"},
	{"CREATE OR REPLACE of what a statement that is not understood may have made", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY);\nDO $$ BEGIN EXECUTE 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1'' '; END $$;",
		"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2';",
		"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"},
	{"a column that is added where it is missing, when nobody can tell whether it was, and a Down that somebody left empty", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, a int);\nDO $$ BEGIN EXECUTE 'ALTER TABLE ' || (SELECT 't') || ' DROP COLUMN a'; END $$;",
		"TRUNCATE t;\nALTER TABLE t ADD COLUMN IF NOT EXISTS a int NOT NULL;\nCREATE INDEX IF NOT EXISTS i ON t (a);\nALTER TABLE t DROP CONSTRAINT IF EXISTS u;\nDROP INDEX IF EXISTS j;", ";"},
	{"the index of a materialized view that goes with what it reads", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);",
		"CREATE VIEW v AS SELECT id FROM t;\nCREATE MATERIALIZED VIEW mv AS SELECT id FROM v;\nCREATE UNIQUE INDEX mv_id ON mv (id);", "DROP VIEW v CASCADE;"},
	{"the types of a function in other words", effects.Postgres,
		"CREATE FUNCTION f(n int4) RETURNS float AS 'BEGIN RETURN n; END' LANGUAGE plpgsql IMMUTABLE;\nCREATE FUNCTION g() RETURNS bool VOLATILE LANGUAGE sql AS 'SELECT true';",
		"DROP FUNCTION f, g;", "CREATE FUNCTION f(n integer) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';\nCREATE FUNCTION g() RETURNS boolean LANGUAGE sql AS 'SELECT true';"},
	{"a function that had another name once, and what calls it", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY);\nCREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\nCREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE PROCEDURE f();\nALTER FUNCTION f() RENAME TO h;",
		"DROP FUNCTION h CASCADE;", "CREATE FUNCTION h() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\nCREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION h();"},
	{"a block that makes a type where it is missing, which is there, and a Down that somebody left empty", effects.Postgres,
		"CREATE TYPE v AS ENUM ('a');\nCREATE TABLE t (id int PRIMARY KEY, a v);",
		"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'v') THEN CREATE TYPE v AS ENUM ('a'); END IF; END $$;\nALTER TABLE t ADD COLUMN IF NOT EXISTS a v;", ";"},
	{"a block that reads a table called comment, and raises", effects.Postgres, "CREATE TABLE comment (id int PRIMARY KEY);",
		"DO $$ BEGIN IF EXISTS (SELECT FROM comment WHERE id < 0) THEN RAISE 'upgrade first'; END IF; END $$;", "SELECT 1;"},
	{"a default that is a value of an enum which got another name", effects.Postgres, "CREATE TYPE v AS ENUM ('a_b', 'c');\nCREATE TABLE t (id int PRIMARY KEY, m v DEFAULT 'a_b');\nALTER TYPE v RENAME VALUE 'a_b' TO 'AB';",
		"ALTER TABLE t ALTER m DROP DEFAULT;", "ALTER TABLE t ALTER m SET DEFAULT 'AB';"},
	{"a function that is called is not in doubt for it", effects.Postgres,
		"CREATE FUNCTION f(int4) RETURNS text LANGUAGE sql AS 'SELECT 1';\nCREATE TABLE t (id int PRIMARY KEY);\nALTER TABLE t ADD COLUMN a text DEFAULT f(1);",
		"CREATE OR REPLACE FUNCTION f(int4) RETURNS text LANGUAGE sql AS 'SELECT 2';",
		"CREATE OR REPLACE FUNCTION f(int4) RETURNS text LANGUAGE sql AS 'SELECT 1';"},
	{"rows alone, and a Down without a statement", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, a int);", "UPDATE t SET a = 2 WHERE a = 1;", ""},
	{"rows put in by way of a temporary table, and a Down that somebody left empty", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, a int);",
		"CREATE TEMPORARY TABLE w (id int);\nINSERT INTO w SELECT 1;\nINSERT INTO t SELECT id, 1 FROM w ON CONFLICT DO NOTHING;\nDROP TABLE IF EXISTS w;", ""},
	{"a block that defines nothing", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);",
		"DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'x') THEN REASSIGN OWNED BY x TO CURRENT_USER; END IF; END $$;", ""},
	{"where a sequence goes on", effects.Postgres, "CREATE TABLE t (id serial PRIMARY KEY);\nCREATE SEQUENCE s;",
		"ALTER SEQUENCE t_id_seq RESTART WITH 1000;\nALTER SEQUENCE s RESTART 5;", ""},
	{"where a sequence goes on, by setval", effects.Postgres, "CREATE TABLE t (id serial PRIMARY KEY);",
		"SELECT setval(pg_get_serial_sequence('t', 'id'), COALESCE((SELECT max(id) FROM t), 1));\nSELECT setval('t_id_seq', 5);", "SELECT 1;"},
	{"what is to be dropped is not there, what is to be made is", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, a int);\nCREATE INDEX i ON t (a);",
		"CREATE INDEX IF NOT EXISTS i ON t (a);\nALTER TABLE t DROP CONSTRAINT IF EXISTS u;\nALTER TABLE t ALTER COLUMN a DROP NOT NULL, ALTER COLUMN a TYPE integer;\nUPDATE t SET a = NULL WHERE a = 0;", ""},
	{"an index that is there, on a table of which not all is known", effects.Postgres,
		"CREATE TABLE t AS SELECT 1 AS id, 2 AS a;\nCREATE INDEX IF NOT EXISTS i ON t (a);",
		"CREATE INDEX IF NOT EXISTS i ON t (a);", "SELECT 1;"},
	{"what a block finds to drop, and a Down that somebody left empty", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);",
		"DO $$ DECLARE s text; BEGIN FOR s IN SELECT 'DROP TABLE ' || quote_ident(table_name) FROM information_schema.tables WHERE table_name LIKE 'old_%' LOOP EXECUTE s; END LOOP; END $$;", "SELECT 1;"},
	{"tables to be dropped that no migration made", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);",
		"DROP TABLE IF EXISTS x;\nDROP TABLE IF EXISTS y;", ""},
	{"a type that no migration made, made anew", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);",
		"ALTER TYPE e RENAME TO e_old;\nCREATE TYPE e AS ENUM ('a', 'b', 'c');\nALTER TABLE x ALTER COLUMN v TYPE e USING v::text::e;\nDROP TYPE e_old;",
		"ALTER TYPE e RENAME TO e_old;\nCREATE TYPE e AS ENUM ('a', 'b');\nALTER TABLE x ALTER COLUMN v TYPE e USING v::text::e;\nDROP TYPE e_old;"},
	{"a check with the table's name before the column", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, v text CONSTRAINT c CHECK (v IN ('a')));",
		"ALTER TABLE t DROP CONSTRAINT c;\nALTER TABLE t ADD CONSTRAINT c CHECK (t.v IN ('a', 'b'));",
		"ALTER TABLE t DROP CONSTRAINT c;\nALTER TABLE t ADD CONSTRAINT c CHECK (public.t.v IN ('a'));"},
	{"a view of all columns comes back with their names", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, v text);\nCREATE VIEW w AS SELECT * FROM t;",
		"DROP VIEW w;\nALTER TABLE t ADD COLUMN more int;\nCREATE VIEW w AS SELECT id, v, more FROM t;",
		"DROP VIEW w;\nALTER TABLE t DROP COLUMN more;\nCREATE VIEW w AS SELECT id, v FROM t;"},
	{"the length of a type is no part of a function's name", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY);",
		"CREATE FUNCTION f(a varchar(20), b numeric(20, 0)) RETURNS int LANGUAGE sql AS 'SELECT 1';", "DROP FUNCTION f(varchar, numeric);"},
	{"a function that takes rows of what CASCADE takes along", effects.Postgres, "CREATE TABLE t (id int PRIMARY KEY, a int);\nCREATE VIEW v AS SELECT a FROM t;",
		"CREATE FUNCTION f(r v) RETURNS int LANGUAGE sql AS 'SELECT 1';", "ALTER TABLE t DROP COLUMN a CASCADE;\nALTER TABLE t ADD COLUMN a int;\nCREATE VIEW v AS SELECT a FROM t;"},
	{"SQL that is run from a table, beside rows that are written", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, say text);\nDO $$ DECLARE r record; BEGIN FOR r IN SELECT say FROM t LOOP EXECUTE r.say; EXECUTE 'DELETE FROM t WHERE id = ' || 1; END LOOP; END $$;",
		"CREATE SEQUENCE IF NOT EXISTS s;\nCREATE TABLE u (id int);", "DROP TABLE u;"},
	{"a statement that is put together, whose beginning is DDL", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY);\nDO $$ DECLARE q text; BEGIN q := 'CREATE ' || 'SEQUENCE s'; EXECUTE q; END $$;",
		"CREATE SEQUENCE IF NOT EXISTS s;\nCREATE TABLE u (id int);", "DROP TABLE u;"},
	{"an index whose name counts its expressions", effects.Postgres,
		"CREATE TABLE t (a int, b int, c int);\nCREATE UNIQUE INDEX ON t (coalesce(a, 0), coalesce(b, 0));",
		"DROP INDEX t_coalesce_coalesce1_idx;\nCREATE UNIQUE INDEX ON t (coalesce(a, 0), coalesce(b, 0), coalesce(c, 0));",
		"DROP INDEX t_coalesce_coalesce1_coalesce2_idx;\nCREATE UNIQUE INDEX ON t (coalesce(a, 0), coalesce(b, 0));"},
}

// amiss are migrations whose Down does not give the schema back: each was let through once.
var amiss = []struct {
	name, base, up, down, want string
}{
	{"the sequence of a serial column", "CREATE TABLE t (id serial PRIMARY KEY);", "ALTER SEQUENCE public.t_id_seq AS bigint;\nALTER TABLE t ALTER COLUMN id TYPE bigint;",
		"ALTER TABLE t ALTER COLUMN id TYPE integer;", "RV002 Down leaves the type of the sequence of column t.id changed: it was integer, it stays bigint"},
	{"a trigger that stays off", "CREATE TABLE t (id int PRIMARY KEY, v text);", "ALTER TABLE t DISABLE TRIGGER a;\nUPDATE t SET v = 'x';", "",
		"RV001 the Down section is empty: this migration cannot be undone"},
	{"a comma forgotten between two values", "CREATE TYPE e AS ENUM ('a', 'b');",
		"ALTER TYPE e RENAME TO e_old;\nCREATE TYPE e AS ENUM ('a', 'b', 'c');\nDROP TYPE e_old;",
		"ALTER TYPE e RENAME TO e_old;\nCREATE TYPE e AS ENUM ('a'\n'b');\nDROP TYPE e_old;",
		"RV003 Down brings back type e with another definition: it was values a, b, it becomes values ab"},
	{"an Up that does nothing, and a Down that does",
		"CREATE TABLE t (id int PRIMARY KEY);", "SELECT 1;", "ALTER TABLE t ADD COLUMN a int;",
		"RV003 Down makes column t.a, which was not there before Up"},
	{"behind a function that runs a query it has put together",
		"CREATE FUNCTION f() RETURNS TABLE (id int) LANGUAGE plpgsql AS $$ DECLARE n text; BEGIN FOR n IN SELECT table_name FROM information_schema.tables LOOP\n" +
			"RETURN QUERY EXECUTE 'SELECT id FROM ' || quote_ident(n); END LOOP; END $$;\nCREATE MATERIALIZED VIEW w AS SELECT * FROM f();\nCREATE TABLE t (id int PRIMARY KEY, a int NOT NULL);",
		"ALTER TABLE t DROP COLUMN a;", "ALTER TABLE t ADD COLUMN a text NOT NULL;",
		"RV003 Down brings back column t.a with another type: it was integer, it becomes text"},
	{"behind a block that writes rows by SQL which it has put together",
		"CREATE TABLE t (id int PRIMARY KEY);\nDO $$ DECLARE r record; q text; BEGIN FOR r IN SELECT id FROM t LOOP q := E'INSERT INTO t (id) ' || 'VALUES ($1)'; EXECUTE q USING r.id; END LOOP; END $$;",
		"CREATE SEQUENCE IF NOT EXISTS s;\nCREATE TABLE IF NOT EXISTS u (id int);", "DROP TABLE u;",
		"RV002 Down does not drop sequence s"},
	{"a partition that went with its table",
		"CREATE TABLE t (d date NOT NULL) PARTITION BY RANGE (d);\nCREATE TABLE t_25 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');",
		"DROP TABLE t;", "CREATE TABLE t (d date NOT NULL) PARTITION BY RANGE (d);",
		"RV002 Down does not bring back table t_25"},
	{"another column in a check", "CREATE TABLE t (a int, b int, CONSTRAINT c CHECK (a > 0));",
		"ALTER TABLE t DROP CONSTRAINT c;", "ALTER TABLE t ADD CONSTRAINT c CHECK (t.b > 0);",
		"RV003 Down brings back constraint t.c with another definition: it was check a > 0, it becomes check t.b > 0"},
}

func TestWrongDowns(t *testing.T) {
	for _, c := range amiss {
		t.Run(c.name, func(t *testing.T) {
			base := "-- +goose Up\n-- +goose StatementBegin\n" + c.base + "\n-- +goose StatementEnd\n-- +goose Down\nSELECT 1;\n"
			var got []string
			for _, f := range lintLast(t, Options{Engine: effects.Postgres}, base, goose(c.up, c.down)) {
				if strings.HasPrefix(f.Code, "RV") && f.Severity == Error {
					got = append(got, f.Code+" "+f.Message)
				}
			}
			if !slices.Contains(got, c.want) {
				t.Errorf("found %q\nwant  %q", got, c.want)
			}
		})
	}
}

// TestEmptyDowns: an empty Down for what a block makes or changes is an error.
func TestEmptyDowns(t *testing.T) {
	for _, block := range []string{
		"IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'w') THEN CREATE TYPE w AS ENUM ('a'); END IF;",
		"IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'v') THEN CREATE TYPE v AS ENUM ('a'); ELSE ALTER TYPE v RENAME TO u; END IF;",
		"CREATE TYPE v AS ENUM ('a');",
	} {
		found := lintLast(t, Options{Engine: effects.Postgres}, goose("CREATE TYPE v AS ENUM ('a');", "SELECT 1;"), goose("DO $$ BEGIN "+block+" END $$;", ";"))
		if !slices.ContainsFunc(found, func(f Diagnostic) bool { return f.Code == "RV001" && f.Severity == Error }) {
			t.Errorf("%s: found%s", block, print(found))
		}
	}
}

func TestRightDowns(t *testing.T) {
	for _, c := range right {
		t.Run(c.name, func(t *testing.T) {
			base := "-- +goose Up\n-- +goose StatementBegin\n" + c.base + "\n-- +goose StatementEnd\n-- +goose Down\nSELECT 1;\n"
			for _, f := range lintLast(t, Options{Engine: c.dialect}, base, goose(c.up, c.down)) {
				if strings.HasPrefix(f.Code, "RV") && f.Severity == Error {
					t.Errorf("%s: %s", f.Code, f.Message)
				}
			}
		})
	}
}

// TestTablesExchanged: the rows of a table that Up moves aside, and copies into another of its name, are none that Down has to delete.
func TestTablesExchanged(t *testing.T) {
	base := "CREATE TABLE notes (id int PRIMARY KEY, body varchar(9));"
	exchange := func(columns string) string {
		return "ALTER TABLE notes RENAME TO notes_old;\nCREATE TABLE notes (" + columns + ");\nINSERT INTO notes (id, body) SELECT id, body FROM notes_old;\nDROP TABLE notes_old;"
	}
	const more, was = "id int PRIMARY KEY, body varchar(9), a int", "id int PRIMARY KEY, body varchar(9)"
	var cases []ruleCase
	for _, d := range []effects.Dialect{pg, effects.MySQL, effects.MariaDB, sqlite} {
		cases = append(cases,
			ruleCase{"exchanged, and again", d, base, exchange(more), exchange(was), ""},
			ruleCase{"exchanged, and altered back", d, base, exchange(more), "ALTER TABLE notes DROP COLUMN a;", ""},
			ruleCase{"exchanged, with rows of its own", d, base, "ALTER TABLE notes RENAME TO notes_old;\nCREATE TABLE notes (" + more + ");\nINSERT INTO notes (id) VALUES (1);\nDROP TABLE notes_old;",
				"ALTER TABLE notes DROP COLUMN a;", "RV002 does not delete the rows that Up inserts into notes"},
		)
	}
	checkRules(t, "RV002", cases)
}
