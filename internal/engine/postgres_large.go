package engine

import (
	"context"
	"fmt"
)

// LargeObjectsLost counts what the session has deleted and overwritten of large objects in this transaction, and before it as far as the
// server has not yet reported that: two answers make a difference. Engines without large objects have lost none.
func (db *DB) LargeObjectsLost(ctx context.Context, q Querier) (int64, error) {
	if db.Kind != Postgres {
		return 0, nil
	}
	var n int64
	err := q.QueryRowContext(ctx, `SELECT pg_stat_get_xact_tuples_deleted(o.oid) + pg_stat_get_xact_tuples_updated(o.oid) FROM pg_class o WHERE o.oid = 'pg_catalog.pg_largeobject'::regclass`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("look for large objects: %w", err)
	}
	return n, nil
}
