package effects

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compares all that Parse finds in realistic migrations. Both builds of the PostgreSQL
// grammar (with and without cgo) are held to the same files.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dialect := Dialect(filepath.Base(filepath.Dir(file)))
			statements, err := Parse(dialect, string(text))
			if err != nil {
				t.Fatal(err)
			}
			checkStatements(t, dialect, string(text), statements)
			got := dump(string(text), statements)
			golden := strings.TrimSuffix(file, ".sql") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (see -update):\n%s", golden, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			line := "(end)"
			if i < len(w) {
				line = w[i]
			}
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], line)
		}
	}
	return "the golden file is longer"
}

// dump writes statements for people: one line a statement, one an effect, with every field that is set.
func dump(text string, statements []Statement) string {
	var b strings.Builder
	for _, s := range statements {
		line, column := Position(text, s.Offset)
		fmt.Fprintf(&b, "%d:%d %s", line, column, firstWords(s.SQL))
		if s.Autocommit {
			b.WriteString(" [autocommit]")
		}
		if s.ImplicitCommit {
			b.WriteString(" [commits]")
		}
		for _, span := range s.NotNullSpans {
			fmt.Fprintf(&b, " [%s %s: %q]", span.Column, span.Text, s.SQL[span.Start:span.End])
		}
		if s.ParseError != "" {
			fmt.Fprintf(&b, " [rejected at %d: %s]", s.ErrorOffset, s.ParseError)
		}
		b.WriteByte('\n')
		for _, e := range s.Effects {
			fmt.Fprintf(&b, "    %s -> %s%s\n", e.Summary(), e.Loss(), fields(e, "Kind", "Table", "Object", "NewName", "Columns"))
		}
	}
	return b.String()
}

// fields lists what is set in a struct, the fields named excepted.
func fields(v any, but ...string) string {
	var b strings.Builder
	rv := reflect.ValueOf(v)
	for i := range rv.NumField() {
		name, f := rv.Type().Field(i).Name, rv.Field(i)
		empty := f.IsZero() && (f.Kind() != reflect.Slice || f.IsNil())
		if empty || slices.Contains(but, name) {
			continue
		}
		b.WriteString(" " + name)
		if f.Kind() != reflect.Bool {
			b.WriteString("=" + value(f))
		}
	}
	return b.String()
}

func value(f reflect.Value) string {
	if f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	switch v := f.Interface().(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case Name:
		return v.String()
	}
	switch f.Kind() {
	case reflect.Struct:
		return "{" + strings.TrimSpace(fields(f.Interface())) + "}"
	case reflect.Slice:
		parts := make([]string, f.Len())
		for i := range parts {
			parts[i] = value(f.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(f.Interface())
}

// checkStatements holds statements to what is promised of every text.
func checkStatements(t *testing.T, d Dialect, text string, statements []Statement) {
	t.Helper()
	end := 0
	for _, s := range statements {
		if s.Offset < end || s.Offset+len(s.SQL) > len(text) || text[s.Offset:s.Offset+len(s.SQL)] != s.SQL {
			t.Fatalf("%q is no slice of the text at %d", s.SQL, s.Offset)
		}
		if gap := text[end:s.Offset]; !isGap(d, gap) {
			t.Fatalf("lost between statements: %q in %q", gap, text)
		}
		end = s.Offset + len(s.SQL)
		if len(s.Effects) == 0 {
			t.Fatalf("%q has no effect", s.SQL)
		}
		if s.ParseError != "" && (!s.Opaque() || s.ErrorOffset < 0 || s.ErrorOffset > len(s.SQL)) {
			t.Fatalf("%q rejected (%s) at %d, yet %v", s.SQL, s.ParseError, s.ErrorOffset, s.Effects)
		}
		checkSpans(t, d, s)
	}
	if gap := text[end:]; !isGap(d, gap) {
		t.Fatalf("lost at the end: %q in %q", gap, text)
	}
}

// isGap: between statements there are blanks, comments and semicolons.
func isGap(d Dialect, gap string) bool {
	if d == MySQL || d == MariaDB { // what the server does not run
		gap, _ = mysqlFlatten(d, gap)
	}
	for _, tok := range lex(d, gap, false) {
		if gap[tok.start:tok.end] != ";" {
			return false
		}
	}
	return true
}

// checkSpans: without what cannot hold yet, a statement is still one, and says the same otherwise.
func checkSpans(t *testing.T, d Dialect, s Statement) {
	t.Helper()
	if len(s.NotNullSpans) == 0 {
		return
	}
	blanked := []byte(s.SQL)
	for _, span := range s.NotNullSpans {
		for i := span.Start; i < span.End; i++ {
			blanked[i] = ' '
		}
	}
	again, err := Parse(d, string(blanked))
	if err != nil || len(again) != 1 || again[0].ParseError != "" {
		t.Fatalf("blanked %q is no statement: %+v, %v", blanked, again, err)
	}
	if len(again[0].NotNullSpans) != 0 {
		t.Fatalf("blanked %q has spans %v", blanked, again[0].NotNullSpans)
	}
	for i, e := range again[0].Effects {
		if e.Kind != s.Effects[i].Kind || e.Table != s.Effects[i].Table || !reflect.DeepEqual(e.Columns, s.Effects[i].Columns) {
			t.Fatalf("blanked %q does %s, not %s", blanked, e.Summary(), s.Effects[i].Summary())
		}
	}
}
