package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Rows without a key cannot be told apart, but most can be told from most others: by the columns that no statement of the migration
// assigns. Rows that are alike in those are a group, before the migration and after it. When the application has written to rows that
// the migration had changed, nobody knows which captured rows these were; they were of the same group, though, so only that group is in
// conflict, and all others go back to what they were.

// group finds the columns that make groups. There are none where that cannot be told.
func (c *Capturer) group(x *capture, t *engine.Table) []string {
	written, known := assigned(c.meta.Statements)
	if !known {
		return nil
	}
	if c.meta.Opposite != nil { // what that one assigns would tell nothing either, once it has run
		if more, known := assigned(*c.meta.Opposite); known {
			maps.Copy(written, more)
		}
	}
	var out []string
	for _, f := range x.Fields {
		i := columnIndex(t, f.Seal)
		if f.Seal == "" || i < 0 || t.Columns[i].OnUpdate || t.Columns[i].Generated || !c.s.unread(f, t.Columns[i]) || slices.ContainsFunc([]string{f.Name, f.At, f.Seal}, func(n string) bool { return written[strings.ToLower(n)] }) {
			continue
		}
		out = append(out, f.Seal)
	}
	return out
}

// untold tells whether nothing but the statements themselves has written to a table. Else it is made sure of that they make groups: the
// migration may have taken rows from groups, or put rows into them, but not both.
func (c *Capturer) untold(x *capture, t *engine.Table) bool {
	if c.track.made(t) || identity(t) != x.Identity {
		return false
	}
	for _, t := range []*engine.Table{x.Shape, t} {
		if t == nil || writtenAlong(t) {
			return false
		}
	}
	return true
}

// unread tells whether a column holds values as they were captured.
func (s *Store) unread(f field, col engine.Column) bool {
	decl, text := s.f.store(col)
	return decl == f.Decl && text == f.Text && s.typed(col) == f.Type
}

// assigned gives the columns that statements assign, in lower case; false when that cannot be told.
func assigned(stmts []effects.Statement) (map[string]bool, bool) {
	out := map[string]bool{}
	for _, st := range stmts {
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.Opaque:
				return nil, false
			case effects.Update, effects.Upsert, effects.Merge, effects.Replace, effects.AlterColumnType:
				if len(e.Columns) == 0 && (e.Kind != effects.Merge || slices.Contains(e.Actions, "update")) {
					return nil, false
				}
				for _, n := range e.Columns {
					out[strings.ToLower(n)] = true
				}
			case effects.AddColumn, effects.DropColumn, effects.RenameColumn:
				for _, n := range append(slices.Clone(e.Columns), e.NewName.Name) {
					out[strings.ToLower(n)] = true
				}
			}
		}
	}
	return out, len(stmts) > 0
}

// grouped tells whether the rows of a capture and those that were sealed are of the same groups.
func (c *Capturer) grouped(ctx context.Context, tx engine.Querier, x *capture) (bool, error) {
	s := c.s
	var kept []string
	for _, n := range x.Seal.Group {
		i := slices.IndexFunc(x.Fields, func(f field) bool { return f.Seal == n })
		kept = append(kept, s.image("d."+x.v(i), x.Fields[i]))
	}
	var more, fewer int64
	err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT count(CASE WHEN u.q > 0 THEN 1 END), count(CASE WHEN u.q < 0 THEN 1 END) FROM (SELECT b.g, sum(b.q) AS q FROM (SELECT c.g, c.q FROM %s c UNION ALL SELECT %s, -1 FROM %s d) b GROUP BY b.g) u",
		s.own(x.companion()), s.hash(kept), s.own(x.data()))).Scan(&more, &fewer)
	if err != nil {
		return false, fmt.Errorf("seal: %w", err)
	}
	return more == 0 || fewer == 0, nil
}

const groupTable = "dbrollback_group_"

// groups of rows that cannot be told apart.
type groups struct {
	table      string // of groups: g; own: there is nothing in it but what the application inserted
	kept, live string // the group of a captured row d, of a live row t
}

func (g *groups) in(expr, what string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s z WHERE %s)", g.table, all("z.g = "+expr, what))
}

