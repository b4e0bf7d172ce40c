package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestParentsAlike: a foreign key finds its parent by the column's collation, in which other letters may be the same: such rows have a parent, and
// come back; one whose parent is gone stays out.
func TestParentsAlike(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		var kind string
		switch {
		case strings.HasPrefix(dsn, "postgres"):
			kind = "varchar(20)"
		case strings.HasPrefix(dsn, "sqlite"):
			dsn, kind = dsn+map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")]+"_pragma=foreign_keys(1)", "varchar(20) COLLATE NOCASE"
		default:
			kind = "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
		}
		ref := "e"
		if strings.HasPrefix(dsn, "postgres") {
			ref = "E"
		}
		f := newFixture(t, dsn, "CREATE TABLE maker (code "+kind+" PRIMARY KEY);\nCREATE TABLE part (id integer PRIMARY KEY, maker "+kind+", FOREIGN KEY (maker) REFERENCES maker (code));\n"+
			"INSERT INTO maker VALUES ('E'), ('gone');\nINSERT INTO part VALUES (1, '"+ref+"'), (2, 'E'), (3, 'gone');\n",
			map[string]string{"00001_a.sql": migration("DELETE FROM part;", "SELECT 1;")})
		rows := func(want ...string) {
			t.Helper()
			if got := testdb.Query(t, dsn, "SELECT id, maker FROM part ORDER BY id"); !slices.Equal(got, want) {
				t.Errorf("rows: %v, want %v", got, want)
			}
		}
		id := f.take("", "part")
		f.up()
		f.exec("DELETE FROM maker WHERE code = 'gone';\n")
		res := f.rollback(migrate.RollbackRequest{To: 0})
		rows("1|"+ref, "2|E")
		f.exec("DELETE FROM part;\n")
		back := f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}, Write: true})
		rows("1|"+ref, "2|E")
		for _, list := range [][]snapshot.Conflict{res.Conflicts, back.Conflicts} {
			if len(list) != 1 || list[0].Key != "id=3" || list[0].Reason != "parent deleted" {
				t.Errorf("conflicts: %+v", list)
			}
		}
		// Both come back together, from a snapshot and from a migration.
		f.exec("DELETE FROM part;\nDELETE FROM maker;\nINSERT INTO maker VALUES ('E');\nINSERT INTO part VALUES (1, '" + ref + "'), (2, 'E');\n")
		id = f.take("", "part", "maker")
		f.exec("DELETE FROM part;\nDELETE FROM maker;\n")
		if back := f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}, Write: true}); len(back.Conflicts) > 0 {
			t.Errorf("both come back: conflicts: %+v", back.Conflicts)
		}
		rows("1|"+ref, "2|E")
		both := newFixture(t, dsn, "", map[string]string{"00001_a.sql": migration("DELETE FROM part;\nDELETE FROM maker;", "SELECT 1;")})
		both.up()
		if res := both.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 {
			t.Errorf("both are rolled back: conflicts: %+v", res.Conflicts)
		}
		rows("1|"+ref, "2|E")
	}, testdb.Everywhere()...)
}

// TestChildrenAlike: rows that point to a row in other letters go with it, are set to NULL with it and follow its key like all others, and come back as
// they were spelt.
func TestChildrenAlike(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		kind, rust, gopher := "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "RUST", "GOPHER"
		switch {
		case strings.HasPrefix(dsn, "postgres"):
			kind, rust, gopher = "varchar(20)", "Rust", "Gopher"
		case strings.HasPrefix(dsn, "sqlite"):
			dsn, kind = dsn+map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")]+"_pragma=foreign_keys(1)", "varchar(20) COLLATE NOCASE"
		}
		child := func(name, action string) string {
			return "CREATE TABLE " + name + " (id integer PRIMARY KEY, word " + kind + ", FOREIGN KEY (word) REFERENCES word (code)" + action + ");\n" +
				"INSERT INTO " + name + " VALUES (1, '" + rust + "'), (2, 'Rust'), (3, '" + gopher + "'), (4, NULL);\n"
		}
		f := newFixture(t, dsn, "CREATE TABLE word (code "+kind+" PRIMARY KEY, n integer);\nINSERT INTO word VALUES ('Rust', 1), ('Gopher', 2);\n"+
			child("gone", " ON DELETE CASCADE ON UPDATE CASCADE")+child("emptied", " ON DELETE SET NULL ON UPDATE CASCADE")+child("first", " ON UPDATE CASCADE"),
			map[string]string{"00001_a.sql": migration("DELETE FROM first WHERE id < 3;\nDELETE FROM word WHERE n = 1;\nUPDATE word SET code = 'Go' WHERE n = 2;", "SELECT 1;")})
		rows := func() (out []string) {
			for _, table := range []string{"word", "gone", "emptied", "first"} {
				out = append(out, testdb.Query(t, dsn, "SELECT '"+table+"', a.* FROM "+table+" a ORDER BY 2")...)
			}
			return out
		}
		before := rows()
		f.up()
		after := rows()
		same := func(when string, got, want []string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s:\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		res := f.rollback(migrate.RollbackRequest{To: 0})
		same("rolled back", rows(), before)
		f.up()
		same("up again", rows(), after)
		f.exec("INSERT INTO gone VALUES (9, 'Go');\nUPDATE word SET n = 3 WHERE code = 'Go';\n")
		written := f.rollback(migrate.RollbackRequest{To: 0})
		f.exec("DELETE FROM gone WHERE id = 9 AND word = 'Gopher';\nUPDATE word SET n = 2 WHERE n = 3;\n")
		same("rolled back after writes", rows(), before)
		if len(res.Conflicts) > 0 || len(written.Conflicts) > 0 {
			t.Errorf("conflicts: %+v, %+v", res.Conflicts, written.Conflicts)
		}
	}, testdb.Everywhere()...)
}
