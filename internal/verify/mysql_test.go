package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// shopMySQL has what both servers have.
var shopMySQL = []string{
	"CREATE TABLE parent (id int NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'it''s \\\\ the id', name varchar(20) CHARACTER SET latin1 NOT NULL DEFAULT 'x')",
	`CREATE TABLE item (id bigint unsigned NOT NULL AUTO_INCREMENT, name varchar(40) NOT NULL DEFAULT 'a''b,)', price decimal(10,2) NOT NULL, note text, parent_id int, mood enum('ok', 'b,)') DEFAULT 'ok',
		at datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), seen timestamp NULL, total decimal(12,2) GENERATED ALWAYS AS (price * 2) STORED, zero date NOT NULL DEFAULT '2000-01-01',
		low varchar(9) DEFAULT (lower('X')), doc json, ` + "`odd ``name.` int NOT NULL DEFAULT 5," + `
		PRIMARY KEY (id), UNIQUE KEY once (name, parent_id), KEY by_price (price DESC, name(10)) COMMENT 'quick', FULLTEXT KEY words (note), CONSTRAINT item_parent FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE,
		CONSTRAINT price_ok CHECK (price > 0)) COMMENT 'what is ''sold''' ROW_FORMAT=DYNAMIC`,
	"CREATE TABLE place (id int PRIMARY KEY, at point NOT NULL, SPATIAL KEY spot (at)) DEFAULT CHARSET=latin1",
	"CREATE TABLE log (id int NOT NULL, at date NOT NULL, line varchar(20), PRIMARY KEY (id, at)) PARTITION BY RANGE (year(at)) (PARTITION old VALUES LESS THAN (2020) COMMENT 'x*/y', PARTITION rest VALUES LESS THAN MAXVALUE)",
	"CREATE VIEW cheap AS SELECT id, name FROM item WHERE price < 10 AND name <> '`item`.' WITH CHECK OPTION",
	"CREATE VIEW cheaper AS SELECT c.id FROM cheap c JOIN parent p ON p.id = c.id",
	"CREATE TRIGGER first BEFORE INSERT ON item FOR EACH ROW SET NEW.price = NEW.price + 0",
	"CREATE TRIGGER second BEFORE INSERT ON item FOR EACH ROW SET NEW.name = concat(NEW.name, '\\\\n')",
	"CREATE TRIGGER third AFTER DELETE ON item FOR EACH ROW BEGIN DELETE FROM log WHERE id = OLD.id; END",
	"CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC COMMENT 'n times 2' RETURN n * 2",
	"CREATE PROCEDURE nothing(IN n int, OUT m int) BEGIN DECLARE x int DEFAULT 1; SET m = n + x; END",
	"CREATE EVENT sweep ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 00:00:00' DISABLE DO DELETE FROM log WHERE at < '2000-01-01'",
}

var shopOnMariaDB = []string{
	"CREATE SEQUENCE ticket START WITH 5 INCREMENT BY 5 MAXVALUE 5000 CYCLE",
	"CREATE TABLE past (id int PRIMARY KEY, v varchar(9), secret int INVISIBLE DEFAULT 3) WITH SYSTEM VERSIONING",
	"CREATE TABLE typed (u uuid NOT NULL DEFAULT (uuid()), i inet6, n int DEFAULT (NEXT VALUE FOR ticket), s varchar(9) CHECK (s <> 'a'), KEY hidden (n) IGNORED)",
}

var shopOnMySQL = []string{
	"CREATE TABLE typed (id int PRIMARY KEY, secret int INVISIBLE DEFAULT 3, g geometry SRID 4326, v int, j json DEFAULT (json_array(1)), KEY hidden (v) INVISIBLE, KEY expr ((cast(j->>'$.a' as char(9)))), CONSTRAINT lax CHECK (v > 1) NOT ENFORCED)",
}

// mysqlShop makes the schema in a database.
func mysqlShop(t *testing.T, dsn string) *bench {
	t.Helper()
	b := open(t, dsn, "")
	b.exec(shopMySQL...)
	b.exec(map[engine.Kind][]string{engine.MySQL: shopOnMySQL, engine.MariaDB: shopOnMariaDB}[b.db.Kind]...)
	return b
}

// repair runs what Repair says in one session, as a run does.
func (b *bench) repair(before verify.Fingerprint) []string {
	b.t.Helper()
	statements := verify.Repair(before, b.take(verify.Scope{}))
	b.exec(statements...)
	return statements
}

