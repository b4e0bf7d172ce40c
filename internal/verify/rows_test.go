package verify_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Values that compare equal, or print alike, and are not the same.
var unequal = map[engine.Kind][][]string{
	engine.Postgres: {
		{"1.0::numeric", "1.00::numeric", "'NaN'::numeric"},
		{"0::float8", "'-0'::float8", "'NaN'::float8"},
		{`'{"a":1}'::json`, `'{"a": 1}'::json`, `'{"a":1,"a":1}'::json`},
		{"''::text", "NULL::text", "' '::text"},
		{"'{1,NULL}'::int[]", "'{1}'::int[]", "'[0:1]={1,NULL}'::int[]"},
		{"'a'::char(3)", "'a'::text"},
		{"B'1'::varbit", "B'10'::varbit"},
		{"'\\x00'::bytea", "'\\x0000'::bytea", "''::bytea"},
		{"'infinity'::timestamptz", "'1900-01-01'::timestamptz"},
	},
	engine.SQLite: {
		{"1", "1.0", "'1'", "x'31'", "NULL"},
		{"0.0", "-0.0", "0"},
		{"''", "x''", "NULL", "' '"},
		{"'a' || char(0) || 'b'", "'a' || char(0) || 'c'", "'a'"},
	},
	engine.MySQL:   mysqlUnequal,
	engine.MariaDB: mysqlUnequal,
}

var mysqlUnequal = [][]string{
	{"1.0", "1.00", "NULL", "''", "' '", "'N'"},
	{"'a'", "'A'", "'á'", "'a '"},
	{"_latin1 x'e9'", "_utf8mb4 x'c3a9'", "_utf8mb4 x'65cc81'"},
	{"x'00'", "x'0000'", "x''"},
}

// everywhere are the engines that this package knows.
var everywhere = []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB}

func TestRowHashIsExact(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := openDB(t, dsn)
		for _, group := range unequal[db.Kind] {
			seen := map[string]string{}
			for _, v := range group {
				var hash []byte
				if err := db.QueryRowContext(t.Context(), "SELECT "+verify.RowHash(db, []string{v})).Scan(&hash); err != nil {
					t.Fatalf("%s: %v", v, err)
				}
				if len(hash) != 16 {
					t.Fatalf("%s: %d bytes", v, len(hash))
				}
				if other, ok := seen[string(hash)]; ok {
					t.Errorf("%s and %s have one hash", v, other)
				}
				seen[string(hash)] = v
			}
		}
	}, everywhere...)
}

// Where one value ends and the next begins counts.
func TestRowHashSeparatesValues(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := openDB(t, dsn)
		var same bool
		query := fmt.Sprintf("SELECT %s = %s", verify.RowHash(db, []string{"'ab'", "'c'"}), verify.RowHash(db, []string{"'a'", "'bc'"}))
		if db.Kind == engine.Postgres {
			query = fmt.Sprintf("SELECT %s = %s", verify.RowHash(db, []string{"'ab'::text", "'c'::text"}), verify.RowHash(db, []string{"'a'::text", "'bc'::text"}))
		}
		if err := db.QueryRowContext(t.Context(), query).Scan(&same); err != nil {
			t.Fatal(err)
		}
		if same {
			t.Error("'ab','c' and 'a','bc' have one hash")
		}
	}, everywhere...)
}

func TestSum(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE a (id integer, v text)", "CREATE TABLE b (id integer, v text)", "CREATE TABLE e (id integer, v text)",
			"INSERT INTO a VALUES (1, 'x'), (2, NULL), (3, 'y'), (3, 'y')", "INSERT INTO b VALUES (3, 'y'), (2, NULL), (3, 'y'), (1, 'x')")
		db := openDB(t, dsn)
		sum := func(from string) verify.Checksum {
			t.Helper()
			c, err := verify.Sum(t.Context(), db, db, from, []string{"id", "v"})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := sum("a")
		if first.Rows != 4 || len(first.Sum) != 32 || first != sum("b") {
			t.Errorf("a %+v, b %+v: want 4 rows and equal sums of 32 digits", first, sum("b"))
		}
		if empty := sum("e"); empty != (verify.Checksum{Sum: "00000000000000000000000000000000"}) {
			t.Errorf("empty: %+v", empty)
		}
		for _, change := range []string{"UPDATE b SET id = 4 WHERE id = 3", "UPDATE b SET v = '' WHERE v IS NULL", "DELETE FROM b WHERE id = 1"} {
			testdb.Exec(t, dsn, change)
			if sum("b") == first {
				t.Errorf("%s: the sum is the same", change)
			}
		}
		none, err := verify.Sum(t.Context(), db, db, "a", nil)
		if err != nil || none != (verify.Checksum{Rows: 4}) {
			t.Errorf("no expressions: %+v, %v", none, err)
		}
	}, everywhere...)
}

// Every type that the server has gets a hash, and one that is made again keeps it.
func TestHashExprsOnPostgres(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	const types = "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN pos AS integer; CREATE TYPE pair AS (a integer, b text)"
	const table = `CREATE TABLE t (m mood, p pos, c pair, acl aclitem, acls aclitem[], moods mood[], r int4range, j jsonb, o oid, n name, x xml);
		INSERT INTO t VALUES ('ok', 1, (1, 'x'), 'postgres=r/postgres', '{postgres=r/postgres}', '{ok}', '[1,2)', '{}', 1, 'n', '<a/>')`
	testdb.Exec(t, dsn, types, table)
	db := openDB(t, dsn)
	hash := func() verify.Checksum {
		t.Helper()
		tab, err := db.Inspect(t.Context(), db, engine.Name{Name: "t"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := verify.Sum(t.Context(), db, db, "t AS q", verify.HashExprs(db, tab.Columns, "q"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := hash()
	testdb.Exec(t, dsn, "DROP TABLE t", "DROP TYPE mood, pair", "DROP DOMAIN pos", types, table)
	if again := hash(); again != first {
		t.Errorf("with types made again: %+v, before %+v", again, first)
	}
}

// The search path that a statement finds is the one that it leaves, wherever it was set.
func TestTakeKeepsTheSearchPath(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	testdb.Exec(t, dsn, `CREATE SCHEMA "My App"`, `CREATE TABLE "My App".t (id integer)`, `CREATE VIEW "My App".v AS SELECT id FROM "My App".t`)
	db := openDB(t, dsn)
	s, err := db.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := func(q engine.Querier) (p string) {
		t.Helper()
		if err := q.QueryRowContext(t.Context(), "SHOW search_path").Scan(&p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	exec := func(q engine.Querier, statement string) {
		t.Helper()
		if _, err := q.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec(s, `SET search_path = "My App", public`)
	tx, err := s.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(tx, `SET search_path = public, "My App"`)
	f := take(t, db, tx, verify.Scope{Tables: []engine.Name{{Name: "t"}}})
	if v := f[`view My App.v`]; !slices.Contains(v.Needs, `table My App.t`) || v.Definition == "" {
		t.Errorf("the view over a table found by the search path: %+v", v)
	}
	if got := path(tx); got != `public, "My App"` {
		t.Errorf("in the transaction: %s", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := path(s); got != `public, "My App"` {
		t.Errorf("after the commit: %s", got)
	}
	take(t, db, s, verify.Scope{})
	if got := path(s); got != `public, "My App"` {
		t.Errorf("outside of a transaction: %s", got)
	}
}
