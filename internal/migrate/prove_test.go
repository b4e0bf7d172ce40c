package migrate_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// everywhere are the engines that migrations are verified on.
var everywhere = []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB}

// prove verifies migrations, named in the order of their versions, on the server of dsn, which is left as it was.
func prove(t *testing.T, dsn string, o migrate.ProveOptions, migrations ...string) *migrate.ProofReport {
	t.Helper()
	files := fstest.MapFS{}
	for i, text := range migrations {
		files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	before := testdb.Dump(t, dsn)
	scratch, err := engine.NewScratch(t.Context(), engine.ScratchOptions{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	o.Files, o.Dir, o.Scratch = files, "m", scratch
	report, err := migrate.Prove(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := scratch.Close(); err != nil {
		t.Error(err)
	}
	testdb.SameDump(t, dsn, before)
	return report
}

// on spells a statement for an engine: "pg: … | sqlite: … | mysql: … | for those that are not named".
func on(dsn, statement string) string {
	kind, _, _ := strings.Cut(dsn, ":")
	kind = map[string]string{"postgres": "pg", "mariadb": "mysql"}[kind] + map[string]string{"sqlite": "sqlite", "mysql": "mysql"}[kind]
	rest := ""
	for part := range strings.SplitSeq(statement, " | ") {
		switch name, text, ok := strings.Cut(part, ": "); {
		case ok && name == kind:
			return text
		case !ok || !slices.Contains([]string{"pg", "sqlite", "mysql"}, name):
			rest = part
		}
	}
	return rest
}

// summary is what a proof says, in a line.
func summary(p *migrate.Proof) string {
	out := []string{string(p.Verdict)}
	for _, d := range p.Differences {
		what := d.Kind + " " + strings.TrimPrefix(d.Object, "public.")
		switch {
		case d.Cosmetic:
			what = "~" + what
		case d.Before == "":
			what = "+" + what
		case d.After == "":
			what = "-" + what
		}
		out = append(out, what)
	}
	for _, d := range p.Data {
		out = append(out, strings.ReplaceAll(d.Message, "public.", ""))
	}
	if p.Error != nil {
		out = append(out, fmt.Sprintf("at %s:%d:%d", p.Error.File, p.Error.Line, p.Error.Column))
	}
	return strings.Join(out, "; ")
}

// verdicts has a migration for each verdict; none hides what is wrong with the next. What is wanted may differ by engine.
var verdicts = []struct{ up, down, want, captured, suggestion string }{
	{up: "CREATE TABLE users (id integer PRIMARY KEY, score int, name varchar(40) NOT NULL);\nCREATE INDEX by_name ON users (name);\n" +
		"CREATE TABLE notes (id integer PRIMARY KEY, owner int NOT NULL, FOREIGN KEY (owner) REFERENCES users (id));",
		down: "DROP TABLE notes;\nDROP TABLE users;", want: "ok"},
	{up: "ALTER TABLE users ADD COLUMN nick varchar(20);", want: "no-down; +column users.nick", captured: "not restored: up refuses a migration without a Down"},
	{up: "DROP INDEX by_name; | mysql: DROP INDEX by_name ON users;", down: "CREATE INDEX by_name ON users (id);",
		want: "wrong; index by_name | mysql: wrong; index users.by_name", captured: "restored",
		suggestion: "pg: DROP INDEX public.by_name; CREATE INDEX by_name ON public.users USING btree (name) | sqlite: DROP INDEX \"by_name\"; CREATE INDEX by_name ON users (name)" +
			" | mysql: ALTER TABLE `users` DROP INDEX `by_name`, ADD KEY `by_name` (`name`)"},
	{up: "CREATE TABLE a (id int PRIMARY KEY);", down: "\n  DROP TABLE\n    nosuch;", want: "down-fails; at m/00004_m.sql:5:3", captured: "not restored: rollback stops where its Down fails"},
	{up: "ALTER TABLE nosuch ADD COLUMN c int;", down: "ALTER TABLE nosuch DROP COLUMN c;", want: "up-fails; at m/00005_m.sql:2:1"},
	{up: "INSERT INTO users (id, name) VALUES (1, 'root');", down: "DELETE FROM users WHERE id = 2;", want: "not-repeatable; at m/00006_m.sql:2:1", captured: "restored"},
	{up: "UPDATE users SET name = 'all the same';", down: "UPDATE users SET name = 'nobody';", want: "data; the Down alone loses # of # values in users.name", captured: "restored"},
	{up: "ALTER TABLE users DROP COLUMN score;", down: "ALTER TABLE users ADD COLUMN score int;",
		want: "data; ~column users.name; ~column users.nick; ~column users.score; the Down alone loses # of # values in users.score", captured: "restored"},
	{up: "DELETE FROM notes;\nDELETE FROM users;", down: "DELETE FROM users WHERE id = -1;",
		want: "data; the Down alone loses # of # rows of notes; the Down alone loses # of # rows of users", captured: "restored"},
	{up: "CREATE TABLE left_over (id int NOT NULL);\nCREATE TABLE b (id int PRIMARY KEY);", down: "DROP TABLE b;",
		want: "pg: wrong; +column left_over.id; +not null left_over.id; +owner left_over; +table left_over | sqlite: wrong; +column left_over.id; +table left_over" +
			" | mysql: wrong; +column left_over.id; +not null left_over.id; +options left_over; +table left_over",
		captured:   "not restored: rollback fails: migration 10: the Down of migration 10 does not give the schema back: # object(…",
		suggestion: "pg: DROP TABLE public.left_over | sqlite: DROP TABLE \"left_over\" | mysql: DROP TABLE `left_over`"},
	{up: "ALTER TABLE users RENAME COLUMN nick TO alias;", down: "ALTER TABLE users RENAME COLUMN alias TO nick;", want: "ok"},
}

var digits = regexp.MustCompile(`\b\d+ `)

func TestProveVerdicts(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		var files []string
		for _, v := range verdicts {
			files = append(files, migration(on(dsn, v.up), v.down))
		}
		report := prove(t, dsn, migrate.ProveOptions{Rows: 9}, files...)
		if len(report.Migrations) != len(verdicts) {
			t.Fatalf("%d proofs", len(report.Migrations))
		}
		for i, v := range verdicts {
			p := report.Migrations[i]
			if got := digits.ReplaceAllString(summary(p), "# "); got != on(dsn, v.want) {
				t.Errorf("%d:\n got %s\nwant %s", i+1, got, on(dsn, v.want))
			}
			captured := string(p.WithCapture)
			if p.CaptureReason != "" {
				captured += ": " + p.CaptureReason
			}
			if got := digits.ReplaceAllString(captured, "# "); got != digits.ReplaceAllString(v.captured, "# ") {
				t.Errorf("%d with captures: %q, want %q", i+1, got, v.captured)
			}
			if got := strings.Join(p.Suggestion, "; "); got != on(dsn, v.suggestion) {
				t.Errorf("%d: add %s, want %s", i+1, got, on(dsn, v.suggestion))
			}
		}
		if r := report.RoundTrip; r == nil || r.Verdict != "not tried" || r.Reason != "m/00002_m.sql is no-down" {
			t.Errorf("round trip: %+v", r)
		}
	}, everywhere...)
}

// What every Down gives back, all of them give back together; and with no rows, only what is cosmetic is left to say.
func TestProveRoundTrip(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		files := []string{
			migration("CREATE TABLE t (id integer PRIMARY KEY, a int, b int NOT NULL);", "DROP TABLE t;"),
			migration("ALTER TABLE t DROP COLUMN a;", "ALTER TABLE t ADD COLUMN a int;"),
			migration("INSERT INTO t (id, b) VALUES (1, 2);", "DELETE FROM t WHERE id = 1;"),
			migration("CREATE VIEW v AS SELECT b FROM t;", "DROP VIEW v;"),
		}
		report := prove(t, dsn, migrate.ProveOptions{}, files...)
		var got []string
		for _, p := range report.Migrations {
			got = append(got, summary(p))
		}
		if want := []string{"ok", "cosmetic; ~column t.a; ~column t.b", "ok", "ok"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if report.RoundTrip == nil || report.RoundTrip.Verdict != "ok" {
			t.Errorf("round trip: %+v", report.RoundTrip)
		}
		only := prove(t, dsn, migrate.ProveOptions{Only: func(m *migrate.Migration) bool { return m.Version == 4 }}, files...)
		if len(only.Migrations) != 1 || only.Migrations[0].Version != 4 || only.Migrations[0].Verdict != migrate.ProofOK || only.RoundTrip != nil {
			t.Errorf("of the last one alone: %+v, %+v", only.Migrations, only.RoundTrip)
		}
	}, everywhere...)
}

// A Down that works with no rows and fails with some; a deferred constraint that speaks at the commit; a migration that cannot
// run in a transaction; a setting that must not reach the next migration.
func TestProveAsItWouldRun(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		migration := func(up, down string) string { return migration(on(dsn, up), on(dsn, down)) }
		report := prove(t, dsn, migrate.ProveOptions{Rows: 9},
			migration("CREATE TABLE t (id integer PRIMARY KEY, a int);", "DROP TABLE t;"),
			migration("UPDATE t SET a = NULL;", "pg: ALTER TABLE t ALTER COLUMN a SET NOT NULL;\nALTER TABLE t ALTER COLUMN a DROP NOT NULL; | "+
				"sqlite: CREATE TABLE u (a int NOT NULL);\nINSERT INTO u SELECT a FROM t;\nDROP TABLE u; | mysql: ALTER TABLE t MODIFY COLUMN a int NOT NULL;\nALTER TABLE t MODIFY COLUMN a int;"),
			"-- +goose NO TRANSACTION\n"+migration("pg: CREATE INDEX CONCURRENTLY i ON t (a); | CREATE INDEX i ON t (a);", "DROP INDEX i; | mysql: DROP INDEX i ON t;"),
			migration("pg: SET search_path = nowhere; | sqlite: PRAGMA case_sensitive_like = on; | mysql: SET sql_mode = 'ANSI_QUOTES';", "SELECT 1;"),
			migration("pg: CREATE VIEW w AS SELECT 'now'::timestamp AS made; | CREATE VIEW w AS SELECT 1 AS made;", "DROP VIEW w;"),
			migration("CREATE VIEW z AS SELECT 2 AS b;", "DROP VIEW z;"), // the view of before is another one each time it is made
			migration("pg: CREATE TABLE x AS SELECT 1 AS a; | CREATE TABLE x (a varchar(9) DEFAULT \"text\");", "DROP TABLE x;"),
		)
		var got []string
		for _, p := range report.Migrations {
			got = append(got, summary(p))
		}
		want := []string{"ok", "data; at m/00002_m.sql:4:1", "ok", "ok", "ok", "ok", "ok"}
		if strings.HasPrefix(dsn, "sqlite") {
			want[1] = "data; at m/00002_m.sql:5:1"
		}
		if strings.HasPrefix(dsn, "postgres") { // the server keeps the moment as a constant: no two databases have the same view
			want[4] = "not-repeatable; view w"
		}
		if !slices.Equal(got, want) {
			t.Errorf(" got %q\nwant %q", got, want)
		}
	}, everywhere...)
}

