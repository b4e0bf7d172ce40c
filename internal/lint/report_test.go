package lint

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/xeipuuv/gojsonschema"
)

// sample is a report with an error, a warning, fixes, and characters that formats have to escape.
func sample(t *testing.T) *Report {
	t.Helper()
	ms := history(t, pg,
		goose("CREATE TABLE \"us<er>s\" (id int PRIMARY KEY, näme text DEFAULT '100%, a:b');", "DROP TABLE \"us<er>s\";"),
		"-- +goose Up\n\tALTER TABLE \"us<er>s\" DROP COLUMN näme;\n-- +goose Down\nSELECT 1;\nALTER TABLE \"us<er>s\" ADD COLUMN näme text;\n",
	)
	ms[1].File = "my migrations/00002,ü.sql"
	r := Run(ms, Options{Engine: pg})
	r.Text = func(file string) string {
		if file != ms[1].File {
			t.Errorf("the text of %s was asked for", file)
		}
		return ms[1].Text
	}
	return r
}

func TestFormats(t *testing.T) {
	for _, format := range Formats {
		t.Run(format, func(t *testing.T) {
			var b bytes.Buffer
			if err := Write(&b, sample(t), format, "1.2.3", false); err != nil {
				t.Fatal(err)
			}
			golden(t, "report."+format, b.String())
		})
	}
	t.Run("colour", func(t *testing.T) {
		var b bytes.Buffer
		if err := Write(&b, sample(t), "text", "", true); err != nil {
			t.Fatal(err)
		}
		golden(t, "report.colour", strings.ReplaceAll(b.String(), "\x1b", "^"))
	})
	if err := Write(&bytes.Buffer{}, sample(t), "html", "", false); err == nil || !strings.Contains(err.Error(), "junit") {
		t.Errorf("an unknown format: %v", err)
	}
}

// TestEmptyReport: nothing found is still a whole document in every format.
func TestEmptyReport(t *testing.T) {
	r := Run(history(t, pg, goose("CREATE TABLE t (id int PRIMARY KEY);", "DROP TABLE t;")), Options{Engine: pg})
	for _, format := range Formats {
		var b bytes.Buffer
		if err := Write(&b, r, format, "", false); err != nil {
			t.Fatal(err)
		}
		switch format {
		case "json":
			if want := `"findings": []`; !strings.Contains(b.String(), want) {
				t.Errorf("json lacks %s: %s", want, b.String())
			}
		case "sarif":
			if want := `"results": []`; !strings.Contains(b.String(), want) {
				t.Errorf("sarif lacks %s", want)
			}
		case "junit":
			var s junitSuites
			if err := xml.Unmarshal(b.Bytes(), &s); err != nil || s.Tests != 1 || s.Failures != 0 {
				t.Errorf("junit: %v, %d tests, %d failures", err, s.Tests, s.Failures)
			}
		case "github":
			if b.Len() > 0 {
				t.Errorf("github: %s", b.String())
			}
		case "text":
			if b.String() != "1 migration, 0 errors, 0 warnings\n" {
				t.Errorf("text: %s", b.String())
			}
		}
	}
}

// TestSARIFSchema validates reports against the schema of the standard: one with findings, one with none, and one with
// what text in a migration can bring along.
func TestSARIFSchema(t *testing.T) {
	empty := &Report{}
	odd := &Report{Findings: []Diagnostic{{Code: "RV001", Severity: Error, File: "/abs/ö d/#?%.sql", Line: 1, Column: 1, Message: "a\x01\u2028\"<b>\" é \U0001f600", Fix: "x;\ny;"}}}
	for name, r := range map[string]*Report{"sample": sample(t), "empty": empty, "odd": odd} {
		var b bytes.Buffer
		if err := Write(&b, r, "sarif", "1.2.3", false); err != nil {
			t.Fatal(err)
		}
		if err := validSARIF(t, b.Bytes()); err != nil {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
	for _, bad := range []string{`{"version": "2.1.0", "runs": [{}]}`, `{"version": "2.1.0", "runs": [], "pages": 1}`, `{"version": "2.2.0", "runs": []}`} {
		if validSARIF(t, []byte(bad)) == nil {
			t.Errorf("taken for valid: %s", bad)
		}
	}
}

// validSARIF validates a document against the schema that OASIS publishes, as a library has it in its source.
func validSARIF(t *testing.T, document []byte) error {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", reflect.TypeFor[sarif.Report]().PkgPath()).Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := strconv.Unquote(file.Scope.Lookup("schema").Decl.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	result, err := gojsonschema.Validate(gojsonschema.NewStringLoader(schema), gojsonschema.NewBytesLoader(document))
	if err != nil {
		return err
	}
	var all []error
	for _, e := range result.Errors() {
		all = append(all, errors.New(e.String()))
	}
	return errors.Join(all...)
}

// TestSARIF checks what the standard demands of the parts that are written.
func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, sample(t), "sarif", "1.2.3", false); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	dec := json.NewDecoder(&b)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("version %q, %d runs", log.Version, len(log.Runs))
	}
	rules := log.Runs[0].Tool.Driver.Rules
	if len(rules) != len(Rules) || len(log.Runs[0].Results) == 0 {
		t.Fatalf("%d rules, %d results", len(rules), len(log.Runs[0].Results))
	}
	for _, r := range rules {
		if r.ShortDescription.Text == "" || r.FullDescription.Text == "" || !strings.Contains(r.Help.Text, r.HelpURI) || !strings.HasSuffix(r.HelpURI, "#"+strings.ToLower(r.ID)) {
			t.Errorf("incomplete: %+v", r)
		}
	}
	for _, r := range log.Runs[0].Results {
		region := r.Locations[0].Physical.Region
		uri := r.Locations[0].Physical.Artifact.URI
		switch {
		case rules[r.RuleIndex].ID != r.RuleID:
			t.Errorf("%s has the index of %s", r.RuleID, rules[r.RuleIndex].ID)
		case r.Level != "error" && r.Level != "warning":
			t.Errorf("level %q", r.Level)
		case r.Message.Text == "" || region.StartLine < 1 || region.StartColumn < 1:
			t.Errorf("incomplete: %+v", r)
		case strings.ContainsAny(uri, " ü"):
			t.Errorf("not a URI: %s", uri)
		}
	}
}

