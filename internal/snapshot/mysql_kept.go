package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table is kept there by a RENAME that runs in place of the DROP TABLE: it takes the table away from everybody in one step, in
// constant time, and either happened or did not. On the way back another one exchanges it for the table that Down made.

// keepable: names of foreign keys and, on MySQL, of checks are the database's, and would be in the way of those that Down makes
// again; triggers would write on, and cannot come along to the name.
func (d mysqlDialect) keepable(ctx context.Context, q engine.Querier, t *engine.Table, _ bool) (bool, error) {
	if t.Engine != "InnoDB" || t.Kind != "table" && t.Kind != "partitioned" || t.Name.Schema != "" || t.Versioned ||
		len(t.ForeignKeys) > 0 || len(t.Referenced) > 0 || len(t.Triggers) > 0 {
		return false, nil
	}
	if d.s.db.Kind == engine.MariaDB {
		return true, nil
	}
	checks, err := number(ctx, q, "look for checks", "SELECT count(*) FROM information_schema.table_constraints WHERE table_schema = database() AND table_name = ? AND constraint_type = 'CHECK'", t.Name.Name)
	return checks == 0, err
}

// aside is never asked for: see Capturer.renamed.
func (d mysqlDialect) aside(context.Context, engine.Querier, *capture, bool, bool) error {
	return errNoRehearsal
}

func (d mysqlDialect) intact(ctx context.Context, q engine.Querier, x *capture) (string, error) {
	t, err := d.s.db.Inspect(ctx, q, d.s.db.Own(x.data()))
	if errors.Is(err, engine.ErrNoTable) {
		return keptIsGone, nil
	}
	if err != nil {
		return "", err
	}
	if !sameColumns(x.Shape, t) {
		return "its columns are not what they were", nil
	}
	return "", nil
}

// back is never asked for: see Restorer.swapApart.
func (d mysqlDialect) back(context.Context, engine.Querier, *capture, *engine.Table) error {
	return errNoRehearsal
}

// swapApart is swap where a change of the schema is no part of the transaction: it must not have used the table.
func (r *Restorer) swapApart(ctx context.Context, x *restoring, t *engine.Table) (bool, error) {
	s, k := r.s, r.s.keeper()
	if _, err := s.db.Resolve(ctx, s.db, s.db.Own(x.data())); errors.Is(err, engine.ErrNoTable) && r.recalled && sameColumns(x.Shape, t) {
		return true, s.exchanged(ctx, x.capture, t) // a run that was cut off came as far as this
	} else if err != nil {
		return false, r.s.sound(ctx, r.s.db, x.capture)
	}
	if k == nil || !sameColumns(x.Shape, t) || len(t.ForeignKeys) > 0 || len(t.Referenced) > 0 || len(t.Triggers) > 0 {
		return false, nil
	}
	if err := s.sound(ctx, s.db, x.capture); err != nil {
		return false, err
	}
	rows, err := number(ctx, s.db, "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+s.f.from(s.db, t)+" LIMIT 1) x")
	if err != nil || rows > 0 {
		return false, err
	}
	return s.exchange(ctx, x.capture, t)
}

// renames tells whether all that a statement does is to drop tables that can be kept, or to empty one.
func (c *Capturer) renames(ctx context.Context, q engine.Querier, n int, p *plan, st effects.Statement) (bool, error) {
	can := c.meta.Instead && len(p.opaque) == 0
	dropped := 0
	for _, e := range st.Effects {
		if e.Kind == effects.DropTable && !e.IfExists {
			dropped++
		}
	}
	can = can && dropped <= len(p.actions)
	rest, _ := c.ahead(n)
	for _, a := range p.actions {
		if a.kind != Kept {
			can = false
			continue
		}
		if can = can && c.keeps(a.table) && a.stead == nil && !c.s.GivenAgain(c.track.home(a.table), rest); !can {
			continue
		}
		if empties(st.Effects) {
			var err error
			if can, err = c.swappable(ctx, n, a.table); err != nil {
				return false, err
			} else if !can {
				continue
			}
		}
		some, err := number(ctx, c.s.db, "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+c.s.f.from(c.s.db, a.table)+" LIMIT 1) x")
		if err != nil {
			return false, err
		}
		var name, text string // a temporary table of the session may hide it
		if err := q.QueryRowContext(ctx, "SHOW CREATE TABLE "+c.s.db.Quote(a.table.Name)).Scan(&name, &text); err != nil {
			return false, fmt.Errorf("look at %s: %w", a.table.Name, err)
		}
		can = some > 0 && !strings.HasPrefix(text, "CREATE TEMPORARY")
	}
	if !can {
		for _, a := range p.actions {
			if a.kind == Kept {
				a.kind = Table
			}
		}
	}
	return can && len(p.actions) > 0, nil
}

