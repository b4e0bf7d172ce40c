package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
)

// What the schema has and what the reader has are the same: keys, words, lists, and what must be there.
func TestRollbackSchemaIsTheReader(t *testing.T) {
	b, err := os.ReadFile("../../schema/rollback-config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	down := func(m map[string]any, keys ...string) map[string]any {
		for _, k := range keys {
			next, ok := m[k].(map[string]any)
			if !ok {
				t.Fatalf("the schema has no %s of %v", k, keys)
			}
			m = next
		}
		return m
	}
	words := func(v any) []string {
		var out []string
		list, _ := v.([]any)
		for _, x := range list {
			out = append(out, x.(string))
		}
		return out
	}
	strategies := down(doc, "properties", "rollback_strategies", "properties")
	if got, want := slices.Sorted(maps.Keys(strategies)), slices.Sorted(maps.Keys(rollbackKeys)); !slices.Equal(got, want) {
		t.Fatalf("the schema has %v, the reader %v", got, want)
	}
	for name, keys := range rollbackKeys {
		section := down(strategies, name)
		properties := down(section, "properties")
		if got, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the reader %v", name, got, want)
			continue
		}
		required := words(section["required"])
		for key, k := range keys {
			p := down(properties, key)
			if !slices.Equal(words(p["enum"]), k.values) {
				t.Errorf("%s.%s: the schema has %v, the reader %v", name, key, p["enum"], k.values)
			}
			if (p["type"] == "array") != k.list {
				t.Errorf("%s.%s: list in one, not in the other", name, key)
			}
			if slices.Contains(required, key) != k.must {
				t.Errorf("%s.%s: required in one, not in the other", name, key)
			}
		}
	}
}

// both reads a file and validates it.
func both(t *testing.T, text string) (read error, valid error) {
	t.Helper()
	_, read = parseRollbackConfig("rollback-config.yml", []byte(text))
	_, validate := readSchemaOf(t, "rollback-config.schema.json")
	return read, validate(text)
}

