package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/template"
	"time"
)

// Command is a command line of the user's: words, each a template. It is run without a shell, so that a value never becomes more than
// a part of its word; who wants a shell writes sh -c '…'.
type Command struct{ words []*template.Template }

// Values are what the words of a command may contain.
type Values struct {
	Version, Commit, Release, Environment string // of the checkpoint
	Flag, Value                           string // of a flag, and off
	Reason, Ticket                        string
}

// ParseCommand splits a line into words, as a shell does with quotes and backslashes, and tries it.
func ParseCommand(line string) (*Command, error) {
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	c := &Command{}
	for _, w := range words {
		t, err := template.New("").Option("missingkey=error").Parse(w)
		if err != nil {
			return nil, plainTemplate(err)
		}
		c.words = append(c.words, t)
	}
	_, err = c.Words(Values{})
	return c, err
}

func plainTemplate(err error) error {
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "template: "), ":1: "))
}

// Words are the words with their values.
func (c *Command) Words(v Values) ([]string, error) {
	out := make([]string, len(c.words))
	for i, w := range c.words {
		var b strings.Builder
		if err := w.Execute(&b, v); err != nil {
			return nil, plainTemplate(err)
		}
		out[i] = b.String()
	}
	return out, nil
}

// split knows single quotes, double quotes and backslashes; what stands between {{ and }} is one piece.
func split(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	in, quote, action := false, rune(0), false
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		next := rune(0)
		if i+1 < len(runes) {
			next = runes[i+1]
		}
		switch {
		case action:
			word.WriteRune(c)
			if c == '}' && next == '}' {
				word.WriteRune(next)
				i, action = i+1, false
			}
		case c == '{' && next == '{':
			word.WriteString("{{")
			i, in, action = i+1, true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			word.WriteRune(c)
		case c == '\\' && next != 0 && (quote == 0 || next == '"' || next == '\\'):
			word.WriteRune(next)
			i, in = i+1, true
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				out = append(out, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(c)
			in = true
		}
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	case action:
		return nil, errors.New("{{ is not closed")
	case in:
		out = append(out, word.String())
	}
	if len(out) == 0 {
		return nil, errors.New("the command is empty")
	}
	return out, nil
}

// CommandError says how a command ended that did not end well.
type CommandError struct {
	Words  []string
	Reason string
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("the command %s failed: %s", strings.Join(e.Words, " "), e.Reason)
}

// Run runs the words in a folder and waits for the end; what it says goes to out.
func Run(ctx context.Context, folder string, words []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return &CommandError{words, exit.ProcessState.String()}
	}
	var pe *exec.Error
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &CommandError{words, plainly(err).Error()}
}
