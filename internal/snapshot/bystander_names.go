package snapshot

import (
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A Down that gives a table or a column its old name back goes on to write it under that one. At the end of Up it is looked for under the name that it has there.

// calledNow gives statements by the names that tables and columns have ahead of the first of them: those that they give on their way are followed back. Effects on
// tables that they make themselves are left out, and so are the renamings. A predicate that speaks of columns by other names than now is one that cannot be asked.
func (s *Store) calledNow(list []effects.Statement) []effects.Statement {
	out := slices.Clone(list)
	var before []effects.Effect
	for i, st := range list {
		var now []effects.Effect
		for _, e := range st.Effects {
			if f, there := s.followedBack(e, before); there && !renames(e) {
				now = append(now, f)
			}
			if renames(e) || e.Kind == effects.CreateTable {
				before = append(before, e)
			}
		}
		out[i].Effects = now
	}
	return out
}

// renames tells whether an effect gives a table or a column another name.
func renames(e effects.Effect) bool {
	return e.Kind == effects.RenameTable || e.Kind == effects.RenameColumn || e.Kind == effects.SetSchema
}

// followedBack gives an effect by the names from before others; there is false when its table is made by one of them.
func (s *Store) followedBack(e effects.Effect, before []effects.Effect) (_ effects.Effect, there bool) {
	if e.Table.Name == "" {
		return e, true
	}
	was := e.Table
	e.Columns, e.Reads = slices.Clone(e.Columns), slices.Clone(e.Reads)
	for _, b := range slices.Backward(before) {
		same := func(n effects.Name) bool {
			return s.sameName(n.Name, e.Table.Name) && (n.Schema == "" || e.Table.Schema == "" || s.sameName(n.Schema, e.Table.Schema))
		}
		switch {
		case b.Kind == effects.CreateTable && !b.IfExists && same(b.Table):
			return e, false
		case b.Kind == effects.RenameTable && same(b.NewName):
			e.Table = b.Table
		case b.Kind == effects.SetSchema && b.Table.Name != "" && s.sameName(b.Table.Name, e.Table.Name):
			e.Table = b.Table
		case b.Kind == effects.RenameColumn && same(b.Table) && len(b.Columns) == 1:
			for j, c := range e.Columns {
				if s.sameName(c, b.NewName.Name) {
					e.Columns[j] = b.Columns[0]
				}
			}
			if slices.ContainsFunc(e.Reads, func(c string) bool { return s.sameName(c, b.NewName.Name) }) {
				e.Reads = nil
			}
		}
	}
	if e.Alias == "" && e.Table != was { // the predicate may have it
		e.Alias = was.Name
	}
	return e, true
}

// calledThen gives the names that a table and some of its columns have behind statements.
func (s *Store) calledThen(table engine.Name, columns []string, list []effects.Statement) (engine.Name, []string) {
	columns = slices.Clone(columns)
	for _, st := range list {
		for _, e := range st.Effects {
			if !s.sameName(e.Table.Name, table.Name) || e.Table.Schema != "" && table.Schema != "" && !s.sameName(e.Table.Schema, table.Schema) {
				continue
			}
			switch e.Kind {
			case effects.RenameTable:
				table.Name = e.NewName.Name
			case effects.SetSchema:
				table.Schema = e.NewName.Schema
			case effects.RenameColumn:
				for i, c := range columns {
					if len(e.Columns) == 1 && s.sameName(c, e.Columns[0]) {
						columns[i] = e.NewName.Name
					}
				}
			}
		}
	}
	return table, columns
}

// calledFirst gives the name that a table, which has one behind statements, had ahead of them; there is false when they make it.
func (s *Store) calledFirst(table engine.Name, list []effects.Statement) (_ engine.Name, there bool) {
	var before []effects.Effect
	for _, st := range list {
		before = append(before, st.Effects...)
	}
	e, there := s.followedBack(effects.Effect{Table: effects.Name(table)}, before)
	return engine.Name(e.Table), there
}
