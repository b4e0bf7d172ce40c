package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Where each statement is there for good when it has run, others write between the statements of a migration. So what a statement
// captured is sealed while nobody else gets at its rows: in the transaction of the statement, or under its LOCK TABLES. From then on
// the seal follows: ahead of each later statement that concerns the table, under that one's locks, rows that do not look as sealed
// were written by somebody else, and are marked for good (foreign); after it the others are sealed anew. On the way back the seals of
// the captures that are to go back follow the statements in the same way, apart from the ones that the catalog keeps.

// Where seals lie. Two places take turns, so that a seal is whole until the next one is.
const (
	sealFirst, sealSecond = "dbrollback_seal_", "dbrollback_twin_"
	backFirst, backSecond = "dbrollback_then_", "dbrollback_next_"
)

// Ahead tells all effects of the statement that comes next, and what to watch after it; see Watch.
func (c *Capturer) Ahead(es []effects.Effect, watch func(context.Context, engine.Querier) Watch) {
	c.effects, c.watching = es, watch
}

// Sealed has f called behind each statement that commits by itself, when its seals are there and its lock still holds: what the Restorer knows
// by then is to be kept before anybody else writes.
func (c *Capturer) Sealed(f func(ctx context.Context, q engine.Querier) error) { c.tell = f }

func (c *Capturer) told(ctx context.Context, q engine.Querier) error {
	if c.tell == nil || c.restorer == nil {
		return nil
	}
	return c.tell(ctx, q)
}

// following is a capture whose seal goes along with a statement.
type following struct {
	x     *capture
	index int           // of the captures of this run; -1: it is one that goes back
	t     *engine.Table // where its rows stand before the statement; nil: nowhere
	// Of a table without a key that goes back, and that no statement of this run has written to yet: what others wrote to it since
	// it was sealed is known.
	known *bag
	back  *restoring // what goes back, where it is that and DDL is transactional
}

// companionAt names the table that has the seal of a capture.
func (c *capture) companionAt(place string) string { return place + compact(c.ID) }

// turn is where the next seal of a capture lies.
func (f *following) turn() string {
	switch at := f.x.Seal.At; {
	case f.index < 0 && at == backFirst:
		return backSecond
	case f.index < 0:
		return backFirst
	case at == "" && f.x.Seal.Mode == "" || at == sealSecond:
		return sealFirst
	}
	return sealSecond
}

