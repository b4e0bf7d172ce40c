package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// logFormats are the formats of `log`.
var logFormats = []string{"text", "json", "csv"}

// logOptions are the options of `log` and `log verify`.
type logOptions struct {
	Limit  int
	Format string // "" is what --output says
	Verify bool
	Noted  string // the hash that an entry must have; "" for none
}

// Validate refuses a limit that shows nothing, and what is no hash.
func (o logOptions) Validate() error {
	_, err := hex.DecodeString(o.Noted)
	switch {
	case o.Limit < 0:
		return &usageError{message: fmt.Sprintf("--limit %d would show nothing", o.Limit), hint: "--limit 20, or --limit 0 for all"}
	case o.Format != "" && !slices.Contains(logFormats, o.Format):
		return &usageError{message: fmt.Sprintf("--format %q is unknown", o.Format), hint: nearestHint(o.Format, logFormats, "--format ", "dbrollback log --help")}
	case o.Noted != "" && (err != nil || len(o.Noted) != 64):
		return &usageError{message: fmt.Sprintf("--has %q is no hash of an entry", o.Noted), hint: "dbrollback log verify prints the newest one: 64 hexadecimal digits"}
	case o.Verify && o.Format == "csv":
		return &usageError{message: "--verify and --format csv do not go together", hint: "dbrollback log verify, then dbrollback log --format csv"}
	}
	return nil
}

func (p *program) logCommand() *cli.Command {
	format := &cli.StringFlag{Name: "format", Usage: "`FORMAT`: text, json or csv (default that of --output)"}
	return &cli.Command{
		Name:  "log",
		Usage: "who ran what, when, and what it changed; the newest first; verify: the chain of hashes",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Value: 20, Usage: "show this `NUMBER` of runs; 0 for all"},
			format,
			&cli.BoolFlag{Name: "verify", Usage: "check the whole chain of hashes, too; exits with 3 when an entry was changed or removed"},
		},
		Subcommands: []*cli.Command{{
			Name:        "verify",
			Usage:       "check the chain of hashes: that no entry was changed, removed or slipped in",
			Description: "Exits with 3 when it does not hold, and names the first entry at which it does not.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "has", Usage: "the `HASH` that this command printed some time ago: an entry must still have it"},
			},
			Action: action(p, func(c *cli.Context) (logOptions, error) {
				return logOptions{Verify: true, Limit: 1, Noted: strings.ToLower(c.String("has"))}, noArguments(c)
			}, runLogVerify),
		}},
		Action: action(p, func(c *cli.Context) (logOptions, error) {
			return logOptions{Limit: c.Int("limit"), Format: c.String("format"), Verify: c.Bool("verify")}, noArguments(c)
		}, runLog),
	}
}

// logDocument is the JSON of `log`.
type logDocument struct {
	Version int           `json:"version"`
	Target  engine.Target `json:"target"`
	Entries []audit.Entry `json:"entries"`
	// Intact is null unless the chain was checked.
	Intact *bool    `json:"intact"`
	Error  *problem `json:"error"`
}

func runLog(ctx context.Context, s *session, o logOptions) error {
	if o.Format != "" {
		s.out.json = o.Format == "json"
	}
	if err := s.connect(ctx, false); err != nil {
		return err
	}
	log := audit.New(s.db)
	entries, err := log.List(ctx, s.db, o.Limit)
	if err != nil {
		return err
	}
	if o.Format == "csv" {
		s.out.printed = true
		return writeLogCSV(s.Out, entries)
	}
	d := logDocument{Version: 1, Target: s.db.Target, Entries: list(entries)}
	var finding error
	if o.Verify {
		if finding, err = s.checkLog(ctx, log, ""); err != nil {
			return err
		}
		intact := finding == nil
		d.Intact = &intact
	}
	if finding != nil {
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
		if o.Verify && finding == nil {
			w.line("chain: intact; newest hash %s", entries[0].Hash)
		}
	})
	if err != nil {
		return err
	}
	return finding
}

// checkLog walks the chain. A chain that does not hold is a finding, which is shown next to whatever else is.
func (s *session) checkLog(ctx context.Context, log *audit.Log, noted string) (finding, err error) {
	err = log.Verify(ctx, s.db, noted)
	var broken *audit.BrokenError
	if errors.As(err, &broken) {
		return &refusedError{message: broken.Error(), hint: "compare with a backup of the database, or with the hashes that were copied elsewhere"}, nil
	}
	return nil, err
}

// logVerifyDocument is the JSON of `log verify`.
type logVerifyDocument struct {
	Version int           `json:"version"`
	Target  engine.Target `json:"target"`
	Intact  bool          `json:"intact"`
	Newest  string        `json:"newest"` // hash of the newest entry, "" when there is none
	Error   *problem      `json:"error"`
}

func runLogVerify(ctx context.Context, s *session, o logOptions) error {
	if err := s.connect(ctx, false); err != nil {
		return err
	}
	log := audit.New(s.db)
	finding, err := s.checkLog(ctx, log, o.Noted)
	if err != nil {
		return err
	}
	newest, err := log.List(ctx, s.db, o.Limit)
	if err != nil {
		return err
	}
	d := logVerifyDocument{Version: 1, Target: s.db.Target, Intact: finding == nil}
	if len(newest) > 0 {
		d.Newest = newest[0].Hash
	}
	if finding != nil {
		d.Error = explain(ctx, finding)
	}
	err = s.out.result(d, func(w *page) {
		switch {
		case finding != nil: // the error says it all
		case d.Newest == "":
			w.line("no runs recorded on %s", describe(s.db.Target))
		default:
			w.line("chain: intact; newest hash %s", d.Newest)
			w.line("to find out later whether entries were taken out at the end, keep it elsewhere: dbrollback log verify --has %s", d.Newest)
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
