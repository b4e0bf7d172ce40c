package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// brokenView tells whether a statement of a repair failed because the view that it makes reads what is not there. By then all
// else is as it was, so the view was broken before it was dropped: MySQL and MariaDB let the tables and columns that a view
// reads go from under it, and keep it, but make no such view. It is tried again when the run has taken back what it came to.
func (w *work) brokenView(want verify.Fingerprint, stmt string, err error) (verify.Object, bool) {
	if e, ok := engine.AsError(err); w.r.m.db.Caps.TransactionalDDL || !ok || !e.Missing {
		return verify.Object{}, false
	}
	for _, o := range want {
		if o.Kind == "view" && slices.Contains(o.Create, stmt) {
			return o, true
		}
	}
	return verify.Object{}, false
}

// postpone keeps a broken view for the end of the run.
func (r *runner) postpone(view verify.Object) {
	if !r.isBroken(view.Key()) {
		r.broken = append(r.broken, view)
	}
}

func (r *runner) isBroken(key string) bool {
	return slices.ContainsFunc(r.broken, func(o verify.Object) bool { return o.Key() == key })
}

// brokenViews makes the views that were broken when they were dropped, as far as what they read is there by now.
// Those of which it is not are told, with their text.
func (r *runner) brokenViews(ctx context.Context) {
	for again := true; again; {
		again = false
		r.broken = slices.DeleteFunc(r.broken, func(o verify.Object) bool {
			for _, stmt := range o.Create {
				if _, err := r.s.ExecContext(ctx, stmt); err != nil {
					return false
				}
			}
			again = true // others may read it
			return true
		})
	}
	for _, o := range r.broken {
		r.res.NotUndone = append(r.res.NotUndone, fmt.Sprintf("view %s was broken before (what it reads is not there), and the server makes no such view; when it is there again: %s", o.Name, "CREATE "+o.Definition))
		r.res.Verified = false
	}
	r.broken = nil
}
