package main

import (
	"context"
	"slices"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// wantsApproval tells whether a person must be asked.
func (r *restoring) wantsApproval() bool {
	return r.c.code != nil && r.c.code.approval && slices.ContainsFunc(r.plans, func(p partPlan) bool { return p.name == checkpoint.Code && len(p.steps) > 0 })
}

// approved asks a person where application_code wants one and there is something to do to the code. Nothing was written by then.
func (r *restoring) approved(ctx context.Context) error {
	if !r.wantsApproval() {
		return nil
	}
	preview := *r.result
	preview.Preview = true
	by, err := r.s.approved(ctx, r.o.approval, guard.System{}, petition{
		plan: r.result.Plan, what: "the restore of checkpoint " + r.man.ID, direction: migrate.Down, target: r.man.Target, details: preview, reason: r.reason(),
		show: func() {
			w := &page{colour: r.s.out.colour}
			writeCheckpointRestore(w, &preview, r.man, nil)
			_, _ = w.WriteTo(r.s.Err)
		},
	})
	r.result.ApprovedBy = by
	return err
}
