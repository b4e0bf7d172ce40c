package main

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dbrollback/dbrollback/internal/lint"
)

// lintConfig is the section lint of dbrollback.yml.
type lintConfig struct {
	rules     map[string]lint.Severity
	noCapture bool
}

// lintKeys are the keys of the section.
var lintKeys = []string{"rules", "capture"}

// readLint reads
//
//	lint:
//	  capture: off
//	  rules:
//	    BC106: off
//	    DS102: error
func (c *config) readLint(node ast.Node) error {
	return c.each(node, lintKeys, func(key string, value ast.Node) error {
		if key == "capture" {
			switch word(value) {
			case "on", "true":
			case "off", "false":
				c.lint.noCapture = true
			default:
				return c.wrong(value, "lint: capture is on or off", "see docs/rules.md, RV007")
			}
			return nil
		}
		c.lint.rules = map[string]lint.Severity{}
		return c.each(value, nil, func(code string, value ast.Node) error {
			severity := lint.Severity(word(value))
			if severity == "false" { // YAML's off
				severity = lint.Off
			}
			if err := lint.CheckSeverities(map[string]lint.Severity{code: severity}); err != nil {
				return c.wrong(value, "lint: "+err.Error(), "docs/rules.md lists the rules; a severity is error, warning or off")
			}
			c.lint.rules[code] = severity
			return nil
		})
	})
}

// word is a plain value as it is written.
func word(node ast.Node) string { return strings.ToLower(node.GetToken().Value) }
