package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Rows that the migration itself put into a table that it made in the place of one that was captured are not to stay when that one
// comes back. Where all is one transaction they are found in the end, by their keys. Where others write between the statements, what is
// there in the end may be theirs: there each statement that puts rows into such a table says which ones, and so does the rename that
// gives a table with rows the name of a captured one.

// replaced are the tables in whose place another one may stand by now.
func (c *Capturer) replaced() []*capture {
	return slices.DeleteFunc(slices.Clone(c.captures), func(x *capture) bool {
		return x.Kind != Table && x.Kind != Kept || x.Emptied || x.Ops || len(x.Key) == 0
	})
}

// standIns notes which tables that are captured whole another one may stand for, and what was captured of them.
func (c *Capturer) standIns(ctx context.Context, n int, es []effects.Effect) error {
	c.track.replaced, c.track.standing = nil, nil
	away, err := c.away(ctx, n, es, 0)
	if err != nil {
		return err
	}
	for _, x := range append(c.replaced(), away...) {
		c.track.replaced = append(c.track.replaced, x.Home)
		if c.s.db.Caps.TransactionalDDL {
			continue
		}
		if c.track.standing == nil {
			c.track.standing = map[string]map[string]field{}
		}
		columns := map[string]field{}
		for _, f := range slices.Concat(x.Fields, x.Key) {
			columns[strings.ToLower(f.Name)] = f
		}
		c.track.standing[strings.ToLower(x.Home.Name)] = columns
	}
	return nil
}

// standsIn tells whether what a statement does to a table that the migration made is to be captured: it stands in the place of a captured one, so that what others have
// written to it since would be lost. Of rows that are put into it, or that are given other keys, the keys are enough; see arrives.
func (p *planner) standsIn(t *engine.Table, e effects.Effect) bool {
	if !p.track.standsIn(t) || len(t.Keys) == 0 {
		return false
	}
	for _, k := range t.Keys[0].Columns {
		if i := columnIndex(t, k); i < 0 || p.track.madeColumn(t, t.Columns[i]) || p.setsKey(e, k) {
			return false
		}
	}
	return e.Kind == effects.Update || e.Kind == effects.Delete || e.Kind == effects.DropColumn || e.Kind == effects.AlterColumnType || e.Kind == effects.Truncate || e.Kind == effects.DropTable
}

func (p *planner) setsKey(e effects.Effect, key string) bool {
	return e.Kind == effects.Update && (len(e.Columns) == 0 || slices.ContainsFunc(e.Columns, func(c string) bool { return p.sameColumn(c, key) }))
}

// arrives plans to note the keys of rows that a statement puts into a table that the migration made in the place of a captured one.
func (p *planner) arrives(t *engine.Table, e effects.Effect) {
	if len(t.Keys) == 0 || t.Kind != "table" && t.Kind != "partitioned" && t.Kind != "partition" || !slices.ContainsFunc(p.track.replaced, func(n engine.Name) bool { return n == p.track.home(t) }) {
		return
	}
	switch e.Kind {
	case effects.Insert, effects.Upsert, effects.Replace, effects.Merge:
	case effects.Update:
		if !slices.ContainsFunc(t.Keys[0].Columns, func(k string) bool { return p.setsKey(e, k) }) {
			return
		}
	default:
		return
	}
	if !slices.ContainsFunc(p.plan.actions, func(a *action) bool { return a.table.Name == t.Name }) {
		p.plan.actions = append(p.plan.actions, &action{kind: Rows, table: t, events: events{insert: true}, newcomers: true, reason: "made anew"})
	}
}

// arrivals notes the keys of the rows of a table that is about to get the name of a captured one, as far as that one had none of them.
// They are sealed before others know the table by that name.
func (c *Capturer) arrivals(ctx context.Context, tx engine.Querier, n int, es []effects.Effect) error {
	if c.s.db.Caps.TransactionalDDL {
		return nil
	}
	for i, e := range es {
		if e.Kind != effects.RenameTable {
			continue
		}
		t, err := c.named(ctx, e)
		if err != nil || t == nil {
			return err
		}
		if err := c.comes(ctx, tx, t, e.NewName.Name); err != nil {
			return err
		}
		if !c.track.made(t) || len(t.Keys) == 0 {
			continue
		}
		home := engine.Name{Name: e.NewName.Name}
		if began, ok := c.track.beganAs(home.Name); ok {
			home = began
		}
		away, err := c.away(ctx, n, es, i)
		if err != nil {
			return err
		}
		for _, x := range slices.Backward(append(away, c.replaced()...)) {
			if !c.s.sameName(x.Home.Name, home.Name) || !c.knownAlike(x, t) {
				continue
			}
			if err := c.arrive(ctx, tx, n, x, t); err != nil {
				return fmt.Errorf("capture what was inserted into %s: %w", x.Home, err)
			}
			break
		}
	}
	return nil
}

// named is the table that an effect renames.
func (c *Capturer) named(ctx context.Context, e effects.Effect) (*engine.Table, error) {
	p := &planner{s: c.s, q: c.s.db, track: c.track, tables: map[engine.Name]*engine.Table{}}
	t, err := p.inspect(ctx, engine.Name(e.Table))
	if err != nil || t == nil || t.Kind != "table" && t.Kind != "partitioned" && t.Kind != "partition" {
		return nil, err
	}
	return t, nil
}

