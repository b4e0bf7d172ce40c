package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// rollbackConfigName is looked for in the working folder and beside dbrollback.yml.
const rollbackConfigName = "rollback-config.yml"

// rollbackKey is what a key of rollback-config.yml may hold.
type rollbackKey struct {
	values []string // the words allowed; nil: any text
	list   bool
	must   bool
	check  func(string) error
}

// rollbackKeys are the keys of each strategy. The published schema says the same; a test holds it to this.
var rollbackKeys = map[string]map[string]rollbackKey{
	checkpoint.Database: {
		"type":               {values: []string{"selective", "full"}, must: true},
		"snapshot_table":     {},
		"restoration_method": {values: []string{"point_in_time", "merge"}},
		"tables":             {list: true},
	},
	checkpoint.Configuration: {
		"type":               {values: []string{"full_replacement", "overlay"}, must: true},
		"backup_location":    {must: true},
		"restoration_method": {values: []string{"file_copy", "git_checkout"}},
		"paths":              {list: true, must: true, check: checkPath},
		"ref":                {},
	},
	checkpoint.Code: {
		"type":               {values: []string{"git_based"}, must: true},
		"restoration_method": {values: []string{"revert_commit", "redeploy"}},
		"require_approval":   {check: checkYes},
		"deploy":             {check: checkCommand},
		"repository":         {},
	},
	checkpoint.Flags: {
		"type":               {values: []string{"disable"}, must: true},
		"restoration_method": {values: []string{"file", "command"}},
		"file":               {check: checkPath},
		"flags":              {list: true, must: true},
		"command":            {check: checkCommand},
		"reason":             {},
		"ticket":             {},
	},
}

func checkCommand(s string) error { _, err := checkpoint.ParseCommand(s); return err }

func checkPath(s string) error { _, err := checkpoint.CleanPath(s); return err }

// rollbackConfig is rollback-config.yml as read.
type rollbackConfig struct {
	path string
	base string // its folder, absolute: relative paths begin there, and commands run there
	// The strategies; nil where there is none.
	database      *databaseStrategy
	configuration *configurationStrategy
	code          *codeStrategy
	flags         *flagStrategy
}

type databaseStrategy struct {
	full, merge bool
	catalog     string
	tables      []engine.Name
}

type configurationStrategy struct {
	overlay, git bool
	location     string // absolute
	ref          string
	tree         *checkpoint.Tree
}

type codeStrategy struct {
	redeploy, approval bool
	deploy             *checkpoint.Command
	repository         string // absolute
}

type flagStrategy struct {
	names          []string
	file           *checkpoint.FlagFile // nil when a command switches them
	command        *checkpoint.Command
	reason, ticket string
}

// names are the components that have a strategy, in the order of a restore.
func (c *rollbackConfig) names() []string {
	var out []string
	for _, n := range []struct {
		name string
		has  bool
	}{{checkpoint.Flags, c.flags != nil}, {checkpoint.Code, c.code != nil}, {checkpoint.Configuration, c.configuration != nil}, {checkpoint.Database, c.database != nil}} {
		if n.has {
			out = append(out, n.name)
		}
	}
	return out
}

