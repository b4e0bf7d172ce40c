package migrate_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestNewerPostgres: what a newer PostgreSQL can say of a schema comes back with its rows. A server that does not know it yet gets what came before it in its place: an exclusion
// constraint, a foreign key to a plain key, no name.
func TestNewerPostgres(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		since          int // the major version that knows new; older ones get old in its place
		new, old       string
		setup, up      string // with @ for it
		down           string
		asks, wants    string // what is asked after the rollback, where the server is new enough; and the answer
		writes, undoes string
	}{
		{name: "a row that a period covers", since: 18, new: "PRIMARY KEY (id, r WITHOUT OVERLAPS)|FOREIGN KEY (pid, PERIOD r) REFERENCES p (id, PERIOD r)", old: "PRIMARY KEY (id, r)|FOREIGN KEY (pid, r) REFERENCES p (id, r)",
			setup: "CREATE EXTENSION btree_gist;\nCREATE TABLE p (id integer, r int4range, n text, @1);\nCREATE TABLE c (id integer PRIMARY KEY, pid integer, r int4range, CONSTRAINT ck @2);\n" +
				"INSERT INTO p SELECT g, x, 'n' FROM generate_series(1, 5) g, unnest(ARRAY[int4range(1, 10), int4range(10, 20)]) x;\nINSERT INTO c SELECT g, g, @3 FROM generate_series(1, 5) g;",
			up:   "DELETE FROM c WHERE id = 1;\nDELETE FROM p WHERE id = 1;\nUPDATE p SET n = 'up' WHERE id = 2;\nALTER TABLE c DROP CONSTRAINT ck;",
			down: "SELECT 1;", writes: "INSERT INTO p VALUES (9, int4range(1, 2), 'app');", undoes: "DELETE FROM p WHERE id = 9;",
			asks: "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck'", wants: "FOREIGN KEY (pid, PERIOD r) REFERENCES p(id, PERIOD r)"},
		{name: "a table of such rows", since: 18, new: "PRIMARY KEY (id, r WITHOUT OVERLAPS)|FOREIGN KEY (pid, PERIOD r) REFERENCES p (id, PERIOD r)", old: "PRIMARY KEY (id, r)|FOREIGN KEY (pid, r) REFERENCES p (id, r)",
			setup: "CREATE EXTENSION btree_gist;\nCREATE TABLE p (id integer, r int4range, n text, @1);\nCREATE TABLE c (id integer PRIMARY KEY, pid integer, r int4range, CONSTRAINT ck @2);\n" +
				"INSERT INTO p SELECT g, x, 'n' FROM generate_series(1, 5) g, unnest(ARRAY[int4range(1, 10), int4range(10, 20)]) x;\nINSERT INTO c SELECT g, g, @3 FROM generate_series(1, 5) g;",
			up:   "ALTER TABLE p DROP COLUMN n;\nDROP TABLE c;",
			down: "CREATE TABLE c (id integer PRIMARY KEY, pid integer, r int4range, CONSTRAINT ck @2);\nALTER TABLE p ADD COLUMN n text;"},
		{name: "a named NOT NULL", since: 18, new: "CONSTRAINT given NOT NULL", old: "NOT NULL",
			setup: "CREATE TABLE t (id integer PRIMARY KEY, v integer @1, w integer NOT NULL);\nINSERT INTO t VALUES (1, 1, 1);",
			up:    "ALTER TABLE t ALTER COLUMN v DROP NOT NULL;\nALTER TABLE t ALTER COLUMN w DROP NOT NULL;",
			down:  "ALTER TABLE t ALTER COLUMN v SET NOT NULL;\nALTER TABLE t ALTER COLUMN w SET NOT NULL;",
			asks:  "SELECT conname FROM pg_constraint WHERE contype = 'n' AND conrelid = 't'::regclass ORDER BY 1", wants: "given t_id_not_null t_w_not_null"},
		{name: "a NOT NULL that need not hold", since: 18, new: "CONSTRAINT maybe NOT NULL v NOT VALID", old: "CONSTRAINT maybe CHECK (v IS NOT NULL) NOT VALID",
			setup: "CREATE TABLE t (id integer PRIMARY KEY, v integer);\nINSERT INTO t VALUES (1, 1), (2, NULL);\nALTER TABLE t ADD @1;",
			up:    "ALTER TABLE t DROP CONSTRAINT maybe;", down: "SELECT 1;", writes: "INSERT INTO t VALUES (3, 3);", undoes: "DELETE FROM t WHERE id = 3;",
			asks: "SELECT conname || ' ' || convalidated FROM pg_constraint WHERE contype = 'n' AND conrelid = 't'::regclass ORDER BY 1", wants: "maybe false t_id_not_null true"},
		{name: "what partitions to come are kept in", since: 17, new: "ALTER TABLE t SET ACCESS METHOD heap2", old: "ALTER TABLE t1 SET (fillfactor = 70)",
			setup: "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;\nCREATE TABLE t (id integer, k integer) PARTITION BY LIST (k);\nCREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);\nINSERT INTO t VALUES (1, 1);\n",
			up:    "@1;", down: "SELECT 1;",
			asks: "SELECT relam::text FROM pg_class WHERE relname = 't'", wants: "0"},
		{name: "a virtual column", since: 18, new: "VIRTUAL", old: "STORED",
			setup: "CREATE TABLE t (id integer PRIMARY KEY, a integer, v integer GENERATED ALWAYS AS (a * 2) @1);\nINSERT INTO t SELECT g, g FROM generate_series(1, 5) g;",
			up:    "UPDATE t SET a = 7 WHERE id = 1;\nALTER TABLE t DROP COLUMN v;", down: "SELECT 1;", writes: "INSERT INTO t VALUES (9, 9);", undoes: "DELETE FROM t WHERE id = 9;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			v, err := strconv.Atoi(testdb.Query(t, dsn, "SHOW server_version_num")[0])
			if err != nil {
				t.Fatal(err)
			}
			text, is, period := c.old, v >= c.since*10_000, "int4range(1, 10)"
			if is {
				text, period = c.new, "int4range(5, 15)" // which no parent is equal to
			}
			one, two, _ := strings.Cut(text, "|")
			fill := strings.NewReplacer("@1", one, "@2", two, "@3", period).Replace
			f := newFixture(t, dsn, fill(c.setup), map[string]string{"00001_a.sql": migration(fill(c.up), fill(c.down))})
			before := f.dump()
			for range 2 {
				f.up()
				if c.writes != "" {
					f.exec(c.writes)
				}
				f.rollback(migrate.RollbackRequest{To: 0})
				if c.undoes != "" {
					f.exec(c.undoes)
				}
				f.same(before, f.dump(), "rolled back")
				if is && c.asks != "" {
					if got := strings.Join(testdb.Query(t, dsn, c.asks), " "); got != c.wants {
						t.Errorf("rolled back: %q, want %q", got, c.wants)
					}
				}
			}
		})
	}
}
