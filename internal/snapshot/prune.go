package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// PruneOptions say what may go. A capture goes when it has expired, when it is older than Before, or when more than Keep
// younger snapshots exist; never when its migration is protected.
type PruneOptions struct {
	Before  time.Time // zero: age alone is no reason
	Keep    int       // snapshots to keep, the youngest; 0: their number is no reason
	Protect []int64   // migrations whose captures stay
	DryRun  bool
	Now     time.Time // for expiry; zero: the clock
}

// Prune drops the data of captures that nobody needs any more and marks them as expired; their rows in the catalog
// stay. It also drops data tables that belong to no capture. It gives what it dropped, or would drop.
func (s *Store) Prune(ctx context.Context, q engine.Querier, o PruneOptions) ([]Info, error) {
	if _, err := s.db.Resolve(ctx, q, s.catalog); errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	rows, err := s.load(ctx, q, "")
	if err != nil {
		return nil, err
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	var snapshots []string // youngest first
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Status != statusExpired && !slices.Contains(snapshots, rows[i].Snapshot) {
			snapshots = append(snapshots, rows[i].Snapshot)
		}
	}
	var out []Info
	known := map[string]bool{}
	aside := map[string]bool{}
	for _, r := range rows {
		if r.Aside != nil {
			wanted := r.Kind == KeptColumns && r.Status != statusExpired && r.Status != statusRestored
			for _, n := range append(slices.Clone(r.Aside.Names), r.Aside.Since) {
				aside[n] = wanted
			}
		}
		if r.Status == statusExpired {
			continue
		}
		if r.Status == statusWaiting { // with what is known of its rows so far
			known[r.conflicts()] = true
			s.keeps(known, r.capture)
			continue
		}
		reason := r.ExpiresAt != nil && !r.ExpiresAt.After(now) || !o.Before.IsZero() && r.CapturedAt.Before(o.Before) ||
			o.Keep > 0 && slices.Index(snapshots, r.Snapshot) >= o.Keep
		if !reason || slices.Contains(o.Protect, r.Migration) {
			s.keeps(known, r.capture)
			continue
		}
		out = append(out, r.Info)
		if o.DryRun {
			s.keeps(known, r.capture)
			continue
		}
		if err := s.expire(ctx, q, r.capture); err != nil {
			return nil, err
		}
		if r.Aside != nil {
			for _, n := range append(slices.Clone(r.Aside.Names), r.Aside.Since) {
				aside[n] = false
			}
		}
	}
	if o.DryRun {
		return out, nil
	}
	if err := s.sweepColumns(ctx, q, aside); err != nil {
		return nil, err
	}
	return out, s.sweep(ctx, q, known)
}

// keeps notes which tables a capture needs. Of its seals it is the last one, once the run is over.
func (s *Store) keeps(known map[string]bool, x *capture) {
	if !s.db.Caps.TransactionalDDL {
		known[x.companionAt(sealFirst)], known[x.companionAt(sealSecond)] = x.Status == statusCapturing, x.Status == statusCapturing
	}
	known[x.data()], known[x.companion()] = true, true
}

// expire drops the data of a capture and marks it. Where a DROP cannot be taken back, the mark is there for good before it.
func (s *Store) expire(ctx context.Context, q engine.Querier, x *capture) error {
	drops := []string{"DROP TABLE IF EXISTS " + s.own(x.data()), "DROP TABLE IF EXISTS " + s.own(x.companionAt(sealFirst)), "DROP TABLE IF EXISTS " + s.own(x.companionAt(sealSecond))}
	if !s.db.Caps.TransactionalDDL {
		mark := fmt.Sprintf("UPDATE %s SET status = '%s' WHERE id = '%s'", s.db.Quote(s.catalog), statusExpired, x.ID)
		if err := s.aside(ctx, append([]string{mark}, drops...)...); err != nil {
			return fmt.Errorf("drop captured data: %w", err)
		}
		return nil
	}
	for _, drop := range drops {
		if _, err := exec(ctx, q, "drop captured data", drop); err != nil {
			return err
		}
	}
	return s.setStatus(ctx, q, x.ID, statusExpired)
}

