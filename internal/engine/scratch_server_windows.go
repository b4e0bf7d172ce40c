package engine

import (
	"context"
	"os"
)

func startPostgres(context.Context, string, string) (*server, error) {
	return nil, &Error{Class: Unsupported, Message: "no server of its own is started on Windows", Hint: "name a server with --scratch-dsn"}
}

func startMySQL(ctx context.Context, _ Kind, dir, bin string) (*server, error) {
	return startPostgres(ctx, dir, bin)
}

func stopLeftPostgres(string) {}

func stopLeftMySQL(string) {}

// mayOwn: temporary folders are each user's own.
func mayOwn(os.FileInfo) bool { return true }
