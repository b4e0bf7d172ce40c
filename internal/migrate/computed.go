package migrate

import (
	"context"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// watch lists, per table, the columns from which the opposite direction computes values: a row in which they have
// changed since is a conflict for the columns that it computes.
func (w *work) watch(ctx context.Context, tx engine.Querier) snapshot.Watch {
	out := snapshot.Watch{}
	for _, c := range computations(w.mig.statements(w.r.dir.opposite())) {
		var seen []engine.Name
		for _, name := range c.tables {
			n, err := w.r.m.db.Resolve(ctx, tx, engine.Name(name))
			if err != nil { // the opposite direction makes the table itself, or the statement at hand is about to name one so
				n = engine.Name(name)
			}
			if slices.Contains(seen, n) {
				continue
			}
			seen = append(seen, n)
			out[n.String()] = append(out[n.String()], c.Computed)
		}
	}
	return out
}

// computation is what one statement works out of rows that are there.
type computation struct {
	tables            []effects.Name // from which it reads, as they may be called before the first statement
	snapshot.Computed                // reads as columns may be called before the first statement, the rest as after the last
}

// computations lists them. Statements rename tables and columns on their way: a name is followed back to the beginning and on to the
// end, and where it may be one of several, it is all of them.
func computations(stmts []Statement) []computation {
	var out []computation
	for i, st := range stmts {
		for _, e := range st.Effects {
			for _, c := range computedBy(e, stmts[:i]) {
				for _, before := range slices.Backward(stmts[:i]) {
					for _, r := range slices.Backward(before.Effects) {
						c.back(r)
					}
				}
				for _, after := range stmts[i+1:] {
					for _, r := range after.Effects {
						c.on(r)
					}
				}
				out = append(out, c)
			}
		}
	}
	return out
}

// computedBy lists what one effect works out, by the names of its moment.
func computedBy(e effects.Effect, before []Statement) []computation {
	switch e.Kind {
	case effects.Update, effects.Merge, effects.Upsert:
		c := computation{tables: []effects.Name{e.Table}}
		c.Reads, c.Sets = slices.Clone(e.Reads), slices.Clone(e.Columns)
		if e.Reads == nil {
			c.Reads = []string{"*"}
		}
		return []computation{c}
	case effects.Insert:
		if len(e.Sources) == 0 {
			return nil
		}
		columns := e.Columns
		if len(columns) == 0 {
			columns = defined(e.Table, before)
		}
		into := []string{e.Table.Name}
		if e.Fills == nil || len(columns) < len(e.Fills) {
			return []computation{{slices.Clone(e.Sources), snapshot.Computed{Reads: []string{"*"}, Sets: slices.Clone(columns), Into: into}}}
		}
		var out []computation
		for i, f := range e.Fills {
			if len(f.Reads) > 0 {
				out = append(out, computation{slices.Clone(e.Sources), snapshot.Computed{Reads: slices.Clone(f.Reads), Sets: []string{columns[i]}, Into: slices.Clone(into)}})
			}
		}
		return out
	}
	return nil
}

// defined gives the columns of a table that a statement made.
func defined(table effects.Name, stmts []Statement) []string {
	for _, st := range slices.Backward(stmts) {
		for _, e := range st.Effects {
			if e.Kind != effects.CreateTable || e.Define == nil || !strings.EqualFold(e.Table.Name, table.Name) {
				continue
			}
			var out []string
			for _, c := range e.Define.Columns {
				out = append(out, c.Name)
			}
			return out
		}
	}
	return nil
}

// back adds the names from before a renaming.
func (c *computation) back(e effects.Effect) {
	called := func(name string) bool {
		return slices.ContainsFunc(c.tables, func(n effects.Name) bool { return strings.EqualFold(n.Name, name) })
	}
	switch {
	case e.Kind == effects.RenameTable && called(e.NewName.Name), e.Kind == effects.SetSchema && e.Table.Name != "" && called(e.Table.Name):
		c.tables = append(c.tables, e.Table)
	case e.Kind == effects.RenameColumn && slices.ContainsFunc(c.Reads, same(e.NewName.Name)):
		c.Reads = append(c.Reads, e.Columns[0])
	}
}

// on adds the names from after a renaming.
func (c *computation) on(e effects.Effect) {
	switch {
	case e.Kind == effects.RenameColumn && slices.ContainsFunc(c.Sets, same(e.Columns[0])):
		c.Sets = append(c.Sets, e.NewName.Name)
	case e.Kind == effects.RenameTable && slices.ContainsFunc(c.Into, same(e.Table.Name)):
		c.Into = append(c.Into, e.NewName.Name)
	}
}

func same(name string) func(string) bool {
	return func(other string) bool { return strings.EqualFold(name, other) }
}
