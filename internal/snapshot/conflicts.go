package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// refuse is a *ConflictError when places were written since, as far as that is known by now.
func (r *Restorer) refuse(ctx context.Context, tx engine.Querier) error {
	found, total, err := r.conflicts(ctx, tx, false)
	if err != nil || total == 0 {
		return err
	}
	return &ConflictError{Conflicts: found, Total: total}
}

// Foresee lists the conflicts that are known after Check, before anything has run, as they would be resolved. Under Fail they are a *ConflictError.
// Which rows of a table without a key are in conflict shows when they go back; that some are is known where a captured one was changed or removed since.
func (r *Restorer) Foresee(ctx context.Context, tx engine.Querier, p Policy) ([]Conflict, error) {
	found, total, err := r.conflicts(ctx, tx, false)
	if err != nil {
		return nil, err
	}
	for _, x := range r.tables() {
		n, err := r.writtenWithoutKey(ctx, tx, x)
		if err != nil {
			return nil, fmt.Errorf("compare %s with its capture: %w", x.Home, err)
		}
		if n > 0 {
			found, total = append(found, x.keyless(n)), total+1
		}
	}
	for i := range found {
		found[i].Resolved = p
	}
	if p == Fail && total > 0 {
		return nil, &ConflictError{Conflicts: found, Total: total}
	}
	return found, nil
}

// writtenWithoutKey counts the captured rows of a table without a key that were written since, and those that the migration inserted and that were.
func (r *Restorer) writtenWithoutKey(ctx context.Context, tx engine.Querier, x *restoring) (n int64, err error) {
	switch {
	case x.bag == nil || x.bag.same || x.Bystander:
		return 0, nil
	case x.bag.mixed:
		return x.Rows, nil
	}
	var captured, others, came int64
	err = tx.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce(sum(CASE WHEN k.h IS NULL THEN 0 ELSE m.q END), 0), coalesce(sum(CASE WHEN k.h IS NULL THEN m.q ELSE 0 END), 0), (SELECT coalesce(sum(p.q), 0) FROM %s p) FROM %s m LEFT JOIN (SELECT DISTINCT %s AS h FROM %s d) k ON k.h = m.h",
		x.bag.plus, x.bag.minus, r.s.hash(r.sealedEntry(x)), r.s.own(x.data()))).Scan(&captured, &others, &came)
	return captured + min(others, came), err
}

// keyless is the conflict of rows that nobody can name.
func (x *restoring) keyless(n int64) Conflict {
	return Conflict{Table: x.Home.String(), Key: fmt.Sprintf("%d row(s) without a key", n), Columns: x.Columns, Reason: changedSince, Resolved: Keep}
}

// conflicts lists the captured rows whose places were written since, as far as they are known: after Check those that the
// application wrote, after Finish all. count adds them to what is reported of each table.
func (r *Restorer) conflicts(ctx context.Context, tx engine.Querier, count bool) ([]Conflict, int64, error) {
	var out []Conflict
	var total int64
	for _, x := range r.tables() {
		found, n, err := r.conflictsOf(ctx, tx, x, "1 = 1", Keep)
		if err != nil {
			return nil, 0, err
		}
		if x.unheld > 0 {
			found = append(found, x.keyless(x.unheld))
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
