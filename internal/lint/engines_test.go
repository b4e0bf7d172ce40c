package lint

import "testing"

// TestRulesSQLite: what the pages of rules.md show on PostgreSQL, on SQLite, and the borders of each rule.
func TestRulesSQLite(t *testing.T) {
	base := "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age INT); CREATE TABLE log (at TEXT); " +
		"CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INT REFERENCES users (id) ON DELETE CASCADE);"
	rebuild := "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO new SELECT id, name FROM users; DROP TABLE users; ALTER TABLE new RENAME TO users;"
	anew := func(columns string) string {
		return "CREATE TABLE new (" + columns + "); INSERT INTO new SELECT id, name, age FROM users; DROP TABLE users; ALTER TABLE new RENAME TO users;"
	}
	for family, cases := range map[string][]ruleCase{
		"BC1": {
			{"rebuild, NOT NULL", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age INT NOT NULL"), "SELECT 1;", "BC103 users.age becomes NOT NULL"},
			{"rebuild, NOT NULL with a default", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age INT NOT NULL DEFAULT 0"), "SELECT 1;", ""},
			{"rebuild, another type", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age REAL"), "SELECT 1;", "BC104 from INT to REAL"},
			{"rebuild, another name for the type", sqlite, base, anew("id INTEGER PRIMARY KEY, name varchar(10) DEFAULT 'x', age BIGINT"), "SELECT 1;", ""},
			{"rebuild, a default lost", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT, age INT"), "SELECT 1;", "BC108 users.name"},
			{"rebuild, a column lost", sqlite, base, rebuild, "SELECT 1;", "BC106 users.age"},
		},
		"LK108": {
			{"rebuild, another key", sqlite, base, anew("id INTEGER, name TEXT DEFAULT 'x', age INT, PRIMARY KEY (id, name)"), "SELECT 1;", "LK108 users"},
			{"rebuild, the same key", sqlite, base, anew("id INTEGER, name TEXT DEFAULT 'x', age INT, PRIMARY KEY (id)"), "SELECT 1;", ""},
		},
		"DS": {
			{"drop table", sqlite, base, "DROP TABLE users;", "SELECT 1;", "DS102 users"},
			{"drop table of this migration", sqlite, base, "CREATE TABLE x (id INTEGER PRIMARY KEY); DROP TABLE x;", "SELECT 1;", ""},
			{"rebuild that loses a column", sqlite, base, rebuild, "SELECT 1;", "DS103 users.age"},
			{"rebuild with all its columns", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age INTEGER"), "SELECT 1;", ""},
			{"rebuild, a type narrowed", sqlite, base, anew("id INTEGER PRIMARY KEY, name INT DEFAULT 'x', age INT"), "SELECT 1;", "DS109 users.name"},
			{"rebuild, a type that holds all", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age TEXT"), "SELECT 1;", ""},
			{"drop column", sqlite, base, "ALTER TABLE users DROP COLUMN age;", "SELECT 1;", "DS103 users.age"},
			{"drop column of this migration", sqlite, base, "ALTER TABLE users ADD COLUMN x INT; ALTER TABLE users DROP COLUMN x;", "SELECT 1;", ""},
			{"delete all", sqlite, base, "DELETE FROM log;", "SELECT 1;", "DS106 log"},
			{"delete some", sqlite, base, "DELETE FROM log WHERE at < '2020';", "SELECT 1;", ""},
			{"update all", sqlite, base, "UPDATE users SET age = 0;", "SELECT 1;", "DS107 users"},
			{"update some", sqlite, base, "UPDATE users SET age = 0 WHERE age = 1;", "SELECT 1;", ""},
			{"delete that cascades", sqlite, base, "DELETE FROM users WHERE id = 1;", "SELECT 1;", "DS108 posts"},
		},
		"BC": {
			{"rename table", sqlite, base, "ALTER TABLE users RENAME TO people;", "SELECT 1;", "BC101 people"},
			{"rename of a new table", sqlite, base, anew("id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', age INT"), "SELECT 1;", ""},
			{"rename column", sqlite, base, "ALTER TABLE users RENAME COLUMN age TO years;", "SELECT 1;", "BC102 years"},
			{"not null", sqlite, base, "ALTER TABLE users ADD COLUMN x INT NOT NULL;", "SELECT 1;", "BC103 users.x"},
			{"not null with a default", sqlite, base, "ALTER TABLE users ADD COLUMN x INT NOT NULL DEFAULT 0;", "SELECT 1;", ""},
			{"unique index", sqlite, base, "CREATE UNIQUE INDEX u ON users (name);", "SELECT 1;", "BC105 unique index"},
			{"unique index on a new column", sqlite, base, "ALTER TABLE users ADD COLUMN x INT; CREATE UNIQUE INDEX u ON users (x);", "SELECT 1;", ""},
			{"drop column", sqlite, base, "ALTER TABLE users DROP COLUMN age;", "SELECT 1;", "BC106 users.age"},
			{"view", sqlite, base + "CREATE VIEW v AS SELECT id FROM users;", "DROP VIEW v; CREATE VIEW v AS SELECT name FROM users;", "SELECT 1;", "BC107 view v"},
		},
		"LK": {
			{"backfill", sqlite, base, "ALTER TABLE users ADD COLUMN x INT; UPDATE users SET x = 1;", "SELECT 1;", "LK107 users"},
			{"backfill of a new table", sqlite, base, "CREATE TABLE n (id INTEGER PRIMARY KEY); UPDATE n SET id = 1;", "SELECT 1;", ""},
			{"transaction", sqlite, base, "SAVEPOINT x; RELEASE x;", "SELECT 1;", "LK111 refused"},
		},
		"NM": {
			{"no key", sqlite, base, "CREATE TABLE n (a INT);", "SELECT 1;", "NM001 n"},
			{"key in the column", sqlite, base, "CREATE TABLE n (a INTEGER PRIMARY KEY);", "SELECT 1;", ""},
			{"foreign key", sqlite, base, "CREATE TABLE n (a INTEGER PRIMARY KEY, u INT REFERENCES users);", "SELECT 1;", "NM002 users"},
			{"foreign key that is a key", sqlite, base, "CREATE TABLE n (u INTEGER PRIMARY KEY REFERENCES users);", "SELECT 1;", ""},
		},
		"RV01": {
			{"pragma", sqlite, base, "PRAGMA foreign_keys = OFF;", "SELECT 1;", "RV011 foreign_keys"},
			{"pragma before a table goes", sqlite, base, "PRAGMA foreign_keys = OFF;" + rebuild, "SELECT 1;", "RV011 DROP TABLE users deletes the rows of posts"},
			{"pragma that is rejected", sqlite, base, "PRAGMA synchronous = OFF;", "SELECT 1;", "RV011 rejects"},
			{"pragma that works", sqlite, base, "PRAGMA user_version = 3;", "SELECT 1;", ""},
			{"random", sqlite, base, "UPDATE users SET age = random() WHERE age = 0;", "SELECT 1;", "RV012 random()"},
			{"a row has a rowid", sqlite, base, "DELETE FROM log WHERE at = '';", "SELECT 1;", ""},
			{"no rowid, but a key", sqlite, base + "CREATE TABLE k (a TEXT PRIMARY KEY) WITHOUT ROWID;", "DELETE FROM k WHERE a = '';", "SELECT 1;", ""},
		},
	} {
		checkRules(t, family, cases)
	}
}

func TestBordersPostgres(t *testing.T) {
	base := "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(20), n numeric(10,2), e text NOT NULL); CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint);"
	for family, cases := range map[string][]ruleCase{
		"DS": {
			{"cascade", pg, base, "DROP TABLE posts CASCADE;", "SELECT 1;", "DS108 unnamed"},
			{"wider numeric", pg, base, "ALTER TABLE users ALTER n TYPE numeric(12,2);", "SELECT 1;", ""},
			{"narrower numeric", pg, base, "ALTER TABLE users ALTER n TYPE numeric(10,1);", "SELECT 1;", "DS109 numeric(10,1)"},
			{"wider integer", pg, "CREATE TABLE t (id int PRIMARY KEY);", "ALTER TABLE t ALTER id TYPE bigint;", "SELECT 1;", ""},
			{"narrower integer", pg, base, "ALTER TABLE users ALTER id TYPE int;", "SELECT 1;", "DS109 integer"},
			{"text to integer", pg, base, "ALTER TABLE users ALTER e TYPE int USING e::int;", "SELECT 1;", "DS109 integer"},
			{"longer text", pg, base, "ALTER TABLE users ALTER name TYPE text;", "SELECT 1;", ""},
			{"table that no migration made", pg, base, "DROP TABLE legacy;", "SELECT 1;", "DS102 legacy"},
			{"type of this migration", pg, base, "CREATE TYPE x AS ENUM ('a'); DROP TYPE x;", "SELECT 1;", ""},
		},
		"BC": {
			{"unique index on a materialized view", pg, base + "CREATE MATERIALIZED VIEW mv AS SELECT id FROM users;", "CREATE UNIQUE INDEX u ON mv (id);", "SELECT 1;", ""},
			{"foreign key on a new column", pg, base, "ALTER TABLE posts ADD COLUMN u bigint REFERENCES users (id); ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (u) REFERENCES users (id);", "SELECT 1;", ""},
			{"constraint on a new table", pg, base, "CREATE TABLE n (a int PRIMARY KEY); ALTER TABLE n ADD CONSTRAINT c CHECK (a > 0);", "SELECT 1;", ""},
			{"default dropped and set", pg, "CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 1);", "ALTER TABLE t ALTER a DROP DEFAULT; ALTER TABLE t ALTER a SET DEFAULT 2;", "SELECT 1;", ""},
			{"function dropped", pg, "CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql;", "DROP FUNCTION f();", "SELECT 1;", "BC107 function f"},
			{"serial needs no default", pg, base, "ALTER TABLE users ADD COLUMN s serial NOT NULL;", "SELECT 1;", ""},
		},
		"LK10": {
			{"index on a new materialized view", pg, base, "CREATE MATERIALIZED VIEW mv AS SELECT id FROM users; CREATE INDEX ON mv (id);", "SELECT 1;", ""},
			{"index on a materialized view", pg, base + "CREATE MATERIALIZED VIEW mv AS SELECT id FROM users;", "CREATE INDEX ON mv (id);", "SELECT 1;", "LK101 mv"},
			{"index on a new table", pg, base, "CREATE TABLE n (a int PRIMARY KEY, b int); CREATE INDEX ON n (b);", "SELECT 1;", ""},
			{"widening of text", pg, base, "ALTER TABLE users ALTER name TYPE varchar(40);", "SELECT 1;", ""},
			{"not null that is already", pg, base, "ALTER TABLE users ALTER e SET NOT NULL;", "SELECT 1;", ""},
			{"primary key gone", pg, base, "ALTER TABLE posts DROP CONSTRAINT posts_pkey;", "SELECT 1;", "LK108 posts"},
			{"primary key column gone", pg, base, "ALTER TABLE posts DROP COLUMN id;", "SELECT 1;", "LK108 loses column id"},
			{"stored column", pg, base, "ALTER TABLE posts ADD COLUMN d bigint GENERATED ALWAYS AS (id * 2) STORED;", "SELECT 1;", "LK104 stored"},
			{"constant default", pg, base, "ALTER TABLE posts ADD COLUMN d bigint DEFAULT 2;", "SELECT 1;", ""},
			{"reindex", pg, base, "REINDEX TABLE posts;", "SELECT 1;", ""},
		},
		"NM": {
			{"partition", pg, "CREATE TABLE p (id int) PARTITION BY LIST (id);", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);", "SELECT 1;", ""},
			{"temporary", pg, base, "CREATE TEMP TABLE t (a int);", "SELECT 1;", ""},
			{"key added later", pg, base, "CREATE TABLE t (a int); ALTER TABLE t ADD PRIMARY KEY (a);", "SELECT 1;", ""},
			{"table from a query", pg, base, "CREATE TABLE t AS SELECT 1 AS a;", "SELECT 1;", "NM001 t"},
			{"foreign key inside a longer key", pg, base, "CREATE TABLE t (u bigint REFERENCES users (id), p bigint, PRIMARY KEY (u, p));", "SELECT 1;", ""},
		},
		"SF": {
			{"password of a role", pg, base, "ALTER ROLE bob WITH PASSWORD 'x';", "SELECT 1;", "SF001 password"},
			{"password null", pg, base, "ALTER ROLE bob WITH PASSWORD NULL;", "SELECT 1;", ""},
			{"a column called password", pg, base, "ALTER TABLE users ADD COLUMN password text DEFAULT 'x';", "SELECT 1;", ""},
			{"through a variable", pg, base, "ALTER ROLE bob WITH PASSWORD '${BOB}';", "SELECT 1;", ""},
			{"user mapping", pg, base, "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', password 'x');", "SELECT 1;", "SF001 password"},
		},
		"RV009": {
			{"copy to a program", pg, base, "COPY users TO PROGRAM 'cat';", "SELECT 1;", "RV009 PROGRAM"},
			{"select", pg, base, "SELECT count(*) FROM users;", "SELECT 1;", ""},
		},
	} {
		checkRules(t, family, cases)
	}
}
