package migrate

import (
	"context"
	"database/sql"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// batchSize is how many rows one transaction of an online restore writes: at some 20 µs a row it holds its lock for a
// fraction of a second.
const batchSize = 5_000

// online writes in batches. What was written stays when a later batch fails; the safety snapshot holds what each wrote over, and the
// same restore begun again finds what is left.
func (r *runner) online(ctx context.Context, req RestoreRequest, out *RestoreResult) error {
	m := r.m
	var x *snapshot.Restoration
	var at snapshot.Position
	meta := r.meta(snapshot.Restored, "")
	meta.Snapshot = snapshot.NewID()
	err := again(ctx, r.s, func(tx *sql.Tx) (err error) {
		if x, err = m.restoration(ctx, tx, req); err != nil {
			return err
		}
		at, err = x.Begin(ctx, tx)
		out.fill(x.Previews(), x.Conflicts())
		r.moments(out)
		if err == nil && req.Agreed != nil {
			err = req.Agreed(out.Details)
		}
		if err != nil {
			return err
		}
		// A run that is killed half-way has an entry, too.
		e := r.restoreEntry(req, out, "started")
		e.Detail["safety"] = meta.Snapshot
		return m.log.Append(ctx, tx, e)
	})
	if err != nil {
		return err
	}
	if err := r.batches(ctx, req, out, x, at, meta); err != nil {
		r.abandon(ctx, x)
		return err
	}
	return nil
}

// abandon has a comparison dropped that is of no use any more: where room is short it is the next run that needs it. What cannot be dropped
// now is left to pruning.
func (r *runner) abandon(ctx context.Context, x *snapshot.Restoration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = x.Leave(ctx, r.s)
}

// batches carries the comparison out.
func (r *runner) batches(ctx context.Context, req RestoreRequest, out *RestoreResult, x *snapshot.Restoration, at snapshot.Position, meta snapshot.Meta) error {
	m, size := r.m, req.Batch
	if size <= 0 {
		size = batchSize
	}
	for !at.Done {
		began := time.Now()
		var next snapshot.Position
		var captured int
		err := r.patient(ctx, func() error {
			return r.s.Tx(ctx, func(tx *sql.Tx) (err error) {
				c := m.store.Begin(meta)
				next, err = x.Batch(ctx, tx, c, at, size)
				captured = len(c.Captures())
				return err
			})
		})
		if captured > 0 && err == nil {
			out.saved(x, meta.Snapshot)
		}
		if err != nil {
			return err
		}
		at = next
		out.Batches = at.Batches
		if err := r.breathe(ctx, time.Since(began)); err != nil && !at.Done {
			return err
		}
	}
	return r.s.Tx(ctx, func(tx *sql.Tx) error {
		details, conflicts, err := x.Finish(ctx, tx)
		out.fill(details, conflicts)
		if err != nil {
			return err
		}
		r.res.Verified = true
		return m.log.Append(ctx, tx, r.restoreEntry(req, out, audit.Done))
	})
}

// patient tries again when a lock was not obtained: others come first.
func (r *runner) patient(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		e, ok := engine.AsError(err)
		if err == nil || !ok || e.Class != engine.LockTimeout || try == 5 {
			return err
		}
		r.m.o.Events(Event{Kind: WaitingForLock, Text: e.Message})
		if err := pause(ctx, time.Duration(try)*200*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause leaves the tables to others for a while.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
