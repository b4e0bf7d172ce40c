package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Written counts the rows of a table in which a column holds what was written to it since the migration captured it: the column is the same one, and what
// stands in it now is in no capture; where the table has no key, any row that was written counts. After Check.
func (r *Restorer) Written(ctx context.Context, tx engine.Querier, table engine.Name, column string) (int64, error) {
	s := r.s
	for _, x := range slices.Backward(r.tables()) {
		if x.Seal.Table == table && x.Seal.Mode == sealBag && x.bag != nil && !x.bag.same {
			return 1, nil // at least: which rows of a table without a key it is, is not known
		}
		if x.Seal.Table != table || x.Seal.Mode != sealRows || x.Rows == 0 || len(x.Seal.Key) == 0 ||
			!slices.ContainsFunc(x.Fields, func(f field) bool { return f.Seal != "" && s.sameName(f.Seal, column) }) {
			continue
		}
		t, err := r.inspect(ctx, tx, table)
		if err != nil || t == nil {
			return 0, err
		}
		var changed int64
		if x.work {
			if changed, err = number(ctx, tx, "count conflicts", fmt.Sprintf("SELECT count(DISTINCT n) FROM %s w WHERE w.reason = '%s'", s.own(x.conflicts()), changedSince)); err != nil {
				return 0, err
			}
		}
		places := "d." + k(0)
		for i := range x.Key[1:] {
			places += ", d." + k(i+1)
		}
		from := s.own(x.data()) + " d"
		if x.Seal.Places {
			places = ""
			for i := range x.Key {
				places += fmt.Sprintf("coalesce(s.%[1]s, d.%[1]s) AS %[1]s, ", k(i))
			}
			places, from = places+"d.n", from+" LEFT JOIN "+s.own(x.companion())+" s ON s.n = d.n"
		}
		more, err := number(ctx, tx, "count rows of "+table.String(), fmt.Sprintf("SELECT count(*) FROM %s t WHERE t.%s IS NOT NULL AND NOT EXISTS (SELECT 1 FROM (SELECT %s FROM %s) d WHERE %s)",
			s.f.from(s.db, t), s.q(r.column(t, column)), places, from, s.on(x.capture, t, "t", "d", func(i int) string { return x.Seal.Key[i] }, k)))
		return changed + more, err
	}
	return 0, nil
}
