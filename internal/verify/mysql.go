package verify

import (
	"context"
	"errors"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysql reads the dictionary of MySQL or MariaDB.
type mysql struct{ db *engine.DB }

func (mysql) take(context.Context, engine.Querier, Scope) (Fingerprint, error) {
	return nil, errors.New("fingerprints of MySQL and MariaDB are not supported by this build")
}
