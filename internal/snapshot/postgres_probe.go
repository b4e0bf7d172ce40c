package snapshot

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

//go:embed postgres_foreign.sql
var postgresForeign string

// probe reads the server's own counters before and after, and its locks for what it does not count.
func (d postgresDialect) probe(ctx context.Context, q engine.Querier) (func(context.Context) (touched, error), error) {
	before, err := d.stats(ctx, q)
	if err != nil {
		return nil, err
	}
	sequencesBefore, err := d.sequenceValues(ctx, q)
	if err != nil {
		return nil, err
	}
	foreignBefore, err := d.foreign(ctx, q)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (touched, error) {
		out := touched{rows: map[string]writes{}}
		if err := d.deferred(ctx, q); err != nil {
			return out, err
		}
		after, err := d.stats(ctx, q)
		if err != nil {
			return out, err
		}
		for id, a := range after {
			b := before[id]
			w := writes{inserted: a.inserted - b.inserted, updated: a.updated - b.updated, deleted: a.deleted - b.deleted}
			if w != (writes{}) {
				out.rows[id] = w
			}
		}
		now, err := d.sequenceValues(ctx, q)
		if err != nil {
			return out, err
		}
		for name, v := range now {
			if was, ok := sequencesBefore[name]; ok && was != v {
				out.outside = append(out.outside, fmt.Sprintf("sequence %s moved from %d to %d", name, was, v))
			}
		}
		foreign, err := d.foreign(ctx, q)
		if err != nil {
			return out, err
		}
		for n := range foreign {
			if !foreignBefore[n] {
				out.foreign = append(out.foreign, n)
			}
		}
		return out, nil
	}, nil
}

// stats reads how many rows of each table this transaction has written so far.
func (d postgresDialect) stats(ctx context.Context, q engine.Querier) (map[string]writes, error) {
	rows, err := q.QueryContext(ctx, `SELECT relid::text, n_tup_ins, n_tup_upd, n_tup_del FROM pg_catalog.pg_stat_xact_user_tables
		WHERE n_tup_ins > 0 OR n_tup_upd > 0 OR n_tup_del > 0`)
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	defer rows.Close()
	out := map[string]writes{}
	for rows.Next() {
		var id string
		var w writes
		if err := rows.Scan(&id, &w.inserted, &w.updated, &w.deleted); err != nil {
			return nil, fmt.Errorf("read counters: %w", err)
		}
		out[id] = w
	}
	return out, rows.Err()
}

func (d postgresDialect) sequenceValues(ctx context.Context, q engine.Querier) (map[string]int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT schemaname || '.' || sequencename, coalesce(last_value, 0) FROM pg_catalog.pg_sequences`)
	if err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var v int64
		if err := rows.Scan(&name, &v); err != nil {
			return nil, fmt.Errorf("read sequences: %w", err)
		}
		out[name] = v
	}
	return out, rows.Err()
}

// foreign lists the foreign tables that this transaction holds a writer's lock on.
func (d postgresDialect) foreign(ctx context.Context, q engine.Querier) (map[engine.Name]bool, error) {
	rows, err := q.QueryContext(ctx, postgresForeign)
	if err != nil {
		return nil, fmt.Errorf("read locks: %w", err)
	}
	defer rows.Close()
	out := map[engine.Name]bool{}
	for rows.Next() {
		var n engine.Name
		if err := rows.Scan(&n.Schema, &n.Name); err != nil {
			return nil, fmt.Errorf("read locks: %w", err)
		}
		out[n] = true
	}
	return out, rows.Err()
}

// deferred makes deferred triggers write now, while their writes are seen.
func (postgresDialect) deferred(ctx context.Context, q engine.Querier) error {
	if _, err := q.ExecContext(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return fmt.Errorf("check constraints: %w", err)
	}
	return nil
}

// postgresRoutines reads the texts of functions and procedures that are written in a language that says what it does, those of extensions left out.
func postgresRoutines(ctx context.Context, q engine.Querier) (map[string][]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT lower(p.proname), pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
		WHERE p.prokind IN ('f', 'p') AND l.lanname NOT IN ('c', 'internal') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`)
	if err != nil {
		return nil, fmt.Errorf("read functions: %w", err)
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("read functions: %w", err)
		}
		out[name] = append(out[name], text)
	}
	return out, rows.Err()
}
