package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Partitions come and go while a migration runs. What a statement wrote to a partitioned table concerns the rows of the partitions that it had
// then: a table that stood alone at the time, and is a partition again afterwards, has rows with the same keys that are none of them.

// standing is a table, and what it was called when the migration began.
type standing struct {
	ID   string      `json:"id"`
	Name engine.Name `json:"name"`
}

// apartFrom lists the tables that may have been partitions of a partitioned one when the migration began, because they had its columns, and are not now.
func (c *Capturer) apartFrom(ctx context.Context, q engine.Querier, t *engine.Table) ([]standing, error) {
	own, there := c.track.origin[identity(t)]
	if t.Kind != "partitioned" || c.s.f.parts == nil || !there {
		return nil, nil
	}
	parts, err := c.s.f.parts(ctx, q, t)
	if err != nil {
		return nil, fmt.Errorf("read the partitions of %s: %w", t.Name, err)
	}
	var out []standing
	for id, o := range c.track.origin {
		if id != identity(t) && own.alike(o) && !slices.ContainsFunc(parts, func(p *engine.Table) bool { return identity(p) == id }) {
			out = append(out, standing{id, o.Name})
		}
	}
	slices.SortFunc(out, func(a, b standing) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// alike tells whether two tables have columns of the same names.
func (t tableShape) alike(o tableShape) bool {
	names := func(t tableShape) []string {
		var out []string
		for _, c := range t.Columns {
			out = append(out, c.Name)
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(names(t), names(o))
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

// lone tells whether a table stood apart from this partitioned one when it was captured.
func (c *capture) lone(id string) bool {
	return slices.ContainsFunc(c.Apart, func(s standing) bool { return s.ID == id })
}

// spare leaves out the entries in whose place there is a row, or comes one, of a table that stood apart then.
func (r *Restorer) spare(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	if len(x.Apart) == 0 || g.t.Kind != "partitioned" || len(x.Key) == 0 || x.Rows == 0 {
		return nil
	}
	parts, err := s.f.parts(ctx, tx, g.t)
	if err != nil {
		return fmt.Errorf("read the partitions of %s: %w", g.t.Name, err)
	}
	loaded := identity(g.t) != x.Identity && !r.made(g.t, nil) // the database was dumped and loaded since: all numbers are others
	var others []string
	for _, p := range parts {
		if x.lone(identity(p)) || loaded && slices.ContainsFunc(x.Apart, func(s standing) bool { return s.Name == p.Name }) {
			others = append(others, identity(p))
		}
	}
	there := func(key func(int) string) string {
		return fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, key))
	}
	theirs := func(key func(int) string) string {
		rows := []string{"1 = 0"}
		if len(others) > 0 {
			rows = append(rows, there(key)+" AND t.tableoid IN ("+strings.Join(others, ", ")+"))")
		}
		for _, z := range r.tables() {
			if z.Rows == 0 || len(z.Key) != len(x.Key) || !x.lone(z.Identity) {
				continue
			}
			var on []string
			for i, f := range x.Key {
				if j := slices.IndexFunc(z.Key, func(h field) bool { return h.Name == f.Name && h.Decl == f.Decl }); j >= 0 {
					on = append(on, fmt.Sprintf("z.%s = d.%s", z.old(j), key(i)))
				}
			}
			if len(on) < len(x.Key) {
				continue
			}
			if z.Ops { // what the migration inserted there does not come
				on = append(on, "z.op <> 'i'")
			}
			rows = append(rows, fmt.Sprintf("EXISTS (SELECT 1 FROM %s z WHERE %s)", s.own(z.data()), all(on...)))
		}
		return "(" + strings.Join(rows, " OR ") + ")"
	}
	left := all(x.inserted(false), "NOT "+there(k)+")", theirs(x.goal))
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", letBeGone, r.source(x), all(r.free(x), "("+theirs(k)+" OR ("+left+"))")))
}
