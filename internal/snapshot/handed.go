package snapshot

import (
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A foreign key may point to a unique value that went from row to row since. Who points to it goes on doing so while one row loses the value and another gets it,
// where the key is looked at in the end and carries nothing along.

// late tells whether the server looks at a foreign key in the end alone, whatever becomes of the rows that it points to meanwhile.
func (x *Restoration) late(fk engine.ForeignKey) bool {
	ours := func(n engine.Name) bool {
		return slices.ContainsFunc(x.lots, func(l *lot) bool { return l.live != nil && l.live.Name == n })
	}
	return x.s.f.detached || fk.OnDelete == "NO ACTION" && fk.OnUpdate == "NO ACTION" && (fk.Deferrable || ours(fk.Table) && ours(fk.Parent))
}

// kept is the condition that the values of a row t which a foreign key points to are not brought by another entry than its own, d.
func (r *Restorer) kept(g *target, fk engine.ForeignKey) string {
	s, x := r.s, g.x
	if r.late == nil || !r.late(fk) {
		return ""
	}
	on := []string{"z.n <> d.n", "z.op <> 'i'"}
	for _, c := range fk.ParentColumns {
		now := g.t.Columns[columnIndex(g.t, c)]
		if i := slices.IndexFunc(x.Key, func(f field) bool { return r.column(g.t, f.Name) == c }); i >= 0 {
			on = append(on, s.points("t."+s.q(c), "z."+x.old(i), x.Key[i], now))
			continue
		}
		i := slices.IndexFunc(g.fields, func(i int) bool { return r.column(g.t, x.Fields[i].Name) == c })
		if i < 0 {
			return ""
		}
		on = append(on, s.points("t."+s.q(c), "z."+x.v(g.fields[i]), x.Fields[g.fields[i]], now))
	}
	if x.work {
		on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s zw WHERE zw.n = z.n)", s.own(x.conflicts())))
	}
	return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s z WHERE %s)", s.own(x.data()), all(on...))
}
