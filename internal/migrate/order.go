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

// reshape gives tables the shape that they had, as far as no statement about one object does.
func (w *work) reshape(ctx context.Context, q engine.Querier) error {
	if w.undo == nil {
		return nil
	}
	now, err := w.fingerprint(ctx, q)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if w.r.dir == Down {
		want, _ := expected(w.undo, w.before, now)
		if err := w.rename(ctx, q, want, now); err != nil { // where the server gives names itself
			return err
		}
	}
	if err := w.reorder(ctx, q, now); err != nil { // where columns can be moved
		return err
	}
	return w.remake(ctx, q, now, func(engine.Name) bool { return true }) // where only a new table can say something else
}

// reorder gives columns the place that they had: Down adds a dropped one at the end, and SELECT * and INSERT without a list of columns
// tell the difference. Columns that came otherwise stay behind those.
func (w *work) reorder(ctx context.Context, q engine.Querier, now verify.Fingerprint) error {
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
		for _, stmt := range verify.Reorder(w.r.m.db, now, table, w.order(table, list)) {
			if _, err := q.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("put the columns of %s back into their order (%s): %w", table, headline(stmt), err)
			}
			w.capturer.Stale()
		}
	}
	return nil
}

// order gives the columns of a table in the order that they had; those that came otherwise stay behind the others.
func (w *work) order(table engine.Name, list []verify.Object) []string {
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
	slices.SortFunc(list, func(a, b verify.Object) int { return cmp.Or(was(a)-was(b), a.Position-b.Position) })
	order := make([]string, len(list))
	for i, o := range list {
		order[i] = strings.TrimPrefix(o.Name, table.String()+".")
	}
	return order
}

// remake makes tables anew whose columns or constraints are not what they were, where the engine changes them in no other way.
func (w *work) remake(ctx context.Context, q engine.Querier, now verify.Fingerprint, which func(engine.Name) bool) error {
	want, have := expected(w.undo, w.before, now)
	for table := range w.otherShape(now) {
		if !which(table) {
			continue
		}
		var list []verify.Object
		for _, o := range now {
			if o.Kind == "column" && o.Table == table {
				list = append(list, o)
			}
		}
		done, err := verify.Rebuild(ctx, w.r.m.db, q, want, have, now, table, w.order(table, list))
		if err != nil {
			return fmt.Errorf("make %s anew as it was: %w", table, err)
		}
		if done {
			w.capturer.Stale()
		}
	}
	return nil
}

// otherShape gives the tables that remake is about; none where the engine changes tables in other ways.
func (w *work) otherShape(now verify.Fingerprint) map[engine.Name]bool {
	if w.r.m.db.Kind != engine.SQLite {
		return nil
	}
	want, have := expected(w.undo, w.before, now)
	differ := map[engine.Name]bool{}
	for _, sides := range [][2]verify.Fingerprint{{want, have}, {have, want}} {
		for key, o := range sides[0] {
			if slices.Contains([]string{"table", "column", "primary key", "unique", "check", "foreign key"}, o.Kind) && sides[1][key].Definition != o.Definition {
				differ[o.Table] = true
			}
		}
	}
	return differ
}
