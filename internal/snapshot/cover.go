package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// cover sets the captures that come after each target in undoing and hold all of its columns.
func cover(targets []*target) {
	for i, g := range targets {
		for _, older := range targets[i+1:] {
			if older.x.Home != g.x.Home || older.x.Rows == 0 || len(g.x.Key) == 0 || !sameKey(g.x, older.x) || g.x.Moved && !g.x.Still || older.x.Moved && !older.x.Still || g.x.final != "" || older.x.final != "" {
				continue
			}
			if g.holds(older) {
				g.covered = append(g.covered, older.x)
				older.covers = append(older.covers, g)
				continue
			}
			for _, i := range g.fields {
				if !older.writes(g.x.Fields[i].Name) {
					continue
				}
				if g.partly == nil {
					g.partly = map[int][]*restoring{}
				}
				if g.partly[i] = append(g.partly[i], older.x); !slices.Contains(older.covers, g) {
					older.covers = append(older.covers, g)
				}
			}
		}
	}
}

// writes tells whether the column of that name, as it was called in the beginning, is among those that a target writes.
func (g *target) writes(name string) bool {
	return slices.ContainsFunc(g.fields, func(i int) bool { return g.x.Fields[i].Name == name })
}

// nullNoMore tells whether a field could be NULL when it was captured, and its column may not be now.
func (g *target) nullNoMore(i int) bool {
	f := g.x.Fields[i]
	now := slices.IndexFunc(g.t.Columns, func(c engine.Column) bool { return c.Name == f.Name })
	return now >= 0 && g.t.Columns[now].NotNull && g.x.Shape != nil &&
		slices.ContainsFunc(g.x.Shape.Columns, func(c engine.Column) bool { return c.Name == f.At && !c.NotNull })
}

// left are the captures that fields of some entries are left to.
func (g *target) left() []*restoring {
	out := slices.Clone(g.covered)
	for _, list := range g.partly {
		for _, y := range list {
			if !slices.Contains(out, y) {
				out = append(out, y)
			}
		}
	}
	return out
}

// holds tells whether another target writes all columns that g writes.
func (g *target) holds(other *target) bool {
	return !slices.ContainsFunc(g.fields, func(i int) bool {
		return !other.writes(g.x.Fields[i].Name)
	})
}

// uncovered gives the conditions that an entry is in none of the captures that cover it.
func (r *Restorer) uncovered(g *target) []string { return r.inNone(g, g.covered) }

// inNone gives the conditions that an entry is in none of some captures that have its key.
func (r *Restorer) inNone(g *target, captures []*restoring) []string {
	var of []entries
	for _, y := range captures {
		e := entries{from: r.s.own(y.data()) + " y", where: r.goesBack(y, "y")}
		for i := range g.x.Key {
			e.key = append(e.key, "y."+k(i))
		}
		of = append(of, e)
	}
	return absent(of, k)
}

// entries are those of one capture, under the alias y, that a row is looked for in.
type entries struct {
	from, where string
	key         []string // what a row is known by
}

// entriesOf are all entries of a capture.
func (s *Store) entriesOf(y *capture) entries {
	e := entries{from: s.own(y.data()) + " y"}
	for i := range y.Key {
		e.key = append(e.key, "y."+k(i))
	}
	return e
}

// fewCaptures is how many captures are asked one by one whether they have a row. Each is a join of its own, and the time that servers take to
// plan a query grows faster than the number of its joins: more are asked together, as one list.
const fewCaptures = 8

// absent gives the conditions that none of the entries has the key of an entry d.
func absent(of []entries, key func(i int) string) []string {
	out := present(of, key)
	for i := range out {
		out[i] = "NOT " + out[i]
	}
	return out
}

