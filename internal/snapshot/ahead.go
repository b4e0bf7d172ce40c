package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Settle puts back early what can be put back now. It is for a statement of Down that needs old data in places which
// were there all along: a constraint that only they satisfy, a type that only they fit. Finish puts back whatever is overwritten after. rest
// are the statements still to come, that one first.
func (r *Restorer) Settle(ctx context.Context, tx engine.Querier, rest ...effects.Statement) error {
	return r.s.pinned(ctx, tx, func() error {
		var targets []*target
		var tables []*engine.Table
		all := r.tables()
		for i := len(all) - 1; i >= 0; i-- {
			x := all[i]
			t, err := r.inspect(ctx, tx, x.Home)
			if err != nil {
				return err
			}
			// A table that has lost its key on the way to another one gives no row its place, and what stands there could only be captured as a whole.
			if t == nil || len(x.Key) == 0 || len(t.Keys) == 0 || x.Rows == 0 || x.Bystander && !leadsToRows(rest) || r.moves(x.Home) || r.rekeyed(x, rest) || r.made(t, nil) && r.insertedInto(x.Home, rest) ||
				slices.ContainsFunc(x.Parents, func(n engine.Name) bool { return r.parentRekeyed(n, rest) }) {
				continue
			}
			if !x.placed && r.madeAgain(x, t) {
				if refused, err := r.stricter(ctx, tx, x, t, rest); err != nil {
					return err
				} else if refused {
					continue
				}
			}
			g, err := r.aim(x, t, true)
			if err != nil {
				return err
			}
			if r.columnsGo(g, rest) {
				continue // the values are of a column that is still to be made, under the name of the one that stands there
			}
			if len(g.fields) < len(x.Fields) || columnIndex(t, g.name(0)) < 0 || len(rest) > 0 && !r.eases(g, rest[0]) {
				continue
			}
			if not, err := r.withoutAValue(ctx, tx, g); err != nil {
				return err
			} else if not {
				continue
			}
			g.ahead = true
			targets, tables = append(targets, g), append(tables, t)
		}
		if len(targets) == 0 {
			return nil
		}
		// Values that point to rows which are not back yet need those first.
		var first []*restoring
		for _, g := range targets {
			first = r.parents(g.x, first, rest)
		}
		for _, x := range first { // the nearest first: each goes ahead of those before it
			t, err := r.inspect(ctx, tx, x.Home)
			if err != nil {
				return err
			}
			if t == nil || x.Rows == 0 || r.moves(x.Home) || r.made(t, nil) && r.insertedInto(x.Home, rest) || slices.ContainsFunc(targets, func(g *target) bool { return g.x == x }) {
				continue
			}
			g, err := r.aim(x, t, true)
			if err != nil {
				return err
			}
			if len(g.fields) == len(x.Fields) && !r.columnsGo(g, rest) {
				g.ahead = true
				targets, tables = append([]*target{g}, targets...), append(tables, t)
			}
		}
		return r.ready(ctx, tx, distinct(tables), func() error {
			if err := r.writtenBefore(ctx, tx, targets); err != nil {
				return err
			}
			if _, err := r.orphans(ctx, tx, targets); err != nil {
				return err
			}
			lift, err := r.shield(ctx, tx, distinct(tables))
			if err != nil {
				return err
			}
			cover(targets)
			sealed := sealedAt(targets)
			err = r.capturer.amid(ctx, tx, distinct(tables), targets, of(targets), func() error {
				after, err := r.overwrites(ctx, tx, targets, rest)
				if err != nil {
					return err
				}
				err = r.early(ctx, tx, tables, rest, func() error {
					if err := r.makeRoom(ctx, tx, targets, rest); err != nil {
						return err
					}
					for _, g := range targets { // a row that is missing may be one that a statement still to come inserts
						if err := r.write(ctx, tx, g, g.fields, false, !r.insertedInto(g.x.Home, rest) && r.complies(g)); err != nil {
							return err
						}
						g.x.settled = true
					}
					return nil
				})
				if err != nil {
					return err
				}
				return after()
			})
			if err != nil {
				return err
			}
			if r.capturer != nil {
				r.settled = r.capturer.statement
			}
			if err := r.holdAhead(ctx, tx, targets, sealed); err != nil {
				return err
			}
			return lift(ctx, r.strays())
		})
	})
}

