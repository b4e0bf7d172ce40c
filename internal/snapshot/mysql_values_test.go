package snapshot_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestMySQLValues: every type comes back exactly, through a drop of its column and of its table, a delete and an update.
func TestMySQLValues(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		columns := []struct{ name, def, values string }{
			{"f4", "float", "0.1, -0e0, 3.4028e38, 1.17549e-38, NULL, 16777217"},
			{"f42", "float(10,2)", "0.1, 12345678.91, -0.01, 0, NULL, 1"},
			{"f8", "double", "0.1, -0e0, 1.7976931348623157e308, 5e-324, NULL, 0.30000000000000004"},
			{"f82", "double(12,3)", "0.1, 123456789.123, -0.001, 0, NULL, 1"},
			{"de", "decimal(30,10)", "0.1, -12345678901234567890.0123456789, 0, 1, NULL, 99"},
			{"dz", "decimal(8,2) unsigned zerofill", "0.1, 1, 0, 99999.99, NULL, 7"},
			{"ti", "tinyint unsigned zerofill", "0, 255, 1, 7, NULL, 9"},
			{"bi", "bigint unsigned", "0, 18446744073709551615, 1, 9223372036854775808, NULL, 9"},
			{"si", "bigint", "0, -9223372036854775808, 9223372036854775807, 1, NULL, 9"},
			{"bt", "bit(9)", "b'0', b'111111111', b'1', b'101', NULL, b'10000000'"},
			{"b64", "bit(64)", "0, 18446744073709551615, 1, 2, NULL, 3"},
			{"bin", "binary(4)", "'a', 0x00, 0x61000000, 'a  ', NULL, ''"},
			{"vb", "varbinary(300)", "'a', 0x00, 0x6100, 'a ', NULL, ''"},
			{"bl", "blob", "'a', 0x00, 0xff00fe, 'a ', NULL, ''"},
			{"ch", "char(5) CHARACTER SET utf8mb4", "'a', 'é€😀', ' x', 'A', NULL, ''"},
			{"vc", "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "'a', 'é€😀', 'a ', 'A', NULL, ''"},
			{"la", "varchar(20) CHARACTER SET latin1", "'a', 'é€', 'ÿ', 'ß', NULL, ''"},
			{"uc", "varchar(20) CHARACTER SET ucs2", "'a', 'é€', ' ', 'ß', NULL, ''"},
			{"tx", "longtext CHARACTER SET utf8mb4", "'a', '\\\\ ''\"', '\\n\\t ', '😀', NULL, ''"},
			{"da", "date", "'2020-02-29', '0000-00-00', '2020-00-00', '9999-12-31', NULL, '2021-02-31'"},
			{"ti6", "time(6)", "'12:00:00.000001', '-838:59:59', '838:59:59', '00:00:00', NULL, '-00:00:00.5'"},
			{"dt", "datetime(3)", "'2020-02-29 01:02:03.004', '0000-00-00', '1000-01-01', '9999-12-31 23:59:59.999', NULL, '2020-03-29 02:30:00'"},
			{"ts", "timestamp(6) NULL", "'2020-02-29 01:02:03.000004', '0000-00-00', '1970-01-01 00:00:01', '2038-01-19 03:14:07', NULL, '2020-10-25 00:30:00'"},
			{"t0", "timestamp NULL", "'2020-10-25 00:30:00', '2020-10-25 01:30:00', '0000-00-00', '2020-03-29 01:30:00', NULL, '2001-01-01'"},
			{"ye", "year", "2020, 0, 1901, 2155, NULL, 1999"},
			{"en", "enum('','a','it''s (b)','é') CHARACTER SET utf8mb4", "'a', 'nothing of that', '', 'é', NULL, 'it''s (b)'"},
			{"st", "set('a','b','it''s') CHARACTER SET utf8mb4", "'a', '', 'a,b', 'a,b,it''s', NULL, 'none'"},
			{"js", "json", "'{\"b\": 1, \"a\": [1.0, 1, null, \"é\"]}', '[]', 'null', '1.5e100', NULL, '\"\"'"},
			{"ge", "geometry", "ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(1 2)', 4326), ST_GeomFromText('LINESTRING(0 0, 1 1)'), ST_GeomFromText('POINT(0.1 -0.0)'), NULL, ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))')"},
		}
		if b.db.Kind == engine.MariaDB {
			columns = append(columns, struct{ name, def, values string }{"uu", "uuid", "uuid(), '00000000-0000-0000-0000-000000000000', uuid(), uuid(), NULL, uuid()"},
				struct{ name, def, values string }{"i6", "inet6", "'::', '::1', 'ffff::', '1:2:3:4:5:6:7:8', NULL, '::ffff:1.2.3.4'"})
		}
		const loose = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', SESSION time_zone = '+00:00'"
		var defs, names, adds, drops, nulls []string
		rows := make([][]string, 6)
		for _, c := range columns {
			defs, names = append(defs, c.name+" "+c.def), append(names, c.name)
			adds, drops, nulls = append(adds, "ADD COLUMN "+c.name+" "+c.def), append(drops, "DROP COLUMN "+c.name), append(nulls, c.name+" = NULL")
			for i, v := range split(c.values) {
				rows[i] = append(rows[i], v)
			}
		}
		create := "CREATE TABLE v (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY, " + strings.Join(defs, ", ") + ", base integer DEFAULT 5, gen integer GENERATED ALWAYS AS (base * 2) STORED)"
		conn := testdb.Open(t, dsn)
		conn.SetMaxOpenConns(1)
		for _, q := range []string{loose, create, "CREATE TABLE keyless (id integer, " + strings.Join(defs, ", ") + ")"} {
			if _, err := conn.Exec(q); err != nil {
				t.Fatal(err, q)
			}
		}
		for i, r := range rows { // the first id is 0
			if _, err := conn.Exec("INSERT INTO v (id, " + strings.Join(names, ", ") + ") VALUES (" + string(rune('0'+i)) + ", " + strings.Join(r, ", ") + ")"); err != nil {
				t.Fatal(r, err)
			}
		}
		for _, q := range []string{"INSERT INTO keyless SELECT id, " + strings.Join(names, ", ") + " FROM v", "INSERT INTO keyless SELECT id, " + strings.Join(names, ", ") + " FROM v WHERE id < 2"} {
			if _, err := conn.Exec(q); err != nil {
				t.Fatal(err, q)
			}
		}
		zone := "SET SESSION time_zone = '-03:00'; "
		for _, tc := range []struct{ name, up, down string }{
			{"drop columns", "ALTER TABLE v " + strings.Join(drops, ", "), "SET SESSION sql_mode = ''; ALTER TABLE v " + strings.Join(adds, ", ")},
			{"drop table", zone + "DROP TABLE v", "SET SESSION sql_mode = ''; " + create},
			{"delete", zone + "DELETE FROM v WHERE id <> 1", zone + "SELECT 1"},
			{"delete all, compared", "DELETE FROM v WHERE rand() < 2", "SELECT 1"},
			{"update", zone + "UPDATE v SET " + strings.Join(nulls, ", "), zone + "SELECT 1"},
			{"update, compared", "UPDATE v SET " + strings.Join(nulls, ", ") + " WHERE rand() < 2", "SELECT 1"},
			{"truncate", "TRUNCATE v", "SELECT 1"},
			{"no key", "DELETE FROM keyless WHERE id < 3; UPDATE keyless SET " + strings.Join(nulls, ", "), "SELECT 1"},
			{"no key, no table", "DROP TABLE keyless", "SET SESSION sql_mode = ''; CREATE TABLE keyless (id integer, " + strings.Join(defs, ", ") + ")"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				b.t = t
				b.roundTrip(tc.up, tc.down)
			})
		}
	}, mysqls...)
}

