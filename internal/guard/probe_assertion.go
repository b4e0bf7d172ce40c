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
	return judged(value)
}

func judged(value string) (State, string) {
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

// Try asks before the migration, when false is no news. A mistake is a query that can never be true or false: acting on it would
// roll back what is well. Any other reason why it cannot be asked may be that it is about what the migration makes.
func (a *Assertion) Try(ctx context.Context) (mistake bool, reason string) {
	value, err := a.DB.Ask(ctx, a.SQL)
	if err != nil {
		_, ofServer := engine.AsError(err)
		return !ofServer, err.Error()
	}
	if state, reason := judged(value); state == Failed && strings.Contains(reason, "neither") {
		return true, reason
	}
	return false, ""
}
