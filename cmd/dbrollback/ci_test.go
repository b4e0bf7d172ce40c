package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// workflowAction is the part of action.yml that a runner acts on.
type workflowAction struct {
	Inputs map[string]struct {
		Description, Default string
	}
	Outputs map[string]struct {
		Value string
	}
	Runs struct {
		Using string
		Steps []workflowStep
	}
}

type workflowStep struct {
	ID, Uses, Run, Shell, If string
	Env                      map[string]string
	WorkingDirectory         string `yaml:"working-directory"`
}

// runner carries out a composite action's own steps as GitHub's does: expressions are filled in, each step is a bash
// of its own, and what it writes into the files of the environment reaches the next.
type runner struct {
	t      *testing.T
	action workflowAction
	inputs map[string]string
	dir    string // workspace
	temp   string
	paths  []string
	output map[string]string
	log    strings.Builder
}

func newRunner(t *testing.T, inputs map[string]string) *runner {
	t.Helper()
	text, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, inputs: map[string]string{}, dir: t.TempDir(), temp: t.TempDir(), output: map[string]string{}}
	if err := yaml.UnmarshalWithOptions(text, &r.action, yaml.Strict(), yaml.AllowFieldPrefixes("name", "description", "author", "branding", "with")); err != nil {
		t.Fatal(err)
	}
	for name, in := range r.action.Inputs {
		if in.Description == "" {
			t.Errorf("input %s is not described", name)
		}
		r.inputs[name] = in.Default
	}
	for name, value := range inputs {
		if _, ok := r.action.Inputs[name]; !ok {
			t.Fatalf("the action has no input %s", name)
		}
		r.inputs[name] = value
	}
	return r
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

// fill puts the values of expressions into a text.
func (r *runner) fill(text string) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		e = expression.FindStringSubmatch(e)[1]
		switch {
		case e == "github.action_path":
			root, err := filepath.Abs("../..")
			if err != nil {
				r.t.Fatal(err)
			}
			return root
		case strings.HasPrefix(e, "inputs.") && strings.HasSuffix(e, "== 'true'"):
			return fmt.Sprint(r.input(strings.TrimSpace(strings.TrimSuffix(e, "== 'true'"))) == "true")
		case strings.HasPrefix(e, "inputs."):
			return r.input(e)
		}
		r.t.Fatalf("the expression %q is new to this test", e)
		return ""
	})
}

func (r *runner) input(e string) string {
	name := strings.TrimPrefix(e, "inputs.")
	v, ok := r.inputs[name]
	if !ok {
		r.t.Fatalf("an expression names the input %q, which the action has not", name)
	}
	return v
}

// run carries out the steps and gives the exit code of the one that failed, 0 when none did.
func (r *runner) run() int {
	r.t.Helper()
	for i, s := range r.action.Runs.Steps {
		if s.Run == "" || s.If != "" && r.fill(s.If) != "true" {
			continue
		}
		if strings.Contains(s.Run, "${{") {
			r.t.Errorf("step %d: an expression in a script: a value could become code", i)
		}
		if s.Shell != "bash" {
			r.t.Fatalf("step %d has shell %q", i, s.Shell)
		}
		if code := r.step(s); code != 0 {
			return code
		}
	}
	return 0
}

func (r *runner) step(s workflowStep) int {
	script := filepath.Join(r.temp, "step.sh")
	output, path := filepath.Join(r.temp, "output"), filepath.Join(r.temp, "path")
	for file, text := range map[string]string{script: s.Run, output: "", path: ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(r.t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	cmd.Dir = filepath.Join(r.dir, r.fill(s.WorkingDirectory))
	cmd.Env = append(os.Environ(), "GITHUB_ACTIONS=true", "GITHUB_WORKSPACE="+r.dir, "GITHUB_OUTPUT="+output, "GITHUB_PATH="+path, "RUNNER_TEMP="+r.temp, "CGO_ENABLED="+cgo(r.t),
		"PATH="+strings.Join(append(r.paths, os.Getenv("PATH")), string(os.PathListSeparator)))
	for name, value := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+r.fill(value))
	}
	cmd.Stdout, cmd.Stderr = &r.log, &r.log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	for _, l := range lines(r.t, path) {
		r.paths = append([]string{l}, r.paths...)
	}
	for _, l := range lines(r.t, output) {
		name, value, _ := strings.Cut(l, "=")
		r.output[s.ID+"."+name] = value
	}
	return cmd.ProcessState.ExitCode()
}

