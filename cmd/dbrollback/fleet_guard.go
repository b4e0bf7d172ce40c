package main

import (
	"context"
	"errors"

	"github.com/dbrollback/dbrollback/internal/fleet"
	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// fleetGuard is guard -- up --targets: each database of a wave has a guard of its own, whose state lies in its own catalog; when one
// of them rolls back, so does the whole wave.
func (s *session) fleetGuard(ctx context.Context, o guardOptions, up upOptions) error {
	switch {
	case o.requireApproval != "" && o.approval.way != "webhook":
		return &usageError{message: "an approval is for one plan on one database: with --targets only a webhook can give as many as are wanted", hint: "--approval webhook:URL, or leave out --require-approval"}
	case s.Strategy != nil && s.Strategy.traffic != nil:
		return &usageError{message: "deployment_strategy: set_traffic moves the traffic of one database; with --targets the percentages are of the databases", hint: "leave set_traffic out, in a configuration of its own: --config"}
	}
	f, err := s.fleet(ctx, "guard", up.Targets, fleet.Policy{Percentages: s.percentages(), OnFailure: s.OnFailure})
	if err != nil {
		return err
	}
	for _, m := range f.members {
		m.s.Strategy = nil // its steps are the waves
	}
	if err := f.survey(ctx, up.To); err != nil {
		return err
	}
	if err := f.ask(ctx, migrate.PlanRequest{Direction: migrate.Up, To: up.To}, "apply to"); err != nil {
		return err
	}
	w := &fleetGuardWork{f: f, o: o, up: up}
	if f.policy.Parallel > 0 {
		w.turns = make(chan struct{}, f.policy.Parallel)
	}
	f.policy.Parallel = 0 // they are watched together
	return f.run(ctx, w)
}

// fleetGuardWork guards one database, and takes it back when another one of its wave turned bad.
type fleetGuardWork struct {
	f     *fleetRun
	o     guardOptions
	up    upOptions
	turns chan struct{}
}

// Forward applies and watches to the end of the watch, or until the wave has failed.
func (w *fleetGuardWork) Forward(ctx, halt context.Context, i int) (changed bool, err error) {
	m := w.f.members[i]
	m.took = 0
	err = m.with(ctx, true, func() error {
		m.guard = &guarding{s: m.s, o: w.o, up: w.up, clock: guard.System{}, halt: halt, turns: w.turns}
		if m.from < 0 { // it did not answer before
			if m.from, err = m.m.Current(ctx); err != nil {
				return err
			}
		}
		err := m.guard.run(ctx)
		m.forward, m.back = m.guard.doc.Up, m.guard.doc.Rollback
		return m.settle(ctx, err)
	})
	if m.guard != nil {
		changed = m.guard.rec != nil
	}
	return changed, err
}

// Back rolls a database back that was well itself. The catalog remembers it like a rollback of its own: the next guard wants to be
// told --again everywhere alike.
func (w *fleetGuardWork) Back(ctx context.Context, i int) error {
	m := w.f.members[i]
	if m.from < 0 {
		return nil
	}
	return m.with(ctx, true, func() error {
		store := guard.NewStore(m.s.db)
		var rec *guard.Record
		if m.guard != nil {
			rec = m.guard.rec
		}
		if rec != nil && rec.State == guard.Watching {
			rec.Reason = "its wave failed"
			ok, err := store.Advance(ctx, rec, guard.RollingBack)
			if err == nil && !ok {
				err = guard.ErrTaken
			}
			if err != nil {
				return err
			}
		}
		if err := m.goBack(ctx, snapshot.Policy(w.o.onConflict), "its wave failed"); err != nil {
			return err
		}
		if rec == nil || rec.State != guard.RollingBack && rec.State != guard.Over {
			return nil
		}
		rec.Reason = "its wave failed"
		ok, err := store.Advance(ctx, rec, guard.RolledBack)
		if err == nil && !ok {
			err = guard.ErrTaken
		}
		return err
	})
}

// turn waits until as few databases are being worked on that this one may be, too.
func (g *guarding) turn(ctx context.Context) (func(), error) {
	if g.turns == nil {
		return func() {}, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case g.turns <- struct{}{}:
		return func() { <-g.turns }, nil
	}
}

// halted tells whether another database of the wave has failed.
func (g *guarding) halted() bool { return g.halt != nil && g.halt.Err() != nil }

// watching is the time of a watch: it is over when the wave has failed, too.
func (g *guarding) watching(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if g.halt == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(g.halt, cancel)
	return ctx, func() { stop(); cancel() }
}

// stopped turns the end of a watch that the wave ended into what fleet calls it.
func (g *guarding) stopped(ctx context.Context, err error) error {
	if err != nil && g.halted() && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return fleet.ErrHalted
	}
	return err
}
