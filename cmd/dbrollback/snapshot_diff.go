package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// diffOptions are the options of `snapshot diff`.
type diffOptions struct{ From, To, Format string }

// Validate knows the formats.
func (o diffOptions) Validate() error {
	switch o.Format {
	case "", "csv", "json":
		return nil
	}
	return &usageError{message: fmt.Sprintf("--format %q is unknown", o.Format), hint: "--format csv or --format json gives every changed row"}
}

func (p *program) snapshotDiffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", ArgsUsage: "ID [ID|now]",
		Usage: "what changed since a snapshot, until now or another one: counts and a few rows, or every row",
		Flags: []cli.Flag{&cli.StringFlag{Name: "format", Usage: "every changed row, as `FORMAT`: csv or json"}},
		Action: action(p, func(c *cli.Context) (diffOptions, error) {
			o := diffOptions{From: c.Args().First(), To: snapshot.Now, Format: c.String("format")}
			if to := c.Args().Get(1); to != "" {
				o.To = to
			}
			return o, arguments(c, 1, 2)
		}, runSnapshotDiff),
	}
}

// diffDocument is the JSON of `snapshot diff`.
type diffDocument struct {
	Version int                  `json:"version"`
	From    string               `json:"from"`
	To      string               `json:"to"`
	Tables  []snapshot.TableDiff `json:"tables"`
}

func runSnapshotDiff(ctx context.Context, s *session, o diffOptions) error {
	store, err := s.store(ctx)
	if err != nil {
		return err
	}
	options := snapshot.DiffOptions{From: o.From, To: o.To, Samples: 3}
	if o.Format != "" {
		return s.streamDiff(ctx, store, o, options)
	}
	ds, err := store.Diff(ctx, options)
	if err != nil {
		return err
	}
	return s.out.result(diffDocument{Version: 1, From: o.From, To: o.To, Tables: list(ds)}, func(w *page) {
		rows := make([][]string, 0, len(ds))
		for _, d := range ds {
			rows = append(rows, []string{d.Table, count(d.Inserted), count(d.Updated), count(d.Deleted), moment(d.From), moment(d.To)})
		}
		w.table([]string{"table", ">inserted", ">updated", ">deleted", "from", "to"}, rows)
		for _, d := range ds {
			if d.Note != "" {
				w.line("%s: %s", d.Table, d.Note)
			}
			if len(d.Samples) > 0 {
				w.line("some rows of %s:", d.Table)
				writeChanges(w, d.Samples)
			}
		}
	})
}

// streamDiff writes every changed row as it is read: there may be more of them than fit into memory.
func (s *session) streamDiff(ctx context.Context, store *snapshot.Store, o diffOptions, options snapshot.DiffOptions) error {
	out := bufio.NewWriter(s.Out)
	s.out.printed = true
	options.Samples = 0
	var end func() error
	switch o.Format {
	case "csv":
		w := csv.NewWriter(out)
		if err := w.Write([]string{"table", "change", "key", "column", "before", "after"}); err != nil {
			return err
		}
		options.Each = func(c snapshot.Change) error {
			for _, x := range c.Cells {
				if err := w.Write([]string{c.Table, c.Kind, c.Key, x.Column, field(x.Before), field(x.After)}); err != nil {
					return err
				}
			}
			return nil
		}
		end = func() error { w.Flush(); return w.Error() }
	default:
		first := true
		head, err := json.Marshal(map[string]string{"from": o.From, "to": o.To})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, `{"version":1,%s,"changes":[`, head[1:len(head)-1])
		options.Each = func(c snapshot.Change) error {
			b, err := json.Marshal(c)
			if err != nil {
				return err
			}
			comma := ","
			if first {
				comma = ""
			}
			first = false
			_, err = fmt.Fprintf(out, "%s\n  %s", comma, b)
			return err
		}
		end = func() error { _, err := out.WriteString("\n]}\n"); return err }
	}
	if _, err := store.Diff(ctx, options); err != nil {
		return err // what was written so far is no whole document, and the exit code says so
	}
	if err := end(); err != nil {
		return err
	}
	return out.Flush()
}

// field writes a value for CSV, where NULL and the empty text would be the same.
func field(v *string) string {
	if v == nil {
		return `\N`
	}
	return *v
}
