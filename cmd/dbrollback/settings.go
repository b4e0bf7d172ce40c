package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/fleet"
	"github.com/dbrollback/dbrollback/internal/folder"
)

// settings are the values that every command shares, decided once: flag, then environment, then
// dbrollback.yml, then default.
type settings struct {
	DSN              string // "" when none was named
	DSNFrom          string // where it came from, for messages
	dsnErr           error  // why it is not known; matters to commands that need one only
	Env              string
	Dir              string
	DirSet           bool // somebody named it: that it is missing is then worth an error
	Source           folder.Format
	Catalog          string
	VersionTable     string
	LockTimeout      time.Duration
	StatementTimeout time.Duration
	StatementSet     bool // somebody named it, be it 0
	MaxLock          time.Duration
	Keep             time.Duration
	KeepCount        int
	KeepReleases     int
	KeepColumns      bool  // dropped columns are renamed instead of copied, where the engine can
	KeepColumnsFrom  int64 // in tables of at least so many bytes
	KeepTables       bool  // dropped tables are moved out of the way instead of copied, where the engine can
	Yes              bool
	NoProgress       bool
	JSON             bool
	ConfigPath       string
	MetricsFile      string // "" for none
	Lint             lintConfig
	Guard            guardConfig
	Strategy         *strategy
	Parallel         int // targets that are worked on at a time
	OnFailure        fleet.OnFailure
	file             *config
}

// resolver looks one setting up in every place, in order of precedence.
type resolver struct {
	cli    *cli.Context
	getenv func(string) string
	file   *config
	env    section // of the chosen environment, nil when none
}

func resolve(c *cli.Context, getenv func(string) string) (*settings, error) {
	r := resolver{cli: c, getenv: getenv, file: &config{}}
	s := &settings{}
	out := r.text("output", "text")
	if out != "text" && out != "json" {
		return nil, &usageError{message: fmt.Sprintf("--output %q is unknown", out), hint: nearestHint(out, []string{"text", "json"}, "--output ", "dbrollback --help")}
	}
	s.JSON = out == "json"
	var err error
	if r.file, err = readConfig(r.text("config", "")); err != nil {
		return nil, err
	}
	s.file, s.ConfigPath, s.Lint, s.Guard, s.Strategy = r.file, r.file.path, r.file.lint, r.file.guard, r.file.strategy
	if s.Env = r.text("env", ""); s.Env != "" {
		env, ok := r.file.environments[s.Env]
		if !ok {
			return nil, r.unknownEnvironment(s.Env)
		}
		r.env = env
	}
	s.DSN, s.DSNFrom, s.dsnErr = r.dsn()
	s.Dir, s.DirSet = r.dir()
	global := r
	global.cli = outermost(c) // `journal enable` has a --source of its own
	s.Source = folder.Format(global.text("source", string(folder.Auto)))
	if err := checkSource(string(s.Source)); err != nil {
		return nil, &usageError{message: "--source " + err.Error(), hint: nearestHint(string(s.Source), folder.Formats, "--source ", "docs/other-tools.md")}
	}
	s.Catalog = r.text("catalog", "")
	s.VersionTable = r.text("version-table", "")
	s.MetricsFile = r.path("metrics-file")
	if err := r.durations(s); err != nil {
		return nil, err
	}
	for name, into := range map[string]*int{"keep-count": &s.KeepCount, "keep-releases": &s.KeepReleases, "parallel": &s.Parallel} {
		initial := "0"
		if name == "parallel" {
			initial = "4"
		}
		if *into, err = parseCount(r.text(name, initial)); err != nil {
			return nil, &usageError{message: fmt.Sprintf("--%s: %v", name, err), hint: "dbrollback --help"}
		}
	}
	s.OnFailure = fleet.OnFailure(r.text("on-failure", string(fleet.RollBack)))
	if err := oneOf(onFailures)(string(s.OnFailure)); err != nil {
		return nil, &usageError{message: fmt.Sprintf("--on-failure: %v", err), hint: nearestHint(string(s.OnFailure), onFailures, "--on-failure ", "dbrollback up --help")}
	}
	if s.KeepTables, err = parseYes(r.text("keep-tables", "yes")); err != nil {
		return nil, &usageError{message: fmt.Sprintf("--keep-tables: %v", err), hint: "--keep-tables no copies the rows of dropped tables"}
	}
	if s.KeepColumns, s.KeepColumnsFrom, err = parseFrom(r.text("keep-columns", "no")); err != nil {
		return nil, &usageError{message: fmt.Sprintf("--keep-columns: %v", err), hint: "--keep-columns 100MB keeps dropped columns of tables from that size on"}
	}
	if s.Yes, err = r.flag("yes"); err != nil {
		return nil, err
	}
	s.NoProgress, err = r.flag("no-progress")
	return s, err
}

