package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// sealBag seals the capture of a table without a key: rows cannot be told apart, so what counts is how many of each
// image there are. The image covers the captured columns that are still there.
func (c *Capturer) sealBag(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) error {
	s := c.s
	x.Seal.Mode = sealBag
	if s.f.keyed { // its companion says it all
		if x.next == "" {
			if err := s.make(ctx, tx, "seal", s.own(x.companion()), []string{"h " + s.f.hash, "q bigint NOT NULL", "g " + s.f.hash}, "h"); err != nil {
				return err
			}
		}
		if x.Seal.Group = c.group(x, t); !c.untold(x, t) {
			x.Seal.Group = nil
		}
		return c.fillBag(ctx, tx, x, t, s.own(x.companion()))
	}
	sum, err := s.bagSum(ctx, tx, x, t)
	if err != nil {
		return err
	}
	x.Seal.Rows, x.Seal.Sum = sum.Rows, sum.Sum
	columns, values, by := []string{"h " + s.f.hash, "q bigint NOT NULL"}, []string{s.hash(s.images(x.Seal.Columns, t, "t")), "count(*)"}, "1"
	if x.Seal.Group = c.group(x, t); len(x.Seal.Group) > 0 {
		columns, values, by = append(columns, "g "+s.f.hash), append(values, s.hash(s.images(x.Seal.Group, t, "t"))), "1, 3"
	}
	if err := s.make(ctx, tx, "seal", s.own(x.companion()), columns, "h"); err != nil {
		return err
	}
	if _, err = exec(ctx, tx, "seal", fmt.Sprintf("INSERT INTO %s SELECT %s FROM %s t GROUP BY %s", s.own(x.companion()), list(values), s.f.from(s.db, t), by)); err != nil {
		return err
	}
	if len(x.Seal.Group) == 0 || c.untold(x, t) {
		return nil
	}
	if grouped, err := c.grouped(ctx, tx, x); err != nil || grouped {
		return err
	}
	x.Seal.Group = nil
	return nil
}

// givenBack tells whether the opposite direction takes away a column that stands in the place of a captured one: then rows are better told by their other columns, and what was written into this one
// is captured as it goes. Else it is part of what is there, and what the application writes into it is to be told from what the migration left.
func (c *Capturer) givenBack(t *engine.Table, column string) bool {
	if c.meta.Opposite == nil {
		return true
	}
	return slices.ContainsFunc(*c.meta.Opposite, func(st effects.Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.Opaque, effects.DropSchema, effects.SetSchema:
				return true
			case effects.DropTable, effects.RenameTable, effects.Truncate:
				return c.s.sameName(e.Table.Name, t.Name.Name)
			case effects.DropColumn, effects.RenameColumn:
				return c.s.sameName(e.Table.Name, t.Name.Name) && slices.ContainsFunc(e.Columns, func(n string) bool { return c.s.sameName(n, column) })
			}
			return false
		})
	})
}

// images gives expressions for live columns in the form captures keep them.
func (s *Store) images(columns []string, t *engine.Table, ref string) []string {
	var exprs []string
	for _, n := range columns {
		i := columnIndex(t, n)
		if i < 0 {
			exprs = append(exprs, "NULL")
			continue
		}
		f := field{At: n, Type: s.typed(t.Columns[i])}
		f.Decl, f.Text = s.f.store(t.Columns[i])
		exprs = append(exprs, s.image(s.f.value(ref+"."+s.q(n), f), f))
	}
	if len(exprs) == 0 {
		return []string{"1"}
	}
	return exprs
}

// bagSum sums the images of all rows of a live table.
func (s *Store) bagSum(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) (verify.Checksum, error) {
	return verify.Sum(ctx, s.db, q, s.f.from(s.db, t)+" t", s.images(x.Seal.Columns, t, "t"))
}

// bag is what is known of a table without a key on the way back.
type bag struct {
	same bool // nobody wrote to it since it was sealed
	// Else two tables of images with their numbers say what is there that was not sealed, and the other way round.
	plus, minus string
	grouped     bool   // they say of which group each is
	groups      string // those that cannot be told apart; see bag_groups.go
	// Somebody else wrote to it between two statements, so that nobody can tell which rows are whose.
	mixed bool
}

