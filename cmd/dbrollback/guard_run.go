package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/fleet"
	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// guarding is one run of `guard`.
type guarding struct {
	s     *session
	o     guardOptions
	up    upOptions
	clock guard.Clock
	m     *migrate.Migrator
	store *guard.Store
	watch *guard.Watch
	rec   *guard.Record
	doc   guardDocument
	upped bool            // up came to its end
	halt  context.Context // of a fleet: over when the wave has failed; else nil
	turns chan struct{}   // of a fleet: places of databases that are worked on; else nil
}

// guardDocument is the JSON of `guard`.
type guardDocument struct {
	Version  int             `json:"version"`
	Target   engine.Target   `json:"target"`
	Verdict  string          `json:"verdict"` // well | rolled back | blind | nothing to do | unfinished
	Reason   string          `json:"reason"`
	Watch    *guard.Record   `json:"watch"`
	Up       *migrate.Result `json:"up"`
	Rollback *migrate.Result `json:"rollback"`
	Error    *problem        `json:"error"`
}

func (g *guarding) run(ctx context.Context) error {
	var err error
	if g.m, err = g.s.migrator(ctx, true); err != nil {
		return err
	}
	g.store = guard.NewStore(g.s.db)
	g.doc = guardDocument{Version: 1, Target: g.s.db.Target, Verdict: "unfinished"}
	g.s.announce()
	if err := g.arm(); err != nil {
		return err
	}
	err = g.steps(ctx)
	g.s.progress.end()
	g.doc.Watch = g.rec
	if err != nil {
		g.doc.Error = explain(ctx, err)
		g.doc.Error.redact(g.s.DSN)
	}
	if werr := g.s.out.result(g.doc, g.write); err == nil {
		err = werr
	}
	return err
}

// arm makes the probes ready; a probe that can never be asked is a mistake of the command line.
func (g *guarding) arm() error {
	o := g.o
	g.watch = &guard.Watch{
		Policy: o.policy, Clock: g.clock,
		Database: func(ctx context.Context) error { return engine.Answers(ctx, g.s.DSN) },
		Save: func(ctx context.Context, seen guard.Progress) error {
			g.rec.Seen = seen
			return g.store.Save(ctx, g.rec)
		},
		Round: g.tell,
		Trouble: func(err error) {
			if !g.halted() {
				g.s.out.warn("what was seen could not be saved: %v", err)
			}
		},
	}
	wrong := func(flag string, err error) error {
		return &usageError{message: fmt.Sprintf("--%s: %v", flag, err), hint: "dbrollback guard --help"}
	}
	for _, u := range o.health {
		h, err := guard.NewHTTP(u, o.ca)
		if err != nil {
			return wrong("health", err)
		}
		h.Status, h.Body, h.Latency = o.status, o.body, o.latency
		g.watch.Probes = append(g.watch.Probes, h)
	}
	for _, c := range o.commands {
		g.watch.Probes = append(g.watch.Probes, &guard.Command{Line: c})
	}
	if o.prometheus != "" {
		p, err := guard.NewPrometheus(o.prometheusURL, o.prometheus, o.errorRate, o.ca)
		if err != nil {
			return wrong("prometheus-url", err)
		}
		g.watch.Probes = append(g.watch.Probes, p)
	}
	for _, a := range o.assertions {
		g.watch.Probes = append(g.watch.Probes, &guard.Assertion{DB: g.s.db, SQL: a})
	}
	return nil
}

// steps goes from wherever the last guard of this database stopped to the end.
func (g *guarding) steps(ctx context.Context) error {
	pending, err := g.m.Pending(ctx, g.up.To)
	if err != nil {
		return err
	}
	last, err := g.store.Latest(ctx)
	if err != nil {
		return err
	}
	open, err := g.resumes(ctx, last)
	if err != nil {
		return err
	}
	switch {
	case open && last.State == guard.RollingBack:
		g.rec = last
		g.s.out.note("a guard was cut off while it rolled back: going on")
		return g.rollback(ctx)
	case open && last.State == guard.Watching && len(pending) == 0:
		g.rec = last
		g.s.out.note("going on with the watch that began at %s: %d checks so far, %d failed in a row", moment(last.Seen.Since), last.Seen.Rounds, last.Seen.Consecutive)
		return g.observe(ctx)
	case open && last.State == guard.Applying:
		g.rec = last
		g.s.out.note("a guard was cut off while it applied migrations: going on")
		return g.apply(ctx)
	case open: // a newer deployment takes over
		last.Reason = "the next deployment began"
		if _, err := g.store.Advance(ctx, last, guard.GivenUp); err != nil {
			return err
		}
	}
	work := workOf(pending)
	switch {
	case len(pending) == 0:
		g.doc.Verdict = "nothing to do"
		return nil
	case last != nil && last.State == guard.RolledBack && last.Work == work && !g.o.again:
		return &refusedError{message: fmt.Sprintf("a guard has rolled these very migrations back, after it began at %s: %s", moment(last.Started), last.Reason),
			hint: "correct them, or the service; --again applies them all the same"}
	}
	return g.begin(ctx, pending, work)
}

