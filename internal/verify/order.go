package verify

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Reorder gives the statements that bring the columns of a table into an order, in one ALTER TABLE that moves as few as can be. order has all
// of them; f says how each is defined now. It gives none where the columns are in that order, or where the engine
// cannot move a column.
func Reorder(db *engine.DB, f Fingerprint, table engine.Name, order []string) []string {
	at := map[string]int{}
	for i, c := range order {
		at[c] = i
	}
	var now []Object
	for _, o := range f {
		if o.Kind == "column" && o.Table == table {
			now = append(now, o)
		}
	}
	slices.SortFunc(now, func(a, b Object) int { return a.Position - b.Position })
	if len(now) != len(order) {
		return nil
	}
	places := make([]int, len(now)) // where each column, in the order of now, is to go
	byPlace := make([]Object, len(now))
	for i, o := range now {
		p, ok := at[strings.TrimPrefix(o.Name, table.String()+".")]
		if !ok {
			return nil
		}
		places[i], byPlace[p] = p, o
	}
	stay := longestRise(places)
	alter := "ALTER TABLE " + db.Quote(table) + " "
	var before, clauses, after []string
	for p, o := range byPlace {
		if stay[p] {
			continue
		}
		i := slices.IndexFunc(o.Alter, func(s string) bool { return strings.HasPrefix(s, alter+"MODIFY COLUMN ") })
		if i < 0 {
			return nil
		}
		clause := strings.TrimPrefix(o.Alter[i], alter) + " FIRST"
		if p > 0 {
			clause = strings.TrimPrefix(o.Alter[i], alter) + " AFTER " + db.Ident(order[p-1])
		}
		clauses = append(clauses, clause)
		if before == nil {
			before, after = o.Alter[:i:i], o.Alter[i+1:]
			continue
		}
		for _, s := range o.Alter[i+1:] {
			if strings.HasPrefix(s, alter) {
				after = append(slices.Clone(after), s)
			}
		}
	}
	if len(clauses) == 0 {
		return nil
	}
	return slices.Concat(before, []string{alter + strings.Join(clauses, ", ")}, after)
}

// longestRise marks the members of a longest rising subsequence: what stays when the rest is moved.
func longestRise(list []int) map[int]bool {
	best, from := make([]int, len(list)), make([]int, len(list))
	end := -1
	for i := range list {
		best[i], from[i] = 1, -1
		for k := range i {
			if list[k] < list[i] && best[k]+1 > best[i] {
				best[i], from[i] = best[k]+1, k
			}
		}
		if end < 0 || best[i] > best[end] {
			end = i
		}
	}
	out := map[int]bool{}
	for ; end >= 0; end = from[end] {
		out[list[end]] = true
	}
	return out
}
