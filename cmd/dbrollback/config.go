package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/dbrollback/dbrollback/internal/folder"
)

// configName is looked for in the working folder when --config does not name a file.
const configName = "dbrollback.yml"

// configKeys are the keys of dbrollback.yml, at the top and within an environment, and how their values are read.
var configKeys = map[string]func(string) error{
	"dsn":               nil,
	"dir":               nil,
	"source":            checkSource,
	"catalog":           nil,
	"version-table":     nil,
	"metrics-file":      nil,
	"keep":              checkDuration,
	"keep-count":        checkCount,
	"keep-releases":     checkCount,
	"keep-tables":       checkYes,
	"keep-columns":      checkFrom,
	"lock-timeout":      checkDuration,
	"statement-timeout": checkDuration,
	"max-lock":          checkDuration,
	"parallel":          checkCount,
	"on-failure":        oneOf(onFailures),
}

// configValue is a scalar of the file and where it stands.
type configValue struct {
	text         string
	line, column int
}

type section map[string]configValue

// config is dbrollback.yml as read; the zero value is "no file".
type config struct {
	path         string // "" when there is none
	docs         string // the page that explains the file
	top          section
	environments map[string]section
	lint         lintConfig
	guard        guardConfig
	strategy     *strategy              // nil when there is none
	targets      map[string]*targetList // by environment, "" at the top
}

