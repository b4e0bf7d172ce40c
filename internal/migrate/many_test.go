package migrate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestManyStatements: of a migration that inserts, changes and deletes rows of one table one by one, as seeds and repairs by hand do, each statement has a capture of its own, and what
// is asked of all of them is asked together. Every row comes back, twice, and what the application has written since stays.
func TestManyStatements(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		statements := 130
		if strings.HasPrefix(dsn, "m") {
			statements = 40 // a table of ours is made for each, on the disk
		}
		var setup, up, down strings.Builder
		setup.WriteString("CREATE TABLE seat (row_no integer NOT NULL, letter varchar(2) NOT NULL, name varchar(20), n integer, PRIMARY KEY (row_no, letter));\n")
		for i := range 200 {
			fmt.Fprintf(&setup, "INSERT INTO seat VALUES (%d, '%c', 'name %d', %d);\n", i, 'a'+i%3, i, i)
		}
		for i := range statements {
			switch i % 6 {
			case 0, 1:
				fmt.Fprintf(&up, "INSERT INTO seat VALUES (%d, 'z', 'new %d', 0);\n", 1000+i, i)
				fmt.Fprintf(&down, "DELETE FROM seat WHERE row_no = %d;\n", 1000+i)
			case 2:
				fmt.Fprintf(&up, "UPDATE seat SET name = 'changed %d' WHERE row_no = %d;\n", i, i%30)
			case 3:
				fmt.Fprintf(&up, "UPDATE seat SET n = n + 1 WHERE (row_no < 30 OR row_no > 999) AND row_no %% 7 = %d;\n", i%7)
			case 4:
				fmt.Fprintf(&up, "DELETE FROM seat WHERE row_no = %d;\n", 40+i)
			case 5:
				fmt.Fprintf(&up, "INSERT INTO seat VALUES (%d, '%c', 'again %d', NULL);\n", 40+i-1, 'a'+(40+i-1)%3, i)
			}
		}
		f := newFixture(t, dsn, setup.String(), map[string]string{"00001_a.sql": migration(up.String(), down.String())})
		rows := func() []string {
			return testdb.Query(t, dsn, "SELECT row_no, letter, name, n FROM seat ORDER BY row_no")
		}
		var want []string
		for _, row := range rows() {
			if !strings.HasPrefix(row, "36|") {
				want = append(want, strings.Replace(row, "name 35", "theirs", 1))
			}
		}
		want = append(want, "9000|a|theirs|1")
		before := f.dump()
		f.up()
		f.backAndUp(before, f.dump())
		f.exec("UPDATE seat SET name = 'theirs' WHERE row_no = 35;\nDELETE FROM seat WHERE row_no = 36;\nINSERT INTO seat VALUES (9000, 'a', 'theirs', 1);\n")
		res := f.rollback(migrate.RollbackRequest{})
		if got := rows(); !slices.Equal(got, want) || len(res.Conflicts) > 0 {
			t.Errorf("with writes in between:\n%s\nconflicts %+v", testdb.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")), res.Conflicts)
		}
	}, everywhere...)
}
