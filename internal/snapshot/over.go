package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// An up after a rollback of several migrations runs them all again: the first gives back a column, or a table, with what the application had written
// there, and the next one's UPDATE writes that over, which it had not done the first time, because the application wrote later. Nothing is lost, it is
// captured; but whoever reads that it came back must be told that it does not stand there.

// WrittenOver tells of the values and rows that this run of a migration has written over or removed in tables to which rows came back just before, and
// that are not those which its last rollback had put there. It is asked after Seal; nothing is written.
func (c *Capturer) WrittenOver(ctx context.Context, tx engine.Querier, back []string) ([]string, error) {
	taken := slices.DeleteFunc(slices.Clone(c.captures), func(x *capture) bool {
		return x.Kind != Rows && x.Kind != Columns && x.Kind != Table || x.Rows == 0 || len(x.Key) == 0 || x.Relay || x.Refill || x.Bystander || x.New || !slices.Contains(back, x.Home.String())
	})
	if len(taken) == 0 {
		return nil, nil
	}
	a := c.s.db.Arg
	first, err := c.s.load(ctx, tx, fmt.Sprintf("snapshot_id = (SELECT max(snapshot_id) FROM %s WHERE migration = %s AND direction = %s AND status = %s)",
		c.s.db.Quote(c.s.catalog), a(1), a(2), a(3)), c.meta.Migration, c.meta.Direction, statusRestored)
	if err != nil {
		return nil, err
	}
	var out []string
	seen := map[string]bool{}
	for _, x := range taken {
		var before *capture
		for _, y := range first {
			if y.Home == x.Home && y.Statement == x.Statement && y.Kind == x.Kind && y.Location != "" && slices.EqualFunc(x.Key, y.Key, same) &&
				!slices.ContainsFunc(x.Fields, func(f field) bool { return !slices.ContainsFunc(y.Fields, func(g field) bool { return same(f, g) }) }) {
				before = y.capture
			}
		}
		over, err := c.writtenOver(ctx, tx, x, before, seen)
		if err != nil {
			return nil, fmt.Errorf("look for what was written over in %s: %w", x.Home, err)
		}
		if len(over) > 0 {
			out = append(out, fmt.Sprintf("%s: migration %d has written over what the application had written and the migrations before it have just brought back: %s. It is captured: "+
				"dbrollback restore --snapshot %s --table %s shows it, --where chooses rows, and a rollback brings it back", x.Home, c.meta.Migration, strings.Join(over, ", "), c.id, x.Home))
		}
	}
	return out, nil
}

// writtenOver compares what one capture has with what stands there and with what the same statement had captured the time before. Of a column that
// several statements wrote, the first one counts.
func (c *Capturer) writtenOver(ctx context.Context, tx engine.Querier, x, before *capture, seen map[string]bool) ([]string, error) {
	s := c.s
	t, err := c.now(ctx, tx, x)
	if err != nil || t == nil {
		return nil, err
	}
	keys := func(i int) string { return c.keyNow(x, t, x.Key[i]) }
	from, fresh := s.own(x.data())+" d LEFT JOIN "+s.f.from(s.db, t)+" t ON "+s.on(x, t, "t", "d", keys, k), "1 = 1"
	if before != nil {
		on := []string{}
		for i := range x.Key {
			on = append(on, "e."+before.old(i)+" = d."+x.old(i))
		}
		if before.Ops {
			on = append(on, "e.op <> 'i'")
		}
		from, fresh = from+" LEFT JOIN "+s.own(before.data())+" e ON "+all(on...), "e.n IS NULL"
	}
	if columnIndex(t, keys(0)) < 0 {
		return nil, nil
	}
	stands := "t." + s.q(keys(0)) + " IS NOT NULL"
	sum := func(condition string) string {
		return "coalesce(sum(CASE WHEN " + condition + " THEN 1 ELSE 0 END), 0)"
	}
	removed := "1 = 0" // a row that an UPDATE wrote and a later statement removed counts there
	if x.Ops {
		removed = "d.op = 'd'"
	} else if x.Whole {
		removed = "1 = 1"
	}
	var names, sums, others []string
	for i, f := range x.Fields {
		value := []string{s.image("d."+x.v(i), f)}
		other := fresh
		if before != nil {
			was := slices.IndexFunc(before.Fields, func(g field) bool { return same(f, g) })
			other = fmt.Sprintf("(%s OR %s)", fresh, s.differ(value, []string{s.image("e."+before.v(was), f)}))
		}
		others = append(others, other)
		j := columnIndex(t, c.nameNow(x, t, f))
		id := x.Home.String() + " " + f.Name
		if j < 0 || seen[id] {
			continue
		}
		seen[id] = true
		if decl, text := s.f.store(t.Columns[j]); decl != f.Decl || text != f.Text {
			continue
		}
		names = append(names, "value(s) of "+f.Name)
		sums = append(sums, sum(fmt.Sprintf("%s AND (%s) AND %s", stands, s.differ(value, []string{s.image(s.f.value("t."+s.q(t.Columns[j].Name), f), f)}), other)))
	}
	names = append(names, "row(s)")
	sums = append(sums, sum(fmt.Sprintf("NOT (%s) AND %s AND (%s)", stands, removed, strings.Join(append(others, fresh), " OR "))))
	counts := make([]any, len(sums))
	for i := range counts {
		counts[i] = new(int64)
	}
	if err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s", list(sums), from, all(x.inserted(false)))).Scan(counts...); err != nil {
		return nil, err
	}
	var out []string
	for i, n := range counts {
		if n := *n.(*int64); n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, names[i]))
		}
	}
	return out, nil
}