// names lists the environments, sorted.
func (c *config) names() []string {
	out := make([]string, 0, len(c.environments))
	for n := range c.environments {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// configError is a mistake in dbrollback.yml. Exit code 2.
type configError struct {
	file, message, hint string
	line, column        int
}

func (e *configError) Error() string {
	if e.line == 0 {
		return e.file + ": " + e.message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.file, e.line, e.column, e.message)
}

// readConfig reads the file at path; with path "" it reads dbrollback.yml when there is one.
func readConfig(path string) (*config, error) {
	named := path != ""
	if !named {
		path = configName
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !named {
			return &config{}, nil
		}
		return nil, &configError{file: path, message: "there is no such file", hint: "check --config, or write one with: dbrollback init"}
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &configError{file: path, message: err.Error(), hint: "check the path and its permissions"}
	}
	return parseConfig(path, b)
}

func parseConfig(path string, b []byte) (*config, error) {
	c := &config{path: path, docs: "docs/configuration.md", top: section{}, environments: map[string]section{}, targets: map[string]*targetList{}}
	body, err := c.document(b)
	if body == nil {
		return c, err
	}
	err = c.each(body, topKeys(), func(key string, value ast.Node) error {
		switch key {
		case "environments":
			return c.readEnvironments(value)
		case "lint":
			return c.readLint(value)
		case "guard":
			return c.readGuard(value)
		case "deployment_strategy":
			return c.readStrategy(value)
		case "targets":
			return c.readTargets("", value)
		}
		return c.read(c.top, key, value)
	})
	if err == nil {
		err = c.checkTraffic()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// document gives the one document of a file, nil when it has nothing in it.
func (c *config) document(b []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		ce := &configError{file: c.path, message: "this is no YAML", hint: "see " + c.docs + " for an example"}
		var ye yaml.Error
		if errors.As(err, &ye) {
			ce.message = ye.GetMessage()
			if t := ye.GetToken(); t != nil && t.Position != nil {
				ce.line, ce.column = t.Position.Line, t.Position.Column
			}
		}
		return nil, ce
	}
	if len(file.Docs) > 1 && file.Docs[1].Body != nil {
		return nil, c.wrong(file.Docs[1].Body, "a second document", "put everything into one document")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

func (c *config) readEnvironments(node ast.Node) error {
	return c.each(node, nil, func(name string, body ast.Node) error {
		env := section{}
		c.environments[name] = env
		if _, empty := body.(*ast.NullNode); empty {
			return nil
		}
		return c.each(body, environmentKeys(), func(key string, value ast.Node) error {
			if key == "targets" {
				return c.readTargets(name, value)
			}
			return c.read(env, key, value)
		})
	})
}

// each walks a mapping; known is the list of allowed keys, nil for any.
func (c *config) each(node ast.Node, known []string, f func(key string, value ast.Node) error) error {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return nil
	default:
		return c.wrong(node, "key: value pairs are wanted here", "see "+c.docs+" for an example")
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		if known != nil && !slices.Contains(known, key) {
			return c.wrong(p.Key, fmt.Sprintf("unknown key %q", key), nearestHint(key, known, "", c.docs))
		}
		if seen[key] {
			return c.wrong(p.Key, fmt.Sprintf("key %q is there twice", key), "keep one of them")
		}
		seen[key] = true
		if err := f(key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) read(into section, key string, node ast.Node) error {
	var text string
	switch n := node.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = strings.TrimSpace(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		text = n.GetToken().Value
	case *ast.NullNode:
		return nil
	default:
		return c.wrong(node, fmt.Sprintf("%s wants one plain value", key), "see "+c.docs+" for an example")
	}
	if check := configKeys[key]; check != nil {
		if err := check(text); err != nil {
			return c.wrong(node, fmt.Sprintf("%s: %v", key, err), "see "+c.docs+" for an example")
		}
	}
	p := node.GetToken().Position
	into[key] = configValue{text: text, line: p.Line, column: p.Column}
	return nil
}

func (c *config) wrong(node ast.Node, message, hint string) error {
	p := node.GetToken().Position
	return &configError{file: c.path, line: p.Line, column: p.Column, message: message, hint: hint}
}

// expand replaces ${NAME} in a dsn by the environment's value, so that secrets can stay out of the file.
// A variable that is not set is an error: an empty password or host must not go unnoticed.
func (c *config) expand(v configValue, getenv func(string) string) (string, error) {
	var b strings.Builder
	rest := v.text
	for {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", &configError{file: c.path, line: v.line, column: v.column, message: "${ without }", hint: "write ${NAME}"}
		}
		value := getenv(name)
		if value == "" {
			return "", &configError{file: c.path, line: v.line, column: v.column,
				message: fmt.Sprintf("the environment variable %s is not set", name), hint: fmt.Sprintf("export %s=…", name)}
		}
		b.WriteString(value)
		rest = tail
	}
}

// beside makes a path of the file relative to the file's folder, as its writer meant it.
func (c *config) beside(path string) string {
	if c.path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.path), path)
}

// besideDSN does the same for the file of a SQLite DSN.
func (c *config) besideDSN(dsn string) string {
	if filepath.Dir(c.path) == "." {
		return dsn
	}
	for _, prefix := range []string{"sqlite://", "sqlite:"} {
		if path, ok := strings.CutPrefix(dsn, prefix); ok {
			if path == "" || strings.HasPrefix(path, ":") || strings.HasPrefix(path, "file:") {
				return dsn
			}
			return prefix + c.beside(path)
		}
	}
	return dsn
}

// topKeys are the keys at the top of the file, environmentKeys those within an environment. schema/dbrollback.schema.json has the same; a test
// holds it to that.
func topKeys() []string {
	return append(environmentKeys(), "environments", "lint", "guard", "deployment_strategy")
}

func environmentKeys() []string { return append(keyNames(), "targets") }

func keyNames() []string {
	out := make([]string, 0, len(configKeys))
	for k := range configKeys {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func checkDuration(s string) error { _, err := parseDuration(s); return err }
func checkSource(s string) error {
	if !slices.Contains(folder.Formats, s) {
		return fmt.Errorf("%q is no kind of migration folder: there are %s", s, strings.Join(folder.Formats, ", "))
	}
	return nil
}

func checkYes(s string) error { _, err := parseYes(s); return err }

func checkFrom(s string) error { _, _, err := parseFrom(s); return err }

func checkCount(s string) error { _, err := parseCount(s); return err }

// parseDuration reads 90s, 10m, 168h and also whole days, 7d.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: write 5s, 10m, 168h or 7d", s)
	}
	return d, nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no count: write a whole number, 0 or more", s)
	}
	return n, nil
}