// The file of the guide, with exactly its keys, and the one that is published as an example.
func TestRollbackConfigOfTheGuide(t *testing.T) {
	example, err := os.ReadFile("../../examples/checkpoints/rollback-config.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"guide": `rollback_strategies:
  database:
    type: selective
    snapshot_table: state_snapshots
    restoration_method: point_in_time
    tables:
      - users
      - orders
  configuration:
    type: full_replacement
    backup_location: /backups/config
    restoration_method: file_copy
    paths:
      - config/
  application_code:
    type: git_based
    restoration_method: revert_commit
    require_approval: true
`, "example": string(example)} {
		if read, valid := both(t, text); read != nil || valid != nil {
			t.Errorf("%s: %v, %v", name, read, valid)
		}
	}
}

// Mistakes are named with their place and the nearest known word.
func TestRollbackConfigMistakes(t *testing.T) {
	for _, c := range []struct{ text, want, hint string }{
		{"", "it is empty", ""},
		{"rollback_strategy: {}", `1:1: unknown key "rollback_strategy"`, "did you mean rollback_strategies?"},
		{"rollback_strategies: {}", "names no component", ""},
		{"rollback_strategies:\n  databse: {type: full}\n", `2:3: unknown key "databse"`, "did you mean database?"},
		{"rollback_strategies:\n  database: {type: full, table: [x]}\n", `unknown key "table"`, "did you mean tables?"},
		{"rollback_strategies:\n  database: {type: selektive, tables: [x]}\n", `2:20: database: type "selektive" is unknown`, "did you mean selective?"},
		{"rollback_strategies:\n  database: {type: selective}\n", "type selective wants tables", ""},
		{"rollback_strategies:\n  database: {type: full, tables: [x]}\n", "tables cannot go with it", ""},
		{"rollback_strategies:\n  database: {type: selective, tables: x}\n", "tables wants a list", ""},
		{"rollback_strategies:\n  database: {type: [full]}\n", "type wants one plain value", ""},
		{"rollback_strategies:\n  database: {tables: [x]}\n", "database wants type", "type: selective"},
		{"rollback_strategies:\n  configuration: {type: overlay, backup_location: b, paths: [../x]}\n", "leads out of the folder", ""},
		{"rollback_strategies:\n  configuration: {type: overlay, backup_location: config/b, paths: [config]}\n", "2:51: configuration: backup_location lies in config", ""},
		{"rollback_strategies:\n  configuration: {type: overlay, backup_location: b, paths: [config], ref: v1}\n", "ref is for restoration_method: git_checkout", ""},
		{"rollback_strategies:\n  configuration: {type: overlay, backup_location: b, paths: [config, config]}\n", `paths has "config" twice`, ""},
		{"rollback_strategies:\n  application_code: {type: git_based, restoration_method: redeploy}\n", "redeploy wants deploy", ""},
		{"rollback_strategies:\n  application_code: {type: git_based, deploy: ./x}\n", "deploy is for restoration_method: redeploy", ""},
		{"rollback_strategies:\n  application_code: {type: git_based, restoration_method: redeploy, deploy: './x {{.Versio}}'}\n", "Versio", ""},
		{"rollback_strategies:\n  application_code: {type: git_based, require_approval: maybe}\n", "neither yes nor no", ""},
		{"rollback_strategies:\n  feature_flags: {type: disable, flags: [x]}\n", "wants file, and no command", ""},
		{"rollback_strategies:\n  feature_flags: {type: disable, flags: [x], file: f.toml}\n", "neither JSON nor YAML", ""},
		{"rollback_strategies:\n  feature_flags: {type: disable, restoration_method: command, flags: [x], file: f.yml}\n", "wants command, and no file", ""},
		{"rollback_strategies: [", "", ""},
	} {
		_, err := parseRollbackConfig("rollback-config.yml", []byte(c.text))
		if err == nil {
			t.Errorf("%s\nis taken", c.text)
			continue
		}
		p := explain(t.Context(), err)
		if !strings.HasPrefix(p.line(), "rollback-config.yml:") || !strings.Contains(p.line(), c.want) || !strings.Contains(p.Hint, c.hint) || p.Exit != exitUsage {
			t.Errorf("%s\n%s\nhint: %s\nexit %d", c.text, p.line(), p.Hint, p.Exit)
		}
	}
}

// Whatever words the reader refuses, the schema refuses: unknown keys, unknown words, what is missing.
func TestRollbackSchemaRefuses(t *testing.T) {
	for _, text := range []string{"rollback_strategy: {}", "rollback_strategies: {}", "rollback_strategies: {databse: {type: full}}", "rollback_strategies: {database: {type: all}}",
		"rollback_strategies: {database: {type: full, x: y}}", "rollback_strategies: {database: {type: selective, tables: x}}", "rollback_strategies: {configuration: {type: overlay}}",
		"rollback_strategies: {feature_flags: {type: disable}}"} {
		if read, valid := both(t, text); read == nil || valid == nil {
			t.Errorf("%s: reader %v, schema %v", text, read, valid)
		}
	}
}

func TestRollbackConfigPaths(t *testing.T) {
	dir := t.TempDir()
	c, err := parseRollbackConfig(filepath.Join(dir, "rollback-config.yml"), []byte(`rollback_strategies:
  configuration: {type: full_replacement, backup_location: b, paths: [config, /etc/shop.ini]}
  feature_flags: {type: disable, file: config/flags.yml, flags: [x]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.configuration.location != filepath.Join(dir, "b") || c.flags.file.Abs() != filepath.Join(dir, "config/flags.yml") || c.configuration.tree.Except != c.flags.file.Abs() {
		t.Errorf("%+v", c.configuration)
	}
	if got := c.names(); !slices.Equal(got, []string{checkpoint.Flags, checkpoint.Configuration}) {
		t.Error(got)
	}
}
