package testdb

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// PgDumpEnv names the pg_dump to use, where the server's own directory has none or too old a one.
const PgDumpEnv = "DBROLLBACK_TEST_PG_DUMP"

// pgDumpProgram is the pg_dump of the server that is started, else the newest one: it reads older servers.
func pgDumpProgram() string {
	if p := os.Getenv(PgDumpEnv); p != "" {
		return p
	}
	if dir := os.Getenv(PostgresBinEnv); dir != "" && os.Getenv(PostgresEnv) == "" {
		if p := filepath.Join(dir, "pg_dump"); exists(p) {
			return p
		}
	}
	if dirs := postgresDirs("pg_dump"); len(dirs) > 0 {
		return filepath.Join(dirs[0], "pg_dump")
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func pgDump(t testing.TB, dsn string) string {
	t.Helper()
	program := pgDumpProgram()
	if program == "" {
		t.Fatalf("testdb: no pg_dump on this machine: apt-get install postgresql-client-15, or set %s", PgDumpEnv)
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--dbname="+dsn, "--exclude-schema=dbrollback",
		"--exclude-table=*.goose_db_version*", "--exclude-table=*.state_snapshots*", "--exclude-table=public.dbrollback_*")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("testdb: pg_dump: %v\n%s", err, stderr.String())
	}
	return stdout.String()
}

var (
	// the first line of what pg_dump says about one object
	pgEntry = regexp.MustCompile(`^-- (?:Data for )?Name: .*; Type: .*; Schema: .*; Owner: `)
	// settings of the session that loads the dump, and lines that differ from run to run
	pgNoise = regexp.MustCompile(`^(?:SET (?:statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|` +
		`client_encoding|standard_conforming_strings|check_function_bodies|xmloption|client_min_messages|row_security|` +
		`default_tablespace|default_table_access_method|default_with_oids) = .*;|SELECT pg_catalog\.set_config\('search_path'.*|` +
		`SELECT pg_catalog\.setval\(.*\);|\\(?:un)?restrict .*|-- Dumped (?:from|by) .*|-- PostgreSQL database dump(?: complete)?)$`)
	// PostgreSQL 18 names these after the table that they were made with, and prints the name when that has another one by now.
	pgNotNull = regexp.MustCompile(`\bCONSTRAINT \w+_not_null\d* NOT NULL`)

	pgCopy = regexp.MustCompile(`^COPY (.+) \((.*)\) FROM stdin;$`)
)

// Reload dumps a PostgreSQL database and loads the dump into an empty one, as an upgrade by dump and restore does: nothing keeps its
// number there.
func Reload(t testing.TB, from, into string) {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "dump")
	run := func(program string, args ...string) {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		if err != nil && !onlyNewerSettings(string(out)) {
			t.Fatalf("testdb: %s: %v\n%s", filepath.Base(program), err, out)
		}
	}
	run(pgDumpProgram(), "-Fc", "-f", dump, from)
	run(filepath.Join(filepath.Dir(pgDumpProgram()), "pg_restore"), "-d", into, dump)
}

// onlyNewerSettings tells whether a pg_restore that is newer than the server complained of nothing but settings that the server does not know.
func onlyNewerSettings(says string) bool {
	found := false
	for line := range strings.Lines(says) {
		if strings.Contains(line, "error: ") {
			if !strings.Contains(line, "unrecognized configuration parameter") {
				return false
			}
			found = true
		}
	}
	return found
}

// normalisePostgres makes dumps comparable: one paragraph per object, headed by pg_dump's own line about
// it and in the order of those lines, rows sorted.
func normalisePostgres(dump string, anyOrder bool) string {
	lines := strings.Split(dump, "\n")
	var entries [][]string
	entry := []string{}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if m := pgCopy.FindStringSubmatch(line); m != nil {
			end := i + 1
			for end < len(lines) && lines[end] != `\.` {
				end++
			}
			entry = append(entry, copyBlock(m[1], m[2], lines[i+1:end], anyOrder)...)
			i = end
			continue
		}
		switch {
		case pgEntry.MatchString(line):
			entries = append(entries, trimEntry(entry))
			entry = []string{line}
		case pgNoise.MatchString(line):
		default:
			entry = append(entry, pgNotNull.ReplaceAllString(line, "NOT NULL"))
		}
	}
	entries = append(entries, trimEntry(entry))
	var out []string
	for _, e := range entries {
		// a sequence's position is an entry of its own, empty by now
		if len(e) == 0 || len(e) == 1 && pgEntry.MatchString(e[0]) {
			continue
		}
		if anyOrder {
			e = sortColumns(e)
		}
		out = append(out, strings.Join(e, "\n")+"\n")
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// trimEntry takes off the empty and the "--" lines that frame pg_dump's entries. Those inside, of a
// function's body for instance, stay.
func trimEntry(e []string) []string {
	idle := func(s string) bool { return s == "" || s == "--" }
	for len(e) > 0 && idle(e[len(e)-1]) {
		e = e[:len(e)-1]
	}
	head := 0
	if len(e) > 0 && pgEntry.MatchString(e[0]) {
		head = 1
	}
	for len(e) > head && idle(e[head]) {
		e = slices.Delete(slices.Clone(e), head, head+1)
	}
	return e
}

// copyBlock is a table's rows in an order that does not depend on where they lie.
func copyBlock(table, columns string, rows []string, anyOrder bool) []string {
	names := splitIdents(columns)
	if anyOrder {
		order := make([]int, len(names))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(names[a], names[b]) })
		pick := func(from []string) []string {
			to := make([]string, len(order))
			for i, o := range order {
				to[i] = from[o]
			}
			return to
		}
		moved := make([]string, len(rows))
		for i, r := range rows {
			moved[i] = r
			if f := strings.Split(r, "\t"); len(f) == len(order) { // COPY escapes a tab inside a value
				moved[i] = strings.Join(pick(f), "\t")
			}
		}
		names, rows = pick(names), moved
	}
	return slices.Concat([]string{"COPY " + table + " (" + strings.Join(names, ", ") + ")"}, sortedCopy(rows))
}

// splitIdents splits a list of identifiers at the commas outside of quotes.
func splitIdents(s string) []string {
	var out []string
	quoted, from := false, 0
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// sortColumns sorts the lines between "CREATE TABLE x (" and the closing parenthesis: one column, or one
// check, each.
func sortColumns(e []string) []string {
	e = slices.Clone(e)
	for i := range e {
		if !strings.HasPrefix(e[i], "CREATE ") || !strings.Contains(e[i], "TABLE ") || !strings.HasSuffix(e[i], "(") {
			continue
		}
		end := i + 1
		for end < len(e) && strings.HasPrefix(e[end], "  ") {
			e[end] = strings.TrimSuffix(e[end], ",")
			end++
		}
		slices.Sort(e[i+1 : end])
	}
	return e
}
