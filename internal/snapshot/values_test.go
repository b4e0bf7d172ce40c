package snapshot_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPostgresValues: every type comes back exactly, through a drop of the column, of the table and of its type, through a
// delete and an update.
func TestPostgresValues(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t))
	b.exec(`CREATE TYPE mood AS ENUM ('sad', 'it''s "ok" really')`,
		`CREATE TYPE pair AS (a double precision, b text, c timestamptz)`,
		`CREATE DOMAIN short AS varchar(5) CHECK (value <> 'no')`)
	columns := []struct{ name, def, values string }{
		{"f8", "double precision", "'NaN', '-0', '0', 'infinity', 0.1::float8 + 0.2::float8, 1e-320"},
		{"f4", "real", "'NaN', '-0', '0', '-infinity', 0.1, 1.17549e-38"},
		{"num", "numeric", "'NaN', 1.0, 1.00, 0, -123456789012345678901234567890.123456789, 1e-30"},
		{"num2", "numeric(10,2)", "1.5, 0, -1, 99999999.99, NULL, 0.01"},
		{"ts", "timestamptz", "'infinity', '-infinity', '1883-11-18 12:03:58-05', '4713-01-01 BC', '2020-01-01 00:00:00.000001+14', NULL"},
		{"d", "date", "'infinity', '-infinity', '0001-01-01 BC', '5874897-12-31', '2020-02-29', NULL"},
		{"iv", "interval", "'1 mon', '30 days', '720 hours', '-1 year 2 mons -3 days 04:05:06.000001', '0', NULL"},
		{"tz", "timetz", "'12:00+01', '11:00+00', '24:00:00-15:59', '00:00', NULL, NULL"},
		{"by", "bytea", `'\x', '\x00', '\xdeadbeef', NULL, '\x27', '\x5c'`},
		{"arr", "integer[]", "'{}', '{1,NULL,3}', '[5:6]={1,2}', '{{1,2},{3,4}}', NULL, '{NULL}'"},
		{"tarr", "text[]", `'{}', '{"NULL",NULL,"","a b","\"q\""}', '{a}', '{A}', NULL, '{"\\"}'`},
		{"comp", "pair", `'(1.0,"x,y",2020-01-01 00:00:00+00)', '(,,)', '(NaN,"""",infinity)', '(0.1,,)', NULL, '(-0," ",)'`},
		{"carr", "pair[]", `'{}', '{"(1,\"a b\",)"}', NULL, NULL, '{NULL}', '{"(,,)"}'`},
		{"rg", "int4range", "'empty', '[1,5)', '(,)', '[1,)', NULL, '(,5)'"},
		{"nr", "numrange", "'[1.0,1.00]', '[1.00,1.0]', 'empty', '(,)', NULL, '[0,1)'"},
		{"mr", "nummultirange", "'{}', '{[1.0,3),(5,7]}', '{[1.00,3),(5,7]}', NULL, '{(,)}', '{[1,1]}'"},
		{"dom", "short", "'abc', '', 'a b', NULL, ' ', 'x'"},
		{"en", "mood", `'sad', 'it''s "ok" really', NULL, 'sad', NULL, 'sad'`},
		{"earr", "mood[]", `'{sad}', '{}', '{"it''s \"ok\" really",NULL}', NULL, NULL, '{sad,sad}'`},
		{"js", "json", `'{"b": 1,  "a":2, "a":3}', '[]', 'null', '1.0', '1.00', NULL`},
		{"jb", "jsonb", `'{"b": 1,  "a":2}', '[]', 'null', '1.0', '1.00', NULL`},
		{"x", "xml", "'<a b=\"1\"/>', '<a/>text', '', NULL, '<a></a>', '<?x y?>'"},
		{"bt", "bit(3)", "B'000', B'101', NULL, B'111', B'001', B'010'"},
		{"vb", "bit varying", "B'', B'0', B'00', NULL, B'1', B'10101010101'"},
		{"tsv", "tsvector", "'a:1A b:2', '''x y'':3', '', NULL, 'a b', 'b:1,2,3'"},
		{"net", "inet", "'10.0.0.1', '10.0.0.1/24', '::1', '::/0', NULL, '255.255.255.255/32'"},
		{"mon", "money", "1.00, 0, -92233720368547758.08, NULL, 0.01, 5"},
		{"ch", "char(5)", "'a', 'a ', '', NULL, ' a', 'abcde'"},
		{"tx", "text", `E'\\', E'\n\t', '', NULL, '''', E'\U0001F600'`},
		{"cc", `text COLLATE "C"`, "'a', 'A', 'ä', '', NULL, 'z'"},
		{"uu", "uuid", "gen_random_uuid(), '00000000-0000-0000-0000-000000000000', NULL, NULL, NULL, NULL"},
		{"bo", "box", "'((0,0),(1,1))', '((0,0),(2,0.5))', NULL, '((1,1),(0,0))', NULL, NULL"},
		{"pt", "point", "'(0,-0)', '(0.1,0.2)', '(NaN,1)', NULL, NULL, '(infinity,1)'"},
		{"boo", "boolean", "true, false, NULL, true, false, NULL"},
		{"reg", "regclass", "'pg_class', 'pg_type', NULL, NULL, 0, 'pg_attribute'"},
		{"o", "oid", "0, 4294967295, NULL, 1, 2, 3"},
		{"nm", "name", "'a', '', NULL, 'Ä', 'x y', '\"'"},
		{"jp", "jsonpath", "'$.a', '$', NULL, '$[*]', 'strict $.b', NULL"},
	}
	var defs, names, selects, adds []string
	for _, c := range columns {
		defs = append(defs, c.name+" "+c.def)
		names = append(names, c.name)
		selects = append(selects, "(ARRAY["+c.values+"]::"+strings.ReplaceAll(c.def, ` COLLATE "C"`, "")+"[])[i]")
		if strings.HasSuffix(c.def, "[]") {
			v := strings.Split(c.values, ", ")
			var when strings.Builder
			for i, x := range v {
				when.WriteString(" WHEN " + string(rune('1'+i)) + " THEN " + x)
			}
			selects[len(selects)-1] = "(CASE i" + when.String() + " END)::" + c.def
		}
		adds = append(adds, "ADD COLUMN "+c.name+" "+c.def)
	}
	create := "CREATE TABLE v (id integer NOT NULL PRIMARY KEY, " + strings.Join(defs, ", ") + ", gen integer GENERATED ALWAYS AS (id * 2) STORED)"
	b.exec(create, "INSERT INTO v SELECT i, "+strings.Join(selects, ", ")+" FROM generate_series(1, 6) i",
		"CREATE TABLE keyless AS SELECT * FROM v", "INSERT INTO keyless SELECT * FROM v WHERE id <= 3")
	types := "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\" really'); CREATE TYPE pair AS (a double precision, b text, c timestamptz); CREATE DOMAIN short AS varchar(5) CHECK (value <> 'no')"
	var nulls, dropped []string
	for _, n := range names {
		nulls = append(nulls, n+" = NULL")
		dropped = append(dropped, "DROP COLUMN "+n)
	}
	for _, tc := range []struct{ name, up, down string }{
		{"drop columns", "ALTER TABLE v " + strings.Join(dropped, ", "), "ALTER TABLE v " + strings.Join(adds, ", ")},
		{"drop table", "DROP TABLE v", create},
		{"delete", "DELETE FROM v WHERE id > 1", "SELECT 1"},
		{"update", "UPDATE v SET " + strings.Join(nulls, ", "), "SELECT 1"},
		{"truncate", "TRUNCATE v", "SELECT 1"},
		{"no key", "DELETE FROM keyless WHERE id < 3; UPDATE keyless SET " + strings.Join(nulls, ", "), "SELECT 1"},
		{"drop types", "DROP TABLE keyless; DROP TYPE mood CASCADE; DROP DOMAIN short CASCADE; DROP TYPE pair CASCADE",
			types + "; CREATE TABLE keyless (id integer, " + strings.Join(defs, ", ") + ", gen integer); ALTER TABLE v ADD COLUMN en mood, ADD COLUMN earr mood[], ADD COLUMN dom short, ADD COLUMN comp pair, ADD COLUMN carr pair[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			b.roundTrip(tc.up, tc.down)
		})
	}
}

