package migrate_test

import "strings"

// mysqlPairs are pairs in the SQL of MySQL and MariaDB; the setup is that of pairs.
var mysqlPairs = []pair{
	{name: "tables that the migration makes write to others", engines: "mysql mariadb", setup: "CREATE TABLE old (id integer PRIMARY KEY, name varchar(20), boss integer, FOREIGN KEY (boss) REFERENCES old (id) ON DELETE CASCADE);\nINSERT INTO old VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'c', 2), (4, 'd', 3);",
		up: `CREATE TABLE q (id integer PRIMARY KEY, target integer);
CREATE TRIGGER q_in AFTER INSERT ON q FOR EACH ROW UPDATE old SET name = 'gone' WHERE id = NEW.target;
INSERT INTO q VALUES (1, 2);
CREATE TABLE par (id integer PRIMARY KEY);
INSERT INTO par SELECT id FROM old;
ALTER TABLE old ADD COLUMN p integer, ADD CONSTRAINT old_p FOREIGN KEY (p) REFERENCES par (id) ON DELETE CASCADE;
UPDATE old SET p = id;
DELETE FROM par WHERE id = 3;`, down: "ALTER TABLE old DROP FOREIGN KEY old_p, DROP COLUMN p;\nDROP TABLE par;\nDROP TABLE q;"},
	{name: "a column that must be given a value, then its table", engines: "mysql mariadb", setup: "CREATE TABLE tags (id integer PRIMARY KEY, b varchar(20), c varchar(20) NOT NULL);\nINSERT INTO tags VALUES (1, 'b', 'c'), (2, NULL, '');",
		up: "ALTER TABLE tags DROP COLUMN c;\nDROP TABLE tags;", down: "CREATE TABLE tags (id integer PRIMARY KEY, b varchar(20));\nALTER TABLE tags ADD COLUMN c varchar(20) NOT NULL DEFAULT '';"},
	{name: "drop column with index", engines: "mysql mariadb", up: "ALTER TABLE people DROP COLUMN score;", down: "ALTER TABLE people ADD COLUMN score integer;"},
	{name: "drop not null column", engines: "mysql mariadb", up: "ALTER TABLE people DROP COLUMN name;", down: "ALTER TABLE people ADD COLUMN name varchar(40) NOT NULL;"},
	{name: "truncate", engines: "mysql mariadb", up: "TRUNCATE TABLE orders;", down: "SELECT 1;"},
	{name: "narrow type", engines: "mysql mariadb", up: "UPDATE people SET note = left(note, 2);\nALTER TABLE people MODIFY note varchar(2);", down: "ALTER TABLE people MODIFY note varchar(200) DEFAULT 'none';"},
	{name: "narrow type without strict mode", engines: "mysql mariadb", up: "SET sql_mode = '';\nALTER TABLE people MODIFY note varchar(2);", down: "ALTER TABLE people MODIFY note varchar(200) DEFAULT 'none';"},
	{name: "type change", engines: "mysql mariadb", up: "ALTER TABLE orders MODIFY total integer;", down: "ALTER TABLE orders MODIFY total numeric(10,2);"},
	{name: "change and rename", engines: "mysql mariadb", up: "ALTER TABLE orders CHANGE total amount bigint;", down: "ALTER TABLE orders CHANGE amount total numeric(10,2);"},
	{name: "convert to another character set", engines: "mysql mariadb", up: "ALTER TABLE people CONVERT TO CHARACTER SET latin1;", down: "ALTER TABLE people CONVERT TO CHARACTER SET utf8mb4;"},
	{name: "convert to another character set, and nothing back", engines: "mysql mariadb", setup: "CREATE TABLE prose (id integer PRIMARY KEY, a text, b varchar(20) NOT NULL DEFAULT 'x', c varchar(20) CHARACTER SET latin1, e enum('e', 'f'), n integer) DEFAULT CHARSET=utf8mb3;\nINSERT INTO prose VALUES (1, 'é', 'ü', 'o', 'e', 1), (2, NULL, '', NULL, NULL, NULL);",
		up: "ALTER TABLE prose CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;\nALTER TABLE people CONVERT TO CHARACTER SET latin1;", down: "ALTER TABLE prose CHANGE a a text;"},
	{name: "a foreign key that Down makes again to another table, with an index of another name", engines: "mysql mariadb", setup: "CREATE TABLE flows (id integer PRIMARY KEY);\nCREATE TABLE methods (id integer PRIMARY KEY, request_id integer NOT NULL, FOREIGN KEY (request_id) REFERENCES flows (id) ON DELETE CASCADE);\nALTER TABLE methods CHANGE request_id flow_id integer NOT NULL;\nINSERT INTO flows VALUES (1), (2);\nINSERT INTO methods VALUES (10, 1), (11, 2), (12, 2);",
		up: "DROP TABLE methods;", down: "CREATE TABLE methods (id integer PRIMARY KEY, flow_id integer NOT NULL, FOREIGN KEY (flow_id) REFERENCES methods (id) ON DELETE CASCADE);"},
	{name: "NULL for a while", engines: "mysql mariadb", up: "ALTER TABLE people MODIFY name varchar(40) NULL;\nUPDATE people SET name = NULL WHERE id < 3;\nALTER TABLE people CONVERT TO CHARACTER SET latin1;",
		down: "ALTER TABLE people CONVERT TO CHARACTER SET utf8mb4;\nUPDATE people SET name = '-' WHERE name IS NULL;\nALTER TABLE people MODIFY name varchar(40) NOT NULL;"},
	{name: "delete cascades", engines: "mysql mariadb", up: "DELETE FROM people WHERE id < 3;", down: "SELECT 1;"},
	{name: "delete from two tables", engines: "mysql mariadb", up: "DELETE o, p FROM orders o JOIN people p ON p.id = o.person_id WHERE p.id = 2;", down: "SELECT 1;"},
	{name: "update of a join", engines: "mysql mariadb", up: "UPDATE orders o JOIN people p ON p.id = o.person_id SET o.total = 1, p.score = 2 WHERE p.id < 3;", down: "SELECT 1;"},
	{name: "upsert", engines: "mysql mariadb", up: "INSERT INTO people VALUES (1, 'Zoe', 1, 'z'), (9, 'New', 9, 'n') ON DUPLICATE KEY UPDATE name = VALUES(name), score = VALUES(score);", down: "DELETE FROM people WHERE id = 9;"},
	{name: "replace", engines: "mysql mariadb", up: "REPLACE INTO orders VALUES (10, 1, 1), (99, 2, 2);", down: "DELETE FROM orders WHERE id = 99;"},
	{name: "insert ignore", engines: "mysql mariadb", up: "INSERT IGNORE INTO orders VALUES (10, 1, 1), (99, 2, 2);", down: "DELETE FROM orders WHERE id = 99;"},
	{name: "drop index", engines: "mysql mariadb", up: "DROP INDEX people_score ON people;", down: "SELECT 1;"},
	{name: "default and not null", engines: "mysql mariadb", up: "ALTER TABLE people ALTER COLUMN note DROP DEFAULT, MODIFY name varchar(40);", down: "SELECT 1;"},
	{name: "split a name", engines: "mysql mariadb", up: `ALTER TABLE people ADD COLUMN full_name varchar(80);
UPDATE people SET full_name = concat(name, '!');
ALTER TABLE people DROP COLUMN name;`, down: `ALTER TABLE people ADD COLUMN name varchar(40);
UPDATE people SET name = left(full_name, 1);
ALTER TABLE people MODIFY name varchar(40) NOT NULL;
ALTER TABLE people DROP COLUMN full_name;`},
	{name: "multi-table drop", engines: "mysql mariadb", up: "DROP TABLE orders, people;", down: `CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) NOT NULL, score integer, note varchar(200) DEFAULT 'none');
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));`},
	{name: "swap of two tables", engines: "mysql mariadb", setup: "CREATE TABLE orders_new LIKE orders;\nINSERT INTO orders_new SELECT id + 1000, person_id, total FROM orders;",
		up:   "RENAME TABLE orders TO orders_old, orders_new TO orders;\nDROP TABLE orders_old;",
		down: "CREATE TABLE orders_old (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));\nRENAME TABLE orders TO orders_new, orders_old TO orders;"},
	{name: "partitions", engines: "mysql mariadb", setup: "CREATE TABLE days (d integer PRIMARY KEY, n integer) PARTITION BY RANGE (d) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));\nINSERT INTO days VALUES (1, 1), (9, 9), (11, 11), (19, 19);",
		up: "ALTER TABLE days DROP PARTITION p0;\nALTER TABLE days TRUNCATE PARTITION p1;", down: "ALTER TABLE days REORGANIZE PARTITION p1 INTO (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));"},
	{name: "table and column renamed in one", engines: "mysql mariadb", up: "ALTER TABLE people RENAME TO persons, RENAME COLUMN name TO called, ADD COLUMN name integer;\nUPDATE persons SET called = 'x', name = 7 WHERE id = 1;", down: "ALTER TABLE persons DROP COLUMN name, RENAME TO people, RENAME COLUMN called TO name;"},
	{name: "columns that change names", engines: "mysql mariadb", setup: "ALTER TABLE people ADD COLUMN other varchar(40) DEFAULT 'o', ADD COLUMN third varchar(40) DEFAULT 't';", up: "ALTER TABLE people RENAME COLUMN name TO other, RENAME COLUMN other TO third, RENAME COLUMN third TO name;\nUPDATE people SET name = 'q', third = 'z' WHERE id = 1;", down: "ALTER TABLE people RENAME COLUMN other TO name, RENAME COLUMN third TO other, RENAME COLUMN name TO third;"},
	{name: "numbers that are handed out anew", engines: "mysql mariadb", setup: "CREATE TABLE named (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, a varchar(20) NOT NULL);\nINSERT INTO named VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four'), (5, 'five'), (9, 'nine');",
		up: "ALTER TABLE named DROP PRIMARY KEY, MODIFY id bigint unsigned NOT NULL, ADD PRIMARY KEY (a);\nALTER TABLE named DROP COLUMN id;", down: "ALTER TABLE named DROP PRIMARY KEY, ADD COLUMN id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST;"},
	{name: "partitions drawn anew", engines: "mysql mariadb", setup: "CREATE TABLE days (d integer PRIMARY KEY, n integer) PARTITION BY RANGE (d) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));\nINSERT INTO days VALUES (1, 1), (9, 9), (11, 11), (19, 19);\nCREATE TABLE hashed (d integer PRIMARY KEY, n integer) PARTITION BY HASH (d) PARTITIONS 4;\nINSERT INTO hashed SELECT d, n FROM days;",
		up: "ALTER TABLE days REORGANIZE PARTITION p0, p1 INTO (PARTITION q VALUES LESS THAN (20));\nALTER TABLE hashed COALESCE PARTITION 2;\nALTER TABLE days REMOVE PARTITIONING;\nUPDATE days SET n = 0;", down: "ALTER TABLE hashed ADD PARTITION PARTITIONS 2;"},
	{name: "partition exchanged for a table", engines: "mysql", setup: "CREATE TABLE days (d integer PRIMARY KEY, n integer) PARTITION BY RANGE (d) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));\nINSERT INTO days VALUES (1, 1), (9, 9), (11, 11), (19, 19);\nCREATE TABLE archive (d integer PRIMARY KEY, n integer);\nINSERT INTO archive VALUES (2, 2), (9, 90);",
		up: "ALTER TABLE days EXCHANGE PARTITION p0 WITH TABLE archive;\nALTER TABLE days DROP PARTITION p0;", down: "ALTER TABLE days REORGANIZE PARTITION p1 INTO (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));"},
	{name: "triggers stay and do not fire", engines: "mysql mariadb", setup: `CREATE TABLE counts (k varchar(20) PRIMARY KEY, n integer);
INSERT INTO counts VALUES ('orders', 4);
CREATE TRIGGER t_count AFTER INSERT ON orders FOR EACH ROW UPDATE counts SET n = n + 1 WHERE k = 'orders';`, up: "TRUNCATE TABLE orders;", down: "SELECT 1;"},
	{name: "settings and dynamic SQL", engines: "mysql mariadb", up: `SET FOREIGN_KEY_CHECKS = 0;
ALTER TABLE people ADD COLUMN extra integer DEFAULT 3;
LOCK TABLES people WRITE;
UPDATE people SET extra = 4;
UNLOCK TABLES;
SET FOREIGN_KEY_CHECKS = 1;`, down: "ALTER TABLE people DROP COLUMN extra;"},
	{name: "prepared statements of constant texts", engines: "mysql mariadb", up: `SET @s = 'UPDATE orders SET total = 0 WHERE id = 1';
PREPARE p FROM @s;
EXECUTE p;
SET @t = 'people';
SET @s = (SELECT IF((SELECT count(*) FROM information_schema.columns WHERE table_schema = database() AND table_name = @t AND column_name = 'name') > 0, CONCAT('ALTER TABLE ', @t, ' DROP COLUMN name;'), 'SELECT 1'));
PREPARE p FROM @s;
EXECUTE p;
SET @s = IF((SELECT count(*) FROM information_schema.columns WHERE table_schema = database() AND table_name = 'people' AND column_name = 'extra') > 0, 'SELECT 1', 'ALTER TABLE people ADD COLUMN extra integer');
PREPARE p FROM @s;
EXECUTE p;
DEALLOCATE PREPARE p;
PREPARE q FROM 'DROP TABLE orders';
EXECUTE q;`, down: `PREPARE q FROM 'CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2))';
EXECUTE q;
SET @s = 'ALTER TABLE people DROP COLUMN extra, ADD COLUMN name varchar(40) NOT NULL';
PREPARE q FROM @s;
EXECUTE q;`},
	{name: "ten mixed statements", engines: "mysql mariadb", setup: "CREATE TABLE visits (id integer PRIMARY KEY, page varchar(40));\nINSERT INTO visits VALUES (1, 'a'), (2, 'b');",
		up: strings.TrimPrefix(strings.Split(mixed, "-- +goose Down\n")[0], "-- +goose Up\n"), down: strings.Split(mixed, "-- +goose Down\n")[1]},
}
