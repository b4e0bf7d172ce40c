package verify

import (
	"context"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// rebuilder is an engine on which what a table says of its columns, and its constraints, can only be changed by making it anew.
type rebuilder interface {
	rebuild(ctx context.Context, q engine.Querier, want, have, now Fingerprint, table engine.Name, order []string) (bool, error)
}

// Rebuild makes a table anew as want says, with its rows, indexes and triggers, where the engine knows no other way to lead its columns and
// constraints from have to want; now is the whole table, order all of its columns in the order that they are to have. It is
// false, and nothing is changed, where the engine knows other ways (see Repair), where the rows do not fit or would not be the same after,
// and where it could not be done without others noticing. It wants to be in a transaction.
func Rebuild(ctx context.Context, db *engine.DB, q engine.Querier, want, have, now Fingerprint, table engine.Name, order []string) (bool, error) {
	v, err := verifier(db)
	if err != nil {
		return false, err
	}
	r, ok := v.(rebuilder)
	if !ok {
		return false, nil
	}
	return r.rebuild(ctx, q, want, have, now, table, order)
}
