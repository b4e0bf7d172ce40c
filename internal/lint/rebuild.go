package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// rebuild is a table of SQLite that Up makes anew under its old name, the way in which most of a table is changed there. No single effect says what
// becomes of its columns: rules compare the table before with the one after.
type rebuild struct {
	before, after *Table
	at            *Statement // that gave the new table its name
}

// rebuilds are those of Up.
func (p *Pass) rebuilds() []rebuild {
	if p.Engine != effects.SQLite {
		return nil
	}
	var out []rebuild
	for k, a := range p.After.tables {
		b := p.Before.Table(k)
		if a == nil || b == nil || a == b || a.Origin.Name != "" || a.Partial || a.Doubt || b.Partial || b.Doubt {
			continue
		}
		if at := p.After.played.last[p.Before.tableEntity(k)]; at != nil {
			out = append(out, rebuild{b, a, at})
		}
	}
	slices.SortFunc(out, func(x, y rebuild) int { return strings.Compare(x.before.Name.String(), y.before.Name.String()) })
	return out
}

// rebuiltColumns asks about each column of a table that was made anew; after is nil for one that is gone.
func (p *Pass) rebuiltColumns(ask func(name string, before, after *Column) (message, fix string)) {
	for _, r := range p.rebuilds() {
		for i := range r.before.Columns {
			b := &r.before.Columns[i]
			if message, fix := ask(p.show(r.before.Name)+"."+b.Name, b, r.after.column(b.Name)); message != "" {
				p.reportAt("up", r.at, message, fix)
			}
		}
	}
}

func rebuiltWithout(p *Pass) {
	p.rebuiltColumns(func(name string, _, a *Column) (string, string) {
		if a == nil {
			return "drops column " + name + " and its values", ""
		}
		return "", ""
	})
}

func rebuiltWithoutRead(p *Pass) {
	p.rebuiltColumns(func(name string, _, a *Column) (string, string) {
		if a == nil {
			return "the previous release may still read " + name, "stop using it in one release, drop it in the next"
		}
		return "", ""
	})
}

func rebuiltNotNull(p *Pass) {
	p.rebuiltColumns(func(name string, b, a *Column) (string, string) {
		if a != nil && a.NotNull && !b.NotNull && !a.HasDefault && !a.Generated {
			return "column " + name + " becomes NOT NULL: inserts of the previous release that leave it out fail", "give it a default first"
		}
		return "", ""
	})
	for _, r := range p.rebuilds() {
		for i := range r.after.Columns {
			if c := &r.after.Columns[i]; r.before.column(c.Name) == nil && c.NotNull && !c.HasDefault && !c.Generated {
				p.reportAt("up", r.at, "column "+p.show(r.before.Name)+"."+c.Name+" is NOT NULL without a default: inserts of the previous release fail", "add it with a default, or nullable")
			}
		}
	}
}

func rebuiltType(p *Pass) {
	p.rebuiltColumns(func(name string, b, a *Column) (string, string) {
		if a == nil || affinity(a.Type) == affinity(b.Type) {
			return "", ""
		}
		return "column " + name + " changes its type from " + shown(b.Type) + " to " + shown(a.Type) + ": the previous release may not read or write it",
			"add a column of the new type, write both, and drop the old one in a later release"
	})
}

func rebuiltNarrower(p *Pass) {
	p.rebuiltColumns(func(name string, b, a *Column) (string, string) {
		if a == nil {
			return "", ""
		}
		from, to := affinity(b.Type), affinity(a.Type)
		if from == to || to == "blob" || to == "numeric" && from != "text" && from != "blob" || from == "integer" && to == "text" {
			return "", ""
		}
		return "values of " + name + " may come out otherwise: " + shown(b.Type) + " becomes " + shown(a.Type), ""
	})
}

func rebuiltDefault(p *Pass) {
	p.rebuiltColumns(func(name string, b, a *Column) (string, string) {
		if a != nil && b.HasDefault && !strings.EqualFold(b.Default, "null") && !a.HasDefault {
			return "column " + name + " loses its default, on which inserts of the previous release may rely", ""
		}
		return "", ""
	})
}

func rebuiltKey(p *Pass) {
	for _, r := range p.rebuilds() {
		if b, a := r.before.primary(), r.after.primary(); !slices.EqualFunc(b, a, strings.EqualFold) {
			p.reportAt("up", r.at, "the primary key of "+p.show(r.before.Name)+" changes", "")
		}
	}
}

// affinity is what SQLite makes of a type's name.
func affinity(t string) string {
	t = strings.ToLower(t)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(t, w) })
	}
	switch {
	case has("int"):
		return "integer"
	case has("char", "clob", "text"):
		return "text"
	case t == "", has("blob"):
		return "blob"
	case has("real", "floa", "doub"):
		return "real"
	}
	return "numeric"
}
