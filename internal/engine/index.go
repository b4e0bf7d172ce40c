package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// IndexTable tells which table an index belongs to, where the engine knows indexes by their own names; a name without a
// schema is looked up in the search path. The error is ErrNoTable when there is no such index, and where indexes are only known
// by their tables.
func (db *DB) IndexTable(ctx context.Context, q Querier, index Name) (Name, error) {
	var query string
	var arg any
	switch db.Kind {
	case Postgres:
		query = `SELECT n.nspname, c.relname FROM pg_catalog.pg_index i
			JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE i.indexrelid = pg_catalog.to_regclass($1)`
		arg = db.Quote(index)
	case SQLite:
		query = "SELECT '', tbl_name FROM main.sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE"
		arg = index.Name
	default:
		return Name{}, ErrNoTable
	}
	var out Name
	err := q.QueryRowContext(ctx, query, arg).Scan(&out.Schema, &out.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return Name{}, ErrNoTable
	}
	if err != nil {
		return Name{}, fmt.Errorf("look up index %s: %w", index, err)
	}
	return out, nil
}
