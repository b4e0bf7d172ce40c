package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// rows plans a statement that writes rows: observers on the table, on its partitions and on every table
// that its foreign keys reach.
func (p *planner) rows(ctx context.Context, t *engine.Table, e effects.Effect) error {
	if p.s.db.Kind == engine.SQLite && (e.Kind == effects.Insert || e.Kind == effects.Update || e.Kind == effects.Upsert) {
		// A table whose definition says ON CONFLICT REPLACE takes rows away as REPLACE does, with what hangs on them.
		if can, err := p.s.f.observable(ctx, p.q, t); err != nil {
			return err
		} else if !can {
			e.Kind = effects.Replace
		}
	}
	var ev events
	switch e.Kind {
	case effects.Insert:
		ev = events{insert: true}
	case effects.Update:
		ev = events{update: true}
	case effects.Delete:
		ev = events{remove: true}
	case effects.Upsert:
		ev = events{insert: true, update: true}
	default:
		ev = events{insert: true, update: true, remove: true}
	}
	p.runs(t, ev)
	columns := p.ownColumns(t, e.Columns)
	if ev.update && len(e.Columns) > 0 { // also where all that it assigns are columns that this run made
		columns = append(columns, p.stamped(t, columns)...)
	}
	if p.seen {
		// What was observed may have come by any way: through the root of a partitioned table, by a cascade.
		root, each := t, false
		for root.Parent.Name != "" {
			up, err := p.inspect(ctx, root.Parent)
			if err != nil {
				return err
			}
			if up == nil {
				break
			}
			if each = p.track.made(up); each {
				break // its triggers would see the rows, but of it nothing is captured
			}
			root = up
		}
		return p.tree(ctx, root, action{kind: Rows, events: events{true, true, true}, moved: true, chain: true, lossy: true, each: each, reason: "observed in a rehearsal"})
	}
	simple, err := p.cascades(ctx, t, ev, columns)
	if err != nil {
		return err
	}
	a := action{kind: Rows, events: ev, lossy: e.Kind != effects.Insert, reason: string(e.Kind), effect: &e}
	if e.Kind == effects.Replace && p.s.db.Kind == engine.SQLite {
		// Rows that REPLACE removes fire no trigger: nothing but a copy sees them.
		a.events, a.reduce, a.reason = events{}, true, "replace"
		return p.tree(ctx, t, a)
	}
	switch {
	case !simple:
		a.moved, a.chain = true, true
	case ev.update && len(e.Columns) > 0 && len(columns) == 0 && !ev.insert && !ev.remove:
		p.own = append(p.own, t)
		return nil // only columns that this migration made
	case ev.update && len(columns) > 0:
		a.columns = columns
		if len(t.Keys) > 0 { // the first one identifies rows
			a.moved = slices.ContainsFunc(t.Keys[0].Columns, func(c string) bool { return slices.Contains(columns, c) })
		}
		if ev.remove {
			a.columns = nil
		}
	case ev.update:
		a.moved = true
	}
	return p.tree(ctx, t, a)
}

// runs has a write tried first that makes more happen than its table tells.
func (p *planner) runs(t *engine.Table, ev events) {
	if t.Rules {
		p.opaque(fmt.Sprintf("%s has rules", t.Name))
	}
	if t.Calls != "" && (ev.insert || ev.update) {
		p.opaque(fmt.Sprintf("a default or a check of %s calls %s()", t.Name, t.Calls))
	}
}

// older tells whether rows of a table that the migration made are in tables that were there before: its partitions, or those that inherit from it.
func (p *planner) older(ctx context.Context, t *engine.Table) (bool, error) {
	for _, n := range t.Children {
		child, err := p.inspect(ctx, n)
		if err != nil {
			return false, err
		}
		if child == nil {
			continue
		}
		if !p.track.made(child) {
			return true, nil
		}
		if is, err := p.older(ctx, child); err != nil || is {
			return is, err
		}
	}
	return false, nil
}

// ownColumns gives the columns of that names which are written for good: those that were made in this run and generated
// ones left out.
func (p *planner) ownColumns(t *engine.Table, names []string) []string {
	var out []string
	for _, n := range names {
		i := slices.IndexFunc(t.Columns, func(c engine.Column) bool { return p.sameColumn(c.Name, n) })
		if i >= 0 && !t.Columns[i].Generated && !p.track.madeColumn(t, t.Columns[i]) && !slices.Contains(out, t.Columns[i].Name) {
			out = append(out, t.Columns[i].Name)
		}
	}
	return out
}

