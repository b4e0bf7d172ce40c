package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// onMySQL runs fn on both servers.
func onMySQL(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	testdb.Each(t, fn, testdb.OnMySQL, testdb.OnMariaDB)
}

// Each type with values that its comparison, or its text, makes equal; "maria" and "mysql" ahead of a value
// say that only one of them stores it.
var mysqlValues = []struct {
	column string
	values []string
}{
	{"float", []string{"16777216", "16777217.5", "0.1", "0.10000001", "1e-45", "3.4e38", "0", "NULL"}},
	{"double", []string{"0.1", "0.1e0 + 0.2e0", "0.3", "1.7976931348623157e308", "1.7976931348623155e308", "-1.7976931348623157e308", "-1.7976931348623155e308", "5e-324", "2.2250738585072014e-308", "-1.2345678901234567e-100", "-1.2345678901234565e-100", "0", "mysql '-0'", "NULL"}},
	{"double(30, 20)", []string{"0.1", "0.10000000000000002", "0"}},
	{"decimal(30, 10)", []string{"0", "0.0000000001", "-99999999999999999999.9999999999", "NULL"}},
	{"bigint unsigned", []string{"0", "18446744073709551615", "18446744073709551614"}},
	{"bit(12)", []string{"b'0'", "b'1'", "b'100000000'", "NULL"}},
	{"binary(3)", []string{"''", "' '", "'a'", "'A'", "NULL"}},
	{"varbinary(9)", []string{"''", "x'00'", "x'0000'", "' '", "NULL"}},
	{"longblob", []string{"''", "x'00'", "repeat('a', 70000)", "repeat('a', 70001)", "NULL"}},
	{"varchar(20) CHARACTER SET latin1", []string{"'e'", "'é'", "'E'", "'e '", "''", "NULL"}},
	{"varchar(20) CHARACTER SET utf16", []string{"'e'", "'é'", "'e '", "''", "'😀'", "NULL"}},
	{"text COLLATE utf8mb4_general_ci", []string{"'ss'", "'ß'", "'s'", "'S'", "''", "NULL"}},
	{"json", []string{`'{"a": 1}'`, `'{"a": 1.5}'`, `'{"a": "1"}'`, `'[]'`, `'null'`, "NULL"}},
	{"enum('a', '', 'b')", []string{"'a'", "''", "77", "'b'", "NULL"}}, // 77 is no label: it is stored as the error value
	{"set('a', '', 'b')", []string{"0", "1", "2", "3", "4", "6", "NULL"}},
	{"date", []string{"'0000-00-00'", "'2024-00-00'", "'2024-02-31'", "'2024-03-02'", "NULL"}},
	{"datetime(6)", []string{"'0000-00-00'", "'2024-10-27 02:30:00'", "'2024-10-27 02:30:00.000001'", "NULL"}},
	{"timestamp(6) NULL", []string{"'0000-00-00'", "'2024-10-27 00:30:00'", "'2024-10-27 01:30:00'", "'2024-10-27 01:30:00.000001'", "NULL"}},
	{"time(3)", []string{"'0:0:0'", "'-838:59:59'", "'838:59:59'", "'00:00:00.001'", "NULL"}},
	{"year", []string{"0", "1901", "2155", "2000", "NULL"}},
	{"geometry", []string{"ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('POINT(2 1)')", "NULL"}},
	{"varchar(9)", []string{"'N'", "NULL", "'1:a'", "'a'"}},
	{"uuid", []string{"maria '123e4567-e89b-12d3-a456-426655440000'", "maria '123e4567-e89b-12d3-a456-426655440001'", "maria NULL"}},
	{"inet6", []string{"maria '::1'", "maria '::'", "maria NULL"}},
	{"vector(2)", []string{"mysql to_vector('[1,2]')", "mysql to_vector('[1,3]')", "mysql NULL"}},
}

