package migrate

import (
	"context"
	"errors"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// reach is what of a schema a migration can change, up and down. A whole schema's fingerprint grows with the schema, and would
// make the work grow with the square of the number of migrations.
//
// It may be narrower than that of a rollback: both directions are looked at together, so that what depends on a renamed
// column is as it was when the column is. A trial that finds a difference is made again with everything.
func (p *prover) reach(ctx context.Context, s stage, m *Migration) (reach, error) {
	stmts := slices.Concat(m.Up, m.Down)
	if p.watched || !p.o.Scratch.Copies() || slices.ContainsFunc(stmts, setsSession) {
		return everything, nil
	}
	db, q := s.session()
	f := finder{db: db, q: q, seen: p.seen, made: map[string]bool{}, indexes: map[string]engine.Name{}}
	f.announce(stmts)
	for _, st := range stmts {
		for _, e := range st.Effects {
			if err := f.effect(ctx, e); err != nil {
				return reach{}, err
			}
			if f.r.all {
				return everything, nil
			}
		}
	}
	return f.r, nil
}

// setsSession: names may mean something else within the migration than to us.
func setsSession(st Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session })
}

// finder widens a reach effect by effect.
type finder struct {
	db      *engine.DB
	q       engine.Querier
	seen    engine.Seen
	r       reach
	made    map[string]bool        // local names of the tables that the migration makes
	indexes map[string]engine.Name // tables of the indexes that it makes, by their local names
}

// announce notes what later statements, and Down, may name though it is not there yet.
func (f *finder) announce(stmts []Statement) {
	for _, st := range stmts {
		for _, e := range st.Effects {
			switch {
			case e.Kind == effects.CreateTable:
				f.made[e.Table.Name] = true
			case e.Kind == effects.RenameTable, e.Kind == effects.SetSchema && e.Table.Name != "":
				f.made[e.NewName.Name] = true
			case e.Kind == effects.Create && e.Object.Kind == "index":
				f.indexes[e.Object.Name.Name] = engine.Name(e.Table)
			}
		}
	}
}

// apart are the objects that no table's definition changes with: whoever uses one keeps it from being dropped, and shows the
// change of its name only while the name is another one.
var apart = map[string]bool{
	"function": true, "procedure": true, "aggregate": true, "type": true, "enum": true, "domain": true, "sequence": true, "schema": true, "extension": true,
}

func (f *finder) effect(ctx context.Context, e effects.Effect) error {
	name := engine.Name(e.Object.Name)
	byName := verify.ByName(f.db)
	switch {
	case harmless[e.Kind]:
	case e.Cascade, e.Kind == effects.Opaque:
		f.r.all = true
	case e.Kind == effects.CreateTable && e.Define != nil && (e.Define.PartitionOf.Name != "" || len(e.Define.Inherits) > 0 || e.Define.Partitioned):
		f.r.all = true
	case e.Kind == effects.Create && e.Object.Kind == "index":
		return f.table(ctx, engine.Name(e.Table))
	case e.Kind == effects.Drop && e.Object.Kind == "index":
		return f.index(ctx, engine.Name(e.Table), name)
	case e.Table.Name != "" && confined[e.Kind], byName && hung(e):
		return f.table(ctx, engine.Name(e.Table))
	case byName && e.Table.Name != "" && (e.Kind == effects.RenameColumn || e.Kind == effects.RenameTable || e.Kind == effects.SetSchema):
		if e.Kind != effects.RenameColumn {
			f.r.add(engine.Name(e.NewName))
		}
		return f.table(ctx, engine.Name(e.Table))
	case byName && e.Kind == effects.Grant && e.Table.Name != "":
		return f.table(ctx, engine.Name(e.Table))
	case byName && e.Table.Name == "" && (e.Object.Kind == "view" || e.Object.Kind == "materialized view") &&
		(e.Kind == effects.Create || e.Kind == effects.Drop || e.Kind == effects.Comment):
		f.r.add(name) // found by its name, with the views over it
	case byName && e.Table.Name == "" && apart[e.Object.Kind] && slices.Contains([]effects.Kind{effects.Create, effects.Alter, effects.Drop, effects.DropSchema,
		effects.Rename, effects.SetSchema, effects.Comment, effects.Grant}, e.Kind):
		f.r.others = true
	default:
		f.r.all = true
	}
	return nil
}

// table adds a table. What is done to a parent or a heir is done to others, too, and a name that is no table's may be a
// sequence's, an index's, a view's.
func (f *finder) table(ctx context.Context, n engine.Name) error {
	if slices.Contains(f.r.names, n) {
		return nil
	}
	t, err := f.seen.Inspect(ctx, f.db, f.q, n)
	switch {
	case errors.Is(err, engine.ErrNoTable):
		f.r.all = !f.made[n.Name]
	case err != nil:
		return err
	case t.Kind != "table" || len(t.Children) > 0 || t.Parent.Name != "":
		f.r.all = true
	}
	f.r.add(n)
	return nil
}

// index adds the table of an index that is dropped by its own name.
func (f *finder) index(ctx context.Context, table, name engine.Name) error {
	if table.Name != "" {
		return f.table(ctx, table)
	}
	found := false
	if n, ok := f.indexes[name.Name]; ok {
		found = true
		if err := f.table(ctx, n); err != nil {
			return err
		}
	}
	n, err := f.db.IndexTable(ctx, f.q, name) // there may be one of that name already
	if errors.Is(err, engine.ErrNoTable) {
		f.r.all = f.r.all || !found
		return nil
	}
	if err != nil {
		return err
	}
	return f.table(ctx, n)
}