// TestSQLiteValues: a value comes back with its type, whatever the column says.
func TestSQLiteValues(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.SQLite(t))
	values := "(1, 1, 1.0, 'a', x'00', NULL), (2, 'text', '1', 2, x'6100', 'x' || char(0) || 'y'), (3, x'31', 1, 3.5, '1', 9223372036854775807), (4, 1.0, 1e300, '', x'', -9223372036854775808), (5, NULL, 0.1, 'A', 1, '😀')"
	b.exec("CREATE TABLE v (id INTEGER PRIMARY KEY, a INTEGER, b REAL, c TEXT, d BLOB, e, g AS (id * 2) STORED)",
		"INSERT INTO v (id, a, b, c, d, e) VALUES "+values,
		"CREATE TABLE w (id NOT NULL, a, PRIMARY KEY (id)) WITHOUT ROWID", "INSERT INTO w VALUES (1, 'i'), ('1', 't'), (x'31', 'b'), (1.5, 'r')",
		"CREATE TABLE s (id INTEGER PRIMARY KEY, a ANY, b REAL) STRICT", "INSERT INTO s VALUES (1, '1', 1), (2, 1, 2.5), (3, x'00', 3)",
		"CREATE TABLE n (a, b)", "INSERT INTO n VALUES (1, 'x'), (1, 'x'), (1.0, 'x'), ('1', 'x'), (NULL, NULL), (NULL, NULL)",
		"CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, a)", "INSERT INTO auto VALUES (5, 'a'), (100, 'b')", "DELETE FROM auto WHERE id = 100")
	for _, tc := range []struct{ name, up, down string }{
		{"delete", "DELETE FROM v WHERE id > 1; DELETE FROM w WHERE typeof(id) <> 'integer'; DELETE FROM s; DELETE FROM n WHERE a = 1", "SELECT 1"},
		{"update", "UPDATE v SET a = 0, b = 0, c = 0, d = 0, e = 0; UPDATE w SET a = 0; UPDATE s SET a = 0; UPDATE n SET a = 0, b = 'z'", "SELECT 1"},
		{"drop columns", "ALTER TABLE v DROP COLUMN e; ALTER TABLE v DROP COLUMN a; ALTER TABLE w DROP COLUMN a; ALTER TABLE n DROP COLUMN b",
			"ALTER TABLE v ADD COLUMN e; ALTER TABLE v ADD COLUMN a INTEGER; ALTER TABLE w ADD COLUMN a; ALTER TABLE n ADD COLUMN b"},
		{"drop tables", "DROP TABLE v; DROP TABLE w; DROP TABLE s; DROP TABLE n",
			"CREATE TABLE v (id INTEGER PRIMARY KEY, a INTEGER, b REAL, c TEXT, d BLOB, e, g AS (id * 2) STORED); CREATE TABLE w (id NOT NULL, a, PRIMARY KEY (id)) WITHOUT ROWID; CREATE TABLE s (id INTEGER PRIMARY KEY, a ANY, b REAL) STRICT; CREATE TABLE n (a, b)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			b.roundTrip(tc.up, tc.down)
		})
	}
	b.up("DROP TABLE auto")
	b.down("CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, a)", snapshot.Fail)
	if got := b.query("INSERT INTO auto (a) VALUES ('next') RETURNING id"); got[0] != "101" {
		t.Errorf("the next id is %s", got[0])
	}
}

