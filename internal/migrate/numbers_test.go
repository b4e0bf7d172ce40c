package migrate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestNumbersGoOn: a generator of numbers that a migration drops or sets back goes on, after the rollback, behind all that was handed out, and so
// does one that Down drops when it is made again. Where the migration cannot be one transaction a run that fails behind it is taken back.
func TestNumbersGoOn(t *testing.T) {
	t.Parallel()
	const number = "SELECT nextval('q')"
	for _, x := range []struct {
		engine                 testdb.Engine
		name, setup, up, down  string
		whole                  bool   // what it touches is only told in a transaction
		draw, next             string // what hands out a number, and what gives it
		want                   string // which comes next after the rollback
		writes, query, newNext string // by the application while it is applied; what is asked after an up again, and the answer
	}{
		{engine: testdb.OnPostgres, name: "sequence", setup: "CREATE SEQUENCE q START 77 INCREMENT 3;\nSELECT setval('q', 200);",
			up: "DROP SEQUENCE q;", down: "CREATE SEQUENCE q START 77 INCREMENT 3;", next: number, want: "203"},
		{engine: testdb.OnPostgres, name: "descending sequence", whole: true, setup: "CREATE SEQUENCE q START -1 INCREMENT -1;\nSELECT setval('q', -50);",
			up: "DROP SEQUENCE q CASCADE;", down: "CREATE SEQUENCE q INCREMENT -1;", next: number, want: "-51"},
		{engine: testdb.OnPostgres, name: "sequence of a schema", whole: true, setup: "CREATE SCHEMA s;\nCREATE SEQUENCE s.q;\nSELECT setval('s.q', 200);",
			up: "DROP SCHEMA s CASCADE;", down: "CREATE SCHEMA s;\nCREATE SEQUENCE s.q;", next: "SELECT nextval('s.q')", want: "201"},
		{engine: testdb.OnPostgres, name: "restart", setup: "CREATE SEQUENCE q;\nSELECT setval('q', 200);",
			up: "ALTER SEQUENCE q RESTART WITH 5;", down: "SELECT 1;", writes: number + ";", next: number, want: "201"},
		{engine: testdb.OnPostgres, name: "setval in code", whole: true, setup: "CREATE SEQUENCE q;\nSELECT setval('q', 200);",
			up: "-- +goose StatementBegin\nDO $$ BEGIN PERFORM setval('q', 5); END $$;\n-- +goose StatementEnd", down: "SELECT 1;", next: number, want: "201"},
		{engine: testdb.OnPostgres, name: "identity", setup: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, v text);\nINSERT INTO t (v) SELECT 'x' FROM generate_series(1, 9);\nDELETE FROM t WHERE id > 5;",
			up: "ALTER TABLE t ALTER id DROP IDENTITY;", down: "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY;", next: "SELECT nextval('t_id_seq')", want: "10"},
		{engine: testdb.OnPostgres, name: "identity and writes", setup: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, v text);\nINSERT INTO t (v) SELECT 'x' FROM generate_series(1, 9);",
			up: "ALTER TABLE t ALTER id DROP IDENTITY;", down: "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY;", writes: "INSERT INTO t VALUES (70, 'new');",
			next: "SELECT nextval('t_id_seq')", want: "71"},
		{engine: testdb.OnPostgres, name: "default", setup: "CREATE SEQUENCE q;\nSELECT setval('q', 200);\nCREATE TABLE t (id bigint DEFAULT nextval('q') PRIMARY KEY);",
			up: "ALTER TABLE t ALTER id DROP DEFAULT;\nDROP SEQUENCE q;", down: "CREATE SEQUENCE q;\nALTER TABLE t ALTER id SET DEFAULT nextval('q');",
			writes: "INSERT INTO t VALUES (300);", next: number, want: "301"},
		{engine: testdb.OnPostgres, name: "made by Up", up: "CREATE SEQUENCE q;", down: "DROP SEQUENCE q;", writes: number + ";\n" + number + ";", query: number, newNext: "3"},
		{engine: testdb.OnMariaDB, name: "sequence", setup: "CREATE SEQUENCE q NOCACHE;\nSELECT setval(q, 200);",
			up: "DROP SEQUENCE q;", down: "CREATE SEQUENCE q NOCACHE;", next: "SELECT nextval(q)", want: "201"},
		{engine: testdb.OnMariaDB, name: "made by Up", up: "CREATE SEQUENCE q NOCACHE;", down: "DROP SEQUENCE q;", writes: "SELECT nextval(q);\nSELECT nextval(q);", query: "SELECT nextval(q)", newNext: "3"},
		{engine: testdb.OnMariaDB, name: "auto_increment", setup: "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY);\nINSERT INTO t VALUES (1), (9);\nDELETE FROM t WHERE id = 9;",
			up: "ALTER TABLE t MODIFY id int NOT NULL;", down: "ALTER TABLE t MODIFY id int NOT NULL AUTO_INCREMENT;", draw: "INSERT INTO t VALUES ();", next: "SELECT max(id) FROM t", want: "10"},
		{engine: testdb.OnMySQL, name: "auto_increment", setup: "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY);\nINSERT INTO t VALUES (1), (9);\nDELETE FROM t WHERE id = 9;",
			up: "ALTER TABLE t MODIFY id int NOT NULL;", down: "ALTER TABLE t MODIFY id int NOT NULL AUTO_INCREMENT;",
			draw: "INSERT INTO t VALUES ();", next: "SELECT max(id) FROM t", want: "10"},
		{engine: testdb.OnSQLite, name: "sqlite_sequence", setup: "CREATE TABLE t (id integer PRIMARY KEY AUTOINCREMENT);\nINSERT INTO t VALUES (1), (9);\nDELETE FROM t WHERE id = 9;",
			up: "UPDATE sqlite_sequence SET seq = 1 WHERE name = 't';", down: "SELECT 1;", draw: "INSERT INTO t DEFAULT VALUES;", next: "SELECT max(id) FROM t", want: "10"},
	} {
		t.Run(string(x.engine)+"/"+x.name, func(t *testing.T) {
			t.Parallel()
			for _, head := range []string{"", "-- +goose NO TRANSACTION\n"} {
				if x.whole && head != "" {
					continue
				}
				setup := x.setup
				if setup == "" {
					setup = "SELECT 1;"
				}
				f := newFixture(t, x.engine.New(t), setup, map[string]string{"00001_change.sql": head + migration(x.up, x.down)})
				for round := range 2 {
					f.up()
					if round == 0 {
						f.exec(x.writes)
					}
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if x.query != "" {
						f.up()
						if got := testdb.Query(t, f.dsn, x.query)[0]; got != x.newNext {
							t.Errorf("%safter an up again %s comes next, want %s", head, got, x.newNext)
						}
						break
					}
				}
				if x.query != "" {
					continue
				}
				f.exec(x.draw)
				if got := testdb.Query(t, f.dsn, x.next)[0]; got != x.want {
					t.Errorf("%safter the rollback %s comes next, want %s", head, got, x.want)
				}
				if head == "" {
					continue
				}
				f = newFixture(t, x.engine.New(t), setup, map[string]string{"00001_change.sql": head + migration(x.up+"\nINSERT INTO nowhere VALUES (1);", x.down)})
				var failed *migrate.StatementError
				if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1}); !errors.As(err, &failed) || !strings.Contains(err.Error(), "nowhere") {
					t.Fatalf("up: %v", err)
				}
				if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
					t.Fatal(err)
				}
				if x.writes != "" {
					continue
				}
				f.exec(x.draw)
				if got := testdb.Query(t, f.dsn, x.next)[0]; got != x.want {
					t.Errorf("%safter recover --abort %s comes next, want %s", head, got, x.want)
				}
			}
		})
	}
}