// sealed gives the images of the sealed columns of an entry, in the order of seal.Columns, and of a live row.
func (r *Restorer) sealed(g *target) (kept, live []string) {
	for _, f := range g.x.Fields {
		if f.Seal != "" {
			live = append(live, r.column(g.t, f.Name))
		}
	}
	return r.sealedEntry(g.x), r.s.images(live, g.t, "t")
}

func (r *Restorer) sealedEntry(x *restoring) (kept []string) {
	for i, f := range x.Fields {
		if f.Seal != "" {
			kept = append(kept, r.s.image("d."+x.v(i), f))
		}
	}
	if len(kept) == 0 {
		kept = []string{"1"}
	}
	return kept
}

// compareBag finds out what was written to a table without a key since it was sealed.
func (r *Restorer) compareBag(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) (err error) {
	as := x.capture
	if x.moving != nil && x.unsealed() { // by the names of now
		as = x.moving
	}
	x.bag, err = r.bagSince(ctx, tx, as, t, x.ID)
	return err
}

// bagSince compares a table without a key with a seal of it. The id is for the names of the tables that say what differs.
func (r *Restorer) bagSince(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table, id string) (*bag, error) {
	s, b := r.s, &bag{mixed: x.Seal.Mixed}
	images, from := []string{"1"}, ""
	if t != nil && x.Seal.Sum == "" {
		images, from = s.images(x.Seal.Columns, t, "t"), " FROM "+s.f.from(s.db, t)+" t"
	} else if t != nil {
		now, err := s.bagSum(ctx, tx, x, t)
		if err != nil {
			return nil, err
		}
		if b.same = !x.Seal.Mixed && now.Rows == x.Seal.Rows && now.Sum == x.Seal.Sum; b.same {
			return b, nil
		}
		images, from = s.images(x.Seal.Columns, t, "t"), " FROM "+s.f.from(s.db, t)+" t"
	} else {
		from = s.f.nothing
	}
	b.plus, b.minus = s.own(more(id)), s.own(fewer(id))
	now, columns, group := "(SELECT "+s.hash(images)+" AS h, count(*) AS q"+from+" GROUP BY 1)", []string{"h " + s.f.hash, "q bigint NOT NULL"}, ""
	if len(x.Seal.Group) > 0 && t != nil {
		now = "(SELECT " + s.hash(images) + " AS h, " + s.hash(s.images(x.Seal.Group, t, "t")) + " AS g, count(*) AS q" + from + " GROUP BY 1, 2)"
		b.grouped, group = true, ", %s.g"
		columns = append(columns, "g "+s.f.hash)
	}
	given := func(from string) (names, values string) {
		if group == "" {
			return "", ""
		}
		return ", g", fmt.Sprintf(group, from)
	}
	ag, av := given("a")
	_, bv := given("b")
	for _, work := range []string{b.plus, b.minus} {
		if err := s.make(ctx, tx, "compare", work, columns, "h"); err != nil {
			return nil, err
		}
	}
	for _, work := range []string{more(id), fewer(id)} {
		if err := s.search(ctx, tx, work, "h"); err != nil {
			return nil, err
		}
	}
	var differ int64
	for _, q := range []string{
		fmt.Sprintf("INSERT INTO %s (h, q%s) SELECT a.h, a.q - coalesce(b.q, 0)%s FROM %s a LEFT JOIN %s b ON b.h = a.h WHERE a.q > coalesce(b.q, 0)", b.plus, ag, av, now, s.own(x.companion())),
		fmt.Sprintf("INSERT INTO %s (h, q%s) SELECT b.h, b.q - coalesce(a.q, 0)%s FROM %s b LEFT JOIN %s a ON b.h = a.h WHERE b.q > coalesce(a.q, 0)", b.minus, ag, bv, s.own(x.companion()), now),
	} {
		n, err := exec(ctx, tx, "compare", q)
		if err != nil {
			return nil, err
		}
		differ += n
	}
	b.same = differ == 0 && !b.mixed
	return b, nil
}

