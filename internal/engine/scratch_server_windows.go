package engine

import (
	"context"
	"os"
)

func startPostgres(context.Context, string, string) (*server, error) {
	return nil, &Error{Class: Unsupported, Message: "no server of its own is started on Windows", Hint: "name a server with --scratch-dsn"}
}

func stopLeftPostgres(string) {}

// mayOwn: temporary folders are each user's own.
func mayOwn(os.FileInfo) bool { return true }
