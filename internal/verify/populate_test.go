package verify

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// everywhere are all engines.
var everywhere = []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB}

// nastyMySQL is for both servers.
const nastyMySQL = `
CREATE TABLE kinds (k tinyint PRIMARY KEY, label char(4) UNIQUE NOT NULL);
CREATE TABLE people (
    id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, mail varchar(40) CHARACTER SET latin1 UNIQUE NOT NULL, boss bigint unsigned, kind tinyint NOT NULL,
    status enum('new', 'it''s ok') NOT NULL, tags set('a', 'b') NOT NULL, share decimal(5,2) CHECK (share BETWEEN 0 AND 100), full_name varchar(50) AS (concat(mail, '!')) STORED,
    settings json NOT NULL, ok boolean NOT NULL, flags bit(5) NOT NULL, at datetime(3) NOT NULL, seen timestamp NULL, born date, lasts time, y year NOT NULL,
    token binary(16) UNIQUE NOT NULL, small varbinary(2), ratio float unsigned, big double NOT NULL, note mediumtext, place point NOT NULL, ref char(3) CHECK (ref REGEXP '^[A-Z]{3}$'),
    FOREIGN KEY (boss) REFERENCES people (id), FOREIGN KEY (kind) REFERENCES kinds (k));
CREATE TABLE ` + "`Odd ``Table`" + ` (` + "`a.b`" + ` int, ` + "`c d`" + ` bigint unsigned NOT NULL REFERENCES people (id), PRIMARY KEY (` + "`a.b`, `c d`" + `), FOREIGN KEY (` + "`c d`" + `) REFERENCES people (id));
CREATE TABLE parts (x int, y bigint unsigned, z text, FOREIGN KEY (x, y) REFERENCES ` + "`Odd ``Table` (`a.b`, `c d`)" + `);
CREATE TABLE hen (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, hen int NOT NULL, FOREIGN KEY (hen) REFERENCES hen (id));
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg (id);
CREATE TABLE regions (id int NOT NULL, r int NOT NULL) PARTITION BY LIST (r) (PARTITION a VALUES IN (3, 5), PARTITION b VALUES IN (8));
CREATE TABLE log (id int NOT NULL, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (year(at)) (PARTITION old VALUES LESS THAN (2020), PARTITION rest VALUES LESS THAN MAXVALUE);
CREATE TABLE only_default (id int NOT NULL AUTO_INCREMENT PRIMARY KEY)`