// ownTables begin the names of the tables of captures; the capture's id follows. The first four hold what it keeps.
var ownTables = []string{"dbrollback_data_", sealFirst, sealSecond, "dbrollback_kept_", "dbrollback_work_", backFirst, backSecond, "dbrollback_plus_", "dbrollback_minus_", "dbrollback_last_", "dbrollback_keys_", "dbrollback_move_", lateTable, besideTwin, besideGone, besideCopy, groupTable}

// orphan drops a table that belongs to no capture, where that is not part of a transaction. A run may be filling it at this
// moment: who locks the table knows that nobody is, and finds the capture's row in the catalog if it was.
func (s *Store) orphan(ctx context.Context, q engine.Querier, table, id string) error {
	wanted := "status <> '" + statusExpired + "'"
	if strings.HasPrefix(table, "dbrollback_kept_") { // one that was copied is not needed any more
		wanted += " AND kind = 'kept'"
	}
	if !slices.ContainsFunc(ownTables[:4], func(p string) bool { return strings.HasPrefix(table, p) }) {
		// What a rollback noted for itself is needed until it is done.
		wanted = fmt.Sprintf("status IN ('%s', '%s', '%s')", statusComplete, statusCapturing, statusWaiting)
	}
	err := s.with(ctx, func(c engine.Querier) error {
		if _, err := exec(ctx, c, "drop what belongs to no capture", "LOCK TABLES "+s.own(table)+" WRITE"); err != nil {
			return err
		}
		n, err := number(ctx, q, "read the catalog", fmt.Sprintf("SELECT count(*) FROM %s WHERE replace(id, '-', '') = %s AND %s LOCK IN SHARE MODE",
			s.db.Quote(s.catalog), s.db.Arg(1), wanted), id)
		if err == nil && n == 0 && strings.HasPrefix(table, lateTable) {
			n, err = number(ctx, c, "look for rows", "SELECT count(*) FROM "+s.own(table)) // somebody's, which did not find back
		}
		if err == nil && n == 0 {
			_, err = exec(ctx, c, "drop what belongs to no capture", "DROP TABLE "+s.own(table))
		}
		_, unlock := exec(context.WithoutCancel(ctx), c, "drop what belongs to no capture", "UNLOCK TABLES")
		return errors.Join(err, unlock)
	})
	if e, ok := engine.AsError(err); ok && e.Class == engine.LockTimeout {
		return nil // in use
	}
	return err
}

// sweep drops data tables that belong to no capture: a run that could not clean up left them. Where DDL is transactional, tables
// of a run that is still under way are not seen.
func (s *Store) sweep(ctx context.Context, q engine.Querier, known map[string]bool) error {
	names, err := s.f.ours(ctx, q)
	if err != nil {
		return fmt.Errorf("list captured data: %w", err)
	}
	for _, n := range names {
		i := slices.IndexFunc(ownTables, func(p string) bool { return strings.HasPrefix(n, p) && len(n) == len(p)+32 })
		if known[n] || i < 0 {
			continue
		}
		if past, ok := known[n]; ok && !past { // a seal that another one took the place of
			if err := s.aside(ctx, "DROP TABLE IF EXISTS "+s.own(n)); err != nil {
				return fmt.Errorf("drop what belongs to no capture: %w", err)
			}
			continue
		}
		if !s.db.Caps.TransactionalDDL {
			if err := s.orphan(ctx, q, n, n[len(ownTables[i]):]); err != nil {
				return err
			}
			continue
		}
		if _, err := exec(ctx, q, "drop what belongs to no capture", "DROP TABLE IF EXISTS "+s.own(n)); err != nil {
			return err
		}
	}
	return nil
}