// Began tells whether something was put back early.
func (r *Restorer) Began() bool {
	return slices.ContainsFunc(r.captures, func(x *restoring) bool { return x.settled || x.wrote || x.cleared })
}

// holdAhead seals what has gone back ahead of its turn, where others write between the statements: what they write to it from here on stays. Where each statement commits by itself, what amid
// has sealed by now is sealed, and in a table that Down has built anew, since tells.
func (r *Restorer) holdAhead(ctx context.Context, tx engine.Querier, targets []*target, sealed map[*restoring]string) error {
	if !r.capturer.bySteps() {
		return nil
	}
	for _, g := range targets {
		x := g.x
		if !r.s.db.Caps.TransactionalDDL && (x.moving != nil && x.moving.Seal.At != sealed[x] || r.made(g.t, nil)) {
			x.held = x.held || x.moving != nil && x.moving.Seal.At != sealed[x]
			continue
		}
		if err := r.followFromHere(ctx, tx, g); err != nil {
			return fmt.Errorf("seal what is back in %s: %w", g.t.Name, err)
		}
		x.held = true
	}
	return nil
}

// sealedAt says where each of some captures is followed, "" where it is not.
func sealedAt(targets []*target) map[*restoring]string {
	out := map[*restoring]string{}
	for _, g := range targets {
		if g.x.moving != nil {
			out[g.x] = g.x.moving.Seal.At
		}
	}
	return out
}

// of gives the captures that go to targets.
func of(targets []*target) []*restoring {
	out := []*restoring{}
	for _, g := range targets {
		out = append(out, g.x)
	}
	return out
}

// writtenBefore looks once more who has written to what captures are about to go back to.
func (r *Restorer) writtenBefore(ctx context.Context, tx engine.Querier, targets []*target) error {
	if !r.bySteps() {
		return nil
	}
	if r.s.db.Caps.TransactionalDDL {
		if err := r.still(ctx, tx, of(targets)); err != nil {
			return err
		}
	}
	for _, x := range of(targets) {
		if err := r.lookAgain(ctx, tx, x, r.capturer); err != nil {
			return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
		}
	}
	return nil
}

// leadsToRows tells whether the next statement asks for rows, as a foreign key does. Of those that Down itself has taken any other may not take what it is about to
// ask of each row: they come back at the end, when what does not stay is taken off again.
func leadsToRows(rest []effects.Statement) bool {
	return len(rest) == 0 || slices.ContainsFunc(rest[0].Effects, func(e effects.Effect) bool {
		return e.Kind == effects.ValidateConstraint || e.Kind == effects.AddConstraint && (e.Constraint == nil || e.Constraint.Kind == "foreign key")
	})
}

// columnsGo tells whether a statement drops a column that values would go back to.
func (r *Restorer) columnsGo(g *target, rest []effects.Statement) bool {
	for _, st := range rest {
		for _, e := range st.Effects {
			if e.Kind == effects.DropColumn && r.s.sameName(e.Table.Name, g.t.Name.Name) && slices.ContainsFunc(e.Columns, func(n string) bool {
				return slices.ContainsFunc(g.fields, func(i int) bool { return r.s.sameName(n, r.live(g, i).Name) })
			}) {
				return true
			}
		}
	}
	return false
}

// eases tells whether a statement goes better when a capture is back. A change of type wants the values that were captured when the column
// had the type that it has now: what Up wrote over them under that type need not fit the older one.
func (r *Restorer) eases(g *target, st effects.Statement) bool {
	if constrains(st) {
		return true
	}
	for _, e := range st.Effects {
		if e.Kind != effects.AlterColumnType || !r.s.sameName(e.Table.Name, g.t.Name.Name) {
			continue
		}
		room := g.x.Ops && r.capturer != nil && r.capturer.meta.Direction == "down" // rows that Up has inserted need not fit either
		for i := range g.x.Fields {
			now := r.live(g, i)
			if !slices.ContainsFunc(e.Columns, func(n string) bool { return r.s.sameName(n, now.Name) }) {
				continue
			}
			if g.x.Fields[i].Type == r.s.typed(now) {
				return !g.nullNoMore(i)
			}
			room = false
		}
		if room {
			return true
		}
	}
	return false
}
