package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

var update = flag.Bool("update", false, "write what the examples of the documentation print into them")

// documented is the database that the documentation speaks of; the test puts one of its own in its place.
const (
	documentedDSN    = "postgres://you:secret@localhost:5432/shop"
	documentedTarget = "postgres you@localhost:5432/shop"
)

// TestDocs runs every example of the documentation: the ```console blocks of a file, in order, in one shell. A
// line that begins with "$ " is a command (with its here-document), what follows is what it prints; times, ids and
// the like may differ. A comment <!-- folder: new --> begins again in an empty folder, with an empty database.
func TestDocs(t *testing.T) {
	for _, file := range append(documents(t), "../../README.md") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.SplitAfter(string(text), "<!-- folder: new -->")
			for i, part := range parts {
				parts[i] = runPart(t, file, part)
			}
			if now := strings.Join(parts, ""); *update && now != string(text) {
				if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// documents are the files of the documentation, and the skills of agents: their commands run, too.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	skills, err := filepath.Glob("../../skills/*/SKILL.md")
	if err != nil || len(skills) == 0 {
		t.Fatalf("no skill, %v", err)
	}
	return append(files, skills...)
}

var consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// example is one command of the documentation and what it is said to print.
type example struct{ command, want, got string }

func runPart(t *testing.T, file, part string) string {
	blocks := consoleBlock.FindAllStringSubmatchIndex(part, -1)
	if len(blocks) == 0 {
		return part
	}
	var all []*example
	perBlock := make([][]*example, len(blocks))
	for i, b := range blocks {
		perBlock[i] = examples(t, file, part[b[2]:b[3]])
		all = append(all, perBlock[i]...)
	}
	runExamples(t, all)
	for _, e := range all {
		if !*update && alike(e.got) != alike(e.want) {
			t.Errorf("%s: $ %s\nprints:\n%s\nis said to print:\n%s", file, e.command, e.got, e.want)
		}
	}
	var out strings.Builder
	last := 0
	for i, b := range blocks {
		out.WriteString(part[last:b[2]])
		for _, e := range perBlock[i] {
			shown := e.got
			if alike(e.got) == alike(e.want) {
				shown = e.want
			}
			fmt.Fprintf(&out, "$ %s\n%s", e.command, shown)
		}
		last = b[3]
	}
	return out.String() + part[last:]
}

func examples(t *testing.T, file, block string) []*example {
	var out []*example
	end := "" // of a here-document
	for _, l := range strings.SplitAfter(block, "\n") {
		command, begins := strings.CutPrefix(l, "$ ")
		switch {
		case end != "":
			last := out[len(out)-1]
			last.command += "\n" + strings.TrimSuffix(l, "\n")
			if strings.TrimSuffix(l, "\n") == end {
				end = ""
			}
		case begins:
			command = strings.TrimSuffix(command, "\n")
			out = append(out, &example{command: command})
			if _, word, ok := strings.Cut(command, "<<'"); ok {
				end, _, _ = strings.Cut(word, "'")
			}
		case len(out) == 0:
			t.Fatalf("%s: a console block begins with %q, not with a command", file, l)
		default:
			out[len(out)-1].want += l
		}
	}
	return out
}

// runExamples runs the commands in one shell, so that cd and export last, and fills what each printed.
func runExamples(t *testing.T, all []*example) {
	dsn, text := "", strings.Builder{}
	text.WriteString("status=0\n")
	for i, e := range all {
		command := strings.ReplaceAll(e.command, "go run ./cmd/dbrollback", "dbrollback")
		if strings.Contains(command, documentedDSN) && dsn == "" {
			dsn = testdb.Postgres(t)
		}
		command = strings.ReplaceAll(command, documentedDSN, dsn)
		fmt.Fprintf(&text, "(exit $status)\n%s\nstatus=$?\nprintf '\\001%d\\n'\n", command, i)
	}
	cmd := exec.Command("sh", "-c", "exec 2>&1\n"+text.String())
	// The shortest name there is: paths show up in what the demo prints.
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "TMPDIR="+cmd.Dir, "HOME="+cmd.Dir, "USER=you")
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Run(); err != nil {
		t.Fatalf("the shell: %v\n%s", err, b.String())
	}
	printed := b.String()
	if dsn != "" {
		target, err := engine.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		printed = strings.ReplaceAll(printed, describe(target), documentedTarget)
	}
	printed = strings.ReplaceAll(printed, cmd.Dir, "/tmp")
	for i, e := range all {
		var found bool
		e.got, printed, found = strings.Cut(printed, fmt.Sprintf("\x01%d\n", i))
		if !found {
			t.Fatalf("no end of: %s\n%s", e.command, printed)
		}
	}
}

// alike replaces what differs from run to run.
func alike(s string) string {
	for _, r := range differing {
		s = r.pattern.ReplaceAllString(s, r.by)
	}
	return s
}

var differing = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b\d{8}T\d{6}\.\d{6}-[0-9a-f]+\b`), "RUN"},
	{regexp.MustCompile(`dbrollback_data_\w+`), "dbrollback_data_N"},
	{regexp.MustCompile(`"duration_seconds": [0-9.e-]+`), "SECONDS"},
	{regexp.MustCompile(`"signature": "[^"]+"`), "SIGNATURE"},
	{regexp.MustCompile(`(?m)^TIME,RUN,(.*?),[^,]+@[^,]+,(\d+,\d+,\d*),[0-9.]+,`), "TIME,RUN,$1,USER,$2,SECONDS,"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(µs|ms|m\d+s|s)|0s)\b`), "DURATION"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b`), "ID"},
	{regexp.MustCompile(`dbrollback-demo-\d+`), "dbrollback-demo-N"},
	{regexp.MustCompile(`\b[\d.,]+ (B|kB|MB)\b`), "SIZE"},
	{regexp.MustCompile(`about [\d,?]+ rows?`), "about N rows"},
	{regexp.MustCompile(`\b\S+@\S+, DURATION`), "USER, DURATION"},
	{regexp.MustCompile(`\(devel\)|v\d+\.\d+\.\d+\S*`), "RELEASE"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

// The set-up commands that the README shows are the Makefile's, and no example hides in another kind of block.
func TestReadmeCommands(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	files := documents(t)
	block := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	for _, file := range append(files, "../../README.md", "../../ARCHITECTURE.md") {
		if filepath.Base(file) == "rules.md" {
			continue // the linter's tests run its examples
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			switch b[1] {
			case "console", "text", "yaml", "sql", "json":
			case "sh":
				for _, l := range strings.Split(strings.TrimSpace(b[2]), "\n") {
					command, _, _ := strings.Cut(l, "#")
					target, isMake := strings.CutPrefix(strings.TrimSpace(command), "make ")
					if isMake && !bytes.Contains(makefile, []byte("\n"+target+":")) {
						t.Errorf("%s: the Makefile has no target %q", file, target)
					}
					if !isMake && !strings.HasPrefix(command, "git clone ") && !strings.HasPrefix(command, "cd ") && !strings.HasPrefix(command, "go install ") && !strings.HasPrefix(command, "go run ./cmd/dbrollback demo") {
						t.Errorf("%s: nobody runs this example: %s", file, l)
					}
				}
			default:
				t.Errorf("%s: a block of kind %q: examples are console blocks", file, b[1])
			}
		}
	}
}
