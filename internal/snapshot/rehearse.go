package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Observed is what a rehearsal showed.
type Observed struct {
	Effects           []effects.Effect    // on tables, with real schemas: what a capture has to cover
	Changes           []verify.Difference // of definitions
	Shortened         []shortened         // columns from whose values an attribute of their row type went
	LeavesTransaction []string            // what no rollback takes back: "sequence public.orders_id_seq moved from 5 to 9"
}

// touched is what happened to the rows of all tables while they were watched.
type touched struct {
	rows    map[string]writes // by identity
	foreign []engine.Name     // foreign tables that were written
	outside []string          // what left the transaction
}

// writes counts rows written to one table.
type writes struct {
	inserted, updated, deleted int64
	replaced                   bool // rows vanished without being deleted
}

// Rehearse runs something inside a savepoint, observes what it does, and takes it back. Locks it took are released with
// the savepoint. The error of run comes back unchanged, with the transaction usable.
func (s *Store) Rehearse(ctx context.Context, tx engine.Querier, run func() error) (Observed, error) {
	var seen Observed
	before, err := verify.Take(ctx, s.db, tx, verify.Scope{})
	if err != nil {
		return seen, fmt.Errorf("rehearse: %w", err)
	}
	shapesBefore, err := s.d.shapes(ctx, tx)
	if err != nil {
		return seen, err
	}
	parts, err := s.f.attributesOf(ctx, tx)
	if err != nil {
		return seen, err
	}
	own, err := s.f.ours(ctx, tx)
	if err != nil {
		return seen, fmt.Errorf("rehearse: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "SAVEPOINT dbrollback_rehearsal"); err != nil {
		return seen, fmt.Errorf("rehearse: %w", err)
	}
	observe := func() error {
		answer, err := s.d.probe(ctx, tx)
		if err != nil {
			return fmt.Errorf("rehearse: %w", err)
		}
		if err := run(); err != nil {
			return err
		}
		what, err := answer(ctx)
		if err != nil {
			return fmt.Errorf("rehearse: %w", err)
		}
		if len(what.foreign) > 0 {
			return &LossError{Object: what.foreign[0].String(), Reason: "it is a foreign table, whose rows are in another server",
				Hint: "write to it outside the migration"}
		}
		seen.LeavesTransaction = what.outside
		shapesAfter, err := s.d.shapes(ctx, tx)
		if err != nil {
			return err
		}
		after, err := verify.Take(ctx, s.db, tx, verify.Scope{})
		if err != nil {
			return fmt.Errorf("rehearse: %w", err)
		}
		if err := s.homeStands(ctx, tx, own); err != nil {
			return err
		}
		seen.Effects = synthesize(shapesBefore, shapesAfter, what)
		if seen.Shortened, err = parts.lost(ctx, tx, &s.f); err != nil {
			return err
		}
		seen.Changes = verify.Diff(before, after)
		return nil
	}
	failed := observe()
	calm := context.WithoutCancel(ctx)
	for _, q := range []string{"ROLLBACK TO SAVEPOINT dbrollback_rehearsal", "RELEASE SAVEPOINT dbrollback_rehearsal"} {
		if _, err := tx.ExecContext(calm, q); err != nil && failed == nil {
			return seen, fmt.Errorf("take the rehearsal back: %w", err)
		}
	}
	return seen, failed
}

// homeStands makes sure that nothing reached our own tables.
func (s *Store) homeStands(ctx context.Context, tx engine.Querier, before []string) error {
	after, err := s.f.ours(ctx, tx)
	if err != nil {
		return fmt.Errorf("rehearse: %w", err)
	}
	for _, n := range before {
		if !slices.Contains(after, n) {
			return &LossError{Object: s.db.Own(n).String(), Reason: "it is one of dbrollback's own tables", Hint: "leave them alone"}
		}
	}
	return nil
}

// synthesize turns what was seen into effects.
func synthesize(before, after shapes, what touched) []effects.Effect {
	var out []effects.Effect
	add := func(k effects.Kind, n engine.Name, columns ...string) {
		out = append(out, effects.Effect{Kind: k, Table: effects.Name{Schema: n.Schema, Name: n.Name}, Columns: columns, Detail: "observed in a rehearsal"})
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		b := before[id]
		a, there := after[id]
		if !there {
			add(effects.DropTable, b.Name)
			continue
		}
		if a.Storage != b.Storage {
			add(effects.Truncate, b.Name) // rewritten or emptied: what stood there may be gone
		}
		for _, num := range slices.Sorted(maps.Keys(b.Columns)) {
			c := b.Columns[num]
			switch now, there := a.Columns[num]; {
			case !there:
				add(effects.DropColumn, b.Name, c.Name)
			case now.Type != c.Type:
				add(effects.AlterColumnType, b.Name, c.Name)
			}
		}
		w := what.rows[id]
		if w.replaced {
			add(effects.Replace, b.Name)
		}
		if w.inserted > 0 {
			add(effects.Insert, b.Name)
		}
		if w.updated > 0 {
			add(effects.Update, b.Name)
		}
		if w.deleted > 0 {
			add(effects.Delete, b.Name)
		}
	}
	return out
}

// watchOthers watches everything while an opaque statement runs for good: what it destroys must be covered by an action.
func (c *Capturer) watchOthers(ctx context.Context, tx engine.Querier, actions []*action) (func(context.Context) error, error) {
	covered := map[string]*action{}
	for _, a := range actions {
		covered[identity(a.table)] = a
	}
	before, err := c.s.d.shapes(ctx, tx)
	if err != nil {
		return nil, err
	}
	answer, err := c.s.d.probe(ctx, tx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		what, err := answer(ctx)
		if err != nil {
			return err
		}
		after, err := c.s.d.shapes(ctx, tx)
		if err != nil {
			return err
		}
		var bad []string
		for _, n := range what.foreign {
			bad = append(bad, n.String()+" (foreign table written)")
		}
		for _, id := range slices.Sorted(maps.Keys(before)) {
			b := before[id]
			if _, old := c.track.origin[id]; !old {
				continue // made by this migration
			}
			act := covered[id]
			a, there := after[id]
			w := what.rows[id]
			switch {
			case !there && (act == nil || act.kind != Table && act.kind != Kept):
				bad = append(bad, b.Name.String()+" (dropped)")
			case !there:
			case a.Storage != b.Storage && (act == nil || act.kind == Rows && act.observed()):
				bad = append(bad, b.Name.String()+" (rewritten)")
			case act == nil && (w.updated > 0 || w.deleted > 0 || w.replaced):
				bad = append(bad, fmt.Sprintf("%s (%d rows changed, %d removed)", b.Name, w.updated, w.deleted))
			case w.replaced && act.observed():
				bad = append(bad, fmt.Sprintf("%s (rows replaced)", b.Name))
			}
			for _, num := range slices.Sorted(maps.Keys(b.Columns)) {
				now, left := a.Columns[num]
				if there && (!left || now.Type != b.Columns[num].Type) && (act == nil || act.kind == Rows && act.observed() ||
					act.kind == Columns && act.columns != nil && !slices.Contains(act.columns, b.Columns[num].Name)) {
					bad = append(bad, fmt.Sprintf("%s (column %s)", b.Name, b.Columns[num].Name))
				}
			}
		}
		if len(bad) > 0 {
			return &UncapturedError{Tables: bad}
		}
		return nil
	}, nil
}
