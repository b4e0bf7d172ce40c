package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// precheck looks, before a rollback runs, for data that its Downs have no place for. On a server whose DDL is
// transactional a suspicion is put to the test: the whole rollback runs in one transaction that is taken back, so that nothing is
// refused that would have gone well, and nothing stops half-way. Elsewhere what is certain is refused.
func (r *runner) precheck(ctx context.Context, versions []int64) error {
	migs, atomic, err := r.downs(ctx, versions)
	if err != nil {
		return err
	}
	found, notes, err := r.m.obstacles(ctx, r.s, migs)
	if err != nil {
		return err
	}
	for _, n := range notes {
		r.warn(n)
	}
	if len(found) == 0 {
		return nil
	}
	if atomic {
		_, err := r.rehearse(ctx, versions)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var at *StatementError
		if e, ok := engine.AsError(err); err == nil || !errors.As(err, &at) && (!ok || e.Class != engine.Constraint) {
			return nil // it goes well, or stops for a reason that the run itself tells better
		}
		var repair *RepairError
		found = slices.DeleteFunc(found, func(o Obstacle) bool {
			switch { // it fails elsewhere: this one does not matter, or not yet
			case at != nil:
				return o.remade || o.File != at.File || o.Line != at.Line
			case errors.As(err, &repair):
				return o.Version != repair.Version
			}
			return false
		})
		if len(found) == 0 && slices.ContainsFunc(migs, func(d down) bool { return !d.Transactional }) {
			return nil // by statements that commit one by one it may go otherwise
		}
		if len(found) == 0 {
			return fmt.Errorf("the rollback would fail, so it was not begun: %w", err)
		}
	} else {
		found = slices.DeleteFunc(found, func(o Obstacle) bool { return !o.certain })
	}
	if len(found) == 0 {
		return nil
	}
	refused := &RefusedError{}
	for _, o := range found {
		refused.Reasons = append(refused.Reasons, Refusal{File: o.File, Line: o.Line, Column: o.Column, Message: o.Message,
			Hint: "change or remove these rows, or let Down deal with them; nothing was changed"})
	}
	return refused
}

// downs loads what a rollback would run, and says whether all of it can be tried in one transaction.
func (r *runner) downs(ctx context.Context, versions []int64) (migs []down, atomic bool, err error) {
	atomic = r.m.db.Caps.TransactionalDDL
	for _, v := range versions {
		var rec *record
		if r.known[v] {
			if rec, err = r.m.catalog.load(ctx, r.s, v); err != nil {
				return nil, false, err
			}
		}
		mig, _, err := r.m.migration(ctx, v, Down, rec)
		if err != nil {
			return nil, false, err
		}
		atomic = atomic && (mig.Transactional || !slices.ContainsFunc(mig.Down, func(st Statement) bool {
			return mindsTransaction(st) || st.Autocommit || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Transaction })
		}))
		d := down{Migration: mig}
		if rec != nil {
			d.undo = rec.changes(Up)
		}
		migs = append(migs, d)
	}
	return migs, atomic, nil
}

