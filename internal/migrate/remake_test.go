package migrate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// goods has what hangs on a table of SQLite by its name, beside what differs from case to case.
const goods = `CREATE TABLE makers (id integer PRIMARY KEY, name text);
INSERT INTO makers VALUES (1, 'acme');
CREATE TABLE goods (%s);
INSERT INTO goods (id, name, price, maker) VALUES (3, 'three', 30, 1), (1, 'one', NULL, NULL), (7, 'seven', 70.5, 1);
DELETE FROM goods WHERE id = 7;
CREATE INDEX goods_name ON goods (name DESC) WHERE name <> '';
CREATE TABLE seen (id integer, what text);
CREATE TRIGGER goods_seen AFTER UPDATE ON goods BEGIN INSERT INTO seen VALUES (NEW.id, 'goods'); END;
CREATE TRIGGER makers_seen AFTER UPDATE ON makers BEGIN UPDATE goods SET name = NEW.name WHERE maker = NEW.id; END;
CREATE VIEW dear AS SELECT g.name, m.name AS maker FROM goods g LEFT JOIN makers m ON m.id = g.maker WHERE g.price > 10;
`

// TestTableIsMadeAnew: on SQLite what a column says beside its type, and the constraints of a table, can only be changed by making the table
// anew. A Down that forgot them has it made anew, with all that is in it and hangs on it.
func TestTableIsMadeAnew(t *testing.T) {
	t.Parallel()
	plain := "id integer PRIMARY KEY, name text, price numeric, maker integer"
	for _, x := range []struct{ name, table, up, down string }{
		{"a default", strings.Replace(plain, "numeric", "numeric DEFAULT 5", 1), "DROP VIEW dear;\nALTER TABLE goods DROP COLUMN price;", "ALTER TABLE goods ADD COLUMN price numeric;"},
		{"not null, and no default", strings.Replace(plain, "name text", "name text NOT NULL", 1), "DROP INDEX goods_name;\nDROP VIEW dear;\nDROP TRIGGER makers_seen;\nALTER TABLE goods DROP COLUMN name;", "ALTER TABLE goods ADD COLUMN name text;"},
		{"a collation and a check", strings.Replace(plain, "name text", `name text COLLATE NOCASE CHECK (length("name") < 20)`, 1), "DROP INDEX goods_name;\nDROP VIEW dear;\nDROP TRIGGER makers_seen;\nALTER TABLE goods DROP COLUMN name;", "ALTER TABLE goods ADD COLUMN name text DEFAULT 'left';"},
		{"a unique constraint with a name, a check without", plain + `, CONSTRAINT "good name" UNIQUE (name), CHECK (price IS NULL OR price > 1)`, rebuiltGoods(plain), rebuiltGoods(plain + ", CHECK (price > -1)")},
		{"a foreign key", plain + ", FOREIGN KEY (maker) REFERENCES makers (id) ON DELETE SET NULL", rebuiltGoods(plain), rebuiltGoods(plain)},
		{"the numbers of AUTOINCREMENT", strings.Replace(plain, "PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT", 1) + ", extra text NOT NULL DEFAULT 'x'", "ALTER TABLE goods DROP COLUMN extra;", "ALTER TABLE goods ADD COLUMN extra text;"},
		{"no row numbers", strings.Replace(plain, "integer PRIMARY KEY", "text PRIMARY KEY", 1) + ", extra text NOT NULL DEFAULT 'x') WITHOUT ROWID; --", "ALTER TABLE goods DROP COLUMN extra;", "ALTER TABLE goods ADD COLUMN extra text;"},
		{"a computed column", plain + ", double numeric AS (price * 2), \"Odd \"\"name\" text DEFAULT (1 + 2)", `ALTER TABLE goods DROP COLUMN "Odd ""name";`, `ALTER TABLE goods ADD COLUMN "Odd ""name" text;`},
		{"a table without a key", strings.Replace(plain, " PRIMARY KEY", "", 1) + ", extra text NOT NULL DEFAULT 'x'", "ALTER TABLE goods DROP COLUMN extra;", "ALTER TABLE goods ADD COLUMN extra text;"},
	} {
		t.Run(x.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, fmt.Sprintf(goods, x.table), map[string]string{"00001_change.sql": migration(x.up, x.down)})
				was, schema := f.dump(), testdb.Query(t, dsn, numbers(x.table))
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(was, f.dump(), "after the rollback")
				if got := testdb.Query(t, dsn, numbers(x.table)); strings.Join(got, "\n") != strings.Join(schema, "\n") {
					t.Errorf("numbers of rows: %v, want %v", got, schema)
				}
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(was, f.dump(), "after up and rollback again")
			}, testdb.OnSQLite)
		})
	}
}

// numbers asks for the numbers of rows, and the next one where they are never used again.
func numbers(table string) string {
	if strings.Contains(table, "WITHOUT ROWID") {
		return "SELECT 1"
	}
	if strings.Contains(table, "AUTOINCREMENT") {
		return "SELECT seq FROM sqlite_sequence WHERE name = 'goods'"
	}
	return "SELECT rowid, id FROM goods ORDER BY 1"
}

// rebuiltGoods are the statements by which people make a table of SQLite anew.
func rebuiltGoods(body string) string {
	return "DROP VIEW IF EXISTS dear;\nDROP TRIGGER IF EXISTS makers_seen;\nCREATE TABLE new_goods (" + body + ");\nINSERT INTO new_goods SELECT id, name, price, maker FROM goods;\nDROP TABLE goods;\nALTER TABLE new_goods RENAME TO goods;\n"
}

// TestTableIsNotMadeAnew where rows written since do not fit what the table said, or where others would notice.
func TestTableIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, setup, writes, settings string }{
		{"rows that do not fit", "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL);\nINSERT INTO t VALUES (1, 'one');", "INSERT INTO t (id) VALUES (2);", ""},
		{"rows that hang on it", "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL);\nINSERT INTO t VALUES (1, 'one');\nCREATE TABLE c (id integer REFERENCES t (id) ON DELETE CASCADE);\nINSERT INTO c VALUES (1);", "", "_pragma=foreign_keys(1)"},
	} {
		t.Run(x.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				if x.settings != "" {
					sign := map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")]
					dsn += sign + x.settings
				}
				f := newFixture(t, dsn, x.setup, map[string]string{"00001_change.sql": migration("ALTER TABLE t DROP COLUMN v;", "ALTER TABLE t ADD COLUMN v text;")})
				f.up()
				if x.writes != "" {
					f.exec(x.writes)
				}
				was := f.dump()
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
				if drift := new(migrate.DriftError); !errors.As(err, &drift) {
					t.Errorf("rollback: %v", err)
				}
				f.same(was, f.dump(), "after the rollback that was refused")
			}, testdb.OnSQLite)
		})
	}
}
