package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Ahead tells which statements are still to come, and what to watch. Where each statement is a transaction of its own, others
// write between it and Seal: so what a statement captured of a table that no later one names is sealed in the transaction of the
// statement, and what they wrote since counts as theirs. It is for migrations that put nothing back.
func (c *Capturer) Ahead(rest []effects.Statement, watch func(context.Context, engine.Querier) Watch) {
	c.rest, c.watching = rest, watch
}

// early seals the captures of the tables that a statement wrote, unless a later statement names them.
func (c *Capturer) early(ctx context.Context, tx engine.Querier, p *plan) error {
	if c.s.db.Caps.TransactionalDDL || c.watching == nil {
		return nil
	}
	var watch Watch
	for i, x := range c.captures {
		if x.Kind == Definition || x.Kind == Kept || len(x.Key) == 0 {
			continue
		}
		t, err := c.now(ctx, tx, x)
		if err != nil {
			return err
		}
		if t == nil || !slices.ContainsFunc(p.actions, func(a *action) bool { return a.table.Name == t.Name }) || c.comes(t.Name) {
			continue
		}
		if watch == nil {
			watch = c.watching(ctx, tx)
		}
		if err := c.unseal(ctx, tx, x); err != nil {
			return err
		}
		if err := c.seal(ctx, tx, i, x, watch); err != nil {
			return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
		}
		if err := c.s.finish(ctx, tx, x); err != nil {
			return err
		}
	}
	return nil
}

// comes tells whether a statement still to come may write a table by name.
func (c *Capturer) comes(n engine.Name) bool {
	return slices.ContainsFunc(c.rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			if leavesRows(e) {
				return false
			}
			return e.Kind == effects.Opaque || e.Changes() && (c.s.sameName(e.Table.Name, n.Name) || c.s.sameName(e.NewName.Name, n.Name) ||
				e.Table.Name == "" && e.Object.Kind != "index" && e.Object.Kind != "view")
		})
	})
}

// leavesRows: the values and names of the columns that are there stay as they are.
func leavesRows(e effects.Effect) bool {
	switch e.Kind {
	case effects.AddColumn, effects.AddConstraint, effects.DropConstraint, effects.SetDefault, effects.DropDefault, effects.Comment, effects.Grant:
		return true
	case effects.Create, effects.Drop:
		return e.Object.Kind == "index"
	}
	return false
}
