package snapshot

import (
	"context"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Layered tells whether values of a column that a statement gives another type were captured more than once under another type than the one of now: then what was
// captured under this one is not what the rows are to have in the end, and put back ahead of the statement (see Settle) it would be taken for somebody else's.
func (r *Restorer) Layered(ctx context.Context, q engine.Querier, st effects.Statement) (bool, error) {
	n := map[string]int{}
	for _, x := range r.tables() {
		t, err := r.inspect(ctx, q, x.Home)
		if err != nil {
			return false, err
		}
		if t == nil || x.Rows == 0 || x.Bystander {
			continue
		}
		for _, f := range x.Fields {
			at := r.column(t, f.Name)
			j := columnIndex(t, at)
			if j < 0 || f.Type == r.s.typed(t.Columns[j]) || !retypes(st, t.Name, at, r.s.sameName) {
				continue
			}
			if n[t.Name.String()+"."+at]++; n[t.Name.String()+"."+at] > 1 {
				return true, nil
			}
		}
	}
	return false, nil
}

// retypes tells whether a statement may change the type of a column.
func retypes(st effects.Statement, t engine.Name, column string, same func(a, b string) bool) bool {
	for _, e := range st.Effects {
		if e.Kind != effects.AlterColumnType || !same(e.Table.Name, t.Name) {
			continue
		}
		for _, n := range e.Columns {
			if same(n, column) {
				return true
			}
		}
	}
	return false
}