func (r *resolver) durations(s *settings) error {
	for _, d := range []struct {
		name, initial string
		into          *time.Duration
	}{
		{"lock-timeout", "5s", &s.LockTimeout},
		{"statement-timeout", "0", &s.StatementTimeout},
		{"max-lock", "60s", &s.MaxLock},
		{"keep", "0", &s.Keep},
	} {
		v, err := parseDuration(r.text(d.name, d.initial))
		if err != nil {
			return &usageError{message: fmt.Sprintf("--%s: %v", d.name, err), hint: "dbrollback --help"}
		}
		*d.into = v
	}
	s.StatementSet = r.text("statement-timeout", "") != ""
	if s.LockTimeout == 0 {
		return &usageError{message: "--lock-timeout 0 would wait for ever, and everybody else behind it", hint: "--lock-timeout 30s"}
	}
	return nil
}

// text gives a setting's value as written in the first place that has it.
func (r *resolver) text(name, initial string) string {
	if r.cli.IsSet(name) {
		return r.cli.String(name)
	}
	if v := r.getenv(variable(name)); v != "" {
		return v
	}
	if v, ok := r.env[name]; ok {
		return v.text
	}
	if v, ok := r.file.top[name]; ok {
		return v.text
	}
	return initial
}

func (r *resolver) flag(name string) (bool, error) {
	if r.cli.IsSet(name) {
		return r.cli.Bool(name), nil
	}
	switch v := strings.ToLower(r.getenv(variable(name))); v {
	case "", "0", "false", "no":
		return false, nil
	case "1", "true", "yes":
		return true, nil
	default:
		return false, &usageError{message: fmt.Sprintf("%s=%s is neither yes nor no", variable(name), v), hint: fmt.Sprintf("write %s=1 or unset it", variable(name))}
	}
}

// parseYes reads yes or no.
func parseYes(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "true", "yes":
		return true, nil
	case "0", "false", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", s)
}

// parseFrom reads yes, no, or the size from which on: 500KB, 100MB, 2GB.
func parseFrom(s string) (yes bool, from int64, err error) {
	if yes, err = parseYes(s); err == nil {
		return yes, 0, nil
	}
	for i, unit := range []string{"KB", "MB", "GB", "TB"} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			if n, err := strconv.ParseUint(digits, 10, 64); err == nil && len(digits) <= 6 {
				return true, int64(n) << (10 * (i + 1)), nil
			}
		}
	}
	return false, 0, fmt.Errorf("%q is neither yes nor no nor a size such as 100MB", s)
}

func (r *resolver) dir() (dir string, set bool) {
	if !r.cli.IsSet("dir") && r.getenv(variable("dir")) == "" {
		if v, ok := r.env["dir"]; ok {
			return r.file.beside(v.text), true
		}
		if v, ok := r.file.top["dir"]; ok {
			return r.file.beside(v.text), true
		}
		return r.file.beside("migrations"), false
	}
	return r.text("dir", ""), true
}

// path gives a file; one that the configuration names is meant from where that lies.
func (r *resolver) path(name string) string {
	text := r.text(name, "")
	if text == "" || r.cli.IsSet(name) || r.getenv(variable(name)) != "" {
		return text
	}
	return r.file.beside(text)
}

