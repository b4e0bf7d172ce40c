package migrate_test

import (
	"cmp"
	"context"
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

// bench is one database with one folder of migrations.
type fixture struct {
	t       *testing.T
	dsn     string
	db      *engine.DB
	files   fstest.MapFS
	copy    bool // dropped tables are copied, also where they could be kept
	columns bool // dropped columns are kept where they can be
}

func newFixture(t *testing.T, dsn string, setup string, files map[string]string) *fixture {
	t.Helper()
	db, err := engine.Open(t.Context(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := &fixture{t: t, dsn: dsn, db: db, files: fstest.MapFS{}}
	for name, text := range files {
		f.files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	f.exec(setup)
	return f
}

// backAndUp rolls back and goes up again, and compares all that is there each time.
func (f *fixture) backAndUp(before, after string) {
	f.t.Helper()
	f.rollback(migrate.RollbackRequest{})
	f.same(before, f.dump(), "after the rollback")
	f.up()
	f.same(after, f.dump(), "up again")
}

// exec runs statements that end with a semicolon at a line's end.
func (f *fixture) exec(script string) {
	f.t.Helper()
	for _, stmt := range strings.Split(script, ";\n") {
		stmt = strings.TrimSuffix(strings.TrimSpace(stmt), ";")
		if stmt == "" {
			continue
		}
		if _, err := f.db.ExecContext(f.t.Context(), stmt); err != nil {
			f.t.Fatalf("%s: %v", stmt, err)
		}
	}
}

// add adds a migration to the folder.
func (f *fixture) add(name, text string) { f.files[name] = &fstest.MapFile{Data: []byte(text)} }

func (f *fixture) open() *migrate.Migrator {
	f.t.Helper()
	m, err := migrate.Open(f.t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", CopyTables: f.copy, KeepColumns: f.columns})
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f *fixture) up() *migrate.Result {
	f.t.Helper()
	res, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1})
	if err != nil {
		f.t.Fatalf("up: %v", err)
	}
	return res
}

// bySteps runs the Up of a migration whose statements commit one by one. It tells whether that is refused, because nobody can say what one of them touches.
func (f *fixture) bySteps(file string) (refused bool) {
	f.t.Helper()
	f.files[file].Data = append([]byte("-- +goose NO TRANSACTION\n"), f.files[file].Data...)
	_, err := f.open().Up(f.t.Context(), migrate.UpRequest{To: -1})
	if err != nil && !strings.Contains(err.Error(), "cannot be rehearsed") {
		f.t.Fatalf("up: %v", err)
	}
	return err != nil
}

func (f *fixture) rollback(req migrate.RollbackRequest) *migrate.Result {
	f.t.Helper()
	if req.To == 0 && req.Steps > 0 {
		req.To = -1
	}
	res, err := f.open().Rollback(context.Background(), req)
	if err != nil {
		f.t.Fatalf("rollback: %v", err)
	}
	return res
}

// asideName is the name of a column that is kept, another one each time.
var asideName = regexp.MustCompile("dbrollback_(col|new)_[0-9a-f]{32}")

func (f *fixture) dump() string {
	f.t.Helper()
	return asideName.ReplaceAllString(testdb.DumpAnyOrder(f.t, f.dsn), "dbrollback_$1")
}

func (f *fixture) same(want, got, when string) {
	f.t.Helper()
	if want == got {
		return
	}
	f.t.Errorf("%s: not as it was:\n%s", when, testdb.Diff(want, got))
}

// pair is a migration whose rollback must give back schema and rows exactly.
type pair struct {
	name     string
	engines  string // space-separated kinds; "" = all
	setup    string
	up, down string
}

const people = `
CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE INDEX people_score ON people (score);
INSERT INTO people VALUES (1, 'Ada', 10, 'first'), (2, 'Bob', 20, NULL), (3, 'Cyd', NULL, 'x''y'), (4, 'Dan', 40, '');
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));
INSERT INTO orders VALUES (10, 1, 9.50), (11, 1, 0), (12, 2, 120.25), (13, 3, -1);
`

// older is a table that a migration makes part of others.
const older = "CREATE TABLE old (id integer NOT NULL PRIMARY KEY, name varchar(20));\nINSERT INTO old VALUES (1, 'abc'), (2, 'b'), (3, 'c');"

var pairs = []pair{
	{name: "rows of a made table that a partition brought", engines: "postgres", setup: older, up: "CREATE TABLE newp (id integer NOT NULL, name varchar(20)) PARTITION BY RANGE (id);\nALTER TABLE newp ATTACH PARTITION old FOR VALUES FROM (0) TO (100);\nDELETE FROM newp WHERE id = 2;\nUPDATE newp SET name = 'x' WHERE id = 3;", down: "ALTER TABLE newp DETACH PARTITION old;\nDROP TABLE newp;"},
	{name: "a made table dropped with such rows", engines: "postgres", setup: older, up: "CREATE TABLE newp (id integer NOT NULL, name varchar(20)) PARTITION BY RANGE (id);\nALTER TABLE newp ATTACH PARTITION old FOR VALUES FROM (0) TO (100);\nDROP TABLE newp;", down: "CREATE TABLE old (id integer NOT NULL PRIMARY KEY, name varchar(20));"},
	{name: "a made table emptied of such rows", engines: "postgres", setup: older, up: "CREATE TABLE newp (id integer NOT NULL, name varchar(20)) PARTITION BY RANGE (id);\nALTER TABLE newp ATTACH PARTITION old FOR VALUES FROM (0) TO (100);\nTRUNCATE newp;", down: "ALTER TABLE newp DETACH PARTITION old;\nDROP TABLE newp;"},
	{name: "rows of heirs of a made table", engines: "postgres", setup: older, up: "CREATE TABLE par (name varchar(20));\nALTER TABLE old INHERIT par;\nUPDATE par SET name = 'x' WHERE name = 'b';\nDELETE FROM par WHERE name = 'c';\nALTER TABLE par ALTER COLUMN name TYPE varchar(1) USING left(name, 1);", down: "ALTER TABLE par ALTER COLUMN name TYPE varchar(20);\nALTER TABLE old NO INHERIT par;\nDROP TABLE par;"},
	{name: "a made table emptied with what points to it", engines: "postgres", setup: older, up: "CREATE TABLE par (id integer PRIMARY KEY);\nINSERT INTO par SELECT id FROM old;\nALTER TABLE old ADD CONSTRAINT old_par FOREIGN KEY (id) REFERENCES par ON UPDATE CASCADE;\nUPDATE par SET id = id + 100 WHERE id = 1;\nTRUNCATE par CASCADE;", down: "ALTER TABLE old DROP CONSTRAINT old_par;\nDROP TABLE par;"},
	{name: "a made column updated beside a delete", engines: "postgres", up: "ALTER TABLE people ADD COLUMN age integer;\nWITH gone AS (DELETE FROM people WHERE id > 3 RETURNING 1) UPDATE people SET age = (SELECT count(*) FROM gone) WHERE id = 2;", down: "ALTER TABLE people DROP COLUMN age;"},
	{name: "a rule of a made table", engines: "postgres", setup: older, up: "CREATE TABLE q (id integer);\nCREATE RULE r AS ON INSERT TO q DO INSTEAD UPDATE old SET name = 'ruled' WHERE id = NEW.id;\nINSERT INTO q VALUES (2);", down: "DROP TABLE q;"},
	{name: "a default that writes", engines: "postgres", setup: older, up: `-- +goose StatementBegin
CREATE FUNCTION wipe() RETURNS varchar LANGUAGE plpgsql AS $$ BEGIN DELETE FROM old WHERE id = 1; RETURN 'w'; END $$;
-- +goose StatementEnd
CREATE TABLE q (a varchar DEFAULT wipe());
INSERT INTO q DEFAULT VALUES;`, down: "DROP TABLE q;\nDROP FUNCTION wipe();"},
	{name: "through a view that the migration makes", engines: "postgres", up: "CREATE VIEW vp AS SELECT id, name FROM people;\nUPDATE vp SET name = 'via' WHERE id = 2;\nDELETE FROM vp WHERE id = 3;", down: "DROP VIEW vp;"},
	{name: "through a view that the migration makes", engines: "sqlite", up: `CREATE VIEW vp AS SELECT id, name FROM people;
-- +goose StatementBegin
CREATE TRIGGER vp_u INSTEAD OF UPDATE ON vp BEGIN UPDATE people SET name = NEW.name WHERE id = OLD.id; END;
-- +goose StatementEnd
UPDATE vp SET name = 'via' WHERE id = 2;`, down: "DROP VIEW vp;"},
	{name: "add column", up: "ALTER TABLE people ADD COLUMN age integer;", down: "ALTER TABLE people DROP COLUMN age;"},
	{name: "drop column", up: "ALTER TABLE people DROP COLUMN note;", down: "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"},
	{name: "drop column with index", engines: "postgres", up: "ALTER TABLE people DROP COLUMN score;", down: "ALTER TABLE people ADD COLUMN score integer;"},
	{name: "drop not null column", engines: "postgres", up: "ALTER TABLE people DROP COLUMN name;", down: "ALTER TABLE people ADD COLUMN name varchar(40) NOT NULL;"},
	{name: "NULL for a while", engines: "postgres", up: "ALTER TABLE people ALTER COLUMN name DROP NOT NULL;\nUPDATE people SET name = NULL WHERE id < 3;\nUPDATE people SET name = name, note = 'n' WHERE id > 1;",
		down: "UPDATE people SET name = '-' WHERE name IS NULL;\nALTER TABLE people ALTER COLUMN name SET NOT NULL;"},
	{name: "drop table", up: "DROP TABLE orders;", down: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));"},
	{name: "drop two tables", up: "DROP TABLE orders;\nDROP TABLE people;", down: `CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));`},
	{name: "drop a table, write its parent and drop that", up: "DROP TABLE orders;\nUPDATE people SET score = score + 1;\nDROP TABLE people;", down: `CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));`},
	{name: "drop a table, write and empty its parent, and drop that", up: "DROP TABLE orders;\nUPDATE people SET score = score + 1;\nDELETE FROM people WHERE id > 2;\nDROP TABLE people;", down: `CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));`},
	{name: "rename a column, insert, drop another", up: "ALTER TABLE people RENAME COLUMN name TO called;\nALTER TABLE people ADD COLUMN age integer;\nINSERT INTO people (id, called, note) VALUES (70, 'new', 'n');\nALTER TABLE people DROP COLUMN note;",
		down: "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';\nALTER TABLE people DROP COLUMN age;\nALTER TABLE people RENAME COLUMN called TO name;"},
	{name: "rename a table and drop a column", up: "ALTER TABLE people RENAME TO persons;\nALTER TABLE persons DROP COLUMN note;", down: "ALTER TABLE persons ADD COLUMN note varchar(200) DEFAULT 'none';\nALTER TABLE persons RENAME TO people;"},
	{name: "rename a table, write two columns and drop one", up: "ALTER TABLE people RENAME TO persons;\nUPDATE persons SET score = 1, note = 'new' WHERE id < 3;\nALTER TABLE persons DROP COLUMN note;",
		down: "ALTER TABLE persons ADD COLUMN note varchar(200) DEFAULT 'none';\nALTER TABLE persons RENAME TO people;"},
	{name: "rename a table, change its columns", up: "ALTER TABLE people RENAME TO persons;\nALTER TABLE persons DROP COLUMN note;\nUPDATE persons SET score = score + 1;\nALTER TABLE persons RENAME COLUMN name TO called;",
		down: "ALTER TABLE persons RENAME COLUMN called TO name;\nALTER TABLE persons ADD COLUMN note varchar(200) DEFAULT 'none';\nALTER TABLE persons RENAME TO people;"},
	{name: "rename a table, insert, drop a column", up: "ALTER TABLE people RENAME TO persons;\nALTER TABLE persons ADD COLUMN age integer;\nINSERT INTO persons (id, name, note) VALUES (70, 'new', 'n');\nALTER TABLE persons DROP COLUMN note;",
		down: "ALTER TABLE persons ADD COLUMN note varchar(200) DEFAULT 'none';\nALTER TABLE persons DROP COLUMN age;\nALTER TABLE persons RENAME TO people;"},
	{name: "drop table, Down forgets the index", up: "DROP TABLE orders;\nDROP TABLE people;", down: `CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));`},
	{name: "unique values swapped by way of a third", setup: `
CREATE TABLE seats (id integer PRIMARY KEY, pos integer NOT NULL, who varchar(9), UNIQUE (pos));
CREATE TABLE holds (seat integer PRIMARY KEY REFERENCES seats (id));
INSERT INTO seats VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 4, 'd');
INSERT INTO holds VALUES (1), (3);
`, up: "UPDATE seats SET pos = -1 WHERE pos = 1;\nUPDATE seats SET pos = 1 WHERE pos = 2;\nUPDATE seats SET pos = 2 WHERE pos = 3;\nUPDATE seats SET pos = 3 WHERE pos = -1;",
		down: "SELECT 1;"},
	{name: "truncate", engines: "postgres", up: "TRUNCATE orders;", down: "SELECT 1;"},
	{name: "truncate cascade", engines: "postgres", up: "TRUNCATE people CASCADE;", down: "SELECT 1;"},
	{name: "narrow type", engines: "postgres", up: "ALTER TABLE people ALTER COLUMN note TYPE varchar(2) USING left(note, 2);", down: "ALTER TABLE people ALTER COLUMN note TYPE varchar(200);"},
	{name: "type change", engines: "postgres", up: "ALTER TABLE orders ALTER COLUMN total TYPE integer;", down: "ALTER TABLE orders ALTER COLUMN total TYPE numeric(10,2);"},
	{name: "update all", up: "UPDATE people SET score = 0;", down: "SELECT 1;"},
	{name: "update some", up: "UPDATE people SET name = upper(name), note = NULL WHERE score > 10;", down: "SELECT 1;"},
	{name: "update and its own inverse", up: "UPDATE people SET score = score * 2;", down: "UPDATE people SET score = score / 2;"},
	{name: "update key", up: "UPDATE orders SET id = id + 100;", down: "UPDATE orders SET id = id - 100;"},
	{name: "delete some", up: "DELETE FROM orders WHERE total < 1;", down: "SELECT 1;"},
	{name: "delete cascades", engines: "postgres", up: "DELETE FROM people WHERE id < 3;", down: "SELECT 1;"},
	{name: "insert that Down deletes", up: "INSERT INTO people VALUES (5, 'Eve', 50, 'new');", down: "DELETE FROM people WHERE id = 5;"},
	{name: "insert that Down forgets", up: "INSERT INTO people VALUES (5, 'Eve', 50, 'new');", down: "SELECT 1;"},
	{name: "values merged, and a Down that cannot tell them apart", up: "UPDATE people SET score = 10 WHERE score IS NULL;", down: "UPDATE people SET score = NULL WHERE score = 10;"},
	{name: "a Down that deletes more than was inserted, with what hangs on it", up: "INSERT INTO people VALUES (5, 'Eve', 50, 'new');", down: "DELETE FROM people WHERE id IN (1, 5);"},
	{name: "a Down that computes from a copy that lost something", up: "ALTER TABLE people ADD COLUMN points integer;\nUPDATE people SET points = coalesce(score, 0);",
		down: "UPDATE people SET score = points;\nALTER TABLE people DROP COLUMN points;"},
	{name: "a Down whose statements do not see each other's columns", up: "UPDATE people SET score = 10 WHERE score IS NULL;\nUPDATE people SET note = 'none' WHERE note IS NULL;\nUPDATE people SET note = 'none' WHERE id = 4;",
		down: "ALTER TABLE people ADD COLUMN z integer;\nUPDATE people SET score = NULL WHERE score = 10;\nUPDATE people SET note = NULL WHERE note = 'none' OR note = 'first';\nALTER TABLE people DROP COLUMN z;"},
	{name: "a Down whose later statement hits what an earlier one made", up: "UPDATE people SET note = 'a' WHERE id = 2;", down: "UPDATE people SET note = 'b' WHERE note = 'a';\nDELETE FROM orders WHERE total = 0;\nUPDATE people SET name = note WHERE score > 0;"},
	{name: "upsert", engines: "postgres sqlite", up: "INSERT INTO people VALUES (1, 'Zoe', 1, 'z'), (9, 'New', 9, 'n') ON CONFLICT (id) DO UPDATE SET name = excluded.name, score = excluded.score;", down: "DELETE FROM people WHERE id = 9;"},
	{name: "drop view", setup: "CREATE VIEW rich AS SELECT id, name FROM people WHERE score > 10;", up: "DROP VIEW rich;", down: "SELECT 1;"},
	{name: "drop index", engines: "postgres sqlite", up: "DROP INDEX people_score;", down: "SELECT 1;"},
	{name: "default and not null", engines: "postgres", up: "ALTER TABLE people ALTER COLUMN note DROP DEFAULT, ALTER COLUMN name DROP NOT NULL;", down: "SELECT 1;"},
	{name: "rename column", up: "ALTER TABLE people RENAME COLUMN score TO points;\nUPDATE people SET points = 1;", down: "ALTER TABLE people RENAME COLUMN points TO score;"},
	{name: "rename table", up: "UPDATE orders SET total = 1;\nALTER TABLE orders RENAME TO purchases;", down: "ALTER TABLE purchases RENAME TO orders;"},
	{name: "split a name", engines: "postgres", up: `ALTER TABLE people ADD COLUMN full_name text;
UPDATE people SET full_name = name || '!';
ALTER TABLE people DROP COLUMN name;`, down: `ALTER TABLE people ADD COLUMN name varchar(40);
UPDATE people SET name = left(full_name, 1);
ALTER TABLE people ALTER COLUMN name SET NOT NULL;
ALTER TABLE people DROP COLUMN full_name;`},
	{name: "two updates of one row, then the column goes", up: "UPDATE people SET note = 'a';\nUPDATE people SET note = 'b' WHERE id = 1;\nALTER TABLE people DROP COLUMN note;", down: "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"},
	{name: "update, delete, drop", up: "UPDATE orders SET total = 0;\nDELETE FROM orders WHERE id = 10;\nDROP TABLE orders;", down: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));"},
	{name: "do block", engines: "postgres", up: `-- +goose StatementBegin
DO $$ BEGIN
  UPDATE people SET note = 'done' WHERE id = 2;
  DELETE FROM orders WHERE id = 13;
  EXECUTE 'TRUNCATE orders';
END $$;
-- +goose StatementEnd`, down: "SELECT 1;"},
	{name: "rebuild", engines: "sqlite", up: `CREATE TABLE new_orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total integer);
INSERT INTO new_orders SELECT id, person_id, round(total) FROM orders WHERE id <> 11;
DROP TABLE orders;
ALTER TABLE new_orders RENAME TO orders;`, down: `CREATE TABLE old_orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));
INSERT INTO old_orders SELECT * FROM orders;
DROP TABLE orders;
ALTER TABLE old_orders RENAME TO orders;`},
	{name: "merge", engines: "postgres", up: `MERGE INTO orders o USING (VALUES (10, 1), (99, 2)) v(id, p) ON o.id = v.id
WHEN MATCHED THEN UPDATE SET total = 7 WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.p, 5);`, down: "SELECT 1;"},
	{name: "cte that writes", engines: "postgres", up: "WITH gone AS (DELETE FROM orders WHERE person_id = 1 RETURNING *) UPDATE people SET score = (SELECT count(*) FROM gone) WHERE id = 1;", down: "SELECT 1;"},
	{name: "user trigger writes elsewhere", engines: "postgres", setup: `CREATE TABLE counts (k text PRIMARY KEY, n integer);
INSERT INTO counts VALUES ('orders', 4);
CREATE FUNCTION count_orders() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE counts SET n = n - 1 WHERE k = ''orders''; RETURN NULL; END';
CREATE TRIGGER t_count AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION count_orders();`, up: "DELETE FROM orders WHERE id < 12;", down: "SELECT 1;"},
	{name: "enum to text, values renamed, then checked", engines: "postgres", setup: "CREATE TYPE mood AS ENUM ('new', 'paid', 'cancelled');\nALTER TABLE orders ADD COLUMN status mood;\nUPDATE orders SET status = (CASE WHEN id % 2 = 0 THEN 'paid' ELSE 'cancelled' END)::mood;",
		up: `ALTER TABLE orders ALTER COLUMN status TYPE text;
UPDATE orders SET status = 'closed' WHERE status = 'cancelled';
ALTER TABLE orders ADD CONSTRAINT known CHECK (status IN ('new', 'paid', 'closed'));`,
		down: `ALTER TABLE orders DROP CONSTRAINT known;
UPDATE orders SET status = 'cancelled' WHERE status = 'closed';
ALTER TABLE orders ALTER COLUMN status TYPE mood USING status::mood;`},
	{name: "ten statements", engines: "postgres sqlite", up: strings.TrimPrefix(strings.Split(tenStatements, "-- +goose Down\n")[0], "-- +goose Up\n"), down: strings.Split(tenStatements, "-- +goose Down\n")[1]},
	{name: "an index and a check that went with their column, which Down drops", engines: "postgres",
		up:   "CREATE INDEX by_note ON people (note);\nALTER TABLE people ADD CONSTRAINT short CHECK (length(note) < 99);\nALTER TABLE people DROP COLUMN note;",
		down: "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';\nALTER TABLE people DROP CONSTRAINT short;\nDROP INDEX by_note;"},
	{name: "no key, changed and dropped; Down makes it and takes the change back", engines: "postgres sqlite", setup: "CREATE TABLE loose (a integer, b varchar(20));\nINSERT INTO loose VALUES (1, 'x'), (1, 'x'), (NULL, 'y');",
		up: "UPDATE loose SET a = a + 5;\nDROP TABLE loose;", down: "CREATE TABLE loose (a integer, b varchar(20));\nUPDATE loose SET a = a - 5;"},
	{name: "a column renamed, then the table dropped; Down goes the same way back", up: "ALTER TABLE orders RENAME COLUMN total TO amount;\nDROP TABLE orders;",
		down: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, amount numeric(10,2));\nALTER TABLE orders RENAME COLUMN amount TO total;"},
	{name: "no key, a column made anew, then dropped; Down goes the same way back", engines: "postgres sqlite", setup: "CREATE TABLE loose (a integer, b varchar(20));\nINSERT INTO loose VALUES (1, 'x'), (NULL, 'y');",
		up: "ALTER TABLE loose DROP COLUMN a;\nALTER TABLE loose ADD COLUMN a integer DEFAULT 5;\nDROP TABLE loose;", down: "CREATE TABLE loose (a integer DEFAULT 5, b varchar(20));\nALTER TABLE loose DROP COLUMN a;\nALTER TABLE loose ADD COLUMN a integer;"},
	{name: "no key, and Down takes the constraint off last", engines: "postgres", setup: "CREATE TABLE loose (a integer, b varchar(20), c integer);\nINSERT INTO loose VALUES (NULL, 'x', 1), (1, 'y', -1);",
		up: `UPDATE loose SET a = 0 WHERE a IS NULL;
ALTER TABLE loose ALTER COLUMN a SET NOT NULL;
UPDATE loose SET c = 9 WHERE c < 0;
ALTER TABLE loose ADD CONSTRAINT positive CHECK (c > 0);
ALTER TABLE loose DROP COLUMN b;`, down: "ALTER TABLE loose ADD COLUMN b varchar(20);\nALTER TABLE loose DROP CONSTRAINT positive;\nALTER TABLE loose ALTER COLUMN a DROP NOT NULL;"},
	{name: "a foreign key that Down makes again, and lets lead elsewhere", engines: "postgres mysql mariadb", setup: "CREATE TABLE flows (id integer PRIMARY KEY);\nCREATE TABLE methods (id integer PRIMARY KEY, flow_id integer NOT NULL, CONSTRAINT of_flow FOREIGN KEY (flow_id) REFERENCES flows (id) ON DELETE CASCADE);\nINSERT INTO flows VALUES (1), (2);\nINSERT INTO methods VALUES (10, 1), (11, 2), (12, 2);",
		up: "DROP TABLE methods;", down: "CREATE TABLE methods (id integer PRIMARY KEY, flow_id integer NOT NULL, CONSTRAINT of_flow FOREIGN KEY (flow_id) REFERENCES methods (id) ON DELETE CASCADE);"},
	{name: "keyless", setup: "CREATE TABLE loose (a integer, b varchar(20));\nINSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, NULL), (NULL, NULL);", up: "UPDATE loose SET b = 'changed' WHERE a = 1;\nDELETE FROM loose WHERE a IS NULL;", down: "SELECT 1;"},
}

func migration(up, down string) string {
	return fmt.Sprintf("-- +goose Up\n%s\n-- +goose Down\n%s\n", up, down)
}

// TestRollbackGivesBack is promise 3: with no writes in between, up then rollback leaves schema and rows as they
// were, and so does doing it again; and the second up leaves what the first one left.
func TestRollbackGivesBack(t *testing.T) {
	t.Parallel()
	all := slices.Concat(pairs, mysqlPairs)
	for _, p := range pairs {
		if strings.Contains(p.up, "DROP TABLE") || strings.Contains(p.up, "DROP SCHEMA") || strings.Contains(p.up, "TRUNCATE") {
			p.name += ", copied"
			p.engines = cmp.Or(p.engines, "postgres mariadb")
			all = append(all, p)
		}
	}
	for _, p := range slices.Concat(pairs, mysqlPairs) {
		if strings.Contains(p.up, "DROP COLUMN") {
			p.name += ", columns kept"
			all = append(all, p)
		}
	}
	for _, p := range pairs {
		p.name += ", by steps"
		if p.engines = strings.Join(slices.DeleteFunc(strings.Fields(cmp.Or(p.engines, "postgres sqlite")), func(e string) bool { return strings.HasPrefix(e, "m") }), " "); p.engines != "" {
			all = append(all, p)
		}
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			engines := slices.DeleteFunc(testdb.Everywhere(), func(e testdb.Engine) bool {
				return p.engines != "" && !slices.Contains(strings.Fields(p.engines), string(e))
			})
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people+p.setup, map[string]string{"00001_change.sql": migration(p.up, p.down)})
				f.copy, f.columns = strings.HasSuffix(p.name, ", copied"), strings.HasSuffix(p.name, ", columns kept")
				before := f.dump()
				if strings.HasSuffix(p.name, ", by steps") && f.bySteps("00001_change.sql") {
					f.same(before, f.dump(), "after the refusal")
					return
				}
				var after string
				for i := range 3 {
					f.up()
					if got := f.dump(); i == 0 {
						after = got
					} else {
						f.same(after, got, "after up again")
					}
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if !res.Verified {
						t.Error("not verified")
					}
					f.same(before, f.dump(), "after rollback")
				}
			}, engines...)
		})
	}
}
