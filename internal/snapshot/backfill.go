package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A backfill puts values back into columns that are there again and empty, batch by batch, while others write to the table. Each batch is one transaction: it locks
// its rows, tells those that somebody has written a value into, or deleted, from those that have what the column was made with, writes these, and proves it.

// waiting is a capture that waits, with the target that it goes to. nil: its place is gone.
func (s *Store) waiting(ctx context.Context, tx engine.Querier, l Later) (*Restorer, *target, error) {
	rows, err := s.load(ctx, tx, fmt.Sprintf("id = %s AND status = %s", s.db.Arg(1), s.db.Arg(2)), l.Capture, statusWaiting)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("the capture %s of %s is gone", l.Capture, l.Table)
	}
	x := &restoring{capture: rows[0].capture, work: l.Work}
	r := &Restorer{s: s, snapshot: x.Snapshot, captures: []*restoring{x}, checked: true, report: map[engine.Name]*TableReport{}}
	t, err := r.inspect(ctx, tx, x.Home)
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		return nil, nil, &PlaceError{Table: x.Home, Rows: l.Rows - l.Done}
	}
	g, err := r.aim(x, t, false)
	if err == nil && len(g.fields) != len(x.Fields) {
		err = &PlaceError{Table: x.Home, Columns: x.Columns, Rows: l.Rows - l.Done}
	}
	return r, g, err
}

// Backfill puts back the next entries of a capture, at most size of them, and says how far it is then. What it gives is to be kept in the same transaction. c captures
// what is written over under Restore. done: there was nothing left.
func (s *Store) Backfill(ctx context.Context, tx engine.Querier, l Later, p Policy, size int, c *Capturer) (next Later, done bool, err error) {
	err = s.pinned(ctx, tx, func() error {
		r, g, err := s.waiting(ctx, tx, l)
		if err != nil {
			return err
		}
		data := s.own(g.x.data())
		if l.Batches == 0 {
			if err := s.inOrder(ctx, tx, g.x.data()); err != nil {
				return err
			}
		}
		var last, some int64
		if err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce(max(y.n), 0), count(*) FROM (SELECT d.n FROM %s d WHERE d.n > %d ORDER BY d.n LIMIT %d) y", data, l.After, size)).Scan(&last, &some); err != nil {
			return fmt.Errorf("find the next batch: %w", err)
		}
		if done = some == 0; done {
			return nil
		}
		next, err = r.backfill(ctx, tx, g, l, fmt.Sprintf("d.n > %d AND d.n <= %d", l.After, last), p, c)
		next.After, next.Done, next.Batches = last, l.Done+some, l.Batches+1
		return err
	})
	return next, done, err
}

// inOrder makes the entries of a capture quick to find by their numbers, where those are no key, before anything of the user's is locked: else each batch would
// read all of them.
func (s *Store) inOrder(ctx context.Context, tx engine.Querier, data string) error {
	if s.f.keyed || strings.Contains(s.f.number, "PRIMARY KEY") {
		return nil
	}
	return s.ddl(ctx, tx, "index a capture", fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (n)", s.q(strings.Replace(data, "dbrollback_data_", "dbrollback_order_", 1)), s.own(data)), "ANALYZE "+s.own(data))
}

// backfill does it with the entries that fulfil a condition.
func (r *Restorer) backfill(ctx context.Context, tx engine.Querier, g *target, l Later, these string, p Policy, c *Capturer) (Later, error) {
	s, x := r.s, g.x
	if s.f.seek != "" {
		if _, err := exec(ctx, tx, "find rows by their keys", s.f.seek); err != nil {
			return l, err
		}
	}
	lift, err := s.d.shield(ctx, tx, []*engine.Table{g.t}) // first: it may take a lock of the table
	if err != nil {
		return l, err
	}
	data, from := s.own(x.data()), s.f.from(s.db, g.t)
	place := s.on(x.capture, g.t, "t", "d", g.name, k)
	if s.f.grip != "" {
		if _, err := number(ctx, tx, "lock rows of "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT d.n FROM %s d JOIN %s t ON %s WHERE %s%s) y", data, from, place, these, s.f.grip)); err != nil {
			return l, err
		}
	}
	kept, live := r.images(g, g.fields, false)
	gone := "t." + s.q(g.name(0)) + " IS NULL"
	if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, CASE WHEN %s THEN '%s' ELSE '%s' END FROM %s d LEFT JOIN %s t ON %s WHERE %s", gone, deletedSince, changedSince, data, from, place,
		all(these, r.free(x), fmt.Sprintf("(%s OR (%s) AND %s <> %s)", gone, s.differ(live, kept), s.hash(live), fmt.Sprintf(s.f.bytes, l.Given))))); err != nil {
		return l, err
	}
	if p == Restore && x.work {
		if l, err = r.overrule(ctx, tx, g, l, these, c); err != nil {
			return l, err
		}
	}
	query := r.updating(g, g.fields, false, these)
	n, err := r.attempt(ctx, tx, "put back values of "+x.Home.String(), query)
	if err != nil && taken(err) {
		n, err = r.updateEach(ctx, tx, g, query)
	}
	if err != nil {
		return l, err
	}
	if err := lift(ctx, nil); err != nil {
		return l, err
	}
	var of, good int64
	kept, live = r.images(g, g.fields, true)
	if err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*), coalesce(sum(CASE WHEN NOT (%s) AND NOT (%s) THEN 1 ELSE 0 END), 0) FROM %s d LEFT JOIN %s t ON %s WHERE %s%s",
		gone, s.differ(live, kept), data, from, place, all(these, r.free(x)), s.f.locking)).Scan(&of, &good); err != nil {
		return l, fmt.Errorf("prove %s: %w", x.Home, err)
	}
	if of != good {
		return l, &ProofError{Table: x.Home, Capture: x.ID, Rows: of - good, Of: of}
	}
	l.Written, l.Equal, l.Work = l.Written+n, l.Equal+good, x.work
	return l, nil
}

