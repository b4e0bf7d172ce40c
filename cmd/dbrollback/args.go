package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const completionFlag = "--generate-bash-completion"

// arrange puts a command line into the order that the flag parser understands: global flags, command,
// its flags, "--", the rest. So flags may stand anywhere. What is not known is an error here, which
// names the nearest known thing: a mistyped flag of a tool that destroys data must never be guessed.
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) > 0 && args[len(args)-1] == completionFlag {
		return completing(app, args)
	}
	a := arrangement{app: app, commands: app.Commands, seen: map[string]string{}}
	for len(args) > 0 {
		var err error
		if args, err = a.take(args); err != nil {
			return nil, err
		}
	}
	if a.help {
		a.local = append(a.local, "--help")
	}
	out := append([]string{app.Name}, a.global...)
	out = append(out, a.path...)
	out = append(out, a.local...)
	if len(a.rest) > 0 {
		out = append(append(out, "--"), a.rest...)
	}
	return out, nil
}

// completing leaves a line as it is that a shell wants completed. With a "--" in it the library takes its own flag for an argument and runs the
// command: a TAB made a migration. As the last word it is the beginning of any flag, and what comes after it nobody can complete.
func completing(app *cli.App, args []string) ([]string, error) {
	switch at := slices.Index(args, "--"); at {
	case -1:
	case len(args) - 2:
		args = append(slices.Clone(args[:at]), "-", completionFlag)
	default:
		return nil, &usageError{message: "nothing can be completed after --"}
	}
	return append([]string{app.Name}, args...), nil
}

type arrangement struct {
	app                       *cli.App
	command                   *cli.Command
	commands                  []*cli.Command
	global, path, local, rest []string
	help                      bool
	seen                      map[string]string
}

func (a *arrangement) take(args []string) ([]string, error) {
	arg := args[0]
	switch {
	case arg == "--":
		a.rest = append(a.rest, args[1:]...)
		return nil, nil
	case len(arg) > 1 && arg[0] == '-':
		return a.flag(arg, args[1:])
	case arg == "help" && a.command == nil:
		a.help = true
	case len(a.commands) > 0:
		return args[1:], a.enter(arg)
	default:
		a.rest = append(a.rest, arg)
	}
	return args[1:], nil
}

func (a *arrangement) enter(name string) error {
	var known []string
	for _, c := range a.commands {
		if c.HasName(name) {
			a.path = append(a.path, c.Name)
			a.command, a.commands = c, c.Subcommands
			return nil
		}
		known = append(known, c.Name)
	}
	what := "command"
	if a.command != nil {
		what = "command of " + a.command.Name
	}
	return &usageError{
		message: fmt.Sprintf("unknown %s %q", what, name),
		hint:    nearestHint(name, known, "dbrollback "+strings.Join(append(slices.Clone(a.path), ""), " "), "dbrollback --help"),
	}
}

func (a *arrangement) flag(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	if name == "help" || name == "h" {
		a.help = true
		return rest, nil
	}
	into, f := &a.global, findFlag(a.app.Flags, name)
	if a.command != nil {
		if own := findFlag(a.command.Flags, name); own != nil { // a command may mean something else by a name
			into, f = &a.local, own
		}
	}
	if f == nil {
		return nil, a.unknownFlag(arg, name)
	}
	long := f.Names()[0]
	if takesValue(f) {
		if !hasValue {
			if len(rest) == 0 {
				return nil, &usageError{message: fmt.Sprintf("--%s needs a value", long), hint: a.helpHint()}
			}
			value, rest = rest[0], rest[1:]
		}
		if value == "" {
			return nil, &usageError{
				message: fmt.Sprintf("--%s is empty", long),
				hint:    "is the variable that it comes from set? Leave the flag out to use the environment or dbrollback.yml",
			}
		}
	} else if !hasValue {
		value = "true"
	}
	_, many := f.(*cli.StringSliceFlag)
	if before, twice := a.seen[long]; twice && before != value && !many {
		return nil, &usageError{message: fmt.Sprintf("--%s is given twice with different values", long), hint: "give it once"}
	}
	a.seen[long] = value
	*into = append(*into, "--"+long+"="+value)
	return rest, nil
}

const outputHint = "--output json writes JSON, for every command"

func (a *arrangement) unknownFlag(arg, name string) error {
	var known []string
	flags := a.app.Flags
	if a.command != nil {
		flags = append(slices.Clone(flags), a.command.Flags...)
	}
	for _, f := range flags {
		known = append(known, "--"+f.Names()[0])
	}
	message := fmt.Sprintf("unknown flag %s", cutValue(arg))
	if a.command != nil {
		message += fmt.Sprintf(" for %q", strings.Join(a.path, " "))
	}
	var owners []string
	for _, c := range a.app.Commands {
		if findFlag(c.Flags, name) != nil {
			owners = append(owners, "`"+c.Name+"`")
		}
	}
	if len(owners) > 0 {
		hint := fmt.Sprintf("it is a flag of %s", strings.Join(owners, ", "))
		switch {
		case name == "format":
			hint = outputHint
		case a.command == nil:
			hint += ": write it after the command"
		}
		return &usageError{message: message, hint: hint}
	}
	if name == "json" {
		return &usageError{message: message, hint: outputHint}
	}
	return &usageError{message: message, hint: nearestHint("--"+name, known, "", strings.TrimPrefix(a.helpHint(), "see "))}
}

func (a *arrangement) helpHint() string {
	return "see " + strings.Join(append(append([]string{"dbrollback"}, a.path...), "--help"), " ")
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// cutValue leaves out what follows "=": it may be a secret.
func cutValue(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return name
}
