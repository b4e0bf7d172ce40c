package migrate

import (
	"context"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Large objects of PostgreSQL lie in no table of the user's: rows hold their numbers, and only those are captured. What deletes or
// overwrites the objects themselves by its name is told by the plan. A trigger does it unseen (lo_manage of the extension lo), so the
// server is asked what became of them.

// keepingLarge runs an Up in its transaction, and refuses it when it lost some.
func (w *work) keepingLarge(ctx context.Context, q engine.Querier, run func() error) error {
	db := w.r.m.db
	if w.r.dir != Up || w.mig.acceptedLoss() || !w.mayLoseLarge() {
		return run()
	}
	before, err := db.LargeObjectsLost(ctx, q)
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	after, err := db.LargeObjectsLost(ctx, q)
	if err != nil || after <= before {
		return err
	}
	return &RefusedError{Reasons: []Refusal{{
		File: w.mig.File, Line: 1, Column: 1,
		Message: "a trigger or a function deletes or overwrites large objects: rows hold only their numbers, and what is in the objects cannot be captured",
		Hint:    "keep the objects (DISABLE TRIGGER around the statement, vacuumlo later), or write -- +dbrollback irreversible: REASON and run it with --allow-irreversible",
	}}}
}

// mayLoseLarge tells whether a statement could do that unseen. One that names the functions for it has said so in the plan.
func (w *work) mayLoseLarge() bool {
	may := false
	for _, st := range w.stmts {
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.External }) {
			return false
		}
		may = may || st.DestroysData() || st.Opaque()
	}
	return may
}
