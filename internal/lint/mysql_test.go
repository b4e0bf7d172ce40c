package lint

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func TestRulesMySQL(t *testing.T) {
	const my = effects.MySQL
	base := "CREATE TABLE users (id int NOT NULL AUTO_INCREMENT, name varchar(20) DEFAULT 'x', age int, state enum('a','b'), PRIMARY KEY (id), KEY age (age)); " +
		"CREATE TABLE posts (id int PRIMARY KEY, user_id int, CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE); CREATE TABLE log (at datetime);"
	for family, cases := range map[string][]ruleCase{
		"RV00": {
			{"column left", my, base, "ALTER TABLE users ADD COLUMN a int, ADD COLUMN b int;", "ALTER TABLE users DROP COLUMN a;", "RV002 column users.b"},
			{"columns dropped", my, base, "ALTER TABLE users ADD COLUMN a int, ADD COLUMN b int;", "ALTER TABLE users DROP COLUMN a, DROP COLUMN b;", ""},
			{"names in another case", my, base, "ALTER TABLE users ADD COLUMN Extra int;", "ALTER TABLE users DROP COLUMN extra;", ""},
			{"modified and not back", my, base, "ALTER TABLE users MODIFY name varchar(40) DEFAULT 'x', ADD a int;", "ALTER TABLE users DROP a;", "RV002 type of column users.name"},
			{"modified back, and forgotten that it had a default", my, base, "ALTER TABLE users MODIFY name varchar(40) DEFAULT 'x';", "ALTER TABLE users MODIFY name varchar(20);", "RV003 default"},
			{"modified back", my, base, "ALTER TABLE users MODIFY name varchar(40) DEFAULT 'x';", "ALTER TABLE users MODIFY name varchar(20) DEFAULT 'x';", ""},
			{"the collation is forgotten", my, base + "ALTER TABLE users MODIFY name varchar(20) COLLATE utf8mb4_bin DEFAULT 'x';", "ALTER TABLE users MODIFY name varchar(40) COLLATE utf8mb4_bin DEFAULT 'x';",
				"ALTER TABLE users MODIFY name varchar(20) DEFAULT 'x';", "RV003 another collation: it was utf8mb4_bin"},
			{"the collation may be that of the database", my, base + "ALTER TABLE users MODIFY name varchar(20) COLLATE utf8mb4_unicode_ci DEFAULT 'x';",
				"ALTER TABLE users MODIFY name varchar(40) COLLATE utf8mb4_unicode_ci DEFAULT 'x';", "ALTER TABLE users MODIFY name varchar(20) DEFAULT 'x';", ""},
			{"the collation is the table's", my, "CREATE TABLE u (a varchar(9) COLLATE utf8mb4_bin) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin;", "ALTER TABLE u MODIFY a varchar(20) COLLATE utf8mb4_bin;",
				"ALTER TABLE u MODIFY a varchar(9);", ""},
			{"bytes are compared no more", my, base + "ALTER TABLE users MODIFY name varchar(20) BINARY DEFAULT 'x';", "SELECT 1;", "ALTER TABLE users MODIFY name varchar(20) DEFAULT 'x';",
				"RV003 another type: it was varchar(20) binary"},
			{"so", effects.MariaDB, base + "ALTER TABLE users MODIFY name varchar(20) BINARY DEFAULT 'x';", "ALTER TABLE users MODIFY name varchar(40) BINARY DEFAULT 'x';",
				"ALTER TABLE users MODIFY name varchar(20) DEFAULT 'x';", "RV003 another type: it was varchar(20) binary"},
			{"changed there and back", my, base, "ALTER TABLE users CHANGE age years bigint;", "ALTER TABLE users CHANGE years age int;", ""},
			{"display width means nothing", my, base, "ALTER TABLE users DROP COLUMN age;", "ALTER TABLE users ADD COLUMN age int(11), ADD KEY age (age);", ""},
			{"index lost with its column", my, base, "ALTER TABLE users DROP COLUMN age;", "ALTER TABLE users ADD COLUMN age int;", "RV002 index users.age"},
			{"index of a foreign key stays", my, base, "ALTER TABLE users ADD CONSTRAINT f2 FOREIGN KEY (name) REFERENCES posts (id);", "ALTER TABLE users DROP FOREIGN KEY f2;", "RV002 index users.f2"},
			{"index of a foreign key dropped", my, base, "ALTER TABLE users ADD CONSTRAINT f2 FOREIGN KEY (name) REFERENCES posts (id);", "ALTER TABLE users DROP FOREIGN KEY f2; DROP INDEX f2 ON users;", ""},
			{"index in the way of a foreign key", my, base, "ALTER TABLE log ADD u int; CREATE INDEX lu ON log (u); ALTER TABLE log ADD CONSTRAINT lf FOREIGN KEY (u) REFERENCES users (id);",
				"DROP INDEX lu ON log; ALTER TABLE log DROP FOREIGN KEY lf; ALTER TABLE log DROP u;", "RV008 needed by foreign key lf"},
			{"column of a foreign key", my, base, "ALTER TABLE log ADD u int, ADD CONSTRAINT lf FOREIGN KEY (u) REFERENCES users (id);", "ALTER TABLE log DROP u;", "RV008 foreign key lf uses it"},
			{"column and foreign key at once", my, base, "ALTER TABLE log ADD u int, ADD CONSTRAINT lf FOREIGN KEY (u) REFERENCES users (id);", "ALTER TABLE log DROP u, DROP FOREIGN KEY lf;", ""},
			{"references with a column, a key from release 9 on", my, base, "ALTER TABLE log ADD u int REFERENCES users (id);", "ALTER TABLE log DROP FOREIGN KEY log_ibfk_1, DROP u;", ""},
			{"and nothing before", my, base, "ALTER TABLE log ADD u int REFERENCES users (id);", "ALTER TABLE log DROP u;", ""},
			{"a key of MariaDB", effects.MariaDB, base, "ALTER TABLE log ADD u int REFERENCES users (id);", "ALTER TABLE log DROP u;", "RV008 foreign key log_ibfk_1 uses it"},
			{"behind a key of the table", my, base, "CREATE TABLE seats (u int, FOREIGN KEY (u) REFERENCES users (id), n int REFERENCES users (id));", "ALTER TABLE seats DROP u; DROP TABLE seats;", "RV008 foreign key seats_ibfk_1 uses it"},
			{"unique key", my, base, "ALTER TABLE users ADD UNIQUE KEY un (name);", "ALTER TABLE users DROP INDEX un;", ""},
			{"unnamed unique key", my, base, "ALTER TABLE users ADD UNIQUE (name);", "ALTER TABLE users DROP INDEX name;", ""},
			{"primary key", my, base, "ALTER TABLE log ADD id int NOT NULL, ADD PRIMARY KEY (id);", "ALTER TABLE log DROP PRIMARY KEY, DROP id;", ""},
			{"opaque", my, base, "CALL fill();", "SELECT 1;", "RV005 cannot be captured"},
			{"trigger", my, base, "CREATE TRIGGER tr BEFORE INSERT ON log FOR EACH ROW SET NEW.at = now();", "DROP TRIGGER tr;", ""},
			{"rename", my, base, "RENAME TABLE log TO logs;", "RENAME TABLE logs TO log;", ""},
			{"outside", my, base, "LOAD DATA INFILE 'x' INTO TABLE log;", "DELETE FROM log;", "RV009 file"},
		},
		"RV01": {
			{"two commits", my, base, "ALTER TABLE users ADD a int; ALTER TABLE users ADD b int;", "SELECT 1;", "RV011 half applied"},
			{"one commit and rows", my, base, "ALTER TABLE users ADD a int; UPDATE users SET a = 1 WHERE id = 2;", "SELECT 1;", ""},
			{"no key", my, base, "DELETE FROM log WHERE at < '2020-01-01';", "SELECT 1;", "RV010 log"},
			{"rand", my, base, "UPDATE users SET age = rand() WHERE id = 1;", "SELECT 1;", "RV012 rand()"},
		},
		"DS": {
			{"drop database", my, base, "DROP DATABASE old;", "SELECT 1;", "DS101 old"},
			{"drop column", my, base, "ALTER TABLE users DROP age;", "SELECT 1;", "DS103 users.age"},
			{"truncate", my, base, "TRUNCATE log;", "SELECT 1;", "DS104 log"},
			{"partition", my, base, "ALTER TABLE log DROP PARTITION p1;", "SELECT 1;", "DS105 log"},
			{"delete that cascades", my, base, "DELETE FROM users WHERE id = 1;", "SELECT 1;", "DS108 posts"},
			{"narrower", my, base, "ALTER TABLE users MODIFY name varchar(10);", "SELECT 1;", "DS109 varchar(10)"},
			{"wider", my, base, "ALTER TABLE users MODIFY age bigint;", "SELECT 1;", ""},
			{"enum reordered", my, base, "ALTER TABLE users MODIFY state enum('b','a');", "SELECT 1;", "DS111 users.state"},
			{"enum grown", my, base, "ALTER TABLE users MODIFY state enum('a','b','c');", "SELECT 1;", ""},
			{"several tables", my, base, "DROP TABLE posts, log;", "SELECT 1;", "DS112 one after the other"},
		},
		"BC": {
			{"not null", my, base, "ALTER TABLE users MODIFY age int NOT NULL;", "SELECT 1;", "BC103 users.age"},
			{"not null already", my, "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL);", "ALTER TABLE t MODIFY a int NOT NULL COMMENT 'x';", "SELECT 1;", ""},
			{"change of name", my, base, "ALTER TABLE users CHANGE age years int;", "SELECT 1;", "BC102 years"},
			{"type", my, base, "ALTER TABLE users MODIFY age bigint;", "SELECT 1;", "BC104 bigint"},
			{"default lost", my, base, "ALTER TABLE users MODIFY name varchar(20);", "SELECT 1;", "BC108 users.name"},
			{"unique", my, base, "ALTER TABLE users ADD UNIQUE KEY u (name);", "SELECT 1;", "BC105 unique"},
		},
		"LK": {
			{"copy", my, base, "ALTER TABLE users MODIFY age bigint;", "SELECT 1;", "LK104 copies"},
			{"longer text in place", my, base, "ALTER TABLE users MODIFY name varchar(40) DEFAULT 'x';", "SELECT 1;", ""},
			{"convert", my, base, "ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4;", "SELECT 1;", "LK104 CONVERT"},
			{"primary key", my, base, "ALTER TABLE posts DROP PRIMARY KEY;", "SELECT 1;", "LK108 posts"},
		},
		"NM": {
			{"no key", my, base, "CREATE TABLE t (a int);", "SELECT 1;", "NM001 t"},
			{"key", my, base, "CREATE TABLE t (a int, PRIMARY KEY (a));", "SELECT 1;", ""},
		},
		"SF": {
			{"user", my, base, "CREATE USER 'a'@'%' IDENTIFIED BY 'x';", "SELECT 1;", "SF001 password"},
		},
	} {
		checkRules(t, family, cases)
	}
}