// TestSequenceOfAnother: who owns a schema may drop the sequences of others in it, and so may the migration.
func TestSequenceOfAnother(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	login, name := testdb.Role(t, dsn)
	testdb.Exec(t, dsn, `CREATE SCHEMA s AUTHORIZATION "`+name+`"`, "CREATE SEQUENCE s.q", "SELECT setval('s.q', 200)", `GRANT SELECT ON s.q TO "`+name+`"`,
		`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "`+name+`"', current_database()); END $$`, `GRANT CREATE ON SCHEMA public TO "`+name+`"`)
	f := newFixture(t, login, "", map[string]string{"00001_a.sql": migration("DROP SEQUENCE s.q;", "CREATE SEQUENCE s.q;")})
	f.up()
	if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{Steps: 1}); err == nil || !strings.Contains(err.Error(), "OWNER TO postgres") {
		t.Errorf("rollback: %v; it cannot give the sequence its owner back", err)
	}
	f = &fixture{t: t, dsn: dsn, db: newFixture(t, dsn, "", nil).db, files: f.files} // one who can
	f.rollback(migrate.RollbackRequest{Steps: 1})
	if got := testdb.Query(t, dsn, "SELECT nextval('s.q')")[0]; got != "201" {
		t.Errorf("%s comes next, want 201", got)
	}
}
