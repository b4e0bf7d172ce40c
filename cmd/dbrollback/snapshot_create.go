package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// createSnapshotOptions are the options of `snapshot create`.
type createSnapshotOptions struct {
	Tables []engine.Name
	Label  string
}

// Validate wants to be told what to capture.
func (o createSnapshotOptions) Validate() error {
	if len(o.Tables) == 0 {
		return &usageError{message: "snapshot create wants to know which tables", hint: "dbrollback snapshot create --table users --label before-import"}
	}
	return nil
}

func (p *program) snapshotCreateCommand() *cli.Command {
	return &cli.Command{
		Name:  "create",
		Usage: "capture tables by hand, whole, all as of one moment; nobody is kept from writing",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "table", Aliases: []string{"t"}, Usage: "`TABLE` to capture; several: again, or separated by commas"},
			&cli.StringFlag{Name: "label", Usage: "a `NAME` for it, to be given to restore --snapshot"},
		},
		Action: action(p, func(c *cli.Context) (createSnapshotOptions, error) {
			tables, err := parseNames("table", c.StringSlice("table"))
			if err == nil {
				err = noArguments(c)
			}
			return createSnapshotOptions{Tables: tables, Label: c.String("label")}, err
		}, runSnapshotCreate),
	}
}

func runSnapshotCreate(ctx context.Context, s *session, o createSnapshotOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	s.announce()
	sn, err := m.CreateSnapshot(ctx, migrate.SnapshotRequest{Tables: o.Tables, Label: o.Label})
	s.progress.end()
	if err != nil {
		return err
	}
	return s.out.result(snapshotDocument{Version: 1, Snapshot: sn}, func(w *page) {
		w.line("snapshot %s, taken at %s", sn.ID, moment(sn.TakenAt))
		rows := make([][]string, len(sn.Captures))
		for i, c := range sn.Captures {
			rows[i] = []string{c.Table, count(c.Rows), size(c.Bytes)}
		}
		w.table([]string{"table", ">rows", ">size"}, rows)
		w.line("to see what changed since: dbrollback snapshot diff %s", sn.ID)
		w.line("to go back to it: dbrollback restore --snapshot %s", sn.ID)
	})
}

// madeBy says what made a snapshot.
func madeBy(direction string, migration int64, label *string) string {
	switch direction {
	case "manual":
		if label != nil {
			return "by hand: " + *label
		}
		return "by hand"
	case "restore":
		return "by a restore"
	}
	return fmt.Sprintf("%d %s", migration, direction)
}
