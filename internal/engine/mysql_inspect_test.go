package engine_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// Foreign keys from and to a table are found one table at a time, also where a name is spelt in another way by the storage engine.
func TestMySQLReferenced(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		for _, statement := range []string{
			"CREATE TABLE p (id int PRIMARY KEY, boss int, CONSTRAINT p_boss FOREIGN KEY (boss) REFERENCES p (id))",
			"CREATE TABLE c (a int, b int, CONSTRAINT c_a FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE, CONSTRAINT c_b FOREIGN KEY (b) REFERENCES p (id))",
			"CREATE TABLE d (a int, CONSTRAINT d_a FOREIGN KEY (a) REFERENCES p (id), x int PRIMARY KEY)",
			"CREATE TABLE e (a int, CONSTRAINT e_a FOREIGN KEY (a) REFERENCES d (x))",
		} {
			exec(t, db, statement)
		}
		check := func(name string, from, to []string) {
			t.Helper()
			table := inspect(t, db, engine.Name{Name: name})
			for i, fks := range [][]engine.ForeignKey{table.ForeignKeys, table.Referenced} {
				var got []string
				for _, fk := range fks {
					got = append(got, fk.Name)
				}
				if want := [][]string{from, to}[i]; !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
		check("p", []string{"p_boss"}, []string{"c_a", "c_b", "d_a", "p_boss"})
		check("c", []string{"c_a", "c_b"}, nil)
		check("d", []string{"d_a"}, []string{"e_a"})
		exec(t, db, "CREATE TABLE `odd name` (a int, CONSTRAINT o_a FOREIGN KEY (a) REFERENCES p (id))")
		check("p", []string{"p_boss"}, []string{"c_a", "c_b", "d_a", "o_a", "p_boss"})
		check("odd name", []string{"o_a"}, nil)
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// References written with a column make a foreign key, or nothing: MySQL takes notice of them from release 9 on.
func TestMySQLInlineKeys(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		exec(t, db, "CREATE TABLE p (id int PRIMARY KEY)")
		exec(t, db, "CREATE TABLE c (a int REFERENCES p (id))")
		if keys := inspect(t, db, engine.Name{Name: "c"}).ForeignKeys; len(keys) > 0 != db.Caps.InlineKeys {
			t.Errorf("%d keys, and InlineKeys is %t", len(keys), db.Caps.InlineKeys)
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}
