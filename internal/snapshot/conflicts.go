package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Refuse is a *ConflictError when places were written since, as far as that is known by now.
func (r *Restorer) Refuse(ctx context.Context, tx engine.Querier) error {
	found, total, err := r.conflicts(ctx, tx, false)
	if err != nil || total == 0 {
		return err
	}
	return &ConflictError{Conflicts: found, Total: total}
}

// Conflicts lists the captured rows whose places were written since, as far as they are known: after Check those that the
// application wrote, after Finish all.
func (r *Restorer) Conflicts(ctx context.Context, tx engine.Querier) ([]Conflict, int64, error) {
	return r.conflicts(ctx, tx, false)
}

func (r *Restorer) conflicts(ctx context.Context, tx engine.Querier, count bool) ([]Conflict, int64, error) {
	var out []Conflict
	var total int64
	for _, x := range r.tables() {
		found, n, err := r.conflictsOf(ctx, tx, x, "1 = 1", Keep)
		if err != nil {
			return nil, 0, err
		}
		if x.unheld > 0 {
			found = append(found, Conflict{Table: x.Home.String(), Key: fmt.Sprintf("%d row(s) without a key", x.unheld), Columns: x.Columns, Reason: changedSince, Resolved: Keep})
			n++
		}
		out = append(out, found...)
		total += n
		if count && n > 0 {
			r.of(x.Home).Conflicts += n
		}
	}
	return out, total, nil
}

// conflictsOf lists the conflicts of one capture.
func (r *Restorer) conflictsOf(ctx context.Context, tx engine.Querier, x *restoring, where string, resolved Policy) ([]Conflict, int64, error) {
	if !x.work {
		return nil, 0, nil
	}
	s := r.s
	where = all(where, fmt.Sprintf("w.reason NOT IN ('%s', '%s', '%s')", letBe, letBeGone, computedSince))
	for _, y := range r.captures {
		if y.ID == x.Of && y.work { // one conflict a row
			where = all(where, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s z WHERE z.n = w.n)", s.own(y.conflicts())))
		}
	}
	total, err := number(ctx, tx, "count conflicts", fmt.Sprintf("SELECT count(DISTINCT n) FROM %s w WHERE %s", s.own(x.conflicts()), where))
	if err != nil || total == 0 {
		return nil, 0, err
	}
	as := x.capture
	if as.first != nil { // a row that is gone has no other key
		as = as.first
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT %s, min(w.reason) FROM %s w JOIN %s d ON d.n = w.n WHERE %s GROUP BY d.n, 1 ORDER BY d.n LIMIT %d",
		s.keyText(as, "d"), s.own(x.conflicts()), s.own(as.data()), where, MaxConflicts))
	if err != nil {
		return nil, 0, fmt.Errorf("list conflicts: %w", err)
	}
	defer rows.Close()
	var out []Conflict
	for rows.Next() {
		c := Conflict{Table: x.Home.String(), Columns: x.Columns, Resolved: resolved, Stamp: x.Of != ""}
		var key *string
		if err := rows.Scan(&key, &c.Reason); err != nil {
			return nil, 0, fmt.Errorf("list conflicts: %w", err)
		}
		if key != nil {
			c.Key = *key
		}
		if c.Reason == carriedSince {
			c.Reason = changedSince
		}
		out = append(out, c)
	}
	return out, total, rows.Err()
}
