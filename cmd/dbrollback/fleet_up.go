package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/fleet"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// percentages are the steps of the strategy; without one they are its defaults.
func (s *session) percentages() []int {
	if s.Strategy != nil {
		return s.Strategy.percentages()
	}
	return defaultStrategy().percentages()
}

// fleetUp is up with --targets.
func (s *session) fleetUp(ctx context.Context, o upOptions) error {
	f, err := s.fleet(ctx, "up", o.Targets, fleet.Policy{Percentages: s.percentages(), OnFailure: s.OnFailure})
	if err != nil {
		return err
	}
	if o.DryRun {
		return &usageError{message: "--dry-run rehearses on one database", hint: "dbrollback up --dry-run --dsn …; dbrollback status --targets all shows what is pending where"}
	}
	if err := f.survey(ctx, o.To); err != nil {
		return err
	}
	if err := f.ask(ctx, migrate.PlanRequest{Direction: migrate.Up, To: o.To}, "apply to"); err != nil {
		return err
	}
	return f.run(ctx, &fleetUpWork{f: f, o: o})
}

// survey looks at all databases before the first is touched: one that is not there, or cannot be brought forward, is better known
// now than in the third wave.
func (f *fleetRun) survey(ctx context.Context, to int64) error {
	f.say("looking at %s", number(int64(len(f.members)), "database", "databases"))
	f.each(ctx, func(m *member) error { return m.look(ctx, true, to) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.policy.OnFailure == fleet.GoOn {
		return nil // it fails when its turn comes
	}
	e := &fleetError{exit: -1, hint: "mend it, leave it out of --targets, or go on without it: --on-failure continue"}
	for _, m := range f.members {
		m.outcome.State = fleet.NotBegun
		if m.outcome.Err == nil {
			continue
		}
		m.outcome.State = fleet.Failed
		p := f.problem(m, m.outcome.Err)
		if e.exit < 0 {
			e.exit, e.message = p.Exit, fmt.Sprintf("%s: %s; nothing was begun", m.name, p.line())
		} else {
			e.details = append(e.details, m.name+": "+p.line())
		}
	}
	if e.exit < 0 {
		return nil
	}
	return f.finish(ctx, e)
}

// ask shows a person what is about to be destroyed on the first database that is not up to date, and asks once for all.
func (f *fleetRun) ask(ctx context.Context, request migrate.PlanRequest, verb string) error {
	s := f.s
	n := 0
	var first *member
	for _, m := range f.members {
		if m.pending > 0 {
			if n++; first == nil {
				first = m
			}
		}
	}
	s.out.note("targets: %s, %d of them not up to date, %s", number(int64(len(f.members)), "database", "databases"), n, f.standing())
	if s.Yes || !s.InTerminal || first == nil {
		return nil
	}
	var plan *migrate.Plan
	if err := first.with(ctx, true, func() (err error) {
		plan, err = first.m.Plan(ctx, request)
		return err
	}); err != nil {
		return err
	}
	s.out.note("on %s:", describe(first.Target))
	s.showPlan(plan)
	return s.confirm(ctx, fmt.Sprintf("%s %s?", verb, number(int64(n), "database", "databases")))
}

// fleetUpWork brings one database forward, and back.
type fleetUpWork struct {
	f *fleetRun
	o upOptions
}

// Forward applies what is pending. A run that was cut off there is finished first: that is what a second run is for.
func (w *fleetUpWork) Forward(ctx, _ context.Context, i int) (changed bool, err error) {
	m := w.f.members[i]
	m.took = 0
	if m.from < 0 { // it did not answer before
		if err := m.look(ctx, true, w.o.To); err != nil {
			return false, err
		}
	}
	err = m.with(ctx, true, func() error {
		request := migrate.UpRequest{To: w.o.To, Release: w.o.Release, AllowIrreversible: w.o.AllowIrreversible, MaxLock: m.s.MaxLock}
		m.forward, err = m.m.Up(ctx, request)
		if errors.Is(err, migrate.ErrUnfinished) {
			if m.forward, err = m.m.Recover(ctx, migrate.RecoverRequest{}); err == nil {
				m.note = "a run that was cut off was finished first"
				changed = true
				m.forward, err = m.m.Up(ctx, request)
			}
		}
		return m.settle(ctx, err)
	})
	return changed || m.forward != nil && len(m.forward.Migrations) > 0, err
}

// settle reads the version that a database has come to; the error that led there is the one that counts.
func (m *member) settle(ctx context.Context, err error) error {
	if v, verr := m.m.Current(context.WithoutCancel(ctx)); verr == nil {
		m.at = v
	} else {
		m.at = -1
		if err == nil {
			err = verr
		}
	}
	return err
}

// Back undoes what Forward did, as far as it came.
func (w *fleetUpWork) Back(ctx context.Context, i int) error {
	m := w.f.members[i]
	if m.from < 0 {
		return nil // it was never reached
	}
	return m.with(ctx, false, func() error { return m.goBack(ctx, snapshot.Keep, "its wave failed") })
}

// goBack takes back what is unfinished, then what was done since the run began.
func (m *member) goBack(ctx context.Context, policy snapshot.Policy, reason string) error {
	_, err := m.m.Recover(ctx, migrate.RecoverRequest{Abort: true})
	if errors.Is(err, migrate.ErrNothing) {
		err = nil
	}
	if err == nil {
		var res *migrate.Result
		res, err = m.m.Rollback(ctx, migrate.RollbackRequest{To: m.from, OnConflict: policy, Detail: map[string]string{"reason": reason}})
		if errors.Is(err, migrate.ErrNothing) {
			err = nil
		} else {
			m.back = res
		}
	}
	return m.settle(ctx, err)
}
