package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// program is one run of the command line.
type program struct {
	streams
	out     *output
	consent *consent // of a run that somebody else asked for: mcp
}

// validator is what every command's options can do before anything is opened.
type validator interface{ Validate() error }

// run carries out one command line and gives the exit code. It is main without the process.
func run(ctx context.Context, args []string, s streams) (code int) {
	return runWith(ctx, args, s, nil)
}

// runWith is run on behalf of somebody who needs a person's consent for what writes.
func runWith(ctx context.Context, args []string, s streams, asked *consent) (code int) {
	p := &program{streams: s, out: newOutput(s), consent: asked}
	p.out.json = wantsJSON(args, s.Getenv)
	defer func() {
		if r := recover(); r != nil {
			code = p.out.fail(ctx, fmt.Errorf("internal error, please report it: %v", r))
		}
	}()
	app := p.app()
	arranged, err := arrange(app, args[1:])
	if err == nil {
		err = app.RunContext(ctx, arranged)
	}
	if err != nil {
		return p.out.fail(ctx, err)
	}
	return 0
}

func (p *program) app() *cli.App {
	return &cli.App{
		Name:  "dbrollback",
		Usage: "run database migrations that can be undone with their data",
		Description: `up captures what a migration is about to destroy; rollback runs its Down,
puts the captured data back and proves it by checksum.

In an incident:  dbrollback status     what is applied, and is anything unfinished
                 dbrollback rollback   undo the newest migration, with its data
No database at hand:  dbrollback demo`,
		Writer:               p.Out,
		ErrWriter:            p.Err,
		HideHelpCommand:      true,
		HideVersion:          true,
		EnableBashCompletion: true,
		// Commas may be part of a name (parseNames splits) or of a query.
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // run gives the exit code
		OnUsageError:              onUsageError,
		Flags:                     globalFlags(),
		Action: func(c *cli.Context) error {
			return &usageError{message: "no command given", hint: "dbrollback --help lists them; dbrollback demo shows what they do"}
		},
		Commands: p.commands(),
	}
}

func (p *program) commands() []*cli.Command {
	all := []*cli.Command{
		p.initCommand(),
		p.createCommand(),
		p.importCommand(),
		p.lintCommand(),
		p.verifyCommand(),
		p.drillCommand(),
		p.guardCommand(),
		p.approveCommand(),
		p.planCommand(),
		p.upCommand(),
		p.statusCommand(),
		p.rollbackCommand(),
		p.restoreCommand(),
		p.recoverCommand(),
		p.snapshotCommand(),
		p.journalCommand(),
		p.releaseCommand(),
		p.checkpointCommand(),
		p.grantsCommand(),
		p.logCommand(),
		p.reportCommand(),

		p.mcpCommand(),
		p.demoCommand(),
		p.versionCommand(),
		p.completionCommand(),
	}
	finishCommands(all)
	return all
}

// finishCommands sets what all commands have in common.
func finishCommands(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		if c.BashComplete == nil {
			c.BashComplete = completeFlags(c)
		}
		if len(c.Subcommands) == 0 {
			c.CustomHelpTemplate = cli.CommandHelpTemplate + "\nThe global options (dbrollback --help) may be given here, too.\n"
		}
		finishCommands(c.Subcommands)
	}
}

func globalFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "dsn", Usage: "database `URL`: postgres://user@host:5432/name, mysql://…, mariadb://… or sqlite:file.db"},
		&cli.StringFlag{Name: "env", Usage: "environment of dbrollback.yml, by `NAME`; wins over DBROLLBACK_DSN"},
		&cli.StringFlag{Name: "dir", Usage: "`FOLDER` of the migrations (default migrations)"},
		&cli.StringFlag{Name: "source", Usage: "`TOOL` that the folder is for: auto, goose, golang-migrate, dbmate, flyway or sqitch (default auto)"},
		&cli.StringFlag{Name: "config", Usage: "configuration `FILE` (default dbrollback.yml, when there is one)"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the result on stdout: text or json (default text)"},
		&cli.StringFlag{Name: "lock-timeout", Usage: "longest wait for one lock, and for another run to end (default 5s)"},
		&cli.StringFlag{Name: "statement-timeout", Usage: "longest run of one statement (default 0, no limit; verify: 60s)"},
		&cli.StringFlag{Name: "metrics-file", Usage: "`FILE` for metrics of the run, in the OpenMetrics format; written in one step at its end"},
		&cli.StringFlag{Name: "catalog", Usage: "`NAME` of the catalog table (default state_snapshots)"},
		&cli.StringFlag{Name: "version-table", Usage: "`NAME` of goose's version table (default goose_db_version)"},
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "answer every question with yes"},
		&cli.BoolFlag{Name: "no-progress", Usage: "no progress lines on stderr"},
	}
	for _, f := range flags {
		name := f.Names()[0]
		// Named in the help only: precedence is decided in settings.go, where it can be seen.
		if s, ok := f.(*cli.StringFlag); ok {
			s.Usage += " [$" + variable(name) + "]"
		}
	}
	return flags
}

// action makes a command's action: options are read and validated before anything is opened.
func action[O validator](p *program, read func(*cli.Context) (O, error), do func(context.Context, *session, O) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := p.session(c)
		if err != nil {
			return err
		}
		opts, err := read(c)
		if err == nil {
			err = opts.Validate()
		}
		if err != nil {
			return err
		}
		defer s.close()
		s.telling = p.tell(c, s)
		err = do(c.Context, s, opts)
		s.telling.end(c.Context, err)
		return err
	}
}

// needsSubcommand is the action of a command that is only a group of commands.
func needsSubcommand(c *cli.Context) error {
	names := make([]string, 0, len(c.Command.Subcommands))
	for _, s := range c.Command.Subcommands {
		if !s.Hidden {
			names = append(names, s.Name)
		}
	}
	return &usageError{
		message: fmt.Sprintf("%s wants one of: %s", c.Command.Name, strings.Join(names, ", ")),
		hint:    fmt.Sprintf("dbrollback %s %s", c.Command.Name, names[0]),
	}
}

// noArguments refuses what a command does not read.
func noArguments(c *cli.Context) error { return arguments(c, 0, 0) }

func arguments(c *cli.Context, least, most int) error {
	switch n := c.NArg(); {
	case n > most:
		return &usageError{message: fmt.Sprintf("%s does not know what to do with %q", c.Command.Name, c.Args().Get(most)), hint: fmt.Sprintf("see %s --help", c.Command.HelpName)}
	case n < least:
		return &usageError{message: fmt.Sprintf("%s wants %s", c.Command.Name, c.Command.ArgsUsage), hint: fmt.Sprintf("see %s --help", c.Command.HelpName)}
	}
	return nil
}

// onUsageError turns what the flag parser says into our own error: a value that it could not read.
func onUsageError(c *cli.Context, err error, _ bool) error {
	hint := "see dbrollback --help"
	if c.Command != nil && c.Command.HelpName != "" {
		hint = fmt.Sprintf("see %s --help", c.Command.HelpName)
	}
	return &usageError{message: err.Error(), hint: hint}
}

// wantsJSON looks for the output format ahead of parsing, so that a mistake in the command line itself is
// reported in the format that was asked for.
func wantsJSON(args []string, getenv func(string) string) bool {
	format := getenv(variable("output"))
	for i, a := range args {
		name, value, has := strings.Cut(a, "=")
		switch name {
		case "--":
			return format == "json"
		case "--output", "-output", "-o", "--o":
			if !has && i+1 < len(args) {
				value = args[i+1]
			}
			format = value
		}
	}
	return format == "json"
}
