package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// shop is a table with all that can hang on one.
const shop = people + `
CREATE ROLE %[1]s_reader;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END';
CREATE FUNCTION lucky() RETURNS integer LANGUAGE sql AS 'SELECT 7';
CREATE SEQUENCE codes START 100;
CREATE TABLE goods (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nr serial, code bigint DEFAULT nextval('codes'), luck integer DEFAULT lucky(), note text COLLATE "C" DEFAULT 'n', owner_id integer REFERENCES people ON DELETE SET NULL, parent integer REFERENCES goods, price numeric(10,2) CHECK (price >= 0), twice numeric GENERATED ALWAYS AS (price * 2) STORED, tags text[], EXCLUDE USING btree (nr WITH =)) WITH (fillfactor = 70);
CREATE UNIQUE INDEX goods_note ON goods (note, id) WHERE price > 1;
CREATE INDEX goods_tags ON goods USING gin (tags);
ALTER TABLE goods ALTER COLUMN note SET STATISTICS 500;
ALTER TABLE goods CLUSTER ON goods_pkey;
CREATE STATISTICS goods_stats ON nr, code FROM goods;
COMMENT ON TABLE goods IS 'what is sold';
COMMENT ON COLUMN goods.price IS 'in euros';
COMMENT ON INDEX goods_note IS 'a note';
CREATE TRIGGER goods_stamp BEFORE INSERT OR UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE goods_rule AS ON DELETE TO goods WHERE OLD.nr = 0 DO INSTEAD NOTHING;
CREATE POLICY goods_policy ON goods FOR SELECT USING (price < 1000);
ALTER TABLE goods ENABLE ROW LEVEL SECURITY;
GRANT SELECT, UPDATE ON goods TO %[1]s_reader;
GRANT INSERT (note) ON goods TO PUBLIC;
GRANT USAGE ON SEQUENCE goods_nr_seq TO %[1]s_reader;
CREATE PUBLICATION goods_pub FOR TABLE goods, people;
INSERT INTO goods (note, owner_id, price, tags) SELECT 'note ' || g, 1 + g %% 4, g, ARRAY['a', NULL, g::text] FROM generate_series(1, 300) g;
UPDATE goods SET parent = id - 1 WHERE id > 1;
DELETE FROM goods WHERE id = 300;
CREATE TABLE sold (id integer PRIMARY KEY, good integer REFERENCES goods ON DELETE CASCADE);
INSERT INTO sold SELECT g, g FROM generate_series(1, 20) g;
CREATE VIEW cheap AS SELECT id, note FROM goods WHERE price < 10;
CREATE VIEW cheapest AS SELECT * FROM cheap WHERE id < 3;
CREATE MATERIALIZED VIEW totals AS SELECT sum(price) AS total FROM goods;
`

// remade is a Down that makes the bare table again.
const remade = "CREATE TABLE goods (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nr serial, code bigint, luck integer, note text COLLATE \"C\", owner_id integer, parent integer, price numeric(10,2), twice numeric GENERATED ALWAYS AS (price * 2) STORED, tags text[]);\nCREATE INDEX goods_tags ON goods USING gin (tags);"

func shopFixture(t *testing.T, up, down string) *fixture {
	t.Helper()
	dsn := testdb.Postgres(t)
	name := "r" + testdb.Query(t, dsn, "SELECT substr(md5(current_database()), 1, 12)")[0]
	f := newFixture(t, dsn, fmt.Sprintf(shop, name), map[string]string{"00001_a.sql": migration(up, down)})
	t.Cleanup(func() {
		testdb.Exec(t, dsn, "DROP OWNED BY "+name+"_reader CASCADE", "DROP ROLE "+name+"_reader")
	})
	return f
}

