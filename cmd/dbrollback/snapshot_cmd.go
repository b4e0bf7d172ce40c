package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/snapshot"
)

func (p *program) snapshotCommand() *cli.Command {
	return &cli.Command{
		Name:   "snapshot",
		Usage:  "the captures: create, list, show, diff, verify, prune",
		Action: needsSubcommand,
		Subcommands: append([]*cli.Command{
			{
				Name:   "list",
				Usage:  "list snapshots, the newest first",
				Action: action(p, readSnapshot(0, 0), runSnapshotList),
			},
			{
				Name: "show", ArgsUsage: "ID",
				Usage:  "show one snapshot: its captures and the tables that hold them",
				Action: action(p, readSnapshot(1, 1), runSnapshotShow),
			},
			p.snapshotCreateCommand(), p.snapshotDiffCommand(),
		}, p.retentionCommands()...),
	}
}

// snapshotOptions are the options of list, show and verify.
type snapshotOptions struct{ ID string }

// Validate has nothing to refuse: whether an id exists, the catalog says.
func (snapshotOptions) Validate() error { return nil }

func readSnapshot(least, most int) func(*cli.Context) (snapshotOptions, error) {
	return func(c *cli.Context) (snapshotOptions, error) {
		return snapshotOptions{ID: c.Args().First()}, arguments(c, least, most)
	}
}

// snapshotsDocument is the JSON of `snapshot list`.
type snapshotsDocument struct {
	Version   int                 `json:"version"`
	Snapshots []snapshot.Snapshot `json:"snapshots"`
}

func runSnapshotList(ctx context.Context, s *session, _ snapshotOptions) error {
	if err := s.connect(ctx, false); err != nil {
		return err
	}
	all, err := s.snapshots(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		all[i].Captures = list(all[i].Captures)
	}
	return s.out.result(snapshotsDocument{Version: 1, Snapshots: list(all)}, func(w *page) {
		var rows [][]string
		for _, sn := range all {
			var n, bytes int64
			tables := []string{}
			for _, c := range sn.Captures {
				if c.Status == "expired" {
					continue
				}
				bytes += max(c.Bytes, 0)
				if c.Sealed {
					continue
				}
				if !c.Part {
					n += max(c.Rows, 0)
				}
				if !slices.Contains(tables, c.Table) {
					tables = append(tables, c.Table)
				}
			}
			if len(tables) == 0 {
				continue // its data was dropped
			}
			rows = append(rows, []string{sn.ID, moment(sn.TakenAt), madeBy(sn.Direction, sn.Migration, sn.Label), count(n), size(bytes), firstWords(strings.Join(tables, ", "), 60)})
		}
		if len(rows) == 0 {
			w.line("no snapshots on %s", describe(s.db.Target))
			return
		}
		w.table([]string{"snapshot", "taken at", "migration", ">rows", ">size", "tables"}, rows)
	})
}

// snapshotDocument is the JSON of `snapshot show`.
type snapshotDocument struct {
	Version  int                `json:"version"`
	Snapshot *snapshot.Snapshot `json:"snapshot"`
}

func runSnapshotShow(ctx context.Context, s *session, o snapshotOptions) error {
	store, err := s.store(ctx)
	if err != nil {
		return err
	}
	sn, err := store.Show(ctx, s.db, o.ID)
	if err != nil {
		return err
	}
	if sn == nil {
		return unknownSnapshot(o.ID)
	}
	sn.Captures = list(sn.Captures)
	return s.out.result(snapshotDocument{Version: 1, Snapshot: sn}, func(w *page) {
		by := "by migration " + madeBy(sn.Direction, sn.Migration, sn.Label)
		if sn.Direction == snapshot.Manual || sn.Direction == snapshot.Restored {
			by = madeBy(sn.Direction, sn.Migration, sn.Label)
		}
		w.line("snapshot %s, taken at %s %s", sn.ID, moment(sn.TakenAt), by)
		rows := make([][]string, len(sn.Captures))
		for i, c := range sn.Captures {
			kind := string(c.Kind)
			if c.Sealed {
				kind = "sealed"
			}
			rows[i] = []string{c.Table, kind, strings.Join(c.Columns, ", "), count(c.Rows), size(c.Bytes), c.Status, c.Location}
		}
		w.table([]string{"table", "kind", "columns", ">rows", ">size", "status", "held in"}, rows)
	})
}

func unknownSnapshot(id string) error {
	return &usageError{message: fmt.Sprintf("there is no snapshot %q", id), hint: "dbrollback snapshot list"}
}