// present gives the conditions of which one holds when one of the entries has the key of an entry d.
func present(of []entries, key func(i int) string) []string {
	row := func(list []string) string {
		var on []string
		for i, c := range list {
			on = append(on, fmt.Sprintf("%s = d.%s", c, key(i)))
		}
		return all(on...)
	}
	var out []string
	if len(of) <= fewCaptures {
		for _, e := range of {
			out = append(out, fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s)", e.from, all(row(e.key), e.where)))
		}
		return out
	}
	for part := range slices.Chunk(of, 100) { // SQLite takes 500 in one list
		var arms, names []string
		for i := range part[0].key {
			names = append(names, "l."+k(i))
		}
		for _, e := range part {
			var columns []string
			for i, c := range e.key {
				columns = append(columns, c+" AS "+k(i))
			}
			arms = append(arms, fmt.Sprintf("SELECT %s FROM %s WHERE %s", list(columns), e.from, all(e.where)))
		}
		out = append(out, fmt.Sprintf("EXISTS (SELECT 1 FROM (%s) l WHERE %s)", strings.Join(arms, " UNION ALL "), row(names)))
	}
	return out
}

// alsoIn is the condition that an entry of a capture, under an alias, is of the same row as one of g and is going to be written.
func (r *Restorer) alsoIn(g *target, y *restoring, alias string) string {
	on := []string{r.goesBack(y, alias)}
	for i := range g.x.Key {
		on = append(on, fmt.Sprintf("%s.%s = d.%s", alias, k(i), k(i)))
	}
	return all(on...)
}

// goesBack is the condition that an entry of a capture, under an alias, is going to be written.
func (r *Restorer) goesBack(y *restoring, alias string) string {
	on := []string{}
	if y.Ops {
		on = append(on, alias+".op <> 'i'")
	}
	if y.work {
		on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = %s.n)", r.s.own(y.conflicts()), alias))
	}
	return all(on...)
}

// others are the older captures of a target in which some of its fields are as well, joined to its entries d: as conditions they would be asked row by row.
type others struct {
	alias map[*restoring]string
	joins string
}

func (r *Restorer) others(g *target) others {
	o := others{alias: map[*restoring]string{}}
	for _, i := range g.fields {
		for _, y := range g.partly[i] {
			if o.alias[y] == "" {
				o.alias[y] = "y" + itoa(len(o.alias)+1)
				o.joins += fmt.Sprintf(" LEFT JOIN %s %s ON %s", r.s.own(y.data()), o.alias[y], r.alsoIn(g, y, o.alias[y]))
			}
		}
	}
	return o
}

// none is the condition that no older capture has a field of an entry.
func (o others) none(g *target, i int) string {
	var out []string
	for _, y := range g.partly[i] {
		out = append(out, o.alias[y]+".n IS NULL")
	}
	return all(out...)
}

// oldest is the value of a field that is written in the end.
func (r *Restorer) oldest(g *target, o others, i int) string {
	now := r.live(g, i)
	value := r.s.f.back("d."+g.x.v(i), g.x.Fields[i], now)
	for _, y := range g.partly[i] { // the oldest comes last, and is asked first
		j := slices.IndexFunc(y.Fields, func(f field) bool { return f.Name == g.x.Fields[i].Name })
		value = fmt.Sprintf("CASE WHEN %s.n IS NOT NULL THEN %s ELSE %s END", o.alias[y], r.s.f.back(o.alias[y]+"."+y.v(j), y.Fields[j], now), value)
	}
	return value
}

// beforeKeysMove orders targets so that rows that were taken out of a partition, after keys of the whole table were moved, are there
// before the first target of that table moves all keys back: they have the moved ones. What stands between has values of other rows.
func (r *Restorer) beforeKeysMove(ctx context.Context, tx engine.Querier, targets []*target) ([]*target, error) {
	out := slices.Clone(targets)
	for i, g := range targets {
		if g.x.Rows == 0 || len(g.x.Key) == 0 || g.x.Seal.Mode != sealAbsent {
			continue
		}
		for _, h := range targets[i+1:] {
			if h.x.Home == g.x.Home || !h.x.Moved || !r.moves(h.x.Home) {
				continue
			}
			if related, err := r.related(ctx, tx, g.x, h.x); err != nil {
				return nil, err
			} else if !related {
				continue
			}
			first := slices.IndexFunc(out, func(t *target) bool { return t.x.Home == h.x.Home })
			if at := slices.Index(out, g); first < at {
				out = slices.Insert(slices.Delete(out, at, at+1), first, g)
			}
		}
	}
	return out, nil
}
