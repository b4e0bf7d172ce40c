package engine

import (
	"context"
	"fmt"
	"strings"
)

// Counter is where a sequence stands.
type Counter struct {
	Name   Name
	Last   int64
	Called bool // Last was given to somebody
}

const postgresCounters = `SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY c.oid`

// Counters reads where all sequences stand, if this is an engine on which a rollback does not take numbers back; else there are none.
func (db *DB) Counters(ctx context.Context, q Querier) (out []Counter, err error) {
	if db.Caps.Counters == "" {
		return nil, nil
	}
	names, err := db.counterNames(ctx, q)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	reads := make([]string, len(names))
	for i, n := range names {
		reads[i] = fmt.Sprintf("SELECT %d AS i, last_value, is_called FROM %s", i, db.Quote(n))
	}
	rows, err := q.QueryContext(ctx, strings.Join(reads, " UNION ALL ")+" ORDER BY i")
	if err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var i int
		var c Counter
		if err := rows.Scan(&i, &c.Last, &c.Called); err != nil {
			return nil, fmt.Errorf("read the sequences: %w", err)
		}
		c.Name = names[i]
		out = append(out, c)
	}
	return out, rows.Err()
}

func (db *DB) counterNames(ctx context.Context, q Querier) (out []Name, err error) {
	rows, err := q.QueryContext(ctx, db.Caps.Counters)
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n Name
		if err := rows.Scan(&n.Schema, &n.Name); err != nil {
			return nil, fmt.Errorf("list the sequences: %w", err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// ResetCounters sets sequences back to where they stood. It is for scratch databases: nobody else may have been given a number meanwhile.
func (db *DB) ResetCounters(ctx context.Context, q Querier, was []Counter) error {
	if len(was) == 0 {
		return nil
	}
	now, err := db.Counters(ctx, q)
	if err != nil {
		return err
	}
	stands := map[Name]Counter{}
	for _, c := range now {
		stands[c.Name] = c
	}
	for _, c := range was {
		if n, ok := stands[c.Name]; !ok || n == c {
			continue
		}
		if _, err := q.ExecContext(ctx, "SELECT pg_catalog.setval(CAST($1 AS text)::regclass, $2, $3)", db.Quote(c.Name), c.Last, c.Called); err != nil {
			return fmt.Errorf("set sequence %s back: %w", c.Name, err)
		}
	}
	return nil
}
