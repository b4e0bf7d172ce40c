package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// streams is all that a command may touch of the world outside: tests and the demo inject their own.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	// InTerminal and ErrTerminal say whether a person sits there: only then is anything asked or redrawn.
	InTerminal, ErrTerminal, OutTerminal bool
}

// system gives the process's own streams.
func system() streams {
	return streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv,
		InTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
	}
}

// plain says whether text must go without colour and without redrawing.
func (s streams) plain() bool {
	return s.Getenv("NO_COLOR") != "" || s.Getenv("TERM") == "dumb"
}
