package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// guardOptions are the options of `guard`.
type guardOptions struct {
	policy          guard.Policy
	health          []string
	status          []int
	body            *regexp.Regexp
	latency         time.Duration
	ca              string
	commands        []string
	prometheus      string
	prometheusURL   string
	errorRate       float64
	assertions      []string
	requireApproval string
	approval        approvalWay
	drill           drillDemand
	onConflict      string
	noPreflight     bool
	again           bool
}

// approvalMoments are what an approval may be demanded for.
var approvalMoments = []string{"up", "rollback", "both"}

// Validate refuses what cannot be meant, or would watch nothing.
func (o guardOptions) Validate() error {
	help := "dbrollback guard --help"
	if err := o.policy.Validate(); err != nil {
		return &usageError{message: err.Error(), hint: help}
	}
	switch snapshot.Policy(o.onConflict) {
	case snapshot.Keep, snapshot.Restore, snapshot.Fail:
	default:
		return &usageError{message: fmt.Sprintf("--on-conflict %q is unknown", o.onConflict), hint: nearestHint(o.onConflict, []string{"keep", "restore", "fail"}, "--on-conflict ", help)}
	}
	switch {
	case len(o.health)+len(o.commands)+len(o.assertions) == 0 && o.prometheus == "":
		return &usageError{message: "guard has nothing to watch", hint: "--health URL, --probe COMMAND, --prometheus QUERY or --assert SQL"}
	case len(o.health) == 0 && (len(o.status) > 0 || o.body != nil || o.latency > 0):
		return &usageError{message: "--health-status, --health-body and --health-latency are about --health", hint: "--health http://localhost:8080/healthz"}
	case o.prometheus != "" && o.prometheusURL == "":
		return &usageError{message: "--prometheus wants to know where Prometheus is", hint: "--prometheus-url http://prometheus:9090"}
	case o.prometheus == "" && o.prometheusURL != "":
		return &usageError{message: "--prometheus-url says where to ask, but not what", hint: "--prometheus 'sum(rate(errors[1m])) / sum(rate(requests[1m])) * 100'"}
	case o.requireApproval != "" && !slices.Contains(approvalMoments, o.requireApproval):
		return &usageError{message: fmt.Sprintf("--require-approval %q is unknown", o.requireApproval), hint: nearestHint(o.requireApproval, approvalMoments, "--require-approval ", help)}
	}
	if o.requireApproval != "" {
		if err := o.approval.Validate(); err != nil {
			return err
		}
	}
	return o.drill.Validate()
}

func (p *program) guardCommand() *cli.Command {
	return &cli.Command{
		Name: "guard", ArgsUsage: "-- up [OPTIONS OF UP]",
		Usage: "apply migrations, watch the service, and roll back by itself when it turns bad",
		Description: `After up it asks the probes every --check-interval. When --failure-threshold rounds in a row fail, it rolls back to the version
before, and exits with 3; when --for is over and nothing is wrong, it exits with 0. Killed and started again with the same
command line, it goes on where it stopped. docs/guard.md explains what counts as a failure, and how plans are approved.

  dbrollback guard --health http://localhost:8080/healthz --for 15m -- up --release v2.5.0`,
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "health", Usage: "`URL` that must answer well; may be given several times"},
			&cli.StringFlag{Name: "health-status", Usage: "status `CODES` that are well, e.g. 200,204 (default 200 to 299)"},
			&cli.StringFlag{Name: "health-body", Usage: "`REGEXP` that the answer must match"},
			&cli.StringFlag{Name: "health-latency", Usage: "longest `DURATION` of an answer"},
			&cli.StringFlag{Name: "health-ca", Usage: "`FILE` of certificates to trust besides the system's"},
			&cli.StringSliceFlag{Name: "probe", Usage: "`COMMAND` that must succeed; may be given several times"},
			&cli.StringFlag{Name: "prometheus", Usage: "`QUERY` whose result must not be above --auto-rollback-on-error-rate"},
			&cli.StringFlag{Name: "prometheus-url", Usage: "`URL` of the Prometheus server"},
			&cli.StringFlag{Name: "auto-rollback-on-error-rate", Usage: "`NUMBER` that the result of --prometheus must not exceed (default 5)"},
			&cli.StringSliceFlag{Name: "assert", Usage: "`SQL` query of the database whose one value must be true; may be given several times"},
			&cli.StringFlag{Name: "failure-threshold", Usage: "`NUMBER` of failed rounds in a row that make it roll back (default 5)"},
			&cli.StringFlag{Name: "check-interval", Usage: "`DURATION` from one round to the next (default 30s)"},
			&cli.StringFlag{Name: "grace", Usage: "`DURATION` after up in which failures do not count (default 0)"},
			&cli.StringFlag{Name: "for", Usage: "`DURATION` of the watch (default 15m)"},
			&cli.StringFlag{Name: "probe-timeout", Usage: "longest `DURATION` of one probe (default 10s, or the check interval when that is shorter)"},
			&cli.BoolFlag{Name: "no-preflight", Usage: "begin although the service is not well before the migration"},
			&cli.BoolFlag{Name: "again", Usage: "apply migrations that a guard has rolled back before"},
			&cli.StringFlag{Name: "on-conflict", Usage: "`POLICY` of its rollback: keep, restore or fail (default keep)"},
			&cli.StringFlag{Name: "require-approval", Usage: "`WHAT` wants a person's approval: up, rollback or both"},
			&cli.StringFlag{Name: "approval", Usage: "`HOW` it is given: terminal, file:PATH or webhook:URL (default terminal)"},
			&cli.StringFlag{Name: "approval-key", Usage: "`FILE` of the public key that signed approvals are checked with"},
			&cli.StringFlag{Name: "approval-wait", Usage: "longest `DURATION` to wait for a webhook, or for the approval of a rollback (default 15m)"},
		}, drillDemandFlags()...),
		Action: p.runGuard,
	}
}