// kinds of the captures with rows, newest snapshot first.
func (f *fixture) kinds() string {
	f.t.Helper()
	return strings.Join(testdb.Query(f.t, f.dsn, "SELECT kind || ' ' || table_name || ' ' || status FROM dbrollback.state_snapshots WHERE kind <> 'definition' ORDER BY captured_at, position"), ", ")
}

// TestKeptTableComesBack: a dropped table lies aside with everything, holds nothing back, takes no writes, and comes back as it
// was, the very same storage: nothing was copied.
func TestKeptTableComesBack(t *testing.T) {
	t.Parallel()
	f := shopFixture(t, "DROP TABLE goods CASCADE;", remade)
	file := testdb.Query(t, f.dsn, "SELECT pg_relation_filenode('goods')")[0]
	before := f.dump()
	f.up()
	after := f.dump()
	if got := f.kinds(); got != "kept goods complete" {
		t.Fatalf("captured %s, want the table kept", got)
	}
	kept := testdb.Query(t, f.dsn, "SELECT location FROM dbrollback.state_snapshots WHERE kind = 'kept'")[0]
	for _, write := range []string{"INSERT INTO %s (note) VALUES ('x')", "UPDATE %s SET note = 'x' WHERE false", "DELETE FROM %s WHERE false", "TRUNCATE %s"} {
		if _, err := f.db.ExecContext(t.Context(), fmt.Sprintf(write, kept)); err == nil || !strings.Contains(err.Error(), "kept for a rollback") {
			t.Errorf("%s: %v, want it refused", write, err)
		}
	}
	if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM pg_publication_rel WHERE prrelid = '"+kept+"'::regclass"); got[0] != "0" {
		t.Errorf("the kept table is in %s publications", got[0])
	}
	if got := testdb.Query(t, f.dsn, "SELECT relacl FROM pg_class WHERE oid = '"+kept+"'::regclass"); strings.Contains(got[0], "reader") || strings.HasPrefix(got[0], "{=") {
		t.Errorf("others have rights on the kept table: %s", got[0])
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
	if got := testdb.Query(t, f.dsn, "SELECT pg_relation_filenode('goods')")[0]; got != file {
		t.Errorf("the table lies in file %s, was in %s: it was copied", got, file)
	}
	if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM pg_class WHERE relname LIKE 'dbrollback\\_kept\\_%'")[0]; got != "0" {
		t.Errorf("%s kept things are left", got)
	}
	if got := testdb.Query(t, f.dsn, "INSERT INTO goods (note, price) VALUES ('next', 1) RETURNING id, nr, code, luck, note"); got[0] != "301|301|400|7|NEXT" {
		t.Errorf("the next row is %s, want 301|301|400|7|NEXT", got[0])
	}
	testdb.Exec(t, f.dsn, "DELETE FROM goods WHERE note = 'NEXT'")
	f.up()
	f.same(after, f.dump(), "after the second up")
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the second rollback")
}

// TestKeptTableHoldsNothingBack: what a dropped table used can be dropped after it, by later statements and by anybody.
func TestKeptTableHoldsNothingBack(t *testing.T) {
	t.Parallel()
	f := shopFixture(t, "DROP TABLE sold, goods CASCADE;\nDROP FUNCTION stamp();\nDROP FUNCTION lucky();\nDROP SEQUENCE codes;\nDROP TABLE orders;\nDELETE FROM people WHERE id = 4;",
		"INSERT INTO people VALUES (4, '', 0, '');\nCREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\n"+
			"CREATE SEQUENCE codes START 100;\nCREATE FUNCTION lucky() RETURNS integer LANGUAGE sql AS 'SELECT 7';\n"+remade+"\nCREATE TABLE sold (id integer PRIMARY KEY, good integer REFERENCES goods ON DELETE CASCADE);")
	before := f.dump()
	f.up()
	if got := f.kinds(); got != "kept goods complete, kept sold complete, kept orders complete, rows people complete" && got != "kept sold complete, kept goods complete, kept orders complete, rows people complete" {
		t.Errorf("captured %s", got)
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
	testdb.Exec(t, f.dsn, "SELECT setval('codes', 399)") // a sequence's value does not come back when it was dropped by name
}

// TestServerRefusesTheDrop: what a plain DROP TABLE refuses is refused, in the server's words.
func TestServerRefusesTheDrop(t *testing.T) {
	t.Parallel()
	for up, want := range map[string]string{
		"DROP TABLE goods;":         "other objects depend on it",
		"DROP TABLE orders, sold_;": "does not exist",
	} {
		f := shopFixture(t, up, "SELECT 1;")
		before := f.dump()
		_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
		var at *migrate.StatementError
		if !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a statement error with %q", up, err, want)
		}
		f.same(before, f.dump(), "after a refused drop")
	}
}

