package engine_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// Who refers to a table is found however its name is written there.
func TestSQLiteReferenced(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.OnSQLite.New(t), engine.Options{})
	for _, statement := range []string{
		`CREATE TABLE Parent (id INTEGER PRIMARY KEY)`, `CREATE TABLE "a""b'c" (id INTEGER PRIMARY KEY)`, `CREATE TABLE Ünter (id INTEGER PRIMARY KEY)`,
		`CREATE TABLE upper (p INT REFERENCES PARENT)`, `CREATE TABLE quoted (p INT REFERENCES "parent" (id))`, `CREATE TABLE [in brackets] (p INT REFERENCES [Parent])`,
		"CREATE TABLE other (p INT, parent INT REFERENCES quoted (p), FOREIGN KEY (p) REFERENCES `a\"b'c`)", `CREATE TABLE doubled (p INT REFERENCES 'A"b''C')`,
		`CREATE TABLE far (u INT REFERENCES "Ünter")`, `CREATE TABLE parentage (p INT)`, `ALTER TABLE quoted RENAME TO "renamed one"`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for name, want := range map[string][]string{
		"parent": {"in brackets", "renamed one", "upper"}, `a"b'c`: {"doubled", "other"}, "Ünter": {"far"}, "renamed one": {"other"}, "upper": nil,
	} {
		table, err := db.Inspect(t.Context(), db, engine.Name{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, fk := range table.Referenced {
			got = append(got, fk.Table.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: referenced by %q, want %q", name, got, want)
		}
	}
}
