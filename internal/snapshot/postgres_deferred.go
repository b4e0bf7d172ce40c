package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Outstanding has checks that wait for the commit made now, where the statement alters a table that has some: ALTER TABLE is refused while they are
// outstanding. Left alone the migration would have none: a row that is updated has its foreign keys checked again only where this very
// transaction wrote it before, as rows are that came back. Engines whose checks do not stand in the way have nothing to do.
func (r *Restorer) Outstanding(ctx context.Context, tx engine.Querier, st effects.Statement) error {
	if d, ok := r.s.d.(interface {
		outstanding(context.Context, engine.Querier, effects.Statement) error
	}); ok {
		return d.outstanding(ctx, tx, st)
	}
	return nil
}

func (d postgresDialect) outstanding(ctx context.Context, tx engine.Querier, st effects.Statement) error {
	var done []effects.Name
	for _, e := range st.Effects {
		switch e.Kind {
		case effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge, effects.Read, effects.Session, effects.CreateTable:
			continue
		}
		if e.Table.Name == "" || slices.Contains(done, e.Table) {
			continue
		}
		done = append(done, e.Table)
		var all, late *string
		err := tx.QueryRowContext(ctx, `SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.conname), ', '), string_agg(DISTINCT format('%I.%I', n.nspname, c.conname), ', ') FILTER (WHERE c.condeferred)
			FROM pg_trigger g JOIN pg_constraint c ON c.oid = g.tgconstraint JOIN pg_namespace n ON n.oid = c.connamespace
			WHERE g.tgrelid = to_regclass($1) AND g.tgdeferrable AND c.condeferrable`, d.s.db.Quote(engine.Name(e.Table))).Scan(&all, &late)
		if err != nil {
			return fmt.Errorf("read constraints of %s: %w", e.Table, err)
		}
		if all == nil {
			continue
		}
		if _, err := exec(ctx, tx, "check constraints of "+e.Table.String(), "SET CONSTRAINTS "+*all+" IMMEDIATE"); err != nil {
			return err
		}
		if late != nil {
			if _, err := exec(ctx, tx, "defer constraints of "+e.Table.String(), "SET CONSTRAINTS "+*late+" DEFERRED"); err != nil {
				return err
			}
		}
	}
	return nil
}
