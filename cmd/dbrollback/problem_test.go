package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

func TestExitCodes(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("roll back: %w", err) }
	for name, c := range map[string]struct {
		err  error
		exit int
		text string
	}{
		"anything":   {errors.New("odd"), 1, "odd"},
		"usage":      {&usageError{message: "wrong"}, 2, "wrong"},
		"config":     {&configError{file: "f.yml", line: 3, column: 4, message: "odd"}, 2, "f.yml:3:4: odd"},
		"bad url":    {&engine.Error{Class: engine.Usage, Message: "no URL"}, 2, "no URL"},
		"refused":    {&migrate.RefusedError{Reasons: []migrate.Refusal{{File: "m.sql", Line: 2, Column: 1, Message: "no Down"}}}, 3, "m.sql:2:1: refused: no Down"},
		"declined":   {&refusedError{message: "declined"}, 3, "declined"},
		"unfinished": {migrate.ErrUnfinished, 3, "did not finish"},
		"nothing":    {migrate.ErrNothing, 3, "nothing to roll back"},
		"drift":      {&migrate.DriftError{Version: 4, Differences: []verify.Difference{{Kind: "column", Object: "t.c"}}}, 4, "changed since migration 4"},
		"conflict":   {&snapshot.ConflictError{}, 4, ""},
		"lock":       {&engine.Error{Class: engine.LockTimeout, Message: "locked"}, 5, "locked"},
		"no server":  {&engine.Error{Class: engine.Unreachable, Message: "refused"}, 1, "refused"},
		"statement":  {&migrate.StatementError{File: "m.sql", Line: 7, Column: 9, Err: errors.New("no such column")}, 1, "m.sql:7:9: no such column"},
		"locked statement": {&migrate.PartialError{Failed: 3, Err: &migrate.StatementError{File: "m.sql", Line: 7, Column: 9,
			Err: &engine.Error{Class: engine.LockTimeout, Message: "locked"}}}, 5, "m.sql:7:9: locked"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range []error{c.err, wrap(c.err)} {
				p := explain(context.Background(), err)
				if p.Exit != c.exit || !strings.Contains(p.line(), c.text) || strings.Contains(p.line(), "\n") {
					t.Errorf("%d %q, want %d %q", p.Exit, p.line(), c.exit, c.text)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p := explain(ctx, context.Canceled); p.Exit != 130 {
		t.Errorf("interrupted: exit %d", p.Exit)
	}
}

// A problem tells how far a run came.
func TestPartly(t *testing.T) {
	p := explain(context.Background(), &migrate.PartialError{Applied: []int64{4, 5}, Failed: 6, Err: errors.New("odd")})
	if got := strings.Join(p.Details, "\n"); got != "2 migrations before it done and kept: 4, 5\nmigration 6 had no effect" {
		t.Error(got)
	}
	for direction, want := range map[migrate.Direction]string{migrate.Up: "dbrollback up", migrate.Down: "dbrollback rollback"} {
		p = explain(context.Background(), &migrate.PartialError{Direction: direction, Failed: 6, Err: &migrate.StatementError{File: "m.sql", Err: errors.New("odd")}})
		if !strings.HasSuffix(p.Hint, want) {
			t.Errorf("%s: %s", direction, p.Hint)
		}
	}
	p = explain(context.Background(), &migrate.PartialError{Failed: 6, Unfinished: true, Err: errors.New("odd")})
	if !strings.Contains(p.Hint, "dbrollback recover") {
		t.Error(p.Hint)
	}
	for _, err := range []error{
		&engine.Error{Class: engine.Privilege, Message: "denied", Hint: "GRANT it"},
		&engine.Error{Class: engine.DiskFull, Message: "full", Hint: "GRANT it, then run the same command again"},
		&migrate.RefusedError{Reasons: []migrate.Refusal{{File: "m.sql", Message: "odd", Hint: "GRANT it"}}},
	} {
		if p = explain(context.Background(), &migrate.PartialError{Failed: 6, Unfinished: true, Err: err}); p.Hint != "GRANT it; then: dbrollback recover finishes it, dbrollback recover --abort undoes it" {
			t.Error(p.Hint)
		}
	}
	for _, x := range []struct {
		err  error
		want string
	}{
		{&migrate.RepairError{Direction: migrate.Down, SQL: "ALTER TABLE t ADD UNIQUE KEY u (a)", Err: &engine.Error{Class: engine.Constraint, Message: "taken"}}, "rows of now break it: delete or change them, then: dbrollback recover"},
		{&migrate.RepairError{Direction: migrate.Down, SQL: "CREATE VIEW v AS SELECT 1", Err: &engine.Error{Class: engine.Unknown, Message: "odd"}}, "make it by hand, or make room for it, then: dbrollback recover"},
		{errors.New("odd"), "dbrollback recover finishes it; its rows are back, so that it cannot be undone before that"},
	} {
		if p = explain(context.Background(), &migrate.PartialError{Direction: migrate.Down, Failed: 6, Unfinished: true, Back: true, Err: x.err}); p.Hint != x.want {
			t.Errorf("%v: %s", x.err, p.Hint)
		}
	}
	if p = explain(context.Background(), migrate.ErrBack); strings.Contains(p.Hint, "--abort") {
		t.Error(p.Hint)
	}
	p = explain(context.Background(), &migrate.PartialError{Failed: 6, Unfinished: true, Err: &migrate.RefusedError{Reasons: []migrate.Refusal{{File: "m.sql", Message: "odd", Hint: "only dbrollback recover --abort does"}}}})
	if p.Hint != "only dbrollback recover --abort does" {
		t.Error(p.Hint)
	}
}

func TestRedact(t *testing.T) {
	for _, c := range []struct{ text, dsn string }{
		{"cannot connect to postgres://ada:hunter22@h/d", ""},
		{"host=h user=ada password=hunter22", ""},
		{"x ada:hunter22@h", "postgres://ada:hunter22@h/d"},
		{"x ada:hunter%2f22@h and ada:hunter/22@h", "postgres://ada:hunter%2F22@h/d"},
	} {
		got := redact(c.text, c.dsn)
		if strings.Contains(got, "hunter") && !strings.Contains(got, "%2f") {
			t.Errorf("%q became %q", c.text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"rollback", "recover", "status", "snapshot"}
	for word, want := range map[string]string{"rolback": "rollback", "stauts": "status", "snap": "", "xyz": "", "recovr": "recover"} {
		if got := nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 2000000: "2,000,000", -1: "?"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[int64]string{-1: "?", 12: "12 B", 900000: "900.0 kB", 390_000_000: "390.0 MB", 2_500_000_000: "2.5 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for s, want := range map[float64]string{0.0123: "12ms", 1.26: "1.3s", 75.4: "1m15s"} {
		if got := seconds(s); got != want {
			t.Errorf("%v: %s", s, got)
		}
	}
}
