package verify

import (
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// maker makes rows of one table.
type maker struct {
	p       *populating
	t       *fillTable
	parents map[string][]parentRow
	first   row // which rows of a table that refers to itself may refer to
}

// row makes the i-th row. How often it was varied decides how: at first every column has a value of its own; then
// values are drawn in other combinations, and every third time only the columns that must have a value get one.
func (m *maker) row(i, variation int) row {
	r := row{}
	bare := variation%3 == 2
	for _, c := range m.t.columns {
		if c.Generated {
			continue
		}
		s := seed(m.t.Name, c.Name, i, variation)
		optional := !c.NotNull && !c.integerKey
		switch {
		case bare && c.Default != "" && !c.unique && c.Identity == "":
			continue // the default may be the only value that goes with the others
		case bare && optional:
			r[c.Name] = nil
		case optional && s%6 == 5:
			r[c.Name] = nil
		default:
			r[c.Name] = c.make(i, variation, m.p.o.Tame)
		}
	}
	m.refer(r, i, variation, bare)
	return r
}

// like is a row that has of r what must be its own, its keys and parents, and the rest of a row that was taken.
func (m *maker) like(good, r row) row {
	out := row{}
	for _, c := range m.t.columns {
		own := c.unique || c.integerKey
		for _, fk := range m.t.ForeignKeys {
			own = own || containsName(fk.Columns, c.Name)
		}
		from := good
		if v, ok := r[c.Name]; own && ok && (v != nil || good[c.Name] == nil) {
			from = r
		}
		if v, ok := from[c.Name]; ok {
			out[c.Name] = v
		}
	}
	return out
}

// refer sets the columns of foreign keys to those of a parent's row. A column that two foreign keys share has the value of the
// first, and the second looks for a parent that has it, too.
func (m *maker) refer(r row, i, variation int, bare bool) {
	set := map[string]any{}
	for _, fk := range m.t.ForeignKeys {
		null := func() {
			for _, name := range fk.Columns {
				if _, fixed := set[name]; !fixed && m.nullable(name) {
					r[name] = nil
				}
			}
		}
		if fk.Parent == m.t.Name {
			m.self(r, fk, i)
			continue
		}
		parents := m.parents[fk.Name+strings.Join(fk.Columns, ",")]
		if len(parents) == 0 || bare && m.allNullable(fk.Columns) || m.allNullable(fk.Columns) && seed(m.t.Name, fk.Columns, i, variation)%6 == 5 {
			null()
			continue
		}
		chosen := -1
		for k := range parents {
			at := (i + variation*5 + k) % len(parents)
			fits := true
			for j, name := range fk.Columns {
				if v, fixed := set[name]; fixed && fmt.Sprint(v) != fmt.Sprint(parents[at][j]) {
					fits = false
				}
			}
			if fits {
				chosen = at
				break
			}
		}
		if chosen < 0 {
			null()
			continue
		}
		for j, name := range fk.Columns {
			set[name] = parents[chosen][j]
			r[name] = parents[chosen][j]
		}
	}
}

// self lets a row refer to an earlier one of the same statement, or to nothing: where it may not be NULL, to itself.
func (m *maker) self(r row, fk engine.ForeignKey, i int) {
	for j, name := range fk.Columns {
		switch {
		case m.allNullable(fk.Columns):
			r[name] = nil
			if m.first != nil && i%2 == 1 {
				r[name] = m.first[fk.ParentColumns[j]]
			}
		default:
			r[name] = r[fk.ParentColumns[j]]
		}
	}
}

func (m *maker) nullable(name string) bool { return m.t.nullable(name) }

func (m *maker) allNullable(names []string) bool { return m.t.allNullable(names) }

func (t *fillTable) nullable(name string) bool {
	for _, c := range t.columns {
		if c.Name == name {
			return !c.NotNull && !c.integerKey
		}
	}
	return false
}

func (t *fillTable) allNullable(names []string) bool {
	for _, n := range names {
		if !t.nullable(n) {
			return false
		}
	}
	return true
}