// concerned finds the captures whose rows a statement concerns, and makes room for their next seals.
func (c *Capturer) concerned(ctx context.Context, p *plan) ([]*following, error) {
	if c.s.db.Caps.TransactionalDDL || c.watching == nil {
		return nil, nil
	}
	defer c.looking()()
	var out []*following
	add := func(x *capture, index int, leave func() error) error {
		gives := func() error { // another table its place
			if index >= 0 && x.Kind != Kept {
				if x.Seal.Mode == sealAbsent && c.makesEmpty(x.sealedAt()) {
					return nil
				}
				p.left = append(p.left, x)
			}
			return leave()
		}
		if x.Kind == Definition || x.Kind.Stays() || x.Seal.Mode == "" || x.Seal.Mode == sealCovered || x.Seal.Mode == sealNone {
			return nil
		}
		if x.Seal.Coming && x.Seal.After == c.statement { // see comes
			return nil
		}
		n := x.sealedAt()
		acted := slices.ContainsFunc(p.actions, func(a *action) bool { return a.table.Name == n })
		touch := c.touches(n, acted)
		if touch == touchNot && x.New && slices.ContainsFunc(p.actions, func(a *action) bool { return a.stead != nil && a.stead.Name == n }) {
			touch = touchValues
		}
		if touch < touchValues && c.replaces(x, n) {
			touch = touchValues
		}
		if at, renamed := c.track.stands[strings.ToLower(x.Home.Name)]; touch == touchNot && renamed && x.Seal.Mode == sealAbsent && // it was dropped under that name
			slices.ContainsFunc(c.effects, func(e effects.Effect) bool { return c.takesPlace(e, at) }) {
			touch = touchPlace
		}
		switch touch {
		case touchNot:
			return nil
		case touchNames:
			p.spelt = append(p.spelt, x)
			return nil
		case touchPlace:
			return gives()
		}
		t, err := c.look(ctx, c.s.db, n)
		if errors.Is(err, engine.ErrNoTable) {
			t, err = nil, nil
		}
		if err != nil {
			return err
		}
		if t == nil && c.makes(n) { // IF NOT EXISTS, and there is none
			return gives()
		}
		if another, err := c.succeeds(ctx, x, n); err != nil {
			return err
		} else if another {
			return leave()
		}
		out = append(out, &following{x: x, index: index, t: t})
		return nil
	}
	for i, x := range c.captures {
		if err := add(x, i, func() error { x.Seal = seal{}; return nil }); err != nil {
			return nil, err
		}
	}
	if c.restorer == nil {
		return out, c.room(ctx, c.s.db, p, out...)
	}
	for _, x := range c.restorer.tables() {
		m := x.moving
		if x.lost || (x.placed || x.wrote) && (m == nil || !x.placed && !x.held) {
			continue
		}
		if m == nil {
			m = x.follower()
		}
		had := len(out)
		if err := add(m, -1, func() error { return c.restorer.leave(ctx, c.s.db, x) }); err != nil {
			return nil, err
		}
		if len(out) > had && x.unsealed() && x.bag != nil && x.bag.plus == c.s.own(more(x.ID)) {
			out[had].known = x.bag
		}
		if len(out) > had || slices.Contains(p.spelt, m) {
			x.moving = m
		}
	}
	return out, c.room(ctx, c.s.db, p, out...)
}

// looking begins a stretch, ended by what it gives, in which no table of the user's changes its definition: each is looked at once, however many captures it has.
func (c *Capturer) looking() (end func()) {
	c.looked = map[engine.Name]*engine.Table{}
	return func() { c.looked = nil }
}

// look reads the definition of a table, or gives what was read in the same stretch.
func (c *Capturer) look(ctx context.Context, q engine.Querier, n engine.Name) (*engine.Table, error) {
	if t := c.looked[n]; t != nil {
		return t, nil
	}
	t, err := c.s.db.Inspect(ctx, q, n)
	if err == nil && c.looked != nil {
		c.looked[n] = t
	}
	return t, err
}

// follower is a capture that goes back, as one whose rows stand where it was sealed.
func (x *restoring) follower() *capture {
	m := *x.capture
	m.Home, m.Identity, m.At, m.live = x.Seal.Table, identity(&engine.Table{Name: x.Seal.Table, Engine: x.Shape.Engine, OID: x.Shape.OID}), x.Seal.Table, x.Shape
	if x.Seal.Table.Name == "" {
		m.Home = x.Home
	}
	for _, names := range []*[]string{&m.Seal.Columns, &m.Seal.All, &m.Seal.Key, &m.Seal.Group, &m.Seal.Sources, &m.Seal.Rest} { // those of the capture stay as they were sealed
		*names = slices.Clone(*names)
	}
	m.Key, m.Fields = slices.Clone(x.Key), nil
	for i, f := range m.Key {
		if f.Seal != "" {
			m.Key[i].Name = f.Seal
		}
	}
	for _, n := range x.Seal.Columns { // those that are watched as well
		m.Fields = append(m.Fields, field{Name: n, At: n, Num: strings.ToLower(n), Seal: n})
	}
	return &m
}

// What a statement does to the rows of a capture.
const (
	touchNot    = iota // nothing
	touchNames         // names change, values stay
	touchValues        // they may look different after
	touchPlace         // another table stands there after
)

