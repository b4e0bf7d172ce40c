package main

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dbrollback/dbrollback/internal/fleet"
)

// onFailures are what a failure in a wave may lead to.
var onFailures = []string{string(fleet.RollBack), string(fleet.Stop), string(fleet.GoOn)}

// targetList is the section targets of dbrollback.yml: the databases of a fleet, or where they are listed.
type targetList struct {
	at      configValue
	entries []targetEntry
	file    configValue // a line each: DSN, or NAME DSN
	command configValue // prints such lines
	query   configValue // gives rows: DSN, or NAME and DSN
	dsn     configValue // of the database that the query is asked of; "" the one that dsn names
}

// targetEntry is one database as the list has it.
type targetEntry struct {
	name configValue // "" when the list gives none
	dsn  configValue // a URL, or the name of an environment
}

// The keys of the section, when it is no list, and of one database of the list.
var (
	targetsKeys = []string{"file", "command", "query", "dsn"}
	targetKeys  = []string{"name", "dsn"}
)

const targetsHint = "docs/fleet.md has an example"

// readTargets reads
//
//	targets: [sqlite:a.db, production, {name: eu-1, dsn: "${EU_1}"}]
//
// or one of file:, command: and query: below targets.
func (c *config) readTargets(env string, node ast.Node) error {
	p := node.GetToken().Position
	t := &targetList{at: configValue{line: p.Line, column: p.Column}}
	c.targets[env] = t
	if list, ok := node.(*ast.SequenceNode); ok {
		for _, v := range list.Values {
			e, err := c.readTarget(v)
			if err != nil {
				return err
			}
			t.entries = append(t.entries, e)
		}
		if len(t.entries) == 0 {
			return c.wrong(node, "targets is an empty list", targetsHint)
		}
		return nil
	}
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		return c.wrong(node, "targets wants a list of databases, or one of file:, command: and query:", targetsHint)
	}
	var sources []string
	err := c.each(node, targetsKeys, func(key string, value ast.Node) error {
		one := section{}
		if err := c.read(one, key, value); err != nil {
			return err
		}
		if one[key].text == "" {
			return c.wrong(value, fmt.Sprintf("targets: %s is empty", key), targetsHint)
		}
		*map[string]*configValue{"file": &t.file, "command": &t.command, "query": &t.query, "dsn": &t.dsn}[key] = one[key]
		if key != "dsn" {
			sources = append(sources, key)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(sources) != 1:
		return c.wrong(node, fmt.Sprintf("targets wants one of file, command and query, not %d", len(sources)), targetsHint)
	case t.dsn.text != "" && t.query.text == "":
		return c.wrong(node, "targets: dsn says where the query is asked; there is no query", targetsHint)
	}
	return nil
}

func (c *config) readTarget(node ast.Node) (targetEntry, error) {
	var e targetEntry
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		err := c.each(node, targetKeys, func(key string, value ast.Node) error {
			one := section{}
			if err := c.read(one, key, value); err != nil {
				return err
			}
			if key == "name" {
				e.name = one[key]
			} else {
				e.dsn = one[key]
			}
			return nil
		})
		if err == nil && e.dsn.text == "" {
			err = c.wrong(node, "a target wants a dsn", targetsHint)
		}
		if err == nil && strings.ContainsAny(e.name.text, ",*") {
			err = c.wrong(node, "the name of a target has no comma and no *: --targets takes them for lists and patterns", targetsHint)
		}
		return e, err
	}
	one := section{}
	if err := c.read(one, "target", node); err != nil {
		return e, err
	}
	e.dsn = one["target"]
	if e.dsn.text == "" {
		return e, c.wrong(node, "a target is empty", targetsHint)
	}
	return e, nil
}

// checkTraffic refuses a strategy that moves nothing: traffic, or a fleet.
func (c *config) checkTraffic() error {
	if c.strategy != nil && c.strategy.traffic == nil && len(c.targets) == 0 {
		return c.strategy.noTraffic
	}
	return nil
}