// What a migration of SQLite leaves on its session does not reach the next one, although not each has a session of its own.
func TestProveSessions(t *testing.T) {
	t.Parallel()
	for _, leaves := range []string{"CREATE TEMPORARY TABLE x (id integer);", "CREATE TABLE temp.x (id integer);", "ATTACH DATABASE ':memory:' AS m;\nCREATE TABLE m.x (id integer);"} {
		first := migration("CREATE TABLE a (id integer);", "DROP TABLE a;")
		second := strings.Replace(migration(leaves, "SELECT 1;"), "-- +goose Up", "-- +goose NO TRANSACTION\n-- +goose Up", 1)
		third := migration("CREATE TABLE y AS SELECT * FROM x;", "DROP TABLE y;")
		report := prove(t, testdb.OnSQLite.New(t), migrate.ProveOptions{AllowExternal: true}, first, second, third)
		if p := report.Migrations[2]; p.Verdict != migrate.ProofUpFails || !strings.Contains(p.Error.Message, "no such table: x") {
			t.Errorf("%s: %s %+v", leaves, p.Verdict, p.Error)
		}
	}
}

// What reaches beyond the scratch database does not run: the server may be anybody's.
func TestProveRefuses(t *testing.T) {
	outside := map[testdb.Engine][]string{
		testdb.OnPostgres: {"CREATE ROLE dbrollback_x", "CREATE DATABASE x", "DO $$ BEGIN EXECUTE 'CREATE ROLE dbrollback_x'; END $$", "COPY (SELECT 1) TO PROGRAM 'true'", "ALTER SYSTEM SET work_mem = '1MB'", "SELECT lo_import('/etc/hosts')"},
		testdb.OnSQLite:   {"ATTACH DATABASE 'x.db' AS x", "VACUUM INTO 'x.db'"},
		testdb.OnMySQL: {"CREATE USER dbrollback_x", "CREATE DATABASE x", "USE mysql", "CREATE TABLE other.t (id int)", "RENAME TABLE t TO other.t", "SELECT 1 INTO OUTFILE '/tmp/x'", "SET GLOBAL max_connections = 5",
			"SET @a = concat('CREATE USER dbrollback', '_x');\nPREPARE s FROM @a;\nEXECUTE s", "SELECT concat('DROP USER ', 'dbrollback_x') INTO @a;\nPREPARE s FROM @a;\nEXECUTE s"},
	}
	outside[testdb.OnMariaDB] = outside[testdb.OnMySQL]
	inside := map[testdb.Engine][]string{
		testdb.OnPostgres: {"SELECT pg_notify('a', 'b')", "SELECT lo_from_bytea(0, 'x')", "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 4096', current_database()); END $$"},
		testdb.OnMySQL:    {"ALTER DATABASE CHARACTER SET utf8mb4", "SET @a = concat('CREATE TABLE u', ' (id int)');\nPREPARE s FROM @a;\nEXECUTE s"},
		testdb.OnMariaDB:  {"ALTER DATABASE CHARACTER SET utf8mb4", "SET @a = concat('CREATE TABLE u', ' (id int)');\nPREPARE s FROM @a;\nEXECUTE s"},
	}
	for _, e := range everywhere {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			var files []string
			for _, statement := range slices.Concat(outside[e], inside[e]) {
				if strings.HasPrefix(statement, "DO") {
					statement = "-- +goose StatementBegin\n" + statement + ";\n-- +goose StatementEnd"
				} else {
					statement += ";"
				}
				files = append(files, migration("CREATE TABLE t (id integer);\n"+statement, "DROP TABLE t;"))
			}
			report := prove(t, e.New(t), migrate.ProveOptions{}, files...)
			for i, p := range report.Migrations {
				refused := p.Verdict == migrate.ProofUpFails && strings.HasPrefix(p.Error.Message, "not run: ")
				if refused != (i < len(outside[e])) {
					t.Errorf("%s: %s %+v", files[i], p.Verdict, p.Error)
				}
			}
		})
	}
}

