package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A run that was cut off has moved kept tables back by then, where each step is there for good. Whoever takes the run back must not
// drop them like any table that the run has made: they are all that there is of the capture.

// keptIsGone: a kept table is not there.
const keptIsGone = "it is gone"

// Withdraw moves the table of this name aside again, when it is one of the kept tables that go back; false when it is not.
func (r *Restorer) Withdraw(ctx context.Context, q engine.Querier, n engine.Name) (bool, error) {
	s := r.s
	for _, x := range r.captures {
		if x.Kind != Kept || x.Emptied || x.Home != n || !s.missing(ctx, s.db, s.db.Own(x.data())) {
			continue
		}
		t, err := r.inspect(ctx, q, n)
		if err != nil || t == nil || !sameColumns(x.Shape, t) {
			return false, err
		}
		if s.db.Caps.TransactionalDDL {
			x.live, x.Renamed = t, nil
			err = s.within(ctx, q, "dbrollback_withdraw", true, func() error {
				return s.pinned(ctx, q, func() error {
					if err := s.d.(keeper).aside(ctx, q, x.capture, false, false); err != nil {
						return err
					}
					return s.finish(ctx, q, x.capture)
				})
			})
		} else {
			if err = s.exchanged(ctx, x.capture, t); err == nil { // as far as that came
				err = s.aside(ctx, fmt.Sprintf("RENAME TABLE %s TO %s", s.db.Quote(n), s.own(x.data())))
			}
		}
		if err != nil {
			return false, fmt.Errorf("move %s aside again: %w", n, err)
		}
		x.back = false
		return true, nil
	}
	return false, nil
}

// Exchanged tells whether the rows of a table that was emptied are back already: then nothing can be taken back any more.
func (r *Restorer) Exchanged(ctx context.Context) (bool, error) {
	for _, x := range r.captures {
		if x.Kind != Kept || !x.Emptied {
			continue
		}
		if _, err := r.s.db.Resolve(ctx, r.s.db, r.s.db.Own(x.data())); errors.Is(err, engine.ErrNoTable) {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	return false, nil
}
