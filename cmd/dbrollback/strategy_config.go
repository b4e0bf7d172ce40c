package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// strategy is the section deployment_strategy of dbrollback.yml: traffic moves to the new release step by step.
type strategy struct {
	initial, increment int // percent
	interval           time.Duration
	errorRate          string // "" when it is not said here
	traffic            *template.Template
	noTraffic          error // why there is none; only a fleet can do without
}

// strategyKeys are the keys of the section; a key may be written with _ instead of -.
var strategyKeys = []string{"type", "initial-percentage", "increment-percentage", "increment-interval-minutes", "increment-interval", "auto-rollback-on-error-rate", "set-traffic"}

func defaultStrategy() *strategy {
	return &strategy{initial: 10, increment: 20, interval: 15 * time.Minute}
}

// percentages are the steps, the last of which is everything.
func (s *strategy) percentages() []int {
	var out []int
	for p := s.initial; p < 100; p += s.increment {
		out = append(out, p)
	}
	return append(out, 100)
}

// command is what moves the traffic.
func (s *strategy) command(percentage int) (string, error) {
	var b strings.Builder
	err := s.traffic.Execute(&b, struct{ Percentage int }{percentage})
	return b.String(), err
}

func (c *config) readStrategy(node ast.Node) error {
	const hint = "docs/guard.md has an example"
	s := defaultStrategy()
	known := slices.Clone(strategyKeys)
	for _, k := range strategyKeys {
		known = append(known, strings.ReplaceAll(k, "-", "_"))
	}
	kind := ""
	err := c.each(node, known, func(key string, value ast.Node) error {
		name := strings.ReplaceAll(key, "_", "-")
		one := section{}
		if err := c.read(one, name, value); err != nil {
			return err
		}
		text := one[name].text
		percent := func(into *int) error {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > 100 {
				return fmt.Errorf("%q is no percentage: write 1 to 100", text)
			}
			*into = n
			return nil
		}
		var err error
		switch name {
		case "type":
			kind, err = text, oneOf([]string{"canary"})(text)
		case "initial-percentage":
			err = percent(&s.initial)
		case "increment-percentage":
			err = percent(&s.increment)
		case "increment-interval-minutes":
			s.interval, err = parseDuration(text + "m")
		case "increment-interval":
			s.interval, err = parseDuration(text)
		case "auto-rollback-on-error-rate":
			s.errorRate, err = text, checkNumber(text)
		case "set-traffic":
			if s.traffic, err = template.New("set-traffic").Option("missingkey=error").Parse(text); err == nil {
				_, err = s.command(100)
			}
		}
		if err == nil && s.interval <= 0 {
			err = fmt.Errorf("a step must last longer than 0")
		}
		if err != nil {
			return c.wrong(value, fmt.Sprintf("deployment_strategy: %s: %v", key, err), hint)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case kind == "":
		return c.wrong(node, "deployment_strategy wants a type: canary", hint)
	case s.traffic == nil:
		s.noTraffic = c.wrong(node, "deployment_strategy wants set_traffic, the command that moves the traffic", hint)
	}
	c.strategy = s
	return nil
}