// Everything made from nothing by Repair alone is what was there, to the letter.
func TestMySQLRoundTrip(t *testing.T) {
	t.Parallel()
	onMySQL(t, func(t *testing.T, dsn string) {
		rich := mysqlShop(t, dsn)
		before := rich.take(verify.Scope{})
		empty := open(t, map[engine.Kind]testdb.Engine{engine.MySQL: testdb.OnMySQL, engine.MariaDB: testdb.OnMariaDB}[rich.db.Kind].New(t), "")
		empty.repair(before)
		after := empty.take(verify.Scope{})
		for _, d := range verify.Diff(before, after) {
			t.Errorf("%+v", d)
		}
		if again := verify.Repair(before, after); len(again) > 0 {
			t.Errorf("Repair of equals: %q", again)
		}
		if x, y := testdb.Dump(t, dsn), testdb.Dump(t, empty.dsn); x != y {
			t.Errorf("dumps differ:\n%s\n---\n%s", x, y)
		}
	})
}

// One table gone with all that hung on it comes back, with every other object as it was.
func TestMySQLDroppedTableComesBack(t *testing.T) {
	t.Parallel()
	onMySQL(t, func(t *testing.T, dsn string) {
		b := mysqlShop(t, dsn)
		before, dump := b.take(verify.Scope{}), testdb.Dump(t, dsn)
		for _, table := range []string{"item", "parent", "log", "place", "typed"} {
			testdb.Exec(t, dsn, "SET foreign_key_checks = 0", "DROP TABLE "+table)
			testdb.Exec(t, dsn, append([]string{"SET foreign_key_checks = 0, sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'"}, verify.Repair(before, b.take(verify.Scope{}))...)...)
			for _, d := range verify.Diff(before, b.take(verify.Scope{})) {
				t.Errorf("%s: %+v", table, d)
			}
			if again := testdb.Dump(t, dsn); again != dump {
				t.Errorf("%s: dumps differ:\n%s\n---\n%s", table, dump, again)
			}
		}
	})
}

