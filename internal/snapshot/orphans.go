package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// orphans marks rows whose parents were deleted since and will not come back with these targets: they stay out. It gives their number.
func (r *Restorer) orphans(ctx context.Context, tx engine.Querier, targets []*target) (found int64, err error) {
	s := r.s
	var unchecked bool
	if s.f.unchecked != nil {
		if unchecked, err = s.f.unchecked(ctx, tx); err != nil {
			return 0, err
		}
	}
	for again := true; again; {
		again = false
		for _, g := range targets {
			x := g.x
			passing, err := r.passing(ctx, tx, g.t.Name)
			if err != nil {
				return found, err
			}
			for _, fk := range toStay(g, passing) {
				if !fk.Validated || fk.Period { // the server looks for parents that cover a period when all rows are back
					continue
				}
				parent, err := r.inspect(ctx, tx, fk.Parent)
				if err != nil {
					return found, err
				}
				// A key to a partitioned table is listed again for each of its partitions, where it holds for none alone.
				if parent != nil && slices.ContainsFunc(g.t.ForeignKeys, func(up engine.ForeignKey) bool {
					return up.Parent == parent.Parent && slices.Equal(up.Columns, fk.Columns)
				}) {
					continue
				}
				if parent == nil || len(x.Key) == 0 || len(fk.Columns) != len(fk.ParentColumns) {
					continue
				}
				refs, kinds := r.references(x, g.t, fk)
				if refs == nil {
					continue
				}
				conditions := []string{x.inserted(false), r.free(x)}
				var on []string
				for i, ref := range refs {
					conditions = append(conditions, ref+" IS NOT NULL")
					on = append(on, s.points("p."+s.q(fk.ParentColumns[i]), ref, kinds[i], parent.Columns[columnIndex(parent, fk.ParentColumns[i])]))
				}
				conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE %s)", s.db.Quote(parent.Name), all(on...)))
				for _, y := range r.tables() {
					if !y.Whole && (!y.Moved || y.Still) {
						continue // it brings no row back
					}
					if in, err := r.within(ctx, tx, y, parent.Name); err != nil {
						return found, err
					} else if !in {
						continue
					}
					var same []meeting
					for i, c := range fk.ParentColumns {
						named := func(f field) bool { return r.s.sameName(f.Name, c) }
						key, value := slices.IndexFunc(y.Key, named), slices.IndexFunc(y.Fields, named)
						m := meeting{ref: refs[i], kind: kinds[i], now: parent.Columns[columnIndex(parent, c)]}
						switch {
						case key >= 0 && (!y.Moved || y.Still): // there is an index on it
							m.kept, m.field = "y."+k(key), y.Key[key]
						case key >= 0: // and where keys moved one on those that they were before
							m.kept, m.field = "y."+y.old(key), y.Key[key]
						case value >= 0:
							m.kept, m.field = "y."+y.v(value), y.Fields[value]
						default:
							continue
						}
						same = append(same, m)
					}
					if len(same) < len(refs) {
						continue
					}
					var cond []string
					if !y.Whole {
						cond = append(cond, "y.op = 'u'", fmt.Sprintf("EXISTS (SELECT 1 FROM %s m, %s w WHERE w.n = y.n AND %s)", s.db.Quote(parent.Name), s.endKeys(y.capture),
							s.on(y.capture, parent, "m", "w", func(i int) string { return r.keyName(y, parent, i) }, k)))
					}
					if y.Ops {
						cond = append(cond, "y.op <> 'i'")
					}
					if y.work {
						cond = append(cond, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s yw WHERE yw.n = y.n)", s.own(y.conflicts())))
					}
					for _, on := range s.meet(same) {
						conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), all(append(cond, on)...)))
					}
					if y.final == "" || !y.Whole {
						continue
					}
					// It comes back under the key that it had before the migration moved it.
					for i, c := range fk.ParentColumns {
						j := slices.IndexFunc(y.Key, func(f field) bool { return r.s.sameName(f.Name, c) })
						if j < 0 {
							same = nil
							break
						}
						same[i].kept, same[i].field = "y."+y.goal(j), y.Key[j]
					}
					for _, on := range s.meet(same) {
						conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM (SELECT d.* FROM %s) y WHERE %s)", r.source(y), all(append(cond, on)...)))
					}
				}
				// Those that may have been so when they were captured come back.
				excuse := ""
				switch {
				case r.capturer == nil: // restore: its tables are as they are, and all migrations applied
				case unchecked:
					excuse = "1 = 1"
				case s.f.detached:
					if excuse, err = r.removedBefore(ctx, tx, x, parent, fk, refs, kinds); err != nil {
						return found, err
					}
				}
				if excuse != "" {
					if err := r.astray(ctx, tx, g, fk, all(append(slices.Clone(conditions), excuse)...)); err != nil {
						return found, err
					}
					conditions = append(conditions, "NOT ("+excuse+")")
				}
				n, err := r.marked(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", parentGone, r.source(x), all(conditions...)))
				if err != nil {
					return found, err
				}
				again, found = again || n > 0, found+n
			}
		}
	}
	return found, nil
}

