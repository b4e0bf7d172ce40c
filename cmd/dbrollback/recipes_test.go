package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rhysd/actionlint"
	"github.com/xeipuuv/gojsonschema"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	kubernetes "sigs.k8s.io/yaml"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

func recipe(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../examples/deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// understood fails for a command line that the program would not take.
func understood(t *testing.T, words []string) {
	t.Helper()
	p := &program{streams: streams{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }}}
	if _, err := arrange(p.app(), words); err != nil {
		t.Errorf("dbrollback %s: %v", strings.Join(words, " "), err)
	}
}

// commands checks each call of the program in a script, and gives how many there are.
func commands(t *testing.T, script string) (n int) {
	t.Helper()
	for _, line := range strings.Split(script, "\n") {
		line, _, _ = strings.Cut(line, " >")
		words := strings.Fields(strings.ReplaceAll(line, `"`, ""))
		if len(words) > 0 && words[0] == "dbrollback" {
			understood(t, words[1:])
			n++
		}
	}
	return n
}

func TestRecipeGitHub(t *testing.T) {
	t.Parallel()
	text := recipe(t, "github-actions.yml")
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.Lint("deploy.yml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
	// The linter finds what is wrong: else that it found nothing would say nothing.
	if found, err = linter.Lint("bad.yml", bytes.Replace(text, []byte("runs-on"), []byte("run-on"), 1), nil); err != nil || len(found) == 0 {
		t.Errorf("%v, %v", found, err)
	}
	var w struct {
		Jobs map[string]struct{ Steps []struct{ Run string } }
	}
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, j := range w.Jobs {
		for _, s := range j.Steps {
			n += commands(t, s.Run)
		}
	}
	if n != 5 {
		t.Errorf("%d commands", n)
	}
}

func TestRecipeGitLab(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("testdata/recipes/gitlab-ci.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var pipeline map[string]any
	if err := yaml.Unmarshal(recipe(t, "gitlab-ci.yml"), &pipeline); err != nil {
		t.Fatal(err)
	}
	check := func() []gojsonschema.ResultError {
		b, err := json.Marshal(pipeline)
		if err != nil {
			t.Fatal(err)
		}
		result, err := gojsonschema.Validate(gojsonschema.NewBytesLoader(schema), gojsonschema.NewBytesLoader(b))
		if err != nil {
			t.Fatal(err)
		}
		return result.Errors()
	}
	for _, e := range check() {
		t.Error(e)
	}
	n := 0
	for _, job := range pipeline {
		if j, ok := job.(map[string]any); ok {
			for _, part := range []string{"script", "after_script"} {
				if lines, ok := j[part].([]any); ok {
					for _, l := range lines {
						n += commands(t, l.(string))
					}
				}
			}
		}
	}
	if n != 7 {
		t.Errorf("%d commands", n)
	}
	pipeline["migrate"].(map[string]any)["resource_gruop"] = "x"
	if len(check()) == 0 {
		t.Error("the schema takes everything")
	}
}

func TestRecipeKubernetes(t *testing.T) {
	t.Parallel()
	job := &batchv1.Job{}
	if err := kubernetes.UnmarshalStrict(recipe(t, "kubernetes-job.yaml"), job); err != nil {
		t.Fatal(err)
	}
	deployment := &appsv1.Deployment{}
	if err := kubernetes.UnmarshalStrict(recipe(t, "kubernetes-init.yaml"), deployment); err != nil {
		t.Fatal(err)
	}
	if err := kubernetes.UnmarshalStrict(bytes.Replace(recipe(t, "kubernetes-job.yaml"), []byte("backoffLimit"), []byte("backofLimit"), 1), &batchv1.Job{}); err == nil {
		t.Error("an unknown field is taken")
	}
	pod := job.Spec.Template.Spec
	for _, c := range []corev1.Container{pod.Containers[0], deployment.Spec.Template.Spec.InitContainers[0]} {
		// No shell that would keep the signal to itself.
		if !slices.Equal(c.Command, []string{"dbrollback"}) || len(c.Args) < 3 {
			t.Errorf("%v %v", c.Command, c.Args)
		}
		understood(t, c.Args)
	}
	// What a person has to decide is not tried again; a lock is.
	rule := job.Spec.PodFailurePolicy.Rules[0]
	if pod.RestartPolicy != corev1.RestartPolicyNever || rule.Action != batchv1.PodFailurePolicyActionFailJob ||
		!slices.Equal(rule.OnExitCodes.Values, []int32{exitUsage, exitRefused, exitConflict}) || *pod.TerminationGracePeriodSeconds < 60 {
		t.Errorf("%+v", rule)
	}
}

// said is what a program that still runs has said.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// The shell recipe, run: a good release, bad ones, a locked database, and a signal.
func TestRecipeShell(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../examples/deploy/deploy.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	dsn := "sqlite:" + filepath.Join(dir, "app.db")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start := func(version string, more ...string) (*exec.Cmd, *said) {
		t.Helper()
		cmd := exec.Command("sh", script, version)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append([]string{"DBROLLBACK_DSN=" + dsn, "PAUSE=0", "TRIES=2", "DBROLLBACK_LOCK_TIMEOUT=500ms",
			`DEPLOY=echo "$1" >> out`, "HEALTH=echo asked >> health"}, more...)...)
		words := &said{}
		cmd.Stdout, cmd.Stderr = words, words
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, words
	}
	ends := func(cmd *exec.Cmd, words *said, exit int, want string) {
		t.Helper()
		var failed *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		if cmd.ProcessState.ExitCode() != exit || !strings.Contains(words.String(), want) {
			t.Fatalf("exit %d, want %d and %q:\n%s", cmd.ProcessState.ExitCode(), exit, want, words.String())
		}
	}
	deploy := func(exit int, want, version string, more ...string) {
		t.Helper()
		cmd, words := start(version, more...)
		ends(cmd, words, exit, want)
	}
	holds := func(query, want string) {
		t.Helper()
		if got := strings.Join(testdb.Query(t, dsn, query), ","); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	out := func(want string) {
		t.Helper()
		if b, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("out: %q, want %q, %v", b, want, err)
		}
	}

	testdb.Exec(t, dsn, "CREATE TABLE old (id INTEGER)")
	write("migrations/00001_users.sql", "-- +goose Up\nCREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO users VALUES (1, 'a'), (2, 'b');\n-- +goose Down\nDROP TABLE users;\n")
	deploy(0, "v1 is out, and well", "v1")
	out("v1")
	write("migrations/00002_gone.sql", "-- +goose Up\nDELETE FROM users WHERE id = 1;\n-- +goose Down\nSELECT 1;\n")
	deploy(3, "the service is not well; the database goes back to version 1", "v2", "HEALTH=false")
	holds("SELECT name FROM users ORDER BY id", "a,b")
	deploy(3, "the code did not come out (7)", "v2", "DEPLOY=exit 7")
	holds("SELECT name FROM users ORDER BY id", "a,b")
	deploy(0, "v2 is out, and well", "v2")
	holds("SELECT name FROM users ORDER BY id", "b")
	out("v1\nv2\nv2")
	deploy(3, "the service is not well; the database is as it was, at version 2", "v2.1", "HEALTH=false")

	// A migration that fails: its exit code, and no code comes out.
	write("migrations/00003_bad.sql", "-- +goose Up\nINSERT INTO users VALUES (2, 'again');\n-- +goose Down\nSELECT 1;\n")
	deploy(1, "UNIQUE constraint failed", "v3")
	out("v1\nv2\nv2\nv2.1")
	write("migrations/00003_bad.sql", "-- +goose Up\nDELETE FROM users;\n-- +goose Down\nSELECT 1;\n")

	db := testdb.Open(t, dsn)
	db.SetMaxOpenConns(1)
	hold := func() (release func()) {
		t.Helper()
		if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		return func() {
			if _, err := db.Exec("ROLLBACK"); err != nil {
				t.Fatal(err)
			}
		}
	}
	release := hold()
	deploy(5, "locked", "v3")
	// A signal while it waits ends it, and nothing that comes after begins.
	cmd, words := start("v3", "DBROLLBACK_LOCK_TIMEOUT=5m")
	for deadline := time.Now().Add(time.Minute); strings.Count(words.String(), "target: ") < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not begin:\n%s", words.String())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ends(cmd, words, exitInterrupted, "interrupted")
	release()
	holds("SELECT name FROM users ORDER BY id", "b")
	out("v1\nv2\nv2\nv2.1")
	deploy(0, "v3 is out, and well", "v3")
	holds("SELECT count(*) FROM users", "0")
}