func TestCaret(t *testing.T) {
	long := strings.Repeat("a", 200)
	for name, c := range map[string]struct {
		line   string
		column int
		want   string
	}{
		"a tab":              {"\tDROP", 2, "     7 |  DROP\n       |  ^\n"},
		"an umlaut":          {"näme x", 6, "     7 | näme x\n       |      ^\n"},
		"a long line":        {strings.Repeat("a", 130), 1, "     7 | " + strings.Repeat("a", 120) + "…\n       | ^\n"},
		"beyond the line":    {"x", 121, ""},
		"escapes":            {"\x1b[31m\x1b]0;t\a\x7f\r\u009b2J\u202ex DROP", 20, "     7 | ␛[31m␛]0;t␇␡␍\ufffd2J\ufffdx DROP\n       | " + strings.Repeat(" ", 19) + "^\n"},
		"wide characters":    {"表🙂 x", 4, "     7 | 表🙂 x\n       |      ^\n"},
		"combining marks":    {"e\u0301 x", 4, "     7 | e\u0301 x\n       |   ^\n"},
		"far to the right":   {long + "XY" + long, 201, "     7 | …" + strings.Repeat("a", 60) + "XY" + strings.Repeat("a", 58) + "…\n       | " + strings.Repeat(" ", 61) + "^\n"},
		"wide, to the right": {strings.Repeat("表", 200) + "X", 201, "     7 | …" + strings.Repeat("表", 30) + "X\n       | " + strings.Repeat(" ", 61) + "^\n"},
	} {
		if got := quoteLine(false, c.line, 7, c.column); got != c.want {
			t.Errorf("%s: got\n%q want\n%q", name, got, c.want)
		}
	}
}

// TestPrintable: a report for people is free of what a file could tell the terminal.
func TestPrintable(t *testing.T) {
	ms := history(t, pg, "-- +goose Up\nCREATE TABLE \"a\x1b]0;x\a\" (id int PRIMARY KEY, s text DEFAULT '\u009b2J');\n-- +goose Down\nSELECT 1;\n")
	ms[0].File = "m/1_\x1b[2J.sql"
	r := Run(ms, Options{Engine: pg})
	r.Text = func(string) string { return ms[0].Text }
	var b bytes.Buffer
	if err := Write(&b, r, "text", "", false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "RV001") || strings.ContainsFunc(b.String(), func(c rune) bool { return c != '\n' && unicode.IsControl(c) }) {
		t.Errorf("%q", b.String())
	}
}

