package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// databasePart takes the schema to its version, then the rows to their moment.
type databasePart struct {
	r         *restoring
	from, now int64
	cutOff    bool // the migration that an earlier try began is to be ended first
	lost      []string
}

func (p *databasePart) plan(ctx context.Context) (steps []partStep, err error) {
	r, want := p.r, p.r.man.Database
	st, err := r.m.Status(ctx)
	if err != nil {
		return nil, err
	}
	p.from, p.now = st.Current, st.Current
	if len(st.Unfinished) > 0 {
		if r.progress.Safety == "" {
			return nil, migrate.ErrUnfinished
		}
		p.cutOff = true // where DDL commits by itself, the restore that was cut off has left it; what comes after it shows then
	}
	if want.Snapshot != "" {
		if err := r.m.CheckSnapshot(ctx, want.Snapshot); err != nil {
			return nil, err
		}
	}
	if p.cutOff {
		return append([]partStep{{"end", fmt.Sprintf("migration %d", st.Unfinished[0].Version), "it was cut off"}}, p.tables()...), nil
	}
	if p.now == want.Migration {
		return p.rows(ctx)
	}
	if p.now > want.Migration && len(st.Drift) > 0 {
		return nil, &migrate.DriftError{Version: p.now, When: "before", Differences: st.Drift}
	}
	request := migrate.PlanRequest{Direction: migrate.Down, To: want.Migration}
	verb := "undo"
	if want.Migration > p.now {
		request.Direction, verb = migrate.Up, "apply"
	}
	plan, err := r.m.Plan(ctx, request)
	if err != nil {
		return nil, err
	}
	if plan.To != want.Migration {
		return nil, &refusedError{message: fmt.Sprintf("the database is at version %d, and no migration leads to version %d of the checkpoint", p.now, want.Migration), hint: "name the folder that has it: --dir"}
	}
	for _, m := range plan.Migrations {
		for _, reason := range m.Reasons {
			return nil, &migrate.RefusedError{Reasons: []migrate.Refusal{reason}}
		}
		steps = append(steps, partStep{verb, "migration " + fmt.Sprint(m.Version), m.File})
	}
	return append(steps, p.tables()...), nil
}

// tables are the steps of a restore whose rows cannot be compared before the schema is back.
func (p *databasePart) tables() (steps []partStep) {
	for _, t := range p.r.man.Database.Tables {
		steps = append(steps, partStep{"restore", t, "as of the checkpoint; how many rows differ shows when the schema is back"})
	}
	return steps
}

// rows compares the tables with the snapshot.
func (p *databasePart) rows(ctx context.Context) ([]partStep, error) {
	if p.r.man.Database.Snapshot == "" {
		return nil, nil
	}
	res, err := p.r.m.Restore(ctx, p.request(false))
	if err != nil {
		return nil, err
	}
	var steps []partStep
	for _, t := range res.Tables {
		if t.Inserted+t.Updated+t.Deleted > 0 {
			steps = append(steps, partStep{"restore", t.Table, fmt.Sprintf("%s back, %s put back, %s removed", number(t.Inserted, "row", "rows"), number(t.Updated, "row", "rows"), number(t.Deleted, "row", "rows"))})
		}
	}
	return steps, nil
}

func (p *databasePart) request(write bool) migrate.RestoreRequest {
	r := migrate.RestoreRequest{Write: write}
	r.Snapshot, r.Mode, r.OnConflict = p.r.man.Database.Snapshot, snapshot.Replace, snapshot.Keep
	if p.r.c.database.merge && p.r.man.Before == "" {
		r.Mode = snapshot.Merge
	}
	return r
}

func (p *databasePart) apply(ctx context.Context) error {
	r, want := p.r, p.r.man.Database
	detail := map[string]string{"checkpoint": r.man.ID}
	if p.cutOff {
		if _, err := r.m.Recover(ctx, migrate.RecoverRequest{}); err != nil && !errors.Is(err, migrate.ErrNothing) {
			return err
		}
	}
	now, err := r.m.Current(ctx)
	if err != nil {
		return err
	}
	var res *migrate.Result
	switch {
	case now > want.Migration:
		res, err = r.m.Rollback(ctx, migrate.RollbackRequest{To: want.Migration, OnConflict: snapshot.Keep, Detail: detail})
	case now < want.Migration:
		res, err = r.m.Up(ctx, migrate.UpRequest{To: want.Migration, MaxLock: r.s.MaxLock, Detail: detail})
	}
	if res != nil {
		p.lost = append(p.lost, res.NotUndone...)
	}
	if err != nil {
		return err
	}
	if want.Snapshot != "" {
		back, err := r.m.Restore(ctx, p.request(true))
		if err != nil {
			return err
		}
		p.lost = append(p.lost, back.NotUndone...)
		if !back.Verified {
			return fmt.Errorf("the rows could not be proven")
		}
	}
	p.now, err = r.m.Current(ctx)
	return err
}

// verify compares the version; the rows were proven by checksum in the transaction that wrote them, and are in use again.
func (p *databasePart) verify(ctx context.Context) error {
	now, err := p.r.m.Current(ctx)
	if err == nil && now != p.r.man.Database.Migration {
		err = fmt.Errorf("it is at version %d", now)
	}
	return err
}

func (p *databasePart) notUndone() []string { return p.lost }
