package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// sightseeing is a little of everything that a database of MySQL's family holds.
var sightseeing = []string{
	"CREATE TABLE parents (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, boss bigint unsigned NULL, `odd ``name` varchar(20) CHARACTER SET latin1, " +
		"doc json, bits bit(9), d date, f float, full varchar(40) AS (concat(`odd ``name`, '!')) STORED, at timestamp DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, " +
		"CHECK (f >= 0), UNIQUE KEY names (`odd ``name`)) COMMENT 'a \\'quoted\\' one'",
	"CREATE TABLE children (id int PRIMARY KEY, parent bigint unsigned, p geometry NOT NULL, CONSTRAINT up FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE)",
	"ALTER TABLE parents ADD CONSTRAINT self FOREIGN KEY (boss) REFERENCES parents (id)",
	"CREATE TABLE no_key (a int, b blob)",
	"CREATE TABLE counts (n int)",
	"INSERT INTO counts VALUES (0)",
	"CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC NO SQL RETURN 2 * x",
	"CREATE PROCEDURE reset() UPDATE counts SET n = 0",
	"CREATE VIEW some AS SELECT id, twice(id) AS t FROM parents",
	"CREATE VIEW more AS SELECT t FROM some",
	"CREATE TRIGGER counting AFTER INSERT ON parents FOR EACH ROW UPDATE counts SET n = n + 1",
	"SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'; INSERT INTO parents (id, boss, `odd ``name`, doc, bits, d, f) VALUES (0, NULL, 'e', '{\"é\": 1.50}', b'101', '0000-00-00', 0.1), (7, 0, 'x', NULL, NULL, '2024-02-30', 3.4e38)",
	"INSERT INTO children VALUES (1, 7, POINT(1, 2))",
	"INSERT INTO no_key VALUES (1, x'00ff'), (1, x'00ff'), (NULL, NULL)",
}

// What statements copy is like the original: objects and rows, our own tables too, and nothing fired on the way.
func TestCopyByStatements(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, st := range sightseeing {
			testdb.Exec(t, dsn, strings.Split(st, "; ")...)
		}
		if strings.HasPrefix(dsn, "mariadb") {
			testdb.Exec(t, dsn, "CREATE SEQUENCE tickets START WITH 5", "CREATE TABLE numbered (n bigint DEFAULT NEXTVAL(tickets), x int)", "INSERT INTO numbered (x) VALUES (1), (2)")
		}
		f := newFixture(t, dsn, "", map[string]string{"00001_x.sql": migration("DELETE FROM no_key WHERE a = 1;", "SELECT 1;")})
		f.up()
		before := testdb.Dump(t, dsn)
		scratch, err := engine.NewScratchBeside(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = scratch.Close() }()
		name, how, original, err := migrate.CopyForDrill(t.Context(), scratch, dsn, func(string) {})
		if err != nil || how != "statements" || original == "" {
			t.Fatalf("%s of %s: %v", how, original, err)
		}
		own := func(text string) string {
			return strings.ReplaceAll(text, original, name)
		}
		if copied := testdb.Dump(t, scratch.DSN(name)); own(copied) != own(before) {
			t.Errorf("the copy:\n%s", testdb.Diff(own(before), own(copied)))
		}
		if got := testdb.Query(t, scratch.DSN(name), "SELECT n FROM counts")[0]; got != "2" {
			t.Errorf("the trigger fired: %s", got)
		}
		rows := func(dsn string) string {
			return strings.Join(testdb.Query(t, dsn, "SELECT location, row_count, checksum FROM state_snapshots"), "\n")
		}
		if a, b := rows(dsn), rows(scratch.DSN(name)); a != b || a == "" {
			t.Errorf("captures %q, %q", a, b)
		}
		if strings.HasPrefix(dsn, "mariadb") {
			testdb.Exec(t, scratch.DSN(name), "INSERT INTO numbered (x) VALUES (3)")
			if got := testdb.Query(t, scratch.DSN(name), "SELECT count(*) - count(DISTINCT n) FROM numbered")[0]; got != "0" {
				t.Error("a number was handed out twice")
			}
		}
		// What is done to the copy, its code included, stays there.
		testdb.Exec(t, scratch.DSN(name), "CALL reset()", "DELETE FROM children", "DELETE FROM parents WHERE id = 7", "INSERT INTO parents (id, `odd ``name`) VALUES (9, 'new')")
		testdb.SameDump(t, dsn, before)

	}, testdb.OnMariaDB, testdb.OnMySQL)
}

// Code and migrations that name their database would work on the original: that is refused before they run.
func TestCopyKeepsAwayFromTheOriginal(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		original := testdb.Query(t, dsn, "SELECT database()")[0]
		f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration("CREATE TABLE x (id integer PRIMARY KEY);\nDELETE FROM "+original+".people;", "DROP TABLE x;")})
		_, err := f.drill(migrate.DrillOptions{})
		if got := refusal(t, err); !strings.Contains(got, "migration 1 names the database "+original) {
			t.Error(got)
		}
		f = newFixture(t, dsn, "", map[string]string{"00001_x.sql": migration("CREATE TABLE x (id integer PRIMARY KEY);", "DROP TABLE x;")})
		f.exec("CREATE TRIGGER t AFTER DELETE ON people FOR EACH ROW DELETE FROM " + original + ".orders WHERE person = OLD.id")
		scratch, err := engine.NewScratchBeside(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = scratch.Close() }()
		_, _, _, err = migrate.CopyForDrill(t.Context(), scratch, dsn, func(string) {})
		if got := refusal(t, err); !strings.Contains(got, "trigger people.t names its database") {
			t.Error(got)
		}
	}, testdb.OnMariaDB, testdb.OnMySQL)
}