// touches tells what the statement at hand does to the rows of a table.
func (c *Capturer) touches(n engine.Name, acted bool) int {
	out, began := touchNot, n
	if acted {
		out = touchValues
	}
	for _, e := range c.effects {
		here := c.s.sameName(e.Table.Name, n.Name)
		switch {
		case e.Kind == effects.Opaque || e.Kind == effects.DropSchema:
			out = max(out, touchValues)
		case !e.Changes() || leavesRows(e):
		case c.takesPlace(e, n):
			return touchPlace
		case here && e.Kind == effects.RenameTable:
			out, n.Name = max(out, touchNames), e.NewName.Name
		case here && e.Kind == effects.RenameColumn:
			out = max(out, touchNames)
		case here:
			out = max(out, touchValues)
		}
	}
	if out == touchValues && slices.ContainsFunc(c.effects, func(e effects.Effect) bool {
		return e.Kind == effects.RenameTable && c.s.sameName(e.Table.Name, began.Name)
	}) {
		return touchPlace
	}
	return out
}

// sealedAt is the table in which the rows of a capture were sealed.
func (c *capture) sealedAt() engine.Name {
	if c.Seal.Table.Name == "" {
		return c.Home
	}
	return c.Seal.Table
}

// leavesRows: the values and names of the columns that are there stay as they are.
func leavesRows(e effects.Effect) bool {
	switch e.Kind {
	case effects.AddColumn, effects.AddConstraint, effects.DropConstraint, effects.SetDefault, effects.DropDefault, effects.Comment, effects.Grant:
		return true
	case effects.Create, effects.Drop, effects.Alter, effects.Rename:
		return e.Object.Kind != "" && e.Object.Kind != "table"
	}
	return false
}