// TestKeptTableGivesWay: where the kept table cannot simply take its place, its rows are put back as those of a copy.
func TestKeptTableGivesWay(t *testing.T) {
	t.Parallel()
	const plain = "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));"
	for _, c := range []struct {
		name, setup, up, between, down string
		kinds                          string // of the capture after up, and after the rollback
		rows                           string // of orders, after the rollback
		conflicts                      int
	}{
		{name: "plain", up: "DROP TABLE orders;", down: plain, kinds: "kept kept", rows: "10:1 11:1 12:2 13:3"},
		{name: "the application made it again", up: "DROP TABLE orders;", between: "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL, total numeric(10,2)); INSERT INTO orders VALUES (11, 3, 7), (77, 1, 1);",
			down: "CREATE TABLE IF NOT EXISTS orders (id integer PRIMARY KEY, person_id integer NOT NULL, total numeric(10,2));", kinds: "kept table", rows: "10:1 11:3 12:2 13:3 77:1", conflicts: 1},
		{name: "Down fills it", up: "DROP TABLE orders;", down: plain + "\nINSERT INTO orders VALUES (12, 3, 1), (50, 1, 1);", kinds: "kept table", rows: "10:1 11:1 12:2 13:3 50:1"},
		{name: "Down reads it before it is whole", up: "DROP TABLE orders;", down: plain + "\nUPDATE people SET note = (SELECT count(*) FROM orders);\nCREATE INDEX o_total ON orders (total);\nDROP INDEX o_total;\nUPDATE people SET note = NULL WHERE id > 1 AND note = '4';\nUPDATE people SET note = 'first' WHERE id = 1 AND note = '4';\nUPDATE people SET note = 'x''y' WHERE id = 3;\nUPDATE people SET note = '' WHERE id = 4;",
			kinds: "kept,rows rows,table", rows: "10:1 11:1 12:2 13:3"},
		{name: "a parent is gone", up: "DROP TABLE orders;", between: "DELETE FROM people WHERE id = 2;", down: plain, kinds: "kept table", rows: "10:1 11:1 13:3", conflicts: 1},
		{name: "dropped and made again by Up", up: "DROP TABLE orders;\nCREATE TABLE orders (id integer PRIMARY KEY, what text);\nINSERT INTO orders VALUES (10, 'new');", down: "DROP TABLE orders;\n" + plain, kinds: "table table", rows: "10:1 11:1 12:2 13:3"},
		{name: "no key", setup: "ALTER TABLE orders DROP CONSTRAINT orders_pkey;", up: "DROP TABLE orders;", down: strings.Replace(plain, " PRIMARY KEY", "", 1), kinds: "kept kept", rows: "10:1 11:1 12:2 13:3"},
		{name: "no key, filled by Down", setup: "ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ALTER id DROP NOT NULL;", up: "DROP TABLE orders;",
			down: strings.Replace(plain, " PRIMARY KEY", "", 1) + "\nINSERT INTO orders VALUES (12, 2, 120.25), (50, 1, 1);", kinds: "kept table", rows: "10:1 11:1 12:2 13:3 50:1"},
		{name: "a type of the user's", setup: "CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TABLE orders ADD COLUMN m mood DEFAULT 'b';", up: "DROP TABLE orders;\nDROP TYPE mood;",
			down: "CREATE TYPE mood AS ENUM ('a', 'b');\n" + strings.Replace(plain, "(10,2)", "(10,2), m mood DEFAULT 'b'", 1), kinds: "table table", rows: "10:1 11:1 12:2 13:3"},
		{name: "changed before", up: "UPDATE orders SET total = 0;\nDROP TABLE orders;", down: plain, kinds: "rows,table rows,table", rows: "10:1 11:1 12:2 13:3"},
		{name: "renamed before", up: "ALTER TABLE orders RENAME TO o;\nDROP TABLE o;", down: plain, kinds: "table table", rows: "10:1 11:1 12:2 13:3"},
		{name: "its schema", setup: "CREATE SCHEMA s; ALTER TABLE orders SET SCHEMA s; CREATE VIEW s.v AS SELECT id FROM s.orders; CREATE TYPE s.t AS ENUM ('x'); CREATE TABLE s.typed (id integer PRIMARY KEY, t s.t); INSERT INTO s.typed VALUES (1, 'x');",
			up: "DROP SCHEMA s CASCADE;", down: "CREATE SCHEMA s;\nCREATE TYPE s.t AS ENUM ('x');\nCREATE TABLE s.typed (id integer PRIMARY KEY, t s.t);\nCREATE TABLE s.orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\nCREATE VIEW s.v AS SELECT id FROM s.orders;",
			kinds: "kept,table kept,table", rows: "10:1 11:1 12:2 13:3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), people, map[string]string{"00001_a.sql": migration(c.up, c.down)})
			testdb.Exec(t, f.dsn, strings.Split(strings.TrimSuffix(c.setup, ";"), "; ")...)
			before := f.dump()
			f.up()
			kinds := func() string {
				return strings.Join(testdb.Query(t, f.dsn, "SELECT kind FROM dbrollback.state_snapshots WHERE kind <> 'definition' AND direction = 'up' ORDER BY kind"), ",")
			}
			got := kinds()
			if c.between != "" {
				testdb.Exec(t, f.dsn, strings.Split(strings.TrimSuffix(c.between, ";"), "; ")...)
			}
			res := f.rollback(migrate.RollbackRequest{Steps: 1, AllowDrift: c.between != ""})
			if got += " " + kinds(); got != c.kinds {
				t.Errorf("captured %s, want %s", got, c.kinds)
			}
			table := "orders"
			if strings.Contains(c.setup, "SCHEMA s;") {
				table = "s.orders"
			}
			if rows := testdb.Query(t, f.dsn, "SELECT string_agg(id || ':' || person_id, ' ' ORDER BY id) FROM "+table)[0]; rows != c.rows {
				t.Errorf("orders: %s, want %s", rows, c.rows)
			}
			if len(res.Conflicts) != c.conflicts {
				t.Errorf("conflicts: %v, want %d", res.Conflicts, c.conflicts)
			}
			if c.between == "" && !strings.Contains(c.down, "INSERT INTO orders") {
				f.same(before, f.dump(), "after the rollback")
			}
		})
	}
}

