package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/fleet"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// atOnce is one wave in which the failure of one database holds no other up: what an incident wants.
var atOnce = fleet.Policy{Percentages: []int{100}, OnFailure: fleet.GoOn}

// fleetWork is what is done to one open database where nothing is taken back.
type fleetWork struct {
	f  *fleetRun
	do func(ctx context.Context, m *member) (changed bool, err error)
}

// Forward is fleet.Work.
func (w *fleetWork) Forward(ctx, _ context.Context, i int) (changed bool, err error) {
	m := w.f.members[i]
	if err := m.look(ctx, false, -1); err != nil {
		return false, err
	}
	err = m.with(ctx, false, func() error {
		changed, err = w.do(ctx, m)
		return m.settle(ctx, err)
	})
	return changed, err
}

// Back is fleet.Work; the policy never asks for it.
func (*fleetWork) Back(context.Context, int) error { return nil }

// fleetRollback is rollback with --targets.
func (s *session) fleetRollback(ctx context.Context, o rollbackOptions) error {
	switch {
	case o.chosen() == 0 || o.StepsSet:
		return &usageError{message: "rollback --targets wants to know where to: steps would take each database further back every time",
			hint: "--to VERSION, --to-release NAME or --at TIME"}
	case o.DryRun:
		return &usageError{message: "--dry-run rehearses on one database", hint: "dbrollback rollback --dry-run --dsn …"}
	}
	f, err := s.fleet(ctx, "rollback", o.Targets, atOnce)
	if err != nil {
		return err
	}
	request := migrate.RollbackRequest{To: o.To, At: o.At, ToRelease: o.Release, OnConflict: snapshot.Policy(o.OnConflict), AllowDrift: o.AllowDrift, AllowUncaptured: o.AllowUncaptured, Online: o.Online}
	if s.InTerminal && !s.Yes {
		f.each(ctx, func(m *member) error { return m.look(ctx, false, -1) })
		s.out.note("targets: %s, %s", number(int64(len(f.members)), "database", "databases"), f.standing())
		if err := s.confirm(ctx, fmt.Sprintf("roll %s back?", number(int64(len(f.members)), "database", "databases"))); err != nil {
			return err
		}
	}
	return f.run(ctx, &fleetWork{f, func(ctx context.Context, m *member) (bool, error) {
		res, err := m.m.Rollback(ctx, request)
		if errors.Is(err, migrate.ErrNothing) {
			return false, nil
		}
		m.forward = res
		return true, err
	}})
}

// fleetRecover is recover with --targets.
func (s *session) fleetRecover(ctx context.Context, o recoverOptions) error {
	f, err := s.fleet(ctx, "recover", o.Targets, atOnce)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, fmt.Sprintf("recover %s?", number(int64(len(f.members)), "database", "databases"))); err != nil {
		return err
	}
	return f.run(ctx, &fleetWork{f, func(ctx context.Context, m *member) (bool, error) {
		res, err := m.m.Recover(ctx, migrate.RecoverRequest{Abort: o.Abort, AllowDrift: o.AllowDrift})
		if errors.Is(err, migrate.ErrNothing) {
			return false, nil
		}
		m.forward = res
		return true, err
	}})
}

// fleetStatusDocument is the JSON of status with --targets.
type fleetStatusDocument struct {
	Version int                    `json:"version"`
	Targets []memberStatusDocument `json:"targets"`
}

type memberStatusDocument struct {
	Name   string          `json:"name"`
	Status *migrate.Status `json:"status"` // null: it could not be read
	Error  *problem        `json:"error"`
}

// fleetStatus is status with --targets.
func (s *session) fleetStatus(ctx context.Context, o statusOptions) error {
	if o.demanded() {
		return &usageError{message: "--require-drill asks about one database", hint: "leave out --targets or --require-drill"}
	}
	f, err := s.fleet(ctx, "status", o.Targets, atOnce)
	if err != nil {
		return err
	}
	read := map[*member]*migrate.Status{}
	f.each(ctx, func(m *member) error {
		return m.with(ctx, false, func() error {
			st, err := m.m.Status(ctx)
			if err != nil {
				return err
			}
			st.Version = 1
			st.Migrations, st.Unfinished, st.Drift = list(st.Migrations), list(st.Unfinished), list(st.Drift)
			f.mu.Lock()
			defer f.mu.Unlock()
			m.at, m.from, read[m] = st.Current, st.Current, st
			return nil
		})
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	doc := fleetStatusDocument{Version: 1, Targets: []memberStatusDocument{}}
	ill := 0
	for _, m := range f.members {
		d := memberStatusDocument{Name: m.name, Status: read[m]}
		if m.outcome.Err != nil {
			m.outcome.State = fleet.Failed
			d.Error = f.problem(m, m.outcome.Err)
		} else if len(d.Status.Unfinished) > 0 || drifted(d.Status) {
			ill++
		}
		doc.Targets = append(doc.Targets, d)
	}
	if err := s.out.result(doc, func(w *page) { f.writeStatus(w, doc) }); err != nil {
		return err
	}
	if err := f.verdict(nil); err != nil {
		return err
	}
	if ill > 0 {
		return &refusedError{message: fmt.Sprintf("a run is unfinished, or the schema is not the one that was recorded, on %s", number(int64(ill), "database", "databases")),
			hint: "dbrollback recover --targets all finishes what is unfinished; dbrollback status --dsn … tells more of one"}
	}
	return nil
}

func (f *fleetRun) writeStatus(w *page, doc fleetStatusDocument) {
	rows := make([][]string, len(doc.Targets))
	for i, d := range doc.Targets {
		if d.Error != nil {
			rows[i] = []string{d.Name, "?", "", "", "", w.bold("FAILED") + ": " + d.Error.line()}
			continue
		}
		st := d.Status
		pending, release, since := 0, "", time.Time{}
		for _, m := range st.Migrations {
			switch {
			case m.AppliedAt == nil:
				pending++
			case m.Version == st.Current:
				since = *m.AppliedAt
				if m.Release != nil {
					release = *m.Release
				}
			}
		}
		var notes []string
		if n := len(st.Unfinished); n > 0 {
			notes = append(notes, w.bold("unfinished")+fmt.Sprintf(": %s of migration %d", st.Unfinished[0].Direction, st.Unfinished[0].Version))
		}
		if drifted(st) {
			notes = append(notes, w.bold("drift")+": "+number(int64(len(st.Drift)), "object differs", "objects differ"))
		}
		applied := ""
		if !since.IsZero() {
			applied = moment(since)
		}
		rows[i] = []string{d.Name, fmt.Sprint(st.Current), release, applied, fmt.Sprint(pending), strings.Join(notes, "; ")}
	}
	w.table([]string{"target", ">version", "release", "applied", ">pending", "note"}, rows)
	w.line("")
	w.line("%s", f.standing())
}
