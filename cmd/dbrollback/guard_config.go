package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/urfave/cli/v2"
)

// guardConfig is the section guard of dbrollback.yml: the long flags of `guard`, with their values.
type guardConfig map[string][]configValue

// guardKeys are the keys of the section and how their values are read; a key may be written with _ instead of -.
var guardKeys = map[string]func(string) error{
	"health": nil, "health-status": nil, "health-body": nil, "health-latency": checkDuration, "health-ca": nil,
	"probe": nil, "prometheus": nil, "prometheus-url": nil, "auto-rollback-on-error-rate": checkNumber, "assert": nil,
	"failure-threshold": checkCount, "check-interval": checkDuration, "grace": checkDuration, "for": checkDuration, "probe-timeout": checkDuration,
	"require-approval": oneOf(approvalMoments), "approval": nil, "approval-key": nil, "approval-wait": checkDuration,
	"require-drill": checkDuration, "drill-env": nil, "on-conflict": oneOf([]string{"keep", "restore", "fail"}),
}

// guardLists are the keys that may have several values.
var guardLists = []string{"health", "probe", "assert"}

func checkNumber(s string) error {
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return fmt.Errorf("%q is no number", s)
	}
	return nil
}

func oneOf(known []string) func(string) error {
	return func(s string) error {
		if slices.Contains(known, s) {
			return nil
		}
		return fmt.Errorf("%q is none of %s", s, strings.Join(known, ", "))
	}
}

func guardKeyNames() []string {
	out := make([]string, 0, 2*len(guardKeys))
	for k := range guardKeys {
		out = append(out, k)
		if other := strings.ReplaceAll(k, "-", "_"); other != k {
			out = append(out, other)
		}
	}
	slices.Sort(out)
	return out
}

func (c *config) readGuard(node ast.Node) error {
	c.guard = guardConfig{}
	return c.each(node, guardKeyNames(), func(key string, value ast.Node) error {
		name := strings.ReplaceAll(key, "_", "-")
		if _, twice := c.guard[name]; twice {
			return c.wrong(value, fmt.Sprintf("key %q is there twice", name), "keep one of them")
		}
		values := []ast.Node{value}
		if list, ok := value.(*ast.SequenceNode); ok {
			if !slices.Contains(guardLists, name) {
				return c.wrong(value, fmt.Sprintf("guard: %s wants one plain value", key), "see docs/guard.md for an example")
			}
			values = list.Values
		}
		for _, v := range values {
			one := section{}
			if err := c.read(one, name, v); err != nil {
				return err
			}
			text, ok := one[name]
			if !ok {
				continue
			}
			if check := guardKeys[name]; check != nil {
				if err := check(text.text); err != nil {
					return c.wrong(v, fmt.Sprintf("guard: %s: %v", key, err), "see docs/guard.md for an example")
				}
			}
			c.guard[name] = append(c.guard[name], text)
		}
		return nil
	})
}

// guardValues looks an option of `guard` up: flag, environment, file.
type guardValues struct {
	cli    *cli.Context
	getenv func(string) string
	file   guardConfig
}

func (v guardValues) list(name string) []string {
	if v.cli.IsSet(name) {
		if slices.Contains(guardLists, name) {
			return v.cli.StringSlice(name)
		}
		return []string{v.cli.String(name)}
	}
	if text := v.getenv(variable("guard-" + name)); text != "" {
		return []string{text}
	}
	var out []string
	for _, x := range v.file[name] {
		out = append(out, x.text)
	}
	return out
}

func (v guardValues) text(name, initial string) string {
	if l := v.list(name); len(l) > 0 {
		return l[0]
	}
	return initial
}