// TestKeptTableLivesOn: a kept table survives what a database goes through, and another of its name beside it.
func TestKeptTableLivesOn(t *testing.T) {
	t.Parallel()
	const again = "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));"
	f := newFixture(t, testdb.Postgres(t), people, map[string]string{
		"00001_a.sql": migration("DROP TABLE orders;", again),
		"00002_b.sql": migration("CREATE TABLE orders (id integer PRIMARY KEY, other text);\nCREATE INDEX orders_other ON orders (other);", "DROP TABLE orders;"),
		"00003_c.sql": migration("DROP TABLE orders;", "CREATE TABLE orders (id integer PRIMARY KEY, other text);"),
	})
	before := f.dump()
	up := func(to int64) {
		t.Helper()
		if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: to}); err != nil {
			t.Fatal(err)
		}
	}
	up(2)
	testdb.Exec(t, f.dsn, "INSERT INTO orders VALUES (1, 'one'), (2, NULL)")
	second := f.dump()
	up(3)
	for _, kept := range testdb.Query(t, f.dsn, "SELECT location FROM dbrollback.state_snapshots WHERE kind = 'kept'") {
		testdb.Exec(t, f.dsn, "VACUUM FULL "+kept, "REINDEX TABLE "+kept, "ANALYZE "+kept)
	}
	store := snapshot.New(f.db, "")
	for range 2 {
		checks, err := store.Verify(t.Context(), f.db, "")
		if err != nil || len(checks) != 2 || !checks[0].OK || !checks[1].OK || checks[0].Checksum == "" {
			t.Fatalf("verify: %+v, %v", checks, err)
		}
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(second, f.dump(), "after the rollback of 3")
	f.rollback(migrate.RollbackRequest{To: 0})
	f.same(before, f.dump(), "after the rollback of all")
}

