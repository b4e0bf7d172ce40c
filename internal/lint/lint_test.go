package lint

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

var update = flag.Bool("update", false, "write the golden files anew")

// migration reads a goose text without goose: tests of rules need no more of the format than its marks.
func migration(t testing.TB, d effects.Dialect, version int64, text string) *Migration {
	t.Helper()
	m := &Migration{Version: version, File: fmt.Sprintf("m/%05d.sql", version), Text: text, Transactional: !strings.Contains(text, "+goose NO TRANSACTION")}
	notes, err := effects.AnnotationsIn(d, text)
	if err != nil {
		t.Fatal(err)
	}
	m.Notes = notes
	down := len(text)
	if i := strings.Index(text, "-- +goose Down"); i >= 0 {
		m.HasDown, down = true, i
	}
	m.Up = statements(t, d, text, 0, down)
	m.Down = statements(t, d, text, down, len(text))
	return m
}

func statements(t testing.TB, d effects.Dialect, text string, from, to int) []Statement {
	t.Helper()
	parsed, err := effects.Parse(d, text[from:to])
	if err != nil {
		t.Fatal(err)
	}
	var out []Statement
	for _, st := range parsed {
		line, column := effects.Position(text, from+st.Offset)
		out = append(out, Statement{Statement: st, Line: line, Column: column})
	}
	return out
}

// history is a folder of migrations, versions counted from 1.
func history(t testing.TB, d effects.Dialect, texts ...string) []*Migration {
	t.Helper()
	var out []*Migration
	for i, text := range texts {
		out = append(out, migration(t, d, int64(i+1), text))
	}
	return out
}

// TestIndexesInProportion: what indexes that come and go take grows with their number, and not with its square.
func TestIndexesInProportion(t *testing.T) {
	memory := func(d effects.Dialect, n int) uint64 {
		var up, down strings.Builder
		for i := range n {
			fmt.Fprintf(&up, "CREATE TABLE t%d (id bigint PRIMARY KEY, a integer);\nCREATE INDEX i%d ON t%d (a);\n", i, i, i)
			if i > 0 {
				fmt.Fprintf(&up, "DROP INDEX i%d;\n", i-1)
			}
			fmt.Fprintf(&down, "DROP TABLE t%d;\n", n-1-i)
		}
		ms := history(t, d, goose(up.String(), down.String()))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := Run(ms, Options{Engine: d})
		runtime.ReadMemStats(&after)
		if len(r.Findings) > 0 {
			t.Fatalf("%d findings, the first: %s", len(r.Findings), print(r.Findings[:1]))
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	for _, d := range []effects.Dialect{effects.Postgres, effects.SQLite} {
		if few, many := memory(d, 300), memory(d, 1200); many > 6*few {
			t.Errorf("%s: %d bytes for 300, %d for 1200", d, few, many)
		}
	}
}

// TestIndexFound: an index is found by its name wherever its table has gone.
func TestIndexFound(t *testing.T) {
	findings := lintLast(t, Options{Engine: pg},
		goose("CREATE TABLE a (id int PRIMARY KEY, x int);\nCREATE INDEX i ON a (x);\nALTER TABLE a RENAME TO b;\nALTER INDEX i RENAME TO j;", "DROP TABLE b;"),
		goose("ALTER TABLE b RENAME TO c;\nDROP INDEX j;\nALTER TABLE c RENAME TO b;", "CREATE INDEX j ON b (id);"))
	found := slices.ContainsFunc(findings, func(f Diagnostic) bool { return f.Code == "RV003" && strings.Contains(f.Message, "index j") })
	if !found {
		t.Errorf("got%s", print(findings))
	}
}

// TestIntervalColumn: a column that is called an interval is none.
func TestIntervalColumn(t *testing.T) {
	findings := lintLast(t, Options{Engine: pg},
		goose("CREATE TABLE u (id int PRIMARY KEY, pay_interval text CHECK (pay_interval IN ('a', 'b')));", "DROP TABLE u;"),
		goose("ALTER TABLE u DROP CONSTRAINT u_pay_interval_check;\nALTER TABLE u ADD CONSTRAINT u_pay_interval_check CHECK (pay_interval IN ('a', 'c'));\nALTER TABLE u ADD COLUMN x int;",
			"ALTER TABLE u DROP COLUMN x;"))
	if !slices.Contains(codes(findings), "RV002") && !slices.Contains(codes(findings), "RV003") {
		t.Errorf("got%s", print(findings))
	}
}

// lintLast judges the last of some migrations in the light of those before it.
func lintLast(t testing.TB, o Options, texts ...string) []Diagnostic {
	t.Helper()
	ms := history(t, o.Engine, texts...)
	for _, m := range ms[:len(ms)-1] {
		m.Skip = true
	}
	return Run(ms, o).Findings
}

// goose puts Up and Down into one text.
func goose(up, down string) string {
	return "-- +goose Up\n" + up + "\n-- +goose Down\n" + down + "\n"
}

func codes(findings []Diagnostic) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func print(findings []Diagnostic) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "\n%s:%d:%d %s %s %s", f.File, f.Line, f.Column, f.Severity, f.Code, f.Message)
		if f.Fix != "" {
			fmt.Fprintf(&b, " [%s]", f.Fix)
		}
	}
	return b.String()
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run the test with -update to accept):\n%s", path, got)
	}
}

