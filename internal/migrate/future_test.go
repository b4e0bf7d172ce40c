package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestPlanFollowsNames: a plan names what is captured of a table, or a column, also when the run gives it another name first; it is what up captures then.
func TestPlanFollowsNames(t *testing.T) {
	t.Parallel()
	const made = "CREATE TABLE fresh (id integer PRIMARY KEY, n integer);\nINSERT INTO fresh VALUES (1, 1);\n"
	for _, c := range []struct {
		name    string
		files   []string
		want    string // what the plan says is captured, tables and kinds
		columns string // of the last capture
	}{
		{"renamed and dropped", []string{"ALTER TABLE orders RENAME TO bills;\nDROP TABLE bills;"}, "orders table", ""},
		{"renamed twice, updated", []string{"ALTER TABLE people RENAME TO folk;\nALTER TABLE folk RENAME TO humans;\nUPDATE humans SET score = 1 WHERE id = 1;"}, "people rows", "score"},
		{"renamed by an earlier migration", []string{"ALTER TABLE people RENAME TO folk;", "UPDATE folk SET score = 1;"}, "people rows", "score"},
		{"a column dropped of a renamed table", []string{"ALTER TABLE people RENAME TO folk;\nALTER TABLE folk DROP COLUMN note;"}, "people columns", "note"},
		{"a renamed column", []string{"ALTER TABLE people RENAME COLUMN note TO remark;\nUPDATE people SET remark = 'x';"}, "people rows", "note"},
		{"a renamed column dropped", []string{"ALTER TABLE people RENAME COLUMN note TO remark;\nALTER TABLE people DROP COLUMN remark;"}, "people columns", "note"},
		{"made only where it is missing", []string{"CREATE TABLE IF NOT EXISTS orders (id integer PRIMARY KEY);\nUPDATE orders SET total = 1;"}, "orders rows", "total"},
		{"rebuilt", []string{made + "ALTER TABLE orders RENAME TO old;\nALTER TABLE fresh RENAME TO orders;\nDELETE FROM orders;\nDROP TABLE old;"}, "orders table", ""},
		{"made and renamed", []string{made + "ALTER TABLE fresh RENAME TO stale;\nUPDATE stale SET n = 2;\nDROP TABLE stale;"}, "", ""},
		{"a made column", []string{"ALTER TABLE people ADD COLUMN a integer;\nUPDATE people SET a = 1;\nALTER TABLE people DROP COLUMN a;"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, nil)
				for i, up := range c.files {
					f.add("0000"+string(rune('1'+i))+"_a.sql", migration(up, "SELECT 1;"))
				}
				for _, rehearse := range []bool{false, f.db.Caps.TransactionalDDL} {
					p, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1, Rehearse: rehearse})
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					var columns []string
					lossless := true
					for _, m := range p.Migrations {
						lossless = lossless && m.Verdict == migrate.Lossless
						for _, s := range m.Steps {
							for _, n := range s.Captures {
								got = append(got, n.Name.Name+" "+string(n.Kind))
								columns = n.Columns
							}
						}
					}
					if rehearse { // the names are those of then
						if (len(got) > 0) != (c.want != "") {
							t.Errorf("rehearsed: captures %q, want %q", got, c.want)
						}
						continue
					}
					if strings.Join(got, ", ") != c.want || lossless != (c.want == "") || c.columns != "" && !slices.Contains(columns, c.columns) {
						t.Errorf("captures %q of %q, lossless %t, want %q", got, columns, lossless, c.want)
					}
				}
			}, testdb.Everywhere()...)
		})
	}
}