// rehearse runs migrations in r's direction as they would run, all in one transaction, and takes it back. The result
// is what the run would have reported.
func (r *runner) rehearse(ctx context.Context, versions []int64) (*Result, error) {
	m := *r.m
	m.o.Events = func(Event) {}
	c := *r
	c.m, c.memory, c.plain = &m, verify.NewMemory(m.db), map[engine.Name]*verify.Plain{}
	c.res = &Result{Run: r.res.Run, Target: r.res.Target, Direction: r.dir, From: r.res.From, To: r.res.To, Verified: true,
		Migrations: []MigrationResult{}, Tables: []snapshot.TableReport{}, Conflicts: []snapshot.Conflict{}, NotUndone: []string{}}
	err := r.s.Tx(ctx, func(tx *sql.Tx) error {
		for _, v := range versions {
			var rec *record
			if c.known[v] {
				var err error
				if rec, err = m.catalog.load(ctx, tx, v); err != nil {
					return err
				}
			}
			mig, _, err := m.migration(ctx, v, r.dir, rec)
			if err != nil {
				return err
			}
			one := *mig
			one.Transactional = true
			w := &work{r: &c, mig: &one, rec: rec, stmts: mig.statements(r.dir)}
			if w.reach = reachOf(w.stmts, verify.ByName(r.m.db)); w.reach.all {
				c.memory.Forget()
			}
			if err := w.inTransaction(ctx, tx); err != nil && !errors.Is(err, errSettled) {
				return err
			}
			c.finish(w, time.Duration(0))
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return c.res, nil
	}
	return nil, err
}

// foretell tells the conflicts that are known when the rollback of a migration begins, of one whose Down cannot be tried in one transaction. Those of migrations that would be
// undone after it depend on what its Down does.
func (r *runner) foretell(ctx context.Context, version int64) error {
	m := r.m
	if !r.known[version] {
		return nil
	}
	c := *r
	c.memory, c.plain = verify.NewMemory(m.db), map[engine.Name]*verify.Plain{}
	try := func(tx *sql.Tx) error {
		rec, err := m.catalog.load(ctx, tx, version)
		if err != nil {
			return err
		}
		mig, _, err := m.migration(ctx, version, r.dir, rec)
		if err != nil {
			return err
		}
		w := &work{r: &c, mig: mig, rec: rec, stmts: mig.statements(r.dir)}
		w.reach = reachOf(w.stmts, verify.ByName(m.db))
		if err := w.begin(ctx, tx); err != nil {
			return err
		}
		if w.restorer == nil {
			return errRehearsed
		}
		found, err := w.restorer.Foresee(ctx, tx, r.policy)
		if err != nil {
			return err
		}
		r.res.Conflicts = append(r.res.Conflicts, found...)
		return errRehearsed
	}
	err := m.store.Trying(ctx, r.s, func() error { return r.s.Tx(ctx, try) })
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// dryRollback plans, and runs all of it in a transaction that is taken back, so that what would stop it and what would
// be a conflict is known beforehand.
func (r *runner) dryRollback(ctx context.Context, which PlanRequest) error {
	m := r.m
	var err error
	which.Rehearse = true
	if r.res.Plan, err = m.Plan(ctx, which); err != nil {
		// The statements alone may fail where captured data would have helped them.
		var at *StatementError
		if !errors.As(err, &at) {
			return err
		}
		which.Rehearse = false
		if r.res.Plan, err = m.Plan(ctx, which); err != nil {
			return err
		}
	}
	if ok, err := m.catalog.exists(ctx, m.db); err != nil || !ok || len(r.res.Plan.Migrations) == 0 {
		return err
	}
	return m.locked(ctx, func(s *engine.Session) error {
		if _, err := r.enter(ctx, s); err != nil {
			return err
		}
		versions, err := m.targets(ctx, s, which)
		if err != nil {
			return err
		}
		if err := r.precheck(ctx, versions); err != nil {
			return err
		}
		if _, atomic, err := r.downs(ctx, versions); err != nil {
			return err
		} else if !atomic && len(versions) > 0 {
			return r.foretell(ctx, versions[0])
		}
		seen, err := r.rehearse(ctx, versions)
		if err != nil {
			return err
		}
		r.res.Tables, r.res.Conflicts, r.res.NotUndone = seen.Tables, seen.Conflicts, seen.NotUndone
		return nil
	})
}

// planObstacles adds to a plan what its Downs may stumble over.
func (m *Migrator) planObstacles(ctx context.Context, s *engine.Session, p *Plan) error {
	var versions []int64
	for _, pm := range p.Migrations {
		versions = append(versions, pm.Version)
	}
	r := &runner{m: m, s: s, known: map[int64]bool{}}
	if ok, err := m.catalog.exists(ctx, s); err != nil {
		return err
	} else if ok {
		if r.known, err = m.catalog.known(ctx, s); err != nil {
			return err
		}
	}
	migs, _, err := r.downs(ctx, versions)
	if err != nil {
		return err
	}
	found, _, err := m.obstacles(ctx, s, migs)
	if err != nil {
		return err
	}
	for _, o := range found {
		for i := range p.Migrations {
			if p.Migrations[i].Version == o.Version {
				p.Migrations[i].Obstacles = append(p.Migrations[i].Obstacles, o)
			}
		}
	}
	return nil
}
