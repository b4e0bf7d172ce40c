package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Up applies pending migrations, each with its captures. The result tells how far it came, also next to an error:
// *RefusedError (nothing was run), ErrUnfinished, *PartialError around the cause, or the engine's error.
func (m *Migrator) Up(ctx context.Context, req UpRequest) (*Result, error) {
	r, err := m.newRun(Up)
	if err != nil {
		return nil, err
	}
	r.res.Release, r.detail = req.Release, req.Detail
	r.policy = snapshot.Keep
	if req.DryRun {
		r.res.Plan, err = m.Plan(ctx, PlanRequest{Direction: Up, To: req.To, Rehearse: true})
		return r.done(), err
	}
	err = m.locked(ctx, func(s *engine.Session) error {
		applied, err := r.enter(ctx, s)
		if err != nil {
			return err
		}
		pending, err := m.pending(applied, req.To)
		if err != nil {
			return err
		}
		if err := m.notElsewhere(ctx, s, applied, pending); err != nil {
			return err
		}
		if err := m.check(ctx, s, Up, pending, req.AllowIrreversible, req.MaxLock); err != nil {
			return err
		}
		if err := r.each(ctx, pending); err != nil {
			return err
		}
		return r.leave(ctx, req.Release)
	})
	return r.done(), err
}

// Rollback undoes migrations newest first: their Down, then the data that their Up had captured. Errors as
// for Up, and *DriftError, *snapshot.ConflictError, ErrNothing.
func (m *Migrator) Rollback(ctx context.Context, req RollbackRequest) (*Result, error) {
	r, err := m.newRun(Down)
	if err != nil {
		return nil, err
	}
	r.policy, r.allowDrift, r.allowUncaptured, r.batched, r.detail = req.OnConflict, req.AllowDrift, req.AllowUncaptured, req.Online, req.Detail
	if r.policy == "" {
		r.policy = snapshot.Keep
	}
	which := PlanRequest{Direction: Down, To: req.To, Steps: req.Steps, At: req.At, ToRelease: req.ToRelease, Online: req.Online}
	if req.DryRun {
		err = r.dryRollback(ctx, which)
		return r.done(), err
	}
	err = m.locked(ctx, func(s *engine.Session) error {
		if _, err := r.enter(ctx, s); err != nil {
			return err
		}
		versions, err := m.targets(ctx, s, which)
		if err != nil {
			return err
		}
		if len(versions) == 0 {
			return ErrNothing
		}
		if req.Agreed != nil {
			plan, err := m.Plan(ctx, which)
			if err == nil {
				err = req.Agreed(plan)
			}
			if err != nil {
				return err
			}
		}
		if err := m.check(ctx, s, Down, versions, true, 0); err != nil {
			return err
		}
		if err := r.precheck(ctx, versions); err != nil {
			return err
		}
		return r.each(ctx, versions)
	})
	return r.done(), err
}

func (m *Migrator) newRun(d Direction) (*runner, error) {
	now := time.Now()
	id, err := newID(now)
	if err != nil {
		return nil, err
	}
	return &runner{m: m, dir: d, started: now, memory: verify.NewMemory(m.db), plain: map[engine.Name]*verify.Plain{}, res: &Result{
		Version: 1, Run: id, Target: m.db.Target, Direction: d, Verified: true,
		Migrations: []MigrationResult{}, Tables: []snapshot.TableReport{}, Conflicts: []snapshot.Conflict{}, NotUndone: []string{},
	}}, nil
}

func (r *runner) done() *Result {
	r.res.Seconds = time.Since(r.started).Seconds()
	return r.res
}