// respell gives the seals of captures the names that a statement has given.
func (c *Capturer) respell(ctx context.Context, tx engine.Querier, spelt []*capture) error {
	for _, x := range spelt {
		rename := func(names []string, from, to string) {
			for i, n := range names {
				if c.s.sameName(n, from) {
					names[i] = to
				}
			}
		}
		for _, e := range c.effects {
			switch {
			case !c.s.sameName(e.Table.Name, x.Seal.Table.Name):
			case e.Kind == effects.RenameTable:
				if x.Seal.Table.Name = e.NewName.Name; x.New || x.Stands {
					x.At = x.Seal.Table
				}
			case e.Kind == effects.RenameColumn && len(e.Columns) == 1:
				for _, list := range [][]string{x.Seal.Columns, x.Seal.All, x.Seal.Key, x.Seal.Group, x.Seal.Sources, x.Seal.Rest} {
					rename(list, e.Columns[0], e.NewName.Name)
				}
				for _, fields := range [][]field{x.Key, x.Fields} {
					for i := range fields {
						if c.s.sameName(fields[i].Seal, e.Columns[0]) {
							fields[i].Seal = e.NewName.Name
						}
					}
				}
			}
		}
		x.Seal.After = c.statement
		if slices.Contains(c.captures, x) {
			if err := c.s.finish(ctx, tx, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// room makes the tables of the next seals of captures, all at once. Where DDL is transactional, those of tables without a key are made as they are sealed.
func (c *Capturer) room(ctx context.Context, q engine.Querier, p *plan, fs ...*following) error {
	var queries []string
	for _, f := range fs {
		x := f.x
		x.next, x.nextKeys, x.theirs, x.mixed = f.turn(), false, 0, x.Seal.Mixed
		decls, key := []string{"n bigint NOT NULL"}, "n"
		if c.s.db.Caps.TransactionalDDL {
			decls = append(decls, "r "+c.s.f.hash, "w "+c.s.f.hash)
		}
		if len(x.Key) == 0 && c.s.db.Caps.TransactionalDDL {
			continue
		}
		if len(x.Key) == 0 {
			decls, key = []string{"q bigint NOT NULL", "g " + c.s.f.hash}, "h"
		} else {
			x.nextKeys = x.Seal.Places || len(p.opaque) > 0 || slices.ContainsFunc(p.actions, func(a *action) bool { return a.moved }) || slices.ContainsFunc(c.captures, func(y *capture) bool { return y.Moved })
		}
		if x.nextKeys {
			for i, f := range x.Key {
				decls = append(decls, k(i)+" "+f.Decl)
			}
		}
		queries = append(queries, c.s.creation(c.s.own(x.companionAt(x.next)), append(decls, "h "+c.s.f.hash+" NOT NULL"), key)...)
	}
	if len(queries) == 0 {
		return nil
	}
	return c.s.ddl(ctx, q, "seal", queries...)
}

// sealLocks lists what the seals of captures use under LOCK TABLES.
func (c *Capturer) sealLocks(fs []*following) []engine.Name {
	var out []engine.Name
	for _, f := range fs {
		out = append(out, c.s.db.Own(f.x.data()), c.s.db.Own(f.x.companionAt(f.x.next)))
		if f.x.Seal.Mode == sealRows || f.x.Seal.Mode == sealBag {
			out = append(out, c.s.db.Own(f.x.companion()))
		}
		if f.known != nil {
			out = append(out, c.s.db.Own(more(f.x.ID)), c.s.db.Own(fewer(f.x.ID)))
		}
		if f.t != nil {
			out = append(out, f.t.Name)
		}
	}
	return out
}

// compareBags compares the tables without keys that a statement concerns, with their rows locked.
func (c *Capturer) compareBags(ctx context.Context, tx engine.Querier, p *plan) error {
	bags := slices.DeleteFunc(slices.Clone(p.follows), func(f *following) bool { return len(f.x.Key) > 0 })
	if len(bags) == 0 {
		return nil
	}
	return c.s.pinned(ctx, tx, func() error {
		for _, f := range bags {
			if err := c.compareBag(ctx, tx, f); err != nil {
				return fmt.Errorf("compare %s with its seal: %w", f.x.Home, err)
			}
		}
		return nil
	})
}

// anew tells whether the rows of a table are to be captured: one without a key that was captured whole before this migration
// first touched it is not captured again, because its oldest state is what counts, unless somebody else wrote to it since it was captured last.
func (c *Capturer) anew(p *plan, a *action) bool {
	if len(a.table.Keys) > 0 || !c.whole[identity(a.table)] {
		return true
	}
	mixed := false
	for _, f := range slices.Concat(p.follows, p.stepped) { // the newest speaks for the table
		if f.index >= 0 && len(f.x.Key) == 0 && f.t != nil && f.t.Name == a.table.Name {
			mixed = f.x.mixed
		}
	}
	return mixed
}

// before marks what somebody else wrote since captures were sealed. The statement's locks hold by now.
func (c *Capturer) before(ctx context.Context, tx engine.Querier, fs []*following) error {
	for _, f := range fs {
		if err := c.compare(ctx, tx, f); err != nil {
			return fmt.Errorf("compare %s with its seal: %w", f.x.Home, err)
		}
	}
	return nil
}

func (c *Capturer) compare(ctx context.Context, tx engine.Querier, f *following) (err error) {
	s, x := c.s, f.x
	if len(x.Key) == 0 {
		return nil // see compareBags
	}
	from, data := s.ref(s.own(x.data()), "d")
	seals, old := s.ref(s.own(x.companion()), "s")
	names := []string{"n"}
	values := []string{data + ".n"}
	if x.nextKeys {
		for i := range x.Key {
			names = append(names, k(i))
			if x.Seal.Mode == sealRows && x.Seal.Places {
				values = append(values, fmt.Sprintf("coalesce(%[1]s.%[3]s, %[2]s.%[3]s)", old, data, k(i)))
			} else {
				values = append(values, data+"."+k(i))
			}
		}
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s, h) SELECT %s, %s FROM ", s.own(x.companionAt(x.next)), list(names), list(values), s.foreign())
	marked := old + ".h = " + s.foreign()
	if f.t == nil || x.stale {
		if x.Seal.Mode == sealRows { // what was marked stays so
			x.theirs, err = exec(ctx, tx, "compare", insert+fmt.Sprintf("%s JOIN %s ON %s.n = %s.n WHERE %s", from, seals, old, data, marked))
		}
		return err
	}
	table, live := s.ref(s.f.from(s.db, f.t), "t")
	name := func(i int) string {
		if i < len(x.Seal.Key) {
			return x.Seal.Key[i]
		}
		return x.Key[i].Name
	}
	kept, first := data, live+"."+s.q(name(0))
	col := k
	if x.Seal.Mode == sealRows && x.Seal.Places {
		kept, col = "", func(i int) string { return fmt.Sprintf("coalesce(%[1]s.%[3]s, %[2]s.%[3]s)", old, data, k(i)) }
	}
	var on []string
	for i, key := range x.Key {
		j := columnIndex(f.t, name(i))
		if j < 0 {
			return nil // no row of now can be told
		}
		ref := col(i)
		if kept != "" {
			ref = kept + "." + ref
		}
		on = append(on, s.f.match(live+"."+s.q(name(i)), ref, key, f.t.Columns[j]))
	}
	ours := "1 = 1"
	if x.Ops && (f.index < 0 || !(x.New && c.awaits(x))) {
		ours = data + ".op <> 'i'"
	}
	there, gone := first+" IS NOT NULL", first+" IS NULL"
	switch x.Seal.Mode {
	case sealAbsent:
		x.theirs, err = exec(ctx, tx, "compare", insert+fmt.Sprintf("%s JOIN %s ON %s", from, table, all(on...)))
	case sealPresent:
		x.theirs, err = exec(ctx, tx, "compare", insert+fmt.Sprintf("%s LEFT JOIN %s ON %s WHERE %s", from, table, all(on...), all(gone, ours)))
	case sealRows:
		unsealed := old + ".n IS NULL"
		x.theirs, err = exec(ctx, tx, "compare", insert+fmt.Sprintf("%s LEFT JOIN %s ON %s.n = %s.n LEFT JOIN %s ON %s WHERE (%s) OR %s OR (%s) OR (%s)", from, seals, old, data, table, all(on...),
			all(unsealed, there), marked, all("NOT ("+unsealed+")", gone, ours), all("NOT ("+unsealed+")", there, old+".h <> "+s.sealHash(x, f.t, live, data))))
	}
	return err
}

// compareBag does the same for a table without a key: of its rows nobody can tell which are whose once the statement has run.
func (c *Capturer) compareBag(ctx context.Context, tx engine.Querier, f *following) error {
	s, x := c.s, f.x
	if f.t == nil || x.stale || x.mixed || x.Seal.Mode != sealBag {
		return nil
	}
	if s.db.Caps.TransactionalDDL {
		return c.compareSum(ctx, tx, f)
	}
	old, now := s.own(x.companion()), s.own(x.companionAt(x.next))
	if err := c.fillBag(ctx, tx, x, f.t, now); err != nil {
		return err
	}
	lists, want := []string{now, old}, "coalesce("+old+".q, 0)"
	if f.known != nil {
		lists = append(lists, f.known.plus, f.known.minus)
		want += fmt.Sprintf(" + coalesce(%s.q, 0) - coalesce(%s.q, 0)", f.known.plus, f.known.minus)
	}
	for _, first := range lists {
		from := first
		for _, l := range lists {
			if l != first {
				from += fmt.Sprintf(" LEFT JOIN %[1]s ON %[1]s.h = %[2]s.h", l, first)
			}
		}
		n, err := number(ctx, tx, "compare", fmt.Sprintf("SELECT count(*) FROM %s WHERE coalesce(%s.q, 0) <> %s LOCK IN SHARE MODE", from, now, want))
		if err != nil {
			return err
		}
		x.mixed = x.mixed || n > 0
	}
	_, err := exec(ctx, tx, "compare", "DELETE FROM "+now)
	return err
}

// fillBag counts the images of a table without a key, and says of which group each is.
func (c *Capturer) fillBag(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table, into string) error {
	from, ref := c.s.ref(c.s.f.from(c.s.db, t), "t")
	group := "NULL"
	if len(x.Seal.Group) > 0 {
		group = c.s.hash(c.s.images(x.Seal.Group, t, ref))
	}
	_, err := exec(ctx, tx, "seal", fmt.Sprintf("INSERT INTO %s (h, g, q) SELECT %s, %s, count(*) FROM %s GROUP BY 1, 2", into, c.s.hash(c.s.images(x.Seal.Columns, t, ref)), group, from))
	return err
}

// after seals captures anew, and those that the statement made.
func (c *Capturer) after(ctx context.Context, tx engine.Querier, p *plan, made []*capture) error {
	if c.s.db.Caps.TransactionalDDL || c.watching == nil {
		return nil
	}
	c.ran()
	if err := c.respell(ctx, tx, p.spelt); err != nil {
		return err
	}
	defer c.looking()()
	var watch Watch
	seal := func(x *capture, index int) error {
		if watch == nil {
			watch = c.watching(ctx, tx)
		}
		if err := c.sealNow(ctx, tx, x, index, watch); err != nil {
			return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
		}
		return nil
	}
	for _, f := range p.follows {
		if err := seal(f.x, f.index); err != nil {
			return err
		}
	}
	for i, x := range c.captures {
		if x.Kind != Definition && !x.Kind.Stays() && x.Seal.Mode == "" && slices.Contains(made, x) {
			if p.alone { // another table may have its name by now, which nobody has locked: then it is sealed in the end
				t, err := c.now(ctx, tx, x)
				if err != nil {
					return err
				}
				if t != nil && !slices.ContainsFunc(p.actions, func(a *action) bool { return a.table.Name == t.Name || a.stead != nil && a.stead.Name == t.Name }) {
					x.next = ""
					continue
				}
			}
			if err := seal(x, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// sealNow seals a capture at its turn.
func (c *Capturer) sealNow(ctx context.Context, tx engine.Querier, x *capture, index int, watch Watch) error {
	if index < 0 {
		watch = nil // it has them among its columns
	}
	was, next := "", x.companionAt(x.next)
	if own := index >= 0 || x.Seal.At == backFirst || x.Seal.At == backSecond; own && c.s.db.Caps.TransactionalDDL && (x.Seal.Mode == sealRows || x.Seal.Mode == sealBag || len(x.Seal.Rest) > 0) {
		was = x.companion()
	}
	x.stood, x.stoodAt = "", 0
	if index < 0 && (x.Seal.At == backFirst || x.Seal.At == backSecond || x.Seal.Mode == "") { // by none of the statements on the way here
		x.stoodAt = x.Seal.After
	}
	if index < 0 && x.Seal.Mode == sealRows && x.Seal.Places {
		x.stood = x.companion()
	}
	x.Seal = seal{At: x.next, Places: x.nextKeys, After: c.statement, Mixed: x.mixed, Coming: x.coming != nil, Waits: index < 0 && x.Seal.Waits}
	for _, fields := range [][]field{x.Key, x.Fields} {
		for i := range fields {
			fields[i].Seal, fields[i].Watched = "", false
		}
	}
	if err := c.seal(ctx, tx, index, x, watch); err != nil {
		return err
	}
	x.next, x.stale = "", false
	if c.s.db.Caps.TransactionalDDL {
		if err := c.s.outlived(ctx, tx, x, was, next); err != nil {
			return err
		}
	}
	if index < 0 {
		return nil
	}
	return c.s.finish(ctx, tx, x)
}

// sealAgain seals a capture whose seal does not hold any more; what is marked stays so.
func (c *Capturer) sealAgain(ctx context.Context, tx engine.Querier, x *capture, index int, watch Watch) error {
	f := &following{x: x, index: index}
	if err := c.room(ctx, tx, &plan{}, f); err != nil {
		return err
	}
	if err := c.compare(ctx, tx, f); err != nil {
		return err
	}
	return c.sealNow(ctx, tx, x, index, watch)
}
