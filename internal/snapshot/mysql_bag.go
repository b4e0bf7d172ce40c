package snapshot

import (
	"cmp"
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysqlExchange does what exchange does where a row of a table without a key has no address by which it could be removed: when
// rows have to go, all rows are copied, the table is emptied, and those that stay are put back beside those that come.
func mysqlExchange(ctx context.Context, r *Restorer, tx engine.Querier, g *target, e exchanging) error {
	s, x := r.s, g.x
	work := s.own("dbrollback_last_" + compact(x.ID))
	columns, names := []string{"n bigint NOT NULL AUTO_INCREMENT", "h " + s.f.hash, "g " + s.f.hash, "z " + s.f.hash}, []string{"h", "g", "z"}
	values, back := []string{e.live, e.group, cmp.Or(e.set, "NULL")}, []string{}
	if e.group == "1" {
		values[1] = "NULL"
	}
	var columnsOf []string
	for i, c := range g.t.Columns {
		if c.Generated {
			continue
		}
		f := s.kept(c)
		columns, names = append(columns, v(i)+" "+f.Decl), append(names, v(i))
		values = append(values, s.f.value("t."+s.q(c.Name), f))
		columnsOf, back = append(columnsOf, s.q(c.Name)), append(back, s.f.back("o."+v(i), f, c))
	}
	if err := s.make(ctx, tx, "put back "+x.Home.String(), work, columns, "n"); err != nil {
		return err
	}
	there, err := exec(ctx, tx, "put back "+x.Home.String(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s t FOR UPDATE", work, list(names), list(values), s.f.from(s.db, g.t)))
	if err != nil {
		return err
	}
	if g.saved != nil && *g.saved != there {
		return moved(g.t) // a row came that is not captured
	}
	// y: live rows that are ours, numbered among those of equal image.
	ours := fmt.Sprintf("(SELECT y.n, y.h, row_number() OVER (PARTITION BY y.h ORDER BY y.n) AS i FROM (SELECT w.n, w.h, w.g, w.z, row_number() OVER (PARTITION BY w.g ORDER BY w.n) AS i FROM %s w) y WHERE %s)", work, all(e.stays))
	comes := all(r.free(x), e.comes)
	captured := fmt.Sprintf("(SELECT %s AS h, count(*) AS q FROM %s d WHERE %s GROUP BY 1)", e.kept, s.own(x.data()), comes)
	excess := fmt.Sprintf("SELECT o.n FROM %s o LEFT JOIN %s k ON k.h = o.h WHERE o.i > coalesce(k.q, 0)", ours, captured)
	var deleted int64
	if e.remove {
		n, err := number(ctx, tx, "compare", "SELECT count(*) FROM ("+excess+") e")
		if err != nil {
			return err
		}
		for _, fk := range g.t.Referenced {
			if n > 0 {
				return &ProofError{Table: x.Home, Capture: x.ID, Rows: n, Of: x.Rows,
					Reason: fmt.Sprintf("the table has no key, and removing rows would reach %s by foreign key %s", fk.Table, fk.Name)}
			}
		}
		if deleted = n; n > 0 {
			gone, err := exec(ctx, tx, "put back "+x.Home.String(), "DELETE FROM "+s.db.Quote(g.t.Name))
			if err != nil {
				return err
			}
			if gone != there {
				return moved(g.t) // one went that nobody has looked at
			}
			if _, err := exec(ctx, tx, "put back "+x.Home.String(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s o LEFT JOIN (%s) e ON e.n = o.n WHERE e.n IS NULL ORDER BY o.n",
				s.db.Quote(g.t.Name), list(columnsOf), list(back), work, excess)); err != nil {
				return err
			}
		}
	}
	if err := r.yield(ctx, tx, g, e); err != nil {
		return err
	}
	var into, from []string
	for _, i := range g.fields {
		now := r.live(g, i)
		into, from = append(into, s.q(now.Name)), append(from, s.f.back("d."+x.v(i), x.Fields[i], now))
	}
	query := fmt.Sprintf(
		"INSERT INTO %s (%s) SELECT %s FROM (SELECT d.*, %s AS h, row_number() OVER (PARTITION BY %s ORDER BY d.n) AS i FROM %s d WHERE %s) d LEFT JOIN (SELECT o.h, count(*) AS q FROM %s o GROUP BY o.h) l ON l.h = d.h WHERE d.i > coalesce(l.q, 0)",
		s.db.Quote(g.t.Name), list(into), list(from), e.kept, e.kept, s.own(x.data()), comes, ours)
	var inserted int64
	if err := r.giving(ctx, tx, g, into, func() (err error) {
		inserted, err = r.insertBag(ctx, tx, g, query, deleted)
		return err
	}); err != nil {
		return err
	}
	rep := r.of(x.Home)
	both := min(deleted, inserted) // a row that changed is one taken out and one put in
	rep.Updated, rep.Deleted, rep.Inserted = rep.Updated+both, rep.Deleted+deleted-both, rep.Inserted+inserted-both
	return r.proveBag(ctx, tx, g)
}
