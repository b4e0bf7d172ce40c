package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/folder"
)

// Adoption is what was taken over of another tool's versions.
type Adoption struct {
	Version  int           `json:"version"`
	Target   engine.Target `json:"target"`
	Tool     folder.Format `json:"tool"`
	Table    string        `json:"table"`   // the tool's; "" when the database has none
	Adopted  []int64       `json:"adopted"` // now in goose's table
	Known    []int64       `json:"known"`   // were there before
	Pending  []int64       `json:"pending"` // of the folder, applied by nobody
	Skipped  []int64       `json:"skipped"` // pending, though below one that is applied
	DryRun   bool          `json:"dry_run,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
}

// AdoptRequest asks for an adoption.
type AdoptRequest struct {
	Folder *folder.Folder // the tool's
	Table  string         // its version table, when it is not called as usual
	DryRun bool
}

// Adopt takes the versions that another tool has applied over into goose's version table, all or none. The tool's own
// table stays as it is. Nothing that either of them knows is run.
func (m *Migrator) Adopt(ctx context.Context, req AdoptRequest) (*Adoption, error) {
	out := &Adoption{Version: 1, Target: m.db.Target, Tool: req.Folder.Format, Adopted: []int64{}, Known: []int64{}, Pending: []int64{}, Skipped: []int64{}, DryRun: req.DryRun}
	if req.DryRun {
		s, err := m.db.Session(ctx)
		if err != nil {
			return nil, err
		}
		_, err = m.adoptable(ctx, s, req, out)
		return out, errors.Join(err, s.Close())
	}
	err := m.locked(ctx, func(s *engine.Session) error {
		times, err := m.adoptable(ctx, s, req, out)
		if err != nil || len(out.Adopted) == 0 {
			return err
		}
		return s.Tx(ctx, func(tx *sql.Tx) error { return m.adopt(ctx, tx, out, times) })
	})
	return out, err
}

// adoptable says what there is to take over.
func (m *Migrator) adoptable(ctx context.Context, q engine.Querier, req AdoptRequest, out *Adoption) (map[int64]time.Time, error) {
	h, err := m.history(ctx, q, req.Folder, req.Table)
	if err != nil {
		return nil, err
	}
	if out.Table = h.Table; out.Table == "" && req.Table != "" {
		return nil, &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("there is no table %s of %s in this database", req.Table, req.Folder.Format), Hint: "check --from-table, and the schema"}}}
	}
	times, err := h.versions(req.Folder)
	if err != nil {
		return nil, err
	}
	applied, err := m.applied(ctx, q)
	if err != nil {
		return nil, err
	}
	var strange []string
	for _, v := range applied {
		if _, ok := times[v]; !ok && out.Table != "" {
			strange = append(strange, fmt.Sprint(v))
		}
	}
	if newer := slices.Sorted(maps.Keys(times)); len(strange) > 0 && len(newer) > 0 && !subset(newer, applied) {
		return nil, &RefusedError{Reasons: []Refusal{{
			Message: fmt.Sprintf("%s has versions as applied that %s has not, and the other way round: %s", m.o.VersionTable, out.Table, strings.Join(strange[:min(5, len(strange))], ", ")),
			Hint:    "both tools have run migrations here; settle by hand which of them holds",
		}}}
	}
	top := current(slices.Collect(maps.Keys(times)))
	for i := range req.Folder.Migrations {
		v := req.Folder.Migrations[i].Version
		_, has := times[v]
		switch {
		case slices.Contains(applied, v):
			out.Known = append(out.Known, v)
		case has:
			out.Adopted = append(out.Adopted, v)
		default:
			out.Pending = append(out.Pending, v)
			if v < top {
				out.Skipped = append(out.Skipped, v)
			}
		}
	}
	return times, nil
}

// subset says whether each of some versions is one of others.
func subset(some, others []int64) bool {
	return !slices.ContainsFunc(some, func(v int64) bool { return !slices.Contains(others, v) })
}

// adopt writes the versions, with the times at which they were applied, where those are known.
func (m *Migrator) adopt(ctx context.Context, tx *sql.Tx, out *Adoption, times map[int64]time.Time) error {
	start := time.Now()
	before, err := m.applied(ctx, tx)
	if err != nil {
		return err
	}
	stamp := fmt.Sprintf("UPDATE %s SET tstamp = %s WHERE version_id = %s", m.db.Quote(m.table), m.db.Arg(1), m.db.Arg(2))
	for _, v := range out.Adopted {
		if err := m.versions.Insert(ctx, tx, database.InsertRequest{Version: v}); err != nil {
			return fmt.Errorf("write %s: %w", m.o.VersionTable, err)
		}
		if at := times[v]; !at.IsZero() {
			if _, err := tx.ExecContext(ctx, stamp, at.UTC().Format("2006-01-02 15:04:05"), v); err != nil {
				return fmt.Errorf("write %s: %w", m.o.VersionTable, err)
			}
		}
	}
	run, err := newID(start)
	if err != nil {
		return err
	}
	return m.log.Append(ctx, tx, audit.Entry{
		Run: run, At: time.Now().UTC(), User: m.o.User, Action: "import", From: current(before), To: current(append(before, out.Adopted...)),
		Versions: out.Adopted, Outcome: audit.Done, DurationSeconds: time.Since(start).Seconds(),
		Detail: map[string]string{"tool": string(out.Tool), "table": out.Table},
	})
}

// notElsewhere refuses to run migrations that another tool has applied already: to a folder of its own it would have
// been the same migrations, run a second time.
func (m *Migrator) notElsewhere(ctx context.Context, q engine.Querier, applied, pending []int64) error {
	f, ok := m.o.Files.(*folder.Folder)
	if !ok || len(pending) == 0 || f.Format == folder.Goose {
		return nil
	}
	h, err := m.history(ctx, q, f, "")
	if err != nil {
		return err
	}
	times, err := h.versions(f)
	if err != nil {
		return err
	}
	for _, v := range pending {
		if _, ran := times[v]; ran {
			return &RefusedError{Reasons: []Refusal{{
				File: m.src.file(v), Line: 1, Column: 1,
				Message: fmt.Sprintf("%s has applied this migration here already, as %s says; %s does not know of it", f.Format, h.Table, m.o.VersionTable),
				Hint:    "dbrollback import --versions-only takes over what was applied",
			}}}
		}
	}
	return nil
}