// forget drops the work tables of a bag.
func (r *Restorer) forget(ctx context.Context, tx engine.Querier, x *restoring) error {
	if x.final != "" {
		if err := r.s.drop(ctx, tx, "forget keys", x.final); err != nil {
			return err
		}
		x.final = ""
	}
	return r.forgetBag(ctx, tx, x.bag)
}

func (r *Restorer) forgetBag(ctx context.Context, tx engine.Querier, b *bag) error {
	if b == nil || b.plus == "" {
		return nil
	}
	for _, t := range []string{b.plus, b.minus, b.groups} {
		if t == "" {
			continue
		}
		if err := r.s.drop(ctx, tx, "forget the comparison", t); err != nil {
			return err
		}
	}
	b.plus, b.minus, b.groups = "", "", ""
	return nil
}

// putBag puts a table without a key back. When nobody wrote to it, it becomes exactly the multiset of rows that was
// captured. Else rows written since stay, captured rows come back, and those that were removed since stay away; where the
// two cannot be told apart (the migration or its Down changed the very columns that tell), the whole table is a conflict.
func (r *Restorer) putBag(ctx context.Context, tx engine.Querier, g *target, p Policy, c *Capturer) error {
	if err := r.putBagRows(ctx, tx, g, p, c); err != nil {
		return err
	}
	return r.underKeys(ctx, tx, g)
}

func (r *Restorer) putBagRows(ctx context.Context, tx engine.Querier, g *target, p Policy, c *Capturer) error {
	s, x := r.s, g.x
	if x.Bystander { // what others did to it is theirs
		p = Keep
	}
	keptAll, liveAll := r.images(g, g.fields, false)
	kept, live := s.hash(keptAll), s.hash(liveAll)
	all := fmt.Sprintf("(SELECT d.n, %s AS h FROM %s d)", kept, s.own(x.data()))
	const changed = "SELECT k.n, '%s' FROM %s k LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) l ON l.h = k.h WHERE l.h IS NULL"
	if x.bag == nil && x.Seal.Mixed { // the table was gone in the end
		x.bag = &bag{mixed: true}
	}
	stays := "" // condition on live rows (alias y: a, h, g) that are not ours to remove
	if x.bag != nil && !x.bag.same {
		keptSeal, liveSeal := r.sealed(g)
		ahead := &deleted{told: true}
		if p != Restore {
			var err error
			if ahead, err = r.deletedAhead(ctx, tx, g, s.hash(keptSeal)); err != nil {
				return err
			}
		}
		var whole *capture
		left := r.onlyDeleted(g)
		if left {
			whole = r.emptied(g.t, c)
		}
		if whole == nil {
			if err := r.removedToo(ctx, tx, g, s.hash(liveSeal)); err != nil {
				return err
			}
		}
		tangled, err := r.tangled(ctx, tx, g, s.hash(keptSeal), s.hash(liveSeal))
		if err != nil {
			return err
		}
		tangled = tangled && !left || !ahead.told
		var parts *groups
		if tangled && len(ahead.of) == 0 {
			if parts, err = r.split(ctx, tx, g, s.hash(keptSeal), s.hash(liveSeal)); err != nil {
				return err
			}
		}
		switch {
		case parts != nil:
			return r.putGroups(ctx, tx, g, p, c, parts, s.hash(keptSeal), s.hash(liveSeal))
		case tangled && p == Restore:
			if err := r.captureAll(ctx, tx, g, c); err != nil {
				return err
			}
			if err := r.win(ctx, tx, x, fmt.Sprintf(changed, changedSince, all, live, s.f.from(s.db, g.t))); err != nil {
				return err
			}
			if err := r.swept(ctx, tx, g, "p"); err != nil {
				return err
			}
		case tangled:
			if len(x.speaks) == 0 && !x.numbered { // somebody wrote to it since Check looked
				all := r.tables()
				if err := r.renumbered(ctx, tx, x, all[:max(0, slices.Index(all, x))]); err != nil {
					return err
				}
			}
			r.notes = append(r.notes, fmt.Sprintf("%s has no key and was written to since: its rows were left as they are", x.Home))
			n, err := r.marked(ctx, tx, x, fmt.Sprintf(changed, x.reason(changedSince), all, live, s.f.from(s.db, g.t)))
			if err != nil || n > 0 || x.bag.plus == "" {
				return err
			}
			return r.unheld(ctx, tx, g, "m.h", s.hash(keptSeal), "p")
		default:
			if err := ahead.come(ctx, tx, r); err != nil {
				return err
			}
			note := r.mark
			if p == Restore {
				note = r.win
			}
			if err := note(ctx, tx, x, fmt.Sprintf(
				"SELECT k.n, '%s' FROM (SELECT d.n, %s AS h, row_number() OVER (PARTITION BY %s ORDER BY d.n) AS i FROM %s d) k JOIN %s m ON m.h = k.h WHERE k.i <= m.q",
				x.reason(deletedSince), s.hash(keptSeal), s.hash(keptSeal), s.own(x.data()), x.bag.minus)); err != nil {
				return err
			}
			stays = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.h = y.g AND y.i <= p.q)", x.bag.plus)
			live = s.hash(liveAll)
			if err := r.exchange(ctx, tx, g, exchanging{kept: kept, live: live, group: s.hash(liveSeal), stays: stays, remove: !left}); err != nil || whole == nil {
				return err
			}
			return r.sparesAll(ctx, tx, x, g.t, whole)
		}
	}
	// A table that was not there at the end of the migration and that Down filled itself: what it wrote may hold newer rows.
	return r.exchange(ctx, tx, g, exchanging{kept: kept, live: live, group: "1", stays: stays, remove: x.Seal.Mode != sealAbsent || x.alone})
}

