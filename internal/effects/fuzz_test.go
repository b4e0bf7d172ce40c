package effects

import (
	"os"
	"path/filepath"
	"testing"
)

func seed(f *testing.F, d Dialect) {
	files, err := filepath.Glob("testdata/" + string(d) + "/*.sql")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
		statements, err := Parse(d, string(text))
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range statements {
			f.Add(s.SQL)
		}
	}
}

func fuzz(f *testing.F, d Dialect) {
	seed(f, d)
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := Parse(d, text)
		if err != nil {
			if check(text) == nil {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		checkStatements(t, d, text, statements)
	})
}

func FuzzParsePostgres(f *testing.F) { fuzz(f, Postgres) }
func FuzzParseSQLite(f *testing.F)   { fuzz(f, SQLite) }
func FuzzParseMySQL(f *testing.F)    { fuzz(f, MySQL) }
func FuzzParseMariaDB(f *testing.F)  { fuzz(f, MariaDB) }

func FuzzAnnotations(f *testing.F) {
	f.Add(annotated)
	f.Add("-- +goose Up\n-- +dbrollback affects: \"a\".b, c\nDO $$x$$;")
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range []Dialect{Postgres, MySQL, MariaDB, SQLite} {
			list, err := AnnotationsIn(d, text)
			if (err != nil) != (check(text) != nil) {
				t.Fatalf("%q: %v", text, err)
			}
			for _, a := range list {
				if a.Line < 1 || a.Column < 1 || a.Problem == "" && a.Kind == "" || a.Problem == "" && a.Kind == Affects && len(a.Tables) == 0 {
					t.Fatalf("%q: %+v", text, a)
				}
			}
		}
	})
}

func FuzzLocate(f *testing.F) {
	f.Add("-- +goose Up\nSELECT 1;\n", "SELECT 1;", 0)
	f.Fuzz(func(t *testing.T, file, stmt string, after int) {
		start, end := Locate(file, stmt, after)
		if (start < 0) != (end < 0) || start > end || end > len(file) {
			t.Fatalf("Locate(%q, %q, %d) = %d, %d", file, stmt, after, start, end)
		}
	})
}