// An index that a foreign key brought along goes when another one takes its place: a copy of the table made from its definition
// would keep it.
func TestProveImplicitIndexes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		report := prove(t, dsn, migrate.ProveOptions{},
			migration("CREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE c (id int PRIMARY KEY, p int NOT NULL, at int);", "DROP TABLE c;\nDROP TABLE p;"),
			migration("ALTER TABLE c ADD CONSTRAINT c_of_p FOREIGN KEY (p) REFERENCES p (id);\nALTER TABLE c ADD COLUMN e int;", "ALTER TABLE c DROP COLUMN e;\nALTER TABLE nosuch DROP COLUMN e;"),
			migration("CREATE TABLE other (id int PRIMARY KEY);", "DROP TABLE other;"),
			migration("CREATE INDEX both_of ON c (p, at);", "DROP INDEX both_of ON c;"),
			migration("ALTER TABLE c ADD COLUMN f int;", "ALTER TABLE c DROP COLUMN f;"))
		var got []string
		for _, p := range report.Migrations {
			got = append(got, string(p.Verdict))
		}
		if want := []string{"ok", "down-fails", "ok", "down-fails", "ok"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// The same after a Down that brings a column back in another place, and a rollback with captures.
func TestProveImplicitIndexesWithCaptures(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		report := prove(t, dsn, migrate.ProveOptions{Rows: 9},
			migration("CREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE c (id int PRIMARY KEY, e int, p int NOT NULL, at int);", "DROP TABLE c;\nDROP TABLE p;"),
			migration("ALTER TABLE c ADD CONSTRAINT c_of_p FOREIGN KEY (p) REFERENCES p (id);", "ALTER TABLE c DROP FOREIGN KEY c_of_p;\nALTER TABLE c DROP INDEX c_of_p;"),
			migration("ALTER TABLE c DROP COLUMN e;", "ALTER TABLE c ADD COLUMN e int;"),
			migration("CREATE INDEX both_of ON c (p, at);", "DROP INDEX both_of ON c;"))
		var got []string
		for _, p := range report.Migrations {
			got = append(got, string(p.Verdict))
		}
		if want := []string{"ok", "ok", "data", "down-fails"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if p := report.Migrations[2]; p.WithCapture != migrate.Restored {
			t.Errorf("with captures: %q, %s", p.WithCapture, p.CaptureReason)
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}
