package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// carry lets rows that the application wrote go on pointing to the rows whose keys are about to be moved back, where the foreign
// keys that would see to it are off meanwhile. Rows that were captured with what they pointed to get that back themselves.
func (r *Restorer) carry(ctx context.Context, tx engine.Querier, g *target, moved string) error {
	s, x := r.s, g.x
	if !s.f.detached {
		return nil
	}
	written := r.tables()
	for _, fk := range g.t.Referenced {
		child, err := r.inspect(ctx, tx, fk.Table)
		if err != nil {
			return err
		}
		if child == nil {
			continue
		}
		if len(child.Triggers) > 0 && !slices.ContainsFunc(written, func(y *restoring) bool { return y.Home == child.Name }) {
			continue // they are not out of the way; what then points nowhere fails the proof
		}
		var sets [][2]string
		on, there := []string{moved, r.free(x)}, []string{}
		for i, parent := range fk.ParentColumns {
			c, at := columnIndex(child, fk.Columns[i]), -1
			for j := range x.Key {
				if g.name(j) == parent {
					at = j
				}
			}
			if c < 0 || at < 0 || child.Columns[c].Generated {
				sets = nil
				break
			}
			name := s.q(fk.Columns[i])
			sets = append(sets, [2]string{name, s.f.back("d."+o(at), x.Key[at], child.Columns[c])})
			on = append(on, s.points("t."+name, "d."+k(at), x.Key[at], child.Columns[c]))
			there = append(there, s.points("t."+name, "d."+o(at), x.Key[at], child.Columns[c]))
		}
		if sets == nil {
			continue
		}
		on = append(on, "NOT ("+all(there...)+")") // the key's letters change, and it points there as before
		for _, y := range written {
			if y.Home != child.Name || len(y.Key) == 0 || !givesBack(y, fk.Columns) {
				continue
			}
			place := s.on(y.capture, child, "t", "d", func(i int) string { return r.keyName(y, child, i) }, k)
			on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(y.data()), all(place, y.inserted(false), r.free(y))))
		}
		if _, err := exec(ctx, tx, "let rows of "+child.Name.String()+" follow", s.update(s.f.from(s.db, child), "t", s.unstamped(child, sets), s.own(x.data())+" d", all(on...))); err != nil {
			return err
		}
	}
	return nil
}

// givesBack tells whether a capture gives columns their values back.
func givesBack(y *restoring, columns []string) bool {
	return !slices.ContainsFunc(columns, func(c string) bool {
		same := func(f field) bool { return f.Name == c }
		return !slices.ContainsFunc(y.Fields, same) && !(y.Moved && slices.ContainsFunc(y.Key, same))
	})
}