// TestNames: names that are hard to spell are no difficulty.
func TestNames(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		long := strings.Repeat("ü", 31) + "x" // 63 bytes, as many as PostgreSQL takes
		for _, n := range []string{`a"b`, "a.b", "sp ace", "UPPER", "select", "émoji😀", long, "$1", "'q'", "a\\b", "d", "t", "n", "op", "k1", "$dbrollback$"} {
			if mysqlLike(dsn) && n == "émoji😀" {
				n = "é moji" // four bytes of UTF-8 are too many for a name there
			}
			q, other := b.db.Ident(n), b.db.Ident(n[:1]+"2")
			if n == `a"b` {
				other = b.db.Ident("z")
			}
			create := "CREATE TABLE " + q + " (" + q + " integer NOT NULL PRIMARY KEY, " + strings.ToValidUTF8(other, "x") + " text, v integer)"
			b.exec(create, "INSERT INTO "+q+" VALUES (1, 'a', 1), (2, 'b', 2)")
			b.roundTrip("UPDATE "+q+" SET v = 5; UPDATE "+q+" SET "+q+" = "+q+" + 10; DELETE FROM "+q+" WHERE v = 5; DROP TABLE "+q, create)
			b.exec("DROP TABLE " + q)
		}
	}, everywhere...)
}