// removedToo tells of rows that were written since and that a DELETE or TRUNCATE of the opposite direction has removed, as it would without us: its capture has them.
func (r *Restorer) removedToo(ctx context.Context, tx engine.Querier, g *target, live string) error {
	x := g.x
	removes := func(e effects.Effect) bool {
		return (e.Kind == effects.Delete || e.Kind == effects.Truncate) && r.s.sameName(e.Table.Name, g.t.Name.Name)
	}
	if x.bag.plus == "" || !slices.ContainsFunc(r.statements, func(st effects.Statement) bool { return slices.ContainsFunc(st.Effects, removes) }) {
		return nil
	}
	n, err := number(ctx, tx, "count rows written since", fmt.Sprintf(
		"SELECT coalesce(sum(p.q - coalesce(l.q, 0)), 0) FROM %s p LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) l ON l.h = p.h WHERE p.q > coalesce(l.q, 0)",
		x.bag.plus, live, r.s.f.from(r.s.db, g.t)))
	if n > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%s has no key: of the rows that were written since, Down removed %d; they are captured, and up brings them back", x.Home, n))
	}
	return err
}

// reason is why a row of a capture that is not as it was stays out: of rows that the migration left alone it is no conflict.
func (x *restoring) reason(of string) string {
	switch {
	case !x.Bystander:
		return of
	case of == deletedSince:
		return letBeGone
	}
	return letBe
}

// win reports conflicts that a query gives and that the captured rows win.
func (r *Restorer) win(ctx context.Context, tx engine.Querier, x *restoring, query string) error {
	n, err := r.marked(ctx, tx, x, query)
	if err != nil || n == 0 {
		return err
	}
	won, total, err := r.conflictsOf(ctx, tx, x, "1 = 1", Restore)
	if err != nil {
		return err
	}
	r.of(x.Home).Conflicts += total
	r.won = append(r.won, won...)
	_, err = exec(ctx, tx, "free conflicts", "DELETE FROM "+r.s.own(x.conflicts()))
	return err
}

// swept reports the rows written since that give way to the captured ones, where they cannot be told apart one by one.
func (r *Restorer) swept(ctx context.Context, tx engine.Querier, g *target, which string) error {
	if g.x.bag.plus == "" {
		return nil
	}
	n, err := number(ctx, tx, "count rows written since", "SELECT coalesce(sum(p.q), 0) FROM "+g.x.bag.plus+" "+which)
	if err != nil || n == 0 {
		return err
	}
	r.of(g.x.Home).Conflicts++
	r.won = append(r.won, Conflict{Table: g.x.Home.String(), Key: fmt.Sprintf("%d row(s) without a key", n), Columns: g.x.Columns, Reason: insertedSince, Resolved: Restore})
	return nil
}

