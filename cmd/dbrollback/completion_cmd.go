package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

var (
	//go:embed completion/dbrollback.bash
	bashCompletion string
	//go:embed completion/dbrollback.zsh
	zshCompletion string
	//go:embed completion/dbrollback.fish
	fishCompletion string
)

// completionDocument is the JSON of `completion`.
type completionDocument struct {
	Version int    `json:"version"`
	Shell   string `json:"shell"`
	Script  string `json:"script"`
}

// completeFlags offers the subcommands of a command, or its flags and the global ones, which may stand behind it, too.
func completeFlags(c *cli.Command) cli.BashCompleteFunc {
	all := *c
	all.Flags = append(slices.Clone(c.Flags), globalFlags()...)
	return cli.DefaultCompleteWithFlags(&all)
}

func (p *program) completionCommand() *cli.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cli.Command{
		Name: "completion", ArgsUsage: "bash|zsh|fish",
		Usage:       "print a completion script for a shell",
		Description: "bash:  source <(dbrollback completion bash)\nzsh:   source <(dbrollback completion zsh)\nfish:  dbrollback completion fish | source",
		BashComplete: func(*cli.Context) {
			fmt.Fprintln(p.Out, strings.Join(shells, "\n"))
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1); err != nil {
				return err
			}
			shell := c.Args().First()
			script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[shell]
			if !ok {
				return &usageError{message: fmt.Sprintf("no completion for %q", shell), hint: nearestHint(shell, shells, "dbrollback completion ", "dbrollback completion --help")}
			}
			return p.out.result(completionDocument{Version: 1, Shell: shell, Script: script}, func(w *page) { w.WriteString(script) })
		},
	}
}
