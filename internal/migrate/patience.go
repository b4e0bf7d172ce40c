package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Who waits for a strong lock keeps out all who come after, readers, too. So a migration that is one transaction waits
// for a short while only, lets everybody through, and begins again, until the lock timeout has passed in all.
const (
	shortWait = time.Second
	longPause = time.Second
)

// briefly makes the session wait a short while for each lock. wait is what it was to wait in all; 0: it is left as it is.
func (r *runner) briefly(ctx context.Context) (back func(), err error) {
	back = func() {}
	if r.m.db.Caps.LockWait == "" {
		return back, nil
	}
	var ms int64
	if err := r.s.QueryRowContext(ctx, "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'").Scan(&ms); err != nil {
		return back, fmt.Errorf("read the lock timeout: %w", err)
	}
	if wait := time.Duration(ms) * time.Millisecond; wait > shortWait {
		r.wait = wait
		return func() { _ = r.waits(context.WithoutCancel(ctx), wait) }, r.waits(ctx, shortWait)
	}
	return back, nil
}

// waits sets for how long the session waits for a lock.
func (r *runner) waits(ctx context.Context, d time.Duration) error {
	if r.wait == 0 {
		return nil
	}
	if _, err := r.s.ExecContext(ctx, r.m.db.Caps.LockWait+fmt.Sprint(d.Milliseconds())); err != nil {
		return fmt.Errorf("set the lock timeout: %w", err)
	}
	return nil
}

// atomically runs a migration that is one transaction, again when it did not get a lock. It gives the work that was committed.
func (r *runner) atomically(ctx context.Context, w *work) (*work, error) {
	for begun, try := time.Now(), 1; ; try++ {
		fresh, start := *w, time.Now()
		done, err := r.attempt(ctx, &fresh)
		if err == nil || r.wait == 0 || ctx.Err() != nil || time.Since(begun) >= r.wait || time.Since(start) > 3*shortWait {
			return done, err // one that had come far is not begun again
		}
		if e, ok := engine.AsError(err); !ok || e.Class != engine.LockTimeout {
			return done, err
		}
		r.memory.Forget()
		r.m.o.Events(Event{Kind: WaitingForLock, Version: w.mig.Version, File: w.mig.File, Table: "a lock that " + w.mig.File + " needs", Elapsed: time.Since(begun)})
		if err := pause(ctx, min(time.Duration(try)*100*time.Millisecond, longPause)); err != nil {
			return done, err
		}
	}
}
