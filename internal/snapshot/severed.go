package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Down deletes rows, and a foreign key with ON DELETE SET NULL or SET DEFAULT takes their children off them. Children of rows that come back point to them again, also
// those that the application has put there since Up, which no capture of Up knows: from what Down itself has captured of them.

// severed is what Down has captured of one table, of which it writes nothing but that.
type severed struct {
	y   *capture
	t   *engine.Table
	fks []engine.ForeignKey
}

// severs finds such tables.
func (r *Restorer) severs(ctx context.Context, tx engine.Querier, c *Capturer) ([]*severed, error) {
	if c == nil || c.meta.Direction != "down" || r.run == nil {
		return nil, nil
	}
	var out []*severed
	for _, y := range c.captures {
		if y.Rows == 0 || len(y.Key) == 0 || !y.Ops || y.Kind != Rows || y.Moved && !y.Still || y.Statement < 1 || y.Statement > len(r.run) ||
			r.alters(y) {
			continue
		}
		t, err := r.inspect(ctx, tx, y.At)
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		x := &severed{y: y, t: t}
		for _, fk := range t.ForeignKeys {
			if strings.HasPrefix(fk.OnDelete, "SET") && fk.Parent != t.Name && len(fk.Columns) == len(fk.ParentColumns) && !slices.ContainsFunc(fk.Columns, func(n string) bool {
				return columnIndex(t, n) < 0 || !slices.ContainsFunc(y.Fields, func(f field) bool { return f.At == n })
			}) {
				x.fks = append(x.fks, fk)
			}
		}
		if len(x.fks) > 0 {
			out = append(out, x)
		}
	}
	return out, nil
}

// alters tells whether the statements of the run do more to the table of a capture than to change its shape.
func (r *Restorer) alters(y *capture) bool {
	began, there := r.s.calledFirst(y.At, r.run[:y.Statement-1])
	return !there || !r.only(began, r.run, func(effects.Effect) bool { return false })
}

// reconnect has children point to the rows that are back. Of rows that Up has captured, and that are as it left them, the captures speak.
func (r *Restorer) reconnect(ctx context.Context, tx engine.Querier, list []*severed) error {
	s := r.s
	for _, x := range list {
		for _, fk := range x.fks {
			conditions := []string{s.on(x.y, x.t, "t", "d", func(i int) string { return x.y.Key[i].At }, k), "d.op = 'u'"}
			var sets [][2]string
			var points, kept []string
			for j, n := range fk.Columns {
				i := slices.IndexFunc(x.y.Fields, func(f field) bool { return f.At == n })
				now := x.t.Columns[columnIndex(x.t, n)]
				value := s.f.back("d."+x.y.v(i), x.y.Fields[i], now)
				sets = append(sets, [2]string{s.q(n), value})
				points, kept = append(points, fmt.Sprintf("p.%s = %s", s.q(fk.ParentColumns[j]), value)), append(kept, s.image("d."+x.y.v(i), x.y.Fields[i]))
			}
			if fk.OnDelete == "SET NULL" {
				conditions = append(conditions, fmt.Sprintf("t.%s IS NULL", s.q(fk.Columns[0])))
			}
			conditions = append(conditions, "("+s.differ(s.images(fk.Columns, x.t, "t"), kept)+")",
				fmt.Sprintf("EXISTS (SELECT 1 FROM %s p WHERE %s)", s.db.Quote(fk.Parent), all(points...)))
			for _, o := range r.tables() {
				if o.Home != x.y.Home || o.Rows == 0 {
					continue
				}
				if len(o.Key) != len(x.y.Key) {
					return nil
				}
				free := "1 = 1"
				if o.work {
					free = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = y.n)", s.own(o.conflicts()))
				}
				conditions = append(conditions, "NOT "+r.standsIn(o, free, false))
			}
			n, err := r.attempt(ctx, tx, "point to rows that are back", s.update(s.f.from(s.db, x.t), "t", s.unstamped(x.t, sets), s.own(x.y.data())+" d", all(conditions...)))
			if err != nil && !taken(err) {
				return err
			}
			if n > 0 {
				r.of(x.y.Home).Updated += n
			}
		}
	}
	return nil
}
