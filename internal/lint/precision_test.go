package lint

import (
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
	{"a function that is called is not in doubt for it", effects.Postgres,
		"CREATE FUNCTION f(int4) RETURNS text LANGUAGE sql AS 'SELECT 1';\nCREATE TABLE t (id int PRIMARY KEY);\nALTER TABLE t ADD COLUMN a text DEFAULT f(1);",
		"CREATE OR REPLACE FUNCTION f(int4) RETURNS text LANGUAGE sql AS 'SELECT 2';",
		"CREATE OR REPLACE FUNCTION f(int4) RETURNS text LANGUAGE sql AS 'SELECT 1';"},
	{"rows alone, and a Down without a statement", effects.Postgres,
		"CREATE TABLE t (id int PRIMARY KEY, a int);", "UPDATE t SET a = 2 WHERE a = 1;", ""},
}

func TestRightDowns(t *testing.T) {
	for _, c := range right {
		t.Run(c.name, func(t *testing.T) {
			base := "-- +goose Up\n-- +goose StatementBegin\n" + c.base + "\n-- +goose StatementEnd\n-- +goose Down\nSELECT 1;\n"
			for _, f := range lintLast(t, Options{Engine: c.dialect}, base, goose(c.up, c.down)) {
				if strings.HasPrefix(f.Code, "RV") && f.Severity == Error && f.Code != "RV011" {
					t.Errorf("%s: %s", f.Code, f.Message)
				}
			}
		})
	}
}