// GivenAgain tells whether one of some statements puts another table in the place of one that is dropped where each statement commits. Which rows of that are whose is told
// row by row: by a copy, that is there when it comes.
func (s *Store) GivenAgain(n engine.Name, rest []effects.Statement) bool {
	return !s.db.Caps.TransactionalDDL && slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return e.Kind == effects.CreateTable && s.sameName(e.Table.Name, n.Name) || e.Kind == effects.RenameTable && s.sameName(e.NewName.Name, n.Name)
		})
	})
}

// Instead gives the statement that run has to execute in place of the migration's own, "" for that one: a table that is dropped is
// renamed. It is asked within run, by callers that set Meta.Instead.
func (c *Capturer) Instead() string { return c.instead }

// renamed captures tables by having them renamed in place of being dropped.
func (c *Capturer) renamed(ctx context.Context, q engine.Querier, n int, p *plan, run func() error) error {
	had := len(c.captures)
	var moves []string
	for _, a := range p.actions {
		x, err := c.describe(ctx, q, n, a)
		if err != nil {
			return err
		}
		if a.empties {
			sealEmpty(x, n)
		}
		x.Bytes = a.table.Bytes
		if x.Rows = max(a.table.Rows, 1); x.Bytes <= countable {
			if x.Rows, err = number(ctx, q, "count kept rows", "SELECT count(*) FROM "+c.s.f.from(c.s.db, a.table)); err != nil {
				return err
			}
		}
		if err := c.record(ctx, q, x); err != nil {
			return err
		}
		moves = append(moves, c.s.db.Quote(a.table.Name)+" TO "+c.s.own(x.data()))
		if !a.empties {
			continue
		}
		twin, err := c.s.twin(ctx, x)
		if err == nil && twin == "" {
			a.kind, a.empties = Table, false
			if err = c.unrecord(ctx, q, had); err == nil {
				return c.underLock(ctx, q, n, p, run)
			}
		}
		if err != nil {
			return err
		}
		moves = append(moves, c.s.own(twin)+" TO "+c.s.db.Quote(a.table.Name))
	}
	c.instead = "RENAME TABLE " + list(moves)
	defer func() { c.instead = "" }()
	if err := run(); err != nil {
		calm := context.WithoutCancel(ctx)
		if c.untouched(calm, p.actions) && !slices.ContainsFunc(c.captures[had:], func(x *capture) bool { return !c.s.missing(calm, q, c.s.db.Own(x.data())) }) {
			return errors.Join(err, c.unrecord(calm, q, had))
		}
		return err
	}
	for _, x := range c.captures[had:] {
		if c.s.missing(ctx, c.s.db, c.s.db.Own(x.data())) {
			return &UncapturedError{Tables: []string{x.At.String() + " (dropped, not renamed)"}}
		}
		if !x.Emptied {
			continue
		}
		if same, err := c.s.alike(ctx, c.s.db, x.At, c.s.db.Own(x.data())); err != nil {
			return err
		} else if !same {
			return fmt.Errorf("somebody else altered %s while it was emptied: the table that they altered is %s, the empty one lacks what they did", x.At, c.s.own(x.data()))
		}
	}
	return c.s.pinned(ctx, q, func() error {
		if err := c.after(ctx, q, p, nil); err != nil {
			return err
		}
		return c.told(ctx, q)
	})
}
