package snapshot

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// An UPDATE writes each row a second time, and finds it a place in each index, beside the one that it had. Where most rows of a table differ it is
// written aside as it is to be, emptied by TRUNCATE and filled again: the same table, with all that belongs to it, in less than half the time.
// TRUNCATE keeps readers out until the end of the transaction; it is done only where nobody reads the table when its turn comes.

// bulker is an engine that can do that.
type bulker interface {
	// bulky tells whether it may, and whether it is worth its while for so many rows that differ.
	bulky(ctx context.Context, q engine.Querier, t *engine.Table, hits int64) (bool, error)
	// bulk does it. Rows that d, an entry each, says something of get its values; on is the condition on both. It gives the number of these.
	bulk(ctx context.Context, q engine.Querier, t *engine.Table, aside, entries, on string, values map[string]string) (int64, error)
}

//go:embed postgres_bulk.sql
var postgresBulk string

func (d postgresDialect) bulky(ctx context.Context, q engine.Querier, t *engine.Table, hits int64) (bool, error) {
	var size sql.NullInt64
	err := q.QueryRowContext(ctx, postgresBulk, append(engine.Prepared(d.s.db), int64(t.OID), hits)...).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("see whether %s can be filled anew: %w", t.Name, err)
	}
	return size.Int64 >= smallest, nil
}

func (d postgresDialect) bulk(ctx context.Context, q engine.Querier, t *engine.Table, aside, entries, on string, values map[string]string) (hits int64, err error) {
	table := d.s.db.Quote(t.Name)
	var names, from []string
	for _, c := range t.Columns {
		if c.Generated {
			continue
		}
		value := "t." + d.s.q(c.Name)
		if v, ok := values[c.Name]; ok {
			value = fmt.Sprintf("CASE WHEN d.n IS NULL THEN %s ELSE %s END", value, d.s.as(v, c))
		}
		names, from = append(names, d.s.q(c.Name)), append(from, value+" AS "+d.s.q(c.Name))
	}
	what := "put back values of " + t.Name.String()
	if _, err = exec(ctx, q, what, "LOCK TABLE ONLY "+table+" IN ACCESS EXCLUSIVE MODE NOWAIT"); err != nil {
		return 0, err
	}
	const hit = "dbrollback hit"
	err = d.compared(ctx, q, what, aside, fmt.Sprintf("SELECT d.n IS NOT NULL AS %s, %s FROM ONLY %s t LEFT JOIN %s ON %s", d.s.q(hit), list(from), table, entries, on))
	if err != nil {
		return 0, err
	}
	all, err := number(ctx, q, what, "SELECT count(*) FROM ONLY "+table)
	if err != nil {
		return 0, err
	}
	if hits, err = number(ctx, q, what, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", aside, d.s.q(hit))); err != nil {
		return 0, err
	}
	if _, err = exec(ctx, q, what, "TRUNCATE ONLY "+table); err != nil {
		return 0, err
	}
	n, err := exec(ctx, q, what, fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM %[3]s", table, list(names), aside))
	if err == nil && n != all {
		err = fmt.Errorf("%s: %d rows were to be written again, and %d were", what, all, n)
	}
	if err != nil {
		return 0, err
	}
	return hits, d.s.drop(ctx, q, what, aside)
}

// inBulk writes values over most rows of a table; false where that is not possible or not worth it, and nothing was written.
func (r *Restorer) inBulk(ctx context.Context, tx engine.Querier, g *target, fields []int, conflicts bool) (n int64, done bool, err error) {
	s, x := r.s, g.x
	b, ok := s.d.(bulker)
	if !ok || conflicts || r.bare || x.at == "" || x.Moved || x.final != "" || len(g.partly) > 0 || x.Rows*4 < g.t.Rows {
		return 0, false, nil
	}
	hits, err := number(ctx, tx, "count", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.op = 'u'", s.own(x.data())))
	if err != nil {
		return 0, false, err
	}
	can, err := b.bulky(ctx, tx, g.t, hits)
	if err != nil || !can {
		return 0, false, err
	}
	on := all(append([]string{x.at, s.on(x.capture, g.t, "t", "d", g.name, x.goal), x.inserted(false), r.free(x)}, r.uncovered(g)...)...)
	values := map[string]string{}
	for _, i := range fields {
		now := r.live(g, i)
		values[now.Name] = s.f.back("d."+x.v(i), x.Fields[i], now)
	}
	err = s.within(ctx, tx, "dbrollback_bulk", true, func() (err error) {
		n, err = b.bulk(ctx, tx, g.t, s.own("dbrollback_bulk_"+compact(x.ID)), s.own(x.data())+" d", on, values)
		return err
	})
	if _, server := engine.AsError(err); server && ctx.Err() == nil {
		return 0, false, nil // what the server has against it it may not have against an UPDATE, or says better there
	}
	return n, err == nil, err
}
