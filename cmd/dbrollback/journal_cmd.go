package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// journalOptions are the options of the commands of `journal`.
type journalOptions struct {
	Tables []engine.Name
	Keep   time.Duration // 0: the default
	Key    []string
	Limit  int
	Source string
	// Unlimited: of a slot, although the server limits nothing that it keeps for it.
	Unlimited bool
	wants     string // what the command cannot do without
}

// Validate wants to be told of which tables, and of which row.
func (o journalOptions) Validate() error {
	switch {
	case o.wants != "" && len(o.Tables) == 0:
		return &usageError{message: "journal " + o.wants + " wants to know which tables", hint: "dbrollback journal " + o.wants + " orders customers"}
	case !slices.Contains([]string{"", journal.Trigger, journal.Slot}, o.Source):
		return &usageError{message: fmt.Sprintf("--source %q is unknown", o.Source), hint: nearestHint(o.Source, []string{journal.Trigger, journal.Slot}, "--source ", "--source trigger or --source slot")}
	case o.Unlimited && o.Source != journal.Slot:
		return &usageError{message: "--without-wal-limit is about --source slot", hint: "dbrollback journal enable orders --source slot --without-wal-limit"}
	case o.wants == "log" && len(o.Tables) > 1:
		return &usageError{message: "journal log tells of one table", hint: "dbrollback journal log orders --key 7"}
	case o.wants == "log" && len(o.Key) == 0:
		return &usageError{message: "journal log wants to know which row", hint: "dbrollback journal log orders --key 7; --key again for each further column of the key"}
	case o.wants == "log" && o.Limit < 1:
		return &usageError{message: fmt.Sprintf("--limit %d would show nothing", o.Limit), hint: "--limit 20"}
	}
	return nil
}

func (p *program) journalCommand() *cli.Command {
	return &cli.Command{
		Name:   "journal",
		Usage:  "record what is written to tables, for restore --at any second: enable, disable, status, log, prune, run",
		Action: needsSubcommand,
		Subcommands: []*cli.Command{
			{
				Name: "enable", ArgsUsage: "TABLE…",
				Usage: "record from now on; again, to change --keep",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "keep", Usage: "how far back it goes: a `DURATION`, e.g. 72h or 7d (default 72h)"},
					&cli.StringFlag{Name: "source", Usage: "`WHAT` records: trigger, or slot: on PostgreSQL a replication slot, which journal run reads (default trigger)"},
					&cli.BoolFlag{Name: "without-wal-limit", Usage: "a slot although the server limits nothing that it keeps for it (max_slot_wal_keep_size)"},
				},
				Action: action(p, readJournal("enable"), runJournalEnable),
			},
			{
				Name: "disable", ArgsUsage: "TABLE…",
				Usage:  "end that, and drop what was recorded",
				Action: action(p, readJournal("disable"), runJournalDisable),
			},
			{
				Name:   "status",
				Usage:  "which tables are journalled, how far back, and what that takes; exits with 3 when one does not record",
				Action: action(p, readJournal(""), runJournalStatus),
			},
			{
				Name: "log", ArgsUsage: "TABLE",
				Usage: "what was written to one row, when and by whom; the newest first",
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "key", Usage: "`VALUE` of the row's key; again for each further column of it"},
					&cli.IntFlag{Name: "limit", Value: 20, Usage: "show this `NUMBER` of writes"},
				},
				Action: action(p, readJournal("log"), runJournalLog),
			},
			{
				Name:   "prune",
				Usage:  "drop what is older than --keep of each table; up does the same at its end",
				Action: action(p, readJournal(""), runJournalPrune),
			},
			{
				Name:  "run",
				Usage: "read the replication slot of tables that were enabled with --source slot, until it is ended",
				Description: `It writes what the server's log tells into the journals. One is to run for each database; it may be ended at any time, and goes on
where it was. restore --at and journal log read what is missing by themselves: what matters is that the server need not keep its log for long.`,
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "until-now", Aliases: []string{"once"}, Usage: "read what was written so far, and no further"},
				},
				Action: action(p, func(c *cli.Context) (journalRunOptions, error) {
					return journalRunOptions{UntilNow: c.Bool("until-now")}, noArguments(c)
				}, runJournalRun),
			},
		},
	}
}

func readJournal(wants string) func(c *cli.Context) (journalOptions, error) {
	return func(c *cli.Context) (journalOptions, error) {
		o := journalOptions{wants: wants, Key: c.StringSlice("key"), Limit: c.Int("limit"), Source: c.String("source"), Unlimited: c.Bool("without-wal-limit")}
		if wants == "" {
			return o, noArguments(c)
		}
		var err error
		if o.Tables, err = parseNames("table", c.Args().Slice()); err != nil {
			return o, err
		}
		if keep := c.String("keep"); keep != "" {
			if o.Keep, err = parseDuration(keep); err == nil && o.Keep < time.Second {
				err = fmt.Errorf("%s would keep nothing", keep)
			}
			if err != nil {
				return o, &usageError{message: "--keep: " + err.Error(), hint: "--keep 72h"}
			}
		}
		return o, nil
	}
}

// journalsDocument is the JSON of `journal enable`, `disable` and `status`.
type journalsDocument struct {
	Version  int              `json:"version"`
	Target   engine.Target    `json:"target"`
	Journals []journal.Status `json:"journals"`
	Error    *problem         `json:"error"`
}

