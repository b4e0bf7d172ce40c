package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// checkpointOptions are the options of all commands of `checkpoint`.
type checkpointOptions struct {
	Config     string
	ID         string
	Components []string // none: all
	Label      string
	Release    string
}

// components are all there are, for messages.
var components = []string{checkpoint.Database, checkpoint.Configuration, checkpoint.Code, checkpoint.Flags}

// Validate refuses components that there are not.
func (o checkpointOptions) Validate() error {
	for _, c := range o.Components {
		if !slices.Contains(components, c) {
			return &usageError{message: fmt.Sprintf("--component %q is unknown: there are %s", c, strings.Join(components, ", ")), hint: nearestHint(c, components, "--component ", "docs/checkpoints.md")}
		}
	}
	if o.Release != "" {
		if wrong := migrate.CheckReleaseName(o.Release); wrong != "" {
			return &usageError{message: "the release's name " + wrong, hint: "--release v2.4.1"}
		}
	}
	return nil
}

func checkpointFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{&cli.StringFlag{Name: "rollback-config", Usage: "`FILE` that says what belongs to a deployment (default rollback-config.yml) [$DBROLLBACK_ROLLBACK_CONFIG]"}}, more...)
}

func (p *program) checkpointCommand() *cli.Command {
	component := &cli.StringSliceFlag{Name: "component", Aliases: []string{"c"}, Usage: "only this `COMPONENT`: database, configuration, application_code or feature_flags; several: again, or separated by commas"}
	return &cli.Command{
		Name:   "checkpoint",
		Usage:  "database, configuration files, code and feature flags of a deployment together: create, list, show, restore",
		Action: needsSubcommand,
		Subcommands: []*cli.Command{
			{
				Name:  "create",
				Usage: "capture all components of rollback-config.yml at one moment",
				Flags: checkpointFlags(component,
					&cli.StringFlag{Name: "label", Usage: "a `NAME` for it, to be given to checkpoint restore"},
					&cli.StringFlag{Name: "release", Usage: "the release that is deployed, by `NAME` (default that of the database's version)"}),
				Action: action(p, readCheckpoint(0), runCheckpointCreate),
			},
			{
				Name:   "list",
				Usage:  "list checkpoints, the newest first",
				Action: action(p, readCheckpoint(0), runCheckpointList),
			},
			{
				Name: "show", ArgsUsage: "ID",
				Usage:  "show one checkpoint: what of each component it has",
				Action: action(p, readCheckpoint(1), runCheckpointShow),
			},
			p.checkpointRestoreCommand(component),
		},
	}
}

func readCheckpoint(arguments_ int) func(*cli.Context) (checkpointOptions, error) {
	return func(c *cli.Context) (checkpointOptions, error) {
		o := checkpointOptions{Config: c.String("rollback-config"), ID: c.Args().First(), Label: c.String("label"), Release: c.String("release")}
		for _, text := range c.StringSlice("component") {
			for _, name := range strings.Split(text, ",") {
				o.Components = append(o.Components, strings.TrimSpace(name))
			}
		}
		return o, arguments(c, arguments_, arguments_)
	}
}

// checkpointDocument is the JSON of `checkpoint create` and `show`, checkpointsDocument that of `list`.
type checkpointDocument struct {
	Version    int                  `json:"version"`
	State      string               `json:"state"`
	Hash       string               `json:"hash"`
	Checkpoint *checkpoint.Manifest `json:"checkpoint"`
}

type checkpointsDocument struct {
	Version     int              `json:"version"`
	Checkpoints []checkpointLine `json:"checkpoints"`
}

// checkpointLine is one checkpoint of a list.
type checkpointLine struct {
	ID          string   `json:"id"`
	TakenAt     string   `json:"taken_at"`
	Environment string   `json:"environment"`
	Label       string   `json:"label"`
	Release     string   `json:"release"`
	Migration   int64    `json:"migration"`
	Components  []string `json:"components"`
	State       string   `json:"state"`
	Before      string   `json:"before"`
}

// damagedCheckpoint is the state of one whose manifest is not what was recorded.
const damagedCheckpoint = "damaged"

