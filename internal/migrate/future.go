package migrate

import (
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// tables are what the names of tables mean by the time a statement of a plan runs, where earlier ones have changed that: a plan can look at nothing but
// what is there before all of them.
type tables struct {
	places map[effects.Name]place
	fold   bool // the engine takes names in other letters for the same
}

// place is a table under a name that earlier statements gave it. The zero place is one that they made, or no table any more: nothing of anyone's is in it.
type place struct {
	was     effects.Name      // the table that is there now
	perhaps bool              // one of the same name, which is made only where it is missing
	columns map[string]string // of it, by the names that they have by then; "" for one that is made
}

func (m *Migrator) tables() tables {
	return tables{places: map[effects.Name]place{}, fold: !m.db.Caps.Schemas}
}

// then gives the other name that a table of now has by then; "" when it has none.
func (t tables) then(n engine.Name) string {
	for k, p := range t.places {
		if p.was.Name != "" && t.letters(p.was.Name) == t.letters(n.Name) && (p.was.Schema == "" || p.was.Schema == n.Schema) && k != p.was {
			return k.String()
		}
	}
	return ""
}

// at gives what a name means; false when it means what it means now.
func (t tables) at(n effects.Name) (effects.Name, place, bool) {
	if p, ok := t.places[n]; ok {
		return n, p, true
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.places), func(a, b effects.Name) int { return strings.Compare(a.String(), b.String()) }) {
		if t.letters(k.Name) == t.letters(n.Name) && (k.Schema == "" || n.Schema == "" || t.letters(k.Schema) == t.letters(n.Schema)) { // without a schema, it may be the same
			return k, t.places[k], true
		}
	}
	return n, place{}, false
}

// letters is a name as it is compared.
func (t tables) letters(name string) string {
	if t.fold {
		return strings.ToLower(name)
	}
	return name
}

// has tells whether a table is of the run's own making, or may be.
func (t tables) has(n effects.Name) bool {
	_, p, known := t.at(n)
	return known && (p.was.Name == "" || p.perhaps)
}

// finds tells whether an effect is about anything that the run did not make.
func (t tables) finds(e effects.Effect) bool {
	_, there := t.effect(e)
	return there && (e.Table.Name == "" || !t.has(e.Table))
}

// now gives the name under which a table is to be looked at.
func (t tables) now(n effects.Name) effects.Name {
	if _, p, known := t.at(n); known && p.was.Name != "" {
		return p.was
	}
	return n
}

// effect gives an effect by the names of now; false when it is about a table that is not there.
func (t tables) effect(e effects.Effect) (effects.Effect, bool) {
	if e.Table.Name == "" {
		return e, true
	}
	_, p, known := t.at(e.Table)
	if !known {
		return e, true
	}
	if p.was.Name == "" {
		return e, false
	}
	e.Table = p.was
	if len(p.columns) > 0 && len(e.Columns) > 0 {
		var columns []string
		for _, c := range e.Columns {
			was, renamed := p.columns[t.letters(c)]
			switch {
			case !renamed:
				columns = append(columns, c)
			case was != "":
				columns = append(columns, was)
			}
		}
		if len(columns) == 0 { // nothing but columns that the run makes
			return e, false
		}
		e.Columns = columns
	}
	return e, true
}

// follow goes on to what stands behind a statement; ran: it was tried, and tables have the names that it gave them.
func (t tables) follow(st effects.Statement, ran bool) {
	for _, e := range st.Effects {
		key, p, known := t.at(e.Table)
		switch e.Kind {
		case effects.CreateTable:
			switch {
			case known && e.IfExists:
			case e.IfExists: // it may be there
				t.places[e.Table] = place{was: e.Table, perhaps: true}
			default:
				t.places[e.Table] = place{}
			}
		case effects.RenameTable, effects.SetSchema:
			if !known {
				p = place{was: e.Table}
			}
			n := e.NewName
			if e.Kind == effects.SetSchema {
				n.Name = e.Table.Name
			} else if n.Schema == "" {
				n.Schema = e.Table.Schema
			}
			if ran && p.was.Name != "" {
				p = place{was: n, columns: p.columns}
			}
			t.places[key] = place{}
			t.places[n] = p
		case effects.DropTable:
			t.places[key] = place{}
		case effects.RenameColumn, effects.AddColumn:
			if len(e.Columns) == 0 || known && p.was.Name == "" || ran && e.Kind == effects.RenameColumn {
				continue
			}
			if !known {
				p.was = e.Table
			}
			p.columns = maps.Clone(p.columns)
			if p.columns == nil {
				p.columns = map[string]string{}
			}
			for _, c := range e.Columns {
				if e.Kind == effects.AddColumn {
					p.columns[t.letters(c)] = ""
					continue
				}
				was, renamed := p.columns[t.letters(c)]
				if !renamed {
					was = c
				}
				p.columns[t.letters(c)], p.columns[t.letters(e.NewName.Name)] = "", was
			}
			t.places[key] = p
		}
	}
}