func runJournalEnable(ctx context.Context, s *session, o journalOptions) error {
	return runJournalChange(ctx, s, func(m *migrate.Migrator) ([]journal.Status, error) {
		return m.EnableJournal(ctx, o.Tables, journal.Options{Keep: o.Keep, Source: o.Source, Unlimited: o.Unlimited})
	})
}

func runJournalDisable(ctx context.Context, s *session, o journalOptions) error {
	return runJournalChange(ctx, s, func(m *migrate.Migrator) ([]journal.Status, error) { return m.DisableJournal(ctx, o.Tables) })
}

func runJournalChange(ctx context.Context, s *session, change func(m *migrate.Migrator) ([]journal.Status, error)) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	s.announce()
	all, err := change(m)
	s.progress.end()
	if err != nil {
		return err
	}
	return s.out.result(journalsDocument{Version: 1, Target: s.db.Target, Journals: list(all)}, func(w *page) { writeJournals(w, s, all) })
}

func runJournalStatus(ctx context.Context, s *session, _ journalOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	all, err := m.JournalStatus(ctx)
	s.progress.end()
	if err != nil {
		return err
	}
	left, err := m.JournalLeft(ctx)
	if err != nil {
		return err
	}
	if left != "" {
		s.out.warn("the replication slot %s is left of an enable or a disable that was cut off, and the server keeps its log for it: dbrollback journal prune drops it", left)
	}
	d := journalsDocument{Version: 1, Target: s.db.Target, Journals: list(all)}
	var finding error
	var broken []string
	for _, j := range all {
		if !j.Recording {
			broken = append(broken, fmt.Sprintf("%s (%s)", j.Table, j.Why))
		}
	}
	if len(broken) > 0 {
		finding = &refusedError{message: "not recorded any more: " + strings.Join(broken, ", "), hint: "dbrollback journal enable begins again, disable drops what is left"}
		d.Error = explain(ctx, finding)
	}
	if err := s.out.result(d, func(w *page) { writeJournals(w, s, all) }); err != nil {
		return err
	}
	return finding
}

func writeJournals(w *page, s *session, all []journal.Status) {
	if len(all) == 0 {
		w.line("no table is journalled on %s", describe(s.db.Target))
		return
	}
	var rows [][]string
	for _, j := range all {
		from := "-"
		if j.From != nil {
			from = moment(*j.From)
		}
		rows = append(rows, []string{j.Table, from, (time.Duration(j.Keep) * time.Second).String(), count(j.Rows), size(j.Bytes)})
	}
	w.table([]string{"journalled", "back to", "keeps", ">rows written", ">size"}, rows)
	for _, j := range all {
		if !j.Recording {
			w.line("%s is not recorded any more: %s", j.Table, j.Why)
		}
		for _, e := range j.Earlier {
			w.line("%s: gone: %s", j.Table, e)
		}
	}
	if l := lag(all); l != nil {
		writeLag(w, l)
	}
	if note := all[0].Note; note != "" {
		w.line("%s", note)
	}
	if i := slices.IndexFunc(all, func(j journal.Status) bool { return j.From != nil }); i >= 0 {
		w.line("to go back: dbrollback restore --table %s --at \"10m ago\"", all[i].Arg)
	}
}

// journalLogDocument is the JSON of `journal log`.
type journalLogDocument struct {
	Version int `json:"version"`
	*journal.History
}

func runJournalLog(ctx context.Context, s *session, o journalOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	h, err := m.JournalHistory(ctx, o.Tables[0], o.Key, o.Limit)
	s.progress.end()
	if err != nil {
		return err
	}
	return s.out.result(journalLogDocument{Version: 1, History: h}, func(w *page) {
		w.line("%s, %s, since %s:", h.Table, w.bold(h.Key), h.From)
		if len(h.Entries) == 0 {
			w.line("  nothing was written")
		}
		for _, e := range h.Entries {
			var parts []string
			for _, c := range e.Cells {
				switch e.Change {
				case "inserted", "moved here":
					parts = append(parts, c.Column+" "+cell(c.After))
				case "updated":
					parts = append(parts, c.Column+" "+cell(c.Before)+" -> "+cell(c.After))
				default:
					parts = append(parts, c.Column+" "+cell(c.Before))
				}
			}
			by := ""
			if e.Who != "" {
				by = " by " + e.Who
			}
			w.line("  %s %s%s: %s", e.At, w.bold(e.Change), by, firstWords(strings.Join(parts, ", "), 160))
		}
		if h.Why != "" {
			w.line("not all is here: %s", h.Why)
		}
		if h.Note != "" {
			w.line("%s", h.Note)
		}
	})
}

// journalPrunedDocument is the JSON of `journal prune`.
type journalPrunedDocument struct {
	Version int   `json:"version"`
	Dropped int64 `json:"dropped"`
}

func runJournalPrune(ctx context.Context, s *session, _ journalOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	s.announce()
	n, err := m.PruneJournal(ctx)
	s.progress.end()
	if err != nil {
		return err
	}
	return s.out.result(journalPrunedDocument{Version: 1, Dropped: n}, func(w *page) { w.line("dropped %s", number(n, "record", "records")) })
}
