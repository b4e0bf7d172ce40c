package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// observe puts statement triggers with transition tables on the watched tables. The server hands them exactly the rows
// that were written, whatever chose them: a predicate, a volatile function, a LIMIT, a conflict, a cascade, another
// trigger. They are gone again when stop returns.
func (d postgresDialect) observe(ctx context.Context, q engine.Querier, watched []*capture) (func(context.Context) error, error) {
	before, err := d.counters(ctx, q, watched)
	if err != nil {
		return nil, err
	}
	var role string
	if err := q.QueryRowContext(ctx, "SELECT current_setting('session_replication_role')").Scan(&role); err != nil {
		return nil, fmt.Errorf("install observers: %w", err)
	}
	for _, x := range watched {
		for _, query := range d.install(x, role == "replica") {
			if _, err := q.ExecContext(ctx, query); err != nil {
				return nil, fmt.Errorf("install observers on %s: %w", x.At, err)
			}
		}
	}
	return func(ctx context.Context) error {
		for _, x := range watched {
			// With the function go its triggers, wherever the statement moved their table.
			if _, err := q.ExecContext(ctx, "DROP FUNCTION "+d.observer(x)+"() CASCADE"); err != nil {
				return fmt.Errorf("remove observers from %s: %w", x.At, err)
			}
		}
		return d.reconcile(ctx, q, watched, before)
	}, nil
}

func (d postgresDialect) observer(x *capture) string {
	return d.s.own("dbrollback_observe_" + compact(x.ID))
}

// install gives the statements that make the observers of one table.
func (d postgresDialect) install(x *capture, always bool) []string {
	s := d.s
	names, _ := x.columns()
	if x.chain {
		names = append(names, "b", "a")
	}
	into := "INSERT INTO " + s.own(x.data()) + " (" + list(names) + ") SELECT "
	values := func(op, old, now string) string {
		return s.seen(x, op, old, now, func(row string, f field) string {
			if row == "o" || row == "w" {
				return s.f.value(row+".a"+f.Num, f)
			}
			return s.f.value(row+"."+s.q(f.At), f)
		})
	}
	update := into + values("u", "r", "") + " FROM dbrollback_old r"
	if x.Moved || x.chain {
		// Both tables list the rows in the order in which they were written. Columns are read one by one: a whole row of such a
		// table has its values in the wrong places when a column of the table was dropped once.
		columns := []string{"row_number() OVER () AS i"}
		for i, f := range append(slices.Clone(x.Key), x.Fields...) {
			if c := "x." + s.q(f.At) + " AS a" + f.Num; i < len(x.Key) || !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
		update = into + values("u", "o", "w") + " FROM (SELECT " + list(columns) + " FROM dbrollback_old x) o" +
			" JOIN (SELECT " + list(columns) + " FROM dbrollback_new x) w ON w.i = o.i"
	}
	removed, inserted := values("d", "r", "")+" FROM dbrollback_old r", values("i", "", "r")+" FROM dbrollback_new r"
	if x.each {
		update, removed, inserted = into+values("u", "OLD", "NEW"), values("d", "OLD", ""), values("i", "", "NEW")
	}
	tag := "$dbrollback_" + compact(x.ID) + "$"
	var sets strings.Builder
	for _, p := range pins {
		if p[0] != "row_security" { // no table but ours is read
			fmt.Fprintf(&sets, " SET %s = %s", p[0], quoteSetting(p[1]))
		}
	}
	out := []string{
		"CREATE FUNCTION " + d.observer(x) + "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp" + sets.String() + " AS " + tag + `
BEGIN
	IF TG_OP = 'UPDATE' THEN
		` + update + `;
	ELSIF TG_OP = 'DELETE' THEN
		` + into + removed + `;
	ELSE
		` + into + inserted + `;
	END IF;
	RETURN NULL;
END ` + tag,
		"REVOKE ALL ON FUNCTION " + d.observer(x) + "() FROM PUBLIC",
	}
	for _, e := range []struct {
		on         bool
		event, ref string
	}{
		{x.events.insert, "INSERT", "NEW TABLE AS dbrollback_new"},
		{x.events.update, "UPDATE", "OLD TABLE AS dbrollback_old"},
		{x.events.remove, "DELETE", "OLD TABLE AS dbrollback_old"},
	} {
		if !e.on {
			continue
		}
		if e.event == "UPDATE" && (x.Moved || x.chain) {
			e.ref += " NEW TABLE AS dbrollback_new"
		}
		e.ref = "REFERENCING " + e.ref + " FOR EACH STATEMENT"
		if x.each {
			e.ref = "FOR EACH ROW"
		}
		trigger := s.q("dbrollback_" + strings.ToLower(e.event) + "_" + compact(x.ID))
		out = append(out, fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s %s EXECUTE FUNCTION %s()",
			trigger, e.event, s.db.Quote(x.At), e.ref, d.observer(x)))
		if always {
			out = append(out, fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", d.s.f.from(s.db, x.live), trigger))
		}
	}
	return out
}

// quoteSetting quotes the value of a setting; a list is several values.
func quoteSetting(v string) string {
	parts := strings.Split(v, ", ")
	for i := range parts {
		parts[i] = literal(parts[i])
	}
	return list(parts)
}

// counters reads how many rows of each watched table this transaction has changed or removed so far, by the server's own
// count; nil when the server does not count.
func (d postgresDialect) counters(ctx context.Context, q engine.Querier, watched []*capture) (map[*capture]int64, error) {
	var on string
	if err := q.QueryRowContext(ctx, "SELECT current_setting('track_counts')").Scan(&on); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	if on != "on" {
		return nil, nil
	}
	out := map[*capture]int64{}
	for _, x := range watched {
		n, err := number(ctx, q, "read counters", "SELECT pg_stat_get_xact_tuples_updated($1::bigint::oid) + pg_stat_get_xact_tuples_deleted($1::bigint::oid)", int64(x.live.OID))
		if err != nil {
			return nil, err
		}
		out[x] = n
	}
	return out, nil
}

// reconcile compares what the observers recorded with what the server counted. The rows of a partitioned table are
// counted where they lie and may be recorded by any table above.
func (d postgresDialect) reconcile(ctx context.Context, q engine.Querier, watched []*capture, before map[*capture]int64) error {
	if before == nil {
		return nil
	}
	after, err := d.counters(ctx, q, watched)
	if err != nil {
		return err
	}
	byName := map[engine.Name]*capture{}
	for _, x := range watched {
		byName[x.At] = x
	}
	changed, captured := map[*capture]int64{}, map[*capture]int64{}
	for _, x := range watched {
		root := x
		for byName[root.live.Parent] != nil {
			root = byName[root.live.Parent]
		}
		rows, err := number(ctx, q, "count captured rows", "SELECT count(*) FROM "+d.s.own(x.data())+" WHERE op IN ('u', 'd')")
		if err != nil {
			return err
		}
		captured[root] += rows
		changed[root] += after[x] - before[x]
	}
	var bad []string
	for root, n := range changed {
		if n > captured[root] && !root.trail {
			bad = append(bad, fmt.Sprintf("%s (%d rows changed, %d captured)", root.At, n, captured[root]))
		}
	}
	if len(bad) > 0 {
		return &UncapturedError{Tables: bad}
	}
	return nil
}