// nasty are tables for which rows are hard to guess.
var nasty = map[string]string{
	"mysql":   nastyMySQL,
	"mariadb": nastyMySQL + ";\nCREATE TABLE typed (u uuid PRIMARY KEY, i inet6 NOT NULL, j json, k int NOT NULL CHECK (k IN (7, 9)))",
	"postgres": `
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE DOMAIN email AS citext CHECK (VALUE ~ '^[a-z0-9.-]+@[a-z.]+$');
CREATE DOMAIN code AS varchar(3) NOT NULL CHECK (length(VALUE) = 3);
CREATE DOMAIN better_code AS code CHECK (VALUE = upper(VALUE));
CREATE TYPE pair AS (a int, b text);
CREATE TABLE kinds (k smallint PRIMARY KEY, label char(4) UNIQUE NOT NULL);
CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail email UNIQUE NOT NULL, boss bigint REFERENCES people,
    mood mood NOT NULL, moods mood[], born date, at timestamptz NOT NULL DEFAULT now(), kind smallint NOT NULL REFERENCES kinds,
    full_name text GENERATED ALWAYS AS (mail::text || '!') STORED, settings jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    status text NOT NULL CHECK (status IN ('new', 'active', 'gone')), share numeric(5,2) CHECK (share BETWEEN 0 AND 100),
    address inet, token uuid UNIQUE, raw bytea, flags bit(5), during tstzrange, duo pair, lang better_code, CHECK ((born IS NULL) = (address IS NULL)));
CREATE UNIQUE INDEX people_mail ON people (lower(mail::text));
CREATE UNIQUE INDEX one_active ON people (mood, kind) WHERE status = 'active';
CREATE TABLE "Odd ""Table" ("a.b" int NOT NULL, "c d" bigint NOT NULL REFERENCES people, PRIMARY KEY ("a.b", "c d"));
CREATE TABLE parts ("x" int, "y" bigint, z text, FOREIGN KEY ("x", "y") REFERENCES "Odd ""Table" ("a.b", "c d"));
CREATE TABLE hen (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, hen int NOT NULL REFERENCES hen);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg;
CREATE TABLE events (id bigint, at date NOT NULL, what text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_23 PARTITION OF events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE regions (id int, r text) PARTITION BY LIST (r);
CREATE TABLE regions_eu PARTITION OF regions FOR VALUES IN ('de', 'fr');
CREATE TABLE either (id serial PRIMARY KEY, a int, b int, CHECK (num_nonnulls(a, b) = 1));
CREATE TABLE colours (hex text PRIMARY KEY CHECK (hex ~ '^#[0-9a-f]{6}$'), n int CHECK (n >= 10 AND n < 20));
CREATE TABLE rooms (room int, at int4range, EXCLUDE USING gist (at WITH &&));
CREATE TABLE bare ();
CREATE TABLE only_default (id serial PRIMARY KEY);
CREATE TABLE loud (id int PRIMARY KEY);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no rows here'; END $$;
CREATE TRIGGER shout BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shout()`,
	"sqlite": `
CREATE TABLE kinds (k INTEGER PRIMARY KEY, label TEXT UNIQUE NOT NULL);
CREATE TABLE people (
    id INTEGER PRIMARY KEY AUTOINCREMENT, mail VARCHAR(40) UNIQUE NOT NULL, boss INTEGER REFERENCES people, kind INT NOT NULL REFERENCES kinds,
    status TEXT NOT NULL CHECK (status IN ('new', 'it''s ok')), share NUMERIC(5,2) CHECK (share BETWEEN 0 AND 100),
    full_name TEXT GENERATED ALWAYS AS (mail || '!') STORED, settings JSON NOT NULL CHECK (json_valid(settings)), ok BOOLEAN NOT NULL, at DATETIME, raw BLOB);
CREATE UNIQUE INDEX people_mail ON people (lower(mail));
CREATE TABLE "Odd ""Table" ("a.b" INTEGER NOT NULL, "c d" INTEGER NOT NULL REFERENCES people, PRIMARY KEY ("a.b", "c d")) WITHOUT ROWID;
CREATE TABLE parts (x INT, y INT, z TEXT, FOREIGN KEY (x, y) REFERENCES "Odd ""Table" ("a.b", "c d"));
CREATE TABLE hen (id INTEGER PRIMARY KEY, egg INT REFERENCES egg);
CREATE TABLE egg (id INTEGER PRIMARY KEY, hen INT NOT NULL REFERENCES hen);
CREATE TABLE exact (id INTEGER PRIMARY KEY, n INT NOT NULL CHECK (n >= 10 AND n < 20), t TEXT CHECK (length(t) = 3), r REAL) STRICT;
CREATE TABLE anything (a, b)`,
}

func populated(t *testing.T, dsn string, schema string) (*Population, *engine.DB) {
	t.Helper()
	db, err := engine.Open(t.Context(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, st := range strings.Split(schema, ";\n") {
		testdb.Exec(t, dsn, st)
	}
	s, err := db.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out *Population
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		out, err = Populate(t.Context(), db, tx, PopulateOptions{Rows: 48})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, db
}

// Every table gets its rows, and they hold what the database itself would not check again: the foreign keys.
func TestPopulate(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		kind, _, _ := strings.Cut(dsn, ":")
		out, db := populated(t, dsn, nasty[kind])
		tables, err := db.Tables(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range tables {
			table, err := db.Inspect(t.Context(), db, n)
			if err != nil {
				t.Fatal(err)
			}
			if table.Kind == "partition" {
				continue
			}
			var rows int
			if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+db.Quote(n)).Scan(&rows); err != nil {
				t.Fatal(err)
			}
			// The partial unique index leaves room for fewer rows only where every value is taken.
			if rows != 48 {
				t.Errorf("%s has %d rows: %v", n, rows, out.Notes)
			}
			for _, fk := range table.ForeignKeys {
				var join, set []string
				for i, c := range fk.Columns {
					join = append(join, "p."+db.Ident(fk.ParentColumns[i])+" = c."+db.Ident(c))
					set = append(set, "c."+db.Ident(c)+" IS NOT NULL")
				}
				var orphans, linked int
				query := fmt.Sprintf("SELECT coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM %s p WHERE %s) THEN 0 ELSE 1 END), 0), count(*) FROM %s c WHERE %s",
					db.Quote(fk.Parent), strings.Join(join, " AND "), db.Quote(n), strings.Join(set, " AND "))
				if err := db.QueryRowContext(t.Context(), query).Scan(&orphans, &linked); err != nil {
					t.Fatal(err)
				}
				if orphans > 0 || linked == 0 {
					t.Errorf("%s (%s): %d rows refer to a parent, %d of them to none that there is", n, fk.Columns, linked, orphans)
				}
			}
		}
	}, everywhere...)
}

