package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/guard"
)

// target is one database of a fleet.
type target struct {
	name string // what --targets and the table call it
	dsn  string
	engine.Target
}

// targetsFlags are the flags of a command that works on fleets.
func targetsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "targets", Usage: "`WHICH` databases of targets: in dbrollback.yml: all, or names, with * for any part of one, separated by commas"},
		&cli.StringFlag{Name: "parallel", Usage: "`NUMBER` of targets that are worked on at a time (default 4; 0 all of a wave)"},
	}
}

// targets gives the databases that --targets means, in the order of the list.
func (s *session) targets(ctx context.Context, which string) ([]target, error) {
	if s.DSNFrom == "--dsn" {
		return nil, &usageError{message: "--dsn names one database, --targets means many", hint: "leave out one of them"}
	}
	list := s.file.targets[s.Env]
	if list == nil {
		where := "the configuration has no targets:"
		if s.ConfigPath == "" {
			where = "there is no " + configName
		}
		if s.Env != "" {
			where = "environment " + s.Env + " has no targets:"
		}
		return nil, &usageError{message: where, hint: "write the databases there: " + targetsHint}
	}
	entries, source, err := s.listed(ctx, list)
	if err != nil {
		return nil, err
	}
	var all []target
	for _, e := range entries {
		t, err := s.target(source, e)
		if err != nil {
			return nil, err
		}
		for i, other := range all {
			if samePlace(other.Target, t.Target) {
				return nil, source.wrongAt(e.dsn, fmt.Sprintf("%s is there twice: it is target %d, too", describe(t.Target), i+1), "keep one of them")
			}
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, &refusedError{message: "the list of targets is empty", hint: "look at what targets: names in " + s.ConfigPath}
	}
	nameTargets(all)
	if i := slices.IndexFunc(all, func(t target) bool {
		return slices.ContainsFunc(all, func(o target) bool { return o.name == t.name && o.Target != t.Target })
	}); i >= 0 {
		return nil, &usageError{message: fmt.Sprintf("two targets are called %s", all[i].name), hint: "give each a name of its own"}
	}
	return choose(all, which)
}

// samePlace tells whether two targets are one database, as far as their URLs say.
func samePlace(a, b engine.Target) bool {
	if a.Kind == engine.SQLite && b.Kind == engine.SQLite {
		return realPath(a.Database) == realPath(b.Database)
	}
	a.User, b.User = "", ""
	return a == b
}

func realPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// listed gives the entries of a list, and the file in which their lines are.
func (s *session) listed(ctx context.Context, list *targetList) ([]targetEntry, *config, error) {
	c := s.file
	switch {
	case list.file.text != "":
		path := c.beside(list.file.text)
		b, err := os.ReadFile(path)
		if err != nil {
			var pe *os.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, nil, c.wrongAt(list.file, fmt.Sprintf("targets: file %s: %v", path, err), targetsHint)
		}
		entries, err := readLines(string(b))
		return entries, &config{path: path, environments: c.environments}, err
	case list.command.text != "":
		out, err := guard.Output(ctx, list.command.text, filepath.Dir(c.path))
		if err != nil {
			return nil, nil, c.wrongAt(list.command, fmt.Sprintf("targets: the command failed: %v", err), "run it by hand; it prints a database URL a line, or NAME URL")
		}
		entries, err := readLines(out)
		for i := range entries { // it has no lines of a file to name
			entries[i].dsn.line, entries[i].dsn.column = list.command.line, list.command.column
		}
		return entries, c, err
	case list.query.text != "":
		entries, err := s.queried(ctx, list)
		return entries, c, err
	}
	return list.entries, c, nil
}

// readLines reads a database a line: URL, or NAME URL. Empty lines and those that begin with # are none.
func readLines(text string) ([]targetEntry, error) {
	var out []targetEntry
	scan := bufio.NewScanner(strings.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e := targetEntry{dsn: configValue{text: line, line: n, column: 1}}
		if i := strings.IndexAny(line, " \t"); i > 0 && !strings.Contains(line[:i], ":") {
			e.name = configValue{text: line[:i], line: n, column: 1}
			e.dsn.text = strings.TrimSpace(line[i:])
		}
		out = append(out, e)
	}
	return out, scan.Err()
}

// queried asks a database for the list.
func (s *session) queried(ctx context.Context, list *targetList) (_ []targetEntry, err error) {
	c := s.file
	dsn := s.DSN
	switch {
	case list.dsn.text != "":
		if dsn, err = c.expand(list.dsn, s.Getenv); err != nil {
			return nil, err
		}
		dsn = c.besideDSN(dsn)
	case s.dsnErr != nil:
		return nil, s.dsnErr
	case dsn == "":
		return nil, c.wrongAt(list.query, "targets: no database is named that the query is asked of", "write dsn: beside query:")
	}
	s.out.secret = dsn
	db, err := engine.Open(ctx, dsn, engine.Options{LockTimeout: s.LockTimeout, StatementTimeout: s.StatementTimeout, MustExist: true})
	if err != nil {
		return nil, fmt.Errorf("list the targets: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, list.query.text)
	if err != nil {
		return nil, fmt.Errorf("list the targets: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if len(columns) != 1 && len(columns) != 2 {
		return nil, c.wrongAt(list.query, fmt.Sprintf("targets: the query gives %d columns", len(columns)), "SELECT url, or SELECT name, url")
	}
	var out []targetEntry
	for rows.Next() {
		e := targetEntry{dsn: list.query}
		e.dsn.text = ""
		into := []any{&e.name.text, &e.dsn.text}
		if err := rows.Scan(into[2-len(columns):]...); err != nil {
			return nil, fmt.Errorf("list the targets: %w", err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// target reads one entry: a URL, or the name of an environment.
func (s *session) target(source *config, e targetEntry) (target, error) {
	t := target{name: e.name.text}
	var err error
	if t.dsn, err = source.expand(e.dsn, s.Getenv); err != nil {
		return t, err
	}
	if env, ok := s.file.environments[t.dsn]; ok {
		v, ok := env["dsn"]
		if !ok {
			return t, source.wrongAt(e.dsn, "environment "+t.dsn+" names no database", "write dsn: below it")
		}
		t.name = orElse(t.name, t.dsn)
		if t.dsn, err = s.file.expand(v, s.Getenv); err != nil {
			return t, err
		}
		t.dsn = s.file.besideDSN(t.dsn)
	} else {
		t.dsn = source.besideDSN(t.dsn)
	}
	if t.Target, err = engine.Parse(t.dsn); err != nil {
		u := s.badDSN(err)
		what := "this is no database URL, and no environment"
		if strings.Contains(t.dsn, ":") {
			what = strings.TrimPrefix(u.Error(), s.DSNFrom+": ")
		}
		return t, source.wrongAt(e.dsn, "targets: "+what, "postgres://user@host:5432/name, mysql://…, mariadb://…, sqlite:file.db, or the name of an environment")
	}
	if strings.Contains(t.Database, ":memory:") {
		return t, source.wrongAt(e.dsn, "targets: a database in memory is gone with the run", "sqlite:file.db")
	}
	return t, nil
}

// wrongAt is wrong at a value that was read before; without a line it names the file.
func (c *config) wrongAt(v configValue, message, hint string) error {
	return &configError{file: c.path, line: v.line, column: v.column, message: engine.Redact(message), hint: hint}
}

// nameTargets gives a name to those that have none: as much of where they are as tells them apart.
func nameTargets(all []target) {
	for _, form := range []func(engine.Target) string{
		func(t engine.Target) string { return t.Database },
		func(t engine.Target) string { return t.Host + "/" + t.Database },
		describe,
	} {
		names := map[string]int{}
		for _, t := range all {
			names[orElse(t.name, form(t.Target))]++
		}
		twice := func(t target) bool { return names[orElse(t.name, form(t.Target))] > 1 }
		if slices.ContainsFunc(all, func(t target) bool { return t.name == "" && twice(t) }) {
			continue
		}
		for i, t := range all {
			all[i].name = orElse(t.name, form(t.Target))
		}
		return
	}
	for i, t := range all {
		all[i].name = orElse(t.name, describe(t.Target))
	}
}

// choose keeps the targets that --targets names.
func choose(all []target, which string) ([]target, error) {
	if which == "all" {
		return all, nil
	}
	wanted := make([]bool, len(all))
	for _, pattern := range strings.Split(which, ",") {
		pattern = strings.TrimSpace(pattern)
		like := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		found := false
		var names []string
		for i, t := range all {
			names = append(names, t.name)
			if like.MatchString(t.name) {
				wanted[i], found = true, true
			}
		}
		if !found {
			return nil, &usageError{message: fmt.Sprintf("--targets: no target is called %q", pattern), hint: nearestHint(pattern, names, "--targets ", "dbrollback status --targets all lists them")}
		}
	}
	var out []target
	for i, t := range all {
		if wanted[i] {
			out = append(out, t)
		}
	}
	return out, nil
}
