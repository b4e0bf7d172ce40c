package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Partitions come and go while a migration runs. What a statement wrote to a partitioned table concerns the rows of the partitions that it had
// then: one that stood alone at the time, and is a partition again afterwards, has rows with the same keys that are none of them.

// partsOf lists the partitions of a partitioned table, at every level, by the names that they had when the migration began.
func (c *Capturer) partsOf(ctx context.Context, q engine.Querier, t *engine.Table) ([]engine.Name, error) {
	if t.Kind != "partitioned" || c.s.f.parts == nil {
		return nil, nil
	}
	parts, err := c.s.f.parts(ctx, q, t)
	if err != nil {
		return nil, fmt.Errorf("read the partitions of %s: %w", t.Name, err)
	}
	out := []engine.Name{}
	for _, p := range parts {
		out = append(out, c.track.home(p))
	}
	return out, nil
}

// postgresPartitions reads names and numbers of partitions.
func postgresPartitions(ctx context.Context, q engine.Querier, t *engine.Table) (out []*engine.Table, err error) {
	rows, err := q.QueryContext(ctx, `SELECT n.nspname, c.relname, c.oid::bigint FROM pg_catalog.pg_partition_tree($1::bigint::oid::regclass) p
		JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.level > 0`, int64(t.OID))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p := &engine.Table{}
		var oid int64
		if err := rows.Scan(&p.Name.Schema, &p.Name.Name, &oid); err != nil {
			return nil, err
		}
		p.OID = uint32(oid)
		out = append(out, p)
	}
	return out, rows.Err()
}

// has tells whether a table was a partition of this one when it was captured, as far as that is known.
func (c *capture) has(part engine.Name) bool { return c.Parts == nil || slices.Contains(c.Parts, part) }

// spare leaves out the entries in whose place there is a row of a partition that the table did not have.
func (r *Restorer) spare(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	if x.Parts == nil || g.t.Kind != "partitioned" || len(x.Key) == 0 || x.Rows == 0 {
		return nil
	}
	parts, err := s.f.parts(ctx, tx, g.t)
	if err != nil {
		return fmt.Errorf("read the partitions of %s: %w", g.t.Name, err)
	}
	var others []string
	for _, p := range parts {
		if !x.has(p.Name) {
			others = append(others, fmt.Sprint(p.OID))
		}
	}
	if len(others) == 0 {
		return nil
	}
	of := "t.tableoid IN (" + strings.Join(others, ", ") + ")"
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", letBeGone, r.source(x), all(r.free(x),
		fmt.Sprintf("(EXISTS (SELECT 1 FROM %[1]s t WHERE %[2]s AND %[3]s) OR %[4]s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, k), of,
			all(x.inserted(false), fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s AND %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal), of))))))
}
