package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// goods is a table with a wide column, and with rows enough for an estimate to be none.
const ware = `
CREATE TABLE ware (id integer PRIMARY KEY, name varchar(40) NOT NULL, note varchar(200), stars integer NOT NULL DEFAULT 3, price integer NOT NULL, kind varchar(9) DEFAULT 'a');
INSERT INTO ware VALUES (1, 'Axe', 'sharp', 5, 100, 'b'), (2, 'Bow', NULL, 3, 200, NULL), (3, 'Cup', 'x''y', 1, 300, 'a'), (4, 'Die', '', 2, 400, 'c');
`

// TestKeptColumns: what is dropped stays with its row, rows that came since have what Down gives them, and it goes on like that.
func TestKeptColumns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, up, down, want string }{
		{"nothing given", "ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(200);", "1 sharp, 3 x'y, 4 , 5 NULL, 6 NULL"},
		{"a default given", "ALTER TABLE ware DROP COLUMN note;", "ALTER TABLE ware ADD COLUMN note varchar(200) DEFAULT 'new';", "1 sharp, 3 x'y, 4 , 5 new, 6 new"},
		{"its own default", "ALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars integer NOT NULL DEFAULT 3;", "1 5, 3 1, 4 2, 5 3, 6 3"},
		{"another default", "ALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars integer NOT NULL DEFAULT 7;", "1 5, 3 1, 4 2, 5 7, 6 7"},
		{"no default of its own", "ALTER TABLE ware DROP COLUMN price;", "ALTER TABLE ware ADD COLUMN price integer NOT NULL DEFAULT 9;", "1 100, 3 300, 4 400, 5 9, 6 9"},
		{"a default of one that can be null", "ALTER TABLE ware DROP COLUMN kind;", "ALTER TABLE ware ADD COLUMN kind varchar(9) DEFAULT 'a';", "1 b, 3 a, 4 c, 5 a, 6 a"},
		{"Down forgets the default", "ALTER TABLE ware DROP COLUMN kind;", "ALTER TABLE ware ADD COLUMN kind varchar(9);", "1 b, 3 a, 4 c, 5 NULL, 6 NULL"},
		{"another type", "ALTER TABLE ware DROP COLUMN stars;", "ALTER TABLE ware ADD COLUMN stars bigint NOT NULL DEFAULT 7;", "1 5, 3 1, 4 2, 5 7, 6 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, ware, map[string]string{"00001_a.sql": migration(c.up, c.down)})
				f.columns = true
				f.up()
				if got := f.captured(); got != "kept_columns ware complete" {
					t.Fatalf("captured %s", got)
				}
				column := strings.TrimSuffix(strings.Fields(c.up)[5], ";")
				rest := []string{"id", "name"}
				for _, other := range []string{"note", "stars", "price", "kind"} {
					if other != column {
						rest = append(rest, other)
					}
				}
				f.exec("INSERT INTO ware (" + strings.Join(rest, ", ") + ") SELECT id + 4, " + strings.Join(rest[1:], ", ") + " FROM ware WHERE id < 3;\n" +
					"DELETE FROM ware WHERE id = 2;\nUPDATE ware SET name = 'Zip' WHERE id = 3;\n")
				res, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{Steps: 1, To: -1, AllowDrift: c.name == "another type"})
				if err != nil {
					t.Fatal(err)
				}
				if len(res.Conflicts) > 0 {
					t.Errorf("conflicts: %v", res.Conflicts)
				}
				rows := testdb.Query(t, dsn, "SELECT id, "+column+" FROM ware ORDER BY id")
				if got := strings.ReplaceAll(strings.Join(rows, ", "), "|", " "); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if got := testdb.Query(t, dsn, "SELECT id, name FROM ware ORDER BY id"); strings.Join(got, ", ") != "1|Axe, 3|Zip, 4|Die, 5|Axe, 6|Bow" {
					t.Errorf("rows: %v", got)
				}
				if d := f.dump(); strings.Contains(d, "dbrollback_col") || strings.Contains(d, "dbrollback_new") {
					t.Errorf("left over:\n%s", d)
				}
			}, keepers...)
		})
	}
}

// keepers are the engines that keep columns.
var keepers = testdb.Everywhere()

// captured lists kind, table and status of the captures with rows.
func (f *fixture) captured() string {
	f.t.Helper()
	table := "state_snapshots"
	if strings.HasPrefix(f.dsn, "postgres") {
		table = "dbrollback." + table
	}
	return strings.ReplaceAll(strings.Join(testdb.Query(f.t, f.dsn, "SELECT kind, table_name, status FROM "+table+" WHERE kind <> 'definition' ORDER BY captured_at, position"), ", "), "|", " ")
}
