package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/audit"
)

// logOptions are the options of `log`.
type logOptions struct {
	Limit  int
	Verify bool
}

// Validate refuses a limit that shows nothing.
func (o logOptions) Validate() error {
	if o.Limit < 1 {
		return &usageError{message: fmt.Sprintf("--limit %d would show nothing", o.Limit), hint: "--limit 20"}
	}
	return nil
}

func (p *program) logCommand() *cli.Command {
	return &cli.Command{
		Name:  "log",
		Usage: "who ran what, when, and what it changed; the newest first",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Value: 20, Usage: "show this `NUMBER` of runs"},
			&cli.BoolFlag{Name: "verify", Usage: "check the whole chain of hashes; exits with 3 when an entry was changed or removed"},
		},
		Action: action(p, func(c *cli.Context) (logOptions, error) {
			return logOptions{Limit: c.Int("limit"), Verify: c.Bool("verify")}, noArguments(c)
		}, runLog),
	}
}

// logDocument is the JSON of `log`.
type logDocument struct {
	Version int           `json:"version"`
	Entries []audit.Entry `json:"entries"`
	// Intact is null unless the chain was checked.
	Intact *bool    `json:"intact"`
	Error  *problem `json:"error"`
}

func runLog(ctx context.Context, s *session, o logOptions) error {
	if err := s.connect(ctx, false); err != nil {
		return err
	}
	log := audit.New(s.db)
	entries, err := log.List(ctx, s.db, o.Limit)
	if err != nil {
		return err
	}
	d := logDocument{Version: 1, Entries: list(entries)}
	var broken *audit.BrokenError
	if o.Verify {
		err := log.Verify(ctx, s.db)
		if err != nil && !errors.As(err, &broken) {
			return err
		}
		intact := err == nil
		d.Intact = &intact
	}
	var finding error
	if broken != nil {
		finding = &refusedError{message: broken.Error(), hint: "compare with a backup of the database, or with the hashes that were copied elsewhere"}
		d.Error = explain(ctx, finding)
	}
	err = s.out.result(d, func(w *page) {
		if len(entries) == 0 {
			w.line("no runs recorded on %s", describe(s.db.Target))
			return
		}
		for _, e := range entries {
			writeEntry(w, e)
		}
		if o.Verify && broken == nil {
			w.line("chain: intact; newest hash %s", entries[0].Hash)
		}
	})
	if err != nil {
		return err
	}
	return finding
}

func writeEntry(w *page, e audit.Entry) {
	w.line("%s  %s %s  %d -> %d  %s, %s", moment(e.At), w.bold(e.Action), e.Outcome, e.From, e.To, e.User, seconds(e.DurationSeconds))
	if len(e.Versions) > 0 {
		w.line("  migrations: %s", versions(e.Versions))
	}
	for _, t := range e.Tables {
		w.line("  %s: %s back, %s put back, %s removed, %s", t.Table, number(t.Inserted, "row", "rows"),
			number(t.Updated, "value", "values"), number(t.Deleted, "row", "rows"), number(t.Conflicts, "conflict", "conflicts"))
	}
	for _, n := range e.NotUndone {
		w.line("  not undone: %s", n)
	}
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		w.line("  %s: %s", k, firstWords(e.Detail[k], 160))
	}
	if e.Error != "" {
		w.line("  error: %s", firstWords(e.Error, 160))
	}
	w.line("  run %s  hash %s", e.Run, shorten(e.Hash, 16))
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.TrimSpace(s[:n])
}