// TestKeptTableIsWithdrawn: a rollback in steps is taken back after the kept table has its place again.
func TestKeptTableIsWithdrawn(t *testing.T) {
	t.Parallel()
	f := shopFixture(t, "", "")
	text := "-- +goose NO TRANSACTION\n" + migration("DROP TABLE goods CASCADE;", remade+"\nSELECT 1 / (count(*) - count(*)) FROM people;")
	f.files["00001_a.sql"] = &fstest.MapFile{Data: []byte(text)}
	before := f.dump()
	f.up()
	after := f.dump()
	for range 2 {
		if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); err == nil || !strings.Contains(err.Error(), "division by zero") {
			t.Fatalf("rollback: %v", err)
		}
		if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM goods")[0]; got != "299" {
			t.Fatalf("%s goods are back when the rollback stops", got)
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatal(err)
		}
		f.same(after, f.dump(), "after the rollback was taken back")
	}
	f.files["00001_a.sql"] = &fstest.MapFile{Data: []byte(strings.Replace(text, "(count(*) - count(*))", "count(*)", 1))}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
	if got := f.kinds(); got != "kept goods restored" {
		t.Errorf("captures: %s", got)
	}
}

// TestKeptTableIsReloaded: a database that was dumped and loaded elsewhere, as for a new version of the server, has its kept tables, and
// a rollback there gives the table back with all that hung on it.
func TestKeptTableIsReloaded(t *testing.T) {
	t.Parallel()
	f := shopFixture(t, "DROP TABLE goods CASCADE;", remade)
	before := f.dump()
	f.up()
	elsewhere := testdb.Postgres(t)
	testdb.Reload(t, f.dsn, elsewhere)
	g := newFixture(t, elsewhere, "", nil)
	g.files = f.files
	if checks, err := snapshot.New(g.db, "").Verify(t.Context(), g.db, ""); err != nil || len(checks) != 1 || !checks[0].OK {
		t.Errorf("verify: %+v, %v", checks, err)
	}
	g.rollback(migrate.RollbackRequest{Steps: 1})
	g.same(before, g.dump(), "after the rollback of the loaded database")
	if got := g.kinds(); got != "kept goods restored" {
		t.Errorf("captures: %s", got)
	}
	testdb.Exec(t, elsewhere, "DROP OWNED BY r"+testdb.Query(t, f.dsn, "SELECT substr(md5(current_database()), 1, 12)")[0]+"_reader CASCADE")
}

