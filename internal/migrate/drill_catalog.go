package migrate

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
)

//go:embed drill_catalog.sql
var drillCatalogSQL string

// Drilled is a drill as the catalog remembers it.
type Drilled struct {
	At         time.Time `json:"at"`
	OK         bool      `json:"ok"`
	Place      string    `json:"place"`
	Migrations []int64   `json:"migrations"` // that were undone
	Recovery   float64   `json:"recovery_seconds"`
	sums       map[int64]string
}

func (c catalog) drills() engine.Name { return c.db.Own("dbrollback_drills") }

func (c catalog) hasDrills(ctx context.Context, q engine.Querier) (bool, error) {
	_, err := c.db.Resolve(ctx, q, c.drills())
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	return err == nil, err
}

// RecordDrill remembers a drill in the catalog of the database that m is open on: the target, not the copy.
func (m *Migrator) RecordDrill(ctx context.Context, r *DrillReport) error {
	id, err := newID(r.At)
	if err != nil {
		return err
	}
	report, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return m.locked(ctx, func(s *engine.Session) error {
		return s.Tx(ctx, func(tx *sql.Tx) error {
			if ok, err := m.catalog.hasDrills(ctx, tx); err != nil {
				return err
			} else if !ok {
				create := strings.NewReplacer("{drills}", m.db.Quote(m.catalog.drills()), "{text}", m.db.Caps.LongText).Replace(drillCatalogSQL)
				if _, err := tx.ExecContext(ctx, create); err != nil {
					return fmt.Errorf("create the catalog of drills: %w", err)
				}
			}
			ok, outcome, why := 0, audit.Failed, ""
			if r.OK {
				ok, outcome = 1, audit.Done
			} else if f := r.Failed(); f != nil {
				why = f.Name + ": " + f.Error
			}
			insert := fmt.Sprintf("INSERT INTO %s (id, at, ok, report) VALUES (%s, %s, %s, %s)", m.db.Quote(m.catalog.drills()), m.db.Arg(1), m.db.Arg(2), m.db.Arg(3), m.db.Arg(4))
			if _, err := tx.ExecContext(ctx, insert, id, stampOf(r.At), ok, string(report)); err != nil {
				return fmt.Errorf("record the drill: %w", err)
			}
			e := audit.Entry{Run: id, At: time.Now(), User: m.o.User, Action: "drill", From: r.From, To: r.To, Outcome: outcome, Error: why,
				DurationSeconds: r.Seconds, Detail: map[string]string{"place": r.Place}}
			for _, x := range r.Migrations {
				e.Versions = append(e.Versions, x.Version)
			}
			return m.log.Append(ctx, tx, e)
		})
	})
}

// drilled lists the newest drills, at most so many.
func (m *Migrator) drilled(ctx context.Context, q engine.Querier, most int) ([]Drilled, error) {
	if ok, err := m.catalog.hasDrills(ctx, q); err != nil || !ok {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT report FROM "+m.db.Quote(m.catalog.drills())+fmt.Sprintf(" ORDER BY at DESC, id DESC LIMIT %d", most))
	if err != nil {
		return nil, fmt.Errorf("read the drills: %w", err)
	}
	defer rows.Close()
	var out []Drilled
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("read the drills: %w", err)
		}
		var r DrillReport
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("read the drills: %w", err)
		}
		d := Drilled{At: r.At, OK: r.OK, Place: r.Place, Migrations: []int64{}, sums: map[int64]string{}}
		for _, x := range r.Migrations {
			d.Migrations = append(d.Migrations, x.Version)
			d.sums[x.Version] = x.Sum
		}
		if r.Recovery != nil {
			d.Recovery = r.Recovery.Expected
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Wanted is a migration whose rollback is to have been practised.
type Wanted struct {
	Version int64
	File    string
	Sum     string // of its text
}

// Pending lists what an Up to a version (-1: all) would apply. It only reads.
func (m *Migrator) Pending(ctx context.Context, to int64) ([]Wanted, error) {
	applied, err := m.applied(ctx, m.db)
	if err != nil {
		return nil, err
	}
	versions, err := m.pending(applied, to)
	if err != nil {
		return nil, err
	}
	out := make([]Wanted, len(versions))
	for i, v := range versions {
		text, err := m.src.text(v)
		if err != nil {
			return nil, err
		}
		out[i] = Wanted{v, m.src.file(v), sumOf(text)}
	}
	return out, nil
}

// Newest is what a plain rollback would undo; empty when nothing is applied, or the newest was not applied by us.
func (m *Migrator) Newest(ctx context.Context) ([]Wanted, error) {
	applied, err := m.applied(ctx, m.db)
	if err != nil || len(applied) == 0 {
		return nil, err
	}
	if ok, err := m.catalog.exists(ctx, m.db); err != nil || !ok {
		return nil, err
	}
	v := current(applied)
	rec, err := m.catalog.load(ctx, m.db, v)
	if err != nil || rec == nil {
		return nil, err
	}
	return []Wanted{{v, rec.File, sumOf(rec.Text)}}, nil
}

// lastDrill is the newest drill that this database's catalog remembers, nil when there is none.
func (m *Migrator) lastDrill(ctx context.Context, q engine.Querier) (*Drilled, error) {
	all, err := m.drilled(ctx, q, 1)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// DemandDrill refuses unless each migration's rollback was practised, with success and with this very text, not longer ago than
// within. What counts is in the catalog of the database that m is open on.
func (m *Migrator) DemandDrill(ctx context.Context, want []Wanted, within time.Duration, now time.Time) error {
	all, err := m.drilled(ctx, m.db, mostDrills)
	if err != nil {
		return err
	}
	refused := &RefusedError{}
	for _, w := range want {
		if problem := undrilled(all, w, within, now); problem != "" {
			refused.Reasons = append(refused.Reasons, Refusal{File: w.File, Line: 1, Column: 1, Message: problem, Hint: "practise it: dbrollback drill --env staging"})
		}
	}
	if len(refused.Reasons) > 0 {
		return refused
	}
	return nil
}

// mostDrills are looked through: nobody drills a migration and a thousand others after it.
const mostDrills = 1000

// undrilled says why a migration does not count as practised; "" when it does.
func undrilled(all []Drilled, w Wanted, within time.Duration, now time.Time) string {
	of := slices.DeleteFunc(slices.Clone(all), func(d Drilled) bool { _, ok := d.sums[w.Version]; return !ok })
	if len(of) == 0 {
		return fmt.Sprintf("no drill has practised the rollback of migration %d", w.Version)
	}
	same := slices.DeleteFunc(slices.Clone(of), func(d Drilled) bool { return d.sums[w.Version] != w.Sum })
	switch {
	case len(same) == 0:
		return fmt.Sprintf("migration %d was edited since its rollback was practised", w.Version)
	case !same[0].OK:
		return fmt.Sprintf("the last drill of migration %d failed, at %s", w.Version, same[0].At.Format(time.RFC3339))
	case now.Sub(same[0].At) > within:
		return fmt.Sprintf("the last drill of migration %d was at %s, longer ago than %s", w.Version, same[0].At.Format(time.RFC3339), within)
	}
	return ""
}