// example is a block of docs/rules.md.
type example struct {
	line  int
	kind  string // before, bad, good
	words []string
	text  string
}

func (e example) has(word string) bool { return slices.Contains(e.words, word) }

// rulePages reads docs/rules.md: examples by rule.
func rulePages(t *testing.T) (map[string][]example, string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string][]example{}
	code := ""
	var open *example
	for i, line := range strings.Split(string(b), "\n") {
		switch {
		case open != nil && line == "```":
			pages[code] = append(pages[code], *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```sql "):
			words := strings.Fields(line)[1:]
			open = &example{line: i + 2, kind: words[0], words: words[1:]}
		case strings.HasPrefix(line, "## "):
			code = strings.TrimPrefix(line, "## ")
			if _, twice := pages[code]; twice {
				t.Errorf("rules.md has %s twice", code)
			}
			pages[code] = nil
		}
	}
	return pages, string(b)
}

func TestRulePages(t *testing.T) {
	pages, text := rulePages(t)
	if len(pages) != len(Rules) {
		t.Errorf("rules.md has %d rules, there are %d", len(pages), len(Rules))
	}
	for _, r := range Rules {
		t.Run(r.Code, func(t *testing.T) {
			examples, ok := pages[r.Code]
			if !ok {
				t.Fatal("rules.md has no page about it")
			}
			if !strings.Contains(text, "ignore: "+r.Code+" ") && r.Code != "RV013" {
				t.Error("rules.md does not say how to ignore it")
			}
			var before []string
			seen := map[string]bool{}
			for _, e := range examples {
				seen[e.kind] = true
				if e.kind == "before" {
					before = append(before, e.text)
					continue
				}
				checkExample(t, r.Code, e, before)
			}
			if !seen["bad"] || !seen["good"] {
				t.Error("rules.md lacks a bad or a good example")
			}
		})
	}
}

func checkExample(t *testing.T, code string, e example, before []string) {
	t.Helper()
	o := Options{Engine: effects.Postgres, NoCapture: e.has("no-capture")}
	switch {
	case e.has("mysql"):
		o.Engine = effects.MySQL
	case e.has("sqlite"):
		o.Engine = effects.SQLite
	}
	ms := history(t, o.Engine, append(slices.Clone(before), e.text)...)
	last := ms[len(ms)-1]
	for _, m := range ms[:len(ms)-1] {
		m.Skip = true
	}
	last.Edited = e.has("edited")
	if e.has("version=1") {
		last.Version = 1
	}
	findings := Run(ms, o).Findings
	allowed := func(c string) bool { return c == code && e.kind == "bad" || e.has(c) }
	for _, f := range findings {
		if e.kind == "bad" && !allowed(f.Code) {
			t.Errorf("rules.md:%d: the bad example also gives%s", e.line, print([]Diagnostic{f}))
		}
	}
	if fires := slices.Contains(codes(findings), code); fires != (e.kind == "bad") {
		t.Errorf("rules.md:%d: the %s example gives%s", e.line, e.kind, print(findings))
	}
	if e.kind == "bad" && code != "RV013" {
		notes, err := effects.AnnotationsIn(o.Engine, "-- +dbrollback ignore: "+code+" for the test\n"+e.text)
		if err != nil {
			t.Fatal(err)
		}
		last.Notes = notes
		if slices.Contains(codes(Run(ms, o).Findings), code) {
			t.Errorf("rules.md:%d: an ignore for the file does not silence it", e.line)
		}
	}
}
