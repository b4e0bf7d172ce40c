package testdb

import (
	"slices"
	"strings"
	"testing"
)

func TestDumpSeesEveryChange(t *testing.T) {
	t.Parallel()
	common := []string{
		`INSERT INTO t (id, v) VALUES (3, 'x')`,
		`UPDATE t SET v = NULL WHERE id = 1`,
		`UPDATE t SET v = '' WHERE id = 2`,
		`DELETE FROM t WHERE id = 1`,
		`ALTER TABLE t ADD COLUMN w int DEFAULT 5`,
		`CREATE INDEX t_v ON t (v)`,
		`CREATE TABLE other (id int)`,
		`DROP TABLE u`,
		`CREATE VIEW vw AS SELECT id FROM t`,
	}
	only := map[Engine][]string{
		OnPostgres: {
			`COMMENT ON COLUMN t.v IS '-- Name: odd; Type: x; Schema: y; Owner: z'`,
			`ALTER TABLE t ALTER v SET DEFAULT 'd'`, `ALTER TABLE t ALTER v SET NOT NULL`,
			`GRANT SELECT ON t TO public`, `ALTER TABLE t ENABLE ROW LEVEL SECURITY`, `CREATE TYPE mood AS ENUM ('ok')`,
			`UPDATE t SET f = f + 1e-15`, `ALTER TABLE t ALTER f TYPE float4`, `CREATE SCHEMA empty`,
			`CREATE OR REPLACE FUNCTION fn() RETURNS int LANGUAGE sql AS $$
-- another comment
SELECT 1 $$`, `ALTER SEQUENCE t_n_seq INCREMENT 2`, `ALTER TABLE t ALTER COLUMN v TYPE varchar(20)`,
		},
		OnSQLite: {
			`UPDATE t SET v = CAST(v AS BLOB)`, `UPDATE t SET v = 'b' || char(0) || 'q' WHERE id = 2`, `UPDATE t SET v = 1 WHERE id = 3`,
			`UPDATE t SET f = f + 1e-15`, `PRAGMA user_version = 3`, `CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END`,
		},
	}
	only[OnMariaDB] = []string{
		`ALTER TABLE t ALTER v SET DEFAULT 'd'`, `ALTER TABLE t MODIFY v varchar(99) NOT NULL DEFAULT ''`, `ALTER TABLE t COMMENT 'c'`,
		`ALTER TABLE t MODIFY v varchar(99) CHARACTER SET latin1`, `UPDATE t SET f = f + 1e-15`, `UPDATE t SET v = 'B' WHERE id = 2`,
		`CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1`, `CREATE FUNCTION fn2() RETURNS int DETERMINISTIC RETURN 1`,
		`CREATE PROCEDURE p() SELECT 1`, `CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1`, `UPDATE t SET b = x'00ff01'`,
		`ALTER TABLE t MODIFY f float`,
	}
	only[OnMySQL] = only[OnMariaDB]
	Each(t, func(t *testing.T, dsn string) {
		engine, _, _ := strings.Cut(dsn, ":")
		setUp(t, dsn)
		before, loose := bothDumps(t, dsn)
		if again := Dump(t, dsn); again != before {
			t.Fatalf("two dumps of the same differ:\n%s", Diff(before, again))
		}
		for _, change := range slices.Concat(common, only[Engine(engine)], []string{`ALTER TABLE t RENAME COLUMN v TO x`}) {
			Exec(t, dsn, change)
			strict, anyOrder := bothDumps(t, dsn)
			if strict == before || anyOrder == loose {
				t.Errorf("the dump does not show: %s", change)
			}
			before, loose = strict, anyOrder
		}
	}, all...)
}

var all = []Engine{OnPostgres, OnSQLite, OnMariaDB, OnMySQL}

// bothDumps runs pg_dump once for both forms.
func bothDumps(t *testing.T, dsn string) (strict, anyOrder string) {
	t.Helper()
	if strings.HasPrefix(dsn, "postgres") {
		raw := pgDump(t, dsn)
		return normalisePostgres(raw, false), normalisePostgres(raw, true)
	}
	return Dump(t, dsn), DumpAnyOrder(t, dsn)
}