// references are the columns of a capture, under the alias d, that a foreign key of its table is made of; nil when it has not all of them.
func (r *Restorer) references(x *restoring, t *engine.Table, fk engine.ForeignKey) (refs []string, kinds []field) {
	for _, c := range fk.Columns {
		i := slices.IndexFunc(x.Fields, func(f field) bool { return r.column(t, f.Name) == c })
		if i < 0 {
			return nil, nil
		}
		refs, kinds = append(refs, "d."+x.v(i)), append(kinds, x.Fields[i])
	}
	return refs, kinds
}

// Excused tells whether all the rows that break a foreign key came back, and did so when they were captured.
func (r *Restorer) Excused(ctx context.Context, tx engine.Querier, table engine.Name, key string) (bool, error) {
	s := r.s
	if !s.f.detached {
		return false, nil
	}
	t, err := r.inspect(ctx, tx, table)
	if err != nil || t == nil {
		return false, err
	}
	var broken []string // rows that break it, but for those of the captures
	for _, x := range r.tables() {
		if x.Home != table || x.Shape == nil || len(x.Key) == 0 {
			continue
		}
		at := slices.IndexFunc(x.Shape.ForeignKeys, func(fk engine.ForeignKey) bool { return fk.Name == key })
		if at < 0 {
			continue
		}
		fk := x.Shape.ForeignKeys[at]
		parent, err := r.inspect(ctx, tx, fk.Parent)
		if err != nil || parent == nil {
			return false, err
		}
		refs, kinds := r.references(x, t, fk)
		if refs == nil {
			continue
		}
		excuse, err := r.removedBefore(ctx, tx, x, parent, fk, refs, kinds)
		if err != nil || excuse == "" {
			return false, err
		}
		if broken == nil {
			var there []string
			for i, c := range fk.Columns {
				broken = append(broken, "t."+s.q(c)+" IS NOT NULL")
				there = append(there, "p."+s.q(fk.ParentColumns[i])+" = t."+s.q(c))
			}
			broken = append(broken, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE %s)", s.db.Quote(parent.Name), all(there...)))
		}
		name := func(i int) string { return r.keyName(x, t, i) }
		broken = append(broken, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(x.data()), all(s.on(x.capture, t, "t", "d", name, x.old), x.inserted(false), excuse)))
	}
	if broken == nil {
		return false, nil
	}
	n, err := number(ctx, tx, "look for rows without a parent", fmt.Sprintf("SELECT count(*) FROM %s t WHERE %s", s.f.from(s.db, t), all(broken...)))
	return n == 0, err
}

// AddKey makes a foreign key that the server has refused to make where the rows that break it are excused.
func (r *Restorer) AddKey(ctx context.Context, tx engine.Querier, table engine.Name, key, statement string) (bool, error) {
	if excused, err := r.Excused(ctx, tx, table, key); err != nil || !excused {
		return false, err
	}
	lift, err := r.s.d.shield(ctx, tx, nil)
	if err != nil {
		return false, err
	}
	_, err = exec(ctx, tx, "make foreign key "+key+" of "+table.String(), statement)
	return err == nil, errors.Join(err, lift(ctx, nil))
}

// stray is a foreign key of a capture.
type stray struct{ capture, key string }

// strays gives the number of rows that come back to each table, are not there, and point to rows that are not.
func (r *Restorer) strays() map[engine.Name]int64 {
	out := map[engine.Name]int64{}
	for _, x := range r.captures {
		for id, n := range r.stray {
			if id.capture == x.ID {
				out[x.Home] += n
			}
		}
	}
	return out
}

// toStay gives the foreign keys that rows of a table are measured by: those that it has, and in place of one that is not to stay the one of that name that the table had when
// it was captured, which is made again when the rows are back.
func toStay(g *target, passing map[string]bool) []engine.ForeignKey {
	out := slices.DeleteFunc(slices.Clone(g.t.ForeignKeys), func(fk engine.ForeignKey) bool { return passing[fk.Name] })
	if g.x.Shape == nil {
		return out
	}
	for _, fk := range g.x.Shape.ForeignKeys {
		if passing[fk.Name] {
			out = append(out, fk)
		}
	}
	return out
}

