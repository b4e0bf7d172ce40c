package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// reorder gives columns the place that they had: Down adds a dropped one at the end, and SELECT * and INSERT without a list of columns
// tell the difference. Columns that came otherwise stay behind those.
func (w *work) reorder(ctx context.Context, q engine.Querier) error {
	if w.undo == nil {
		return nil
	}
	now, err := w.fingerprint(ctx, q)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	const last = 1 << 30
	was := func(o verify.Object) int {
		if c, ok := w.undo[o.Key()]; ok {
			if c.Before != nil {
				return c.Before.Position
			}
			return last
		}
		if b, ok := w.before[o.Key()]; ok {
			return b.Position
		}
		return last
	}
	columns := map[engine.Name][]verify.Object{}
	moved := map[engine.Name]bool{}
	for _, o := range now {
		if o.Kind == "column" {
			columns[o.Table] = append(columns[o.Table], o)
			if c, ok := w.undo[o.Key()]; ok && c.Before != nil && c.Before.Position != o.Position {
				moved[o.Table] = true
			}
		}
	}
	for table, list := range columns {
		if !moved[table] {
			continue
		}
		slices.SortFunc(list, func(a, b verify.Object) int { return cmp.Or(was(a)-was(b), a.Position-b.Position) })
		order := make([]string, len(list))
		for i, o := range list {
			order[i] = strings.TrimPrefix(o.Name, table.String()+".")
		}
		for _, stmt := range verify.Reorder(w.r.m.db, now, table, order) {
			if _, err := q.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("put the columns of %s back into their order (%s): %w", table, headline(stmt), err)
			}
			w.capturer.Stale()
		}
	}
	return nil
}