// TestKeptTableThatWasWritten is refused: what it was cannot be told any more.
func TestKeptTableThatWasWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people, map[string]string{"00001_a.sql": migration("DROP TABLE orders;",
		"CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));")})
	f.up()
	kept := testdb.Query(t, f.dsn, "SELECT location FROM dbrollback.state_snapshots WHERE kind = 'kept'")[0]
	testdb.Exec(t, f.dsn, "ALTER TABLE "+kept+" DISABLE TRIGGER dbrollback_guard", "DELETE FROM "+kept+" WHERE id = 10")
	after := f.dump()
	_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
	var proof *snapshot.ProofError
	if !errors.As(err, &proof) || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("err = %v, want a ProofError about the trigger", err)
	}
	f.same(after, f.dump(), "after the refusal")
	checks, err := snapshot.New(f.db, "").Verify(t.Context(), f.db, "")
	if err != nil || len(checks) != 1 || checks[0].OK {
		t.Errorf("verify: %+v, %v; want one that is damaged", checks, err)
	}
}

// TestKeptTableIsASource: rows of a kept table can be looked at and brought back like those of any capture.
func TestKeptTableIsASource(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people, map[string]string{"00001_a.sql": migration("DROP TABLE orders;",
		"CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));")})
	f.up()
	for _, verified := range []bool{false, true} {
		if verified { // now it has a checksum to be compared with
			if _, err := snapshot.New(f.db, "").Verify(t.Context(), f.db, ""); err != nil {
				t.Fatal(err)
			}
		}
		into := engine.Name{Schema: "public", Name: fmt.Sprintf("orders_%v", verified)}
		res, err := f.open().Restore(t.Context(), migrate.RestoreRequest{Write: true, Ask: snapshot.Ask{
			Tables: []engine.Name{{Schema: "public", Name: "orders"}}, HasMigration: true, Migration: 1, Mode: snapshot.Copy, Into: into,
		}})
		if err != nil {
			t.Fatalf("restore: %v", err)
		}
		if got := testdb.Query(t, f.dsn, "SELECT string_agg(id || ':' || person_id || ':' || total, ' ' ORDER BY id) FROM "+into.Name); got[0] != "10:1:9.50 11:1:0.00 12:2:120.25 13:3:-1.00" {
			t.Errorf("%s: %s, %+v", into.Name, got[0], res)
		}
	}
	testdb.Exec(t, f.dsn, "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer, total numeric(10,2))", "INSERT INTO orders VALUES (11, 9, 9), (99, 9, 9)")
	_, err := f.open().Restore(t.Context(), migrate.RestoreRequest{Write: true, Ask: snapshot.Ask{
		Tables: []engine.Name{{Schema: "public", Name: "orders"}}, HasMigration: true, Migration: 1, Mode: snapshot.Merge, OnConflict: snapshot.Restore,
	}})
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	if got := testdb.Query(t, f.dsn, "SELECT string_agg(id || ':' || person_id, ' ' ORDER BY id) FROM orders"); got[0] != "10:1 11:1 12:2 13:3 99:9" {
		t.Errorf("orders: %s", got[0])
	}
	testdb.Exec(t, f.dsn, "DROP TABLE orders, orders_true, orders_false")
	f.rollback(migrate.RollbackRequest{Steps: 1})
	if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM orders"); got[0] != "4" {
		t.Errorf("%s orders after the rollback, want 4", got[0])
	}
}

// TestKeptTableIsPruned: retention frees the disk of a kept table, and nothing of its neighbours.
func TestKeptTableIsPruned(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people+"CREATE TABLE other AS SELECT * FROM orders;", map[string]string{
		"00001_a.sql": migration("DROP TABLE orders;", "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));"),
		"00002_b.sql": migration("DROP TABLE other;", "CREATE TABLE other (id integer, person_id integer, total numeric(10,2));"),
	})
	before := f.dump()
	f.up()
	store := snapshot.New(f.db, "")
	gone, err := store.Prune(t.Context(), f.db, snapshot.PruneOptions{Keep: 1})
	if err != nil || len(gone) == 0 {
		t.Fatalf("pruned %v, %v", gone, err)
	}
	if got := testdb.Query(t, f.dsn, "SELECT string_agg(relname, ' ') FROM pg_class WHERE relname ~ '^dbrollback_(kept|data)_.{32}$'"); strings.Count(got[0], "dbrollback_") != 1 {
		t.Errorf("left: %s, want one kept table", got[0])
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	testdb.Exec(t, f.dsn, "CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2))",
		"INSERT INTO orders SELECT * FROM other")
	f.same(before, f.dump(), "the neighbour after its rollback")
}

