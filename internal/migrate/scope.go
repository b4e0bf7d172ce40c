package migrate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// reach is what the statements of one direction can change: some tables, or anything. A fingerprint of a
// whole schema would cost more than most migrations, so it is taken only where the text does not bound the reach.
type reach struct {
	all    bool
	names  []engine.Name // as the text spells them; Schema "" = search path
	others bool          // what is no table's, too
	bare   *verify.Bare  // not nil: of the tables nothing but their own definition; see lean.go
}

// confined are the kinds that change nothing but their table and what hangs on it.
var confined = map[effects.Kind]bool{
	effects.CreateTable: true, effects.DropTable: true, effects.Truncate: true, effects.AddColumn: true, effects.DropColumn: true,
	effects.AlterColumnType: true, effects.SetDefault: true, effects.DropDefault: true, effects.SetNotNull: true,
	effects.DropNotNull: true, effects.AlterColumn: true, effects.AddConstraint: true, effects.DropConstraint: true,
	effects.ValidateConstraint: true, effects.AlterTable: true, effects.Insert: true, effects.Update: true, effects.Delete: true,
	effects.Upsert: true, effects.Replace: true, effects.Merge: true,
}

// harmless kinds change no definition.
var harmless = map[effects.Kind]bool{effects.Session: true, effects.Read: true, effects.External: true, effects.Maintenance: true}

// reachOf says what statements can change. hanging: the engine finds what hangs on a table, and views by their names, when
// it is asked about those alone.
func reachOf(stmts []Statement, hanging bool) reach {
	var r reach
	for _, st := range stmts {
		if setsSearchPath(st) { // before it, names mean other tables
			r.all = true
		}
		for _, e := range st.Effects {
			switch {
			case harmless[e.Kind]:
			case hanging && !e.Cascade && hung(e):
				r.add(engine.Name(e.Table))
			case hanging && !e.Cascade && e.Table.Name == "" && (e.Object.Kind == "view" || e.Object.Kind == "materialized view") &&
				(e.Kind == effects.Create || e.Kind == effects.Drop || e.Kind == effects.Comment):
				r.add(engine.Name(e.Object.Name)) // found by its name, with the views over it
			case e.Cascade || e.Table.Name == "":
				r.all = true
			case confined[e.Kind], e.Kind == effects.Create && e.Object.Kind == "index":
				r.add(engine.Name(e.Table))
			default:
				r.all = true
			}
		}
	}
	return r
}

// hung tells whether an effect is about something that hangs on a table. Not so a GRANT: what it names as a table may be a
// sequence.
func hung(e effects.Effect) bool {
	if e.Table.Name == "" {
		return false
	}
	switch e.Kind {
	case effects.Comment:
		return slices.Contains([]string{"", "column", "constraint", "trigger", "policy", "rule"}, e.Object.Kind)
	case effects.Create, effects.Drop:
		return slices.Contains([]string{"trigger", "policy", "rule"}, e.Object.Kind)
	}
	return false
}

func (r *reach) add(n engine.Name) {
	if !slices.Contains(r.names, n) {
		r.names = append(r.names, n)
	}
}

// with widens the reach to the objects that recorded changes are about.
func (r reach) with(ch changes) reach {
	for _, c := range ch {
		o := c.object()
		if o.Table.Name == "" || o.Kind == "view" || o.Kind == "materialized view" {
			r.all = true // found by name alone, not through a table
			continue
		}
		r.add(o.Table)
	}
	return r
}

// take fingerprints what the reach covers as it is now; names that do not exist (yet, or any more) are left out.
func (r reach) take(ctx context.Context, db *engine.DB, q engine.Querier) (verify.Fingerprint, error) {
	return r.takeBy(ctx, db, q, func(ctx context.Context, q engine.Querier, s verify.Scope) (verify.Fingerprint, error) {
		return verify.Take(ctx, db, q, s)
	})
}

// takeBy does the same by way of, say, a verify.Memory.
func (r reach) takeBy(ctx context.Context, db *engine.DB, q engine.Querier, take func(context.Context, engine.Querier, verify.Scope) (verify.Fingerprint, error)) (verify.Fingerprint, error) {
	if r.all {
		return take(ctx, q, verify.Scope{})
	}
	if r.bare != nil {
		return take(ctx, q, verify.Scope{Tables: r.names, Bare: r.bare})
	}
	var tables []engine.Name
	for _, n := range r.names {
		resolved, err := db.Resolve(ctx, q, n)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(resolved.Schema, "pg_temp") {
			continue // gone before anybody looks again
		}
		if !slices.Contains(tables, resolved) {
			tables = append(tables, resolved)
		}
	}
	if len(tables) == 0 && !r.others {
		return verify.Fingerprint{}, nil
	}
	return take(ctx, q, verify.Scope{Tables: tables, Others: r.others})
}

// changed lists what differs between two fingerprints of the same reach.
func changed(before, after verify.Fingerprint) changes {
	out, recast := changes{}, verify.Recast(before, after)
	for k, b := range before {
		if a, ok := after[k]; !ok {
			out[k] = change{Before: &b}
		} else if a.Definition != b.Definition || a.Position != b.Position || recast[k] {
			out[k] = change{Before: &b, After: &a}
		}
	}
	for k, a := range after {
		if _, ok := before[k]; !ok {
			out[k] = change{After: &a}
		}
	}
	return out
}