// each case changes one thing: exactly that differs, and Repair takes it back.
var mysqlChanges = []struct {
	on string // "" for both servers
	each
}{
	{"", each{"column added", "ALTER TABLE item ADD COLUMN more text", []string{"column item.more"}, []string{"column item.more"}}},
	{"", each{"column dropped", "ALTER TABLE item DROP COLUMN price, DROP COLUMN total, DROP CONSTRAINT price_ok", []string{"check item.price_ok", "column item.price", "column item.total", "index item.by_price", "not null item.price", "~column item.at", "~column item.doc", "~column item.low", "~column item.mood", "~column item.more", "~column item.note", "~column item.odd `name.", "~column item.parent_id", "~column item.seen", "~column item.zero"}, nil}},
	{"", each{"column of a key dropped", "ALTER TABLE log DROP COLUMN line", []string{"column log.line"}, nil}},
	{"", each{"column renamed", "ALTER TABLE place RENAME COLUMN id TO nr", []string{"column place.id", "column place.nr", "not null place.id", "not null place.nr", "primary key place.PRIMARY"}, []string{"column place.nr"}}},
	{"", each{"type changed", "ALTER TABLE item MODIFY COLUMN name varchar(60) NOT NULL DEFAULT 'a''b,)'", []string{"column item.name"}, nil}},
	{"", each{"collation changed", "ALTER TABLE item MODIFY COLUMN name varchar(40) COLLATE utf8mb4_bin NOT NULL DEFAULT 'a''b,)'", []string{"column item.name"}, nil}},
	{"", each{"default dropped", "ALTER TABLE item ALTER COLUMN name DROP DEFAULT", []string{"column item.name"}, nil}},
	{"", each{"default changed", "ALTER TABLE item ALTER COLUMN mood SET DEFAULT 'b,)'", []string{"column item.mood"}, nil}},
	{"mysql", each{"no default at all", "ALTER TABLE item ALTER COLUMN parent_id DROP DEFAULT", []string{"column item.parent_id"}, nil}},
	{"", each{"not null dropped", "ALTER TABLE item MODIFY COLUMN price decimal(10,2)", []string{"not null item.price"}, nil}},
	{"", each{"not null left over", "ALTER TABLE item MODIFY COLUMN note text NOT NULL", []string{"not null item.note"}, nil}},
	{"", each{"on update lost", "ALTER TABLE item MODIFY COLUMN at datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)", []string{"column item.at"}, nil}},
	{"", each{"auto_increment lost", "SET foreign_key_checks = 0\n--\nALTER TABLE parent MODIFY COLUMN id int NOT NULL COMMENT 'it''s \\\\ the id'", []string{"identity parent.id"}, nil}},
	{"", each{"key and auto_increment lost", "ALTER TABLE item MODIFY COLUMN id bigint unsigned NOT NULL, DROP PRIMARY KEY", []string{"identity item.id", "primary key item.PRIMARY"}, nil}},
	{"", each{"key and auto_increment left over", "ALTER TABLE log DROP PRIMARY KEY, ADD PRIMARY KEY (id, at), MODIFY COLUMN id int NOT NULL AUTO_INCREMENT", []string{"identity log.id"}, nil}},
	{"", each{"primary key changed", "ALTER TABLE log DROP PRIMARY KEY, ADD PRIMARY KEY (at, id)", []string{"primary key log.PRIMARY"}, nil}},
	{"", each{"unique lost a column", "ALTER TABLE item DROP KEY once, ADD UNIQUE KEY once (name)", []string{"unique item.once"}, nil}},
	{"", each{"unique became an index", "ALTER TABLE item DROP KEY once, ADD KEY once (name)", []string{"index item.once", "unique item.once"}, nil}},
	{"", each{"index of a foreign key became unique", "SET foreign_key_checks = 0\n--\nALTER TABLE item DROP KEY item_parent, ADD UNIQUE KEY item_parent (parent_id, id)", []string{"index item.item_parent", "unique item.item_parent"}, nil}},
	{"", each{"index of a foreign key changed", "ALTER TABLE item DROP KEY item_parent, ADD KEY item_parent (parent_id, price)", []string{"index item.item_parent"}, nil}},
	{"", each{"index lost its prefix", "DROP INDEX by_price ON item\n--\nCREATE INDEX by_price ON item (price DESC, name) COMMENT 'quick'", []string{"index item.by_price"}, nil}},
	{"", each{"index lost its direction", "DROP INDEX by_price ON item\n--\nCREATE INDEX by_price ON item (price, name(10)) COMMENT 'quick'", []string{"index item.by_price"}, nil}},
	{"", each{"index left over", "CREATE INDEX more ON item (at)", []string{"index item.more"}, nil}},
	{"", each{"fulltext dropped", "DROP INDEX words ON item", []string{"index item.words"}, nil}},
	{"", each{"spatial dropped", "DROP INDEX spot ON place", []string{"index place.spot"}, nil}},
	{"", each{"check dropped", "ALTER TABLE item DROP CONSTRAINT price_ok", []string{"check item.price_ok"}, nil}},
	{"", each{"check changed", "ALTER TABLE item DROP CONSTRAINT price_ok\n--\nALTER TABLE item ADD CONSTRAINT price_ok CHECK (price > 1)", []string{"check item.price_ok"}, nil}},
	{"", each{"foreign key dropped", "ALTER TABLE item DROP FOREIGN KEY item_parent", []string{"foreign key item.item_parent"}, nil}},
	{"", each{"foreign key with its index", "ALTER TABLE item DROP FOREIGN KEY item_parent, DROP KEY item_parent", []string{"foreign key item.item_parent", "index item.item_parent"}, nil}},
	{"", each{"foreign key without cascade", "ALTER TABLE item DROP FOREIGN KEY item_parent\n--\nALTER TABLE item ADD CONSTRAINT item_parent FOREIGN KEY (parent_id) REFERENCES parent (id)", []string{"foreign key item.item_parent"}, nil}},
	{"", each{"table comment", "ALTER TABLE item COMMENT ''", []string{"comment TABLE item"}, nil}},
	{"", each{"table comment left over", "ALTER TABLE log COMMENT 'x'", []string{"comment TABLE log"}, nil}},
	{"", each{"column comment", "ALTER TABLE place MODIFY COLUMN at point NOT NULL COMMENT 'where'", []string{"column place.at"}, nil}},
	{"", each{"row format", "ALTER TABLE item ROW_FORMAT=COMPACT", []string{"options item"}, nil}},
	{"", each{"charset of the table", "ALTER TABLE place DEFAULT CHARSET=utf8mb4", []string{"options place"}, nil}},
	{"", each{"engine", "ALTER TABLE log ENGINE=InnoDB\n--\nALTER TABLE parent COMMENT 'y'", []string{"comment TABLE parent"}, nil}},
	{"", each{"partition dropped", "ALTER TABLE log DROP PARTITION old", []string{"partitioning log"}, nil}},
	{"", each{"partitioning removed", "ALTER TABLE log REMOVE PARTITIONING", []string{"partitioning log"}, nil}},
	{"", each{"view changed", "CREATE OR REPLACE VIEW cheap AS SELECT id, name FROM item WHERE price < 11", []string{"view cheap"}, nil}},
	{"", each{"view without check option", "CREATE OR REPLACE VIEW cheap AS SELECT id, name FROM item WHERE price < 10 AND name <> '`item`.'", []string{"view cheap"}, nil}},
	{"", each{"view dropped", "DROP VIEW cheap", []string{"view cheap"}, nil}},
	{"", each{"view by its invoker", "ALTER SQL SECURITY INVOKER VIEW cheaper AS SELECT c.id FROM cheap c JOIN parent p ON p.id = c.id", []string{"view cheaper"}, nil}},
	{"", each{"trigger dropped from among others", "DROP TRIGGER first", []string{"trigger item.first", "trigger order item BEFORE INSERT"}, nil}},
	{"", each{"trigger in another order", "DROP TRIGGER first\n--\nCREATE TRIGGER first BEFORE INSERT ON item FOR EACH ROW SET NEW.price = NEW.price + 0", []string{"trigger order item BEFORE INSERT"}, nil}},
	{"", each{"trigger in another mode", "DROP TRIGGER third\n--\nSET sql_mode = 'PIPES_AS_CONCAT'\n--\nCREATE TRIGGER third AFTER DELETE ON item FOR EACH ROW BEGIN DELETE FROM log WHERE id = OLD.id; END", []string{"trigger item.third"}, nil}},
	{"", each{"trigger left over", "CREATE TRIGGER more AFTER UPDATE ON item FOR EACH ROW SET @x = 1", []string{"trigger item.more"}, nil}},
	{"", each{"function changed", "DROP FUNCTION twice\n--\nCREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC COMMENT 'n times 2' RETURN n + n", []string{"function twice"}, nil}},
	{"", each{"procedure dropped", "DROP PROCEDURE nothing", []string{"procedure nothing"}, nil}},
	{"", each{"event enabled", "ALTER EVENT sweep ENABLE", []string{"event sweep"}, nil}},
	{"", each{"event dropped", "DROP EVENT sweep", []string{"event sweep"}, nil}},
	{"", each{"database", "ALTER DATABASE CHARACTER SET latin1", []string{"database defaults"}, nil}},
	{"mariadb", each{"sequence dropped", "ALTER TABLE typed ALTER COLUMN n DROP DEFAULT\n--\nDROP SEQUENCE ticket", []string{"column typed.n", "sequence ticket"}, nil}},
	{"mariadb", each{"sequence changed", "ALTER SEQUENCE ticket INCREMENT BY 7", []string{"sequence ticket"}, nil}},
	{"mariadb", each{"versioning dropped", "ALTER TABLE past DROP SYSTEM VERSIONING", []string{"system versioning past"}, nil}},
	{"mariadb", each{"index not ignored", "ALTER TABLE typed ALTER INDEX hidden NOT IGNORED", []string{"index typed.hidden"}, nil}},
	{"mariadb", each{"visible", "SET system_versioning_alter_history = 'KEEP'\n--\nALTER TABLE past MODIFY COLUMN secret int DEFAULT 3", []string{"column past.secret"}, nil}},
	{"mariadb", each{"check of a column", "ALTER TABLE typed MODIFY COLUMN s varchar(9)", []string{"column typed.s"}, nil}},
	{"mysql", each{"visible", "ALTER TABLE typed ALTER COLUMN secret SET VISIBLE", []string{"column typed.secret"}, nil}},
	{"mysql", each{"SRID", "ALTER TABLE typed MODIFY COLUMN g geometry", []string{"column typed.g"}, nil}},
	{"mysql", each{"index visible", "ALTER TABLE typed ALTER INDEX hidden VISIBLE", []string{"index typed.hidden"}, nil}},
	{"mysql", each{"index of an expression", "DROP INDEX expr ON typed", []string{"index typed.expr"}, nil}},
	{"mysql", each{"check enforced", "ALTER TABLE typed ALTER CHECK lax ENFORCED", []string{"check typed.lax"}, nil}},
}

func TestMySQLEachKind(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		b := mysqlShop(t, dsn)
		before := b.take(verify.Scope{})
		for _, c := range mysqlChanges {
			if c.on != "" && c.on != string(b.db.Kind) {
				continue
			}
			b.exec(strings.Split(c.change, "\n--\n")...)
			if got := keys(verify.Diff(before, b.take(verify.Scope{}))); !slices.Equal(got, slices.Sorted(slices.Values(c.want))) {
				t.Errorf("%s: differences\n got %q\nwant %q", c.name, got, c.want)
			}
			repair := b.repair(before)
			left := material(verify.Diff(before, b.take(verify.Scope{})))
			if got := keys(left); !slices.Equal(got, c.stays) {
				t.Errorf("%s: after repair\n got %q\nwant %q\nwith\n%s\n%+v", c.name, got, c.stays, strings.Join(repair, "\n"), left)
			}
			before = b.take(verify.Scope{}) // with what stays
		}
	})
}
