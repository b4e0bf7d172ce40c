package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm asks on a terminal. Without one the answer is yes: a deploy script was written by somebody who
// meant it. Everything but y or yes declines.
func (s *session) confirm(ctx context.Context, question string) error {
	if s.Yes || !s.InTerminal {
		return nil
	}
	if s.progress != nil {
		s.progress.end()
	}
	fmt.Fprintf(s.Err, "%s [y/N] ", question)
	answer, err := s.readLine(ctx)
	if err != nil {
		fmt.Fprintln(s.Err)
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &refusedError{message: "declined; nothing was changed", hint: "--yes answers without asking"}
}

// insist is confirm for what a script must say expressly: without a terminal and without --yes it refuses.
func (s *session) insist(ctx context.Context, question, command string) error {
	if !s.Yes && !s.InTerminal {
		return &refusedError{message: "this wants a yes and there is no terminal to ask on; nothing was changed", hint: command + " --yes"}
	}
	return s.confirm(ctx, question)
}

// readLine reads one line but gives up at Ctrl-C.
func (s *session) readLine(ctx context.Context) (string, error) {
	type answer struct {
		line string
		err  error
	}
	ch := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(s.In).ReadString('\n')
		if line != "" {
			err = nil
		}
		ch <- answer{line, err}
	}()
	select {
	case a := <-ch:
		if a.err != nil {
			return "", nil // end of input: nobody said yes
		}
		return a.line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
