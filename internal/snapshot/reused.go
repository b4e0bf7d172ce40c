package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A value of a column that is gone goes back by the key of its row, whatever the application has made of the rest of the row since.
// But when it gave the row another key, and its old one to a new row, the value would go to the wrong one. So the seal of such captures
// also has a hash of everything else in the row: where a row of a new key has exactly what a captured row had, and the row under the
// captured key has not, the row has moved. Rows that were alike in everything but their keys tell nothing.

// rest gives the columns that a row which moved to another key takes along: all that are not of the key. There are none where nothing
// captured is gone, where a capture has not all rows, and where seals follow the statements.
func (s *Store) rest(x *capture, t *engine.Table) []string {
	if !s.db.Caps.TransactionalDDL || x.Ops || !slices.ContainsFunc(x.Fields, func(f field) bool { return f.Seal == "" }) {
		return nil
	}
	var out []string
	for _, col := range t.Columns {
		if !col.Generated && !slices.Contains(x.Seal.Key, col.Name) {
			out = append(out, col.Name)
		}
	}
	return out
}

// sealRest hashes the rest of all rows of a capture whose seal says nothing else.
func (c *Capturer) sealRest(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table, from string) error {
	if len(x.Seal.Rest) == 0 {
		return nil
	}
	s, into := c.s, c.s.own(x.companion())
	if x.next != "" { // there is room for more
		if err := s.drop(ctx, tx, "seal", into); err != nil {
			return err
		}
	}
	if err := s.make(ctx, tx, "seal", into, []string{"n bigint NOT NULL", "r " + s.f.hash}, "n"); err != nil {
		return err
	}
	_, err := exec(ctx, tx, "seal", fmt.Sprintf("INSERT INTO %s (n, r) SELECT d.n, %s FROM %s", into, s.hash(s.images(x.Seal.Rest, t, "t")), from))
	return err
}

// reused marks entries whose rows moved to another key since, while their own went to other rows; so it does with those of older
// captures of the same rows.
func (r *Restorer) reused(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table, older []*restoring) error {
	if t == nil || len(x.Seal.Rest) == 0 || x.Rows == 0 || x.Bystander ||
		slices.ContainsFunc(slices.Concat(x.Seal.Rest, x.Seal.Key), func(n string) bool { return columnIndex(t, n) < 0 }) {
		return nil
	}
	s := r.s
	columns := []string{"e.n"}
	for i := range x.Key {
		if x.Seal.Mode == sealRows && x.Seal.Places {
			columns = append(columns, fmt.Sprintf("coalesce(s.%[1]s, e.%[1]s) AS %[1]s", k(i)))
		} else {
			columns = append(columns, "e."+k(i))
		}
	}
	known := s.endKeys(x.capture) + " d"
	name := func(i int) string { return x.Seal.Key[i] }
	from, hash := s.f.from(s.db, t), s.hash(s.images(x.Seal.Rest, t, "t"))
	others := fmt.Sprintf("FROM %s t WHERE NOT EXISTS (SELECT 1 FROM %s WHERE %s)", from, known, s.on(x.capture, t, "t", "d", name, k))
	if s.f.scans { // as a list it is indexed, where else all captured rows would be read for each row of the table
		var live, kept []string
		for i := range x.Key {
			live, kept = append(live, "t."+s.q(name(i))+" COLLATE BINARY"), append(kept, "d."+k(i))
		}
		others = fmt.Sprintf("FROM %s t WHERE %s", from, unlisted(list(live), fmt.Sprintf("SELECT %s FROM %s", list(kept), known)))
	}
	// Mostly no row has a key that was not captured, which is found out in a fraction of the time that it takes to hash all rows.
	if some, err := number(ctx, tx, "look for new keys", "SELECT count(*) "+others); err != nil || some == 0 {
		return err
	}
	// What may have moved is found first: of a join by several key columns the planner expects one row, and would look for it again with each that there is.
	moved := fmt.Sprintf("SELECT %s, s.r FROM %s e JOIN %s s ON s.n = e.n WHERE s.r IN (SELECT s.r FROM %s s WHERE s.r IN (SELECT %s %s) GROUP BY s.r HAVING count(*) = 1)",
		list(columns), s.own(x.data()), s.own(x.companion()), s.own(x.companion()), hash, others)
	found, err := r.marked(ctx, tx, x, fmt.Sprintf("WITH d AS MATERIALIZED (%s) SELECT d.n, '%s' FROM d JOIN %s t ON %s WHERE %s", moved, insertedSince, from, s.on(x.capture, t, "t", "d", name, k),
		all(hash+" <> d.r", r.free(x))))
	if err != nil || found == 0 {
		return err
	}
	for _, y := range older {
		if y.Rows == 0 || !sameKey(x, y) {
			continue
		}
		var on []string
		for i := range x.Key {
			on = append(on, fmt.Sprintf("d.%s = e.%s", k(i), k(i)))
		}
		if err := r.mark(ctx, tx, y, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s e ON %s JOIN %s w ON w.n = e.n WHERE %s", insertedSince, s.own(y.data()), s.own(x.data()), all(on...),
			s.own(x.conflicts()), all(fmt.Sprintf("w.reason = '%s'", insertedSince), y.inserted(false)))); err != nil {
			return err
		}
	}
	return nil
}

// endKeys gives the numbers of captured rows with the keys under which they stood when the migration ended.
func (s *Store) endKeys(x *capture) string {
	columns := []string{"e.n"}
	if x.Seal.Mode != sealRows || !x.Seal.Places { // a join that changes nothing has cost 29 s of 38 for 400,000 rows
		for i := range x.Key {
			columns = append(columns, "e."+k(i))
		}
		return fmt.Sprintf("(SELECT %s FROM %s e)", list(columns), s.own(x.data()))
	}
	for i := range x.Key {
		columns = append(columns, fmt.Sprintf("coalesce(s.%[1]s, e.%[1]s) AS %[1]s", k(i)))
	}
	return fmt.Sprintf("(SELECT %s FROM %s e LEFT JOIN %s s ON s.n = e.n)", list(columns), s.own(x.data()), s.own(x.companion()))
}
