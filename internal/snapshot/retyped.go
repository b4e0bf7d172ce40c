package snapshot

import (
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// retyped is a field that was captured in a type which its column had only for a while: the change of the type has an older capture, with
// every row's value in the type that the column has again. What was captured in between need not even fit into it.
type retyped struct {
	field int
	y     *restoring
	as    int // of y.Fields
}

// before finds the older capture that has a field's value in the type of the live column, when the field was captured in another.
func (r *Restorer) before(x *restoring, i int, now engine.Column) (retyped, bool) {
	if x.onward || len(x.Key) == 0 || x.Moved && !x.Still || x.final != "" || r.s.akin(x.Fields[i].Type, r.s.typed(now)) {
		return retyped{}, false
	}
	all := r.tables()
	for n := slices.Index(all, x) - 1; n >= 0; n-- {
		y := all[n]
		if y.Kind != Columns && y.Kind != Table || y.Rows == 0 || y.Moved && !y.Still || y.final != "" || !sameKey(x, y) {
			continue
		}
		if j := slices.IndexFunc(y.Fields, func(f field) bool { return f.Name == x.Fields[i].Name }); j >= 0 && r.s.akin(y.Fields[j].Type, r.s.typed(now)) {
			return retyped{i, y, j}, true
		}
	}
	return retyped{}, false
}

// row gives the condition that a row of the older capture is that of an entry.
func (c retyped) row(x *restoring) string {
	var on []string
	for i := range x.Key {
		on = append(on, fmt.Sprintf("y.%s = d.%s", k(i), x.old(i)))
	}
	return all(on...)
}

// known gives the conditions that an entry's row was there when the migration began: the older captures which are left fields to have it,
// and, ahead of statements that would meet it, none says that the migration inserted it.
func (r *Restorer) known(g *target) []string {
	var out []string
	for _, c := range g.retyped {
		out = append(out, fmt.Sprintf("EXISTS (SELECT 1 FROM %s y WHERE %s)", r.s.own(c.y.data()), c.row(g.x)))
	}
	if r.moves(g.x.Home) {
		return out
	}
	all := r.tables()
	var born []entries
	for _, y := range all[:max(slices.Index(all, g.x), 0)] {
		if y.Ops && y.Rows > 0 && sameKey(g.x, y) && (g.ahead || y.cleared) { // in the end they go when what they came by is undone, unless it is
			e := entries{from: r.s.own(y.data()) + " y", where: "y.op = 'i'"}
			for i := range y.Key {
				e.key = append(e.key, "y."+k(i))
			}
			born = append(born, e)
		}
	}
	return append(out, absent(born, g.x.old)...)
}
