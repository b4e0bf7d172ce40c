package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A Down alone may move keys: UPDATE t SET id = id + 100, of rows whose keys Up never moved. Rows that were there when Up ended are to be as they were, so those that Down
// has captured on their way to other keys go back to the ones that they had, ahead of all that is known by these, along with what points to them. Rows that the application has
// inserted since stay where Down puts them. Where it has put one under a key that is left, the row that had it stays under its new key: that is a conflict. So does one of which
// another moved row has the key, unless keys are whole numbers: of these there are more, to be under meanwhile.

// strayed finds the rows of a table that Down has moved to other keys and that go back to theirs.
func (r *Restorer) strayed(ctx context.Context, tx engine.Querier, g *target, c *Capturer) (*rekeying, error) {
	x := g.x
	if c == nil || c.meta.Direction != "down" || len(x.Key) != 1 || x.Rows == 0 || x.Kind == Definition || r.made(g.t, nil) || columnIndex(g.t, g.name(0)) < 0 {
		return nil, nil
	}
	var movers []*capture
	for _, y := range c.captures {
		if !y.Moved || y.Still || y.Rows == 0 || y.Identity != identity(g.t) || len(y.Key) != 1 || y.Key[0].Decl != x.Key[0].Decl || c.keyNow(y, g.t, y.Key[0]) != g.name(0) {
			continue
		}
		n, err := number(ctx, tx, "look for moved keys", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.op = 'u' AND d.%s <> d.%s", r.s.own(y.data()), o(0), k(0)))
		if err != nil {
			return nil, err
		}
		if n > 0 {
			movers = append(movers, y)
		}
	}
	if len(movers) == 0 {
		return nil, nil
	}
	children, ok, err := r.pointing(ctx, tx, g, c)
	if err != nil || !ok {
		return nil, err
	}
	z := &rekeying{g: g, y: movers[0], children: children}
	if err := r.trace(ctx, tx, z, movers); err != nil {
		return nil, err
	}
	if z.rows, err = number(ctx, tx, "count rows", "SELECT count(*) FROM "+z.list); err != nil || z.rows > 0 {
		return z, err
	}
	return nil, r.unlist(ctx, tx, z)
}

// trace lists the rows: the keys that they had and those that they have.
func (r *Restorer) trace(ctx context.Context, tx engine.Querier, z *rekeying, movers []*capture) error {
	const what = "look for moved keys"
	s, g := r.s, z.g
	decl := z.y.Key[0].Decl
	z.list = s.own("dbrollback_pairs_" + compact(newID()))
	if err := s.make(ctx, tx, what, z.list, []string{"n bigint NOT NULL", "now " + decl, "was " + decl}, ""); err != nil {
		return err
	}
	for i, y := range movers { // what an earlier one has moved goes on from there
		moved := fmt.Sprintf("y.op = 'u' AND y.%s <> y.%s", o(0), k(0))
		if _, err := exec(ctx, tx, what, fmt.Sprintf("INSERT INTO %s (n, now, was) SELECT %d, y.%s, y.%s FROM %s y WHERE %s AND y.%s NOT IN (SELECT p.now FROM %s p)", z.list, i, k(0), o(0), s.own(y.data()), moved, o(0), z.list)); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, what, s.update(z.list, "p", [][2]string{{"now", "y." + k(0)}}, s.own(y.data())+" y", fmt.Sprintf("p.n < %d AND p.now = y.%s AND %s", i, o(0), moved))); err != nil {
			return err
		}
	}
	var known, led []string
	for _, x := range r.tables() {
		if x.Home != g.x.Home || x.Rows == 0 || !sameKey(x, g.x) {
			continue
		}
		if x.Moved && !x.Still { // where Up has led them Down leads them back: see follow
			led = append(led, r.standsUnder(x, z.list+".was", fmt.Sprintf("y.op = 'u' AND y.%s <> y.%s", o(0), k(0))))
		}
		conditions := []string{fmt.Sprintf("d.%s = %s.was", k(0), z.list)}
		if x.work {
			others := fmt.Sprintf("EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason IN ('%s', '%s', '%s', '%s'))", s.own(x.conflicts()), insertedSince, deletedSince, letBeGone, valueTaken)
			conditions = append(conditions, "NOT "+others)
			if x.Ops {
				conditions = append(conditions, "("+all(r.free(x))+" OR d.op <> 'i')")
			}
		}
		known = append(known, fmt.Sprintf("EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(x.data()), all(conditions...)))
	}
	key := g.t.Columns[columnIndex(g.t, g.name(0))]
	stands := func(column, alias string) string {
		return s.f.match(alias+"."+s.q(key.Name), column, z.y.Key[0], key)
	}
	for _, which := range []string{
		"NOT " + either(known),
		either(led),
		z.list + ".now = " + z.list + ".was",
		fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), stands(z.list+".now", "t")), // Down has deleted it since
	} {
		if _, err := exec(ctx, tx, what, "DELETE FROM "+z.list+" WHERE "+which); err != nil {
			return err
		}
	}
	moves := ""
	if integral(key) {
		moves = fmt.Sprintf(" LEFT JOIN %s p ON p.now = q.was WHERE p.now IS NULL", z.list)
	}
	for {
		taken := fmt.Sprintf("(SELECT q.was FROM %s q JOIN %s t ON %s%s)", z.list, s.f.from(s.db, g.t), stands("q.was", "t"), moves)
		n, err := number(ctx, tx, what, "SELECT count(*) FROM "+taken+" u")
		if err != nil || n == 0 {
			return err
		}
		if err := r.strand(ctx, tx, z, taken); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, what, fmt.Sprintf("DELETE FROM %s WHERE was IN (SELECT u.was FROM %s u)", z.list, taken)); err != nil {
			return err
		}
	}
}

