package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"
)

func readSchema(t *testing.T) (*jsonschema.Schema, func(text string) error) {
	t.Helper()
	return readSchemaOf(t, "dbrollback.schema.json")
}

// readSchemaOf gives a published schema, and what validates a YAML text against it.
func readSchemaOf(t *testing.T, file string) (*jsonschema.Schema, func(text string) error) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../schema", file))
	if err != nil {
		t.Fatal(err)
	}
	s := &jsonschema.Schema{}
	if err := json.Unmarshal(b, s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, func(text string) error {
		var v any
		if err := yaml.NewDecoder(bytes.NewReader([]byte(text))).Decode(&v); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var plain any
		if err := json.Unmarshal(b, &plain); err != nil {
			return err
		}
		return resolved.Validate(plain)
	}
}

// Each key that the reader knows is in the published schema, and none besides.
func TestSchemaKeys(t *testing.T) {
	s, _ := readSchema(t)
	with := func(keys []string) []string {
		out := slices.Clone(keys)
		for _, k := range keys {
			if other := strings.ReplaceAll(k, "-", "_"); other != k {
				out = append(out, other)
			}
		}
		return out
	}
	targets := s.Defs["targets"].OneOf
	for name, c := range map[string]struct {
		reader []string
		schema *jsonschema.Schema
	}{
		"the top": {topKeys(), s}, "an environment": {environmentKeys(), s.Defs["environment"]}, "lint": {lintKeys, s.Properties["lint"]},
		"guard": {guardKeyNames(), s.Properties["guard"]}, "deployment_strategy": {with(strategyKeys), s.Properties["deployment_strategy"]},
		"targets": {targetsKeys, targets[1]}, "a target": {targetKeys, targets[0].Items.OneOf[1]},
	} {
		var keys []string
		for k := range c.schema.Properties {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		slices.Sort(c.reader)
		if !slices.Equal(keys, c.reader) {
			t.Errorf("%s: the schema has\n%v\nthe reader\n%v", name, keys, c.reader)
		}
		if c.schema.AdditionalProperties == nil || c.schema.AdditionalProperties.Not == nil {
			t.Errorf("%s: the schema lets unknown keys through", name)
		}
	}
}

// The schema takes what the reader takes, and refuses what it refuses.
func TestSchemaSaysWhatTheReaderSays(t *testing.T) {
	_, validate := readSchema(t)
	good := []string{"", "dsn: sqlite:a.db\n", "keep: 168h\nkeep-count: 3\nkeep-releases: 0\nlock-timeout: 1h30m\nmax-lock: 7d\n", "keep-tables: yes\n", "keep-tables: false\n", "keep-tables: \"no\"\n", "keep-columns: yes\n", "keep-columns: 100MB\n",
		"source: flyway\non-failure: stop\nparallel: 4\nmetrics-file: a.prom\nstatement-timeout: 0\n", "environments:\n  a:\n  b:\n    dsn: ${X}\n    keep: 1.5h\n",
		"lint:\n  capture: off\n  rules:\n    BC106: off\n    DS102: error\n", "lint:\n", "guard:\n  health: http://h\n  failure_threshold: 3\n", "guard:\n  assert: [SELECT 1, SELECT 2]\n  for: 10m\n  auto-rollback-on-error-rate: 0.05\n  require-approval: both\n",
		"deployment_strategy:\n  type: canary\n  initial_percentage: 5\n  increment-interval-minutes: 3\n  set_traffic: ./t.sh {{.Percentage}}\n",
		"targets: [sqlite:a.db, {name: b, dsn: sqlite:b.db}]\n", "targets:\n  query: SELECT 1\n  dsn: sqlite:a.db\n", "environments:\n  a:\n    targets: {file: list.txt}\n"}
	bad := []string{"dns: sqlite:a.db\n", "keep: soon\n", "keep: 5\n", "keep-count: -1\n", "keep-count: many\n", "keep-tables: maybe\n", "keep-columns: 100\n", "keep-columns: -1MB\n", "source: rails\n", "on-failure: panic\n", "- a\n", "just text\n", "dsn: [a]\n", "dsn: {a: b}\n",
		"environments:\n  a:\n    lint:\n      capture: off\n", "environments:\n  a: text\n", "environments:\n  a:\n    keeep: 5s\n", "lint:\n  capture: perhaps\n", "lint:\n  rules:\n    DS102: loud\n", "lint:\n  rules:\n    nonsense: error\n", "lint:\n  rule:\n    DS102: error\n",
		"guard:\n  helth: x\n", "guard:\n  for: [1s, 2s]\n", "guard:\n  failure-threshold: few\n", "guard:\n  on-conflict: guess\n", "guard:\n  auto-rollback-on-error-rate: high\n",
		"deployment_strategy:\n  set_traffic: x\n", "deployment_strategy:\n  type: blue\n  set_traffic: x\n", "deployment_strategy:\n  type: canary\n  set_traffic: x\n  initial_percentage: 0\n", "deployment_strategy:\n  type: canary\n  set_traffic: x\n  steps: 3\n",
		"targets: []\n", "targets: text\n", "targets: [{name: a}]\n", "targets: [{name: 'a,b', dsn: x}]\n", "targets: {file: a, query: b}\n", "targets: {dsn: a}\n", "targets: {files: a}\n"}
	for want, texts := range map[bool][]string{true: good, false: bad} {
		for _, text := range texts {
			_, rerr := parseConfig("dbrollback.yml", []byte(text))
			if serr := validate(text); (rerr == nil) != want || (serr == nil) != want {
				t.Errorf("%s\nreader: %v\nschema: %v\nwant accepted: %v", text, rerr, serr, want)
			}
		}
	}
}

// Every example of the documentation is one that the schema takes.
func TestSchemaTakesTheExamples(t *testing.T) {
	_, validate := readSchema(t)
	n := 0
	files := append(documents(t), "../../README.md")
	recipes, err := filepath.Glob("../../examples/*/dbrollback.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(b), "cat > dbrollback.yml <<'YAML'\n")[1:] {
			text, _, _ := strings.Cut(part, "\nYAML\n")
			n++
			if err := validate(text); err != nil {
				t.Errorf("%s: %v\n%s", file, err, text)
			}
		}
	}
	for _, file := range recipes {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if err := validate(string(b)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if n < 3 {
		t.Errorf("only %d examples", n)
	}
}

// An unknown key is an error that names the nearest one, wherever it stands.
func TestUnknownKeysOfTheConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"lock-timout: 5s\n":                               "dbrollback.yml:1:1: unknown key \"lock-timout\" | did you mean lock-timeout?",
		"environments:\n  a:\n    kep: 5s\n":              "dbrollback.yml:3:5: unknown key \"kep\" | did you mean keep?",
		"guard:\n  healt: x\n":                            "dbrollback.yml:2:3: unknown key \"healt\" | did you mean health?",
		"lint:\n  rulez: {}\n":                            "dbrollback.yml:2:3: unknown key \"rulez\" | did you mean rules?",
		"deployment_strategy:\n  set_traffik: x\n":        "dbrollback.yml:2:3: unknown key \"set_traffik\" | did you mean set_traffic?",
		"targets:\n  comand: x\n":                         "dbrollback.yml:2:3: unknown key \"comand\" | did you mean command?",
		"something-that-is-like-nothing-else-at-all: 1\n": "dbrollback.yml:1:1: unknown key \"something-that-is-like-nothing-else-at-all\" | see docs/configuration.md",
	} {
		_, err := parseConfig("dbrollback.yml", []byte(text))
		c, ok := err.(*configError) //nolint:errorlint // the reader's own
		if !ok || c.Error()+" | "+c.hint != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
