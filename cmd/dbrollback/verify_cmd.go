package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/lint"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// verifyOptions are the options of `verify`.
type verifyOptions struct {
	Paths         []string
	Target        bool
	Snapshots     bool
	ScratchDSN    string
	Engine        string
	Format        string
	Since         string
	Rows          int
	Strict        bool
	AllowExternal bool
	Proves        []string // options that only the proof of migrations has, as given
}

// verifyTimeout is how long one statement of a migration may take on a scratch database, where nothing is large, unless
// --statement-timeout says otherwise.
const verifyTimeout = time.Minute

// mostRows is how many generated rows a table gets at most: beyond it nothing more shows, and everything is slow.
const mostRows = 1000

// Validate checks the words that are chosen from a list, and what goes with what.
func (o verifyOptions) Validate() error {
	switch {
	case o.Target && o.Snapshots:
		return &usageError{message: "--target and --snapshots are two questions", hint: "ask them one after the other"}
	case (o.Target || o.Snapshots) && len(o.Proves) > 0:
		return &usageError{message: fmt.Sprintf("%s does not go with --target or --snapshots: they look at the database itself", o.Proves[0]), hint: "dbrollback verify --help"}
	case (o.Target || o.Snapshots) && len(o.Paths) > 0:
		return &usageError{message: "a PATH does not go with --target or --snapshots: they look at the database itself", hint: "dbrollback verify --help"}
	case o.Rows < 0 || o.Rows > mostRows:
		return &usageError{message: fmt.Sprintf("--rows %d is not between 0 and %d", o.Rows, mostRows), hint: "--rows 0 leaves the tables as migrations fill them"}
	case o.Engine != "" && !slices.Contains(lintEngines, o.Engine):
		return &usageError{message: fmt.Sprintf("--engine %q is unknown", o.Engine), hint: nearestHint(o.Engine, lintEngines, "--engine ", "dbrollback verify --help")}
	case o.Format != "" && !slices.Contains(lint.Formats, o.Format):
		return &usageError{message: fmt.Sprintf("--format %q is unknown", o.Format), hint: nearestHint(o.Format, lint.Formats, "--format ", "dbrollback verify --help")}
	}
	return nil
}