// rollbackConfigPath is where the file is, "" when there is none.
func (s *session) rollbackConfigPath(flag string) string {
	if named := orElse(flag, s.Getenv(variable("rollback-config"))); named != "" {
		return named
	}
	for _, p := range []string{rollbackConfigName, filepath.Join(filepath.Dir(s.ConfigPath), rollbackConfigName)} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// readRollbackConfig reads the file that is named or found.
func (s *session) readRollbackConfig(flag string) (*rollbackConfig, error) {
	path := s.rollbackConfigPath(flag)
	if path == "" {
		return nil, &usageError{message: "there is no " + rollbackConfigName + ": it says what a checkpoint consists of", hint: "docs/checkpoints.md has one to begin with; --rollback-config FILE names another"}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		message := err.Error()
		var pe *fs.PathError
		if errors.As(err, &pe) {
			message = pe.Err.Error()
		}
		return nil, &configError{file: path, message: message, hint: "check --rollback-config"}
	}
	return parseRollbackConfig(path, b)
}

func parseRollbackConfig(path string, b []byte) (*rollbackConfig, error) {
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	r := &rollbackConfig{path: path, base: base}
	c := &config{path: path, docs: "docs/checkpoints.md"}
	body, err := c.document(b)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, &configError{file: path, message: "it is empty", hint: "docs/checkpoints.md has one to begin with"}
	}
	nodes, read := map[string]ast.Node{}, map[string]strategyValues{}
	err = c.each(body, []string{"rollback_strategies"}, func(_ string, value ast.Node) error {
		return c.each(value, slices.Sorted(maps.Keys(rollbackKeys)), func(name string, body ast.Node) error {
			v, err := c.strategyValues(name, body)
			nodes[name], read[name] = body, v
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if len(read) == 0 {
		return nil, c.wrong(body, "rollback_strategies names no component", "docs/checkpoints.md has an example")
	}
	// The flags first: their file is not part of the configuration.
	for _, name := range []string{checkpoint.Flags, checkpoint.Database, checkpoint.Configuration, checkpoint.Code} {
		v, ok := read[name]
		if !ok {
			continue
		}
		if err := r.build(name, v); err != nil {
			return nil, c.wrong(v.at(nodes[name], err), name+": "+err.Error(), hintOf(err, "docs/checkpoints.md says what each key does"))
		}
	}
	return r, nil
}

func hintOf(err error, otherwise string) string {
	var refused *checkpoint.RefusedError
	if errors.As(err, &refused) && refused.Hint != "" {
		return refused.Hint
	}
	return otherwise
}

// strategyValues are the values of one strategy by key, and where each stands.
type strategyValues struct {
	text  map[string][]string
	nodes map[string]ast.Node
}

func (v strategyValues) one(key, initial string) string {
	if l := v.text[key]; len(l) > 0 {
		return l[0]
	}
	return initial
}

func (v strategyValues) has(key string) bool { return len(v.text[key]) > 0 }

// keyError is a mistake that concerns one key.
type keyError struct {
	key, message string
}

func (e *keyError) Error() string { return e.message }

func (v strategyValues) at(section ast.Node, err error) ast.Node {
	var k *keyError
	if errors.As(err, &k) && v.nodes[k.key] != nil {
		return v.nodes[k.key]
	}
	return section
}

func (c *config) strategyValues(name string, node ast.Node) (strategyValues, error) {
	v := strategyValues{text: map[string][]string{}, nodes: map[string]ast.Node{}}
	keys := rollbackKeys[name]
	err := c.each(node, slices.Sorted(maps.Keys(keys)), func(key string, value ast.Node) error {
		values := []ast.Node{value}
		if list, ok := value.(*ast.SequenceNode); ok {
			if !keys[key].list {
				return c.wrong(value, fmt.Sprintf("%s: %s wants one plain value", name, key), "see "+c.docs)
			}
			values = list.Values
		} else if keys[key].list {
			if _, null := value.(*ast.NullNode); !null {
				return c.wrong(value, fmt.Sprintf("%s: %s wants a list", name, key), fmt.Sprintf("%s: [one, two]", key))
			}
		}
		v.nodes[key] = value
		for _, n := range values {
			one := section{}
			if err := c.read(one, key, n); err != nil {
				return err
			}
			text := one[key].text
			if text == "" {
				return c.wrong(n, fmt.Sprintf("%s: %s is empty", name, key), "see "+c.docs)
			}
			if words := keys[key].values; words != nil && !slices.Contains(words, text) {
				return c.wrong(n, fmt.Sprintf("%s: %s %q is unknown: there are %s", name, key, text, strings.Join(words, ", ")), nearestHint(text, words, "", c.docs))
			}
			if check := keys[key].check; check != nil {
				if err := check(text); err != nil {
					return c.wrong(n, fmt.Sprintf("%s: %s: %v", name, key, err), hintOf(err, "see "+c.docs))
				}
			}
			if slices.Contains(v.text[key], text) {
				return c.wrong(n, fmt.Sprintf("%s: %s has %q twice", name, key, text), "keep one of them")
			}
			v.text[key] = append(v.text[key], text)
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if keys[key].must && !v.has(key) {
			hint := "see " + c.docs
			if words := keys[key].values; words != nil {
				hint = fmt.Sprintf("%s: %s", key, words[0])
			}
			return v, c.wrong(node, fmt.Sprintf("%s wants %s", name, key), hint)
		}
	}
	return v, nil
}
