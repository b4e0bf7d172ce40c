package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command runs a command line in the system's shell: exit code 0 is well. It and what it started are ended when its time is
// over.
type Command struct {
	Line string
	Env  []string // besides the guard's own
}

// Name is the command line.
func (c *Command) Name() string { return "command " + c.Line }

// lastWords is how much of what a command says is repeated.
const lastWords = 200

// Check runs it once.
func (c *Command) Check(ctx context.Context) (State, string) {
	cmd := shell(ctx, c.Line)
	cmd.Env = append(os.Environ(), c.Env...)
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second // what it started may hold its output open
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return Healthy, ""
	case ctx.Err() != nil:
		return Failed, "no answer in time"
	case errors.As(err, &exit):
		reason := fmt.Sprintf("exit code %d", exit.ExitCode())
		if words := said.String(); words != "" {
			reason += ": " + words
		}
		return Failed, reason
	}
	return Failed, err.Error()
}

// Output runs a command line in the system's shell, in a folder, and gives what it prints.
func Output(ctx context.Context, line, dir string) (string, error) {
	cmd := shell(ctx, line)
	cmd.Dir = dir
	said := &tail{}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit):
		err = fmt.Errorf("exit code %d", exit.ExitCode())
		if words := said.String(); words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil
	}
	return out.String(), err
}

// tail keeps the end of what is written to it.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p)
	if over := t.b.Len() - 4*lastWords; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	words := strings.Join(strings.Fields(strings.ToValidUTF8(t.b.String(), "")), " ")
	if r := []rune(words); len(r) > lastWords {
		words = "…" + string(r[len(r)-lastWords:])
	}
	return words
}
