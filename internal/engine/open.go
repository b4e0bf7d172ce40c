package engine

import "database/sql"

// DB is an open target.
type DB struct {
	*sql.DB
	Kind   Kind
	Caps   Caps
	Target Target
}
