package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// observe puts temporary row triggers on the watched tables: they live on this connection only and see every row, those
// that foreign keys and other triggers write included.
func (d sqliteDialect) observe(ctx context.Context, q engine.Querier, watched []*capture) (func(context.Context) error, error) {
	before := map[*capture]int64{}
	for _, x := range watched {
		n, err := number(ctx, q, "count rows", "SELECT count(*) FROM "+d.s.db.Quote(x.At))
		if err != nil {
			return nil, err
		}
		before[x] = n
		for _, query := range d.install(x) {
			if _, err := q.ExecContext(ctx, query); err != nil {
				return nil, fmt.Errorf("install observers on %s: %w", x.At, err)
			}
		}
	}
	return func(ctx context.Context) error {
		var bad []string
		for _, x := range watched {
			for _, event := range []string{"insert", "update", "delete"} {
				if _, err := q.ExecContext(ctx, "DROP TRIGGER IF EXISTS temp."+d.observer(x, event)); err != nil {
					return fmt.Errorf("remove observers from %s: %w", x.At, err)
				}
			}
			there, err := number(ctx, q, "look for "+x.At.Name, "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = ?", x.At.Name)
			if err != nil {
				return err
			}
			if there == 0 || x.trail {
				continue
			}
			// Rows that REPLACE removes fire no trigger, but they are missing in the sum.
			after, err := number(ctx, q, "count rows", "SELECT count(*) FROM "+d.s.db.Quote(x.At))
			if err != nil {
				return err
			}
			gain, err := number(ctx, q, "count captured rows", fmt.Sprintf("SELECT sum(CASE op WHEN 'i' THEN 1 WHEN 'd' THEN -1 ELSE 0 END) FROM %s", d.s.own(x.data())))
			if err != nil {
				return err
			}
			if x.events.insert && x.events.remove && before[x]+gain != after || !x.events.insert && !x.events.remove && before[x] != after ||
				x.events.insert && !x.events.remove && before[x]+gain > after || !x.events.insert && x.events.remove && before[x]+gain > after {
				bad = append(bad, fmt.Sprintf("%s (%d rows before, %d after, %+d captured)", x.At, before[x], after, gain))
			}
		}
		if len(bad) > 0 {
			return &UncapturedError{Tables: bad}
		}
		return nil
	}, nil
}

func (d sqliteDialect) observer(x *capture, event string) string {
	return d.s.q("dbrollback_" + event + "_" + compact(x.ID))
}

func (d sqliteDialect) install(x *capture) []string {
	s := d.s
	names, _ := x.columns()
	if x.chain {
		names = append(names, "b", "a")
	}
	values := func(op, old, now string) string {
		return s.seen(x, op, old, now, func(row string, f field) string { return row + "." + s.q(f.At) })
	}
	var out []string
	for _, e := range []struct {
		on            bool
		event, values string
	}{
		{x.events.insert, "insert", values("i", "", "NEW")},
		{x.events.update, "update", values("u", "OLD", "NEW")},
		{x.events.remove, "delete", values("d", "OLD", "")},
	} {
		if e.on {
			out = append(out, fmt.Sprintf("CREATE TEMP TRIGGER %s AFTER %s ON main.%s FOR EACH ROW BEGIN INSERT INTO %s (%s) VALUES (%s); END",
				d.observer(x, e.event), e.event, s.q(x.At.Name), s.own(x.data()), list(names), e.values))
		}
	}
	return out
}

// probe counts writes to all tables with temporary triggers, and rows before and after for what fires none.
func (d sqliteDialect) probe(ctx context.Context, q engine.Querier) (func(context.Context) (touched, error), error) {
	all, err := d.s.db.Tables(ctx, q)
	if err != nil {
		return nil, err
	}
	if _, err := exec(ctx, q, "watch tables", "CREATE TEMP TABLE dbrollback_seen (t TEXT NOT NULL, op TEXT NOT NULL, q INTEGER NOT NULL, PRIMARY KEY (t, op))"); err != nil {
		return nil, err
	}
	before := map[engine.Name]int64{}
	for i, t := range all {
		if before[t], err = number(ctx, q, "count rows", "SELECT count(*) FROM "+d.s.db.Quote(t)); err != nil {
			return nil, err
		}
		for _, event := range []string{"insert", "update", "delete"} {
			if _, err := exec(ctx, q, "watch tables", fmt.Sprintf(
				"CREATE TEMP TRIGGER dbrollback_seen_%s_%d AFTER %s ON main.%s FOR EACH ROW BEGIN INSERT INTO dbrollback_seen VALUES (%s, '%s', 1) ON CONFLICT (t, op) DO UPDATE SET q = q + 1; END",
				event, i, event, d.s.q(t.Name), literalPlain(t.Name), event)); err != nil {
				return nil, err
			}
		}
	}
	return func(ctx context.Context) (touched, error) {
		out := touched{rows: map[string]writes{}}
		for i, t := range all {
			var w writes
			for event, into := range map[string]*int64{"insert": &w.inserted, "update": &w.updated, "delete": &w.deleted} {
				if *into, err = number(ctx, q, "count writes", "SELECT sum(q) FROM temp.dbrollback_seen WHERE t = ? AND op = ?", t.Name, event); err != nil {
					return out, err
				}
				if _, err := exec(ctx, q, "stop watching", fmt.Sprintf("DROP TRIGGER IF EXISTS temp.dbrollback_seen_%s_%d", event, i)); err != nil {
					return out, err
				}
			}
			there, err := number(ctx, q, "look for "+t.Name, "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = ?", t.Name)
			if err != nil {
				return out, err
			}
			if there > 0 {
				after, err := number(ctx, q, "count rows", "SELECT count(*) FROM "+d.s.db.Quote(t))
				if err != nil {
					return out, err
				}
				w.replaced = before[t]+w.inserted-w.deleted != after
			}
			if w != (writes{}) {
				out.rows[identityOf(t)] = w
			}
		}
		_, err := exec(ctx, q, "stop watching", "DROP TABLE temp.dbrollback_seen")
		return out, err
	}, nil
}