// Verification says whether captured data is still what it was when it was sealed.
type Verification struct {
	Info
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not
}

// Verify computes the checksums of captures again: of all, of one snapshot, or of one capture. Captures without rows
// and expired ones are left out.
func (s *Store) Verify(ctx context.Context, q engine.Querier, id string) ([]Verification, error) {
	if _, err := s.db.Resolve(ctx, q, s.catalog); errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	where, args := "", []any{}
	if id != "" {
		where, args = fmt.Sprintf("id = %s OR snapshot_id = %s", s.db.Arg(1), s.db.Arg(2)), []any{id, id}
	}
	rows, err := s.load(ctx, q, where, args...)
	if err != nil {
		return nil, err
	}
	var out []Verification
	for _, r := range rows {
		if r.Kind == Definition || r.Status == statusExpired || r.Kind.Stays() && r.Status == statusRestored {
			continue // no rows, none any more, or rows that are back in their place
		}
		v := Verification{Info: r.Info}
		if r.Kind == KeptColumns {
			lies, err := s.holder(ctx, q, r.capture)
			if err != nil {
				return nil, err
			}
			if v.OK = lies != nil && r.Status != statusCapturing; !v.OK && r.Status != statusCapturing {
				if v.OK, err = s.goneAlong(ctx, q, r.capture); err != nil {
					return nil, err
				}
			}
			if !v.OK {
				v.Reason = "its columns are gone"
			}
			out = append(out, v)
			continue
		}
		_, err := s.db.Resolve(ctx, q, s.db.Own(r.data()))
		switch {
		case errors.Is(err, engine.ErrNoTable):
			v.Reason = "its data is gone"
		case err != nil:
			return nil, err
		case r.Status == statusCapturing:
			v.Reason = "it was never sealed"
		default:
			sum, err := s.checksum(ctx, q, r.capture)
			var changed *ProofError
			switch {
			case errors.As(err, &changed):
				v.Reason = changed.Reason
			case err != nil:
				return nil, fmt.Errorf("verify the capture of %s: %w", r.Home, err)
			case r.Checksum == "" && (r.Kind == Kept || sum.Rows == r.Rows):
				v.OK, v.Rows, v.Checksum = true, sum.Rows, sum.Sum
				if err := s.setSum(ctx, q, r.capture, sum); err != nil {
					return nil, err
				}
			default:
				v.Reason = r.damage(sum)
				v.OK = v.Reason == ""
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// damage says what is wrong with a capture whose rows have this checksum; "" when nothing is.
func (c *capture) damage(sum verify.Checksum) string {
	switch {
	case sum.Rows != c.Rows:
		return fmt.Sprintf("it has %d row(s) instead of %d", sum.Rows, c.Rows)
	case sum.Sum != c.Checksum:
		return "its rows are not those that were captured"
	}
	return ""
}

// sweepColumns drops columns that lie aside for nobody any more. aside tells of each whether it is wanted; others may be those of a run that is
// under way.
func (s *Store) sweepColumns(ctx context.Context, q engine.Querier, aside map[string]bool) error {
	k, ok := s.d.(columnKeeper)
	if !ok || len(aside) == 0 {
		return nil
	}
	list, err := k.reserved(ctx, q)
	if err != nil {
		return err
	}
	for _, c := range list {
		if wanted, known := aside[c.name]; !known || wanted {
			continue
		}
		drop := func() error { return s.dropColumn(ctx, q, c) }
		if _, open := q.(*sql.Tx); open && s.db.Caps.TransactionalDDL { // what else is dropped stays so
			err = s.within(ctx, q, "dbrollback_prune", true, drop)
		} else {
			err = drop()
		}
		if busy, is := engine.AsError(err); is && busy.Class == engine.LockTimeout {
			continue // the next one will
		}
		if err != nil {
			return fmt.Errorf("drop a kept column of %s: %w", c.table, err)
		}
	}
	return nil
}