func runCheckpointList(ctx context.Context, s *session, _ checkpointOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	all, err := m.Checkpoints(ctx)
	if err != nil {
		return err
	}
	lines := []checkpointLine{}
	for _, c := range all {
		l := checkpointLine{ID: c.ID, TakenAt: c.TakenAt.Format("2006-01-02T15:04:05Z"), Migration: c.Migration, State: c.State, Before: c.Before, Components: []string{}}
		if man, err := checkpoint.Decode([]byte(c.Manifest), c.Hash); err != nil {
			l.State = damagedCheckpoint
		} else {
			l.Environment, l.Label, l.Release, l.Components = man.Environment, man.Label, man.Release, man.Components()
		}
		lines = append(lines, l)
	}
	s.progress.end()
	return s.out.result(checkpointsDocument{Version: 1, Checkpoints: lines}, func(w *page) {
		if len(lines) == 0 {
			w.line("no checkpoints on %s", describe(s.db.Target))
			return
		}
		rows := make([][]string, len(lines))
		for i, l := range lines {
			what := l.Label
			switch {
			case l.State == migrate.CheckpointRestoring:
				what = "before the restore of " + l.Before + ", which has not ended"
			case l.State == damagedCheckpoint:
				what = "damaged: its manifest is not what was recorded"
			case l.Before != "":
				what = "before the restore of " + l.Before
			}
			rows[i] = []string{l.ID, moment(all[i].TakenAt), orElse(l.Environment, "-"), orElse(l.Release, "-"), fmt.Sprint(l.Migration), strings.Join(l.Components, ", "), what}
		}
		w.table([]string{"checkpoint", "taken at", "env", "release", ">version", "components", "label"}, rows)
	})
}

func runCheckpointShow(ctx context.Context, s *session, o checkpointOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	c, man, err := findCheckpoint(ctx, m, o.ID)
	if err != nil {
		return err
	}
	s.progress.end()
	return s.out.result(checkpointDocument{Version: 1, State: c.State, Hash: c.Hash, Checkpoint: man}, func(w *page) {
		writeCheckpoint(w, man)
	})
}

// findCheckpoint looks a checkpoint up by its id, or by its label: the newest that has it.
func findCheckpoint(ctx context.Context, m *migrate.Migrator, id string) (*migrate.Checkpoint, *checkpoint.Manifest, error) {
	all, err := m.Checkpoints(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		man, err := checkpoint.Decode([]byte(all[i].Manifest), all[i].Hash)
		switch {
		case all[i].ID == id:
			if err == nil && man.ID != id {
				err = &refusedError{message: "the manifest of the checkpoint is that of another", hint: "dbrollback log --verify shows whether the log was changed, too"}
			}
			return &all[i], man, err
		case err == nil && man.Label == id && man.Before == "":
			return &all[i], man, nil
		}
	}
	return nil, nil, &noCheckpointError{id}
}

// noCheckpointError says that this database has no such checkpoint.
type noCheckpointError struct{ id string }

func (e *noCheckpointError) Error() string {
	return fmt.Sprintf("there is no checkpoint %q in this database", e.id)
}

func writeCheckpoint(w *page, m *checkpoint.Manifest) {
	w.line("checkpoint %s, taken at %s by %s on %s", w.bold(m.ID), moment(m.TakenAt), m.TakenBy, m.Machine)
	if m.Before != "" {
		w.line("  taken ahead of the restore of %s", m.Before)
	}
	for _, x := range [][2]string{{"environment", m.Environment}, {"release", m.Release}, {"label", m.Label}} {
		if x[1] != "" {
			w.line("  %s: %s", x[0], x[1])
		}
	}
	if d := m.Database; d != nil {
		w.line("  database: version %d, %s in snapshot %s", d.Migration, number(int64(len(d.Tables)), "table", "tables"), orElse(d.Snapshot, "(none)"))
	}
	if c := m.Configuration; c != nil {
		var files, bytes int64
		for _, e := range c.Entries {
			if !e.Dir {
				files, bytes = files+1, bytes+e.Size
			}
		}
		w.line("  configuration: %s, %s, copied to %s", number(files, "file", "files"), size(bytes), c.Location)
	}
	if c := m.Code; c != nil {
		at := "version " + c.Version
		if c.Commit != "" {
			at = fmt.Sprintf("commit %.12s, %s", c.Commit, at)
		}
		w.line("  application_code: %s", at)
	}
	if f := m.Flags; f != nil {
		var all []string
		for _, v := range f.Values {
			all = append(all, v.Name+" = "+v.Value)
		}
		w.line("  feature_flags: %s", orElse(strings.Join(all, ", "), "switched by a command"))
	}
}
