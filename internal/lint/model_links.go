package lint

import (
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// links say what may hang on a table, by the table's key. They are looked up in the place of everything that there is: else what drops n
// tables, or deletes from them, would take n times n looks. Who asks looks again whether it is still so.
type links struct {
	tables  map[effects.Name][]effects.Name // those with a foreign key to it, and its partitions
	objects map[effects.Name][]objectKey    // triggers, policies, rules, and the sequences that its columns own
}

// adds says of a kind of effect that it may make a link. What takes away, or is about rows, does not.
func adds(kind effects.Kind) bool {
	switch kind {
	case effects.DropTable, effects.DropColumn, effects.DropConstraint, effects.Drop, effects.DropDefault, effects.DropNotNull,
		effects.Insert, effects.Update, effects.Delete, effects.Truncate, effects.Upsert, effects.Replace, effects.Merge, effects.Read, effects.Comment:
		return false
	}
	return true
}

// linked gives the links, made anew when something may have been added since.
func (m *Model) linked() *links {
	if m.links != nil {
		return m.links
	}
	l := &links{map[effects.Name][]effects.Name{}, map[effects.Name][]objectKey{}}
	for _, t := range m.allTables() {
		to := map[effects.Name]bool{}
		if t.PartitionOf.Name != "" {
			to[m.key(t.PartitionOf)] = true
		}
		for _, c := range t.Constraints {
			if c.Kind == "foreign key" {
				to[m.key(c.Parent)] = true
			}
		}
		for k := range to {
			l.tables[k] = append(l.tables[k], t.Name)
		}
	}
	for k, o := range m.allObjects() {
		for _, on := range slices.Compact([]effects.Name{o.Table, o.Owned}) {
			if on.Name != "" {
				l.objects[on] = append(l.objects[on], k)
			}
		}
	}
	m.links = l
	return l
}

// hangers are the tables with foreign keys to a table and its partitions, and perhaps some that no longer are.
func (m *Model) hangers(k effects.Name) []*Table {
	var out []*Table
	for _, n := range m.linked().tables[k] {
		if t := m.Table(n); t != nil {
			out = append(out, t)
		}
	}
	return out
}