// TestPartitions: rows are captured where they were written and come back where they belong.
func TestPartitions(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t))
	b.exec("CREATE TABLE m (id integer NOT NULL, k integer NOT NULL, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k)",
		"CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10)", "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (100) PARTITION BY LIST (k)",
		"CREATE TABLE m2a PARTITION OF m2 FOR VALUES IN (10, 11)", "CREATE TABLE m2b PARTITION OF m2 DEFAULT",
		"CREATE TABLE ref (id integer NOT NULL PRIMARY KEY, m integer, k integer, FOREIGN KEY (m, k) REFERENCES m ON DELETE CASCADE ON UPDATE CASCADE)",
		"INSERT INTO m SELECT i, i, 'v' || i FROM generate_series(1, 15) i", "INSERT INTO ref SELECT i, i, i FROM generate_series(1, 15) i",
		"CREATE TABLE nokey (a integer, b text) PARTITION BY LIST (a)", "CREATE TABLE nokey1 PARTITION OF nokey FOR VALUES IN (1)", "CREATE TABLE nokey2 PARTITION OF nokey DEFAULT",
		"INSERT INTO nokey SELECT i % 2, 'x' FROM generate_series(1, 6) i",
		"CREATE TABLE par (id integer NOT NULL PRIMARY KEY, v text)", "CREATE TABLE heir (extra text, PRIMARY KEY (id)) INHERITS (par)",
		"INSERT INTO par VALUES (1, 'p'), (2, 'p')", "INSERT INTO heir VALUES (3, 'h', 'e'), (4, 'h', 'e')")
	for _, tc := range []struct{ name, up, down string }{
		{"root", "UPDATE m SET v = 'x' WHERE id > 5", "SELECT 1"},
		{"move", "UPDATE m SET k = k + 9 WHERE id < 10", "SELECT 1"},
		{"leaf", "DELETE FROM m2a; UPDATE m1 SET v = 'x'; DELETE FROM m2 WHERE id = 14", "SELECT 1"},
		{"drop partition", "DROP TABLE m1 CASCADE", "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10)"},
		{"drop root", "DROP TABLE ref; DROP TABLE m", "CREATE TABLE m (id integer NOT NULL, k integer NOT NULL, v text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k); CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10); CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (100) PARTITION BY LIST (k); CREATE TABLE m2a PARTITION OF m2 FOR VALUES IN (10, 11); CREATE TABLE m2b PARTITION OF m2 DEFAULT; CREATE TABLE ref (id integer NOT NULL PRIMARY KEY, m integer, k integer, FOREIGN KEY (m, k) REFERENCES m ON DELETE CASCADE ON UPDATE CASCADE)"},
		{"truncate", "TRUNCATE m CASCADE", "SELECT 1"},
		{"column", "ALTER TABLE m DROP COLUMN v", "ALTER TABLE m ADD COLUMN v text"},
		{"block", "DO $$ BEGIN DELETE FROM m WHERE id = 3; UPDATE m2a SET v = 'y'; END $$", "SELECT 1"},
		{"no key", "UPDATE nokey SET b = 'y' WHERE a = 1; DELETE FROM nokey2", "SELECT 1"},
		{"heirs", "UPDATE par SET v = 'x' WHERE id IN (2, 3); DELETE FROM par WHERE id = 4", "SELECT 1"},
		{"heir's column", "ALTER TABLE par DROP COLUMN v", "ALTER TABLE par ADD COLUMN v text"},
		{"heir's new column", "ALTER TABLE par ADD COLUMN n text; UPDATE par SET id = id + 100", "ALTER TABLE par DROP COLUMN n"},
		{"drop heirs", "DROP TABLE par CASCADE", "CREATE TABLE par (id integer NOT NULL PRIMARY KEY, v text); CREATE TABLE heir (extra text, PRIMARY KEY (id)) INHERITS (par)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			b.roundTrip(tc.up, tc.down)
		})
	}
}