// Different values have different hashes, and the same value has the same one in a copy of the table, by
// whatever time zone and mode the session goes.
func TestMySQLHashesOfValues(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := openDB(t, dsn)
		s, err := db.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		exec := func(statement string) {
			t.Helper()
			if _, err := s.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		for _, c := range mysqlValues {
			flavour := map[engine.Kind]string{engine.MySQL: "mysql ", engine.MariaDB: "maria "}
			var values []string
			for _, v := range c.values {
				other := flavour[map[engine.Kind]engine.Kind{engine.MySQL: engine.MariaDB, engine.MariaDB: engine.MySQL}[db.Kind]]
				if !strings.HasPrefix(v, other) {
					values = append(values, strings.TrimPrefix(v, flavour[db.Kind]))
				}
			}
			if len(values) == 0 {
				continue
			}
			exec("SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'")
			exec("CREATE TABLE v (id integer PRIMARY KEY AUTO_INCREMENT, x " + c.column + ")")
			for _, v := range values {
				exec("INSERT INTO v (x) VALUES (" + v + ")")
			}
			if strings.HasPrefix(c.column, "set(") { // by its text an empty label would be lost
				exec("CREATE TABLE w LIKE v")
				exec("INSERT INTO w SELECT id, x + 0 FROM v")
			} else {
				exec("CREATE TABLE w AS SELECT id, x FROM v")
			}
			tab, err := db.Inspect(t.Context(), s, engine.Name{Name: "v"})
			if err != nil {
				t.Fatal(err)
			}
			exprs := verify.HashExprs(db, tab.Columns[1:], "q")
			seen := map[string]string{}
			for i, v := range values {
				var hash []byte
				if err := s.QueryRowContext(t.Context(), "SELECT "+verify.RowHash(db, exprs)+" FROM v q WHERE id = ?", i+1).Scan(&hash); err != nil {
					t.Fatalf("%s: %v", c.column, err)
				}
				if other, taken := seen[string(hash)]; taken || len(hash) != 16 {
					t.Errorf("%s: %s and %s have one hash %x", c.column, v, other, hash)
				}
				seen[string(hash)] = v
			}
			first, err := verify.Sum(t.Context(), db, s, "v q", exprs)
			if err != nil || first.Rows != int64(len(values)) {
				t.Fatalf("%s: %+v, %v", c.column, first, err)
			}
			exec("SET time_zone = '+05:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ANSI'")
			if again, err := verify.Sum(t.Context(), db, s, "w q", exprs); err != nil || again != first {
				t.Errorf("%s: the copy has %+v, %v, want %+v", c.column, again, err, first)
			}
			exec("DROP TABLE v, w")
		}
	})
}

// Two equal rows do not cancel, and a row too long for CONCAT is hashed like any other.
func TestMySQLSumOfLongRows(t *testing.T) {
	t.Parallel()
	onMySQL(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE t (a longtext, b longblob)", "INSERT INTO t VALUES (repeat('x', 9000000), repeat('y', 9000000))",
			"INSERT INTO t SELECT * FROM t", "CREATE TABLE u LIKE t", "INSERT INTO u VALUES (repeat('x', 9000000), repeat('z', 9000000))", "INSERT INTO u SELECT * FROM u")
		db := openDB(t, dsn)
		tab, err := db.Inspect(t.Context(), db, engine.Name{Name: "t"})
		if err != nil {
			t.Fatal(err)
		}
		sums := map[verify.Checksum]string{}
		for _, from := range []string{"t", "u", "(SELECT * FROM t LIMIT 0) x", "(SELECT * FROM t LIMIT 1) x"} {
			c, err := verify.Sum(t.Context(), db, db, from, verify.HashExprs(db, tab.Columns, ""))
			if err != nil {
				t.Fatal(err)
			}
			c.Rows = 0
			if other, taken := sums[c]; taken {
				t.Errorf("%s and %s have one sum", from, other)
			}
			sums[c] = from
		}
	})
}

// TestMySQLSumIsThatOfTheHashes: the sum of a table is that of its rows' hashes, half by half, as captures of older versions have it in their catalog.
func TestMySQLSumIsThatOfTheHashes(t *testing.T) {
	t.Parallel()
	onMySQL(t, func(t *testing.T, dsn string) {
		testdb.Exec(t, dsn, "CREATE TABLE t (a integer, b varchar(20), c decimal(9,3))", "INSERT INTO t VALUES (1, 'x', 1.5), (NULL, '', 0), (3, NULL, NULL), (3, NULL, NULL)",
			"INSERT INTO t SELECT a + 7, b, c FROM t", "INSERT INTO t SELECT a + 29, concat(b, 'é'), c - 1 FROM t")
		db := openDB(t, dsn)
		exprs := []string{"a", "b", "c"}
		var high, low uint64
		hashes := testdb.Query(t, dsn, "SELECT HEX("+verify.RowHash(db, exprs)+") FROM t")
		for _, h := range hashes {
			var parts [2]uint64
			if _, err := fmt.Sscanf(h, "%16X%16X", &parts[0], &parts[1]); err != nil {
				t.Fatal(err)
			}
			high, low = high+parts[0], low+parts[1]
		}
		want := verify.Checksum{Rows: 16, Sum: fmt.Sprintf("%016x%016x", high, low)}
		if got, err := verify.Sum(t.Context(), db, db, "t", exprs); err != nil || got != want || len(hashes) != 16 {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	})
}