// overrule captures the values that the application has written, so that the captured ones can take their place.
func (r *Restorer) overrule(ctx context.Context, tx engine.Querier, g *target, l Later, these string, c *Capturer) (Later, error) {
	s, x := r.s, g.x
	work := s.own(x.conflicts())
	changed := fmt.Sprintf("w.reason = '%s' AND w.n IN (SELECT d.n FROM %s d WHERE %s)", changedSince, s.own(x.data()), these)
	found, total, err := r.conflictsOf(ctx, tx, x, changed, Restore)
	if err != nil || total == 0 {
		return l, err
	}
	var columns []string
	for _, i := range g.fields {
		columns = append(columns, r.live(g, i).Name)
	}
	entries := fmt.Sprintf("(SELECT d.* FROM %s d WHERE %s AND EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason = '%s')) d", s.own(x.data()), these, work, changedSince)
	if _, err := c.standingIn(ctx, tx, r, g, columns, entries, "1 = 0", false); err != nil {
		return l, err
	}
	if _, err := exec(ctx, tx, "note conflicts", fmt.Sprintf("DELETE FROM %s WHERE reason = '%s' AND n IN (SELECT d.n FROM %s d WHERE %s)", work, changedSince, s.own(x.data()), these)); err != nil {
		return l, err
	}
	l.Over += total
	l.Overridden = append(slices.Clone(l.Overridden), found[:min(len(found), MaxConflicts-min(MaxConflicts, len(l.Overridden)))]...)
	return l, nil
}

// Filled ends a backfill: each captured row is proven to be in its place, or listed.
func (s *Store) Filled(ctx context.Context, tx engine.Querier, l Later) (TableReport, []Conflict, error) {
	rep := TableReport{Table: l.Table.String(), Updated: l.Written, Conflicts: l.Over}
	r, g, err := s.waiting(ctx, tx, l)
	if err != nil {
		return rep, nil, err
	}
	var found []Conflict
	var total int64
	err = s.pinned(ctx, tx, func() error {
		found, total, err = r.conflictsOf(ctx, tx, g.x, "1 = 1", Keep)
		return err
	})
	if err != nil {
		return rep, nil, err
	}
	rep.Conflicts += total
	if l.Equal+total != g.x.Rows {
		return rep, nil, &ProofError{Table: l.Table, Capture: l.Capture, Rows: g.x.Rows - l.Equal - total, Of: g.x.Rows}
	}
	return rep, append(slices.Clone(l.Overridden), found...), s.leave(ctx, tx, l, statusRestored)
}

// GiveUp leaves what is not put back yet in the capture, from which restore can bring it.
func (s *Store) GiveUp(ctx context.Context, tx engine.Querier, l Later) error {
	return s.leave(ctx, tx, l, statusVoid)
}

func (s *Store) leave(ctx context.Context, tx engine.Querier, l Later, status string) error {
	if l.Work {
		x := &capture{Info: Info{ID: l.Capture}}
		if err := s.drop(ctx, tx, "forget conflicts", s.own(x.conflicts())); err != nil {
			return err
		}
	}
	return s.setStatus(ctx, tx, l.Capture, status)
}
