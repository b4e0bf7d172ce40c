package engine

import (
	"context"
	_ "embed"
	"fmt"
)

//go:embed held_postgres.sql
var heldPostgres string

//go:embed held_mysql.sql
var heldMySQL string

// Held is a lock on a table that some session holds just now: on PostgreSQL one of this program, on MySQL's family any but the one
// that asks.
type Held struct {
	Table Name
	Mode  string // as the server's documentation spells it, in capitals
}

// HeldLocks lists the locks that are held on the user's tables and keep somebody out: not those of mere readers. The text says why
// the server does not tell; then there is no list.
func (db *DB) HeldLocks(ctx context.Context, q Querier) (_ []Held, why string, err error) {
	if db.Caps.HeldLocks == "" {
		return nil, "", nil
	}
	if db.Caps.HeldLocksIf != "" {
		var on bool
		if err := q.QueryRowContext(ctx, db.Caps.HeldLocksIf).Scan(&on); err != nil {
			return nil, "the account may not see locks", db.seeable(err)
		}
		if !on {
			return nil, "the server does not record locks: performance_schema, or its instrument wait/lock/metadata/sql/mdl, is off", nil
		}
	}
	rows, err := q.QueryContext(ctx, db.Caps.HeldLocks)
	if err != nil {
		return nil, "the account may not see locks", db.seeable(err)
	}
	defer rows.Close()
	var out []Held
	for rows.Next() {
		var h Held
		if err := rows.Scan(&h.Table.Schema, &h.Table.Name, &h.Mode); err != nil {
			return nil, "", fmt.Errorf("read the locks: %w", err)
		}
		if !db.Mine(h.Table) {
			out = append(out, h)
		}
	}
	return out, "", rows.Err()
}

// seeable lets an error pass that is not about rights.
func (db *DB) seeable(err error) error {
	if e, ok := AsError(err); ok && e.Class == Privilege {
		return nil
	}
	return fmt.Errorf("read the locks: %w", err)
}