// runGuard reads the command line behind "--", which is one of up's own, and then guards it.
func (p *program) runGuard(c *cli.Context) error {
	inner := c.Args().Slice()
	if len(inner) == 0 || inner[0] != "up" {
		return &usageError{message: "guard wants the command that it is to guard, behind --", hint: "dbrollback guard --health URL -- up"}
	}
	app := p.app()
	for _, command := range app.Commands {
		if command.Name == "up" {
			command.Action = action(p, readUp, func(ctx context.Context, s *session, up upOptions) error { return s.guarded(ctx, c, up) })
		}
	}
	var global []string
	for _, f := range app.Flags {
		name := f.Names()[0]
		switch f.(type) {
		case *cli.BoolFlag:
			if c.IsSet(name) {
				global = append(global, fmt.Sprintf("--%s=%v", name, c.Bool(name)))
			}
		default:
			if c.IsSet(name) {
				global = append(global, "--"+name+"="+c.String(name))
			}
		}
	}
	arranged, err := arrange(app, append(global, inner...))
	if err != nil {
		return err
	}
	return app.RunContext(c.Context, arranged)
}

// guarded is what runs instead of up.
func (s *session) guarded(ctx context.Context, outer *cli.Context, up upOptions) error {
	o, err := readGuard(guardValues{cli: outer, getenv: s.Getenv, file: s.Guard}, s.Strategy)
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		return err
	}
	if up.DryRun {
		return &usageError{message: "up --dry-run changes nothing: there is nothing to guard", hint: "leave out --dry-run, or guard"}
	}
	if up.Targets != "" {
		return s.fleetGuard(ctx, o, up)
	}
	if s.Strategy != nil && s.Strategy.traffic == nil {
		return s.Strategy.noTraffic
	}
	return (&guarding{s: s, o: o, up: up, clock: guard.System{}}).run(ctx)
}

func readGuard(v guardValues, canary *strategy) (guardOptions, error) {
	o := guardOptions{
		health: v.list("health"), commands: v.list("probe"), assertions: v.list("assert"), ca: v.text("health-ca", ""),
		prometheus: v.text("prometheus", ""), prometheusURL: v.text("prometheus-url", ""), onConflict: v.text("on-conflict", "keep"),
		requireApproval: v.text("require-approval", ""), noPreflight: v.cli.Bool("no-preflight"), again: v.cli.Bool("again"),
		drill: drillDemand{Env: v.text("drill-env", "")},
	}
	wrong := func(name string, err error) error {
		return &usageError{message: fmt.Sprintf("--%s: %v", name, err), hint: "dbrollback guard --help"}
	}
	rate := "5"
	if canary != nil && canary.errorRate != "" {
		rate = canary.errorRate
	}
	interval := v.text("check-interval", "30s")
	timeout := "10s"
	if d, err := parseDuration(interval); err == nil && d < 10*time.Second {
		timeout = interval
	}
	for _, d := range []struct {
		name, initial string
		into          *time.Duration
	}{
		{"check-interval", interval, &o.policy.Interval}, {"grace", "0s", &o.policy.Grace}, {"for", "15m", &o.policy.For}, {"probe-timeout", timeout, &o.policy.Timeout},
		{"health-latency", "0s", &o.latency}, {"approval-wait", "15m", &o.approval.wait}, {"require-drill", "0s", &o.drill.Within},
	} {
		var err error
		if *d.into, err = parseDuration(v.text(d.name, d.initial)); err != nil {
			return o, wrong(d.name, err)
		}
	}
	var err error
	if o.policy.Threshold, err = parseCount(v.text("failure-threshold", "5")); err != nil {
		return o, wrong("failure-threshold", err)
	}
	if o.errorRate, err = strconv.ParseFloat(v.text("auto-rollback-on-error-rate", rate), 64); err != nil {
		return o, wrong("auto-rollback-on-error-rate", fmt.Errorf("%q is no number", v.text("auto-rollback-on-error-rate", rate)))
	}
	if canary != nil { // each step is a watch of its own
		o.policy.For = canary.interval
	}
	if text := v.text("health-body", ""); text != "" {
		if o.body, err = regexp.Compile(text); err != nil {
			return o, wrong("health-body", err)
		}
	}
	if text := v.text("health-status", ""); text != "" {
		for _, part := range strings.Split(text, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil || n < 100 || n > 599 {
				return o, wrong("health-status", fmt.Errorf("%q is no status code", part))
			}
			o.status = append(o.status, n)
		}
	}
	o.approval.way, o.approval.where, _ = strings.Cut(v.text("approval", "terminal"), ":")
	o.approval.key = v.text("approval-key", "")
	return o, nil
}
