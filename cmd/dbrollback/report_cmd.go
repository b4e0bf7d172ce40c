package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/report"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// reportOptions are the options of `report`.
type reportOptions struct {
	HTML  string
	Limit int
}

// Validate wants to know where the page goes.
func (o reportOptions) Validate() error {
	switch {
	case o.HTML == "":
		return &usageError{message: "report wants to know where the page goes", hint: "dbrollback report --html report.html"}
	case o.Limit < 0:
		return &usageError{message: fmt.Sprintf("--limit %d would show nothing", o.Limit), hint: "--limit 500, or --limit 0 for all"}
	}
	return nil
}

func (p *program) reportCommand() *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "one page for a browser: what happened, what can still be undone and until when, what could not be",
		Description: `The page is one file that needs nothing else: it can be mailed, attached to an incident, or kept. It only reads the
database.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "html", Usage: "`FILE` to write, in one step"},
			&cli.IntFlag{Name: "limit", Value: 1000, Usage: "tell of this `NUMBER` of entries of the log; 0 for all"},
		},
		Action: action(p, func(c *cli.Context) (reportOptions, error) {
			return reportOptions{HTML: c.String("html"), Limit: c.Int("limit")}, noArguments(c)
		}, runReport),
	}
}

// reportDocument is the JSON of `report`.
type reportDocument struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	Runs    int    `json:"entries"`
	Intact  bool   `json:"intact"`
}

func runReport(ctx context.Context, s *session, o reportOptions) error {
	d, err := s.history(ctx, o.Limit)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := report.Write(&b, d, report.Words{Count: count, Size: size, Seconds: seconds, Moment: moment}); err != nil {
		return err
	}
	if err := writeWhole(o.HTML, b.Bytes(), 0o644); err != nil {
		return err
	}
	s.progress.end()
	return s.out.result(reportDocument{Version: 1, File: o.HTML, Runs: len(d.Entries), Intact: d.Broken == ""}, func(w *page) {
		w.line("%s tells of %s of the log of %s", o.HTML, number(int64(len(d.Entries)), "entry", "entries"), d.Target)
		if d.Broken != "" {
			w.line("%s", d.Broken)
		}
	})
}

// history reads all that there is to tell.
func (s *session) history(ctx context.Context, limit int) (*report.Data, error) {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return nil, err
	}
	d := &report.Data{Made: time.Now().UTC(), Program: "dbrollback " + build().Release, Target: describe(s.db.Target)}
	st, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	d.Current = st.Current
	for _, x := range st.Migrations {
		d.Migrations = append(d.Migrations, report.Migration{Version: x.Version, File: x.File, AppliedAt: x.AppliedAt, Captured: x.Captured})
	}
	for _, u := range st.Unfinished {
		d.Unfinished = append(d.Unfinished, fmt.Sprintf("%s of migration %d, cut off at statement %d of %d, since %s", u.Direction, u.Version, u.Statement, u.Of, moment(u.Since)))
	}
	if drifted(st) {
		d.Drift = differences(st.Drift)
	}
	releases, err := m.Releases(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range releases {
		d.Releases = append(d.Releases, report.Release{Name: r.Name, Version: r.Version, TaggedAt: r.TaggedAt})
	}
	if d.Snapshots, err = s.snapshots(ctx); err != nil {
		return nil, err
	}
	log := audit.New(s.db)
	if limit > 0 {
		limit++ // to see whether there are more
	}
	if d.Entries, err = log.List(ctx, s.db, limit); err != nil {
		return nil, err
	}
	if limit > 0 && len(d.Entries) == limit {
		d.Entries, d.Left = d.Entries[:limit-1], true
	}
	for i := range d.Entries {
		d.Entries[i].Error = redact(d.Entries[i].Error, s.DSN)
	}
	var broken *audit.BrokenError
	if err := log.Verify(ctx, s.db, ""); errors.As(err, &broken) {
		d.Broken = broken.Error()
	} else if err != nil {
		return nil, err
	}
	return d, nil
}

// snapshots lists the captures; a database that was never touched has none.
func (s *session) snapshots(ctx context.Context) ([]snapshot.Snapshot, error) {
	store, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.db.Resolve(ctx, s.db, s.db.Own(orElse(s.Catalog, "state_snapshots"))); errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return store.List(ctx, s.db)
}