// resumes says whether the last watch is still to be ended by us: not when it is over, when its time has passed long ago, or when
// somebody else has moved the version since.
func (g *guarding) resumes(ctx context.Context, last *guard.Record) (bool, error) {
	if !last.Open() {
		return false, nil
	}
	if last.State == guard.RollingBack {
		return true, nil
	}
	now, err := g.m.Current(ctx)
	if err != nil {
		return false, err
	}
	began := last.Seen.Since
	if last.State == guard.Applying {
		began = last.Started
	}
	switch {
	case g.clock.Now().Sub(began) > 2*last.Policy.For && g.clock.Now().Sub(last.Seen.Last) > 2*last.Policy.For:
		last.Reason = "its guard was gone until long after its time"
	case last.State == guard.Watching && now != last.To:
		last.Reason = fmt.Sprintf("somebody brought the database to version %d", now)
	case last.State == guard.Applying && now < last.From:
		last.Reason = fmt.Sprintf("somebody brought the database to version %d", now)
	default:
		return true, nil
	}
	g.s.out.note("the watch of version %d is given up: %s", last.To, last.Reason)
	_, err = g.store.Advance(ctx, last, guard.GivenUp)
	return false, err
}

// workOf tells deployments apart by the texts of their migrations.
func workOf(pending []migrate.Wanted) string {
	h := sha256.New()
	for _, w := range pending {
		fmt.Fprintf(h, "%d %s\n", w.Version, w.Sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// begin asks for everything that must be there before a migration runs.
func (g *guarding) begin(ctx context.Context, pending []migrate.Wanted, work string) error {
	if err := g.s.demandDrill(ctx, g.m, pending, g.o.drill); err != nil {
		return err
	}
	if err := g.preflight(ctx); err != nil {
		return err
	}
	detail := ""
	if g.o.requireApproval == "up" || g.o.requireApproval == "both" {
		plan, err := g.m.Plan(ctx, migrate.PlanRequest{Direction: migrate.Up, To: g.up.To})
		if err != nil {
			return err
		}
		if detail, err = g.approve(ctx, plan, ""); err != nil {
			return err
		}
	} else if err := g.s.askUp(ctx, g.m, g.up); err != nil {
		return err
	}
	from, err := g.m.Current(ctx)
	if err != nil {
		return err
	}
	g.rec = &guard.Record{Started: g.clock.Now(), From: from, To: from, Work: work, Policy: g.o.policy}
	if detail != "" {
		g.rec.Reason = "approved by " + detail
	}
	if err := g.store.Begin(ctx, g.rec); err != nil {
		return err
	}
	return g.apply(ctx)
}

// preflight asks the probes once: with a service that is ill before the migration, or a probe that cannot be asked, every watch
// would end in a rollback, or in nothing. Assertions may be about what the migration makes.
func (g *guarding) preflight(ctx context.Context) error {
	if g.o.noPreflight {
		return nil
	}
	before := *g.watch
	before.Probes = g.watch.Probes[:len(g.watch.Probes)-len(g.o.assertions)]
	refused := &refusedError{message: "the service is not well before the migration, so it was not begun", hint: "look at the probes; --no-preflight begins all the same"}
	for _, f := range before.Ask(ctx) {
		if f.State != guard.Healthy && f.Reason != guard.NoResult {
			refused.details = append(refused.details, f.Probe+": "+f.Reason)
		}
	}
	for _, p := range g.watch.Probes[len(before.Probes):] {
		a, ok := p.(*guard.Assertion)
		if !ok {
			continue
		}
		switch mistake, reason := a.Try(ctx); {
		case mistake:
			return &usageError{message: a.Name() + ": " + reason, hint: "--assert wants a query that gives one value, true or false: SELECT count(*) = 0 FROM orders WHERE total < 0"}
		case reason != "":
			g.s.out.warn("%s cannot be asked before the migration: %s", a.Name(), reason)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(refused.details) > 0 {
		return refused
	}
	return nil
}

func (g *guarding) apply(ctx context.Context) error {
	detail := map[string]string{"guard": g.rec.ID}
	if by, ok := strings.CutPrefix(g.rec.Reason, "approved by "); ok {
		detail["approved"] = by
	}
	done, err := g.turn(ctx)
	if err != nil {
		return err
	}
	if g.halted() {
		done()
		g.rec.Reason = "its wave failed before it was begun"
		_, err := g.store.Advance(ctx, g.rec, guard.GivenUp)
		g.rec = nil
		return errors.Join(fleet.ErrHalted, err)
	}
	res, err := g.m.Up(ctx, migrate.UpRequest{To: g.up.To, Release: g.up.Release, AllowIrreversible: g.up.AllowIrreversible, MaxLock: g.s.MaxLock, Detail: detail})
	done()
	g.doc.Up = res
	if err != nil {
		if ctx.Err() == nil {
			g.rec.Reason = "up: " + oneLine(err.Error())
			_, aerr := g.store.Advance(context.WithoutCancel(ctx), g.rec, guard.GivenUp)
			err = errors.Join(err, aerr)
		}
		return err
	}
	g.upped = true
	g.rec.To, g.rec.Reason = res.To, ""
	g.rec.Seen = guard.Progress{Since: g.clock.Now()}
	if err := g.mine(g.store.Advance(ctx, g.rec, guard.Watching)); err != nil {
		return err
	}
	g.s.out.note("applied: version %d -> %d; watching for %s, every %s", g.rec.From, g.rec.To, g.o.policy.For, g.o.policy.Interval)
	return g.observe(ctx)
}

// mine turns "another guard was faster" into an error.
func (g *guarding) mine(ok bool, err error) error {
	if err == nil && !ok {
		return &refusedError{message: guard.ErrTaken.Error(), hint: "dbrollback log tells what it did"}
	}
	return err
}

func (g *guarding) observe(ctx context.Context) error {
	watching, cancel := g.watching(ctx)
	defer cancel()
	look := func() (guard.Progress, guard.Verdict, error) { return g.watch.Run(watching, g.rec.Seen) }
	why := g.o.policy.Why
	if g.s.Strategy != nil {
		look = func() (guard.Progress, guard.Verdict, error) { return g.canary(ctx) }
		why = func(seen guard.Progress) string { return seen.Reason }
	}
	seen, verdict, err := look()
	g.rec.Seen = seen
	if err = g.stopped(ctx, err); err != nil {
		if errors.Is(err, fleet.ErrHalted) {
			return err
		}
		g.s.out.note("the watch is not over: the same command line goes on with it")
		return err
	}
	switch verdict {
	case guard.RollBack:
		g.rec.Reason = why(seen)
		return g.decide(ctx)
	case guard.Blind:
		g.rec.Reason = "nothing was learnt about the service: " + orElse(seen.Reason, "no probe could be asked")
		if err := g.mine(g.store.Advance(ctx, g.rec, guard.Unseen)); err != nil {
			return err
		}
		g.doc.Verdict, g.doc.Reason = string(guard.Blind), g.rec.Reason
		return fmt.Errorf("the watch is over, and %s; the migrations stay applied", g.rec.Reason)
	}
	g.rec.Reason = fmt.Sprintf("%d checks, %d failed", seen.Rounds, seen.Failed)
	if err := g.mine(g.store.Advance(ctx, g.rec, guard.Over)); err != nil {
		return err
	}
	g.doc.Verdict, g.doc.Reason = string(guard.Well), g.rec.Reason
	return g.m.Note(ctx, audit.Entry{Run: g.rec.ID, Action: "guard", From: g.rec.From, To: g.rec.To, Outcome: audit.Done,
		DurationSeconds: seen.Last.Sub(seen.Since).Seconds(), Detail: map[string]string{"watched": g.rec.Reason}})
}

// decide takes the watch for itself, asks a person where that is demanded, and rolls back.
func (g *guarding) decide(ctx context.Context) error {
	if g.o.requireApproval == "rollback" || g.o.requireApproval == "both" {
		plan, err := g.m.Plan(ctx, migrate.PlanRequest{Direction: migrate.Down, To: g.rec.From})
		if err != nil {
			return err
		}
		by, err := g.approve(ctx, plan, g.rec.Reason)
		var refused *guard.RefusedApproval
		if errors.As(err, &refused) {
			reason := g.rec.Reason
			g.rec.Reason += "; the rollback was " + err.Error()
			if aerr := g.mine(g.store.Advance(ctx, g.rec, guard.GivenUp)); aerr != nil {
				return aerr
			}
			g.s.out.warn("the service is not well, and the migrations stay applied: %s", reason)
		}
		if err != nil {
			return err
		}
		g.rec.Reason += "; approved by " + by
	}
	if err := g.mine(g.store.Advance(ctx, g.rec, guard.RollingBack)); err != nil {
		return err
	}
	return g.rollback(ctx)
}

// rollbackTries is how often a rollback that found the database busy, or away, is tried again.
const rollbackTries = 20

// rollback goes back to the version before the watch. It names that version, so that done twice it is done once.
func (g *guarding) rollback(ctx context.Context) error {
	g.s.out.note("rolling back to version %d: %s", g.rec.From, g.rec.Reason)
	if err := g.divert(ctx); err != nil {
		return err
	}
	var res *migrate.Result
	var err error
	for try := 1; ; try++ {
		res, err = g.m.Rollback(ctx, migrate.RollbackRequest{To: g.rec.From, OnConflict: snapshot.Policy(g.o.onConflict),
			Detail: map[string]string{"guard": g.rec.ID, "reason": g.rec.Reason}})
		if errors.Is(err, migrate.ErrNothing) {
			err = nil // done before the guard was cut off
		}
		e, ok := engine.AsError(err)
		if err == nil || ctx.Err() != nil || try == rollbackTries || !ok || e.Class != engine.LockTimeout && e.Class != engine.ConnectionLost && e.Class != engine.Unreachable {
			break
		}
		g.s.out.warn("the rollback did not come through, trying again: %v", err)
		select {
		case <-ctx.Done():
		case <-g.clock.After(min(g.o.policy.Interval, 10*time.Second)):
		}
	}
	g.doc.Rollback = res
	if err != nil {
		return err
	}
	if err := g.mine(g.store.Advance(ctx, g.rec, guard.RolledBack)); err != nil {
		return err
	}
	g.doc.Verdict, g.doc.Reason = "rolled back", g.rec.Reason
	return &refusedError{message: fmt.Sprintf("rolled back to version %d: %s", g.rec.From, g.rec.Reason), hint: "dbrollback log has the run; correct the cause, then: dbrollback guard --again … -- up"}
}

// tell reports a round that is not just well again.
func (g *guarding) tell(seen guard.Progress, round []guard.Finding) {
	var lines []string
	for _, f := range round {
		if f.State != guard.Healthy {
			lines = append(lines, fmt.Sprintf("%s %s: %s", f.Probe, f.State, f.Reason))
		}
	}
	switch {
	case len(lines) > 0:
		g.s.out.note("check %d: %s (%d of %d in a row)", seen.Rounds, strings.Join(lines, "; "), seen.Consecutive, g.o.policy.Threshold)
	case !g.s.NoProgress:
		g.s.progress.mu.Lock()
		defer g.s.progress.mu.Unlock()
		g.s.progress.say("check %d: well", seen.Rounds)
	}
}

func (g *guarding) write(w *page) {
	if r := g.doc.Up; r != nil && len(r.Migrations) > 0 {
		writeUp(w, r, nil, g.upped)
	}
	if r := g.doc.Rollback; r != nil && len(r.Migrations) > 0 {
		writeRollback(w, r, nil, g.doc.Error == nil || g.doc.Error.Exit == exitRefused)
	}
	switch g.doc.Verdict {
	case "nothing to do":
		w.line("nothing to apply on %s, and no watch to go on with", describe(g.doc.Target))
	case string(guard.Well):
		w.line("%s: watched version %d for %s, %s", w.bold("well"), g.rec.To, g.rec.Seen.Last.Sub(g.rec.Seen.Since).Round(time.Second), g.doc.Reason)
	}
}