// split finds out in which groups rows written since cannot be told apart from captured ones. It gives nil when there are no groups,
// or the statements of this run changed them.
func (r *Restorer) split(ctx context.Context, tx engine.Querier, g *target, keptSeal, liveSeal string) (*groups, error) {
	s, x := r.s, g.x
	written, known := assigned(r.statements)
	if !x.bag.grouped || x.bag.mixed || !r.told || !known || r.capturer != nil && r.capturer.track.made(g.t) {
		return nil, nil
	}
	var kept, live []string
	for _, n := range x.Seal.Group {
		i := slices.IndexFunc(x.Fields, func(f field) bool { return f.Seal == n })
		if i < 0 || !slices.Contains(g.fields, i) || !s.unread(x.Fields[i], r.live(g, i)) || written[strings.ToLower(n)] || written[strings.ToLower(x.Fields[i].Name)] {
			return nil, nil
		}
		kept, live = append(kept, s.image("d."+x.v(i), x.Fields[i])), append(live, r.live(g, i).Name)
	}
	p := &groups{table: s.own(groupTable + compact(x.ID)), kept: s.hash(kept), live: s.hash(s.images(live, g.t, "t"))}
	if err := s.make(ctx, tx, "compare", p.table, []string{"g " + s.f.hash, "own integer NOT NULL"}, "g"); err != nil {
		return nil, err
	}
	x.bag.groups = p.table
	if err := s.search(ctx, tx, groupTable+compact(x.ID), "g"); err != nil {
		return nil, err
	}
	for _, q := range []string{
		fmt.Sprintf("SELECT DISTINCT m.g, 0 FROM %s m LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s d GROUP BY 1) k ON k.h = m.h WHERE m.q > coalesce(k.q, 0)", x.bag.minus, keptSeal, s.own(x.data())),
		fmt.Sprintf("SELECT p.g, CASE WHEN c.g IS NULL THEN 1 ELSE 0 END FROM %s p LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) l ON l.h = p.h LEFT JOIN (SELECT DISTINCT g FROM %s) c ON c.g = p.g LEFT JOIN %s z ON z.g = p.g WHERE p.q > coalesce(l.q, 0) AND z.g IS NULL GROUP BY p.g, c.g",
			x.bag.plus, liveSeal, s.f.from(s.db, g.t), s.own(x.companion()), p.table),
	} {
		if _, err := exec(ctx, tx, "compare", "INSERT INTO "+p.table+" (g, own) "+q); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// putGroups puts back a table without a key of which some groups cannot be told apart: those are left as they are, or give way to what
// was captured; in all others rows written since stay, captured rows come back, and those that were removed since stay away.
func (r *Restorer) putGroups(ctx context.Context, tx engine.Querier, g *target, p Policy, c *Capturer, parts *groups, keptSeal, liveSeal string) error {
	s, x := r.s, g.x
	keptAll, liveAll := r.images(g, g.fields, false)
	kept, live := s.hash(keptAll), s.hash(liveAll)
	note := r.mark
	if p == Restore {
		if err := r.captureAll(ctx, tx, g, c); err != nil {
			return err
		}
		note = r.win
	}
	// Of a group that has no row left, all were deleted, or taken to another group: what stands there now counts as inserted.
	if err := note(ctx, tx, x, fmt.Sprintf("SELECT k.n, CASE WHEN k.g IN (SELECT %s FROM %s t) THEN '%s' ELSE '%s' END FROM (SELECT d.n, %s AS h, %s AS g, row_number() OVER (PARTITION BY %s ORDER BY d.n) AS i FROM %s d WHERE %s) k LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) l ON l.h = k.h WHERE k.i > coalesce(l.q, 0)",
		parts.live, s.f.from(s.db, g.t), x.reason(changedSince), x.reason(deletedSince), kept, parts.kept, kept, s.own(x.data()), parts.in(parts.kept, "z.own = 0"), live, s.f.from(s.db, g.t))); err != nil {
		return err
	}
	if err := note(ctx, tx, x, fmt.Sprintf(
		"SELECT k.n, '%s' FROM (SELECT d.n, %s AS h, row_number() OVER (PARTITION BY %s ORDER BY d.n) AS i FROM %s d) k JOIN %s m ON m.h = k.h WHERE k.i <= m.q AND NOT %s",
		x.reason(deletedSince), keptSeal, keptSeal, s.own(x.data()), x.bag.minus, parts.in("m.g", "z.own = 0"))); err != nil {
		return err
	}
	which := "p"
	if p == Restore { // those in the groups give way, and are reported so
		which = "p WHERE NOT " + parts.in("p.g", "z.own = 0")
	}
	if err := r.unheld(ctx, tx, g, "m.g", parts.kept, which); err != nil {
		return err
	}
	ways := exchanging{kept: kept, live: live, group: liveSeal, set: parts.live, remove: true}
	if p == Restore {
		if err := r.swept(ctx, tx, g, "p WHERE "+parts.in("p.g", "z.own = 0")); err != nil {
			return err
		}
		ways.stays = all("NOT "+parts.in("y.z", "z.own = 1"), fmt.Sprintf("(%s OR NOT EXISTS (SELECT 1 FROM %s p WHERE p.h = y.g AND y.i <= p.q))", parts.in("y.z", "z.own = 0"), x.bag.plus))
	} else {
		r.notes = append(r.notes, fmt.Sprintf("%s has no key: rows that cannot be told from those written since were left as they are", x.Home))
		ways.stays = all("NOT "+parts.in("y.z", ""), fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.h = y.g AND y.i <= p.q)", x.bag.plus))
		ways.comes = "NOT " + parts.in(parts.kept, "z.own = 0")
	}
	return r.exchange(ctx, tx, g, ways)
}

// unheld reports rows that the migration inserted and that were written since: no captured row stands for them. Images are compared with
// those of captured rows d, or their groups.
func (r *Restorer) unheld(ctx context.Context, tx engine.Querier, g *target, image, kept, which string) error {
	x := g.x
	gone, err := number(ctx, tx, "count rows written since", fmt.Sprintf("SELECT coalesce(sum(m.q), 0) FROM %s m LEFT JOIN (SELECT DISTINCT %s AS h FROM %s d) k ON k.h = %s WHERE k.h IS NULL", x.bag.minus, kept, r.s.own(x.data()), image))
	if err != nil || gone == 0 {
		return err
	}
	came, err := number(ctx, tx, "count rows written since", "SELECT coalesce(sum(p.q), 0) FROM "+x.bag.plus+" "+which)
	x.unheld = min(gone, came)
	return err
}