func (p *program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", ArgsUsage: "[PATH…]",
		Usage: "prove on a scratch database that each migration can be undone",
		Description: `Each migration runs up, down and up again in databases that are made for it and dropped: never
in the configured one. What differs afterwards, objects and rows, is reported; PATH is the folder of the migrations
(default --dir), or those of its files to judge. docs/verify.md explains the verdicts.

--target compares the configured database with what was recorded when migrations ran on it, and --snapshots
recomputes the checksum of every capture in it; both only read.

A statement that does not end within --statement-timeout (here 60s unless it is set, 0 for no limit) is stopped, and fails.

Exit code 3 when something is found.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "scratch-dsn", Usage: "`URL` of any database of a server on which scratch databases may be made [$" + variable("scratch-dsn") + "]"},
			&cli.StringFlag{Name: "engine", Usage: "`NAME` of the SQL: postgres, mysql, mariadb or sqlite (default: that of --scratch-dsn or of the configured database)"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the report: text, json, sarif, github or junit"},
			&cli.StringFlag{Name: "since", Usage: "judge only migrations added since a git `REF`"},
			&cli.IntFlag{Name: "rows", Value: 48, Usage: "generated rows a table, `N`; 0 for none"},
			&cli.BoolFlag{Name: "strict", Usage: "findings are also what only captures bring back, the order of columns and names that the server made up"},
			&cli.BoolFlag{Name: "allow-external", Usage: "run statements that reach beyond the scratch database: roles, other databases, programs, dblink"},
			&cli.BoolFlag{Name: "target", Usage: "look for drift in the configured database instead"},
			&cli.BoolFlag{Name: "snapshots", Usage: "recompute the checksums of the captures in the configured database instead"},
		},
		Action: action(p, func(c *cli.Context) (verifyOptions, error) {
			o := verifyOptions{Paths: c.Args().Slice(), Target: c.Bool("target"), Snapshots: c.Bool("snapshots"), ScratchDSN: c.String("scratch-dsn"),
				Engine: c.String("engine"), Format: c.String("format"), Since: c.String("since"), Rows: c.Int("rows"), Strict: c.Bool("strict"),
				AllowExternal: c.Bool("allow-external")}
			for _, name := range []string{"scratch-dsn", "engine", "format", "since", "rows", "strict", "allow-external"} {
				if c.IsSet(name) {
					o.Proves = append(o.Proves, "--"+name)
				}
			}
			if o.ScratchDSN == "" {
				o.ScratchDSN = p.Getenv(variable("scratch-dsn"))
			}
			return o, nil
		}, runVerify),
	}
}

func runVerify(ctx context.Context, s *session, o verifyOptions) error {
	switch {
	case o.Target:
		return runVerifyTarget(ctx, s)
	case o.Snapshots:
		return runSnapshotVerify(ctx, s, snapshotOptions{})
	}
	return runProve(ctx, s, o)
}

// targetDocument is the JSON of `verify --target`.
type targetDocument struct {
	Version int                 `json:"version"`
	Target  engine.Target       `json:"target"`
	Current int64               `json:"current"`
	Drift   []verify.Difference `json:"drift"`
}

// runVerifyTarget is status, reduced to its question about drift.
func runVerifyTarget(ctx context.Context, s *session) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	st, err := m.Status(ctx)
	if err != nil {
		return err
	}
	document := targetDocument{Version: 1, Target: st.Target, Current: st.Current, Drift: list(st.Drift)}
	err = s.out.result(document, func(w *page) {
		w.line("target: %s", describe(st.Target))
		w.line("version: %d", st.Current)
		if len(st.Drift) == 0 {
			w.line("no drift: what migrations changed is as they left it")
			return
		}
		w.line("%s: %s", w.bold("drift"), number(int64(len(st.Drift)), "object differs", "objects differ"))
		for _, l := range differences(st.Drift) {
			w.line("  %s", l)
		}
	})
	if err != nil || !drifted(st) {
		return err
	}
	return &refusedError{message: "the schema is not the one that was recorded", hint: "take the change back, or accept it with: dbrollback rollback --allow-drift"}
}

// runProve proves the migrations of a folder.
func runProve(ctx context.Context, s *session, o verifyOptions) error {
	var chosen []string
	if len(o.Paths) > 0 {
		folders, err := s.lintFolders(o.Paths)
		if err != nil {
			return err
		}
		if len(folders) > 1 {
			return &usageError{message: fmt.Sprintf("%s and %s are two folders", folders[0].dir, folders[1].dir), hint: "verify one after the other"}
		}
		s.Dir, s.DirSet = folders[0].dir, true
		chosen = folders[0].files
	}
	scratchOptions, err := s.scratchOptions(o)
	if err != nil {
		return err
	}
	files, err := s.files(true, effects.Dialect(scratchOptions.Kind))
	if err != nil {
		return err
	}
	prove := migrate.ProveOptions{Files: files, Dir: s.Dir, Rows: o.Rows, AllowExternal: o.AllowExternal, StatementTimeout: verifyTimeout}
	if s.StatementSet {
		prove.StatementTimeout = s.StatementTimeout
	}
	var added addedFiles
	if o.Since != "" {
		if added, err = addedSince(ctx, s.Dir, o.Since); err != nil {
			return err
		}
	}
	if added != nil || chosen != nil {
		prove.Only = func(m *migrate.Migration) bool {
			return added.has(files, m.Name) && (chosen == nil || slices.ContainsFunc(filesOf(files, m.Name), func(file string) bool { return slices.Contains(chosen, file) }))
		}
	}
	s.progress = newProgress(s)
	scratchOptions.Notify = func(text string) { s.progress.proof(migrate.ProofEvent{Text: text}) }
	prove.Events = s.progress.proof
	scratch, err := engine.NewScratch(ctx, scratchOptions)
	if err != nil {
		return err
	}
	prove.Scratch = scratch
	report, err := migrate.Prove(ctx, prove)
	cerr := scratch.Close()
	s.progress.end()
	if cerr != nil { // what was seen stays true
		s.out.warn("%s", oneLine(cerr.Error()))
	}
	for _, name := range scratch.Left() {
		if scratch.Owned() {
			break // with its server it is gone
		}
		s.out.warn("%s is left on the scratch server; nothing in it is needed. The next verify there tries again to drop it, or: DROP DATABASE %s;", name, name)
	}
	if err != nil {
		return err
	}
	return s.proofReport(report, o)
}

// scratchOptions decide which engine the migrations are for, and where its scratch databases are made.
func (s *session) scratchOptions(o verifyOptions) (engine.ScratchOptions, error) {
	out := engine.ScratchOptions{DSN: o.ScratchDSN, Kind: engine.Kind(o.Engine)}
	var kind engine.Kind
	if o.ScratchDSN != "" {
		t, err := engine.Parse(o.ScratchDSN)
		if err != nil {
			return out, (&session{settings: &settings{DSNFrom: "--scratch-dsn"}}).badDSN(err)
		}
		s.out.secret = o.ScratchDSN
		kind = t.Kind
	}
	switch {
	case kind != "" && o.Engine != "" && string(kind) != o.Engine:
		return out, &usageError{message: fmt.Sprintf("--engine %s, but --scratch-dsn names a %s database", o.Engine, kind), hint: "leave out one of them"}
	case kind != "":
		out.Kind = kind
		return out, nil
	case o.Engine != "":
		return out, nil
	}
	dialect, err := s.lintDialect("")
	if err != nil {
		if u, ok := err.(*usageError); ok && s.DSN == "" { //nolint:errorlint // made in the line above
			u.hint = "dbrollback verify --engine postgres, or name a database in " + configName
		}
		return out, err
	}
	out.Kind = engine.Kind(dialect)
	if out.Kind == engine.SQLite {
		out.DSN = s.DSN // what follows its "?" matters; its file is not opened
	}
	return out, nil
}

// proof is migrate.Prove's callback.
func (p *progress) proof(e migrate.ProofEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	where := ""
	if e.Of > 0 {
		width := len(strconv.Itoa(e.Of))
		where = fmt.Sprintf("[%*d/%d] ", width, e.Index, e.Of)
	}
	switch {
	case e.Text != "":
		p.say("%s%s", where, e.Text)
	case e.Verdict != "":
		p.say("%s%s: %s", where, e.File, e.Verdict)
	default:
		p.busy(where + e.File)
	}
}