// stamped gives the columns that any UPDATE of the table changes along, ON UPDATE CURRENT_TIMESTAMP, those left out that are named.
func (p *planner) stamped(t *engine.Table, named []string) []string {
	var out []string
	for _, c := range t.Columns {
		if c.OnUpdate && !p.track.madeColumn(t, c) && !slices.Contains(named, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// tree adds an action for a table and all its partitions: a statement on the root fires the root's triggers
// only, one on a partition the partition's.
func (p *planner) tree(ctx context.Context, t *engine.Table, a action) error {
	a.table = t
	if t.Kind != "partitioned" && len(t.Children) > 0 || t.Heir {
		// A statement on a table with heirs shows their rows to the triggers of the statement, without the columns that only they
		// have: each of the tables has a trigger for its rows.
		a.each = true
	}
	if len(t.Keys) == 0 { // rows cannot be told apart: copy all
		a.events, a.columns, a.moved, a.chain = events{}, nil, false, false
		a.reduce, a.lossy = false, true
	}
	b := a
	p.add(&b)
	for _, n := range t.Children {
		child, err := p.inspect(ctx, n)
		if err != nil {
			return err
		}
		if child == nil || child.Kind == "foreign" {
			if child != nil {
				return &LossError{Object: child.Name.String(), Reason: "it is a foreign table, whose rows are in another server",
					Hint: "write to it outside the migration"}
			}
			continue
		}
		if t.Kind == "partitioned" && len(t.Keys) == 0 {
			break // the copy of the root has the rows of all
		}
		if err := p.tree(ctx, child, a); err != nil {
			return err
		}
	}
	return nil
}

// cascades adds the tables that foreign keys carry the statement on to. It reports whether the table itself is
// written by the statement alone: no trigger, no key that leads back to it.
func (p *planner) cascades(ctx context.Context, t *engine.Table, ev events, columns []string) (simple bool, err error) {
	type hit struct {
		table   *engine.Table
		ev      events
		columns []string // updated ones; nil = unknown
	}
	simple = true
	todo := []hit{{t, ev, columns}}
	done := map[string]bool{}
	for len(todo) > 0 {
		h := todo[0]
		todo = todo[1:]
		id := fmt.Sprint(h.table.Name, h.ev, h.columns)
		if done[id] {
			continue
		}
		done[id] = true
		if p.s.f.reached != nil {
			known, err := p.reach(ctx, h.table, h.ev, h.table == t)
			if err != nil {
				return false, err
			}
			simple = simple && known
		} else if fires := p.fires(h.table, h.ev); fires != "" {
			p.opaque(fmt.Sprintf("%s fires trigger %s", h.table.Name, fires))
			if h.table == t {
				simple = false
			}
		}
		for _, fk := range h.table.Referenced {
			var next events
			if h.ev.remove {
				next.remove = fk.OnDelete == "CASCADE"
				next.update = strings.HasPrefix(fk.OnDelete, "SET")
			}
			if h.ev.update && (h.columns == nil || slices.ContainsFunc(fk.ParentColumns, func(c string) bool { return slices.Contains(h.columns, c) })) {
				next.update = next.update || fk.OnUpdate == "CASCADE" || strings.HasPrefix(fk.OnUpdate, "SET")
			}
			if next == (events{}) {
				continue
			}
			child, err := p.inspect(ctx, fk.Table)
			if err != nil {
				return false, err
			}
			if child == nil {
				continue
			}
			if child.Name == t.Name {
				simple = false
			}
			a := action{kind: Rows, events: next, moved: true, chain: true, lossy: true, cascade: true, reason: "foreign key " + fk.Name}
			if err := p.tree(ctx, child, a); err != nil {
				return false, err
			}
			var hitColumns []string
			if next.update {
				hitColumns = fk.Columns
			}
			todo = append(todo, hit{child, next, hitColumns})
		}
	}
	return simple, nil
}

// fires names a trigger that such a write would fire; "" when there is none.
func (p *planner) fires(t *engine.Table, ev events) string {
	for _, tr := range t.Triggers {
		if tr.Enabled == "D" {
			continue
		}
		if ev.insert && strings.Contains(tr.Events, "INSERT") || ev.update && strings.Contains(tr.Events, "UPDATE") ||
			ev.remove && strings.Contains(tr.Events, "DELETE") {
			return tr.Name
		}
	}
	return ""
}

// reach adds the tables that triggers of a table may write, where their text tells: all rows of them, and what foreign keys carry
// on from there. It reports whether there is no such trigger. Rows that foreign keys change fire none.
func (p *planner) reach(ctx context.Context, t *engine.Table, ev events, direct bool) (none bool, err error) {
	if !direct || p.fires(t, ev) == "" {
		return true, nil
	}
	if slices.Contains(p.reached, t.Name) {
		return false, nil
	}
	p.reached = append(p.reached, t.Name)
	tables, rewrites, err := p.s.f.reached(ctx, p, t, ev)
	if err != nil {
		return false, err
	}
	p.rewrites = p.rewrites || rewrites
	any := events{insert: true, update: true, remove: true}
	for _, n := range tables {
		u, err := p.inspect(ctx, n)
		if err != nil {
			return false, err
		}
		if u == nil || u.Name == t.Name || u.Kind == "view" {
			continue // a trigger cannot write its own table
		}
		if err := p.tree(ctx, u, action{kind: Rows, events: any, moved: true, chain: true, lossy: true, reason: "trigger on " + t.Name.String()}); err != nil {
			return false, err
		}
		if _, err := p.cascades(ctx, u, any, nil); err != nil {
			return false, err
		}
	}
	return false, nil
}