// comes seals the captures of a table that is gone against the one that the statement at hand is about to give its name: nobody else knows that by the name yet.
func (c *Capturer) comes(ctx context.Context, tx engine.Querier, t *engine.Table, name string) error {
	if c.watching == nil {
		return nil
	}
	var watch Watch
	for i, x := range c.captures {
		if x.Kind == Definition || x.Kind.Stays() || x.Seal.Mode != sealAbsent && x.Seal.Mode != sealRows || x.Seal.Table.Name != "" || !c.s.sameName(x.Home.Name, name) {
			continue
		}
		if watch == nil {
			watch = c.watching(ctx, tx)
		}
		x.coming = &engine.Table{}
		*x.coming = *t
		err := c.sealPlace(ctx, tx, x, i, watch)
		x.coming = nil
		if err != nil {
			return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
		}
	}
	return nil
}

// sealPlace seals a capture against another table than the one that was there.
func (c *Capturer) sealPlace(ctx context.Context, tx engine.Querier, x *capture, index int, watch Watch) error {
	return c.s.pinned(ctx, tx, func() error {
		if x.Seal.Mode == sealRows { // what is marked stays so
			return c.sealAgain(ctx, tx, x, index, watch)
		}
		turn := (&following{x: x, index: index}).turn()
		x.Seal = seal{At: turn, After: c.statement, Coming: x.coming != nil}
		if err := c.seal(ctx, tx, index, x, watch); err != nil {
			return err
		}
		return c.s.finish(ctx, tx, x)
	})
}

// leftPlaces seals the captures in whose place a statement has put a table at once, when it has run.
func (c *Capturer) leftPlaces(ctx context.Context, tx engine.Querier, n int, left []*capture) error {
	var watch Watch
	for _, x := range left {
		if x.Kind == Kept || x.Seal.Mode != "" { // it is sealed in the end
			continue
		}
		t, err := c.now(ctx, tx, x)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		if watch == nil {
			watch = c.watching(ctx, tx)
		}
		if err := c.sealPlace(ctx, tx, x, slices.Index(c.captures, x), watch); err != nil {
			return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
		}
		if !slices.Contains(c.replaced(), x) || !c.track.made(t) || len(t.Keys) == 0 || !c.knownAlike(x, t) {
			continue
		}
		if err := c.arrive(ctx, tx, n, x, t); err != nil {
			return fmt.Errorf("capture what was inserted into %s: %w", x.Home, err)
		}
	}
	return nil
}

// knownAlike tells whether rows of a table are known by the key of a captured one.
func (c *Capturer) knownAlike(x *capture, t *engine.Table) bool {
	if len(t.Keys[0].Columns) != len(x.Key) {
		return false
	}
	for i, f := range x.Key {
		j := columnIndex(t, f.Name)
		if j < 0 || !c.s.sameName(t.Keys[0].Columns[i], f.Name) {
			return false
		}
		if decl, text := c.s.f.store(t.Columns[j]); decl != f.Decl || text != f.Text {
			return false
		}
	}
	return true
}

func (c *Capturer) arrive(ctx context.Context, tx engine.Querier, n int, x *capture, t *engine.Table) error {
	y, err := c.prepare(ctx, tx, n, &action{kind: Rows, table: t, reduce: true, keysOnly: true, newcomers: true, reason: "made anew"})
	if err != nil {
		return err
	}
	var keys, values, mine, theirs, same []string
	for i, f := range y.Key {
		keys, values = append(keys, k(i)), append(values, c.s.f.value("t."+c.s.q(f.At), f))
		mine, theirs = append(mine, "t."+c.s.q(f.At)), append(theirs, "u."+c.s.q(f.At))
		same = append(same, "u."+c.s.q(f.At)+" = d."+c.s.q(x.Key[i].At))
	}
	if x.Kind != Kept { // a kept table has its own columns, and its own index
		same = []string{c.s.on(x, t, "u", "d", func(i int) string { return y.Key[i].At }, k)}
	}
	from := c.s.f.from(c.s.db, t)
	others := ""
	if x.ID != "" { // it is captured already
		there := fmt.Sprintf("SELECT %s FROM %s d JOIN %s u ON %s", list(theirs), c.s.own(x.data()), from, all(same...))
		if others = fmt.Sprintf(" WHERE (%s) NOT IN (%s)", list(mine), there); c.s.f.scans {
			others = " WHERE " + unlisted(list(mine), there)
		}
	}
	return c.s.pinned(ctx, tx, func() error {
		y.Rows, err = exec(ctx, tx, "compare keys", fmt.Sprintf("INSERT INTO %s (op, %s) SELECT 'i', %s FROM %s t%s", c.s.own(y.data()), list(keys), list(values), from, others))
		if err != nil {
			return err
		}
		if y.Rows == 0 {
			return c.s.drop(ctx, tx, "drop an empty capture", c.s.own(y.data()))
		}
		y.Home = t.Name // where they stand now
		if err := c.record(ctx, tx, y); err != nil {
			return err
		}
		if err := c.seal(ctx, tx, len(c.captures)-1, y, nil); err != nil {
			return err
		}
		y.Home, y.Info.Table, y.Identity, y.Seal.After = x.Home, x.Info.Table, identity(&engine.Table{Name: x.Home, Engine: t.Engine}), n-1
		return c.s.finish(ctx, tx, y)
	})
}

