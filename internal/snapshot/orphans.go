package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// orphans marks rows whose parents were deleted since and will not come back with these targets: they stay out.
func (r *Restorer) orphans(ctx context.Context, tx engine.Querier, targets []*target) error {
	s := r.s
	var unchecked bool
	if s.f.unchecked != nil {
		var err error
		if unchecked, err = s.f.unchecked(ctx, tx); err != nil {
			return err
		}
	}
	for again := true; again; {
		again = false
		for _, g := range targets {
			x := g.x
			for _, fk := range g.t.ForeignKeys {
				if !fk.Validated {
					continue
				}
				parent, err := r.inspect(ctx, tx, fk.Parent)
				if err != nil {
					return err
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
				var refs []string
				var kinds []field
				for _, c := range fk.Columns {
					i := slices.IndexFunc(x.Fields, func(f field) bool { return r.column(g.t, f.Name) == c })
					if i < 0 {
						break
					}
					refs, kinds = append(refs, "d."+v(i)), append(kinds, x.Fields[i])
				}
				if len(refs) < len(fk.Columns) {
					continue
				}
				conditions := []string{x.inserted(false), r.free(x)}
				var on []string
				for i, ref := range refs {
					conditions = append(conditions, ref+" IS NOT NULL")
					on = append(on, s.f.match("p."+s.q(fk.ParentColumns[i]), ref, kinds[i], parent.Columns[columnIndex(parent, fk.ParentColumns[i])]))
				}
				conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE %s)", s.db.Quote(parent.Name), all(on...)))
				for _, y := range r.tables() {
					if !y.Whole && (!y.Moved || y.Still) {
						continue // it brings no row back
					}
					if in, err := r.within(ctx, tx, y, parent.Name); err != nil {
						return err
					} else if !in {
						continue
					}
					var same []string
					for i, c := range fk.ParentColumns {
						named := func(f field) bool { return r.s.sameName(f.Name, c) }
						key, value := slices.IndexFunc(y.Key, named), slices.IndexFunc(y.Fields, named)
						switch {
						case key >= 0 && (!y.Moved || y.Still): // there is an index on it
							same = append(same, fmt.Sprintf("y.%s = %s", k(key), refs[i]))
						case value >= 0:
							same = append(same, fmt.Sprintf("y.%s = %s", v(value), refs[i]))
						case key >= 0:
							same = append(same, fmt.Sprintf("y.%s = %s", y.old(key), refs[i]))
						}
					}
					if len(same) < len(refs) {
						continue
					}
					cond := []string{all(same...)}
					if !y.Whole {
						cond = append(cond, "y.op = 'u'", fmt.Sprintf("EXISTS (SELECT 1 FROM %s m, %s w WHERE w.n = y.n AND %s)", s.db.Quote(parent.Name), s.endKeys(y.capture),
							s.on(y.capture, parent, "m", "w", func(i int) string { return r.column(parent, y.Key[i].Name) }, k)))
					}
					if y.Ops {
						cond = append(cond, "y.op <> 'i'")
					}
					if y.work {
						cond = append(cond, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s yw WHERE yw.n = y.n)", s.own(y.conflicts())))
					}
					conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), all(cond...)))
					if y.final == "" || !y.Whole {
						continue
					}
					// It comes back under the key that it had before the migration moved it.
					cond[0] = ""
					for i, c := range fk.ParentColumns {
						if j := slices.IndexFunc(y.Key, func(f field) bool { return r.s.sameName(f.Name, c) }); j >= 0 {
							cond = append(cond, fmt.Sprintf("y.%s = %s", y.goal(j), refs[i]))
						} else {
							cond = append(cond, "1 = 0")
						}
					}
					conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM (SELECT d.* FROM %s) y WHERE %s)", r.source(y), all(cond...)))
				}
				if unchecked { // they may have been so when they were captured
					if err := r.astray(ctx, tx, x, fk, all(conditions...)); err != nil {
						return err
					}
					continue
				}
				n, err := r.marked(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", parentGone, r.source(x), all(conditions...)))
				if err != nil {
					return err
				}
				again = again || n > 0
			}
		}
	}
	return nil
}

// astray notes that rows come back that point to rows which are not there.
func (r *Restorer) astray(ctx context.Context, tx engine.Querier, x *restoring, fk engine.ForeignKey, where string) error {
	about := fmt.Sprintf("come back to %s and point to rows of %s that are not there: this connection does not check foreign keys", x.Home, fk.Parent)
	if slices.ContainsFunc(r.notes, func(n string) bool { return strings.HasSuffix(n, about) }) {
		return nil
	}
	n, err := number(ctx, tx, "look for rows without a parent", fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", r.source(x), where))
	if err == nil && n > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%d row(s) %s", n, about))
	}
	return err
}