// TestKeptTableOutsideTransactions: each statement of a migration that cannot be one transaction keeps what it drops.
func TestKeptTableOutsideTransactions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), people, map[string]string{"00001_a.sql": "-- +goose NO TRANSACTION\n" + migration(
		"CREATE INDEX CONCURRENTLY people_name ON people (name);\nDROP TABLE orders;\nDROP INDEX CONCURRENTLY people_score;",
		"CREATE INDEX CONCURRENTLY people_score ON people (score);\nCREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\nDROP INDEX CONCURRENTLY people_name;")})
	before := f.dump()
	f.up()
	if got := f.kinds(); got != "kept orders complete" {
		t.Errorf("captured %s", got)
	}
	f.rollback(migrate.RollbackRequest{Steps: 1})
	f.same(before, f.dump(), "after the rollback")
}

// TestKeptTableThatDownWrites: what Down makes of the rows of a table that it has made again does not stay: they are as they were before Up.
func TestKeptTableThatDownWrites(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]string{
		"it updates and deletes":  "UPDATE kid SET v = 'down' WHERE id = 1;\nDELETE FROM kid WHERE id > 2;",
		"a foreign key deletes":   "DELETE FROM par WHERE id = 2;",
		"under another name":      "ALTER TABLE kid RENAME TO kind;\nUPDATE kind SET v = 'down';\nALTER TABLE kind RENAME TO kid;",
		"and a row of before Up":  "UPDATE par SET v = 'down';\nDELETE FROM kid;",
		"it fills it, and writes": "INSERT INTO kid VALUES (1, 1, 'a');\nUPDATE kid SET v = 'down';",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				const kid = "CREATE TABLE kid (id integer NOT NULL PRIMARY KEY, par integer, v varchar(9), CONSTRAINT kid_par FOREIGN KEY (par) REFERENCES par (id) ON DELETE CASCADE);\n"
				c := newCutter(t, dsn, migration("DROP TABLE kid;", kid+down))
				testdb.Exec(t, dsn, "CREATE TABLE par (id integer NOT NULL PRIMARY KEY, v varchar(9))", "INSERT INTO par VALUES (1, 'one'), (2, 'two')")
				testdb.Exec(t, dsn, strings.TrimSuffix(kid, ";\n"), "INSERT INTO kid VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 2, 'c'), (4, NULL, 'd')")
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT concat(id, ' ', coalesce(par, 0), ' ', v) FROM kid UNION ALL SELECT concat(id, ' ', v) FROM par ORDER BY 1"), "|")
				}
				before := rows()
				up := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT concat(id, ' ', v) FROM par ORDER BY 1"), "|")
				}
				for range 2 {
					c.must("up")
					if got := up(); got != "1 one|2 two" {
						t.Fatalf("up: %s", got)
					}
					c.must("rollback")
					if got := rows(); got != before {
						t.Fatalf("rollback: %s\nwant %s", got, before)
					}
				}
				if strings.HasPrefix(dsn, "postgres") || strings.HasPrefix(dsn, "sqlite") { // in one transaction
					return
				}
				c.cutsEachWay(func() string {
					if len(testdb.Query(t, dsn, "SELECT 1 FROM goose_db_version WHERE version_id = 1")) > 0 {
						return up()
					}
					return rows()
				}, map[string]string{"up": "1 one|2 two", "rollback": before})
				c.free("in the end")
			}, everywhere...)
		})
	}
}
