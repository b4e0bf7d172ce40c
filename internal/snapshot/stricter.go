package snapshot

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// stricter tells whether a table that Down has made may not take captured rows which the one of before took: it has a NOT NULL that they break, or another
// constraint more, or is still to get one, and no statement still to come needs them.
func (r *Restorer) stricter(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table, rest []effects.Statement) (bool, error) {
	if x.Shape == nil {
		return false, nil
	}
	had := slices.Concat(x.Shape.Keys, x.Shape.Unique)
	same := func(was, now string) bool {
		if i := slices.IndexFunc(x.Fields, func(f field) bool { return f.At == was }); i >= 0 {
			was = r.column(t, x.Fields[i].Name)
		}
		return r.s.sameName(was, now)
	}
	needed := r.needed(x.Home, rest)
	if !needed && r.Stricter != nil {
		if r.confined(x, rest) {
			return true, nil
		}
		if is, err := r.Stricter(ctx, tx, t.Name); is || err != nil {
			return is, err
		}
	}
	if !needed && slices.ContainsFunc(slices.Concat(t.Keys, t.Unique), func(k engine.Key) bool {
		return !slices.ContainsFunc(had, func(h engine.Key) bool { return slices.EqualFunc(h.Columns, k.Columns, same) })
	}) {
		return true, nil
	}
	g, err := r.aim(x, t, true)
	if err != nil {
		return false, err
	}
	return r.withoutAValue(ctx, tx, g)
}

// withoutAValue tells whether rows of a capture have no value where their table takes, for now, none without.
func (r *Restorer) withoutAValue(ctx context.Context, tx engine.Querier, g *target) (bool, error) {
	var null []string
	for i := range g.x.Fields {
		if g.nullNoMore(i) {
			null = append(null, "d."+g.x.v(i)+" IS NULL")
		}
	}
	if len(null) == 0 {
		return false, nil
	}
	n, err := number(ctx, tx, "look for rows without a value", fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", r.source(g.x), all(either(null), g.x.inserted(false))))
	return n > 0, err
}

// madeAgain tells whether the table of a capture was dropped, and is there only because this run has made it.
func (r *Restorer) madeAgain(x *restoring, t *engine.Table) bool {
	return r.NoPlace(x.Home) != nil && identity(t) != x.table && r.made(t, nil)
}

// strictParents tells the same of the tables that captured rows point to: those go back ahead of them.
func (r *Restorer) strictParents(ctx context.Context, tx engine.Querier, x *restoring, rest []effects.Statement) (bool, error) {
	for _, y := range r.parents(x, nil, rest) {
		t, err := r.inspect(ctx, tx, y.Home)
		if err != nil {
			return false, err
		}
		if t == nil || y.placed || !r.madeAgain(y, t) {
			continue
		}
		if is, err := r.stricter(ctx, tx, y, t, rest); is || err != nil {
			return is, err
		}
	}
	return false, nil
}

// Wanted tells whether rows of a table that was dropped, and made anew, are still out and may be needed by one of some statements: they go in ahead of it, unless
// it may insert into the table.
func (r *Restorer) Wanted(n engine.Name, rest []effects.Statement) bool {
	return slices.ContainsFunc(r.captures, func(x *restoring) bool { return x.drops(n) && !x.placed }) && r.needed(n, rest) && !r.insertedInto(n, rest)
}

// needed tells whether one of some statements may need the rows of a table that was made anew: one that only puts the table itself under constraints does not.
func (r *Restorer) needed(n engine.Name, rest []effects.Statement) bool {
	word := regexp.MustCompile(`(?i)(^|[^\w$])` + regexp.QuoteMeta(n.Name) + `($|[^\w$])`)
	return slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return r.reads(n, st) && (st.Opaque() || word.MatchString(st.SQL)) &&
			slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return !confines(e) || !r.s.sameName(e.Table.Name, n.Name) })
	})
}

// confines tells whether an effect says nothing but what rows a table may have.
func confines(e effects.Effect) bool {
	switch e.Kind {
	case effects.SetNotNull, effects.DropNotNull, effects.AddConstraint, effects.ValidateConstraint, effects.DropConstraint, effects.AlterColumnType, effects.AddColumn:
		return true
	case effects.Create, effects.Drop:
		return e.Object.Kind == "index"
	}
	return false
}

// confined tells whether a statement still to come puts a table under a constraint that it did not have when it was captured, as far as the statement tells.
func (r *Restorer) confined(x *restoring, rest []effects.Statement) bool {
	same := func(a, b []string) bool { return slices.EqualFunc(a, b, r.s.sameName) }
	unique := func(columns []string) bool {
		return slices.ContainsFunc(slices.Concat(x.Shape.Keys, x.Shape.Unique), func(k engine.Key) bool { return same(k.Columns, columns) })
	}
	return slices.ContainsFunc(rest, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			if !r.s.sameName(e.Table.Name, x.Home.Name) {
				return false
			}
			switch e.Kind {
			case effects.SetNotNull, effects.AlterColumnType:
				return slices.ContainsFunc(e.Columns, func(n string) bool {
					i := columnIndex(x.Shape, r.column(x.Shape, n))
					return i >= 0 && !x.Shape.Columns[i].NotNull && (e.Kind == effects.SetNotNull || e.Column != nil && e.Column.NotNull)
				})
			case effects.AddConstraint:
				switch c := e.Constraint; {
				case c == nil || c.Kind == "check" || c.Kind == "exclude":
					return true
				case c.Kind == "unique", c.Kind == "primary key":
					return c.UsingIndex == "" && !unique(c.Columns)
				case c.Kind == "foreign key":
					return !slices.ContainsFunc(x.Shape.ForeignKeys, func(fk engine.ForeignKey) bool {
						return same(fk.Columns, c.Columns) && r.s.sameName(fk.Parent.Name, c.Parent.Name)
					})
				}
			case effects.Create:
				return e.Index != nil && e.Index.Unique && (e.Index.Where != "" || e.Index.Expressions || !unique(e.Index.Columns))
			}
			return false
		})
	})
}
