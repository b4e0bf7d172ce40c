package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/migrate"
)

// statusOptions are the options of `status`.
type statusOptions struct {
	drillDemand
	Targets string
}

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "versions, releases, captures, unfinished runs, drift; changes nothing",
		Description: "Exits with 3 when a run is unfinished, when the schema is not the one that was recorded (drift), or without the drill that --require-drill demands.",
		Flags:       append(drillDemandFlags(), targetsFlags()...),
		Action: action(p, func(c *cli.Context) (statusOptions, error) {
			d, err := readDrillDemand(c)
			return statusOptions{d, c.String("targets")}, errors.Join(err, noArguments(c))
		}, runStatus),
	}
}

func runStatus(ctx context.Context, s *session, o statusOptions) error {
	if o.Targets != "" {
		return s.fleetStatus(ctx, o)
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	st, err := m.Status(ctx)
	if err != nil {
		return err
	}
	s.progress.end()
	st.Version = 1
	st.Migrations, st.Unfinished, st.Drift = list(st.Migrations), list(st.Unfinished), list(st.Drift)
	if err := s.out.result(st, func(w *page) { writeStatus(w, st) }); err != nil {
		return err
	}
	switch {
	case slices.ContainsFunc(st.Unfinished, func(u migrate.Unfinished) bool { return len(u.Filling) > 0 }):
		return &refusedError{message: "values of a rollback --online are still to be put back", hint: recoverFilling}
	case len(st.Unfinished) > 0:
		return &refusedError{message: "a run is unfinished", hint: recoverUnfinished(st.Unfinished[0].Back)}
	case drifted(st):
		return &refusedError{message: "the schema is not the one that was recorded", hint: "take the change back, or accept it with: dbrollback rollback --allow-drift"}
	}
	if !o.demanded() {
		return nil
	}
	want, err := m.Newest(ctx)
	if err != nil {
		return err
	}
	return s.demandDrill(ctx, m, want, o.drillDemand)
}

// drifted leaves out what is cosmetic.
func drifted(st *migrate.Status) bool {
	for _, d := range st.Drift {
		if !d.Cosmetic {
			return true
		}
	}
	return false
}

func writeStatus(w *page, st *migrate.Status) {
	w.line("target: %s", describe(st.Target))
	w.line("version: %d", st.Current)
	pending := 0
	rows := make([][]string, len(st.Migrations))
	for i, m := range st.Migrations {
		applied, release, note := "pending", "", ""
		switch {
		case m.AppliedAt == nil:
			pending++
		case m.Captured:
			applied, note = moment(*m.AppliedAt), "captured"
		default:
			applied, note = moment(*m.AppliedAt), "applied without captures"
		}
		if m.Edited {
			note += ", edited since"
		}
		if m.Release != nil {
			release = *m.Release
		}
		rows[i] = []string{fmt.Sprint(m.Version), m.File, applied, release, note}
	}
	if len(rows) > 0 {
		w.line("")
		w.table([]string{">version", "file", "applied", "release", "data"}, rows)
		w.line("")
	}
	w.line("captures: %d in %s, %s, %s", st.Captures.Captures, number(int64(st.Captures.Snapshots), "snapshot", "snapshots"),
		number(st.Captures.Rows, "row", "rows"), size(st.Captures.Bytes))
	if d := st.Drill; d != nil {
		outcome := "ok, recovery time to expect " + seconds(d.Recovery)
		if !d.OK {
			outcome = w.bold("FAILED")
		}
		w.line("last drill: %s, of %s: %s", moment(d.At), orElse(versions(d.Migrations), "no migration"), outcome)
	}
	writeUnfinished(w, st.Unfinished)
	if len(st.Drift) > 0 {
		w.line("%s: %s", w.bold("drift"), number(int64(len(st.Drift)), "object differs", "objects differ"))
		for _, l := range differences(st.Drift) {
			w.line("  %s", l)
		}
	}
	switch {
	case slices.ContainsFunc(st.Unfinished, func(u migrate.Unfinished) bool { return u.Rejected }):
		w.line("next: dbrollback recover --abort, then mend the file; dbrollback recover tries the statement once more as it is")
	case len(st.Unfinished) > 0:
		w.line("next: dbrollback recover")
	case pending > 0:
		w.line("next: %s pending; dbrollback plan", number(int64(pending), "migration", "migrations"))
	}
}

func writeUnfinished(w *page, us []migrate.Unfinished) {
	for _, u := range us {
		if len(u.Filling) > 0 {
			w.line("%s: %s of migration %d is through, and values are still to be put back in batches, since %s", w.bold("unfinished"), u.Direction, u.Version, moment(u.Since))
			w.line("  %s", u.Left())
			continue
		}
		w.line("%s: %s of migration %d, cut off at statement %d of %d, since %s", w.bold("unfinished"), u.Direction, u.Version, u.Statement, u.Of, moment(u.Since))
		w.line("  %s", firstWords(u.SQL, 100))
		state := u.State
		if u.Rejected {
			state += ": the server rejected it"
		}
		w.line("  this statement: %s", state)
	}
}