// cgo says how this test was built, so that the action's build finds most of its work done.
func cgo(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "CGO_ENABLED").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(c rune) bool { return c == '\n' })
}

// place writes the files of a test.
func place(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	goodMigration = "-- +goose Up\nCREATE TABLE a (id integer PRIMARY KEY);\n-- +goose Down\nDROP TABLE a;\n"
	badMigration  = "-- +goose Up\nCREATE TABLE b (id integer PRIMARY KEY);\n-- +goose Down\nSELECT 1;\n"
	badPlace      = "::error file=db/2_b.sql,line=2,col=1,title=RV001::"
)

func TestAction(t *testing.T) {
	// A new line and a quote in an input stay what they are: data.
	r := newRunner(t, map[string]string{"engine": "sqlite", "paths": "my folder\n\ndb/2_b.sql", "sarif": "out put.sarif", "working-directory": "sub"})
	place(t, r.dir, map[string]string{"sub/my folder/1_a.sql": goodMigration, "sub/db/1_a.sql": goodMigration, "sub/db/2_b.sql": badMigration})
	if code := r.run(); code != 3 || !strings.Contains(r.log.String(), strings.Replace(badPlace, "db/", "sub/db/", 1)) {
		t.Errorf("exit code %d, %s", code, r.log.String())
	}
	if name := r.output["lint.sarif"]; name != "out put.sarif" {
		t.Errorf("output %q", name)
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, "sub", "out put.sarif")); err != nil || !strings.Contains(string(b), `"ruleId": "RV001"`) || !strings.Contains(string(b), `"uri": "sub/db/2_b.sql"`) {
		t.Errorf("the SARIF file: %v, %.200s", err, b)
	}

	for name, c := range map[string]struct {
		inputs map[string]string
		code   int
		want   string
	}{
		"the folder of the configuration": {map[string]string{"engine": "sqlite"}, 3, badPlace},
		"nothing fails":                   {map[string]string{"engine": "sqlite", "fail-on": "never"}, 0, badPlace},
		"good":                            {map[string]string{"engine": "sqlite", "paths": "good", "verify": "true"}, 0, ""},
		"code in an input":                {map[string]string{"engine": "sqlite", "paths": "$(touch pwned)'\"; touch pwned"}, 2, "there is no"},
		"verify": {map[string]string{"engine": "sqlite", "fail-on": "never", "verify": "true"}, 3,
			"::error file=db/2_b.sql,line=4,col=1,title=no-down::"},
		"verify, elsewhere": {map[string]string{"engine": "sqlite", "working-directory": "good", "paths": "../db", "fail-on": "never", "verify": "true"}, 3,
			"::error file=db/2_b.sql,line=4,col=1,title=no-down::"},
		"verify, files":       {map[string]string{"engine": "sqlite", "paths": "db/1_a.sql\ngood/1_a.sql\ndb/1_a.sql", "verify": "true"}, 0, ""},
		"verify, a bad file":  {map[string]string{"engine": "sqlite", "paths": "db/1_a.sql\ndb/2_b.sql\ngood", "fail-on": "never", "verify": "true"}, 3, "title=no-down"},
		"verify, two folders": {map[string]string{"engine": "sqlite", "paths": "good\ndb", "fail-on": "never", "verify": "true"}, 3, "title=no-down"},
		"another tool":        {map[string]string{"engine": "sqlite", "source": "dbmate"}, 1, "there is no line"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, c.inputs)
			r.action.Runs.Steps = r.action.Runs.Steps[2:] // built above; here it is on the path
			place(t, r.dir, map[string]string{"dbrollback.yml": "dir: db\n", "good/1_a.sql": goodMigration, "db/1_a.sql": goodMigration, "db/2_b.sql": badMigration})
			if code := r.run(); code != c.code || !strings.Contains(r.log.String(), c.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.want, r.log.String())
			}
			if _, err := os.Stat(filepath.Join(r.dir, "pwned")); err == nil {
				t.Error("an input was run")
			}
		})
	}

	// Only what was added since a ref.
	r = newRunner(t, map[string]string{"engine": "sqlite", "since": "HEAD"})
	r.action.Runs.Steps = r.action.Runs.Steps[2:]
	place(t, r.dir, map[string]string{"dbrollback.yml": "dir: db\n", "db/2_b.sql": badMigration})
	commit(t, r.dir)
	place(t, r.dir, map[string]string{"db/3_c.sql": strings.ReplaceAll(goodMigration, " a", " c")})
	if code := r.run(); code != 0 {
		t.Errorf("exit code %d for what was there before: %s", code, r.log.String())
	}
}