// enter notes where the target is and refuses to start over a run that was cut off.
func (r *runner) enter(ctx context.Context, s *engine.Session) ([]int64, error) {
	r.s = s
	applied, err := r.m.applied(ctx, s)
	if err != nil {
		return nil, err
	}
	if r.known, err = r.m.catalog.known(ctx, s); err != nil {
		return nil, err
	}
	r.at = current(applied)
	r.res.From, r.res.To = r.at, r.at
	open, err := r.m.unfinished(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(open) > 0 {
		u := open[0]
		if len(u.Filling) > 0 {
			return nil, fmt.Errorf("%w: migration %d, since %s: %s; nothing else runs before `dbrollback recover`", ErrFilling, u.Version, u.Since.Format(time.RFC3339), u.Left())
		}
		cause := ErrUnfinished
		if u.Back {
			cause = ErrBack
		}
		return nil, fmt.Errorf("%w: migration %d, %s, statement %d of %d, since %s; nothing else runs before `dbrollback recover`",
			cause, u.Version, u.Direction, u.Statement, u.Of, u.Since.Format(time.RFC3339))
	}
	if err := r.m.store.Mend(ctx, s); err != nil { // a restore that was cut off leaves nothing else behind
		return nil, err
	}
	// Asked now: within the transaction of a statement MySQL's answer would fix a moment, before which its captures are not there.
	if _, err := r.journals(ctx); err != nil {
		return nil, err
	}
	return applied, nil
}

// each runs the migrations; the first failure stops the run and is put into the audit log.
func (r *runner) each(ctx context.Context, versions []int64) error {
	back, err := r.briefly(ctx)
	if err != nil {
		return err
	}
	defer back()
	defer r.brokenViews(ctx)
	for _, v := range versions {
		if err := r.migrate(ctx, v); err != nil {
			r.res.Verified = false
			err = r.partial(ctx, v, err)
			r.logFailure(ctx, v, err)
			return err
		}
	}
	return nil
}

// partial wraps an error with how far the run came.
func (r *runner) partial(ctx context.Context, failed int64, err error) error {
	p := &PartialError{Direction: r.dir, Failed: failed, Err: err}
	for _, m := range r.res.Migrations {
		p.Applied = append(p.Applied, m.Version)
	}
	if open, uerr := r.m.unfinished(context.WithoutCancel(ctx), r.s); uerr == nil {
		p.Unfinished = slices.ContainsFunc(open, func(u Unfinished) bool { return u.Run == r.res.Run })
		p.Back = slices.ContainsFunc(open, func(u Unfinished) bool { return u.Run == r.res.Run && u.Back })
		p.Filling = slices.ContainsFunc(open, func(u Unfinished) bool { return u.Run == r.res.Run && len(u.Filling) > 0 })
	}
	return p
}

// logFailure writes the audit entry of a run that failed. It must work after Ctrl-C, but not hang for ever; that
// the log cannot be written (the connection is gone) does not hide the failure itself.
func (r *runner) logFailure(ctx context.Context, version int64, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	outcome := "failed"
	var refused *RefusedError
	if errors.As(cause, &refused) {
		outcome = "refused"
	}
	err := r.s.Tx(ctx, func(tx *sql.Tx) error {
		return r.m.log.Append(ctx, tx, audit.Entry{
			Run: r.res.Run, At: time.Now().UTC(), User: r.m.o.User, Action: action(r.dir), From: r.res.From, To: r.at,
			Versions: []int64{version}, Outcome: outcome, Error: cause.Error(), DurationSeconds: time.Since(r.started).Seconds(), Detail: r.detail,
		})
	})
	if err != nil {
		r.warn("the failure could not be written to the log: " + err.Error())
	}
}

// leave names the release and drops captures that have expired.
func (r *runner) leave(ctx context.Context, name string) error {
	m := r.m
	err := r.s.Tx(ctx, func(tx *sql.Tx) error {
		if name != "" {
			if err := m.catalog.tag(ctx, tx, release{Name: name, Version: r.at, At: time.Now()}); err != nil {
				return err
			}
		}
		if m.o.Keep <= 0 && m.o.KeepCount <= 0 {
			return nil
		}
		protect, err := m.Protected(ctx, tx)
		if err != nil {
			return err
		}
		gone, err := m.store.Prune(ctx, tx, snapshot.PruneOptions{Keep: m.o.KeepCount, Protect: protect})
		if err != nil {
			return err
		}
		if len(gone) > 0 {
			m.o.Events(Event{Kind: CapturesExpired, Of: len(gone)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := m.changes.Prune(ctx, r.s); err != nil { // the migrations are applied all the same
		r.warn(err.Error() + "; dbrollback journal prune does it later")
	}
	return nil
}

// Protected lists the applied versions whose captures the last KeepReleases releases need to be rolled back, the newest first.
func (m *Migrator) Protected(ctx context.Context, q database.DBTxConn) ([]int64, error) {
	if m.o.KeepReleases <= 0 {
		return nil, nil
	}
	if ours, err := m.catalog.exists(ctx, q); err != nil || !ours {
		return nil, err
	}
	list, err := m.catalog.releases(ctx, q)
	if err != nil {
		return nil, err
	}
	applied, err := m.applied(ctx, q)
	if err != nil {
		return nil, err
	}
	return protected(applied, list, m.o.KeepReleases), nil
}

// protected walks from the newest version down until one more release than n was met: that one is what the oldest of the n goes back to.
// Where no release was named none needs anything.
func protected(applied []int64, releases []release, n int) []int64 {
	var out []int64
	met := 0
	for _, v := range slices.Backward(slices.Sorted(slices.Values(applied))) {
		if slices.ContainsFunc(releases, func(r release) bool { return r.Version == v }) {
			if met++; met > n {
				return out
			}
		}
		out = append(out, v)
	}
	if met == 0 {
		return nil
	}
	return out
}