// TestJUnitSchema holds reports against Jenkins' junit-10.xsd: the attributes that each element must and may have, and what stands in what.
func TestJUnitSchema(t *testing.T) {
	type element struct{ within, must, may []string }
	number := []string{"tests", "failures", "errors"}
	known := map[string]element{
		"testsuites": {within: []string{""}, may: append([]string{"name", "time"}, number...)},
		"testsuite":  {within: []string{"testsuites", "testsuite"}, must: append([]string{"name"}, number...), may: []string{"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"}},
		"testcase":   {within: []string{"testsuite"}, must: []string{"name"}, may: []string{"time", "classname", "group"}},
		"failure":    {within: []string{"testcase"}, may: []string{"type", "message"}},
	}
	odd := &Report{Files: []string{"a\x01.sql"}, Findings: []Diagnostic{{Code: "RV001", Severity: Error, File: "b\x1b<&\ufffe.sql", Line: 1, Column: 1, Message: "a\x00\ufffe\"]]>", Fix: "x;\ny;"}}}
	for name, r := range map[string]*Report{"sample": sample(t), "empty": {}, "odd": odd} {
		var b bytes.Buffer
		if err := Write(&b, r, "junit", "", false); err != nil {
			t.Fatal(err)
		}
		dec := xml.NewDecoder(&b)
		open := []string{""}
		for {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch e := token.(type) {
			case xml.StartElement:
				k, ok := known[e.Name.Local]
				if !ok || !slices.Contains(k.within, open[len(open)-1]) {
					t.Fatalf("%s: <%s> in <%s>", name, e.Name.Local, open[len(open)-1])
				}
				var has []string
				for _, a := range e.Attr {
					has = append(has, a.Name.Local)
					if !slices.Contains(k.must, a.Name.Local) && !slices.Contains(k.may, a.Name.Local) {
						t.Errorf("%s: <%s> knows no %s", name, e.Name.Local, a.Name.Local)
					}
				}
				for _, m := range k.must {
					if !slices.Contains(has, m) {
						t.Errorf("%s: <%s> lacks %s", name, e.Name.Local, m)
					}
				}
				open = append(open, e.Name.Local)
			case xml.EndElement:
				open = open[:len(open)-1]
			case xml.CharData:
				if in := open[len(open)-1]; in != "failure" && strings.TrimSpace(string(e)) != "" {
					t.Errorf("%s: text in <%s>: %q", name, in, e)
				}
			}
		}
		if len(open) != 1 {
			t.Errorf("%s: %v are left open", name, open)
		}
	}
}

// TestFileURI: paths in SARIF are URI references that lead back to the file.
func TestFileURI(t *testing.T) {
	for path, want := range map[string]string{
		"a:b/1.sql":        "./a:b/1.sql",
		"m/a:b.sql":        "m/a:b.sql",
		"1:x.sql":          "./1:x.sql",
		"a b/ü%#?[1].sql":  "a%20b/%C3%BC%25%23%3F%5B1%5D.sql",
		"../up/a.sql":      "../up/a.sql",
		"/abs/a b:c/x.sql": "file:///abs/a%20b:c/x.sql",
	} {
		got := fileURI(path)
		u, err := url.Parse(got)
		if got != want || err != nil || filepath.IsAbs(path) != u.IsAbs() || filepath.Clean(u.Path) != filepath.Clean(path) {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
}

func TestSeverities(t *testing.T) {
	ms := func() []*Migration { return history(t, pg, goose("CREATE TABLE t (a int);", "")) }
	r := Run(ms(), Options{Engine: pg, Severity: map[string]Severity{"RV001": Off, "NM001": Error}})
	if r.Count(Error) != 1 || r.Count(Warning) != 0 || r.Findings[0].Code != "NM001" {
		t.Errorf("got%s", print(r.Findings))
	}
	for _, bad := range []map[string]Severity{{"XX001": Off}, {"RV001": "loud"}} {
		if CheckSeverities(bad) == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	if err := CheckSeverities(map[string]Severity{"RV001": Off}); err != nil {
		t.Error(err)
	}
}

func TestIgnore(t *testing.T) {
	base := goose("CREATE TABLE t (id int PRIMARY KEY, a int, b int);", "DROP TABLE t;")
	up := "-- +dbrollback ignore: DS103 not used\nALTER TABLE t DROP COLUMN a;\nALTER TABLE t DROP COLUMN b;"
	down := "ALTER TABLE t ADD COLUMN b int;\nALTER TABLE t ADD COLUMN a int;"
	findings := lintLast(t, Options{Engine: pg}, base, goose(up, down))
	n := 0
	for _, f := range findings {
		if f.Code == "DS103" {
			n++
			if !strings.Contains(f.Message, "t.b") {
				t.Errorf("the wrong statement is ignored:%s", print(findings))
			}
		}
	}
	if n != 1 {
		t.Errorf("%d DS103, want the one of the second statement:%s", n, print(findings))
	}
	irreversible := lintLast(t, Options{Engine: pg}, base, "-- +dbrollback irreversible: archived\n"+goose("DROP TABLE t;", ""))
	for _, f := range irreversible {
		if strings.HasPrefix(f.Code, "RV") {
			t.Errorf("accepted as irreversible, and still:%s", print(irreversible))
		}
	}
}

func TestVersions(t *testing.T) {
	text := goose("CREATE TABLE t (id int PRIMARY KEY);", "DROP TABLE t;")
	old, late := migration(t, pg, 5, text), migration(t, pg, 3, strings.ReplaceAll(text, " t", " u"))
	old.Skip, old.Old = true, true
	if got := codes(Run([]*Migration{late, old}, Options{Engine: pg}).Findings); len(got) != 1 || got[0] != "SF002" {
		t.Errorf("a late one: %v", got)
	}
	late.Version = 7
	if got := codes(Run([]*Migration{old, late}, Options{Engine: pg}).Findings); len(got) != 0 {
		t.Errorf("in order: %v", got)
	}
}
