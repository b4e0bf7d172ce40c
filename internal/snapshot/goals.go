package snapshot

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// goals marks captured rows whose keys were moved, that were gone when they were sealed, and whose first key somebody has given to a
// row of his own: that is where they would go back to.
func (r *Restorer) goals(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) error {
	if t == nil || x.Rows == 0 || len(x.Key) == 0 || !x.Moved && x.final == "" || x.Seal.Mode != sealAbsent && x.Seal.Mode != sealRows {
		return nil
	}
	s := r.s
	name := func(i int) string {
		if x.Seal.Key != nil {
			return x.Seal.Key[i]
		}
		return r.column(t, x.Key[i].Name)
	}
	var moved []string
	for i := range x.Key {
		if columnIndex(t, name(i)) < 0 {
			return nil
		}
		moved = append(moved, fmt.Sprintf("d.%s = d.%s", k(i), x.goal(i)))
	}
	conditions := []string{x.inserted(false), "NOT (" + all(moved...) + ")", r.free(x)}
	if x.Seal.Mode == sealRows {
		conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n)", s.own(x.companion())))
	}
	// A row that the migration left there itself leaves again, but where somebody has written to it since. Newer captures have been compared.
	for _, y := range r.tables() {
		if y.Rows == 0 || !sameKey(x, y) || y.Seal.Mode != sealRows {
			continue
		}
		place, from := "y.", s.own(y.data())+" y JOIN "+s.own(y.companion())+" s ON s.n = y.n"
		if y.Seal.Places {
			place = "s."
		}
		var on []string
		for i := range x.Key {
			on = append(on, fmt.Sprintf("%s%s = d.%s", place, k(i), x.goal(i)))
		}
		var leaves []string
		if y.Ops {
			leaves = append(leaves, "y.op = 'i'")
		}
		if y.Moved {
			var same []string
			for i := range y.Key {
				same = append(same, fmt.Sprintf("%s%s = y.%s", place, k(i), o(i)))
			}
			leaves = append(leaves, "NOT ("+all(same...)+")")
		}
		if len(leaves) == 0 {
			continue
		}
		on = append(on, either(leaves))
		if y.work {
			on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = y.n)", s.own(y.conflicts())))
		}
		conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s WHERE %s)", from, all(on...)))
	}
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s JOIN %s t ON %s WHERE %s", insertedSince, r.source(x), s.f.from(s.db, t),
		s.on(x.capture, t, "t", "d", name, x.goal), all(conditions...)))
}

// either is the condition that one of some holds, none of none. One alone stands alone: PostgreSQL joins what EXISTS asks for, but not under an OR.
func either(conditions []string) string {
	if len(conditions) == 0 {
		return "(1 = 0)"
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}
