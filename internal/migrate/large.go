package migrate

import (
	"context"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Large objects of PostgreSQL lie in no table of the user's: rows hold their numbers, and only those are captured. What unlinks them by the
// function's name is refused by the plan. A trigger does it unseen (lo_manage of the extension lo), and other functions write over objects that
// may be new, so the server is asked what became of them.

const keepLarge = "keep the objects (DISABLE TRIGGER around the statement, vacuumlo later), or write -- +dbrollback irreversible: REASON and run it with --allow-irreversible"

// losesLarge refuses a statement that unlinks large objects by name.
func losesLarge(st Statement, e effects.Effect) (Refusal, bool) {
	return Refusal{File: st.File, Line: st.Line, Column: st.Column,
		Message: "this deletes large objects: rows hold only their numbers, and what is in the objects cannot be captured", Hint: keepLarge,
	}, e.Kind == effects.External && e.Detail == "calls lo_unlink()"
}

// keepingLarge runs what an Up does in a transaction, and refuses it when it lost some.
func (w *work) keepingLarge(ctx context.Context, q engine.Querier, stmts []Statement, run func() error) error {
	db := w.r.m.db
	if w.r.dir != Up || w.mig.acceptedLoss() || !mayLoseLarge(stmts) {
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
		File: stmts[0].File, Line: stmts[0].Line, Column: stmts[0].Column,
		Message: "a trigger or a function deletes or overwrites large objects: rows hold only their numbers, and what is in the objects cannot be captured",
		Hint:    keepLarge,
	}}}
}

// mayLoseLarge tells whether a statement could do that.
func mayLoseLarge(stmts []Statement) bool {
	for _, st := range stmts {
		if st.DestroysData() || st.Opaque() {
			return true
		}
		for _, e := range st.Effects {
			if e.Kind == effects.External {
				return true
			}
		}
	}
	return false
}