// The rows are the same every time: what a proof shows today it shows tomorrow.
func TestPopulateIsDeterministic(t *testing.T) {
	for _, e := range everywhere {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			schema := map[testdb.Engine]string{
				testdb.OnPostgres: "CREATE TABLE a (id serial PRIMARY KEY, t text, n numeric, u uuid NOT NULL);\nCREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)",
				testdb.OnMySQL:    "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, t text, n decimal(20,5), u binary(16) NOT NULL);\nCREATE TABLE b (id int PRIMARY KEY, a int, FOREIGN KEY (a) REFERENCES a (id))",
				testdb.OnMariaDB:  "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, t text, n decimal(20,5), u uuid NOT NULL);\nCREATE TABLE b (id int PRIMARY KEY, a int, FOREIGN KEY (a) REFERENCES a (id))",
				testdb.OnSQLite:   "CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT, n NUMERIC, u BLOB NOT NULL);\nCREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a)",
			}[e]
			one, two := e.New(t), e.New(t)
			populated(t, one, schema)
			populated(t, two, schema)
			testdb.SameDump(t, two, testdb.Dump(t, one))
		})
	}
}

// A table that takes no row is left empty, with a note; those that need it go without, too, and the others are filled.
func TestPopulateGivesUp(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		out, db := populated(t, dsn, "CREATE TABLE never (id int PRIMARY KEY, n int NOT NULL CHECK (n > 5 AND n < 5));\n"+
			"CREATE TABLE child (id int PRIMARY KEY, never int NOT NULL, FOREIGN KEY (never) REFERENCES never (id));\nCREATE TABLE other (id int PRIMARY KEY)")
		if len(out.Notes) == 0 || !strings.Contains(out.Notes[0], "0 of 48 rows could be generated for ") || !strings.Contains(out.Notes[0], "never") {
			t.Errorf("notes: %q", out.Notes)
		}
		for table, want := range map[string]int{"never": 0, "other": 48} {
			var n int
			if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != want {
				t.Errorf("%s: %d rows, %v", table, n, err)
			}
		}
	}, everywhere...)
}

// What changes of a table is told by row and by column.
func TestCompareRows(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE t (id INTEGER PRIMARY KEY, a text, b int)", "INSERT INTO t VALUES (1, 'x', 1), (2, NULL, 2), (3, 'z', NULL), (4, 'w', 4)")
		db, err := engine.Open(t.Context(), dsn, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		read := func() *RowSet {
			s, err := ReadRows(t.Context(), db, db, engine.Name{Name: "t"})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		before := read()
		if d := before.Compare(read()); !d.Same() {
			t.Fatalf("nothing changed: %+v", d)
		}
		testdb.Exec(t, dsn, "DELETE FROM t WHERE id = 4", "UPDATE t SET a = 'changed' WHERE id <= 2", "INSERT INTO t VALUES (9, 'new', 9)")
		want := RowsDiff{Of: 4, Missing: 1, Added: 1, Changed: []ColumnDiff{{Column: "a", Of: 3, Lost: 2}}}
		if d := before.Compare(read()); fmt.Sprint(d) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", d, want)
		}
		testdb.Exec(t, dsn, "ALTER TABLE t DROP COLUMN a")
		if d := before.Compare(read()); fmt.Sprint(d.Changed) != "[{a 2 2}]" {
			t.Errorf("the column is gone: %+v", d)
		}
		testdb.Exec(t, dsn, "DROP TABLE t")
		if d := before.Compare(read()); d.Missing != 4 {
			t.Errorf("the table is gone: %+v", d)
		}
	}, everywhere...)
}