// split cuts a list of values at the commas between them.
func split(list string) []string {
	var out []string
	depth, quoted, from := 0, false, 0
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out, from = append(out, strings.TrimSpace(list[from:i])), i+1
		}
	}
	return append(out, strings.TrimSpace(list[from:]))
}

// TestMySQLKeys: rows are told apart by the bytes of their keys, whatever the collation says, and whatever the type.
func TestMySQLKeys(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		for _, tc := range []struct{ name, def, one, two, changed string }{
			{"ci", "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "'a'", "'b'", "'A'"},
			{"accents", "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "'e'", "'b'", "'é'"},
			{"blanks", "varchar(20) CHARACTER SET latin1", "'é'", "'b'", "'é '"},
			{"long", "varchar(700) CHARACTER SET utf8mb4", "repeat('😀', 700)", "'b'", "repeat('x', 700)"},
			{"binary", "varbinary(3000)", "repeat('a', 3000)", "'b'", "0x00"},
			{"decimal", "decimal(10,3)", "1.5", "2.25", "7"},
			{"float", "float", "0.1", "0.2", "0.3"},
			{"date", "date", "'2020-01-01'", "'2020-01-02'", "'2020-01-03'"},
			{"moment", "timestamp(3)", "'2020-01-01 00:00:00.001'", "'2020-01-01 00:00:00.002'", "'2020-02-01'"},
			{"enum", "enum('x','a','b')", "'a'", "'b'", "'x'"},
			{"bit", "bit(12)", "b'101'", "b'111111111111'", "b'0'"},
			{"year", "year", "1999", "2020", "2021"},
			{"zero", "integer AUTO_INCREMENT", "1", "2", "0"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				b.t = t
				create := "CREATE TABLE t (k " + tc.def + " NOT NULL PRIMARY KEY, v integer)"
				b.exec("DROP TABLE IF EXISTS t", create, "INSERT INTO t VALUES ("+tc.one+", 1), ("+tc.two+", 2)")
				b.roundTrip("UPDATE t SET v = 5", "SELECT 1")
				b.roundTrip("DELETE FROM t WHERE v = 1", "SELECT 1")
				b.roundTrip("UPDATE t SET k = "+tc.changed+" WHERE v = 1", "SELECT 1")
				b.roundTrip("UPDATE t SET k = "+tc.changed+", v = 9 WHERE v = 1 LIMIT 1", "SELECT 1")
				b.roundTrip("DROP TABLE t", create)
				// A row that only its collation calls the same is another one.
				b.up("DELETE FROM t WHERE v = 1")
				b.exec("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
				if tc.name != "zero" {
					b.exec("INSERT INTO t VALUES (" + tc.changed + ", 7)")
				}
				b.down("SELECT 1", snapshot.Keep)
				if got := b.query("SELECT count(*) FROM t WHERE v = 7"); got[0] != "1" && tc.name != "zero" {
					t.Errorf("the application's row: %v", got)
				}
			})
		}
	}, mysqls...)
}

