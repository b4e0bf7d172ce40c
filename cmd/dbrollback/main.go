// Command dbrollback runs database migrations so that every one of them can be undone with its data.
//
// This package is the command line only: it reads flags, environment and dbrollback.yml, calls the
// packages below internal, and prints. Nothing below it prints, and only main exits.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the program at once: after the first, signals act as they always do.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args, system())
	stop()
	os.Exit(code)
}
