package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// tree makes a folder of a txtar archive.
func tree(archive string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		out[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return out
}

func open(t *testing.T, f Format, d effects.Dialect, archive string) *Folder {
	t.Helper()
	out, err := Open(tree(archive), "db", f, d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// goose shows the goose files.
func goose(t *testing.T, f *Folder) string {
	t.Helper()
	names, err := fs.Glob(f, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		text, err := fs.ReadFile(f, name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "-- %s --\n%s", name, text)
	}
	return b.String()
}

func TestGooseFiles(t *testing.T) {
	for _, c := range []struct {
		name    string
		format  Format
		dialect effects.Dialect
		in, out string
	}{
		{"golang-migrate", GolangMigrate, effects.Postgres, `
-- 1_a.up.sql --
BEGIN;
CREATE TABLE a (b int); CREATE INDEX i ON a (b)
;
COMMIT;
-- 1_a.down.sql --
DROP TABLE a
-- 02_c.up.sql --
-- All of it.

-- One of it.
CREATE INDEX CONCURRENTLY c ON a (b);
-- 02_c.down.sql --
-- nothing
-- readme.md --
`, `-- 02_c.sql --
-- All of it.

-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
-- One of it.
CREATE INDEX CONCURRENTLY c ON a (b);
-- +goose StatementEnd
-- +goose Down
-- nothing
-- 1_a.sql --
-- +goose Up
-- +goose StatementBegin
      
CREATE TABLE a (b int); CREATE INDEX i ON a (b)
;
       
-- +goose StatementEnd
-- +goose Down
-- +goose StatementBegin
DROP TABLE a
-- +goose StatementEnd
`},
		{"counted from 0", GolangMigrate, effects.SQLite, `
-- 0000_a.up.sql --
SELECT 1
-- 0001_b.up.sql --
`, `-- 00001_a.sql --
-- +goose Up
-- +goose StatementBegin
SELECT 1
-- +goose StatementEnd
-- 00002_b.sql --
-- +goose Up
`},
		{"own transactions", GolangMigrate, effects.Postgres, `
-- 1_a.up.sql --
BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT;
`, `-- 1_a.sql --
-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT;
-- +goose StatementEnd
`},
		{"dbmate", Dbmate, effects.Postgres, `
-- 20240101_a.sql --
-- Why.
/* How. */
-- migrate:up transaction:false
CREATE TABLE a (b int)
--migrate:down
DROP TABLE a
-- 3.sql --
-- migrate:up
SELECT 1
`, `-- 20240101_a.sql --
-- Why.

-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
CREATE TABLE a (b int)
-- +goose StatementEnd
-- +goose Down
-- +goose StatementBegin
DROP TABLE a
-- +goose StatementEnd
-- 3_.sql --
-- +goose Up
-- +goose StatementBegin
SELECT 1
-- +goose StatementEnd
`},
		{"flyway", Flyway, effects.MySQL, `
-- V1_2__a_b.sql --
DELIMITER //
CREATE PROCEDURE p() BEGIN SELECT 1; SELECT '//'; END//
DELIMITER ;
-- U1.02.0__a.sql --
DROP PROCEDURE p
-- sub/V1.10__c.sql --
SELECT 1
-- sub/V1.10__c.sql.conf --
executeInTransaction=false
-- V1__first.sql --
SELECT 0
-- R__view.sql --
-- B1__base.sql --
-- afterMigrate.sql --
`, `-- 1000000000000_first.sql --
-- +goose Up
-- +goose StatementBegin
SELECT 0
-- +goose StatementEnd
-- 1000200000000_a_b.sql --
-- +goose Up
-- +goose StatementBegin
            
CREATE PROCEDURE p() BEGIN SELECT 1; SELECT '//'; END; 
           
-- +goose StatementEnd
-- +goose Down
-- +goose StatementBegin
DROP PROCEDURE p
-- +goose StatementEnd
-- 1001000000000_c.sql --
-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
SELECT 1
-- +goose StatementEnd
`},
		{"plain versions of flyway", Flyway, effects.SQLite, `
-- V2__b.sql --
-- V001__a.sql --
`, `-- 00001_a.sql --
-- +goose Up
-- 00002_b.sql --
-- +goose Up
`},
		{"sqitch, reworked twice, in folders of its own", Sqitch, effects.Postgres, `
-- sqitch.conf --
[core]
	engine = pg
	deploy_dir = elsewhere
[engine "pg"]
	top_dir = pg
	deploy_dir = pg/deploy
	reworked_dir = old
-- pg/sqitch.plan --
a 2024-01-01T00:00:00Z A <a@b>
@v1 2024-01-01T00:00:00Z A <a@b>
b 2024-01-01T00:00:00Z A <a@b>
@v2 2024-01-01T00:00:00Z A <a@b>
a [a@v2] 2024-01-01T00:00:00Z A <a@b>
@v3 2024-01-01T00:00:00Z A <a@b>
a [a@v3 b] 2024-01-01T00:00:00Z A <a@b>
-- old/deploy/a@v1.sql --
BEGIN; SELECT 1; COMMIT;
-- pg/deploy/b.sql --
BEGIN; SELECT 2; COMMIT;
-- old/deploy/a@v3.sql --
BEGIN; SELECT 3; COMMIT;
-- old/revert/a@v3.sql --
BEGIN; SELECT -3; COMMIT;
-- pg/deploy/a.sql --
BEGIN; SELECT 4; COMMIT;
-- pg/revert/a.sql --
BEGIN; SELECT -4; COMMIT;
`, `-- 00001_a.sql --
-- +goose Up
-- +goose StatementBegin
       SELECT 1;        
-- +goose StatementEnd
-- 00002_b.sql --
-- +goose Up
-- +goose StatementBegin
       SELECT 2;        
-- +goose StatementEnd
-- 00003_a.sql --
-- +goose Up
-- +goose StatementBegin
       SELECT 3;        
-- +goose StatementEnd
-- +goose Down
-- +goose StatementBegin
       SELECT -3;        
-- +goose StatementEnd
-- 00004_a.sql --
-- +goose Up
-- +goose StatementBegin
       SELECT 4;        
-- +goose StatementEnd
-- +goose Down
-- +goose StatementBegin
       SELECT -4;        
-- +goose StatementEnd
`},
		{"sqitch", Sqitch, effects.Postgres, `
-- sqitch.conf --
[core]
	engine = pg
	top_dir = "sql"
; a comment = yes
-- sql/sqitch.plan --
%syntax-version=1.0.0
%project=x

app/users 2024-01-01T00:00:00Z A <a@b> # a note
@v1 2024-01-01T00:00:00Z A <a@b>
@v2 2024-01-01T00:00:00Z A <a@b>
index [app/users !other] 2024-01-01T00:00:00Z A <a@b>
app/users [app/users@v1] 2024-01-01T00:00:00Z A <a@b>
-- sql/deploy/app/users@v1.sql --
-- Deploy x:users to pg

SET client_min_messages = 'warning';
BEGIN;
\echo 'hello'
CREATE TABLE u (a int);
COMMIT;
-- sql/revert/app/users@v1.sql --
BEGIN; DROP TABLE u; COMMIT;
-- sql/deploy/index.sql --
CREATE INDEX i ON u (a);
-- sql/deploy/app/users.sql --
BEGIN;
ALTER TABLE u ADD b int;
COMMIT;
`, `-- 00001_app_users.sql --
-- Deploy x:users to pg

-- +goose Up
-- +goose StatementBegin
SET client_min_messages = 'warning';
      
             
CREATE TABLE u (a int);
       
-- +goose StatementEnd
-- +goose Down
-- +goose StatementBegin
       DROP TABLE u;        
-- +goose StatementEnd
-- 00002_index.sql --
-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
CREATE INDEX i ON u (a);
-- +goose StatementEnd
-- 00003_app_users.sql --
-- +goose Up
-- +goose StatementBegin
      
ALTER TABLE u ADD b int;
       
-- +goose StatementEnd
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range []Format{c.format, Auto} {
				in := open(t, f, c.dialect, c.in)
				if in.Format != c.format {
					t.Errorf("taken for %s", in.Format)
				}
				if got := goose(t, in); got != c.out {
					t.Errorf("%s:\n%s\nwant\n%s", f, got, c.out)
				}
			}
		})
	}
}

// Every line of a tool's file is found again from the goose file that it went into.
func TestPlaces(t *testing.T) {
	f := open(t, Auto, effects.Postgres, `
-- 1_a.up.sql --
-- head

BEGIN;
CREATE TABLE up_a (b int); DROP TABLE up_b;
COMMIT;
-- 1_a.down.sql --
-- why
DROP TABLE down_a;
`)
	text, err := f.ReadFile("1_a.sql")
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"-- head": "1_a.up.sql:1:1", "up_a": "1_a.up.sql:4:14", "up_b": "1_a.up.sql:4:39", "-- why": "1_a.down.sql:1:1",
		"down_a": "1_a.down.sql:2:12", "-- +goose Up": "1_a.up.sql:3:1", "-- +goose Down": "1_a.down.sql:1:1",
	} {
		line, column := effects.Position(string(text), strings.Index(string(text), what))
		file, l, c := f.Place("1_a.sql", line, column)
		if got := fmt.Sprintf("%s:%d:%d", file, l, c); got != want {
			t.Errorf("%s is at %s, want %s", what, got, want)
		}
	}
	if file, line, column := f.Place("1_a.sql", 99, 1); file == "" || line < 1 || column < 1 {
		t.Errorf("behind the end: %s:%d:%d", file, line, column)
	}
	if got := f.Files("1_a.sql"); !slices.Equal(got, []string{"1_a.up.sql", "1_a.down.sql"}) {
		t.Errorf("files %v", got)
	}
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		want    Format
		archive string
	}{
		"empty":                  {Goose, ""},
		"goose":                  {Goose, "-- 1_a.sql --\n-- +goose Up\n-- schema.sql --\n"},
		"goose, a Go file":       {Goose, "-- 1_a.go --\npackage x\n"},
		"goose, named up":        {Goose, "-- 1_a.up.sql --\n-- +goose Up\n"},
		"unmarked":               {Goose, "-- 1_a.sql --\nSELECT 1;\n"},
		"golang-migrate":         {GolangMigrate, "-- 1_a.up.sql --\n-- seed.sql --\n-- 2_b.sql --\n"},
		"golang-migrate, quoted": {GolangMigrate, "-- 1_a.up.sql --\nINSERT INTO t VALUES ('-- migrate:up');\n"},
		"dbmate":                 {Dbmate, "-- 1_a.sql --\n-- migrate:up\n"},
		"flyway":                 {Flyway, "-- R__a.sql --\n-- 1.sql --\n"},
		"flyway, below":          {Flyway, "-- x/V1__a.sql --\n"},
		"sqitch":                 {Sqitch, "-- sqitch.plan --\n-- 1_a.sql --\n"},
	} {
		got, _, err := detect(tree("\n"+c.archive), "db")
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		format  Format
		archive string
		want    string
	}{
		"two tools":     {Auto, "-- 1_a.up.sql --\n-- 2_b.sql --\n-- migrate:up\n", "db holds files of two tools: 1_a.up.sql is for golang-migrate, 2_b.sql for dbmate"},
		"twice":         {Auto, "-- 1_a.up.sql --\n-- 01_b.up.sql --\n", "version 1 is there twice: 01_b.up.sql and 1_a.up.sql"},
		"dbmate, twice": {Auto, "-- 1_a.sql --\n-- migrate:up\n-- 1_b.sql --\n-- migrate:up\n", "version 1 is there twice: 1_a.sql and 1_b.sql"},
		"flyway, twice": {Auto, "-- V1__a.sql --\n-- V1.0__b.sql --\n", "version 1 is there twice: V1.0__b.sql and V1__a.sql"},
		"two undos":     {Auto, "-- V1__a.sql --\n-- U1__a.sql --\n-- U01__b.sql --\n", "version 1 is there twice: U01__b.sql and U1__a.sql"},
		"too large":     {Auto, "-- 99999999999999999999_a.up.sql --\n", "db/99999999999999999999_a.up.sql:1:1: version 99999999999999999999 is larger than a version table can hold"},
		"too wide":      {Auto, "-- V1.20240101__a.sql --\n", "db/V1.20240101__a.sql:1:1: version 1.20240101 cannot be numbered: a part behind the first has more than 4 digits"},
		"invalid":       {Auto, "-- 1_a.up.sql --\nSELECT 'ä\xff';\n", "db/1_a.up.sql:1:10: invalid UTF-8 (byte 0xff) in SQL text"},
		"NUL":           {Auto, "-- 1_a.down.sql --\n\x00\n-- 1_a.up.sql --\n", "db/1_a.down.sql:1:1: NUL byte in SQL text"},
		"mark":          {Auto, "-- 1_a.up.sql --\n\ufeffSELECT 1;\n", "db/1_a.up.sql:1:1: the file begins with a byte order mark"},
		"annotation":    {GolangMigrate, "-- 1_a.up.sql --\nSELECT 1;\n-- +goose Down\n", "db/1_a.up.sql:2:1: an annotation of goose in a file of another tool"},
		"no up":         {Dbmate, "-- 1_a.sql --\nSELECT 1;\n", `db/1_a.sql:1:1: there is no line "-- migrate:up"`},
		"down first":    {Dbmate, "-- 1_a.sql --\n-- migrate:down\n-- migrate:up\n", `db/1_a.sql:1:1: "-- migrate:down" stands above "-- migrate:up"`},
		"above up":      {Dbmate, "-- 1_a.sql --\nSELECT 1;\n-- migrate:up\n", `db/1_a.sql:1:1: dbmate takes nothing but comments above "-- migrate:up"`},
		"no plan":       {Sqitch, "-- a.sql --\n", "db/sqitch.plan:1:1: it cannot be read: file does not exist"},
		"no script":     {Sqitch, "-- sqitch.plan --\n%x=y\na 2024\n", "db/sqitch.plan:2:1: change a has no script db/deploy/a.sql"},
		"no tag":        {Sqitch, "-- sqitch.plan --\na\na\n", "db/sqitch.plan:2:1: change a is there twice, with no tag between"},
		"psql":          {Sqitch, "-- sqitch.plan --\na\n-- deploy/a.sql --\nSELECT 1;\n\\i b.sql\n", `db/deploy/a.sql:2:1: \i b.sql is a command of the client, which no server runs`},
		"no tool":       {"rails", "", `no tool is called "rails"`},
	} {
		_, err := Open(tree("\n"+c.archive), "db", c.format, effects.Postgres)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestLargeFilesAreNoMigrations(t *testing.T) {
	files := fstest.MapFS{"1_a.up.sql": {Data: make([]byte, Largest+1)}}
	var at *FileError
	if _, err := Open(files, "db", Auto, effects.SQLite); !errors.As(err, &at) || !strings.Contains(at.Message, "at most 16") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsLeft(t *testing.T) {
	f := open(t, Auto, effects.Postgres, "\n-- V1__a.sql --\n-- R__v.sql --\n-- U7__x.sql --\n-- B1__b.sql --\n-- afterMigrate__grants.sql --\n-- beforeEachMigrateStatement.sql --\n-- notes.sql --\n")
	if len(f.Left) != 5 || len(f.Migrations) != 1 {
		t.Errorf("left %q of %v", f.Left, f.Migrations)
	}
}

// Flyway would put a value in; a comment, a script that says there is nothing to replace, and another tool's are read as they are.
// A byte order mark is taken off, as Flyway does, and what stands in flyway.conf is put in.
func TestFlywayReadsAsFlywayDoes(t *testing.T) {
	f, err := Open(fstest.MapFS{
		"sql/V1__a.sql": {Data: []byte("\ufeffCREATE TABLE ${Schema}.a (id int);\nCOMMENT ON TABLE ${schema}.a IS '${why}';\n")},
		"flyway.conf":   {Data: []byte("# values\nflyway.placeholders.schema = app\nflyway.placeholders.why=a=b\n")},
	}, "m", Auto, effects.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.ReadFile(f.Migrations[0].Name)
	if want := "CREATE TABLE app.a (id int);\nCOMMENT ON TABLE app.a IS 'a=b';"; err != nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "\ufeff") {
		t.Errorf("%v\n%s\nwant %s", err, text, want)
	}
}

func TestFlywayPlaceholders(t *testing.T) {
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"refused": {fstest.MapFS{"V1__a.sql": {Data: []byte("SELECT 1;\nCREATE TABLE \u00e9${schema}.a (id int);")}}, "m/V1__a.sql:2:15: the placeholder ${schema} has no value here"},
		"comment": {fstest.MapFS{"V1__a.sql": {Data: []byte("-- ${schema}\nCREATE TABLE a (id int);")}}, ""},
		"not replaced": {fstest.MapFS{"V1__a.sql": {Data: []byte("INSERT INTO a VALUES ('${x}');")},
			"V1__a.sql.conf": {Data: []byte("placeholderReplacement = false\n")}}, ""},
		"not replaced anywhere": {fstest.MapFS{"V1__a.sql": {Data: []byte("INSERT INTO a VALUES ('${x}');")},
			"flyway.conf": {Data: []byte("flyway.placeholderReplacement=false\n")}}, ""},
		"another": {fstest.MapFS{"V1__a.sql": {Data: []byte("CREATE TABLE ${schema}.${t} (id int);")},
			"flyway.conf": {Data: []byte("flyway.placeholders.schema=app\n")}}, "m/V1__a.sql:1:18: the placeholder ${t} has no value here"},
	} {
		_, err := Open(c.files, "m", Flyway, effects.Postgres)
		if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
