package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func renamesTable(p *Pass) {
	e := p.Effect
	if e.Kind != effects.RenameTable && e.Kind != effects.SetSchema || !p.existing(e.Table) {
		return
	}
	p.Report("table "+p.show(e.Table)+" becomes "+p.show(e.NewName)+": the previous release does not find it",
		"keep a view of the old name until that release is gone")
}

func renamesColumn(p *Pass) {
	e := p.Effect
	if e.Kind == effects.RenameColumn && len(e.Columns) > 0 && p.existingColumn(e.Table, e.Columns[0]) {
		p.Report("column "+p.show(e.Table)+"."+e.Columns[0]+" becomes "+e.NewName.Name+": the previous release does not find it",
			"add the new column, write both, and drop the old one in a later release")
	}
}

func requiresColumn(p *Pass) {
	e := p.Effect
	switch e.Kind {
	case effects.AddColumn:
		c := e.Column
		if c != nil && c.NotNull && !c.HasDefault && !c.Generated && !c.Identity && !c.Serial && p.existing(e.Table) {
			p.Report("column "+p.show(e.Table)+"."+c.Name+" is NOT NULL without a default: inserts of the previous release fail, and so does this where there are rows",
				"add it with a default, or nullable")
		}
	case effects.SetNotNull:
		for _, name := range e.Columns {
			if !p.existingColumn(e.Table, name) {
				continue
			}
			if c := p.Model.Table(e.Table).column(name); c == nil || !c.HasDefault && !c.Identity && !c.NotNull {
				p.Report("column "+p.show(e.Table)+"."+name+" becomes NOT NULL: inserts of the previous release that leave it out fail", "give it a default first")
			}
		}
	case effects.AlterColumnType:
		p.requiresByModify(e)
	}
}

// requiresByModify: MODIFY and CHANGE of MySQL say NOT NULL as part of the definition.
func (p *Pass) requiresByModify(e *effects.Effect) {
	if !p.Before.mysql() || e.Column == nil || !e.Column.NotNull || e.Column.HasDefault || e.Column.Serial || len(e.Columns) == 0 || !p.existingColumn(e.Table, e.Columns[0]) {
		return
	}
	if c := p.Model.Table(e.Table).column(e.Columns[0]); c != nil && !c.NotNull {
		p.Report("column "+p.show(e.Table)+"."+e.Columns[0]+" becomes NOT NULL: inserts of the previous release that leave it out fail", "give it a default first")
	}
}

func changesType(p *Pass) {
	from, to := p.oldType()
	if to == "" || sameType(p.Engine, strings.TrimSuffix(from, " binary"), strings.TrimSuffix(to, " binary")) || from != "" && widens(from, to) {
		return
	}
	was := ""
	if from != "" {
		was = " from " + from
	}
	p.Report("column "+p.show(p.Effect.Table)+"."+p.Effect.Columns[0]+" changes its type"+was+" to "+to+": the previous release may not read or write it",
		"add a column of the new type, write both, and drop the old one in a later release")
}

// widens: text that may be longer is the same to a program.
func widens(from, to string) bool {
	if !isText(from) || !isText(to) {
		return false
	}
	m, n := lengths(from), lengths(to)
	return len(n) == 0 && typeBase(to) != "character" || len(m) > 0 && len(n) > 0 && n[0] >= m[0] && typeBase(from) == typeBase(to)
}

func constrains(p *Pass) {
	e := p.Effect
	var kind string
	var columns []string
	switch {
	case e.Kind == effects.AddConstraint && e.Constraint != nil:
		kind, columns = e.Constraint.Kind, e.Constraint.Columns
		if e.Constraint.UsingIndex != "" || kind == "not null" || e.Constraint.NotEnforced {
			return
		}
	case e.Kind == effects.Create && e.Index != nil && e.Index.Unique:
		kind, columns = "unique index", e.Index.Columns
	default:
		return
	}
	if !p.existing(e.Table) || kind == "primary key" || p.onlyNew(e.Table, columns) || p.Model.object(p.Model.materialized(e.Table)) != nil { // nobody writes to one
		return
	}
	p.Report("the previous release may write what this "+kind+" on "+p.show(e.Table)+" forbids", "")
}

// onlyNew says whether the columns are all made by this migration and may be left out by older writers.
func (p *Pass) onlyNew(table effects.Name, columns []string) bool {
	for _, c := range columns {
		if p.existingColumn(table, c) {
			return false
		}
	}
	return len(columns) > 0
}

func dropsReadColumn(p *Pass) {
	if p.Effect.Kind != effects.DropColumn {
		return
	}
	for _, c := range p.Effect.Columns {
		if p.existingColumn(p.Effect.Table, c) {
			p.Report("the previous release may still read "+p.show(p.Effect.Table)+"."+c, "stop using it in one release, drop it in the next")
		}
	}
}

func changesSignatures(p *Pass) {
	for _, k := range sortedKeys(maps.All(p.Before.allTouched(p.After))) {
		switch k.kind {
		case "view", "materialized view", "function", "procedure":
		default:
			continue
		}
		b, a := p.Before.object(k), p.After.object(k)
		if b == nil || b.Doubt {
			continue
		}
		st := p.After.played.last[p.Before.objectEntity(k)]
		if st == nil {
			continue
		}
		switch {
		case a == nil:
			p.reportAt("up", st, p.Before.objectEntity(k)+" is no more what the previous release calls", "")
		case !a.Doubt && !p.Before.sameObject(b, a) && !replaces(p.Engine, a.SQL):
			p.reportAt("up", st, p.Before.objectEntity(k)+" is made anew with another definition, which the previous release may not expect", "")
		}
	}
}

// allTouched are the objects that a layer has its own version of.
func (m *Model) allTouched(layer *Model) map[objectKey]*Object {
	out := map[objectKey]*Object{}
	for k := range layer.objects {
		if o := m.object(k); o != nil {
			out[k] = o
		}
	}
	return out
}

func removesDefault(p *Pass) {
	e := p.Effect
	lost := e.Kind == effects.DropDefault || e.Kind == effects.AlterColumnType && p.Before.mysql() && e.Column != nil && !e.Column.HasDefault
	if !lost {
		return
	}
	for _, name := range e.Columns {
		if !p.existingColumn(e.Table, name) {
			continue
		}
		c := p.Model.Table(e.Table).column(name)
		if c == nil && e.Kind != effects.DropDefault || c != nil && (!c.HasDefault || strings.EqualFold(c.Default, "null")) {
			continue
		}
		if p.setAgain(e, name) {
			continue
		}
		p.Report("column "+p.show(e.Table)+"."+name+" loses its default, on which inserts of the previous release may rely", "")
	}
}

// setAgain: DROP DEFAULT, a type change and SET DEFAULT belong together.
func (p *Pass) setAgain(e *effects.Effect, name string) bool {
	for i := range p.Migration.Up {
		for _, o := range p.Migration.Up[i].Effects {
			if o.Kind == effects.SetDefault && p.Before.key(o.Table) == p.Before.key(e.Table) && slices.Contains(o.Columns, name) {
				return true
			}
		}
	}
	return false
}