// Rows without a key are told apart by a column that tells them apart.
func TestCompareRowsWithoutKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE t (same int, id varchar(9), v int)", "INSERT INTO t VALUES (1, 'a', 1), (1, 'b', 2), (1, 'c', 3)",
			"CREATE TABLE twins (v int)", "INSERT INTO twins VALUES (1), (1), (2)")
		db, err := engine.Open(t.Context(), dsn, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		read := func(name string) *RowSet {
			s, err := ReadRows(t.Context(), db, db, engine.Name{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		keyless, twins := read("t"), read("twins")
		testdb.Exec(t, dsn, "UPDATE t SET v = v + 10", "DELETE FROM t WHERE id = 'c'", "UPDATE twins SET v = 3 WHERE v = 2")
		if d := keyless.Compare(read("t")); fmt.Sprint(d) != "{3 1 0 [{v 2 2}]}" {
			t.Errorf("%+v", d)
		}
		if d := twins.Compare(read("twins")); fmt.Sprint(d) != "{3 1 1 []}" {
			t.Errorf("%+v", d)
		}
	}, everywhere...)
}

func TestSample(t *testing.T) {
	for _, expr := range []string{`^[a-z]+$`, `^\d{4}-\d{2}$`, `^(new|old)$`, `^#[0-9a-fA-F]{6}$`, `^[A-Z]{2}[0-9]+(-[a-z]*)?$`, `^.{3,5}$`} {
		if s, ok := sample(expr, 3); !ok {
			t.Errorf("%s: %q", expr, s)
		}
	}
	for _, expr := range []string{"plain", `^(?!x)`, `[`} {
		if s, ok := sample(expr, 0); ok {
			t.Errorf("%s: %q", expr, s)
		}
	}
}

// The work is bounded by the tables that are asked for: of a chain of foreign keys that may be NULL only the next table is
// filled, and one that a check or NOT NULL demands.
func TestPopulateParents(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		statements := []string{"CREATE TABLE c0 (id int PRIMARY KEY)"}
		for i := 1; i < 8; i++ {
			statements = append(statements, fmt.Sprintf("CREATE TABLE c%d (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES c%d (id))", i, i-1))
		}
		statements = append(statements,
			"CREATE TABLE must (id int PRIMARY KEY, up int NOT NULL, FOREIGN KEY (up) REFERENCES c1 (id))",
			"CREATE TABLE either (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a) REFERENCES c0 (id), FOREIGN KEY (b) REFERENCES c5 (id), CHECK (a IS NOT NULL OR b IS NOT NULL))",
			"CREATE TABLE leaf (id int PRIMARY KEY, m int NOT NULL, e int NOT NULL, FOREIGN KEY (m) REFERENCES must (id), FOREIGN KEY (e) REFERENCES either (id))")
		testdb.Exec(t, dsn, statements...)
		db, err := engine.Open(t.Context(), dsn, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for ask, want := range map[string]string{"c7": "c6 c7", "leaf": "c0 c1 c5 either leaf must"} {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			n, err := db.Resolve(t.Context(), tx, engine.Name{Name: ask})
			if err != nil {
				t.Fatal(err)
			}
			p, err := Populate(t.Context(), db, tx, PopulateOptions{Tables: []engine.Name{n}, Rows: 12})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for name, rows := range p.Rows {
				if rows > 0 {
					got = append(got, name.Name)
				}
			}
			slices.Sort(got)
			if ask == "leaf" { // an engine whose keys sleep meanwhile would not say
				var lost int
				if err := tx.QueryRow("SELECT count(*) FROM leaf WHERE e NOT IN (SELECT id FROM either) OR m NOT IN (SELECT id FROM must)").Scan(&lost); err != nil || lost > 0 {
					t.Errorf("%d rows without their parents, %v", lost, err)
				}
			}
			if strings.Join(got, " ") != want || len(p.Notes) > 0 {
				t.Errorf("for %s: %s were filled, want %s; %q", ask, got, want, p.Notes)
			}
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
		}
	}, everywhere...)
}
