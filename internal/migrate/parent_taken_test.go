package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// kin are two tables: a row of person points to one of the same table, and one of pet to a person. Names are unique.
const kin = "CREATE TABLE person (id integer PRIMARY KEY, name varchar(20) UNIQUE, boss integer, FOREIGN KEY (boss) REFERENCES person (id));\n" +
	"CREATE TABLE pet (id integer PRIMARY KEY, person integer, FOREIGN KEY (person) REFERENCES person (id));\n" +
	"INSERT INTO person VALUES (1, 'a', NULL), (2, 'b', 1), (3, 'c', NULL), (4, 'd', 3), (5, 'e', NULL);\nINSERT INTO pet VALUES (10, 1), (20, 2), (30, 3), (40, 4), (50, 5);\n"

// stayedOut is one conflict a row, "person id=1 unique value taken".
func stayedOut(list []snapshot.Conflict) []string {
	var out []string
	for _, c := range list {
		out = append(out, strings.TrimPrefix(c.Table, "public.")+" "+c.Key+" "+c.Reason)
	}
	slices.Sort(out)
	return out
}

// TestParentsWhoseValueIsTaken: a row that cannot come back, because another one has its unique value by now, keeps those out that point to it,
// in other tables and in its own, and those that point to these; all others come back.
func TestParentsWhoseValueIsTaken(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite") {
			dsn += map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + "_pragma=foreign_keys(1)"
		}
		f := newFixture(t, dsn, kin, map[string]string{"00001_a.sql": migration("DELETE FROM pet WHERE id < 50;\nDELETE FROM person WHERE boss IS NOT NULL;\nDELETE FROM person WHERE id < 5;", "SELECT 1;")})
		rows := func(what string, people, pets []string) {
			t.Helper()
			if got := testdb.Query(t, dsn, "SELECT id, name, boss FROM person ORDER BY id"); !slices.Equal(got, people) {
				t.Errorf("%s: people %v, want %v", what, got, people)
			}
			if got := testdb.Query(t, dsn, "SELECT id, person FROM pet ORDER BY id"); !slices.Equal(got, pets) {
				t.Errorf("%s: pets %v, want %v", what, got, pets)
			}
		}
		people, pets := []string{"3|c|NULL", "4|d|3", "5|e|NULL", "9|a|NULL"}, []string{"30|3", "40|4", "50|5"}
		conflicts := []string{"person id=1 unique value taken", "person id=2 parent deleted", "pet id=10 parent deleted", "pet id=20 parent deleted"}
		id := f.take("", "person", "pet")
		f.up()
		f.exec("INSERT INTO person VALUES (9, 'a', NULL);\n")
		res := f.rollback(migrate.RollbackRequest{To: 0})
		rows("rolled back", people, pets)
		if got := stayedOut(res.Conflicts); !slices.Equal(got, conflicts) {
			t.Errorf("rolled back: conflicts %v, want %v", got, conflicts)
		}
		// A chain: the name of one that is gone is another one's, whose own name is a third one's, who came later.
		f.exec("DELETE FROM pet WHERE id < 50;\nDELETE FROM person WHERE boss IS NOT NULL;\nDELETE FROM person WHERE id < 5;\nDELETE FROM person WHERE id = 9;\nUPDATE person SET name = 'a' WHERE id = 5;\nINSERT INTO person VALUES (9, 'e', NULL);\n")
		people = []string{"3|c|NULL", "4|d|3", "5|a|NULL", "9|e|NULL"}
		conflicts = append([]string{"person id=1 unique value taken", "person id=2 parent deleted", "person id=5 unique value taken"}, conflicts[2:]...)
		ask := migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}}
		preview := f.restore(ask)
		if got := stayedOut(preview.Conflicts); !slices.Equal(got, conflicts) {
			t.Errorf("preview: conflicts %v, want %v", got, conflicts)
		}
		ask.Write = true
		was := f.dump()
		done := f.restore(ask)
		rows("restored", people, pets)
		if got := stayedOut(done.Conflicts); !slices.Equal(got, conflicts) {
			t.Errorf("restored: conflicts %v, want %v", got, conflicts)
		}
		for i := range done.Tables {
			if p, d := preview.Tables[i], done.Tables[i]; p != d {
				t.Errorf("foreseen %+v, done %+v", p, d)
			}
		}
		f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: done.Safety}, Write: true})
		f.same(was, f.dump(), "restored, and undone")
	}, everywhere...)
}

// TestParentsTakenWhereThatShowsLate: the same where only the write finds the value taken, because the index is over a part of the rows.
func TestParentsTakenWhereThatShowsLate(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite") {
			dsn += map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + "_pragma=foreign_keys(1)"
		}
		f := newFixture(t, dsn, "CREATE TABLE person (id integer PRIMARY KEY, name varchar(20));\nCREATE UNIQUE INDEX person_name ON person (name) WHERE id > 0;\n"+
			"CREATE TABLE pet (id integer PRIMARY KEY, person integer, FOREIGN KEY (person) REFERENCES person (id));\nINSERT INTO person VALUES (1, 'a'), (2, 'b');\nINSERT INTO pet VALUES (10, 1), (20, 2);\n",
			map[string]string{"00001_a.sql": migration("DELETE FROM pet;\nDELETE FROM person;", "SELECT 1;")})
		rows := func(what string) {
			t.Helper()
			if got := testdb.Query(t, dsn, "SELECT id, name FROM person UNION ALL SELECT id, CAST(person AS varchar(9)) FROM pet ORDER BY 1"); !slices.Equal(got, []string{"2|b", "9|a", "20|2"}) {
				t.Errorf("%s: %v", what, got)
			}
		}
		conflicts := []string{"person id=1 unique value taken", "pet id=10 parent deleted"}
		id := f.take("", "person", "pet")
		f.up()
		f.exec("INSERT INTO person VALUES (9, 'a');\n")
		res := f.rollback(migrate.RollbackRequest{To: 0})
		rows("rolled back")
		f.exec("DELETE FROM pet;\nDELETE FROM person WHERE id < 9;\n")
		done := f.restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id}, Write: true})
		rows("restored")
		for _, list := range [][]snapshot.Conflict{res.Conflicts, done.Conflicts} {
			if got := stayedOut(list); !slices.Equal(got, conflicts) {
				t.Errorf("conflicts %v, want %v", got, conflicts)
			}
		}
	}, testdb.OnPostgres, testdb.OnSQLite)
}