// TestMySQLPreviewShowsShapes: values that no server, or not every one, casts to text are shown in hexadecimal.
func TestMySQLPreviewShowsShapes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		vector := "varbinary(8)"
		if b.db.Kind == engine.MySQL {
			vector = "vector(2)"
		}
		b.exec("CREATE TABLE t (id integer PRIMARY KEY, g geometry, v "+vector+")", "INSERT INTO t VALUES (1, ST_GeomFromText('POINT(1 2)'), 0x0000803F00000040)", "INSERT INTO t VALUES (2, NULL, NULL)")
		id := b.take("t")
		b.exec("UPDATE t SET g = ST_GeomFromText('POINT(2 2)'), v = 0x0000004000000040 WHERE id = 1", "DELETE FROM t WHERE id = 2")
		p, err := b.preview(snapshot.Ask{Snapshot: id, Samples: 3})
		if err != nil || len(p[0].Samples) != 2 || len(p[0].Samples[0].Cells) != 2 {
			t.Fatalf("%+v: %v", p, err)
		}
		for i, want := range [][2]string{{"0x00000000010100000000000000000000400000000000000040", "0x000000000101000000000000000000F03F0000000000000040"}, {"0x0000004000000040", "0x0000803F00000040"}} {
			c := p[0].Samples[0].Cells[i]
			if got := [2]string{*c.Before, *c.After}; got != want {
				t.Errorf("%s: %s, want %s", c.Column, got, want)
			}
		}
	}, mysqls...)
}