// tangled tells whether rows written since cannot be told apart from captured ones.
func (r *Restorer) tangled(ctx context.Context, tx engine.Querier, g *target, kept, live string) (bool, error) {
	s, x := r.s, g.x
	if x.bag.mixed {
		return true, nil
	}
	n, err := number(ctx, tx, "compare", fmt.Sprintf("SELECT count(*) FROM %s p LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) l ON l.h = p.h WHERE p.q > coalesce(l.q, 0)",
		x.bag.plus, live, s.f.from(s.db, g.t)))
	if err != nil || n > 0 {
		return true, err
	}
	n, err = number(ctx, tx, "compare", fmt.Sprintf("SELECT count(*) FROM %s m LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s d GROUP BY 1) k ON k.h = m.h WHERE m.q > coalesce(k.q, 0)",
		x.bag.minus, kept, s.own(x.data())))
	return n > 0, err
}

// exchanging says which rows are exchanged.
type exchanging struct {
	kept, live string // images of a captured row d and of a live one t
	group      string // of live rows, within which they are numbered
	set        string // of a live row, for stays; "" for none
	stays      string // condition on live rows (alias y: a, h, g and their number i in g; z, what set gives) that are ours to remove
	comes      string // condition on captured rows
	remove     bool   // live rows that are ours and were not captured go
}

// exchange removes live rows that are neither captured nor to stay, and inserts captured ones that are missing. Where a unique value of these was taken meanwhile, and
// rows would go, nobody knows which of them it was: the table stays as it is.
func (r *Restorer) exchange(ctx context.Context, tx engine.Querier, g *target, e exchanging) error {
	if len(g.t.Unique) == 0 || r.bare {
		return r.exchangeRows(ctx, tx, g, e)
	}
	const point = "dbrollback_exchange"
	if _, err := exec(ctx, tx, "put back "+g.x.Home.String(), "SAVEPOINT "+point); err != nil {
		return err
	}
	err := r.exchangeRows(ctx, tx, g, e)
	if err != nil && !taken(err) {
		return err
	}
	stays := err != nil
	if stays {
		if _, err := exec(ctx, tx, "leave "+g.x.Home.String(), "ROLLBACK TO SAVEPOINT "+point); err != nil {
			return err
		}
	}
	if _, err := exec(ctx, tx, "put back "+g.x.Home.String(), "RELEASE SAVEPOINT "+point); err != nil || !stays {
		return err
	}
	r.notes = append(r.notes, fmt.Sprintf("%s has no key, and a unique value that was to come back is taken by now: its rows were left as they are", g.x.Home))
	return r.mark(ctx, tx, g.x, fmt.Sprintf("SELECT k.n, '%s' FROM (SELECT d.n, %s AS h FROM %s d WHERE %s) k LEFT JOIN (SELECT %s AS h FROM %s t GROUP BY 1) l ON l.h = k.h WHERE l.h IS NULL",
		valueTaken, e.kept, r.s.own(g.x.data()), all(r.free(g.x)), e.live, r.s.f.from(r.s.db, g.t)))
}