// strand leaves rows whose keys are taken where Down has put them, and what points to them as well.
func (r *Restorer) strand(ctx context.Context, tx engine.Querier, z *rekeying, taken string) error {
	s := r.s
	for _, x := range r.tables() {
		if x.Rows == 0 || len(x.Key) == 0 {
			continue
		}
		at, reason := []string{}, valueTaken
		if x.Home == z.g.x.Home && sameKey(x, z.g.x) {
			at = append(at, fmt.Sprintf("d.%s IN (SELECT u.was FROM %s u)", k(0), taken))
		} else {
			reason = parentGone
			for _, h := range z.children {
				for i, f := range x.Fields {
					if x.Home == h.t.Name && r.column(h.t, f.Name) == h.column.Name && f.Decl == z.y.Key[0].Decl {
						at = append(at, fmt.Sprintf("d.%s IN (SELECT u.was FROM %s u)", x.v(i), taken))
					}
				}
			}
		}
		if len(at) == 0 {
			continue
		}
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", reason, s.own(x.data()), all(either(at), r.free(x)))); err != nil {
			return err
		}
	}
	return nil
}

// standsUnder is the condition that a capture's entry y had a key, where the migration ended.
func (r *Restorer) standsUnder(x *restoring, key, condition string) string {
	from, at := r.s.own(x.data())+" y", "y."+k(0)
	if x.Seal.Mode == sealRows && x.Seal.Places {
		from += " JOIN " + r.s.own(x.companion()) + " s ON s.n = y.n"
		at = fmt.Sprintf("coalesce(s.%[1]s, y.%[1]s)", k(0))
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s)", from, all(condition, at+" = "+key))
}

// integral tells whether a column's type is one of whole numbers.
func integral(c engine.Column) bool {
	words := strings.FieldsFunc(strings.ToLower(c.Type), func(r rune) bool { return r == ' ' || r == '(' })
	return len(words) > 0 && slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "integer", "bigint"}, words[0])
}
