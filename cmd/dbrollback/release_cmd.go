package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// releaseOptions are the options of `release tag` and `release list`.
type releaseOptions struct {
	Name      string
	Migration int64 // -1: the current one
	Move      bool
	List      bool
}

// Validate refuses a name that nobody could type again.
func (o releaseOptions) Validate() error {
	if o.List {
		return nil
	}
	if wrong := migrate.CheckReleaseName(o.Name); wrong != "" {
		return &usageError{message: "the release's name " + wrong, hint: "dbrollback release tag v2.4.1"}
	}
	return nil
}

func (p *program) releaseCommand() *cli.Command {
	return &cli.Command{
		Name:   "release",
		Usage:  "names for schema versions, to roll back to: tag, list",
		Action: needsSubcommand,
		Subcommands: []*cli.Command{
			{
				Name: "tag", ArgsUsage: "NAME",
				Usage: "name the version that the database is at; up --release does the same",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "migration", Usage: "an applied `VERSION` to name instead of the current one"},
					&cli.BoolFlag{Name: "move", Usage: "a name that stands for another version moves"},
				},
				Action: action(p, func(c *cli.Context) (releaseOptions, error) {
					o := releaseOptions{Name: c.Args().First(), Move: c.Bool("move")}
					if err := arguments(c, 1, 1); err != nil {
						return o, err
					}
					var err error
					o.Migration, err = readVersion(c, "migration")
					return o, err
				}, runReleaseTag),
			},
			{
				Name:  "list",
				Usage: "list releases, the newest first, and whether a rollback leads there",
				Action: action(p, func(c *cli.Context) (releaseOptions, error) {
					return releaseOptions{List: true}, noArguments(c)
				}, runReleaseList),
			},
		},
	}
}

// releaseDocument is the JSON of `release tag`, releasesDocument that of `release list`.
type releaseDocument struct {
	Version int              `json:"version"`
	Target  engine.Target    `json:"target"`
	Release *migrate.Release `json:"release"`
}

type releasesDocument struct {
	Version  int               `json:"version"`
	Target   engine.Target     `json:"target"`
	Releases []migrate.Release `json:"releases"`
}

func runReleaseTag(ctx context.Context, s *session, o releaseOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	s.announce()
	r, err := m.Tag(ctx, o.Name, o.Migration, o.Move)
	if err != nil {
		return err
	}
	all, err := m.Releases(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Name == r.Name {
			r = &all[i]
		}
	}
	s.progress.end()
	return s.out.result(releaseDocument{Version: 1, Target: s.db.Target, Release: r}, func(w *page) {
		w.line("release %s is version %d", r.Name, r.Version)
		w.line("to go back to it: dbrollback rollback --to-release %s", r.Name)
	})
}

var releaseWords = map[string]string{
	migrate.ReleaseCurrent:    "the database is at it",
	migrate.ReleaseReachable:  "rollback leads there, with its data",
	migrate.ReleaseUncaptured: "rollback leads there, but not all data comes back: nothing captured (any more) for",
	migrate.ReleaseNotApplied: "not applied",
}

func runReleaseList(ctx context.Context, s *session, _ releaseOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	all, err := m.Releases(ctx)
	if err != nil {
		return err
	}
	s.progress.end()
	return s.out.result(releasesDocument{Version: 1, Target: s.db.Target, Releases: all}, func(w *page) {
		if len(all) == 0 {
			w.line("no releases on %s", describe(s.db.Target))
			return
		}
		rows := make([][]string, len(all))
		for i, r := range all {
			rows[i] = []string{r.Name, fmt.Sprint(r.Version), moment(r.TaggedAt), fmt.Sprint(r.Undoes), strings.TrimSpace(releaseWords[r.State] + " " + versions(r.Lost))}
		}
		w.table([]string{"release", ">version", "tagged at", ">undoes", "state"}, rows)
	})
}