// dsn decides which database is meant. What was typed wins over what is in the environment; two that were
// given in the same way and differ are an error that names both: nobody can know which one was meant.
func (r *resolver) dsn() (dsn, from string, err error) {
	var ofEnv string
	if v, ok := r.env["dsn"]; ok {
		if ofEnv, err = r.file.expand(v, r.getenv); err != nil {
			return "", "", err
		}
		ofEnv = r.file.besideDSN(ofEnv)
	}
	typedDSN, typedEnv := r.cli.IsSet("dsn"), r.cli.IsSet("env")
	variableDSN, variableEnv := r.getenv(variable("dsn")), r.getenv(variable("env"))
	switch {
	case typedDSN && typedEnv:
		return r.same("--dsn", r.cli.String("dsn"), "--env "+r.cli.String("env"), ofEnv)
	case typedDSN:
		return r.cli.String("dsn"), "--dsn", nil
	case typedEnv && ofEnv != "":
		return ofEnv, "--env " + r.cli.String("env"), nil
	case typedEnv && variableDSN != "":
		return variableDSN, variable("dsn"), nil
	case variableDSN != "" && variableEnv != "":
		return r.same(variable("dsn"), variableDSN, variable("env")+"="+variableEnv, ofEnv)
	case variableDSN != "":
		return variableDSN, variable("dsn"), nil
	case ofEnv != "":
		return ofEnv, variable("env") + "=" + variableEnv, nil
	case r.env != nil:
		// Not the top-level dsn: who chose an environment must not land in another one's database.
		return "", "", nil
	default:
		return r.ofFile()
	}
}

func (r *resolver) ofFile() (dsn, from string, err error) {
	v, ok := r.file.top["dsn"]
	if !ok {
		return "", "", nil
	}
	dsn, err = r.file.expand(v, r.getenv)
	return r.file.besideDSN(dsn), r.file.path, err
}

func (r *resolver) same(nameA, a, nameB, b string) (dsn, from string, err error) {
	if b == "" || a == b {
		return a, nameA, nil
	}
	ta, errA := engine.Parse(a)
	tb, errB := engine.Parse(b)
	if errA == nil && errB == nil && ta == tb {
		return a, nameA, nil
	}
	return "", "", &usageError{
		message: fmt.Sprintf("%s names %s, but %s names %s", nameA, describeOr(ta, errA), nameB, describeOr(tb, errB)),
		hint:    fmt.Sprintf("leave out one of them: %s or %s", nameA, nameB),
	}
}

func describeOr(t engine.Target, err error) string {
	if err != nil {
		return "something that is no database URL"
	}
	return describe(t)
}

func (r *resolver) unknownEnvironment(name string) error {
	known := r.file.names()
	if len(known) == 0 {
		where := "there is no " + configName
		if r.file.path != "" {
			where = r.file.path + " has no environments"
		}
		return &usageError{message: fmt.Sprintf("environment %q is unknown: %s", name, where), hint: "write environments: into it (docs/configuration.md), or pass --dsn"}
	}
	hint := fmt.Sprintf("%s has: %s", r.file.path, strings.Join(known, ", "))
	if n := nearest(name, known); n != "" {
		hint = fmt.Sprintf("did you mean --env %s? %s", n, hint)
	}
	return &usageError{message: fmt.Sprintf("environment %q is unknown", name), hint: hint}
}

// variable gives the environment variable of a setting.
func variable(name string) string {
	return "DBROLLBACK_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// describe names a target for people: engine, who, where; it has no password to leak.
func describe(t engine.Target) string {
	at := t.Database
	if t.Host != "" {
		at = t.Host + "/" + t.Database
	}
	if t.User != "" {
		at = t.User + "@" + at
	}
	return string(t.Kind) + " " + at
}

// outermost is where the global flags stand.
func outermost(c *cli.Context) *cli.Context {
	for _, o := range c.Lineage() {
		if o != nil && o.App != nil {
			c = o
		}
	}
	return c
}
