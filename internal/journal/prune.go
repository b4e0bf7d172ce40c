package journal

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// batch is how many records one transaction of pruning removes.
const batch = 10_000

// Prune removes what is older than the journals are to go back, in small transactions, and says how many records that were.
func (j *Journal) Prune(ctx context.Context, s *engine.Session) (int64, error) {
	all, err := j.segments(ctx, s)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	now, err := j.now(ctx, s)
	if err != nil {
		return 0, err
	}
	var removed int64
	oldest := now
	for _, g := range all {
		sp := j.by(g.source).spelling()
		before := now.Add(-g.keep)
		if before.Before(oldest) {
			oldest = before
		}
		if !g.open() && g.ended.Before(before) {
			if err := s.Tx(ctx, func(tx *sql.Tx) error { return j.drop(ctx, tx, g) }); err != nil {
				return removed, err
			}
			continue
		}
		if g.reason == cutOff || !g.floor.Before(before) {
			continue
		}
		if lost, err := j.lost(ctx, s, g); err != nil {
			return removed, err
		} else if lost {
			continue
		}
		// First the promise, then the records: what is cut off in between can be had no longer, but nothing wrong either.
		if err := s.Tx(ctx, func(tx *sql.Tx) error { return j.set(ctx, tx, g, "floor_at", stamp(before)) }); err != nil {
			return removed, err
		}
		for {
			var n int64
			err := s.Tx(ctx, func(tx *sql.Tx) error {
				r, err := tx.ExecContext(ctx, fmt.Sprintf(sp.some, j.own(g.data()), sp.old(g, all, before), batch))
				if err != nil {
					return fmt.Errorf("prune the journal of %s: %w", g.table, err)
				}
				n, err = r.RowsAffected()
				return err
			})
			if err != nil {
				return removed, err
			}
			removed += n
			if n < batch {
				break
			}
		}
	}
	sp := j.src.spelling()
	if sp.long == nil {
		return removed, nil
	}
	// What is left belongs to transactions that ended later.
	for _, query := range sp.long(oldest) {
		if _, err := s.ExecContext(ctx, query); err != nil {
			return removed, fmt.Errorf("prune the journal: %w", err)
		}
	}
	return removed, nil
}