// commit makes a git repository of a folder.
func commit(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "x"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
}

// preCommitHook is one entry of .pre-commit-hooks.yaml.
type preCommitHook struct {
	ID, Name, Description, Language, Entry string
	Types                                  []string
	RequireSerial                          bool  `yaml:"require_serial"`
	PassFilenames                          *bool `yaml:"pass_filenames"`
}

// TestPreCommit runs the hooks as pre-commit does; by pre-commit itself where it is installed.
func TestPreCommit(t *testing.T) {
	text, err := os.ReadFile("../../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []preCommitHook
	if err := yaml.UnmarshalWithOptions(text, &hooks, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"dbrollback-lint": "RV001", "dbrollback-verify": "no-down"}
	for _, h := range hooks {
		t.Run(h.ID, func(t *testing.T) {
			finds := want[h.ID]
			if finds == "" || h.Name == "" || h.Description == "" || h.Language != "golang" || !strings.HasPrefix(h.Entry, "dbrollback ") {
				t.Fatalf("%+v", h)
			}
			dir := t.TempDir()
			place(t, dir, map[string]string{"dbrollback.yml": "dir: db\ndsn: sqlite:app.db\n", "db/1_a.sql": goodMigration, "readme.md": "no SQL\n"})
			commit(t, dir)
			if code, out := runHook(t, dir, h); code != 0 {
				t.Errorf("a good folder: exit code %d, %s", code, out)
			}
			place(t, dir, map[string]string{"db/2_b.sql": badMigration})
			commitAdd(t, dir)
			if code, out := runHook(t, dir, h); code == 0 || !strings.Contains(out, finds) {
				t.Errorf("exit code %d, no %s in %s", code, finds, out)
			}
		})
	}
	if len(hooks) != len(want) {
		t.Errorf("%d hooks", len(hooks))
	}
}

func commitAdd(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "add", "-A")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func runHook(t *testing.T, dir string, h preCommitHook) (int, string) {
	t.Helper()
	var cmd *exec.Cmd
	if _, err := exec.LookPath("pre-commit"); err == nil {
		// language system: the program on the path, instead of one that pre-commit would install.
		h.Language = "system"
		config, err := yaml.Marshal(map[string]any{"repos": []any{map[string]any{"repo": "local", "hooks": []any{h.local()}}}})
		if err != nil {
			t.Fatal(err)
		}
		place(t, dir, map[string]string{".pre-commit-config.yaml": string(config)})
		commitAdd(t, dir)
		cmd = exec.CommandContext(t.Context(), "pre-commit", "run", "--all-files", "--color=never")
	} else {
		args := strings.Fields(h.Entry)
		if h.PassFilenames == nil || *h.PassFilenames {
			files, err := filepath.Glob(filepath.Join(dir, "db", "*.sql"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				args = append(args, "db/"+filepath.Base(f))
			}
		}
		cmd = exec.CommandContext(t.Context(), args[0], args[1:]...)
	}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PRE_COMMIT_HOME="+filepath.Join(t.TempDir(), "pre-commit"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// local is the hook as a configuration of one's own has it.
func (h preCommitHook) local() map[string]any {
	out := map[string]any{"id": h.ID, "name": h.Name, "language": h.Language, "entry": h.Entry, "types": h.Types, "require_serial": h.RequireSerial}
	if h.PassFilenames != nil {
		out["pass_filenames"] = *h.PassFilenames
	}
	return out
}
