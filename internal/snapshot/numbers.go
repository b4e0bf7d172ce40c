package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A generator of numbers that a migration drops, or sets back, begins anew when its definition is back: it would give numbers that were
// handed out before. So it is noted how far each had come that a migration may touch, and the opposite direction lets it go on from there.
// What a table that is captured has of them lies with its capture.

// generators are what statements may drop or set back.
type generators struct {
	all               bool
	sequences, tables []engine.Name
}

// touched says which generators of numbers a statement may drop or set back.
func (g *generators) touched(st effects.Statement) {
	if st.Opaque() {
		g.all = true
	}
	for _, e := range st.Effects {
		switch e.Kind {
		case effects.DropSchema:
			g.all = true
		case effects.Drop, effects.Alter:
			if e.Object.Kind != "sequence" || e.Detail == "nextval" {
				continue
			}
			if n := engine.Name(e.Object.Name); n.Name == "" {
				g.all = true
			} else {
				g.sequences = append(g.sequences, n)
			}
		case effects.Update, effects.Delete, effects.Upsert, effects.Replace:
			if e.Table.Name == "sqlite_sequence" {
				g.all = true
			}
		case effects.AlterColumn, effects.AlterColumnType, effects.SetDefault, effects.DropDefault, effects.AlterTable:
			g.tables = append(g.tables, engine.Name(e.Table))
		}
	}
}

// Stand notes how far the generators have come that statements may drop or set back. What was noted before only grows.
func (c *Capturer) Stand(ctx context.Context, q engine.Querier, stmts ...effects.Statement) error {
	var g generators
	for _, st := range stmts {
		g.touched(st)
	}
	now, err := c.s.generators(ctx, q, g)
	if err != nil {
		return err
	}
	for _, x := range now {
		if i := slices.IndexFunc(c.stood, x.same); i < 0 {
			c.stood = append(c.stood, x)
		} else if c.stood[i].fell(x.Last, true) {
			c.stood[i].Last = x.Last
		}
	}
	return nil
}

// Hold keeps other sessions from taking numbers of a sequence that the statement drops, where that can be had, and notes where it stands.
func (c *Capturer) Hold(ctx context.Context, q engine.Querier, st effects.Statement) error {
	for _, e := range st.Effects {
		if e.Kind == effects.Drop && e.Object.Kind == "sequence" && c.s.f.hold != nil {
			if err := c.s.f.hold(ctx, q, c.s, engine.Name(e.Object.Name)); err != nil {
				return err
			}
		}
	}
	return c.Stand(ctx, q, st)
}

// Stood gives what Stand noted, and Recall takes it back after a crash.
func (c *Capturer) Stood() []Sequence { return c.stood }

// Recall takes what Stand noted in a run that was cut off.
func (c *Capturer) Recall(stood []Sequence) { c.stood = stood }

func (x Sequence) same(y Sequence) bool {
	return x.Name == y.Name && x.Table == y.Table && x.Column == y.Column
}

// fell tells whether a generator is behind another number, or, ahead, the other way round.
func (x Sequence) fell(last int64, ahead bool) bool {
	if x.Descending != ahead {
		return x.Last < last
	}
	return x.Last > last
}

func (s *Store) generators(ctx context.Context, q engine.Querier, g generators) ([]Sequence, error) {
	var out []Sequence
	if g.all || len(g.sequences) > 0 {
		var err error
		if out, err = s.f.standing(ctx, q, s, g.all, g.sequences); err != nil {
			return nil, err
		}
	}
	for i, n := range g.tables {
		if slices.Contains(g.tables[:i], n) {
			continue
		}
		t, err := s.db.Inspect(ctx, q, n)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		of, err := s.f.sequences(ctx, q, s, t)
		if err != nil {
			return nil, err
		}
		for _, x := range of {
			if x.Table = t.Name; x.Last != 0 {
				out = append(out, x)
			}
		}
	}
	return out, nil
}

// fallen are the generators that are gone, or behind where they stood, or were made anew: the opposite direction will make them once more.
func (c *Capturer) fallen(ctx context.Context, q engine.Querier) ([]Sequence, error) {
	if len(c.stood) == 0 {
		return nil, nil
	}
	var g generators
	for _, x := range c.stood {
		if x.Table.Name != "" {
			g.tables = append(g.tables, x.Table)
		} else {
			g.sequences = append(g.sequences, x.Name)
		}
	}
	now, err := c.s.generators(ctx, q, g)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(c.stood), func(x Sequence) bool {
		i := slices.IndexFunc(now, x.same)
		return i >= 0 && x.ID == now[i].ID && !x.fell(now[i].Last, false)
	}), nil
}

// GoOn lets generators of numbers that are there again go on from where they stood, never from further back than they stand.
func (s *Store) GoOn(ctx context.Context, q engine.Querier, stood []Sequence) error {
	for _, x := range stood {
		if x.Table.Name == "" {
			if err := s.f.onward(ctx, q, s, x); err != nil {
				return fmt.Errorf("let sequence %s go on: %w", x.Name, err)
			}
			continue
		}
		t, err := s.db.Inspect(ctx, q, x.Table)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.f.climb(ctx, q, s, t, []Sequence{x}); err != nil {
			return err
		}
	}
	return nil
}

// GoOn does so for what the captures say. The identity of a column that Down leaves out comes only when its rows are back: it has not been raised with them.
func (r *Restorer) GoOn(ctx context.Context, q engine.Querier) error {
	for _, x := range r.captures {
		if x.Kind != Definition {
			if err := r.behind(ctx, q, x); err != nil {
				return err
			}
			continue
		}
		if err := r.s.GoOn(ctx, q, x.Sequences); err != nil {
			return err
		}
	}
	return nil
}

// behind lets the generators of a captured table go on that stand behind where they stood.
func (r *Restorer) behind(ctx context.Context, q engine.Querier, x *restoring) error {
	stood := slices.DeleteFunc(slices.Clone(x.Sequences), func(y Sequence) bool { return y.Last == 0 })
	if len(stood) == 0 {
		return nil
	}
	t, err := r.s.db.Inspect(ctx, q, x.Home)
	if errors.Is(err, engine.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := r.s.f.sequences(ctx, q, r.s, t)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(stood, func(y Sequence) bool {
		i := slices.IndexFunc(now, func(z Sequence) bool { return z.Column == y.Column })
		return i < 0 || now[i].Last == 0 || y.fell(now[i].Last, false) // one that a server has not written down is not told of
	}) {
		return nil
	}
	return r.s.f.climb(ctx, q, r.s, t, stood)
}