func setUp(t *testing.T, dsn string) {
	t.Helper()
	switch engine, _, _ := strings.Cut(dsn, ":"); Engine(engine) {
	case OnSQLite:
		Exec(t, dsn, `CREATE TABLE t (id INTEGER PRIMARY KEY, v, f REAL, n INT)`)
	case OnPostgres:
		Exec(t, dsn, `CREATE TABLE t (id int PRIMARY KEY, v varchar(99), f float8, n serial)`,
			"CREATE FUNCTION fn() RETURNS int LANGUAGE sql AS $$\n-- a comment\nSELECT 1 $$")
	default:
		Exec(t, dsn, `CREATE TABLE t (id int PRIMARY KEY, v varchar(99), f double, n int UNIQUE AUTO_INCREMENT, b varbinary(9))`,
			`CREATE FUNCTION fn() RETURNS int DETERMINISTIC RETURN 1`)
	}
	Exec(t, dsn, `INSERT INTO t (id, v, f) VALUES (1, 'a	tab', 0.1), (2, 'b', 0.3)`, `CREATE TABLE u (id int)`)
}

func TestDumpLeavesOut(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, dsn string) {
		setUp(t, dsn)
		Exec(t, dsn, `CREATE TABLE rows_move (id int PRIMARY KEY, v int)`, `INSERT INTO rows_move VALUES (1, 1), (2, 2), (3, 3)`)
		before := Dump(t, dsn)
		Exec(t, dsn,
			`CREATE TABLE goose_db_version (id int PRIMARY KEY)`, `CREATE INDEX goose_ix ON goose_db_version (id)`,
			`CREATE TABLE state_snapshots (id int PRIMARY KEY)`, `CREATE TABLE dbrollback_log (id int PRIMARY KEY)`,
			// the same rows in other places
			`DELETE FROM rows_move WHERE id = 1`, `INSERT INTO rows_move VALUES (1, 1)`)
		switch engine, _, _ := strings.Cut(dsn, ":"); Engine(engine) {
		case OnPostgres:
			Exec(t, dsn, `CREATE SCHEMA dbrollback`, `CREATE TABLE dbrollback.x (id int)`, `SELECT nextval('t_n_seq')`)
		case OnMariaDB, OnMySQL:
			Exec(t, dsn, `INSERT INTO t (id) VALUES (9)`, `DELETE FROM t WHERE id = 9`) // the counter goes on
		default:
			Exec(t, dsn, `ALTER TABLE rows_move RENAME TO moved`, `ALTER TABLE moved RENAME TO rows_move`, `ANALYZE`) // quotes its name
		}
		SameDump(t, dsn, before)
	}, all...)
}

func TestDumpAnyOrder(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, dsn string) {
		Exec(t, dsn, `CREATE TABLE t (id int PRIMARY KEY, v varchar(9) DEFAULT 'a,(b', w numeric(9,2), z varchar(9) CHECK (z <> ','))`,
			`INSERT INTO t VALUES (1, 'one', 1.5, 'zz'), (2, NULL, 2.25, 'yy')`)
		strict, loose := Dump(t, dsn), DumpAnyOrder(t, dsn)
		Exec(t, dsn, `ALTER TABLE t DROP COLUMN v`, `ALTER TABLE t ADD COLUMN v varchar(9) DEFAULT 'a,(b'`,
			`UPDATE t SET v = CASE id WHEN 1 THEN 'one' END`)
		if Dump(t, dsn) == strict {
			t.Error("Dump does not show that a column moved")
		}
		if diff := Diff(loose, DumpAnyOrder(t, dsn)); diff != "" {
			t.Errorf("DumpAnyOrder shows that a column moved:\n%s", diff)
		}
		Exec(t, dsn, `UPDATE t SET v = 'two' WHERE id = 2`)
		if got := Diff(loose, DumpAnyOrder(t, dsn)); !strings.Contains(got, "two") || strings.Contains(got, "one") {
			t.Errorf("the difference is not the changed row alone:\n%s", got)
		}
	}, all...)
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\n", "a\nc\n", "-b\n+c"},
		{"a\na\n", "a\n", "-a"},
		{"a\nb\n", "b\na\n", "the same lines in another order"},
	} {
		if got := Diff(c.a, c.b); got != c.want {
			t.Errorf("Diff(%q, %q) = %q, want %q", c.a, c.b, got, c.want)
		}
	}
}
