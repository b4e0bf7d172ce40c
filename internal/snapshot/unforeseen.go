package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// An UPDATE may give rows keys that nobody can tell before it runs (SET id = (@n := @n + 1)): where the server does not say which row became which, they count as
// deleted, and others as inserted.

// unforeseen looks at such rows of a capture after Down has moved keys by itself. Somebody may have written to some under their new keys: what stands under a first key by
// now, and is not what was captured, may be what was written. And Down may have put rows where none was before: they would be there twice.
func (r *Restorer) unforeseen(ctx context.Context, tx engine.Querier, g *target, c *Capturer) error {
	s, x := r.s, g.x
	if !x.Ops || x.Moved || x.cleared || x.Rows == 0 || len(g.fields) == 0 || c.meta.Direction == "up" || r.s.db.Caps.TransactionalDDL || !r.rekeyed(x, r.statements) {
		return nil
	}
	if came, err := number(ctx, tx, "follow keys", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.op = 'i'", s.own(x.data()))); err != nil || came == 0 {
		return err // it gave no row another key
	}
	for _, y := range c.captures {
		if !y.Ops || y.Identity != identity(g.t) || len(y.Key) != len(x.Key) {
			continue
		}
		var from, to []string
		for i := range x.Key {
			from, to = append(from, fmt.Sprintf("y.%s = d.%s", y.old(i), k(i))), append(to, fmt.Sprintf("z.%s = y.%s", k(i), k(i)))
		}
		ours := fmt.Sprintf("EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(x.data()), all(append(from, "d.op = 'i'")...))
		home := fmt.Sprintf("EXISTS (SELECT 1 FROM %s z WHERE %s)", s.own(x.data()), all(append(to, "z.op = 'd'")...))
		query := fmt.Sprintf("SELECT count(*) FROM %s y WHERE y.op = 'u' AND %s AND NOT %s", s.own(y.data()), ours, home)
		if !y.Moved { // nobody knows which of these was which either, but rows that the migration did not move are no more than those that were none of its own
			query = fmt.Sprintf("SELECT greatest(0, coalesce(sum(CASE WHEN y.op = 'i' AND NOT %s THEN 1 ELSE 0 END), 0) - coalesce(sum(CASE WHEN y.op = 'd' AND NOT %s THEN 1 ELSE 0 END), 0)) FROM %s y", home, ours, s.own(y.data()))
		}
		n, err := number(ctx, tx, "follow keys", query)
		if err != nil {
			return err
		}
		if n > 0 {
			return &ProofError{Table: x.Home, Capture: x.ID, Rows: n, Of: x.Rows, Reason: "Down moves keys in another way than Up did"}
		}
	}
	if !x.work {
		return nil
	}
	n, err := number(ctx, tx, "look for rows written since", fmt.Sprintf("SELECT count(*) FROM %s w JOIN %s d ON d.n = w.n WHERE d.op = 'i' AND w.reason = '%s'", s.own(x.conflicts()), s.own(x.data()), changedSince))
	if err != nil || n == 0 {
		return err
	}
	kept, live := r.images(g, g.fields, false)
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s JOIN %s t ON %s WHERE %s", changedSince, r.source(x), s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal),
		all("d.op = 'd'", r.free(x), s.hash(kept)+" <> "+s.hash(live))))
}