// side gives the fingerprint of the changed objects before or after the change.
func (ch changes) side(after bool) verify.Fingerprint {
	out := verify.Fingerprint{}
	for k, c := range ch {
		o := c.Before
		if after {
			o = c.After
		}
		if o != nil {
			out[k] = *o
		}
	}
	return out
}

// among keeps the objects of a fingerprint that were changed, and those that stand for the ones of before or after the change.
func (ch changes) among(f verify.Fingerprint, after bool) verify.Fingerprint {
	out := ch.only(f)
	maps.Copy(out, ch.standIns(f, after))
	return out
}

// only keeps the objects of a fingerprint that were changed.
func (ch changes) only(f verify.Fingerprint) verify.Fingerprint {
	out := verify.Fingerprint{}
	for k := range ch {
		if o, ok := f[k]; ok {
			out[k] = o
		}
	}
	return out
}

// standIns finds objects that are those of before or after the change, but for a name that the engine made up: the rollback of a
// later migration has made them anew.
func (ch changes) standIns(f verify.Fingerprint, after bool) verify.Fingerprint {
	out := verify.Fingerprint{}
	for k, was := range ch.side(after) {
		if _, there := f[k]; there {
			continue
		}
		for name, o := range f {
			_, known := ch[name]
			if _, taken := out[name]; !known && !taken && verify.SameButName(was, o) {
				out[name] = o
				break
			}
		}
	}
	return out
}

// destroyed lists the objects whose old definition is gone.
func (ch changes) destroyed() []verify.Object {
	var out []verify.Object
	for _, c := range ch {
		if c.Before != nil && (c.After == nil || c.After.Definition != c.Before.Definition) {
			out = append(out, *c.Before)
		}
	}
	slices.SortFunc(out, func(a, b verify.Object) int {
		if a.Rank != b.Rank {
			return a.Rank - b.Rank
		}
		if a.Key() < b.Key() {
			return -1
		}
		return 1
	})
	return out
}

// expected is the fingerprint that undoing undo must lead to, over the objects that either the undone run or
// the undoing one changed: what stood before the undone run, and for the rest what stood before the undoing one.
func expected(undo changes, start, end verify.Fingerprint) (want, have verify.Fingerprint) {
	touched := changed(start, end)
	want, have = undo.side(false), undo.only(end)
	others := undo.standIns(start, true)
	for k := range touched {
		if _, ok := undo[k]; ok {
			continue
		}
		if _, ok := others[k]; ok {
			continue
		}
		if o, ok := start[k]; ok {
			want[k] = o
		}
		if o, ok := end[k]; ok {
			have[k] = o
		}
	}
	return want, have
}

// structural says whether an object must exist before data can go back; what is not structural (keys, indexes,
// NOT NULL …) is repaired after the data is in its place. A sequence of a column is found by its column: without it, it would be made twice.
func structural(o verify.Object) bool {
	switch o.Kind {
	case "schema", "extension", "type", "enum", "domain", "composite", "range", "sequence", "sequence owner", "function", "procedure", "table", "column", "primary key":
		return true
	}
	return verify.Recasts(o) // columns are made, and altered, by what their table goes by
}

func filter(f verify.Fingerprint, keep func(verify.Object) bool) verify.Fingerprint {
	out := verify.Fingerprint{}
	for k, o := range f {
		if keep(o) {
			out[k] = o
		}
	}
	return out
}

// ours leaves out what others have made meanwhile: it is not taken for the run's, and stays.
func (w *work) ours(f verify.Fingerprint) verify.Fingerprint {
	for _, o := range f {
		if w.others(o) {
			return filter(f, func(o verify.Object) bool { return !w.others(o) })
		}
	}
	return f
}

// others tells of an index or a constraint that is new on a table that was there before, and that no statement of the run can have made: where each statement is there for
// good, somebody else may alter a table between two of them.
func (w *work) others(o verify.Object) bool {
	if w.before == nil || !slices.Contains([]string{"index", "unique", "check", "foreign key"}, o.Kind) {
		return false
	}
	if _, was := w.before[o.Key()]; was {
		return false
	}
	if _, was := w.undo[o.Key()]; was {
		return false
	}
	if _, was := w.before[verify.Object{Kind: "table", Name: o.Table.String()}.Key()]; !was {
		return false
	}
	return !slices.ContainsFunc(w.stmts, func(st Statement) bool {
		return st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.CreateTable, effects.RenameTable, effects.SetSchema, effects.AddColumn, effects.AlterColumnType, effects.AlterColumn, effects.AlterTable, effects.AddConstraint,
				effects.AttachPartition, effects.DetachPartition, effects.Create, effects.Alter, effects.Rename:
				return w.r.m.db.Caps.TransactionalDDL || e.Table.Name == "" || strings.EqualFold(e.Table.Name, o.Table.Name) || strings.EqualFold(e.NewName.Name, o.Table.Name)
			}
			return false
		})
	})
}
