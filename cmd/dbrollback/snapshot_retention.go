package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// retentionCommands check captures and drop old ones.
func (p *program) retentionCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "verify", ArgsUsage: "[ID]",
			Usage:  "compute the checksums of captured data again and compare",
			Action: action(p, readSnapshot(0, 1), runSnapshotVerify),
		},
		{
			Name:  "prune",
			Usage: "drop old captures; what they hold cannot be rolled back afterwards",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "older-than", Usage: "drop what is older than this `DURATION`, e.g. 168h or 7d"},
				&cli.StringFlag{Name: "keep-last", Usage: "keep this `NUMBER` of snapshots, drop the older ones"},
				&cli.BoolFlag{Name: "dry-run", Usage: "show what would be dropped; change nothing"},
			},
			Action: action(p, readPrune, runSnapshotPrune),
		},
	}
}

// verificationsDocument is the JSON of `snapshot verify`.
type verificationsDocument struct {
	Version  int                     `json:"version"`
	Captures []snapshot.Verification `json:"captures"`
	OK       bool                    `json:"ok"`
	Error    *problem                `json:"error"`
}

func runSnapshotVerify(ctx context.Context, s *session, o snapshotOptions) error {
	store, err := s.store(ctx)
	if err != nil {
		return err
	}
	if o.ID != "" {
		sn, err := store.Show(ctx, s.db, o.ID)
		if err != nil {
			return err
		}
		if sn == nil {
			return unknownSnapshot(o.ID)
		}
	}
	all, err := store.Verify(ctx, s.db, o.ID)
	if err != nil {
		return err
	}
	var broken []string
	for _, v := range all {
		if !v.OK {
			broken = append(broken, fmt.Sprintf("%s of snapshot %s: %s", v.Table, v.Snapshot, v.Reason))
		}
	}
	d := verificationsDocument{Version: 1, Captures: list(all), OK: len(broken) == 0}
	var finding error
	if !d.OK {
		finding = &refusedError{message: fmt.Sprintf("%s not what was captured", number(int64(len(broken)), "capture is", "captures are")),
			hint: "do not roll back from it; dbrollback log shows who ran what"}
		d.Error = explain(ctx, finding)
	}
	err = s.out.result(d, func(w *page) {
		w.line("%s checked, %d damaged", number(int64(len(all)), "capture", "captures"), len(broken))
		for _, b := range broken {
			w.line("  %s", b)
		}
	})
	if err != nil {
		return err
	}
	return finding
}

// pruneOptions are the options of `snapshot prune`.
type pruneOptions struct {
	OlderThan time.Duration
	KeepLast  int
	DryRun    bool
	byAge     bool
	byCount   bool
}

// Validate wants to be told what is old.
func (o pruneOptions) Validate() error {
	if !o.byAge && !o.byCount {
		return &usageError{message: "snapshot prune wants to know what is old", hint: "dbrollback snapshot prune --older-than 168h, or --keep-last 10"}
	}
	return nil
}

func readPrune(c *cli.Context) (pruneOptions, error) {
	o := pruneOptions{DryRun: c.Bool("dry-run"), byAge: c.IsSet("older-than"), byCount: c.IsSet("keep-last")}
	var err error
	if o.byAge {
		if o.OlderThan, err = parseDuration(c.String("older-than")); err != nil {
			return o, &usageError{message: "--older-than: " + err.Error(), hint: "--older-than 168h"}
		}
	}
	if o.byCount {
		o.KeepLast, err = parseCount(c.String("keep-last"))
		if err == nil && o.KeepLast == 0 {
			err = errors.New("0 would keep nothing")
		}
		if err != nil {
			return o, &usageError{message: "--keep-last: " + err.Error(), hint: "--keep-last 10; to drop all that no release needs: --older-than 0"}
		}
	}
	return o, noArguments(c)
}

// command is the one that was given.
func (o pruneOptions) command() string {
	text := "dbrollback snapshot prune"
	if o.byAge {
		text += " --older-than " + o.OlderThan.String()
	}
	if o.byCount {
		text += " --keep-last " + strconv.Itoa(o.KeepLast)
	}
	return text
}

// prunedDocument is the JSON of `snapshot prune`.
type prunedDocument struct {
	Version int             `json:"version"`
	DryRun  bool            `json:"dry_run"`
	Dropped []snapshot.Info `json:"dropped"`
	Kept    int             `json:"kept"` // that would go, did the last releases not need them
}

func runSnapshotPrune(ctx context.Context, s *session, o pruneOptions) error {
	store, err := s.store(ctx)
	if err != nil {
		return err
	}
	options := snapshot.PruneOptions{Keep: o.KeepLast, DryRun: true}
	if o.byAge {
		options.Before = time.Now().Add(-o.OlderThan)
	}
	old, err := store.Prune(ctx, s.db, options)
	if err != nil {
		return err
	}
	if options.Protect, err = s.protected(ctx); err != nil {
		return err
	}
	dropped, err := store.Prune(ctx, s.db, options)
	if err != nil {
		return err
	}
	if !o.DryRun {
		if len(dropped) > 0 { // what a run that was cut off left is nobody's
			s.announce()
			if err := s.insist(ctx, fmt.Sprintf("drop %s on %s?", number(int64(len(dropped)), "capture", "captures"), describe(s.db.Target)), o.command()); err != nil {
				return err
			}
		}
		options.DryRun = false
		if dropped, err = s.prune(ctx, store, options); err != nil {
			return err
		}
	}
	kept := max(0, len(old)-len(dropped))
	return s.out.result(prunedDocument{Version: 1, DryRun: o.DryRun, Dropped: list(dropped), Kept: kept}, func(w *page) {
		verb := "dropped"
		if o.DryRun {
			verb = "would drop"
		}
		w.line("%s %s", verb, number(int64(len(dropped)), "capture", "captures"))
		for _, d := range dropped {
			w.line("  %s of %s: %s, %s, migration %d", d.Table, moment(d.CapturedAt), number(d.Rows, "row", "rows"), size(d.Bytes), d.Migration)
		}
		if kept > 0 {
			w.line("%s as old stay, which a rollback of the last releases needs (keep-releases: %d)", number(int64(kept), "capture", "captures"), s.KeepReleases)
		}
	})
}

// prune drops in one transaction, while no run is under way.
func (s *session) prune(ctx context.Context, store *snapshot.Store, o snapshot.PruneOptions) (dropped []snapshot.Info, err error) {
	conn, err := s.db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	release, err := conn.RunLock(ctx, s.LockTimeout)
	if err != nil {
		return nil, err
	}
	defer release()
	err = conn.Tx(ctx, func(tx *sql.Tx) error {
		dropped, err = store.Prune(ctx, tx, o)
		return err
	})
	return dropped, err
}

// protected lists the migrations whose captures the last --keep-releases releases need.
func (s *session) protected(ctx context.Context) ([]int64, error) {
	if s.KeepReleases == 0 {
		return nil, nil
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return nil, err
	}
	conn, err := s.db.Session(ctx)
	if err != nil {
		return nil, err
	}
	versions, err := m.Protected(ctx, conn)
	return versions, errors.Join(err, conn.Close())
}