// passing names the foreign keys of a table that are not to stay.
func (r *Restorer) passing(ctx context.Context, tx engine.Querier, t engine.Name) (map[string]bool, error) {
	if r.Passing == nil {
		return nil, nil
	}
	now, err := r.Passing(ctx, tx, t)
	if err != nil || len(now)+len(r.passed[t]) == 0 {
		return nil, err
	}
	if r.passed == nil {
		r.passed = map[engine.Name]map[string]bool{}
	}
	if r.passed[t] == nil {
		r.passed[t] = map[string]bool{}
	}
	maps.Copy(r.passed[t], now) // shield may have one off meanwhile
	return r.passed[t], nil
}

// shield is the engine's, which in the end looks for what points nowhere by the foreign keys that stay.
func (r *Restorer) shield(ctx context.Context, tx engine.Querier, tables []*engine.Table) (func(context.Context, map[engine.Name]int64) error, error) {
	kept := make([]*engine.Table, len(tables))
	for i, t := range tables {
		kept[i] = t
		for _, fk := range append(slices.Clone(t.ForeignKeys), t.Referenced...) {
			passing, err := r.passing(ctx, tx, fk.Table)
			if err != nil {
				return nil, err
			}
			if passing[fk.Name] {
				if r.s.f.slacken != nil {
					if err := r.s.f.slacken(ctx, r.s, tx, fk); err != nil {
						return nil, err
					}
				}
				c := *kept[i]
				same := func(o engine.ForeignKey) bool { return o.Table == fk.Table && o.Name == fk.Name }
				c.ForeignKeys = slices.DeleteFunc(slices.Clone(c.ForeignKeys), same)
				c.Referenced = slices.DeleteFunc(slices.Clone(c.Referenced), same)
				kept[i] = &c
			}
		}
	}
	return r.s.d.shield(ctx, tx, kept)
}

// removedBefore is the condition that a migration which is still applied has removed the parent of a captured row: where foreign keys can be
// switched off for a statement, that row was without it when it was captured.
func (r *Restorer) removedBefore(ctx context.Context, tx engine.Querier, x *restoring, parent *engine.Table, fk engine.ForeignKey, refs []string, kinds []field) (string, error) {
	s, a := r.s, r.s.db.Arg
	if x.Direction == Manual || x.Direction == Restored {
		return "", nil
	}
	rows, err := s.load(ctx, tx, fmt.Sprintf("migration < %s AND direction = %s AND status = %s AND table_name = %s AND kind IN (%s, %s)", a(1), a(2), a(3), a(4), a(5), a(6)),
		x.Migration, x.Direction, statusComplete, parent.Name.Name, string(Rows), string(Table))
	if err != nil {
		return "", err
	}
	var any []string
	for _, y := range rows {
		var same []meeting
		for i, c := range fk.ParentColumns {
			if j := slices.IndexFunc(y.Key, func(f field) bool { return s.sameName(f.Name, c) }); j >= 0 {
				same = append(same, meeting{"y." + y.old(j), refs[i], y.Key[j], kinds[i], parent.Columns[columnIndex(parent, c)]})
			}
		}
		if !y.Whole || len(same) < len(refs) {
			continue
		}
		was := ""
		if y.Ops {
			was = "y.op <> 'i'"
		}
		for _, on := range s.meet(same) {
			any = append(any, fmt.Sprintf("EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), all(on, was)))
		}
	}
	if len(any) == 0 {
		return "", nil
	}
	return "(" + strings.Join(any, " OR ") + ")", nil
}

// astray notes that rows come back that point to rows which are not there.
func (r *Restorer) astray(ctx context.Context, tx engine.Querier, g *target, fk engine.ForeignKey, where string) error {
	s, x := r.s, g.x
	id := stray{x.ID, fk.Name}
	if _, known := r.stray[id]; known {
		return nil
	}
	gone := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, k))
	n, err := number(ctx, tx, "look for rows without a parent", fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", r.source(x), all(where, gone)))
	if err != nil {
		return err
	}
	if r.stray == nil {
		r.stray = map[stray]int64{}
	}
	if r.stray[id] = n; n > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%d row(s) come back to %s and point to rows of %s that are not there, as before", n, x.Home, fk.Parent))
	}
	return nil
}