// come takes out of the newcomers of a table those that have the key of a row that was captured: they give way to that one. What was captured of a table that stood in
// the place itself has them as well.
func (c *Capturer) come(ctx context.Context, tx engine.Querier, y *capture) error {
	if !y.New || c.s.db.Caps.TransactionalDDL {
		return nil
	}
	for _, x := range c.replaced() {
		if x.Home != y.Home || x.Kind == Kept || x.Stands || !slices.EqualFunc(x.Key, y.Key, func(a, b field) bool { return a.Name == b.Name && a.Decl == b.Decl }) {
			continue
		}
		var on []string
		for i := range y.Key {
			on = append(on, fmt.Sprintf("y.%[1]s = d.%[1]s", k(i)))
		}
		if _, err := exec(ctx, tx, "compare keys", fmt.Sprintf("DELETE y FROM %s d JOIN %s y ON %s", c.s.own(x.data()), c.s.own(y.data()), all(on...))); err != nil {
			return err
		}
	}
	return nil
}

// replaces tells whether the statement at hand puts another column where one of a capture was that is gone: what is in it from then on is to be told from what the application writes into it.
func (c *Capturer) replaces(x *capture, n engine.Name) bool {
	gone := func(name string) bool {
		return slices.ContainsFunc(x.Fields, func(f field) bool { return f.Seal == "" && c.s.sameName(f.Name, name) })
	}
	return slices.ContainsFunc(c.effects, func(e effects.Effect) bool {
		return c.s.sameName(e.Table.Name, n.Name) && (e.Kind == effects.AddColumn && slices.ContainsFunc(e.Columns, gone) || e.Kind == effects.RenameColumn && gone(e.NewName.Name))
	})
}

// newcomers captures the keys of rows that the migration itself put into a table that took the place of a captured one: they are
// not to stay when that one comes back.
func (c *Capturer) newcomers(ctx context.Context, tx engine.Querier, x *capture) error {
	if !c.s.db.Caps.TransactionalDDL || x.Kind != Table && x.Kind != Kept || x.Ops || len(x.Key) == 0 {
		return nil
	}
	t, err := c.now(ctx, tx, x)
	if err != nil || t == nil || !c.track.made(t) || len(t.Keys) == 0 {
		return err
	}
	if x.Kind == Kept { // as seal would: another table stands in its place
		if err := c.s.copied(ctx, tx, x); err != nil {
			return err
		}
		x.Seal = seal{} // nothing stood in its place when it was put aside
	}
	y, err := c.prepare(ctx, tx, x.Statement, &action{kind: Rows, table: t, events: events{insert: true}, reason: "made anew"})
	if err != nil {
		return err
	}
	y.New = true
	y.Home, y.Info.Table, y.Key = x.Home, x.Info.Table, slices.Clone(x.Key)
	var keys, values, live []string
	var now []field
	for i, f := range x.Key {
		j := columnIndex(t, c.keyNow(x, t, f))
		if j < 0 || y.Kind != Rows || len(t.Keys[0].Columns) != len(x.Key) {
			break
		}
		if decl, text := c.s.f.store(t.Columns[j]); decl != f.Decl || text != f.Text {
			break
		}
		y.Key[i].At, y.Key[i].Num = t.Columns[j].Name, columnIdentity(t, t.Columns[j])
		keys, values, live = append(keys, k(i)), append(values, c.s.f.value("t."+c.s.q(t.Columns[j].Name), f)), append(live, "t."+c.s.q(t.Columns[j].Name)+" COLLATE BINARY")
		now = append(now, c.s.kept(t.Columns[j]))
	}
	if len(keys) == len(x.Key) {
		strange := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s d WHERE %s)", c.s.own(x.data()), c.s.on(x, t, "t", "d", func(i int) string { return y.Key[i].At }, k))
		if same := func(f, g field) bool { return f.Type == g.Type }; c.s.f.scans && slices.EqualFunc(x.Key, now, same) { // a list compares as the column of now does
			strange = unlisted(list(live), fmt.Sprintf("SELECT %s FROM %s", list(keys), c.s.own(x.data())))
		}
		y.Rows, err = exec(ctx, tx, "compare keys", fmt.Sprintf("INSERT INTO %s (op, %s) SELECT 'i', %s FROM %s t WHERE %s",
			c.s.own(y.data()), list(keys), list(values), c.s.f.from(c.s.db, t), strange))
		if err != nil {
			return err
		}
	}
	if y.Rows == 0 {
		_, err := exec(ctx, tx, "drop an empty capture", "DROP TABLE "+c.s.own(y.data()))
		return err
	}
	return c.record(ctx, tx, y)
}
