package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Uncaptured finds the rows of a table for which the latest Up of a migration captured no value of a column: when its
// Down makes the column again, nothing is there to fill it with. It counts them, and shows the keys of some. Where no capture
// of the column is found every row counts.
func (s *Store) Uncaptured(ctx context.Context, q engine.Querier, migration int64, t *engine.Table, column string, most int) (rows int64, samples []string, err error) {
	r, err := s.Restorer(ctx, q, migration, "up")
	if err != nil {
		return 0, nil, err
	}
	var known []string                                                                         // conditions that a capture has the row
	is := func(f field) bool { return s.sameName(f.Name, column) || s.sameName(f.At, column) } // as it was called in the beginning, or when it went
	if r != nil {
		for _, x := range r.pendingColumns() {
			i := slices.IndexFunc(x.Fields, is)
			if i >= 0 && holds(t, x.capture) {
				known = append(known, "t."+s.q(x.Aside.Names[i])+" IS NOT NULL")
			}
		}
		for _, x := range r.tables() {
			if x.Seal.Table != t.Name || x.Kind == Kept {
				continue
			}
			for i, f := range x.Fields {
				if !is(f) || len(x.Key) == 0 {
					continue
				}
				on := []string{fmt.Sprintf("d.%s IS NOT NULL", x.v(i))}
				var live, kept []string
				for j, key := range x.Key {
					at := columnIndex(t, key.Seal)
					if at < 0 {
						return 0, nil, nil // the key is another one by now: nothing can be told
					}
					on = append(on, s.f.match("t."+s.q(key.Seal), "d."+k(j), key, t.Columns[at]))
					if key.Type == t.Columns[at].Type {
						live, kept = append(live, "t."+s.q(key.Seal)+" COLLATE BINARY"), append(kept, "d."+k(j))
					}
				}
				if s.f.sets && len(live) == len(x.Key) {
					known = append(known, "NOT "+unlisted(list(live), fmt.Sprintf("SELECT %s FROM %s d WHERE %s", list(kept), s.own(x.data()), on[0])))
					continue
				}
				known = append(known, fmt.Sprintf("EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(x.data()), strings.Join(on, " AND ")))
			}
		}
	}
	where := "1 = 1"
	if len(known) > 0 {
		where = "NOT (" + strings.Join(known, " OR ") + ")"
	}
	from := s.f.from(s.db, t) + " t"
	if rows, err = number(ctx, q, "look for rows without a captured value", "SELECT count(*) FROM "+from+" WHERE "+where); err != nil || rows == 0 {
		return rows, nil, err
	}
	if len(t.Keys) == 0 {
		return rows, nil, nil
	}
	var key []field
	var refs []string
	for _, c := range t.Keys[0].Columns {
		key, refs = append(key, s.kept(t.Columns[columnIndex(t, c)])), append(refs, "t."+s.q(c))
	}
	samples, err = engine.Texts(ctx, q, fmt.Sprintf("SELECT %s FROM %s WHERE %s LIMIT %d", s.keyOf(key, refs), from, where, most))
	return rows, samples, err
}

// Uncovered gives the condition that no capture of a migration's latest Up has a row of the table: nothing that the captures put back
// can change it. The columns are spelled with the table's own name. It is not known where a capture has no key to go by.
func (s *Store) Uncovered(ctx context.Context, q engine.Querier, migration int64, t *engine.Table) (where string, known bool, err error) {
	r, err := s.Restorer(ctx, q, migration, "up")
	if err != nil || r == nil {
		return "", false, err
	}
	var covered []string
	for _, x := range r.tables() {
		if x.Seal.Table != t.Name || x.Kind == Kept || x.Kind == Definition {
			continue
		}
		if len(x.Key) == 0 {
			return "", false, nil
		}
		var on []string
		for j, key := range x.Key {
			at := columnIndex(t, key.Seal)
			if at < 0 {
				return "", false, nil
			}
			on = append(on, s.f.match(s.q(t.Name.Name)+"."+s.q(key.Seal), "d."+k(j), key, t.Columns[at]))
		}
		covered = append(covered, fmt.Sprintf("EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(x.data()), strings.Join(on, " AND ")))
	}
	if len(covered) == 0 {
		return "1 = 1", true, nil
	}
	return "NOT (" + strings.Join(covered, " OR ") + ")", true, nil
}