// exchangeRows does that without a way back.
func (r *Restorer) exchangeRows(ctx context.Context, tx engine.Querier, g *target, e exchanging) error {
	if r.s.f.exchange != nil {
		return r.returnedBag(ctx, tx, g, func() error { return r.s.f.exchange(ctx, r, tx, g, e) })
	}
	s, x := r.s, g.x
	address := s.f.address(g.t)
	// y: live rows that are ours, numbered among those of equal image.
	ours := fmt.Sprintf("(SELECT y.a, y.h, row_number() OVER (PARTITION BY y.h) AS i FROM (SELECT %s AS a, %s AS h, %s AS g, %s AS z, row_number() OVER (PARTITION BY %s) AS i FROM %s t) y WHERE %s)",
		address, e.live, e.group, cmp.Or(e.set, "1"), e.group, s.f.from(s.db, g.t), all(e.stays))
	kept, comes := e.kept, all(r.free(x), e.comes)
	captured := fmt.Sprintf("(SELECT %s AS h, count(*) AS q FROM %s d WHERE %s GROUP BY 1)", kept, s.own(x.data()), comes)
	var deleted int64
	if e.remove {
		excess := fmt.Sprintf("SELECT o.a FROM %s o LEFT JOIN %s k ON k.h = o.h WHERE o.i > coalesce(k.q, 0)", ours, captured)
		for _, fk := range g.t.Referenced {
			if fk.OnDelete == "NO ACTION" {
				continue
			}
			n, err := number(ctx, tx, "compare", "SELECT count(*) FROM ("+excess+") e")
			if err != nil {
				return err
			}
			if n > 0 {
				return &ProofError{Table: x.Home, Capture: x.ID, Rows: n, Of: x.Rows,
					Reason: fmt.Sprintf("the table has no key, and removing rows would reach %s by foreign key %s", fk.Table, fk.Name)}
			}
		}
		var err error
		if deleted, err = exec(ctx, tx, "put back "+x.Home.String(), fmt.Sprintf("DELETE FROM %s AS t WHERE %s IN (%s)", s.f.from(s.db, g.t), address, excess)); err != nil {
			return err
		}
	}
	if err := r.yield(ctx, tx, g, e); err != nil {
		return err
	}
	var names, values []string
	for _, i := range g.fields {
		now := r.live(g, i)
		names = append(names, s.q(now.Name))
		values = append(values, s.f.back("d."+x.v(i), x.Fields[i], now))
	}
	inserted, err := r.insertBag(ctx, tx, g, fmt.Sprintf(
		"INSERT INTO %s (%s) %s SELECT %s FROM (SELECT d.*, %s AS h, row_number() OVER (PARTITION BY %s ORDER BY d.n) AS i FROM %s d WHERE %s) d LEFT JOIN (SELECT o.h, count(*) AS q FROM %s o GROUP BY o.h) l ON l.h = d.h WHERE d.i > coalesce(l.q, 0)",
		s.db.Quote(g.t.Name), list(names), s.f.overriding, list(values), kept, kept, s.own(x.data()), comes, ours), deleted)
	if err != nil {
		return err
	}
	rep := r.of(x.Home)
	both := min(deleted, inserted) // a row that changed is one taken out and one put in
	rep.Updated, rep.Deleted, rep.Inserted = rep.Updated+both, rep.Deleted+deleted-both, rep.Inserted+inserted-both
	return r.proveBag(ctx, tx, g)
}

// proveBag makes sure that every captured row that is no conflict is there, as often as it was.
func (r *Restorer) proveBag(ctx context.Context, tx engine.Querier, g *target) error {
	missing, err := r.missing(ctx, tx, g)
	if err != nil {
		return err
	}
	if missing > 0 {
		return &ProofError{Table: g.x.Home, Capture: g.x.ID, Rows: missing, Of: g.x.Rows}
	}
	return nil
}

// missing counts the captured rows of a table without a key that are no conflict and not there.
func (r *Restorer) missing(ctx context.Context, tx engine.Querier, g *target) (int64, error) {
	s, x := r.s, g.x
	keptAll, liveAll := r.images(g, g.fields, true)
	return number(ctx, tx, "prove "+x.Home.String(), fmt.Sprintf(
		"SELECT sum(k.q - coalesce(l.q, 0)) FROM (SELECT %s AS h, count(*) AS q FROM %s d WHERE %s GROUP BY 1) k LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s t GROUP BY 1) l ON l.h = k.h WHERE k.q > coalesce(l.q, 0)",
		s.hash(keptAll), s.own(x.data()), all(r.free(x)), s.hash(liveAll), s.f.from(s.db, g.t)))
}

// captureAll captures a table without a key as it is, before captured rows take its place.
func (r *Restorer) captureAll(ctx context.Context, tx engine.Querier, g *target, c *Capturer) error {
	if c == nil {
		return nil
	}
	if err := c.origins(ctx, tx); err != nil {
		return err
	}
	if c.track.made(g.t) {
		return nil // the table that its rows came from was captured when it was dropped
	}
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: g.t, reason: "restored over"})
	if err != nil {
		return err
	}
	if err := c.copy(ctx, tx, y); err != nil {
		return err
	}
	return c.record(ctx, tx, y)
}
