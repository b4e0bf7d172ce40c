package guard

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Assertion is a query of the migrated database whose one value must be true: "SELECT count(*) = 0 FROM orders WHERE total < 0".
type Assertion struct {
	DB  *engine.DB
	SQL string
}

// Name is the query.
func (a *Assertion) Name() string { return "assert " + strings.Join(strings.Fields(a.SQL), " ") }

// Check asks once, in a way in which nothing can be written.
func (a *Assertion) Check(ctx context.Context) (State, string) {
	value, err := a.DB.Ask(ctx, a.SQL)
	if err != nil {
		if e, ok := engine.AsError(err); ok {
			switch e.Class {
			case engine.ConnectionLost, engine.Unreachable, engine.LockTimeout:
				return Unknown, "the database could not be asked: " + e.Message
			}
			return Failed, e.Message
		}
		return Failed, err.Error()
	}
	switch strings.ToLower(value) {
	case "true", "t", "1":
		return Healthy, ""
	case "false", "f", "0":
		return Failed, "it is false"
	case "null":
		return Failed, "it is NULL"
	}
	return Failed, fmt.Sprintf("it is %q, neither true nor false", value)
}
